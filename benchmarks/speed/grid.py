"""Time of a grid search beside stock skorch and scikit-learn's `MLPRegressor`.

Eight candidates, four networks at two learning rates, on three folds of the
standardized digits: 24 fits and as many scores, in whole seconds of
`GridSearchCV.fit`. All three train the same dense stacks in the same batches for the
same epochs, and take turns; the last column shows that their best candidates are as
good. With two jobs scikit-learn's worker processes are started before the first turn.

    python -m benchmarks.speed.grid
    python -m benchmarks.speed.grid --repetitions 1 --epochs 5 --jobs 1
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from torch import nn

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.competitors import dense_stack
from benchmarks._shared.data import digits
from benchmarks._shared.report import (
    document,
    median,
    number,
    publish,
    tabulate,
    verdict,
)
from benchmarks._shared.timing import (
    Turns,
    load_note,
    ratio,
    seconds,
    take_turns,
    timed,
)
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.metrics import reconstruction_scorer

OURS = "AutoEncoderTransformer"
DEFAULTS = f"{OURS}, its defaults"
SKORCH = "stock skorch"
MLP = "MLPRegressor(X, X)"

K = 8
BATCH = 128
HIDDEN: tuple[tuple[int, ...], ...] = ((32,), (64,), (64, 32), (128, 64))
RATES = (1e-3, 3e-3)
SQUARED_ERROR = "neg_mean_squared_error"
FOLDS = KFold(3, shuffle=True, random_state=0)

AS_FAST_AS_SKORCH = 8
"""Target: seconds of stock skorch over ours, with one job."""
AS_FAST_AS_MLP = 1
"""Target: seconds of `MLPRegressor` over ours, with one job."""


class Stack(nn.Module):
    """The network whose sizes a skorch user would search over.

    Parameters
    ----------
    hidden : tuple of int
        Units of the layers between the columns and the bottleneck.
    """

    def __init__(self, hidden: Sequence[int] = (32,)) -> None:
        super().__init__()
        sizes = (64, *hidden, K, *reversed(hidden), 64)
        self.layers = dense_stack(sizes, "relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reconstruct a batch."""
        return self.layers(x)


@dataclass(frozen=True)
class Rival:
    """An estimator, what is searched over, and how a candidate is scored.

    Parameters
    ----------
    estimator : estimator
    grid : dict
    supervised : bool
        Whether X is its target too, and the score its negative squared error; else the
        score is the explained variance.
    """

    estimator: BaseEstimator
    grid: dict[str, Any]
    supervised: bool

    def search(self, X: np.ndarray, n_jobs: int) -> tuple[float, float]:
        """Search once; return the seconds and the best candidate's error.

        The error is that on the held-out folds, over the variance of their rows.
        """
        search = GridSearchCV(
            self.estimator,
            self.grid,
            scoring=SQUARED_ERROR if self.supervised else reconstruction_scorer,
            cv=FOLDS,
            n_jobs=n_jobs,
            refit=False,
        )
        y = X if self.supervised else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            seconds, _ = timed(time.perf_counter, search.fit, X, y)
        best = search.best_index_
        scores = [search.cv_results_[f"split{i}_test_score"][best] for i in range(3)]
        if not self.supervised:
            return seconds, 1 - float(np.mean(scores))
        variances = [X[rows].var(axis=0).mean() for _, rows in FOLDS.split(X)]
        return seconds, -float(np.mean(np.divide(scores, variances)))


def rivals(epochs: int) -> dict[str, Rival]:
    """Return who takes turns."""
    mirrored = [(*hidden, K, *reversed(hidden)) for hidden in HIDDEN]
    same = AutoEncoderTransformer(
        K,
        activation="relu",
        init="random",
        optimizer="adam",
        max_epochs=epochs,
        batch_size=BATCH,
        early_stopping=False,
        device="cpu",
        net_params={"gradient_clip": None, "weight_average": None},
        random_state=0,
    )
    defaults = AutoEncoderTransformer(
        K, max_epochs=epochs, early_stopping=False, device="cpu", random_state=0
    )
    skorch = NeuralNetRegressor(
        Stack,
        optimizer=torch.optim.Adam,
        batch_size=BATCH,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    mlp = MLPRegressor(
        alpha=0.0,
        batch_size=BATCH,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )
    own_grid = {"hidden_layer_sizes": HIDDEN, "lr": RATES}
    skorch_grid = {"module__hidden": HIDDEN, "lr": RATES}
    mlp_grid = {"hidden_layer_sizes": mirrored, "learning_rate_init": RATES}
    return {
        OURS: Rival(same, own_grid, supervised=False),
        SKORCH: Rival(skorch, skorch_grid, supervised=True),
        MLP: Rival(mlp, mlp_grid, supervised=True),
        DEFAULTS: Rival(defaults, own_grid, supervised=False),
    }


def measure(X: np.ndarray, args: argparse.Namespace) -> Turns:
    """Let all take turns; the first, of one epoch, does not count."""
    short, whole = rivals(1), rivals(args.epochs)

    def search(who: tuple[int, str], repetition: int) -> tuple[float, float]:
        torch.manual_seed(repetition)
        n_jobs, name = who
        return (whole if repetition else short)[name].search(X, n_jobs)

    every = [(n_jobs, name) for n_jobs in args.jobs for name in whole]
    return take_turns(every, search, args.repetitions)


def report(turns: Turns, args: argparse.Namespace) -> str:
    """Return the table, and below it how the targets were met."""
    columns = {
        "search": lambda who: who[1],
        "jobs": lambda who: str(who[0]),
        "seconds": lambda who: number(seconds(turns, who), 2),
        "over ours": lambda who: number(ratio(turns, who, (who[0], OURS)), 2),
        "best candidate's error": lambda who: number(
            median(error for _, error in turns[who])
        ),
    }
    lines = []
    targets = ((SKORCH, AS_FAST_AS_SKORCH), (MLP, AS_FAST_AS_MLP))
    for name, target in targets if 1 in args.jobs else ():
        measured = ratio(turns, (1, name), (1, OURS))
        lines.append(verdict(f"{name} / {OURS}, one job", measured, ">=", target))
    return document(tabulate(turns, columns), "\n".join(lines)).rstrip()


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--repetitions", type=int, default=3, help="turns of each (default 3)")
    add("--epochs", type=int, default=20, help="of each fit (default 20)")
    add("--jobs", type=int, nargs="+", default=[1, 2], help="default 1 2")
    # One thread by environment variables, so that worker processes have one too.
    args = parse(parser)
    X = StandardScaler().fit_transform(digits(Path()))
    n = len(HIDDEN) * len(RATES)
    title = (
        f"# Time of a grid search: {n} candidates, 3 folds, {args.epochs} epochs, "
        f"batch {BATCH}, digits, medians of {args.repetitions} alternating repetitions"
    )
    note = f"torch {torch.__version__}; {load_note()} at the start."
    publish(args.write, title, note, report(measure(X, args), args))


if __name__ == "__main__":
    main()
