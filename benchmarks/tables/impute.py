"""How well missing cells of mixed tables are filled, and in what time.

    python -m benchmarks.tables.impute
    python -m benchmarks.tables.impute --data DIR --results impute.jsonl --seeds 3

A share of the cells is hidden at random, from complete rows, and filled by each method.
Of the numbers, the root of the mean over the columns of the squared error over the
column's variance; of the categories, the share of cells that are right, over the
columns; and the processor's seconds. The peers are scikit-learn's imputers and
missForest's rounds with its gradient boosting.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets
from tqdm import tqdm

from benchmarks._shared.common import (
    ensure_one_thread,
    geometric_mean,
    load_note,
    markdown_table,
    median,
    number,
    publish,
    verdict,
)
from benchmarks.tables.impute_methods import (
    FOREST,
    ITERATIVE,
    ITERATIVE_ALL,
    KNN,
    MEDIAN,
    METHODS,
    OURS,
    SHORTER,
    Imputer,
    is_number,
)

RARE = 10
"""Levels of fewer rows are joined, so that the peers' one-hots stay few."""
MOST_LEVELS = 250
"""Levels of a category at most; scikit-learn's gradient boosting takes 255."""

Results = dict[tuple[str, str], list["Score"]]


class Score(NamedTuple):
    """What a method did on a table."""

    nrmse: float
    accuracy: float
    seconds: float


# --------------------------------------------------------------------------- tables


def adult(folder: Path | None) -> pd.DataFrame:
    """Load the Adult table that sk_autoencoder carries."""
    # Imported here so that the tables of others can be read without the package.
    from sk_autoencoder.datasets import load_adult

    return load_adult(as_frame=True).data


def carried(load: Callable) -> Callable[[Path | None], pd.DataFrame]:
    """Return the loader of one of scikit-learn's tables."""
    return lambda folder: load(as_frame=True).data


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

CARRIED = {
    "adult": adult,
    "wine": carried(sklearn_datasets.load_wine),
    "breast_cancer": carried(sklearn_datasets.load_breast_cancer),
}
WITH_DATA = ("adult", *OPEN)


def load(name: str, folder: Path | None) -> pd.DataFrame | None:
    """Load a table, or return None where its file is not there."""
    if name in CARRIED:
        return CARRIED[name](folder)
    path = folder / f"{name}.csv.gz" if folder else None
    if path is None or not path.is_file():
        return None
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
    frame: pd.DataFrame, share: float, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the frame with a share of its cells missing, and which they are."""
    mask = np.random.default_rng(seed).random(frame.shape) < share
    return frame.mask(mask), mask


# -------------------------------------------------------------------------- figures


def errors(
    truth: pd.DataFrame, filled: pd.DataFrame, mask: np.ndarray
) -> tuple[float, float]:
    """Return the normalised RMSE of the numbers and the accuracy of the categories.

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


def measure(method: Imputer, frame: pd.DataFrame, share: float, seed: int) -> Score:
    """Hide a share of the cells, fill them, and say how well and in what time."""
    spoiled, mask = hidden(frame, share, seed)
    started = time.process_time()
    filled = method(spoiled, seed)
    seconds = time.process_time() - started
    return Score(*errors(frame, filled, mask), seconds)


class Kept:
    """Measurements in a file, a line each, appended as they come.

    A long run can be cut off and taken up again, with the same options.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lines: dict[str, Score] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                key, values = json.loads(line)
                self.lines[json.dumps(key)] = Score(*values)

    def get(self, key: list, compute: Callable[[], Score]) -> Score:
        """Return what is kept under a key, or compute and keep it."""
        text = json.dumps(key)
        if text not in self.lines:
            self.lines[text] = compute()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, list(self.lines[text])]) + "\n")
        return self.lines[text]


# --------------------------------------------------------------------------- report


def table_of(results: Results) -> str:
    """Return a table, a row a table and method: medians over the seeds."""
    rows = []
    for (name, method), scores in results.items():
        nrmse, accuracy, seconds = map(median, zip(*scores, strict=True))
        cells = (number(nrmse), number(accuracy), number(seconds, 1))
        rows.append((name, method, *cells))
    header = ("table", "method", "nRMSE of numbers", "right categories", "processor, s")
    return markdown_table(header, rows)


def against(results: Results, ours: str, peer: str) -> tuple[list[float], ...]:
    """Return nRMSE, accuracy and seconds of `ours` and `peer`, by table, as ratios.

    Of accuracies it is the difference. NaN where the table has no such column.
    """
    ratios = ([], [], [])
    for name in dict.fromkeys(name for name, _ in results):
        pair = results.get((name, ours)), results.get((name, peer))
        if None in pair:
            continue
        mine, other = (Score(*map(median, zip(*p, strict=True))) for p in pair)
        ratios[0].append(mine.nrmse / other.nrmse)
        ratios[1].append(mine.accuracy - other.accuracy)
        ratios[2].append(mine.seconds / max(other.seconds, 1e-3))
    return ratios


def counts_of(results: Results, ours: str) -> str:
    """Return a table: on how many tables `ours` is better than each peer."""
    rows = []
    for peer in dict.fromkeys(method for _, method in results):
        if peer in (OURS, SHORTER):
            continue
        nrmse, accuracy, seconds = against(results, ours, peer)
        known = sum(not np.isnan(gain) for gain in accuracy)
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
        accuracy = [gain for gain in accuracy if not np.isnan(gain)]
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


def report(results: Results, args: argparse.Namespace, missing: list[str]) -> str:
    """Return the tables, the counts and the targets."""
    seeds = "one seed" if args.seeds == 1 else f"{args.seeds} seeds"
    lines = [
        f"# Missing cells filled, {args.share:.0%} of them hidden, {args.rows:,} rows, "
        f"{seeds}, one thread ({load_note()})",
        table_of(results),
    ]
    for ours in (OURS, SHORTER):
        if any(method == ours for _, method in results):
            lines += [counts_of(results, ours), "\n".join(verdicts(results, ours))]
    if missing:
        lines.append(f"- no file for: {', '.join(missing)}")
    return "\n\n".join(lines)


def main() -> None:
    """Print a table, a row a table and method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sets", nargs="+", choices=[*CARRIED, *OPEN], help="default: all")
    add("--methods", nargs="+", choices=list(METHODS), help="default: all")
    add("--rows", type=int, default=4_000, help="at most, at random (default 4,000)")
    add("--share", type=float, default=0.2, help="of cells to hide (default 0.2)")
    add("--seeds", type=int, default=1, help="of rows, cells, methods (default 1)")
    add("--data", type=Path, help="folder with the open tables' files")
    add("--results", type=Path, metavar="FILE", help="keep measurements, and go on")
    add("--write", type=Path, metavar="FILE", help="also write the tables there")
    args = parser.parse_args()
    ensure_one_thread()
    names = args.sets or (WITH_DATA if args.data else [*CARRIED, *OPEN])
    kept, results, missing = Kept(args.results), {}, []
    for name in tqdm(names):
        table = load(name, args.data)
        if table is None:
            missing.append(name)
            continue
        for seed in range(args.seeds):
            frame = prepared(table, args.rows, seed)
            for method in args.methods or METHODS:
                score = kept.get(
                    [name, args.rows, args.share, seed, method],
                    lambda do=METHODS[method], X=frame, s=seed: measure(
                        do, X, args.share, s
                    ),
                )
                results.setdefault((name, method), []).append(score)
    publish(report(results, args, missing), args.write)


if __name__ == "__main__":
    main()
