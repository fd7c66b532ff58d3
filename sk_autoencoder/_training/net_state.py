"""A net as arrays: what a file, a pickle and a snapshot of a fit keep of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch

from sk_autoencoder._utils.values import Range

Stop = Literal["", "max_epochs", "patience", "callback", "loss", "interrupt"]
"""What ended a run: "" of none, of a pass, and in files of 0.1.0, which do not tell."""


@dataclass(frozen=True)
class NetState:
    """The state of a net between two of its runs.

    Attributes
    ----------
    module : dict of str to ndarray
        Of the module, with the averaged weights.
    raw_weights : list of ndarray
        Weights that the optimizer moves; none where the averaged ones are to be.
    steps : int
        That the average has seen.
    optimizer : dict or None
        As its `state_dict` gives it, with arrays for tensors. None where the state is
        for use alone: then there are no raw weights and no generators either, and
        training goes on with fresh ones.
    order, noise : ndarray of uint8 or None
        States of the generators of the batches and of the noise.
    device : str
        Kind of the device that the net was on.
    history : list of dict
        One for each of the last epochs.
    best_epoch, n_dropped : int
        The best epoch; how many come before the history.
    stopped : Stop
        What ended the last run.
    """

    module: dict[str, Any]
    raw_weights: list[Any]
    steps: Annotated[int, Range(0)]
    optimizer: dict[str, Any] | None
    order: Any
    noise: Any
    device: str
    history: list[dict[str, Any]]
    best_epoch: Annotated[int, Range(0)]
    n_dropped: Annotated[int, Range(0)]
    stopped: Stop


def capture_net(net: Any) -> NetState:
    """Copy the state of one net."""
    return NetState(
        module=map_tensors(net.module_.state_dict(), to_array),
        raw_weights=map_tensors(net.average_.raw_weights(), to_array),
        steps=net.average_.steps,
        optimizer=map_tensors(net.raw_optimizer_.state_dict(), to_array),
        order=to_array(net.order_.get_state()),
        noise=to_array(net.noise_.get_state()),
        device=torch.device(net.device).type,
        history=[dict(row) for row in net.history],
        best_epoch=net.best_epoch_,
        n_dropped=net.n_dropped_,
        stopped=net.stopped_,
    )


def fill_net(net: Any, state: NetState) -> None:
    """Write the state of one net into a net of the same plan, between two runs."""
    device = torch.device(net.device)
    net.average_.unapply()
    net.module_.load_state_dict(map_tensors(state.module, to_tensor))
    raw = [weight.to(device) for weight in map_tensors(state.raw_weights, to_tensor)]
    net.average_.load_raw_weights(raw, state.steps)
    net.lacks_optimizer_ = state.optimizer is None
    if state.optimizer is not None:
        net.raw_optimizer_.load_state_dict(map_tensors(state.optimizer, to_tensor))
        net.order_.set_state(to_tensor(state.order))
        if device.type == state.device:
            net.noise_.set_state(to_tensor(state.noise))
    net.history[:] = state.history
    net.best_epoch_ = state.best_epoch
    net.n_dropped_, net.stopped_ = state.n_dropped, state.stopped
    net.module_.eval()


def without_moments(state: NetState) -> NetState:
    """Leave what the optimizer remembers out of a state."""
    assert state.optimizer is not None
    return replace(state, optimizer={**state.optimizer, "state": {}})


def for_use(state: NetState, exact: Mapping[str, np.ndarray]) -> NetState:
    """Leave out of a state what only further training needs, and what is known.

    Parameters
    ----------
    state : NetState
    exact : mapping of str to ndarray
        What the module of a net that was just built has, by name.
    """
    module = {
        name: array
        for name, array in state.module.items()
        if name not in exact or not np.array_equal(exact[name], array)
    }
    return replace(
        state, module=module, raw_weights=[], optimizer=None, order=None, noise=None
    )


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor."""
    return tensor.detach().cpu().numpy().copy()


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Copy an array."""
    return torch.from_numpy(array.copy())


def map_tensors(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to every tensor or array in nested dicts and lists."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return function(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, function) for item in value)
    return value
