"""Functions of rows, chunk by chunk, into one result."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._module import AutoEncoderModule
from sk_autoencoder._rows import dense_rows
from sk_autoencoder._threads import threads_for

__all__ = ["apply_to_rows"]

# Rows in a chunk: the activations of a usual network then stay in the cache.
CHUNK_ROWS = 1024


def apply_to_rows(
    function: Callable[[AutoEncoderModule, Tensor], Tensor],
    module: AutoEncoderModule,
    X: Any,
) -> np.ndarray:
    """Apply a function of the module to rows, in the dtype of the rows.

    Parameters
    ----------
    function : callable (module, Tensor) -> Tensor
        Takes a chunk of rows; gives a tensor of as many.
    module : AutoEncoderModule
        In evaluation mode. float64 rows get a float64 copy of it: float32 would
        round a row differently with the rows beside it.
    X : ndarray or CSR matrix of shape (n_samples, n_columns)
        float32 or float64.

    Returns
    -------
    result : ndarray of shape (n_samples, ...), of X's dtype
    """
    if X.dtype == np.float64:
        module = module.in_float64()
    device = module.columns.mean.device
    n_rows = X.shape[0]
    result: np.ndarray | None = None
    work = float(min(n_rows, CHUNK_ROWS)) * module.n_weights()
    with torch.inference_mode(), threads_for(work):
        for start in range(0, n_rows, CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            # A copy, in C order: the caller's array may be read-only, and rows in
            # another order would be rounded differently.
            chunk = torch.from_numpy(np.array(dense_rows(X, rows), order="C"))
            part = function(module, chunk.to(device)).cpu().numpy()
            if result is None:
                result = np.empty((n_rows, *part.shape[1:]), dtype=X.dtype)
            result[rows] = part
    assert result is not None
    return result
