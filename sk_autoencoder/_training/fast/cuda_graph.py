"""One training step on a GPU, recorded once and replayed for each batch.

A step of a small network is a hundred kernels of a few microseconds each, and telling
the GPU to start one takes as long as running it. A CUDA graph starts all of them at
once. What is recorded is the loss and its gradient, noise and clipping included; the
optimizer and the average follow as usual, a few kernels on one vector.
"""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._training.config import detached
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.precision import products_in
from sk_autoencoder._utils.stack_level import caller_level

# Runs before a recording, as many as in torch's guide to CUDA graphs: libraries choose
# their kernels and reserve memory in these.
WARM_UP = 3

Scores = tuple[Tensor, dict[str, Tensor]]
Compute = Callable[[], Scores]
Record = Callable[[Compute, torch.Generator], Compute]


def cuda_graph(compute: Compute, generator: torch.Generator) -> Compute:
    """Record a computation on the current CUDA device.

    Parameters
    ----------
    compute : callable () -> (Tensor, dict of Tensor)
        The same kernels on the same memory at every call.
    generator : torch.Generator
        Draws its noise; every replay goes on drawing from it.

    Returns
    -------
    replay : callable () -> (Tensor, dict of Tensor)
        Gives the same tensors each time, their values new.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with no_search_for_garbage(), torch.cuda.graph(graph):
        result = compute()

    def replay() -> Scores:
        graph.replay()
        return result

    return replay


@contextmanager
def no_search_for_garbage() -> Iterator[None]:
    """Let Python not look for garbage in a block.

    A recording breaks off when memory of the device is given back meanwhile, such as
    that of an earlier fit's graph.
    """
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


def _reason(error: BaseException) -> str:
    """Return the first line of what broke a recording off, not of what followed."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


class CudaGraphStep:
    """Loss and gradient of a batch, recorded for each size of batch.

    Parameters
    ----------
    module : AutoEncoderModule
    flat : FlatParameters
        Its gradient is written to, whole.
    precision : {"float32", "bf16"}
    clip : float or None, default=None
        Norm to which the gradient is clipped.
    record : callable (compute, generator) -> replay
        `cuda_graph`. Where it fails, batches of that size are computed step by step,
        with one UserWarning.
    """

    def __init__(
        self,
        module: AutoEncoderModule,
        flat: FlatParameters,
        precision: str,
        *,
        clip: float | None = None,
        record: Record = cuda_graph,
    ) -> None:
        self._module, self._flat = module, flat
        self._precision, self._clip, self._record = precision, clip, record
        self._objective = module.objective
        self._has_warned = False
        self._steps: dict[tuple[int, bool], tuple[Tensor, Tensor, Compute]] = {}

    @property
    def clips(self) -> bool:
        """Whether the gradient is clipped already."""
        return self._clip is not None

    def __call__(self, x: Tensor, target: Tensor) -> Scores:
        """Write the gradient of the mean loss of centered rows; return that loss.

        Parameters
        ----------
        x, target : Tensor of shape (n, n_features)
            Often one tensor.

        Returns
        -------
        loss : Tensor, a scalar
            On the device, overwritten by the next call.
        terms : dict of str to Tensor
            Likewise, where the loss has several.
        """
        if self._objective is not self._module.objective:
            # Recorded with another noise level.
            self._steps.clear()
            self._objective = self._module.objective
        kind = x.shape[0], target is x
        if kind not in self._steps:
            self._steps[kind] = self._prepare(x, target)
        rows, aim, step = self._steps[kind]
        rows.copy_(x)
        if aim is not rows:
            aim.copy_(target)
        return step()

    def _prepare(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Compute]:
        """Record the step on memory for a batch; leave no trace of the trial."""
        rows = x.clone()
        aim = rows if target is x else target.clone()

        def compute() -> Scores:
            return self._compute(rows, aim)

        module = self._module
        buffers = dict(module.named_buffers())
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        state = module.generator.get_state()
        try:
            step = self._record(compute, module.generator)
            # A replay would go on reading the tensor that was there.
            for name, buffer in module.named_buffers():
                if buffer is not buffers.get(name):
                    raise RuntimeError(f"another tensor takes the place of {name!r}")
        except RuntimeError as error:
            step = compute
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    "expected a training step that can be recorded as a CUDA graph, "
                    f"got one that cannot, because: {_reason(error)}. It is computed "
                    "step by step, which is slower and gives the same result.",
                    UserWarning,
                    stacklevel=caller_level(),
                )
        module.generator.set_state(state)
        for name, value in before.items():
            owner, _, own_name = name.rpartition(".")
            setattr(module.get_submodule(owner), own_name, buffers[name].copy_(value))
        return rows, aim, step

    def _compute(self, x: Tensor, target: Tensor) -> Scores:
        module = self._module
        with products_in(self._precision, x.device, cache=False):
            terms = module.loss_terms(module(x), target)
        loss = module.objective.combine(terms)
        self._flat.gradient.zero_()
        loss.backward()
        if self._clip is not None:
            self._flat.clip(self._clip)
        return loss.detach(), detached(terms)
