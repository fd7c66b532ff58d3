"""
Repair damaged digits
=====================

A denoising autoencoder sees damaged images in training and is asked for the whole ones.
Afterwards it repairs images that it has never seen.
"""

# %%
# Damage
# ------
# A quarter of the pixels goes black, which in these images is 0, each pixel by chance.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, _ = load_digits(return_X_y=True)
X_train, X_test = train_test_split(X, random_state=0)
rng = np.random.default_rng(0)
X_damaged = np.where(rng.random(X_test.shape) < 0.25, 0, X_test)

# %%
# The same damage as noise
# ------------------------
# What happens to the images is known here, so we can train for just that. A function
# takes a batch, as a tensor in the units of `X`, and a generator to draw from. It is
# called anew for every batch: no image is damaged twice in the same way.

import torch


def go_black(batch, generator):
    draw = torch.rand(batch.shape, generator=generator, device=batch.device)
    return torch.where(draw < 0.25, 0, batch)


# %%
# `noise="masking"` needs no function. It sets a cell to its column's mean, which says
# nothing of whether the cell is damaged.
#
# Both start at random. By default a network starts as PCA, and PCA is kept unless it
# rebuilds whole held-out images better: to repair damaged ones is another aim, and may
# cost a little of that.

from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer

reducers = {
    "PCA": PCA(n_components=20, random_state=0),
    "autoencoder": AutoEncoderTransformer(n_components=20, random_state=0),
    "masking": DenoisingAutoEncoderTransformer(
        n_components=20,
        noise="masking",
        noise_level=0.25,
        init="random",
        random_state=0,
    ),
    "go_black": DenoisingAutoEncoderTransformer(
        n_components=20, noise=go_black, init="random", random_state=0
    ),
}


def squared_error(images):
    return np.mean((images - X_test) ** 2)


repaired = {}
print(f"{'':12} repaired  whole")
print(f"{'as it is':12} {squared_error(X_damaged):8.1f} {0:6.1f}")
for name, reducer in reducers.items():
    reducer.fit(X_train)
    repaired[name] = reducer.inverse_transform(reducer.transform(X_damaged))
    whole = reducer.inverse_transform(reducer.transform(X_test))
    print(f"{name:12} {squared_error(repaired[name]):8.1f} {squared_error(whole):6.1f}")

# %%
# Squared errors a pixel, of damaged images and of whole ones. The more the noise in
# training looks like the damage, the more is repaired. PCA and the plain autoencoder
# have been taught nothing about it; they rebuild whole images better for that.
#
# See for yourself
# ----------------

import matplotlib.pyplot as plt

rows = {"whole": X_test, "damaged": X_damaged} | repaired
fig, axes = plt.subplots(len(rows), 10, figsize=(8, 5.5), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for ax, image in zip(line, images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()
