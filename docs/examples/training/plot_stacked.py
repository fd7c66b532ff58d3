"""
Layer-wise pretraining
======================

Deep sigmoid networks hardly learn from a random start. In 2006, the way around this was
to train one layer at a time. What is that worth today?
"""

# %%
# The network of the tutorials
# ----------------------------
# The encoder has three hidden layers of sigmoid units and ten outputs, with random
# weights. Each layer squashes its input, and the gradient on its way back.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer

X, y = load_digits(return_X_y=True)
X_train, X_test = train_test_split(X, random_state=0)
tutorial = {"hidden_layer_sizes": (256, 128, 64), "init": "random"}

# %%
# `pretrain="layerwise"` trains the first layer to reconstruct the pixels, the second to
# reconstruct the output of the first, and so on, each with those below it frozen; then
# all of them together. This takes up to twice `max_epochs`, so the other networks get
# as many epochs.

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
# The baseline is PCA, also with ten components. The seed determines the weights, the
# batches and the validation samples.

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
# Each line has the explained variance of the test set for three seeds. Trained all at
# once, the sigmoid network stays behind PCA; trained layer by layer, it is far ahead.
# GELU units, which squash less, also gain, but less.
#
# None of them quite reaches the default, which has one layer less and needs no
# settings: it starts as PCA, and so is as good as PCA before the first step. So use
# pretraining only if a network has to start from random weights.

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

fig, axes = plt.subplots(2, 1, figsize=(6.4, 8), layout="constrained")
for name, values in explained.items():
    axes[0].plot(values, [name] * len(values), "o", color="#0072B2")
axes[0].axvline(pca, color="#D55E00", linestyle="--", label="PCA")
axes[0].invert_yaxis()
axes[0].set(xlabel="explained variance, test set", title="Ten numbers per digit")
axes[0].legend()
LossCurveDisplay.from_estimator(
    fitted["sigmoid, layer by layer"][0], ax=axes[1], log_scale=True, name="sigmoid"
)
plt.show()
