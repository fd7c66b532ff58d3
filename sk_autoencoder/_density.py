"""The density of a variational autoencoder, estimated by draws from its posterior."""

import torch

from sk_autoencoder._module import AutoEncoderModule
from sk_autoencoder._random import make_generator
from sk_autoencoder.objectives.variational import (
    kl_to_standard_normal,
    split_statistics,
)

__all__ = ["balanced_draws", "evidence_bound"]

# Draws from the posterior in `score_samples`, two by two of opposite sign.
SCORE_DRAWS = 16


def balanced_draws(n_components: int, seed: int) -> torch.Tensor:
    """Draw standard normal noise (SCORE_DRAWS, n_components) with exact moments.

    All rows share these draws, so that chance would not average out over rows: the
    mean is made 0, each variance 1 and, where there are draws enough, each
    covariance 0. The bound of a linear decoder is then exact.
    """
    half = SCORE_DRAWS // 2
    noise = torch.randn(
        (half, n_components), generator=make_generator(seed), dtype=torch.float64
    )
    if n_components <= half:
        noise = torch.linalg.qr(noise).Q * half**0.5
    else:
        noise = noise / noise.square().mean(dim=0).sqrt()
    return torch.cat([noise, -noise])


def evidence_bound(
    module: AutoEncoderModule, centred: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Evidence lower bound of rows, (n,), by fixed draws (n_draws, n_components)."""
    statistics = module.encoder(module.columns.encode(centred))
    mean, log_variance = split_statistics(statistics)
    deviation = torch.exp(0.5 * log_variance)
    expected = torch.zeros_like(mean[:, 0])
    for draw in noise.to(mean):
        raw = module.decoder(mean + draw * deviation)
        expected += module.columns.log_likelihood(raw, centred)
    return expected / len(noise) - kl_to_standard_normal(mean, log_variance)
