"""What each of the six models of the recipe costs at full size, from a few steps.

    python -m benchmarks.porto.costs
    python -m benchmarks.porto.costs --device cuda --models 2 --write costs.md

Each network is built at its full width, on some rows of the look-alike, and trained for
one epoch and for seven: the difference is what six epochs cost. Likewise the net that
learns claims from the features. Boosting is fitted with a tenth of its rounds, to two
numbers of rows. At scale 1 the autoencoders see all 1,488,028 rows in each epoch, the
nets four fifths of 595,212, five times; epochs, batches of 128 and rounds are the
recipe's. *h* are hours of one thread of the processor, of a GPU those on the clock;
*features* are those of all rows by the trained network. *The winner's* are his, on a
GTX 1080 Ti.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from benchmarks._shared.command import command_line, ensure_one_thread
from benchmarks._shared.report import markdown_table, number, publish
from benchmarks._shared.timing import Clock, load_note, timed
from benchmarks.porto.models import (
    BATCH,
    FOLDS,
    Rows,
    build_autoencoder,
    build_boosting,
    fit_net,
)
from benchmarks.porto.recipes import RECIPES, Recipe, Setup
from benchmarks.porto.run import numbers_of_models
from benchmarks.porto.tables import N_TEST, N_TRAIN, look_alike

HOUR = 3600.0
LONG, SHORT = 7, 1
"""Epochs of the two fits."""
FEWER = 3
"""The bottleneck has fewer steps in an epoch, by this factor: each takes seconds."""
BOOSTED_SHARE = 0.1
"""Of the rounds of boosting."""


def epoch_seconds(fit: Callable[[int], object], clock: Clock) -> float:
    """Return what an epoch costs, from fits of `SHORT` and `LONG` epochs."""
    fit(SHORT)  # the first of a process takes longer
    short, long = (timed(clock, fit, epochs)[0] for epochs in (SHORT, LONG))
    return (long - short) / (LONG - SHORT)


def autoencoder_hours(
    recipe: Recipe, rows: np.ndarray, args: argparse.Namespace
) -> tuple[float, float]:
    """Return the hours of a step times the recipe's steps, and of the features."""
    fitted: list[Any] = []
    plain = build_autoencoder(recipe, Setup(1.0), []).set_params(
        device=args.device, random_state=args.seed
    )

    def fit(epochs: int) -> None:
        with warnings.catch_warnings():
            # The recipe's bottleneck is wider than its rows.
            warnings.filterwarnings("ignore", "expected n_components of at most")
            fitted[:] = [clone(plain).set_params(max_epochs=epochs).fit(rows)]

    clock = clock_of(args)
    epoch = epoch_seconds(fit, clock)
    n_all = N_TRAIN + N_TEST
    steps = recipe.epochs * epoch * n_all / len(rows)
    features, _ = timed(clock, fitted[0].transform, rows)
    return steps / HOUR, features * n_all / len(rows) / HOUR


def net_hours(recipe: Recipe, n_rows: int, args: argparse.Namespace) -> float:
    """Return the hours of the five nets that learn from the features."""
    width = 3000 if recipe.bottleneck else 4500
    rng = np.random.default_rng(args.seed)
    features = rng.standard_normal((n_rows, width), dtype=np.float32)
    y = (rng.random(n_rows) < 0.04).astype(np.int64)

    def fit(epochs: int) -> None:
        short = replace(recipe, net_epochs=epochs)
        with tempfile.TemporaryDirectory() as folder:
            rows = Rows(features, y, np.arange(n_rows))
            fit_net(short, Setup(1.0), rows, Path(folder))

    epoch = epoch_seconds(fit, clock_of(args))
    n_learned = N_TRAIN * (FOLDS - 1) / FOLDS
    return FOLDS * recipe.net_epochs * epoch * n_learned / n_rows / HOUR


def boosting_hours(rows: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Return the hours of five fits, by a line through two numbers of rows."""
    model = build_boosting(Setup(1.0, seed))
    name = "n_estimators" if "n_estimators" in model.get_params() else "max_iter"
    rounds = round(BOOSTED_SHARE * model.get_params()[name])
    model.set_params(**{name: rounds})
    half = len(rows) // 2
    taken = [
        timed(time.process_time, clone(model).fit, rows[:n], y[:n])[0]
        for n in (half, len(rows))
    ]
    slope = max(0.0, (taken[1] - taken[0]) / (len(rows) - half))
    n_learned = N_TRAIN * (FOLDS - 1) / FOLDS
    one = taken[1] + slope * (n_learned - len(rows))
    return FOLDS * one / BOOSTED_SHARE / HOUR


def clock_of(args: argparse.Namespace) -> Clock:
    """Return the processor's clock, and that on the wall for a GPU."""
    return time.process_time if args.device == "cpu" else time.perf_counter


def main() -> None:
    """Print a table, a row a model."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--models", type=numbers_of_models, default=list(RECIPES), help="as 1,2,6")
    add("--steps", type=int, default=6, help="steps in an epoch (default 6)")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.device == "cpu":
        ensure_one_thread()
    task = look_alike(0.02, args.seed)
    rows = []
    for n in tqdm(args.models):
        recipe = RECIPES[n]
        n_steps = args.steps // FEWER if recipe.bottleneck else args.steps
        n_rows = max(1, n_steps) * BATCH
        if not recipe.epochs:
            some = slice(len(task.y_train))
            hours = [0.0, 0.0, boosting_hours(task.rows[some], task.y_train, args.seed)]
        else:
            hours = [
                *autoencoder_hours(recipe, task.rows[:n_rows], args),
                net_hours(recipe, n_rows, args),
            ]
        cells = (number(value, 1) for value in (*hours, sum(hours), *recipe.hours))
        rows.append((f"{n}, {recipe.what}", *cells))
    header = ("model", "autoencoder, h", "features, h", "supervised, h", "in all, h")
    header += ("the winner's autoencoder, h", "the winner's supervised, h")
    of = f"from epochs of {args.steps} steps and less"
    title = f"# The six models at scale 1, {of} ({load_note()})"
    publish(args.write, title, markdown_table(header, rows))


if __name__ == "__main__":
    main()
