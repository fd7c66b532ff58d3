"""Time of a grid search beside stock skorch and scikit-learn's `MLPRegressor`.

Eight candidates, four networks at two learning rates, on three folds of the
standardised digits: 24 fits and as many scores, in whole seconds of
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
from tqdm import tqdm

from benchmarks._shared.common import (
    ensure_one_thread,
    load_note,
    markdown_table,
    median,
    number,
    publish,
    verdict,
)
from benchmarks._shared.competitors import dense_stack
from benchmarks._shared.data import digits
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
            scoring="neg_mean_squared_error"
            if self.supervised
            else reconstruction_scorer,
            cv=FOLDS,
            n_jobs=n_jobs,
            refit=False,
        )
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search.fit(X, X if self.supervised else None)
        seconds = time.perf_counter() - started
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


Results = dict[tuple[int, str], list[tuple[float, float]]]


def measure(X: np.ndarray, args: argparse.Namespace) -> Results:
    """Let all take turns, after a search each of one epoch that is not counted."""
    short, whole = rivals(1), rivals(args.epochs)
    turns = [(n_jobs, name) for n_jobs in args.jobs for name in whole]
    results: Results = {turn: [] for turn in turns}
    with tqdm(total=(args.repetitions + 1) * len(turns)) as bar:
        for repetition in range(args.repetitions + 1):
            for n_jobs, name in turns if repetition % 2 else turns[::-1]:
                torch.manual_seed(repetition)
                if repetition:
                    measured = whole[name].search(X, n_jobs)
                    results[n_jobs, name].append(measured)
                else:
                    short[name].search(X, n_jobs)
                bar.update()
    return results


def ratio(results: Results, n_jobs: int, name: str, base: str) -> float:
    """Return the median over the turns of one's seconds over another's."""
    pairs = zip(results[n_jobs, name], results[n_jobs, base], strict=True)
    return median(mine[0] / theirs[0] for mine, theirs in pairs)


def report(results: Results, args: argparse.Namespace) -> str:
    """Return the table, and below it how the targets were met."""
    rows = []
    for (n_jobs, name), measured in results.items():
        seconds = median(t for t, _ in measured)
        rows.append(
            (
                name,
                str(n_jobs),
                number(seconds, 2),
                number(ratio(results, n_jobs, name, OURS), 2),
                number(median(error for _, error in measured)),
            )
        )
    header = ("search", "jobs", "seconds", "over ours", "best candidate's error")
    lines = []
    targets = ((SKORCH, AS_FAST_AS_SKORCH), (MLP, AS_FAST_AS_MLP))
    for name, target in targets if 1 in args.jobs else ():
        measured = ratio(results, 1, name, OURS)
        lines.append(verdict(f"{name} / {OURS}, one job", measured, ">=", target))
    return "\n\n".join((markdown_table(header, rows), "\n".join(lines))).rstrip()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repetitions", type=int, default=3, help="turns of each (default 3)")
    add("--epochs", type=int, default=20, help="of each fit (default 20)")
    add("--jobs", type=int, nargs="+", default=[1, 2], help="default 1 2")
    add("--write", type=Path, metavar="FILE", help="also write the table there")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    # By environment variables, so that worker processes have one thread each too.
    ensure_one_thread()
    torch.set_num_threads(1)
    X = StandardScaler().fit_transform(digits(Path()))
    n = len(HIDDEN) * len(RATES)
    title = (
        f"# Time of a grid search: {n} candidates, 3 folds, {args.epochs} epochs, "
        f"batch {BATCH}, digits, medians of {args.repetitions} alternating repetitions"
    )
    note = f"torch {torch.__version__}; {load_note()} at the start."
    results = measure(X, args)
    publish("\n\n".join((title, note, report(results, args))), args.write)


if __name__ == "__main__":
    main()
