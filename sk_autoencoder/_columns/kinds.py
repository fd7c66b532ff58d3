"""Columns of a table as numbers: scaled ones, and the codes of categories.

Each kind is found on the values of one column, turns values into float64 numbers with
NaN where a cell is missing, and turns such numbers back into values.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Annotated, Any

import numpy as np
from scipy import special

from sk_autoencoder._columns.frames import ColumnData
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._utils.values import Range, listed, shortened
from sk_autoencoder._utils.variance import is_constant

# Knots of a rank-gauss curve at most, as many as QuantileTransformer has.
MOST_KNOTS = 1000
# A column has few values where there are at most so many, each in this number of rows
# on average; a spike is a value that one in `FEW_VALUES` rows has, and so many rows.
FEW_VALUES, ROWS_A_VALUE = 32, 5
# Text is numbers where more than this fraction of its levels are: others say "missing".
LEAST_NUMERALS = 0.9


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: y = (g(x) - origin) / unit, g the identity or rank-gauss.

    Attributes
    ----------
    name : object
    low, high : float
        Range of the values seen.
    is_integer : bool
        Whether only whole numbers within that range are given back.
    mean : float
        Of the values seen.
    origin, unit : float
    knots : ndarray of shape (2, n_knots) or None
        Values and their normal scores, for rank-gauss.
    variance : float
        Of y on the rows seen; 0 for a constant column.
    is_binary : bool
        Whether y are two values with a distance of 1, which networks see as they are.
    codings : tuple of str
        Names of several codings; y is the first. Empty where there is one.
    others : tuple of NumberColumn
        The column in the other codings.
    repeated : ndarray of shape (n_values,) or None
        Sorted training values to which samples are rounded, of a column of few values
        or with spikes; None for others, and where nothing is sampled.
    """

    name: Any
    low: float
    high: float
    is_integer: bool
    mean: float
    origin: float
    unit: Annotated[float, Range(0, above=True)]
    knots: Annotated[np.ndarray | None, Range(shape="2 n")]
    variance: Annotated[float, Range(0)]
    is_binary: bool = False
    codings: tuple[str, ...] = ()
    others: tuple["NumberColumn", ...] = ()
    repeated: Annotated[np.ndarray | None, Range(shape="n")] = None

    @classmethod
    def of(
        cls,
        column: ColumnData,
        scaling: str,
        *,
        keeps_binary: bool = False,
        keeps_values: bool = False,
        whole: ColumnStatistics | None = None,
    ) -> "NumberColumn":
        """Fit the scaling of a column to its values; there must be some.

        Parameters
        ----------
        column : ColumnData
        scaling : {"none", "standard", "minmax", "rank_gauss"}
            "none" is centered only. Several may be joined by "+".
        keeps_binary : bool
            Whether a column of two values, such as 0 and 1, is scaled to a distance of
            1 between them where others are standardized or ranked.
        keeps_values : bool
            Whether to find the values to which samples are rounded.
        whole : ColumnStatistics or None
            Of all values, where the column has only a random sample of them, from which
            their ranks are estimated.
        """
        scaling, *others = scaling.split("+")
        codings = (scaling, *others)
        seen = column.values[~column.missing].astype(np.float64)
        refuse_infinity(column.name, seen)
        if whole is not None:
            ends = np.append(whole.low, whole.high)
            seen = np.append(seen, np.setdiff1d(ends, seen))
        low, high = float(seen.min()), float(seen.max())
        is_binary = (
            keeps_binary
            and scaling in ("standard", "rank_gauss")
            and low < high
            and (
                bool(np.isin(seen, (low, high)).all())
                if whole is None
                else bool(whole.has_two_values[0])
            )
        )
        if is_binary:
            scaling = "minmax"
        knots = _rank_gauss(seen) if scaling == "rank_gauss" else None
        scores = seen if knots is None else _along(seen, *knots)
        moments = _mean_and_deviation(seen) if whole is None else _moments(whole)
        origin, spread = moments if knots is None else _mean_and_deviation(scores)
        constant = bool(is_constant(low, high, origin, spread))
        # Rounding of the mean would pass for what varies.
        origin = float(scores[0]) if low == high else origin
        with np.errstate(over="ignore", invalid="ignore"):
            # What overflows here is refused with the range it has.
            units = {"none": 1.0, "minmax": np.subtract(high, low)}
            unit = 1.0 if constant else float(units.get(scaling, spread))
            variance = 0.0 if constant else float(np.square(spread / unit))
        has_others = bool(others) and not (constant or is_binary)
        return cls(
            column.name,
            low,
            high,
            column.is_integer,
            moments[0],
            origin,
            unit,
            knots,
            variance,
            is_binary and not constant,
            codings if has_others else (),
            tuple(cls.of(column, name, whole=whole) for name in others * has_others),
            _repeated(seen) if keeps_values else None,
        )

    @property
    def is_constant(self) -> bool:
        """Whether all values seen were the same."""
        return self.variance == 0

    def recodings(self) -> list[np.ndarray]:
        """Return y and the other codings at some values, (2, n_knots) for each.

        Between these, all are linear.
        """
        found = []
        for other in self.others:
            knots = other.knots if self.knots is None else self.knots
            if knots is None:
                # A line: two points, far outside of the values seen.
                wide = 10 * (self.high - self.low)
                values = np.array([self.low - wide, self.high + wide])
            else:
                values = knots[0]
            found.append(np.stack([self.scaled(values), other.scaled(values)]))
        return found

    def to_network(self, scaling: str) -> tuple[float, float]:
        """Return factor and shift from y to the units that a scaling makes.

        These are the caller's for "none", and [0, 1] on the rows seen for "minmax";
        y itself is around 0.

        Parameters
        ----------
        scaling : {"none", "standard", "minmax", "rank_gauss"}
            That the column was scaled by.
        """
        if scaling == "none":
            return self.unit, self.origin
        if scaling == "minmax":
            return 1.0, (self.origin - self.low) / self.unit
        return 1.0, 0.0

    def encode(self, column: ColumnData) -> np.ndarray:
        """Turn values into scaled numbers."""
        return self.scaled(self.numbers(column))

    def numbers(self, column: ColumnData) -> np.ndarray:
        """Return the values of a column that holds finite numbers, in float64."""
        column = column.as_numbers()
        if column.values.dtype == object:
            some = next(v for v in column.values if not isinstance(v, bool | None))
            raise TypeError(
                f"expected numbers in column {shortened(self.name)}, as in fit, got "
                f"categories or text: {shortened(some)}. Convert the column."
            )
        refuse_infinity(self.name, column.values)
        return column.values.astype(np.float64)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Scale numbers; results that overflow become infinite."""
        if self.knots is not None:
            values = _along(values, *self.knots)
        with np.errstate(over="ignore"):
            return (values - self.origin) / self.unit

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Turn scaled numbers into values."""
        values = y.astype(np.float64) * self.unit + self.origin
        if self.knots is not None:
            # Halves first: the difference of two values may overflow.
            values = 2 * np.interp(values, self.knots[1], 0.5 * self.knots[0])
        return self.as_seen(values)

    def nearest_seen(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest values seen, of a column of few values or with spikes."""
        known = self.repeated
        if known is None or self.is_constant:
            return values
        # Halves first: the sum may overflow.
        middles = 0.5 * known[:-1] + 0.5 * known[1:]
        nearest: np.ndarray = known[np.searchsorted(middles, values)]
        return nearest

    def as_seen(self, values: np.ndarray) -> np.ndarray:
        """Round numbers, or make them constant, where those of training were so."""
        if self.is_constant:
            return np.full(len(values), self.low)
        if self.is_integer:
            values = np.clip(np.rint(values), self.low, self.high)
        return values


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories: y is the number of a level, from 0.

    Attributes
    ----------
    name : object
    levels : tuple
        Those known, in the order of the dtype or sorted.
    shares : ndarray of shape (n_levels,)
        Of each level in the cells that were not missing.
    """

    name: Any
    levels: tuple[Any, ...]
    shares: Annotated[np.ndarray, Range(0, shape="n")]

    @classmethod
    def of(
        cls,
        column: ColumnData,
        *,
        declared: bool = False,
        whole: Mapping[Any, int] | None = None,
    ) -> "CategoryColumn":
        """Find the levels of a column that has some.

        Parameters
        ----------
        column : ColumnData
        declared : bool
            Whether levels that the dtype declares are known even if no cell has them.
        whole : mapping of level to int or None
            Counts of all cells, where the column has only some of them.
        """
        seen = column.values[~column.missing]
        found = Counter(seen.tolist()) if whole is None else whole
        if column.order is not None:
            levels = tuple(v for v in column.order if declared or v in found)
        else:
            levels = tuple(_sorted(column.name, set(found)))
        counts = np.array([found.get(level, 0) for level in levels], np.float64)
        # All unseen levels together count as one more sample: as much as is known of
        # how often they will come (Good 1953), and the mean hardly moves.
        unseen = counts == 0
        counts[unseen] = 1 / max(1, unseen.sum())
        return cls(column.name, levels, counts / counts.sum())

    @property
    def is_constant(self) -> bool:
        """Whether there is one level only."""
        return len(self.levels) == 1

    def is_doubtful(self, most: float, most_numerals: int) -> bool:
        """Whether levels look like free text, or like numbers in text.

        Parameters
        ----------
        most : float
            Number of levels beyond which they do.
        most_numerals : int
            Number of numerals beyond which they do, if nearly all levels are numerals.
        """
        if not isinstance(self.levels[0], str):
            return False
        n_levels = len(self.levels)
        if n_levels > most:
            return True
        if any(map(_is_code, self.levels)):
            return False
        least = max(most_numerals, LEAST_NUMERALS * n_levels)
        return sum(map(_is_numeral, self.levels)) > least

    def encode(self, column: ColumnData) -> np.ndarray:
        """Turn values into numbers of levels; NaN for what is missing or unknown."""
        get = {level: float(i) for i, level in enumerate(self.levels)}.get
        values = column.as_categories().values.tolist()
        return np.fromiter((get(v, np.nan) for v in values), np.float64, len(values))

    def unknown_levels(self, column: ColumnData, handle_unknown: str) -> set[Any]:
        """Return the levels that were not seen in fit, or refuse them.

        Parameters
        ----------
        column : ColumnData
        handle_unknown : {"error", "ignore"}

        Raises
        ------
        ValueError
            If there are any that must not be there.
        TypeError
            If they are of another type than those of fit.
        """
        unknown = set(column.as_categories().values.tolist()) - {*self.levels, None}
        known = {_kind(level) for level in self.levels}
        for value in unknown:
            if _kind(value) not in known:
                raise TypeError(
                    f"expected {' or '.join(sorted(known))} in column "
                    f"{shortened(self.name)}, as in fit, got {_kind(value)}: "
                    f"{shortened(value)}. Convert the column."
                )
        if unknown and handle_unknown == "error":
            raise ValueError(
                "expected the categories of fit in column "
                f"{shortened(self.name)}, got "
                f"{listed(sorted(map(str, unknown)))}. Pass "
                "handle_unknown='ignore' to treat them as missing."
            )
        return unknown

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Turn numbers of levels into values, (n_samples,) of objects."""
        levels = np.empty(len(self.levels), dtype=object)
        levels[:] = self.levels
        return levels[y.astype(np.int64)]


@dataclass(frozen=True)
class EmptyColumn:
    """A column without one value in the training samples: it takes no part.

    Whatever it holds later on is missing to the model, and comes back missing.

    Attributes
    ----------
    name : object
    is_category : bool
        Whether its dtype says that it holds categories.
    """

    name: Any
    is_category: bool

    @property
    def is_constant(self) -> bool:
        """Whether it takes no part in the model, as a constant column."""
        return True

    @property
    def variance(self) -> float:
        """Variance of the scaled numbers; there are none."""
        return 0.0

    def encode(self, column: ColumnData) -> np.ndarray:
        """Return NaN for each cell."""
        return np.full(len(column.values), np.nan)

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Return a missing value for each number."""
        return np.full(len(y), np.nan)


def refuse_infinity(name: Any, values: np.ndarray) -> None:
    """Refuse infinite numbers in a column of that name."""
    if np.isinf(values).any():
        raise ValueError(
            f"expected finite numbers, got infinity in column "
            f"{shortened(name)}. Replace it, or drop the rows."
        )


def _is_code(text: str) -> bool:
    """Whether text is digits with zeros in front, as "0815"."""
    return text[:1] == "0" and text[1:2].isdigit()


def _is_numeral(text: str) -> bool:
    """Whether text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(value: Any) -> str:
    """Name what a category is, for messages."""
    for name, kind in (("text", str), ("booleans", bool), ("numbers", Number)):
        if isinstance(value, kind):
            return name
    return type(value).__name__


def _sorted(name: Any, levels: set[Any]) -> list[Any]:
    try:
        return sorted(levels)
    except TypeError:
        kinds = sorted({type(level).__name__ for level in levels})
        raise TypeError(
            f"expected categories of one type, got column {shortened(name)} of "
            f"{' and '.join(kinds)}. Convert it, as with astype(str)."
        ) from None


def _repeated(seen: np.ndarray) -> np.ndarray | None:
    """Return all values if there are few; else, if any are spikes, these and others."""
    values, counts = np.unique(seen, return_counts=True)
    few = min(FEW_VALUES, len(seen) / ROWS_A_VALUE)
    spikes = counts >= max(len(seen) / FEW_VALUES, ROWS_A_VALUE)
    if len(values) <= few:
        return values
    if not spikes.any():
        return None
    some = np.linspace(0, len(values) - 1, MOST_KNOTS).round().astype(int)
    return np.union1d(values[some], values[spikes])


def _along(values: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Interpolate the scores of values between knots."""
    # Halves first: the difference of two values may overflow.
    return np.interp(0.5 * values, 0.5 * knots, scores)


def _moments(whole: ColumnStatistics) -> tuple[float, float]:
    """Return mean and standard deviation of the one column of statistics."""
    return float(whole.mean[0]), float(np.sqrt(whole.squares[0] / whole.n_rows))


def _mean_and_deviation(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation, of values near the largest number too."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(values.mean()), float(values.std())
    if not np.isfinite(mean + deviation):
        largest = float(np.abs(values).max())
        values = values / largest
        mean, deviation = values.mean() * largest, values.std() * largest
    return mean, deviation


def _rank_gauss(seen: np.ndarray) -> np.ndarray:
    """Find values and their normal scores, (2, n_knots); between them are lines.

    The score of a value is that of its mean rank less one half, over the number of
    rows: a value that many rows have is not thrown to an end of the scale, as it would
    be by the quantiles alone, and the ends are half a rank from 0 and 1.

    References
    ----------
    Jahrer (2017), first place in Porto Seguro's Safe Driver Prediction: RankGauss.
    """
    values, counts = np.unique(seen, return_counts=True)
    middles = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
    kept, scores = knots_of(middles, MOST_KNOTS)
    return np.stack([values[kept], scores])


def knots_of(middles: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose distinct values by whose ranks all others are known well enough.

    Spaced by ranks alone they leave the scores of the lowest and the highest
    thousandth of the rows off by up to .7; by ranks and scores all are within .02.

    Parameters
    ----------
    middles : ndarray of shape (n_values,)
        The values' mid-ranks in increasing order, as fractions of the cells.
    most : int
        How many are chosen at most.

    Returns
    -------
    kept : ndarray of bool of shape (n_values,)
    scores : ndarray
        Normal scores of those kept.
    """
    scores = special.ndtri(middles)
    kept = np.ones(len(middles), dtype=bool)
    if len(middles) > most:
        kept = _evenly_along(middles, most // 2) | _evenly_along(scores, most // 2)
    return kept, scores[kept]


def _evenly_along(rising: np.ndarray, n_knots: int) -> np.ndarray:
    """Return a mask of so many values at most, evenly spaced."""
    wanted = np.linspace(rising[0], rising[-1], n_knots)
    kept = np.zeros(len(rising), dtype=bool)
    kept[np.searchsorted(rising, wanted).clip(max=len(rising) - 1)] = True
    return kept
