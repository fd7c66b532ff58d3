"""Outliers found among unlabeled rows, beside PyOD, PCA and isolation forests.

    python -m benchmarks.outliers.run
    python -m benchmarks.outliers.run --data DIR --results outliers.jsonl
    python -m benchmarks.outliers.run --data DIR --confirm
    python -m benchmarks.outliers.run --data DIR --clean

Each detector, at its defaults, is fitted to all rows of a set and scores the same rows;
labels are used to judge only: the area under the ROC curve and the average precision,
means over the seeds. Seconds are the processor's, of fit, in which all but
IsolationForest's scores are part: those it computes for its threshold are. With
`--clean` each is fitted to half of the rows that are no outliers, ours with
`novelty=True`, and scores all others.

Without `--data` the sets are three of scikit-learn, one class of each planted as a
tenth of the rows. With it they are those with labeled outliers on which defaults may
be tuned; `--confirm` takes the other half. PyOD is optional: what needs it is listed
as missing without it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS
from benchmarks._shared.report import missing_files, publish
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note, timed
from benchmarks.outliers.methods import CARRIED, DETECTORS, Rows, load, names_of
from benchmarks.outliers.report import AREA, PRECISION, SECONDS, report

TASK = "outliers"


def measured(
    run: str, X: Rows, y: np.ndarray, seed: int, *, clean: bool = False
) -> dict[str, float]:
    """Fit one detector, and judge its scores of the same rows, or of the others."""
    rows = X
    if clean:
        normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
        fitted = np.zeros(len(y), bool)
        fitted[normal[: len(normal) // 2]] = True
        X, rows, y = X[fitted], X[~fitted], y[~fitted]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of rivals
        seconds, scores = timed(time.process_time, DETECTORS[run].fit, X, seed, clean)
        found = scores(rows)
    return {
        AREA: float(roc_auc_score(y, found)),
        PRECISION: float(average_precision_score(y, found)),
        SECONDS: seconds,
    }


def warm_up(runs: list[str]) -> None:
    """Fit each once, so that no import is timed."""
    rows = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    for run in runs:
        measured(run, rows, np.arange(64) % 2, 0)


def wanted_sets(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Name the sets to run, and those whose files are not there."""
    if args.sets:
        names = args.sets
    elif args.data:
        names = names_of("confirm" if args.confirm else "tune")
    else:
        names = list(CARRIED)
    every = [*names, *(names_of("tune") + names_of("confirm") if not args.data else ())]
    missing = [n for n in dict.fromkeys(every) if n in SETS and n not in CARRIED]
    missing = [n for n in missing if SETS[n].missing(args.data)]
    return [n for n in names if n not in missing], missing


def main() -> None:
    """Run what has no result yet, and print the tables."""
    data = "folder with the open sets' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    every = [*CARRIED, *names_of("tune"), *names_of("confirm")]
    add("--sets", nargs="+", choices=every, help="in place of the usual ones")
    add("--confirm", action="store_true", help="sets that no default was tuned on")
    add("--clean", action="store_true", help="fitted to rows without outliers")
    add("--methods", nargs="+", choices=list(DETECTORS), default=list(DETECTORS))
    add("--rows", type=int, default=10_000, help="at most, at random (default 10,000)")
    add("--seeds", type=int, default=3, help="of each detector (default 3)")
    add("--tables", action="store_true", help="only print what --results has")
    args = parse(parser)
    names, missing = wanted_sets(args)
    runs = [run for run in args.methods if not DETECTORS[run].missing]
    absent = [run for run in args.methods if run not in runs]
    lines = Lines(args.results)
    kind = "clean" if args.clean else "raw"
    if not args.tables:
        warm_up(runs)
    for name in [] if args.tables else tqdm(names):
        X, y = load(name, args.data, args.rows)
        lines.check_rows(name, len(X))
        for run in runs:
            is_random = args.clean or DETECTORS[run].is_random
            for seed in range(args.seeds if is_random else 1):
                line = Line(TASK, name, kind, 0, seed, run, *X.shape, len(X))
                lines.measure(
                    line, partial(measured, run, X, y, seed, clean=args.clean)
                )
    of_kind = [x for x in lines.all.values() if x.units == kind]
    chosen = [x for x in of_kind if x.name in names and x.run in runs]
    parts = report(chosen, f"{kind}; {load_note()}") + missing_files(missing)
    if absent:
        parts.append(f"- not installed: {', '.join(absent)}")
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
