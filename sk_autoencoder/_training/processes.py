"""Several processes that train one net: each has a part of every batch."""

from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sk_autoencoder._columns.likelihoods import PerColumnVariance
from sk_autoencoder._training.config import GradientFn
from sk_autoencoder._utils.random import SharedGenerator

T = TypeVar("T")
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Processes:
    """The processes of torch.distributed's process group.

    Attributes
    ----------
    rank, size : int
        Which of them this one is, and how many there are.

    Raises
    ------
    ValueError
        If there is no process group.
    """

    def __init__(self) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            raise ValueError(
                "expected a process group of torch.distributed for distributed=True, "
                "got none. Start the script with torchrun, as torchrun "
                "--nproc-per-node=2 script.py, and call "
                "torch.distributed.init_process_group first, or pass "
                "distributed=False."
            )
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def rows(self, n_rows: int) -> slice:
        """Return the rows of a batch that this process has.

        Each has all of them where there are fewer than processes.
        """
        if n_rows < self.size:
            return slice(0, n_rows)
        first = n_rows * self.rank // self.size
        return slice(first, n_rows * (self.rank + 1) // self.size)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def agree(self, *values: float) -> list[float]:
        """Return the numbers that the first process has."""
        found: list[Any] = [values]
        dist.broadcast_object_list(found, src=0)
        return list(found[0])

    @staticmethod
    def add(x: Tensor) -> None:
        """Replace a tensor by its sum over the processes: the same bits in each."""
        dist.all_reduce(x)


def is_first_rank() -> bool:
    """Whether this process is the one that prints: also where there is one only."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes, in the gradient of their mean loss.

    The second argument is the part of the batch that this process has: by that its
    gradient is multiplied in the end, and so those of the others are divided by it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, part: float) -> Tensor:
        ctx.part = part
        total = x.clone()
        Processes.add(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0] * ctx.part
        Processes.add(total)
        return total / ctx.part, None


def normalize(layer: Any, part: float, x: Tensor) -> Tensor:
    """Normalize a batch that processes share, as a layer does one of its own.

    torch's `SyncBatchNorm` runs on GPUs alone.

    Parameters
    ----------
    layer : BatchNorm1d, BatchNorm2d or BatchNorm3d
        In training. Its running statistics follow, to the same bits in each process.
    part : float
        The fraction of the batch that this process has.
    x : Tensor of shape (n, n_channels, ...)
    """
    own, n_channels = x.transpose(0, 1).flatten(1).double(), x.shape[1]
    n = round(own.shape[1] / part)
    add_up: Any = _Sum.apply
    # In float64, since a difference of squares loses digits.
    mean, square = add_up(torch.stack([own.sum(1), own.square().sum(1)]), part) / n
    variance = (square - mean.square()).clamp(min=0)
    if layer.track_running_stats:
        layer.num_batches_tracked.add_(1)
        momentum = layer.momentum
        if momentum is None:
            momentum = 1 / float(layer.num_batches_tracked)
        new = {"running_mean": mean, "running_var": variance * n / (n - 1)}
        for name, value in new.items():
            running = layer.get_buffer(name)
            running.lerp_(value.detach().to(running.dtype), momentum)
    shape = (n_channels, *([1] * (x.ndim - 2)))
    out = (x - mean.view(shape)) / (variance + layer.eps).sqrt().view(shape)
    if layer.affine:
        out = out * layer.weight.view(shape) + layer.bias.view(shape)
    return out.to(x.dtype)


class SharedGradient:
    """The gradient of a batch, of which each process computes a part.

    Parameters
    ----------
    gradient_fn : callable
        See `GradientFn`; of the rows that this process has.
    module : TrainableModule
    processes : Processes
    gradients : callable () -> list of Tensor
        Where it is written to.
    """

    def __init__(
        self, gradient_fn: GradientFn, module: Any, processes: Processes, gradients: Any
    ) -> None:
        self._gradient_fn, self._module = gradient_fn, module
        self._processes, self._gradients = processes, gradients
        parts = module.columns.modules()
        self._followers = [p for p in parts if isinstance(p, PerColumnVariance)]
        self._norms = [p for p in module.modules() if isinstance(p, BATCH_NORMS)]

    def __call__(self, x: Tensor, target: Tensor) -> tuple[float, dict[str, float]]:
        """Write the gradient of the whole batch; return its loss and terms."""
        rows, generator = self._processes.rows(len(x)), self._module.generator
        assert isinstance(generator, SharedGenerator)
        generator.rows, generator.n_rows = rows, len(x)
        own, is_split = target[rows].shape[0], len(x) >= self._processes.size
        n_all = len(x) if is_split else own * self._processes.size
        for part in self._followers:
            part.add_up = self._processes.add
        for norm in self._norms if own < len(x) else ():
            vars(norm)["forward"] = partial(normalize, norm, own / n_all)
        try:
            loss, terms = self._gradient_fn(x, target[rows])
        finally:
            generator.rows = None
            for part in self._followers:
                part.add_up = None
            for norm in self._norms:
                vars(norm).pop("forward", None)
        gradients = self._gradients()
        numbers = torch.tensor([float(v) for v in (loss, *terms.values())])
        parts = [*(g.ravel() for g in gradients), numbers.to(gradients[0])]
        packed = torch.cat(parts).mul_(own / n_all)
        self._processes.add(packed)
        *sums, numbers = packed.split([part.numel() for part in parts])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient))
        loss, *values = numbers.tolist()
        return loss, dict(zip(terms, values, strict=True))
