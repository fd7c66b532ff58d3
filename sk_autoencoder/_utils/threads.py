"""How many threads may be used while we compute."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

# Multiply-adds of one pass over one batch below which a second thread costs more
# than it brings: the threads of small kernels wait for each other longer than
# they work, by a factor of a hundred where another process has the core.
ONE_THREAD_BELOW = 1e8

# While torch's number of threads is being changed: see `_take_one_thread`.
_changing = threading.Lock()


@contextmanager
def threads_for(multiply_adds: float) -> Iterator[None]:
    """Run small computations on one thread, and restore the caller's setting.

    Parameters
    ----------
    multiply_adds : float
        Size of one step: rows of a batch times weights of the network.
    """
    before = own_threads()
    if before == 1 or multiply_adds >= ONE_THREAD_BELOW:
        yield
        return
    try:
        _take_one_thread(before)
        yield
    finally:
        torch.set_num_threads(before)


def own_threads() -> int:
    """Return torch's number of threads for the current thread.

    A thread takes up torch's default when it first asks, so not while another one is
    changing that.
    """
    with _changing:
        return torch.get_num_threads()


def _take_one_thread(default: int) -> None:
    """Set torch's number of threads to 1 for the current thread alone.

    torch keeps a number for each thread, and sets with it a default for threads that
    have none yet. These would keep one thread for good, after the fit that asked for
    it has ended. So another thread sets the default back.
    """
    with _changing:
        torch.set_num_threads(1)
        if threading.active_count() > 1:
            other = threading.Thread(target=torch.set_num_threads, args=(default,))
            other.start()
            other.join()


@contextmanager
def numpy_like_torch() -> Iterator[None]:
    """Run numpy's products on torch's number of threads, silent on overflow."""
    hold = object()
    try:
        _blas.limit(hold, torch.get_num_threads())
        with np.errstate(all="ignore"):
            yield
    finally:
        _blas.release(hold)


class _SharedLimit:
    """A limit on the threads of BLAS, which is the whole process's.

    The first of several fits at a time remembers what was set, and the last sets it
    back; in between it is the least that any of them asks for. If each set back what
    it had found, the last one out would set what the first one in had asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[object, int] = {}
        self._before: list[tuple[Any, int]] = []
        self._libraries: list[Any] | None = None

    def limit(self, hold: object, n_threads: int) -> None:
        """Ask for a number of threads.

        Parameters
        ----------
        hold : object
            By which it is released.
        n_threads : int
        """
        with self._lock:
            if self._libraries is None:
                # Found once: that takes milliseconds.
                found = ThreadpoolController().select(user_api="blas")
                self._libraries = found.lib_controllers
            if not self._asked:
                self._before = [(x, x.get_num_threads()) for x in self._libraries]
            self._asked[hold] = n_threads
            self._apply()

    def release(self, hold: object) -> None:
        """Take back what was asked for, if anything was."""
        with self._lock:
            if self._asked.pop(hold, None) is not None:
                self._apply()

    def _apply(self) -> None:
        for library, before in self._before:
            n_threads = min(self._asked.values(), default=before)
            if n_threads != library.get_num_threads():
                library.set_num_threads(n_threads)


_blas = _SharedLimit()


def _start_anew() -> None:
    """Forget what other threads were at: a forked process does not have them."""
    global _blas, _changing
    _blas, _changing = _SharedLimit(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
