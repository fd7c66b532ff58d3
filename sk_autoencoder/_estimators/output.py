"""Arrays that results are written to: which ones can take them."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sk_autoencoder._utils.shapes import flat_view
from sk_autoencoder._utils.sklearn_compat import output_kind

__all__ = ["validate_out"]

OUT_DTYPES = [np.dtype(name) for name in ("float16", "float32", "float64")]


def validate_out(
    estimator: BaseEstimator, out: Any, rows: Any, *row_shape: int
) -> np.ndarray:
    """Refuse an `out` that cannot take a result, and give it as rows of numbers.

    Parameters
    ----------
    estimator : estimator
    out : Any
        What was passed.
    rows : ndarray or CSR matrix of shape (n_samples, ...)
        Of which the result is to be.
    *row_shape : int
        Of a row of the result.

    Returns
    -------
    flat : ndarray of shape (n_samples, n_columns)
        In the same memory.
    """
    kind, shape = output_kind(estimator), (rows.shape[0], *row_shape)
    if kind != "default":
        raise ValueError(
            "expected out, or frames as output, got both out and "
            f"set_output(transform={kind!r}). Pass out=None, or call "
            "set_output(transform='default')."
        )
    if not isinstance(out, np.ndarray):
        raise TypeError(
            "expected an ndarray or a numpy.memmap, got out of type "
            f"{type(out).__name__}. Pass e.g. out=numpy.empty({shape}, 'float32')."
        )
    if out.dtype not in OUT_DTYPES:
        raise TypeError(
            f"expected out of dtype float16, float32 or float64, got out.dtype="
            f"{out.dtype}. Pass e.g. out=numpy.empty({shape}, 'float32')."
        )
    if out.shape != shape:
        raise ValueError(
            f"expected out of shape {shape}, a row for each of X, got out.shape="
            f"{out.shape}. Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    if not out.flags.writeable:
        raise ValueError(
            "expected out that can be written to, got out.flags.writeable=False. "
            "Pass a new array, or a numpy.memmap with mode='r+' or 'w+'."
        )
    if isinstance(rows, np.ndarray) and np.shares_memory(out, rows):
        raise ValueError(
            "expected out in memory of its own, got out that shares memory with X. "
            f"Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    flat = flat_view(out)
    if flat is None:
        raise ValueError(
            "expected out whose rows lie in one piece, got out.strides="
            f"{out.strides}. Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    return flat
