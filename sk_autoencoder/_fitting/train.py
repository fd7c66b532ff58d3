"""One training run of a net on checked rows, and a judgment of how it ended."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from sk_autoencoder._columns import LevelColumns
from sk_autoencoder._fitting.build import install_pca
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._training.batches import RowDataset, TrainingRows
from sk_autoencoder._training.callbacks import changes_lr, print_message
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._training.stream import RowStream
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.threads import numpy_like_torch, threads_for
from sk_autoencoder.exceptions import DivergenceError

FELL_BACK = "No epoch beats PCA on validation samples beyond chance: PCA is kept."
# Times the loss before training, or the variance of the samples, beyond which what has
# been learned is absurd. The loss that a high learning rate causes, and that training
# recovers from, is far below; a loss that diverges is soon far above.
ABSURD = 1e6
# A fit that ran out of epochs is called unfinished if its last steps brought more than
# this fraction of what there is to gain: the last tenth, or the last quarter where the
# learning rate falls (of an imputer that had a quarter of the epochs it needs, these
# bring .9 to 1% and 1 to 4%). Training has to have brought that fraction of the loss,
# so that chance is not measured by itself.
STILL_GAINING = 0.01
# Losses whose least value is 0.
SQUARES = ("squared_error", "huber")
ADVICE = "Try a smaller lr, numeric_scaling='standard', or fewer extreme values in X."


@contextmanager
def validation_errors(name: str = "X_val", like: str = "X") -> Iterator[None]:
    """Name the validation set as what is wrong in a ValueError of the block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"expected {name} that can be used with {like}, got one that cannot, "
            f"because: {error}"
        ) from error


def make_rows(plan: Plan, X: Any, X_val: Any = None) -> TrainingRows:
    """Hold rows for all the steps of a fit: one copy, where one is needed.

    Parameters
    ----------
    plan : Plan
    X : RowStream, or ndarray or CSR matrix of shape (n_samples, n_features)
        To train on.
    X_val : ndarray or CSR matrix of shape (n_validation_samples, n_features) or None
        The validation set, where it is not in X.
    """
    where: Any = {"mean": plan.center, "device": plan.device}
    if plan.is_masked:
        columns = plan.level_columns()
        where["mean"] = np.zeros(len(columns.index))
        X = _cells(columns, X)
        X_val = None if X_val is None else _cells(columns, X_val)
    validation = None if X_val is None else RowDataset(X_val, **where)
    if isinstance(X, RowStream):
        return X.placed(validation=validation, **where)
    return RowDataset(X, **where, validation=validation)


def _cells(columns: LevelColumns, X: np.ndarray) -> np.ndarray:
    """Return the cells of rows, as the batches bring them."""
    return columns.cells(torch.from_numpy(X)).numpy().astype(np.float32)


def with_pca_loss(plan: Plan, net: AutoEncoderNet, rows: TrainingRows) -> Plan:
    """Try a loss on the first rows, and measure its unit: the loss of PCA on all rows.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, before its first step: PCA, where it starts so.
    rows : TrainingRows
        To train on, around the plan's mean.

    Returns
    -------
    plan : Plan
        As it was, where the unit needs no measurement.
    """
    if not plan.measures_pca:
        return plan
    module: Any = net.module_
    module.eval()
    total = 0.0
    every = net.validation_batches(rows)
    work = threads_for(len(rows) * module.n_weights())
    with torch.no_grad(), work, numpy_like_torch(), net.validation_noise():
        for i, (x, _) in enumerate(every):
            raw = module.validation_output(x)[0]
            if i == 0 and plan.is_measured:
                module.columns.check_loss(raw, x)
            total += module.columns.per_sample_loss(raw, x).double().sum().item()
    if plan.axes is None or not total > 0:
        return plan
    return replace(plan, pca_loss=total / (every.n_draws * len(rows)))


def write_plan(net: AutoEncoderNet, plan: Plan) -> None:
    """Bring a net up to date with its plan, before it is trained."""
    net.module_.columns.set_statistics(plan.statistics)
    install_pca(net.module_, plan)
    if plan.passthrough:
        module: Any = net.module_
        module.passed.set_units(module.columns, plan.table, scaling=plan.scaling)


