"""Functions of samples, chunk by chunk, into one array or one sum.

Beside the samples and the result there is memory for one chunk, and for what the
network makes of it.
"""

import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import get_config
from torch import Tensor

from sk_autoencoder._inference.conditionals import CellPredictor
from sk_autoencoder._inference.errors import ERRORS
from sk_autoencoder._inference.fast import (
    BufferedErrors,
    Unsupported,
    buffered_decode,
    buffered_encode,
    buffered_reconstruct,
)
from sk_autoencoder._inference.fast_few import (
    FEW_ROWS,
    numpy_decode,
    numpy_encode,
    numpy_reconstruct,
)
from sk_autoencoder._model.masked import MaskedModule
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.chunks import dense_rows, row_slices
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.threads import ONE_THREAD_BELOW, own_threads, threads_for
from sk_autoencoder._utils.torch_compat import torch_defaults

# float32 samples in a chunk, for each thread, and half as many float64 samples: what a
# usual network makes of them stays in the cache (`python -m benchmarks.speed.transform
# --chunks` compares sizes, in a loop by hand).
CHUNK_ROWS = 1024
# Numbers in a chunk of wide samples, of which about six copies are made: 8 MB in
# float32. Of fewer rows than these the weights would be read too often. With 20,000
# columns `score` takes 64 MB in place of half a gigabyte, and two thirds of the time.
CHUNK_CELLS, LEAST_ROWS = 2**21, 32

TORCH_DTYPES = {
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float64,
}

Module = AutoEncoderModule | MaskedModule
# Of a `CellPredictor` where the module is a masked one.
Function = Callable[[Any, Tensor], Tensor]
Check = Callable[[np.ndarray], object] | None

BY_NUMPY: dict[Function, Callable[[AutoEncoderModule, np.ndarray], np.ndarray]] = {
    AutoEncoderModule.encode: numpy_encode,
    AutoEncoderModule.decode: numpy_decode,
    AutoEncoderModule.reconstruct: numpy_reconstruct,
}

BUFFERED: dict[
    Function, Callable[[AutoEncoderModule, torch.dtype], Callable[[Tensor], Tensor]]
] = {
    AutoEncoderModule.encode: buffered_encode,
    AutoEncoderModule.decode: buffered_decode,
    AutoEncoderModule.reconstruct: buffered_reconstruct,
}


def dtype_in_use(X: Any) -> np.dtype:
    """Return the dtype in which samples are transformed: float32 samples in theirs."""
    is_narrow = X.dtype is torch.float32 or X.dtype == np.float32
    return np.dtype(np.float32 if is_narrow else np.float64)


def apply_to_rows(
    function: Function,
    module: Module,
    X: Any,
    *,
    check: Check = None,
    out: np.ndarray | None = None,
    dtype: np.dtype | None = None,
    is_finite: bool = False,
) -> Any:
    """Apply a function of the module to samples, or to codes.

    Parameters
    ----------
    function : callable (module, chunk) -> Tensor
        Takes the module in the samples' dtype and a chunk of them, which it must not
        write to, and returns as many results.
    module : AutoEncoderModule or MaskedModule
        In evaluation mode.
    X : ndarray, CSR matrix or Tensor of shape (n_samples, n_columns)
    check : callable (rows) or None
        Called with samples in which some number may not be finite; raises if that is
        so.
    out : ndarray of shape (n_samples, ...) or None
        Where to write the result; None makes an array, of a tensor a tensor beside it.
    dtype : dtype or None
        Of what is made; None is the one in which samples are transformed.
    is_finite : bool
        Whether to refuse results that are not, as those of samples too far from those
        of fit, unless scikit-learn's `assume_finite` is set.

    Returns
    -------
    result : ndarray or Tensor of shape (n_samples, ...)
        `out` if it is given.

    Raises
    ------
    ValueError
        If a result has to be finite, and is not.
    """
    result: Any = out
    is_finite = is_finite and not get_config()["assume_finite"]

    def write(rows: slice, part: Any) -> None:
        nonlocal result
        if is_finite:
            _refuse_overflow(part, rows.start or 0)
        if result is None:
            shape = (X.shape[0], *part.shape[1:])
            result = _empty(X, shape, dtype or dtype_in_use(X))
        if isinstance(result, Tensor):
            result[rows] = part
        else:
            np.copyto(result[rows], _as_array(part), casting="same_kind")

    if not _apply_numpy(function, module, X, write, check):
        _apply(function, module, X, write, check)
    assert result is not None
    return result


def sum_over_rows(
    function: Function, module: Module, X: Any, *, check: Check = None
) -> np.ndarray:
    """Sum a function of the module over samples, in float64: see `apply_to_rows`."""
    total: Any = 0.0

    def add(_rows: slice, part: Any) -> None:
        nonlocal total
        total = total + _as_array(part).sum(axis=0, dtype=np.float64)

    _apply(function, module, X, add, check)
    return total


