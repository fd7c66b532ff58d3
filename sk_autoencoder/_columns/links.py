"""Links: between rows in the units of the score and what a decoder puts out for them.

As the links of scikit-learn's losses, but on tensors, and with the gradient.
"""

import torch
from torch import Tensor

from sk_autoencoder._utils.torch_compat import logit_backward

# A reconstruction by PCA is linear and may leave [0, 1]. As a probability it is kept
# this far from both ends: logits of 4.6 at most, which a network can still correct.
LEAST_PROBABILITY = 1e-2


class Link:
    """The identity."""

    def __call__(self, y: Tensor) -> Tensor:
        """Return the output of a decoder that stands for rows y, where there is one."""
        return y

    def inverse(self, raw: Tensor) -> Tensor:
        """Return the rows that the output of a decoder stands for."""
        return raw

    def vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        return gradient


class ClippedLink(Link):
    """Probabilities as they are, but for those near 0 and 1."""

    def __call__(self, y: Tensor) -> Tensor:
        """Keep probabilities away from 0 and 1."""
        return y.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)


class LogitLink(ClippedLink):
    """Logits of probabilities that are kept away from 0 and 1."""

    def __call__(self, y: Tensor) -> Tensor:
        """Return logits."""
        return torch.logit(super().__call__(y))

    def inverse(self, raw: Tensor) -> Tensor:
        """Return probabilities."""
        return torch.sigmoid(raw)

    def vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y: 0 at the ends, where the link is flat."""
        low, high = LEAST_PROBABILITY, 1 - LEAST_PROBABILITY
        inside = torch.where((y >= low) & (y <= high), gradient, 0.0)
        return logit_backward(inside, y.clamp(low, high))
