"""Checks of an optimizer's state that came from a file.

A fused kernel takes the memory of its moments on trust. So they are compared, in name,
shape and dtype, with those that an optimizer of the same settings has after a step.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._saving.checks import check_names
from sk_autoencoder._training.adam import OF_TORCH, FlatAdam
from sk_autoencoder._utils.values import MOST_INT, shortened

# Numbers that a learning rate scheduler leaves in a group.
OF_SCHEDULERS = frozenset(
    {
        "base_momentum",
        "initial_lr",
        "max_lr",
        "max_momentum",
        "min_lr",
        "swa_lr",
    }
)
# State that is a square, a size or a count.
NOT_BELOW_ZERO = frozenset(
    {
        "acc_delta",
        "exp_avg_sq",
        "exp_inf",
        "func_evals",
        "max_exp_avg_sq",
        "n_iter",
        "square_avg",
        "step",
        "step_size",
        "sum",
    }
)
# Factors of running means, each below 1.
FACTORS = ("betas", "momentum", "alpha", "rho", "dampening", "lambd")


def check_optimizer(optimizer: FlatAdam | torch.optim.Optimizer, state: Any) -> None:
    """Refuse a state that the optimizer of a net that was just built cannot have.

    Parameters
    ----------
    optimizer : FlatAdam or torch optimizer
        Its weights may be changed: they are to be overwritten anyway.
    state : dict
        As `state_dict` gives it, with arrays for tensors.
    """
    _need(isinstance(state, dict), "an optimizer whose state is no dict")
    check_names("an optimizer", state, ("state", "param_groups"))
    expected = optimizer.state_dict()["param_groups"]
    groups = state["param_groups"]
    _need(
        isinstance(groups, list) and len(groups) == len(expected),
        "another number of groups of weights",
    )
    ignored = OF_TORCH if isinstance(optimizer, FlatAdam) else frozenset()
    for group, own in zip(groups, expected, strict=True):
        _check_group(group, own, ignored)
    moments = state["state"]
    _need(isinstance(moments, dict), "moments of an optimizer that are no dict")
    if moments:
        _check_moments(moments, optimizer, groups)


def _need(good: Any, what: str) -> None:
    if not good:
        raise ValueError(f"{what}, in the state of the optimizer")


def _check_group(group: Any, own: Mapping[str, Any], ignored: frozenset[str]) -> None:
    """Check the settings of a group of weights against those of a fresh one."""
    _need(isinstance(group, dict), "settings that are no dict")
    check_names("settings of an optimizer", group, own.keys(), OF_SCHEDULERS | ignored)
    _need(group["params"] == own["params"], "settings of other weights")
    for name, value in group.items():
        if name == "params":
            continue
        like = own.get(name, 0.0 if name in OF_SCHEDULERS else None)
        good = _is_like(value, like) or name in ignored - own.keys()
        if good and name in FACTORS:
            values = value if isinstance(value, tuple) else (value,)
            good = all(0 <= factor <= 1 for factor in values)
            good = good and (name != "betas" or max(values) < 1)
        _need(good, f"a setting {name}={shortened(value)}")


def _is_like(value: Any, own: Any) -> bool:
    """Whether a setting is of the kind of a fresh one: flags are the same."""
    if isinstance(own, tuple | list):
        same = type(value) is type(own) and len(value) == len(own)
        return same and all(map(_is_like, value, own))
    if isinstance(own, Tensor):
        own = own.item()
    if isinstance(own, bool) or not isinstance(own, int | float):
        return type(value) is type(own) and value == own
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and (value >= 0 or own < 0) and abs(value) <= MOST_INT


def _check_moments(
    moments: Mapping[Any, Any],
    optimizer: FlatAdam | torch.optim.Optimizer,
    groups: list[dict[str, Any]],
) -> None:
    """Check what an optimizer remembers of each of its weights."""
    if isinstance(optimizer, torch.optim.LBFGS):
        _check_lbfgs(moments, optimizer)
        return
    expected = _after_a_step(optimizer, groups)
    _need(moments.keys() <= expected.keys(), "moments of other weights")
    for key, own in expected.items():
        # Weights that have had no gradient have no moments.
        if key in moments:
            _need(isinstance(moments[key], dict), "moments that are no dict")
            check_names("moments of an optimizer", moments[key], own.keys())
            for name, value in moments[key].items():
                _check_moment(name, value, own[name])


def _after_a_step(
    optimizer: FlatAdam | torch.optim.Optimizer, groups: list[dict[str, Any]]
) -> dict[Any, Any]:
    """Return the state of an optimizer that has made a step along no gradient.

    By the settings in the file, which are checked: a scheduler may have set others than
    the optimizer was made with, such as a momentum.
    """
    if isinstance(optimizer, FlatAdam):
        return {0: optimizer.fresh_state()}
    optimizer.load_state_dict({"state": {}, "param_groups": copy.deepcopy(groups)})
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
    optimizer.step()
    state: dict[Any, Any] = optimizer.state_dict()["state"]
    return state


def _check_moment(name: str, value: Any, own: Any) -> None:
    """Check one thing that is remembered against that of a fresh optimizer."""
    if isinstance(own, Tensor):
        dtype = torch.empty(0, dtype=own.dtype).numpy().dtype
        good = isinstance(value, np.ndarray) and value.dtype == dtype
        _need(
            good and value.shape == tuple(own.shape) and np.isfinite(value).all(),
            f"another {name} than one of shape {tuple(own.shape)} and dtype {dtype}",
        )
        good = name not in NOT_BELOW_ZERO or (value >= 0).all()
    else:
        good = _is_like(value, own) if isinstance(own, int | float) else value is own
    _need(good, f"{name} out of range")


def _check_lbfgs(moments: Mapping[Any, Any], optimizer: torch.optim.LBFGS) -> None:
    """Check the memory of LBFGS, whose names come one by one."""
    n_weights = sum(weight.numel() for weight in optimizer.param_groups[0]["params"])
    most = int(optimizer.param_groups[0]["history_size"])
    _need(moments.keys() == {0} and isinstance(moments[0], dict), "other moments")
    vectors = ("d", "prev_flat_grad", "old_dirs", "old_stps")
    numbers = ("func_evals", "n_iter", "t", "ro", "H_diag", "prev_loss", "al")
    check_names("moments of LBFGS", moments[0], (), {*vectors, *numbers})
    for name, value in moments[0].items():
        values = value if isinstance(value, list) else [value]
        size = n_weights if name in vectors else 1
        good: Callable[[Any], bool] = lambda item: _is_vector(item, size)  # noqa: E731, B023
        _need(
            len(values) <= max(most, 1) and all(map(good, values)),
            f"{name} of other weights",
        )


def _is_vector(item: Any, size: int) -> bool:
    """Whether this is an array of so many finite numbers, or one number."""
    if isinstance(item, np.ndarray):
        is_flat = item.ndim <= 1 and item.size == size
        return is_flat and item.dtype == np.float32 and bool(np.isfinite(item).all())
    if item is None or isinstance(item, bool) or not isinstance(item, int | float):
        return item is None
    return size == 1 and math.isfinite(item)
