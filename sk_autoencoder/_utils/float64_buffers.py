"""Buffers that are known more precisely than the dtype they are used in."""

import copy
from collections import OrderedDict
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Float64Buffers(nn.Module):
    """A module that remembers what its buffers were set to, in float64.

    Training and float32 rows use the rounded buffers, float64 rows the values
    themselves.
    """

    _like: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.exact: dict[str, np.ndarray] = {}
        # Moves with the module: the dtype and the device of buffers made later.
        like = torch.empty(0, dtype=torch.float32)
        self.register_buffer("_like", like, persistent=False)

    def write(self, name: str, value: np.ndarray) -> None:
        """Set a buffer from a float64 array; made, or made anew, if it does not fit."""
        # A copy: what torch is given must be in C order and not read-only.
        exact = np.array(value, dtype=np.float64, order="C")
        buffer: Tensor | None = getattr(self, name, None)
        rounded = torch.from_numpy(exact)
        if buffer is None or buffer.shape != rounded.shape:
            self.register_buffer(name, rounded.to(self._like))
        else:
            buffer.copy_(rounded)
        # Last: an interrupt in between leaves a buffer that is used as it is.
        self.exact[name] = exact

    def get_tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Return a buffer in a dtype, as precisely as it is known."""
        buffer = self._buffer(name)
        if buffer.dtype == dtype:
            return buffer
        exact = torch.from_numpy(self.get_array(name, np.dtype(np.float64)))
        return exact.to(buffer.device, dtype)

    def _buffer(self, name: str) -> Tensor:
        # Not getattr, which looks elsewhere first: for a single row that takes as long
        # as a layer. torch 2.4 to 2.13 keep buffers here.
        buffer = self._buffers[name]
        assert buffer is not None
        return buffer

    def get_array(self, name: str, dtype: np.dtype) -> np.ndarray:
        """Return a buffer as an array likewise; not to be written to.

        One that was changed since by other means, such as `load_state_dict`, counts as
        it is.
        """
        buffer = self._buffer(name)
        array = buffer.numpy() if buffer.device.type == "cpu" else buffer.cpu().numpy()
        if array.dtype == dtype:
            return array
        exact = self.exact.get(name)
        if exact is not None and exact.shape == array.shape:
            same = exact.astype(array.dtype) == array
            array = exact if same.all() else array
        return array.astype(dtype, copy=False)


def exact_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return what buffers were set to, by their names in the state of a module.

    Parameters
    ----------
    module : torch.nn.Module
    """
    return {
        f"{path}.{name}" if path else name: array
        for path, part in module.named_modules()
        if isinstance(part, Float64Buffers)
        for name, array in part.exact.items()
    }


def in_dtype(module: M, dtype: torch.dtype) -> M:
    """Return a module in a dtype: itself, or a copy as precise as it can be.

    Parameters
    ----------
    module : torch.nn.Module
    dtype : torch.dtype
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(t.dtype == dtype for t in tensors if t.is_floating_point()):
        return module
    # A copy that is made in inference mode could not change its dtype.
    with torch.inference_mode(False), torch.no_grad():
        # Last by torch, what a user's module has in place of plain parameters.
        copied = copy.deepcopy(module, _converted(module, dtype)).to(dtype)
        for part, source in zip(copied.modules(), module.modules(), strict=True):
            if isinstance(part, Float64Buffers) and isinstance(source, Float64Buffers):
                for name in part.exact:
                    setattr(part, name, source.get_tensor(name, dtype).clone())
    return copied


def _converted(module: nn.Module, dtype: torch.dtype) -> dict[int, Any]:
    """Return what a copy in a dtype has in place of an object, by the object's id.

    To copy each as it is, a dozen empty tables of hooks in each part among them, and to
    convert the copies takes twice as long.
    """
    made: dict[int, Any] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if type(parameter) is nn.Parameter and parameter.is_floating_point():
                data = parameter.detach().to(dtype, copy=True)
                made[id(parameter)] = nn.Parameter(data, parameter.requires_grad)
        for buffer in part.buffers(recurse=False):
            if type(buffer) is Tensor and buffer.is_floating_point():
                made[id(buffer)] = buffer.to(dtype, copy=True)
        if isinstance(part, Float64Buffers):  # whose arrays are never written to
            made |= {id(array): array for array in part.exact.values()}
        for value in vars(part).values():
            if type(value) is OrderedDict and not value:
                made[id(value)] = OrderedDict()
    return made
