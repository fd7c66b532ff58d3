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

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.common import (
    ensure_one_thread,
    geometric_mean,
    load_note,
    markdown_table,
    number,
    publish,
    verdict,
)
from benchmarks._shared.data import SETS
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


def squared_error(rows: np.ndarray, reconstruction: np.ndarray) -> float:
    """Sum over all cells."""
    return float(np.square(rows - reconstruction, dtype=np.float64).sum())


def series_of(name: str, folder: Path | None, n_rows: int) -> tuple[np.ndarray, Shape]:
    """Give the flattened series of a set, and (n_steps, n_channels)."""
    if name == MADE_UP:
        made = make_series_anomalies(n_rows, contamination=0.0, random_state=0)
        return made.data.astype(np.float32), made.input_shape
    assert folder is not None
    X = SETS[name].load(folder)
    return X, (X.shape[1], 1)


def measure(
    X: np.ndarray, shape: Shape, k: int, split: int, **params: Any
) -> dict[str, tuple[float, float]]:
    """Give for each method its error over PCA's, and the seconds of its fit.

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
    pca = PCA(k, random_state=split).fit(train)
    of_pca = squared_error(test, pca.inverse_transform(pca.transform(test)))
    results = {}
    for name, (is_recurrent, init) in METHODS.items():
        network = RecurrentNet(shape) if is_recurrent else None
        started = time.process_time()
        reducer = AutoEncoderTransformer(
            k, network=network, init=init, random_state=split, device="cpu", **params
        ).fit(train)
        seconds = time.process_time() - started
        error = squared_error(test, reducer.reconstruct(test))
        results[name] = error / of_pca, seconds
    return results


def summary(
    measured: list[dict[str, tuple[float, float]]],
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Give means over splits: errors over PCA's, over the default's, and seconds."""
    over_pca = {m: geometric_mean(r[m][0] for r in measured) for m in METHODS}
    over_dense = {m: over_pca[m] / over_pca[DENSE] for m in METHODS}
    seconds = {m: float(np.mean([r[m][1] for r in measured])) for m in METHODS}
    return over_pca, over_dense, seconds


def verdicts(best: dict[str, tuple[float, str]]) -> list[str]:
    """Give a line for each of the two starts.

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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--k", type=int, nargs="+", default=[5, 8], help="components (default 5 8)")
    add("--splits", type=int, default=1, help="means are over them (default 1)")
    add("--rows", type=int, default=800, help="made-up series (default 800)")
    add("--data", type=Path, help="folder with the files of ECG5000 and GunPoint")
    add("--write", type=Path, metavar="FILE", help="also write the table there")
    args = parser.parse_args()
    ensure_one_thread()
    missing = [name for name in FILES if SETS[name].missing(args.data)]
    names = [MADE_UP, *(name for name in FILES if name not in missing)]
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
    lines = [
        f"# Series: error over PCA's, {args.splits} split(s) ({load_note()})",
        markdown_table((*header, "seconds, recurrent"), rows),
        *verdicts(best),
    ]
    if missing:
        lines.append(f"- no file for: {', '.join(missing)}")
    publish("\n\n".join(lines), args.write)


if __name__ == "__main__":
    main()
