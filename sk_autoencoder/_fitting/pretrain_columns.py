"""The outputs of a hidden layer as columns of numbers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_autoencoder._columns import ColumnStatistics, NumericColumns
from sk_autoencoder._utils.activations import activation_of


class LayerColumns(NumericColumns):
    """Outputs of a hidden layer, reconstructed through that layer's own activation.

    The layer above sees them as they are, as it will in the whole network. Their error
    is squared, in units of their mean variance: a row of means scores 1.

    **Shape**: (n, n_units) everywhere.

    Parameters
    ----------
    statistics : ColumnStatistics
        Of the outputs on the training rows.
    activation : torch.nn.Module
        From what a decoder gives to outputs.
    """

    is_affine = False

    def __init__(self, statistics: ColumnStatistics, activation: nn.Module) -> None:
        super().__init__(
            scaling="none", likelihood="squared_error", statistics=statistics
        )
        self.activation = activation
        row = activation_of(activation)
        self.has_gradient = row is not None and row.backward is not None
        # One number: all units count in the same.
        self._variance = float(self.scale.unit[0] ** 2)

    def encode(self, x: Tensor) -> Tensor:
        """Return centered outputs as the layer above sees them."""
        return x + self.mean

    def decode(self, raw: Tensor) -> Tensor:
        """Turn what a decoder gives into outputs."""
        outputs: Tensor = self.activation(raw)
        return outputs

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return outputs less their reconstruction."""
        return self.encode(x) - self.decode(raw)

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score a batch of centered outputs by what a decoder gives."""
        return F.mse_loss(self.decode(raw), self.encode(x)) / self._variance

    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each of the centered outputs of a layer, (n,)."""
        return self.errors(raw, x).square().mean(dim=1) / self._variance

    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score a batch, and give the gradient by `raw`, both divided by `unit`."""
        weight = 1 / (raw.numel() * self._variance * unit)
        row: Any = activation_of(self.activation)
        outputs = raw
        if row.out is None:
            row.in_place(raw)
        else:
            outputs = torch.empty_like(raw)
            row.out(raw, outputs)
        error = outputs - self.encode(x)
        loss = torch.dot(error.view(-1), error.view(-1)).item() * weight
        row.backward(error, raw)
        return loss, error.mul_(2 * weight)
