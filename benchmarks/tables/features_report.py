"""The tables and verdicts of `tables.features`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from benchmarks._shared.report import markdown_table, median, verdict
from benchmarks.tables.features_methods import (
    CODINGS,
    FEATURES,
    LABELED,
    NOISE_LEVEL,
    OTHERS,
    OURS,
)
from benchmarks.tables.features_results import FOUR, PLAIN, Lines
from benchmarks.tables.features_tables import SOURCES

RAW_BLOCK = tuple(CODINGS)[-1]
TARGETS = {"a": (10.0, -2.0), "b": (3.0, -5.0)}
"""Of the median and of the least gain, in thousandths of the AUC."""
HALVES = {"tune": "tuning", "confirm": "confirmation"}


def thousandths(value: float) -> str:
    """Format a gain, with its sign, in thousandths."""
    return "–" if math.isnan(value) else f"{1000 * value:+.1f}"


def report(lines: Lines, names: Sequence[str]) -> list[str]:
    """Return the tables of each setting, and the targets."""
    parts = []
    for setting, what in LABELED.items():
        measured = [n for n in names if lines.aucs(n, setting, PLAIN[0])]
        if not measured:
            continue
        parts.append(f"## ({setting}) {what}: gains in thousandths of the AUC")
        parts.append(_gains(lines, measured, setting))
        others = _others(lines, measured, setting)
        if others:
            parts += [f"### Other classifiers, ({setting}), over the raw block", others]
        parts.append("\n".join(_verdicts(lines, measured, setting)))
    seconds = [(run, *_seconds(lines, names, run)) for run in FEATURES]
    rows = [row for row in seconds if row[1] != "–"]
    if rows:
        header = ("features", "seconds, median", "most")
        parts += ["## Seconds of the fits", markdown_table(header, rows)]
    return parts


def _runs() -> dict[str, Callable[[Lines, str, str], float]]:
    """Return the columns of gains over the baseline, but for the last."""

    def over(run: str, codings: Sequence[str]) -> Callable[[Lines, str, str], float]:
        return lambda lines, name, setting: lines.gain(
            name, setting, run, lines.baseline(name, setting, codings)
        )

    runs = (OURS, RAW_BLOCK, *list(FEATURES)[1:])
    columns = {run: over(run, PLAIN) for run in runs}
    columns[f"{OURS}, over the best of four codings"] = over(OURS, FOUR)
    columns[f"{OURS}, over the raw block"] = over(OURS, (RAW_BLOCK,))
    return columns


def _gains(lines: Lines, names: Sequence[str], setting: str) -> str:
    columns = _runs()
    rows = []
    for name in names:
        base = lines.baseline(name, setting)
        aucs = [auc for each in base.values() for auc in each]
        cells = [get(lines, name, setting) for get in columns.values()]
        label = f"{name} ({HALVES[SOURCES[name]]})"
        auc = f"{sum(aucs) / len(aucs):.4f}"
        rows.append((label, auc, *map(thousandths, cells)))
    for half in (*HALVES, "all"):
        some = [name for name in names if half in (SOURCES[name], "all")]
        if not some:
            continue
        each = [[get(lines, n, setting) for n in some] for get in columns.values()]
        title = HALVES.get(half, "all")
        rows.append(
            (f"median, {title}", "", *(thousandths(median(gains)) for gains in each))
        )
        rows.append((f"least, {title}", "", *(thousandths(min(g)) for g in each)))
    return markdown_table(("table", "baseline's AUC", *columns), rows)


def _others(lines: Lines, names: Sequence[str], setting: str) -> str:
    rows = []
    for name in names:
        cells = []
        for other in OTHERS:
            raw = lines.aucs(name, setting, f"{other}, {RAW_BLOCK}")
            if raw:
                aucs = [auc for each in raw.values() for auc in each]
                cells.append(f"{sum(aucs) / len(aucs):.4f}")
                run = f"{other}, {OURS}"
                cells.append(thousandths(lines.gain(name, setting, run, raw)))
        if cells:
            rows.append((name, *cells))
    header = [cell for other in OTHERS for cell in (f"{other}, AUC", "gain")]
    return markdown_table(("table", *header), rows) if rows else ""


def _verdicts(lines: Lines, names: Sequence[str], setting: str) -> list[str]:
    target, least = TARGETS[setting]
    gain = _runs()[OURS]
    each = [1000 * gain(lines, name, setting) for name in names]
    worst = min(each) if not any(map(math.isnan, each)) else math.nan
    return [
        verdict(f"({setting}) median gain", median(each), ">=", target, ".1f"),
        verdict(f"({setting}) least gain", worst, ">=", least, ".1f"),
    ]


def _seconds(lines: Lines, names: Sequence[str], run: str) -> tuple[str, str]:
    each = [lines.seconds(name, run) for name in names]
    each = [value for value in each if value > 0]
    if not each:
        return "–", "–"
    return f"{median(each):.0f}", f"{max(each):.0f}"


# --------------------------------------------------------------------- noise levels


def key_of(level: float) -> float | None:
    """Return what lines have for a level: None for the recipe's own."""
    return None if level == NOISE_LEVEL else level


def by_level(
    lines: Lines, names: Sequence[str], levels: Sequence[float]
) -> dict[str, dict[str, list[float]]]:
    """Return the gains over the raw block at each level, by setting and table."""
    gains: dict[str, dict[str, list[float]]] = {}
    for setting in LABELED:
        gains[setting] = {
            name: [
                lines.gain(
                    name,
                    setting,
                    OURS,
                    lines.aucs(name, setting, RAW_BLOCK),
                    key_of(level),
                )
                for level in levels
            ]
            for name in names
        }
    return gains


def noise_report(
    gains: dict[str, dict[str, list[float]]], levels: Sequence[float]
) -> list[str]:
    """Return a table of gains a setting."""
    parts = ["## Gains over the raw block by noise level, in thousandths of the AUC"]
    header = ("table", *(f"{level:g}" for level in levels))
    for setting, what in LABELED.items():
        tables = gains[setting]
        rows = [(name, *map(thousandths, each)) for name, each in tables.items()]
        columns = zip(*tables.values(), strict=True)
        rows.append(("median", *(thousandths(median(column)) for column in columns)))
        parts += [f"({setting}) {what}:", markdown_table(header, rows)]
    return parts
