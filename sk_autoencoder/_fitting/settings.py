"""What an estimator asks of a fit: its parameters, typed, whatever its class."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch

from sk_autoencoder._columns import LossFunction, Table
from sk_autoencoder._protocols import Network, Objective
from sk_autoencoder._training.config import Precision
from sk_autoencoder._utils.comparison import is_same
from sk_autoencoder._utils.schedules import BY_STEP, ResolvedSchedule
from sk_autoencoder.networks import MLP, UserNetwork
from sk_autoencoder.networks.mlp import FeatureStack

OptimizerParameter = str | type[torch.optim.Optimizer] | partial[torch.optim.Optimizer]

# Beyond so many columns a masked network is too slow, and too seldom sees a cell's
# neighbors, unless it is asked for by name.
MOST_COLUMNS = 256

# What "auto" is of the parameters that depend on what `transform` returns: as in the
# other classes, and for hidden features (docs/development/decisions/
# 0029-what-hidden-features-learn.md, and 0035-silu.md of the activation).
AUTO_DEFAULTS: dict[str, Any] = {
    "activation": "silu",
    "dropout": 0.0,
    "optimizer": "adamw",
    "lr_schedule": None,
}
AUTO_FOR_FEATURES = {
    **AUTO_DEFAULTS,
    "optimizer": "adam",
    "lr_schedule": BY_STEP,
}

# They say how rows become numbers, and cannot change between two fits of one model.
TABLE_PARAMETERS = ("categorical_features", "allow_missing", "column_weights")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """The parameters of an estimator that a fit depends on, as they were set.

    All that lies below the estimators reads these. "auto" is still "auto", but for
    those in `AUTO_DEFAULTS`: `_fitting/resolve.py` turns them into a `Plan`. What a
    class has no parameter for is at its default here, which means that nothing of the
    kind is asked for.

    Attributes
    ----------
    objective : Objective
        The noise and the distribution of the code that the class trains for.
    likelihood : str
        A key of `LIKELIHOODS`: how the reconstruction of a sample is scored.
    loss : str or callable
        As the user set it; a callable is what the likelihood "own" scores by.
    n_components : int, float or None
        Numbers in a code; a float is the fraction of the variance to explain.
    features : {"bottleneck", "hidden", "reconstruction"}
        What `transform` returns.
    layers : array-like of int or None
        Hidden layers that `transform` returns; None is all.
    passthrough : bool
        Whether `transform` returns the columns too, behind a block of hidden features.
    add_indicator : bool
        Whether filled samples have flags of the cells that were missing.
    ordered : bool
        Whether each prefix of a code is to be a code by itself.
    whiten : bool
        Whether codes are to be uncorrelated and of unit variance.
    rotation : {"varimax"} or None
        How codes are turned at the end.
    align_to : FrozenEstimator or None
        Whose codes they are turned to instead.
    prior : {"standard", "mixture"}
        Distribution of the codes.
    init : {"auto", "pca", "random"}
        Where training starts.
    pretrain : {"layerwise"} or None
        Whether layers are trained one by one first.
    network : Network or None
        The specification; None is an `MLP` of the four parameters that follow.
    hidden_layer_sizes : sequence of int or "auto"
    activation : str or torch.nn.Module
    dropout : float
    batch_norm : bool
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"} or tuple
        Units in which errors of numbers are measured.
    categorical_features : "from_dtype", array-like or None
        Which columns hold categories.
    allow_missing : bool
        Whether cells may be missing.
    column_weights : dict, array-like or None
        What the columns count for in the loss.
    optimizer : str, torch optimizer class or partial of one
    lr, weight_decay : float or "auto"
    lr_schedule : None, float, "cosine" or callable
    max_epochs, batch_size : int or "auto"
    early_stopping : bool
        Whether a validation set chooses the epoch that is kept.
    validation_fraction : float
        Fraction of the samples in it.
    n_iter_no_change : int or "auto"
        Epochs without a gain after which training stops.
    tol : float
        The least gain that counts.
    precision : {"float32", "bf16"}
        Of the products in training.
    device : str or torch.device
    callbacks : list of skorch callbacks or None
    net_params : dict or None
        Further arguments of the skorch net.
    checkpoint_dir : path-like or None
        Where the runs of a fit are kept.
    distributed : bool
        Whether processes each have a part of every batch.
    random_state : int, RandomState instance or None
    verbose : int
    automatic : frozenset of str
        Those of `AUTO_DEFAULTS` that were "auto".
    """

    objective: Objective
    likelihood: str
    loss: str | LossFunction = "auto"
    n_components: float | None
    features: str = "bottleneck"
    layers: Sequence[int] | None = None
    passthrough: bool = False
    add_indicator: bool = False
    ordered: bool = False
    whiten: bool
    rotation: str | None = None
    align_to: Any = None
    prior: str = "standard"
    init: str
    pretrain: str | None = None
    network: Network | None
    hidden_layer_sizes: Sequence[int] | str
    activation: str | torch.nn.Module
    dropout: float
    batch_norm: bool
    numeric_scaling: str | Sequence[str]
    categorical_features: Any
    allow_missing: bool
    column_weights: Any
    optimizer: OptimizerParameter
    lr: float | str
    weight_decay: float | str
    lr_schedule: ResolvedSchedule
    max_epochs: int | str
    batch_size: int | str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int | str
    tol: float
    precision: Precision
    device: str | torch.device
    callbacks: Sequence[Any] | None
    net_params: dict[str, Any] | None
    checkpoint_dir: str | os.PathLike[str] | None = None
    distributed: bool = False
    random_state: int | np.random.RandomState | None
    verbose: int
    automatic: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, params: Mapping[str, Any], *, objective: Objective, likelihood: str
    ) -> Self:
        """Take what a fit depends on from the parameters of an estimator, by name."""
        given = {f.name: params[f.name] for f in fields(cls) if f.name in params}
        settings = cls(**{**given, "objective": objective, "likelihood": likelihood})
        auto = AUTO_FOR_FEATURES if settings.learns_features else AUTO_DEFAULTS
        left = {n: v for n, v in auto.items() if is_same(given[n], "auto")}
        return replace(settings, **left, automatic=frozenset(left))

    @property
    def dense(self) -> dict[str, Any]:
        """The parameters that a specification of the network stands in for, by name."""
        return {name: getattr(self, name) for name in MLP().get_params()}

    @property
    def specification(self) -> Network:
        """The network, from `network` or the parameters of dense layers."""
        if self.network is not None:
            return self.network
        return (FeatureStack if self.learns_features else MLP)(**self.dense)

    @property
    def table_parameters(self) -> dict[str, Any]:
        """The parameters in `TABLE_PARAMETERS`, by name."""
        return {name: getattr(self, name) for name in TABLE_PARAMETERS}

    @property
    def own_loss(self) -> LossFunction | None:
        """The loss of the user's own, where there is one."""
        return None if isinstance(self.loss, str) else self.loss

    @property
    def is_stacked(self) -> bool:
        """Whether the code is the hidden layers of a stack without a bottleneck."""
        return self.features != "bottleneck"

    @property
    def learns_features(self) -> bool:
        """Whether hidden features are learned as we know best."""
        return self.features == "hidden" and self.network is None

    @property
    def keeps_binary(self) -> bool:
        """Whether columns of two values keep their units beside standardized ones.

        Where there is no PCA to compare with, whose units these would change.
        """
        return self.is_stacked

    def uses_levels(self, table: Table | None) -> bool:
        """Whether a masked network of levels is to be fitted to a table."""
        return table is not None and uses_levels(
            len(table.columns),
            features=self.features,
            network=self.network,
            loss=self.loss,
            noise=getattr(self.objective, "noise", None),
        )

    @property
    def is_masked(self) -> bool:
        """Whether a masked network is fitted; once that has been resolved."""
        return self.likelihood == "cross_entropy"

    @property
    def is_ordered(self) -> bool:
        """Whether each prefix of a code is decoded too; a stack has no prefixes."""
        return self.ordered and not self.is_stacked

    @property
    def imputes(self) -> bool:
        """Whether `transform` returns rows with their missing cells filled."""
        return self.features == "reconstruction"

    @property
    def searches_components(self) -> bool:
        """Whether several fits find how many components explain a fraction."""
        return isinstance(self.n_components, float)

    @property
    def is_pretrained(self) -> bool:
        """Whether layers are trained one by one before all together."""
        return self.pretrain == "layerwise"

    @property
    def start(self) -> str:
        """Where training starts, "pca" or "random", as `init` means it."""
        if self.init != "auto":
            return self.init
        is_user_network = isinstance(self.network, UserNetwork)
        return "random" if self.is_pretrained or is_user_network else "pca"

    @property
    def starts_from_pca(self) -> bool:
        """Whether the network starts as PCA."""
        return self.start == "pca" and not self.is_stacked

    @property
    def is_as_given(self) -> bool:
        """Whether modules of the user's own are the whole model."""
        return isinstance(self.network, UserNetwork) and not self.starts_from_pca


