"""Likelihoods: how well the decoder's output explains a row.

Shapes: `raw` is the decoder's output and `y` the target in scaled units, both
(n, n_features); `losses` gives one value a row, (n,), lower is better. `to_scaled`
turns `raw` into the mean of the distribution, in scaled units.

The two losses of the plain autoencoders are means over the features, so that they
start near 1 and compare between tables. The two densities of the variational one
are sums, in nats, so that the Kullback-Leibler term stands beside them as in the
papers.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LIKELIHOODS", "Likelihood"]


class Likelihood(nn.Module):
    """Base of the likelihoods; the base itself is squared error.

    Attributes
    ----------
    needs_unit_interval : bool
        Whether the targets must lie in [0, 1].
    is_density : bool
        Whether `losses` are negative log densities, which change with the units.
    label : str
        What one value is, with its unit: the axis of a loss curve.
    """

    needs_unit_interval = False
    is_density = False
    label = "Mean squared error (scaled units)"

    def losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,)."""
        return F.mse_loss(raw, y, reduction="none").mean(dim=1)

    def to_scaled(self, raw: Tensor) -> Tensor:
        """Give the expected row in scaled units."""
        return raw

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows in scaled units; a loss that is no density gives the mean."""
        return self.to_scaled(raw)

    def calibrate(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what depends on the trained network from (raw, y) of all rows."""


class BinaryCrossEntropy(Likelihood):
    """Cross-entropy of targets in [0, 1] with logits, a mean over the features."""

    needs_unit_interval = True
    label = "Binary cross-entropy (nats per feature)"

    def losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,)."""
        return F.binary_cross_entropy_with_logits(raw, y, reduction="none").mean(dim=1)

    def to_scaled(self, raw: Tensor) -> Tensor:
        """Give the probabilities."""
        return torch.sigmoid(raw)


class Gaussian(Likelihood):
    """Normal density with one variance for all cells, set by the data.

    In training the variance is the batch's own mean squared error, its maximum
    likelihood value (sigma-VAE). The gradient through it vanishes there, so that
    it is left out. A running mean serves validation; after training `calibrate`
    sets the value that `score_samples` uses.

    The variance is bounded below by `FLOOR` in units of the scaled columns' mean
    variance: without it rows on a hyperplane would have an infinite density.

    References
    ----------
    Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with
    calibrated decoders, ICML.
    """

    FLOOR = 1e-6
    MEMORY = 0.95
    is_density = True
    label = "Negative bound (nats per row)"

    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.ones(()))

    def losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,), up to the Jacobian of the scaling."""
        errors = F.mse_loss(raw, y, reduction="none").mean(dim=1)
        if self.training:
            variance = errors.detach().mean().clamp(min=self.FLOOR)
            self.variance.lerp_(variance, 1 - self.MEMORY)
        else:
            variance = self.variance
        constant = torch.log(2 * math.pi * variance)
        return 0.5 * raw.shape[1] * (constant + errors / variance)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from the normal density around the decoder's output."""
        noise = torch.empty_like(raw).normal_(generator=generator)
        return raw + noise * self.variance.sqrt()

    def calibrate(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the variance to its maximum likelihood value on the training rows."""
        total, count = 0.0, 0
        for raw, y in outputs:
            total += F.mse_loss(raw, y, reduction="sum").item()
            count += raw.numel()
        self.variance.fill_(max(total / count, self.FLOOR))


class Bernoulli(BinaryCrossEntropy):
    """Probability of targets in [0, 1], a sum over the features."""

    label = "Negative bound (nats per row)"

    def losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,)."""
        return super().losses(raw, y) * raw.shape[1]

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones."""
        return torch.bernoulli(torch.sigmoid(raw), generator=generator)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "squared_error": Likelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
}
