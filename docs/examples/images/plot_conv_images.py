"""
Four numbers an image, by convolutions
======================================

A convolutional autoencoder of the tutorials, squeezed to four numbers an image, beside
PCA's four, and the defaults of dense layers and of `ConvNet`.
"""

# %%
# Images
# ------
# Fashion-MNIST where you have its files (`load_fashion_mnist` tells how to get them),
# otherwise the digits that come with scikit-learn. `ConvNet` takes rows of pixels, and
# is told their shape: channels, height and width.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder.datasets import load_fashion_mnist

try:
    images = load_fashion_mnist()
except FileNotFoundError:
    images = load_digits()
X_train, X_test = train_test_split(images.data[:2000], random_state=0)
shape = (1, *images.images.shape[1:])

# %%
# Four ways to four numbers
# -------------------------
# The tutorials' network has two convolutions of 3 by 3, each with ReLU and max pooling,
# and transposed ones back; pixels in [0, 1], a sigmoid at the end and the cross-entropy
# as its loss; as many steps of Adam as ten epochs of 60,000 images in batches of 256
# make. The other two networks are the defaults.

import math

from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import ConvNet

tutorial = ConvNet(
    input_shape=shape,
    channels=(16, 4),
    kernel_size=3,
    pooling="max",
    hidden_layer_sizes=(),
    upsampling="transposed",
    activation="relu",
)
reducers = {
    "tutorial": AutoEncoderTransformer(
        n_components=4,
        network=tutorial,
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
    "PCA": PCA(n_components=4, random_state=0),
    "dense layers": AutoEncoderTransformer(n_components=4, random_state=0),
    "ConvNet": AutoEncoderTransformer(
        n_components=4, network=ConvNet(input_shape=shape), random_state=0
    ),
}
explained = {}
for name, reducer in reducers.items():
    explained[name] = reconstruction_scorer(reducer.fit(X_train), X_test)
    print(f"{name:12} explained variance {explained[name]:.3f}")

# %%
# All three networks keep more than PCA. Both defaults keep more than the tutorials'
# network, which starts at random.

assert (
    min(explained["dense layers"], explained["ConvNet"])
    > explained["tutorial"]
    > explained["PCA"]
)

# %%
# What is left of an image
# ------------------------
# Four numbers tell the kind of an image and its shades, and no more.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import ReconstructionDisplay

fig, axes = plt.subplots(4, 1, figsize=(8, 8), layout="constrained")
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    ReconstructionDisplay.from_estimator(
        reducer, X_test, image_shape=shape[1:], ax=ax, name=name
    )
plt.show()
