"""The tables of `tables.embed`: classes, numbers and outliers to find.

Rows whose numbers have gaps are left out, as TabEmbedBench leaves out such tables; a
missing category is a level. Columns that follow from the target are dropped, and text
of hundreds of levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets
from sklearn.preprocessing import LabelEncoder

from benchmarks._shared.data import OPEN_TABLES, OpenTable
from benchmarks.outliers import methods as outlier_sets
from benchmarks.tables.features_tables import typed
from sk_autoencoder.datasets import load_adult

CLASSES, NUMBERS, OUTLIERS = "classification", "regression", "outliers"
KINDS = (CLASSES, NUMBERS, OUTLIERS)

CARRIED: dict[str, dict[str, Callable]] = {
    CLASSES: {
        "adult": load_adult,
        "breast_cancer": sklearn_datasets.load_breast_cancer,
        "wine": sklearn_datasets.load_wine,
    },
    NUMBERS: {"diabetes": sklearn_datasets.load_diabetes},
    OUTLIERS: outlier_sets.CARRIED,
}
"""What packages bring."""
OPEN: dict[str, tuple[str, ...]] = {
    CLASSES: (
        "australian_auto_datacar",
        "bank_marketing",
        "belgian_mtpl97",
        "cells_segmentation",
        "credit_default_taiwan",
        "eu_direct_lapse",
        "french_auto_pg17",
        "online_shoppers",
        "pricing_game_2015",
    ),
    NUMBERS: ("california_housing", "diamonds"),
    # Of ADBench's, the protocol leaves out pictures (ad_internetads, ad_optdigits,
    # ad_pendigits) and more than 15,000 rows (ad_campaign, ad_cover, ad_magic_gamma).
    OUTLIERS: (
        "ad_annthyroid",
        "ad_breastw",
        "ad_cardio",
        "ad_fault",
        "ad_ionosphere",
        "ad_mammography",
        "ad_musk",
        "ad_pageblocks",
        "ad_thyroid",
        "ad_vowels",
        "ad_wdbc",
        "ad_wilt",
        "ad_yeast",
    ),
}
"""What the folder of `--data` has."""
CELLS = OpenTable("class", ("case",))


@dataclass(frozen=True)
class Task:
    """A table, and what is to be told from it.

    Parameters
    ----------
    kind : {"classification", "regression", "outliers"}
    name : str
    X : DataFrame
        Numbers as floats, all else as categories; no cell is missing.
    y : ndarray of shape (n_rows,)
        Classes from 0 on, numbers, or 1 for an outlier.
    """

    kind: str
    name: str
    X: pd.DataFrame
    y: np.ndarray


def wanted(
    kinds: list[str], sets: list[str] | None, folder: Path | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return kinds and names of tables to run, and the names without a file."""
    found, missing = [], []
    for kind in kinds:
        carried = ("adult",) if folder and kind == CLASSES else CARRIED[kind]
        usual = [*(carried if not folder or kind == CLASSES else ()), *OPEN[kind]]
        for name in usual if sets is None else sets:
            if name in CARRIED[kind]:
                found.append((kind, name))
            elif name in OPEN[kind]:
                file = name + (".npz" if kind == OUTLIERS else ".csv.gz")
                is_there = folder is not None and (folder / file).is_file()
                (found if is_there else missing).append((kind, name))
    return found, [name for _, name in missing]


def load(kind: str, name: str, folder: Path | None, rows: int, seed: int) -> Task:
    """Read a table that is there, shuffled and cut down to `rows`."""
    if kind == OUTLIERS:
        X, y = outlier_sets.load(name, folder, rows)
        columns = [f"x{i}" for i in range(X.shape[1])]
        frame = pd.DataFrame(X.astype(np.float64), columns=columns)
        return Task(kind, name, _varying(frame), y.astype(int))
    if name in CARRIED[kind]:
        bunch = CARRIED[kind][name](as_frame=True)
        source, frame = OpenTable(bunch.target.name), bunch.frame
    else:
        source = OPEN_TABLES.get(name, CELLS)
        path = (folder or Path()) / f"{name}.csv.gz"
        frame = pd.read_csv(path, low_memory=False)
    frame = typed(frame.drop(columns=source.dropped), (*source.numbered, source.target))
    target = frame.pop(source.target)
    numbers = frame.select_dtypes("number").columns
    whole = frame.index[frame[numbers].notna().all(axis=1)]
    kept = whole.to_series().sample(min(rows, len(whole)), random_state=seed)
    frame = _varying(frame.loc[kept].reset_index(drop=True))
    given = target.loc[kept].to_numpy(str)
    y = given.astype(float) if kind == NUMBERS else LabelEncoder().fit_transform(given)
    return Task(kind, name, frame, y)


def _varying(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of more than one value, missing categories as a level."""
    columns = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            text = column.astype(object).where(column.notna(), "(missing)")
            column = text.astype("category")
        if column.nunique() > 1:
            columns[name] = column
    return pd.DataFrame(columns)
