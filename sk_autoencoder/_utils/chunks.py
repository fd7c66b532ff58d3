"""Rows of an array or a sparse matrix, a few at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

# Numbers in a chunk: half a megabyte in float64, so that a chunk stays in the cache.
CHUNK_SIZE = 65_536


def row_chunks(n_rows: int, n_columns: int, size: int = CHUNK_SIZE) -> list[slice]:
    """Cut rows into slices of about `size` numbers, at least one row each."""
    return row_slices(n_rows, max(1, size // max(1, n_columns)))


def row_slices(n_rows: int, step: int) -> list[slice]:
    """Cut rows into slices of `step` rows; the last one may be shorter."""
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def dense_rows(X: Any, rows: Any) -> np.ndarray:
    """Take rows of a dense array or a CSR matrix, as a dense array."""
    taken = X[rows]
    return taken.toarray() if sparse.issparse(taken) else taken


@contextmanager
def within_float64(where: str = "") -> Iterator[None]:
    """Turn numbers into float64 in the block: say of one that it is too large for it.

    numpy's sums, by which scikit-learn looks for infinity, may overflow in silence.

    Parameters
    ----------
    where : str
        Of the numbers, behind "whole number" in the message.

    Raises
    ------
    ValueError
        Where Python raises an OverflowError.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except OverflowError as error:
        raise ValueError(
            "expected columns whose values fit float64, none beyond "
            f"{np.finfo(np.float64).max:g}, got a larger whole number{where}. "
            "Scale X first, or drop the column."
        ) from error
