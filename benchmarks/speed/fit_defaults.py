"""The part of `speed.fit` that times fits with nothing set but `n_components`."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from benchmarks._shared.data import adult, digits, some_rows
from benchmarks._shared.report import document, median, number, tabulate
from benchmarks._shared.timing import timed
from sk_autoencoder import AutoEncoderTransformer

K = 10
ADULT_ROWS = 2_000
MOST_TURNS = 3
SHARE = 0.9
"""Of the gain over PCA in the end, the part that most users would be content with."""


@dataclass(frozen=True)
class DefaultFit:
    """One fit, on a clock of wall time.

    Attributes
    ----------
    fit, epochs : float
        Seconds of the whole call, and of its epochs alone.
    n_epochs, n_columns : int
    error : float
        Held-out squared error of what is kept, over PCA's on the same rows.
    to_pca, to_share : float
        Seconds of the epochs until the held-out error is no more than PCA's, and until
        it has `SHARE` of the gain; NaN where it never has.
    """

    fit: float
    epochs: float
    n_epochs: int
    error: float
    to_pca: float
    to_share: float


def default_fits(args: argparse.Namespace) -> str:
    """Return the table of fits at the defaults."""
    sets = {
        "digits": digits(Path()),
        f"adult, {ADULT_ROWS:,} rows": some_rows(adult(Path()), ADULT_ROWS),
    }
    found = {}
    for name, X in sets.items():
        turns = tqdm(range(min(args.repetitions, MOST_TURNS)), desc=f"defaults, {name}")
        found[name] = [fit_at_defaults(X, seed, args.device) for seed in turns]

    def middle(figure: str, digits: int = 3) -> Callable[[str], str]:
        return lambda name: number(
            median(getattr(one, figure) for one in found[name]), digits
        )

    columns = {
        "default fit": str,
        "seconds": middle("fit"),
        "of these, epochs": middle("epochs"),
        "epochs run": middle("n_epochs", 0),
        "until as good as PCA": middle("to_pca"),
        f"until {SHARE:.0%} of the gain": middle("to_share"),
        "held-out error over PCA's": middle("error"),
    }
    title = f"## default fits: k = {K}, nothing else set, wall time"
    return document(title, tabulate(found, columns))


def fit_at_defaults(X: np.ndarray, seed: int, device: str) -> DefaultFit:
    """Fit once, and read from the curves when the held-out error was how large."""
    reducer = AutoEncoderTransformer(K, device=device, random_state=seed)
    seconds, _ = timed(time.perf_counter, reducer.fit, X)
    epochs = np.cumsum([row["dur"] for row in reducer.history_])
    curve = np.array(reducer.validation_loss_curve_) * _unit_over_pcas(reducer, X)
    if reducer.fell_back_to_pca_:
        error, to_share = 1.0, math.nan
    else:
        error = float(curve[reducer.best_epoch_ - 1])
        to_share = _seconds_until(1 - SHARE * (1 - error), curve, epochs)
    return DefaultFit(
        fit=seconds,
        epochs=float(epochs[-1]),
        n_epochs=len(epochs),
        error=error,
        to_pca=_seconds_until(1.0, curve, epochs),
        to_share=to_share,
    )


def _unit_over_pcas(reducer: AutoEncoderTransformer, X: np.ndarray) -> float:
    """Return by how much the curve has to be multiplied for PCA to be 1 in it.

    The curve's own unit is PCA's error on all rows; the held-out ones among them have
    a slightly different one, which is what the curve has to be compared with.
    """
    _, held_out = reducer.net_.get_split_datasets(X)
    rows = X[held_out.indices]
    pca = PCA(K, svd_solver="full").fit(X)
    projected = pca.inverse_transform(pca.transform(rows))
    of_pca = np.square(rows - projected, dtype=np.float64).mean()
    of_all = np.square(X - pca.inverse_transform(pca.transform(X)), dtype=np.float64)
    return float(of_all.mean() / of_pca)


def _seconds_until(level: float, curve: np.ndarray, seconds: np.ndarray) -> float:
    reached = np.flatnonzero(curve <= level)
    return float(seconds[reached[0]]) if len(reached) else math.nan
