"""Rows for a detector: those that are trained on, those that are scored."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.frames import read_columns
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._outliers.robust import UNSEEN, RobustScales
from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.sklearn_compat import _safe_indexing

__all__ = [
    "CHUNK_CELLS",
    "by_chunks",
    "level_shares",
    "most_typical",
    "numbers_of",
    "some_rows",
    "without_warnings_of_empty",
]

# Rows from which scales are measured: more do not move a median.
ROWS_FOR_SCALES = 20_000
# Cells that are looked at together: some tens of megabytes in all.
CHUNK_CELLS = 1_000_000


def most_typical(
    reader: BaseAutoEncoder | None, X: Any, n_rows: int, generator: np.random.Generator
) -> Any:
    """Return the rows nearest to the medians, in their order; all if these are alike.

    What is odd about the others is not to be learned. Of a table numbers alone count:
    by its categories all rows of a smaller group would be left out. And no level is,
    nor the last value of a column of which most cells are missing.
    """
    if n_rows >= X.shape[0]:
        return X
    table = None if reader is None else reader._read_table(X)
    rows = numbers_of(table, X)
    scales = RobustScales.of(
        some_rows(rows, generator), level_shares(table, rows.shape[1])
    )
    are_numbers = ~scales.is_category
    far = by_chunks(lambda part: scales.distances(part) @ are_numbers, rows)
    order = np.argsort(far, kind="stable")
    if not far[order[:n_rows]].any():
        return X
    kept = set(order[:n_rows].tolist())
    for i in np.flatnonzero(scales.is_category):
        # The nearest row of each level, NaN for missing cells among them.
        kept.update(order[np.unique(rows[order, i], return_index=True)[1]].tolist())
    if table is not None:
        there = ~np.isnan(rows[order])
        for i in np.flatnonzero(~there[:n_rows].any(axis=0) & there.any(axis=0)):
            kept.add(int(order[there[:, i].argmax()]))
    return _safe_indexing(X, np.array(sorted(kept)))


@contextmanager
def without_warnings_of_empty(reader: BaseAutoEncoder | None, X: Any) -> Iterator[None]:
    """Hide what each fit would say of columns without a value: the detector says it."""
    if (
        reader is None
        or not reader.allow_missing
        or not reader._read_table(X).is_empty.any()
    ):
        # The filters are those of the whole process: no need to touch them.
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "expected at least one value in each column")
        yield


def some_rows(rows: Any, generator: np.random.Generator) -> np.ndarray:
    """Return rows enough to measure scales, made dense."""
    n_rows = rows.shape[0]
    if n_rows <= ROWS_FOR_SCALES:
        return dense_rows(rows, slice(None))
    chosen = generator.choice(n_rows, ROWS_FOR_SCALES, replace=False)
    return dense_rows(rows, np.sort(chosen))


def level_shares(table: Table | None, n_features: int) -> list[np.ndarray | None]:
    """Return the proportions of the levels of each column, None for a number."""
    if table is None:
        return [None] * n_features
    return [
        column.shares if isinstance(column, CategoryColumn) else None
        for column in table.columns
    ]


def numbers_of(table: Table | None, X: Any) -> Any:
    """Turn a table into numbers; take validated rows as they are."""
    if table is None:
        return X
    with np.errstate(over="ignore"):
        matrix = table.matrix(X)
    # In units of its column a number may be larger than numbers go.
    limit = np.finfo(matrix.dtype).max
    matrix.clip(-limit, limit, out=matrix)
    for i, (column, raw) in enumerate(zip(table.columns, read_columns(X), strict=True)):
        if isinstance(column, CategoryColumn):
            gaps = np.isnan(matrix[:, i])
            if gaps.any():
                matrix[gaps & ~raw.as_categories().missing, i] = UNSEEN
    return matrix


def by_chunks(function: Callable[[np.ndarray], np.ndarray], rows: Any) -> np.ndarray:
    """Apply a function to rows, some at a time, made dense."""
    n_rows, n_features = rows.shape
    parts = row_chunks(n_rows, n_features, CHUNK_CELLS)
    return np.concatenate([function(dense_rows(rows, part)) for part in parts])
