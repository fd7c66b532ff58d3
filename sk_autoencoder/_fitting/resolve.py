"""Turns an estimator's parameters into a plan: every "auto" is resolved here."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import (
    ColumnStatistics,
    LossFunction,
    MixedColumns,
    Table,
)
from sk_autoencoder._fitting.as_given import (
    check_outputs,
    is_user_network,
    with_outputs,
)
from sk_autoencoder._fitting.build import (
    EXACT,
    SETTINGS_OF_PREFIX_NETS,
    check_ranges,
    resolve_device,
)
from sk_autoencoder._fitting.pca_init import with_pca
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.recipe import (
    CLIP_FROM_PCA,
    EPOCHS_TO_FILL,
    GUARD,
    automatic_batch_size,
    automatic_epochs,
    optimizer_settings,
)
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._protocols import Network
from sk_autoencoder._training.callbacks import EpochBar
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.params import checked_net_params
from sk_autoencoder._training.selection import Patience
from sk_autoencoder._training.settings import update_settings
from sk_autoencoder._utils.comparison import is_same
from sk_autoencoder._utils.random import seeds_from
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP

# Principal axes that `partial_fit` follows beyond twice the components: with all of
# them it would find those of all rows exactly.
MORE_AXES = 50

# Parameters that say how rows become numbers.
READING = ("categorical_features", "allow_missing", "column_weights")

__all__ = [
    "plan_continuation",
    "plan_fit",
    "starts_from_pca",
    "resolve_parameters",
    "refuse_changes",
    "resolve_init",
]


def resolve_parameters(
    estimator: Any,
    statistics: ColumnStatistics,
    shape: tuple[int, int],
    *,
    table: Table | None = None,
    before: Plan | None = None,
    more_to_come: bool = False,
    validates: bool = False,
) -> Plan:
    """Resolve an estimator's parameters on the rows that it is to be fitted on.

    Parameters
    ----------
    estimator : BaseAutoEncoder
        Only read.
    statistics : ColumnStatistics
    shape : tuple of int
        Of the training rows.
    table : Table or None
        How these were read, where they are not numbers alone.
    before : Plan or None
        Of the fit that goes on: its seeds are kept, and its number of components
        where that depends on the rows.
    more_to_come : bool
        Whether these rows are the first of many: then their number limits nothing.
    validates : bool
        Whether there is a validation set beside them: then all are trained on.
    """
    check_ranges(statistics, table)  # before anything is computed of them
    network = _resolve_network(estimator)
    stacked = estimator._is_stacked()
    if isinstance(estimator.n_components, float) and (stacked or more_to_come):
        where = f"with features={estimator.features!r}" if stacked else "in partial_fit"
        raise ValueError(
            f"expected an int or None {where}, got n_components="
            f"{estimator.n_components!r}: how many components explain a share is "
            "found by fits on all rows. Pass an int, or call fit."
        )
    if stacked:
        n_components = sum(network.stack_widths())
    else:
        width = shape[1] if table is None else MixedColumns(table).n_outputs
        most = width if more_to_come else min(shape[0], width)
        n_components = _resolve_components(estimator.n_components, most, before)
    given = _is_as_given(estimator) if before is None else before.as_given
    scaling = estimator.numeric_scaling
    if scaling == "auto":
        mixed = given and table is not None and table.has_categories
        scaling = "standard" if stacked or mixed else "none"
    device = resolve_device(estimator.device)
    plan = Plan(
        network=network,
        objective=estimator._objective(),
        scaling=scaling,
        likelihood=_resolve_likelihood(estimator, table),
        loss=_own_loss(estimator),
        pca_loss=before.pca_loss if before else None,
        statistics=statistics,
        n_components=n_components,
        stacked=stacked,
        seeds=before.seeds if before else seeds_from(estimator.random_state),
        device=str(device),
        whiten=estimator.whiten,
        ordered=_is_ordered(estimator),
        output_index=_output_index(estimator, network) if stacked else None,
        imputes=_imputes(estimator),
        mixture_prior=getattr(estimator, "prior", "") == "mixture",
        given_outputs=None if before is None else before.given_outputs,
        table=table,
        table_parameters={name: getattr(estimator, name) for name in READING},
        settings=_net_settings(estimator, shape, device, validates),
    )
    check_outputs(plan)
    return with_outputs(plan) if given and before is None else plan


def plan_fit(
    estimator: Any,
    X: Any,
    statistics: ColumnStatistics,
    table: Table | None = None,
    *,
    more_to_come: bool = False,
    validates: bool = False,
) -> Plan:
    """Plan the fit of an estimator on rows, its principal axes included.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    statistics : ColumnStatistics
        Of the rows.
    table : Table or None
        How they were read, where they are not numbers alone.
    more_to_come : bool
        Whether these rows are the first of many.
    validates : bool
        Whether there is a validation set beside them.
    """
    plan = resolve_parameters(
        estimator,
        statistics,
        X.shape,
        table=table,
        more_to_come=more_to_come,
        validates=validates,
    )
    if not starts_from_pca(estimator):
        return plan
    n_more = plan.n_components + MORE_AXES if more_to_come else 0
    plan = with_pca(plan, X, n_more=n_more)
    if estimator.max_epochs == "auto" and _leaves_nothing(plan):
        plan = replace(plan, settings={**plan.settings, "max_epochs": 0})
    return plan


def _leaves_nothing(plan: Plan) -> bool:
    """Whether PCA leaves nothing that float32 could learn.

    A density has more to learn than the errors of reconstructions, such as how likely
    the levels of a category are: unless nothing varies, exact ones are no reason not to
    train it.
    """
    assert plan.axes is not None
    total = plan.axes.total
    is_variational = plan.objective.is_variational
    left = total if is_variational else plan.axes.residual(plan.n_components)
    return left <= EXACT * total


def plan_continuation(
    estimator: Any,
    plan: Plan,
    net: AutoEncoderNet,
    shape: tuple[int, int],
    *,
    prefix_net: AutoEncoderNet | None = None,
    validates: bool = False,
) -> Plan:
    """Bring the plan of a fitted estimator up to date, to train it further.

    What the weights depend on must be as it was; the objective, the batches, the
    learning rate and the stopping may have been set anew, or taken away: then they are
    as by default.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    plan : Plan
        Of the fit before.
    net : AutoEncoderNet
        Its net, which is brought up to date too.
    shape : tuple of int
        Of the training rows.
    prefix_net : AutoEncoderNet or None
        What trains the decoder of prefixes, brought up to date likewise.
    validates : bool
        Whether there is a validation set beside them.
    """
    n_features = len(plan.statistics.mean)
    if shape[1] != n_features:
        raise ValueError(
            f"expected the {n_features} features of the fit before, got X with "
            f"{shape[1]}, because its weights go on. Pass warm_start=False and call "
            "fit to start anew."
        )
    new = resolve_parameters(
        estimator,
        plan.statistics,
        shape,
        table=plan.table,
        before=plan,
        validates=validates,
    )
    _refuse_others(_what_weights_depend_on(plan, new))
    settings = update_settings(
        net, plan.settings, new.settings, {"make_gradient_fn": fast_step}
    )
    if prefix_net is not None:
        theirs = {**new.settings, **SETTINGS_OF_PREFIX_NETS}
        old = {**plan.settings, **SETTINGS_OF_PREFIX_NETS}
        update_settings(prefix_net, old, theirs, {})
    net.module_.objective = new.objective
    natural = None if plan.units is None else LatentMap.scaling(plan.units)
    return replace(
        plan,
        objective=new.objective,
        whiten=new.whiten,
        mixture_prior=new.mixture_prior,
        latent_map=plan.latent_map if new.whiten else natural,
        settings=settings,
    )


def refuse_changes(estimator: Any, plan: Plan) -> None:
    """Refuse to go on from a fit that read its rows in another way.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    plan : Plan
        Of the fit before.
    """
    now = {name: getattr(estimator, name) for name in plan.table_parameters}
    _refuse_others(
        (name, value, now[name]) for name, value in plan.table_parameters.items()
    )


def _refuse_others(settings: Iterable[tuple[str, Any, Any]]) -> None:
    """Raise if a setting is not what it was: names, old values and new ones."""
    for name, old_value, value in settings:
        if not is_same(old_value, value):
            raise ValueError(
                f"expected {name}={shortened(old_value)} as in the fit before, got "
                f"{name}={shortened(value)}, because its weights go on. Pass "
                "warm_start=False and call fit to start anew."
            )


def _what_weights_depend_on(old: Plan, new: Plan) -> Iterator[tuple[str, Any, Any]]:
    """Return the settings of two plans under the names that a user knows them by."""
    if type(old.network) is type(new.network):
        others = new.network.get_params()
        for name, value in old.network.get_params().items():
            yield name, value, others[name]
    else:
        yield "network", old.network, new.network
    yield "numeric_scaling", old.scaling, new.scaling
    yield "likelihood", old.likelihood, new.likelihood
    yield "loss", old.loss, new.loss
    yield "n_components", old.n_components, new.n_components
    yield "ordered", old.ordered, new.ordered
    yield "device", old.device, new.device
    # Its state goes on: another class could not read it, and its settings, which may
    # have been set anew, would be those of another.
    yield "optimizer", old.settings["optimizer"], new.settings["optimizer"]
    groups = "optimizer__param_groups"
    yield groups, old.settings.get(groups), new.settings.get(groups)


def _resolve_components(
    n_components: float | None, most: int, before: Plan | None
) -> int:
    """Resolve None as PCA does, and warn of a code that compresses nothing.

    For a share to be explained it is the most components that can be wanted.
    """
    if n_components is None or isinstance(n_components, float):
        return before.n_components if before else most
    if before is None and n_components > most:
        warnings.warn(
            f"expected n_components of at most min(n_samples, n_features)={most}, got "
            f"n_components={n_components}: such a code compresses nothing. Pass a "
            "smaller one.",
            UserWarning,
            stacklevel=caller_level(),
        )
    return int(n_components)


def _resolve_likelihood(estimator: Any, table: Table | None) -> str:
    """Name the likelihood; a table has one for each kind of column."""
    likelihood = estimator._likelihood()
    if table is not None and likelihood not in (
        "squared_error",
        "gaussian",
        "isotropic",
    ):
        name = "likelihood" if likelihood == "bernoulli" else "loss"
        raise ValueError(
            f"expected {name}='auto' for a table whose columns have a likelihood each, "
            f"got {name}={getattr(estimator, name)!r}. Pass 'auto', or encode the "
            "columns first."
        )
    return likelihood


def _own_loss(estimator: Any) -> LossFunction | None:
    """Return the loss of the user's own, where there is one."""
    loss = getattr(estimator, "loss", None)
    return loss if callable(loss) else None


