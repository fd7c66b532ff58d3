"""The tables and verdicts of `outliers.run`, of its lines of results."""

from __future__ import annotations

import math

from benchmarks._shared.report import markdown_table, mean, number, verdict
from benchmarks._shared.results import Line, means_by
from benchmarks.outliers.methods import DETECTORS, OURS, PYOD_AUTOENCODER

AREA, PRECISION, SECONDS = "auc", "precision", "seconds"
TITLES = {
    AREA: "Area under the ROC curve",
    PRECISION: "Average precision",
    SECONDS: "Seconds of fit",
}
Means = dict[tuple, dict[str, float]]


def column(means: Means, run: str, names: list[str], what: str) -> list[float]:
    """Return a method's figure for each set, NaN where it has none."""
    return [means.get((name, run), {}).get(what, math.nan) for name in names]


def _table(means: Means, names: list[str], runs: list[str], what: str) -> str:
    columns = [column(means, run, names, what) for run in runs]
    rows = [
        (name, *(number(values[i], 3) for values in columns))
        for i, name in enumerate(names)
    ]
    averages = [number(mean(values), 3) for values in columns]
    return markdown_table(("set", *runs), [*rows, ("mean", *averages)])


def _differences(figures: list[float], others: list[float]) -> list[float]:
    """Return the differences on the sets on which both have a figure."""
    gains = [mine - other for mine, other in zip(figures, others, strict=True)]
    return [gain for gain in gains if not math.isnan(gain)]


def _targets(means: Means, names: list[str], runs: list[str]) -> list[str]:
    """List which targets are met."""
    rivals = [run for run in runs if not run.startswith(OURS)]
    lines = []
    for what in (AREA, PRECISION):
        ours = column(means, OURS, names, what)
        for rival in rivals:
            theirs = column(means, rival, names, what)
            gain = mean(_differences(ours, theirs))
            title = f"mean {TITLES[what].lower()} over that of {rival}"
            lines.append(verdict(title, gain, ">=", 0.0, "+.3f"))
    ours = column(means, OURS, names, SECONDS)
    theirs = column(means, PYOD_AUTOENCODER, names, SECONDS)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True) if not math.isnan(b)]
    what = f"longest fit over that of {PYOD_AUTOENCODER} on the same set"
    lines.append(verdict(what, max(ratios, default=math.nan), "<", 1.0))
    return lines


def summary(lines: list[Line]) -> str:
    """Return the means of each method, and on how many sets ours is ahead of it."""
    means = means_by(lines, lambda line: (line.name, line.run))
    names = list(dict.fromkeys(line.name for line in lines))
    runs = [run for run in DETECTORS if any(line.run == run for line in lines)]
    ours = column(means, OURS, names, AREA)
    rows = []
    for run in runs:
        theirs = column(means, run, names, AREA)
        pairs = list(zip(ours, theirs, strict=True))
        counts = (sum(a > b for a, b in pairs), sum(a < b for a, b in pairs))
        figures = {what: column(means, run, names, what) for what in TITLES}
        averages = [number(mean(figures[what]), 3) for what in TITLES]
        n_sets = sum(not math.isnan(area) for area in theirs)
        gains = [
            number(mean(_differences(figures[w], column(means, OURS, names, w))), 3)
            for w in (AREA, PRECISION)
        ]
        beside = (*map(str, counts), *gains) if run != OURS else ("–",) * 4
        rows.append((run, str(n_sets), *averages, *beside))
    head = ("means", "sets", *TITLES.values(), "ours ahead in area", "behind")
    head = (*head, "area beside ours", "precision beside ours")
    return f"{len(names)} sets\n\n" + markdown_table(head, rows)


def report(lines: list[Line], note: str) -> list[str]:
    """Return the tables of all figures, and the verdicts."""
    means = means_by(lines, lambda line: (line.name, line.run))
    names = list(dict.fromkeys(line.name for line in lines))
    runs = [run for run in DETECTORS if any(line.run == run for line in lines)]
    n_seeds = 1 + max((line.seed for line in lines), default=0)
    parts = [f"# Outliers among unlabeled rows, {n_seeds} seeds, one thread ({note})"]
    for what, title in TITLES.items():
        parts += [f"## {title}", _table(means, names, runs, what)]
    if OURS in runs:
        parts.append("\n".join(_targets(means, names, runs)))
    return parts
