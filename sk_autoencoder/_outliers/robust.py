"""How far cells are from what is expected of them, in robust units.

Cells are those of a matrix of numbers, one column a feature: a number of the caller's,
or of a category the number of its level, `UNSEEN` for one that no training row had. NaN
is a missing cell; it is nowhere far off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.state_checks import need

__all__ = [
    "UNSEEN",
    "WILD",
    "Units",
    "check_array",
    "distance",
    "least_error_units",
    "robust_unit",
]

UNSEEN = -1  # finds the last item of `Units.levels`

# Median absolute deviation of a normal distribution, in standard deviations.
MAD = 0.6745
# Least unit, in root mean squares of the column. A larger share loses the columns that
# are nearly always about the same, a smaller one leaves only these.
LEAST_SHARE = 0.05
# Least unit of an error, in deviations of the feature itself: what is as good as a
# function of the other features is not measured in rounding errors.
LEAST_ERROR = 1e-3
# Difference from a constant, in its size, that is one of float32 and float64.
SAME = 1e-6
# Units up to which distances are squared. Beyond they grow in proportion: else one cell
# of a column that is nearly always the same outweighs all others of its row.
BEND = 3.0
# Distance of a cell that is so many units off.
WILD = BEND**2
# Beyond so many units a cell is as far as can be: sums stay finite.
FARTHEST = 1e12
# Networks see a cell at most so many units from the middle. What they make of it stays
# finite, and farther off only the cell's own distance has anything to tell.
FARTHEST_SEEN = 1e4
# Samples that a level never seen counts for: half of what one seen once does by the
# middle of its rank, so that it is the farther of the two.
UNSEEN_COUNT = 0.25


def robust_unit(deviations: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Compute a unit for each column: its median deviation, as a standard deviation.

    Where over half of the deviations are 0, as in a column with a spike, the unit is
    that of the others: see `_unit_beside_spike`.

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
    unit = middle / MAD
    for i in np.flatnonzero((middle == 0) & (largest > 0)):
        others = sizes[sizes[:, i] > 0, i]
        unit[i] = _unit_beside_spike(others, len(others) / n_known[i])
    return np.maximum(np.maximum(unit, LEAST_SHARE * spread), least)


def _unit_beside_spike(
    others: np.ndarray, share: float, weights: np.ndarray | None = None
) -> float:
    """Compute the unit of a column of which over half of the cells are the same.

    Such a column is a mixture of that value, the spike, and of the others. A quantile
    of the others' deviations is one of all deviations; the unit is that over the same
    quantile of a normal distribution's, as the usual unit is for the median. So where a
    tenth of the cells are not zero, a middling one of these is two units off, however
    large it is. Where the others are few, their median is taken; where they are nearly
    half, their least, which then is nearly the median of all.

    Parameters
    ----------
    others : ndarray of shape (n_others,)
        Deviations of the cells that are not the same; at least one.
    share : float
        Of these among all cells, below 0.5.
    weights : ndarray of shape (n_others,) or None
        How often each deviation counts; None: once.
    """
    level = 0.5 - share
    order = np.argsort(others, kind="stable")
    counts = np.ones(len(others)) if weights is None else weights[order]
    sums = np.cumsum(counts)
    at = min(np.searchsorted(sums, level * sums[-1]), len(others) - 1)
    return float(others[order[at]]) / float(_normal_size(share * (1.0 - level)))


def _normal_size(tail: np.ndarray | float) -> np.ndarray | float:
    """Compute which size of a standard normal number has this probability beyond it."""
    return -ndtri(0.5 * np.asarray(tail))


def distance(deviations: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return how far cells are off; 0 where one is missing or there is no unit.

    Deviations in units, squared near 0 and in proportion farther off: Huber's function
    (1964, Robust estimation of a location parameter, Ann. Math. Statist. 35).
    """
    with np.errstate(all="ignore"):
        sizes = np.abs(deviations) / np.where(unit > 0, unit, np.inf)
    return _bent(np.minimum(np.nan_to_num(sizes, posinf=FARTHEST), FARTHEST))


