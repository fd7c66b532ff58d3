"""Cells that are given for new samples of a table, by the names of their columns."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sk_autoencoder._columns.dtypes import integer_limits
from sk_autoencoder._columns.frames import ColumnData, is_frame, read_columns
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._columns.table import Table, scale_of
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import listed, shortened


def given_cells(table: Table, given: Any, n_samples: int) -> np.ndarray:
    """Return samples as the table has them, NaN where nothing is given.

    Parameters
    ----------
    table : Table
    given : mapping, frame of `n_samples` rows, or None
        Of a mapping a value a column, by its name, or position in an array.
    n_samples : int

    Returns
    -------
    cells : ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        If it has a column or a level that the table has not, or other rows.
    TypeError
        If it is something else, or holds something else.
    """
    columns = {column.name: i for i, column in enumerate(table.columns)}
    cells = np.full((n_samples, len(columns)), np.nan, table.dtype)
    far = []
    for name, raw in _read(given, n_samples):
        if name not in columns:
            raise ValueError(
                f"expected columns of fit, got {shortened(name)} in given. Pass some "
                f"of [{listed(columns)}]."
            )
        column = table.columns[columns[name]]
        if isinstance(column, CategoryColumn):
            unknown = column.unknown_levels(raw, "ignore")
            if unknown:
                raise ValueError(
                    f"expected a level of column {shortened(name)}, got "
                    f"{listed(sorted(map(str, unknown)))} in given. Pass some of "
                    f"[{listed(column.levels)}]."
                )
        values = column.encode(raw)
        scale = scale_of(column)
        if scale is not None and scale.is_integer:
            exact = values if raw.integers is None else raw.integers()
            _refuse_others_than_whole(name, exact, table.format.dtypes[columns[name]])
        if scale is not None and ((values < scale.low) | (values > scale.high)).any():
            far.append(name)
        cells[:, columns[name]] = values
    if far:
        warnings.warn(
            "expected numbers within the range of the training samples, got others for "
            f"column {listed(far)} in given: the cells beside them are drawn as for "
            "the end of that range. Pass numbers inside it, or fit on samples there.",
            UserWarning,
            stacklevel=caller_level(),
        )
    return cells


def _refuse_others_than_whole(name: Any, values: np.ndarray, dtype: Any) -> None:
    """Refuse numbers that samples of a column of whole numbers cannot have."""
    known = [value for value in values.tolist() if value == value and value is not None]
    broken = [value for value in known if value % 1]
    if broken:
        raise ValueError(
            f"expected whole numbers in column {shortened(name)}, as in fit, got "
            f"{broken[0]:g} in given. Round it."
        )
    low, high = integer_limits(dtype) or (-np.inf, np.inf)
    # Python compares whole numbers with floats exactly: 2**63 - 1 is less than 2.0**63.
    beyond = [value for value in known if not low <= value <= high]
    if beyond:
        raise ValueError(
            f"expected numbers from {low} to {high} in column {shortened(name)}, which "
            f"is {dtype}, got {beyond[0]:g} in given. Pass others, or fit on a wider "
            "dtype."
        )


def _read(given: Any, n_samples: int) -> Iterator[tuple[Any, ColumnData]]:
    """Return the columns that are given, by name: of one row or of all."""
    if given is None:
        return
    if is_frame(given):
        if given.shape[0] != n_samples:
            raise ValueError(
                f"expected a row for each of n_samples={n_samples}, got given with "
                f"{given.shape[0]}. Pass n_samples={given.shape[0]}."
            )
        yield from ((raw.name, raw) for raw in read_columns(given))
        return
    if not isinstance(given, Mapping):
        raise TypeError(
            "expected a dict of columns and a value each, or a frame, got given="
            f"{shortened(given)}. Pass e.g. given={{'age': 40}}."
        )
    for name, value in given.items():
        if np.ndim(value) != 0:
            raise ValueError(
                f"expected one value a column, got given={{{name!r}: "
                f"{shortened(value)}}}. Pass one value, or a frame of n_samples rows."
            )
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = value
        yield name, next(iter(read_columns(cell)))
