"""A run of a net as it was at the end of an epoch, and how it is taken up again.

A fit is a row of runs: layers one by one, all layers, the decoder of prefixes, the
sizes that a search tries. All that it computes in between follows from the data, the
parameters and the runs before. So a fit that was killed is called again and computes
that anew; only its runs are not trained again, but taken from where they are kept.
"""

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from skorch.callbacks import PrintLog, ProgressBar

from sk_autoencoder._training.callbacks import EpochBar
from sk_autoencoder._training.net_state import (
    NetState,
    Stop,
    capture_net,
    fill_net,
    map_tensors,
    to_array,
    to_tensor,
)
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import Range, is_plain, shortened

# Callbacks that only show something.
SHOWING = (PrintLog, ProgressBar, EpochBar)


class ForeignStateError(ValueError):
    """Raised where a state is not one of this fit's callbacks."""


@dataclass(frozen=True)
class RunState:
    """The state of a run between two of its epochs, or after its end.

    What is known before its first step is not in it: that is computed anew.

    Attributes
    ----------
    net : NetState
        With the averaged weights in its module.
    callbacks : dict of str to dict
        What callbacks remember, by their names.
    frozen : list of str
        Names of the weights that are not trained.
    start_loss : float or None
        Of the validation samples before the first step, if it is finite.
    diverged : bool
        Whether the loss of the last epoch was not finite.
    stopped : Stop
        Why there is to be no further epoch; "" where there may be one.
    best : dict of str to ndarray or None
        State of the module that would be kept if this were the end. None after the end.
    best_score : float or None
        Of that, if it is finite.
    best_epoch : int
        Of this run after which it was reached.
    """

    net: NetState
    callbacks: dict[str, Any]
    frozen: list[str]
    start_loss: float | None
    diverged: bool = False
    stopped: Stop = ""
    best: dict[str, Any] | None = None
    best_score: float | None = None
    best_epoch: Annotated[int, Range(0)] = 0

    @property
    def is_ended(self) -> bool:
        """Whether the run has come to its end."""
        return self.best is None


class RunKeeper(ABC):
    """Where the runs of one fit are kept, in the order in which they are begun."""

    @abstractmethod
    def next_run(self, net: Any) -> RunState | None:
        """Return the run that a net begins, as it was kept; None if it was not.

        Parameters
        ----------
        net : AutoEncoderNet
            Before its first step; it is left as it is.
        """

    @abstractmethod
    def keep(self, state: RunState) -> None:
        """Keep the run that was begun last as it is now."""


def capture_run(net: Any, run: Any = None) -> RunState:
    """Copy the state of a run.

    Parameters
    ----------
    net : AutoEncoderNet
    run : TrainingRun or None
        Of the net, between two epochs; None once it has ended.
    """
    frozen = [name for name, p in net.module_.named_parameters() if not p.requires_grad]
    callbacks = {
        name: state
        for name, callback in net.callbacks_
        if (state := _callback_state(callback))
    }
    if run is None:
        last = net.last_run_
        return RunState(
            net=capture_net(net),
            callbacks=callbacks,
            frozen=frozen,
            start_loss=_if_finite(last.start_loss),
            diverged=last.diverged,
        )
    with net.average_.applied():
        between = capture_net(net)
    return RunState(
        net=between,
        callbacks=callbacks,
        frozen=frozen,
        start_loss=_if_finite(run.start_loss),
        stopped=run.stopped,
        best=map_tensors(run.best.state, to_array),
        best_score=_if_finite(run.best.score),
        best_epoch=run.best.epoch,
    )


def begin_from(run: Any, state: RunState) -> None:
    """Bring a run that has just begun to where it was.

    Parameters
    ----------
    run : TrainingRun
    state : RunState
        That has not ended.
    """
    net = run.net
    _fill(net, state)
    net.average_.unapply()
    run.best.replace(
        map_tensors(state.best, to_tensor),
        math.inf if state.best_score is None else state.best_score,
        state.best_epoch,
    )
    run.stopped = state.stopped
    run.n_taken = (net.n_epochs_ - run.first_epoch) * len(run.batches)
    run.interrupts.has_stepped = True  # an interrupt leaves something to be kept


