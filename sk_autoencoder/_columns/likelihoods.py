"""Likelihoods: how well the decoder's output explains a row.

Shapes: `raw` is the decoder's output and `y` the target in scaled units, both
(n, n_features). `loss` is what training minimizes, a scalar mean over the rows;
its `link` leads to the mean of the distribution, in scaled units. A density also has
`log_likelihood`, one value a row.

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

from sk_autoencoder._columns.links import ClippedLink, Link, LogitLink
from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.values import first_line

# Characters of the user's loss in messages: the `repr` of a module lists its layers.
LONGEST_NAME = 100

# Fraction of a column's standard deviation that float32 may lose beside its mean.
# Beyond it, as for times in seconds since 1970, a loss is given float64.
MOST_ROUNDING = 1e-3
FACTOR_AND_SHIFT = ("factor", "shift")

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""From reconstruction and target, (n, n_features), to (n,) or (n, n_features)."""


class Likelihood(nn.Module):
    """Base of the likelihoods.

    Attributes
    ----------
    link : Link
    is_density : bool
        Whether scores are sums over the features, in nats; else they are means.
    needs_unit_interval : bool
        Whether the targets must lie in [0, 1].
    is_continuous : bool
        Whether `log_likelihood` is that of a density, which changes with the units.
    is_squared_error : bool
        Whether the loss is PCA's own, up to a factor.
    is_measured : bool
        Whether it depends on the units of the errors otherwise than by a factor: then
        it is a `MeasuredLoss`.
    fits_tables : bool
        Whether a table may have it: of its numbers, beside the cross-entropy of its
        categories.
    has_gradient : bool
        Whether `loss_and_gradient` is there.
    """

    link = Link()
    is_density = False
    needs_unit_interval = False
    is_continuous = False
    is_squared_error = False
    is_measured = False
    fits_tables = False
    has_gradient = True

    def cell_losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each cell, (n, n_features); lower is better."""
        raise NotImplementedError

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch; lower is better."""
        loss = self.cell_losses(raw, y).mean()
        return loss * raw.shape[1] if self.is_density else loss

    def per_sample_loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row, (n,); their mean is the loss of the batch."""
        losses = self.cell_losses(raw, y).mean(dim=1)
        return losses * raw.shape[1] if self.is_density else losses

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and return the gradient by `raw` too, both divided by `unit`.

        On the CPU; `raw` is overwritten.
        """
        raise NotImplementedError

    def log_likelihood(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each row by its density, (n,) in nats; higher is better."""
        return -self.per_sample_loss(raw, y)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows in scaled units; only densities have it."""
        raise NotImplementedError

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what depends on the trained network from (raw, y) of all rows."""

    def set_variance(self, variance: float) -> None:
        """Start from a variance of the errors; only normal densities have one."""

    def set_value_variances(self, variances: np.ndarray) -> None:
        """Set the variances of the values in training, for normal densities."""

    def start_from_values(self) -> None:
        """Start from the variances of the values, for normal densities."""

    def check(self, raw: Tensor, y: Tensor) -> None:
        """Refuse, with advice, a loss that cannot be trained on such a batch."""


class SquaredError(Likelihood):
    """Squared error, a mean over the features."""

    fits_tables = True
    is_squared_error = True

    def cell_losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each cell."""
        return F.mse_loss(raw, y, reduction="none")

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, by one function of torch where others take several."""
        return F.mse_loss(raw, y)

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and return the gradient by `raw`."""
        return mean_square(raw.sub_(y), unit)


def mean_square(errors: Tensor, unit: float) -> tuple[float, Tensor]:
    """Return the mean of squared errors, and its gradient, both divided by `unit`.

    On the CPU; `errors` is overwritten.
    """
    weight, flat = 1 / (errors.numel() * unit), errors.view(-1)
    return torch.dot(flat, flat).item() * weight, errors.mul_(2 * weight)


class MeasuredLoss(Float64Buffers, Likelihood):
    """Base of the losses that depend on the units of the errors.

    Inside, a row is in the units of the score, which with `numeric_scaling="none"` are
    one unit for all columns, around their means. These losses see the units that users
    know: their own with "none", else those that the scaling makes.

    Attributes
    ----------
    label : str
        Name on an axis, without a unit: it is that of what PCA makes of the samples.
    """

    factor: Tensor
    shift: Tensor
    needs_float64: bool
    is_measured = True
    label = "Loss"

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
    label = "Huber loss"

    def _errors(self, raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return errors and the same cut off at DELTA: the slope of the loss."""
        errors = (raw - y) * self.factor
        return errors, errors.clamp(-self.DELTA, self.DELTA)

    def cell_losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each cell."""
        errors, slopes = self._errors(raw, y)
        # e * e / 2 where nothing is cut off, DELTA * (|e| - DELTA / 2) elsewhere.
        return slopes * (errors - 0.5 * slopes)

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and return the gradient by `raw`."""
        weight = 1 / (raw.numel() * unit)
        errors, slopes = self._errors(raw, y)
        errors.sub_(slopes, alpha=0.5)
        loss = torch.dot(slopes.view(-1), errors.view(-1)).item() * weight
        return loss, slopes.mul_(self.factor).mul_(weight)


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
                raise ValueError(
                    "expected a loss that takes (reconstruction, target), tensors of "
                    f"shape {tuple(raw.shape)}, got loss={self._name()}, because: "
                    f"{first_line(error)}. Compute it by torch's functions."
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
    """Cross-entropy of targets in [0, 1], a mean over the features.

    Rows that come later may leave the range that scaled them: they count as at its end,
    where a target beyond it would make the loss negative.
    """

    needs_unit_interval = True

    def __init__(self) -> None:
        super().__init__()
        self.link: Link = LogitLink()

    def take_probabilities(self) -> None:
        """Read the decoder's output as probabilities, where it is logits elsewhere."""
        self.link, self.has_gradient = ClippedLink(), False

    def cell_losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score each cell."""
        y = y.clamp(0, 1)
        if isinstance(self.link, LogitLink):
            return F.binary_cross_entropy_with_logits(raw, y, reduction="none")
        # In the target's precision: a rounded probability may be 1, and torch refuses
        # this loss under autocast. It keeps logarithms above -100.
        with torch.autocast(raw.device.type, enabled=False):
            lost = raw.isnan()  # torch would raise; here a loss of NaN says more
            probability = raw.to(y.dtype).masked_fill(lost, 0.5).clamp(0, 1)
            cells = F.binary_cross_entropy(probability, y, reduction="none")
            return cells.masked_fill(lost, torch.nan)

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score logits of a batch, and return the gradient by `raw`."""
        y = y.clamp(0, 1)
        unit = unit / raw.shape[1] if self.is_density else unit
        loss = F.binary_cross_entropy_with_logits(raw, y).item() / unit
        return loss, raw.sigmoid_().sub_(y).div_(raw.numel() * unit)


class Bernoulli(BinaryCrossEntropy):
    """Probability of targets in [0, 1], a sum over the features."""

    is_density = True

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones."""
        likely = self.link.inverse(raw).clamp(0, 1).float()
        return torch.bernoulli(likely, generator=generator).to(raw)


class PerColumnVariance(nn.Module):
    """Variances that follow the errors of training, for a normal density.

    In training the variance of a column is a running mean of its squared errors, its
    maximum likelihood value; it is no parameter (sigma-VAE). After training
    `set_from_errors` sets the value that rows are scored by, and the running mean waits
    for training to go on.

    A variance is measured in that of its column's values, so that no column's density
    rests on the units of others: docs/development/decisions/0049-column-variances.md.
    It is bounded below by `FLOOR`: without it rows on a hyperplane would have an
    infinite density. And it is drawn toward the mean of all columns as if `PRIOR_ROWS`
    more rows had that: a column that hardly erred in training may yet do so.

    References
    ----------
    Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with
    calibrated decoders, ICML.
    """

    FLOOR = 1e-6
    # Weight of the past in the running mean of a batch's errors: about 20 batches.
    MEMORY = 0.95
    # 30 gained where samples unlike all others decide, and nothing beside a mixture:
    # docs/development/decisions/0012-vae-recipe.md.
    PRIOR_ROWS = 10.0

    running: Tensor
    variance: Tensor
    value_variance: Tensor
    # Adds up numbers of the processes that share a batch, in place; None for one.
    add_up: Callable[[Tensor], None] | None = None

    def make_variances(self, n_columns: int, n_rows: int) -> None:
        """Make the buffers, for columns whose errors are of so many rows."""
        self.register_buffer("running", torch.ones(n_columns, dtype=torch.float32))
        self.register_buffer("variance", torch.ones(n_columns, dtype=torch.float32))
        ones = torch.ones(n_columns, dtype=torch.float32)
        self.register_buffer("value_variance", ones, persistent=False)
        self._prior_share = self.PRIOR_ROWS / (n_rows + self.PRIOR_ROWS)

    def follow(self, errors: Tensor, counts: Tensor | int) -> None:
        """Move toward the mean squared errors (n_columns,) of a batch in training.

        NaN tells nothing of a column.

        Parameters
        ----------
        errors : Tensor of shape (n_columns,)
        counts : int or Tensor of shape (n_columns,)
            Cells that these are the means of.
        """
        if self.training:
            if self.add_up is not None:
                weights = errors.new_zeros(errors.shape) + counts
                sums = torch.where(weights > 0, errors * weights, 0.0)
                totals = torch.stack([sums, weights])
                self.add_up(totals)
                errors = totals[0] / totals[1]
            errors = torch.where(errors.isnan(), self.running, errors)
            self.running.lerp_(self._bounded(errors), 1 - self.MEMORY)

    def set_from_errors(self, errors: Tensor) -> None:
        """Set what rows are scored by, from the mean squared errors of all rows."""
        errors = torch.where(errors.isnan(), self.running, errors)
        self.variance.copy_(self._bounded(errors))

    def set_variance(self, variance: float) -> None:
        """Start from one variance for all columns."""
        self.running.fill_(max(variance, self.FLOOR))
        self.variance.copy_(self.running)

    def set_value_variances(self, variances: np.ndarray) -> None:
        """Set the variances of the values in training, (n_columns,), in scaled units.

        A column that did not vary has the mean of those that did.
        """
        varied = variances[variances > 0]
        usual = varied.mean() if len(varied) else 1.0
        found = np.where(variances > 0, variances, usual)
        self.value_variance.copy_(torch.as_tensor(found))

    def start_from_values(self) -> None:
        """Start from the variances of the values, where no other start is known."""
        self.running.copy_(self.value_variance)
        self.variance.copy_(self.value_variance)

    def _bounded(self, variance: Tensor) -> Tensor:
        share = variance / self.value_variance
        share = share.lerp(share.mean(), self._prior_share)
        return share.clamp(min=self.FLOOR) * self.value_variance


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal noise of the shape and dtype of x.

    Drawn in float32, whatever the dtype: the same seed gives the same noise.
    """
    noise = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    return noise.normal_(generator=generator).to(x)


class Gaussian(PerColumnVariance, Likelihood):
    """Normal density around the decoder's output, a variance for each column."""

    fits_tables = True
    is_continuous = is_density = True

    def __init__(self, n_features: int, n_rows: int) -> None:
        super().__init__()
        self.make_variances(n_features, n_rows)

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Score a batch, in nats a row; lower is better."""
        squares = (raw - y).square()
        self.follow(squares.detach().mean(dim=0), len(raw))
        scaled = (squares / self.running).sum(dim=1).mean()
        return self._log_scale(self.running) + 0.5 * scaled

    def loss_and_gradient(
        self, raw: Tensor, y: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and return the gradient by `raw`."""
        error = raw.sub_(y)
        squares = error.square()
        self.follow(squares.mean(dim=0), len(raw))
        weight = 1 / (raw.shape[0] * unit)
        scaled = squares.div_(self.running).sum().item()
        loss = self._log_scale(self.running).item() / unit + 0.5 * weight * scaled
        return loss, error.div_(self.running).mul_(weight)

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

    def make_variances(self, n_columns: int, n_rows: int) -> None:
        """Make the buffers; each variance is drawn to the mean of all, wholly."""
        super().make_variances(n_columns, n_rows)
        self._prior_share = 1.0

    def set_value_variances(self, variances: np.ndarray) -> None:
        """Set the mean variance of the values in training, in scaled units."""
        super().set_value_variances(np.full(len(variances), variances.mean()))


class CrossEntropy(Likelihood):
    """Of the levels of cells: the network of these scores it itself."""

    fits_tables = True
    has_gradient = False


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "squared_error": SquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
    "gaussian": Gaussian,
    "isotropic": Isotropic,
    "bernoulli": Bernoulli,
    "huber": Huber,
    "own": OwnLoss,
    "cross_entropy": CrossEntropy,
}
