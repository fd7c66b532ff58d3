"""Functions of rows, chunk by chunk, into one result.

Beside the rows and the result there is memory for one chunk, and for what the network
makes of it.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._inference.fast import FastEncoder
from sk_autoencoder._inference.fast_few import (
    FEW_ROWS,
    Unsupported,
    numpy_decode,
    numpy_encode,
    numpy_reconstruct,
)
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.chunks import dense_rows
from sk_autoencoder._utils.threads import ONE_THREAD_BELOW, own_threads, threads_for
from sk_autoencoder._utils.torch_compat import torch_defaults

__all__ = ["CHUNK_ROWS", "apply_to_rows", "dtype_in_use", "sum_over_rows"]

# float32 rows in a chunk, for each thread, and half as many float64 rows: what a usual
# network makes of them stays in the cache (`python -m benchmarks.speed.transform
# --chunks` compares sizes, in a loop by hand).
CHUNK_ROWS = 1024

TORCH_DTYPES = {
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float64,
}

Function = Callable[[FastEncoder, Tensor, Tensor | None], Tensor]
Check = Callable[[np.ndarray], object] | None

OF_FEW: dict[Function, Callable[[AutoEncoderModule, np.ndarray], np.ndarray]] = {
    FastEncoder.encode: numpy_encode,
    FastEncoder.decode: numpy_decode,
    FastEncoder.reconstruct: numpy_reconstruct,
}


class Sink(Protocol):
    """Where the results of chunks go."""

    def place(self, rows: slice) -> Tensor | None:
        """Return the place of these rows' results, if they may be written there."""

    def take(self, rows: slice, part: np.ndarray) -> None:
        """Take the results of these rows that were not written to their place."""


def dtype_in_use(X: Any) -> np.dtype:
    """Return the dtype in which rows are transformed: float32 rows in theirs."""
    return np.dtype(np.float32 if X.dtype == np.float32 else np.float64)


def apply_to_rows(
    function: Function,
    module: AutoEncoderModule,
    X: Any,
    *,
    are_codes: bool = False,
    check: Check = None,
    out: np.ndarray | None = None,
    dtype: np.dtype | None = None,
) -> np.ndarray:
    """Apply a function of the module to rows.

    Parameters
    ----------
    function : callable (forward, x, out) -> Tensor
        Takes a chunk of rows, centred, and gives a tensor of as many. `out` is where
        to write these, or None: see `FastEncoder`.
    module : AutoEncoderModule
        In evaluation mode.
    X : ndarray or CSR matrix of shape (n_samples, n_columns)
    are_codes : bool
        Whether the rows are codes: these are not centred.
    check : callable (rows) or None
        Called with rows in which some number may not be finite; raises if that is so.
    out : ndarray of shape (n_samples, ...) or None
        Where to write the result; None makes an array.
    dtype : dtype or None
        Of the array that is made; None is the one in which rows are transformed.

    Returns
    -------
    result : ndarray of shape (n_samples, ...)
        `out` if it is given.
    """
    result = _Result(X.shape[0], dtype or dtype_in_use(X), out)
    few = OF_FEW.get(function) if X.shape[0] <= FEW_ROWS else None
    if few is None or not _take_few(few, module, X, result, check):
        _run(function, module, X, result, are_codes, check)
    assert result.array is not None
    return result.array


def sum_over_rows(
    function: Function, module: AutoEncoderModule, X: Any, *, check: Check = None
) -> np.ndarray:
    """Sum a function of the module over rows, in float64: see `apply_to_rows`."""
    sums = _Sums()
    _run(function, module, X, sums, False, check)
    return sums.total


def _take_few(
    function: Callable[[AutoEncoderModule, np.ndarray], np.ndarray],
    module: AutoEncoderModule,
    X: Any,
    result: "_Result",
    check: Check,
) -> bool:
    """Apply a function to a few rows, and tell whether that was possible."""
    if module.columns.mean.device.type != "cpu":
        return False
    every = slice(X.shape[0])
    # Rows in another order would be rounded otherwise.
    rows = np.ascontiguousarray(dense_rows(X, every), dtype=dtype_in_use(X))
    with np.errstate(all="ignore"):
        if check is not None and not np.isfinite(rows.sum()):
            check(rows)
        try:
            part = function(module, rows)
        except Unsupported:
            return False
    result.take(every, part)
    return True


