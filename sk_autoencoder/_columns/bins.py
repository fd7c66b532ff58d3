"""Numbers as levels: bins that hold about the same number of rows each.

A network that gives a probability for every bin of a number knows that it can be near
one of two values and not between them; a normal density does not.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from sk_autoencoder._columns.frames import ColumnData
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._utils.values import Range

# Real rows that are redrawn within such bins are told from real rows with an AUC of .50
# to .55; twice as many bins gained nothing.
N_BINS = 32
# In the tails a bin of so many rows is wide, and its mean says little: it is cut where
# it gets wider than this part of the standard deviation and has this fraction of the
# rows.
# For a few bins more, bins' means in place of numbers are off by half as much: by .09
# standard deviations instead of .20 on average over the columns of California housing,
# and by .09 instead of .17 over those of Taiwanese credit.
WIDEST, N_NARROW_BINS = 0.25, 256
# Training values a bin that are kept, to draw numbers that were seen.
VALUES_KEPT = 1000
# Values of a bin by which it is known how many of its rows lie below a number.
KNOTS_A_BIN = 5
# Standard deviations beyond which a bin's mean no longer moves the network's input.
LARGEST_SCORE = 5.0
# Least distance of a cell to the ends of its bin: in float32 it stays inside.
MARGIN = 2.0**-10


@dataclass(frozen=True)
class Bins:
    """Bins of one column of numbers, in increasing order.

    A column of at most `N_BINS` distinct values has a bin for each. Otherwise a value
    that 1 / `N_BINS` of the rows or more have is a bin of its own, as zero or a cap
    often is, and of the others, in order, as many form a bin as make up that fraction,
    fewer where they lie far apart.

    Attributes
    ----------
    edges : ndarray of shape (n_bins - 1,)
        Between bins: the middle of the values next to it. A value on an edge is of the
        upper bin.
    means : ndarray of shape (n_bins,)
        Of each bin's training values.
    counts : ndarray of shape (n_bins,)
        Training cells in each bin, at least one.
    values : ndarray of shape (n_values,)
        Some training values, in increasing order: evenly spaced ones of each bin.
    """

    edges: Annotated[np.ndarray, Range(shape="e")]
    means: Annotated[np.ndarray, Range(shape="n")]
    counts: Annotated[np.ndarray, Range(0, above=True, shape="n")]
    values: Annotated[np.ndarray, Range(shape="v")]

    @classmethod
    def of(cls, values: np.ndarray) -> "Bins":
        """Find the bins of a column's training values.

        Parameters
        ----------
        values : ndarray of shape (n_samples,)
            NaN where missing.
        """
        seen = np.sort(values[~np.isnan(values)].astype(np.float64))
        if not len(seen):
            raise ValueError(
                f"expected at least one number, got 0 among {len(values)} cells. Leave "
                "the column out."
            )
        if np.isinf(seen[[0, -1]]).any():
            raise ValueError(
                "expected finite numbers, got infinity. Replace it, or drop the rows."
            )
        distinct, counts = np.unique(seen, return_counts=True)
        first = _first_of_bins(distinct, counts)
        last = np.append(first[1:], len(distinct)) - 1
        edges = _between(distinct[last[:-1]], distinct[first[1:]])
        sizes = np.add.reduceat(counts, first)
        # Divided first: a sum of large numbers may overflow.
        terms = np.repeat(1.0 / sizes, last - first + 1) * counts * distinct
        # Rounding may not carry a mean out of its bin.
        means = np.clip(np.add.reduceat(terms, first), distinct[first], distinct[last])
        starts = np.cumsum(sizes) - sizes
        kept = [
            seen[start + _evenly_spaced(size)] if j > i else seen[start : start + 1]
            for start, size, i, j in zip(starts, sizes, first, last, strict=True)
        ]
        return cls(edges, means, sizes.astype(np.float64), np.concatenate(kept))

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.means)

    @property
    def are_wide(self) -> np.ndarray:
        """Which bins hold more than one value, (n_bins,)."""
        first, n_values = self._kept
        return self.values[first] < self.values[first + n_values - 1]

    @property
    def positions(self) -> np.ndarray:
        """Where each bin lies, (n_bins, 2): two numbers for a network.

        The middle of its ranks, from -1 to 1, and its mean, standardized over the rows
        and clipped.
        """
        proportions = self.counts / self.counts.sum()
        ranks = 2 * (np.cumsum(proportions) - proportions / 2) - 1
        if self.n_bins == 1:
            return np.zeros((1, 2))
        # In units of the largest: a square may overflow.
        means = self.means / np.abs(self.means).max()
        centered = means - proportions @ means
        deviation = np.sqrt(proportions @ centered**2)
        scores = centered / deviation if deviation > 0 else np.zeros_like(means)
        return np.stack([ranks, scores.clip(-LARGEST_SCORE, LARGEST_SCORE)], axis=1)

    @property
    def deviation(self) -> float:
        """Standard deviation of the training values, each the mean of its bin."""
        return _deviation(self.means, self.counts)

    @property
    def median(self) -> float:
        """Median of the training values, to one of those that are kept."""
        total = np.cumsum(self.counts)
        level = np.searchsorted(total, total[-1] / 2)
        below = total[level] - self.counts[level]
        u = (total[-1] / 2 - below) / self.counts[level]
        return float(self.draw(np.array([level]), np.array([u]))[0])

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value, the nearest for unseen ones; -1 if missing."""
        levels = np.searchsorted(self.edges, values, side="right")
        return np.where(np.isnan(values), -1, levels)

    def cells(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value plus the fraction of its rows below; -1 if none.

        The fraction is known to a few of the bin's values, and above 0 and below 1.
        """
        levels = self.encode(values)
        # Halves first: the difference of two values may overflow.
        found = np.interp(0.5 * values, 0.5 * self.knots[0], self.knots[1])
        found = np.clip(found, levels + MARGIN, levels + (1 - MARGIN))
        return np.where(levels < 0, -1.0, found)

    @cached_property
    def knots(self) -> np.ndarray:
        """Return values and their cells, (2, n_knots), both in increasing order."""
        parts = []
        for level, (start, n_own) in enumerate(zip(*self._kept, strict=True)):
            own, counts = np.unique(
                self.values[start : start + n_own], return_counts=True
            )
            middles = level + (np.cumsum(counts) - 0.5 * counts) / n_own
            n_knots = min(KNOTS_A_BIN, len(own))
            some = np.linspace(0, len(own) - 1, n_knots).round().astype(int)
            parts.append(np.stack([own[some], middles[some]]))
        return np.hstack(parts)

    def draw(self, levels: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return a training value of each level's bin, all of them equally likely.

        Parameters
        ----------
        levels : ndarray of int of shape (n,)
        u : ndarray of shape (n,)
            Uniform in [0, 1): which of its values.
        """
        first, n_values = self._kept
        n_own = n_values[levels]
        # u next to 1 may be rounded up.
        chosen = np.minimum((u * n_own).astype(np.int64), n_own - 1)
        drawn: np.ndarray = self.values[first[levels] + chosen]
        return drawn

    @cached_property
    def _kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where each bin's kept values begin, and how many there are."""
        n_values = np.bincount(self.encode(self.values), minlength=self.n_bins)
        return np.cumsum(n_values) - n_values, n_values

    def __getstate__(self) -> dict[str, np.ndarray]:
        made = ("_kept", "knots")
        return {name: v for name, v in self.__dict__.items() if name not in made}


@dataclass(frozen=True)
class BinnedColumn:
    """A column of numbers of which a network knows the bins: values stay as they are.

    Attributes
    ----------
    scale : NumberColumn
        What errors are measured in.
    bins : Bins
        Of the values, not scaled.
    """

    scale: NumberColumn
    bins: Bins

    @classmethod
    def of(
        cls, column: ColumnData, scaling: str, *, keeps_binary: bool = False
    ) -> "BinnedColumn":
        """Find the scale and the bins of the values seen; see `NumberColumn.of`."""
        scale = NumberColumn.of(column, scaling, keeps_binary=keeps_binary)
        return cls(scale, Bins.of(column.values.astype(np.float64)))

    @property
    def name(self) -> Any:
        """Name of the column."""
        return self.scale.name

    @property
    def mean(self) -> float:
        """Mean of the values seen."""
        return self.scale.mean

    @property
    def variance(self) -> float:
        """Variance of the scaled numbers."""
        return self.scale.variance

    @property
    def is_constant(self) -> bool:
        """Whether all values seen were the same."""
        return self.scale.is_constant

    def encode(self, column: ColumnData) -> np.ndarray:
        """Return the values, NaN where they are missing."""
        return self.scale.numbers(column)

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Turn values, or means of some, into values as they were seen."""
        return self.scale.as_seen(y.astype(np.float64))


def _first_of_bins(distinct: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the position of each bin's first value among the distinct ones."""
    if len(counts) <= N_BINS:
        return np.arange(len(counts))
    total = np.cumsum(counts)
    usual, least = total[-1] / N_BINS, total[-1] / N_NARROW_BINS
    with np.errstate(over="ignore"):  # no value lies beyond infinity
        ends = distinct + WIDEST * _deviation(distinct, counts)
    spikes = np.append(np.flatnonzero(counts >= usual), len(counts))
    first, start = [], 0
    while start < len(counts):
        first.append(start)
        spike = spikes[np.searchsorted(spikes, start)]
        if spike == start:
            start += 1
            continue
        before = total[start] - counts[start]
        full = np.searchsorted(total, before + usual) + 1
        enough = np.searchsorted(total, before + least) + 1
        beyond = np.searchsorted(distinct, ends[start], side="right")
        start = int(min(full, max(enough, beyond), spike))
    return np.array(first)


def _deviation(distinct: np.ndarray, counts: np.ndarray) -> float:
    """Return the standard deviation of values, each with its number of occurrences."""
    # In units of the largest: a square may overflow.
    largest = float(np.abs(distinct[[0, -1]]).max())
    values, proportions = distinct / largest, counts / counts.sum()
    return float(np.sqrt(proportions @ (values - proportions @ values) ** 2)) * largest


def _between(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the middle of neighbors, above the one and at most the other."""
    # Halves first: the sum may overflow.
    middle = np.minimum(0.5 * below + 0.5 * above, above)
    return np.where(middle > below, middle, above)


def _evenly_spaced(n_values: int) -> np.ndarray:
    """Return positions among so many values, both ends included."""
    n_kept = min(int(n_values), VALUES_KEPT)
    return np.linspace(0, n_values - 1, n_kept).round().astype(np.int64)
