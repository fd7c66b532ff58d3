"""The state of a net as plain arrays: what pickle, joblib and deepcopy keep.

A net is built again from its plan and these arrays. Nothing here knows a device:
what was trained on a GPU comes back on the CPU where there is none.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._assembly import build_net, build_prefix_net, resolve_device
from sk_autoencoder._fitting import Fitted
from sk_autoencoder._net import AutoEncoderNet

__all__ = ["capture", "restore", "without_optimizer"]


def capture(fitted: Fitted) -> dict[str, Any]:
    """Copy what a fit gave into arrays, plain numbers and specifications.

    Parameters
    ----------
    fitted : Fitted
        Between two runs: the averaged weights are in the module.

    Returns
    -------
    state : dict
    """
    prefixes = fitted.prefix_net
    return {
        "plan": fitted.plan,
        "moments": fitted.moments,
        "net": _capture_net(fitted.net),
        "prefix_net": None if prefixes is None else _capture_net(prefixes),
        "prefix_errors": fitted.prefix_errors,
        "kl": fitted.kl,
        "prior": fitted.prior,
        "pretrained": fitted.pretrained,
    }


def restore(state: dict[str, Any]) -> Fitted:
    """Build the nets of a plan and write a state into them.

    Parameters
    ----------
    state : dict
        From `capture`. The device of its plan is used where it is there, the CPU else.
    """
    plan = state["plan"]
    try:
        resolve_device(plan.device)
    except ValueError:
        plan = replace(plan, device="cpu")
    net = build_net(plan)
    prefix_net = None
    if state["prefix_net"] is not None:
        prefix_net = build_prefix_net(plan, net.module_)
        _fill_net(prefix_net, state["prefix_net"])
    _fill_net(net, state["net"])
    names = ("moments", "prefix_errors", "kl", "prior")
    parts = {name: state[name] for name in names}
    # States that were saved before there was pretraining lack it.
    pretrained = state.get("pretrained", ())
    return Fitted(plan, net, prefix_net=prefix_net, pretrained=pretrained, **parts)


def without_optimizer(state: dict[str, Any]) -> dict[str, Any]:
    """Leave what the optimisers remember out of a state."""
    kept = dict(state)
    for name in ("net", "prefix_net"):
        if kept[name] is not None:
            groups = kept[name]["optimizer"]["param_groups"]
            bare = {"state": {}, "param_groups": groups}
            kept[name] = {**kept[name], "optimizer": bare}
    return kept


def _capture_net(net: AutoEncoderNet) -> dict[str, Any]:
    """Copy the state of one net."""
    return {
        "module": _map_tensors(net.module_.state_dict(), _to_array),
        "raw_weights": _map_tensors(net.average_.raw_weights(), _to_array),
        "steps": net.average_.steps,
        "optimizer": _map_tensors(net.stepper_.state_dict(), _to_array),
        "order": _to_array(net.order_.get_state()),
        "noise": _to_array(net.noise_.get_state()),
        "device": torch.device(net.device).type,
        "history": [dict(row) for row in net.history],
        "best_epoch": net.best_epoch_,
    }


def _fill_net(net: AutoEncoderNet, state: dict[str, Any]) -> None:
    """Write the state of one net into a net that was just built."""
    device = torch.device(net.device)
    net.module_.load_state_dict(_map_tensors(state["module"], _to_tensor))
    raw = [
        weight.to(device) for weight in _map_tensors(state["raw_weights"], _to_tensor)
    ]
    net.average_.load_raw_weights(raw, state["steps"])
    net.stepper_.load_state_dict(_map_tensors(state["optimizer"], _to_tensor))
    net.order_.set_state(_to_tensor(state["order"]))
    if device.type == state["device"]:
        net.noise_.set_state(_to_tensor(state["noise"]))
    net.history.extend(state["history"])
    net.best_epoch_ = state["best_epoch"]
    net.module_.eval()


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
