"""What the benchmarks share: one thread, tables, verdicts, medians, a clock."""

from __future__ import annotations

import math
import operator
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
HOLDS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


def ensure_one_thread() -> None:
    """Start this process again with one thread a numerical library, unless it has it.

    The libraries read these variables when they are loaded, which an import at the
    top of a script has done before `main` runs; a fresh process is the one sure way.
    """
    if all(os.environ.get(name) == "1" for name in THREAD_VARIABLES):
        return
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, environment)


def clock(kind: str) -> Callable[[], float]:
    """Return the clock to time with.

    Parameters
    ----------
    kind : {"wall", "cpu"}
        "cpu" counts this process's processor time. With one thread and no waiting
        it equals wall time on an idle machine, and it is much steadier on a busy one.
    """
    return {"wall": time.perf_counter, "cpu": time.process_time}[kind]


def median(values: Iterable[float]) -> float:
    """Median of the finite values; NaN where there is none."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return math.nan
    middle = len(finite) // 2
    if len(finite) % 2:
        return finite[middle]
    return 0.5 * (finite[middle - 1] + finite[middle])


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of the finite positive values; NaN where there is none."""
    logs = [math.log(v) for v in values if math.isfinite(v) and v > 0]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def number(value: float | None, digits: int = 3) -> str:
    """Format a number for a table: `digits` decimals, or a dash for None and NaN."""
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


def load_note() -> str:
    """Say how busy the machine is, since a busy one makes timings worthless."""
    if not hasattr(os, "getloadavg"):
        return "load average unknown on this system"
    one_minute = os.getloadavg()[0]
    return f"load average {one_minute:.2f} on {os.cpu_count()} processors"


def publish(text: str, path: Path | None) -> None:
    """Print `text`, and write it to `path` where one is given."""
    print(text)
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")
