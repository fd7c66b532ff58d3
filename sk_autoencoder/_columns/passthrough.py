"""The columns themselves, beside hidden features."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.base import ColumnGroup
from sk_autoencoder._columns.coded import LARGEST, CodedNumbers
from sk_autoencoder._columns.joined import MOST_ONE_HOTS, JoinedColumns
from sk_autoencoder._columns.kinds import CategoryColumn, NumberColumn
from sk_autoencoder._columns.level_codes import RandomCodeColumn
from sk_autoencoder._columns.numbers import NumericColumns
from sk_autoencoder._columns.table import Table
from sk_autoencoder._protocols import Columns
from sk_autoencoder._utils.float64_buffers import Float64Buffers


class PassedColumns(Float64Buffers):
    """Turns samples into columns for a linear model, in the order of their features.

    A number is in the units of `numeric_scaling`, around 0, several codings of it
    beside each other, standard deviations clipped; one of two values keeps its units,
    so that one-hots and flags stay 0 and 1. A category is a one-hot, or the code
    of its level where it has many. A missing cell is 0. Which cells are missing comes
    last, a flag for each of some features.

    **Shape**: (n, n_features) to (n, n_columns).

    Parameters
    ----------
    columns : Columns
        Of the model; of a table the numbers are scaled already.
    table : Table or None
        How the samples were read, where they are not numbers without gaps.
    scaling : {"none", "standard", "minmax", "rank_gauss"}
    indicators : sequence of int
        Features that have a flag for missing cells.
    """

    shift: Tensor
    factor: Tensor
    limit: Tensor
    number_index: Tensor
    level_index: Tensor
    level: Tensor
    indicator_index: Tensor
    order: Tensor

    def __init__(
        self,
        columns: Columns,
        table: Table | None,
        *,
        scaling: str,
        indicators: Sequence[int] = (),
    ) -> None:
        super().__init__()
        numbers, levels = _by_kind(columns, table)
        self.set_units(columns, table, scaling=scaling)
        positions = {
            "number_index": numbers,
            "level_index": [i for i, _ in levels],
            "level": [number for _, number in levels],
            "indicator_index": list(indicators),
        }
        features = numbers + positions["level_index"]
        for group in _coded_groups(columns):
            features += group.column_indices().tolist()
        positions["order"] = [
            *np.argsort(features, kind="stable").tolist(),
            *range(len(features), len(features) + len(indicators)),
        ]
        self.n_columns = len(positions["order"])
        for name, values in positions.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.long))

    def set_units(self, columns: Columns, table: Table | None, *, scaling: str) -> None:
        """Take the units of the numbers from columns that are up to date."""
        if table is None:
            assert isinstance(columns, NumericColumns)
            is_kept = columns.is_kept
            origins, units = columns.statistics.mean, columns.scale.unit
            shift = np.where(is_kept, 0.0, origins)
        else:
            numbers = [
                c for c in table.columns if isinstance(c, NumberColumn) and not c.others
            ]
            # What is not scaled at all has one unit, as in the score.
            variances = [c.variance for c in numbers if scaling == "none"]
            unit = np.sqrt(np.mean(variances)) if any(variances) else 1.0
            units = np.full(len(numbers), unit)
            shift = np.array(
                [-c.origin / c.unit if c.is_binary else 0.0 for c in numbers]
            )
            is_kept = np.array([c.is_binary for c in numbers], dtype=bool)
        in_deviations = ~is_kept & (scaling in ("standard", "rank_gauss"))
        self.write("shift", shift)
        self.write("factor", 1 / units)
        self.write("limit", np.where(in_deviations, LARGEST, np.inf))

    def forward(self, X: Tensor, columns: Columns) -> Tensor:
        """Return the columns of samples, or of rows that a table gives."""
        numbers = (X[:, self.number_index] - self.shift).mul_(self.factor)
        numbers = numbers.clamp_(-self.limit, self.limit)
        parts = [
            numbers.masked_fill_(numbers.isnan(), 0.0),
            (X[:, self.level_index] == self.level).to(X),
        ]
        parts += [group.passed(group.of(X)) for group in _coded_groups(columns)]
        parts.append(X[:, self.indicator_index].isnan().to(X))
        return torch.cat(parts, dim=1)[:, self.order]


def passed_names(
    names: Sequence[str], table: Table | None, indicators: Sequence[int]
) -> list[str]:
    """Return the names of the columns that `PassedColumns` gives.

    Parameters
    ----------
    names : sequence of str
        Of the features.
    table : Table or None
    indicators : sequence of int
        Features that have a flag for missing cells.
    """
    passed = list(names)
    if table is not None:
        passed = [
            f"{name}{ending}"
            for name, column in zip(names, table.columns, strict=True)
            for ending in _endings(column)
        ]
    return passed + [f"missingindicator_{names[i]}" for i in indicators]


def encoded_names(
    names: Sequence[str], table: Table | None, columns: Columns
) -> list[str]:
    """Return the names of the numbers of the score, (n_outputs,).

    Parameters
    ----------
    names : sequence of str
        Of the features.
    table : Table or None
    columns : Columns
        Of the same features.
    """
    if table is None or columns.column_index is None:
        return list(names)
    endings = [_endings(column) for column in table.columns]
    return [f"{names[i]}{next(endings[i])}" for i in columns.column_index.tolist()]


def _endings(column: object) -> Iterator[str]:
    """Return what tells the columns of a feature from each other."""
    if isinstance(column, NumberColumn):
        yield from (f"_{coding}" for coding in column.codings)
        if not column.codings:
            yield ""
    elif isinstance(column, CategoryColumn) and _is_coded(column):
        yield from (f"_code{i}" for i in range(RandomCodeColumn.width_of(column)))
    elif isinstance(column, CategoryColumn):
        yield from (f"_{column.levels[i]}" for i in _levels_of(column))


def _coded_groups(columns: Columns) -> list[ColumnGroup]:
    """Return the groups that know best how their columns are given to a model."""
    if not isinstance(columns, JoinedColumns):
        return []
    kinds = (CodedNumbers, RandomCodeColumn)
    return [group for group in columns.groups if isinstance(group, kinds)]


def _by_kind(
    columns: Columns, table: Table | None
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return features of numbers in one coding, and features with their levels."""
    if table is None:
        return list(range(columns.n_inputs)), []
    numbers, levels = [], []
    for i, column in enumerate(table.columns):
        if isinstance(column, NumberColumn) and not column.others:
            numbers.append(i)
        elif isinstance(column, CategoryColumn) and not _is_coded(column):
            levels += [(i, number) for number in _levels_of(column)]
    return numbers, levels


def _is_coded(column: CategoryColumn) -> bool:
    return len(column.levels) > MOST_ONE_HOTS


def _levels_of(column: CategoryColumn) -> range:
    """Return the levels that have a column: of two the second, as of a flag."""
    n_levels = len(column.levels)
    return range(1, 2) if n_levels == 2 else range(n_levels)
