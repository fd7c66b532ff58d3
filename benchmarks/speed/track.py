"""Five numbers, measured anew and appended to `history.json` beside this, by commit.

    python -m benchmarks.speed.track
    python -m benchmarks.speed.track --file /tmp/history.json

A number that is 1.5 times the median of its last ten is an error: then nothing is
appended, unless `--accept` says that it is meant. Entries can be compared where the
machine, Python and torch are the same; others are left out. The table printed has the
median beside the new number.

Seconds are processor time of one thread, medians of a few turns, so that an entry is
worth something on a busy machine too; the load averages of 1, 5 and 15 minutes stand
beside it all the same. Each number is measured in a process of its own. The commit is
the last that changed the package.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks._shared.command import command_line, in_fresh_process, parse
from benchmarks._shared.data import fill
from benchmarks._shared.provenance import processor
from benchmarks._shared.report import markdown_table, median, number, publish
from benchmarks._shared.timing import timed
from benchmarks.speed.memory import MEGABYTE, PeakMemory

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("history.json")
N_COMPARED, MOST = 10, 1.5
"""Entries before, and times the median of these."""
COLUMNS = 20
CALLS = 500
"""Single rows in a turn."""
MEMORY_SHAPE = (200_000, 50)
IMPORT = """
import time
started = time.process_time()
import sk_autoencoder
print(time.process_time() - started)
"""


def turns(call: Callable[[], Any], repetitions: int) -> float:
    """Return the median of the seconds of some calls, after one that loads all."""
    call()
    return median(timed(time.process_time, call)[0] for _ in range(repetitions))


def fitted(rows: np.ndarray) -> Any:
    """Fit a network to hand rows to, for one epoch."""
    from sk_autoencoder import AutoEncoderTransformer

    return AutoEncoderTransformer(10, max_epochs=1, device="cpu").fit(rows[:2_000])


def fit_digits() -> float:
    """Return the seconds of a fit of the digits at the defaults, to ten numbers."""
    from sk_autoencoder import AutoEncoderTransformer

    X = load_digits().data.astype(np.float32)
    fitted(X)
    reducer = AutoEncoderTransformer(10, random_state=0, device="cpu")
    return turns(lambda: reducer.fit(X), 3)


def transform_row() -> float:
    """Return the microseconds of `transform` of one row."""
    X = fill(np.empty((2_000, COLUMNS), np.float32))
    reducer, row = fitted(X), X[:1]
    return (
        1e6 / CALLS * turns(lambda: [reducer.transform(row) for _ in range(CALLS)], 7)
    )


def transform_million() -> float:
    """Return the seconds of `transform` of a million rows."""
    X = fill(np.empty((1_000_000, COLUMNS), np.float32))
    reducer = fitted(X)
    return turns(lambda: reducer.transform(X), 5)


def import_package() -> float:
    """Return the seconds of the import, in processes that have imported nothing."""
    command = [sys.executable, "-c", IMPORT]
    path = os.pathsep.join(filter(None, sys.path))
    return median(
        float(subprocess.check_output(command, env={**os.environ, "PYTHONPATH": path}))
        for _ in range(5)
    )


def fit_memory() -> float:
    """Return the megabytes that a fit of one epoch needs beside its float32 rows."""
    X = fill(np.empty(MEMORY_SHAPE, np.float32))
    reducer = fitted(X)
    with PeakMemory() as memory:
        reducer.fit(X)
    return memory.resident / MEGABYTE


MEASURES: dict[str, Callable[[], float]] = {
    "fit of digits, s": fit_digits,
    "transform of one row, us": transform_row,
    "transform of a million rows, s": transform_million,
    "import, s": import_package,
    "peak memory of fit, MB": fit_memory,
}


def machine() -> str:
    """Return what the numbers depend on, and no name."""
    return f"{platform.system()}, {processor()}, {os.cpu_count()} processors"


def commit() -> str | None:
    """Return the last commit that changed the package; None outside a checkout."""
    command = ["git", "log", "-1", "--format=%h", "--", "sk_autoencoder"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def entry() -> dict[str, Any]:
    """Measure, and return an entry."""
    return {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": [round(load, 2) for load in os.getloadavg()],
        "numbers": {
            name: float(f"{in_fresh_process(measure):.4g}")
            for name, measure in MEASURES.items()
        },
    }


def medians(entries: list[dict[str, Any]], new: dict[str, Any]) -> dict[str, float]:
    """Return the medians of the last entries that the new one can be compared with."""
    same = ("machine", "python", "torch")
    alike = [old for old in entries if all(old[key] == new[key] for key in same)]
    last = [old["numbers"] for old in alike[-N_COMPARED:]]
    return {
        name: median(numbers[name] for numbers in last if name in numbers)
        for name in new["numbers"]
    }


def main() -> None:
    """Append an entry, and print it; fail where a number is too large."""
    parser = command_line(__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help=f"default {FILE.name}")
    parser.add_argument("--accept", action="store_true", help="append in any case")
    args = parse(parser)
    text = args.file.read_text(encoding="utf-8") if args.file.exists() else "[]"
    entries, new = json.loads(text), entry()
    before = medians(entries, new)
    rows = [
        (name, number(before[name]), number(value))
        for name, value in new["numbers"].items()
    ]
    worse = [
        name for name, value in new["numbers"].items() if value > MOST * before[name]
    ]
    header = ("number", f"median of the last {N_COMPARED}", "now")
    publish(args.write, markdown_table(header, rows))
    if worse and not args.accept:
        sys.exit(
            f"expected numbers of at most {MOST} times their medians, got more for "
            f"{', '.join(worse)}. Find the commit, or pass --accept."
        )
    args.file.write_text(json.dumps([*entries, new], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
