"""A config that is set anew, or in part taken away, between two runs of its net."""

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from skorch import NeuralNet
from torch import nn

from sk_autoencoder._training.callbacks import EpochBar
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.comparison import is_same

# Fields that skorch keeps, and callbacks may move, under names of its own.
OF_SKORCH = ("lr", "max_epochs", "batch_size", "verbose")


def update_config(net: AutoEncoderNet, new: TrainingConfig) -> TrainingConfig:
    """Bring a net up to date with a config; what has not changed stays as it is.

    The optimizer stays what it is, since its state goes on, and so does whether it has
    all weights as one vector.

    Parameters
    ----------
    net : AutoEncoderNet
        Between two runs.
    new : TrainingConfig

    Returns
    -------
    config : TrainingConfig
        That the net has now.
    """
    old = net.config
    args = {k: v for k, v in new.optimizer_args.items() if k != "fused"}
    if "fused" in old.optimizer_args:
        args["fused"] = old.optimizer_args["fused"]
    new = replace(
        new, optimizer=old.optimizer, flatten=old.flatten, optimizer_args=args
    )
    changed = {
        field.name
        for field in fields(TrainingConfig)
        if not is_same(getattr(old, field.name), getattr(new, field.name))
    }
    if "lr_schedule" in changed:
        changed.add("lr")  # the old schedule had moved it
    params = {name: getattr(new, name) for name in OF_SKORCH if name in changed}
    if "optimizer_args" in changed:
        defaults = {} if old.optimizer_args.keys() <= args.keys() else _defaults(new)
        items = _changed_items(old.optimizer_args, args, defaults)
        params |= {f"optimizer__{name}": value for name, value in items.items()}
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(NeuralNet).parameters.items()
    }
    items = _changed_items(old.extra, new.extra, defaults)
    net.set_params(**params, **items)
    for name in old.extra.keys() - new.extra.keys() - defaults.keys():
        net.__dict__.pop(name, None)  # arguments of a part of the net
    if _are_same_callbacks(old.callbacks, new.callbacks):
        new = replace(new, callbacks=old.callbacks)
    names = old.extra.keys() ^ new.extra.keys()
    net.config = new
    if (
        new.callbacks is not old.callbacks
        or "verbose" in changed
        or any(name.startswith("callbacks__") for name in names)
    ):
        net.callbacks = new.callbacks
        net.initialize_callbacks()
    return new


def _changed_items(
    old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is new or has changed, and the defaults of what was taken away."""
    items = {n: v for n, v in new.items() if n not in old or not is_same(v, old[n])}
    gone = old.keys() - new.keys()
    return {**items, **{name: defaults[name] for name in gone & defaults.keys()}}


def _defaults(config: TrainingConfig) -> dict[str, Any]:
    """Return what an optimizer has for the arguments that a config does not give.

    A class may take arguments that its signature does not name: so it is asked.
    """
    given = {k: v for k, v in config.optimizer_args.items() if k != "fused"}
    weights: Any = [nn.Parameter(torch.zeros(1))]
    make: Any = config.optimizer
    (group,) = make(weights, **{"lr": config.lr, **given}).param_groups
    return dict(group)


def _are_same_callbacks(old: list[Any], new: list[Any]) -> bool:
    """Return whether callbacks are the same objects; any two of our own bars are."""

    def key(item: Any) -> Any:
        name, callback = item if isinstance(item, tuple) else ("", item)
        return name, EpochBar if isinstance(callback, EpochBar) else id(callback)

    return list(map(key, old)) == list(map(key, new))
