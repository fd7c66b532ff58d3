"""The state of a net as plain arrays: what pickle, joblib and deepcopy keep.

A net is built again from its plan and these arrays. Nothing here knows a device:
what was trained on a GPU comes back on the CPU where there is none.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns.likelihoods import PerColumnVariance
from sk_autoencoder._fitting.build import build_net, build_prefix_net, resolve_device
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._saving.checks import check_arrays, need
from sk_autoencoder._saving.optimizer_checks import check_optimizer
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.state_checks import check_model
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.net_state import (
    NetState,
    capture_net,
    fill_net,
    to_array,
    without_moments,
)
from sk_autoencoder._utils.torch_compat import NormBase, torch_defaults


def capture(fitted: FittedModel) -> ModelState:
    """Copy what a fit gave into arrays, plain numbers and specifications.

    Parameters
    ----------
    fitted : FittedModel
        Between two runs: the averaged weights are in the module.
    """
    prefixes = fitted.prefix_net
    return ModelState(
        plan=fitted.plan,
        moments=fitted.moments,
        net=capture_net(fitted.net),
        prefix_net=None if prefixes is None else capture_net(prefixes),
        prefix_errors=fitted.prefix_errors,
        kl=fitted.kl,
        prior=fitted.prior,
        imputation=fitted.imputation,
        pretrained=fitted.pretrained,
        alignment_error=fitted.alignment_error,
    )


def restore(state: ModelState, *, trusted: bool = True) -> FittedModel:
    """Build the nets of a plan and write a state into them.

    Parameters
    ----------
    state : ModelState
        From `capture`. The device of its plan is used where it is there, the CPU else.
    trusted : bool
        Whether it is from `capture` for sure; else everything is checked first.

    Raises
    ------
    ValueError
        If a state that is not trusted is none that `capture` gives.
    """
    with torch_defaults():
        return _restore(state, trusted)


def _restore(state: ModelState, trusted: bool) -> FittedModel:
    if not trusted:
        check_model(state)
    plan = state.plan
    try:
        resolve_device(plan.device)
    except ValueError:
        plan = replace(plan, device="cpu")
    nets = {"net": build_net(plan)}
    if state.prefix_net is not None:
        nets["prefix_net"] = build_prefix_net(plan, nets["net"].module_)
    if not trusted:
        for name, net in nets.items():
            check_against(net, state.nets[name])
    for name, net in reversed(nets.items()):
        fill_net(net, state.nets[name])
    return FittedModel(
        plan,
        nets["net"],
        moments=state.moments,
        prefix_net=nets.get("prefix_net"),
        prefix_errors=state.prefix_errors,
        kl=state.kl,
        prior=state.prior,
        imputation=state.imputation,
        pretrained=state.pretrained,
        alignment_error=state.alignment_error,
    )


def check_against(net: AutoEncoderNet, state: NetState) -> None:
    """Refuse a state of other arrays than those of a net that was just built.

    Parameters
    ----------
    net : AutoEncoderNet
        Its optimizer may take a step.
    state : NetState
    """
    module = net.module_.state_dict()
    check_arrays("module", state.module, module)
    for name, tensor in module.items():
        check_numbers(name, state.module[name], to_array(tensor))
    for name, least in least_values(net.module_).items():
        need((state.module[name] >= least).all(), f"{name} below {least:g}")
    raw, given = net.average_.raw_weights(), state.raw_weights
    need(len(given) == len(raw), "weights of another net")
    weights = {str(i): weight for i, weight in enumerate(raw)}
    check_arrays("weights", dict(zip(weights, given, strict=True)), weights)
    for array in given:
        need(np.isfinite(array).all(), "weights that are not finite")
    check_optimizer(net.raw_optimizer_, state.optimizer)


def check_numbers(name: str, array: np.ndarray, built: np.ndarray) -> None:
    """Refuse numbers that are not finite, and positions that are others.

    What is not finite by design, such as the range of a category, is so in a net that
    was just built.

    Parameters
    ----------
    name : str
        In the state of a module.
    array, built : ndarray
        From a file, and of such a net.
    """
    if array.dtype.kind == "f":
        same = np.array_equal(np.isfinite(array), np.isfinite(built))
        need(same, f"{name} with numbers that are not finite")
    elif name.endswith("num_batches_tracked"):
        need((array >= 0).all(), f"{name} below 0")
    else:
        need(np.array_equal(array, built), f"{name} of other columns")


def least_values(module: torch.nn.Module) -> dict[str, float]:
    """Return the least values of what a module divides by, by their names in its state.

    Parameters
    ----------
    module : torch.nn.Module
    """
    least = {}
    for prefix, part in module.named_modules():
        if isinstance(part, PerColumnVariance):
            names: tuple[str, ...] = ("running", "variance")
            value = PerColumnVariance.FLOOR
        elif isinstance(part, NormBase):
            names, value = ("running_var",), 0.0
        else:
            continue
        for name in names:
            if getattr(part, name) is not None:
                # float32 rounds the floor itself down.
                least[f"{prefix}.{name}"] = value * (1 - 1e-6)
    return least


def without_optimizer(state: ModelState) -> ModelState:
    """Leave what the optimizers remember out of a state."""
    nets: dict[str, Any] = {
        name: without_moments(net) for name, net in state.nets.items()
    }
    return replace(state, **nets)
