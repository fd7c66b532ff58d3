"""Turns the settings of a fit into a plan: every "auto" is resolved here."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import ColumnStatistics, Table, score_width
from sk_autoencoder._fitting.as_given import with_outputs
from sk_autoencoder._fitting.build import (
    EXACT,
    resolve_device,
)
from sk_autoencoder._fitting.compatibility import (
    refuse_changes,
    refuse_combinations,
)
from sk_autoencoder._fitting.pca_init import with_pca
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.ranges import check_ranges
from sk_autoencoder._fitting.recipe import (
    CLIP_FROM_PCA,
    DENOISING_DECAY,
    EPOCHS_TO_DENOISE,
    EPOCHS_TO_FILL,
    FALLBACK_MARGIN,
    FEATURE_BATCH,
    MASKED_BATCH,
    MASKED_BETAS,
    MASKED_DECAY,
    MASKED_DROPOUT,
    MASKED_LAYERS,
    ROOT_FALLBACK_MARGIN,
    SILU_SGD_SCALE,
    automatic_batch_size,
    automatic_epochs,
    feature_epochs,
    masked_epochs,
    optimizer_settings,
)
from sk_autoencoder._fitting.settings import FitSettings, table_scaling_of
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._objectives import Denoise
from sk_autoencoder._training.callbacks import EpochBar, sets_shapes
from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.params import with_net_params
from sk_autoencoder._training.settings import update_config
from sk_autoencoder._utils.random import seeds_from
from sk_autoencoder._utils.schedules import BY_STEP
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP

# Principal axes that `partial_fit` follows beyond twice the components: with all of
# them it would find those of all rows exactly.
MORE_AXES = 50

# Samples of a first `partial_fit` that give 32 bins some thirty values each.
ROWS_FOR_BINS = 1000


def resolve_parameters(
    settings: FitSettings,
    statistics: ColumnStatistics,
    shape: tuple[int, int],
    *,
    table: Table | None = None,
    before: Plan | None = None,
    more_to_come: bool = False,
    validates: bool = False,
) -> Plan:
    """Resolve parameters on the rows that are to be fitted.

    Parameters
    ----------
    settings : FitSettings
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
    refuse_combinations(
        settings, table, is_pass=more_to_come, has_validation_set=validates
    )
    check_ranges(statistics, table)  # before anything is computed of them
    if settings.uses_levels(table) and (before is None or before.is_masked):
        settings = _of_levels(settings)
    network, stacked = settings.specification, settings.is_stacked
    if before is not None and settings.network is None:
        # One from a file of 0.1.0 goes on as what it was.
        network = type(before.network)(**network.get_params())
    if stacked:
        n_components = sum(network.stack_widths())
    else:
        width = shape[1] if table is None else score_width(table)
        most = width if more_to_come else min(shape[0], width)
        n_components = _resolve_components(settings.n_components, most, before)
    given = settings.is_as_given if before is None else before.as_given
    scaling = table_scaling_of(settings.numeric_scaling, settings.features)
    if settings.numeric_scaling == "auto" and before is not None:
        scaling = before.scaling
    elif settings.numeric_scaling == "auto" and table is None and stacked:
        scaling = "standard"
    elif scaling == "auto":
        mixed = given and table is not None and table.has_categories
        scaling = "standard" if mixed else "none"
    device = resolve_device(settings.device)
    plan = Plan(
        network=network,
        objective=settings.objective,
        scaling=scaling,
        likelihood=settings.likelihood,
        loss=settings.own_loss,
        pca_loss=before.pca_loss if before else None,
        statistics=statistics,
        n_components=n_components,
        stacked=stacked,
        seeds=before.seeds if before else seeds_from(settings.random_state),
        training=_training_config(settings, shape, device, validates),
        device=str(device),
        whiten=settings.whiten,
        rotation=settings.rotation if settings.align_to is None else "aligned",
        ordered=settings.is_ordered,
        output_index=_output_index(settings),
        imputes=settings.imputes,
        mixture_prior=settings.prior == "mixture",
        given_outputs=None if before is None else before.given_outputs,
        table=table,
        table_parameters=settings.table_parameters,
        keeps_binary=settings.keeps_binary if before is None else before.keeps_binary,
        detects_swaps=before.detects_swaps if before else _detects_swaps(settings),
        passthrough=settings.passthrough,
    )
    return with_outputs(plan) if given and before is None else plan


def _of_levels(settings: FitSettings) -> FitSettings:
    """Return the settings of a masked network, with its recipe where none is asked."""
    sizes, automatic = settings.hidden_layer_sizes, settings.automatic
    network = MLP(
        hidden_layer_sizes=MASKED_LAYERS if isinstance(sizes, str) else sizes,
        activation="relu",
        dropout=MASKED_DROPOUT if "dropout" in automatic else settings.dropout,
    )
    given = settings.weight_decay
    is_default = given == "auto" and settings.optimizer == "adamw"
    return replace(
        settings,
        likelihood="cross_entropy",
        network=network,
        weight_decay=MASKED_DECAY if is_default else given,
        lr_schedule=BY_STEP if "lr_schedule" in automatic else settings.lr_schedule,
    )


