"""Principal axes of rows, a few rows at a time: dense, sparse or memory-mapped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

import numpy as np
from scipy import linalg, sparse

from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.sparse_rows import OffsetRows
from sk_autoencoder._utils.values import Range

# Columns, or else rows, up to which all axes are found at once; beyond, only those
# that are wanted are sought, by subspace iteration.
MOST = 1000
# Multiply-adds up to which no squares are taken, so that columns of very unlike units
# keep all their digits: beyond, the covariance is twice as fast.
MOST_WORK = 1e9
PASSES = 8
OVERSAMPLING = 10


class ScoredRows(Protocol):
    """Rows as a score sees them, around 0, in float64."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Return some rows at a time, all columns."""

    def columns(self) -> Iterator[np.ndarray]:
        """Return some columns at a time, all rows."""


@dataclass(frozen=True)
class RowsInUnits:
    """Rows as a score sees them: (X - mean) / unit, a constant column as 0.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    mean, weight : ndarray of shape (n_features,), float64
        `weight` is 1 / unit, or 0 for a constant column.
    """

    X: Any
    mean: np.ndarray
    weight: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_rows, n_columns = self.X.shape
        return n_rows, n_columns

    def __iter__(self) -> Iterator[np.ndarray]:
        for rows in row_chunks(*self.X.shape):
            yield (dense_rows(self.X, rows) - self.mean) * self.weight

    def columns(self) -> Iterator[np.ndarray]:
        """Return some columns of all rows at a time."""
        X = self.X.tocsc() if sparse.issparse(self.X) else self.X
        n_rows, n_columns = X.shape
        for some in row_chunks(n_columns, n_rows):
            block = X[:, some]
            block = block.toarray() if sparse.issparse(block) else block
            yield (block - self.mean[some]) * self.weight[some]


