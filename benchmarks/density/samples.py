"""How far rows drawn from a density can be told from rows that it has not seen."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from benchmarks.density.methods import Density

FEW_VALUES = 10
"""Columns of no more values are judged as they were drawn."""


def snapped(drawn: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Move each number to the nearest training value of its column.

    Else the digits to which a column was measured would give every contender away.
    """
    result = np.array(drawn)
    for column, known in enumerate(train.T):
        values = np.unique(known)
        if len(values) <= FEW_VALUES:
            continue
        above = np.searchsorted(values, drawn[:, column]).clip(1, len(values) - 1)
        low, high = values[above - 1], values[above]
        nearer = drawn[:, column] - low < high - drawn[:, column]
        result[:, column] = np.where(nearer, low, high)
    return result


def nearest(rows: np.ndarray, train: np.ndarray) -> float:
    """Median distance of rows to their nearest training row."""
    index = NearestNeighbors(n_neighbors=1).fit(train)
    return float(np.median(index.kneighbors(rows)[0]))


def told_apart(test: np.ndarray, drawn: np.ndarray, seed: int) -> float:
    """Area under the curve of a classifier of held-out and drawn rows; 0.5 is best."""
    X = np.vstack([test, drawn])
    y = np.repeat([0, 1], [len(test), len(drawn)])
    chances = cross_val_predict(
        HistGradientBoostingClassifier(random_state=seed),
        X,
        y,
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        method="predict_proba",
    )
    return float(roc_auc_score(y, chances[:, 1]))


def judged(
    density: Density, train: np.ndarray, test: np.ndarray, seed: int
) -> dict[str, float]:
    """Draw as many rows as are held out, and judge them."""
    assert density.sample is not None
    drawn = snapped(density.sample(len(test), seed), train)
    return {
        "auc": told_apart(test, drawn, seed),
        "nearest": nearest(drawn, train) / max(nearest(test, train), 1e-12),
    }
