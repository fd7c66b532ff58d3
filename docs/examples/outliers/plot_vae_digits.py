"""
Sample new digits, and find unlikely ones
=========================================

A variational autoencoder learns a probability density: where samples lie, and where
they do not. It can draw new samples, and tell how likely a given sample is.
"""

# %%
# Fit
# ---

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder import VAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
vae = VAETransformer(n_components=10, random_state=0).fit(X_train)

# %%
# Is it a better density?
# -----------------------
# PCA has a density too, that of probabilistic PCA: a flat subspace with the same noise
# everywhere around it. All models are scored by the mean log density of the test set,
# in nats; more is better. With a mixture as the prior, the density is higher where the
# codes of digits are dense.

import numpy as np
from sklearn.decomposition import PCA

pca = PCA(n_components=10).fit(X_train)
mixture = VAETransformer(n_components=10, prior="mixture", random_state=0).fit(X_train)
models = {"PCA": pca, "VAE": vae, "VAE, mixture": mixture}
for name, model in models.items():
    print(f"{name:13} {model.score(X_test):7.2f}")
assert mixture.score(X_test) > vae.score(X_test) > pca.score(X_test)

# %%
# New digits
# ----------
# `sample` draws codes from the prior and decodes them, with noise. The last row does
# the same with probabilistic PCA.

import matplotlib.pyplot as plt


def show(images, title, names=()):
    fig, axes = plt.subplots(
        len(images) // 10, 10, figsize=(6.4, len(images) / 12), layout="constrained"
    )
    for ax, image in zip(axes.flat, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    for ax, name in zip(axes[:, 0], names, strict=False):
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    fig.suptitle(title)


rng = np.random.default_rng(0)
codes = rng.standard_normal((10, 10)) * np.sqrt(pca.explained_variance_)
noise = rng.standard_normal((10, 64)) * np.sqrt(pca.noise_variance_)
drawn = [
    X_test[:10],
    vae.sample(10, random_state=0),
    mixture.sample(10, random_state=0),
    pca.inverse_transform(codes) + noise,
]
names = ["real", "VAE", "VAE, mixture", "PCA"]
show(np.vstack(drawn), "digits, and samples of three densities", names)

# %%
# Between two digits
# ------------------
# Along the line between the codes of two digits, one turns into the other.

start, end = vae.transform(X_test[[y_test.argmin(), y_test.argmax()]])
steps = np.linspace(0, 1, 20)[:, np.newaxis]
show(vae.inverse_transform((1 - steps) * start + steps * end), "from a 0 to a 9")

# %%
# Likely and unlikely digits
# --------------------------
# `score_samples` estimates the log density of each sample, in nats. The first row has
# the ten least likely digits of the test set, the second row the ten most likely ones.

order = np.argsort(vae.score_samples(X_test))
chosen = np.r_[order[:10], order[-10:]]
show(X_test[chosen], "digits of the test set", ["least likely", "most likely"])

# %%
# Images that are not digits, such as digits with shuffled pixels, are less likely than
# nearly all digits.

shuffled = rng.permuted(X_test, axis=1)
surprise = {
    "digits": -vae.score_samples(X_test),
    "shuffled": -vae.score_samples(shuffled),
}
assert surprise["shuffled"].min() > np.quantile(surprise["digits"], 0.98)

fig, ax = plt.subplots(layout="constrained")
bins = np.geomspace(surprise["digits"].min(), surprise["shuffled"].max(), 60)
for name, nats in surprise.items():
    ax.hist(nats, bins=bins, label=name)
ax.set(
    xscale="log",
    xlabel="minus log-likelihood (nats)",
    ylabel="samples",
    title="Shuffled pixels are less likely than digits",
)
ax.legend()
plt.show()