def _detects_swaps(settings: FitSettings) -> bool:
    """Whether hidden features are also learned by finding swapped cells."""
    noise = settings.objective
    return (
        settings.learns_features
        and isinstance(noise, Denoise)
        and noise.noise == "swap"
        and bool(noise.level)
    )


def plan_fit(
    settings: FitSettings,
    X: Any,
    statistics: ColumnStatistics,
    table: Table | None = None,
    *,
    more_to_come: bool = False,
    validates: bool = False,
) -> Plan:
    """Plan a fit on rows, its principal axes included.

    Parameters
    ----------
    settings : FitSettings
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
        settings,
        statistics,
        X.shape,
        table=table,
        more_to_come=more_to_come,
        validates=validates,
    )
    if plan.is_masked and more_to_come and X.shape[0] < ROWS_FOR_BINS:
        warnings.warn(
            f"expected at least {ROWS_FOR_BINS:,} samples in the first partial_fit, "
            f"got {X.shape[0]:,}: the bins of numbers, and the values that are drawn, "
            "are those of these samples. Pass more at first.",
            UserWarning,
            stacklevel=caller_level(),
        )
    flags = plan.passthrough or (settings.add_indicator and plan.imputes)
    if flags and table is not None:
        gaps = np.isnan(X).any(axis=0) & ~table.is_empty
        plan = replace(plan, indicators=tuple(np.flatnonzero(gaps).tolist()))
    is_trivial = plan.stacked and table is None and not statistics.varies.any()
    if settings.starts_from_pca:
        n_more = plan.n_components + MORE_AXES if more_to_come else 0
        plan = with_pca(plan, X, n_more=n_more)
        is_trivial = _leaves_nothing(plan)
    if settings.max_epochs == "auto" and is_trivial:
        plan = replace(plan, training=replace(plan.training, max_epochs=0))
    return plan


def _leaves_nothing(plan: Plan) -> bool:
    """Whether PCA leaves nothing that float32 could learn.

    A density has more to learn than the errors of reconstructions, such as how likely
    the levels of a category are, and corrupted samples are to be repaired: unless
    nothing varies, exact reconstructions are no reason not to train for these.
    """
    assert plan.axes is not None
    total = plan.axes.total
    has_more = plan.objective.is_variational or plan.objective.is_denoising
    left = total if has_more else plan.axes.residual(plan.n_components)
    return left <= EXACT * total


def plan_continuation(
    settings: FitSettings,
    plan: Plan,
    net: AutoEncoderNet,
    shape: tuple[int, int],
    *,
    validates: bool = False,
) -> Plan:
    """Bring the plan of a fit up to date, to train it further.

    What the weights depend on must be as it was; the objective, the batches, the
    learning rate and the stopping may have been set anew, or taken away: then they are
    as by default.

    Parameters
    ----------
    settings : FitSettings
    plan : Plan
        Of the fit before.
    net : AutoEncoderNet
        Its net, which is brought up to date too.
    shape : tuple of int
        Of the training rows.
    validates : bool
        Whether there is a validation set beside them.
    """
    new = resolve_parameters(
        settings,
        plan.statistics,
        shape,
        table=plan.table,
        before=plan,
        validates=validates,
    )
    refuse_changes(_what_weights_depend_on(plan, new))
    training = update_config(net, new.training)
    net.module_.objective = new.objective
    natural = None if plan.units is None else LatentMap.scaling(plan.units)
    return replace(
        plan,
        objective=new.objective,
        whiten=new.whiten,
        rotation=new.rotation,
        mixture_prior=new.mixture_prior,
        latent_map=plan.latent_map if new.whiten or new.passthrough else natural,
        training=training,
    )


def _what_weights_depend_on(old: Plan, new: Plan) -> Iterator[tuple[str, Any, Any]]:
    """Return the settings of two plans under the names that a user knows them by."""
    name = "likelihood" if new.objective.is_variational else "loss"
    yield name, old.likelihood, new.likelihood
    yield "loss", old.loss, new.loss
    if type(old.network) is type(new.network):
        others = new.network.get_params()
        for name, value in old.network.get_params().items():
            yield name, value, others[name]
    else:
        yield "network", old.network, new.network
    yield "numeric_scaling", old.scaling, new.scaling
    yield "n_components", old.n_components, new.n_components
    yield "ordered", old.ordered, new.ordered
    yield "passthrough", old.passthrough, new.passthrough
    yield "device", old.device, new.device
    # Its state goes on: another class could not read it, and its settings, which may
    # have been set anew, would be those of another.
    yield "optimizer", old.training.optimizer, new.training.optimizer
    args, others = old.training.optimizer_args, new.training.optimizer_args
    groups = "param_groups"
    yield f"optimizer__{groups}", args.get(groups), others.get(groups)


def _resolve_components(
    n_components: float | None, most: int, before: Plan | None
) -> int:
    """Resolve None as PCA does, and warn of a code that compresses nothing.

    For a fraction to be explained it is the most components that can be wanted.
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


