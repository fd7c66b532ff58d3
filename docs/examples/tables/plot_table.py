"""
A mixed table: reduce, reconstruct, impute
==========================================

Adult is a census table of numbers and categories, with missing cells. Here each row is
reduced to ten numbers and reconstructed as a row of the table. Then a fifth of the
cells is hidden and imputed.
"""

# %%
# The table
# ---------

from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder.datasets import load_adult

people = load_adult().data[:4000]
train, test = train_test_split(people, random_state=0)
print(train.dtypes.to_string())

# %%
# Ten numbers for each row
# ------------------------
# There is no need for an encoder, an imputer, or a list of columns.

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
# An error of 1 means no better than predicting the mean of a number, or the proportions
# of the levels of a category.

errors = reducer.reconstruction_error(test, per_feature=True).mean().sort_values()
print(errors.round(3).to_string())

# %%
# Fill missing cells
# ------------------
# A fifth of the cells is hidden. A denoising autoencoder, trained to predict hidden
# cells, fills numbers and categories at once.

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
# On average over the columns, more categories are correct than with the most frequent
# level.

assert sum(right.values()) > sum(commonest.values())

# %%
# Plots
# -----

import matplotlib.pyplot as plt

names = sorted(right, key=right.__getitem__)
fig, axes = plt.subplots(2, 1, figsize=(6.4, 8.5), layout="constrained")
axes[0].barh(errors.index[::-1], errors[::-1], color="#0072B2")
axes[0].set(
    xlabel="squared error (variance of the column = 1)",
    title="Reconstructed from ten numbers",
)
axes[1].plot([right[name] for name in names], names, "o", label="autoencoder")
axes[1].plot([commonest[name] for name in names], names, "s", mfc="none", label="mode")
axes[1].set(xlabel="fraction of hidden cells filled correctly", title="Imputation")
axes[1].legend()
plt.show()
