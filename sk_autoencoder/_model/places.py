"""Networks that need each cell in its place, beside columns that leave some out.

A column that does not vary is no part of what a table's columns score, and a series
with a step left out would be another one. So what is left out is put back as 0 before
the network, and taken out of what it gives.
"""

import torch
from torch import Tensor, nn

from sk_autoencoder._model.pca_residual import zero_last_layer

__all__ = ["FromPlaces", "InPlaces"]


class InPlaces(nn.Module):
    """An encoder that is given a row with all of its cells.

    **Shape**: (n, n_scored), and marks (n, n_marked) of missing cells behind it, to
    whatever the network gives for (n, n_features) and marks of all of them.

    Parameters
    ----------
    network : torch.nn.Module
    places : Tensor of shape (n_scored,)
        Of the scored cells in a row.
    n_features : int
    marked : Tensor of shape (n_marked,)
        Of the cells that have a mark; others are always missing. Without any, no cell
        may be missing.
    empty : Tensor of shape (n_features,) or None
        What stands in the cells that are not scored; None is 0.
    """

    places: Tensor
    marked: Tensor
    empty: Tensor

    def __init__(
        self,
        network: nn.Module,
        places: Tensor,
        n_features: int,
        marked: Tensor,
        empty: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.n_features = n_features
        self.register_buffer("places", places.clone(), persistent=False)
        self.register_buffer("marked", marked.clone(), persistent=False)
        empty = torch.zeros(n_features) if empty is None else empty.float()
        self.register_buffer("empty", empty, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode inputs."""
        n_scored = len(self.places)
        row = self.empty.expand(inputs.shape[0], -1).contiguous()
        row = row.index_copy(1, self.places, inputs[:, :n_scored])
        marks = inputs[:, n_scored:]
        if 0 < len(self.marked) < self.n_features:
            every = marks.new_ones((len(marks), self.n_features))
            marks = every.index_copy(1, self.marked, marks)
        return self.network(torch.cat([row, marks], dim=1))


class FromPlaces(nn.Module):
    """A decoder of which the scored cells are taken.

    **Shape**: (n, n_components) to (n, n_scored).

    Parameters
    ----------
    network : torch.nn.Module
        To (n, n_features).
    places : Tensor of shape (n_scored,)
        Of the scored cells in a row.
    """

    places: Tensor

    def __init__(self, network: nn.Module, places: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("places", places.clone(), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Decode codes."""
        return self.network(code).index_select(1, self.places)

    def give_zero(self) -> None:
        """Have the decoder give zero until it is trained."""
        zero_last_layer(self.network)
