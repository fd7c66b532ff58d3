"""Ordered codes: an invertible network turns finished codes into others.

The whole code stays what it is, since it can be turned back; but its first components,
which may now bend, tell as much as so few numbers can.

References
----------
Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, ICLR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._model.latent_map import LatentMap, whitening_factors
from sk_autoencoder._model.pca_residual import zero_last_layer
from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.values import Range

# Deviations that what networks see of a component is less than. A sample farther out
# keeps what the linear part makes of it, beside what such a one would get.
BOUND = 4.0


@dataclass(frozen=True)
class Recoding:
    """The linear part of a recoding, which is found before the rest is trained.

    Codes are decorrelated and turned, so that the first j components explain as much as
    any j can in a linear way.

    Attributes
    ----------
    latent_map : LatentMap
        From the network's codes to these, which have unit variance.
    weights : ndarray of shape (k, k)
        From these to the principal scores, over their deviations, that follow linearly.
    scale : ndarray of shape (k,)
        Deviations of these in PCA's units over those of the principal scores.
    """

    latent_map: LatentMap
    weights: Annotated[np.ndarray, Range(shape="k k")]
    scale: Annotated[np.ndarray, Range(0, above=True, shape="k")]

    @classmethod
    def of(
        cls, mean: np.ndarray, covariance: np.ndarray, std: np.ndarray
    ) -> "Recoding":
        """Find the linear part for training samples.

        Parameters
        ----------
        mean : ndarray of shape (k,)
            Of the network's codes.
        covariance : ndarray of shape (k, 2 * k)
            Of these with themselves, and with the principal scores over their
            deviations.
        std : ndarray of shape (k,)
            These deviations, 0 where nothing varies.
        """
        k = len(mean)
        matrix, inverse = whitening_factors(covariance[:, :k])
        shared = matrix.T @ covariance[:, k:]
        turn, sizes, _ = np.linalg.svd(shared * std)
        weights = turn.T @ shared
        largest = np.abs(weights * std).argmax(axis=1)
        signs = np.where(weights[np.arange(len(std)), largest] < 0, -1.0, 1.0)
        turn, weights = turn * signs, weights * signs[:, None]
        latent_map = LatentMap(mean, matrix @ turn, turn.T @ inverse)
        is_there = (sizes > 0) & (std > 0)
        scale = np.divide(sizes, std, out=np.ones_like(std), where=is_there)
        return cls(latent_map, weights, scale)


class Recoder(Float64Buffers):
    """An invertible map of codes: a linear one, and affine couplings behind it.

    **Shape**: (n, k) to (n, k).

    Parameters
    ----------
    recoding : Recoding
    networks : sequence of torch.nn.Sequential
        One for each of the `blocks`: from the other components to the logarithm of the
        factors, before it is bounded, and the shifts. Their last layers are set to 0.
    """

    offset: Tensor
    matrix: Tensor
    inverse_matrix: Tensor

    def __init__(self, recoding: Recoding, networks: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.set_linear(recoding)
        places = blocks(len(recoding.scale))
        self.couplings = nn.ModuleList(
            _Coupling(network, *place)
            for network, place in zip(networks, places, strict=True)
        )

    def set_linear(self, recoding: Recoding) -> None:
        """Set the linear part."""
        self.write("offset", recoding.latent_map.offset)
        self.write("matrix", recoding.latent_map.matrix)
        self.write("inverse_matrix", recoding.latent_map.inverse)

    def forward(self, code: Tensor) -> Tensor:
        """Turn the network's codes into ordered ones."""
        code = (code - self.offset) @ self.matrix
        for coupling in self.couplings:
            code = coupling(code)
        return code

    def inverse(self, code: Tensor) -> Tensor:
        """Turn ordered codes back, in float64: float32 would lose two digits more."""
        found = code.double()
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, _Coupling)
            found = coupling.inverse(found)
        matrix = self.get_tensor("inverse_matrix", torch.float64)
        offset = self.get_tensor("offset", torch.float64)
        return (found @ matrix + offset).to(code)


def bounded(code: Tensor) -> Tensor:
    """Keep components of unit variance in bounds: what is far out is not learned."""
    return BOUND * (code / BOUND).tanh()


def blocks(k: int) -> list[tuple[int, int]]:
    """Return the components that couplings change: 1, 2, 3 to 4, 5 to 8, ..., 1.

    From the first of a pair up to the last, which is left out.
    """
    ends = [0, 1]
    while ends[-1] < k:
        ends.append(min(k, 2 * ends[-1]))
    found = list(pairwise(ends))
    return [*found, found[0]] if k > 2 else found


class _Coupling(nn.Module):
    """Scale and shift some components by what a network makes of all the others."""

    def __init__(self, network: nn.Sequential, first: int, last: int) -> None:
        super().__init__()
        zero_last_layer(network)
        self.network = network
        self.first, self.last = first, last

    def forward(self, code: Tensor) -> Tensor:
        """Change the components of codes (n, k)."""
        before, changed, behind = self._split(code)
        factor, shift = self._factor_and_shift(before, behind)
        return torch.cat([before, changed * factor + shift, behind], dim=1)

    def inverse(self, code: Tensor) -> Tensor:
        """Change them back."""
        before, changed, behind = self._split(code)
        factor, shift = self._factor_and_shift(before, behind)
        return torch.cat([before, (changed - shift) / factor, behind], dim=1)

    def _split(self, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, last = self.first, self.last
        return code[:, :first], code[:, first:last], code[:, last:]

    def _factor_and_shift(
        self, before: Tensor, behind: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute both in the dtype of the codes, whatever the weights have."""
        found = bounded(torch.cat([before, behind], dim=1))
        for layer in self.network:
            if isinstance(layer, nn.Linear):
                weight, bias = layer.weight.to(found), layer.bias.to(found)
                found = nn.functional.linear(found, weight, bias)
            else:
                found = layer(found)
        n_changed = self.last - self.first
        return found[:, :n_changed].tanh().exp(), found[:, n_changed:]
