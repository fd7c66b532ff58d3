"""The variational objective: a density over rows, through a normal code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from sk_autoencoder._protocols import Objective
from sk_autoencoder._utils.random import noise_like
from sk_autoencoder._utils.values import Range

# Beyond these a standard deviation of the posterior is rounding (e^-10) or noise.
LOG_VARIANCE_RANGE = (-20.0, 20.0)


def split_statistics(encoder_output: Tensor) -> tuple[Tensor, Tensor]:
    """Split (n, 2 k) into the posterior's means and log variances, (n, k) each."""
    mean, log_variance = encoder_output.chunk(2, dim=1)
    return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)


def kl_by_component(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each component from N(0, 1), (n, k) in nats.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, appendix B.
    """
    return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), (n,) in nats."""
    return kl_by_component(mean, log_variance).sum(dim=1)


@dataclass(frozen=True)
class Variational(Objective):
    """Negative evidence lower bound, its divergence weighted by `beta`.

    Parameters
    ----------
    beta : float
    warmup : int
        Epochs over which `beta` rises from near 0.
    free_bits : float
        Nats of the divergence of each component, on average over a batch, that cost
        nothing in training.

    Notes
    -----
    The encoder gives mean and log variance of each component. The reconstruction
    term is a sum over the features and the divergence one over the components,
    both in nats a row, so that `beta` means what the papers mean by it.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR.
    Higgins et al. (2017), beta-VAE, ICLR.
    Kingma et al. (2016), Improved variational inference with inverse autoregressive
    flow, NeurIPS: free bits.
    """

    is_variational: ClassVar[bool] = True

    beta: Annotated[float, Range(0)]
    warmup: Annotated[int, Range(0)] = 0
    free_bits: Annotated[float, Range(0)] = 0.0

    def at_epoch(self, epoch: int, max_epochs: int) -> Objective:
        """Return the objective with the weight of an epoch, counted from 0."""
        if epoch >= self.warmup:
            return self
        return replace(self, beta=self.beta * (epoch + 1) / (self.warmup + 1))

    def n_encoder_outputs(self, n_components: int) -> int:
        """Return two numbers a component: mean and log variance."""
        return 2 * n_components

    def rsample(self, encoder_output: Tensor, generator: torch.Generator) -> Tensor:
        """Sample codes from the posterior, reparametrised."""
        mean, log_variance = split_statistics(encoder_output)
        noise = noise_like(mean, generator, "normal_")
        return mean + noise * torch.exp(0.5 * log_variance)

    def mode(self, encoder_output: Tensor) -> Tensor:
        """Return the posterior mean."""
        return split_statistics(encoder_output)[0]

    def loss_terms(self, encoder_output: Tensor) -> dict[str, Tensor]:
        """Return the divergence from the prior, "kl", in nats a row."""
        mean, log_variance = split_statistics(encoder_output)
        if not self.free_bits:
            return {"kl": kl_to_standard_normal(mean, log_variance).mean()}
        each = kl_by_component(mean, log_variance).mean(dim=0)
        return {"kl": each.sum(), "paid": each.clamp(min=self.free_bits).sum()}

    def combine(self, terms: Mapping[str, Any]) -> Any:
        """Combine both terms."""
        kl = terms["paid"] if "paid" in terms else terms["kl"]
        return terms["reconstruction"] + self.beta * kl

    def per_sample_terms(self, encoder_output: Tensor) -> Tensor | float:
        """Return what a row's loss has beside its reconstruction, (n,)."""
        return self.beta * kl_to_standard_normal(*split_statistics(encoder_output))

    def rsample_with_vjp(
        self, encoder_output: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, dict[str, float]]]]:
        """Draw codes, and say how a gradient by them goes on; see `Objective`."""
        mean, log_variance = split_statistics(encoder_output)
        noise = noise_like(mean, generator, "normal_")
        spread = torch.exp(0.5 * log_variance)

        def back(gradient: Tensor) -> tuple[Tensor, dict[str, float]]:
            each = kl_by_component(mean, log_variance).mean(dim=0)
            terms = {"kl": each.sum().item()}
            share = self.beta / len(mean)
            paid: float | Tensor = 1.0
            if self.free_bits:
                terms["paid"] = each.clamp(min=self.free_bits).sum().item()
                paid = (each >= self.free_bits).to(mean)
            by_log = gradient * noise * (0.5 * spread)
            by_log += (0.5 * share) * paid * (spread.square() - 1)
            low, high = LOG_VARIANCE_RANGE
            raw = encoder_output[:, mean.shape[1] :]
            by_log *= (raw >= low) & (raw <= high)
            return torch.cat([gradient + share * paid * mean, by_log], dim=1), terms

        return torch.addcmul(mean, noise, spread), back