def train(
    net: AutoEncoderNet,
    plan: Plan,
    rows: TrainingRows,
    *,
    is_pass: bool = False,
    is_first: bool = False,
    interrupts: Interrupts,
    keeper: RunKeeper | None = None,
) -> LatentMoments:
    """Train a net; after an interrupt, only leave its best state in its module.

    Parameters
    ----------
    net : AutoEncoderNet
    plan : Plan
        The net's own, written into it.
    rows : TrainingRows
        Around the plan's mean, on the net's device.
    is_pass : bool
        Whether this is one pass over some of many rows.
    is_first : bool
        Whether the plan's statistics and axes are those of these rows.
    interrupts : Interrupts
        Of the fit.
    keeper : RunKeeper or None
        Of the fit, where its runs are kept.

    Returns
    -------
    moments : LatentMoments
        Of all the rows, by the trained net.

    Raises
    ------
    DivergenceError
        If not one epoch gave a usable state. See `warn_about_run`.
    """
    module = net.module_
    with threads_for(min(net.batch_size, len(rows)) * module.n_weights()):
        net.partial_fit(rows, is_pass=is_pass, interrupts=interrupts, keeper=keeper)
        warn_about_run(net)
        if plan.axes is not None and net.history and net.best_epoch_ == 0:
            print_message(net.callbacks_, FELL_BACK)
        if found := unfinished(plan, net):
            print_message(net.callbacks_, f"max_epochs is reached, and {found}.")
        if plan.is_masked:
            return LatentMoments(len(rows), np.zeros(0), np.zeros(0), 0.0, 0.0)
        moments = moments_of(net, plan, rows, is_first=is_first)
        _judge_error(net, moments)
        return moments


def moments_of(
    net: AutoEncoderNet, plan: Plan, rows: TrainingRows, *, is_first: bool = False
) -> LatentMoments:
    """Return the moments of the codes of rows, by a trained net.

    Parameters
    ----------
    net : AutoEncoderNet
        In evaluation mode.
    plan : Plan
        Of the net.
    rows : TrainingRows
    is_first : bool
        See `train`.
    """
    if is_first and net.best_epoch_ == 0 and plan.has_pca_moments:
        return pca_moments(plan)
    every = net.get_iterator(rows, training=False)
    needs_all = plan.passthrough or plan.whiten or not plan.stacked
    moments = LatentMoments.of(net.module_, every, full_covariance=needs_all)
    if plan.whiten and rows.dtype == np.float64:
        moments = moments.with_codes_of(net.module_, rows.chunks())
    return moments


def pca_moments(plan: Plan) -> LatentMoments:
    """Return the moments of the training rows by PCA, which follow from its axes.

    Parameters
    ----------
    plan : Plan
        That `has_pca_moments`.
    """
    axes, statistics, k = plan.axes, plan.statistics, plan.n_components
    assert axes is not None
    left = axes.residual(k) * float(plan.scale.unit[0]) ** 2 * axes.n_rows
    return LatentMoments(
        axes.n_rows,
        mean=np.zeros(k),
        scatter=np.diag(np.where(axes.std[:k] > 0, float(axes.n_rows), 0.0)),
        error=left + float(statistics.squares[~statistics.varies].sum()),
        total=float(statistics.squares.sum()),
    )


def pca_validation_loss(net: AutoEncoderNet) -> float | None:
    """Return the loss of a trained net's validation samples at its start from PCA.

    Parameters
    ----------
    net : AutoEncoderNet

    Returns
    -------
    loss : float or None
        None for another start, and without validation samples.
    """
    run = net.last_run_
    if run is None or net.config.fallback_margin is None:
        return None
    return run.start_loss if math.isfinite(run.start_loss) else None


