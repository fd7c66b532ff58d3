"""Held-out error of recurrent networks on series, beside the default network's.

    python -m benchmarks.series.run
    python -m benchmarks.series.run --data DIR --k 5 --splits 2

Squared error of `AutoEncoderTransformer(k)` on the quarter of the series that no fit
has seen, with `network=RecurrentNet(shape)` and with the default dense network on the
same flattened rows, each started from PCA, its default, and at random; all else is as
it comes. Errors are over that of PCA with as many components, and, for the target, over
that of the default network as it comes. The made-up series have no anomalies; they are
what the defaults of `RecurrentNet` were chosen on, with a look at the heartbeats.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, pca_error, split_missing, squared_error
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.timing import load_note, timed
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.datasets import make_series_anomalies
from sk_autoencoder.networks import RecurrentNet

MADE_UP = "made-up series"
FILES = ("ecg5000_train", "gunpoint")
Shape = tuple[int, int]

DENSE, DENSE_RANDOM = "dense", "dense, random start"
RECURRENT, RECURRENT_RANDOM = "recurrent", "recurrent, random start"
METHODS = {
    DENSE: (False, "pca"),
    DENSE_RANDOM: (False, "random"),
    RECURRENT: (True, "pca"),
    RECURRENT_RANDOM: (True, "random"),
}

MOST = 0.9
"""Target: error of a recurrent network over the default one's, on one set at least."""


def series_of(name: str, folder: Path | None, n_rows: int) -> tuple[np.ndarray, Shape]:
    """Return the flattened series of a set, and (n_steps, n_channels)."""
    if name == MADE_UP:
        made = make_series_anomalies(n_rows, contamination=0.0, random_state=0)
        return made.data.astype(np.float32), made.input_shape
    assert folder is not None
    X = SETS[name].load(folder)
    return X, (X.shape[1], 1)


def measure(
    X: np.ndarray, shape: Shape, k: int, split: int, **params: Any
) -> dict[str, tuple[float, float]]:
    """Return for each method its error over PCA's, and the seconds of its fit.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_steps * n_channels)
    shape : tuple of int
        (n_steps, n_channels).
    k : int
    split : int
        Seed of the split, and of the fits.
    **params
        Of the estimator.
    """
    train, test = train_test_split(X, random_state=split)
    of_pca = pca_error(train, test, k, split)
    results = {}
    for name, (is_recurrent, init) in METHODS.items():
        network = RecurrentNet(shape) if is_recurrent else None
        reducer = AutoEncoderTransformer(
            k, network=network, init=init, random_state=split, device="cpu", **params
        )
        seconds, _ = timed(time.process_time, reducer.fit, train)
        error = squared_error(test, reducer.reconstruct(test))
        results[name] = error / of_pca, seconds
    return results


def summary(
    measured: list[dict[str, tuple[float, float]]],
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return means over splits: errors over PCA's, over the default's, and seconds."""
    over_pca = {m: geometric_mean(r[m][0] for r in measured) for m in METHODS}
    over_dense = {m: over_pca[m] / over_pca[DENSE] for m in METHODS}
    seconds = {m: float(np.mean([r[m][1] for r in measured])) for m in METHODS}
    return over_pca, over_dense, seconds


def verdicts(best: dict[str, tuple[float, str]]) -> list[str]:
    """Return a line for each of the two starts.

    Parameters
    ----------
    best : dict
        For a method its least error over the default network's, and on which set.
    """
    return [
        verdict(f"{method} over dense, least ({where})", ratio, "<=", MOST)
        for method, (ratio, where) in best.items()
    ]


def main() -> None:
    """Print a table, a row for each set and number of components."""
    parser = command_line(__doc__, data="folder with the files of ECG5000 and GunPoint")
    add = parser.add_argument
    add("--k", type=int, nargs="+", default=[5, 8], help="components (default 5 8)")
    add("--splits", type=int, default=1, help="means are over them (default 1)")
    add("--rows", type=int, default=800, help="made-up series (default 800)")
    args = parse(parser)
    there, missing = split_missing(FILES, args.data)
    names = [MADE_UP, *there]
    rows, best = [], dict.fromkeys((RECURRENT, RECURRENT_RANDOM), (np.inf, ""))
    for name, k in tqdm([(name, k) for name in names for k in args.k]):
        X, shape = series_of(name, args.data, args.rows)
        measured = [measure(X, shape, k, split) for split in range(args.splits)]
        over_pca, over_dense, seconds = summary(measured)
        for method in best:
            best[method] = min(best[method], (over_dense[method], f"{name}, k = {k}"))
        cells = [number(over_pca[m]) for m in METHODS]
        cells += [f"{seconds[m]:.1f}" for m in (DENSE, RECURRENT)]
        rows.append((f"{name}, {shape[0]} x {shape[1]}", str(k), *cells))
    header = ("series, steps x channels", "k", *METHODS, "seconds, dense")
    publish(
        args.write,
        f"# Series: error over PCA's, {args.splits} split(s) ({load_note()})",
        markdown_table((*header, "seconds, recurrent"), rows),
        *verdicts(best),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
