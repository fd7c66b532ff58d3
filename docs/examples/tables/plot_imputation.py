"""
Imputation compared with neighbors and boosted trees
====================================================

A fifth of the cells of a census table is hidden. Which method fills them best, and how
long does it take? Numbers and categories are evaluated separately.
"""

# %%
# A table with missing cells
# --------------------------
# Adult has six numeric and eight categorical columns. Only cells whose true value is
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
# One network imputes all columns. During training, it hides cells of the rows by
# itself.

network = DenoisingAutoEncoderTransformer(
    features="reconstruction", allow_missing=True, random_state=0
)

# %%
# Neighbors and the most frequent value
# -------------------------------------
# scikit-learn's imputers expect numbers. So numeric columns are standardized, each
# category is one-hot encoded, and the level with the largest value is chosen.

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
# There is one model for each column, given all others, which also have missing cells in
# training.

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
# Results
# -------
# For numbers, the table has the root mean squared error divided by the standard
# deviation; for categories, the fraction of correct values. Both are averaged over the
# columns.

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
# In one plot
# -----------

import matplotlib.pyplot as plt

fig, axes = plt.subplots(2, 1, figsize=(6, 4.8), layout="constrained")
axes[0].barh(results.index, results["error of numbers"], color="#0072B2")
axes[0].set_title("Numbers: error (less is better)")
axes[1].barh(results.index, results["categories right"], color="#E69F00")
_ = axes[1].set_title("Categories: fraction correct (more is better)")

# %%
# Multiple imputation
# -------------------
# A single imputation hides its uncertainty. ``sample_missing`` draws several, whose
# spread reflects the uncertainty: this is multiple imputation.

several = network.sample_missing(damaged[:200], n_samples=5, random_state=0)
ages = np.column_stack([table["age"] for table in several])
unknown = hidden["age"][:200].to_numpy()
print("spread of age, in years:", ages[unknown].std(axis=1).mean().round(1))
assert (ages[~unknown].std(axis=1) == 0).all()
plt.show()
