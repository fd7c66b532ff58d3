"""Held-out reconstruction of networks of one size, beside PCA's at the same k.

Every method is fitted on three quarters of the rows and reconstructs the rest through
k numbers. Reported are the explained variance, 1 - SSE / SST with SST around the
training mean, and the squared error over PCA's on the same rows: below 1 is better
than PCA. A seed draws the split and the weights; a small set gets twice as many.

Methods: PCA; our three estimators at their defaults; "Plain", our autoencoder that
starts at random instead of as PCA, with the same network and budget of steps; kernel
PCA; MLPRegressor(X, X) of the same layers; UMAP where it is installed. "Best of grid"
is picked by the held-out rows themselves, which is more than a user could do: the
comparison leans toward it. Its seconds are those of the whole grid.

Only the sets that defaults may be tuned on are run; `--confirm` runs the others
instead, once, when there is something to confirm.

    python -m benchmarks.quality.run --quick
    python -m benchmarks.quality.run --data DIR --seeds 3 --results quality.jsonl
    python -m benchmarks.quality.run --results quality.jsonl --tables
    python -m benchmarks.quality.run --sets digits adult --k 10 --downstream
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, some_rows, split_missing, squared_error
from benchmarks._shared.report import document, publish
from benchmarks._shared.results import Case, Line, Lines
from benchmarks._shared.timing import load_note
from benchmarks.quality.downstream import CODES, downstream_report, scores_of
from benchmarks.quality.methods import (
    KERNEL_ROWS,
    METHODS,
    QUICK_METHODS,
    RUNS,
    UMAP_MOST_K,
    UMAP_ROWS,
    missing_methods,
    runs_of,
)
from benchmarks.quality.report import report
from benchmarks.quality.results import DOWNSTREAM, RECONSTRUCTION, Figures

QUICK_SETS = ("digits", "breast_cancer", "wine", "diabetes", "adult")
TEST_SHARE = 0.25
FEW_ROWS = 500
"""Sets of fewer rows get twice the seeds: their splits differ more."""
HALVES = {"tune": "tuning", "confirm": "confirmation"}


# -------------------------------------------------------------------------- one run


def split(case: Case, X: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Return training and held-out rows in the case's units, and where they were."""
    train_at, test_at = train_test_split(
        np.arange(len(X)), test_size=TEST_SHARE, random_state=seed
    )
    train, test = X[train_at], X[test_at]
    if case.units == "standard":
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
    return train, test, train_at, test_at


def reconstruct(run: str, case: Case, seed: int, X: np.ndarray) -> dict[str, float]:
    """Fit on training rows and score the reconstruction of the held-out ones."""
    train, test, *_ = split(case, X, seed)
    fitted = RUNS[run](train, test, case.k, seed)
    mean = train.mean(axis=0, dtype=np.float64)
    error = squared_error(test, fitted.reconstruction)
    if not np.isfinite(error):
        raise FloatingPointError("the reconstruction is not finite")
    total = squared_error(test, mean)
    values = {
        "seconds": fitted.seconds,
        "error": error,
        "explained": float(1 - error / total),
    }
    if fitted.fell_back is not None:
        values["fell_back"] = float(fitted.fell_back)
    return values


