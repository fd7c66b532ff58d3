"""Checks of the settings that a net is built with."""

import inspect
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch

from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.selection import Patience
from sk_autoencoder._utils.sklearn_compat import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sk_autoencoder._utils.values import is_plain, shortened

__all__ = ["check_setting_names", "check_settings", "refuse_settings"]

# The arguments of a net that a plan may hold, each with what it may be. Others of
# skorch's are not in a file: `compile` would start a compiler when it is read.
CONSTRAINTS: dict[str, list[Any]] = {
    "optimizer": [type, callable],
    "lr": [Interval(Real, 0, None, closed="left")],
    "max_epochs": [Interval(Integral, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "callbacks": [list],
    "verbose": [Interval(Integral, 0, None, closed="left"), "boolean"],
    "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
    "weight_average": [Interval(Real, 0, 1, closed="left"), None],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "patience": [Patience],
    "flatten": ["boolean"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "precision": [StrOptions({"float32", "bf16"})],
    "lr_schedule": [
        StrOptions({"cosine"}),
        Interval(Real, 0, 1, closed="right"),
        callable,
        None,
    ],
    "guard": [Interval(Real, 0, None, closed="left"), None],
    "start_share": [Interval(Real, 0, 1, closed="left")],
    "make_gradient_fn": [callable, None],
}
# What a net gets from its plan and not from its settings.
NOT_SETTINGS = ("self", "module", "seeds", "as_given", "kwargs")
OPTIMIZER = "optimizer__"


def check_setting_names(settings: Mapping[Any, Any]) -> None:
    """Refuse settings that a file cannot hold.

    Parameters
    ----------
    settings : mapping
        Of a net, or those of `net_params`.
    """
    unknown = [
        name
        for name in settings
        if not (isinstance(name, str) and (name in CONSTRAINTS or _of_optimizer(name)))
    ]
    if unknown:
        raise ValueError(f"a setting {shortened(unknown[0])}")


def refuse_settings(settings: Mapping[Any, Any]) -> None:
    """Refuse to save arguments of the skorch net that a file does not hold.

    Parameters
    ----------
    settings : mapping
        Of a net, or those of `net_params`.

    Raises
    ------
    TypeError
        If there is one.
    """
    try:
        check_setting_names(settings)
    except ValueError as error:
        raise TypeError(
            "expected net_params that a file can hold, arguments of the net of "
            f"sk_autoencoder and of the optimizer, got {error}. Pickle the estimator "
            "instead, or fit without it."
        ) from None


def _of_optimizer(name: str) -> bool:
    return name.startswith(OPTIMIZER) and name != f"{OPTIMIZER}params"


def check_settings(settings: Mapping[Any, Any]) -> None:
    """Refuse settings that are not what a plan has.

    Parameters
    ----------
    settings : mapping
        Of a plan from a file.
    """
    check_setting_names(settings)
    own = {name: value for name, value in settings.items() if name in CONSTRAINTS}
    for name in ("optimizer", "lr", "max_epochs", "batch_size", "patience"):
        if name not in own:
            raise ValueError(f"settings without {name}")
    validate_parameter_constraints(CONSTRAINTS, own, "the plan")
    patience = own["patience"]
    if not min(patience.n_iter_no_change or 0, patience.steps, patience.share) >= 0:
        raise ValueError("a patience below 0")
    for name in ("lr", "gradient_clip", "tol", "guard"):
        if not math.isfinite(own.get(name) or 0.0):
            raise ValueError(f"a setting {name}={own[name]!r}")
    _check_optimizer(own["optimizer"], settings)


def _check_optimizer(kind: Any, settings: Mapping[str, Any]) -> None:
    """Check the arguments of an optimizer."""
    given = {
        name.removeprefix(OPTIMIZER): value
        for name, value in settings.items()
        if name.startswith(OPTIMIZER)
    }
    if not all(is_plain(value) for value in given.values()):
        raise ValueError("a setting of the optimizer that is no number")
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer):
        known = inspect.signature(kind).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            for name in given.keys() - known.keys() - {"param_groups"}:
                raise ValueError(f"a setting {OPTIMIZER}{shortened(name)}")


def missing_constraints() -> set[str]:
    """Return the arguments of a net that have no constraint; for a test."""
    known = inspect.signature(AutoEncoderNet.__init__).parameters
    return {*known} - {*CONSTRAINTS} - {*NOT_SETTINGS}
