"""PCA and what it leaves: an encoder and a decoder that start out as PCA.

    u  = y W' / std + g(inputs)
    y^ = (u * std) W + residual * h(u)

y are the rows in the units of their score, W the principal axes, g and h the networks.
Their last layers start at zero: before the first step the pair is PCA. W stays as it
is; what is learned is what PCA leaves.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.random import noise_like


class PCAResidualEncoder(Float64Buffers):
    """Principal scores of unit variance, and what a network adds.

    **Shape**: (n, n_inputs) to (n, n_components).

    Parameters
    ----------
    network : torch.nn.Module
        g; its last layer is set to zero.

    Attributes
    ----------
    noise : float
        Deviation of the normal noise on g's input in training, in units of `spread`: g
        then learns what holds beyond the training rows. The linear part sees the rows
        as they are.
    spread : Tensor of shape (n_inputs,) or None
        Of the inputs; None is 1 for all.
    """

    axes: Tensor
    spread: Tensor | None
    generator: torch.Generator | None = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = zero_last_layer(network)
        self.noise = 0.0
        self.register_buffer("spread", None)

    def set_axes(
        self, components: np.ndarray, std: np.ndarray, factor: np.ndarray
    ) -> None:
        """Set the linear part.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_features)
        std : ndarray of shape (n_components,)
            0 where the rank is exhausted: there only the network speaks.
        factor : ndarray of shape (n_inputs,)
            From inputs to the units of the score. Inputs beyond the features are for
            the network alone.
        """
        beyond = len(factor) - components.shape[1]
        components = np.pad(components, [(0, 0), (0, beyond)])
        inverse = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
        self.write("axes", (components * inverse[:, None] * factor).T.copy())

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode inputs (n, n_inputs)."""
        learned = self.network(self.seen(inputs))
        return exact_product(learned, inputs, self.axes)

    def linear(self, inputs: Tensor) -> Tensor:
        """Return the principal scores alone."""
        return inputs @ self.axes

    def seen(self, inputs: Tensor) -> Tensor:
        """Return what the network sees of inputs."""
        if not (self.training and self.noise):
            return inputs
        noise = noise_like(inputs, self.generator, "normal_")
        if self.spread is not None:
            noise.mul_(self.spread)
        return torch.add(inputs, noise, alpha=self.noise)


class PCAResidualPosterior(PCAResidualEncoder):
    """The posterior of probabilistic PCA, and what a network adds.

    **Shape**: (n, n_inputs) to (n, 2 n_components), means and log variances.

    References
    ----------
    Tipping and Bishop (1999), Probabilistic principal component analysis, JRSS B 61.
    """

    log_variance: Tensor

    def set_posterior(
        self,
        components: np.ndarray,
        std: np.ndarray,
        noise: float,
        factor: np.ndarray,
    ) -> np.ndarray:
        """Set the linear part; return the deviations of what the components explain.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_features)
        std : ndarray of shape (n_components,)
        noise : float
            Variance that is left in each feature, above 0.
        factor : ndarray of shape (n_inputs,)
            From inputs to the units of the score.
        """
        variances = np.square(std)
        explained = np.sqrt(np.maximum(variances - noise, 0.0))
        # Where there is nothing to explain the posterior is the prior.
        seen = np.where(explained > 0, variances, noise)
        with np.errstate(divide="ignore"):
            self.set_axes(
                components, np.where(explained > 0, seen / explained, 0.0), factor
            )
        axes = self.exact["axes"]
        self.write("axes", np.hstack([axes, np.zeros_like(axes)]))
        logs = np.log(noise / seen)
        self.write("log_variance", np.concatenate([np.zeros_like(logs), logs]))
        return explained

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode inputs (n, n_inputs)."""
        learned = self.network(self.seen(inputs)) + self.log_variance
        return exact_product(learned, inputs, self.axes)


class PCAResidualDecoder(Float64Buffers):
    """PCA's reconstruction, and what a network adds.

    **Shape**: (n, n_components) to (n, n_outputs).

    Parameters
    ----------
    network : torch.nn.Module
        h; its last layer is set to zero.
    link : callable
        From the units of the score to what the likelihood takes from a decoder.
    """

    axes: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, *, link: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = zero_last_layer(network)
        self.link = link
        self.residual = 1.0

    def set_axes(
        self,
        components: np.ndarray,
        std: np.ndarray,
        offset: np.ndarray,
        residual: float,
    ) -> None:
        """Set the linear part.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_outputs)
        std : ndarray of shape (n_components,)
        offset : ndarray of shape (n_outputs,)
            The mean row, in the units of the score.
        residual : float
            Unit of what the network adds.
        """
        self.write("axes", components * std[:, None])
        self.write("offset", offset)
        self.residual = residual

    def forward(self, code: Tensor) -> Tensor:
        """Decode codes (n, n_components) of unit variance."""
        return torch.add(self.linear(code), self.network(code), alpha=self.residual)

    def linear(self, code: Tensor) -> Tensor:
        """Return PCA's reconstruction from the first components (n, j), or from all."""
        axes = self.axes[: code.shape[1]]
        return self.link(exact_product(self.offset, code, axes))


def exact_product(start: Tensor, rows: Tensor, matrix: Tensor) -> Tensor:
    """Return start + rows matrix in the matrix's own precision, whatever is cast.

    Parameters
    ----------
    start : Tensor of shape (n_out,) or (n, n_out)
    rows : Tensor of shape (n, n_in)
    matrix : Tensor of shape (n_in, n_out)
    """
    if not torch.is_autocast_enabled(rows.device.type):
        return torch.addmm(start, rows, matrix)
    with torch.autocast(rows.device.type, enabled=False):
        return torch.addmm(start.to(matrix), rows.to(matrix), matrix)


def zero_last_layer(network: nn.Module) -> nn.Module:
    """Set the weights of a network's last layer to zero: it gives 0 for any input.

    A network may know better how to do that: then it has `give_zero`.
    """
    give_zero: Any = getattr(network, "give_zero", None)
    if give_zero is not None:
        give_zero()
        return network
    layers = [list(part.parameters(recurse=False)) for part in network.modules()]
    with torch.no_grad():
        for weight in [weights for weights in layers if weights][-1]:
            weight.zero_()
    return network
