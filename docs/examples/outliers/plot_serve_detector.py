"""
Alarms from a saved detector
============================

Fit a detector once, save it, and judge new samples one at a time: is it an outlier, how
certain is that, and which measurements make it one?
"""

# %%
# The data
# --------
# Each sample has thirty measurements of the cells of a tumor. Benign tumors are
# considered normal; the detector never sees a malignant one in training.

import numpy as np
from sklearn.datasets import load_breast_cancer

tumors = load_breast_cancer(as_frame=True)
benign = tumors.data[tumors.target == 1]
train, normal, strange = benign[:250], benign[250:], tumors.data[tumors.target == 0]

# %%
# Fit and save
# ------------
# ``novelty=True`` declares that there are no outliers among the training samples. The
# file holds arrays and JSON; loading it executes no code.

import tempfile
from pathlib import Path

import sk_autoencoder
from sk_autoencoder import AutoEncoderOutlierDetector

detector = AutoEncoderOutlierDetector(novelty=True, random_state=0).fit(train)
path = Path(tempfile.mkdtemp()) / "detector.safetensors"
detector.save(path)
served = sk_autoencoder.load(path)

# %%
# One sample
# ----------
# A negative decision function means an outlier. The p-value is the fraction of training
# samples that were at least as unusual when they were held out. The contributions show
# which measurements make the sample unusual, and by how much.

sample = strange[:1]
score = served.decision_function(sample)[0]
print(f"score {score:.2f}, p-value {served.p_values(sample)[0]:.3f}")
assert score < 0
print(served.explain(sample).iloc[0].nlargest(3).round(2).to_string())

# %%
# Many samples
# ------------
# ``outliers`` selects samples of a batch such that, on average, at most a tenth of them
# are false alarms.

import pandas as pd

batch = pd.concat([normal, strange[:40]])
is_strange = np.arange(len(batch)) >= len(normal)
alarms = served.outliers(batch, fdr=0.1)
print(f"{(alarms & is_strange).sum()} of {is_strange.sum()} malignant tumors found,")
print(f"{(alarms & ~is_strange).sum()} of {len(normal)} benign ones flagged")
assert (alarms & is_strange).sum() > 10

# %%
# Why is it an outlier?
# ---------------------
# These are the largest contributions to the score of the first malignant tumor.

import matplotlib.pyplot as plt

from sk_autoencoder.plotting import OutlierContributionsDisplay

_ = OutlierContributionsDisplay.from_estimator(served, strange)
plt.show()
