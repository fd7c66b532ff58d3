"""The variational objective: a density over rows, through a normal code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sk_autoencoder._protocols import Objective

__all__ = ["Variational", "kl_to_standard_normal", "split_statistics"]

# Beyond these a standard deviation of the posterior is rounding (e^-10) or noise.
LOG_VARIANCE_RANGE = (-20.0, 20.0)


def split_statistics(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """Split (n, 2 k) into the posterior's means and log variances, (n, k) each."""
    mean, log_variance = statistics.chunk(2, dim=1)
    return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), (n,) in nats.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, appendix B.
    """
    each = log_variance.exp() + mean.square() - 1 - log_variance
    return 0.5 * each.sum(dim=1)


@dataclass(frozen=True)
class Variational(Objective):
    """Negative evidence lower bound, its divergence weighted by `beta`.

    The encoder gives mean and log variance of each component. The reconstruction
    term is a sum over the features and the divergence one over the components,
    both in nats a row, so that `beta` means what the papers mean by it.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR.
    Higgins et al. (2017), beta-VAE, ICLR.
    """

    is_plain: ClassVar[bool] = False

    beta: float

    def n_statistics(self, n_components: int) -> int:
        """Two numbers a component: mean and log variance."""
        return 2 * n_components

    def draw(self, statistics: Tensor, generator: torch.Generator) -> Tensor:
        """Draw codes from the posterior, reparametrised."""
        mean, log_variance = split_statistics(statistics)
        noise = torch.randn(
            mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
        )
        return mean + noise * torch.exp(0.5 * log_variance)

    def code(self, statistics: Tensor) -> Tensor:
        """Give the posterior mean."""
        return split_statistics(statistics)[0]

    def terms(self, statistics: Tensor) -> dict[str, Tensor]:
        """Give the divergence from the prior, "kl", in nats a row."""
        return {"kl": kl_to_standard_normal(*split_statistics(statistics)).mean()}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Join both terms."""
        return terms["reconstruction"] + self.beta * terms["kl"]
