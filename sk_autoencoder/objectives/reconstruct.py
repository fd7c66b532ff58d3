"""The plain objective: reconstruct what came in."""

from dataclasses import dataclass
from typing import ClassVar

from sk_autoencoder._protocols import Objective

__all__ = ["Reconstruct"]


@dataclass(frozen=True)
class Reconstruct(Objective):
    """No noise, the encoder's output is the code, one term in the loss.

    References
    ----------
    Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with
    neural networks, Science 313.
    """

    network_noise: ClassVar[float] = 0.2
