"""What `tables.embed` compares: features fitted without labels, and what judges them.

The judges and their settings are those of TabEmbedBench: nearest neighbors, a logistic
regression, local outlier factors and isolation forests, on features as they come. Its
networks are left out, and the linear regression is ours.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import (
    mean_absolute_percentage_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer

N_NEIGHBORS = range(5, 50, 5)
N_TREES = range(50, 300, 50)
CS = np.logspace(-4, 2, 7)
MAX_ITER = 300
MOST_LEVELS = 40
"""One-hots of a column; rarer levels share the last one."""

# ------------------------------------------------------------------------- features


def encoding(numbers: Any = "passthrough") -> Any:
    """Return what makes categories one-hots, and leaves numbers as they are."""
    one_hots = OneHotEncoder(
        max_categories=MOST_LEVELS,
        drop="if_binary",
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    categories = make_column_selector(dtype_include="category")
    return make_column_transformer((one_hots, categories), remainder=numbers)


def standardized(*further: Any) -> Any:
    """Return the encoding with all of its columns standardized, and what follows."""
    return make_pipeline(encoding(), StandardScaler(), *further)


def ranked(n_columns: int, seed: int) -> Any:
    """Return the encoding with normal scores of the numbers' ranks."""
    scores = QuantileTransformer(output_distribution="normal", random_state=seed)
    return encoding(scores)


def table_vectorizer(n_columns: int, seed: int) -> Any:
    """Return skrub's, at its defaults."""
    from skrub import TableVectorizer

    return TableVectorizer()


def hidden(n_columns: int, seed: int, *, beside: bool = False) -> Any:
    """Return hidden features, beside the columns or alone."""
    return DenoisingAutoEncoderTransformer(
        features="hidden", passthrough=beside, device="cpu", random_state=seed
    )


def codes(part: float) -> Callable[[int, int], Any]:
    """Return codes of a part of the encoding's columns."""
    return lambda n_columns, seed: AutoEncoderTransformer(
        math.ceil(part * n_columns), device="cpu", random_state=seed
    )


def components(part: float) -> Callable[[int, int], Any]:
    """Return principal components, a part of the encoding's columns."""
    return lambda n_columns, seed: standardized(
        PCA(math.ceil(part * n_columns), random_state=seed)
    )


@dataclass(frozen=True)
class Features:
    """A contender.

    Parameters
    ----------
    make : callable
        Takes the number of columns of the encoding and a seed; returns a transformer of
        frames.
    package : str or None
        What it needs beside this package and scikit-learn.
    """

    make: Callable[[int, int], Any]
    package: str | None = None

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.package is not None and not importlib.util.find_spec(self.package)


ENCODED, STANDARDIZED, RANKED = "encoded", "standardized", "ranked"
VECTORIZER = "TableVectorizer"
PCA_QUARTER, PCA_HALF = "PCA, quarter", "PCA, half"
CODES_QUARTER, CODES_HALF = "AutoEncoder, quarter", "AutoEncoder, half"
HIDDEN, BESIDE = "hidden", "hidden, passthrough"
FEATURES = {
    ENCODED: Features(lambda n_columns, seed: encoding()),
    VECTORIZER: Features(table_vectorizer, "skrub"),
    STANDARDIZED: Features(lambda n_columns, seed: standardized()),
    RANKED: Features(ranked),
    PCA_QUARTER: Features(components(0.25)),
    CODES_QUARTER: Features(codes(0.25)),
    PCA_HALF: Features(components(0.5)),
    CODES_HALF: Features(codes(0.5)),
    HIDDEN: Features(hidden),
    BESIDE: Features(lambda n, seed: hidden(n, seed, beside=True)),
}

# --------------------------------------------------------------------------- judges

NEIGHBORS, LINEAR, FACTOR, FOREST = "neighbors", "linear", "factor", "forest"
MEAN = " on average"
"""Behind a judge's name: the mean over its settings, not the best of them."""
NEIGHBORS_R2, LINEAR_R2 = "neighbors, R2", "linear, R2"


