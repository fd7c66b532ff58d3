"""Rows for a detector: those that are trained on, those that are scored."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.frames import read_columns
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._outliers.robust import UNSEEN, RobustScales
from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.sklearn_compat import _safe_indexing

# Rows from which scales are measured: more do not move a median.
ROWS_FOR_SCALES = 20_000
# Cells that are looked at together: some tens of megabytes in all.
CHUNK_CELLS = 1_000_000


def typical_rows(
    table: Table | None,
    X: Any,
    parts: Sequence[np.ndarray],
    support: float,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Return which rows of each part are nearest to the medians, in their order.

    What is odd about the others is not to be learned. Of a table numbers alone count:
    by its categories all rows of a smaller group would be left out. And no level is,
    nor the last value of a column of which most cells are missing. All rows of a part
    are returned if these are alike.

    Parameters
    ----------
    table : Table or None
        How X becomes numbers.
    X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
    parts : sequence of ndarray
        Rows to choose from.
    support : float
        Fraction of a part, two rows at least.
    generator : numpy Generator
    """
    sizes = [max(2, math.ceil(support * len(part))) for part in parts]
    is_whole = [size >= len(part) for size, part in zip(sizes, parts, strict=True)]
    if all(is_whole) and (table is None or len(parts) == 1):
        return list(parts)
    rows = numbers_of(table, X)
    some = dense_rows(rows, some_of(rows.shape[0], generator))
    scales = RobustScales.of(some, level_shares(table, rows.shape[1]))
    are_numbers = ~scales.is_category
    far = by_chunks(lambda part: scales.distances(part) @ are_numbers, rows)
    order = np.argsort(far, kind="stable")
    found = []
    for part, size in zip(parts, sizes, strict=True):
        in_part = order[np.isin(order, part)]
        kept = in_part[:size] if far[in_part[:size]].any() else in_part
        more = set(kept.tolist())
        if table is not None:
            is_left = len(more) < rows.shape[0]
            more.update(_needed(rows, order, scales, kept) if is_left else ())
        found.append(np.array(sorted(more)))
    return found


def _needed(
    rows: np.ndarray, order: np.ndarray, scales: RobustScales, kept: np.ndarray
) -> set[int]:
    """Return further rows of a table, so that no level and no column is unknown."""
    found = set[int]()
    for i in np.flatnonzero(scales.is_category):
        # The nearest row of each level, NaN for missing cells among them.
        seen = rows[kept, i]
        levels, first = np.unique(rows[order, i], return_index=True)
        new = ~np.isin(levels, seen) & ~(np.isnan(levels) & np.isnan(seen).any())
        found.update(order[first[new]].tolist())
    there = ~np.isnan(rows[order])
    for i in np.flatnonzero(np.isnan(rows[kept]).all(axis=0) & there.any(axis=0)):
        found.add(int(order[there[:, i].argmax()]))
    return found


def some_of(n_rows: int, generator: np.random.Generator) -> Any:
    """Return which rows are enough to measure scales: all, or some in their order."""
    if n_rows <= ROWS_FOR_SCALES:
        return slice(None)
    return np.sort(generator.choice(n_rows, ROWS_FOR_SCALES, replace=False))


def last_rows(X: Any, n_rows: int) -> Any:
    """Return the last rows of X as they are, so many at most."""
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    size = X.shape[0]
    return X if size <= n_rows else _safe_indexing(X, np.arange(size - n_rows, size))


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


def level_counts(
    shares: Sequence[np.ndarray | None], matrix: Any
) -> list[np.ndarray | None]:
    """Count the rows that have each level of each column, None for a number.

    Parameters
    ----------
    shares : sequence of ndarray or None, one a feature
        See `level_shares`.
    matrix : {ndarray, CSR matrix} of shape (n_samples, n_features)
        All training rows; dense if there is a category.
    """
    found: list[np.ndarray | None] = []
    for i, share in enumerate(shares):
        counts = None
        if share is not None:
            levels = matrix[:, i]
            known = levels[~np.isnan(levels)].astype(np.int64)
            counts = np.bincount(known, minlength=len(share))
        found.append(counts)
    return found


def own_levels(counts: Sequence[np.ndarray | None], rows: np.ndarray) -> np.ndarray:
    """Return which cells of training rows have a level that no other row has."""
    own = np.zeros(rows.shape, bool)
    for i, count in enumerate(counts):
        if count is not None:
            known = ~np.isnan(rows[:, i])
            own[known, i] = count[rows[known, i].astype(np.int64)] == 1
    return own


def by_chunks(function: Callable[[np.ndarray], np.ndarray], rows: Any) -> np.ndarray:
    """Apply a function to rows, some at a time, made dense."""
    n_rows, n_features = rows.shape
    parts = row_chunks(n_rows, n_features, CHUNK_CELLS)
    return np.concatenate([function(dense_rows(rows, part)) for part in parts])
