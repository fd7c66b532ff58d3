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

import math

import torch

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.competitors import missing_peers
from benchmarks._shared.report import (
    document,
    median,
    number,
    publish,
    tabulate,
    verdict,
)
from benchmarks._shared.timing import Turns, load_note, ratio, seconds
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


def report(workload: Workload, turns: Turns) -> str:
    """Return the table of one workload, and below it how the targets were met."""
    columns = {
        "fit": str,
        "seconds": lambda name: number(seconds(turns, name)),
        "µs a step": lambda name: f"{1e6 * seconds(turns, name) / workload.steps:,.0f}",
        "of hand-written": lambda name: number(
            ratio(turns, name, BASES.get(name, HAND)), 2
        ),
        "skorch / it": lambda name: number(
            ratio(turns, SKORCH, name) if SKORCH in turns else math.nan, 2
        ),
        "loss": lambda name: number(median(loss for _, loss in turns[name])),
    }
    job = workload.job
    title = (
        f"## {workload.name}: {'-'.join(map(str, job.sizes))}, {len(job.X):,} rows "
        f"({workload.note}), batch {job.batch_size}, {job.epochs} epochs"
    )
    if workload.steps_only:
        title += ", less the seconds of one"
    return document(title, tabulate(turns, columns), verdicts(workload, turns))


def verdicts(workload: Workload, turns: Turns) -> str:
    """Return one line a target: what it is, what was measured, met or missed."""
    lines = []
    for target in workload.targets:
        if target.name in turns and target.base in turns:
            measured = ratio(turns, target.name, target.base)
            what, wanted = f"{target.name} / {target.base}", target[2:]
            lines.append(verdict(what, measured, *wanted, form=".3g"))
    for name, base, most in SAME_WORK:
        if name in turns and base in turns:
            pairs = zip(turns[name], turns[base], strict=True)
            # From the same start two losses are compared turn by turn.
            measured = median(abs(mine[1] / theirs[1] - 1) for mine, theirs in pairs)
            text = f"relative difference of the losses of {name} and {base}"
            lines.append(verdict(text, measured, "<=", most, form=".3g"))
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__, data="folder with Fashion-MNIST's .gz files")
    add = parser.add_argument
    add("--workloads", nargs="+", choices=PARTS, default=list(PARTS))
    add("--repetitions", type=int, default=7, help="turns of each (default 7)")
    add("--epochs", type=int, help="instead of the workload's own number")
    add("--rows", type=int, default=5_000, help="pictures (default 5,000)")
    add("--activation", default="relu", help="of the hidden layers (default relu)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time")
    add("--device", default="cpu", help="cpu or cuda")
    add("--gpu", dest="device", action="store_const", const="cuda", help="cuda")
    args = parse(parser)
    parts = [
        f"# Time of fit: medians of {args.repetitions} alternating repetitions, one "
        f"thread, {args.clock} time, {args.device}",
        f"{args.activation}, torch {torch.__version__}; {load_note()} at the start.",
    ]
    if args.device != "cpu" and not torch.cuda.is_available():
        publish(args.write, *parts, NOT_MEASURED)
        return
    every = args.repetitions
    parts.extend(report(work, work.measure(every)) for work in workloads(args))
    if "defaults" in args.workloads:
        parts.append(default_fits(args))
    if "gpu" in args.workloads:
        parts.append(steps_a_second(args))
    if missing := missing_peers():
        parts.append(f"Missing, because not installed: {', '.join(missing)}.")
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
