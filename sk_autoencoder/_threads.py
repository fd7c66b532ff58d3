"""How many threads may be used while we compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

__all__ = ["numpy_like_torch", "threads_for"]

# Multiply-adds of one pass over one batch below which a second thread costs more
# than it brings: the threads of small kernels wait for each other longer than
# they work, by a factor of a hundred where another process has the core.
ONE_THREAD_BELOW = 1e8


@contextmanager
def threads_for(multiply_adds: float) -> Iterator[None]:
    """Run small computations on one thread, and restore the caller's setting.

    Parameters
    ----------
    multiply_adds : float
        Size of one step: rows of a batch times weights of the network.
    """
    before = torch.get_num_threads()
    if before == 1 or multiply_adds >= ONE_THREAD_BELOW:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def numpy_like_torch() -> Iterator[None]:
    """Give numpy's products torch's number of threads, and its silence on overflow."""
    threads = _libraries().limit(limits=torch.get_num_threads(), user_api="blas")
    with threads, np.errstate(all="ignore"):
        yield


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Find the libraries with threads, once: that takes milliseconds."""
    return ThreadpoolController()
