"""The data sets of the benchmarks, as float32 matrices.

Five come with scikit-learn and this package. The others are read from a folder,
`--data DIR`, whose README describes each file; a set whose file is not there is
reported as missing, never replaced. `SETS` is the list of all of them.

Mixed tables become matrices the usual way: targets and what follows from them are
dropped, text is one-hot encoded (levels of fewer than 20 rows go into one column),
missing numbers become the median, and numbers are standardised. The benchmarks then
compare what methods make of that matrix, not how it was made.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets

Loader = Callable[[Path], np.ndarray]

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


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
        because their loader has standardised what has to be.
    load : callable
        Takes the data folder, returns the float32 matrix.
    file : str or None
        The file in the data folder; None for a set that a package carries.
    """

    half: str
    units: tuple[str, ...]
    load: Loader
    file: str | None = None

    def missing(self, folder: Path | None) -> bool:
        """Say whether the set needs a file that is not there."""
        if self.file is None:
            return False
        return folder is None or not (folder / self.file).is_file()


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


# ------------------------------------------------------------------- mixed tables


def encode(frame: pd.DataFrame, *, min_count: int = 20) -> np.ndarray:
    """Return a mixed table as a float32 matrix: standardised numbers, then one-hots.

    Parameters
    ----------
    frame : DataFrame
        Booleans and text are categories, everything else is numeric.
    min_count : int
        Levels of fewer rows share one column.

    Returns
    -------
    ndarray of shape (n_rows, n_encoded), float32
    """
    numeric = frame.select_dtypes("number")
    numeric = numeric.fillna(numeric.median())
    deviation = numeric.std(ddof=0).replace(0.0, 1.0)
    blocks = [((numeric - numeric.mean()) / deviation).to_numpy(np.float32)]
    for name in frame.columns.difference(numeric.columns, sort=False):
        column = frame[name].astype(object).where(frame[name].notna(), "(missing)")
        counts = column.map(column.value_counts())
        column = column.astype(str).where(counts >= min_count, "(rare)")
        blocks.append(pd.get_dummies(column).to_numpy(np.float32))
    return np.hstack(blocks)


def french_auto_pg17(folder: Path) -> np.ndarray:
    """Load a year of car policies, less the three text columns of many levels."""
    frame = pd.read_csv(folder / "french_auto_pg17.csv.gz")
    targets = ["claim", "claim_nb", "claim_amount"]
    # 17,794 communities, 1,023 models and 101 makes are for embeddings, not one-hots.
    return encode(frame.drop(columns=[*targets, "pol_insee_code", "vh_model"]))


def belgian_mtpl97(folder: Path) -> np.ndarray:
    """Load car policies; the postcode goes, its coordinates stay."""
    frame = pd.read_csv(folder / "belgian_mtpl97.csv.gz")
    return encode(
        frame.drop(columns=["claim", "nclaims", "amount", "average", "postcode"])
    )


def pricing_game_2015(folder: Path) -> np.ndarray:
    """Load car policies, less the 471 regions (`Group2` says them more coarsely)."""
    frame = pd.read_csv(folder / "pricing_game_2015.csv.gz")
    targets = ["claim", "Numtppd", "Numtpbi", "Indtppd", "Indtpbi"]
    return encode(frame.drop(columns=[*targets, "SubGroup2"]))


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


