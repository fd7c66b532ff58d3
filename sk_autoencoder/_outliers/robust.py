"""How far cells are from what is expected of them, in robust units.

Cells are those of a matrix of numbers, one column a feature: a number of the caller's,
or of a category the number of its level, `UNSEEN` for one that no training row had. NaN
is a missing cell; it is nowhere far off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from sk_autoencoder._saving.checks import Range, need
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.variance import unit_or_one

UNSEEN = -1  # finds the last item of `RobustScales.level_distances`

# Constants without a page named were chosen on the data sets of
# docs/development/decisions/0019-outlier-detector.md.

# Median absolute deviation of a normal distribution, in standard deviations.
MAD = 0.6745
# Smallest scale, in root mean squares of the column. With a larger one, columns that
# are nearly always about the same no longer count; with a smaller one, only these do.
MIN_SCALE = 0.05
# Smallest scale of an error, in scales of the feature itself: a feature that is nearly
# a function of the others is not measured in rounding errors.
MIN_ERROR_SCALE = 1e-3
# Relative difference from a constant that is only that of float32 and float64.
ROUNDING = 1e-6
# Scales up to which distances are squared. Beyond they grow in proportion: else one
# cell of a column that is nearly always the same outweighs all others of its row.
HUBER_DELTA = 3.0
# Distance of a cell that is so many scales off.
WILD = HUBER_DELTA**2
# Beyond so many scales a cell is as far off as can be, so that sums stay finite.
MAX_DISTANCE = 1e12
# Networks see a cell at most so many scales from the center. Their outputs stay
# finite, and farther off only the cell's own distance carries information.
MAX_SEEN = 1e4
# Samples that a level never seen counts for, where no level was seen once or one was.
# That one counts for 0.5, the middle of its rank: half of that makes the unseen one the
# farther of the two.
UNSEEN_COUNT = 0.25
# Samples of a level below which it was seen once: shares and counts are rounded.
SEEN_ONCE = 1.5


def robust_scale(deviations: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Compute a unit for each column: its median deviation, as a standard deviation.

    Where over half of the deviations are 0, as in a column with a spike, the unit is
    that of the others: see `_scale_beside_spike`.

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
    shares = sizes / unit_or_one(largest)
    spread = largest * np.sqrt((shares**2).sum(axis=0) / n_known)
    middle = _median(np.where(known.any(axis=0), deviations, 0.0))
    unit = middle / MAD
    for i in np.flatnonzero((middle == 0) & (largest > 0)):
        others = sizes[sizes[:, i] > 0, i]
        unit[i] = _scale_beside_spike(others, len(others) / n_known[i])
    return np.maximum(np.maximum(unit, MIN_SCALE * spread), least)


def _scale_beside_spike(
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


def distance(deviations: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Return how far cells are off; 0 where one is missing or there is no scale.

    Deviations in scales, squared near 0 and in proportion farther off: Huber's function
    (1964, Robust estimation of a location parameter, Ann. Math. Statist. 35).
    """
    with np.errstate(all="ignore"):
        sizes = np.abs(deviations) / np.where(np.asarray(scale) > 0, scale, np.inf)
    return huber(np.minimum(np.nan_to_num(sizes, posinf=MAX_DISTANCE), MAX_DISTANCE))


def huber(sizes: Any) -> Any:
    """Square sizes up to `HUBER_DELTA`, and go on in proportion: twice Huber's loss."""
    return np.where(
        sizes < HUBER_DELTA, sizes**2, HUBER_DELTA * (2 * sizes - HUBER_DELTA)
    )


