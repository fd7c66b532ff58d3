"""Checks of what a file says of training."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from sk_autoencoder._saving.checks import check_types
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._training.params import OPTIMIZER, OWN_FIELDS
from sk_autoencoder._utils.values import is_plain, shortened


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
    # Of a file of format 1 it comes unchecked.
    check_types("config", TrainingConfig, vars(config))
    for name in config.extra:
        raise ValueError(f"a setting {shortened(name)}")
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
