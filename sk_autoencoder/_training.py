"""One training run of a net on checked rows, and a judgement of how it ended."""

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from sk_autoencoder._assembly import Plan
from sk_autoencoder._net import AutoEncoderNet
from sk_autoencoder._net_batches import Rows
from sk_autoencoder._threads import threads_for
from sk_autoencoder.exceptions import DivergenceError

__all__ = ["train"]

ADVICE = "Try a smaller lr, numeric_scaling='standard', or fewer extreme values in X."


def train(net: AutoEncoderNet, plan: Plan, X: Any, **how: Any) -> None:
    """Train a net; if that raises, the net is as it was before.

    Parameters
    ----------
    net : AutoEncoderNet
    plan : Plan
        The net's own, its statistics perhaps brought up to date.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    **how
        Of `AutoEncoderNet.fit_loop`.

    Raises
    ------
    DivergenceError
        If not one epoch gave a usable state.
    """
    columns = net.module_.columns
    old_statistics = columns.statistics
    columns.set_statistics(plan.statistics)
    rows = Rows(X, mean=plan.statistics.mean, device=net.device)
    work = min(net.batch_size, len(rows)) * net.module_.n_weights()
    try:
        with threads_for(work):
            net.partial_fit(rows, None, **how)
        _judge(net)
    except BaseException:
        columns.set_statistics(old_statistics)
        raise


def _judge(net: AutoEncoderNet) -> None:
    """Warn of a run that did not end by itself; raise if it gave nothing."""
    last, kept = len(net.history), net.best_epoch_
    if net.interrupted_:
        message = (
            f"Training was interrupted after epoch {last}: the weights of epoch "
            f"{kept} are kept. Call fit again with warm_start=True to go on."
        )
    elif not net.diverged_:
        return
    elif kept == 0:
        raise DivergenceError(
            f"expected a finite loss, got NaN or infinity in epoch {last}, before any "
            f"epoch gave a usable state. {ADVICE}"
        )
    else:
        message = (
            f"The loss became NaN or infinite in epoch {last}: the weights of epoch "
            f"{kept} are kept. {ADVICE}"
        )
    # The levels between here and the caller: train, fit, and its validation.
    warnings.warn(message, ConvergenceWarning, stacklevel=5)
