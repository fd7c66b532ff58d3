"""A network that is trained as given, beside PCA on the validation samples."""

import math
import warnings
from dataclasses import replace
from typing import Any

import torch

from sk_autoencoder._fitting.build import build_net
from sk_autoencoder._fitting.component_search import explained_by
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.pca_init import with_pca
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import BOUND_DRAWS, balanced_draws, log_density
from sk_autoencoder._training.batches import RowDataset, split_rows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.threads import threads_for
from sk_autoencoder.networks import MLP

ADVICE = (
    "Train it longer, give it another lr or other layers, or pass init='pca', which "
    "starts as PCA and keeps what is better."
)


def compare_with_pca(fitted: FittedModel, X: Any, X_val: Any = None) -> None:
    """Warn if modules that were trained as given are worse than PCA.

    Where no validation samples were held out there is nothing to be compared on, and
    nothing to be compared with where a loss of the user's own has no finite value for
    PCA: its reconstructions leave the range of X, as those of a network that ends in a
    sigmoid do not.

    Parameters
    ----------
    fitted : FittedModel
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        That it was fitted to.
    X_val : ndarray or CSR matrix of shape (n_validation_samples, n_features) or None
        The caller's validation set; None holds samples of X out.
    """
    plan, net = fitted.plan, fitted.net
    if not plan.as_given:
        return
    if X_val is None:
        _, valid = split_rows(
            X.shape[0], net.config.validation_fraction, net.seeds.split
        )
        if valid is None:
            return
        X_val = X[valid]
    pca_plan = replace(
        plan,
        network=MLP(hidden_layer_sizes=()),
        given_outputs=None,
        latent_map=None,
        pca_loss=None,
        training=plan.training.without_callbacks(),
    )
    pca_plan = with_pca(pca_plan, X)
    with threads_for(X_val.shape[0] * net.module_.n_weights()):
        linear = _pca_score(pca_plan, X_val)
        if linear is None:
            return
        own = _score(plan, net, X_val)
    message = _message(plan, own, linear)
    if not own >= linear and message is not None:
        warnings.warn(message, UserWarning, stacklevel=caller_level())


def _pca_score(plan: Plan, X: Any) -> float | None:
    """Return how good PCA is, as `_score`; None where the loss does not take it."""
    if plan.likelihood != "own":
        return _score(plan, build_net(plan), X)
    # On the CPU, where a loss outside its domain raises: on a GPU, torch's
    # cross-entropy would abort the kernel, and nothing could be computed there again.
    plan = replace(plan, device="cpu")
    net = build_net(plan)
    try:
        found = _score(plan, net, X)
    except Exception:  # whatever the user's function raises
        return None
    return found if math.isfinite(found) else None


def _score(plan: Plan, net: AutoEncoderNet, X: Any) -> float:
    """Return how good a net is on samples that it was not trained on: higher is better.

    The measure is what its class promises: the evidence lower bound for the variational
    autoencoder, else explained variance, or the negative loss where that is no squared
    error; of a denoiser after corruption, by the same draws for every net.
    """
    rows = RowDataset(X, mean=plan.center, device=net.device)
    module: Any = net.module_
    module.eval()
    if plan.objective.is_variational:
        noise = balanced_draws(BOUND_DRAWS, plan.n_components, plan.seeds.score)
        with torch.inference_mode():
            bounds = [
                log_density(module, x, noise, None, bound=True)
                for x, _ in net.get_iterator(rows)
            ]
        return torch.cat(bounds).double().mean().item()
    every = net.validation_batches(rows)
    outputs = ((module.validation_output(x)[0], x) for x, _ in every)
    with net.validation_noise(), torch.inference_mode():
        if not _by_loss(plan):
            return explained_by(module, outputs)
        losses = [module.columns.per_sample_loss(raw, x) for raw, x in outputs]
    return -torch.cat(losses).double().mean().item()


def _by_loss(plan: Plan) -> bool:
    """Whether a loss of numbers that is no squared error decides."""
    return plan.table is None and plan.likelihood != "squared_error"


def _message(plan: Plan, own: float, linear: float) -> str | None:
    """Return the warning with both numbers; None where they would look alike."""
    if plan.objective.is_variational:
        form = "a network whose evidence lower bound on the validation samples is at "
        form += "least probabilistic PCA's, {1:.4g} nats a sample, got {0:.4g}"
    elif _by_loss(plan):
        own, linear = -own, -linear
        is_entropy = plan.likelihood == "binary_cross_entropy"
        what, unit = (
            ("cross-entropy", " nats a feature") if is_entropy else ("loss", "")
        )
        form = f"a network whose {what} on the validation samples is at most "
        form += "PCA's, {1:.4g}" + unit + ", got {0:.4g}"
    else:
        form = "a network that explains as much of the variance of the validation "
        form += "samples as PCA with as many components, {1:.3f}, got {0:.3f}"
    if math.isfinite(own) and form.format(own, linear) == form.format(linear, own):
        return None
    return f"expected {form.format(own, linear)}. {ADVICE}"
