"""
PCA and an autoencoder, side by side
====================================

Both reduce the 64 pixels of a handwritten digit to a few numbers. Which one loses less
information?
"""

# %%
# The data
# --------
# The data are small grayscale images of digits, with 8 by 8 pixels. A quarter of them
# is the test set, on which everything below is measured.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# Two pipelines that differ in one line
# -------------------------------------

from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.metrics import reconstruction_scorer

reducers = {
    "PCA": PCA(n_components=10, random_state=0),
    "autoencoder": AutoEncoderTransformer(n_components=10, random_state=0),
}
scores = {}
for name, reducer in reducers.items():
    pipe = make_pipeline(reducer, StandardScaler(), LogisticRegression(max_iter=1000))
    pipe.fit(X_train, y_train)
    explained = reconstruction_scorer(reducer, X_test)
    accuracy = pipe.score(X_test, y_test)
    print(f"{name:12} explained variance {explained:.3f}, accuracy {accuracy:.3f}")
    scores[name] = explained, accuracy

# %%
# With ten numbers as well, the autoencoder explains more of the variance of the images,
# and a linear classifier on its code is more accurate.

assert scores["autoencoder"] > scores["PCA"]
assert scores["autoencoder"][1] > scores["PCA"][1]

# %%
# Reconstructions
# ---------------
# These are the first ten digits of the test set, above their reconstructions by each
# reducer.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import ReconstructionDisplay

fig, axes = plt.subplots(2, 1, figsize=(6.4, 3.6), layout="constrained")
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    ReconstructionDisplay.from_estimator(
        reducer, X_test, image_shape=(8, 8), ax=ax, name=name
    )

# %%
# Two components
# --------------
# With two numbers, each digit is a point in the plane. The network has not seen any
# labels, yet the classes overlap less than with PCA.

from sk_autoencoder.plotting import LatentDisplay

fig, axes = plt.subplots(2, 1, figsize=(6, 8.5), layout="constrained")
planes = [PCA(2, random_state=0), AutoEncoderTransformer(2, random_state=0)]
for ax, plane in zip(axes, planes, strict=True):
    plane.fit(X_train)
    LatentDisplay.from_estimator(plane, X_test, y_test, ax=ax)

# %%
# Training
# --------
# The validation loss is computed on samples that the estimator has set aside. The
# weights of the best epoch are kept.

from sk_autoencoder.plotting import LossCurveDisplay

display = LossCurveDisplay.from_estimator(reducers["autoencoder"])
plt.show()