@dataclass(frozen=True)
class PrincipalAxes:
    """The axes along which rows vary most.

    Attributes
    ----------
    n_rows : int
    components : ndarray of shape (n_axes, n_features), float64
        Orthonormal, the largest entry of each positive; 0 beyond the rank.
    std : ndarray of shape (n_axes,), float64
        Standard deviation along each axis, largest first; 0 beyond the rank.
    residual_variance : float
        Sum of the variances along all further axes.
    """

    n_rows: Annotated[int, Range(1)]
    components: Annotated[np.ndarray, Range(shape="n d")]
    std: Annotated[np.ndarray, Range(0, shape="n")]
    residual_variance: Annotated[float, Range(0)]

    @classmethod
    def of(cls, rows: "ScoredRows", n_axes: int, seed: int = 0) -> "PrincipalAxes":
        """Find the axes of rows.

        Parameters
        ----------
        rows : ScoredRows
        n_axes : int
            How many; more than the rank are filled up with zeros.
        seed : int
            Of the start of the iteration, where there are many columns.

        References
        ----------
        Halko, Martinsson and Tropp (2011), Finding structure with randomness, SIAM
        Review 53.
        """
        n_rows, n_columns = rows.shape
        width = n_axes + max(OVERSAMPLING, n_axes // 2)
        is_small = n_rows * n_columns**2 <= MOST_WORK
        thin: OffsetRows | None = None
        if isinstance(rows, RowsInUnits) and not is_small:
            thin = OffsetRows.of(rows.X, rows.mean, rows.weight)
        if thin is not None:
            squares, vectors = thin.axes(n_axes, seed)
            variances, total = squares / n_rows, thin.sum_of_squares() / n_rows
            unseen = max(0.0, float(total - variances.sum()))
            return cls._sorted(variances, vectors, n_rows, n_axes, unseen)
        if n_rows < n_columns and n_rows <= MOST:
            products = sum(part @ part.T for part in rows.columns()) / n_rows
            variances, vectors = linalg.eigh(products)
            variances, vectors = variances[-n_axes:], vectors[:, -n_axes:]
            scale = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny) * n_rows)
            parts = [part.T @ (vectors / scale) for part in rows.columns()]
            unseen = max(0.0, float(np.trace(products) - variances.sum()))
            return cls._sorted(variances, np.vstack(parts).T, n_rows, n_axes, unseen)
        if is_small:
            _, spreads, directions = linalg.svd(_triangle(rows), full_matrices=False)
            variances = np.square(spreads) / n_rows
            return cls._sorted(variances, directions, n_rows, n_axes, squared=False)
        if n_columns <= MOST or width >= n_columns:
            covariance = _upper_scatter(rows) / n_rows
            variances, vectors = linalg.eigh(covariance, lower=False, driver="evd")
            return cls._sorted(variances, vectors.T, n_rows, n_axes)
        start = np.random.default_rng(seed).normal(size=(n_columns, width))
        basis = linalg.qr(start, mode="economic")[0]
        for _ in range(PASSES):
            image = sum(chunk.T @ (chunk @ basis) for chunk in rows)
            basis = linalg.qr(image, mode="economic")[0]
        seen = (chunk @ basis for chunk in rows)
        variances, vectors = linalg.eigh(sum(part.T @ part for part in seen) / n_rows)
        total = sum(np.square(chunk).sum() for chunk in rows) / n_rows
        unseen = max(0.0, float(total - variances.sum()))
        return cls._sorted(variances, (basis @ vectors).T, n_rows, n_axes, unseen)

    @classmethod
    def _sorted(
        cls,
        variances: np.ndarray,
        directions: np.ndarray,
        n_rows: int,
        n_axes: int,
        unseen: float = 0.0,
        *,
        squared: bool = True,
    ) -> "PrincipalAxes":
        """Keep the directions (n, n_features) of the largest variances, (n,).

        `squared` tells whether they come from a covariance, whose rounding is that
        of squares.
        """
        order = np.argsort(-variances, kind="stable")
        variances = variances[order]
        # What is no more than rounding is no direction of the data.
        rounding = 10 * np.finfo(np.float64).eps * directions.shape[1]
        rounding = rounding if squared else rounding**2
        variances = np.where(variances > variances[0] * rounding, variances, 0.0)
        rank = int(np.count_nonzero(variances[:n_axes]))
        components = np.zeros((n_axes, directions.shape[1]))
        components[:rank] = _positive_peaks(directions[order[:rank]])
        std = np.zeros(n_axes)
        std[:rank] = np.sqrt(variances[:rank])
        residual_variance = float(variances[n_axes:].sum()) + unseen
        return cls(n_rows, components, std, residual_variance)

    def joined(
        self,
        other: "PrincipalAxes",
        gap: np.ndarray,
        factor: np.ndarray,
    ) -> "PrincipalAxes":
        """Return the axes of two sets of rows together.

        Exact as long as the axes held are as many as the columns.

        Parameters
        ----------
        other : PrincipalAxes
            As many as these.
        gap : ndarray of shape (n_features,)
            Mean of the other rows less that of these, in the new units.
        factor : ndarray of shape (n_features,)
            From the units of these to the new ones, in which the others are.

        References
        ----------
        Ross, Lim, Lin and Yang (2008), Incremental learning for robust visual
        tracking, IJCV 77.
        """
        n_rows = self.n_rows + other.n_rows
        between = np.sqrt(self.n_rows * other.n_rows / n_rows) * gap
        stack = np.vstack(
            [self.scatter_factor() * factor, other.scatter_factor(), between]
        )
        _, deviations, directions = linalg.svd(stack, full_matrices=False)
        # Constant columns have no part in what is lost.
        varied = np.square(factor[factor > 0])
        own_tail = self.residual_variance * (varied.mean() if len(varied) else 1.0)
        lost = (
            own_tail * self.n_rows + other.residual_variance * other.n_rows
        ) / n_rows
        variances = np.square(deviations) / n_rows
        n_axes = len(self.std)
        merged = self._sorted(
            variances, directions, n_rows, n_axes, float(lost), squared=False
        )
        # The codes of rows seen before should change as little as can be.
        turned = np.sum(merged.components * self.components, axis=1) < 0
        components = np.where(turned[:, None], -merged.components, merged.components)
        return replace(merged, components=components)

    def scatter_factor(self) -> np.ndarray:
        """Return as many rows as axes, with the scatter of all."""
        return np.sqrt(self.n_rows) * self.std[:, None] * self.components

    def residual(self, n_components: int) -> float:
        """Return the variance that so many axes leave, summed over the features."""
        return self.residual_variance + float(np.square(self.std[n_components:]).sum())

    @property
    def total(self) -> float:
        """Variance of the rows, summed over the features."""
        return self.residual(0)


def _triangle(rows: ScoredRows) -> np.ndarray:
    """Return as many rows as columns, or fewer, with the scatter of all."""
    triangle = np.empty((0, rows.shape[1]))
    for chunk in rows:
        triangle = linalg.qr(np.vstack([triangle, chunk]), mode="r")[0]
        triangle = triangle[: triangle.shape[1]]
    return triangle


def _upper_scatter(rows: ScoredRows) -> np.ndarray:
    """Return the upper triangle of the products of columns, (n_columns, n_columns)."""
    scatter = np.zeros((rows.shape[1], rows.shape[1]), order="F")
    for chunk in rows:
        # In place: of short chunks, adding up would take as long as the products.
        scatter = linalg.blas.dsyrk(1.0, chunk.T, 1.0, scatter, overwrite_c=1)
    return scatter


def _positive_peaks(components: np.ndarray) -> np.ndarray:
    """Turn each component so that its largest entry is positive."""
    peaks = np.argmax(np.abs(components), axis=1)
    signs = np.sign(components[np.arange(len(components)), peaks])
    return components * signs[:, None]
