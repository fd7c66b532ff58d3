"""Ordered codes: the second training run, and what each prefix explains."""

from typing import Any

import numpy as np
import torch

from sk_autoencoder._assembly import Plan, build_prefix_net
from sk_autoencoder._module import AutoEncoderModule
from sk_autoencoder._net import AutoEncoderNet
from sk_autoencoder._net_batches import Rows
from sk_autoencoder._threads import threads_for
from sk_autoencoder._training import judge

__all__ = ["train_prefixes"]


def train_prefixes(
    plan: Plan,
    net: AutoEncoderNet,
    X: Any,
    *,
    prefix_net: AutoEncoderNet | None = None,
    **how: Any,
) -> tuple[AutoEncoderNet, np.ndarray]:
    """Train a prefix decoder on the codes of a trained net.

    Parameters
    ----------
    plan : Plan
        Of the net.
    net : AutoEncoderNet
        Its module is given the decoder.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    prefix_net : AutoEncoderNet or None
        Of the run before, to go on from.
    **how
        Of `AutoEncoderNet.fit_loop`.

    Returns
    -------
    prefix_net : AutoEncoderNet
    errors : ndarray of shape (n_components,)
        Squared error of all rows from the first 1, 2, ... components, in the caller's
        units, summed.
    """
    module = net.module_
    if prefix_net is None:
        prefix_net = build_prefix_net(plan, module)
    rows = Rows(X, mean=plan.statistics.mean, device=net.device)
    work = min(net.batch_size, len(rows)) * prefix_net.module_.n_weights()
    with threads_for(work):
        # An interrupt is meant for all of the fit; one component has no prefix.
        if plan.n_components > 1 and not net.interrupted_:
            prefix_net.partial_fit(rows, None, **how)
            judge(prefix_net)
        prefix_net.module_.eval()
        return prefix_net, _errors(module, net.get_iterator(rows, training=False))


def _errors(module: AutoEncoderModule, batches: Any) -> np.ndarray:
    """Sum the squared errors of every prefix, (n_components,)."""
    total: Any = 0.0
    prefixes: Any = module.prefixes
    with torch.inference_mode():
        for x, _ in batches:
            code = module.network_code(x)
            k = code.shape[1]
            raws = [prefixes(code[:, :j]) for j in range(1, k)]
            total = total + np.array(
                [
                    module.columns.errors(raw, x).double().square().sum().item()
                    for raw in [*raws, module.decoder(code)]
                ]
            )
    return np.asarray(total)
