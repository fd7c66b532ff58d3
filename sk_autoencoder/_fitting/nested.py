"""Ordered codes: the second training run, and what each prefix explains."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._fitting.pca_init import with_axes
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.recipe import nested_config
from sk_autoencoder._fitting.train import warn_about_run
from sk_autoencoder._model.recoder import Recoding
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._training.selection import roots
from sk_autoencoder._training.settings import update_config
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.threads import threads_for


def with_recoding(plan: Plan, net: AutoEncoderNet, rows: TrainingRows) -> Plan:
    """Add the linear part of a recoding to a plan: codes whose prefixes explain most.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, trained.
    rows : TrainingRows
        That it was trained on.
    """
    module: Any = net.module_
    k = plan.n_components
    # Sums of codes and scores, and of their products: both have about unit variance.
    n, sums, products = 0, np.zeros(2 * k), np.zeros((2 * k, 2 * k))
    work = threads_for(min(net.batch_size, len(rows)) * module.n_weights())
    with torch.inference_mode(), work:
        for x, _ in net.get_iterator(rows, training=False):
            inputs = module.columns.encode(x)
            both = [module.encoder(inputs), module.encoder.linear(inputs)]
            each = torch.cat(both, dim=1).double().cpu().numpy()
            n += len(each)
            sums += each.sum(axis=0)
            products += each.T @ each
    assert plan.axes is not None
    mean = sums / n
    covariance = products / n - np.outer(mean, mean)
    found = Recoding.of(mean[:k], covariance[:k], plan.axes.std[:k])
    return with_axes(replace(plan, recoding=found), plan.axes)


def train_prefixes(
    plan: Plan,
    net: AutoEncoderNet,
    prefix_net: AutoEncoderNet,
    rows: TrainingRows,
    *,
    n_epochs: int,
    is_pass: bool = False,
    interrupts: Interrupts,
    keeper: RunKeeper | None = None,
) -> np.ndarray:
    """Train a recoder and a decoder of prefixes, unless interrupted.

    Parameters
    ----------
    plan : Plan
        Of the net.
    net : AutoEncoderNet
    prefix_net : AutoEncoderNet
        Of the net's prefix decoder.
    rows : TrainingRows
        That the net was trained on.
    n_epochs : int
        That the net has trained for in this fit.
    is_pass : bool
        Whether this is one pass over some of many rows.
    interrupts : Interrupts
        Of the fit.
    keeper : RunKeeper or None
        Of the fit, where its runs are kept.

    Returns
    -------
    errors : ndarray of shape (n_components,)
        Squared error of all rows from the first 1, 2, ... components, in the caller's
        units, summed.
    """
    module: Any = net.module_
    work = min(net.batch_size, len(rows)) * prefix_net.module_.n_weights()
    with threads_for(work):
        if learns_prefixes(plan, prefix_net):
            update_config(prefix_net, nested_config(plan.training, n_epochs))
            prefix_net.partial_fit(
                rows, is_pass=is_pass, interrupts=interrupts, keeper=keeper
            )
            warn_about_run(prefix_net)
            _set_gates(net, rows)
        else:
            module.prefixes.gate.fill_(0)
        prefix_net.module_.eval()
        return _errors(net, net.get_iterator(rows, training=False))


def learns_prefixes(plan: Plan, prefix_net: AutoEncoderNet) -> bool:
    """Whether prefixes are decoded by a network, not by PCA.

    They are not where the whole code is PCA's. (A file of 0.1.0 has no recoding.)
    """
    return plan.recoding is not None or prefix_net.n_epochs_ > 0


def _set_gates(net: AutoEncoderNet, rows: TrainingRows) -> None:
    """Let the network decode prefixes only of lengths at which it beats PCA.

    On the validation set, by root errors, since single samples may be far off
    (docs/development/decisions/0031-root-errors.md).
    """
    module: Any = net.module_
    prefixes = module.prefixes
    prefixes.gate.fill_(1)
    _, held_out = net.get_split_datasets(rows)
    if held_out is None or net.config.fallback_margin is None:
        return
    gains: Any = 0.0
    objective, columns = module.objective, module.columns
    prefixes.eval()
    with torch.inference_mode(), net.validation_noise():
        for x, _ in net.validation_batches(held_out):
            inputs = objective.validation_inputs(x, columns, module.generator)
            code = module.recoded(objective.mode(module.encoder(inputs)))
            parts = [code[:, :j] for j in range(1, code.shape[1])]
            linear, learned = (
                np.array(
                    [
                        _size(columns, columns.per_sample_loss(decode(part), x))
                        for part in parts
                    ]
                )
                for decode in (prefixes.linear, prefixes)
            )
            gains = gains + linear - learned
    for j, gain in enumerate(gains):
        prefixes.gate[j] = float(gain > 0)


def _size(columns: Any, losses: torch.Tensor) -> float:
    """Sum the roots of losses; a loss of the user's own may be below 0."""
    return float((losses if columns.is_own_loss else roots(losses)).sum())


def _errors(net: AutoEncoderNet, batches: Any) -> np.ndarray:
    """Sum the squared errors of every prefix, (n_components,)."""
    module: Any = net.module_
    total: Any = 0.0
    with torch.inference_mode():
        for x, _ in batches:
            plain = module.plain_code(x)
            code = module.recoded(plain)
            raws = [module.prefixes(code[:, :j]) for j in range(1, code.shape[1])]
            errors = [
                module.columns.errors(raw, x).double().square().sum().item()
                for raw in [*raws, module.decoder(plain)]
            ]
            total = total + np.array(errors)
    return np.asarray(total)
