"""Columns of levels: categories, and the bins of numbers.

A network that knows cells by their levels is trained on *levels*, (n, n_columns), of
the columns that vary: numbers of levels, `HIDDEN` where a cell is missing. To that of a
bin is added the fraction of the bin's rows that lie below a number, so that the network
knows it more exactly than by its bin: such numbers are called *cells*. What users see
are samples X (n, n_features) as `Table` gives them: numbers as they are, numbers of
levels for categories, NaN where a cell is missing.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sk_autoencoder._columns.bins import BinnedColumn
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._columns.table import Column, Table
from sk_autoencoder._protocols import HIDDEN, InputColumns

# A standard deviation may be too small for a number.
TINY = float(np.finfo(np.float64).tiny)


def levels_of(column: Column) -> int:
    """Return how many levels a column has, 0 for one that has none."""
    if isinstance(column, BinnedColumn):
        return column.bins.n_bins
    return len(column.levels) if isinstance(column, CategoryColumn) else 0


def table_size(table: Table) -> int:
    """Return how many numbers at least the columns of a masked network take.

    They may be many more than those that describe it: a file of few bytes must not
    have them made.
    """
    sizes = [levels_of(c) for c in table.columns if not c.is_constant]
    return len(sizes) * sum(sizes)


class LevelColumns(InputColumns):
    """The columns of a table as levels; constant and empty ones are left out.

    Parameters
    ----------
    table : Table
        Its numbers have bins.
    n_rows : int
        In training.

    Attributes
    ----------
    index : ndarray of shape (n_columns,)
        Features that the columns are.
    kinds : list of BinnedColumn and CategoryColumn
    weights : Tensor of shape (n_columns,)
        Of the columns in the loss.
    counts : list of ndarray of shape (n_levels,)
        Training cells of each level of a column.
    means : list of ndarray of shape (n_levels,) or None
        Of the bins of a column; None for categories.
    error_index : Tensor of shape (n_errors,)
        Feature that each number of `errors` belongs to: one of a number, and one for
        each level of a category.
    """

    weights: Tensor
    error_index: Tensor

    def __init__(self, table: Table, n_rows: int) -> None:
        super().__init__()
        self.n_features = len(table.columns)
        varies = [not column.is_constant for column in table.columns]
        self.index = np.flatnonzero(varies)
        self.kinds = [table.columns[i] for i in self.index]
        self.counts: list[np.ndarray] = []
        self.means: list[np.ndarray | None] = []
        widths = []
        for kind in self.kinds:
            if isinstance(kind, BinnedColumn):
                self.counts.append(kind.bins.counts)
                self.means.append(kind.bins.means)
                widths.append(1)
            else:
                assert isinstance(kind, CategoryColumn)
                self.counts.append(kind.shares * n_rows)
                self.means.append(None)
                widths.append(len(kind.levels))
        self.has_units = table.has_units
        none = np.full(len(self.index), np.nan)
        values = {
            "mean": np.zeros(len(self.index)),
            "low": none,
            "high": none,
            "spread": np.zeros(len(self.index)),
            "weights": table.weights[self.index],
        }
        for name, value in values.items():
            self.write(name, value)
        error_index = torch.from_numpy(np.repeat(self.index, widths))
        self.register_buffer("error_index", error_index, persistent=False)

    @property
    def categories(self) -> tuple[np.ndarray, np.ndarray]:
        """Which columns are categories, and where the levels of each begin.

        Among those of categories, one after the other. Both of shape (n_categories,).
        """
        index = np.flatnonzero([means is None for means in self.means])
        sizes = np.array([len(self.counts[i]) for i in index], dtype=np.int64)
        return index, np.cumsum(sizes) - sizes

    @property
    def positions(self) -> list[np.ndarray | None]:
        """Where the bins of each column lie; None for categories."""
        return [
            kind.bins.positions if isinstance(kind, BinnedColumn) else None
            for kind in self.kinds
        ]

    def centers(self) -> Tensor:
        """Return the mean of each bin, one column after the other; NaN for categories.

        In float64, of shape (n_levels,).
        """
        pairs = zip(self.means, self.counts, strict=True)
        parts = [np.full(len(c), np.nan) if m is None else m for m, c in pairs]
        return torch.from_numpy(np.concatenate(parts))

    def constant_cells(self) -> np.ndarray:
        """Return the median of each number, and the level that most cells have.

        Of shape (n_columns,).
        """
        return np.array(
            [
                kind.bins.median if isinstance(kind, BinnedColumn) else counts.argmax()
                for kind, counts in zip(self.kinds, self.counts, strict=True)
            ],
            dtype=np.float64,
        )

    @property
    def are_wide(self) -> list[np.ndarray | None]:
        """Which bins of each column hold more than one value; None for categories."""
        return [
            kind.bins.are_wide if isinstance(kind, BinnedColumn) else None
            for kind in self.kinds
        ]

    def cells(self, X: Tensor) -> Tensor:
        """Turn samples into cells, in their dtype and on their device."""
        values = X.cpu().numpy()[:, self.index].astype(np.float64)
        for i, kind in enumerate(self.kinds):
            if isinstance(kind, BinnedColumn):
                values[:, i] = kind.bins.cells(values[:, i])
            else:
                values[:, i] = np.nan_to_num(values[:, i], nan=HIDDEN)
        return torch.from_numpy(values).to(X)

    def beyond(self, rows: np.ndarray) -> np.ndarray:
        """Return how far numbers are beyond the training values, of shape of rows.

        In standard deviations; 0 for others, and where a cell is missing.
        """
        found = np.zeros(rows.shape)
        for i, kind in zip(self.index, self.kinds, strict=True):
            if isinstance(kind, BinnedColumn):
                low, high = kind.bins.values[[0, -1]]
                cells = rows[:, i].astype(np.float64)
                with np.errstate(over="ignore"):
                    gap = np.fmax(cells - high, 0.0) + np.fmax(low - cells, 0.0)
                    found[:, i] = gap / max(kind.bins.deviation, TINY)
        return found

    def values(self, cells: Tensor) -> Tensor:
        """Return a training value for each number's cell, and levels of categories.

        **Shape**: (n, n_columns), to the same in float64.
        """
        own = cells.double().cpu().numpy()
        values = np.floor(own)
        for i, kind in enumerate(self.kinds):
            if isinstance(kind, BinnedColumn):
                levels = values[:, i].astype(np.int64)
                values[:, i] = kind.bins.draw(levels, own[:, i] - levels)
        return torch.from_numpy(values)

    def encode(self, x: Tensor) -> Tensor:
        """Return the cells of a batch as they are."""
        return x

    def mask(self, x: Tensor, keep: Tensor) -> Tensor:
        """Hide cells where `keep` is false."""
        return x.masked_fill(~keep, HIDDEN)

    # -- errors ------------------------------------------------------------------------

    def error(self, column: int, X: Tensor, shares: Tensor) -> Tensor:
        """Return how far a column of samples is from what was expected.

        In the caller's units where all columns are numbers, else those in which each
        column has the variance 1; 0 where a cell is missing.

        Parameters
        ----------
        column : int
        X : Tensor of shape (n, n_features)
        shares : Tensor of shape (n, n_levels)
            Probabilities of the column's levels.

        Returns
        -------
        error : Tensor of shape (n, 1) or (n, n_levels)
            Of a number, and of the one-hots of a category.
        """
        means = self.means[column]
        if means is None:
            return self._one_hots(column, X, shares)
        expected = shares @ torch.from_numpy(means).to(shares)
        return self._gap(column, X, expected)

    def centered_targets(self, X: Tensor) -> Tensor:
        """Return samples less their mean in the units of `error`, (n, n_errors)."""
        parts = []
        for column, counts in enumerate(self.counts):
            if self.means[column] is None:
                shares = torch.from_numpy(counts / counts.sum()).to(X)
                parts.append(self._one_hots(column, X, shares))
            else:
                parts.append(self._gap(column, X, None))
        return torch.cat(parts, dim=1)

    def sum_by_column(self, squares: Tensor) -> Tensor:
        """Sum squared errors over what belongs to a feature, (n, n_features)."""
        sums = squares.new_zeros((squares.shape[0], self.n_features))
        return sums.index_add_(1, self.error_index, squares)

    def _gap(self, column: int, X: Tensor, expected: Tensor | None) -> Tensor:
        """Return numbers less what was expected, or less their mean, (n, 1)."""
        kind = self.kinds[column]
        assert isinstance(kind, BinnedColumn)
        own = X[:, self.index[column]]
        if self.has_units:
            gap = own - (kind.mean if expected is None else expected)
        else:
            values = [own] if expected is None else [own, expected]
            scaled = [kind.scale.scaled(v.cpu().double().numpy()) for v in values]
            distance = scaled[0] if expected is None else scaled[0] - scaled[1]
            gap = torch.from_numpy(distance / np.sqrt(kind.variance)).to(X)
        return gap.nan_to_num(0.0).unsqueeze(1)

    def _one_hots(self, column: int, X: Tensor, shares: Tensor) -> Tensor:
        """Return one-hots less probabilities, (n, n_levels)."""
        counts = self.counts[column]
        own = X[:, self.index[column]]
        there = own.isnan().logical_not().unsqueeze(1)
        hot = F.one_hot(own.nan_to_num(0.0).long(), len(counts)).to(shares)
        variance = 1.0 - np.square(counts / counts.sum()).sum()
        return (hot - shares) * there * float(variance**-0.5)
