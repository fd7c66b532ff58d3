"""Checks of what a file says of training."""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import torch

from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._training.params import OPTIMIZER, OWN_FIELDS
from sk_autoencoder._utils.schedules import BY_STEP
from sk_autoencoder._utils.sklearn_compat import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sk_autoencoder._utils.values import is_plain, shortened

# What each field of a `TrainingConfig` may be.
CONSTRAINTS: dict[str, list[Any]] = {
    "optimizer": [type, callable],
    "lr": [Interval(Real, 0, None, closed="left")],
    "max_epochs": [Interval(Integral, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "optimizer_args": [dict],
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
        StrOptions({"cosine", BY_STEP}),
        Interval(Real, 0, 1, closed="right"),
        callable,
        None,
    ],
    "fallback_margin": [Interval(Real, 0, None, closed="left"), None],
    "make_gradient_fn": [StrOptions({"fast"}), callable, None],
    "extra": [dict],
}


def check_setting_names(names: Iterable[Any]) -> None:
    """Refuse `net_params` that a file cannot hold.

    Those of skorch's own are not in a file: `compile` would start a compiler when it is
    read.

    Parameters
    ----------
    names : iterable
    """
    for name in names:
        known = isinstance(name, str) and (
            name in OWN_FIELDS
            or (name.startswith(OPTIMIZER) and name != f"{OPTIMIZER}params")
        )
        if not known:
            raise ValueError(f"a setting {shortened(name)}")


def refuse_settings(names: Iterable[Any]) -> None:
    """Refuse to save arguments of the skorch net that a file does not hold.

    Parameters
    ----------
    names : iterable

    Raises
    ------
    TypeError
        If there is one.
    """
    try:
        check_setting_names(names)
    except ValueError as error:
        raise TypeError(
            "expected net_params that a file can hold, arguments of the net of "
            f"sk_autoencoder and of the optimizer, got {error}. Pickle the estimator "
            "instead, or fit without it."
        ) from None


def check_training(config: TrainingConfig) -> None:
    """Refuse a config that no fit makes.

    Parameters
    ----------
    config : TrainingConfig
        Of a plan from a file.
    """
    own = {field.name: getattr(config, field.name) for field in fields(config)}
    validate_parameter_constraints(CONSTRAINTS, own, "the plan")
    for name in config.extra:
        raise ValueError(f"a setting {shortened(name)}")
    for name in ("lr", "gradient_clip", "tol", "fallback_margin"):
        if not math.isfinite(own[name] or 0.0):
            raise ValueError(f"a setting {name}={own[name]!r}")
    _check_optimizer(config.optimizer, config.optimizer_args)


def _check_optimizer(kind: Any, given: Mapping[Any, Any]) -> None:
    """Check the arguments of an optimizer."""
    check_setting_names([f"{OPTIMIZER}{name}" for name in given])
    if not all(is_plain(value) for value in given.values()):
        raise ValueError("a setting of the optimizer that is no number")
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer):
        known = inspect.signature(kind).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            for name in given.keys() - known.keys() - {"param_groups"}:
                raise ValueError(f"a setting {OPTIMIZER}{shortened(name)}")