def _apply_numpy(
    function: Function,
    module: Module,
    X: Any,
    take: Callable[[slice, Any], None],
    check: Check,
) -> bool:
    """Apply a function to a few samples by numpy; return whether that was possible."""
    by_numpy = BY_NUMPY.get(function) if X.shape[0] <= FEW_ROWS else None
    if (
        by_numpy is None
        or isinstance(X, Tensor)
        or isinstance(module, MaskedModule)
        or module.columns.mean.device.type != "cpu"
    ):
        return False
    every = slice(X.shape[0])
    # Of another memory order the products would be rounded otherwise.
    samples = np.ascontiguousarray(dense_rows(X, every), dtype=dtype_in_use(X))
    with np.errstate(all="ignore"):
        if check is not None and not np.isfinite(samples.sum()):
            check(samples)
        try:
            part = by_numpy(module, samples)
        except Unsupported:
            return False
    take(every, part)
    return True


def _apply(
    function: Function,
    module: Module,
    X: Any,
    take: Callable[[slice, Any], None],
    check: Check,
) -> None:
    """Apply a function to samples, chunk by chunk, and have each result taken."""
    dtype, n_rows = dtype_in_use(X), X.shape[0]
    step, work = _step(n_rows, dtype, module)
    with torch_defaults(), torch.inference_mode(), threads_for(work):
        compute = _chunk_function(function, module, TORCH_DTYPES[dtype])
        device = module.columns.mean.device
        for rows in row_slices(n_rows, step):
            chunk = _as_tensor(dense_rows(X, rows), dtype)
            # The sum of finite numbers may overflow: the check knows better.
            if check is not None and not math.isfinite(chunk.sum().item()):
                check(_as_array(dense_rows(X, rows)))
            take(rows, compute(chunk.to(device)))


def _chunk_function(
    function: Function, module: Module, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    """Return a function of a module for chunks of a dtype; a faster one if there is."""
    if isinstance(module, MaskedModule):
        return partial(function, CellPredictor(module, dtype))
    buffered = BUFFERED.get(function)
    with contextlib.suppress(Unsupported):
        if buffered is not None:
            return buffered(module, dtype)
        if function in ERRORS and dtype == torch.float64:
            # A copy of the module would take longer than to reconstruct some samples.
            return partial(function, BufferedErrors(module))
    module = in_dtype(module, dtype)
    return lambda chunk: function(module, chunk)


def _step(n_rows: int, dtype: np.dtype, module: Module) -> tuple[int, float]:
    """Return how many samples a chunk has, and how many multiply-adds that is.

    Many threads share a chunk that is so many times longer; where that is too little
    for them, it is for one.
    """
    most = max(LEAST_ROWS, CHUNK_CELLS // max(1, module.columns.mean.numel()))
    step, n_threads = min(CHUNK_ROWS * 4 // dtype.itemsize, most), own_threads()
    if n_threads > 1:
        work = float(min(n_rows, n_threads * step)) * module.n_weights()
        if work >= ONE_THREAD_BELOW:
            return n_threads * step, work
    return step, 0.0


def _empty(X: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Make memory for a result: a tensor if X is one, of which autograd may be told."""
    if not isinstance(X, Tensor):
        return np.empty(shape, dtype)
    with torch.inference_mode(False):
        return X.new_empty(shape, dtype=TORCH_DTYPES[dtype])


def _refuse_overflow(part: Any, first: int) -> None:
    """Refuse results (n, n_columns) that are infinite or no numbers.

    Parameters
    ----------
    part : ndarray or Tensor
    first : int
        Position of the first sample.
    """
    # The sum of finite numbers may overflow too.
    if isinstance(part, Tensor) and math.isfinite(part.sum().item()):
        return
    good = np.isfinite(_as_array(part))
    if not good.all():
        row = first + int(good.all(axis=1).argmin())
        raise ValueError(
            "expected numbers near enough to those of fit for the model to compute "
            f"with, got row {row} of X, for which a result is infinite or no number. "
            "Drop such rows, or clip them to the range of the training samples."
        )


def _as_array(part: Any) -> Any:
    """Return a result as an array."""
    return part.cpu().numpy() if isinstance(part, Tensor) else part


def _as_tensor(chunk: Any, dtype: np.dtype) -> Tensor:
    """Return samples as a tensor in the same memory, or in a copy if torch needs one.

    Torch takes no other byte order, and warns of memory that is read-only.
    """
    if isinstance(chunk, Tensor):
        return chunk.to(TORCH_DTYPES[dtype])
    if chunk.dtype != dtype or not chunk.flags.carray:
        chunk = np.array(chunk, dtype, order="C")
    return torch.from_numpy(np.asarray(chunk))