def classify(
    codes: str, case: Case, seed: int, X: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    """Return the scores of classifiers on codes of the held-out rows."""
    train, test, train_at, test_at = split(case, X, seed)
    return scores_of(codes, case.k, seed, train, test, y[train_at], y[test_at])


def attempt(measure: Callable[[], dict[str, float]]) -> tuple[dict, str | None]:
    """Return what was measured, or why it could not be.

    A rival that diverges, or one of ours, is a result, not the end of the run.
    """
    try:
        return measure(), None
    except (ValueError, ArithmeticError) as error:
        return {}, str(error).splitlines()[0]


# ------------------------------------------------------------------------- all runs


def chosen_sets(args: argparse.Namespace, notes: list[str]) -> list[str]:
    """Return the sets to run; note those whose files are not there."""
    names = [name for name in SETS if SETS[name].half in args.halves]
    if args.quick and not args.sets:
        names = [name for name in names if name in QUICK_SETS]
    for name in args.sets or ():
        if name not in names:
            sys.exit(
                f"expected sets of the half {args.halves[0]!r}, got {name!r}, which is "
                f"of {SETS[name].half!r}. Pass --confirm to run the sets that are kept "
                "for confirmation, all or by name, or leave it out for the others."
            )
    names = [name for name in names if not args.sets or name in args.sets]
    if args.downstream:
        names = [name for name in names if SETS[name].labels]
    names, missing = split_missing(names, args.data)
    if missing:
        place = args.data or "no folder: pass --data DIR"
        notes.append(f"no file ({place}) for: {', '.join(missing)}")
    return names


def load(name: str, args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the set's rows, cut down at random, and their classes if needed."""
    X = SETS[name].load(args.data)
    labels = SETS[name].labels
    y = labels(args.data) if args.downstream and labels else None
    if len(X) > args.rows:
        some = some_rows(np.arange(len(X)), args.rows)
        X, y = X[some], None if y is None else y[some]
    return X, y


def cases_of(name: str, X: np.ndarray, args: argparse.Namespace) -> list[Case]:
    """Return the cases of one set whose k compresses something."""
    most = min(3 * len(X) // 4, X.shape[1])
    pairs = itertools.product(SETS[name].units, args.k)
    return [Case(name, units, k) for units, k in pairs if k < most]


def keys_of(name: str, X: np.ndarray, args: argparse.Namespace) -> Iterator[tuple]:
    """Yield task, case, seed and run of everything to do on one set."""
    seeds = args.seeds * (2 if len(X) < FEW_ROWS else 1)
    for case, seed in itertools.product(cases_of(name, X, args), range(seeds)):
        if args.downstream:
            yield from ((DOWNSTREAM, case, seed, codes) for codes in CODES)
        else:
            runs = runs_of(args.methods, case.k)
            yield from ((RECONSTRUCTION, case, seed, run) for run in runs)


def run_set(name: str, args: argparse.Namespace, lines: Lines, bar: tqdm) -> None:
    """Run what is not in `lines` yet on one set."""
    X, y = load(name, args)
    lines.check_rows(name, len(X))
    for key in keys_of(name, X, args):
        if key in lines:
            continue
        task, case, seed, run = key
        bar.set_postfix_str(f"{case.units}, k={case.k}, seed {seed}, {run}")
        if task == DOWNSTREAM:
            measure = partial(classify, run, case, seed, X, y)
        else:
            measure = partial(reconstruct, run, case, seed, X)
        values, note = attempt(measure)
        n_test = math.ceil(len(X) * TEST_SHARE)
        sizes = (*X.shape, len(X) - n_test)
        case_of = (case.name, case.units, case.k)
        lines.add(Line(task, *case_of, seed, run, *sizes, values, note))


def run_all(args: argparse.Namespace) -> str:
    """Run all the cases, writing the tables after each set, and return them."""
    lines, notes = Lines(args.results), []
    if not args.tables:
        absent = missing_methods(args.methods)
        args.methods = [method for method in args.methods if method not in absent]
        if absent:
            notes.append(f"not installed, so not measured: {', '.join(absent)}")
        names = chosen_sets(args, notes)
        with tqdm(names) as bar:
            for name in bar:
                bar.set_description(name)
                run_set(name, args, lines, bar)
                if args.write:
                    args.write.write_text(tables(args, lines, notes) + "\n")
    return tables(args, lines, notes)


def tables(args: argparse.Namespace, lines: Lines, notes: list[str]) -> str:
    """Return everything there is to say about the lines so far."""
    all_lines = lines.all.values()
    figures = Figures(all_lines)
    halves = sorted({SETS[line.name].half for line in all_lines}, reverse=True)
    n_seeds = len({line.seed for line in all_lines})
    title = (
        f"# Held-out reconstruction, {' and '.join(HALVES[half] for half in halves)} "
        f"sets, up to {n_seeds} seeds, one thread ({load_note()})"
    )
    standing = [
        "'best of grid' is picked by the held-out rows themselves, in the rival's "
        "favor; the default setting is one of the grid",
        "Plain is AutoEncoderTransformer(init='random'): same network, same steps",
        f"kernel PCA is fitted on at most {KERNEL_ROWS:,} training rows, at random, "
        "because its time grows with their cube, and UMAP on at most "
        f"{UMAP_ROWS:,}, for k up to {UMAP_MOST_K}",
        "a failed fit counts as an infinite error; geometric means and medians are "
        "over the others",
    ]
    notes = [*standing, *notes, *figures.notes()]
    return document(
        title,
        *report(figures),
        *downstream_report(all_lines),
        "## Notes",
        "\n".join(f"- {note}" for note in notes),
    )


# ----------------------------------------------------------------------------- main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    data = "folder with the open sets' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    add("--k", type=int, nargs="+", help="sizes of the code (default 2 5 10 20)")
    add("--seeds", type=int, default=1, help="how many (default 1; small sets twice)")
    add("--sets", nargs="+", choices=sorted(SETS), metavar="SET", help="only these")
    add("--methods", nargs="+", choices=METHODS, help="PCA always runs (default all)")
    add("--rows", type=int, help="at most, at random (default 10,000; quick 2,000)")
    add("--quick", action="store_true", help="the packages' own sets, k = 10, few fits")
    half = parser.add_mutually_exclusive_group()
    half.add_argument(
        "--confirm", action="store_true", help="the other half of the sets"
    )
    half.add_argument("--both", action="store_true", help="both halves of the sets")
    add("--downstream", action="store_true", help="classify the codes instead")
    add("--tables", action="store_true", help="run nothing, only show --results")
    args = parse(parser)
    args.k = args.k or ([10] if args.quick else [2, 5, 10, 20])
    args.rows = args.rows or (2_000 if args.quick else 10_000)
    args.methods = args.methods or (QUICK_METHODS if args.quick else METHODS)
    args.methods = [m for m in METHODS if m in args.methods or m == "PCA"]
    args.halves = ("confirm",) if args.confirm else ("tune",)
    if args.both:
        args.halves = tuple(HALVES)
    if args.tables and not args.results:
        parser.error("expected --results with --tables, got none. Name the file.")
    return args


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    publish(args.write, run_all(args))


if __name__ == "__main__":
    main()
