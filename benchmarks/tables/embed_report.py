"""The tables of `tables.embed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks._shared.report import markdown_table, mean, median, number
from benchmarks._shared.results import Line, means_by
from benchmarks.tables.embed_methods import (
    BESIDE,
    CODES_HALF,
    CODES_QUARTER,
    ENCODED,
    FACTOR,
    FEATURES,
    FOREST,
    HIDDEN,
    LINEAR,
    LINEAR_R2,
    MEAN,
    NEIGHBORS,
    NEIGHBORS_R2,
    PCA_HALF,
    PCA_QUARTER,
    RANKED,
    STANDARDIZED,
)
from benchmarks.tables.embed_tables import CLASSES, NUMBERS, OUTLIERS

COLUMNS, SECONDS = "columns", "seconds"


class Figure(NamedTuple):
    """What is judged: a kind of task, the name of a value, a title, a unit."""

    kind: str
    key: str
    title: str
    less_is_better: bool = False


AREA = "area under the ROC curve"
ERROR = "mean absolute percentage error, as a fraction"
FIGURES = (
    Figure(CLASSES, NEIGHBORS, f"Classes, nearest neighbors: {AREA}"),
    Figure(CLASSES, LINEAR, f"Classes, logistic regression: {AREA}"),
    Figure(NUMBERS, NEIGHBORS, f"Numbers, nearest neighbors: {ERROR}", True),
    Figure(NUMBERS, LINEAR, f"Numbers, ridge regression: {ERROR}", True),
    Figure(NUMBERS, NEIGHBORS_R2, "Numbers, nearest neighbors: R2"),
    Figure(NUMBERS, LINEAR_R2, "Numbers, ridge regression: R2"),
    Figure(OUTLIERS, FACTOR, f"Outliers, local outlier factor: {AREA}"),
    Figure(OUTLIERS, FOREST, f"Outliers, isolation forest: {AREA}"),
)
SUMMARY = {
    "classes: neighbors": (CLASSES, NEIGHBORS),
    "all settings": (CLASSES, NEIGHBORS + MEAN),
    "logistic": (CLASSES, LINEAR),
    "numbers: neighbors": (NUMBERS, NEIGHBORS_R2),
    "ridge": (NUMBERS, LINEAR_R2),
    "outliers: factor": (OUTLIERS, FACTOR),
    "all its settings": (OUTLIERS, FACTOR + MEAN),
    "forest": (OUTLIERS, FOREST),
    "all its sizes": (OUTLIERS, FOREST + MEAN),
}
"""Columns of the table of means; areas, and R2 of numbers."""
PAIRS = (
    (HIDDEN, ENCODED),
    (HIDDEN, STANDARDIZED),
    (HIDDEN, RANKED),
    (BESIDE, ENCODED),
    (BESIDE, STANDARDIZED),
    (BESIDE, RANKED),
    (CODES_HALF, PCA_HALF),
    (CODES_QUARTER, PCA_QUARTER),
    (CODES_HALF, STANDARDIZED),
)
Means = dict[tuple, dict[str, float]]
"""By kind, table and features."""


def _tables(means: Means, kind: str) -> list[str]:
    return list(dict.fromkeys(name for its, name, _ in means if its == kind))


def _runs(means: Means) -> list[str]:
    return [run for run in FEATURES if any(run == its for *_, its in means)]


def _of_figure(means: Means, figure: Figure) -> str:
    """Return a table, a row a set; below it means over the sets and of ranks."""
    names, runs = _tables(means, figure.kind), _runs(means)
    grid = [
        [means[figure.kind, name, run][figure.key] for run in runs] for name in names
    ]
    columns = list(zip(*grid, strict=True))
    ranks = zip(*(_ranks(row, figure.less_is_better) for row in grid), strict=True)
    rows = [(name, *map(number, row)) for name, row in zip(names, grid, strict=True)]
    rows.append(("mean", *(number(mean(column)) for column in columns)))
    rows.append(("mean rank", *(number(mean(column), 1) for column in ranks)))
    return markdown_table(("table", *runs), rows)


def _ranks(row: Sequence[float], less_is_better: bool) -> list[float]:
    """Return ranks from 1, the best; figures equal but for rounding share theirs."""
    signed = [round(-value if less_is_better else value, 6) for value in row]
    return [1 + sum(b > a for b in signed) + (signed.count(a) - 1) / 2 for a in signed]


def _summary(means: Means) -> str:
    kinds = dict.fromkeys(kind for kind, *_ in means)
    shown = {title: at for title, at in SUMMARY.items() if at[0] in kinds}
    rows = []
    for run in _runs(means):
        own = {at: values for at, values in means.items() if at[2] == run}
        cells = [
            number(mean(v[key] for at, v in own.items() if at[0] == kind))
            for kind, key in shown.values()
        ]
        size = number(median(v[COLUMNS] for v in own.values()), 0)
        seconds = number(median(v[SECONDS] for v in own.values()), 1)
        rows.append((run, *cells, size, seconds))
    header = ("features", *shown, "columns, median", "seconds of fit, median")
    return markdown_table(header, rows)


def _pairs(means: Means) -> str:
    """Return on how many tables one is ahead of another, and by how much."""
    rows = []
    judges = [f for f in FIGURES if f.kind != NUMBERS]
    for mine, other in PAIRS:
        for kind, key, title, _ in judges:
            gains = {
                name: means[kind, name, mine][key] - means[kind, name, other][key]
                for name in _tables(means, kind)
                if {mine, other} <= {run for at, its, run in means if its == name}
            }
            if not gains:
                continue
            least, most = (
                min(gains, key=gains.__getitem__),
                max(gains, key=gains.__getitem__),
            )
            rows.append(
                (
                    f"{mine} over {other}",
                    title.partition(":")[0],
                    f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}",
                    _signed(mean(gains.values())),
                    _signed(median(gains.values())),
                    f"{_signed(gains[least])} {least}",
                    f"{_signed(gains[most])} {most}",
                )
            )
    head = ("pair", "judge", "tables ahead", "mean", "median", "least", "most")
    return markdown_table(head, rows)


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def report(lines: Sequence[Line]) -> list[str]:
    """Return the means of all tables, pairs of features, and all figures."""
    means = means_by(lines, lambda line: (line.task, line.name, line.run))
    if not means:
        return []
    parts = ["## Means over the tables", _summary(means)]
    parts += ["## Gains in area", _pairs(means)]
    for figure in FIGURES:
        if _tables(means, figure.kind):
            parts += [f"## {figure.title}", _of_figure(means, figure)]
    return parts
