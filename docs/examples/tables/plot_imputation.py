"""
Missing cells: one network beside neighbors and boosted trees
=============================================================

A fifth of the cells of a census table is hidden. Who fills them best, and in what time?
Numbers and categories are judged apart.
"""

# %%
# A table with holes
# ------------------
# Adult has six columns of numbers and eight of categories. Only cells whose truth is
# known are hidden.

import numpy as np
from sklearn.model_selection import train_test_split

from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder.datasets import load_adult

people = load_adult().data[:4000]
numbers = people.select_dtypes("number").columns
categories = people.select_dtypes("category").columns
train, test = train_test_split(people, random_state=0)
rng = np.random.default_rng(0)
hidden = test.notna() & (rng.random(test.shape) < 0.2)
damaged = test.mask(hidden)

# %%
# The autoencoder
# ---------------
# One network for all columns. It learns from rows of which it hides cells itself.

network = DenoisingAutoEncoderTransformer(
    features="reconstruction", allow_missing=True, random_state=0
)

# %%
# Neighbors, and the most common value
# ------------------------------------
# scikit-learn's imputers want numbers: columns of numbers are standardized, a category
# becomes one column for each level, and the largest of them wins.

import pandas as pd
from sklearn.impute import KNNImputer, SimpleImputer


def one_hots(table):
    """Return numbers standardized, and a column for each level of a category."""
    blocks = [(table[numbers] - train[numbers].mean()) / train[numbers].std()]
    for name in categories:
        block = pd.get_dummies(table[name], prefix=name, dtype=float)
        blocks.append(block.mask(table[name].isna()))
    return pd.concat(blocks, axis=1)


def neighbors():
    """Fill by the mean of the five nearest rows."""
    imputer = KNNImputer().set_output(transform="pandas").fit(one_hots(train))
    filled, result = imputer.transform(one_hots(damaged)), damaged.copy()
    result[numbers] = filled[numbers] * train[numbers].std() + train[numbers].mean()
    for name in categories:
        columns = [f"{name}_{level}" for level in train[name].cat.categories]
        best = filled[columns].to_numpy().argmax(axis=1)
        result[name] = train[name].cat.categories.to_numpy()[best]
    return result


def most_common():
    """Fill numbers by their median, categories by their mode."""
    result = damaged.copy()
    result[numbers] = (
        SimpleImputer(strategy="median").fit(train[numbers]).transform(damaged[numbers])
    )
    for name in categories:
        result[name] = damaged[name].fillna(train[name].mode()[0])
    return result


# %%
# Boosted trees
# -------------
# A model for each column, given all others, which have holes in training too.

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

with_holes = train.mask(rng.random(train.shape) < 0.2)


def trees():
    """Fill each column by trees that see the others."""
    result = damaged.copy()
    for name in people:
        kind = (
            HistGradientBoostingRegressor
            if name in numbers
            else HistGradientBoostingClassifier
        )
        known = train[name].notna()
        model = kind(random_state=0)
        model.fit(with_holes.drop(columns=name)[known], train.loc[known, name])
        result[name] = model.predict(damaged.drop(columns=name))
    return result


# %%
# What they make of it
# --------------------
# Numbers: the root of the mean squared error over the standard deviation. Categories:
# the fraction that is right. Both are means over columns.

import time

ways = {
    "median, mode": most_common,
    "neighbors": neighbors,
    "boosted trees": trees,
    "autoencoder": lambda: network.fit(train).transform(damaged),
}
rows = {}
for way, fill in ways.items():
    start = time.process_time()
    filled = fill()
    seconds = time.process_time() - start
    missed = (filled[numbers] - test[numbers]).pow(2).where(hidden[numbers])
    right = (filled[categories] == test[categories]).where(hidden[categories])
    rows[way] = {
        "error of numbers": (missed.mean().pow(0.5) / train[numbers].std()).mean(),
        "categories right": right.mean().mean(),
        "seconds": seconds,
    }
results = pd.DataFrame(rows).T
print(results.round(3).to_string())
best = results["categories right"].drop("autoencoder").max()
assert results["categories right"]["autoencoder"] > best

# %%
# See for yourself
# ----------------

import matplotlib.pyplot as plt

fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
axes[0].barh(results.index, results["error of numbers"], color="#0072B2")
axes[0].set_title("Numbers: error (less is better)")
axes[1].barh(results.index, results["categories right"], color="#E69F00")
axes[1].set_title("Categories: fraction right (more is better)")

# %%
# More than one answer
# --------------------
# A single fill hides how unsure it is. ``sample_missing`` draws several; their spread
# is the uncertainty that a multiple imputation passes on.

several = network.sample_missing(damaged[:200], n_samples=5, random_state=0)
ages = np.column_stack([table["age"] for table in several])
unknown = hidden["age"][:200].to_numpy()
print("spread of age, in years:", ages[unknown].std(axis=1).mean().round(1))
assert (ages[~unknown].std(axis=1) == 0).all()
plt.show()
