"""The workloads of `speed.fit`: rows, networks, who takes turns, and the targets."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks._shared.competitors import (
    installed_peers,
    mlp_regressor,
    ours,
    stock_skorch,
    tutorial_loop,
)
from benchmarks._shared.data import digits, fashion_mnist, synthetic_pictures
from benchmarks._shared.handwritten import Extras, Job, Timing, handwritten
from benchmarks._shared.timing import Turns, clock, take_turns
from benchmarks.speed.fit_convolutions import SIZES, handwritten_conv, ours_conv

Competitor = Callable[[Job], Timing]

HAND = "hand-written loop"
HAND_EXTRAS = f"{HAND}, recipe"
HAND_DROPOUT = f"{HAND}, dropout 0.1"
HAND_NADAM = f"{HAND}, NAdam"
HAND_BF16 = f"{HAND}, bf16"
OURS = "AutoEncoderTransformer"
OURS_EXTRAS = f"{OURS}, recipe"
OURS_ANCHORED = f"{OURS}, recipe, from PCA"
OURS_DROPOUT = f"{OURS}, dropout 0.1"
OURS_NADAM = f"{OURS}, NAdam"
WIDE = "DenoisingAutoEncoderTransformer"
WIDE_BF16 = f"{WIDE}, bf16"
SKORCH = "stock skorch"
MLP = "MLPRegressor(X, X)"
MLP_CLEAN = f"{MLP}, without noise"

BARE = Extras(standardize=True)
RECIPE = Extras(weight_decay=0.1, clip=1.0, average=True, standardize=True)
DROPOUT = Extras(dropout=0.1, standardize=True)
NADAM = Extras(optimizer=torch.optim.NAdam, standardize=True)
SWAP = Extras(swap=0.15, standardize=True)
SWAP_BF16 = Extras(swap=0.15, standardize=True, bf16=True)

BASES = {
    OURS_EXTRAS: HAND_EXTRAS,
    OURS_ANCHORED: HAND_EXTRAS,
    OURS_DROPOUT: HAND_DROPOUT,
    OURS_NADAM: HAND_NADAM,
}
"""Whose seconds another's are divided by, where that is not the plain loop."""

WIDE_SIZES = (221, 1500, 1500, 1500, 221)


class Target(NamedTuple):
    """The seconds of one competitor over those of another: at most, or at least."""

    name: str
    base: str
    relation: str
    value: float


AUTOGRAD = 1.08
"""At most, where the step by hand does not apply, of the same loop by hand."""
EVERYWHERE = (
    Target(OURS_EXTRAS, HAND_EXTRAS, "<=", 1.15),
    Target(OURS_DROPOUT, HAND_DROPOUT, "<=", AUTOGRAD),
    Target(OURS_NADAM, HAND_NADAM, "<=", AUTOGRAD),
)
ON_DIGITS = (
    Target(OURS, HAND, "<=", 0.30),
    Target(OURS, MLP, "<=", 0.40),
    Target(SKORCH, OURS, ">=", 10),
)
ON_PICTURES = (
    Target(OURS, HAND, "<=", 0.90),
    Target(OURS, MLP, "<=", 0.75),
    Target(OURS, SKORCH, "<=", 0.75),
)
ON_WIDE = {
    128: (Target(WIDE, HAND, "<=", 0.88), Target(WIDE_BF16, HAND, "<=", 0.56)),
    1024: (Target(WIDE, HAND, "<=", 0.80), Target(WIDE_BF16, HAND, "<=", 0.45)),
}
ON_CONV = (
    Target(OURS, HAND, "<=", AUTOGRAD),
    Target(OURS_EXTRAS, HAND_EXTRAS, "<=", AUTOGRAD),
)


class Workload(NamedTuple):
    """Rows to fit and the network to fit them with.

    Parameters
    ----------
    name, note : str
        `note` says what the rows are.
    job : Job
    competitors : dict of str to callable
        What takes turns.
    targets : tuple of Target
    steps_only : bool
        Take the seconds of a fit of one epoch off those of the job's: what a fit does
        once weighs more on so few steps than on the thousands of a real one.
    """

    name: str
    note: str
    job: Job
    competitors: dict[str, Competitor]
    targets: tuple[Target, ...] = ()
    steps_only: bool = False

    @property
    def steps(self) -> int:
        """Number of optimizer steps in the seconds that count."""
        epochs = self.job.epochs - self.steps_only
        return epochs * math.ceil(len(self.job.X) / self.job.batch_size)

    def turn(self, name: str, repetition: int) -> Timing:
        """Let one competitor take its turn; the first is an epoch to warm up."""
        torch.manual_seed(repetition)
        fit, short = self.competitors[name], self.job._replace(epochs=1)
        if not repetition:
            return fit(short)
        once = fit(short)[0] if self.steps_only else 0.0
        seconds, loss = fit(self.job)
        return seconds - once, loss

    def measure(self, repetitions: int) -> Turns:
        """Let the competitors take turns."""
        return take_turns(self.competitors, self.turn, repetitions, self.name)


# --------------------------------------------------------------------------- the rows


def standardized(X: np.ndarray) -> np.ndarray:
    """Return every column with mean 0 and variance 1, constant ones as zeros.

    Ours standardizes the network's input; on rows that are so already, every
    competitor solves the same problem and must end at the same loss.
    """
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def synthetic_table(
    n_rows: int,
    *,
    n_columns: int = 221,
    n_hidden: int = 30,
    bend: float = 0.25,
    seed: int = 0,
) -> np.ndarray:
    """Draw rows whose columns are bent mixtures of a few numbers, and some noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n_rows, n_hidden))
    columns = np.tanh(bend * (hidden @ rng.standard_normal((n_hidden, n_columns))))
    columns += 0.3 * rng.standard_normal(columns.shape)
    return columns.astype(np.float32)


def curved_table(n_rows: int, n_columns: int) -> np.ndarray:
    """Draw rows of which ten curved components tell more than ten of PCA's."""
    return synthetic_table(n_rows, n_columns=n_columns, n_hidden=5, bend=1.0)


