"""The detectors that `outliers.run` compares, and the sets it compares them on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from benchmarks._shared.data import SETS, array_labels, some_rows
from sk_autoencoder import AutoEncoderOutlierDetector

OURS = "ours"
FOREST = "IsolationForest"
PYOD_AUTOENCODER = "PyOD AutoEncoder"

Rows = np.ndarray
Labels = np.ndarray
PLANTED = 0.1
"""Share of outliers planted into the sets that scikit-learn carries."""
EXPLAINED = 0.9
"""Share of the variance that PCA keeps."""


# ------------------------------------------------------------------------------ sets


def planted(X: Rows, normal: np.ndarray) -> tuple[Rows, Labels]:
    """Keep all normal rows, and as many of the others as make a tenth."""
    n_odd = int(PLANTED / (1 - PLANTED) * normal.sum())
    odd = np.random.default_rng(0).permutation(np.flatnonzero(~normal))[:n_odd]
    kept = np.sort(np.concatenate([np.flatnonzero(normal), odd]))
    return X[kept].astype(np.float32), (~normal[kept]).astype(int)


CARRIED: dict[str, tuple[Callable, Callable[[np.ndarray], np.ndarray]]] = {
    "breast_cancer": (datasets.load_breast_cancer, lambda y: y == 1),
    "digits": (datasets.load_digits, lambda y: y < 5),
    "wine": (datasets.load_wine, lambda y: y < 2),
}
"""Sets of scikit-learn: normal are benign tumours, digits under 5, two wines."""


def names_of(half: str) -> list[str]:
    """Name the sets with labelled outliers of one half: see `data.SETS`."""
    return [n for n, s in SETS.items() if n.startswith("ad_") and s.half == half]


def load(name: str, folder: Path | None, most: int) -> tuple[Rows, Labels]:
    """Load a set and its labels, 1 for an outlier; at most so many rows, at random."""
    if name in CARRIED:
        read, is_normal = CARRIED[name]
        X, y = read(return_X_y=True)
        X, y = planted(X, is_normal(y))
    else:
        assert folder is not None
        X, y = SETS[name].load(folder), array_labels(f"{name}.npz")(folder)
    kept = some_rows(np.arange(len(X)), most)
    return X[kept], y[kept]


# ------------------------------------------------------------------------- detectors

Scores = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Detector:
    """A contender.

    Parameters
    ----------
    fit : callable
        Takes rows and a seed; gives a function of nothing that gives the scores of
        these rows, higher for outliers.
    is_random : bool
        Whether other seeds give other scores.
    package : str or None
        What it needs beside this package and scikit-learn.
    """

    fit: Callable[[Rows, int], Scores]
    is_random: bool = True
    package: str | None = None

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.package is not None and not importlib.util.find_spec(self.package)


def _ours(measure: str) -> Callable[[Rows, int], Scores]:
    def fit(X: Rows, seed: int) -> Scores:
        detector = AutoEncoderOutlierDetector(measure=measure, random_state=seed).fit(X)
        return lambda: -detector.score_samples(X)

    return fit


def _forest(X: Rows, seed: int) -> Scores:
    # With a share of outliers given, fit scores the rows, as all others do.
    forest = IsolationForest(contamination=0.1, random_state=seed).fit(X)
    return lambda: -forest.score_samples(X)


def _pca(X: Rows, seed: int) -> Scores:
    """Squared error of PCA's reconstruction, columns standardised."""
    rows = StandardScaler().fit_transform(X.astype(np.float64))
    pca = PCA(EXPLAINED, svd_solver="full").fit(rows)
    errors = ((rows - pca.inverse_transform(pca.transform(rows))) ** 2).sum(axis=1)
    return lambda: errors


def _pyod_network(module: str, name: str) -> Callable[[Rows, int], Scores]:
    def fit(X: Rows, seed: int) -> Scores:
        kind = getattr(importlib.import_module(f"pyod.models.{module}"), name)
        detector = kind(random_state=seed, verbose=0, device="cpu").fit(X)
        return lambda: detector.decision_scores_

    return fit


def _ecod(X: Rows, seed: int) -> Scores:
    kind = importlib.import_module("pyod.models.ecod").ECOD
    detector = kind().fit(X.astype(np.float64))
    return lambda: detector.decision_scores_


DETECTORS = {
    OURS: Detector(_ours("combined")),
    "ours, reconstruction": Detector(_ours("reconstruction")),
    "ours, latent": Detector(_ours("latent")),
    PYOD_AUTOENCODER: Detector(
        _pyod_network("auto_encoder", "AutoEncoder"), package="pyod"
    ),
    "PyOD VAE": Detector(_pyod_network("vae", "VAE"), package="pyod"),
    "ECOD": Detector(_ecod, is_random=False, package="pyod"),
    "PCA": Detector(_pca, is_random=False),
    FOREST: Detector(_forest),
}
"""All at their defaults; PyOD standardises columns itself."""
