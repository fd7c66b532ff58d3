"""Likelihoods: how well the decoder's output explains a row.

Shapes: `raw` is the decoder's output and `y` the target in scaled units, both
(n, n_features). `loss` is what training minimises, a scalar mean over the rows;
`inverse_link` turns `raw` into the mean of the distribution, in scaled units. A density
also has `log_likelihood`, one value a row.

The two losses of the plain autoencoders are means over the features too, so that they
start near 1 and compare between tables. The two densities of the variational one are
sums over the features, in nats, so that the Kullback-Leibler term stands beside them
as in the papers.
"""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_autoencoder._columns.spread import PerColumnVariance, normal_like
from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.torch_compat import logit_backward

__all__ = [
    "LIKELIHOODS",
    "Likelihood",
    "LossFunction",
    "MeasuredLoss",
    "OwnLoss",
    "likelihood_class",
]

# A module's name lists its layers: so much of it is enough to know it by.
LONGEST_NAME = 100

# Share of a column's standard deviation that float32 may lose beside its mean. Beyond
# it, as for times in seconds since 1970, a loss is given float64.
MOST_ROUNDING = 1e-3
FACTOR_AND_SHIFT = ("factor", "shift")

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""From reconstruction and target, (n, n_features), to (n,) or (n, n_features)."""


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
    is_measured : bool
        Whether it depends on the units of the errors otherwise than by a factor: then
        it is a `MeasuredLoss`.
    has_gradient : bool
        Whether `loss_and_gradient` and `link_vjp` are there.
    """

    needs_unit_interval = False
    is_measured = False
    is_continuous = False
    is_squared_error = True
    has_gradient = True

    def __init__(self, n_features: int = 0, n_rows: int = 0) -> None:
        super().__init__()

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better."""
        return F.mse_loss(raw, y)

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
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
    def link_vjp(gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        return gradient

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; higher is better."""
        raise NotImplementedError(f"{type(self).__name__} is no density")

    def inverse_link(self, raw: Tensor) -> Tensor:
        """Return the expected row in scaled units."""
        return raw

    @staticmethod
    def link(y: Tensor) -> Tensor:
        """Invert `inverse_link`, as nearly as the likelihood allows."""
        return y

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows in scaled units."""
        raise NotImplementedError(f"{type(self).__name__} is no density")

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what depends on the trained network from (raw, y) of all rows."""

    def set_variance(self, variance: float) -> None:
        """Start from a variance of the errors; only normal densities have one."""

    def set_variance_unit(self, unit: float) -> None:
        """Set the unit of variances: the mean of the columns' own."""

    def check(self, raw: Tensor, y: Tensor) -> None:
        """Refuse, with advice, a loss that cannot be trained on such a batch."""


class MeasuredLoss(Float64Buffers, Likelihood):
    """Base of the losses that depend on the units of the errors.

    Inside, a row is in the units of the score, which with `numeric_scaling="none"` are
    one unit for all columns, around their means. These losses see the units that users
    know: their own with "none", else those that the scaling makes.
    """

    factor: Tensor
    shift: Tensor
    needs_float64: bool
    is_squared_error = False
    is_measured = True

    def __init__(self, n_features: int = 0, n_rows: int = 0) -> None:
        super().__init__()

    def set_units(
        self, factor: np.ndarray, shift: np.ndarray, spread: np.ndarray
    ) -> None:
        """Set the way to these units, y * factor + shift.

        Parameters
        ----------
        factor, shift : ndarray of shape (n_features,)
        spread : ndarray of shape (n_features,)
            Standard deviations of the training rows in these units.
        """
        self.write("factor", factor)
        self.write("shift", shift)
        rounding = np.abs(shift) * np.finfo(np.float32).eps
        lost = (rounding > MOST_ROUNDING * spread) & (spread > 0)
        self.needs_float64 = bool(lost.any())

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better."""
        return self.per_sample_loss(raw, y).mean()


class Huber(MeasuredLoss):
    """Half the squared error up to 1, the absolute error less a half beyond.

    A mean over the features.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter, Annals of Mathematical
    Statistics 35.
    """

    # Where the two meet: torch's default, and one of the units that users choose by
    # numeric_scaling.
    DELTA = 1.0

    def _errors(self, raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return errors and the same cut off at DELTA: the slope of the loss."""
        errors = (raw - y) * self.factor
        return errors, errors.clamp(-self.DELTA, self.DELTA)

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        errors, slopes = self._errors(raw, y)
        # e * e / 2 where nothing is cut off, DELTA * (|e| - DELTA / 2) elsewhere.
        return (slopes * (errors - 0.5 * slopes)).mean(dim=1)

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        share = 1 / (raw.numel() * unit)
        errors, slopes = self._errors(raw, y)
        errors.sub_(slopes, alpha=0.5)
        loss = torch.dot(slopes.view(-1), errors.view(-1)).item() * share
        return loss, slopes.mul_(self.factor).mul_(share)


