"""Tight training loops by hand, to measure ours against.

`handwritten` takes a `Job` and returns `(seconds, loss)`, as every function of
`competitors` does. The network is the dense stack `sizes`, for example
`(64, 32, 8, 32, 64)`: the activation follows every layer but the bottleneck and the
last, and without a bottleneck every layer but the last. `loss` is the squared error
over the variance of `X` around its mean, on all the rows, taken with the final weights
after the clock has stopped; so one number compares loops whose own running losses are
scaled differently, and shows that all of them did the same work.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks._shared.timing import Clock, timed

Timing = tuple[float, float]
Layers = list[tuple[Tensor, Tensor]]

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "gelu": F.gelu,
    "elu": F.elu,
    "silu": F.silu,
}


class Job(NamedTuple):
    """What everybody is given: rows, a dense stack, and how to train it.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
    sizes : tuple of int
        Numbers after each layer, the input's and the output's too.
    activation : str
        Behind each layer but the bottleneck and the last.
    batch_size, epochs : int
    lr : float
    clock : callable
        What to time with; `time.process_time` is steadier on a busy machine.
    device : str
        "cpu" or "cuda".
    """

    X: np.ndarray
    sizes: tuple[int, ...]
    activation: str
    batch_size: int
    epochs: int
    lr: float = 1e-3
    clock: Clock = time.perf_counter
    device: str = "cpu"

    @property
    def middle(self) -> int:
        """Which of the sizes is the bottleneck's."""
        return len(self.sizes) // 2


@dataclass(frozen=True)
class Extras:
    """What a training recipe adds to the bare loop; everything is off by default.

    Parameters
    ----------
    weight_decay : float
        Above 0, AdamW takes Adam's place.
    clip : float or None
        Largest norm of the whole gradient.
    average : bool
        Keep averaged weights, of decay `min(.99, t / (t + 10))` at step t, and
        evaluate those.
    swap : float
        Share of the cells that are replaced by another row's, see `swap`.
    dropout : float
        Share of units set to zero after each hidden layer.
    bf16 : bool
        Compute the products in bfloat16, by autocast.
    optimizer : type or None
        A torch optimizer class, with its own defaults but for the learning rate, in
        the place of a fused Adam.
    standardize : bool
        Subtract the columns' means from each batch and divide by their standard
        deviations inside the step, as a module with buffers does; the error is
        measured in those units. False trains on `X` as it is.
    """

    weight_decay: float = 0.0
    clip: float | None = None
    average: bool = False
    swap: float = 0.0
    dropout: float = 0.0
    bf16: bool = False
    optimizer: type[torch.optim.Optimizer] | None = None
    standardize: bool = False


def swap(x: Tensor, level: float) -> Tensor:
    """Replace each cell, with probability `level`, by another row's same column.

    The donor is another row of the batch, drawn for each cell alone. On the CPU only
    the cells that change are looked at, which is several times faster than a donor for
    every cell; on a GPU it would wait to learn how many those are.
    """
    n, n_columns = x.shape
    if x.is_cuda:
        rows = torch.arange(n, device=x.device).unsqueeze(1)
        others = rows + torch.randint(1, n, x.shape, device=x.device)
        changed = torch.rand(x.shape, device=x.device) < level
        return torch.where(changed, x.gather(0, others.remainder_(n)), x)
    cells = (torch.rand(x.numel()) < level).nonzero().squeeze(1)
    distance = torch.randint(1, n, cells.shape)
    donors = cells.add(distance, alpha=n_columns).remainder_(x.numel())
    noisy = x.flatten().index_copy(0, cells, x.flatten().index_select(0, donors))
    return noisy.view_as(x)


