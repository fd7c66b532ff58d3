"""Settings of a net that are set anew, or taken away, between two of its runs."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from sk_autoencoder._training.callbacks import EpochBar
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.comparison import is_same

__all__ = ["update_settings"]

# What a net is built around stays as it is, whatever the settings now say.
KEPT = frozenset({"optimizer", "optimizer__fused", "flatten"})
OPTIMIZER = "optimizer__"


def update_settings(
    net: AutoEncoderNet,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """Bring a net up to date with settings; those taken away are defaults again.

    Parameters
    ----------
    net : AutoEncoderNet
        Between two runs.
    old, new : mapping of str to object
        Further arguments that it was built with, and those that it would now be built
        with.
    defaults : mapping of str to object
        Of settings whose default is not the net's own.

    Returns
    -------
    settings : dict of str to object
        Those that the net has now: it can be built of them.
    """
    changed = {
        name: value
        for name, value in new.items()
        if name not in KEPT
        and name != "callbacks"
        and (name not in old or not is_same(value, old[name]))
    }
    removed = old.keys() - new.keys() - KEPT
    if "lr_schedule" in changed:
        changed["lr"] = new["lr"]  # the old schedule had moved it
    found = {**_own_defaults(), **_optimizer_defaults(new, removed), **defaults}
    net.set_params(**changed, **{n: found[n] for n in removed & found.keys()})
    for name in removed - _own_defaults().keys():
        net.__dict__.pop(name, None)  # arguments of a part of the net
    kept = {name: value for name, value in old.items() if name not in removed}
    settings = {**kept, **changed}
    callbacks = new.get("callbacks", [])
    has_other = not _are_same_callbacks(old.get("callbacks", []), callbacks)
    if has_other or "verbose" in changed or _names_callbacks(removed):
        net.callbacks = settings["callbacks"] = callbacks
        net.initialize_callbacks()
    return settings


def _own_defaults() -> dict[str, Any]:
    """Return the defaults of the arguments of a net, skorch's included."""
    found: dict[str, Any] = {}
    for kind in reversed(AutoEncoderNet.__mro__):
        for name, parameter in inspect.signature(kind.__init__).parameters.items():
            if parameter.default is not parameter.empty:
                found[name] = parameter.default
    return found


def _optimizer_defaults(
    settings: Mapping[str, Any], removed: Iterable[str]
) -> dict[str, Any]:
    """Return what an optimizer of these settings has for arguments that are not given.

    A class may take arguments that its signature does not name: so it is asked.
    """
    if not any(name.startswith(OPTIMIZER) for name in removed):
        return {}
    given = {
        name.removeprefix(OPTIMIZER): value
        for name, value in settings.items()
        if name.startswith(OPTIMIZER) and name not in KEPT
    }
    given.setdefault("lr", settings["lr"])
    weights = [nn.Parameter(torch.zeros(1))]
    (group,) = settings["optimizer"](weights, **given).param_groups
    return {f"{OPTIMIZER}{name}": value for name, value in group.items()}


def _names_callbacks(names: Iterable[str]) -> bool:
    """Return whether settings such as callbacks__print_log are among these."""
    return any(name.startswith("callbacks__") for name in names)


def _are_same_callbacks(old: list[Any], new: list[Any]) -> bool:
    """Return whether callbacks are the same objects; any two of our own bars are."""

    def key(item: Any) -> Any:
        name, callback = item if isinstance(item, tuple) else ("", item)
        return name, EpochBar if isinstance(callback, EpochBar) else id(callback)

    return list(map(key, old)) == list(map(key, new))