def _output_index(estimator: Any, network: Network) -> tuple[int, ...] | None:
    """Resolve `layers` to the positions of their units in the code."""
    layers, widths = estimator.layers, network.stack_widths()
    if layers is None or estimator.features != "hidden":
        return None
    n_layers = len(widths)
    chosen = np.asarray(layers)
    known = chosen.dtype.kind in "iu" and chosen.ndim == 1 and chosen.size > 0
    if not (known and np.all((chosen != 0) & (np.abs(chosen) <= n_layers))):
        raise ValueError(
            f"expected hidden layers from 1 to {n_layers}, or from -1 for the last, "
            f"got layers={shortened(layers)}. Pass a list of ints, as "
            f"layers=[{n_layers}]."
        )
    first = np.concatenate([[0], np.cumsum(widths)])
    places = np.where(chosen > 0, chosen - 1, n_layers + chosen)
    return tuple(
        i for p in dict.fromkeys(places.tolist()) for i in range(first[p], first[p + 1])
    )


def _resolve_network(estimator: Any) -> Network:
    """Return the network specification, from `network` or the dense parameters."""
    network = estimator.network
    defaults = MLP().get_params()
    dense = {name: getattr(estimator, name) for name in defaults}
    if network is None:
        return MLP(**dense)
    for name, value in dense.items():
        if not is_same(value, defaults[name]):
            raise ValueError(
                f"expected {name}={defaults[name]!r} beside a network, got "
                f"{name}={value!r} and network={network!r}. Set it in the network, or "
                "pass network=None."
            )
    return network


