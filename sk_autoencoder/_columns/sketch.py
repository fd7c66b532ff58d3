"""What has to be known of a table that is never in memory as a whole."""

from collections import Counter
from typing import Any

import numpy as np

from sk_autoencoder._columns.frames import ColumnData
from sk_autoencoder._columns.kinds import refuse_infinity
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._columns.table import Whole, marked_columns
from sk_autoencoder._utils.values import shortened

# Levels of a column that are counted. More are those of a key, of which nothing can be
# learned, and a table of them would grow with the stream.
MOST_LEVELS = 100_000


class TableSketch:
    """Statistics of the numbers and counts of the levels of a table's columns.

    Parameters
    ----------
    categorical_features : "from_dtype", None, or array-like
    allow_missing : bool

    Attributes
    ----------
    columns : list of ColumnStatistics, Counter or None
        Of each column; None where no value has come.
    """

    def __init__(self, categorical_features: Any, *, allow_missing: bool) -> None:
        self._chosen, self._allow_missing = categorical_features, allow_missing
        self.columns: list[Whole] = []

    def add(self, X: Any) -> np.ndarray:
        """Take up further samples; return which of them have a new level, a mask.

        Parameters
        ----------
        X : frame or ndarray of shape (n_samples, n_features)
            Of the same columns at each call.
        """
        raw = marked_columns(X, self._chosen, allow_missing=self._allow_missing)
        self.columns = self.columns or [None] * len(raw)
        is_new = np.zeros(X.shape[0], dtype=bool)
        for i, column in enumerate(raw):
            there = np.flatnonzero(~column.missing)
            if not len(there):
                continue
            whole = self.columns[i]
            if whole is not None and column.is_category != isinstance(whole, Counter):
                kinds = ("numbers", "categories or text")
                raise ValueError(
                    f"expected {kinds[not column.is_category]} in column "
                    f"{shortened(column.name)}, as in the batches before, got "
                    f"{kinds[column.is_category]}. Read it as one dtype in all batches."
                )
            if column.is_category:
                found = whole if isinstance(whole, Counter) else Counter()
                is_new[there[_count(column, column.values[there], found)]] = True
                self.columns[i] = found
                continue
            refuse_infinity(column.name, column.values[there])
            part = ColumnStatistics.of(column.values[there, None])
            if isinstance(whole, ColumnStatistics):
                part = whole.joined(part)
            self.columns[i] = part
        return is_new


def _count(column: ColumnData, values: np.ndarray, counts: Counter[Any]) -> list[int]:
    """Count levels, and return the positions of those that are new."""
    levels = values.tolist()
    new = set(levels) - counts.keys()
    counts.update(levels)
    if len(counts) > MOST_LEVELS:
        raise ValueError(
            f"expected at most {MOST_LEVELS:,} levels in a column of a stream, got "
            f"more in column {shortened(column.name)}. Drop it, or join rare levels."
        )
    if not new:
        return []
    first = dict(zip(reversed(levels), reversed(range(len(levels))), strict=True))
    return [first[level] for level in new]
