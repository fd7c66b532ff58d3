"""The state of a net as plain arrays: what pickle, joblib and deepcopy keep.

A net is built again from its plan and these arrays. Nothing here knows a device:
what was trained on a GPU comes back on the CPU where there is none.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from sk_autoencoder._columns import least_size
from sk_autoencoder._columns.likelihoods import PerColumnVariance
from sk_autoencoder._fitting.build import build_net, build_prefix_net, resolve_device
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._saving.checks import check_arrays, need
from sk_autoencoder._saving.optimizer_checks import check_optimizer
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.state_checks import MOST_MADE, check_model
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.net_state import (
    NetState,
    capture_net,
    fill_net,
    for_use,
    to_array,
)
from sk_autoencoder._utils.float64_buffers import exact_arrays
from sk_autoencoder._utils.torch_compat import NormBase, torch_defaults

# Of a module that decodes prefixes, the part that does.
PREFIXES = "prefixes"


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
    states = _completed(state, {name: net.module_ for name, net in nets.items()})
    if not trusted:
        for name, net in nets.items():
            check_against(net, states[name])
    for name, net in reversed(nets.items()):
        fill_net(net, states[name])
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


def _completed(
    state: ModelState, modules: Mapping[str, torch.nn.Module]
) -> dict[str, NetState]:
    """Return the states of nets with what `for_use_alone` has left out of them."""
    found = dict(state.nets)
    if "prefix_net" in found and not found["prefix_net"].module:
        own = f"{PREFIXES}."
        decoder = {
            f"decoder.{name.removeprefix(own)}": array
            for name, array in found["net"].module.items()
            if name.startswith(own)
        }
        found["prefix_net"] = replace(found["prefix_net"], module=decoder)
    for name, net in found.items():
        if net.optimizer is None:
            known = modules[name].state_dict()
            exact = {key: to_array(known[key]) for key in exact_arrays(modules[name])}
            found[name] = replace(net, module={**exact, **net.module})
    return found


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
    if state.optimizer is None:
        raw = raw[:0]
    need(len(given) == len(raw), "weights of another net")
    weights = {str(i): weight for i, weight in enumerate(raw)}
    check_arrays("weights", dict(zip(weights, given, strict=True)), weights)
    for array in given:
        need(np.isfinite(array).all(), "weights that are not finite")
    if state.optimizer is not None:
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


def for_use_alone(state: ModelState) -> ModelState:
    """Leave what only further training needs out of a state.

    So are arrays that a net of the plan has when it is built, which the plan has in
    float64, and a decoder of prefixes, which the module has too.
    """
    plan = replace(state.plan, device="cpu")
    with torch_defaults():
        net = build_net(plan)
        if state.prefix_net is not None:
            build_prefix_net(plan, net.module_)
    known, table = net.module_.state_dict(), plan.table
    exact = {name: to_array(known[name]) for name in exact_arrays(net.module_)}
    if table is not None and least_size(table) > MOST_MADE:
        exact = {}  # nobody is to make so many numbers of a file of few
    prefixes = state.prefix_net
    return replace(
        state,
        net=for_use(state.net, exact),
        prefix_net=None
        if prefixes is None
        else replace(for_use(prefixes, {}), module={}),
    )
