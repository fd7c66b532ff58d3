"""Columns of several kinds, side by side: what joins the groups of a table."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.base import ColumnGroup
from sk_autoencoder._columns.categories import (
    BinaryColumns,
    OneHotColumns,
    SquaredOneHots,
    SquaredPairs,
)
from sk_autoencoder._columns.coded import CodedNumbers
from sk_autoencoder._columns.kinds import CategoryColumn, NumberColumn
from sk_autoencoder._columns.level_codes import RandomCodeColumn
from sk_autoencoder._columns.likelihoods import LIKELIHOODS, LossFunction
from sk_autoencoder._columns.numbers import GaussianNumbers, Numbers, NumericColumns
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._columns.table import Table
from sk_autoencoder._protocols import Columns
from sk_autoencoder._utils.chunks import row_chunks
from sk_autoencoder._utils.float64_buffers import in_dtype

# Levels beyond which a category is a code of a few numbers instead of a one-hot: the
# code of 64 levels has 24 numbers, and that of thousands about 50. See
# docs/development/decisions/0008-categories-with-many-levels.md.
MOST_ONE_HOTS = 64

# What categories are for hidden features: on bank marketing a linear model gains .004
# (half of the rows labeled) and .006 (500 rows) less by those that are learned from
# standardized one-hots and cross-entropies
# (docs/development/decisions/0029-what-hidden-features-learn.md).
SQUARED: dict[type[ColumnGroup], type[ColumnGroup]] = {
    BinaryColumns: SquaredPairs,
    OneHotColumns: SquaredOneHots,
}


class JoinedColumns(Columns):
    """The columns of a table, each scored in its own way.

    The loss of a row is the mean over its columns: squared errors of numbers over
    their variance, cross-entropies of categories over that of their proportions, each
    times the column's weight. The mean row scores 1. As a density it is the sum over
    the columns, in nats. For hidden features it is the mean squared error of the
    numbers that the decoder gives, in which one-hots stay 0 and 1.

    **Shape**: `encode` (n, n_features), of the numbers that `Table` gives, to
    (n, n_inputs); `decode` (n, n_outputs) to (n, n_features). Where cells may be
    missing, the inputs end with a mask of them, but for columns that always are.

    Parameters
    ----------
    table : Table
    density_rows : int or None
        Rows in training, where the loss is in nats; None where it is not.
    given_scaling : {"none", "standard", "minmax", "rank_gauss"} or None
        Of the numbers, where the network is trained as given: it is then given numbers
        in the units that this makes, and gives such; see `Numbers`.
    squared : bool
        Whether categories are scored by squared error too, for hidden features.
    """

    is_squared_error = False

    mean: Tensor
    loss_scale: Tensor
    to_error_units: Tensor
    to_pca_space: Tensor
    column_index: Tensor
    flagged_columns: Tensor
    low: Tensor
    high: Tensor
    spread: Tensor
    input_spread: Tensor

    def __init__(
        self,
        table: Table,
        *,
        density_rows: int | None = None,
        given_scaling: str | None = None,
        squared: bool = False,
    ) -> None:
        super().__init__()
        self.has_gradient = given_scaling is None and not squared
        self.masks = table.allow_missing
        self.n_features = len(table.columns)
        groups = _groups(table, density_rows, given_scaling, squared)
        self.groups = torch.nn.ModuleList(groups)
        self._widths = [group.n_outputs for group in groups]
        self.n_outputs = sum(self._widths)
        stops = np.cumsum(self._widths).tolist()
        self._slices = [slice(i, j) for i, j in itertools.pairwise([0, *stops])]
        # A column that is always missing has no mask: it takes no part.
        masked = np.flatnonzero(~table.is_empty) if self.masks else np.empty(0, int)
        n_masks = len(masked)
        self.n_inputs = self.n_outputs + n_masks
        # Which column each number of the score belongs to.
        column_index = np.concatenate([group.column_indices() for group in groups])
        self.register_buffer("column_index", torch.from_numpy(column_index))
        if self.masks:
            self.flagged_columns = torch.from_numpy(masked)
        factor = np.concatenate([group.factor for group in groups])
        self.factor = np.concatenate([factor, np.zeros(n_masks)])
        low, high, spread = _ranges(table)
        to_error_units = [
            group.to_error_units(in_units=table.has_units) for group in groups
        ]
        errors = np.concatenate(to_error_units)
        input_spread = [group.input_spread() for group in groups]
        values = {
            "mean": np.zeros(self.n_features),
            # Infinite where a column's weight is 0: no error counts there.
            "loss_scale": np.divide(
                errors, factor, out=np.full_like(errors, np.inf), where=factor > 0
            ),
            "to_error_units": errors,
            "offset": np.zeros(self.n_outputs),
            "to_pca_space": factor,
            "low": low,
            "high": high,
            "spread": spread,
            "input_spread": np.concatenate([*input_spread, np.zeros(n_masks)]),
        }
        for name, value in values.items():
            self.write(name, value)
        self._constants = np.array(
            [
                column.to_network(given_scaling)[1]
                if given_scaling and isinstance(column, NumberColumn)
                else 0.0
                for column in table.columns
            ]
        )

    def set_pca(
        self, explained: np.ndarray, residual_variance: float, pca_loss: float = 0.0
    ) -> float:
        """Set the unit of what is learned in each group, from what PCA leaves there."""
        spread = self.exact["input_spread"][: self.n_outputs]
        variances = np.square(spread * self.exact["to_pca_space"])
        # The mean row has a loss of 1. Of corrupted samples, PCA leaves at least its
        # average loss in each column.
        least = min(pca_loss, 1.0) * variances
        residual = np.maximum(variances - explained, least)
        for group, own in zip(self._each(), self._slices, strict=True):
            group.set_residual_variance(residual[own])
        return 1.0

    def scored_rows(self, X: np.ndarray, mean: Any = None) -> "EncodedRows":
        """Return rows of the table in the units of the score; missing cells are 0."""
        return EncodedRows(X, in_dtype(self, torch.float64))

    def constants(self) -> np.ndarray:
        """Return constant numbers in the units of a network as given; else 0."""
        return self._constants

    def set_variance(self, variance: float) -> None:
        """Start from one variance of the errors in all numbers, in scaled units."""
        for group in self._each():
            group.set_variance(variance)

    # -- in and out ------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Turn rows into inputs; what is missing becomes 0."""
        inputs = [group.inputs(group.of(x)) for group in self._each()]
        if self.masks:
            every = len(self.flagged_columns) == self.n_features
            gaps = x if every else x[:, self.flagged_columns]
            inputs.append(gaps.isnan().to(x))
        return torch.cat(inputs, dim=1)

    def mean_inputs(self) -> Tensor:
        """Return the means of the inputs of samples without a missing cell."""
        inputs = [group.mean_inputs() for group in self._each()]
        inputs.append(self.mean.new_zeros(self.n_inputs - self.n_outputs))
        return torch.cat(inputs)

    def centered_targets(self, x: Tensor) -> Tensor:
        """Return rows less their mean, (n, n_outputs), in what errors are measured in.

        These are the caller's units where all columns are numbers, but for rank-gauss;
        else every column is one of variance 1.
        """
        centered = [group.centered(group.of(x)) for group in self._each()]
        return torch.cat(centered, dim=1) * self.to_error_units

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return rows less their reconstruction; 0 where cells are missing."""
        expected = [group.expected(own) for group, own in self._split(raw)]
        gap = (
            self.centered_targets(x) - torch.cat(expected, dim=1) * self.to_error_units
        )
        return gap.masked_fill_(x.isnan()[:, self.column_index], 0.0)

    def sum_by_column(self, squares: Tensor) -> Tensor:
        """Sum squared errors over what belongs to a column, (n, n_features)."""
        sums = squares.new_zeros((squares.shape[0], self.n_features))
        return sums.index_add_(1, self.column_index, squares)

    def decode(self, raw: Tensor) -> Tensor:
        """Turn the decoder's output into the likeliest rows."""
        return self._joined(raw, lambda group, own: group.values(own))

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, given the decoder's output."""
        return self._joined(raw, lambda group, own: group.sample(own, generator))

    def _joined(self, raw: Tensor, function: Any) -> Tensor:
        """Put a function of each group into its columns, and 0 into the others."""
        rows = raw.new_zeros((raw.shape[0], self.n_features))
        for group, own in self._split(raw):
            rows.index_copy_(1, group.index, function(group, own))
        return rows

    # -- scores ----------------------------------------------------------------------

    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each row, (n,); a missing cell counts for nothing."""
        losses = (
            group.cell_losses(own, group.of(x)) for group, own in self._split(raw)
        )
        return self._weighted(raw, losses)

    def loss_of_inputs(self, raw: Tensor, x: Tensor, inputs: Tensor) -> Tensor:
        """Score each row likewise, (n,), where its inputs are known."""
        losses = (
            group.losses_of_inputs(own, group.of(x), inputs[:, place])
            for (group, own), place in zip(self._split(raw), self._slices, strict=True)
        )
        return self._weighted(raw, losses)

    def _weighted(self, raw: Tensor, losses: Iterable[Tensor]) -> Tensor:
        """Return the sums of each row's weighted cells, (n,), from those of groups."""
        total = raw.new_zeros(raw.shape[0])
        for cells, group in zip(losses, self._each(), strict=True):
            total = torch.addmv(total, cells, group.weight)
        return total

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score a batch of rows: a mean over them."""
        return self.per_sample_loss(raw, x).mean()

    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and return the gradient by `raw` too, both over `unit`."""
        weight = 1 / (raw.shape[0] * unit)
        total, slopes = 0.0, []
        for group, own in self._split(raw):
            cells, slope = group.gradient(own, group.of(x))
            total += torch.mv(cells, group.weight).sum().item()
            slopes.append(slope)
        return total * weight, torch.cat(slopes, dim=1).mul_(weight)

    def link(self, y: Tensor) -> Tensor:
        """Turn rows of the score, as PCA gives them, into what the decoder would."""
        return torch.cat([group.link(own) for group, own in self._split(y)], dim=1)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        pairs = zip(self._split(y), gradient.split(self._widths, dim=1), strict=True)
        return torch.cat([p.link_vjp(g, own) for (p, own), g in pairs], dim=1)

    def log_likelihood(self, raw: Tensor, x: Tensor) -> Tensor:
        """Compute the log density of rows given the decoder's output, (n,) in nats."""
        groups = [
            group.log_density(own, group.of(x)) for group, own in self._split(raw)
        ]
        return torch.stack(groups).sum(dim=0)

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the spread of the numbers around the trained reconstruction."""
        for group, own in zip(self._each(), self._slices, strict=True):
            group.fit_dispersion((raw[:, own], group.of(x)) for raw, x in outputs)

    # -- for noise -------------------------------------------------------------------

    def mask(self, x: Tensor, keep: Tensor) -> Tensor:
        """Make cells missing where `keep` is false."""
        return x.masked_fill(~keep, torch.nan)

    def _each(self) -> Iterator[ColumnGroup]:
        yield from self.groups  # type: ignore[misc]

    def _split(self, values: Tensor) -> Iterator[tuple[ColumnGroup, Tensor]]:
        return zip(self._each(), values.split(self._widths, dim=1), strict=True)


def make_columns(
    statistics: ColumnStatistics,
    *,
    table: Table | None,
    scaling: str,
    likelihood: str,
    loss: LossFunction | None = None,
    given_outputs: str | None = None,
    keeps_binary: bool = False,
    squared: bool = False,
) -> Columns:
    """Make the columns of a matrix of numbers or of a table.

    Parameters
    ----------
    statistics : ColumnStatistics
        Of the training rows.
    table : Table or None
        How the columns become numbers, where they are not numbers without gaps.
    scaling, likelihood, loss, given_outputs, keeps_binary
        See `NumericColumns`. The columns of a table have a likelihood each: it is read
        off whether they are to be densities.
    """
    if table is None:
        return NumericColumns(
            scaling=scaling,
            likelihood=likelihood,
            statistics=statistics,
            loss=loss,
            given_outputs=given_outputs,
            keeps_binary=keeps_binary,
        )
    is_density = LIKELIHOODS[likelihood].is_continuous
    return JoinedColumns(
        table,
        density_rows=statistics.n_rows if is_density else None,
        given_scaling=None if given_outputs is None else scaling,
        squared=squared,
    )


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a table in the units of the score, for PCA.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        As `Table` gives them.
    encoder : JoinedColumns
        In float64.
    """

    X: np.ndarray
    encoder: JoinedColumns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and numbers of the score."""
        return len(self.X), self.encoder.n_outputs

    def __iter__(self) -> Iterator[np.ndarray]:
        for rows in row_chunks(*self.shape):
            x = torch.from_numpy(self.X[rows]).double()
            yield (self.encoder.centered_targets(x) / self.encoder.loss_scale).numpy()

    def columns(self) -> Iterator[np.ndarray]:
        """Yield some columns of all rows at a time; used where rows are few."""
        every = np.vstack(list(self))
        for some in row_chunks(*every.T.shape):
            yield every[:, some]


def score_width(table: Table) -> int:
    """Return how many numbers the score of a table's rows has."""
    return sum(
        _group_class(column).width_of(column)
        for column in table.columns
        if not column.is_constant
    )


