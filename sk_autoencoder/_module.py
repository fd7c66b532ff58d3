"""The forward pass."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._protocols import Columns, Objective

__all__ = ["AutoEncoderModule"]


class AutoEncoderModule(nn.Module):
    """An encoder and a decoder between two faces of the columns.

    `forward` and `terms` serve training and take *centred* rows, `x - mean`, as
    the batches bring them. `encode`, `decode` and `reconstruct` take and give the
    caller's units, and are never random.

    **Shape**: rows (n, n_features); codes (n, n_components).

    Parameters
    ----------
    columns : Columns
    encoder, decoder : torch.nn.Module
    objective : Objective
    """

    generator: torch.Generator

    def __init__(
        self,
        *,
        columns: Columns,
        encoder: nn.Module,
        decoder: nn.Module,
        objective: Objective,
    ) -> None:
        super().__init__()
        self.columns = columns
        self.encoder = encoder
        self.decoder = decoder
        self.objective = objective
        self._drawing: list[Any] = [
            m for m in self.modules() if hasattr(m, "generator")
        ]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run centred rows (n, n_features) through, corrupted in training mode.

        Returns
        -------
        raw : Tensor of shape (n, n_outputs)
            The decoder's output, not yet rows.
        statistics : Tensor of shape (n, n_statistics)
            The encoder's output, not yet a code.
        """
        if self.training:
            inputs = self.objective.corrupt(x, self.columns, self.generator)
        else:
            inputs = self.columns.encode(x)
        statistics = self.encoder(inputs)
        code = self.objective.draw(statistics, self.generator)
        return self.decoder(code), statistics

    def terms(self, output: tuple[Tensor, Tensor], x: Tensor) -> dict[str, Tensor]:
        """Terms of the loss by name, each a mean over the rows."""
        raw, statistics = output
        reconstruction = self.columns.loss(raw, x)
        return {"reconstruction": reconstruction, **self.objective.terms(statistics)}

    def encode(self, x: Tensor) -> Tensor:
        """Turn rows into codes."""
        inputs = self.columns.encode(x - self.columns.mean)
        return self.objective.code(self.encoder(inputs))

    def decode(self, code: Tensor) -> Tensor:
        """Turn codes into rows."""
        return self.columns.decode(self.decoder(code))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode rows and decode the codes."""
        return self.decode(self.encode(x))

    def use_generator(self, generator: torch.Generator) -> None:
        """Draw all noise, dropout included, from this generator from now on."""
        self.generator = generator
        for part in self._drawing:
            part.generator = generator

    def n_weights(self) -> int:
        """Count the trainable numbers."""
        return sum(weight.numel() for weight in self.parameters())

    def in_float64(self) -> "AutoEncoderModule":
        """Copy the module in float64, statistics of the columns at full precision."""
        module = copy.deepcopy(self).double()
        module.columns.restore_precision()
        return module.eval()
