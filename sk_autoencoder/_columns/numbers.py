"""The numbers of a table: scored by squared error, or as a density."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns.groups import ColumnGroup, inverse
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._columns.numeric import SMALLEST_SHARE
from sk_autoencoder._columns.spread import PerColumnVariance, normal_like

__all__ = ["Numbers", "GaussianNumbers"]


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
    ) -> None:
        super().__init__(cells, weights, len(cells))
        self.as_given = given_scaling is not None
        if given_scaling is not None:
            units = np.array([column.to_network(given_scaling) for column in columns])
            self.write("to_network", units[:, 0])
            self.write("shift", units[:, 1])
        variances = np.array([column.variance for column in columns])
        # One unit for all, so that errors keep the proportions that scaling gave them.
        unit = math.sqrt(variances.mean())
        floored = np.maximum(np.sqrt(variances), SMALLEST_SHARE * unit)
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
        """Standardise, or give the units of the scaling; see `ColumnGroup`."""
        if self.as_given:
            return x.nan_to_num(0.0) * self.to_network + self.shift
        return self.centred(x)

    def centred(self, x: Tensor) -> Tensor:
        """Standardise."""
        return (x * self.input_weight).nan_to_num_(0.0)

    def set_residual_variance(self, left: np.ndarray) -> None:
        """Measure what is learnt in units of what PCA leaves."""
        told = self.sqrt_weights > 0
        if told.any():
            mean = float(np.mean(left[told] / self.sqrt_weights[told] ** 2))
            self.residual = math.sqrt(mean) if mean > 0 else 1.0

    def _errors(self, raw: Tensor, x: Tensor) -> Tensor:
        # Not nan_to_num: a loss that is no longer finite has to show.
        if self.as_given:
            return ((self.values(raw) - x) / self.unit).masked_fill(x.isnan(), 0.0)
        return (raw * self.residual - x / self.unit).masked_fill(x.isnan(), 0.0)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return squared errors, 1 in the mean for the mean row."""
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

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return negative log densities, 0 for missing cells."""
        squares, there = self._errors(raw, x).square(), ~x.isnan()
        self.follow(squares.detach().sum(dim=0) / there.sum(dim=0))
        return self._scores(squares, there, self.running)

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return negative log densities and their gradient."""
        errors, there = self._errors(raw, x), ~x.isnan()
        squares = errors.square()
        self.follow(squares.sum(dim=0) / there.sum(dim=0))
        slope = errors * (self.residual * self.weight / self.running)
        return self._scores(squares, there, self.running), slope

    def log_density(self, raw: Tensor, x: Tensor) -> Tensor:
        """Log density of each row's cells, (n,) in nats: without weights."""
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
