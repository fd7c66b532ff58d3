"""The precision of a training step's products."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def products_in(
    precision: str, device: torch.device | str, *, cache: bool = True
) -> AbstractContextManager[Any]:
    """Compute products in a precision within a `with` block.

    Parameters
    ----------
    precision : {"float32", "bf16"}
        "float32" leaves everything as it is, TF32 to the caller's own setting.
    device : torch.device or str
    cache : bool
        Whether a weight is cast once a block; it cannot be in a recorded step.
    """
    if precision == "float32":
        return nullcontext()
    return _in_bfloat16(torch.device(device).type, cache=cache)


def at_least_float32(values: Tensor) -> Tensor:
    """Return what a network gives in float32, if its products were in bfloat16.

    Losses are sums of many numbers, and of squares: three digits are no precision.
    """
    return values.float() if values.dtype is torch.bfloat16 else values


@contextmanager
def _in_bfloat16(kind: str, *, cache: bool) -> Iterator[None]:
    """Cast weights anew in each block: the caller's autocast would keep them cast."""
    try:
        with torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=cache):
            yield
    finally:
        torch.clear_autocast_cache()