def least_size(table: Table) -> int:
    """Return how many numbers at least the columns of a table take.

    They may be many more than those that describe it: a file of few bytes must not
    have them made.
    """
    few = n_few = many = 0
    for column in table.columns:
        if not isinstance(column, CategoryColumn) or len(column.levels) <= 2:
            continue
        kind = _group_class(column)
        if kind is OneHotColumns:
            few, n_few = few + kind.width_of(column), n_few + 1
        else:
            many += len(column.levels) * kind.width_of(column)
    return few * n_few + many


def _group_class(column: Any) -> type[ColumnGroup]:
    """Return the class of the group that a column which varies belongs to."""
    if isinstance(column, NumberColumn):
        return CodedNumbers if column.others else Numbers
    if len(column.levels) == 2:
        return BinaryColumns
    return OneHotColumns if len(column.levels) <= MOST_ONE_HOTS else RandomCodeColumn


def _groups(
    table: Table, density_rows: int | None, given_scaling: str | None, squared: bool
) -> list[ColumnGroup]:
    """Sort the columns by kind; constant and empty ones are in none."""
    members: dict[Any, list[int]] = {}
    for i, column in enumerate(table.columns):
        if not column.is_constant:
            kind = _group_class(column)
            kind = SQUARED.get(kind, kind) if squared else kind
            # A column of many levels is a group of its own.
            own = i if kind is RandomCodeColumn else None
            members.setdefault((kind, own), []).append(i)
    groups: list[ColumnGroup] = []
    for (kind, _), cells in members.items():
        columns: Any = [table.columns[i] for i in cells]
        weights = table.weights[cells]
        if kind is not Numbers:
            groups.append(kind(cells, weights, columns))
        elif density_rows is None:
            groups.append(
                Numbers(
                    cells,
                    weights,
                    columns,
                    given_scaling=given_scaling,
                    keeps_units=squared,
                )
            )
        else:
            groups.append(
                GaussianNumbers(
                    cells, weights, columns, density_rows, given_scaling=given_scaling
                )
            )
    total = table.weights.sum()
    if squared:
        total = sum(table.weights[group.column_indices()].sum() for group in groups)
    for group in groups:
        if squared and isinstance(group, CodedNumbers):
            group.weight_units = np.full(len(group.index), 1 / group.n_codings)
        group.set_weight(total, balanced=density_rows is None)
    return groups


def _ranges(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return least, greatest, and deviation of scaled numbers; NaN, NaN, 0 else."""
    n_columns = len(table.columns)
    low, high = np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    spread = np.zeros(n_columns)
    for i, column in enumerate(table.columns):
        if isinstance(column, NumberColumn):
            low[i], high[i] = column.scaled(np.array([column.low, column.high]))
            spread[i] = np.sqrt(column.variance)
    return low, high, spread
