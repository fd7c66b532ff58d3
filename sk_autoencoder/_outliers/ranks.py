"""How unusual cells are by their ranks among the training cells, and by neighbors.

Both are measured in normal scores: that of a number is the standard normal quantile of
its rank. No cell is farther off than the rarest one, so no unit can be blown up, and a
column with a spike is a column like any other. Of a category the score is the size of
its level: `RobustScales.level_distances`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from sk_autoencoder._columns.kinds import knots_of
from sk_autoencoder._saving.checks import Range, need
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.chunks import row_chunks

# Distinct values of a column that are kept: the normal scores of the others, by lines
# between them, are off by less than .03.
MOST_VALUES = 512
# Comparisons of a cell with all values of its column that are done at once: for a few
# rows that is faster than a search in each column.
MOST_COMPARISONS = 1_000_000
# Neighbors that a distance is the mean of: 3 to 20 gave about the same.
N_NEIGHBORS = 5
# Exemplars, and cells of theirs: so many rows are compared with in a millisecond.
MOST_EXEMPLARS, MOST_EXEMPLAR_CELLS = 2048, 524_288
# Fraction of the rows by which a usual size is measured. Outliers are in the rest.
USUAL_FRACTION = 0.9
# Summed distance up to which a row is the same as an exemplar: ranks of the same cell,
# by where it stands and by the limit of all ranks, differ by rounding.
SAME = 1e-18
# Distances that are computed together stay in the cache.
CHUNK_CELLS = 262_144
# Nearest exemplars whose distances are computed again, one column after the other: a
# product of matrices rounds a row alone and one among others in different ways.
N_CANDIDATES = N_NEIGHBORS + 5


def usual_size(sizes: np.ndarray) -> float:
    """Return the mean of the smallest nine tenths: 1 where all are 0."""
    ordered = np.sort(sizes)
    smallest = ordered[: max(1, int(np.ceil(USUAL_FRACTION * len(ordered))))]
    return float(smallest.mean() or ordered.mean() or 1.0)


@loadable(
    values=Range(shape="d m"),
    below=Range(0, 1, shape="d m"),
    up_to=Range(0, 1, shape="d m"),
    least=Range(0, 0.5, above=True, shape="d"),
    rounding=Range(0),
)
@dataclass(frozen=True)
class NormalScores:
    """The ranks of a column's training cells, as fractions, at some of its values.

    Attributes
    ----------
    values : ndarray of shape (n_features, n_values)
        In increasing order; the last is repeated where a column has fewer.
    below, up_to : ndarray of shape (n_features, n_values)
        Fractions of the training cells below each value, and up to it.
    least : ndarray of shape (n_features,)
        Half a cell, as a fraction: no rank is nearer to 0 or 1.
    rounding : float
        Relative difference of equal values in the dtype of the training rows.
    """

    values: np.ndarray
    below: np.ndarray
    up_to: np.ndarray
    least: np.ndarray
    rounding: float

    @classmethod
    def of(cls, rows: np.ndarray, is_category: np.ndarray) -> "NormalScores":
        """Rank the cells of training rows.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        is_category : ndarray of bool of shape (n_features,)
            Columns without ranks.
        """
        found, least = [], np.full(rows.shape[1], 0.5)
        for i, column in enumerate(rows.T):
            seen = column[~np.isnan(column)]
            if is_category[i] or not len(seen):
                seen = np.zeros(1, rows.dtype)
            values, counts = np.unique(seen, return_counts=True)
            up_to = np.cumsum(counts) / len(seen)
            below = np.append(0.0, up_to[:-1])
            kept, _ = knots_of((below + up_to) / 2, MOST_VALUES)
            found.append((values[kept], below[kept], up_to[kept]))
            least[i] = 0.5 / len(seen)
        n_values = max(len(values) for values, _, _ in found)
        values, below, up_to = (
            np.stack([np.pad(p, (0, n_values - len(p)), mode="edge") for p in parts])
            for parts in zip(*found, strict=True)
        )
        return cls(
            values.astype(np.float64), below, up_to, least, rounding_of(rows.dtype)
        )

    def check(self, n_features: int) -> None:
        """Refuse ranks from a file that are not of so many features."""
        need(len(self.values) == n_features, "ranks of other columns")
        tables = (self.values, self.below, self.up_to)
        rises = all((table[:, 1:] >= table[:, :-1]).all() for table in tables)
        good = rises and (self.below <= self.up_to).all()
        need(good, "ranks that are not in their order")

    def __call__(
        self, rows: np.ndarray, levels: Sequence[np.ndarray | None]
    ) -> np.ndarray:
        """Return the normal scores of cells, of shape of rows; NaN where missing.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        levels : sequence of ndarray or None, one a feature
            Sizes of the levels of a category.
        """
        return with_levels(ndtri(self._ranks(rows)), rows, levels)

    def _ranks(self, rows: np.ndarray) -> np.ndarray:
        """Compute the mid-ranks of numbers as fractions, of shape of rows."""
        cells = rows.astype(np.float64)
        # Rows of another dtype than those of fit differ by rounding.
        rounding = max(self.rounding, rounding_of(rows.dtype))
        with np.errstate(over="ignore"):
            reach = rounding * np.abs(cells)
            first = self._n_values(cells - reach, or_equal=False)
            after = self._n_values(cells + reach, or_equal=True)
        n_values, of = self.values.shape[1], np.arange(rows.shape[1])
        left = np.maximum(after - 1, 0)
        right = np.minimum(first, n_values - 1)
        low = np.where(after > 0, self.up_to[of, left], 0.0)
        high = np.where(first < n_values, self.below[of, right], 1.0)
        # Halves first: the difference of two values may overflow.
        near, far = 0.5 * self.values[of, left], 0.5 * self.values[of, right]
        gap = np.where(far > near, far - near, 1.0)
        part = np.clip((0.5 * cells - near) / gap, 0.0, 1.0)
        ranks = low + (high - low) * part
        same = after > first
        middles = 0.5 * (self.below[of, right] + self.up_to[of, left])
        ranks = np.where(same, middles, ranks).clip(self.least, 1.0 - self.least)
        return np.where(np.isnan(cells), np.nan, ranks)

    def _n_values(self, cells: np.ndarray, *, or_equal: bool) -> np.ndarray:
        """Count the values of the column below each cell, or equal ones too."""
        if cells.size * self.values.shape[1] <= MOST_COMPARISONS:
            compared = cells[:, :, np.newaxis]
            least = self.values <= compared if or_equal else self.values < compared
            counts: np.ndarray = least.sum(axis=2)
            return counts
        found = np.empty(cells.shape, np.int64)
        side: Literal["left", "right"] = "right" if or_equal else "left"
        for i, values in enumerate(self.values):
            found[:, i] = np.searchsorted(values, cells[:, i], side)
        return found


def with_levels(
    scores: np.ndarray, rows: np.ndarray, levels: Sequence[np.ndarray | None]
) -> np.ndarray:
    """Write the sizes of levels into scores of rows; see `NormalScores.__call__`."""
    for i, sizes in enumerate(levels):
        if sizes is not None:
            known = ~np.isnan(rows[:, i])
            scores[known, i] = sizes[rows[known, i].astype(np.int64)]
    return scores


@loadable(scores=Range(shape="m d"), levels=Range(-1, shape="m c"))
@dataclass(frozen=True)
class Exemplars:
    """Training rows that others are compared with.

    The distance of two cells is the square of the difference of their scores. Two
    levels of a category are as far apart as two numbers at right angles to each other:
    the sum of the squares of their sizes, and 0 if they are the same.

    Attributes
    ----------
    scores : ndarray of shape (n_exemplars, n_features)
        0, the middle, in place of a missing cell.
    levels : ndarray of shape (n_exemplars, n_categories) or None
        Numbers of the levels of the categories, -1 where missing; None without
        categories.
    """

    scores: np.ndarray
    levels: np.ndarray | None

    @classmethod
    def of(
        cls, scores: np.ndarray, rows: np.ndarray, is_category: np.ndarray
    ) -> "Exemplars":
        """Take all of some training rows.

        Parameters
        ----------
        scores, rows : ndarray of shape (n_exemplars, n_features)
        is_category : ndarray of bool of shape (n_features,)
        """
        levels = None
        if is_category.any():
            levels = np.nan_to_num(rows[:, is_category].astype(np.float64), nan=-1.0)
        return cls(np.nan_to_num(scores), levels)

    def check(self, is_category: np.ndarray) -> None:
        """Refuse exemplars from a file that are not of such columns."""
        need(self.scores.shape[1] == len(is_category), "exemplars of other columns")
        need(0 < len(self.scores) <= MOST_EXEMPLARS, "too many exemplars, or none")
        n_levels = 0 if self.levels is None else self.levels.shape[1]
        need(n_levels == is_category.sum(), "levels of other columns")

    def distances(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        is_category: np.ndarray,
        left_out: np.ndarray | int = 0,
    ) -> np.ndarray:
        """Return the mean distance to the nearest exemplars, of shape of rows.

        One that is the same row is not among them, if there is one: a training row may
        be an exemplar.

        Parameters
        ----------
        scores, rows : ndarray of shape (n_samples, n_features)
        is_category : ndarray of bool of shape (n_features,)
        left_out : ndarray of shape (n_samples,) or int
            How many more that are the same are not, for each row.
        """
        left_out = np.broadcast_to(left_out, len(scores)).astype(np.intp)
        # Once for all chunks: of wide rows these are of a few rows each.
        others = self.scores
        if self.levels is not None:
            others = others[:, ~is_category]
        squares = others**2
        products = others, squares, squares.sum(axis=1)
        n_cells = max(len(self.scores), 3 * N_CANDIDATES * scores.shape[1])
        chunks = row_chunks(len(scores), n_cells, CHUNK_CELLS)
        parts = [
            self._distances(scores[c], rows[c], is_category, left_out[c], products)
            for c in chunks
        ]
        return np.concatenate(parts)

    def _distances(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        is_category: np.ndarray,
        left_out: np.ndarray,
        products: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        near = self._nearest(scores, rows, is_category, products)
        parts = self._squares(
            scores[:, np.newaxis], rows[:, np.newaxis], near, is_category
        )
        sizes = parts.sum(axis=2)
        order = np.argsort(sizes, axis=1, kind="stable")
        first = np.minimum((sizes <= SAME).sum(axis=1), 1 + left_out)
        first = np.minimum(first, max(0, near.shape[1] - 1))
        chosen = first[:, np.newaxis] + np.arange(N_NEIGHBORS)
        # Of fewer rows than that the last one counts again.
        chosen = np.take_along_axis(order, np.minimum(chosen, near.shape[1] - 1), 1)
        nearest = np.take_along_axis(parts, chosen[:, :, np.newaxis], axis=1)
        means: np.ndarray = nearest.mean(axis=1)
        return means

    def _nearest(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        is_category: np.ndarray,
        products: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Return which exemplars are nearest, (n_samples, N_CANDIDATES at most)."""
        others, squares, norms = products
        known = scores if self.levels is None else scores[:, ~is_category]
        missing = np.isnan(known)
        sizes = norms - 2.0 * np.nan_to_num(known) @ others.T
        if missing.any():
            sizes -= missing.astype(np.float64) @ squares.T
        if self.levels is not None:
            of = np.flatnonzero(is_category)
            for levels, i in zip(self.levels.T, of, strict=True):
                own = scores[:, i, np.newaxis], rows[:, i, np.newaxis]
                sizes += self._squares_of_levels(*own, self.scores[:, i], levels)
        # Rounded, so that exemplars as near as each other stay in their order.
        sizes = sizes.astype(np.float32)
        if sizes.shape[1] <= N_CANDIDATES:
            return np.broadcast_to(np.arange(sizes.shape[1]), sizes.shape)
        near = np.argpartition(sizes, N_CANDIDATES - 1, axis=1)[:, :N_CANDIDATES]
        return np.sort(near, axis=1)

    def _squares(
        self,
        scores: np.ndarray,
        rows: np.ndarray,
        near: np.ndarray,
        is_category: np.ndarray,
    ) -> np.ndarray:
        """Compute the distance of each cell to that of some exemplars."""
        others, of = self.scores[near], is_category
        found = np.nan_to_num((scores - others) ** 2)
        if self.levels is not None:
            levels = self.levels[near]
            found[:, :, of] = self._squares_of_levels(
                scores[:, :, of], rows[:, :, of], others[:, :, of], levels
            )
        return found

    @staticmethod
    def _squares_of_levels(
        scores: np.ndarray, rows: np.ndarray, others: np.ndarray, levels: np.ndarray
    ) -> np.ndarray:
        apart = scores**2 + others**2
        same = (rows == levels) & (levels >= 0)
        return np.where(same | np.isnan(rows), 0.0, apart)


def rounding_of(dtype: Any) -> float:
    """Return the relative difference that is only rounding in a dtype."""
    return 4.0 * float(np.finfo(dtype).eps)
