"""Whether samples of a table are told from its rows.

    python -m benchmarks.tables.samples
    python -m benchmarks.tables.samples --data DIR --sets adult diamonds

Each method is fitted to some complete rows, and makes as many samples as there are
other rows. Boosted trees are trained to tell the one from the other; the AUC is that of
five folds, .5 where they cannot. *Nearest* is the median distance of a sample to the
training row that is nearest to it, over that of the other rows: a method that copies
rows is well below 1. *Margins* are distances in total variation between samples and
the other rows, of a column's levels or tenths, and of those of two columns at once; of
training rows they are what chance alone makes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from benchmarks._shared.command import parse
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    mean,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note, timed
from benchmarks.tables.impute import (
    load,
    parser_of_tables,
    prepared,
    split_tables,
)
from benchmarks.tables.impute_methods import encoded, is_number
from sk_autoencoder import DenoisingAutoEncoderTransformer, VAETransformer

OURS, VAE, APART = "masked network", "VAETransformer", "each column by itself"
ROWS = "training rows"
AUC, NEAREST, FIT, DRAW = "auc", "nearest", "fit", "draw"
ONE, TWO = "one", "two"
FLOOR = 1.2
"""Times the margins of training rows that those of samples are to be at most."""

Sampler = Callable[[int], pd.DataFrame]


def fitted_sampler(estimator: object, train: pd.DataFrame, seed: int) -> Sampler:
    """Fit a transformer, and return what samples from it."""
    estimator.set_params(random_state=seed, device="cpu")
    estimator.set_output(transform="pandas").fit(train)
    return partial(estimator.sample, random_state=seed)


def columns_apart(train: pd.DataFrame, seed: int) -> Sampler:
    """Return what samples each column by itself."""

    def sample(n: int) -> pd.DataFrame:
        columns = [
            train[name].sample(
                n, replace=True, random_state=seed + i, ignore_index=True
            )
            for i, name in enumerate(train)
        ]
        return pd.concat(columns, axis=1)

    return sample


def training_rows(train: pd.DataFrame, seed: int) -> Sampler:
    """Return what gives rows back: the floor of what can be told apart."""
    return lambda n: train.sample(n, random_state=seed, ignore_index=True)


METHODS: dict[str, Callable[[pd.DataFrame, int], Sampler]] = {
    OURS: lambda train, seed: fitted_sampler(
        DenoisingAutoEncoderTransformer(features="reconstruction"), train, seed
    ),
    VAE: lambda train, seed: fitted_sampler(VAETransformer(10), train, seed),
    APART: columns_apart,
    ROWS: training_rows,
}


def separation(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Return the AUC by which boosted trees tell samples from rows."""
    both = pd.concat([real, made[list(real)].astype(real.dtypes)], ignore_index=True)
    is_made = np.repeat([0, 1], [len(real), len(made)])
    model = HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    )
    scores = cross_val_predict(model, both, is_made, cv=5, method="predict_proba")
    return float(roc_auc_score(is_made, scores[:, 1]))


