"""
A table, there and back
=======================

Adult is a census table of numbers and categories, with missing cells. Here each row is
reduced to ten numbers and reconstructed as a row of the table. Then a fifth of the
cells is hidden and filled again.
"""

# %%
# The table as it is
# ------------------

from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder.datasets import load_adult

people = load_adult().data[:4000]
train, test = train_test_split(people, random_state=0)
print(train.dtypes.to_string())

# %%
# Ten numbers for each row
# ------------------------
# There is no encoding to choose, no imputer, and no list of columns to write.

reducer = AutoEncoderTransformer(n_components=10, allow_missing=True, random_state=0)
codes = reducer.fit(train).transform(test)
restored = reducer.inverse_transform(codes)
print(f"explained variance of the encoded table: {reducer.score(test):.3f}")
columns = ["age", "education", "occupation", "hours_per_week"]
print(test[columns].head(3).to_string(index=False))
print(restored[columns].head(3).to_string(index=False))

# %%
# Errors by column
# ----------------
# Predicting the mean of a number, or the proportions of a category's levels, has an
# error of 1.

errors = reducer.reconstruction_error(test, per_feature=True).mean().sort_values()
print(errors.round(3).to_string())

# %%
# Fill missing cells
# ------------------
# A fifth of the cells is hidden. An autoencoder that was trained to predict hidden
# cells fills them, numbers and categories at once.

import numpy as np

rng = np.random.default_rng(0)
hidden = (rng.random(test.shape) < 0.2) & test.notna().to_numpy()
damaged = test.mask(hidden)
imputer = DenoisingAutoEncoderTransformer(
    features="reconstruction",
    allow_missing=True,
    noise="masking",
    noise_level=0.3,
    random_state=0,
)
filled = imputer.fit(train).transform(damaged)

categories = test.select_dtypes("category").columns
right, commonest = {}, {}
for name in categories:
    cells = hidden[:, test.columns.get_loc(name)]
    truth = test.loc[cells, name]
    right[name] = float((filled.loc[cells, name] == truth).mean())
    commonest[name] = float((truth == train[name].mode()[0]).mean())

# %%
# More of them are right than with the most frequent level, on average over the columns.

assert sum(right.values()) > sum(commonest.values())

# %%
# In pictures
# -----------

import matplotlib.pyplot as plt

names = sorted(right, key=right.__getitem__)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].barh(errors.index[::-1], errors[::-1], color="#0072B2")
axes[0].set(
    xlabel="squared error (variance of the column = 1)",
    title="Reconstructed from ten numbers",
)
axes[1].plot([right[name] for name in names], names, "o", label="autoencoder")
axes[1].plot([commonest[name] for name in names], names, "s", mfc="none", label="mode")
axes[1].set(xlabel="fraction of hidden cells that are right", title="Filled cells")
axes[1].legend()
plt.show()
