"""Mean, spread and range of each column, in one pass and little memory."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from scipy import sparse

from sk_autoencoder._utils.chunks import row_chunks
from sk_autoencoder._utils.values import Range
from sk_autoencoder._utils.variance import is_constant

# By how much of a squared range a variance of two values may be too small: rounding,
# and a margin.
ROUNDING_OF_TWO_VALUES = 1e-10


@dataclass(frozen=True)
class ColumnStatistics:
    """What is known of the columns of the rows seen so far.

    Attributes
    ----------
    n_rows : int
    mean, low, high : ndarray of shape (n_features,), float64
    squares : ndarray of shape (n_features,), float64
        Sum of squared distances from the mean.
    """

    n_rows: Annotated[int, Range(1)]
    mean: Annotated[np.ndarray, Range(shape="d")]
    squares: Annotated[np.ndarray, Range(0, shape="d")]
    low: Annotated[np.ndarray, Range(shape="d")]
    high: Annotated[np.ndarray, Range(shape="d")]

    @classmethod
    def of(cls, X: Any) -> "ColumnStatistics":
        """Gather the statistics of X (n_samples, n_features), dense or CSR."""
        n_rows, n_columns = X.shape
        if sparse.issparse(X):
            return cls._of_sparse(X)
        parts = (cls._of_chunk(X[rows]) for rows in row_chunks(n_rows, n_columns))
        total = next(parts)
        for part in parts:
            total = total.joined(part)
        return total

    @classmethod
    def _of_chunk(cls, rows: np.ndarray) -> "ColumnStatistics":
        low, high = (x.astype(np.float64) for x in (rows.min(axis=0), rows.max(axis=0)))
        # In C order whatever X is in: sums then round alike.
        chunk = np.array(rows, dtype=np.float64, order="C")
        # What overflows here becomes infinite and is refused with the range it has.
        with np.errstate(over="ignore", invalid="ignore"):
            # Rounding of the mean of a constant column would pass for what varies.
            mean = np.where(low == high, low, chunk.mean(axis=0))
            chunk -= mean
            squares = np.square(chunk, out=chunk).sum(axis=0)
        return cls(len(chunk), mean, squares, low, high)

    @classmethod
    def _of_sparse(cls, X: Any) -> "ColumnStatistics":
        """Gather the statistics of a CSR matrix in the time of its stored cells."""
        (n_rows, n_columns), index = X.shape, X.indices
        cells = X.data.astype(np.float64)
        n_stored = np.bincount(index, minlength=n_columns)
        low = np.where(n_stored < n_rows, 0.0, np.inf)
        high = 0.0 - low
        np.minimum.at(low, index, cells)
        np.maximum.at(high, index, cells)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.bincount(index, cells, n_columns)
            mean = np.where(low == high, low, sums / n_rows)
            squares = (n_rows - n_stored) * np.square(mean)
            squares += np.bincount(index, np.square(cells - mean[index]), n_columns)
        return cls(n_rows, mean, squares, low, high)

    def joined(self, other: "ColumnStatistics") -> "ColumnStatistics":
        """Statistics of both sets of rows together.

        References
        ----------
        Chan, Golub and LeVeque (1983), Algorithms for computing the sample
        variance.
        """
        n_rows = self.n_rows + other.n_rows
        weight = other.n_rows / n_rows
        with np.errstate(over="ignore", invalid="ignore"):
            gap = other.mean - self.mean
            between = np.square(gap) * (self.n_rows * weight)
            return ColumnStatistics(
                n_rows,
                self.mean + gap * weight,
                self.squares + other.squares + between,
                np.minimum(self.low, other.low),
                np.maximum(self.high, other.high),
            )

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of each column; exactly 0 for a constant one."""
        spread = np.sqrt(self.squares / self.n_rows)
        constant = is_constant(self.low, self.high, self.mean, spread)
        return np.where(constant, 0.0, spread)

    @property
    def varies(self) -> np.ndarray:
        """Whether each column varies, by more than rounding."""
        return self.spread > 0

    @property
    def has_two_values(self) -> np.ndarray:
        """Whether a column has exactly two values, (n_features,).

        Of all columns of a mean and a range those of two values vary most.

        References
        ----------
        Bhatia and Davis (2000), A better bound on the variance, The American
        Mathematical Monthly 107.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            most = (self.mean - self.low) * (self.high - self.mean)
            less = most - self.squares / self.n_rows
            room = ROUNDING_OF_TWO_VALUES * np.square(self.high - self.low)
            return self.varies & (less <= room)
