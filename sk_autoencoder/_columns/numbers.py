"""Columns of numbers: a matrix of them, or one group of the columns of a table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.base import ColumnGroup, inverse
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._columns.likelihoods import (
    LIKELIHOODS,
    BinaryCrossEntropy,
    Gaussian,
    Likelihood,
    LossFunction,
    MeasuredLoss,
    OwnLoss,
    PerColumnVariance,
    mean_square,
    normal_like,
)
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._protocols import Columns
from sk_autoencoder._utils.pca import RowsInUnits
from sk_autoencoder._utils.variance import unit_or_one

# A column whose standard deviation is below this fraction of the unit that its error is
# measured in is scaled up no further: a pixel that is hardly ever set would otherwise
# outweigh all others when it is. Which value it is matters far less than that there is
# one: docs/development/decisions/0004-nearly-constant-features.md.
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
        keeps_binary: bool = False,
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
        keeps_binary : bool
            Whether "standard" measures columns of two values in their range: one-hots
            and flags stay 0 and 1, however rare.
        """
        mean, spread = statistics.mean, statistics.spread
        if scaling == "minmax":
            return cls(statistics.low, unit_or_one(statistics.high - statistics.low))
        if unit_interval:
            return cls(np.zeros_like(mean), np.ones_like(mean))
        if scaling == "standard":
            if keeps_binary:
                is_binary = statistics.has_two_values
                spread = np.where(is_binary, statistics.high - statistics.low, spread)
            return cls(mean, unit_or_one(spread))
        if as_given:
            return cls(np.zeros_like(mean), np.ones_like(mean))
        unit = np.sqrt(np.mean(np.square(spread)))
        return cls(mean, unit_or_one(np.full_like(mean, unit)))