def warn_about_run(net: AutoEncoderNet) -> None:
    """Warn of a run whose loss exploded; raise if it gave nothing.

    A loss explodes if it becomes NaN or infinite, or, without a fallback to PCA, on the
    validation samples a million times what it was before the first step.
    """
    run, last, kept = net.last_run_, net.n_epochs_, net.best_epoch_
    assert run is not None
    start, end = run.start_loss, run.losses.get("valid_loss", 0.0)
    if run.diverged:
        expected, got = "a finite loss", "NaN or infinity"
        what = "became NaN or infinite"
    elif net.config.fallback_margin is None and end > max(ABSURD * abs(start), 1.0):
        expected, got = f"a validation loss that falls from {start:.6g}", f"{end:.6g}"
        what = f"rose to {end:.6g}, from {start:.6g} before the first step,"
    else:
        return
    if kept == 0:
        raise DivergenceError(
            f"expected {expected}, got {got} in epoch {last}, before any epoch gave a "
            f"usable state. {ADVICE}"
        )
    message = (
        f"The loss {what} in epoch {last}: the weights of epoch {kept} are kept. "
        f"{ADVICE}"
    )
    warnings.warn(message, ConvergenceWarning, stacklevel=caller_level())


def unfinished(plan: Plan, net: AutoEncoderNet) -> str | None:
    """Describe a run that still gained when its epochs were over; None of any other.

    Of a squared error the whole is left to gain, as far as is known. Other losses have
    a floor that no model gets below: they are measured by what training has brought
    since its first epoch.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, at the end of a run.
    """
    if net.stopped_ != "max_epochs":
        return None
    late, more = late_gain(plan, net), "a larger max_epochs may help"
    if late is None:
        is_last = net.best_epoch_ == net.n_epochs_ and "valid_loss" in net.history[-1]
        return f"the last epoch is the best: {more}" if is_last else None
    by_loss, by_drop = late
    if by_loss is not None and by_loss > STILL_GAINING:
        return (
            f"training still lowered the validation loss by {by_loss:.1%} in the last "
            f"tenth of its steps: {more}"
        )
    if by_drop is not None and by_drop > STILL_GAINING:
        part = "tenth" if net.config.lr_schedule is None else "quarter"
        return (
            f"{by_drop:.1%} of the decrease of the validation loss came in the last "
            f"{part} of the steps: {more}"
        )
    return None


def late_gain(
    plan: Plan, net: AutoEncoderNet
) -> tuple[float | None, float | None] | None:
    """Return what the last steps lowered the validation loss by.

    The last tenth as a fraction of the loss, None of one without a zero, such as a
    density's. And the last tenth or quarter as a fraction of what the loss fell by
    since the first epoch, None of a squared error and where that is little. None in
    place of both where it is not known, as of less than ten epochs.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, at the end of a run that took all its epochs.
    """
    n_epochs = net.config.max_epochs
    losses = [row.get("valid_loss") for row in net.history[-n_epochs:]]
    if len(losses) < 10 or None in losses:
        return None
    least, by_loss, by_drop = min(losses), None, None
    if not (plan.objective.is_variational or plan.likelihood == "own") and least > 0:
        by_loss = float(1 - least / min(losses[: -(n_epochs // 10)]))
    drop = losses[0] - least
    if plan.likelihood not in SQUARES and drop > STILL_GAINING * abs(least):
        n_last = n_epochs // (10 if net.config.lr_schedule is None else 4)
        by_drop = float((min(losses[:-n_last]) - least) / drop)
    return by_loss, by_drop


def warn_of_cut_off(plan: Plan, net: AutoEncoderNet) -> None:
    """Warn if a run that chose its epochs itself had too few of them.

    Not where the learning rate changes, since a schedule gains most at its end, nor of
    a loss without a zero.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, at the end of a fit.
    """
    found = unfinished(plan, net)
    late = None if found is None else late_gain(plan, net)  # not of a run that stopped
    changes = net.config.lr_schedule is not None or changes_lr(net.callbacks_)
    gains = late is not None and late[0] is not None and late[0] > STILL_GAINING
    if found is not None and gains and not changes:
        message = (
            f"max_epochs='auto' resolved to {net.config.max_epochs:,} epochs, and "
            f"{found}."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=caller_level())


def _judge_error(net: AutoEncoderNet, moments: LatentMoments) -> None:
    """Warn if a run without validation samples ended with an absurd error."""
    run = net.last_run_
    assert run is not None
    if run.losses and moments.error > ABSURD * moments.total > 0:
        ratio = moments.error / moments.total
        message = (
            f"The squared error of the reconstructions is {ratio:.6g} times the "
            f"variance of the samples after epoch {net.n_epochs_}, whose weights are "
            f"kept because there are no validation samples. {ADVICE}"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=caller_level())
