"""
Repair damaged digits
=====================

A denoising autoencoder is trained to reconstruct clean images from damaged ones. It can
then repair new images.
"""

# %%
# Damage
# ------
# Each pixel turns black (0) with a probability of a quarter.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, _ = load_digits(return_X_y=True)
X_train, X_test = train_test_split(X, random_state=0)
rng = np.random.default_rng(0)
X_damaged = np.where(rng.random(X_test.shape) < 0.25, 0, X_test)

# %%
# Training with the same damage
# -----------------------------
# Here the kind of damage is known, so the network can be trained for it. The noise is a
# function that takes a batch, as a tensor in the units of `X`, and a generator of
# random numbers. It is called for every batch, so no image is damaged twice in the same
# way.

import torch


def go_black(batch, generator):
    draw = torch.rand(batch.shape, generator=generator, device=batch.device)
    return torch.where(draw < 0.25, 0, batch)


# %%
# `noise="masking"` needs no function. It sets pixels to the mean of their column, so it
# is similar to the damage, but not the same.

from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer

reducers = {
    "PCA": PCA(n_components=20, random_state=0),
    "autoencoder": AutoEncoderTransformer(n_components=20, random_state=0),
    "masking": DenoisingAutoEncoderTransformer(
        n_components=20,
        noise="masking",
        noise_level=0.25,
        random_state=0,
    ),
    "go_black": DenoisingAutoEncoderTransformer(
        n_components=20, noise=go_black, random_state=0
    ),
}


def squared_error(images):
    return np.mean((images - X_test) ** 2)


repaired, repaired_error, clean_error = {}, {}, {}
print(f"{'':12} repaired  clean")
print(f"{'as it is':12} {squared_error(X_damaged):8.1f} {0:6.1f}")
for name, reducer in reducers.items():
    reducer.fit(X_train)
    repaired[name] = reducer.inverse_transform(reducer.transform(X_damaged))
    clean = reducer.inverse_transform(reducer.transform(X_test))
    repaired_error[name] = squared_error(repaired[name])
    clean_error[name] = squared_error(clean)
    print(f"{name:12} {repaired_error[name]:8.1f} {clean_error[name]:6.1f}")

# %%
# The table has the mean squared error per pixel, for damaged and for clean images. The
# more similar the noise in training is to the damage, the better the repair. The plain
# autoencoder was not trained to repair: it is only a little better than PCA on damaged
# images, but reconstructs clean images best.

assert repaired_error["go_black"] < repaired_error["masking"] < repaired_error["PCA"]
assert clean_error["autoencoder"] == min(clean_error.values())

# %%
# Repaired images
# ---------------

import matplotlib.pyplot as plt

rows = {"clean": X_test, "damaged": X_damaged} | repaired
fig, axes = plt.subplots(len(rows), 10, figsize=(6.4, 4.6), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for ax, image in zip(line, images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
fig.suptitle("Damaged digits, repaired in four ways")
plt.show()
