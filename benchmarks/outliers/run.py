"""Outliers found among unlabeled rows, beside PyOD, PCA and isolation forests.

    python -m benchmarks.outliers.run
    python -m benchmarks.outliers.run --data DIR --results outliers.jsonl
    python -m benchmarks.outliers.run --data DIR --confirm
    python -m benchmarks.outliers.run --data DIR --clean
    python -m benchmarks.outliers.run --collection DIR --rows 5000 --results sets.jsonl
    python -m benchmarks.outliers.run --collection DIR --half tune --draw 60 0

Each detector, at its defaults, is fitted to all rows of a set and scores the same rows;
labels are used to judge only: the area under the ROC curve and the average precision,
means over the seeds. Seconds are the processor's, of fit, in which all but
IsolationForest's scores are part: those it computes for its threshold are. With
`--clean` each is fitted to half of the rows that are no outliers, ours with
`novelty=True`, and scores all others.

Without `--data` the sets are three of scikit-learn, one class of each planted as a
tenth of the rows. With it they are those with labeled outliers on which defaults may
be tuned; `--confirm` takes the other half. `--collection` reads any other sets: all
.npz files in a folder and below it, with `X` and `y`. `--half` takes those whose name's
MD5 begins with 0 to 7 ("tune") or 8 to f ("confirm"), `--draw` some of them at random.
A fit that takes longer than `--limit` is stopped and has no figures, as one of a rival
that fails; means of methods are then beside those of ours on the same sets.
PyOD is optional: what needs it is listed as missing without it.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS
from benchmarks._shared.report import missing_files, publish
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import TooLongError, load_note, timed, within
from benchmarks.outliers.folder import HALVES, files_in, read, unusable
from benchmarks.outliers.methods import (
    CARRIED,
    DETECTORS,
    Labels,
    Rows,
    load,
    names_of,
)
from benchmarks.outliers.report import AREA, PRECISION, SECONDS, report, summary

TASK = "outliers"
LIMIT = 60.0
"""Seconds of the processor that a fit may take, by default."""


def measured(
    run: str,
    X: Rows,
    y: np.ndarray,
    seed: int,
    *,
    clean: bool = False,
    limit: float = LIMIT,
) -> dict[str, float]:
    """Fit one detector, and judge its scores of the same rows, or of the others.

    All are NaN where the fit takes longer than the limit, or is a rival's and fails.
    """
    missing = dict.fromkeys((AREA, PRECISION, SECONDS), math.nan)
    rows = X
    if clean:
        normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
        fitted = np.zeros(len(y), bool)
        fitted[normal[: len(normal) // 2]] = True
        X, rows, y = X[fitted], X[~fitted], y[~fitted]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of rivals
        fit = partial(within, limit, DETECTORS[run].fit)
        try:
            seconds, scores = timed(time.process_time, fit, X, seed, clean)
        except TooLongError:
            return missing
        except ValueError:
            if DETECTORS[run].package is None:
                raise
            return missing
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


def sets_to_run(
    args: argparse.Namespace,
) -> tuple[dict[str, Callable[[], tuple[Rows, Labels]]], list[str]]:
    """Return how each set is read, and the names of those whose files are not there."""
    if not args.collection:
        names, missing = wanted_sets(args)
        return {n: partial(load, n, args.data, args.rows) for n in names}, missing
    files = files_in(args.collection, args.half, args.draw)
    names = args.sets or list(files)
    found = {n: partial(read, files[n], args.rows) for n in names if n in files}
    return found, [n for n in names if n not in files]


def measure_all(
    lines: Lines, sets: dict[str, Callable], runs: list[str], args: argparse.Namespace
) -> list[str]:
    """Measure what has no result yet; return which sets were left out, and why."""
    left_out = []
    for name, read_set in tqdm(sets.items()):
        X, y = read_set()
        reason = unusable(X, y)
        if reason:
            left_out.append(f"{name} ({reason})")
            continue
        lines.check_rows(name, len(X))
        for run in runs:
            is_random = args.clean or DETECTORS[run].is_random
            for seed in range(args.seeds if is_random else 1):
                line = Line(TASK, name, kind_of(args), 0, seed, run, *X.shape, len(X))
                options = {"clean": args.clean, "limit": args.limit}
                lines.measure(line, partial(measured, run, X, y, seed, **options))
    return left_out


def kind_of(args: argparse.Namespace) -> str:
    """Name the training rows, as in the lines of results."""
    return "clean" if args.clean else "raw"


def main() -> None:
    """Run what has no result yet, and print the tables."""
    data = "folder with the open sets' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    add("--collection", type=Path, metavar="DIR", help="with other sets' .npz files")
    add("--half", choices=HALVES, help="of the sets of --collection (default: both)")
    draw = {"nargs": 2, "type": int, "metavar": ("N", "SEED")}
    add("--draw", **draw, help="so many sets of --collection, at random")
    add("--sets", nargs="+", metavar="SET", help="in place of the usual ones")
    add("--confirm", action="store_true", help="sets that no default was tuned on")
    add("--clean", action="store_true", help="fitted to rows without outliers")
    add("--methods", nargs="+", choices=list(DETECTORS), default=list(DETECTORS))
    add("--rows", type=int, default=10_000, help="at most, at random (default 10,000)")
    add("--seeds", type=int, default=3, help="of each detector (default 3)")
    limit = f"seconds of the processor for a fit (default {LIMIT:g})"
    add("--limit", type=float, default=LIMIT, help=limit)
    add("--tables", action="store_true", help="only print what --results has")
    args = parse(parser)
    sets, missing = sets_to_run(args)
    runs = [run for run in args.methods if not DETECTORS[run].missing]
    absent = [run for run in args.methods if run not in runs]
    lines, left_out = Lines(args.results), list[str]()
    if not args.tables:
        warm_up(runs)
        left_out = measure_all(lines, sets, runs, args)
    of_kind = [x for x in lines.all.values() if x.units == kind_of(args)]
    chosen = [x for x in of_kind if x.name in sets and x.run in runs]
    parts = report(chosen, f"{kind_of(args)}; {load_note()}")
    if args.collection:
        parts.insert(1, summary(chosen))
    parts += missing_files(missing)
    for what, names in (("left out", left_out), ("not installed", absent)):
        if names:
            parts.append(f"- {what}: {', '.join(names)}")
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
