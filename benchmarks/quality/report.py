"""The tables of `quality.run`, and its targets, each met or missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from benchmarks._shared.data import SETS
from benchmarks._shared.report import (
    geometric_mean,
    median,
    number,
    tabulate,
    verdict,
)
from benchmarks._shared.results import Case
from benchmarks.quality.methods import OURS, PCA_NAME, PLAIN, PLAIN_BEST
from benchmarks.quality.results import MANY_ROWS, Figures

WORSE_MEAN = 1.002
"""Mean error over PCA's up to which a case counts as no worse."""
WORSE_SPLIT = 1.02
"""The same for a single split, of sets with more than `MANY_ROWS` training rows."""
OVERALL_TARGET = 0.60
"""Geometric mean over the cases of the mean error over PCA's."""
TABLES_TARGET = 0.70
"""Median share of PCA's error that is gone on mixed tables, k = 10."""
PLAIN_TARGET = 1.05
"""Largest mean error over that of the same network started at random."""
SECONDS_TARGET = 10.0
"""Longest fit of ours."""
DIGITS_TARGET = 0.85
"""Explained variance of ours on digits, k = 10."""
FORM = ".4g"
"""How the figures are written beside their targets."""


def report(figures: Figures) -> list[str]:
    """Return the tables of the reconstructions, the summaries and the verdict."""
    if not figures.cases:
        return []
    parts = []
    for heading, cell in _kinds(figures):
        parts += [f"## {heading}", _case_table(figures, cell)]
    parts += ["## Over all cases", _summary(figures)]
    if OURS in figures.methods:
        parts += [f"## {OURS} over each of the others", _against(figures)]
        parts += ["## Where it stayed PCA", _fell_back(figures)]
        parts += ["## Verdict", _verdicts(figures)]
    return parts


# ---------------------------------------------------------------------- case by case


def _kinds(figures: Figures) -> list[tuple[str, Callable[[Case, str], str]]]:
    """Return the headings of the tables and what fills their cells."""

    def explained(case: Case, method: str) -> str:
        return number(figures.value(case, method, "explained"))

    def middle(case: Case, method: str) -> str:
        return number(median(figures.ratios(case, method)))

    def mean_and_worst(case: Case, method: str) -> str:
        worst = largest(figures.ratios(case, method))
        return f"{number(figures.mean_ratio(case, method))} ({number(worst)})"

    def seconds(case: Case, method: str) -> str:
        return number(figures.value(case, method, "seconds"), 2)

    return [
        ("Explained variance of held-out rows, median over the splits", explained),
        ("Squared error over PCA's on the same rows, median", middle),
        (
            "Squared error over PCA's, mean over the splits (worst split)",
            mean_and_worst,
        ),
        ("Seconds of fit, median", seconds),
    ]


def _case_table(figures: Figures, cell: Callable[[Case, str], str]) -> str:
    columns: dict[str, Callable[[Case], str]] = {
        "set (units)": lambda case: f"{case.name} ({case.units})",
        "rows x columns": lambda case: "{:,} x {}".format(*figures.sizes[case]),
        "k": lambda case: str(case.k),
        **{method: lambda case, m=method: cell(case, m) for method in figures.methods},
    }
    return tabulate(figures.cases, columns)


def _fell_back(figures: Figures) -> str:
    counts = {case: figures.fell_back(case) for case in figures.cases}
    stayed = sum(n for n, _ in counts.values())
    of = sum(n for _, n in counts.values())
    lines = [f"{stayed} of {of} fits:"]
    lines += [f"- {case}: {n} of {of}" for case, (n, of) in counts.items() if n]
    return "\n".join(lines) if stayed else f"None of {of} fits."


# -------------------------------------------------------------------- over all cases


def means(figures: Figures, method: str, other: str = PCA_NAME) -> dict[Case, float]:
    """Return the mean ratio of each case that has one; infinite where a fit failed."""
    each = {case: figures.mean_ratio(case, method, other) for case in figures.cases}
    return {case: mean for case, mean in each.items() if not math.isnan(mean)}


def splits(figures: Figures, method: str) -> dict[Case, float]:
    """Return the worst split of each case with more than `MANY_ROWS` training rows."""
    many = [case for case in figures.cases if figures.n_train[case] > MANY_ROWS]
    each = {case: figures.ratios(case, method) for case in many}
    return {case: max(ratios) for case, ratios in each.items() if ratios}


