"""Columns of several kinds: numbers, pairs of levels, categories of few and of many."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.categories import OneHots, Pairs
from sk_autoencoder._columns.codes import Codes, code_width
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._columns.numbers import Numbers, NumbersOfSpread
from sk_autoencoder._columns.parts import Part
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._columns.table import Table
from sk_autoencoder._protocols import Columns

__all__ = ["MixedColumns"]

# Levels beyond which a category is a code of a few numbers instead of a one-hot.
MOST_ONE_HOTS = 64


class MixedColumns(Columns):
    """The columns of a table, each scored in its own way.

    The loss of a row is the mean over its columns: squared errors of numbers over
    their variance, cross-entropies of categories over that of their shares, each
    times the column's weight. The mean row scores 1. As a density it is the sum over
    the columns, in nats.

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
    """

    is_squared_error = False

    mean: Tensor
    unit: Tensor
    to_errors: Tensor
    to_score: Tensor
    owner: Tensor
    marked: Tensor
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
    ) -> None:
        super().__init__()
        self.has_gradient = given_scaling is None
        self.masks = table.allow_missing
        self.n_features = len(table.columns)
        parts = _parts(table, density_rows, given_scaling)
        self.parts = torch.nn.ModuleList(parts)
        self._widths = [part.n_outputs for part in parts]
        self.n_outputs = sum(self._widths)
        # A column that is always missing has no mask: it takes no part.
        marked = np.flatnonzero(~table.is_empty) if self.masks else np.empty(0, int)
        n_masks = len(marked)
        self.n_inputs = self.n_outputs + n_masks
        # Which column each number of the score belongs to.
        owner = np.concatenate([part.owners() for part in parts])
        self.register_buffer("owner", torch.from_numpy(owner))
        self.register_buffer("marked", torch.from_numpy(marked), persistent=False)
        factor = np.concatenate([part.factor for part in parts])
        self.factor = np.concatenate([factor, np.zeros(n_masks)])
        low, high, spread = _ranges(table)
        to_errors = [part.to_errors(in_units=table.has_units) for part in parts]
        errors = np.concatenate(to_errors)
        input_spread = [part.input_spread() for part in parts]
        values = {
            "mean": np.zeros(self.n_features),
            # Infinite where a column's weight is 0: no error counts there.
            "unit": np.divide(
                errors, factor, out=np.full_like(errors, np.inf), where=factor > 0
            ),
            "to_errors": errors,
            "offset": np.zeros(self.n_outputs),
            "to_score": factor,
            "low": low,
            "high": high,
            "spread": spread,
            "input_spread": np.concatenate([*input_spread, np.zeros(n_masks)]),
        }
        for name, value in values.items():
            self.write(name, value)

    @staticmethod
    def n_numbers(table: Table) -> int:
        """Return how many numbers at least the columns of a table take.

        They may be many more than those that describe it: a file of few bytes must not
        have them made.
        """
        sizes = [
            len(column.levels)
            for column in table.columns
            if isinstance(column, CategoryColumn) and len(column.levels) > 2
        ]
        few = [size for size in sizes if size <= MOST_ONE_HOTS]
        many = [size * code_width(size) for size in sizes if size > MOST_ONE_HOTS]
        return sum(few) * len(few) + sum(many)

    def set_statistics(self, statistics: ColumnStatistics) -> None:
        """Do nothing: all that is to be known is in the table."""

    def set_left(self, left: np.ndarray) -> None:
        """Learn what variance PCA leaves in each number of the score, (n_outputs,)."""
        stops = np.cumsum(self._widths)[:-1]
        for part, own in zip(self._each(), np.split(left, stops), strict=True):
            part.set_left(own)

    def variances(self) -> np.ndarray:
        """Give the variances of the numbers of the score in training, (n_outputs,)."""
        own = self.exact["input_spread"][: self.n_outputs] * self.exact["to_score"]
        return np.square(own)

    def set_variance(self, variance: float) -> None:
        """Start from one variance of the errors in all numbers, in scaled units."""
        for part in self._each():
            part.set_variance(variance)

    # -- in and out ------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Turn rows into inputs; what is missing becomes 0."""
        inputs = [part.inputs(part.of(x)) for part in self._each()]
        if self.masks:
            gaps = x if len(self.marked) == self.n_features else x[:, self.marked]
            inputs.append(gaps.isnan().to(x))
        return torch.cat(inputs, dim=1)

    def deviations(self, x: Tensor) -> Tensor:
        """Give rows less their mean, (n, n_outputs), in what errors are measured in.

        These are the caller's units where all columns are numbers, but for rank-gauss;
        else every column is one of variance 1.
        """
        centred = [part.centred(part.of(x)) for part in self._each()]
        return torch.cat(centred, dim=1) * self.to_errors

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Give rows less their reconstruction, likewise; 0 where cells are missing."""
        expected = [part.expected(own) for part, own in self._split(raw)]
        gap = self.deviations(x) - torch.cat(expected, dim=1) * self.to_errors
        return gap.masked_fill_(x.isnan()[:, self.owner], 0.0)

    def by_column(self, squares: Tensor) -> Tensor:
        """Sum squared errors over what belongs to a column, (n, n_features)."""
        sums = squares.new_zeros((squares.shape[0], self.n_features))
        return sums.index_add_(1, self.owner, squares)

    def decode(self, raw: Tensor) -> Tensor:
        """Turn the decoder's output into the likeliest rows."""
        return self._joined(raw, lambda part, own: part.values(own))

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, given the decoder's output."""
        return self._joined(raw, lambda part, own: part.sample(own, generator))

    def _joined(self, raw: Tensor, function: Any) -> Tensor:
        """Put what a function gives for each part into its columns; constants are 0."""
        rows = raw.new_zeros((raw.shape[0], self.n_features))
        for part, own in self._split(raw):
            rows.index_copy_(1, part.index, function(part, own))
        return rows

    # -- scores ----------------------------------------------------------------------

    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each row, (n,); a missing cell counts for nothing."""
        losses = raw.new_zeros(raw.shape[0])
        for part, own in self._split(raw):
            losses = torch.addmv(losses, part.cells(own, part.of(x)), part.weight)
        return losses

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score a batch of rows: a mean over them."""
        return self.per_sample_loss(raw, x).mean()

    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        share = 1 / (raw.shape[0] * unit)
        total, slopes = 0.0, []
        for part, own in self._split(raw):
            cells, slope = part.gradient(own, part.of(x))
            total += torch.mv(cells, part.weight).sum().item()
            slopes.append(slope)
        return total * share, torch.cat(slopes, dim=1).mul_(share)

    def to_raw(self, y: Tensor) -> Tensor:
        """Turn rows of the score, as PCA gives them, into what the decoder would."""
        return torch.cat([part.to_raw(own) for part, own in self._split(y)], dim=1)

    def through_raw(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Give the gradient by y of a loss whose gradient by `to_raw(y)` is known."""
        pairs = zip(self._split(y), gradient.split(self._widths, dim=1), strict=True)
        return torch.cat([p.through_raw(g, own) for (p, own), g in pairs], dim=1)

    def log_likelihood(self, raw: Tensor, x: Tensor) -> Tensor:
        """Log density of rows given the decoder's output, (n,) in nats."""
        parts = [part.log_density(own, part.of(x)) for part, own in self._split(raw)]
        return torch.stack(parts).sum(dim=0)

    def calibrate(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the spread of the numbers around the trained reconstruction."""
        places = np.cumsum([0, *self._widths])
        for part, start, stop in zip(
            self._each(), places[:-1], places[1:], strict=True
        ):
            if isinstance(part, NumbersOfSpread):
                part.calibrate((raw[:, start:stop], part.of(x)) for raw, x in outputs)

    # -- for noise -------------------------------------------------------------------

    def extremes(self) -> tuple[Tensor, Tensor]:
        """Give the least and greatest numbers seen; NaN for categories."""
        return self.low, self.high

    def spreads(self) -> Tensor:
        """Give the deviations of the numbers, 0 for categories."""
        return self.spread

    def hidden(self, x: Tensor, keep: Tensor) -> Tensor:
        """Make cells missing where `keep` is false."""
        return x.masked_fill(~keep, torch.nan)

    def _each(self) -> Iterator[Part]:
        yield from self.parts  # type: ignore[misc]

    def _split(self, values: Tensor) -> Iterator[tuple[Part, Tensor]]:
        return zip(self._each(), values.split(self._widths, dim=1), strict=True)


def _parts(
    table: Table, density_rows: int | None, given_scaling: str | None
) -> list[Part]:
    """Sort the columns by kind; constant and empty ones are in none."""
    members: dict[Any, list[int]] = {}
    for i, column in enumerate(table.columns):
        if not column.is_constant and not isinstance(column, EmptyColumn):
            members.setdefault(_kind(column, i), []).append(i)
    numbers: Any = partial(Numbers, given_scaling=given_scaling)
    if density_rows is not None:
        numbers = partial(
            NumbersOfSpread, n_rows=density_rows, given_scaling=given_scaling
        )
    makers = {
        "numbers": numbers,
        "pairs": Pairs,
        "one-hots": OneHots,
    }
    parts = []
    for kind, cells in members.items():
        make: Any = makers.get(kind, Codes)
        columns = [table.columns[i] for i in cells]
        parts.append(make(cells, table.weights[cells], columns))
    total = table.weights.sum()
    for part in parts:
        part.set_weight(total, balanced=density_rows is None)
    return parts


def _kind(column: NumberColumn | CategoryColumn, position: int) -> str | int:
    """Name the part that a column belongs to; one of many levels has its own."""
    if isinstance(column, NumberColumn):
        return "numbers"
    if len(column.levels) == 2:
        return "pairs"
    return "one-hots" if len(column.levels) <= MOST_ONE_HOTS else position


def _ranges(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give least, greatest and deviation of the scaled numbers; NaN, NaN and 0 else."""
    n_columns = len(table.columns)
    low, high = np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    spread = np.zeros(n_columns)
    for i, column in enumerate(table.columns):
        if isinstance(column, NumberColumn):
            low[i], high[i] = column.scaled(np.array([column.low, column.high]))
            spread[i] = np.sqrt(column.variance)
    return low, high, spread
