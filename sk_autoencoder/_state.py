"""The state of a net as plain arrays: what pickle, joblib and deepcopy keep.

A net is built again from its plan and these arrays. Nothing here knows a device:
what was trained on a GPU comes back on the CPU where there is none.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._assembly import Plan, build_net, resolve_device
from sk_autoencoder._net import AutoEncoderNet

__all__ = ["capture", "restore"]


def capture(net: AutoEncoderNet) -> dict[str, Any]:
    """Copy the state of a net into arrays and plain numbers.

    Parameters
    ----------
    net : AutoEncoderNet
        Between two runs: the averaged weights are in the module.

    Returns
    -------
    state : dict
    """
    return {
        "module": _map_tensors(net.module_.state_dict(), _to_array),
        "raw_weights": _map_tensors(net.average_.raw_weights(), _to_array),
        "steps": net.average_.steps,
        "optimizer": _map_tensors(net.optimizer_.state_dict(), _to_array),
        "order": _to_array(net.order_.get_state()),
        "noise": _to_array(net.noise_.get_state()),
        "device": torch.device(net.device).type,
        "history": [dict(row) for row in net.history],
        "best_epoch": net.best_epoch_,
    }


def restore(plan: Plan, state: dict[str, Any]) -> AutoEncoderNet:
    """Build the net of a plan and write a state into it.

    Parameters
    ----------
    plan : Plan
        Its device is used where it is there, the CPU else.
    state : dict
        From `capture`.
    """
    try:
        device = resolve_device(plan.device)
    except ValueError:
        device = torch.device("cpu")
        plan = replace(plan, device="cpu")
    net = build_net(plan)
    net.module_.load_state_dict(_map_tensors(state["module"], _to_tensor))
    raw = [
        weight.to(device) for weight in _map_tensors(state["raw_weights"], _to_tensor)
    ]
    net.average_.load_raw_weights(raw, state["steps"])
    net.optimizer_.load_state_dict(_map_tensors(state["optimizer"], _to_tensor))
    net.order_.set_state(_to_tensor(state["order"]))
    if device.type == state["device"]:
        net.noise_.set_state(_to_tensor(state["noise"]))
    net.history.extend(state["history"])
    net.best_epoch_ = state["best_epoch"]
    net.module_.eval()
    return net


def _to_array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _to_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())


def _map_tensors(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to every tensor or array in nested dicts and lists."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return function(value)
    if isinstance(value, dict):
        return {key: _map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_tensors(item, function) for item in value)
    return value