def best_and_mean(name: str, figures: list[float], *, less: bool = False) -> dict:
    """Return the best of a judge's settings, as the protocol has it, and the mean."""
    best = min(figures) if less else max(figures)
    return {name: float(best), name + MEAN: float(np.mean(figures))}


def nearest(
    train: np.ndarray, test: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and numbers of the nearest training rows, the nearest first.

    Without `test` those of the training rows, each without itself.
    """
    n_neighbors = min(max(N_NEIGHBORS), len(train) - 1)
    return NearestNeighbors(n_neighbors=n_neighbors).fit(train).kneighbors(test)


def weights_of(distances: np.ndarray) -> np.ndarray:
    """Return weights that fall with the distance, and sum to 1 a row."""
    with np.errstate(divide="ignore"):
        weights = 1 / distances
    is_same = np.isinf(weights)
    weights = np.where(is_same.any(axis=1, keepdims=True), is_same, weights)
    return weights / weights.sum(axis=1, keepdims=True)


def neighbors_means(
    train: np.ndarray, targets: np.ndarray, test: np.ndarray
) -> list[np.ndarray]:
    """Return weighted means of the targets of nearest rows, by number of neighbors."""
    distances, which = nearest(train, test)
    return [
        np.einsum("ij,ij...->i...", weights_of(distances[:, :k]), targets[which[:, :k]])
        for k in N_NEIGHBORS
    ]


def area(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the area under the ROC curve, of more classes one against the rest."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(y, probabilities[:, 1]))
    return float(roc_auc_score(y, probabilities, multi_class="ovr"))


def tuned_logistic(X: np.ndarray, y: np.ndarray) -> Any:
    """Fit with the C and class weights of the best F1 in five folds."""
    grid = {"C": CS, "class_weight": [None, "balanced"]}
    model = LogisticRegression(max_iter=MAX_ITER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GridSearchCV(model, grid, cv=5, scoring="f1_weighted").fit(X, y)


def classification(
    train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray
) -> dict[str, float]:
    """Return areas under the ROC curve of both judges of classes."""
    one_hots = np.eye(y_train.max() + 1)[y_train]
    found = [area(y_test, p) for p in neighbors_means(train, one_hots, test)]
    linear = tuned_logistic(train, y_train).predict_proba(test)
    return best_and_mean(NEIGHBORS, found) | {LINEAR: area(y_test, linear)}


def regression(
    train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray
) -> dict[str, float]:
    """Return mean absolute percentage errors, and R2, of both judges of numbers."""
    means = neighbors_means(train, y_train, test)
    errors = [mean_absolute_percentage_error(y_test, m) for m in means]
    linear = RidgeCV(alphas=np.logspace(-4, 4, 9)).fit(train, y_train).predict(test)
    return best_and_mean(NEIGHBORS, errors, less=True) | {
        LINEAR: float(mean_absolute_percentage_error(y_test, linear)),
        NEIGHBORS_R2: max(float(r2_score(y_test, m)) for m in means),
        LINEAR_R2: float(r2_score(y_test, linear)),
    }


def outlier_factors(X: np.ndarray) -> list[np.ndarray]:
    """Return scikit-learn's local outlier factors, by number of neighbors."""
    distances, which = nearest(X)
    found = []
    for k in N_NEIGHBORS:
        reach = np.maximum(distances[:, :k], distances[which[:, :k], k - 1])
        density = 1 / (reach.mean(axis=1) + 1e-10)
        found.append(density[which[:, :k]].mean(axis=1) / density)
    return found


def isolation(X: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return scores by number of trees; a forest grows, and keeps the trees it has."""
    forest = IsolationForest(warm_start=True, random_state=seed)
    found = []
    for n_trees in N_TREES:
        forest.set_params(n_estimators=n_trees).fit(X)
        found.append(-forest.score_samples(X))
    return found


def outliers(X: np.ndarray, y: np.ndarray, seed: int) -> dict[str, float]:
    """Return areas under the ROC curve of both judges of outliers."""
    factors = [float(roc_auc_score(y, score)) for score in outlier_factors(X)]
    forests = [float(roc_auc_score(y, score)) for score in isolation(X, seed)]
    return best_and_mean(FACTOR, factors) | best_and_mean(FOREST, forests)
