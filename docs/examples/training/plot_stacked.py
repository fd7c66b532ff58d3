"""
Layer by layer, or all at once
==============================

Deep sigmoid networks hardly learn from a random start. The way round it, in 2006, was
to train one layer at a time. What is that worth today?
"""

# %%
# The network of the tutorials
# ----------------------------
# Three hidden layers of sigmoid units around ten numbers a digit, weights drawn at
# random. Each layer squashes what it gets, and the gradient on its way back.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer

X, y = load_digits(return_X_y=True)
X_train, X_test = train_test_split(X, random_state=0)
tutorial = {"hidden_layer_sizes": (256, 128, 64), "init": "random"}

# %%
# `pretrain="layerwise"` trains the first layer to rebuild the pixels, the second to
# rebuild what the first gives, and so on, each with those below it frozen; then all of
# them together. That takes up to twice `max_epochs`, so the others get as many.

EPOCHS = 120
at_once = {"max_epochs": EPOCHS, "n_iter_no_change": EPOCHS}
layerwise = {"pretrain": "layerwise", "max_epochs": EPOCHS // 2}
ways = {
    "sigmoid, at once": {**tutorial, **at_once, "activation": "logistic"},
    "sigmoid, layer by layer": {**tutorial, **layerwise, "activation": "logistic"},
    "GELU, at once": {**tutorial, **at_once, "activation": "gelu"},
    "GELU, layer by layer": {**tutorial, **layerwise, "activation": "gelu"},
    "the default": {},
}

# %%
# PCA, with ten components too, is what they have to beat. A seed draws the weights, the
# batches and the rows that are held out of training.

from sklearn.decomposition import PCA

from sk_autoencoder.metrics import reconstruction_scorer

pca = reconstruction_scorer(PCA(10).fit(X_train), X_test)
print(f"{'PCA':24} {pca:.3f}")
fitted, explained = {}, {}
for name, settings in ways.items():
    fitted[name] = [
        AutoEncoderTransformer(10, random_state=seed, **settings).fit(X_train)
        for seed in range(3)
    ]
    explained[name] = [reconstruction_scorer(ae, X_test) for ae in fitted[name]]
    print(f"{name:24}", " ".join(f"{value:.3f}" for value in explained[name]))

# %%
# Each line has the explained variance of three seeds, on digits that none has seen. At
# once, the sigmoid network stays behind PCA; layer by layer it is far ahead of it.
# Units that squash less gain too, only less.
#
# None of them reaches the default, if by a hair, which has one layer less and nothing
# set: it starts as PCA, and so is as good as PCA before the first step. So pretrain
# where a network has to start at random; to compress a table, leave it.

gains = {
    name: np.mean(explained[f"{name}, layer by layer"])
    - np.mean(explained[f"{name}, at once"])
    for name in ("sigmoid", "GELU")
}
assert (
    max(explained["sigmoid, at once"]) < pca < min(explained["sigmoid, layer by layer"])
)
assert gains["sigmoid"] > gains["GELU"] > 0
assert all(
    np.mean(explained["the default"]) > np.mean(values)
    for name, values in explained.items()
    if name != "the default"
)

# %%
import matplotlib.pyplot as plt

from sk_autoencoder.plotting import LossCurveDisplay

fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for name, values in explained.items():
    axes[0].plot(values, [name] * len(values), "o", color="#0072B2")
axes[0].axvline(pca, color="#D55E00", linestyle="--", label="PCA")
axes[0].invert_yaxis()
axes[0].set(xlabel="explained variance of held-out digits", title="Ten numbers a digit")
axes[0].legend()
LossCurveDisplay.from_estimator(
    fitted["sigmoid, layer by layer"][0], ax=axes[1], log_scale=True, name="sigmoid"
)
plt.show()