def _output_index(settings: FitSettings) -> tuple[int, ...] | None:
    """Resolve `layers` to the positions of their units in the code."""
    layers = settings.layers
    if layers is None or settings.features != "hidden":
        return None
    widths = settings.specification.stack_widths()
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


def _training_config(
    settings: FitSettings, shape: tuple[int, int], device: torch.device, validates: bool
) -> TrainingConfig:
    """Resolve what concerns training."""
    n_rows = shape[0]
    splits = settings.early_stopping and not validates
    held_out = settings.validation_fraction if splits else 0.0
    n_trained = max(1, int(n_rows * (1 - held_out)))
    batch_size = settings.batch_size
    if isinstance(batch_size, str):
        most = FEATURE_BATCH if settings.learns_features else None
        batch_size = (
            MASKED_BATCH if settings.is_masked else automatic_batch_size(n_rows, most)
        )
    epochs = settings.max_epochs
    if isinstance(epochs, str):
        epochs = _automatic_epochs(settings, n_trained, batch_size)
    from_pca = settings.starts_from_pca
    denoises = from_pca and settings.objective.is_denoising
    patience = settings.n_iter_no_change
    ends = settings.lr_schedule in (BY_STEP, "cosine")
    if isinstance(patience, str) and settings.is_stacked and ends:
        patience = epochs or 1  # the end of the schedule is not cut off
    weight_decay = settings.weight_decay
    if denoises and weight_decay == "auto" and settings.optimizer == "adamw":
        weight_decay = DENOISING_DECAY
    optimizer = optimizer_settings(
        settings.optimizer,
        lr=settings.lr,
        weight_decay=weight_decay,
        device=device,
        lr_scale=_lr_scale(settings),
    )
    if settings.is_masked and settings.optimizer == "adamw":
        optimizer["optimizer_args"]["betas"] = MASKED_BETAS
    config = TrainingConfig(
        **optimizer,
        max_epochs=epochs,
        batch_size=batch_size,
        validation_fraction=held_out,
        patience=Patience(None if isinstance(patience, str) else patience),
        tol=settings.tol,
        precision=settings.precision,
        lr_schedule=settings.lr_schedule,
        fallback_margin=_fallback_margin(settings) if from_pca else None,
        gradient_clip=CLIP_FROM_PCA if from_pca and not denoises else 1.0,
        callbacks=_resolve_callbacks(settings),
        verbose=int(settings.verbose == 1),
        distributed=settings.distributed,
    )
    loss = "likelihood" if settings.objective.is_variational else "loss"
    return with_net_params(config, settings.net_params, loss=loss)


def _lr_scale(settings: FitSettings) -> float:
    """Return the factor of the network on a learning rate that is "auto"."""
    network = settings.specification
    if type(network) is MLP and network.activation == "silu":
        return SILU_SGD_SCALE if settings.optimizer == "sgd" else 1.0
    return network.lr_scale


def _fallback_margin(settings: FitSettings) -> float:
    """Return by how many standard errors a network has to be better than PCA."""
    by_loss = settings.objective.is_variational or settings.own_loss is not None
    return FALLBACK_MARGIN if by_loss else ROOT_FALLBACK_MARGIN


def _automatic_epochs(settings: FitSettings, n_rows: int, batch_size: int) -> int:
    """Return the epochs of a fit to so many rows."""
    if settings.is_masked:
        return masked_epochs(n_rows, batch_size)
    if settings.learns_features:
        return feature_epochs(n_rows, batch_size)
    epochs = automatic_epochs(n_rows, batch_size)
    if settings.imputes:
        return epochs * EPOCHS_TO_FILL
    denoises = settings.starts_from_pca and settings.objective.is_denoising
    return epochs * EPOCHS_TO_DENOISE if denoises else epochs


def _resolve_callbacks(settings: FitSettings) -> list[Any]:
    """Check the user's callbacks, and add the progress bar that `verbose` asks for."""
    callbacks = []
    for item in settings.callbacks or []:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        if not hasattr(callback, "on_epoch_end"):
            raise TypeError(
                "expected skorch callbacks, or pairs of a name and one, got "
                f"{shortened(item)} in callbacks={shortened(settings.callbacks)}. "
                "Pass instances of skorch.callbacks.Callback."
            )
        if not sets_shapes(callback):
            callbacks.append(item)
    if settings.verbose > 1:
        callbacks.append(("epoch_bar", EpochBar()))
    return callbacks
