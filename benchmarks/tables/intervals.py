"""Whether multiple imputations are as uncertain as they should be.

    python -m benchmarks.tables.intervals
    python -m benchmarks.tables.intervals --data DIR --sets california_housing adult

A share of the cells is hidden, and `sample_missing` fills them many times. *Covered*
is the fraction of hidden numbers between the second lowest and the second highest of 39
draws, which is .9 for draws from the right distribution, on average over columns of
more than 32 values (of few values an interval covers more). Of hidden categories,
*sure* is the fraction of draws that the most frequent level has, *right* how often it
is the true one, and *off* the mean distance of the two over ten groups of cells, from
the least to the most sure.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks._shared.command import parse
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
from benchmarks.tables.impute import (
    hidden,
    load,
    parser_of_tables,
    prepared,
    split_tables,
)
from benchmarks.tables.impute_methods import is_number
from sk_autoencoder import DenoisingAutoEncoderTransformer

DRAWS, BEYOND = 39, 2
"""Imputations, and which of them, from either end, bounds an interval of 90 %."""
MANY_VALUES, GROUPS = 32, 10
FIGURES = ("covered", "sure", "right", "off")


def imputed(frame: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Return complete tables."""
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, device="cpu", random_state=seed
    )
    return imputer.fit(frame).sample_missing(frame, DRAWS, random_state=seed)


def figures(
    truth: pd.DataFrame, drawn: list[pd.DataFrame], mask: np.ndarray
) -> dict[str, float]:
    """Return the figures of imputations; NaN where a table has no such column."""
    covered, sure, right = [], [np.empty(0)], [np.empty(0)]
    for name, cells in zip(truth, mask.T, strict=True):
        true = truth.loc[cells, name].to_numpy()
        own = np.stack([frame.loc[cells, name].to_numpy() for frame in drawn], axis=1)
        if is_number(truth[name]):
            if truth[name].nunique() > MANY_VALUES:
                own = np.sort(own, axis=1)
                low, high = own[:, BEYOND - 1], own[:, -BEYOND]
                covered.append(((low <= true) & (true <= high)).mean())
        else:
            shares = np.stack([(own == v).mean(axis=1) for v in np.unique(own)])
            sure.append(shares.max(axis=0))
            right.append(np.unique(own)[shares.argmax(axis=0)] == true)
    said, was = np.concatenate(sure), np.concatenate(right)
    groups = np.array_split(np.argsort(said, kind="stable"), GROUPS)
    off = [abs(said[g].mean() - was[g].mean()) for g in groups if len(g)]
    lists = (covered, said, was, off)
    return {
        what: float(np.mean(values)) if len(values) else np.nan
        for what, values in zip(FIGURES, lists, strict=True)
    }


def measure(frame: pd.DataFrame, share: float, seed: int) -> dict[str, float]:
    """Hide cells, draw them, and return the figures and the processor's seconds."""
    spoiled, mask = hidden(frame, share, seed)
    seconds, drawn = timed(time.process_time, imputed, spoiled, seed)
    return figures(frame, drawn, mask) | {"seconds": seconds}


def report(lines: list[Line], args: argparse.Namespace) -> list[str]:
    """Return the table and the target."""
    rows = [
        (
            line.name,
            *(number(line.values[what]) for what in FIGURES),
            number(line.values["seconds"], 1),
        )
        for line in lines
    ]
    header = ("table", *FIGURES, "processor, s")
    covered = [line.values["covered"] for line in lines]
    covered = [value for value in covered if not np.isnan(value)]
    parts = [
        f"# Intervals of {DRAWS} imputations, {args.share:.0%} of the cells hidden, up "
        f"to {args.rows:,} rows ({load_note()})",
        markdown_table(header, rows),
    ]
    if covered:
        average = mean(covered)
        parts.append(
            "\n".join(
                verdict("covered, mean over the tables", average, how, bound)
                for how, bound in ((">=", 0.88), ("<=", 0.92))
            )
        )
    return parts


def main() -> None:
    """Print a table, a row a table."""
    parser = parser_of_tables(__doc__, 3_000)
    share = "of cells to hide (default 0.2)"
    parser.add_argument("--share", type=float, default=0.2, help=share)
    args = parse(parser)
    names, missing = split_tables(args)
    kept, lines = Lines(args.results), []
    case = f"{args.share:g} of {args.rows} rows hidden"
    for name in tqdm(names):
        frame = prepared(load(name, args.data), args.rows, 0)
        line = Line("intervals", name, case, 0, 0, "ours", *frame.shape, len(frame))
        lines.append(kept.measure(line, partial(measure, frame, args.share, 0)))
    publish(args.write, *report(lines, args), *missing_files(missing))


if __name__ == "__main__":
    main()
