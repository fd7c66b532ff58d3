"""Modules without memory: names, shapes and dtypes of what would be there."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# What networks make their weights and buffers by. Others, such as `torch.arange`, are
# left alone: their values may be needed, and are no larger than a row of data.
MAKERS = frozenset(
    {
        torch.empty,
        torch.empty_like,
        torch.full,
        torch.ones,
        torch.rand,
        torch.randn,
        torch.zeros,
    }
)
# Numbers of a tensor that has values all the same: some tens of megabytes.
MOST_TRIED = 10_000_000


class Skeleton(TorchFunctionMode):
    """Inside it tensors are made on the meta device, where they take no memory.

    Parameters
    ----------
    most : int
        Tensors to be made at most: a network of many layers takes time, though no
        memory.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        kwargs = dict(kwargs or {})
        if func in MAKERS:
            self._left -= 1
            if self._left < 0:
                raise ValueError("a network of more layers than there are arrays")
            if func is torch.full and kwargs.get("device") is not None:
                _refuse_large(args)
            else:
                kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _refuse_large(args: tuple[Any, ...]) -> None:
    """Refuse a tensor that is to have values, if it has very many.

    Activations of a user's own are tried on one: their weights are there.
    """
    if math.prod(args[0]) > MOST_TRIED:
        raise ValueError(f"a layer of {args[0]} numbers")
