"""Ordered codes: samples from the first j components alone, for every j.

The network is trained as ever, and stays as it is. A recoder then turns its codes into
others, whose prefixes a second decoder reconstructs samples from. It is told how long a
prefix is, and starts at what follows linearly.

References
----------
Rippel, Gelbart and Adams (2014), Learning ordered representations with nested dropout,
ICML.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.pca_residual import exact_product, zero_last_layer
from sk_autoencoder._model.recoder import bounded
from sk_autoencoder._protocols import Columns, Objective, TrainableModule
from sk_autoencoder._utils.float64_buffers import Float64Buffers

# NOTE[DIFF] Nested dropout trains encoder and decoder on prefixes at once. Here both
# are left alone, and a recoder can be undone: the whole code reconstructs what it did.


class NestedDecoder(Float64Buffers):
    """Samples from prefixes of codes.

    **Shape**: codes (n, j) for any j up to n_components, to (n, n_outputs).

    Parameters
    ----------
    network : torch.nn.Module
        From (n, 2 * n_components), a code with zeros behind the prefix and a mask of
        ones over it, to (n, n_outputs). Its last layer is set to zero.
    link : callable
        From the units of the score to what the likelihood takes from a decoder.
    n_components : int
    is_recoded : bool
        Whether codes are a recoder's; 0.1.0 had none.

    Attributes
    ----------
    gate : Tensor of shape (n_components,)
        Whether the network is heard for prefixes of length 1, 2, and so on: 1 or 0.
    """

    axes: Tensor
    offset: Tensor
    units: Tensor
    gate: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        link: Callable[[Tensor], Tensor],
        n_components: int,
        is_recoded: bool = True,
    ) -> None:
        super().__init__()
        self.is_recoded = is_recoded
        self.network = zero_last_layer(network)
        self.link = link
        self.register_buffer("gate", torch.ones(n_components, dtype=torch.float32))

    def set_axes(self, axes: np.ndarray, offset: np.ndarray, units: np.ndarray) -> None:
        """Set the linear part.

        Parameters
        ----------
        axes : ndarray of shape (n_components, n_outputs)
        offset : ndarray of shape (n_outputs,)
        units : ndarray of shape (n_components,)
            Of what the network adds to prefixes of length 1, 2, and so on.
        """
        self.write("axes", axes)
        self.write("offset", offset)
        self.write("units", units)

    def forward(self, code: Tensor) -> Tensor:
        """Decode the first components (n, j) of codes."""
        j = code.shape[1]
        if not self.gate[j - 1]:
            return self.linear(code)
        lengths = torch.full((len(code),), j, device=code.device)
        return self.decode(nn.functional.pad(code, (0, len(self.axes) - j)), lengths)

    def linear(self, code: Tensor) -> Tensor:
        """Decode the first components (n, j) of codes by the linear part."""
        axes = self.axes[: code.shape[1]]
        return self.link(exact_product(self.offset, code, axes))

    def decode(self, code: Tensor, lengths: Tensor) -> Tensor:
        """Decode a prefix of each code (n, n_components), of lengths (n,) from 1."""
        positions = torch.arange(code.shape[1], device=code.device)
        mask = (positions < lengths.unsqueeze(1)).to(code)
        prefix = code * mask
        seen = bounded(prefix) if self.is_recoded else prefix
        learned = self.network(torch.cat([seen, mask], dim=1))
        return self.linear(prefix) + learned * self.units[lengths - 1].unsqueeze(1)


class NestedModule(TrainableModule):
    """Training of a recoder and a decoder of prefixes on a trained module's codes.

    It stands where an `AutoEncoderModule` stands to the net. Each sample is
    reconstructed from a prefix of random length, and its error is divided by what the
    linear part leaves on average: long prefixes count as much as short ones.

    Parameters
    ----------
    trained : AutoEncoderModule
        In evaluation mode; not changed, and no part of this module but for its recoder.
    decoder : NestedDecoder
    """

    columns: Columns

    def __init__(self, trained: AutoEncoderModule, decoder: NestedDecoder) -> None:
        super().__init__()
        # In a tuple and in `__dict__` they are no parts of this module.
        self._trained = (trained,)
        self.__dict__["columns"] = trained.columns
        self.recoder = trained.recoder
        self.decoder = decoder
        self.objective = Objective()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run centered rows through; return raw rows and the prefixes' lengths."""
        code, lengths = self.draw(x)
        return self.decoder.decode(self._trained[0].recoded(code), lengths), lengths

    def draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the trained module's codes of centered rows, and random lengths."""
        trained = self._trained[0]
        objective, columns = trained.objective, trained.columns
        prepare = objective.corrupt if self.training else objective.validation_inputs
        with torch.no_grad():
            inputs = prepare(x, columns, self.generator)
            code = objective.mode(trained.encoder(inputs))
        return code, self._lengths(len(code), code.shape[1]).to(code.device)

    def _lengths(self, n: int, k: int) -> Tensor:
        """Draw lengths from 1 up to less than k, half of them of equal logarithms."""
        generator = self.generator
        draws = torch.rand(
            (2, n), generator=generator, device=generator.device, dtype=torch.float32
        )
        even, short = draws[0] * (k - 1) + 1, k ** draws[0]
        lengths = torch.where(draws[1] < 0.5, even, short).long()
        return lengths.clamp(max=k - 1)  # where rounding reaches k

    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Return the one term of the loss, a mean over the rows."""
        return {"reconstruction": self.per_sample_loss(output, x).mean()}

    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each centered row, (n,), by what `forward` gives for it."""
        raw, lengths = output
        losses = self.columns.per_sample_loss(raw, x)
        return losses / self.decoder.units[lengths - 1].square()

    def n_weights(self) -> int:
        """Count the numbers that a row is multiplied by."""
        return super().n_weights() + self._trained[0].n_weights()
