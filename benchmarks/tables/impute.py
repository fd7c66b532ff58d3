"""How well missing cells of mixed tables are filled, and in what time.

    python -m benchmarks.tables.impute
    python -m benchmarks.tables.impute --data DIR --results impute.jsonl --seeds 3

A share of the cells is hidden at random, from complete rows, and filled by each method.
With `--depends` it is a share of the cells of every second column, and a cell is the
likelier to be hidden the higher its row ranks in one of the others, all of them seen.
Of the numbers, the root of the mean over the columns of the squared error over the
column's variance; of the categories, the share of cells that are right, over the
columns; and the processor's seconds. The peers are scikit-learn's imputers and
missForest's rounds with its gradient boosting.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    median,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.results import Line, Lines
from benchmarks._shared.timing import load_note, timed
from benchmarks.tables.impute_methods import (
    FOREST,
    ITERATIVE,
    ITERATIVE_ALL,
    KNN,
    MEDIAN,
    METHODS,
    OURS,
    Imputer,
    is_number,
)
from sk_autoencoder.datasets import load_adult

RARE = 10
"""Levels of fewer rows are joined, so that the peers' one-hots stay few."""
MOST_LEVELS = 250
"""Levels of a category at most; scikit-learn's gradient boosting takes 255."""

NRMSE, ACCURACY, SECONDS = "nrmse", "accuracy", "seconds"
FIGURES = (NRMSE, ACCURACY, SECONDS)

Results = dict[tuple[str, str], dict[str, float]]
"""By table and method, medians over the seeds."""


# --------------------------------------------------------------------------- tables


OPEN = {
    "bank_marketing": ["y"],
    "credit_default_taiwan": ["Default"],
    "online_shoppers": ["Revenue"],
    "eu_direct_lapse": ["lapse"],
    "california_housing": [],
    "diamonds": [],
    "belgian_mtpl97": ["claim", "nclaims", "amount", "average"],
    "french_auto_pg17": ["claim", "claim_nb", "claim_amount"],
    "pricing_game_2015": ["claim", "Numtppd", "Numtpbi", "Indtppd", "Indtpbi"],
}
"""The tables of the data folder, and the targets that they are without."""

CARRIED: dict[str, Callable] = {
    "adult": load_adult,
    "wine": sklearn_datasets.load_wine,
    "breast_cancer": sklearn_datasets.load_breast_cancer,
}
WITH_DATA = ("adult", *OPEN)


def parser_of_tables(doc: str, rows: int) -> argparse.ArgumentParser:
    """Return a parser of what benchmarks of these tables have in common.

    Parameters
    ----------
    doc : str
    rows : int
        At most, by default.
    """
    data = "folder with the open tables' files"
    parser = command_line(doc, data=data, results=True)
    add = parser.add_argument
    add("--sets", nargs="+", choices=[*CARRIED, *OPEN], help="default: all")
    add("--rows", type=int, default=rows, help=f"at most (default {rows:,})")
    return parser


