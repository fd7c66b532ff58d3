"""How the time and the memory of `fit` grow with rows, columns and width.

One epoch each, from a random start and from PCA, whose extra cost shows. Each size is
measured in a process of its own, after a fit of a few rows has loaded every library:
first the peak of the extra memory, as `speed.memory` measures it, then the seconds.
Below each table stand the slopes of the logarithms over its last three rows: 1 is
linear.

    python -m benchmarks.speed.growth --picture growth.png
    python -m benchmarks.speed.growth --quick
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, in_fresh_process, parse
from benchmarks._shared.data import fill
from benchmarks._shared.report import document, median, number, publish, tabulate
from benchmarks._shared.timing import load_note, timed
from benchmarks.speed.memory import MEGABYTE, PeakMemory

K = 10
BATCH = 256
ROWS, COLUMNS, WIDTH = 10_000, 50, 0
"""What is fixed while another grows; a width of 0 is the default layers."""
COLUMNS_OF_WIDTHS = 100
SIZES = {
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "columns": (10, 30, 100, 300, 1_000, 2_000),
    "width": (32, 64, 128, 256, 512, 1_024, 2_048),
}
QUICK_SIZES = {
    "rows": (1_000, 10_000, 100_000),
    "columns": (10, 100, 1_000),
    "width": (32, 128, 512),
}
STARTS = ("random", "pca")
LAST = 3
"""Points that a slope is taken over."""
FIGURES = {
    "fit_random": "a fit's seconds",
    "fit_pca": "a fit's seconds, from PCA",
    "memory_random": "extra memory",
    "memory_pca": "extra memory, from PCA",
}

Results = dict[str, list[dict[str, float]]]


def shape(axis: str, size: int) -> tuple[int, int, int]:
    """Return rows, columns and width where one of the three has a size."""
    if axis == "rows":
        return size, COLUMNS, WIDTH
    if axis == "columns":
        return ROWS, size, WIDTH
    return ROWS, COLUMNS_OF_WIDTHS, size


# -------------------------------------------------------------------- the measurement


def measure(n_rows: int, n_columns: int, width: int, turns: int) -> dict[str, float]:
    """Measure one size in this process; meant for a fresh one."""
    from sk_autoencoder import AutoEncoderTransformer

    X = fill(np.empty((n_rows, n_columns), dtype=np.float32))
    estimators = {
        init: AutoEncoderTransformer(
            min(K, n_columns // 2),
            hidden_layer_sizes=(width, width) if width else "auto",
            init=init,
            max_epochs=1,
            batch_size=BATCH,
            early_stopping=False,
            device="cpu",
            random_state=0,
        )
        for init in STARTS
    }
    found: dict[str, float] = {"data": X.nbytes, "steps": math.ceil(n_rows / BATCH)}
    for init, estimator in estimators.items():
        estimator.fit(X[:500])
        with PeakMemory() as memory:
            estimator.fit(X)
        found[f"memory_{init}"] = memory.resident
    seconds: dict[str, list[float]] = {}
    for _ in range(turns):
        for init, estimator in estimators.items():
            whole, _ = timed(time.perf_counter, estimator.fit, X)
            seconds.setdefault(f"fit_{init}", []).append(whole)
            epoch = estimator.history_[-1]["dur"]
            seconds.setdefault(f"epoch_{init}", []).append(epoch)
    return found | {name: median(each) for name, each in seconds.items()}


# --------------------------------------------------------------------------- the report


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the logarithms over the last points; NaN without any."""
    sizes, values = sizes[-LAST:], values[-LAST:]
    if len(sizes) < 2 or min(values) <= 0:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def report(axis: str, results: list[dict[str, float]]) -> str:
    """Return one table, and below it the slopes."""

    def value(name: str) -> Callable[[dict[str, float]], str]:
        return lambda result: number(result[name])

    def megabytes(name: str) -> Callable[[dict[str, float]], str]:
        return lambda result: number(result[name] / MEGABYTE, 1)

    columns = {
        axis: lambda result: f"{result['size']:,.0f}",
        "epoch, s": value("epoch_random"),
        "step, µs": lambda result: (
            f"{1e6 * result['epoch_random'] / result['steps']:,.0f}"
        ),
        "fit, s": value("fit_random"),
        "fit from PCA, s": value("fit_pca"),
        "data, MB": megabytes("data"),
        "extra MB": megabytes("memory_random"),
        "extra MB from PCA": megabytes("memory_pca"),
    }
    sizes = [result["size"] for result in results]
    lines = []
    for name, what in FIGURES.items():
        found = slope(sizes, [result[name] for result in results])
        lines.append(f"- {what}, in {axis} (linear is 1): {number(found, 2)}")
    n_rows, n_columns, width = shape(axis, 0)
    fixed = {"rows": n_rows, "columns": n_columns, "width": width}
    beside = ", ".join(f"{n:,} {what}" for what, n in fixed.items() if n)
    title = f"## {axis}, at {beside}"
    return document(title, tabulate(results, columns), "\n".join(lines))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--axes", nargs="+", choices=tuple(SIZES), default=list(SIZES))
    add("--quick", action="store_true", help="fewer and smaller sizes")
    add("--repetitions", type=int, default=3, help="fits that are timed (default 3)")
    add("--picture", type=Path, metavar="FILE", help="draw the seconds there")
    args = parse(parser)
    sizes = QUICK_SIZES if args.quick else SIZES
    busy = load_note()
    cases = [(axis, size) for axis in args.axes for size in sizes[axis]]
    results: Results = {axis: [] for axis in args.axes}
    for axis, size in tqdm(cases):
        found = in_fresh_process(measure, *shape(axis, size), args.repetitions)
        results[axis].append({"size": size, **found})
    title = (
        f"# Growth of fit: one epoch in batches of {BATCH}, at most {K} components, "
        f"one thread, medians of {args.repetitions} fits; {busy} at the start"
    )
    tables = (report(axis, found) for axis, found in results.items())
    publish(args.write, title, *tables)
    if args.picture:
        from benchmarks.speed.growth_picture import draw

        draw(results, args.picture)


if __name__ == "__main__":
    main()