def _net_settings(
    estimator: Any, shape: tuple[int, int], device: torch.device, validates: bool
) -> dict[str, Any]:
    """Resolve what concerns training to arguments of `AutoEncoderNet`."""
    n_rows = shape[0]
    splits = estimator.early_stopping and not validates
    held_out = estimator.validation_fraction if splits else 0.0
    n_trained = max(1, int(n_rows * (1 - held_out)))
    batch_size = estimator.batch_size
    if batch_size == "auto":
        batch_size = automatic_batch_size(n_rows)
    epochs = estimator.max_epochs
    if epochs == "auto":
        epochs = automatic_epochs(n_trained, batch_size)
        if _imputes(estimator):
            epochs *= EPOCHS_TO_FILL
    patience = estimator.n_iter_no_change
    from_pca = starts_from_pca(estimator)
    optimizer = optimizer_settings(
        estimator.optimizer,
        lr=estimator.lr,
        weight_decay=estimator.weight_decay,
        device=device,
        lr_scale=_resolve_network(estimator).lr_scale,
    )
    return {
        **optimizer,
        "max_epochs": epochs,
        "batch_size": batch_size,
        "validation_fraction": held_out,
        "patience": Patience(None if patience == "auto" else patience),
        "tol": estimator.tol,
        "precision": estimator.precision,
        "lr_schedule": estimator.lr_schedule,
        "guard": GUARD if from_pca else None,
        "gradient_clip": CLIP_FROM_PCA if from_pca else 1.0,
        "callbacks": _resolve_callbacks(estimator),
        "verbose": int(estimator.verbose == 1),
        **checked_net_params(estimator, optimizer["optimizer"]),
    }


