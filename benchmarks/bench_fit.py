"""Time of `fit` beside a hand-written loop, stock skorch and others.

One run, one thread: all competitors take turns, so that whatever else the machine does
meets them alike, and each figure is the median over the turns. Every competitor trains
the same dense stack from the same rows for the same epochs, and the last column shows
that they end at the same loss.

    python benchmarks/bench_fit.py
    python benchmarks/bench_fit.py --repetitions 15 --write fit.md
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import (
    clock,
    ensure_one_thread,
    load_note,
    markdown_table,
    median,
    number,
    publish,
)
from data import digits, fashion_mnist, synthetic_pictures
from handwritten import (
    Extras,
    Timing,
    handwritten,
    mlp_regressor,
    stock_skorch,
    tutorial_loop,
    unexplained,
)
from tqdm import tqdm

Competitor = Callable[..., Timing]

AT_MOST = 1.15
"""Target: seconds of ours over those of the hand-written loop."""
AS_FAST = 2.5
"""Target on digits: seconds of stock skorch over ours."""
SAME_LOSS = 0.1
"""How far apart, relatively, two final losses may be to count as the same work."""

HAND = "hand-written loop"
HAND_EXTRAS = "hand-written loop, recipe"
OURS = "AutoEncoderTransformer"
OURS_EXTRAS = "AutoEncoderTransformer, recipe"
OURS_ANCHORED = "AutoEncoderTransformer, recipe, from PCA"
SKORCH = "stock skorch"

BARE = Extras(standardise=True)
RECIPE = Extras(weight_decay=0.1, clip=1.0, average=True, standardise=True)


@dataclass(frozen=True)
class Workload:
    """Rows to fit and the network to fit them with; `note` says what the rows are."""

    name: str
    note: str
    X: np.ndarray
    sizes: tuple[int, ...]
    batch_size: int
    epochs: int
    lr: float

    @property
    def steps(self) -> int:
        """Number of optimiser steps of one fit."""
        return self.epochs * math.ceil(len(self.X) / self.batch_size)


def standardised(X: np.ndarray) -> np.ndarray:
    """Return every column with mean 0 and variance 1, constant ones as zeros.

    Ours standardises the network's input; on rows that are so already, every
    competitor solves the same problem and must end at the same loss.
    """
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def workloads(args: argparse.Namespace) -> list[Workload]:
    """Return the workloads asked for."""
    chosen = []
    if "digits" in args.workloads:
        X = standardised(digits(Path()))
        sizes: tuple[int, ...] = (64, 32, 8, 32, 64)
        epochs = args.epochs or 50
        note = "scikit-learn's digits"
        chosen.append(Workload("digits", note, X, sizes, 128, epochs, 1e-3))
    if "pictures" in args.workloads:
        pictures = fashion_mnist(args.data, n_rows=args.rows)
        note = "Fashion-MNIST"
        if pictures is None:
            pictures = synthetic_pictures(args.rows)
            note = "SYNTHETIC pictures of Fashion-MNIST's shape and range"
        X = standardised(pictures)
        sizes = (784, 256, 128, 100, 128, 256, 784)
        epochs = args.epochs or 5
        chosen.append(Workload("pictures", note, X, sizes, 256, epochs, 1e-3))
    return chosen


def ours(
    X: np.ndarray,
    sizes: Sequence[int],
    activation: str,
    batch_size: int,
    epochs: int,
    lr: float,
    *,
    extras: Extras,
    device: str,
    clock: Callable[[], float],
    init: str = "random",
) -> Timing:
    """Train an AutoEncoderTransformer of the same network, without early stopping.

    From a random start it takes the same steps as the others; from PCA, its default, a
    step has a linear part and noise beside.
    """
    # Imported here: the competitors can be run, and tested, without the package.
    from sk_autoencoder import AutoEncoderTransformer

    middle = len(sizes) // 2
    estimator = AutoEncoderTransformer(
        sizes[middle],
        hidden_layer_sizes=tuple(sizes[1:middle]),
        activation=activation,
        init=init,
        optimizer="adamw" if extras.weight_decay else "adam",
        lr=lr,
        weight_decay=extras.weight_decay,
        max_epochs=epochs,
        batch_size=batch_size,
        early_stopping=False,
        device=device,
        net_params={
            "gradient_clip": extras.clip,
            "weight_average": 0.99 if extras.average else None,
        },
    )
    started = clock()
    estimator.fit(X)
    seconds = clock() - started
    return seconds, unexplained(X, estimator.reconstruct)


def competitors(device: str) -> dict[str, Competitor]:
    """Return what takes turns; on a GPU only the loops that can use one well."""
    by_hand = functools.partial(handwritten, device=device)
    own = functools.partial(ours, device=device)
    chosen: dict[str, Competitor] = {
        HAND: functools.partial(by_hand, extras=BARE),
        OURS: functools.partial(own, extras=BARE),
        "hand-written loop, not standardising": by_hand,
        "hand-written loop, flat weights": functools.partial(
            by_hand, extras=BARE, flat=True
        ),
        HAND_EXTRAS: functools.partial(by_hand, extras=RECIPE),
        OURS_EXTRAS: functools.partial(own, extras=RECIPE),
        OURS_ANCHORED: functools.partial(own, extras=RECIPE, init="pca"),
    }
    if device == "cpu":
        chosen[SKORCH] = stock_skorch
        chosen["tutorial loop"] = tutorial_loop
        chosen["MLPRegressor(X, X)"] = mlp_regressor
    return chosen


def measure(
    workload: Workload, names: dict[str, Competitor], args: argparse.Namespace
) -> dict[str, list[Timing]]:
    """Let the competitors take turns, after one unmeasured epoch each."""
    ticks = clock(args.clock)
    w = workload
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    with tqdm(total=(args.repetitions + 1) * len(names), desc=w.name) as bar:
        for repetition in range(args.repetitions + 1):
            # The order is turned round each time: none always follows the same one.
            order = list(names) if repetition % 2 else list(names)[::-1]
            for name in order:
                torch.manual_seed(repetition)
                epochs = w.epochs if repetition else 1
                timing = names[name](
                    w.X,
                    w.sizes,
                    args.activation,
                    w.batch_size,
                    epochs,
                    w.lr,
                    clock=ticks,
                )
                if repetition:
                    timings[name].append(timing)
                bar.update()
    return timings


def ratio(timings: dict[str, list[Timing]], name: str, base: str) -> float:
    """Return the median over the turns of one competitor's seconds over another's."""
    pairs = zip(timings[name], timings[base], strict=True)
    return median(mine[0] / theirs[0] for mine, theirs in pairs)


def _base(name: str) -> str:
    extras = (HAND_EXTRAS, OURS_EXTRAS, OURS_ANCHORED)
    return HAND_EXTRAS if name in extras else HAND


def report(workload: Workload, timings: dict[str, list[Timing]]) -> str:
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
                number(ratio(timings, name, _base(name)), 2),
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
    return "\n\n".join(
        (title, markdown_table(header, rows), verdicts(workload, timings))
    )


def verdicts(workload: Workload, timings: dict[str, list[Timing]]) -> str:
    """Return one line a target: what it is, what was measured, met or missed."""
    lines = []
    for name, base in ((OURS, HAND), (OURS_EXTRAS, HAND_EXTRAS)):
        measured = ratio(timings, name, base)
        lines.append(_verdict(f"{name} / {base}", measured, "<=", AT_MOST))
    if SKORCH in timings and workload.name == "digits":
        measured = ratio(timings, SKORCH, OURS)
        lines.append(_verdict(f"{SKORCH} / {OURS}", measured, ">=", AS_FAST))
    for name, base in ((OURS, HAND), (OURS_EXTRAS, HAND_EXTRAS), (SKORCH, HAND)):
        if name in timings and base in timings:
            mine, theirs = (
                median(loss for _, loss in timings[n]) for n in (name, base)
            )
            measured = abs(mine / theirs - 1)
            text = f"relative difference of the losses of {name} and {base}"
            lines.append(_verdict(text, measured, "<=", SAME_LOSS))
    return "\n".join(lines)


def _verdict(what: str, measured: float, relation: str, target: float) -> str:
    met = measured <= target if relation == "<=" else measured >= target
    word = "met" if met else "MISSED"
    return f"- {what}: {measured:.2f} (target {relation} {target}): {word}"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--workloads",
        nargs="+",
        choices=("digits", "pictures"),
        default=["digits", "pictures"],
    )
    add("--repetitions", type=int, default=7, help="turns of each (default 7)")
    add("--epochs", type=int, help="instead of the workload's own number")
    add("--rows", type=int, default=5_000, help="pictures (default 5,000)")
    add("--activation", default="relu", help="of the hidden layers (default relu)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time")
    add("--device", default="cpu", help="cpu or cuda")
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
    for workload in workloads(args):
        timings = measure(workload, competitors(args.device), args)
        parts.append(report(workload, timings))
    publish("\n\n".join(parts), args.write)


if __name__ == "__main__":
    main()
