"""torch tensors in and out, where scikit-learn's array API dispatch is on.

The library computes on arrays. A tensor on the CPU is one, in the same memory; one on
another device stays there where only numbers have to be computed.
"""

from typing import Any, TypeGuard

import numpy as np
import torch
from sklearn import get_config
from torch import Tensor

ARRAY_FLOATS = (torch.float16, torch.float32, torch.float64)


def is_dispatched(X: Any) -> TypeGuard[Tensor]:
    """Whether X is a tensor for which a tensor is to be returned."""
    return isinstance(X, Tensor) and bool(get_config()["array_api_dispatch"])


def stays_on_device(X: Any) -> TypeGuard[Tensor]:
    """Whether X is such a tensor, of plain numbers, and not on the CPU."""
    return (
        is_dispatched(X)
        and X.device.type != "cpu"
        and X.layout == torch.strided
        and not X.is_complex()
    )


def as_array(X: Any, *, keeps_device: bool = False) -> Any:
    """Return a tensor as an array, of its own memory if it is on the CPU.

    Parameters
    ----------
    X : Any
        What is not dispatched is given back as it is.
    keeps_device : bool
        Whether a tensor that may stay on its device is given back, too.

    Raises
    ------
    TypeError
        If the tensor is sparse.
    """
    if not is_dispatched(X) or (keeps_device and stays_on_device(X)):
        return X
    if X.layout != torch.strided:
        raise TypeError(
            f"expected a dense tensor, got X of layout={X.layout}. Pass X.to_dense(), "
            "or a sparse matrix of scipy."
        )
    if X.is_floating_point() and X.dtype not in ARRAY_FLOATS:
        X = X.double()  # numpy has no bfloat16
    return X.numpy(force=True)


def as_tensor(rows: Any, device: torch.device) -> Any:
    """Return an array of numbers as a tensor on a device; anything else as it is."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "fiub":
        return torch.from_numpy(rows).to(device)
    return rows
