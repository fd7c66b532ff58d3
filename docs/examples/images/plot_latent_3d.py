"""
Three numbers an image
======================

Another network of the tutorials: 784 pixels through 128, 64 and 12 tanh units into
three numbers, so that every image is a point in space. Beside it PCA's three, and
those of the defaults.
"""

# %%
# Images
# ------
# Fashion-MNIST where you have its files (`load_fashion_mnist` tells how to get them),
# otherwise the digits that come with scikit-learn. With a network MNIST itself is one
# line more: `fetch_openml("mnist_784", as_frame=False)`.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder.datasets import load_fashion_mnist

try:
    images = load_fashion_mnist()
except FileNotFoundError:
    images = load_digits()
X, y = images.data[:6000], images.target[:6000]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# Three ways to three numbers
# ---------------------------
# The tutorials' network has pixels in [0, 1], a sigmoid at the end and the cross-
# entropy as its loss. It gets as many steps as ten epochs of 60,000 images in batches
# of 256 make. Explained variance is that of the held-out quarter.

import math

from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.metrics import reconstruction_scorer

reducers = {
    "tutorial": AutoEncoderTransformer(
        n_components=3,
        hidden_layer_sizes=(128, 64, 12),
        activation="tanh",
        numeric_scaling="minmax",
        loss="binary_cross_entropy",
        init="random",
        optimizer="adam",
        lr=0.01,
        batch_size=256,
        max_epochs=math.ceil(2_350 / math.ceil(len(X_train) / 256)),
        early_stopping=False,
        random_state=0,
    ),
    "PCA": PCA(n_components=3, random_state=0),
    "default": AutoEncoderTransformer(n_components=3, random_state=0),
}
explained = {}
for name, reducer in reducers.items():
    explained[name] = reconstruction_scorer(reducer.fit(X_train), X_test)
    print(f"{name:10} explained variance {explained[name]:.3f}")

# %%
# With so few numbers both networks keep far more of an image than PCA, and the default
# keeps the most.

assert explained["default"] > explained["tutorial"] > explained["PCA"]

# %%
# In three dimensions
# -------------------
# Held-out images, colored by their class, which no reducer has seen. The three numbers
# of PCA and of the default are in the units of the pixels.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import LatentDisplay

names = [str(name) for name in images.target_names]
classes = [names[label] for label in y_test]
fig, axes = plt.subplots(
    1, 3, figsize=(15, 5.2), subplot_kw={"projection": "3d"}, layout="constrained"
)
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    display = LatentDisplay.from_estimator(
        reducer, X_test, classes, components=(0, 1, 2), ax=ax, name=name
    )
    if ax is not axes[-1]:  # one legend will do
        display.legend_.remove()
plt.show()
