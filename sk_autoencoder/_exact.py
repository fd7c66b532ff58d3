"""Buffers that are known more precisely than the dtype they are used in."""

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ExactBuffers"]


class ExactBuffers(nn.Module):
    """A module that remembers what its buffers were set to, in float64.

    Training and float32 rows use the rounded buffers; a float64 copy of the module
    gets the values themselves back.
    """

    _like: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.exact: dict[str, np.ndarray] = {}
        # Moves with the module: the dtype and the device of buffers made later.
        self.register_buffer("_like", torch.empty(0), persistent=False)

    def write(self, name: str, value: np.ndarray) -> None:
        """Set a buffer from a float64 array; made, or made anew, if it does not fit."""
        self.exact[name] = value
        buffer = self._buffers.get(name)
        rounded = torch.from_numpy(value)
        if buffer is None or buffer.shape != rounded.shape:
            self.register_buffer(name, rounded.to(self._like))
        else:
            buffer.copy_(rounded)

    def restore_precision(self) -> None:
        """Write every buffer again, after a change of dtype."""
        for name, value in self.exact.items():
            self.write(name, value)