def nab_series(folder: Path) -> np.ndarray:
    """Load ten series cut into days of 48 half-hours, each series standardised."""
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
        Looked into before `FASHION_MNIST`.
    n_rows : int
        How many pictures.
    """
    for place in filter(None, (folder, FASHION_MNIST)):
        path = place / "train-images-idx3-ubyte.gz"
        if path.is_file():
            with gzip.open(path) as file:
                pixels = file.read(16 + n_rows * 784)[16:]
            pictures = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 784)
            return pictures.astype(np.float32) / 255
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


def _file(half: str, units: str, name: str, load: Loader | None = None) -> DataSet:
    return DataSet(half, (units,), load or array(name), name)


def _table(half: str, name: str, targets: tuple[str, ...]) -> DataSet:
    """Describe a mixed table; `targets` are left out, with what follows from them."""

    def load(folder: Path) -> np.ndarray:
        return encode(pd.read_csv(folder / name).drop(columns=list(targets)))

    return DataSet(half, ("raw",), load, name)


# Defaults may be tuned on one half of the sets only, so that the other half can
# confirm them honestly. Sets that packages carry were looked at before there was a
# rule, so they are "tune", and with them what comes from the same source
# (ad_optdigits; ad_breastw and ad_wdbc). The others alternate in alphabetical order,
# related ones (ad_annthyroid and ad_thyroid; ad_campaign and bank_marketing) counting
# as one. A set keeps its half for ever: new ones are added without a new count.
_BOTH = ("raw", "standard")
SETS: dict[str, DataSet] = {
    "digits": DataSet("tune", _BOTH, digits),
    "breast_cancer": DataSet("tune", _BOTH, breast_cancer),
    "wine": DataSet("tune", _BOTH, wine),
    "diabetes": DataSet("tune", _BOTH, diabetes),
    "adult": DataSet("tune", ("raw",), adult),
    "ad_breastw": _file("tune", "standard", "ad_breastw.npz"),
    "ad_optdigits": _file("tune", "raw", "ad_optdigits.npz"),
    "ad_wdbc": _file("tune", "standard", "ad_wdbc.npz"),
    "acsf1": _file("confirm", "raw", "acsf1.npz"),
    "ad_annthyroid": _file("tune", "standard", "ad_annthyroid.npz"),
    "ad_thyroid": _file("tune", "standard", "ad_thyroid.npz"),
    "ad_campaign": _file("confirm", "raw", "ad_campaign.npz"),
    "bank_marketing": _table("confirm", "bank_marketing.csv.gz", ("y", "duration")),
    "ad_cardio": _file("tune", "standard", "ad_cardio.npz"),
    "ad_cover": _file("confirm", "standard", "ad_cover.npz"),
    "ad_fault": _file("tune", "standard", "ad_fault.npz"),
    "ad_internetads": _file("confirm", "raw", "ad_internetads.npz"),
    "ad_ionosphere": _file("tune", "standard", "ad_ionosphere.npz"),
    "ad_magic_gamma": _file("confirm", "standard", "ad_magic_gamma.npz"),
    "ad_mammography": _file("tune", "standard", "ad_mammography.npz"),
    "ad_musk": _file("confirm", "raw", "ad_musk.npz"),
    "ad_pageblocks": _file("tune", "standard", "ad_pageblocks.npz"),
    "ad_pendigits": _file("confirm", "raw", "ad_pendigits.npz"),
    "ad_vowels": _file("tune", "raw", "ad_vowels.npz"),
    "ad_wilt": _file("confirm", "standard", "ad_wilt.npz"),
    "ad_yeast": _file("tune", "standard", "ad_yeast.npz"),
    "arrowhead": _file("confirm", "raw", "arrowhead.npz"),
    "australian_auto_datacar": _table(
        "tune", "australian_auto_datacar.csv.gz", ("clm", "numclaims", "claimcst0")
    ),
    "belgian_mtpl97": _file("confirm", "raw", "belgian_mtpl97.csv.gz", belgian_mtpl97),
    "california_housing": _table(
        "tune", "california_housing.csv.gz", ("median_house_value",)
    ),
    "cells_segmentation": _file(
        "confirm", "standard", "cells_segmentation.csv.gz", cells_segmentation
    ),
    "cnae9": _file("tune", "raw", "cnae9.npz"),
    "credit_default_taiwan": _table(
        "confirm", "credit_default_taiwan.csv.gz", ("Default",)
    ),
    "diamonds": _table("tune", "diamonds.csv.gz", ("price",)),
    "ecg5000_train": _file("confirm", "raw", "ecg5000_train.npz"),
    "eu_direct_lapse": _table("tune", "eu_direct_lapse.csv.gz", ("lapse",)),
    "french_auto_pg17": _file(
        "confirm", "raw", "french_auto_pg17.csv.gz", french_auto_pg17
    ),
    "gunpoint": _file("tune", "raw", "gunpoint.npz"),
    "molecules_esol": _file("confirm", "raw", "molecules_esol.npz"),
    "nab_series": _file("tune", "raw", "nab_series.csv.gz", nab_series),
    "online_shoppers": _table("confirm", "online_shoppers.csv.gz", ("Revenue",)),
    "pbmc68k_reduced": _file("tune", "raw", "pbmc68k_reduced.npz"),
    "pneumoniamnist": _file("confirm", "raw", "pneumoniamnist.npz"),
    "pricing_game_2015": _file(
        "tune", "raw", "pricing_game_2015.csv.gz", pricing_game_2015
    ),
    "usps": _file("confirm", "raw", "usps.npz"),
}
