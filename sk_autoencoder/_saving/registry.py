"""What `load` can make: the closed list of records, networks and estimators.

A class that is not listed here is never made of a file. What stands below this room is
named here; what stands above it puts itself on the list with `loadable`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._columns.bins import BinnedColumn, Bins
from sk_autoencoder._columns.frames import TableFormat
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._fitting.imputation import Imputation
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.linear_filling import LinearFilling
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._model.recoder import Recoding
from sk_autoencoder._objectives import Denoise, Reconstruct, Variational
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.checks import Range
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._training.net_state import NetState
from sk_autoencoder._training.resume import RunState
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import Seeds
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork
from sk_autoencoder.networks.mlp import FeatureStack

# Dataclasses, of what their annotations name.
RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        BinnedColumn,
        Bins,
        CategoryColumn,
        ColumnStatistics,
        Denoise,
        EmptyColumn,
        Imputation,
        LatentMap,
        LatentMoments,
        LinearFilling,
        MixturePrior,
        ModelState,
        NetState,
        NumberColumn,
        Patience,
        Plan,
        PrincipalAxes,
        Recoding,
        Reconstruct,
        RunState,
        Seeds,
        Table,
        TableFormat,
        TrainingConfig,
        Variational,
    )
}
# What fields of those above this room may hold beyond their annotations.
RANGES: dict[type, Mapping[str, Range]] = {}
# Specifications, of their parameters.
NETWORKS: dict[str, type[Network]] = {
    kind.__name__: kind
    for kind in (ConvNet, FeatureStack, MLP, RecurrentNet, UserNetwork)
}
# Subclasses of `Saveable`, of their parameters and what a fit leaves.
ESTIMATORS: dict[str, type[Any]] = {}


Kind = TypeVar("Kind", bound=type)


def loadable(**ranges: Range) -> Callable[[Kind], Kind]:
    """Put a class of a room above this one on the list: a decorator.

    Parameters
    ----------
    **ranges : Range
        Of the fields, where it is a dataclass; else it is an estimator.
    """

    def listed(kind: Kind) -> Kind:
        if issubclass(kind, BaseEstimator):
            ESTIMATORS[kind.__name__] = kind
        else:
            RECORDS[kind.__name__] = kind
            RANGES[kind] = ranges
        return kind

    return listed
