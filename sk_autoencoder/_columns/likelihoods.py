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

from sk_autoencoder._columns.spread import HasVariance

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

    def __init__(self, n_features: int = 0, n_rows: int = 0) -> None:
        super().__init__()

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

    @staticmethod
    def through_raw(gradient: Tensor, y: Tensor) -> Tensor:
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

    def set_variance(self, variance: float) -> None:
        """Start from a variance of the errors; only normal densities have one."""


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

    @staticmethod
    def through_raw(gradient: Tensor, y: Tensor) -> Tensor:
        """Give the gradient by y of a loss whose gradient by `to_raw(y)` is known."""
        # Where y is at or beyond a bound, `to_raw` is flat.
        low, high = BinaryCrossEntropy.LEAST, 1 - BinaryCrossEntropy.LEAST
        inside = torch.where((y >= low) & (y <= high), gradient, 0.0)
        return torch.ops.aten.logit_backward(inside, y.clamp(low, high))

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


class Gaussian(HasVariance, Likelihood):
    """Normal density around the decoder's output, a variance for each column."""

    is_continuous = True
    is_squared_error = False

    def __init__(self, n_features: int, n_rows: int) -> None:
        super().__init__()
        self.make_variances(n_features, n_rows)

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, in nats a row; lower is better."""
        squares = (raw - y).square()
        self.follow(squares.detach().mean(dim=0))
        scaled = (squares / self.running).sum(dim=1).mean()
        return self._log_scale(self.running) + 0.5 * scaled

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        error = raw.sub_(y)
        squares = error.square()
        self.follow(squares.mean(dim=0))
        share = 1 / (raw.shape[0] * unit)
        scaled = squares.div_(self.running).sum().item()
        loss = self._log_scale(self.running).item() / unit + 0.5 * share * scaled
        return loss, error.div_(self.running).mul_(share)

    @staticmethod
    def _log_scale(variance: Tensor) -> Tensor:
        return 0.5 * torch.log(2 * math.pi * variance).sum()

    def row_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; lower is better."""
        return self._row_scores(raw, y, self.running)

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats, in scaled units; higher is better."""
        return -self._row_scores(raw, y, self.variance)

    def _row_scores(self, raw: Tensor, y: Tensor, variance: Tensor) -> Tensor:
        squares = (raw - y).square()
        return self._log_scale(variance) + 0.5 * (squares / variance).sum(dim=1)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from the normal density around the decoder's output."""
        noise = torch.empty_like(raw).normal_(generator=generator)
        return raw + noise * self.variance.sqrt()

    def calibrate(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the variances to their maximum likelihood values on the training rows."""
        total, count = torch.zeros_like(self.variance), 0
        for raw, y in outputs:
            total += (raw - y).square().sum(dim=0)
            count += len(raw)
        self.set_from_errors(total / count)


class Isotropic(Gaussian):
    """Normal density with one variance for all cells, as in probabilistic PCA."""

    def pooled(self, variance: Tensor) -> Tensor:
        """Give all columns their mean variance."""
        return variance.mean().expand_as(variance)


class Bernoulli(BinaryCrossEntropy):
    """Probability of targets in [0, 1], a sum over the features."""

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        return super().loss_and_gradient(raw, y, unit / raw.shape[1])

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, in nats a row; lower is better."""
        return super().loss(raw, y) * raw.shape[1]

    def row_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; lower is better."""
        return super().row_loss(raw, y) * raw.shape[1]

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; higher is better."""
        return -self.row_loss(raw, y)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones."""
        return torch.bernoulli(torch.sigmoid(raw), generator=generator)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "squared_error": Likelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "gaussian": Gaussian,
    "isotropic": Isotropic,
    "bernoulli": Bernoulli,
}
