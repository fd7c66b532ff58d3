"""Columns of numbers: scaling in, scaling out, and the score between."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.likelihoods import (
    Likelihood,
    LossFunction,
    MeasuredLoss,
    OwnLoss,
    likelihood_class,
)
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._protocols import Columns

__all__ = ["NumericColumns", "NumericScale"]

# A column whose spread is below this share of the unit that its error is measured in
# is blown up no further than to this share: a pixel that is hardly ever set would
# otherwise outweigh all others when it is. Which value matters far less than that there
# is one (`python -m benchmarks.quality.choices`).
SMALLEST_SHARE = 0.2


@dataclass(frozen=True)
class NumericScale:
    """Units in which a row is scored: y = (x - origin) / unit.

    Attributes
    ----------
    origin, unit : ndarray of shape (n_features,), float64
        `unit` is positive.
    """

    origin: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(
        cls,
        scaling: str,
        statistics: ColumnStatistics,
        *,
        unit_interval: bool,
        as_given: bool = False,
    ) -> "NumericScale":
        """Resolve a `numeric_scaling` on the statistics of the training rows.

        Parameters
        ----------
        scaling : {"none", "standard", "minmax"}
            "none" is one global unit, the root of the mean variance of the
            columns: the error keeps the proportions of the caller's units, as
            PCA's does. "standard" is a unit for each column, its standard
            deviation; "minmax" its range.
        statistics : ColumnStatistics
        unit_interval : bool
            Whether targets are probabilities: then "none" leaves rows as they are.
        as_given : bool
            Whether the decoder's output is read in these units by itself: then too.
        """
        mean, spread = statistics.mean, statistics.spread
        if scaling == "minmax":
            return cls(statistics.low, _positive(statistics.high - statistics.low))
        if unit_interval:
            return cls(np.zeros_like(mean), np.ones_like(mean))
        if scaling == "standard":
            return cls(mean, _positive(spread))
        if as_given:
            return cls(np.zeros_like(mean), np.ones_like(mean))
        unit = np.sqrt(np.mean(np.square(spread)))
        return cls(mean, _positive(np.full_like(mean, unit)))


def _positive(unit: np.ndarray) -> np.ndarray:
    """Constant columns have no unit of their own: they are scored in the caller's."""
    return np.where(unit > 0, unit, 1.0)


