"""Sparse rows less an offset: products with them, without making them dense.

Z = S - 1 o', where S is sparse and o a row, is dense. Products with it are products
with S and a correction of rank one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackError, LinearOperator, svds

# Fraction of the cells that are stored, up to which products with sparse rows are
# faster than those with dense ones.
MOST_STORED = 0.1

# Times the variance of the rows that the square of their mean may be: it is what the
# correction takes off again, and so many digits are lost.
MOST_OFFSET = 1e4

# A fraction of the axes, beyond which it is faster to find all of them at once.
MOST_SOUGHT = 0.1


@dataclass(frozen=True)
class OffsetRows:
    """Sparse rows S less an offset, S - 1 o'.

    Attributes
    ----------
    matrix : CSR matrix of shape (n_rows, n_columns), float64
    offset : ndarray of shape (n_columns,), float64
    """

    matrix: Any
    offset: np.ndarray

    @classmethod
    def of(cls, X: Any, mean: np.ndarray, weight: np.ndarray) -> "OffsetRows | None":
        """Return (X - mean) * weight; None where products with that would not pay.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_rows, n_columns)
        mean, weight : ndarray of shape (n_columns,), float64
        """
        if not sparse.issparse(X) or X.nnz > MOST_STORED * X.shape[0] * X.shape[1]:
            return None
        data = X.data.astype(np.float64) * weight[X.indices]
        matrix = sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)
        rows = cls(matrix, mean * weight)
        lost = X.shape[0] * np.square(rows.offset).sum()
        return rows if lost <= MOST_OFFSET * rows.sum_of_squares() else None

    def sum_of_squares(self) -> float:
        """Return the squares of all cells, summed."""
        n_rows, cells = self.matrix.shape[0], self.matrix.data
        sums = self.matrix.sum(axis=0)
        between = n_rows * np.square(self.offset).sum() - 2 * sums @ self.offset
        return max(0.0, float(cells @ cells + between))

    def times(self, right: np.ndarray) -> np.ndarray:
        """Return Z right."""
        return self.matrix @ right - self.offset @ right

    def transposed_times(self, right: np.ndarray) -> np.ndarray:
        """Return Z' right."""
        correction = np.multiply.outer(self.offset, right.sum(axis=0))
        return self.matrix.T @ right - correction

    def axes(self, n_axes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the squared singular values and the right singular vectors of Z.

        Parameters
        ----------
        n_axes : int
            How many are wanted; more may come.
        seed : int
            Of the start of the iteration.

        Returns
        -------
        squares : ndarray of shape (n,)
        vectors : ndarray of shape (n, n_columns)

        References
        ----------
        Lehoucq, Sorensen and Yang (1998), ARPACK users' guide, SIAM.
        """
        least = min(self.matrix.shape)
        if n_axes <= MOST_SOUGHT * least:
            operator = LinearOperator(
                self.matrix.shape,
                matvec=self.times,
                rmatvec=self.transposed_times,
                matmat=self.times,
                rmatmat=self.transposed_times,
                dtype=np.float64,
            )
            start = np.random.default_rng(seed).uniform(-1, 1, least)
            try:
                _, values, vectors = svds(operator, n_axes, v0=start)
            except ArpackError:
                pass  # of few ranks, or not converged
            else:
                return np.square(values), vectors
        return self._all_axes()

    def _all_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Find all axes, by the products of rows or of columns, whichever are fewer."""
        matrix, offset = self.matrix, self.offset
        n_rows, n_columns = matrix.shape
        if n_rows > n_columns:
            sums = np.multiply.outer(matrix.sum(axis=0), offset)
            products = (matrix.T @ matrix).toarray() - sums - sums.T
            products += n_rows * np.multiply.outer(offset, offset)
            squares, vectors = linalg.eigh(products)
            return squares, vectors.T
        shift = (matrix @ offset)[:, None]
        products = (matrix @ matrix.T).toarray() - shift - shift.T + offset @ offset
        squares, vectors = linalg.eigh(products)
        lengths = np.sqrt(np.maximum(squares, np.finfo(np.float64).tiny))
        return squares, self.transposed_times(vectors / lengths).T
