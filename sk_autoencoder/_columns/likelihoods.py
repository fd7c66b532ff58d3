"""Likelihoods: how well the decoder's output explains a row.

Shapes: `raw` is the decoder's output and `y` the target in scaled units, both
(n, n_features). `loss` is what training minimises, a scalar mean over the rows;
`to_scaled` turns `raw` into the mean of the distribution, in scaled units. A density
also has `log_likelihood`, one value a row.

The two losses of the plain autoencoders are means over the features too, so that they
start near 1 and compare between tables. The two densities of the variational one are
sums over the features, in nats, so that the Kullback-Leibler term stands beside them
as in the papers.
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
    is_continuous : bool
        Whether `log_likelihood` is that of a density, which changes with the units.
    is_squared_error : bool
        Whether the loss is PCA's own, up to a factor.
    has_gradient : bool
        Whether `loss_and_gradient` and `through_raw` are there.
    """

    needs_unit_interval = False
    is_continuous = False
    is_squared_error = True
    has_gradient = True

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better."""
        return F.mse_loss(raw, y)

    def row_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        return F.mse_loss(raw, y, reduction="none").mean(dim=1)

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`.

        On the CPU; `raw` is overwritten.
        """
        share = 1 / (raw.numel() * unit)
        error = raw.sub_(y)
        flat = error.view(-1)
        return torch.dot(flat, flat).item() * share, error.mul_(2 * share)

    def through_raw(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Give the gradient by y of a loss whose gradient by `to_raw(y)` is known."""
        return gradient

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; higher is better."""
        raise NotImplementedError(f"{type(self).__name__} is no density")

    def to_scaled(self, raw: Tensor) -> Tensor:
        """Give the expected row in scaled units."""
        return raw

    @staticmethod
    def to_raw(y: Tensor) -> Tensor:
        """Undo `to_scaled`, as nearly as the likelihood allows."""
        return y

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows in scaled units."""
        raise NotImplementedError(f"{type(self).__name__} is no density")

    def calibrate(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what depends on the trained network from (raw, y) of all rows."""


class BinaryCrossEntropy(Likelihood):
    """Cross-entropy of targets in [0, 1] with logits, a mean over the features."""

    # Least probability of a reconstruction that is linear and may leave [0, 1].
    LEAST = 1e-2
    needs_unit_interval = True
    is_squared_error = False

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better.

        Rows that come later may leave the range that scaled them: they count as at
        its end, where a target beyond it would make the loss negative.
        """
        return F.binary_cross_entropy_with_logits(raw, y.clamp(0, 1))

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        y = y.clamp(0, 1)
        loss = F.binary_cross_entropy_with_logits(raw, y).item() / unit
        return loss, raw.sigmoid_().sub_(y).div_(raw.numel() * unit)

    def through_raw(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Give the gradient by y of a loss whose gradient by `to_raw(y)` is known."""
        # Where y is at or beyond a bound, `to_raw` is flat.
        return torch.ops.aten.logit_backward(
            torch.where((y >= self.LEAST) & (y <= 1 - self.LEAST), gradient, 0.0),
            y.clamp(self.LEAST, 1 - self.LEAST),
        )

    def row_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        losses = F.binary_cross_entropy_with_logits(
            raw, y.clamp(0, 1), reduction="none"
        )
        return losses.mean(dim=1)

    def to_scaled(self, raw: Tensor) -> Tensor:
        """Give the probabilities."""
        return torch.sigmoid(raw)

    @staticmethod
    def to_raw(y: Tensor) -> Tensor:
        """Give the logits of probabilities, kept away from 0 and 1."""
        least = BinaryCrossEntropy.LEAST
        return torch.logit(y.clamp(least, 1 - least))


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
    is_continuous = True
    is_squared_error = False
    has_gradient = False

    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.ones(()))

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, in nats a row; lower is better."""
        error = F.mse_loss(raw, y)
        variance = self.variance
        if self.training:
            variance = error.detach().clamp(min=self.FLOOR)
            self.variance.lerp_(variance, 1 - self.MEMORY)
        return (
            0.5 * raw.shape[1] * (torch.log(2 * math.pi * variance) + error / variance)
        )

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats, in scaled units; higher is better."""
        errors = F.mse_loss(raw, y, reduction="none").mean(dim=1)
        constant = torch.log(2 * math.pi * self.variance)
        return -0.5 * raw.shape[1] * (constant + errors / self.variance)

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

    has_gradient = False

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, in nats a row; lower is better."""
        return super().loss(raw, y) * raw.shape[1]

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; higher is better."""
        return -self.row_loss(raw, y) * raw.shape[1]

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones."""
        return torch.bernoulli(torch.sigmoid(raw), generator=generator)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "squared_error": Likelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
}
