"""
Convolutional autoencoders: four numbers per image
==================================================

A convolutional autoencoder as in many tutorials, with a code of four numbers per image,
is compared with PCA and with the defaults of dense layers and of `ConvNet`.
"""

# %%
# Images
# ------
# The example uses Fashion-MNIST if you have its files (see `load_fashion_mnist`), and
# otherwise the digits that come with scikit-learn. `ConvNet` takes flattened images and
# needs their shape: channels, height and width.

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
# Four ways to reduce an image to four numbers
# --------------------------------------------
# The tutorials' network has two 3 by 3 convolutions, each with ReLU and max pooling,
# and transposed convolutions in the decoder. Its pixels are in [0, 1], with a sigmoid
# at the end and the cross-entropy as loss. It gets as many steps of Adam as in ten
# epochs of 60,000 images in batches of 256. The other two networks are the defaults.

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
# All three networks explain more than PCA. Both defaults explain more than the
# tutorials' network, which starts from random weights.

assert (
    min(explained["dense layers"], explained["ConvNet"])
    > explained["tutorial"]
    > explained["PCA"]
)

# %%
# Reconstructions
# ---------------
# Four numbers encode the kind of image and its shading, but no details.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import ReconstructionDisplay

fig, axes = plt.subplots(4, 1, figsize=(6.4, 7), layout="constrained")
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    ReconstructionDisplay.from_estimator(
        reducer, X_test, image_shape=shape[1:], ax=ax, name=name
    )
plt.show()
