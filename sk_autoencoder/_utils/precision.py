"""The precision of a training step's products."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


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
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=cache)
