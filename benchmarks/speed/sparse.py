"""Time and memory of fits to wide sparse rows, beside PCA on the same matrix.

    python -m benchmarks.speed.sparse
    python -m benchmarks.speed.sparse --rows 500 --columns 2000 --repetitions 1

The matrix is random. Fits take turns, in seconds of processor time. The time of the
decoder's weights, which PCA has none of, is measured by itself and taken off the fit
without epochs. An epoch is half of what three take longer than one. Memory is what a
fit of two epochs needs beside the matrix, in a process of its own: that of the weights
(themselves, their gradient, two moments of Adam's, their average, and the states that
are kept of the start and of the best epoch), and the rest in dense batches.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import PCA
from torch import nn

from benchmarks._shared.command import command_line, in_fresh_process, parse
from benchmarks._shared.report import number, publish, tabulate, verdict
from benchmarks._shared.timing import load_note, ratio, seconds, take_turns, timed
from benchmarks.speed.memory import MEGABYTE, PeakMemory

K = 10
PCA_ROW, START, WEIGHTS, ONE, THREE = (
    'PCA(svd_solver="arpack")',
    "AutoEncoderTransformer, max_epochs=0",
    "the decoder's weights",
    "AutoEncoderTransformer, one epoch",
    "AutoEncoderTransformer, three epochs",
)
EPOCHS = {START: 0, ONE: 1, THREE: 3}
COPIES = 7
"""Vectors as long as all weights: see above."""


def matrix(rows: int, columns: int, density: float) -> Any:
    """Make the sparse matrix."""
    generator = np.random.RandomState(0)  # scipy 1.11 takes no other
    return sparse.random(rows, columns, density, format="csr", random_state=generator)


def reducer(epochs: int) -> Any:
    """Return the transformer that is fitted."""
    from sk_autoencoder import AutoEncoderTransformer

    return AutoEncoderTransformer(K, max_epochs=epochs, random_state=0, device="cpu")


def run(name: str, X: Any) -> float:
    """Return the seconds of one contender."""
    if name == PCA_ROW:
        pca = PCA(K, svd_solver="arpack", random_state=0)
        return timed(time.process_time, pca.fit, X)[0]
    if name == WEIGHTS:
        sizes = itertools.pairwise((K, 128, 256, X.shape[1]))
        return timed(time.process_time, list, itertools.starmap(nn.Linear, sizes))[0]
    return timed(time.process_time, reducer(EPOCHS[name]).fit, X)[0]


def distance(X: Any) -> float:
    """Return how far the components before training are from PCA's, at most."""
    expected = PCA(K, svd_solver="arpack", random_state=0).fit(X).components_
    found = reducer(0).fit(X).components_
    signs = np.sign(np.sum(found * expected, axis=1, keepdims=True))
    return float(np.abs(found * signs - expected).max())


def memory(rows: int, columns: int, density: float) -> tuple[float, float, float]:
    """Return megabytes of a fit, those of its weights, and dense batches beside."""
    X = matrix(rows, columns, density)
    reducer(1).fit(matrix(64, 32, 0.1))
    with PeakMemory() as peak:
        fitted = reducer(2).fit(X)
    weights = 4 * COPIES * fitted.module_.n_weights()
    batch = 4 * fitted.net_.batch_size * columns
    parts = peak.resident, weights, (peak.resident - weights) / batch
    return parts[0] / MEGABYTE, parts[1] / MEGABYTE, parts[2]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=2000)
    add("--columns", type=int, default=20_000)
    add("--density", type=float, default=0.002)
    add("--repetitions", type=int, default=3, help="turns of each (default 3)")
    args = parse(parser)
    shape = args.rows, args.columns, args.density
    X, names = matrix(*shape), (PCA_ROW, WEIGHTS, *EPOCHS)
    turns = take_turns(names, lambda name, _: (run(name, X),), args.repetitions)
    start = [
        (own[0] - weights[0]) / pca[0]
        for own, weights, pca in zip(
            turns[START], turns[WEIGHTS], turns[PCA_ROW], strict=True
        )
    ]
    epoch = (seconds(turns, THREE) - seconds(turns, ONE)) / 2
    resident, weights, batches = in_fresh_process(memory, *shape)
    columns = {
        "what": str,
        "seconds": lambda name: number(seconds(turns, name)),
        "of PCA": lambda name: number(ratio(turns, name, PCA_ROW), 2),
    }
    verdicts = (
        verdict("no epochs, less the weights, of PCA", np.median(start), "<=", 4.0),
        verdict("seconds of an epoch", epoch, "<=", 1.0),
        verdict(
            "largest distance of components from PCA's", distance(X), "<=", 1e-6, ".1e"
        ),
        verdict("dense batches beside the weights", batches, "<=", 3.0),
    )
    publish(
        args.write,
        f"# Sparse rows, {args.rows:,} x {args.columns:,}, density {args.density:g}",
        f"torch {torch.__version__}; {load_note()} at the start.",
        tabulate(names, columns),
        f"A fit of two epochs needs {resident:,.0f} MB, {weights:,.0f} MB of these for "
        "the weights.",
        "\n".join(verdicts),
    )


if __name__ == "__main__":
    main()
