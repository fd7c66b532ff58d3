"""Time of `fit` beside a hand-written loop, stock skorch and others.

One run, one thread: all competitors take turns, so that whatever else the machine does
meets them alike, and each figure is the median over the turns. Every competitor of a
table trains the same dense stack from the same rows for the same epochs, and the last
column shows that they end at the same loss. Beside them: how long fits at the defaults
take, and steps a second on a GPU, where there is one.

    python -m benchmarks.speed.fit
    python -m benchmarks.speed.fit --workloads wide --repetitions 3 --write fit.md
    python -m benchmarks.speed.fit --gpu
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks._shared.common import (
    clock,
    ensure_one_thread,
    load_note,
    markdown_table,
    median,
    number,
    publish,
    verdict,
)
from benchmarks._shared.competitors import missing_peers
from benchmarks._shared.handwritten import Timing
from benchmarks.speed.fit_defaults import default_fits
from benchmarks.speed.fit_gpu import NOT_MEASURED, steps_a_second
from benchmarks.speed.fit_workloads import (
    BASES,
    HAND,
    HAND_EXTRAS,
    OURS,
    OURS_EXTRAS,
    SKORCH,
    WIDE,
    WIDE_BF16,
    Workload,
    workloads,
)

SAME_LOSS = 0.1
"""How far apart, relatively, two final losses may be to count as the same work."""
SAME_LOSS_BF16 = 0.02
"""Likewise of bf16 and float32, from the same start with the same noise."""
SAME_WORK = (
    (OURS, HAND, SAME_LOSS),
    (OURS_EXTRAS, HAND_EXTRAS, SAME_LOSS),
    (SKORCH, HAND, SAME_LOSS),
    (WIDE, HAND, SAME_LOSS),
    (WIDE_BF16, WIDE, SAME_LOSS_BF16),
)
PARTS = ("digits", "pictures", "wide", "conv", "defaults", "gpu")

Timings = dict[str, list[Timing]]


def measure(workload: Workload, args: argparse.Namespace) -> Timings:
    """Let the competitors take turns, after one unmeasured epoch each."""
    ticks = clock(args.clock)
    names = list(workload.competitors)
    timings: Timings = {name: [] for name in names}
    with tqdm(total=(args.repetitions + 1) * len(names), desc=workload.name) as bar:
        for repetition in range(args.repetitions + 1):
            # The order is turned round each time: none always follows the same one.
            for name in names if repetition % 2 else names[::-1]:
                torch.manual_seed(repetition)
                if repetition:
                    timing = workload.measure(name, args.activation, ticks)
                    timings[name].append(timing)
                else:
                    workload.run(name, args.activation, ticks, epochs=1)
                bar.update()
    return timings


def ratio(timings: Timings, name: str, base: str) -> float:
    """Return the median over the turns of one competitor's seconds over another's."""
    pairs = zip(timings[name], timings[base], strict=True)
    return median(mine[0] / theirs[0] for mine, theirs in pairs)


def report(workload: Workload, timings: Timings) -> str:
    """Return the table of one workload, and below it how the targets were met."""
    rows = []
    for name, measured in timings.items():
        seconds = median(t for t, _ in measured)
        skorch = ratio(timings, SKORCH, name) if SKORCH in timings else math.nan
        rows.append(
            (
                name,
                number(seconds),
                f"{1e6 * seconds / workload.steps:,.0f}",
                number(ratio(timings, name, BASES.get(name, HAND)), 2),
                number(skorch, 2),
                number(median(loss for _, loss in measured)),
            )
        )
    header = ("fit", "seconds", "µs a step", "of hand-written", "skorch / it", "loss")
    layers = "-".join(map(str, workload.sizes))
    title = (
        f"## {workload.name}: {layers}, {len(workload.X):,} rows ({workload.note}), "
        f"batch {workload.batch_size}, {workload.epochs} epochs"
    )
    if workload.steps_only:
        title += ", less the seconds of one"
    return "\n\n".join(
        (title, markdown_table(header, rows), verdicts(workload, timings))
    )


def verdicts(workload: Workload, timings: Timings) -> str:
    """Return one line a target: what it is, what was measured, met or missed."""
    lines = []
    for target in workload.targets:
        if target.name in timings and target.base in timings:
            measured = ratio(timings, target.name, target.base)
            what, wanted = f"{target.name} / {target.base}", target[2:]
            lines.append(verdict(what, measured, *wanted, form=".3g"))
    for name, base, most in SAME_WORK:
        if name in timings and base in timings:
            pairs = zip(timings[name], timings[base], strict=True)
            # From the same start two losses are compared turn by turn.
            measured = median(abs(mine[1] / theirs[1] - 1) for mine, theirs in pairs)
            text = f"relative difference of the losses of {name} and {base}"
            lines.append(verdict(text, measured, "<=", most, form=".3g"))
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--workloads", nargs="+", choices=PARTS, default=list(PARTS))
    add("--repetitions", type=int, default=7, help="turns of each (default 7)")
    add("--epochs", type=int, help="instead of the workload's own number")
    add("--rows", type=int, default=5_000, help="pictures (default 5,000)")
    add("--activation", default="relu", help="of the hidden layers (default relu)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time")
    add("--device", default="cpu", help="cpu or cuda")
    add("--gpu", dest="device", action="store_const", const="cuda", help="cuda")
    add("--data", type=Path, help="folder with Fashion-MNIST's .gz files")
    add("--write", type=Path, metavar="FILE", help="also write the tables there")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    ensure_one_thread()
    torch.set_num_threads(1)
    busy = load_note()
    parts = [
        f"# Time of fit: medians of {args.repetitions} alternating repetitions, one "
        f"thread, {args.clock} time, {args.device}",
        f"{args.activation}, torch {torch.__version__}; {busy} at the start.",
    ]
    if args.device != "cpu" and not torch.cuda.is_available():
        publish("\n\n".join([*parts, NOT_MEASURED]), args.write)
        return
    parts.extend(report(work, measure(work, args)) for work in workloads(args))
    if "defaults" in args.workloads:
        parts.append(default_fits(args))
    if "gpu" in args.workloads:
        parts.append(steps_a_second(args))
    if missing := missing_peers():
        parts.append(f"Missing, because not installed: {', '.join(missing)}.")
    publish("\n\n".join(parts), args.write)


if __name__ == "__main__":
    main()