def skip_run(net: Any, state: RunState) -> tuple[float, bool]:
    """Bring a net to the end of a run.

    Parameters
    ----------
    net : AutoEncoderNet
    state : RunState
        That has ended.

    Returns
    -------
    start_loss : float
    diverged : bool
    """
    net.average_.set_decay(net.config.weight_average)
    _fill(net, state)
    net.module_.use_generator(net.noise_)
    start_loss = math.inf if state.start_loss is None else state.start_loss
    return start_loss, state.diverged


def _fill(net: Any, state: RunState) -> None:
    """Write what a run has changed into its net and the net's callbacks."""
    fill_net(net, state.net)
    for name, parameter in net.module_.named_parameters():
        parameter.requires_grad_(name not in state.frozen)
    for name, callback in net.callbacks_:
        if name in state.callbacks:
            _load_callback(name, callback, state.callbacks[name])
    forgetful = [
        type(callback).__name__
        for _, callback in net.callbacks_
        if is_own_callback(callback) and not _gives_state(callback)
    ]
    if forgetful:
        warnings.warn(
            f"The fit goes on after epoch {len(net.history)}, but "
            f"{', '.join(forgetful)} has no state_dict and load_state_dict: what it "
            "remembered of the epochs before is lost.",
            UserWarning,
            stacklevel=caller_level(),
        )


def _if_finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


# -- callbacks -----------------------------------------------------------------------


def is_own_callback(callback: Any) -> bool:
    """Whether a callback is of the user's own, neither skorch's nor ours."""
    return type(callback).__module__.partition(".")[0] not in (
        "skorch",
        "sk_autoencoder",
    )


def _gives_state(part: Any) -> bool:
    has_both = hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
    return has_both and not isinstance(part, type)


def _callback_state(callback: Any) -> dict[str, Any]:
    """Return what a callback remembers: by itself, or its attributes of skorch's style.

    Those end in an underscore. What is infinite is left out: it is so at the start.
    """
    if isinstance(callback, SHOWING):
        return {}
    if _gives_state(callback):
        return _storable(callback.state_dict())
    state = {}
    for name, value in vars(callback).items():
        if name.endswith("_") and _gives_state(value):
            state[name] = _storable(value.state_dict())
        elif name.endswith("_"):
            state |= _storable({name: value})
    return state


def _storable(state: Any) -> dict[str, Any]:
    """Return the items of a dict that a file can hold: plain ones, dicts of tensors."""
    found = {}
    for name, value in state.items():
        plain = value.item() if isinstance(value, np.generic) else value
        plain = to_array(plain) if isinstance(plain, torch.Tensor) else plain
        if isinstance(plain, dict) and all(
            isinstance(item, torch.Tensor) for item in plain.values()
        ):
            plain = map_tensors(plain, to_array)
        elif not (isinstance(plain, np.ndarray) or is_plain(plain)):
            continue
        found[name] = plain
    return found


def _load_callback(name: str, callback: Any, state: Any) -> None:
    """Restore what a callback remembered."""
    if not isinstance(state, dict):
        raise ForeignStateError(f"a state of the callback {name} that is no dict")
    if _gives_state(callback):
        callback.load_state_dict(map_tensors(state, to_tensor))
        return
    for key, value in state.items():
        own = vars(callback).get(key)
        if _gives_state(own) and isinstance(value, dict):
            assert own is not None
            own.load_state_dict({**own.state_dict(), **value})
        elif _is_like(value, own):
            setattr(callback, key, map_tensors(value, to_tensor))
        else:
            what = f"a state {key}={shortened(value)} of the callback {name}"
            raise ForeignStateError(what)


def _is_like(value: Any, own: Any) -> bool:
    """Whether a value is of the kind of another: any two numbers are, and dicts."""
    if own is None or value is None:
        return True
    if isinstance(own, dict):
        return isinstance(value, dict)
    if isinstance(own, bool) or isinstance(value, bool):
        return type(value) is type(own)
    if isinstance(own, int | float):
        return isinstance(value, int | float)
    return isinstance(value, type(own))
