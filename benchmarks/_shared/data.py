"""The data sets of the benchmarks, as float32 matrices.

Five come with scikit-learn and this package. The others are read from a folder,
`--data DIR`, whose README describes each file; a set whose file is not there is
reported as missing, never replaced. `SETS` is the list of all of them.

Mixed tables become matrices the usual way: targets and what follows from them are
dropped, text is one-hot encoded (levels of fewer than 20 rows go into one column),
missing numbers become the median, and numbers are standardized. The benchmarks then
compare what methods make of that matrix, not how it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets
from sklearn.decomposition import PCA

Loader = Callable[[Path], np.ndarray]


@dataclass(frozen=True)
class DataSet:
    """One set of the comparison.

    Parameters
    ----------
    half : {"tune", "confirm"}
        Whether defaults may be chosen by looking at this set, or it is kept to
        confirm them afterwards. See `SETS`.
    units : tuple of {"raw", "standard"}
        The units in which to reconstruct: as they are, or every column divided by
        its standard deviation on the training rows. Encoded tables are "raw",
        because their loader has standardized what has to be.
    load : callable
        Takes the data folder, returns the float32 matrix.
    file : str or None
        The file in the data folder; None for a set that a package carries.
    labels : callable or None
        Takes the data folder, returns the class of each row of `load`'s matrix; None
        for a set without classes.
    table : bool
        Whether it is an encoded table of numbers and categories.
    """

    half: str
    units: tuple[str, ...]
    load: Loader
    file: str | None = None
    labels: Loader | None = None
    table: bool = False

    def missing(self, folder: Path | None) -> bool:
        """Whether the set needs a file that is not there."""
        if self.file is None:
            return False
        return folder is None or not (folder / self.file).is_file()


def some_rows(X: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Return at most so many rows, at random."""
    return X[np.random.default_rng(seed).permutation(len(X))[:most]]


def squared_error(X: np.ndarray, reconstruction: np.ndarray) -> float:
    """Return the sum over all cells."""
    return float(np.square(X - reconstruction, dtype=np.float64).sum())


def pca_error(train: np.ndarray, test: np.ndarray, k: int, seed: int = 0) -> float:
    """Return the squared error of PCA on rows that it was not fitted to."""
    pca = PCA(k, random_state=seed).fit(train)
    return squared_error(test, pca.inverse_transform(pca.transform(test)))


def fill(rows: np.ndarray, *, noise: float = 0.3) -> np.ndarray:
    """Fill an array or a memory map with factors and noise, a part at a time."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((20, rows.shape[1]), dtype=np.float32) / 4
    for start in range(0, len(rows), 10_000):
        part = rows[start : start + 10_000]
        part[:] = rng.standard_normal((len(part), 20), dtype=np.float32) @ mixing
        part += noise * rng.standard_normal(part.shape, dtype=np.float32)
    return rows


def split_missing(
    names: Iterable[str], folder: Path | None
) -> tuple[list[str], list[str]]:
    """Return the sets that are there, and those that need a file which is not."""
    names = list(names)
    missing = [name for name in names if SETS[name].missing(folder)]
    return [name for name in names if name not in missing], missing


# ---------------------------------------------------------------- sets of packages


def digits(folder: Path) -> np.ndarray:
    """Load 1,797 scanned digits of 8 x 8 pixels."""
    return sklearn_datasets.load_digits().data.astype(np.float32)


def breast_cancer(folder: Path) -> np.ndarray:
    """Load 569 rows of 30 measurements in very unlike units."""
    return sklearn_datasets.load_breast_cancer().data.astype(np.float32)


def wine(folder: Path) -> np.ndarray:
    """Load 178 rows of 13 measurements in very unlike units."""
    return sklearn_datasets.load_wine().data.astype(np.float32)


def diabetes(folder: Path) -> np.ndarray:
    """Load 442 rows of 10 columns, in the units they were measured in."""
    return sklearn_datasets.load_diabetes(scaled=False).data.astype(np.float32)


def adult(folder: Path) -> np.ndarray:
    """Load the Adult table that sk_autoencoder carries, encoded."""
    # Imported here so that the other benchmarks can read data without the package.
    from sk_autoencoder.datasets import load_adult

    return encode(load_adult(as_frame=True).data)


def package_labels(load: Callable) -> Loader:
    """Return the loader of the classes of one of scikit-learn's sets."""
    return lambda folder: load().target


