"""Figures made of what `quality.run` has measured.

Of a reconstruction a line has "seconds", "error" (squared, summed over held-out rows),
"explained" and, for some, "fell_back"; downstream it has scores.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from benchmarks._shared.data import SETS
from benchmarks._shared.report import mean, median
from benchmarks._shared.results import Case, Line
from benchmarks.quality.methods import METHODS, OURS, PCA_NAME

MANY_ROWS = 500
"""Training rows above which a single split is judged by itself."""
NOTHING_LEFT = 1e-12
"""Unexplained share of the variance below which PCA's error is the rounding's."""

RECONSTRUCTION = "reconstruction"
DOWNSTREAM = "downstream"


class Figures:
    """The reconstructions, by case, method and seed."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = [line for line in lines if line.task == RECONSTRUCTION]
        self._runs: dict[tuple[Case, str], dict[int, Line]] = defaultdict(dict)
        self.sizes: dict[Case, tuple[int, int]] = {}
        self.n_train: dict[Case, int] = {}
        for line in self.lines:
            self._runs[line.case, line.run][line.seed] = line
            self.sizes[line.case] = (line.n_rows, line.n_columns)
            self.n_train[line.case] = line.n_train
        order = list(SETS)
        self.cases = sorted(
            self.sizes, key=lambda case: (order.index(case.name), case.units, case.k)
        )
        measured = {run for _, run in self._runs}
        # The best of a grid is shown once all of the grid is there.
        self.methods = [m for m, runs in METHODS.items() if measured.issuperset(runs)]

    def seeds(self, case: Case, method: str) -> dict[int, dict[str, float]]:
        """Return the values for each seed that all of the method's runs have.

        A run that failed has an infinite error.
        """
        runs = [self._runs.get((case, run), {}) for run in METHODS[method]]
        common = set.intersection(*(set(run) for run in runs))
        return {seed: _best([run[seed] for run in runs]) for seed in sorted(common)}

    def value(self, case: Case, method: str, what: str) -> float:
        """Return the median over the seeds of "explained" or "seconds"."""
        each = self.seeds(case, method).values()
        return median(values.get(what, math.nan) for values in each)

    def ratios(self, case: Case, method: str, other: str = PCA_NAME) -> list[float]:
        """Return the error over the other's, for each seed that both have.

        Where PCA leaves nothing there is no ratio.
        """
        mine, its = self.seeds(case, method), self.seeds(case, other)
        pca = self.seeds(case, PCA_NAME)
        return [
            values["error"] / its[seed]["error"]
            for seed, values in mine.items()
            if seed in its
            and 1 - pca.get(seed, {}).get("explained", 0) > NOTHING_LEFT
            and math.isfinite(its[seed]["error"])
        ]

    def mean_ratio(self, case: Case, method: str, other: str = PCA_NAME) -> float:
        """Return the mean of the ratios; NaN where there is none."""
        return mean(self.ratios(case, method, other))

    def fell_back(self, case: Case) -> tuple[int, int]:
        """Return in how many of how many splits ours stayed PCA."""
        each = self.seeds(case, OURS).values()
        stayed = [values["fell_back"] for values in each if "fell_back" in values]
        return int(sum(stayed)), len(stayed)

    def notes(self) -> list[str]:
        """List what failed, and where PCA leaves nothing to compare with."""
        failed = [f"{x.run} on {x.case}: {x.note}" for x in self.lines if x.note]
        exact = [
            f"{case}: PCA leaves nothing, so there are no ratios to it"
            for case in self.cases
            if self.seeds(case, PCA_NAME) and not self.ratios(case, PCA_NAME)
        ]
        return list(dict.fromkeys(failed)) + exact


def _best(lines: list[Line]) -> dict[str, float]:
    """Return the values of the run with the least error, in the seconds of all."""
    best = min(lines, key=lambda line: line.values.get("error", math.inf))
    seconds = sum(line.values.get("seconds", 0.0) for line in lines)
    return {"error": math.inf, **best.values, "seconds": seconds}
