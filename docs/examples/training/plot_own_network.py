"""
A network of your own
=====================

Any two torch modules can be the encoder and the decoder. Everything around them works
as usual: mini-batches, a validation set, early stopping, files, pipelines and searches.
"""

# %%
# Functions that build modules
# ----------------------------
# The encoder may be a module, or a function of its numbers of inputs and outputs, so
# that a search can vary the number of components. This one treats a digit as an image.

import torch
from torch import nn


def encoder(n_features, n_components):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, n_components),
    )


def decoder(n_components, n_features):
    return nn.Sequential(
        nn.Linear(n_components, 32 * 4 * 4),
        nn.SiLU(),
        nn.Unflatten(1, (32, 4, 4)),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(16, 1, 3, padding=1),
    )


# %%
# Train it
# --------
# Nothing is added to your own modules: no PCA and no scaling. A random start needs more
# epochs than a start from PCA.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.networks import UserNetwork

digits = load_digits()
X = (digits.data / 16).astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, digits.target, random_state=0)

own = AutoEncoderTransformer(
    n_components=10,
    network=UserNetwork(encoder, decoder, input_shape=(1, 8, 8)),
    lr=2e-3,
    lr_schedule="cosine",
    max_epochs=100,
    random_state=0,
).fit(X_train)

# %%
# Comparison with PCA and the default
# -----------------------------------

from sklearn.decomposition import PCA

from sk_autoencoder.metrics import reconstruction_scorer

reducers = {
    "PCA": PCA(10).fit(X_train),
    "own network": own,
    "default": AutoEncoderTransformer(n_components=10, random_state=0).fit(X_train),
}
explained = {
    name: reconstruction_scorer(reducer, X_test) for name, reducer in reducers.items()
}
for name, value in explained.items():
    print(f"{name:12} {value:.3f} of the variance of unseen digits")
assert explained["own network"] > explained["PCA"]

# %%
# Training and reconstructions
# ----------------------------

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import LossCurveDisplay, ReconstructionDisplay

_ = LossCurveDisplay.from_estimator(own)

# %%
_ = ReconstructionDisplay.from_estimator(own, X_test, image_shape=(8, 8))

# %%
# Using existing weights
# ----------------------
# With ``max_epochs=0`` modules are used as they are. Here we use the fitted modules as
# if their weights had been loaded from a file.

trained = own.module_
same = AutoEncoderTransformer(
    n_components=10,
    network=UserNetwork(trained.encoder, trained.decoder, input_shape=(1, 8, 8)),
    max_epochs=0,
).fit(X_train)
with torch.inference_mode():
    codes = trained.encoder(torch.from_numpy(X_test).reshape(-1, 1, 8, 8))
assert abs(same.transform(X_test) - codes.numpy()).max() < 1e-4
plt.show()