# ----------------------------------------------------------------------- who takes part


def bottleneck_competitors(device: str) -> dict[str, Competitor]:
    """Return what takes turns on a bottleneck; on a GPU only what can use one well."""
    chosen: dict[str, Competitor] = {
        HAND: partial(handwritten, extras=BARE),
        OURS: partial(ours, extras=BARE),
        f"{HAND}, not standardizing": handwritten,
        f"{HAND}, flat weights": partial(handwritten, extras=BARE, flat=True),
        HAND_EXTRAS: partial(handwritten, extras=RECIPE),
        OURS_EXTRAS: partial(ours, extras=RECIPE),
        OURS_ANCHORED: partial(ours, extras=RECIPE, init="pca"),
        HAND_DROPOUT: partial(handwritten, extras=DROPOUT),
        OURS_DROPOUT: partial(ours, extras=DROPOUT),
        HAND_NADAM: partial(handwritten, extras=NADAM),
        OURS_NADAM: partial(ours, extras=NADAM),
    }
    if device == "cpu":
        chosen[SKORCH] = stock_skorch
        chosen["tutorial loop"] = tutorial_loop
        chosen[MLP] = mlp_regressor
        chosen.update(installed_peers())
    return chosen


def wide_pair(extras: Extras) -> tuple[Competitor, Competitor]:
    """Return the loop by hand and ours on the wide network without a bottleneck."""
    options = {"extras": extras, "bottleneck": False}
    return partial(handwritten, **options), partial(ours, **options)


def wide_competitors(device: str) -> dict[str, Competitor]:
    """Return what takes turns on the wide network."""
    chosen: dict[str, Competitor] = {}
    chosen[HAND], chosen[WIDE] = wide_pair(SWAP)
    chosen[HAND_BF16], chosen[WIDE_BF16] = wide_pair(SWAP_BF16)
    if device == "cpu":
        chosen[SKORCH] = partial(stock_skorch, bottleneck=False, swap_noise=SWAP.swap)
        chosen[MLP_CLEAN] = mlp_regressor
    return chosen


# ----------------------------------------------------------------------- the workloads


def workloads(args: argparse.Namespace) -> list[Workload]:
    """Return the workloads asked for."""
    chosen = []
    if "digits" in args.workloads:
        chosen.append(_digits(args))
    if "pictures" in args.workloads:
        chosen.append(_pictures(args))
    if "wide" in args.workloads:
        chosen.extend([_wide(args, 128, 5), _wide(args, 1024, 7)])
    if "conv" in args.workloads and args.device == "cpu":
        chosen.append(_conv(args))
    return chosen


def _job(
    args: argparse.Namespace,
    X: np.ndarray,
    sizes: tuple[int, ...],
    batch_size: int,
    epochs: int,
) -> Job:
    ticks = clock(args.clock)
    return Job(
        X, sizes, args.activation, batch_size, epochs, clock=ticks, device=args.device
    )


def _digits(args: argparse.Namespace) -> Workload:
    X, sizes = standardized(digits(Path())), (64, 32, 8, 32, 64)
    return Workload(
        "digits",
        "scikit-learn's digits",
        _job(args, X, sizes, 128, args.epochs or 50),
        bottleneck_competitors(args.device),
        (*ON_DIGITS, *EVERYWHERE),
    )


def _pictures(args: argparse.Namespace) -> Workload:
    note, X = _picture_rows(args)
    sizes = (784, 256, 128, 100, 128, 256, 784)
    return Workload(
        "pictures",
        note,
        _job(args, X, sizes, 256, args.epochs or 5),
        bottleneck_competitors(args.device),
        (*ON_PICTURES, *EVERYWHERE),
    )


def _picture_rows(args: argparse.Namespace) -> tuple[str, np.ndarray]:
    """Return standardized pictures, and what they are."""
    pictures = fashion_mnist(args.data, n_rows=args.rows)
    note = "Fashion-MNIST"
    if pictures is None:
        pictures = synthetic_pictures(args.rows)
        note = "SYNTHETIC pictures of Fashion-MNIST's shape and range"
    return note, standardized(pictures)


def _conv(args: argparse.Namespace) -> Workload:
    """Two convolutions, two dense layers, and back: through autograd on both sides."""
    note, X = _picture_rows(args)
    # Before two epochs losses are those of the start, and differ by a sixth.
    job = _job(args, X[:2000], SIZES, 128, max(2, args.epochs or 15))
    competitors: dict[str, Competitor] = {
        HAND: partial(handwritten_conv, extras=BARE),
        OURS: partial(ours_conv, extras=BARE),
        HAND_EXTRAS: partial(handwritten_conv, extras=RECIPE),
        OURS_EXTRAS: partial(ours_conv, extras=RECIPE),
    }
    return Workload("convolutions", note, job, competitors, ON_CONV, steps_only=True)


def _wide(args: argparse.Namespace, batch_size: int, epochs: int) -> Workload:
    """The first two 1,500 wide layers of a winner of a contest, and a third."""
    X = standardized(synthetic_table(1024))
    return Workload(
        f"wide, batch {batch_size}",
        "SYNTHETIC rows of 221 columns, swap noise on 0.15 of the cells",
        _job(args, X, WIDE_SIZES, batch_size, max(2, args.epochs or epochs)),
        wide_competitors(args.device),
        ON_WIDE[batch_size],
        steps_only=True,
    )
