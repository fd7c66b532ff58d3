"""
How many components, and what they mean
=======================================

A census table of 14 columns is reduced to a few components. How many are needed, which
columns do they represent, why does a person have a certain code, and what changes along
a component?
"""

# %%
# How many components?
# --------------------
# With ``ordered=True``, as with PCA, the first components are the most important ones,
# so one fit shows how much each of them adds. Everything is measured on rows that were
# not used for fitting.

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.datasets import load_adult
from sk_autoencoder.plotting import ExplainedVarianceDisplay

people, income = load_adult(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    people[:4000], income[:4000], random_state=0
)
reducer = AutoEncoderTransformer(
    n_components=8, ordered=True, allow_missing=True, random_state=0
)
reducer.fit(X_train)
_ = ExplainedVarianceDisplay.from_estimator(reducer, X_test)

# %%
# As with PCA, a number between 0 and 1 specifies the fraction of the variance to
# explain. Here it refers to the validation set.

enough = AutoEncoderTransformer(n_components=0.5, allow_missing=True, random_state=0)
enough.fit(X_train)
print(f"{enough.n_components_} components explain {enough.score(X_test):.3f}")

# %%
# Which columns does a component represent?
# -----------------------------------------
# The bars are the largest entries of ``components_``, which describe how the
# reconstruction changes with each component. Varimax rotation makes components easier
# to interpret, since each of them affects only a few columns; the reconstruction stays
# the same.

from sk_autoencoder.plotting import ComponentsDisplay

rotated = AutoEncoderTransformer(
    n_components=3, rotation="varimax", allow_missing=True, random_state=0
)
rotated.fit(X_train)
_ = ComponentsDisplay.from_estimator(rotated)

# %%
# Why does a person have this code?
# ---------------------------------
# Contributions tell how far each column moves each component of a sample away from the
# code of the mean sample. They add up to the difference.

import numpy as np
import pandas as pd

person = X_test[:1]
parts = rotated.contributions(person)[0]
table = pd.DataFrame(parts.T, people.columns, ["component 0", "1", "2"])
table.insert(0, "value", person.iloc[0].astype(str))
strongest = parts.__abs__().max(axis=0).argsort()[::-1][:6]
print(table.iloc[strongest].round(2).to_string())
moved = rotated.transform(person)[0] - rotated.mean_code_
assert np.allclose(parts.sum(axis=1), moved, atol=1e-3 * abs(moved).max())

# %%
# What changes along a component?
# -------------------------------
# Change one component of a person's code and decode it: these columns change the most.

from sk_autoencoder.plotting import TraversalDisplay

_ = TraversalDisplay.from_estimator(rotated, X_test, row=0, n_steps=3, n_features=4)
plt.show()
