"""Ordered codes: the second training run, and what each prefix explains."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.recipe import FALLBACK_MARGIN
from sk_autoencoder._fitting.train import moments_of, warn_about_run
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.pca_residual import zero_last_layer
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.callbacks import print_message
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._training.selection import beyond_chance
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.threads import threads_for

# Fraction of PCA's error by which a prefix may be worse: where the encoder moves codes
# far from principal scores, the whole code gains many times what a short prefix loses.
TOLERANCE = 0.05
WORSE = "A prefix of the codes is worse than PCA's in validation: PCA is kept."


def train_prefixes(
    plan: Plan,
    net: AutoEncoderNet,
    prefix_net: AutoEncoderNet,
    rows: TrainingRows,
    *,
    is_pass: bool = False,
    interrupts: Interrupts,
    keeper: RunKeeper | None = None,
) -> np.ndarray:
    """Train a prefix decoder on the codes of a trained net, unless interrupted.

    Parameters
    ----------
    plan : Plan
        Of the net.
    net : AutoEncoderNet
    prefix_net : AutoEncoderNet
        Of the net's prefix decoder.
    rows : TrainingRows
        That the net was trained on.
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
    module = net.module_
    work = min(net.batch_size, len(rows)) * prefix_net.module_.n_weights()
    with threads_for(work):
        if plan.n_components > 1:  # one component has no prefix
            prefix_net.partial_fit(
                rows, is_pass=is_pass, interrupts=interrupts, keeper=keeper
            )
            warn_about_run(prefix_net)
            _set_gates(net, prefix_net.module_.decoder, rows)
        prefix_net.module_.eval()
        return _errors(module, net.get_iterator(rows, training=False))


def _set_gates(net: AutoEncoderNet, prefixes: Any, rows: TrainingRows) -> None:
    """Use the network only at lengths where it lowers the loss of held-out samples."""
    prefixes.gate.fill_(1)
    _, held_out = net.get_split_datasets(rows)
    if held_out is None or net.config.fallback_margin is None:
        return
    module, gains = net.module_, []
    every = net.validation_batches(held_out)
    n_draws = net.n_validation_draws(every)
    prefixes.eval()
    with torch.inference_mode(), net.validation_noise():
        for x, _ in every:
            code, _ = _validation_code(module, x)
            parts = [code[:, :j] for j in range(1, code.shape[1])]
            each = [
                module.columns.per_sample_loss(prefixes.linear(part), x)
                - module.columns.per_sample_loss(prefixes(part), x)
                for part in parts
            ]
            gains.append(torch.stack(each))
    for j, gain in enumerate(torch.cat(gains, dim=1)):
        gain = gain.view(n_draws, -1).mean(dim=0)
        prefixes.gate[j] = float(beyond_chance(gain, FALLBACK_MARGIN))


def worse_than_pca(net: AutoEncoderNet, rows: TrainingRows) -> bool:
    """Whether any prefix of the validation samples' codes is worse than PCA's.

    A denoiser's are of corrupted samples, as in the comparison of the whole codes.

    As a rule it is not: what a network adds to principal scores is little beside them,
    so that decoded by PCA alone they are as good as PCA's. False where there are no
    validation samples.
    """
    _, held_out = net.get_split_datasets(rows)
    if held_out is None or net.best_epoch_ == 0:
        return False
    module: Any = net.module_
    own: Any = 0.0
    pca: Any = 0.0
    work = threads_for(len(held_out) * module.n_weights())
    with torch.inference_mode(), work, net.validation_noise():
        for x, _ in net.validation_batches(held_out):
            code, inputs = _validation_code(module, x)
            raws = _prefixes(module, code)
            own = own + _losses(module, raws, x)
            scores = module.encoder.linear(inputs)
            raws = [
                module.decoder.linear(scores[:, :j])
                for j in range(1, scores.shape[1] + 1)
            ]
            pca = pca + _losses(module, raws, x)
    # A loss of the user's own may be below zero.
    return bool(np.any(own > pca + TOLERANCE * np.abs(pca)))


def _validation_code(module: AutoEncoderModule, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes of samples as states are compared on them, and the inputs."""
    inputs = module.objective.validation_inputs(x, module.columns, module.generator)
    return module.objective.mode(module.encoder(inputs)), inputs


def stay_pca(
    plan: Plan, net: AutoEncoderNet, rows: TrainingRows
) -> tuple[LatentMoments, np.ndarray]:
    """Make a module with prefixes PCA again; return the moments and errors of the rows.

    Parameters
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan.
    rows : TrainingRows
        That the net was trained on.
    """
    module: Any = net.module_
    for part in (module.encoder, module.decoder, module.prefixes):
        zero_last_layer(part.network)
    net.start_from(module.state_dict())
    print_message(net.callbacks_, WORSE)
    every = net.get_iterator(rows, training=False)
    with threads_for(min(net.batch_size, len(rows)) * module.n_weights()):
        return moments_of(net, plan, rows), _errors(module, every)


def _errors(module: AutoEncoderModule, batches: Any) -> np.ndarray:
    """Sum the squared errors of every prefix, (n_components,)."""
    total: Any = 0.0
    with torch.inference_mode():
        for x, _ in batches:
            errors = [
                module.columns.errors(raw, x).double().square().sum().item()
                for raw in _prefixes(module, module.network_code(x))
            ]
            total = total + np.array(errors)
    return np.asarray(total)


def _prefixes(module: AutoEncoderModule, code: Tensor) -> list[Tensor]:
    """Decode the first 1, 2, ... components of codes, and all of them."""
    prefixes: Any = module.prefixes
    raws = [prefixes(code[:, :j]) for j in range(1, code.shape[1])]
    return [*raws, module.decoder(code)]


def _losses(module: AutoEncoderModule, raws: list[Tensor], x: Tensor) -> np.ndarray:
    """Sum the losses of centered rows, one sum for each of the decoder's outputs."""
    losses = [
        module.columns.per_sample_loss(raw, x).double().sum().item() for raw in raws
    ]
    return np.array(losses)
