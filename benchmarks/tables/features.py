"""Whether hidden features help a tuned logistic regression on tables.

    python -m benchmarks.tables.features
    python -m benchmarks.tables.features --data DIR --results features.jsonl
    python -m benchmarks.tables.features --data DIR --noise-levels 0 .1 .2 .3 .5

Features are fitted on all rows of a table, without labels: by the recommended
autoencoder and by others. A logistic regression, C tuned, is fitted on the labeled
rows and judged on the rest, by the area under the ROC curve. A gain is the mean
difference, draw by draw, to the same regression on zeros and ones for the levels beside
numbers that are standardized, or ranks made normal: whichever is better on the table.

The recommended features are what `features="hidden", passthrough=True` returns at the
defaults: a block of hidden features, and the columns. Others stand beside a raw block,
numbers in both codings and the levels, centered and divided by one number, so that they
have as much variance.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import missing_files, publish
from benchmarks._shared.timing import load_note, timed
from benchmarks.tables.features_methods import (
    CODINGS,
    FEATURES,
    LABELED,
    OTHERS,
    OURS,
    beside,
    drawn,
    logistic,
)
from benchmarks.tables.features_report import (
    RAW_BLOCK,
    by_level,
    key_of,
    noise_report,
    report,
)
from benchmarks.tables.features_results import Line, Lines
from benchmarks.tables.features_tables import SOURCES, Table, load, missing

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "noise_level.png"
MOST_OF_OTHERS = 2
"""Draws of the classifiers that are not a logistic regression."""

Block = Callable[[], np.ndarray]


class Runner:
    """Measure runs that the results lack.

    Parameters
    ----------
    lines : Lines
    draws : dict of str to int
        For each setting.
    """

    def __init__(self, lines: Lines, draws: dict[str, int]) -> None:
        self.lines = lines
        self.draws = draws

    def codings(self, table: Table, seed: int) -> None:
        """Measure the regression on what needs no fit."""
        for coding, block in CODINGS.items():
            self._judge(
                table, self._to_do(table, seed, coding), lambda b=block: b(table)
            )

    def features(
        self, table: Table, seed: int, run: str, level: float | None = None
    ) -> None:
        """Fit features and measure the regression on them and the columns."""
        is_recipe = run == OURS and level is None
        wanted = [run]
        if is_recipe:
            wanted += [f"{o}, {b}" for o in OTHERS for b in (RAW_BLOCK, OURS)]
        to_do = {each: self._to_do(table, seed, each, level) for each in wanted}
        if not any(to_do.values()):
            return
        fit = FEATURES[run]
        seconds, block = timed(time.perf_counter, fit, table, seed, level)
        self._judge(table, to_do[run], lambda: block, seconds)
        if is_recipe:
            blocks = {RAW_BLOCK: beside(table, None), OURS: block}
            for other, judge in OTHERS.items():
                for name, X in blocks.items():
                    lines = to_do[f"{other}, {name}"]
                    self._judge(table, lines, lambda X=X: X, judge=judge)

    def _to_do(
        self, table: Table, seed: int, run: str, level: float | None = None
    ) -> list[Line]:
        lines = [
            Line(table.name, setting, run, seed, len(table.y), level, ())
            for setting in LABELED
        ]
        return [
            line
            for line in lines
            if self.lines.lacks(line, self._n_draws(run, line.setting))
        ]

    def _n_draws(self, run: str, setting: str) -> int:
        is_other = run.split(",")[0] in OTHERS
        return min(self.draws[setting], MOST_OF_OTHERS if is_other else 1_000)

    def _judge(
        self,
        table: Table,
        to_do: list[Line],
        make: Block,
        seconds: float = 0.0,
        judge: Callable[..., float] = logistic,
    ) -> None:
        if not to_do:
            return
        X = make()
        for line in to_do:
            aucs = []
            for draw in range(self._n_draws(line.run, line.setting)):
                train = drawn(table.y, line.setting, draw)
                aucs.append(judge(X, table.y, train, draw))
            self.lines.add(replace(line, aucs=tuple(aucs), seconds=seconds))


def measure(args: argparse.Namespace, names: list[str], lines: Lines) -> None:
    """Measure everything that is asked for."""
    runner = Runner(lines, dict(zip(LABELED, args.draws, strict=True)))
    for name in tqdm(names, disable=None):
        table = load(name, args.data, args.rows)
        for seed in range(args.seeds):
            runner.codings(table, seed)
            if args.noise_levels:
                for level in args.noise_levels:
                    runner.features(table, seed, OURS, key_of(level))
                continue
            for run in args.runs or FEATURES:
                runner.features(table, seed, run)


def main(arguments: list[str] | None = None) -> None:
    """Print the gains, or those by noise level."""
    data = "folder with the open tables' files"
    parser = command_line(__doc__, data=data, results=True)
    add = parser.add_argument
    add("--sets", nargs="+", choices=SOURCES, help="default: all, tuning ones first")
    add("--runs", nargs="+", choices=FEATURES, help="default: all features")
    add("--rows", type=int, default=16_000, help="at most (default 16,000)")
    add("--seeds", type=int, default=1, help="fits of all features (default 1)")
    add(
        "--draws",
        type=int,
        nargs=2,
        default=[2, 10],
        metavar=("A", "B"),
        help="of half of the rows, and of 500 (default 2 10)",
    )
    add(
        "--noise-levels",
        type=float,
        nargs="+",
        metavar="LEVEL",
        help="instead: ours at each, on the tuning tables, and a picture of them",
    )
    add("--picture", type=Path, default=PICTURE, help=f"default {PICTURE.name}")
    args = parse(parser, arguments)
    sets = args.sets or list(SOURCES)
    if args.noise_levels and not args.sets:
        sets = [name for name in sets if SOURCES[name] == "tune"]
    absent = [name for name in sets if missing(name, args.data)]
    names = [name for name in sets if name not in absent]
    lines = Lines(args.results)
    measure(args, names, lines)
    parts = [
        f"# Hidden features, up to {args.rows:,} rows, {args.seeds} seed(s), "
        f"{args.draws[0]} and {args.draws[1]} draws ({load_note()})"
    ]
    if args.noise_levels and names:
        from benchmarks.tables.features_picture import draw

        gains = by_level(lines, names, args.noise_levels)
        parts += noise_report(gains, args.noise_levels)
        draw(gains, args.noise_levels, args.picture)
    elif names:
        parts += report(lines, names)
    publish(args.write, *parts, *missing_files(absent))


if __name__ == "__main__":
    main()
