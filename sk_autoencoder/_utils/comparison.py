"""Whether two settings are the same, by value."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator


def is_same(one: Any, other: Any) -> bool:
    """Whether two settings have the same value.

    Arrays are compared number by number, also with lists; estimators and network
    specifications by their parameters, torch modules by their layers. What cannot be
    compared is the same only if it is one object.

    Parameters
    ----------
    one, other : object
    """
    if one is other:
        return True
    if _is_sequence(one) and _is_sequence(other):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            is_same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, torch.nn.Module) and isinstance(other, torch.nn.Module):
        return repr(one) == repr(other)  # their weights are not settings
    if isinstance(one, BaseEstimator) and type(one) is type(other):
        return is_same(one.get_params(deep=False), other.get_params(deep=False))
    try:
        return bool(one == other)
    except Exception:  # of an object that is not ours
        return False


def _is_sequence(value: Any) -> bool:
    """Whether a value is a list of values; frames and columns are read as arrays."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, list | tuple) or (
        hasattr(value, "__array__")
        and hasattr(value, "__len__")
        and not isinstance(value, np.generic)
    )
