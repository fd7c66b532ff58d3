"""What a training run carries along: averaged weights, the best state, patience."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

__all__ = ["BestState", "Patience", "WeightAverage", "lr_factor"]


class WeightAverage:
    """Exponential moving average of the weights, with a warm start.

    After step t the average moves by 1 - min(decay, t / (t + 10)) towards the
    weights: early on it forgets its random start quickly.

    Parameters
    ----------
    module : torch.nn.Module
    decay : float or None
        None averages nothing; every method is then free.

    References
    ----------
    Polyak and Juditsky (1992), Acceleration of stochastic approximation by
    averaging.
    """

    def __init__(self, module: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.steps = 0
        self._weights = [w.data for w in module.parameters()]
        self._parameters = list(module.parameters())
        self._average = [w.clone() for w in self._weights] if decay is not None else []
        self._applied = False

    def update(self) -> None:
        """Move the average after a step of the optimiser."""
        if self.decay is None:
            return
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + 10))
        torch._foreach_lerp_(self._average, self._weights, 1 - keep)

    def apply(self) -> None:
        """Put the average into the module; the raw weights are kept aside."""
        if self.decay is not None and not self._applied:
            self._swap(self._average)

    def unapply(self) -> None:
        """Put the raw weights back into the module, to train on."""
        if self._applied:
            self._swap(self._weights)

    def _swap(self, tensors: list[Tensor]) -> None:
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.data = tensor
        self._applied = not self._applied

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the module for the time of a `with` block."""
        self.apply()
        try:
            yield
        finally:
            self.unapply()

    def restart_from(self, state: dict[str, Tensor], module: nn.Module) -> None:
        """Load a state as both the weights and their average."""
        self.unapply()
        module.load_state_dict(state)
        if self.decay is not None:
            torch._foreach_copy_(self._average, self._weights)

    def raw_weights(self) -> list[Tensor]:
        """Weights as the optimiser left them, whichever are in the module now."""
        return self._weights if self.decay is not None else []

    def load_raw_weights(self, weights: list[Tensor], steps: int) -> None:
        """Take up an average that was kept: the module holds it, `weights` the raw."""
        self.steps = steps
        if self.decay is not None:
            torch._foreach_copy_(self._average, [p.data for p in self._parameters])
            torch._foreach_copy_(self._weights, weights)
            self._applied = False
            self.apply()


@dataclass
class BestState:
    """The best state of the module so far, by a score where lower is better.

    Parameters
    ----------
    keep_last : bool
        Keep the last finite state instead of the best: for training without
        validation rows.
    tol : float
        Gain over the best score that counts as one.
    """

    keep_last: bool = False
    tol: float = 0.0
    score: float = math.inf
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def start(self, module: nn.Module, score: float) -> None:
        """Keep the state before the first step, whatever its score."""
        self._copy(module)
        self.score, self.epoch = score if math.isfinite(score) else math.inf, 0

    def offer(self, module: nn.Module, score: float, epoch: int) -> None:
        """Keep the state after an epoch if it is better, or the last and finite."""
        if self.keep_last:
            better = _all_finite(module)
        else:
            better = score < self.score - self.tol
        if better:
            self._copy(module)
            self.score, self.epoch = score, epoch

    def _copy(self, module: nn.Module) -> None:
        state = module.state_dict()
        if not self.state:
            self.state = {name: value.clone() for name, value in state.items()}
            return
        for name, value in state.items():
            self.state[name].copy_(value)


def _all_finite(module: nn.Module) -> bool:
    """Tell whether every weight is finite, with one synchronisation."""
    weights = [w.detach() for w in module.parameters()]
    return bool(torch.isfinite(torch.stack(torch._foreach_norm(weights))).all())


@dataclass(frozen=True)
class Patience:
    """How long to go on without a gain.

    Parameters
    ----------
    n_iter_no_change : int or None
        Epochs; None is the larger of `steps` steps and `share` of the steps that
        the best state took.
    """

    n_iter_no_change: int | None = None
    steps: int = 400
    share: float = 0.6

    def is_over(self, *, epoch: int, best_epoch: int, steps_an_epoch: int) -> bool:
        """Tell whether to stop; both epochs are counted from this run's start."""
        without_gain = epoch - best_epoch
        if self.n_iter_no_change is not None:
            return without_gain >= self.n_iter_no_change
        allowed = max(self.steps, self.share * best_epoch * steps_an_epoch)
        return without_gain * steps_an_epoch >= allowed


Schedule = str | float | Callable[[int], float] | None


def lr_factor(schedule: Schedule, epoch: int, max_epochs: int) -> float:
    """Give the factor on the learning rate in an epoch, counted from 0.

    Parameters
    ----------
    schedule : None, float, "cosine" or callable
        Constant; multiplied after each epoch; half a cosine to zero over
        `max_epochs`; or a function of the epoch.
    epoch, max_epochs : int
    """
    if schedule is None:
        return 1.0
    if callable(schedule):
        return float(schedule(epoch))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / max(1, max_epochs))))
    return float(schedule) ** epoch
