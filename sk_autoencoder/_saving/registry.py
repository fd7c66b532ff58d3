"""What `load` can make: the closed list of records, networks and estimators.

A class that is not listed here is never made of a file. What stands below this room is
named here; what stands above it puts itself on the list with `loadable`.
"""

from dataclasses import is_dataclass
from typing import Any, TypeVar

from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._columns.frames import TableFormat
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._objectives import Denoise, Reconstruct, Variational
from sk_autoencoder._protocols import Network
from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import Seeds
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

__all__ = ["ESTIMATORS", "NETWORKS", "RECORDS", "loadable"]

# Dataclasses, of what their annotations name.
RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        CategoryColumn,
        ColumnStatistics,
        Denoise,
        EmptyColumn,
        LatentMap,
        LatentMoments,
        MixturePrior,
        NumberColumn,
        Patience,
        Plan,
        PrincipalAxes,
        Reconstruct,
        Seeds,
        Table,
        TableFormat,
        TrainingConfig,
        Variational,
    )
}
# Specifications, of their parameters.
NETWORKS: dict[str, type[Network]] = {
    kind.__name__: kind for kind in (ConvNet, MLP, RecurrentNet, UserNetwork)
}
# Subclasses of `Saveable`, of their parameters and what a fit leaves.
ESTIMATORS: dict[str, type[Any]] = {}

Kind = TypeVar("Kind", bound=type)


def loadable(kind: Kind) -> Kind:
    """Put a class of a room above this one on the list: a decorator.

    Parameters
    ----------
    kind : type
        An estimator, or a dataclass.
    """
    known = RECORDS if is_dataclass(kind) else ESTIMATORS
    known[kind.__name__] = kind
    return kind