def adult_labels(folder: Path) -> np.ndarray:
    """Load who of Adult earns more than 50,000 dollars a year."""
    from sk_autoencoder.datasets import load_adult

    return load_adult(as_frame=True).target.to_numpy(str)


# ------------------------------------------------------------------- mixed tables


MIN_COUNT = 20
"""Rows of a level that has a column of its own."""


def one_hots(column: pd.Series) -> np.ndarray:
    """Return a float32 column for each level; rare ones share one, missing is one."""
    column = column.astype(object).where(column.notna(), "(missing)")
    counts = column.map(column.value_counts())
    column = column.astype(str).where(counts >= MIN_COUNT, "(rare)")
    return pd.get_dummies(column).to_numpy(np.float32)


def encode(frame: pd.DataFrame) -> np.ndarray:
    """Return a mixed table as a float32 matrix: standardized numbers, then one-hots.

    Booleans and text are categories, everything else is numeric.
    """
    numeric = frame.select_dtypes("number")
    numeric = numeric.fillna(numeric.median())
    deviation = numeric.std(ddof=0).replace(0.0, 1.0)
    blocks = [((numeric - numeric.mean()) / deviation).to_numpy(np.float32)]
    names = frame.columns.difference(numeric.columns, sort=False)
    return np.hstack([*blocks, *(one_hots(frame[name]) for name in names)])


@dataclass(frozen=True)
class OpenTable:
    """A table of the data folder.

    Parameters
    ----------
    target : str
        What is predicted.
    follows : tuple of str
        Columns that follow from the target, or are measured with it.
    coarse : tuple of str
        Columns of hundreds of levels, for embeddings rather than one-hots: others say
        the same more coarsely.
    numbered : tuple of str
        Categories that are coded by numbers.
    """

    target: str
    follows: tuple[str, ...] = ()
    coarse: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()

    @property
    def dropped(self) -> list[str]:
        """What is left out beside the target."""
        return [*self.follows, *self.coarse]


OPEN_TABLES = {
    "australian_auto_datacar": OpenTable("clm", ("numclaims", "claimcst0")),
    "bank_marketing": OpenTable("y", ("duration",)),
    "belgian_mtpl97": OpenTable(
        # The postcode's coordinates stay.
        "claim",
        ("nclaims", "amount", "average"),
        ("postcode",),
    ),
    "california_housing": OpenTable("median_house_value"),
    "credit_default_taiwan": OpenTable(
        "Default", numbered=("SEX", "EDUCATION", "MARRIAGE")
    ),
    "diamonds": OpenTable("price"),
    "eu_direct_lapse": OpenTable("lapse"),
    "french_auto_pg17": OpenTable(
        # 17,794 communities and 1,023 models.
        "claim",
        ("claim_nb", "claim_amount"),
        ("pol_insee_code", "vh_model"),
    ),
    "online_shoppers": OpenTable(
        "Revenue", numbered=("OperatingSystems", "Browser", "Region", "TrafficType")
    ),
    "pricing_game_2015": OpenTable(
        # 471 regions.
        "claim",
        ("Numtppd", "Numtpbi", "Indtppd", "Indtpbi"),
        ("SubGroup2",),
    ),
}


def cells_segmentation(folder: Path) -> np.ndarray:
    """Load 2,019 cells with 56 correlated measurements, all numeric."""
    frame = pd.read_csv(folder / "cells_segmentation.csv.gz")
    return frame.drop(columns=["case", "class"]).to_numpy(np.float32)


# ------------------------------------------------------------------ numeric arrays


def array(name: str) -> Loader:
    """Return the loader of an .npz file's `X`, one flattened row a sample."""

    def load(folder: Path) -> np.ndarray:
        with np.load(folder / name) as file:
            X = file["X"].astype(np.float32)
        return X.reshape(len(X), -1)

    return load