def _imputes(estimator: Any) -> bool:
    """Whether `transform` gives rows with their missing cells filled."""
    return getattr(estimator, "features", "") == "reconstruction"


def _is_ordered(estimator: Any) -> bool:
    """Whether prefixes of codes are decoded; check that they can be."""
    if not getattr(estimator, "ordered", False) or estimator._is_stacked():
        return False
    if resolve_init(estimator) != "pca":
        what = ", which is 'random' for a UserNetwork" * (estimator.init == "auto")
        raise ValueError(
            f"expected init='pca' for ordered=True, got init={estimator.init!r}{what}: "
            "only components that start as PCA's have an order. Pass init='pca'."
        )
    return True


def resolve_init(estimator: Any) -> str:
    """Return where training starts, "pca" or "random", as `init` means it."""
    init: str = getattr(estimator, "init", "random")
    if init != "auto":
        return init
    pretrained = getattr(estimator, "pretrain", None) is not None
    is_random = pretrained or is_user_network(estimator.network)
    return "random" if is_random else "pca"


def starts_from_pca(estimator: Any) -> bool:
    """Whether the network starts as PCA."""
    return resolve_init(estimator) == "pca" and not estimator._is_stacked()


def _is_as_given(estimator: Any) -> bool:
    """Whether modules of the user's own are the whole model."""
    return is_user_network(estimator.network) and not starts_from_pca(estimator)


def _resolve_callbacks(estimator: Any) -> list[Any]:
    """Check the user's callbacks, and add the progress bar that `verbose` asks for."""
    callbacks = list(estimator.callbacks or [])
    for item in callbacks:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        if not hasattr(callback, "on_epoch_end"):
            raise TypeError(
                "expected skorch callbacks, or pairs of a name and one, got "
                f"{shortened(item)} in callbacks={shortened(estimator.callbacks)}. "
                "Pass instances of skorch.callbacks.Callback."
            )
    if estimator.verbose > 1:
        callbacks.append(("epoch_bar", EpochBar()))
    return callbacks