def unexplained(
    X: np.ndarray, reconstruct: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Squared error of a reconstruction over the variance of `X` around its mean."""
    error = np.square(X - reconstruct(X), dtype=np.float64).sum()
    return float(error / np.square(X - X.mean(axis=0), dtype=np.float64).sum())


class Stack:
    """The dense stack's weights and forward pass, free of `nn.Module`'s call overhead.

    With `flat`, all weights are views of one vector, and all gradients views of
    another, which the backward pass fills in place: the optimizer, the norm and the
    average then each handle one tensor instead of two a layer.
    """

    def __init__(
        self,
        X: Tensor,
        sizes: Sequence[int],
        activation: str,
        *,
        extras: Extras,
        flat: bool,
        bottleneck: bool,
    ) -> None:
        linears = [nn.Linear(*pair, device=X.device) for pair in pairwise(sizes)]
        self.layers: Layers = [(linear.weight, linear.bias) for linear in linears]
        self.activation = FUNCTIONS[activation]
        # The positions of the layers that no activation follows.
        self.linear_after = {len(linears) - 1}
        if bottleneck:
            self.linear_after.add(len(sizes) // 2 - 1)
        self.parameters = [tensor for layer in self.layers for tensor in layer]
        self.flat = self._flatten() if flat else None
        self.leaves = self.parameters if self.flat is None else [self.flat]
        self.set_extras(X, extras)

    def set_extras(self, X: Tensor, extras: Extras) -> None:
        """Take over what a recipe adds to the forward pass."""
        self.swap, self.dropout = extras.swap, extras.dropout
        self.mean = self.scale = self.inverse_scale = None
        if extras.standardize:
            scale = X.std(dim=0, correction=0)
            self.mean = X.mean(dim=0)
            self.scale = torch.where(scale > 0, scale, torch.ones_like(scale))
            self.inverse_scale = 1 / self.scale

    def _flatten(self) -> nn.Parameter:
        flat = nn.Parameter(torch.cat([p.detach().ravel() for p in self.parameters]))
        flat.grad = torch.zeros_like(flat)
        start = 0
        for parameter in self.parameters:
            part = slice(start, start + parameter.numel())
            parameter.data = flat.data[part].view_as(parameter)
            parameter.grad = flat.grad[part].view_as(parameter)
            start = part.stop
        return flat

    def prepare(self, x: Tensor) -> Tensor:
        """Standardize rows, if asked to."""
        return x if self.mean is None else (x - self.mean).mul_(self.inverse_scale)

    def forward(self, x: Tensor, dropout: float = 0.0) -> Tensor:
        """Reconstruct prepared rows, in their units."""
        for i, (weight, bias) in enumerate(self.layers):
            x = F.linear(x, weight, bias)
            if i not in self.linear_after:
                x = self.activation(x)
                if dropout:
                    x = F.dropout(x, dropout)
        return x

    def loss(self, x: Tensor) -> Tensor:
        """Mean squared error of rows, with noise on the input if there is some."""
        target = h = self.prepare(x)
        if self.swap:
            h = swap(target, self.swap)
        return F.mse_loss(self.forward(h, self.dropout), target)

    @torch.inference_mode()
    def reconstruct(
        self, X: np.ndarray, weights: list[Tensor] | None = None
    ) -> np.ndarray:
        """Reconstruct an array, with `weights` in the parameters' place if given."""
        if weights is not None:
            for leaf, weight in zip(self.leaves, weights, strict=True):
                leaf.copy_(weight)
        rows = torch.as_tensor(X).to(self.parameters[0].device).split(4096)
        outputs = torch.cat([self.forward(self.prepare(part)) for part in rows])
        if self.mean is not None:
            outputs = outputs * self.scale + self.mean
        return outputs.cpu().numpy()


def _batches(data: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield one epoch: one permutation on the device, one gather a batch."""
    order = torch.randperm(len(data), device=data.device)
    for index in order.split(batch_size):
        yield data.index_select(0, index)


def handwritten(
    job: Job, *, extras: Extras = Extras(), flat: bool = False, bottleneck: bool = True
) -> Timing:
    """Train with a tight loop: autograd, a fused public optimizer, no waste between.

    The data lie on the device before the first step; the optimizer is fused; no
    number leaves the device before the last epoch has ended.

    Parameters
    ----------
    job : Job
    extras : Extras
        The parts of a recipe to add, none by default.
    flat : bool
        Keep weights and gradients in one vector each: the tightest loop that torch's
        public functions allow a small network, and more than most people would
        write.
    bottleneck : bool
        Whether the middle of `sizes` is one, which no activation follows.

    Returns
    -------
    seconds, loss : float
    """
    make = functools.partial(
        Stack,
        sizes=job.sizes,
        activation=job.activation,
        extras=extras,
        flat=flat,
        bottleneck=bottleneck,
    )
    return train(job, make, extras)


def train(job: Job, make: Callable[[Tensor], Stack], extras: Extras) -> Timing:
    """Build a stack for the rows on the device, take all steps, and score it."""

    def run() -> tuple[Stack, list[Tensor] | None]:
        data = torch.as_tensor(job.X, device=job.device)
        stack = make(data)
        return stack, take_steps(stack, data, job, extras)

    seconds, (stack, averages) = timed(job.clock, run)
    return seconds, unexplained(job.X, lambda X: stack.reconstruct(X, averages))


def take_steps(
    stack: Stack, data: Tensor, job: Job, extras: Extras
) -> list[Tensor] | None:
    """Take all steps; return the averaged weights where there are some."""
    leaves = stack.leaves
    optimizer = _optimizer(leaves, job.lr, extras)
    averages = [p.detach().clone() for p in leaves] if extras.average else None
    current = [p.detach() for p in leaves]  # the same memory, outside autograd
    kind, bf16 = data.device.type, torch.bfloat16
    products = torch.autocast(kind, dtype=bf16) if extras.bf16 else nullcontext()
    step, epoch_losses = 0, []
    for _ in range(job.epochs):
        losses = []
        for x in _batches(data, job.batch_size):
            if stack.flat is None:
                optimizer.zero_grad(set_to_none=True)
            else:
                stack.flat.grad.zero_()  # the views in it must stay
            with products:
                loss = stack.loss(x)
            loss.backward()
            if extras.clip is not None:
                nn.utils.clip_grad_norm_(leaves, extras.clip)
            optimizer.step()
            losses.append(loss.detach())
            if averages is not None:
                step += 1
                torch._foreach_lerp_(
                    averages, current, 1 - min(0.99, step / (step + 10))
                )
        epoch_losses.append(torch.stack(losses).mean())
    torch.stack(epoch_losses).tolist()  # the one wait for the device, inside the time
    return averages


def _optimizer(
    leaves: list[Tensor], lr: float, extras: Extras
) -> torch.optim.Optimizer:
    if extras.optimizer is not None:
        return extras.optimizer(leaves, lr=lr)
    kind = torch.optim.AdamW if extras.weight_decay else torch.optim.Adam
    return kind(leaves, lr=lr, weight_decay=extras.weight_decay, fused=True)