def array_labels(name: str) -> Loader:
    """Return the loader of an .npz file's `y`."""

    def load(folder: Path) -> np.ndarray:
        with np.load(folder / name) as file:
            return file["y"].ravel()

    return load


def column_labels(name: str, column: str) -> Loader:
    """Return the loader of one column of a table, as text."""

    def load(folder: Path) -> np.ndarray:
        return pd.read_csv(folder / name)[column].to_numpy(str)

    return load


def nab_series(folder: Path) -> np.ndarray:
    """Load ten series cut into days of 48 half-hours, each series standardized."""
    frame = pd.read_csv(folder / "nab_series.csv.gz", parse_dates=["timestamp"])
    rows = []
    for _, part in frame.groupby("series"):
        values = part.set_index("timestamp")["value"].resample("30min").mean()
        values = (values - values.mean()) / values.std(ddof=0)
        days = values.groupby(values.index.normalize())
        rows.extend(day.to_numpy() for _, day in days if len(day) == 48)
    days_of_all = np.array(rows, dtype=np.float32)
    return days_of_all[~np.isnan(days_of_all).any(axis=1)]


def fashion_mnist(folder: Path | None, *, n_rows: int) -> np.ndarray | None:
    """Load the first training pictures in [0, 1], or None where they are not.

    Parameters
    ----------
    folder : Path or None
        Looked into before the places that the package knows.
    n_rows : int
        How many pictures.
    """
    from sk_autoencoder.datasets import load_fashion_mnist

    for place in (folder, None) if folder else (None,):
        try:
            return load_fashion_mnist(folder=place).data[:n_rows] / 255
        except FileNotFoundError:
            continue
    return None


def synthetic_pictures(n_rows: int, *, seed: int = 0) -> np.ndarray:
    """Draw pictures of 28 x 28 in [0, 1]: three soft blobs of light in the dark.

    They stand in for Fashion-MNIST where only the work of a step is measured.
    """
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:28, 0:28].astype(np.float32)
    pictures = np.zeros((n_rows, 28, 28), dtype=np.float32)
    for _ in range(3):
        y, x = rng.uniform(6, 22, (2, n_rows, 1, 1)).astype(np.float32)
        width = rng.uniform(2, 6, (n_rows, 1, 1)).astype(np.float32)
        pictures += np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * width**2))
    return np.clip(pictures, 0, 1).reshape(n_rows, 784)


# --------------------------------------------------------------------- the registry


def _file(half: str, units: tuple[str, ...], name: str, **options: Any) -> DataSet:
    """Describe an .npz file of numbers, or with `load` something else."""
    return DataSet(half, units, options.pop("load", array(name)), name, **options)


def _classes(half: str, units: tuple[str, ...], name: str) -> DataSet:
    """Describe an .npz file of numbers whose `y` are classes."""
    return _file(half, units, name, labels=array_labels(name))


def _table(half: str, name: str, *, is_class: bool = True) -> DataSet:
    """Describe a mixed table, whose target is a class or a number."""
    table, file = OPEN_TABLES[name], f"{name}.csv.gz"

    def load_table(folder: Path) -> np.ndarray:
        frame = pd.read_csv(folder / file)
        return encode(frame.drop(columns=[table.target, *table.dropped]))

    labels = column_labels(file, table.target) if is_class else None
    return DataSet(half, ("raw",), load_table, file, labels, table=True)


