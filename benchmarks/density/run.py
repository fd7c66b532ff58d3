"""Held-out log density of the variational autoencoder beside its rivals.

    python -m benchmarks.density.run
    python -m benchmarks.density.run --data DIR --results density.jsonl
    python -m benchmarks.density.run --data DIR --samples --k 5

Mean log density of a quarter of the rows that no fit has seen, in nats a row, columns
standardized on the training rows and constant ones dropped: of `VAETransformer` with
either prior, of PCA (`PCA.score`) with as many components, of a Gaussian mixture of
full covariances, its parts by Bayes' criterion, and of `KernelDensity`, its bandwidth
by rows left out.

Each twice. As the data are, columns of few values have a density as high as a method
cares to make it. So the second reading adds normal noise of a tenth of a deviation to
every cell, training and held-out: no density can then be narrower than that. Methods
are ranked by it. The k of ours, and its prior, are chosen by the rows that its training
held out.

`--samples` has a classifier tell drawn rows from held-out ones, by the area under its
curve (0.5 is best), and gives the median distance to the nearest training row over
that of held-out rows (1 is best). Drawn numbers are moved to the nearest training
value, but for columns of up to ten values.

Only sets that defaults may be tuned on are run; `--confirm` runs others instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, some_rows, split_missing
from benchmarks._shared.report import missing_files, publish
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note
from benchmarks.density.methods import (
    Density,
    independent,
    kernel,
    mixture,
    pca,
    variational,
)
from benchmarks.density.report import density_report, samples_report
from benchmarks.density.samples import judged

CARRIED = ("digits", "breast_cancer", "wine", "diabetes", "adult")
WITH_DATA = (
    *CARRIED,
    "ad_cardio",
    "ad_fault",
    "ad_ionosphere",
    "ad_pageblocks",
    "ad_thyroid",
    "ad_yeast",
    "california_housing",
    "diamonds",
    "nab_series",
)
CONFIRM = (
    "ad_cover",
    "ad_magic_gamma",
    "ad_musk",
    "ad_pendigits",
    "ad_wilt",
    "bank_marketing",
    "cells_segmentation",
    "credit_default_taiwan",
    "ecg5000_train",
    "molecules_esol",
    "online_shoppers",
    "usps",
)
TEST_SHARE = 0.25
NOISE = 0.1
READINGS = {"as is": 0.0, "noise": NOISE}
DENSITY, SAMPLES = "density", "samples"

Split = tuple[np.ndarray, np.ndarray]


def split(X: np.ndarray, seed: int, noise: float) -> Split:
    """Return standardized training and held-out rows, noise of a seed of its own."""
    train, test = train_test_split(
        X.astype(np.float64), test_size=TEST_SHARE, random_state=seed
    )
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    varies = deviation > 1e-6 * np.abs(train).max(axis=0)
    rng = np.random.default_rng([seed, 1])
    parts = []
    for part in (train, test):
        rows = (part[:, varies] - mean[varies]) / deviation[varies]
        parts.append(rows + noise * rng.standard_normal(rows.shape))
    return parts[0], parts[1]


class Runs:
    """All runs on one split of a set, each at most once.

    Parameters
    ----------
    lines : Lines
        Where results go.
    name, reading : str
    n_rows, seed : int
    train, test : ndarray
    """

    def __init__(
        self, lines: Lines, name: str, reading: str, n_rows: int, seed: int, rows: Split
    ) -> None:
        self.lines, self.name, self.reading = lines, name, reading
        self.n_rows, self.seed = n_rows, seed
        self.train, self.test = rows

    def do(
        self, task: str, k: int, names: list[str], fit: Callable[[], list[Density]]
    ) -> None:
        """Fit densities, unless all of them have been, and keep what comes out."""
        lines = [
            Line(task, self.name, self.reading, k, self.seed, run, *self._sizes())
            for run in names
        ]
        if all(line.key in self.lines for line in lines):
            return
        for line, density in zip(lines, fit(), strict=True):
            if task == SAMPLES:
                values = judged(density, self.train, self.test, self.seed)
            else:
                values = {
                    "score": float(density.score(self.test).mean()),
                    **density.values,
                }
                if density.bound is not None:
                    values["bound"] = float(density.bound(self.test).mean())
            line.values.update(values)
            self.lines.add(line)

    def _sizes(self) -> tuple[int, int, int]:
        return self.n_rows, self.train.shape[1], len(self.train)

    def every(self, task: str, sizes: list[int]) -> None:
        """Run all methods, ours and PCA with each number of components."""
        train, seed = self.train, self.seed
        self.do(task, 0, ["GMM"], lambda: [mixture(train, seed)])
        if task == DENSITY:
            self.do(task, 0, ["KDE"], lambda: [kernel(train)])
        else:
            self.do(task, 0, ["columns"], lambda: [independent(train)])
        rank = int(np.linalg.matrix_rank(train))
        for k in sizes:
            if k >= rank:
                continue
            if task == DENSITY:
                self.do(task, k, ["PCA"], lambda k=k: [pca(train, k)])
            ours = ["VAE", "VAE, mixture"]
            self.do(task, k, ours, lambda k=k: variational(train, k, seed))


def main() -> None:
    """Run what has no result yet, and print the tables."""
    data = "folder with the open sets' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    add("--sets", nargs="+", choices=sorted(SETS), help="in place of the usual ones")
    add("--confirm", action="store_true", help="sets that no default was tuned on")
    add("--k", type=int, nargs="+", default=[2, 5, 10], help="default 2 5 10")
    add("--rows", type=int, default=3_000, help="at most, at random (default 3,000)")
    add("--seeds", type=int, default=1, help="splits (default 1)")
    add("--samples", action="store_true", help="judge drawn rows, not densities")
    add("--tables", action="store_true", help="only print what --results has")
    args = parse(parser)
    names = args.sets or (CONFIRM if args.confirm else WITH_DATA)
    if not (args.sets or args.data):
        names = CARRIED
    names, missing = split_missing(names, args.data)
    task = SAMPLES if args.samples else DENSITY
    lines = Lines(args.results)
    for name in [] if args.tables else tqdm(names):
        X = some_rows(SETS[name].load(args.data), args.rows)
        lines.check_rows(name, len(X))
        for seed in range(args.seeds):
            for reading in ["as is"] if args.samples else READINGS:
                rows = split(X, seed, READINGS[reading])
                runs = Runs(lines, name, reading, len(X), seed, rows)
                runs.every(task, args.k)
    report = samples_report if args.samples else density_report
    chosen = [x for x in lines.all.values() if x.name in names and x.task == task]
    publish(args.write, *report(chosen, load_note()), *missing_files(missing))


if __name__ == "__main__":
    main()