def _bent(sizes: np.ndarray) -> np.ndarray:
    return np.where(sizes < BEND, sizes**2, BEND * (2 * sizes - BEND))


@loadable
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
        Distance of a cell of a constant column that is not that constant: as if one
        training row had been off and the unit were `LEAST_SHARE` of the root mean
        square.
    levels : tuple of ndarray of shape (n_levels + 1,) or None, one a feature
        How far each level of a category is off, by how rare it is, last a level never
        seen; None for a number.
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
        deviations = _deviations(rows, middle)
        unit = robust_unit(deviations)
        largest = np.where(np.isnan(deviations), 0.0, deviations).max(axis=0)
        unit[largest <= rounding * np.abs(middle)] = 0.0
        for i, level in enumerate(levels):
            middle[i] = middle[i] if level is None else level[:-1].argmin()
        unseen = float(_bent(np.sqrt(n_rows) / LEAST_SHARE))
        return cls(middle, unit, unseen, levels)

    def check(self, n_features: int, n_levels: Sequence[int]) -> None:
        """Refuse units from a file that are not of such columns.

        Parameters
        ----------
        n_features : int
        n_levels : sequence of int
            Levels of each column; 0 for a number.
        """
        check_array("middle", self.middle, (n_features,))
        check_array("unit", self.unit, (n_features,), least=0)
        need(self.unseen >= 0, "a distance below 0")
        need(len(self.levels) == n_features, f"levels of {len(self.levels)} columns")
        for level, size in zip(self.levels, n_levels, strict=True):
            need((level is None) == (size == 0), "levels of a number")
            if level is not None:
                check_array("levels of a column", level, (size + 1,), least=0)

    @property
    def is_category(self) -> np.ndarray:
        """Which features are categories, (n_features,)."""
        return np.array([level is not None for level in self.levels])

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in which a level never seen is missing, in their dtype."""
        unseen = self.is_category & (rows == UNSEEN)
        return np.where(unseen, np.nan, rows) if unseen.any() else rows

    def seen_by_networks(self, rows: np.ndarray, *, fill: bool) -> np.ndarray:
        """Return rows as the networks take them, in their dtype.

        A level never seen is missing. A number that is wildly far off is cut back: it
        would overflow in the network, or drown all others. A network that takes no
        missing cells gets the middle in place of one.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        fill : bool
            Whether to fill missing cells.
        """
        limit = np.finfo(rows.dtype).max / 4  # a difference of two stays finite
        reach = np.minimum(FARTHEST_SEEN * self.unit, limit)
        low = np.clip(self.middle - reach, -limit, limit).astype(rows.dtype)
        high = np.clip(self.middle + reach, -limit, limit).astype(rows.dtype)
        outside = ((rows < low) | (rows > high)) & ~self.is_category
        # Rows of another dtype differ from a constant by rounding: these stay.
        constant = self.unit == 0
        outside[:, constant] &= self._differs(rows[:, constant], constant)
        rows = self.known(rows)
        if outside.any():
            rows = np.where(outside, rows.clip(low, high), rows)
        if fill and np.isnan(rows).any():
            rows = np.where(np.isnan(rows), self.middle, rows).astype(rows.dtype)
        return rows

    def _differs(self, rows: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Whether cells of these columns differ from the middle beyond rounding."""
        middle = self.middle[of]
        return _deviations(rows, middle) > SAME * np.abs(middle)

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances of cells from the middle, of shape of rows."""
        rows = rows.astype(np.float64)
        result = distance(_deviations(rows, self.middle), self.unit)
        constant = self.unit == 0
        other = self._differs(rows[:, constant], constant)
        result[:, constant] = np.where(other, self.unseen, 0.0)
        for i, level in enumerate(self.levels):
            if level is not None:
                known = ~np.isnan(rows[:, i])
                result[:, i] = 0.0
                result[known, i] = _bent(level[rows[known, i].astype(np.int64)])
        return result

    def missed(self, rows: np.ndarray) -> np.ndarray:
        """Return the errors of levels never seen, of shape of rows; 0 elsewhere.

        No reconstruction has such a level: they are as far off as two different
        one-hots are.
        """
        result = np.zeros(rows.shape)
        for i, level in enumerate(self.levels):
            if level is not None:
                result[rows[:, i] == UNSEEN, i] = np.sqrt(level[-1] ** 2 + 1)
        return result


def check_array(
    name: str, array: np.ndarray, shape: tuple[int, ...], least: float = -np.inf
) -> None:
    """Refuse an array from a file of another shape, or with a number below the least.

    Parameters
    ----------
    name : str
        What it is, for the error.
    array : ndarray
        Of finite numbers.
    shape : tuple of int
    least : float
    """
    need(array.shape == shape, f"{name} that are no {shape} finite numbers")
    need((array >= least).all(), f"{name} below {least}")


def least_error_units(
    units: Units, rows: np.ndarray, shares: Sequence[np.ndarray | None] | None = None
) -> np.ndarray:
    """Compute what no unit of an error is below, (n_features,); of a category the unit.

    Where a column has a spike, most errors are those of cells that are the same as
    most, and small: an error there is measured as the column's own distances are.

    Parameters
    ----------
    units : Units
    rows : ndarray of shape (n_samples, n_features)
        Those that the units were measured on.
    shares : sequence of ndarray or None, one a feature
        See `Units.of`.
    """
    same = (rows == units.middle).sum(axis=0)
    spike = 2 * same > (~np.isnan(rows)).sum(axis=0)
    least = np.where(spike, 1.0, LEAST_ERROR) * units.unit
    for i, share in enumerate(shares or ()):
        if share is not None:
            least[i] = _level_unit(share)
    return least


def _deviations(rows: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Compute how far cells are from the middle, in float64 and finite."""
    with np.errstate(over="ignore"):
        deviations = np.abs(rows.astype(np.float64) - middle)
    return np.minimum(deviations, np.finfo(np.float64).max)


