"""The forward pass: in training, and from a user's samples to codes and back."""

from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._model.latent_map import LatentMap, LatentMapLayer
from sk_autoencoder._protocols import Columns, Objective, TrainableModule
from sk_autoencoder._utils.precision import at_least_float32
from sk_autoencoder._utils.random import own_rows


class AutoEncoderModule(TrainableModule):
    """An encoder and a decoder between two faces of the columns.

    `encode` and `decode` are what `transform` and `inverse_transform` mean: they take
    samples X and codes Z as users see them, in the module's dtype. All else takes
    *centered* samples x = X - mean, as the batches bring them. Only `forward` is ever
    random.

    **Shape**: samples (n, n_features); codes (n, n_components).

    Parameters
    ----------
    columns : Columns
    encoder, decoder : torch.nn.Module
    objective : Objective
    latent_map : LatentMap or None
        From the encoder's codes to the users'.

    Attributes
    ----------
    loss_unit : float
        What the reconstruction's loss is divided by.
    recoder : torch.nn.Module or None
        Turns the encoder's codes into ordered ones; `inverse` turns them back.
    prefixes : torch.nn.Module or None
        Decodes the first j components of codes, (n, j).
    n_kept : int or None
        How many components users see; None is all.
    output_index : Tensor or None
        Positions of the components that are given out, of those that are needed to
        decode; None is all.
    passed : torch.nn.Module or None
        Turns samples into columns that are appended after the code, by (X, columns);
        the code then has at most as many numbers as `latent_map` makes.
    """

    columns: Columns
    output_index: Tensor | None
    passed: nn.Module | None

    def __init__(
        self,
        *,
        columns: Columns,
        encoder: nn.Module,
        decoder: nn.Module,
        objective: Objective,
        latent_map: LatentMap | None = None,
    ) -> None:
        super().__init__()
        self.columns = columns
        self.encoder = encoder
        self.decoder = decoder
        self.objective = objective
        self.latent_map = LatentMapLayer(latent_map)
        self.loss_unit = 1.0
        self.recoder: Any = None
        self.prefixes: nn.Module | None = None
        self.n_kept: int | None = None
        self.passed = None
        self.register_buffer("output_index", None, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows (n, n_features) through, corrupted in training mode.

        Returns
        -------
        raw : Tensor of shape (n, n_outputs)
            The decoder's output, not yet rows.
        encoder_output : Tensor of shape (n, n_encoder_outputs)
            The encoder's output, not yet a code.
        """
        if self.training:
            inputs = self.objective.corrupt(x, self.columns, self.generator)
            inputs = own_rows(inputs, self.generator)
        else:
            inputs = self.columns.encode(x)
        return self._output(inputs)

    def validation_output(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows through, corrupted if the objective is to repair them."""
        return self._output(
            self.objective.validation_inputs(x, self.columns, self.generator)
        )

    def _output(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        encoder_output = at_least_float32(self.encoder(inputs))
        code = self.objective.rsample(encoder_output, self.generator)
        return at_least_float32(self.decoder(code)), encoder_output

    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Terms of the loss by name, each a mean over the rows."""
        raw, encoder_output = output
        reconstruction = self.columns.loss(raw, x) / self.loss_unit
        return {
            "reconstruction": reconstruction,
            **self.objective.loss_terms(encoder_output),
        }

    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each centered row, (n,), by what `forward` gives for it."""
        raw, encoder_output = output
        reconstruction = self.columns.per_sample_loss(raw, x) / self.loss_unit
        return reconstruction + self.objective.per_sample_terms(encoder_output)

    def encode(self, X: Tensor) -> Tensor:
        """Turn samples into the codes that users see: what `transform` means."""
        code = self.code(X - self.columns.mean)
        if self.passed is not None:
            return torch.cat([code, self.passed(X, self.columns)], dim=1)
        return code if self.output_index is None else code[:, self.output_index]

    def decode(self, Z: Tensor) -> Tensor:
        """Turn codes into samples: what `inverse_transform` means."""
        if self.passed is not None:
            Z = Z[:, : self.latent_map.inverse.shape[0]]
        return self.columns.decode(self.decoder_output(Z))

    def reconstruct(self, X: Tensor) -> Tensor:
        """Encode samples and decode all components of their codes."""
        return self.columns.decode(self._reconstructed(X - self.columns.mean))

    def errors(self, X: Tensor) -> Tensor:
        """Return samples less their reconstruction: see `Columns.errors`."""
        x = X - self.columns.mean
        return self.columns.errors(self._reconstructed(x), x)

    def _reconstructed(self, x: Tensor) -> Tensor:
        """Run the decoder on the codes of centered samples."""
        if self.recoder is None or self.n_kept is not None:
            return self.decoder_output(self.code(x))
        return self.decoder(self.plain_code(x))  # not there and back

    def targets(self, X: Tensor) -> Tensor:
        """Return samples less their mean, in the units of `errors`."""
        return self.columns.centered_targets(X - self.columns.mean)

    def code(self, x: Tensor) -> Tensor:
        """Turn centered samples into the components that are needed to decode them."""
        return self.latent_map.to_users(self.network_code(x))[:, : self.n_kept]

    def decoder_output(self, Z: Tensor) -> Tensor:
        """Run the decoder on codes, or on the first components of ordered ones."""
        return self.raw(self.latent_map.to_network(Z))

    def raw(self, code: Tensor) -> Tensor:
        """Run the decoder on network codes, or on the first components, (n, j)."""
        if self.prefixes is not None and code.shape[1] < self.latent_map.width:
            return self.prefixes(code)
        return self.decoder(
            code if self.recoder is None else self.recoder.inverse(code)
        )

    def network_code(self, x: Tensor) -> Tensor:
        """Turn centered rows into the network's own codes, ordered where they are."""
        return self.recoded(self.plain_code(x))

    def recoded(self, code: Tensor) -> Tensor:
        """Put the encoder's codes in order, where that is learned."""
        return code if self.recoder is None else self.recoder(code)

    def plain_code(self, x: Tensor) -> Tensor:
        """Turn centered rows into the encoder's codes."""
        return self.objective.mode(self.encoder_output(x))

    def encoder_output(self, x: Tensor) -> Tensor:
        """Return the encoder's output for centered rows without noise."""
        return self.encoder(self.columns.encode(x))
