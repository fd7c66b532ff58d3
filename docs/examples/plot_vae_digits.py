"""
Draw new digits, find odd ones
==============================

A variational autoencoder learns a density: where the rows lie, and where they do not.
From a density one can draw, and one can ask it how likely a row is.
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
# Digits that nobody has written
# ------------------------------
# `sample` draws codes from a standard normal distribution and decodes them.

import matplotlib.pyplot as plt


def show(images, title):
    fig, axes = plt.subplots(2, 10, figsize=(8, 2), layout="constrained")
    for ax, image in zip(axes.flat, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    fig.suptitle(title)


show(vae.sample(20, random_state=0), "drawn from the model")

# %%
# Between two digits
# ------------------
# On the line between the codes of two digits, one turns into the other.

import numpy as np

start, end = vae.transform(X_test[[y_test.argmin(), y_test.argmax()]])
steps = np.linspace(0, 1, 20)[:, np.newaxis]
show(vae.inverse_transform((1 - steps) * start + steps * end), "from a 0 to a 9")

# %%
# Likely and unlikely rows
# ------------------------
# `score_samples` is a lower bound of the log-likelihood of a row, in nats. Here are the
# ten least likely held-out digits, above the ten most likely ones.

order = np.argsort(vae.score_samples(X_test))
chosen = np.r_[order[:10], order[-10:]]
show(X_test[chosen], "least likely, most likely")

# %%
# Something that is no digit at all, such as a digit with its pixels shuffled, is far
# less likely than any digit.

rng = np.random.default_rng(0)
shuffled = rng.permuted(X_test, axis=1)
surprise = {
    "digits": -vae.score_samples(X_test),
    "shuffled": -vae.score_samples(shuffled),
}
fig, ax = plt.subplots(layout="constrained")
bins = np.geomspace(surprise["digits"].min(), surprise["shuffled"].max(), 60)
for name, nats in surprise.items():
    ax.hist(nats, bins=bins, label=name)
ax.set(xscale="log", xlabel="minus log-likelihood (nats)", ylabel="rows")
ax.legend()
plt.show()