def _median(columns: np.ndarray) -> np.ndarray:
    """Return the median of what is there of each column; `nanmedian` is slow."""
    if np.isnan(columns).any():
        return np.nanmedian(columns, axis=0)
    return np.median(columns, axis=0)


def _level_sizes(shares: np.ndarray, n_rows: int) -> np.ndarray:
    """Compute how far each level is off, last one never seen: by how rare it is.

    A level's size is that of a standard normal number which is exceeded as seldom as a
    rarer level is met, half of those as rare counted: the rule of a spike's unit, for
    levels in place of deviations. One that over half of the cells have is not off.
    """
    values, inverse, counts = np.unique(shares, return_inverse=True, return_counts=True)
    alike = values * counts
    tails = (np.cumsum(alike) - 0.5 * alike)[inverse]
    tails = np.append(tails, UNSEEN_COUNT / n_rows)
    sizes = np.asarray(_normal_size(np.minimum(tails, 1.0)))
    sizes[:-1][shares > 0.5] = 0.0
    return sizes


def _level_unit(shares: np.ndarray) -> float:
    """Compute the unit of the errors of a category's one-hots.

    They come in units of the one-hots' deviation. Where one level has over half of the
    cells that is small, and any other level is many units off, as in a column of
    numbers with a spike; so the unit is found in the same way.
    """
    rest = np.delete(shares, shares.argmax())
    share = float(rest.sum())
    if not 0 < share < 0.5:
        return 1.0
    same = float((shares**2).sum())
    sizes = np.sqrt((1.0 - 2.0 * rest + same) / (1.0 - same))
    return _unit_beside_spike(sizes, share, rest)
