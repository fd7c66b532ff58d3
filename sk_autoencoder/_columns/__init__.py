"""The columns axis: how a column is scaled, decoded and scored."""

from sk_autoencoder._columns.frames import copied, has_categories, is_frame
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._columns.likelihoods import (
    LIKELIHOODS,
    Likelihood,
    LossFunction,
    OwnLoss,
)
from sk_autoencoder._columns.mixed import MixedColumns
from sk_autoencoder._columns.numeric import NumericColumns, NumericScale
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._columns.table import Table

__all__ = [
    "LIKELIHOODS",
    "ColumnStatistics",
    "Likelihood",
    "LossFunction",
    "MixedColumns",
    "NumberColumn",
    "NumericColumns",
    "NumericScale",
    "OwnLoss",
    "Table",
    "copied",
    "has_categories",
    "is_frame",
]
