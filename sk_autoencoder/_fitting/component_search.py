"""The fewest components that explain a fraction of the variance in validation."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._fitting.build import build_net
from sk_autoencoder._fitting.pca_init import axes_of, with_axes
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.ranges import check_statistics
from sk_autoencoder._fitting.resolve import resolve_parameters
from sk_autoencoder._fitting.settings import FitSettings
from sk_autoencoder._fitting.train import make_rows, train, with_pca_loss, write_plan
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.callbacks import print_message
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.variance import explained_variance, variance_fractions

Fit = tuple[Plan, AutoEncoderNet, LatentMoments]


def fit_fewest(
    settings: FitSettings,
    X: Any,
    statistics: ColumnStatistics,
    table: Table | None = None,
    X_val: Any = None,
    *,
    interrupts: Interrupts,
    keeper: RunKeeper | None = None,
) -> tuple[Fit, TrainingRows]:
    """Fit codes of several sizes and keep the smallest that explains enough.

    PCA's number of components on the same rows is the most that is tried. Each fit
    tells how much better than PCA its size does, and so which size to try next.

    Parameters
    ----------
    settings : FitSettings
        Its `n_components` is the fraction to explain, in (0, 1).
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    statistics : ColumnStatistics
        Of the rows.
    table : Table or None
        How they were read, where they are not numbers alone.
    X_val : ndarray or CSR matrix of shape (n_validation_samples, n_features) or None
        The caller's validation set, checked; None holds rows of X out.
    interrupts : Interrupts
        That keeps nothing: an interrupt ends all fits.
    keeper : RunKeeper or None
        Where the runs of these fits are kept.

    Returns
    -------
    fit : tuple of Plan, AutoEncoderNet and LatentMoments
        The one that is kept.
    rows : TrainingRows
        That all were trained on.
    """
    fraction = float(settings.n_components or 0)
    plan = resolve_parameters(
        settings, statistics, X.shape, table=table, validates=X_val is not None
    )
    check_statistics(plan, statistics)
    axes = axes_of(plan, X)
    rows = make_rows(plan, X, X_val)
    most = _pca_count(axes, fraction)
    short, enough = 0, most
    kept: Fit | None = None
    size = max(1, most // 2)
    while kept is None or enough - short > 1:
        sized = replace(plan, n_components=size)
        if settings.starts_from_pca:
            sized = with_axes(sized, axes)
        net = build_net(sized)
        sized = with_pca_loss(sized, net, rows)
        write_plan(net, sized)
        print_message(net.callbacks_, f"{size} components, of at most {most}:")
        moments = train(
            net, sized, rows, is_first=True, interrupts=interrupts, keeper=keeper
        )
        explained = _explained_in_validation(net, rows)
        print_message(
            net.callbacks_, f"{size} components explain {explained:.4f} in validation."
        )
        if explained >= fraction or size == most:
            kept, enough = (sized, net, moments), size
            if explained < fraction:
                _warn(fraction, explained, most)
                break
        else:
            short = size
        over_pca = (1 - explained) * axes.total / max(axes.residual(size), 1e-300)
        size = _next_size(axes, fraction, over_pca, short, enough, kept is not None)
    return kept, rows


def _pca_count(axes: PrincipalAxes, fraction: float) -> int:
    """Count the components that PCA needs on the same rows."""
    explained = variance_fractions(np.cumsum(np.square(axes.std)), axes.total)
    return min(
        int(np.searchsorted(explained, fraction, side="right")) + 1, len(explained)
    )


def _next_size(
    axes: PrincipalAxes,
    fraction: float,
    over_pca: float,
    short: int,
    enough: int,
    enough_is_fitted: bool,
) -> int:
    """Guess the size that is just enough, not too near an end of what is open."""
    low, high = short + 1, enough - 1 if enough_is_fitted else enough
    guess, allowed = low, (1 - fraction) * axes.total
    while guess < high and over_pca * axes.residual(guess) > allowed:
        guess += 1
    margin = (high - low) // 4
    return min(max(guess, low + margin), high - margin)


def explained_by(module: Any, outputs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Compute the explained variance of samples, in the units of the score.

    Parameters
    ----------
    module : AutoEncoderModule
    outputs : iterable of (raw, x)
        What the decoder gives, and the centered rows that it is for.
    """
    columns = module.columns
    error = total = 0.0
    with torch.inference_mode():
        for raw, x in outputs:
            lost = columns.errors(raw, x) / columns.loss_scale
            error += lost.double().square().sum().item()
            target = columns.centered_targets(x) / columns.loss_scale
            total += target.double().square().sum().item()
    return float(explained_variance(error, total))


def _explained_in_validation(net: AutoEncoderNet, rows: TrainingRows) -> float:
    """Return what clean validation samples are explained to; all where there are none.

    A fraction of the variance means what it means for PCA, of a denoiser too.
    """
    module = net.module_
    _, held_out = net.get_split_datasets(rows)
    every = net.get_iterator(rows if held_out is None else held_out)
    return explained_by(
        module, ((module.raw(module.network_code(x)), x) for x, _ in every)
    )


def _warn(fraction: float, explained: float, most: int) -> None:
    """Return what was reached where even PCA's number of components is too few."""
    warnings.warn(
        f"expected to explain n_components={fraction!r} of the variance of the "
        f"validation samples, reached {explained:.4f} with {most} components, as many "
        "as PCA needs on the training samples. Pass a larger fraction, or an int.",
        UserWarning,
        stacklevel=caller_level(),
    )