def split_tables(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the tables asked for that are there, and those whose file is not."""
    folder, there, missing = args.data or Path(), [], []
    for name in args.sets or (WITH_DATA if args.data else [*CARRIED, *OPEN]):
        is_there = name in CARRIED or (folder / f"{name}.csv.gz").is_file()
        (there if is_there else missing).append(name)
    return there, missing


def load(name: str, folder: Path | None) -> pd.DataFrame:
    """Load a table that is there."""
    if name in CARRIED:
        return CARRIED[name](as_frame=True).data
    path = (folder or Path()) / f"{name}.csv.gz"
    return pd.read_csv(path).drop(columns=OPEN[name])


def prepared(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """Return `rows` complete rows at random; numbers as floats, the rest as categories.

    Levels of fewer than `RARE` of these rows are joined.
    """
    frame = frame.dropna()
    frame = frame.sample(min(rows, len(frame)), random_state=seed)
    frame = frame.reset_index(drop=True)
    columns = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "b":
            columns[name] = column.astype(float)
        else:
            column = column.astype(str)
            counts = column.value_counts()
            kept = counts[counts >= RARE].index[:MOST_LEVELS]
            columns[name] = column.where(column.isin(kept), "(rare)").astype("category")
    frame = pd.DataFrame(columns)
    return frame.loc[:, frame.nunique() > 1]


def hidden(
    frame: pd.DataFrame, share: float, seed: int, *, depends: bool = False
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the frame with a share of its cells missing, and which they are."""
    rng = np.random.default_rng(seed)
    chances = chances_by_rank(frame, share, rng) if depends else share
    mask = rng.random(frame.shape) < chances
    return frame.mask(mask), mask


def chances_by_rank(
    frame: pd.DataFrame, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the chance of each cell to be hidden: see the top of this module."""
    columns = rng.permutation(frame.shape[1])
    spoiled, seen = np.array_split(columns, 2)
    chances = np.zeros(frame.shape)
    for column in spoiled:
        leading = frame.iloc[:, rng.choice(seen)]
        # Levels in the order of their names; ties, of categories above all, broken.
        codes = leading if is_number(leading) else leading.cat.codes
        order = np.lexsort((rng.random(len(frame)), codes))
        chances[order, column] = 2 * share * (np.arange(len(frame)) + 0.5) / len(frame)
    return chances


# -------------------------------------------------------------------------- figures


def errors(
    truth: pd.DataFrame, filled: pd.DataFrame, mask: np.ndarray
) -> tuple[float, float]:
    """Return the normalized RMSE of the numbers and the accuracy of the categories.

    Over the hidden cells; NaN where the table has no such column.
    """
    squares, right = [], []
    for name, cells in zip(truth, mask.T, strict=True):
        if not cells.any():
            continue
        true, guess = truth.loc[cells, name], filled.loc[cells, name]
        if is_number(truth[name]):
            error = np.square(guess.to_numpy(float) - true.to_numpy(float)).mean()
            squares.append(error / truth[name].var())
        else:
            right.append((guess.astype(str) == true.astype(str)).mean())
    return (
        float(np.sqrt(np.mean(squares))) if squares else np.nan,
        float(np.mean(right)) if right else np.nan,
    )


def measure(
    method: Imputer, frame: pd.DataFrame, share: float, seed: int, depends: bool
) -> dict[str, float]:
    """Hide a share of the cells, fill them, and return how well and in what time."""
    spoiled, mask = hidden(frame, share, seed, depends=depends)
    seconds, filled = timed(time.process_time, method, spoiled, seed)
    return dict(zip(FIGURES, (*errors(frame, filled, mask), seconds), strict=True))


def medians(lines: list[Line]) -> Results:
    """Return the medians over the seeds."""
    found = defaultdict(list)
    for line in lines:
        found[line.name, line.run].append(line.values)
    return {
        which: {what: median(v[what] for v in values) for what in FIGURES}
        for which, values in found.items()
    }


# --------------------------------------------------------------------------- report


def table_of(results: Results) -> str:
    """Return a table, a row a table and method."""
    rows = [
        (*which, number(v[NRMSE]), number(v[ACCURACY]), number(v[SECONDS], 1))
        for which, v in results.items()
    ]
    header = ("table", "method", "nRMSE of numbers", "right categories", "processor, s")
    return markdown_table(header, rows)


def against(results: Results, ours: str, peer: str) -> tuple[list[float], ...]:
    """Return nRMSE, accuracy and seconds of `ours` and `peer`, by table, as ratios.

    Of accuracies it is the difference. NaN where the table has no such column.
    """
    names = dict.fromkeys(name for name, _ in results)
    pairs = [
        (results[name, ours], results[name, peer])
        for name in names
        if (name, ours) in results and (name, peer) in results
    ]
    return (
        [mine[NRMSE] / other[NRMSE] for mine, other in pairs],
        [mine[ACCURACY] - other[ACCURACY] for mine, other in pairs],
        [mine[SECONDS] / max(other[SECONDS], 1e-3) for mine, other in pairs],
    )


def counts_of(results: Results, ours: str) -> str:
    """Return a table: on how many tables `ours` is better than each peer."""
    rows = []
    for peer in dict.fromkeys(method for _, method in results):
        if peer == OURS:
            continue
        nrmse, accuracy, seconds = against(results, ours, peer)
        known = sum(not math.isnan(gain) for gain in accuracy)
        rows.append(
            (
                peer,
                f"{sum(ratio < 1 for ratio in nrmse)} of {len(nrmse)}",
                f"{sum(gain > 0 for gain in accuracy)} of {known}",
                number(geometric_mean(nrmse)),
                number(geometric_mean(seconds), 2),
            )
        )
    header = (
        f"{ours} against",
        "lower nRMSE",
        "more right",
        "nRMSE over its",
        "seconds over its",
    )
    return markdown_table(header, rows)


def verdicts(results: Results, ours: str) -> list[str]:
    """Return the targets, each met or missed."""
    lines = []
    shares = {MEDIAN: 0.8, KNN: 0.8, ITERATIVE: 0.8, ITERATIVE_ALL: 0.8, FOREST: 0.5}
    for peer, share in shares.items():
        nrmse, accuracy, seconds = against(results, ours, peer)
        accuracy = [gain for gain in accuracy if not math.isnan(gain)]
        for what, wins in (
            ("lower nRMSE", [ratio < 1 for ratio in nrmse]),
            ("more right", [gain > 0 for gain in accuracy]),
        ):
            if wins:
                on = f"{what} than {peer}, share of {len(wins)} tables"
                lines.append(verdict(on, sum(wins) / len(wins), ">=", share))
        if peer == FOREST and seconds:
            faster = 1 / geometric_mean(seconds)
            lines.append(verdict(f"times as fast as {peer}", faster, ">=", 5, ".1f"))
    return lines


def report(results: Results, args: argparse.Namespace) -> list[str]:
    """Return the tables, the counts and the targets."""
    seeds = "one seed" if args.seeds == 1 else f"{args.seeds} seeds"
    of = "those of half of the columns, by another," if args.depends else "them"
    parts = [
        f"# Missing cells filled, {args.share:.0%} of {of} hidden, {args.rows:,} rows, "
        f"{seeds}, one thread ({load_note()})",
        table_of(results),
    ]
    if any(method == OURS for _, method in results):
        parts += [counts_of(results, OURS), "\n".join(verdicts(results, OURS))]
    return parts


def main() -> None:
    """Print a table, a row a table and method."""
    parser = parser_of_tables(__doc__, 4_000)
    add = parser.add_argument
    add("--methods", nargs="+", choices=list(METHODS), help="default: all")
    add("--share", type=float, default=0.2, help="of cells to hide (default 0.2)")
    add("--depends", action="store_true", help="hide cells by other columns' ranks")
    add("--seeds", type=int, default=1, help="of rows, cells, methods (default 1)")
    args = parse(parser)
    names, missing = split_tables(args)
    kept, lines = Lines(args.results), []
    # Other rows and shares are other cases, so that one file may hold them all.
    case = f"{args.share:g} of {args.rows} rows hidden" + args.depends * ", by others"
    for name in tqdm(names):
        table = load(name, args.data)
        for seed in range(args.seeds):
            frame = prepared(table, args.rows, seed)
            sizes = (*frame.shape, len(frame))
            for run in args.methods or METHODS:
                line = Line("imputation", name, case, 0, seed, run, *sizes)
                method = METHODS[run]
                fill = partial(measure, method, frame, args.share, seed, args.depends)
                lines.append(kept.measure(line, fill))
    publish(args.write, *report(medians(lines), args), *missing_files(missing))


if __name__ == "__main__":
    main()
