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
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._objectives import Denoise, Reconstruct, Variational
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.checks import Range
from sk_autoencoder._saving.records import ModelState, NetState
from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import Seeds
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

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
        LatentMap,
        LatentMoments,
        MixturePrior,
        ModelState,
        NetState,
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
# What their fields may hold beyond that.
RANGES: dict[type, Mapping[str, Range]] = {
    Bins: {
        "edges": Range(shape="e"),
        "means": Range(shape="n"),
        "counts": Range(0, above=True, shape="n"),
        "values": Range(shape="v"),
    },
    CategoryColumn: {"shares": Range(0, shape="n")},
    ColumnStatistics: {
        "n_rows": Range(1),
        "mean": Range(shape="d"),
        "squares": Range(0, shape="d"),
        "low": Range(shape="d"),
        "high": Range(shape="d"),
    },
    Denoise: {"level": Range(0)},
    LatentMap: {
        "offset": Range(shape="k"),
        "matrix": Range(shape="k|k m"),
        "inverse": Range(shape="k|m k"),
    },
    LatentMoments: {
        "n_rows": Range(1),
        "mean": Range(shape="k"),
        "scatter": Range(shape="k|k k"),
        "error": Range(0),
        "total": Range(0),
    },
    MixturePrior: {
        "weights": Range(0, above=True, shape="m"),
        "means": Range(shape="m k"),
        "factors": Range(shape="m k k"),
    },
    ModelState: {"prefix_errors": Range(shape="k"), "kl": Range(shape="k")},
    NetState: dict.fromkeys(("steps", "best_epoch", "n_dropped"), Range(0)),
    NumberColumn: {
        "unit": Range(0, above=True),
        "knots": Range(shape="2 n"),
        "variance": Range(0),
    },
    Patience: dict.fromkeys(("n_iter_no_change", "steps", "share"), Range(0)),
    Plan: {
        "n_components": Range(1),
        "units": Range(0, above=True, shape="k"),
        "block_variances": Range(0, shape="m"),
        "pca_loss": Range(0, above=True),
    },
    PrincipalAxes: {
        "n_rows": Range(1),
        "components": Range(shape="n d"),
        "std": Range(0, shape="n"),
        "residual_variance": Range(0),
    },
    Seeds: dict.fromkeys(
        ("weights", "split", "order", "noise", "validation", "score"),
        Range(0, 2**32 - 1),
    ),
    Table: {"weights": Range(0, shape="d")},
    TrainingConfig: {
        **dict.fromkeys(("lr", "max_epochs", "verbose", "tol"), Range(0)),
        "batch_size": Range(1),
        "gradient_clip": Range(0, above=True),
        "weight_average": Range(0, 1),
        "validation_fraction": Range(0, 1),
        "lr_schedule": Range(0, 1, above=True),
        "fallback_margin": Range(0),
    },
    Variational: dict.fromkeys(("beta", "warmup", "free_bits"), Range(0)),
}
# Specifications, of their parameters.
NETWORKS: dict[str, type[Network]] = {
    kind.__name__: kind for kind in (ConvNet, MLP, RecurrentNet, UserNetwork)
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
