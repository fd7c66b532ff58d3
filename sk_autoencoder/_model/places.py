"""Networks that need all features, beside columns that leave constant ones out.

A column that does not vary is no part of what a table's columns score, but a series
with a step left out would be another one. So it is put back before the network, and
taken out of its output.
"""

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._model.pca_residual import zero_last_layer


class ScatterInput(nn.Module):
    """An encoder that is given rows with all of their features.

    **Shape**: (n, n_scored), and masks (n, n_masks) of missing cells behind it, to
    whatever the network gives for (n, n_features) and masks of all of them.

    Parameters
    ----------
    network : torch.nn.Module
    index : Tensor of shape (n_scored,)
        The feature that each input belongs to.
    masked : Tensor of shape (n_masks,) or None
        Features that have a mask; others are always missing. Without masks no cell may
        be missing.
    constants : ndarray of shape (n_features,)
        What stands in the features that are not scored.
    """

    index: Tensor
    masked: Tensor | None
    constants: Tensor

    def __init__(
        self,
        network: nn.Module,
        index: Tensor,
        masked: Tensor | None,
        constants: np.ndarray,
    ) -> None:
        super().__init__()
        self.network = network
        self.n_features = len(constants)
        buffers = {
            "index": index.cpu().clone(),
            "masked": None if masked is None else masked.cpu().clone(),
            "constants": torch.from_numpy(constants).float(),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode inputs."""
        n_scored = len(self.index)
        row = self.constants.expand(inputs.shape[0], -1).contiguous()
        row = row.index_copy(1, self.index, inputs[:, :n_scored])
        if self.masked is None:
            return self.network(row)
        masks = inputs.new_ones((len(inputs), self.n_features))
        masks = masks.index_copy(1, self.masked, inputs[:, n_scored:])
        return self.network(torch.cat([row, masks], dim=1))


class GatherOutput(nn.Module):
    """A decoder of which the scored features are taken.

    **Shape**: (n, n_components) to (n, n_scored).

    Parameters
    ----------
    network : torch.nn.Module
        To (n, n_features).
    index : Tensor of shape (n_scored,)
        The feature that each output belongs to.
    """

    index: Tensor

    def __init__(self, network: nn.Module, index: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("index", index.cpu().clone(), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Decode codes."""
        return self.network(code).index_select(1, self.index)

    def give_zero(self) -> None:
        """Make the decoder give zero until it is trained."""
        zero_last_layer(self.network)