def nearest(train: pd.DataFrame, real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Return the median distance to the nearest training row, over that of rows."""
    made = made[list(real)].astype(real.dtypes)
    together = pd.concat([train, real, made], ignore_index=True)
    table = np.hstack([block.to_numpy() for block in encoded(together)])
    parts = np.split(table, [len(train), len(train) + len(real)])
    search = NearestNeighbors(n_neighbors=1).fit(parts[0])
    rows, samples = (np.median(search.kneighbors(part)[0]) for part in parts[1:])
    return float(samples / rows) if rows else np.nan


def margins(real: pd.DataFrame, made: pd.DataFrame) -> tuple[float, float]:
    """Return the distances of margins of one and of two columns, in the mean."""
    codes = []
    for name in real:
        if is_number(real[name]):
            edges = np.unique(np.quantile(real[name], np.arange(1, 10) / 10))
            pair = [np.searchsorted(edges, frame[name]) for frame in (real, made)]
        else:
            levels = real[name].cat.categories
            pair = [pd.Categorical(f[name], levels).codes for f in (real, made)]
        codes.append([np.asarray(own, np.int64) for own in pair])
    ones = [distance(*pair) for pair in codes]
    twos = [
        distance(*(1000 * a + b for a, b in zip(first, second, strict=True)))
        for first, second in itertools.combinations(codes, 2)
    ]
    return mean(ones), mean(twos) if twos else np.nan


def distance(real: np.ndarray, made: np.ndarray) -> float:
    """Return the distance in total variation of two samples of whole numbers."""
    _, index = np.unique(np.append(real, made), return_inverse=True)
    parts = index[: len(real)], index[len(real) :]
    shares = [np.bincount(p, minlength=index.max() + 1) / len(p) for p in parts]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def measure(
    method: Callable[[pd.DataFrame, int], Sampler],
    train: pd.DataFrame,
    real: pd.DataFrame,
    seed: int,
) -> dict[str, float]:
    """Return how samples compare with held-out rows, and the processor's seconds."""
    fit, sampler = timed(time.process_time, method, train, seed)
    draw, made = timed(time.process_time, sampler, len(real))
    near = nearest(train, real, made)
    values = {AUC: separation(real, made), NEAREST: near, FIT: fit, DRAW: draw}
    return values | dict(zip((ONE, TWO), margins(real, made), strict=True))


def report(lines: list[Line], args: argparse.Namespace) -> list[str]:
    """Return the table and the targets."""
    rows = [
        (
            line.name,
            line.run,
            *(number(line.values[what]) for what in (AUC, NEAREST, ONE, TWO)),
            *(number(line.values[what], 1) for what in (FIT, DRAW)),
        )
        for line in lines
    ]
    margins = ("one margin", "two margins")
    header = ("table", "samples of", "AUC", "nearest", *margins, "fit, s", "samples, s")
    aucs = [line.values[AUC] for line in lines if line.run == OURS]
    parts = [
        f"# Samples told from rows, {args.rows:,} training rows ({load_note()})",
        markdown_table(header, rows),
    ]
    if aucs:
        near = [line.values[NEAREST] for line in lines if line.run == OURS]
        parts.append(
            "\n".join(
                [
                    verdict("AUC, mean over the tables", mean(aucs), "<=", 0.62),
                    verdict("AUC, highest", max(aucs), "<=", 0.70),
                    verdict("nearest, geometric mean", geometric_mean(near), ">=", 1),
                    *over_floor(lines),
                ]
            )
        )
    return parts


def over_floor(lines: list[Line]) -> list[str]:
    """Return how far margins of samples are, over those of training rows."""
    by_run = {(line.name, line.run): line.values for line in lines}
    pairs = [
        (values, by_run[name, ROWS])
        for (name, run), values in by_run.items()
        if run == OURS and (name, ROWS) in by_run
    ]
    return [
        verdict(
            f"{title}, over training rows', geometric mean",
            geometric_mean([own[what] / floor[what] for own, floor in pairs]),
            "<=",
            FLOOR,
        )
        for what, title in ((ONE, "one margin"), (TWO, "two margins"))
        if pairs
    ]


def main() -> None:
    """Print a table, a row a table and method."""
    parser = parser_of_tables(__doc__, 3_000)
    methods = list(METHODS)
    parser.add_argument("--methods", nargs="+", choices=methods, help="default: all")
    args = parse(parser)
    names, missing = split_tables(args)
    kept, lines = Lines(args.results), []
    for name in tqdm(names):
        frame = prepared(load(name, args.data), 3 * args.rows // 2, 0)
        n_train = 2 * len(frame) // 3
        case = f"{n_train} rows"
        train, real = frame[:n_train], frame[n_train:].reset_index(drop=True)
        for run in args.methods or METHODS:
            line = Line("samples", name, case, 0, 0, run, *frame.shape, n_train)
            lines.append(
                kept.measure(line, partial(measure, METHODS[run], train, real, 0))
            )
    publish(args.write, *report(lines, args), *missing_files(missing))


if __name__ == "__main__":
    main()
