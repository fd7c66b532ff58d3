"""The rows of `porto.run`: Kaggle's table, its look-alike, other insurers'.

Porto Seguro's rows become 221 dense float32 columns, as the winner made them: the 37
that are not `ps_calc`, categories as the numbers that they are coded by, and a column
for each level of the 14 categorical ones. A missing value stays -1, and is a level
where it occurs in the competition's table. Columns of more than two values are
RankGaussed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats
from sklearn.model_selection import train_test_split

from benchmarks._shared.data import OPEN_TABLES, one_hots
from benchmarks.porto.look_alike import make_porto_seguro

N_TRAIN, N_TEST = 595_212, 892_816

INSURANCE = (
    "french_auto_pg17",
    "belgian_mtpl97",
    "australian_auto_datacar",
    "pricing_game_2015",
)
TRAIN_SHARE = 0.6


@dataclass(frozen=True)
class Task:
    """Rows to learn from and rows to predict.

    Parameters
    ----------
    name : str
    rows : ndarray of shape (n_train + n_test, n_columns), float32
        The training rows first.
    y_train : ndarray of shape (n_train,)
        0 or 1.
    y_test : ndarray of shape (n_test,) or None
        None where nobody but the competition's host has them.
    ids : ndarray of shape (n_test,)
        Of the rows to predict.
    groups : list of list of int
        Columns that are one-hots of one column.
    oracle : tuple of two ndarrays or None
        Probabilities by which made-up targets were drawn.
    """

    name: str
    rows: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray | None
    ids: np.ndarray
    groups: list[list[int]] = field(default_factory=list)
    oracle: tuple[np.ndarray, np.ndarray] | None = None


# ------------------------------------------------------------------------- columns


def rank_gauss(values: np.ndarray) -> np.ndarray:
    """Map ranks in (0, 1) through the inverse error function, and center.

    Equal values have the mean of their ranks. `QuantileTransformer` is not used: it
    sends the least value of a column to -5.2 however many rows have it, a third of them
    in some columns here.
    """
    ranks = (stats.rankdata(values) - 0.5) / len(values)
    gauss = special.erfinv(2 * ranks - 1)
    return gauss - gauss.mean()


def _numbers(values: np.ndarray) -> np.ndarray:
    """Leave a binary column alone, RankGauss another."""
    return rank_gauss(values) if len(np.unique(values)) > 2 else values


def prepare(
    frame: pd.DataFrame, levels: dict[str, list[int]]
) -> tuple[np.ndarray, list[list[int]]]:
    """Return Porto Seguro's rows as the winner's matrix, and the groups of one-hots.

    Parameters
    ----------
    frame : DataFrame
        All rows, to train on and to predict.
    levels : dict of str to list of int
        Of each categorical column; a level that is not named has no column.
    """
    names = [name for name in frame.columns if not name.startswith("ps_calc_")]
    n_columns = len(names) + sum(map(len, levels.values()))
    rows = np.empty((len(frame), n_columns), np.float32)
    for j, name in enumerate(names):
        rows[:, j] = _numbers(frame[name].to_numpy(np.float64))
    groups, end = [], len(names)
    for name, its_levels in levels.items():
        values = frame[name].to_numpy()
        for j, level in enumerate(its_levels, end):
            rows[:, j] = values == level
        groups.append(list(range(end, end + len(its_levels))))
        end += len(its_levels)
    return rows, groups


def prepare_mixed(frame: pd.DataFrame) -> tuple[np.ndarray, list[list[int]]]:
    """Return another table likewise: numbers, then one-hots of the text.

    A missing number is less than all others; levels of few rows share a column.
    """
    blocks, groups, end = [], [], 0
    numbers = frame.select_dtypes("number")
    for name in numbers:
        values = numbers[name].to_numpy(np.float64)
        least = np.nanmin(values) - 1
        blocks.append(_numbers(np.where(np.isnan(values), least, values))[:, None])
        end += 1
    for name in frame.columns.difference(numbers.columns, sort=False):
        block = one_hots(frame[name])
        groups.append(list(range(end, end + block.shape[1])))
        blocks.append(block)
        end += block.shape[1]
    return np.hstack(blocks).astype(np.float32), groups


# --------------------------------------------------------------------------- tables


def look_alike(scale: float, seed: int) -> Task:
    """Draw the look-alike, a share of the real number of rows."""
    porto = make_porto_seguro(
        max(100, round(N_TRAIN * scale)),
        max(100, round(N_TEST * scale)),
        random_state=seed,
    )
    rows, groups = prepare(pd.concat([porto.data, porto.test_data]), porto.levels)
    return Task(
        "look-alike",
        rows,
        porto.target.to_numpy(),
        porto.test_target.to_numpy(),
        porto.test_data.index.to_numpy(),
        groups,
        (porto.probability, porto.test_probability),
    )


def kaggle(train: Path, test: Path, scale: float, seed: int) -> Task:
    """Read Kaggle's two files; at a scale below 1, a random share of their rows."""
    frames = [pd.read_csv(path, index_col="id") for path in (train, test)]
    if scale < 1:
        frames = [frame.sample(frac=scale, random_state=seed) for frame in frames]
    schema = make_porto_seguro(1, 0, random_state=0)
    for path, frame in zip((train, test), frames, strict=True):
        missing = [name for name in schema.feature_names if name not in frame]
        if missing:
            raise SystemExit(
                f"expected the 57 features of the competition, got {path} without "
                f"{missing[:3]}. Pass its train.csv and test.csv."
            )
    both = pd.concat([frame[schema.feature_names] for frame in frames])
    rows, groups = prepare(both, schema.levels)
    y = frames[0]["target"].to_numpy()
    return Task("Porto Seguro", rows, y, None, frames[1].index.to_numpy(), groups)


def insurance(folder: Path, name: str, scale: float, seed: int) -> Task:
    """Read another insurer's table, no more rows than a share of Porto Seguro's."""
    table = OPEN_TABLES[name]
    frame = pd.read_csv(folder / f"{name}.csv.gz")
    most = max(200, round((N_TRAIN + N_TEST) * scale))
    if most < len(frame):
        frame = frame.sample(most, random_state=seed)
    y = frame.pop(table.target).to_numpy()
    rows, groups = prepare_mixed(frame.drop(columns=table.dropped))
    train, test = train_test_split(
        np.arange(len(y)), train_size=TRAIN_SHARE, stratify=y, random_state=seed
    )
    both = np.concatenate([train, test])
    return Task(
        name, rows[both], y[train], y[test], frame.index.to_numpy()[test], groups
    )