def _summary(figures: Figures) -> str:
    def of_means(figure: Callable[..., float]) -> Callable[[str], str]:
        return lambda method: number(figure(means(figures, method).values()))

    def values(method: str, what: str) -> list[float]:
        return [figures.value(case, method, what) for case in figures.cases]

    def worse(method: str) -> str:
        mean = means(figures, method).values()
        return f"{sum(m > WORSE_MEAN for m in mean)} of {len(mean)}"

    columns = {
        "method": str,
        "mean error over PCA's: geometric mean": of_means(geometric_mean),
        "median": of_means(median),
        "largest": of_means(largest),
        f"largest split, over {MANY_ROWS} training rows": lambda method: number(
            largest(splits(figures, method).values())
        ),
        f"cases with mean > {WORSE_MEAN}": worse,
        "explained variance, median": lambda method: number(
            median(values(method, "explained"))
        ),
        "seconds: median": lambda method: number(median(values(method, "seconds")), 2),
        "longest": lambda method: number(
            largest(filter(math.isfinite, values(method, "seconds"))), 2
        ),
    }
    return tabulate(figures.methods, columns)


def largest(values: Iterable[float]) -> float:
    """Return the largest value; NaN where there is none."""
    return max(values, default=math.nan)


def _against(figures: Figures) -> str:
    each = {o: means(figures, OURS, o) for o in figures.methods if o != OURS}
    each = {other: mean for other, mean in each.items() if mean}

    def worst(other: str) -> Case:
        return max(each[other], key=each[other].__getitem__)

    columns = {
        "other method": str,
        "mean error over its: geometric mean": lambda other: number(
            geometric_mean(each[other].values())
        ),
        "median": lambda other: number(median(each[other].values())),
        "largest": lambda other: number(each[other][worst(other)]),
        "where": lambda other: str(worst(other)),
        f"cases with mean > {PLAIN_TARGET}": lambda other: (
            f"{sum(m > PLAIN_TARGET for m in each[other].values())} "
            f"of {len(each[other])}"
        ),
    }
    return tabulate(each, columns)


# --------------------------------------------------------------------------- verdict


def _verdicts(figures: Figures) -> str:
    mean = means(figures, OURS)
    gone = [1 - m for c, m in mean.items() if c.k == 10 and SETS[c.name].table]
    seconds = {
        case: max(values["seconds"] for values in each.values())
        for case in figures.cases
        if (each := figures.seeds(case, OURS))
    }
    lines = [
        _largest("mean error over PCA's", mean, WORSE_MEAN),
        _largest(
            f"error over PCA's, single split of over {MANY_ROWS} training rows",
            splits(figures, OURS),
            WORSE_SPLIT,
        ),
        verdict(
            f"geometric mean over {len(mean)} cases of the mean error over PCA's",
            geometric_mean(mean.values()),
            "<=",
            OVERALL_TARGET,
            FORM,
        ),
        verdict(
            f"less error than PCA on {len(gone)} mixed tables, k = 10, median",
            median(gone),
            ">=",
            TABLES_TARGET,
            FORM,
        ),
        *(
            _largest(
                f"mean error over that of {other!r}",
                means(figures, OURS, other),
                PLAIN_TARGET,
            )
            for other in (PLAIN, PLAIN_BEST)
            if other in figures.methods
        ),
        _largest("seconds of one fit", seconds, SECONDS_TARGET),
    ]
    digits = figures.value(Case("digits", "raw", 10), OURS, "explained")
    what = "explained variance of digits, k = 10"
    lines.append(verdict(what, digits, ">=", DIGITS_TARGET, FORM))
    return "\n".join(lines)


def _largest(what: str, values: dict[Case, float], most: float) -> str:
    """Judge the largest of some figures, and say how many are too large, and where."""
    what = f"largest {what} ({len(values)} cases)"
    line = verdict(what, largest(values.values()), "<=", most, FORM)
    above = sorted((c for c in values if values[c] > most), key=lambda c: -values[c])
    if not above:
        return line
    worst = "; ".join(f"{case}: {number(values[case], 4)}" for case in above[:10])
    more = "; ..." if len(above) > 10 else ""
    return f"{line}: {len(above)} of {len(values)} ({worst}{more})"
