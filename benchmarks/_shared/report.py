"""Numbers, tables and verdicts in Markdown, and the means that they show."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks._shared.provenance import provenance

T = TypeVar("T")
HOLDS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


def median(values: Iterable[float]) -> float:
    """Return the median of the finite values; NaN where there is none."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return math.nan
    middle = len(finite) // 2
    if len(finite) % 2:
        return finite[middle]
    return 0.5 * (finite[middle - 1] + finite[middle])


def mean(values: Iterable[float]) -> float:
    """Return the mean; NaN where there is no value."""
    values = list(values)
    return float(sum(values) / len(values)) if values else math.nan


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of the finite positive values; NaN without any."""
    logs = [math.log(v) for v in values if math.isfinite(v) and v > 0]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for a table: `digits` decimals, or a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 10_000:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = ["| " + " | ".join(header) + " |"]
    lines.append("|---" + "|---:" * (len(header) - 1) + "|")
    lines.extend("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join(lines)


def tabulate(items: Iterable[T], columns: Mapping[str, Callable[[T], str]]) -> str:
    """Return a Markdown table, a row an item; a column has a title and fills a cell."""
    rows = [[cell(item) for cell in columns.values()] for item in items]
    return markdown_table(list(columns), rows)


def verdict(
    what: str,
    measured: float,
    relation: str,
    target: float,
    form: str = ".2f",
    unit: str = "",
) -> str:
    """Return one line a target: what it is, what was measured, met or missed.

    Parameters
    ----------
    what : str
    measured : float
        NaN says that it was not measured.
    relation : {"<", "<=", ">="}
    target : float
    form : str, default=".2f"
        How `measured` is written, as in an f-string.
    unit : str, default=""
        Written behind it.
    """
    wanted = f"target {relation} {target:,}"
    if math.isnan(measured):
        return f"- {what}: not measured ({wanted})"
    word = "met" if HOLDS[relation](measured, target) else "MISSED"
    return f"- {what}: {measured:{form}}{unit} ({wanted}): {word}"


def missing_files(names: Sequence[str]) -> list[str]:
    """Return the line that names the sets without a file, or nothing."""
    return [f"- no file for: {', '.join(names)}"] if names else []


def document(*parts: str) -> str:
    """Return paragraphs and tables as one text."""
    return "\n\n".join(parts)


def publish(path: Path | None, *parts: str) -> None:
    """Print paragraphs and tables, and write them to `path` where one is given.

    What is written begins with the command, the versions, the machine and the date.
    """
    print(document(*parts))
    if path is not None:
        path.write_text(document(provenance(), *parts) + "\n", encoding="utf-8")