class NumericColumns(Columns):
    """Numeric columns under one likelihood.

    The network's input is standardised, whatever the scaling, so that training does
    not suffer from the units, but for columns that hardly vary (`SMALLEST_SHARE`);
    `numeric_scaling` decides in which units the error is measured.

    A network that is trained as given works in the units of `numeric_scaling` itself:
    its input is `(row - origin) / unit`, its output is read likewise, and constant
    columns are columns like any other. What is taken off rows before they are rounded
    is then the origin of these units, not the mean: a row in the caller's own units
    reaches the network to the bit.

    **Shape**: `encode` (n, n_features) to the same; `decode` likewise.

    Parameters
    ----------
    scaling : {"none", "standard", "minmax"}
    likelihood : str
        A key of `LIKELIHOODS`.
    statistics : ColumnStatistics
        Of the training rows.
    loss : callable or None
        The user's own, for the likelihood "own".
    given_outputs : {"data", "logits"} or None
        What the decoder of a network that is trained as given puts out; None where
        the network stands between standardized inputs and the units of the score.
    """

    mean: Tensor
    from_mean: Tensor
    input_weight: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    loss_scale: Tensor
    output_unit: Tensor
    offset: Tensor

    def __init__(
        self,
        *,
        scaling: str,
        likelihood: str,
        statistics: ColumnStatistics,
        loss: LossFunction | None = None,
        given_outputs: str | None = None,
    ) -> None:
        super().__init__()
        self.scaling = scaling
        self.as_given = given_outputs is not None
        self.likelihood: Likelihood
        if loss is not None:
            self.likelihood = OwnLoss(loss)
        else:
            kind = likelihood_class(
                likelihood, from_probabilities=given_outputs == "data"
            )
            self.likelihood = kind(len(statistics.mean), statistics.n_rows)
        self.is_squared_error = self.likelihood.is_squared_error
        self.has_gradient = self.likelihood.has_gradient
        self.n_inputs = self.n_outputs = len(statistics.mean)
        self.set_statistics(statistics)
        if self.as_given:
            # In the caller's units a variance may have any size.
            spread = statistics.spread / self.scale.unit
            self.likelihood.set_variance_unit(float(np.mean(np.square(spread))))

    def set_statistics(self, statistics: ColumnStatistics) -> None:
        """Write the statistics into the buffers, from float64, in their own dtype."""
        scale = NumericScale.of(
            self.scaling,
            statistics,
            unit_interval=self.likelihood.needs_unit_interval,
            as_given=self.as_given,
        )
        mean, spread = statistics.mean, statistics.spread
        constant = spread == 0
        floored = np.maximum(spread, SMALLEST_SHARE * scale.unit)
        if self.as_given:
            constant, floored = np.zeros_like(constant), scale.unit
            self.write("from_mean", scale.origin - mean)
            mean = scale.origin
        weight = np.where(constant, 0.0, 1 / floored)
        self.statistics, self.scale = statistics, scale
        # From inputs to the units of the score, where the inputs are not constant.
        self.factor = np.where(constant, 0.0, floored / scale.unit)
        values = {
            "mean": mean,
            "input_weight": weight,
            "spread": spread,
            "low": statistics.low - mean,
            "high": statistics.high - mean,
            "loss_scale": scale.unit,
            # A constant column comes back as it was, not nearly.
            "output_unit": np.where(constant, 0.0, scale.unit),
            "offset": (mean - scale.origin) / scale.unit,
        }
        for name, value in values.items():
            self.write(name, value)
        self._has_offset = bool(np.any(values["offset"]))
        if isinstance(self.likelihood, MeasuredLoss):
            # "none" is here one unit around the mean, to the user the columns' own.
            factor, shift = np.ones_like(mean), np.zeros_like(mean)
            if self.scaling == "none":
                factor, shift = scale.unit, scale.origin
            self.likelihood.set_units(factor, shift, spread / scale.unit * factor)

    def encode(self, x: Tensor) -> Tensor:
        """Standardise centred rows; a constant column gives 0."""
        return x * self.input_weight

    def set_variance(self, variance: float) -> None:
        """Start from one variance of the errors in all columns, in scaled units."""
        self.likelihood.set_variance(variance)

    def centered_targets(self, x: Tensor) -> Tensor:
        """Return rows less their mean, in the caller's units."""
        return x + self.from_mean if self.as_given else x

    def sum_by_column(self, squares: Tensor) -> Tensor:
        """Return squared errors as they are: each is of a column of its own."""
        return squares

    def target(self, x: Tensor) -> Tensor:
        """Return centred rows in the units of the score."""
        y = x / self.loss_scale
        return y + self.offset if self._has_offset else y

    def decode(self, raw: Tensor) -> Tensor:
        """Turn the decoder's output into rows in the caller's units."""
        return self._to_rows(self.likelihood.inverse_link(raw))

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return centred rows less their reconstruction, in the caller's units."""
        return x - self._to_centred(self.likelihood.inverse_link(raw))

    def _to_rows(self, y: Tensor) -> Tensor:
        return self._to_centred(y).add_(self.mean)

    def _to_centred(self, y: Tensor) -> Tensor:
        if self._has_offset:
            return (y - self.offset).mul_(self.output_unit)
        return y * self.output_unit

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score a batch of centred rows by the decoder's output."""
        return self.likelihood.loss(raw, self.target(x))

    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each of the centred rows by the decoder's output."""
        return self.likelihood.per_sample_loss(raw, self.target(x))

    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        return self.likelihood.loss_and_gradient(raw, self.target(x), unit)

    def check_loss(self, raw: Tensor, x: Tensor) -> None:
        """Refuse a loss of the user's own that cannot be trained on a batch."""
        self.likelihood.check(raw, self.target(x))

    def link(self, y: Tensor) -> Tensor:
        """Turn rows in the units of the score into what a decoder would give."""
        return self.likelihood.link(y)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        return self.likelihood.link_vjp(gradient, y)

    def log_likelihood(self, raw: Tensor, x: Tensor) -> Tensor:
        """Log density of centred rows in the caller's units, (n,) in nats."""
        log_likelihood = self.likelihood.log_likelihood(raw, self.target(x))
        if self.likelihood.is_continuous:
            log_likelihood = log_likelihood - torch.log(self.loss_scale).sum()
        return log_likelihood

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows in the caller's units, given the decoder's output."""
        return self._to_rows(self.likelihood.sample(raw, generator))

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the likelihood's own numbers from all training rows."""
        self.likelihood.fit_dispersion((raw, self.target(x)) for raw, x in outputs)

    def value_range(self) -> tuple[Tensor, Tensor]:
        """Return the least and greatest of the centred training rows."""
        return self.low, self.high

    def std(self) -> Tensor:
        """Return the standard deviation of each column on the training rows."""
        return self.spread

    def mask(self, x: Tensor, keep: Tensor) -> Tensor:
        """Return the mean of a column where `keep` is false."""
        return torch.where(keep, x, -self.from_mean) if self.as_given else x * keep
