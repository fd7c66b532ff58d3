"""How far cells are from what is expected of them, in robust units.

Cells are those of a matrix of numbers, one column a feature: a number of the caller's,
or of a category the number of its level, `UNSEEN` for one that no training row had. NaN
is a missing cell; it is nowhere far off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["UNSEEN", "Units", "distance", "robust_unit"]

UNSEEN = -1  # finds the last item of `Units.levels`

# Median absolute deviation of a normal distribution, in standard deviations.
MAD = 0.6745
# Least unit, in root mean squares of the column: where more than half of the cells are
# the same, the median deviation is 0. A larger share loses the columns that are nearly
# always the same, a smaller one leaves only these.
LEAST_SHARE = 0.05
# Least unit of an error, in deviations of the feature itself: what is as good as a
# function of the other features is not measured in rounding errors.
LEAST_ERROR = 1e-3
# Difference from a constant, in its size, that is one of float32 and float64.
SAME = 1e-6
# Units up to which distances are squared. Beyond they grow in proportion: else one cell
# of a column that is nearly always the same outweighs all others of its row.
BEND = 3.0
# Beyond so many units a cell is as far as can be: sums stay finite.
FARTHEST = 1e12


def robust_unit(deviations: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Give a unit for each column: its median deviation, as a standard deviation.

    Parameters
    ----------
    deviations : ndarray of shape (n_samples, n_columns)
        0 or more; NaN for a missing cell.
    least : ndarray of shape (n_columns,) or float
        What no unit is below.

    Returns
    -------
    unit : ndarray of shape (n_columns,)
        0 for a column without deviations.
    """
    known = ~np.isnan(deviations)
    n_known = np.maximum(known.sum(axis=0), 1)
    sizes = np.where(known, deviations, 0.0)
    # By the largest first: squares of large numbers overflow.
    largest = sizes.max(axis=0)
    shares = sizes / np.where(largest > 0, largest, 1.0)
    spread = largest * np.sqrt((shares**2).sum(axis=0) / n_known)
    middle = _median(np.where(known.any(axis=0), deviations, 0.0))
    return np.maximum(np.maximum(middle / MAD, LEAST_SHARE * spread), least)


def distance(deviations: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Give how far cells are off; 0 where one is missing or there is no unit.

    Deviations in units, squared near 0 and in proportion farther off: Huber's function
    (1964, Robust estimation of a location parameter, Ann. Math. Statist. 35).
    """
    with np.errstate(all="ignore"):
        sizes = np.abs(deviations) / np.where(unit > 0, unit, np.inf)
    return _bent(np.minimum(np.nan_to_num(sizes, posinf=FARTHEST), FARTHEST))


def _bent(sizes: np.ndarray) -> np.ndarray:
    return np.where(sizes < BEND, sizes**2, BEND * (2 * sizes - BEND))


@dataclass(frozen=True)
class Units:
    """What is typical of each feature, and units of the distances from it.

    Attributes
    ----------
    middle : ndarray of shape (n_features,)
        Medians; of a category the most frequent level.
    unit : ndarray of shape (n_features,)
        Of distances from the middle; 0 for a constant column and for a category.
    unseen : float
        Distance of a cell of a constant column that is not that constant: by the unit
        of a column of which one training row is off.
    levels : tuple of ndarray of shape (n_levels + 1,) or None, one a feature
        How far each level of a category is from the mean of their one-hots, in root
        mean squares of that, last a level never seen; None for a number.
    """

    middle: np.ndarray
    unit: np.ndarray
    unseen: float
    levels: tuple[np.ndarray | None, ...]

    @classmethod
    def of(
        cls, rows: np.ndarray, shares: Sequence[np.ndarray | None] | None = None
    ) -> "Units":
        """Measure the columns of the training rows.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        shares : sequence of ndarray or None, one a feature
            Shares of the levels of a category, None for a number. None: all are
            numbers.
        """
        n_rows, n_features = rows.shape
        shares = [None] * n_features if shares is None else shares
        levels = tuple(None if s is None else _level_sizes(s, n_rows) for s in shares)
        rounding = 4 * float(np.finfo(rows.dtype).eps)
        rows = rows.astype(np.float64)
        rows[:, [level is not None for level in levels]] = 0.0
        rows[:, np.isnan(rows).all(axis=0)] = 0.0
        middle = _median(rows)
        unit = robust_unit(np.abs(rows - middle))
        constant = unit <= LEAST_SHARE * rounding * np.abs(middle)
        unit[constant] = 0.0
        for i, level in enumerate(levels):
            middle[i] = middle[i] if level is None else level[:-1].argmin()
        unseen = float(_bent(np.sqrt(n_rows) / LEAST_SHARE))
        return cls(middle, unit, unseen, levels)

    @property
    def is_category(self) -> np.ndarray:
        """Which features are categories, (n_features,)."""
        return np.array([level is not None for level in self.levels])

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Give rows as the networks take them: a level never seen is missing."""
        unseen = self.is_category & (rows == UNSEEN)
        return np.where(unseen, np.nan, rows) if unseen.any() else rows

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """Give the distances of cells from the middle, of shape of rows."""
        rows = rows.astype(np.float64)
        deviations = np.abs(rows - self.middle)
        result = distance(deviations, self.unit)
        other = deviations > SAME * np.abs(self.middle)
        result[other & (self.unit == 0)] = self.unseen
        for i, level in enumerate(self.levels):
            if level is not None:
                known = ~np.isnan(rows[:, i])
                result[:, i] = 0.0
                result[known, i] = _bent(level[rows[known, i].astype(np.int64)])
        return result

    def missed(self, rows: np.ndarray) -> np.ndarray:
        """Give the errors of levels never seen, of shape of rows; 0 elsewhere.

        No reconstruction has such a level: they are as far off as two different
        one-hots are.
        """
        result = np.zeros(rows.shape)
        for i, level in enumerate(self.levels):
            if level is not None:
                result[rows[:, i] == UNSEEN, i] = np.sqrt(level[-1] ** 2 + 1)
        return result


def _median(columns: np.ndarray) -> np.ndarray:
    """Give the median of what is there of each column; `nanmedian` is slow."""
    if np.isnan(columns).any():
        return np.nanmedian(columns, axis=0)
    return np.median(columns, axis=0)


def _level_sizes(shares: np.ndarray, n_rows: int) -> np.ndarray:
    """Give how far each level, and one never seen, is from the mean, in its units."""
    same = float((shares**2).sum())
    shares = np.append(shares, 0.0)
    squares = (1.0 - 2.0 * shares + same) / max(1.0 - same, 1.0 / n_rows)
    return np.sqrt(squares)