# Defaults may be tuned on one half of the sets only, so that the other half can
# confirm them honestly. Sets that packages carry were looked at before there was a
# rule, so they are "tune", and with them what comes from the same source
# (ad_optdigits; ad_breastw and ad_wdbc). The others alternate in alphabetical order,
# related ones (ad_annthyroid and ad_thyroid; ad_campaign and bank_marketing) counting
# as one. A set keeps its half for ever: new ones are added without a new count.
# Measurements are reconstructed in both units. Counts, zeros and ones, pictures and
# series have one unit for all columns already.
_BOTH = ("raw", "standard")
_RAW = ("raw",)
SETS: dict[str, DataSet] = {
    "digits": DataSet(
        "tune", _BOTH, digits, labels=package_labels(sklearn_datasets.load_digits)
    ),
    "breast_cancer": DataSet(
        "tune",
        _BOTH,
        breast_cancer,
        labels=package_labels(sklearn_datasets.load_breast_cancer),
    ),
    "wine": DataSet(
        "tune", _BOTH, wine, labels=package_labels(sklearn_datasets.load_wine)
    ),
    "diabetes": DataSet("tune", _BOTH, diabetes),
    "adult": DataSet("tune", _RAW, adult, labels=adult_labels, table=True),
    "ad_breastw": _file("tune", _BOTH, "ad_breastw.npz"),
    "ad_optdigits": _file("tune", _RAW, "ad_optdigits.npz"),
    "ad_wdbc": _file("tune", _BOTH, "ad_wdbc.npz"),
    "acsf1": _classes("confirm", _RAW, "acsf1.npz"),
    "ad_annthyroid": _file("tune", _BOTH, "ad_annthyroid.npz"),
    "ad_thyroid": _file("tune", _BOTH, "ad_thyroid.npz"),
    "ad_campaign": _file("confirm", _RAW, "ad_campaign.npz"),
    "bank_marketing": _table("confirm", "bank_marketing"),
    "ad_cardio": _file("tune", _BOTH, "ad_cardio.npz"),
    "ad_cover": _file("confirm", _BOTH, "ad_cover.npz"),
    "ad_fault": _file("tune", _BOTH, "ad_fault.npz"),
    "ad_internetads": _file("confirm", _RAW, "ad_internetads.npz"),
    "ad_ionosphere": _file("tune", _BOTH, "ad_ionosphere.npz"),
    "ad_magic_gamma": _file("confirm", _BOTH, "ad_magic_gamma.npz"),
    "ad_mammography": _file("tune", _BOTH, "ad_mammography.npz"),
    "ad_musk": _file("confirm", _BOTH, "ad_musk.npz"),
    "ad_pageblocks": _file("tune", _BOTH, "ad_pageblocks.npz"),
    "ad_pendigits": _file("confirm", _BOTH, "ad_pendigits.npz"),
    "ad_vowels": _file("tune", _BOTH, "ad_vowels.npz"),
    "ad_wilt": _file("confirm", _BOTH, "ad_wilt.npz"),
    "ad_yeast": _file("tune", _BOTH, "ad_yeast.npz"),
    "arrowhead": _classes("confirm", _RAW, "arrowhead.npz"),
    "australian_auto_datacar": _table("tune", "australian_auto_datacar"),
    "belgian_mtpl97": _table("confirm", "belgian_mtpl97"),
    "california_housing": _table("tune", "california_housing", is_class=False),
    "cells_segmentation": _file(
        "confirm",
        _BOTH,
        "cells_segmentation.csv.gz",
        load=cells_segmentation,
        labels=column_labels("cells_segmentation.csv.gz", "class"),
    ),
    "cnae9": _classes("tune", _RAW, "cnae9.npz"),
    "credit_default_taiwan": _table("confirm", "credit_default_taiwan"),
    "diamonds": _table("tune", "diamonds", is_class=False),
    "ecg5000_train": _classes("confirm", _RAW, "ecg5000_train.npz"),
    "eu_direct_lapse": _table("tune", "eu_direct_lapse"),
    "french_auto_pg17": _table("confirm", "french_auto_pg17"),
    "gunpoint": _classes("tune", _RAW, "gunpoint.npz"),
    "molecules_esol": _file("confirm", _RAW, "molecules_esol.npz"),
    "nab_series": _file("tune", _RAW, "nab_series.csv.gz", load=nab_series),
    "online_shoppers": _table("confirm", "online_shoppers"),
    "pbmc68k_reduced": _classes("tune", _RAW, "pbmc68k_reduced.npz"),
    "pneumoniamnist": _classes("confirm", _RAW, "pneumoniamnist.npz"),
    "pricing_game_2015": _table("tune", "pricing_game_2015"),
    "usps": _classes("confirm", _RAW, "usps.npz"),
}
