"""The detectors that `outliers.run` compares, and the sets it compares them on."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._shared.data import SETS, array_labels, some_rows
from sk_autoencoder import AutoEncoderOutlierDetector, DenoisingAutoEncoderTransformer

OURS = "ours"
FOREST = "IsolationForest"
NEIGHBORS = "5 neighbors"
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
    """Name the sets with labeled outliers of one half: see `data.SETS`."""
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

Scores = Callable[[Rows], np.ndarray]


@dataclass(frozen=True)
class Detector:
    """A contender.

    Parameters
    ----------
    fit : callable
        Takes rows, a seed, and whether the rows are clean; gives a function of rows,
        these or others, that gives their scores, higher for outliers.
    is_random : bool
        Whether other seeds give other scores.
    package : str or None
        What it needs beside this package and scikit-learn.
    """

    fit: Callable[[Rows, int, bool], Scores]
    is_random: bool = True
    package: str | None = None

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.package is not None and not importlib.util.find_spec(self.package)


def _ours(
    measure: str, estimator: Callable[[int], Any] | None = None
) -> Callable[[Rows, int, bool], Scores]:
    def fit(X: Rows, seed: int, clean: bool) -> Scores:
        given = None if estimator is None else estimator(X.shape[1])
        detector = AutoEncoderOutlierDetector(
            given, measure=measure, novelty=clean, random_state=seed
        ).fit(X)
        return lambda rows: -detector.score_samples(rows)

    return fit


def _conditionals(measure: str) -> Callable[[Rows, int, bool], Scores]:
    """Make a detector of a small network that predicts each cell from the others."""

    def fit(X: Rows, seed: int, clean: bool) -> Scores:
        batch = 128
        steps = min(300, len(X) // 2)
        network = DenoisingAutoEncoderTransformer(
            features="reconstruction",
            hidden_layer_sizes=(64,),
            lr=0.004,
            batch_size=batch,
            max_epochs=max(1, round(steps / math.ceil(len(X) / batch))),
            early_stopping=False,
        )
        detector = AutoEncoderOutlierDetector(
            network,
            measure=measure,
            novelty=clean,
            threshold="train",
            random_state=seed,
        ).fit(X)
        return lambda rows: -detector.score_samples(rows)

    return fit


def _forest(X: Rows, seed: int, _clean: bool) -> Scores:
    # With a share of outliers given, fit scores the rows, as all others do.
    forest = IsolationForest(contamination=0.1, random_state=seed).fit(X)
    return lambda rows: -forest.score_samples(rows)


def _neighbors(X: Rows, _seed: int, _clean: bool) -> Scores:
    """Mean distance to the five nearest others, columns standardized."""
    scaler = StandardScaler()
    nearest = NearestNeighbors(n_neighbors=5).fit(scaler.fit_transform(X))

    def scores(rows: Rows) -> np.ndarray:
        # A row of fit is no neighbor of itself.
        asked = None if rows is X else scaler.transform(rows)
        return nearest.kneighbors(asked)[0].mean(axis=1)

    return scores


def _local(X: Rows, _seed: int, clean: bool) -> Scores:
    """Local outlier factor, columns standardized."""
    scaler = StandardScaler()
    factor = LocalOutlierFactor(novelty=clean).fit(scaler.fit_transform(X))

    def scores(rows: Rows) -> np.ndarray:
        if rows is X and not clean:
            return -factor.negative_outlier_factor_
        return -factor.score_samples(scaler.transform(rows))

    return scores


def _pca(X: Rows, _seed: int, _clean: bool) -> Scores:
    """Squared error of PCA's reconstruction, columns standardized."""
    scaler = StandardScaler()
    pca = PCA(EXPLAINED, svd_solver="full")
    pca.fit(scaler.fit_transform(X.astype(np.float64)))

    def scores(rows: Rows) -> np.ndarray:
        rows = scaler.transform(rows.astype(np.float64))
        return ((rows - pca.inverse_transform(pca.transform(rows))) ** 2).sum(axis=1)

    return scores


def _pyod(module: str, name: str, **given: object) -> Callable:
    """Make a detector of PyOD, columns standardized."""

    def fit(X: Rows, seed: int, _clean: bool) -> Scores:
        kind = getattr(importlib.import_module(f"pyod.models.{module}"), name)
        takes_seed = "random_state" in inspect.signature(kind.__init__).parameters
        random = {"random_state": seed} if takes_seed else {}
        scaler = StandardScaler()
        detector = kind(**given, **random).fit(scaler.fit_transform(X))
        return lambda rows: (
            detector.decision_scores_
            if rows is X
            else detector.decision_function(scaler.transform(rows))
        )

    return fit


QUIET = {"verbose": 0, "device": "cpu"}
PYOD_NETWORKS = {
    PYOD_AUTOENCODER: ("auto_encoder", "AutoEncoder"),
    "PyOD VAE": ("vae", "VAE"),
}
EXACT = ("ECOD", "COPOD", "HBOS", "OCSVM")
RANDOM = ("MCD", "CBLOF", "INNE", "LODA")


def _quarter(n_columns: int) -> Any:
    """Make a PCA of a quarter of the columns."""
    n_components = min(max(1, round(n_columns / 4)), 64)
    return make_pipeline(StandardScaler(), PCA(n_components))


DETECTORS = {
    OURS: Detector(_ours("combined")),
    "ours, reconstruction": Detector(_ours("reconstruction")),
    "ours, latent": Detector(_ours("latent")),
    # Of all cells the error is 0.
    "ours, ranks alone": Detector(_ours("combined", lambda _: StandardScaler())),
    "ours, PCA": Detector(_ours("combined", _quarter)),
    "ours, conditionals": Detector(_conditionals("combined")),
    "ours, conditionals alone": Detector(_conditionals("reconstruction")),
    **{
        title: Detector(_pyod(*where, **QUIET), package="pyod")
        for title, where in PYOD_NETWORKS.items()
    },
    **{
        title: Detector(
            _pyod(title.lower(), title), is_random=title in RANDOM, package="pyod"
        )
        for title in (*EXACT, *RANDOM)
    },
    "LOF": Detector(_local, is_random=False),
    "PCA": Detector(_pca, is_random=False),
    NEIGHBORS: Detector(_neighbors, is_random=False),
    FOREST: Detector(_forest),
}
"""All at their defaults."""
