"""Features as input of other models, by the protocol of TabEmbedBench.

    python -m benchmarks.tables.embed
    python -m benchmarks.tables.embed --data DIR --results embed.jsonl --seeds 2
    python -m benchmarks.tables.embed --data DIR --kinds outliers --sets ad_musk ad_wilt

Features are fitted without labels: to the training rows of a table, of which other rows
are predicted by nearest neighbors and a linear model; or to all rows of a set with
outliers, which are scored by local outlier factors and isolation forests. Judges see
features as they come. Encodings, PCA, codes of an autoencoder and hidden features of a
denoising one stand beside each other, all at their defaults; codes and components are a
quarter and a half as many as the encoding's columns. README.md has the protocol, and
where this departs from it.
"""

from __future__ import annotations

import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import missing_files, publish
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note, timed
from benchmarks.tables.embed_methods import (
    FEATURES,
    classification,
    encoding,
    outliers,
    regression,
)
from benchmarks.tables.embed_report import COLUMNS, SECONDS, report
from benchmarks.tables.embed_tables import (
    CARRIED,
    CLASSES,
    KINDS,
    OPEN,
    OUTLIERS,
    Task,
    load,
    wanted,
)

TEST = 1 / 3
"""Of the rows, as in the one fold of TabArena Lite."""


def split(task: Task, seed: int) -> tuple:
    """Return training and test rows, and their targets; no test rows for outliers."""
    if task.kind == OUTLIERS:
        return task.X, task.X.head(0), task.y, task.y[:0]
    classes = task.y if task.kind == CLASSES else None
    return train_test_split(
        task.X, task.y, test_size=TEST, random_state=seed, stratify=classes
    )


def features(
    run: str, train: pd.DataFrame, test: pd.DataFrame, seed: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the seconds of the fit, and what it makes of both."""
    n_columns = len(encoding().fit(train).get_feature_names_out())
    extractor = FEATURES[run].make(n_columns, seed)
    seconds, _ = timed(time.process_time, extractor.fit, train)
    parts = [part for part in (train, test) if len(part)]
    made = [np.asarray(extractor.transform(p), dtype=np.float64) for p in parts]
    return seconds, made[0], made[-1]


def measured(task: Task, run: str, seed: int) -> dict[str, float]:
    """Fit features and judge them."""
    train, test, y_train, y_test = split(task, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few rows, and of levels that were not seen
        seconds, A, B = features(run, train, test, seed)
        if task.kind == OUTLIERS:
            figures = outliers(A, y_train, seed)
        else:
            judge = classification if task.kind == CLASSES else regression
            figures = judge(A, y_train, B, y_test)
    return {**figures, COLUMNS: A.shape[1], SECONDS: seconds}


def main(arguments: list[str] | None = None) -> None:
    """Measure what has no result yet, and print the tables."""
    data = "folder with the open tables' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    known = dict.fromkeys(n for each in (CARRIED, OPEN) for k in KINDS for n in each[k])
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    add("--sets", nargs="+", choices=list(known), help="default: all")
    add("--runs", nargs="+", choices=list(FEATURES), help="default: all features")
    add("--rows", type=int, default=4_000, help="at most (default 4,000)")
    add("--seeds", type=int, default=1, help="of rows, splits, fits (default 1)")
    args = parse(parser, arguments)
    runs = args.runs or list(FEATURES)
    absent = [run for run in runs if FEATURES[run].missing]
    tables, missing = wanted(args.kinds, args.sets, args.data)
    kept, lines = Lines(args.results), []
    rounds = [(seed, *table) for seed in range(args.seeds) for table in tables]
    for seed, kind, name in tqdm(rounds, disable=None):
        task = load(kind, name, args.data, args.rows, seed)
        n_train = len(split(task, seed)[0])
        for run in runs:
            if run in absent:
                continue
            sizes = (*task.X.shape, n_train)
            case = f"{args.rows} rows"
            line = Line(kind, name, case, 0, seed, run, *sizes)
            lines.append(kept.measure(line, partial(measured, task, run, seed)))
    note = f"up to {args.rows:,} rows, {args.seeds} seed(s) ({load_note()})"
    parts = [f"# Features as input of other models, {note}", *report(lines)]
    if absent:
        parts.append(f"- not installed, so not measured: {', '.join(absent)}")
    publish(args.write, *parts, *missing_files(missing))


if __name__ == "__main__":
    main()