class NumericColumns(Columns):
    """Numeric columns under one likelihood.

    The network's input is standardized, whatever the scaling, so that training does
    not suffer from the units, but for columns that hardly vary (`SMALLEST_SHARE`) and
    for columns of two values that are kept; `numeric_scaling` decides in which units
    the error is measured.

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
    keeps_binary : bool
        Whether columns of two values keep their units; see `NumericScale.of`.
    """

    is_affine = True

    mean: Tensor
    from_mean: Tensor
    input_weight: Tensor
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
        keeps_binary: bool = False,
    ) -> None:
        super().__init__()
        self.scaling, self.keeps_binary = scaling, keeps_binary
        self.as_given = given_outputs is not None
        n_features = len(statistics.mean)
        kind = LIKELIHOODS[likelihood]
        self.likelihood: Likelihood
        if loss is not None:
            self.likelihood = OwnLoss(loss)
            self.is_own_loss = True
        elif issubclass(kind, Gaussian):
            self.likelihood = kind(n_features, statistics.n_rows)
        else:
            self.likelihood = kind()
        if given_outputs == "data" and isinstance(self.likelihood, BinaryCrossEntropy):
            self.likelihood.take_probabilities()
        self.is_squared_error = self.likelihood.is_squared_error
        self.has_gradient = self.likelihood.has_gradient
        self.n_inputs = self.n_outputs = n_features
        self.set_statistics(statistics)
        if self.as_given:
            # In the caller's units a variance may have any size.
            self.likelihood.start_from_values()

    def set_statistics(self, statistics: ColumnStatistics) -> None:
        """Write the statistics into the buffers, from float64, in their own dtype."""
        scale = NumericScale.of(
            self.scaling,
            statistics,
            unit_interval=self.likelihood.needs_unit_interval,
            as_given=self.as_given,
            keeps_binary=self.keeps_binary,
        )
        mean, spread = statistics.mean, statistics.spread
        constant = ~statistics.varies
        floored = np.maximum(spread, SMALLEST_SHARE * scale.unit)
        self.is_kept = np.zeros(len(mean), dtype=bool)
        if self.keeps_binary and self.scaling == "standard":
            self.is_kept, floored = statistics.has_two_values, scale.unit
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
        self.likelihood.set_value_variances(np.square(spread / scale.unit))
        if isinstance(self.likelihood, MeasuredLoss):
            # "none" is here one unit around the mean, to the user the columns' own.
            factor, shift = np.ones_like(mean), np.zeros_like(mean)
            if self.scaling == "none":
                factor, shift = scale.unit, scale.origin
            self.likelihood.set_units(factor, shift, spread / scale.unit * factor)

    def encode(self, x: Tensor) -> Tensor:
        """Standardize centered rows; a constant column gives 0."""
        return x * self.input_weight

    def mean_inputs(self) -> Tensor:
        """Return the inputs of the mean training sample, (n_inputs,)."""
        mean = -self.from_mean if self.as_given else torch.zeros_like(self.mean)
        return self.encode(mean)

    def set_variance(self, variance: float) -> None:
        """Start from one variance of the errors in all columns, in scaled units."""
        self.likelihood.set_variance(variance)

    def set_pca(
        self, explained: np.ndarray, residual_variance: float, pca_loss: float = 0.0
    ) -> float:
        """Return the unit of what PCA leaves; logits and probabilities have none."""
        return 1.0 if self.likelihood.needs_unit_interval else residual_variance**0.5

    def scored_rows(self, X: Any, mean: np.ndarray | None = None) -> RowsInUnits:
        """Return rows X in the units of the score; a constant column is 0."""
        weight = np.where(self.statistics.varies, 1 / self.scale.unit, 0.0)
        return RowsInUnits(X, self.statistics.mean if mean is None else mean, weight)

    def centered_targets(self, x: Tensor) -> Tensor:
        """Return rows less their mean, in the caller's units."""
        return x + self.from_mean if self.as_given else x

    def sum_by_column(self, squares: Tensor) -> Tensor:
        """Return squared errors as they are: each is of a column of its own."""
        return squares

    def target(self, x: Tensor) -> Tensor:
        """Return centered rows in the units of the score."""
        y = x / self.loss_scale
        return y + self.offset if self._has_offset else y

    def decode(self, raw: Tensor) -> Tensor:
        """Turn the decoder's output into rows in the caller's units."""
        return self._to_rows(self.likelihood.link.inverse(raw))

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return centered rows less their reconstruction, in the caller's units."""
        return x - self._to_centered(self.likelihood.link.inverse(raw))

    def _to_rows(self, y: Tensor) -> Tensor:
        return self._to_centered(y).add_(self.mean)

    def _to_centered(self, y: Tensor) -> Tensor:
        if self._has_offset:
            return (y - self.offset).mul_(self.output_unit)
        return y * self.output_unit

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score a batch of centered rows by the decoder's output."""
        return self.likelihood.loss(raw, self.target(x))

    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each of the centered rows by the decoder's output."""
        return self.likelihood.per_sample_loss(raw, self.target(x))

    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        if self.likelihood.is_squared_error and not self._has_offset:
            # In the memory of `raw`, because wide rows are many numbers.
            errors = raw.addcdiv_(x, self.loss_scale, value=-1)
            return mean_square(errors, unit)
        return self.likelihood.loss_and_gradient(raw, self.target(x), unit)

    def check_loss(self, raw: Tensor, x: Tensor) -> None:
        """Refuse a loss of the user's own that cannot be trained on a batch."""
        self.likelihood.check(raw, self.target(x))

    def link(self, y: Tensor) -> Tensor:
        """Turn rows in the units of the score into what a decoder would give."""
        return self.likelihood.link(y)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        return self.likelihood.link.vjp(gradient, y)

    def log_likelihood(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return log densities of centered rows in the caller's units, (n,) in nats."""
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

    def mask(self, x: Tensor, keep: Tensor) -> Tensor:
        """Return the mean of a column where `keep` is false."""
        return torch.where(keep, x, -self.from_mean) if self.as_given else x * keep


class Numbers(ColumnGroup):
    """Columns of numbers, scored by squared error.

    Parameters
    ----------
    cells, weights
        See `ColumnGroup`.
    columns : sequence of NumberColumn
    given_scaling : {"none", "standard", "minmax", "rank_gauss"} or None
        How the columns were scaled, where the network is trained as given: inputs and
        what the decoder gives are then in the units that this makes. None where inputs
        are standardized.
    keeps_units : bool
        Whether columns of two values, beside standardized ones, weigh as little as they
        vary.
    """

    input_weight: Tensor
    to_plain: Tensor
    to_network: Tensor
    shift: Tensor

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[NumberColumn],
        *,
        given_scaling: str | None = None,
        keeps_units: bool = False,
    ) -> None:
        super().__init__(cells, weights, len(cells))
        self.as_given = given_scaling is not None
        if given_scaling is not None:
            units = np.array([column.to_network(given_scaling) for column in columns])
            self.write("to_network", units[:, 0])
            self.write("shift", units[:, 1])
        variances = np.array([column.variance for column in columns])
        # One unit for all, so that errors keep the proportions that scaling gave them.
        is_binary = [column.is_binary for column in columns]
        unit = math.sqrt(variances.mean())
        if keeps_units and any(is_binary):
            unit = 1.0
        floored = np.maximum(np.sqrt(variances), SMALLEST_SHARE * unit)
        floored[is_binary] = 1.0
        self.unit = unit
        self.write("input_weight", 1 / floored)
        self._input_spread = np.sqrt(variances) / floored
        self.factor = floored / unit * self.sqrt_weights
        self._floored = floored
        self._units = np.array([column.unit for column in columns])
        self.write("to_plain", inverse(self.sqrt_weights))
        self.weight_units = np.ones(len(cells))
        self.residual = 1.0

    def input_spread(self) -> np.ndarray:
        """Return the standard deviations of the inputs in training, (d,)."""
        return self._input_spread

    def to_error_units(self, *, in_units: bool) -> np.ndarray:
        """Return what leads from inputs to the units of errors, (d,)."""
        return self._floored * self._units if in_units else self._floored / self.unit

    def inputs(self, x: Tensor) -> Tensor:
        """Standardize, or return the units of the scaling; see `ColumnGroup`."""
        if self.as_given:
            return x.nan_to_num(0.0) * self.to_network + self.shift
        return self.centered(x)

    def mean_inputs(self) -> Tensor:
        """Return what `inputs` is of cells that are 0, (d,)."""
        return self.shift if self.as_given else super().mean_inputs()

    def centered(self, x: Tensor) -> Tensor:
        """Standardize."""
        return (x * self.input_weight).nan_to_num_(0.0)

    def set_residual_variance(self, variances: np.ndarray) -> None:
        """Measure what is learned in units of what PCA leaves."""
        scored = self.sqrt_weights > 0
        if scored.any():
            mean = float(np.mean(variances[scored] / self.sqrt_weights[scored] ** 2))
            self.residual = float(unit_or_one(math.sqrt(mean)))

    def _errors(self, raw: Tensor, x: Tensor) -> Tensor:
        # Not nan_to_num: a loss that is no longer finite has to show.
        if self.as_given:
            return ((self.values(raw) - x) / self.unit).masked_fill(x.isnan(), 0.0)
        return (raw * self.residual - x / self.unit).masked_fill(x.isnan(), 0.0)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return squared errors, 1 on average for the mean row."""
        return self._errors(raw, x).square()

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return squared errors and their gradient."""
        errors = self._errors(raw, x)
        return errors.square(), errors * (2 * self.residual * self.weight)

    def link(self, y: Tensor) -> Tensor:
        """Take off the weight."""
        return y * (self.to_plain / self.residual)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Put the weight on."""
        return gradient * (self.to_plain / self.residual)

    def expected(self, raw: Tensor) -> Tensor:
        """Return the inputs of the reconstruction."""
        return self.values(raw) * self.input_weight

    def values(self, raw: Tensor) -> Tensor:
        """Return the reconstruction."""
        if self.as_given:
            return (raw - self.shift) / self.to_network
        return raw * (self.residual * self.unit)


class GaussianNumbers(PerColumnVariance, Numbers):
    """Numbers scored in nats, in the caller's units, a variance for each column.

    Parameters
    ----------
    cells, weights, columns
        See `Numbers`.
    n_rows : int
        In training.
    given_scaling
        See `Numbers`.
    """

    log_unit: Tensor

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[NumberColumn],
        n_rows: int,
        *,
        given_scaling: str | None = None,
    ) -> None:
        super().__init__(cells, weights, columns, given_scaling=given_scaling)
        self.write("log_unit", np.log(self._units * self.unit))
        self.make_variances(len(cells), n_rows)
        variances = np.array([column.variance for column in columns])
        self.set_value_variances(variances / self.unit**2)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return negative log densities, 0 for missing cells."""
        squares, there = self._errors(raw, x).square(), ~x.isnan()
        n_there = there.sum(dim=0)
        self.follow(squares.detach().sum(dim=0) / n_there, n_there)
        return self._scores(squares, there, self.running)

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return negative log densities and their gradient."""
        errors, there = self._errors(raw, x), ~x.isnan()
        squares = errors.square()
        n_there = there.sum(dim=0)
        self.follow(squares.sum(dim=0) / n_there, n_there)
        slope = errors * (self.residual * self.weight / self.running)
        return self._scores(squares, there, self.running), slope

    def log_density(self, raw: Tensor, x: Tensor) -> Tensor:
        """Compute each row's log density, (n,) in nats: without weights."""
        squares, there = self._errors(raw, x).square(), ~x.isnan()
        return -self._scores(squares, there, self.variance).sum(dim=1)

    def _scores(self, squares: Tensor, there: Tensor, variance: Tensor) -> Tensor:
        constant = 0.5 * torch.log(2 * math.pi * variance) + self.log_unit
        return (constant + 0.5 * squares / variance) * there

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from the normal density around the reconstruction."""
        noise = normal_like(raw, generator)
        return self.values(raw) + noise * (self.variance.sqrt() * self.unit)

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the variances to their maximum likelihood values on the training rows."""
        total = counts = torch.zeros_like(self.variance)
        for raw, x in outputs:
            total = total + self._errors(raw, x).square().sum(dim=0)
            counts = counts + (~x.isnan()).sum(dim=0)
        self.set_from_errors(total / counts)
