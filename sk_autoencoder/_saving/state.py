"""The state of a net as plain arrays: what pickle, joblib and deepcopy keep.

A net is built again from its plan and these arrays. Nothing here knows a device:
what was trained on a GPU comes back on the CPU where there is none.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from sk_autoencoder._columns import least_size
from sk_autoencoder._fitting.build import build_net, build_prefix_net, resolve_device
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._saving.net_checks import check_state
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.state_checks import MOST_MADE, check_model
from sk_autoencoder._training.net_state import (
    NetState,
    capture_net,
    fill_net,
    for_use,
    to_array,
)
from sk_autoencoder._utils.float64_buffers import exact_arrays
from sk_autoencoder._utils.torch_compat import torch_defaults

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
        **_shared_fields(fitted),
        net=capture_net(fitted.net),
        prefix_net=None if prefixes is None else capture_net(prefixes),
    )


def _shared_fields(model: FittedModel | ModelState) -> dict[str, Any]:
    """Return the attributes that a fit and its state share: all but the nets."""
    names = [field.name for field in fields(ModelState)]
    return {n: getattr(model, n) for n in names if n not in ("net", "prefix_net")}


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
            check_state(net, states[name])
    for name, net in reversed(nets.items()):
        fill_net(net, states[name])
    shared = {**_shared_fields(state), "plan": plan}
    return FittedModel(**shared, net=nets["net"], prefix_net=nets.get("prefix_net"))


def _completed(
    state: ModelState, modules: Mapping[str, torch.nn.Module]
) -> dict[str, NetState]:
    """Return the states of nets with what `for_use_alone` has left out of them."""
    found = dict(state.nets)
    if "prefix_net" in found and not found["prefix_net"].module:
        shared = {
            name.replace(PREFIXES, "decoder", 1): array
            for name, array in found["net"].module.items()
            if name.startswith((f"{PREFIXES}.", "recoder."))
        }
        found["prefix_net"] = replace(found["prefix_net"], module=shared)
    for name, net in found.items():
        if net.optimizer is None:
            known = modules[name].state_dict()
            exact = {key: to_array(known[key]) for key in exact_arrays(modules[name])}
            found[name] = replace(net, module={**exact, **net.module})
    return found


def for_use_alone(state: ModelState) -> ModelState:
    """Leave what only further training needs out of a state.

    So are arrays that a net of the plan has when it is built, which the plan has in
    float64, and a decoder of prefixes and a recoder, which the module has too.
    """
    plan = replace(state.plan, device="cpu")
    with torch_defaults():
        net = build_net(plan)
        if state.prefix_net is not None:
            build_prefix_net(plan, net.module_)
    known, table = net.module_.state_dict(), plan.table
    exact = {name: to_array(known[name]) for name in exact_arrays(net.module_)}
    if table is not None and least_size(table) > MOST_MADE:
        exact = {}  # a small file must not make its reader allocate large arrays
    prefixes = state.prefix_net
    return replace(
        state,
        net=for_use(state.net, exact),
        prefix_net=None
        if prefixes is None
        else replace(for_use(prefixes, {}), module={}),
    )