class OwnLoss(MeasuredLoss):
    """A loss of the user's own, a function or a module.

    A module is copied. It stays in evaluation mode, and its weights are not trained.

    Parameters
    ----------
    function : callable (reconstruction, target) -> Tensor
        See `LossFunction`.
    """

    has_gradient = False

    def __init__(self, function: LossFunction) -> None:
        super().__init__()
        if isinstance(function, nn.Module):
            function = copy.deepcopy(function).to("cpu", torch.float32)
            function.requires_grad_(False).eval()
        self.function = function

    def train(self, mode: bool = True) -> "OwnLoss":
        """Switch this over, but not the user's module."""
        super().train(mode)
        if isinstance(self.function, nn.Module):
            self.function.eval()
        return self

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        return self._by_row(self.function(self._seen(raw), self._seen(y)), raw)

    def _seen(self, y: Tensor) -> Tensor:
        if not self.needs_float64:
            return y * self.factor + self.shift
        factor, shift = (
            self.get_tensor(name, torch.float64) for name in FACTOR_AND_SHIFT
        )
        return y.double() * factor + shift

    def _by_row(self, losses: Any, raw: Tensor) -> Tensor:
        """Check the shape of what the function returned, and average over features."""
        is_tensor = isinstance(losses, Tensor)
        if is_tensor and losses.shape == raw.shape:
            return losses.mean(dim=1).to(self.factor.dtype)
        if is_tensor and losses.shape == raw.shape[:1]:
            return losses.to(self.factor.dtype)
        found, advice = f"a {type(losses).__name__}", "Return such a tensor"
        if is_tensor and losses.ndim == 0:
            found = "a scalar"
            advice = "Pass reduction='none' to it, or leave out its mean over the batch"
        elif is_tensor:
            found = f"one of shape {tuple(losses.shape)}"
        raise ValueError(
            f"expected a tensor of shape (n,) or (n, n_features) from the loss, for "
            f"arguments of shape {tuple(raw.shape)}, got {found} from loss="
            f"{self._name()}. {advice}."
        )

    def _name(self) -> str:
        name = " ".join(repr(self.function).split())
        return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."

    def check(self, raw: Tensor, y: Tensor) -> None:
        """Try the function, and its gradient, on a batch."""
        if isinstance(self.function, type):
            raise ValueError(
                f"expected a function or an instance of a module, got loss="
                f"{self._name()}. Pass an instance, as "
                "torch.nn.L1Loss(reduction='none')."
            )
        with torch.enable_grad():
            start = self._seen(raw).detach().requires_grad_()
            target = self._seen(y).detach()
            before = target.clone()
            try:
                losses = self.function(start, target)
            except Exception as error:
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise ValueError(
                    "expected a loss that takes (reconstruction, target), tensors of "
                    f"shape {tuple(raw.shape)}, got loss={self._name()}, because: "
                    f"{reason}. Compute it by torch's functions."
                ) from error
            rows = self._by_row(losses, raw)
            if not torch.equal(target, before):
                raise ValueError(
                    "expected a loss that leaves its arguments as they are, got loss="
                    f"{self._name()}, which writes to the target. Work on a copy."
                )
            if not rows.requires_grad:
                raise ValueError(
                    "expected a loss with a gradient by the reconstruction, got loss="
                    f"{self._name()}. Compute it from the first argument by torch's "
                    "functions, without detach()."
                )
            (slopes,) = torch.autograd.grad(rows.sum(), start, allow_unused=True)
        for name, values in (("values", rows), ("gradients", slopes)):
            if values is None or not values.isfinite().all():
                raise ValueError(
                    f"expected a loss with finite {name}, got NaN or infinity from "
                    f"loss={self._name()} on training samples and their first "
                    "reconstruction. Keep logarithms, roots and divisions away from 0, "
                    "or choose other units by numeric_scaling."
                )


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
    def link_vjp(gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        # Where y is at or beyond a bound, `link` is flat.
        low, high = BinaryCrossEntropy.LEAST, 1 - BinaryCrossEntropy.LEAST
        inside = torch.where((y >= low) & (y <= high), gradient, 0.0)
        return logit_backward(inside, y.clamp(low, high))

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        losses = F.binary_cross_entropy_with_logits(
            raw, y.clamp(0, 1), reduction="none"
        )
        return losses.mean(dim=1)

    def inverse_link(self, raw: Tensor) -> Tensor:
        """Return the probabilities."""
        return torch.sigmoid(raw)

    @staticmethod
    def link(y: Tensor) -> Tensor:
        """Return the logits of probabilities, kept away from 0 and 1."""
        least = BinaryCrossEntropy.LEAST
        return torch.logit(y.clamp(least, 1 - least))


class Gaussian(PerColumnVariance, Likelihood):
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

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
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
        return raw + normal_like(raw, generator) * self.variance.sqrt()

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the variances to their maximum likelihood values on the training rows."""
        total, count = torch.zeros_like(self.variance), 0
        for raw, y in outputs:
            total += (raw - y).square().sum(dim=0)
            count += len(raw)
        self.set_from_errors(total / count)


class Isotropic(Gaussian):
    """Normal density with one variance for all cells, as in probabilistic PCA."""

    def pooled(self, variance: Tensor) -> Tensor:
        """Set the variance of every column to their mean."""
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

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; lower is better."""
        return super().per_sample_loss(raw, y) * raw.shape[1]

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,) in nats; higher is better."""
        return -self.per_sample_loss(raw, y)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones."""
        likely = self.inverse_link(raw).clamp(0, 1).float()
        return torch.bernoulli(likely, generator=generator).to(raw)


