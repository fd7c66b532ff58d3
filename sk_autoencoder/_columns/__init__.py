"""The columns axis: how a column is scaled, decoded and scored."""

from sk_autoencoder._columns.filling import with_flags, without_flags
from sk_autoencoder._columns.frames import (
    copied,
    has_categories,
    is_frame,
    refuse_dates,
)
from sk_autoencoder._columns.given import given_cells
from sk_autoencoder._columns.joined import (
    JoinedColumns,
    least_size,
    make_columns,
    score_width,
)
from sk_autoencoder._columns.joining import join_all
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._columns.levels import LevelColumns, levels_of, table_size
from sk_autoencoder._columns.likelihoods import LIKELIHOODS, Likelihood, LossFunction
from sk_autoencoder._columns.links import Link
from sk_autoencoder._columns.numbers import NumericColumns, NumericScale
from sk_autoencoder._columns.passthrough import (
    PassedColumns,
    encoded_names,
    passed_names,
)
from sk_autoencoder._columns.sketch import TableSketch
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._columns.table import (
    Table,
    Whole,
    missing_cells_error,
    with_missing,
)

__all__ = [
    "LIKELIHOODS",
    "ColumnStatistics",
    "JoinedColumns",
    "LevelColumns",
    "Likelihood",
    "Link",
    "LossFunction",
    "NumberColumn",
    "NumericColumns",
    "NumericScale",
    "PassedColumns",
    "Table",
    "TableSketch",
    "Whole",
    "copied",
    "encoded_names",
    "given_cells",
    "has_categories",
    "is_frame",
    "join_all",
    "least_size",
    "levels_of",
    "make_columns",
    "missing_cells_error",
    "passed_names",
    "refuse_dates",
    "score_width",
    "table_size",
    "with_flags",
    "with_missing",
    "without_flags",
]
