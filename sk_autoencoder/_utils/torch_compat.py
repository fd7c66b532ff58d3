"""torch's modes as they are by default, whatever the caller has set."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from sk_autoencoder._utils.threads import own_threads

__all__ = ["float32_by_default", "torch_defaults"]


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Shut out the caller's modes of torch, and put them back afterwards.

    Gradients are recorded, tensors are made on the CPU and nothing is cast, be it
    inside `no_grad`, `inference_mode`, `autocast`, or after `set_default_device`. All
    of these are the thread's own, as is the number of its threads. The default dtype is
    the process's: it is left alone, and our own code names its dtypes.
    """
    n_threads = own_threads()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        # Asking a tensor takes a tenth of the time of `get_default_device`.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.callback(_set_threads_back, n_threads)
        yield


def _set_threads_back(n_threads: int) -> None:
    """Set the number of threads that an interrupt has left at another."""
    if torch.get_num_threads() != n_threads:
        torch.set_num_threads(n_threads)


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Make modules of somebody else's in float32, whatever the default dtype is.

    It is the process's: this is for the moment in which a user's function makes a
    module, which cannot be told its dtype, and draws its weights in it.
    """
    before = torch.get_default_dtype()
    if before == torch.float32:
        yield
        return
    try:
        torch.set_default_dtype(torch.float32)
        yield
    finally:
        torch.set_default_dtype(before)
