"""
A small competition on a table
==============================

Who earns more than 50,000 dollars? Four models compete, as in a data science
competition: a linear model on encoded columns, a linear model on hidden features of a
denoising autoencoder, boosted trees, and the average of the last two.
"""

# %%
# Few labels, many rows
# ---------------------
# Rows without labels are cheap. The autoencoder learns from all 4,000 training rows, of
# which only 1,000 have labels.

from sklearn.model_selection import train_test_split

from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder.datasets import load_adult

people, income = load_adult(return_X_y=True)
train, test, y_train, y_test = train_test_split(
    people[:8000], income[:8000], train_size=4000, random_state=0
)
labeled, y_labeled = train[:1000], y_train[:1000]

# %%
# A linear model
# --------------
# This is the usual encoding: categories are one-hot encoded, numbers are standardized.

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

one_hot = make_column_transformer(
    (
        make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
        make_column_selector(dtype_include="number"),
    ),
    (
        OneHotEncoder(handle_unknown="ignore", min_frequency=5),
        make_column_selector(dtype_include="category"),
    ),
)
strengths = {"C": np.logspace(-3, 1, 9)}
linear = GridSearchCV(LogisticRegression(max_iter=2000), strengths, scoring="roc_auc")
chances = {}


def judge(name, chance):
    chances[name] = chance
    print(f"{name:25} AUC {roc_auc_score(y_test, chance):.4f}")


encoded = make_pipeline(one_hot, linear).fit(labeled, y_labeled)
judge("columns, linear", encoded.predict_proba(test)[:, 1])

# %%
# A linear model on hidden features
# ---------------------------------
# ``passthrough=True`` returns the columns next to the hidden features, in units that
# suit a linear model. There is no need to list columns or to impute missing values.

features = DenoisingAutoEncoderTransformer(
    features="hidden", passthrough=True, allow_missing=True, random_state=0
).fit(train)
linear.fit(features.transform(labeled), y_labeled)
judge("hidden features, linear", linear.predict_proba(features.transform(test))[:, 1])

# %%
# Boosted trees
# -------------

from sklearn.ensemble import HistGradientBoostingClassifier

grid = {"learning_rate": [0.02, 0.05, 0.1], "max_leaf_nodes": [4, 8, 31]}
trees = GridSearchCV(
    HistGradientBoostingClassifier(max_iter=200, random_state=0),
    grid,
    scoring="roc_auc",
).fit(labeled, y_labeled)
judge("boosted trees", trees.predict_proba(test)[:, 1])

# %%
# The average
# -----------
# Boosted trees are hard to beat on tables, and hidden features do not replace them. But
# a linear model on hidden features makes different errors, so the average of both
# models is better than either. This is how such features help to win competitions.

from scipy.special import expit, logit

pair = [chances["hidden features, linear"], chances["boosted trees"]]
both = expit(np.mean(logit(pair), axis=0))
judge("average of the last two", both)
assert roc_auc_score(y_test, both) > max(roc_auc_score(y_test, one) for one in pair)

# %%
# Comparison
# ----------

import matplotlib.pyplot as plt

areas = {name: roc_auc_score(y_test, chance) for name, chance in chances.items()}
fig, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
ax.plot(list(areas.values()), list(areas), "o", ms=9, color="#0072B2")
ax.set(
    xlabel="area under the ROC curve, 4,000 test rows",
    title="The average beats both models",
)
ax.grid(axis="x")
ax.invert_yaxis()
plt.show()