class BinaryCrossEntropyOfProbabilities(BinaryCrossEntropy):
    """The same where the decoder's output is the probability, not its logit."""

    has_gradient = False

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better."""
        return self._of_cells(raw, y).mean()

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        return self._of_cells(raw, y).mean(dim=1)

    @staticmethod
    def _of_cells(raw: Tensor, y: Tensor) -> Tensor:
        # In the target's precision: a rounded probability may be 1, and torch refuses
        # this loss under autocast. It keeps logarithms above -100.
        with torch.autocast(raw.device.type, enabled=False):
            lost = raw.isnan()  # torch would raise; here a loss of NaN says more
            probability = raw.to(y.dtype).masked_fill(lost, 0.5).clamp(0, 1)
            cells = F.binary_cross_entropy(probability, y.clamp(0, 1), reduction="none")
            return cells.masked_fill(lost, torch.nan)

    def inverse_link(self, raw: Tensor) -> Tensor:
        """Return the probabilities as they are."""
        return raw

    @staticmethod
    def link(y: Tensor) -> Tensor:
        """Keep probabilities away from 0 and 1."""
        least = BinaryCrossEntropy.LEAST
        return y.clamp(least, 1 - least)


class BernoulliOfProbabilities(Bernoulli, BinaryCrossEntropyOfProbabilities):
    """The same where the decoder's output is the probability, not its logit."""


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "squared_error": Likelihood,
    "binary_cross_entropy": BinaryCrossEntropy,
    "gaussian": Gaussian,
    "isotropic": Isotropic,
    "bernoulli": Bernoulli,
    "huber": Huber,
    "own": OwnLoss,
}
OF_PROBABILITIES: dict[type[Likelihood], type[Likelihood]] = {
    BinaryCrossEntropy: BinaryCrossEntropyOfProbabilities,
    Bernoulli: BernoulliOfProbabilities,
}


def likelihood_class(name: str, *, from_probabilities: bool) -> type[Likelihood]:
    """Return the class of a likelihood.

    Parameters
    ----------
    name : str
        A key of `LIKELIHOODS`.
    from_probabilities : bool
        Whether a decoder's output is the probability where it is the logit elsewhere;
        other likelihoods know no difference.
    """
    kind = LIKELIHOODS[name]
    return OF_PROBABILITIES.get(kind, kind) if from_probabilities else kind
