"""
How many components, and what they mean
=======================================

A census table of 14 columns in a few numbers: how many are enough, which columns make
them, what moved a single person, and what a component does to one.
"""

# %%
# How many
# --------
# With ``ordered=True`` the first components are the best of their number, as PCA's are:
# one fit shows what each of them adds. All is measured on rows that were held out.

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
# A number between 0 and 1 asks for that much of the variance instead, as with PCA. It
# is measured on the validation set.

enough = AutoEncoderTransformer(n_components=0.5, allow_missing=True, random_state=0)
enough.fit(X_train)
print(f"{enough.n_components_} components explain {enough.score(X_test):.3f}")

# %%
# Which columns make a component
# ------------------------------
# Bars are the largest entries of ``components_``: how the reconstruction changes with
# each component. Varimax rotation makes components easier to name, since each of them
# changes few columns; the reconstruction stays the same.

from sk_autoencoder.plotting import ComponentsDisplay

rotated = AutoEncoderTransformer(
    n_components=3, rotation="varimax", allow_missing=True, random_state=0
)
rotated.fit(X_train)
_ = ComponentsDisplay.from_estimator(rotated)

# %%
# What moved one person
# ---------------------
# Contributions say how far each column moved each component of a sample away from the
# code of the mean sample. They add up.

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
# What a component does
# ---------------------
# Move a person along a component, and decode: these columns change the most.

from sk_autoencoder.plotting import TraversalDisplay

_ = TraversalDisplay.from_estimator(rotated, X_test, row=0)
plt.show()
