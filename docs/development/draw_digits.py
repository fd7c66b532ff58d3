"""Draw `docs/images/digits.png`: digits, and what ten numbers keep of them.

    python docs/development/draw_digits.py

Ten images of the test set, one of each digit, above their reconstructions by PCA and by
`AutoEncoderTransformer`, both with ten components and every other setting at its
default. The figures are the explained variance of the whole test set.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.metrics import reconstruction_scorer

FILE = Path(__file__).parents[1] / "images" / "digits.png"
N_COMPONENTS = 10

X, y = load_digits(return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X, y, random_state=0)
chosen = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]

rows = {"input: 64 pixels": X_test[chosen]}
for name, reducer in {
    "PCA": PCA(N_COMPONENTS),
    "autoencoder": AutoEncoderTransformer(N_COMPONENTS, random_state=0),
}.items():
    explained = reconstruction_scorer(reducer.fit(X_train), X_test)
    restored = reducer.inverse_transform(reducer.transform(X_test[chosen]))
    label = f"{name}: {N_COMPONENTS} numbers keep {explained:.0%} of the variance"
    rows[label] = restored

fig, axes = plt.subplots(len(rows), figsize=(6, 2.9))
for ax, (label, images) in zip(axes, rows.items(), strict=True):
    gap = np.full((8, 2), np.nan)  # white
    tiles = [tile for image in images for tile in (image.reshape(8, 8), gap)]
    ax.imshow(np.hstack(tiles[:-1]), cmap="gray_r", vmin=0, vmax=16)
    ax.set_title(label, loc="left", fontsize=13)
    ax.axis("off")
fig.tight_layout(pad=0.3, h_pad=0.5)
fig.savefig(FILE, dpi=180, facecolor="white")
