"""The columns axis: how a column is scaled, decoded and scored."""

from sk_autoencoder._columns.likelihoods import LIKELIHOODS, Likelihood
from sk_autoencoder._columns.numeric import NumericColumns, NumericScale
from sk_autoencoder._columns.statistics import ColumnStatistics

__all__ = [
    "LIKELIHOODS",
    "ColumnStatistics",
    "Likelihood",
    "NumericColumns",
    "NumericScale",
]
