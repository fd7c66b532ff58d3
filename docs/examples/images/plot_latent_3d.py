"""
Images in three dimensions
==========================

Another network from tutorials encodes 784 pixels with layers of 128, 64 and 12 tanh
units into three numbers, so that each image is a point in space. It is compared with
PCA and with the default, with three components each.
"""

# %%
# Images
# ------
# The example uses Fashion-MNIST if you have its files (see `load_fashion_mnist`), and
# otherwise the digits that come with scikit-learn. With internet access, MNIST itself
# is one more line: `fetch_openml("mnist_784", as_frame=False)`.

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
# Three ways to encode an image
# -----------------------------
# The tutorials' network has pixels in [0, 1], a sigmoid at the end and the
# cross-entropy as loss. It gets as many steps as in ten epochs of 60,000 images in
# batches of 256. The explained variance is that of the test set.

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
# With so few numbers both networks explain far more of an image than PCA, and the
# default explains the most.

assert explained["default"] > explained["tutorial"] > explained["PCA"]

# %%
# In three dimensions
# -------------------
# The plots show images of the test set, colored by their class, which no reducer has
# seen. The codes of PCA and of the default are in the units of the pixels.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import LatentDisplay

names = [str(name) for name in images.target_names]
classes = [names[label] for label in y_test]
fig, axes = plt.subplots(
    3, 1, figsize=(6.4, 15), subplot_kw={"projection": "3d"}, layout="constrained"
)
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    display = LatentDisplay.from_estimator(
        reducer, X_test, classes, components=(0, 1, 2), ax=ax, name=name
    )
    display.legend_.remove()  # names stand in the plots
plt.show()
