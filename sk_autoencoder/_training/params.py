"""What `net_params` may hold: arguments of the net that are no parameters of ours."""

import math
from numbers import Real
from typing import Any

__all__ = ["checked_net_params"]

# What the estimator hands to the net itself, and what to use in its place. A value in
# both places would be one that the estimator's own parameter no longer shows.
SET_BY_ESTIMATOR = {
    "batch_size": "batch_size",
    "callbacks": "callbacks",
    "criterion": "loss",
    "device": "device",
    "guard": "init",
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
WITHOUT_PARAMETER = ("predict_nonlinearity", "start_share")


def checked_net_params(estimator: Any) -> dict[str, Any]:
    """Return an estimator's `net_params`, checked.

    Parameters
    ----------
    estimator : BaseAutoEncoder

    Raises
    ------
    TypeError
        If a key is no string.
    ValueError
        If a key is one that the estimator sets itself, or a value is out of range.
    """
    params = dict(estimator.net_params or {})
    for key, value in params.items():
        if not isinstance(key, str):
            raise TypeError(
                f"expected names of the net's arguments, got the key {key!r} in "
                "net_params. Pass strings, as net_params={'gradient_clip': 1.0}."
            )
        _refuse_own_key(estimator, key)
        _check_value(key, value)
    return params


def _refuse_own_key(estimator: Any, key: str) -> None:
    """Refuse a key that the estimator sets itself."""
    known = key
    for whole in ("module", "criterion"):
        if key.startswith(f"{whole}__"):
            known = whole
    if known in WITHOUT_PARAMETER:
        advice = "Leave it out."
    elif known in SET_BY_ESTIMATOR:
        name = SET_BY_ESTIMATOR[known]
        if name == "loss" and not hasattr(estimator, "loss"):
            name = "likelihood"
        advice = f"Use the parameter {name} of {type(estimator).__name__}."
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
    elif key == "make_step":
        fits, expected, example = callable(value), "a callable, or None,", "None"
    elif key == "flatten":
        fits, expected, example = isinstance(value, bool), "True or False", "False"
    else:
        return
    if not (fits or (value is None and key != "flatten")):
        raise ValueError(
            f"expected {expected} for {key}, got net_params={{{key!r}: {value!r}}}. "
            f"Pass {example}."
        )
