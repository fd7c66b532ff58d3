"""Missing cells of a frame or an array, filled; all else stays as it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_autoencoder._columns.dtypes import within_integers
from sk_autoencoder._columns.frames import copied, is_frame, is_pandas

Gap = tuple[np.ndarray, np.ndarray | None]
"""Which cells of a column are missing, and their values in order; None stays missing.
"""


def fill_cells(X: Any, gaps: Sequence[Gap], dtypes: Sequence[Any]) -> Any:
    """Return a copy of a table with its missing cells filled.

    What is there stays as it is, with the dtype that it has in X.

    Parameters
    ----------
    X : frame or ndarray of shape (n_samples, n_features)
    gaps : sequence of (missing, values)
        For each column which cells are missing, (n_samples,), and their values in
        order. Values of None are for a column all of whose cells are to be missing.
    dtypes : sequence
        Of such a frame that was fitted on, for a column that cannot hold the values;
        None is found from these.
    """
    if not is_frame(X):
        return _filled_array(X, gaps)
    pandas = is_pandas(X)
    X = copied(X)
    for i, ((missing, values), dtype) in enumerate(zip(gaps, dtypes, strict=True)):
        if pandas and missing.any():
            X.isetitem(i, _filled_pandas(X.iloc[:, i], missing, values, dtype))
        elif missing.any():
            X.replace_column(i, _filled_polars(X.to_series(i), missing, values, dtype))
    return X


def with_flags(X: Any, names: Sequence[str], flags: np.ndarray) -> Any:
    """Return a table with columns of zeros and ones behind it.

    Parameters
    ----------
    X : frame or ndarray of shape (n_samples, n_features)
        A frame of our own making: it may be written to.
    names : sequence of str
        Of the columns, in a frame.
    flags : ndarray of bool of shape (n_samples, n_flags)
    """
    if not is_frame(X):
        return np.hstack([X, flags.astype(X.dtype)])
    columns = dict(zip(names, flags.T.astype(np.float64), strict=True))
    return X.assign(**columns) if is_pandas(X) else X.with_columns(**columns)


def without_flags(X: Any, n_flags: int) -> Any:
    """Return a table without the last columns."""
    if not n_flags:
        return X
    return X.iloc[:, :-n_flags] if is_pandas(X) else X[:, :-n_flags]


def _filled_array(X: np.ndarray, gaps: Sequence[Gap]) -> np.ndarray:
    """Fill an array: one of numbers, or of objects where it holds more than numbers."""
    objects = any(v is not None and v.dtype.kind == "O" for _, v in gaps)
    emptied = any(values is None for _, values in gaps)
    rows = np.array(X, dtype=object if X.dtype.kind not in "biuf" else None)
    if rows.dtype.kind in "biu" and (emptied or not objects):
        rows = rows.astype(np.float64)
    for i, (missing, values) in enumerate(gaps):
        rows[missing, i] = np.nan if values is None else values
    if rows.dtype.kind == "O" and not objects:
        return rows.astype(np.float64)
    return rows


def _filled_pandas(
    series: Any, missing: np.ndarray, values: np.ndarray | None, dtype: Any
) -> Any:
    import pandas

    if values is None:
        if dtype is None:  # a dtype that cannot hold missing cells becomes wider
            return series[:0].reindex(series.index)
        return pandas.Series([None] * len(series), index=series.index, dtype=dtype)
    if missing.all():
        values = within_integers(values, dtype)
        return pandas.Series(values, index=series.index, dtype=dtype)
    own = series.dtype
    if isinstance(own, pandas.CategoricalDtype):
        wider = _widened(own, values, dtype)
        series = series if wider is None else series.cat.set_categories(wider)
    elif pandas.api.types.is_integer_dtype(own) and np.any(values % 1):
        series = series.astype(dtype)
    elif own in (np.float32, np.float16):
        # pandas refuses values that do not fit to the last digit.
        most = np.finfo(own).max
        values = values.clip(-most, most).astype(own)
    filled = series.copy()
    filled.iloc[np.flatnonzero(missing)] = within_integers(values, filled.dtype)
    return filled


def _filled_polars(
    series: Any, missing: np.ndarray, values: np.ndarray | None, dtype: Any
) -> Any:
    import polars

    if values is None:
        dtype = series.dtype if dtype is None else dtype
        return polars.Series(series.name, [None] * len(series), dtype=dtype)
    cells, own = series.to_list(), series.dtype
    if own == polars.Enum:
        wider = _widened(own, values, dtype)
        own = own if wider is None else polars.Enum(wider)
    elif missing.all() or (own.is_integer() and np.any(values % 1)):
        own = dtype
    found = within_integers(values, own).tolist()
    for place, value in zip(np.flatnonzero(missing), found, strict=True):
        cells[place] = value
    return polars.Series(series.name, cells, dtype=own, strict=False)


def _widened(own: Any, values: np.ndarray, dtype: Any) -> list[Any] | None:
    """Return categories that hold the values too; None if a dtype's own do."""
    if set(values) <= set(own.categories):
        return None
    fitted = getattr(dtype, "categories", [])
    return list(dict.fromkeys([*fitted, *own.categories, *values]))
