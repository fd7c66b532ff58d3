"""The forward pass."""

from torch import Tensor, nn

from sk_autoencoder._model.latent_map import LatentMap, LatentMapLayer
from sk_autoencoder._protocols import Columns, Objective, TrainableModule

__all__ = ["AutoEncoderModule"]


class AutoEncoderModule(TrainableModule):
    """An encoder and a decoder between two faces of the columns.

    It takes *centred* rows, `x - mean`, as the batches bring them. `network_code` is
    never random. What users see of rows and codes is computed by `FastEncoder` in
    `_inference/fast.py`, which reads this module.

    **Shape**: rows (n, n_features); codes (n, n_components).

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
    prefixes : torch.nn.Module or None
        Decodes the first j components of codes, (n, j).
    kept : int or None
        How many components users see; None is all.
    shown : Tensor or None
        Positions of the components that are given out, of those that are needed to
        decode; None is all.
    """

    shown: Tensor | None

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
        self.prefixes: nn.Module | None = None
        self.kept: int | None = None
        self.register_buffer("shown", None, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run centred rows (n, n_features) through, corrupted in training mode.

        Returns
        -------
        raw : Tensor of shape (n, n_outputs)
            The decoder's output, not yet rows.
        encoder_output : Tensor of shape (n, n_encoder_outputs)
            The encoder's output, not yet a code.
        """
        if self.training:
            inputs = self.objective.corrupt(x, self.columns, self.generator)
            encoder_output = self.encoder(inputs)
        else:
            encoder_output = self.encoder_output(x)
        code = self.objective.rsample(encoder_output, self.generator)
        return self.decoder(code), encoder_output

    def loss_terms(self, output: tuple[Tensor, Tensor], x: Tensor) -> dict[str, Tensor]:
        """Terms of the loss by name, each a mean over the rows."""
        raw, encoder_output = output
        reconstruction = self.columns.loss(raw, x) / self.loss_unit
        return {
            "reconstruction": reconstruction,
            **self.objective.loss_terms(encoder_output),
        }

    def per_sample_loss(self, output: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        """Score each centred row, (n,), by what `forward` gives for it."""
        raw, encoder_output = output
        reconstruction = self.columns.per_sample_loss(raw, x) / self.loss_unit
        return reconstruction + self.objective.per_sample_terms(encoder_output)

    def network_code(self, x: Tensor) -> Tensor:
        """Turn centred rows into the network's own codes."""
        return self.objective.mode(self.encoder_output(x))

    def encoder_output(self, x: Tensor) -> Tensor:
        """Return the encoder's output for centred rows without noise."""
        return self.encoder(self.columns.encode(x))
