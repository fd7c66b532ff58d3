"""How well classifiers do on the codes of `quality.run`, beside PCA's codes."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._shared.data import SETS
from benchmarks._shared.report import markdown_table, mean, median, number
from benchmarks._shared.results import Case, Line
from benchmarks.quality.methods import OURS, PCA_NAME, own_estimator
from benchmarks.quality.results import DOWNSTREAM

MOST_ROWS = 3_000
"""Rows that a classifier is fitted on, and scored on, at most; the codes see all."""
WHITENED = f"{OURS}, whiten=True"
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "nearest neighbors": lambda: KNeighborsClassifier(5),
    "logistic regression": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2_000)
    ),
}
"""Nearest neighbors see the codes as they come, where scale matters."""

CODES: dict[str, Callable[[int, int], Any]] = {
    PCA_NAME: lambda k, seed: PCA(k, random_state=seed),
    OURS: lambda k, seed: own_estimator("AutoEncoderTransformer", k, seed),
    WHITENED: lambda k, seed: own_estimator(
        "AutoEncoderTransformer", k, seed, whiten=True
    ),
}


def accuracies(
    codes: str,
    k: int,
    seed: int,
    train: np.ndarray,
    test: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
) -> dict[str, float]:
    """Return each classifier's accuracy on held-out rows' codes."""
    reducer = CODES[codes](k, seed).fit(train)
    some = slice(MOST_ROWS)  # a split's order is random
    train_codes = reducer.transform(train[some])
    test_codes = reducer.transform(test[some])
    scores = {}
    for name, make in CLASSIFIERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make().fit(train_codes, train_labels[some])
        scores[name] = float(model.score(test_codes, test_labels[some]))
    return scores


# ---------------------------------------------------------------------------- report

Scores = dict[Case, dict[str, dict[int, dict[str, float]]]]
"""Accuracies by case, codes, seed and classifier."""


def downstream_report(lines: Iterable[Line]) -> list[str]:
    """Return the table of accuracies beside those on PCA's codes, and a summary."""
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line.task == DOWNSTREAM and line.values:
            scores[line.case][line.run][line.seed] = line.values
    if not scores:
        return []
    order = list(SETS)
    cases = sorted(scores, key=lambda c: (order.index(c.name), c.units, c.k))
    ours = (OURS, WHITENED)
    rows = []
    for case in cases:
        cells = []
        for classifier in CLASSIFIERS:
            each = scores[case][PCA_NAME].values()
            cells.append(number(100 * mean(values[classifier] for values in each), 1))
            cells += [signed(points(scores[case], c, classifier)) for c in ours]
        rows.append((f"{case.name} ({case.units})", str(case.k), *cells))
    header = ["set (units)", "k"]
    for classifier in CLASSIFIERS:
        header += [f"{classifier}: {PCA_NAME}, %", *ours]
    parts = ["## Classifiers on the codes: accuracy, and points above PCA's codes"]
    return [*parts, markdown_table(header, rows), _summary(scores)]


def points(case: dict[str, dict[int, dict[str, float]]], codes: str, by: str) -> float:
    """Return the mean difference to PCA's codes over the seeds, in points."""
    pca, mine = case[PCA_NAME], case[codes]
    return mean(100 * (mine[s][by] - pca[s][by]) for s in mine if s in pca)


def signed(value: float) -> str:
    """Format points with their sign."""
    return "–" if math.isnan(value) else f"{value:+.1f}"


def _summary(scores: Scores) -> str:
    rows = []
    for codes in (OURS, WHITENED):
        for classifier in CLASSIFIERS:
            each = {case: points(scores[case], codes, classifier) for case in scores}
            each = {case: value for case, value in each.items() if value == value}
            if not each:
                continue
            worst = min(each, key=each.__getitem__)
            values = each.values()
            rows.append(
                (
                    f"{codes}: {classifier}",
                    signed(median(values)),
                    signed(each[worst]),
                    str(worst),
                    f"{sum(value < 0 for value in values)} of {len(values)}",
                )
            )
    header = ("codes: classifier", "points, median", "worst", "where", "cases below 0")
    return markdown_table(header, rows)
