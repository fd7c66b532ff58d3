"""The tables of `tables.features`: two classes, numbers and categories.

Five are those on which the recipe was chosen ("tune"), four confirm it. Columns that
follow from the target are dropped, and text of hundreds of levels. The network is
given the frame; what it is compared with are the codings that a linear model is
usually given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats

from benchmarks._shared.data import OPEN_TABLES, OpenTable, one_hots
from sk_autoencoder.datasets import load_adult

SOURCES = {
    "adult": "tune",
    "bank_marketing": "tune",
    "online_shoppers": "tune",
    "pricing_game_2015": "tune",
    "eu_direct_lapse": "tune",
    "credit_default_taiwan": "confirm",
    "belgian_mtpl97": "confirm",
    "french_auto_pg17": "confirm",
    "australian_auto_datacar": "confirm",
}
"""Which half each table is of."""
CARRIED = ("adult",)
"""Of these, what the package brings."""


@dataclass(frozen=True)
class Table:
    """A table, as a frame for the network and coded for the others.

    Parameters
    ----------
    frame : DataFrame
        Numbers as floats, all else categorical.
    y : ndarray of shape (n_rows,), float32
        0 or 1.
    standard, ranks : ndarray of shape (n_rows, n_numbers), float32
        The numbers, standardized, and as normal scores of their ranks.
    levels : ndarray of shape (n_rows, n_levels), float32
        A column of zeros and ones for each level, one for a column of two; and for
        each column of numbers that has gaps, where they are.
    """

    name: str
    frame: pd.DataFrame
    y: np.ndarray
    standard: np.ndarray
    ranks: np.ndarray
    levels: np.ndarray

    @property
    def encoded(self) -> np.ndarray:
        """The matrix for methods that take none but numbers."""
        return np.hstack([self.ranks, self.levels])

    @property
    def raw_block(self) -> np.ndarray:
        """The numbers in both codings, at half their variance each, and the levels."""
        half = np.float32(0.5**0.5)
        return np.hstack([half * self.standard, half * self.ranks, self.levels])


def missing(name: str, folder: Path | None) -> bool:
    """Whether a table needs a file that is not there."""
    if name in CARRIED:
        return False
    return folder is None or not (folder / f"{name}.csv.gz").is_file()


def load(name: str, folder: Path | None, rows: int) -> Table:
    """Read a table, shuffled and cut down to `rows`."""
    if name in CARRIED:
        source, frame = OpenTable("income"), load_adult().frame
    elif folder is not None:
        source = OPEN_TABLES[name]
        frame = pd.read_csv(folder / f"{name}.csv.gz", low_memory=False)
    frame = frame.sample(min(rows, len(frame)), random_state=0, ignore_index=True)
    target = frame.pop(source.target)
    y = (target == sorted(target.unique())[-1]).to_numpy(np.float32)
    frame = frame.drop(columns=source.dropped)
    return code(name, typed(frame, source.numbered), y)


def code(name: str, frame: pd.DataFrame, y: np.ndarray) -> Table:
    """Code a frame of floats and categories."""
    standard, ranks, levels, gaps = [], [], [], []
    for column in frame:
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            levels += _levels(frame[column])
            continue
        values = frame[column].to_numpy(np.float64)
        is_missing = np.isnan(values)
        if is_missing.any():
            gaps.append(is_missing)
            values = np.where(is_missing, np.nanmedian(values), values)
        standard.append(stats.zscore(values))
        scores = special.ndtri((stats.rankdata(values) - 0.5) / len(values))
        ranks.append(stats.zscore(scores))
    blocks = [_columns(block, len(y)) for block in (standard, ranks, levels + gaps)]
    return Table(name, frame, y, *blocks)


def typed(frame: pd.DataFrame, numbered: Sequence[str]) -> pd.DataFrame:
    """Return floats and categories; drop columns of one value."""
    columns = {}
    for name in frame:
        column = frame[name]
        if column.nunique(dropna=False) < 2:
            continue
        if name not in numbered and column.dtype.kind in "iuf":
            columns[name] = column.astype(np.float64)
        else:
            text = column.astype(object).where(column.notna(), None)
            text = text.map(str, na_action="ignore")
            columns[name] = text.astype("category")
    return pd.DataFrame(columns)


def _levels(column: pd.Series) -> list[np.ndarray]:
    """Return zeros and ones; rare levels share a column, and missing is a level."""
    block = one_hots(column)
    if block.shape[1] <= 2:
        block = block[:, 1:]
    return list(block.T)


def _columns(columns: list[np.ndarray], n_rows: int) -> np.ndarray:
    block = np.empty((n_rows, len(columns)), np.float32)
    for j, column in enumerate(columns):
        block[:, j] = column
    return block
