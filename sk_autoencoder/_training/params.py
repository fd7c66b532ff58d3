"""What `net_params` may hold: arguments of the net that are no parameters of ours."""

import inspect
import math
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from numbers import Real
from typing import Any

from skorch import NeuralNet

from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._utils.values import shortened

# What the names of the optimizer's arguments begin with.
OPTIMIZER = "optimizer__"
# Fields of a `TrainingConfig` that the estimator has no parameters for.
OWN_FIELDS = ("gradient_clip", "weight_average", "flatten", "make_gradient_fn")
# Arguments of optimizers that the estimator has parameters for.
PARAMETERS_OF_OURS = ("lr", "weight_decay")
# Parts of skorch's net that take arguments of their own.
PARTS = (
    "iterator_train__",
    "iterator_valid__",
    "dataset__",
    "callbacks__",
    "compile__",
    OPTIMIZER,
)

# What the estimator hands to the net itself, and what to use in its place. A value in
# both places would be one that the estimator's own parameter no longer shows.
SET_BY_ESTIMATOR = {
    "batch_size": "batch_size",
    "callbacks": "callbacks",
    "criterion": "loss",
    "device": "device",
    "fallback_margin": "init",
    "lr": "lr",
    "lr_schedule": "lr_schedule",
    "max_epochs": "max_epochs",
    "module": "network",
    "optimizer": "optimizer",
    "optimizer__lr": "lr",
    "optimizer__weight_decay": "weight_decay",
    "patience": "n_iter_no_change",
    "precision": "precision",
    "seeds": "random_state",
    "tol": "tol",
    "train_split": "validation_fraction",
    "validation_fraction": "validation_fraction",
    "verbose": "verbose",
    "warm_start": "warm_start",
}
# Set by the estimator too, and following from several of its parameters.
WITHOUT_PARAMETER = ("predict_nonlinearity", "pca_weight", "as_given")


def with_net_params(
    config: TrainingConfig, net_params: dict[str, Any] | None, *, loss: str
) -> TrainingConfig:
    """Return a config with an estimator's `net_params` in it, checked.

    Parameters
    ----------
    config : TrainingConfig
        Of the estimator's other parameters.
    net_params : dict or None
    loss : {"loss", "likelihood"}
        Name of the parameter that says how a reconstruction is scored.

    Raises
    ------
    TypeError
        If a key is no string.
    ValueError
        If a key is one that the estimator sets itself, or none of the net's, or a value
        is out of range.
    """
    params = dict(net_params or {})
    own: dict[str, Any] = {}
    of_optimizer: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in params.items():
        if not isinstance(key, str):
            raise TypeError(
                f"expected names of the net's arguments, got the key {key!r} in "
                "net_params. Pass strings, as net_params={'gradient_clip': 1.0}."
            )
        _refuse_own_key(key, loss)
        _refuse_unknown_key(key)
        if key in OWN_FIELDS:
            _check_value(key, value)
            own[key] = value
        elif key.startswith(OPTIMIZER):
            of_optimizer[key.removeprefix(OPTIMIZER)] = value
        else:
            extra[key] = value
    source = f"net_params={shortened(params)}"
    refuse_unknown_arguments(config.optimizer, of_optimizer, source)
    args = {**config.optimizer_args, **of_optimizer}
    return replace(config, **own, optimizer_args=args, extra=extra)


def refuse_unknown_arguments(
    optimizer: type, names: Iterable[str], source: str
) -> None:
    """Refuse arguments that an optimizer does not take.

    Parameters
    ----------
    optimizer : type
        A torch class; one that takes any arguments may raise later.
    names : iterable of str
    source : str
        Where the caller wrote them, for the message.

    Raises
    ------
    ValueError
        If the signature of the class has no such argument.
    """
    parameters = inspect.signature(optimizer).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [name for name in parameters if name != "params"]
    free = [name for name in known if name not in PARAMETERS_OF_OURS]
    for name in names:
        if name not in known and name != "param_groups":  # which skorch takes out
            close = get_close_matches(name, free, n=1)
            advice = repr(close[0]) if close else f"some of {', '.join(free)}"
            raise ValueError(
                f"expected arguments of {optimizer.__name__}, got {name!r} in {source}."
                f" Pass {advice}."
            )


def _refuse_unknown_key(key: str) -> None:
    """Refuse a key that is no argument of the net, nor of a part of it."""
    reserved = {"kwargs", *SET_BY_ESTIMATOR, *WITHOUT_PARAMETER}
    of_skorch = inspect.signature(NeuralNet).parameters
    known = [*OWN_FIELDS, *(name for name in of_skorch if name not in reserved)]
    if key in known or any(key.startswith(p) and key != p for p in PARTS):
        return
    close = get_close_matches(key, [*known, *PARTS], n=1)
    advice = "Pass one such as 'gradient_clip', or 'optimizer__betas' of a part."
    if close and close[0] in known:
        advice = f"Pass {close[0]!r}."
    raise ValueError(
        f"expected further arguments of the skorch net, got {key!r} in net_params, "
        f"which it does not have. {advice}"
    )


def _refuse_own_key(key: str, loss: str) -> None:
    """Refuse a key that the estimator sets itself."""
    known = key
    for whole in ("module", "criterion"):
        if key.startswith(f"{whole}__"):
            known = whole
    if known in WITHOUT_PARAMETER:
        advice = "Leave it out."
    elif known in SET_BY_ESTIMATOR:
        name = loss if known == "criterion" else SET_BY_ESTIMATOR[known]
        advice = f"Use the parameter {name} of the estimator."
        if known == "train_split":
            advice = f"{advice[:-1]}, or pass X_val to fit."
    else:
        return
    raise ValueError(
        f"expected further arguments of the skorch net, got {key!r} in net_params, "
        f"which the estimator sets itself. {advice}"
    )


def _check_value(key: str, value: Any) -> None:
    """Refuse a value that would only fail in training, or spoil it."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if key == "gradient_clip":
        fits = is_number and 0 < value < math.inf
        expected, example = "a number above 0, or None,", "1.0, or None to clip nothing"
    elif key == "weight_average":
        fits = is_number and 0 <= value < 1
        expected, example = "a number in [0, 1), or None,", "0.99, or None"
    elif key == "make_gradient_fn":
        fits, expected, example = callable(value), "a callable, or None,", "None"
    else:
        fits, expected, example = isinstance(value, bool), "True or False", "False"
    if not (fits or (value is None and key != "flatten")):
        raise ValueError(
            f"expected {expected} for {key}, got net_params={{{key!r}: {value!r}}}. "
            f"Pass {example}."
        )
