"""What torch's public interface does not offer, and its modes as they are by default.

One door, so that a release of torch that renames one of its private names breaks here,
at import, and nowhere else. Tried on torch 2.13.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sk_autoencoder._utils.threads import own_threads

# -- kernels ---------------------------------------------------------------------------

_aten = torch.ops.aten
# Its calls take a third of the time of those of `torch.ops`.
_nn: Any = torch._C._nn

foreach_copy_ = torch._foreach_copy_
foreach_lerp_ = torch._foreach_lerp_
foreach_norm = torch._foreach_norm
fused_adam_ = torch._fused_adam_
fused_adamw_ = torch._fused_adamw_

# The class that all kinds of batch and instance normalization share.
NormBase = nn.modules.batchnorm._NormBase

# Attributes of a module that hold its tensors and its parts, each a dict.
MODULE_DICTS = ("_parameters", "_buffers", "_modules")

gelu_ = _aten.gelu_.default
silu_ = _aten.silu_.default
logit_backward = _aten.logit_backward


def gelu_out(z: Tensor, out: Tensor) -> None:
    """Write GELU of z to another tensor."""
    _nn.gelu(z, out=out)


def silu_out(z: Tensor, out: Tensor) -> None:
    """Write SiLU of z to another tensor."""
    _nn.silu(z, out=out)


# Each multiplies a gradient by an activation's derivative, in place. The derivative is
# computed from z, the input, or from the value f(z).


def gelu_backward_(gradient: Tensor, z: Tensor) -> None:
    _aten.gelu_backward.grad_input(gradient, z, grad_input=gradient)


def silu_backward_(gradient: Tensor, z: Tensor) -> None:
    _aten.silu_backward.grad_input(gradient, z, grad_input=gradient)


def sigmoid_backward_(gradient: Tensor, value: Tensor) -> None:
    _aten.sigmoid_backward.grad_input(gradient, value, grad_input=gradient)


def tanh_backward_(gradient: Tensor, value: Tensor) -> None:
    _aten.tanh_backward.grad_input(gradient, value, grad_input=gradient)


def elu_backward_(gradient: Tensor, value: Tensor) -> None:
    # alpha, scale and input_scale are 1; True says that the value is given.
    _aten.elu_backward.grad_input(
        gradient, 1.0, 1.0, 1.0, True, value, grad_input=gradient
    )


def leaky_relu_backward_(gradient: Tensor, value: Tensor, slope: float) -> None:
    # True says that the value is given.
    _aten.leaky_relu_backward.grad_input(
        gradient, value, slope, True, grad_input=gradient
    )


# -- hooks -----------------------------------------------------------------------------


def has_forward_hooks(part: nn.Module) -> bool:
    """Whether calling this module calls more than its `forward`."""
    return bool(part._forward_hooks or part._forward_pre_hooks)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody listens to a pass of autograd through a module or its parts."""
    return any(p._backward_hooks for p in module.parameters()) or any(
        has_forward_hooks(part) or part._backward_hooks or part._backward_pre_hooks
        for part in module.modules()
    )


def note_step(optimizer: Any) -> None:
    """Mark an optimizer as stepped, where the step was taken without it.

    A scheduler asks for that.
    """
    optimizer._opt_called = True


def has_step_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether somebody listens to the steps of an optimizer."""
    return bool(
        optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    )


# -- modes -----------------------------------------------------------------------------


def set_training(module: nn.Module, mode: bool) -> None:
    """Do what `module.train(mode)` does, in a tenth of the time."""
    if type(module).train is not nn.Module.train:
        module.train(mode)
        return
    vars(module)["training"] = mode  # as `nn.Module.__setattr__` writes it in the end
    for part in module._modules.values():
        if part is not None:
            set_training(part, mode)


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


@contextmanager
def one_by_one() -> Iterator[None]:
    """Compute attention and recurrent layers by operators that are known elsewhere.

    Both switches are the process's: this is for the moment in which a module is read.
    """
    mkldnn: Any = torch.backends.mkldnn
    before = mkldnn.enabled
    with sdpa_kernel(SDPBackend.MATH):
        try:
            mkldnn.enabled = False
            yield
        finally:
            mkldnn.enabled = before