def _run(
    function: Function,
    module: AutoEncoderModule,
    X: Any,
    sink: Sink,
    are_codes: bool,
    check: Check,
) -> None:
    """Bring rows through a function, chunk by chunk, into a sink."""
    dtype = dtype_in_use(X)
    n_rows, n_columns = X.shape
    step, work = _step(n_rows, dtype, module)
    with torch_defaults(), torch.inference_mode(), threads_for(work):
        forward = FastEncoder(module, TORCH_DTYPES[dtype])
        device = forward.mean.device
        on_cpu = device.type == "cpu"
        source = _Source(X, dtype, None if are_codes else forward.mean.cpu())
        buffer = torch.empty((min(step, n_rows), n_columns), dtype=TORCH_DTYPES[dtype])
        for start in range(0, n_rows, step):
            rows = slice(start, min(start + step, n_rows))
            x = source.read(rows, buffer[: rows.stop - start])
            # The sum of finite numbers may overflow: the check knows better.
            if check is not None and not math.isfinite(x.sum().item()):
                check(dense_rows(X, rows))
            place = sink.place(rows) if on_cpu else None
            part = function(forward, x.to(device), place)
            if place is None or part is not place:
                sink.take(rows, part.cpu().numpy())


def _step(n_rows: int, dtype: np.dtype, module: AutoEncoderModule) -> tuple[int, float]:
    """Return how many rows a chunk has, and how many multiply-adds that is.

    Many threads share a chunk that is so many times longer; where that is too little
    for them, it is for one.
    """
    step, n_threads = CHUNK_ROWS * 4 // dtype.itemsize, own_threads()
    if n_threads > 1:
        work = float(min(n_rows, n_threads * step)) * module.n_weights()
        if work >= ONE_THREAD_BELOW:
            return n_threads * step, work
    return step, 0.0


def _tensor_on(array: Any, dtype: np.dtype) -> Tensor | None:
    """Return an array as a tensor in the same memory, if torch can take it as it is."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        return None
    # Contiguous, aligned, and not read-only: of such a one torch would warn.
    return torch.from_numpy(np.asarray(array)) if array.flags.carray else None


class _Source:
    """Rows that are read into a buffer, whatever their layout, dtype and access.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_columns)
    dtype : dtype
        In which rows are wanted.
    mean : Tensor of shape (n_columns,) or None
        Taken off the rows on the way; None takes nothing off.
    """

    def __init__(self, X: Any, dtype: np.dtype, mean: Tensor | None) -> None:
        self._X, self._mean = X, mean
        self._tensor = _tensor_on(X, dtype)

    def read(self, rows: slice, into: Tensor) -> Tensor:
        """Write rows into a buffer of as many, and give that."""
        if self._tensor is not None:
            rows_there = self._tensor[rows]
            if self._mean is None:
                return into.copy_(rows_there)
            return torch.sub(rows_there, self._mean, out=into)
        chunk = dense_rows(self._X, rows)
        if self._mean is None:
            into.numpy()[...] = chunk
        else:
            np.subtract(chunk, self._mean.numpy(), out=into.numpy())
        return into


class _Result:
    """An array of the results of all rows.

    Parameters
    ----------
    n_rows : int
    dtype : dtype
        In which results come.
    array : ndarray of shape (n_rows, ...) or None
        None makes one for the first results.
    """

    def __init__(self, n_rows: int, dtype: np.dtype, array: np.ndarray | None) -> None:
        self._n_rows, self._dtype = n_rows, dtype
        self.array = array
        self._tensor: Tensor | None = None

    def place(self, rows: slice) -> Tensor | None:
        """Return the place of these rows' results, if torch can write there."""
        if self._tensor is None:
            self._tensor = _tensor_on(self.array, self._dtype)
        return None if self._tensor is None else self._tensor[rows]

    def take(self, rows: slice, part: np.ndarray) -> None:
        """Copy the results of these rows."""
        if self.array is None:
            self.array = np.empty((self._n_rows, *part.shape[1:]), self._dtype)
        np.copyto(self.array[rows], part, casting="same_kind")


class _Sums:
    """Sums over all rows, in float64."""

    total: Any = 0.0

    def place(self, rows: slice) -> None:
        """Return no place: nothing of a row is kept."""

    def take(self, rows: slice, part: np.ndarray) -> None:
        """Add the results of these rows."""
        self.total = self.total + part.sum(axis=0, dtype=np.float64)
