"""Sets with labeled outliers in a folder of files that others have collected."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks._shared.data import some_rows

HALVES = ("tune", "confirm")
LEAST_OF_EACH = 5
"""Outliers, and other rows, that a set has at least: of fewer no area says anything."""


def half_of(path: Path) -> str:
    """Return the half of a set: "tune" where its name's MD5 begins with 0 to 7."""
    digest = hashlib.md5(path.name.encode(), usedforsecurity=False).hexdigest()
    return HALVES[int(digest[0], 16) >= 8]


def files_in(
    folder: Path, half: str | None = None, draw: tuple[int, int] | None = None
) -> dict[str, Path]:
    """Name the .npz files of a folder and of the folders in it.

    Parameters
    ----------
    folder : Path
    half : {"tune", "confirm"} or None
        None takes both.
    draw : tuple of int or None
        How many at random, and the seed; None takes all.

    Returns
    -------
    files : dict of str to Path
        In their order by name, or as they were drawn.
    """
    found = sorted(folder.rglob("*.npz"))
    found = [path for path in found if half in (None, half_of(path))]
    if draw is not None:
        n_files, seed = draw
        order = np.random.default_rng(seed).permutation(len(found))
        found = [found[i] for i in order[:n_files]]
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in found}


def read(path: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Read rows and labels, 1 for an outlier; at most so many rows, at random.

    A file has `X` and `y`, or rows and labels of two parts, which are put together:
    `train`, `train_labels`, `test` and `test_labels`.
    """
    with np.load(path, allow_pickle=False) as file:
        if "X" in file:
            X, y = file["X"], file["y"]
        else:
            parts = ("train", "test")
            X = np.concatenate([file[part] for part in parts])
            y = np.concatenate([file[f"{part}_labels"] for part in parts])
    kept = some_rows(np.arange(len(X)), most)
    X = X[kept].astype(np.float32)
    return X.reshape(len(X), -1), (y[kept].ravel() > 0).astype(int)


def unusable(X: np.ndarray, y: np.ndarray) -> str | None:
    """Say why a set is left out, or None."""
    if not np.isfinite(X).all():
        return "missing or infinite cells"
    if min(y.sum(), (y == 0).sum()) < LEAST_OF_EACH:
        return f"fewer than {LEAST_OF_EACH} outliers or other rows"
    return None