def table_scaling_of(numeric_scaling: str | Sequence[str], features: str) -> str:
    """Return the scaling of a table's numbers that a parameter means; see `Table`.

    "auto" that depends on the columns is left. Numbers that are standardized and ranked
    beside each other pay for hidden features, where a linear model follows
    (docs/development/decisions/0028-two-codings-of-a-number.md).
    """
    if not isinstance(numeric_scaling, str):
        return "+".join(numeric_scaling)
    if numeric_scaling == "auto" and features != "bottleneck":
        return "standard+rank_gauss" if features == "hidden" else "standard"
    return numeric_scaling


def uses_levels(
    n_columns: int, *, features: str, network: Any, loss: Any, noise: Any, **_: Any
) -> bool:
    """Whether parameters mean a masked network of levels, where a table is dense.

    Parameters
    ----------
    n_columns : int
        Of the table.
    features, network, loss, noise
        Of the estimator; others are not looked at.
    """
    return (
        features == "reconstruction"
        and network is None
        and isinstance(noise, str)
        and noise in ("auto", "masking")
        and isinstance(loss, str)
        and (loss == "cross_entropy" or (loss == "auto" and n_columns <= MOST_COLUMNS))
    )


def likelihood_of(loss: str | LossFunction) -> str:
    """Return the key of `LIKELIHOODS` that a parameter `loss` means."""
    if not isinstance(loss, str):
        return "own"
    return "squared_error" if loss == "auto" else loss
