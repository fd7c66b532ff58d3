"""Whether a network gains by hidden features beside its columns, on insurers' tables.

    python -m benchmarks.porto.beside --data DIR
    python -m benchmarks.porto.beside --data DIR --rows 20000 --results beside.jsonl

`DenoisingAutoEncoderTransformer(features="hidden", passthrough=True)` at its defaults
is fitted to all rows of an insurer's table, encoded as `porto.run` encodes it, without
the claims. A network of 32 units learns these on the columns, and on the features
beside the columns; five folds, on the same rows. *Gini* is 2 AUC - 1 of the rows held
out, the mean over the folds; *gain* is the mean of the folds' differences, and *±* its
standard error. `--results` keeps what is measured, a line a table, so that a run that
is cut off goes on.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import (
    markdown_table,
    mean,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note, timed
from benchmarks.porto.tables import INSURANCE, N_TEST, N_TRAIN, insurance
from benchmarks.tables.features_methods import small_mlp
from sk_autoencoder import DenoisingAutoEncoderTransformer

FOLDS = 5
WITHOUT, WITH = "columns", "features beside them"


def ginis(X: np.ndarray, y: np.ndarray, seed: int) -> list[float]:
    """Return the gini of the rows held out in each fold."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(X, y)
    return [2 * small_mlp(X, y, train, seed) - 1 for train, _ in folds]


def measure(rows: np.ndarray, y: np.ndarray, seed: int) -> dict[str, float]:
    """Return the ginis of each fold, with features and without, and the seconds."""
    extractor = DenoisingAutoEncoderTransformer(
        features="hidden", passthrough=True, device="cpu", random_state=seed
    )
    seconds, both = timed(time.process_time, extractor.fit_transform, rows)
    found = {WITHOUT: ginis(rows, y, seed), WITH: ginis(both, y, seed)}
    folds = {f"{name} {i}": v for name, own in found.items() for i, v in enumerate(own)}
    return folds | {"seconds": seconds}


def folds_of(line: Line, name: str) -> np.ndarray:
    """Return the figures of the folds."""
    return np.array([line.values[f"{name} {i}"] for i in range(FOLDS)])


def report(lines: list[Line]) -> list[str]:
    """Return the table, and on how many tables nothing is lost."""
    rows, kept = [], []
    for line in lines:
        without, beside = (folds_of(line, name) for name in (WITHOUT, WITH))
        gain = beside - without
        error = gain.std(ddof=1) / FOLDS**0.5
        kept.append(bool(gain.mean() >= -error))
        figures = (without.mean(), beside.mean(), gain.mean(), error)
        rows.append(
            (
                line.name,
                f"{line.n_rows:,}",
                *(number(float(v), 4) for v in figures),
                number(line.values["seconds"], 1),
            )
        )
    header = ("table", "rows", WITHOUT, WITH, "gain", "±", "features, s")
    at_least = "no less than without, within a standard error"
    return [
        f"# Gini of a network of 32 units, {FOLDS} folds ({load_note()})",
        markdown_table(header, rows),
        verdict(f"{at_least}, fraction of tables", mean(kept), ">=", 1.0),
    ]


def main() -> None:
    """Print a table, a row an insurer."""
    parser = command_line(__doc__, data="the insurers' tables", results=True)
    add = parser.add_argument
    add("--sets", nargs="+", choices=INSURANCE, default=INSURANCE)
    add("--rows", type=int, default=8_000, help="at most, at random (default 8,000)")
    add("--seed", type=int, default=0)
    args = parse(parser)
    folder, missing, lines = args.data or Path(), [], []
    kept = Lines(args.results)
    for name in tqdm(args.sets):
        if not (folder / f"{name}.csv.gz").is_file():
            missing.append(name)
            continue
        task = insurance(folder, name, args.rows / (N_TRAIN + N_TEST), args.seed)
        y = np.concatenate([task.y_train, task.y_test])
        kept.check_rows(name, len(y))
        sizes = (*task.rows.shape, len(y))
        line = Line("beside", name, "encoded", 0, args.seed, WITH, *sizes)
        lines.append(kept.measure(line, partial(measure, task.rows, y, args.seed)))
    parts = report(lines) if lines else []
    publish(args.write, *parts, *missing_files(missing))


if __name__ == "__main__":
    main()
