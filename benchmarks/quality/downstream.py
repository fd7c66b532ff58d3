"""How well classifiers do on the codes of `quality.run`, beside PCA's codes.

Two classes are scored by the area under the ROC curve, more by accuracy.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._shared.data import SETS, squared_error
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    mean,
    median,
    number,
)
from benchmarks._shared.results import Case, Line
from benchmarks.quality.methods import OURS, PCA_NAME, own_estimator
from benchmarks.quality.results import DOWNSTREAM

if TYPE_CHECKING:
    import torch

MOST_ROWS = 3_000
"""Rows that a classifier is fitted on, and scored on, at most; the codes see all."""
PENALIZED, PENALTY = f"{OURS}, penalty", 0.02
"""Times the mean square of what the encoder adds to PCA's scores of variance 1."""
ERROR, READOUT = "error", "readout"
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "nearest neighbors": lambda: KNeighborsClassifier(5),
    "logistic regression": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2_000)
    ),
}
"""Nearest neighbors see the codes as they come, where scale matters."""


def penalized_gradient(module: Any, flat: Any, precision: str) -> Callable[..., Any]:
    """Return the gradient of a batch's loss with the penalty, for `net_params`."""

    def gradient(x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, dict]:
        inputs = module.objective.corrupt(x, module.columns, module.generator)
        output = module.encoder(inputs)
        added = output - module.encoder.linear(inputs)
        terms = module.loss_terms((module.decoder(output), output), target)
        loss = module.objective.combine(terms)
        flat.gradient.zero_()
        (loss + PENALTY * added.square().mean()).backward()
        return loss.detach(), {}

    return gradient


CODES: dict[str, Callable[[int, int], Any]] = {
    PCA_NAME: lambda k, seed: PCA(k, random_state=seed),
    OURS: lambda k, seed: own_estimator("AutoEncoderTransformer", k, seed),
    PENALIZED: lambda k, seed: own_estimator(
        "AutoEncoderTransformer",
        k,
        seed,
        net_params={"make_gradient_fn": penalized_gradient},
    ),
}
RIVALS = (OURS, PENALIZED)


def linear_readout(codes: np.ndarray, X: np.ndarray) -> float:
    """Return the share of the variance of samples that is linear in their codes."""
    again = LinearRegression().fit(codes, X).predict(codes)
    return 1 - squared_error(X, again) / squared_error(X, X.mean(axis=0))


def scores_of(
    codes: str,
    k: int,
    seed: int,
    train: np.ndarray,
    test: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
) -> dict[str, float]:
    """Return classifiers' scores on held-out rows' codes, and what needs no labels.

    `ERROR` is the squared error of the held-out rows, `READOUT` the variance of the
    training rows that is a linear function of their codes.
    """
    reducer = CODES[codes](k, seed).fit(train)
    every = reducer.transform(train)
    scores = {
        READOUT: linear_readout(every, train),
        ERROR: squared_error(test, reducer.inverse_transform(reducer.transform(test))),
    }
    some = slice(MOST_ROWS)  # a split's order is random
    test_codes = reducer.transform(test[some])
    scorer = get_scorer("accuracy" if len(set(train_labels)) > 2 else "roc_auc")
    for name, make in CLASSIFIERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make().fit(every[some], train_labels[some])
        scores[name] = float(scorer(model, test_codes, test_labels[some]))
    return scores


# ---------------------------------------------------------------------------- report

OfCase = dict[str, dict[int, dict[str, float]]]
"""Scores by codes, seed and what is scored."""
Scores = dict[Case, OfCase]


def downstream_report(lines: Iterable[Line]) -> list[str]:
    """Return the table of scores beside those on PCA's codes, and a summary."""
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line.task == DOWNSTREAM and line.values:
            scores[line.case][line.run][line.seed] = line.values
    if not scores:
        return []
    order = list(SETS)
    cases = sorted(scores, key=lambda c: (order.index(c.name), c.units, c.k))
    rows = []
    for case in cases:
        cells = []
        for classifier in CLASSIFIERS:
            each = scores[case][PCA_NAME].values()
            cells.append(number(100 * mean(values[classifier] for values in each), 1))
            cells += [signed(points(scores[case], c, classifier)) for c in RIVALS]
        for what in (ERROR, READOUT):
            cells += [number(over_pca(scores[case], c, what)) for c in RIVALS]
        rows.append((f"{case.name} ({case.units})", str(case.k), *cells))
    header = ["set (units)", "k"]
    for classifier in CLASSIFIERS:
        header += [f"{classifier}: {PCA_NAME}, %", *RIVALS]
    for what in (ERROR, READOUT):
        header += [f"{what} over PCA's: {codes}" for codes in RIVALS]
    parts = ["## Classifiers on the codes: points above PCA's codes"]
    return [*parts, markdown_table(header, rows), _summary(scores)]


def over_pca(case: OfCase, codes: str, what: str) -> float:
    """Return the geometric mean over the seeds of the ratio to PCA's."""
    pca, mine = case[PCA_NAME], case[codes]
    return geometric_mean(mine[s][what] / pca[s][what] for s in mine if s in pca)


def points(case: OfCase, codes: str, by: str) -> float:
    """Return the mean difference to PCA's codes over the seeds, in points."""
    pca, mine = case[PCA_NAME], case[codes]
    return mean(100 * (mine[s][by] - pca[s][by]) for s in mine if s in pca)


def signed(value: float) -> str:
    """Format points with their sign."""
    return "–" if math.isnan(value) else f"{value:+.1f}"


def _summary(scores: Scores) -> str:
    rows = []
    for codes in RIVALS:
        errors = [over_pca(case, codes, ERROR) for case in scores.values()]
        readouts = [over_pca(case, codes, READOUT) for case in scores.values()]
        for classifier in CLASSIFIERS:
            each = {case: points(scores[case], codes, classifier) for case in scores}
            worst = min(each, key=each.__getitem__)
            values = list(each.values())
            rows.append(
                (
                    f"{codes}: {classifier}",
                    f"{median(values):+.2f}",
                    signed(each[worst]),
                    str(worst),
                    f"{sum(value < 0 for value in values)} of {len(values)}",
                    number(geometric_mean(errors)),
                    number(spearmanr(readouts, values).statistic, 2),
                )
            )
    header = (
        "codes: classifier",
        "points, median",
        "worst",
        "where",
        "cases below 0",
        "error over PCA's",
        "rank correlation of points and readout",
    )
    return markdown_table(header, rows)