@loadable(
    center=Range(shape="d"), scale=Range(0, shape="d"), constant_distance=Range(0)
)
@dataclass(frozen=True)
class RobustScales:
    """What is typical of each feature, and the scales of the distances from it.

    Attributes
    ----------
    center : ndarray of shape (n_features,)
        Medians; of a category the most frequent level.
    scale : ndarray of shape (n_features,)
        Of distances from the center; 0 for a constant column and for a category.
    constant_distance : float
        Distance of a cell of a constant column that is not that constant: as if one
        training row had been off and the scale were `MIN_SCALE` of the root mean
        square.
    level_distances : tuple of ndarray of shape (n_levels + 1,) or None, one a feature
        How far each level of a category is off, by how rare it is, last a level never
        seen; None for a number.
    """

    center: np.ndarray
    scale: np.ndarray
    constant_distance: float
    level_distances: tuple[np.ndarray | None, ...]

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        shares: Sequence[np.ndarray | None],
        n_samples: int | None = None,
    ) -> "RobustScales":
        """Measure the columns of the training rows.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features)
            All, or some of them.
        shares : sequence of ndarray or None, one a feature
            Proportions of the levels of a category, None for a number.
        n_samples : int or None
            Training rows that the shares are of; None: `n_rows`.
        """
        n_rows = len(rows)
        n_known = (~np.isnan(rows)).mean(axis=0) * (n_samples or n_rows)
        levels = tuple(
            None if s is None else _level_distances(s, n_rows, n)
            for s, n in zip(shares, n_known, strict=True)
        )
        rounding = 4 * float(np.finfo(rows.dtype).eps)
        rows = rows.astype(np.float64)
        rows[:, [level is not None for level in levels]] = 0.0
        rows[:, np.isnan(rows).all(axis=0)] = 0.0
        center = _median(rows)
        deviations = _deviations(rows, center)
        scale = robust_scale(deviations)
        largest = np.where(np.isnan(deviations), 0.0, deviations).max(axis=0)
        scale[largest <= rounding * np.abs(center)] = 0.0
        for i, level in enumerate(levels):
            center[i] = center[i] if level is None else level[:-1].argmin()
        constant_distance = float(huber(np.sqrt(n_rows) / MIN_SCALE))
        return cls(center, scale, constant_distance, levels)

    def check(self, n_features: int, n_levels: Sequence[int]) -> None:
        """Refuse scales from a file that are not of such columns.

        Parameters
        ----------
        n_features : int
        n_levels : sequence of int
            Levels of each column; 0 for a number.
        """
        n_columns = {len(self.center), len(self.level_distances)}
        need(n_columns == {n_features}, "scales of other columns")
        for level, size in zip(self.level_distances, n_levels, strict=True):
            need((level is not None) == (size > 0), "levels of a number, or none")
            if level is not None:
                good = level.shape == (size + 1,) and (level >= 0).all()
                need(good, "distances of other levels")

    @property
    def is_category(self) -> np.ndarray:
        """Which features are categories, (n_features,)."""
        return np.array([level is not None for level in self.level_distances])

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in which a level never seen is missing, in their dtype."""
        unseen = self.is_category & (rows == UNSEEN)
        return np.where(unseen, np.nan, rows) if unseen.any() else rows

    def left_out_levels(
        self, counts: Sequence[np.ndarray | None]
    ) -> tuple[np.ndarray | None, ...]:
        """Return how far off the level of a row is for all other rows.

        Parameters
        ----------
        counts : sequence of ndarray or None, one a feature
            Rows that have each level; None for a number.

        Returns
        -------
        distances : tuple of ndarray of shape (n_levels,) or None, one a feature
            Those of levels that one row less has: of one that a single row has, the
            distance of a level never seen.
        """
        found: list[np.ndarray | None] = []
        for level, count in zip(self.level_distances, counts, strict=True):
            if level is None or count is None:
                found.append(None)
                continue
            sizes, first = np.unique(count, return_index=True)
            known = np.append(level[-1], level[first[sizes > 0]])
            at = np.append(0.0, sizes[sizes > 0])
            found.append(np.interp(count - 1.0, at, known))
        return tuple(found)

    def seen_by_networks(self, rows: np.ndarray, *, fill: bool) -> np.ndarray:
        """Return rows as the networks take them, in their dtype.

        A level never seen is missing. A number that is wildly far off is cut back: it
        would overflow in the network, or drown all others. A network that takes no
        missing cells gets the center in place of one.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        fill : bool
            Whether to fill missing cells.
        """
        low, high = self.seen_range(rows.dtype)
        outside = ((rows < low) | (rows > high)) & ~self.is_category
        # Rows of another dtype differ from a constant by rounding: these stay.
        constant = self.scale == 0
        outside[:, constant] &= self._differs(rows[:, constant], constant)
        rows = self.known(rows)
        if outside.any():
            rows = np.where(outside, rows.clip(low, high), rows)
        if fill and np.isnan(rows).any():
            rows = np.where(np.isnan(rows), self.center, rows).astype(rows.dtype)
        return rows

    def seen_range(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest number of a column that networks see."""
        limit = np.finfo(dtype).max / 4  # a difference of two stays finite
        reach = MAX_SEEN * np.minimum(self.scale, limit / MAX_SEEN)
        low = np.clip(self.center - reach, -limit, limit).astype(dtype)
        high = np.clip(self.center + reach, -limit, limit).astype(dtype)
        return low, high

    def _differs(self, rows: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Whether cells of these columns differ from the center beyond rounding."""
        center = self.center[of]
        differs: np.ndarray = _deviations(rows, center) > ROUNDING * np.abs(center)
        return differs

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances of cells from the center, of shape of rows."""
        rows = rows.astype(np.float64)
        result = distance(_deviations(rows, self.center), self.scale)
        constant = self.scale == 0
        other = self._differs(rows[:, constant], constant)
        result[:, constant] = np.where(other, self.constant_distance, 0.0)
        for i, level in enumerate(self.level_distances):
            if level is not None:
                known = ~np.isnan(rows[:, i])
                result[:, i] = 0.0
                result[known, i] = huber(level[rows[known, i].astype(np.int64)])
        return result

    def unseen_level_error(self, rows: np.ndarray) -> np.ndarray:
        """Return the errors of levels never seen, of shape of rows; 0 elsewhere.

        No reconstruction has such a level: they are as far off as two different
        one-hots are.
        """
        result = np.zeros(rows.shape)
        for i, level in enumerate(self.level_distances):
            if level is not None:
                result[rows[:, i] == UNSEEN, i] = np.sqrt(level[-1] ** 2 + 1)
        return result


def min_error_scales(
    scales: RobustScales,
    rows: np.ndarray,
    shares: Sequence[np.ndarray | None],
) -> np.ndarray:
    """Compute the smallest scales of errors, (n_features,); of a category the scale.

    Where a column has a spike, most errors are those of cells that are the same as
    most, and small: an error there is measured as the column's own distances are.

    Parameters
    ----------
    scales : RobustScales
    rows : ndarray of shape (n_samples, n_features)
        Those that the scales were measured on.
    shares : sequence of ndarray or None, one a feature
        See `RobustScales.of`.
    """
    same = (rows == scales.center).sum(axis=0)
    spike = 2 * same > (~np.isnan(rows)).sum(axis=0)
    least = np.where(spike, 1.0, MIN_ERROR_SCALE) * scales.scale
    for i, share in enumerate(shares):
        if share is not None:
            least[i] = _level_error_scale(share)
    return least


def _deviations(rows: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Compute how far cells are from the center, in float64 and finite."""
    with np.errstate(over="ignore"):
        deviations = np.abs(rows.astype(np.float64) - center)
    return np.minimum(deviations, np.finfo(np.float64).max)


def _median(columns: np.ndarray) -> np.ndarray:
    """Return the median of what is there of each column; `nanmedian` is slow."""
    if np.isnan(columns).any():
        return np.nanmedian(columns, axis=0)
    return np.median(columns, axis=0)


def _level_distances(shares: np.ndarray, n_rows: int, n_known: float) -> np.ndarray:
    """Compute how far each level is off, last one never seen: by how rare it is.

    A level's size is that of a standard normal number which is exceeded as seldom as a
    rarer level is met, half of those as rare counted: the rule of a spike's unit, for
    levels in place of deviations. One that over half of the cells have is not off.

    Levels never seen come as often as there are rows with a level of their own (Good,
    1953, The population frequencies of species and the estimation of population
    parameters, Biometrika 40): where these are many an unseen level is nothing unusual.
    """
    values, inverse, counts = np.unique(shares, return_inverse=True, return_counts=True)
    alike = values * counts
    tails = (np.cumsum(alike) - 0.5 * alike)[inverse]
    once = float(shares[shares * n_known < SEEN_ONCE].sum())
    tails = np.append(tails, UNSEEN_COUNT * max(once, 1 / n_rows))
    sizes = np.asarray(_normal_size(np.minimum(tails, 1.0)))
    sizes[:-1][shares > 0.5] = 0.0
    return sizes


def _level_error_scale(shares: np.ndarray) -> float:
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
    return _scale_beside_spike(sizes, share, rest)
