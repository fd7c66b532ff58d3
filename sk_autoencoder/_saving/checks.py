"""Checks of any value that came from a file.

What a file says is never trusted: kernels write to the memory that an array says it
has. Each refusal is a ValueError of one line.
"""

import dataclasses
import typing
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch

from sk_autoencoder._utils.values import Range as Range
from sk_autoencoder._utils.values import fits, shortened


def need(good: Any, what: str) -> None:
    """Refuse a file that has what no fit has given."""
    if not good:
        raise ValueError(what)


def check_names(
    what: str,
    given: Iterable[Any],
    expected: Collection[str],
    optional: Collection[str] = (),
) -> None:
    """Refuse names that are missing, or too many.

    Parameters
    ----------
    what : str
        Whose names they are, for the error.
    given : iterable
    expected, optional : collection of str
    """
    found = set(given)
    missing = sorted(set(expected) - found)
    if missing:
        raise ValueError(f"{what} without {', '.join(missing)}")
    unknown = found - set(expected) - set(optional)
    if unknown:
        names = ", ".join(sorted(shortened(name) for name in unknown))
        raise ValueError(f"{what} with the unknown {shortened(names, quoted=False)}")


@cache
def field_ranges(record: type) -> dict[str, Range]:
    """Return the ranges in the annotations of a record's fields, by name.

    Parameters
    ----------
    record : type
        A dataclass.
    """
    hints = typing.get_type_hints(record, include_extras=True).items()
    return {name: h.__metadata__[0] for name, h in hints if hasattr(h, "__metadata__")}


@cache
def field_types(record: type) -> dict[str, Any]:
    """Return the annotations of a record's fields, by name.

    Parameters
    ----------
    record : type
        A dataclass.
    """
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def check_types(
    name: str,
    kind: type,
    fields: Mapping[str, Any],
    ranges: Mapping[str, Range] | None = None,
) -> None:
    """Refuse fields of a record that are not what it declares.

    Parameters
    ----------
    name : str
        Of the record in the file.
    kind : type
        A dataclass.
    fields : mapping of str to object
        All that it has.
    ranges : mapping of str to Range or None
        Of some fields, beside those in the annotations.
    """
    hints, sizes = field_types(kind), dict[str, int]()
    ranges = {**field_ranges(kind), **(ranges or {})}
    for field, value in fields.items():
        what = f"a {name} of {field}"
        if not fits(value, hints[field]):
            raise ValueError(f"{what}={shortened(value)}")
        limits = ranges.get(field)
        is_array = isinstance(value, np.ndarray)
        if limits is None or not (is_array or isinstance(value, float | int)):
            continue
        if is_array and limits.shape:
            need(limits.has_shape(value, sizes), f"{what} of shape {value.shape}")
        if not limits.fits(value):
            raise ValueError(f"{what} out of range: {shortened(value)}")


def is_array_of(value: Any, tensor: torch.Tensor) -> bool:
    """Whether a value is an array of the shape and dtype of a tensor."""
    dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    good = isinstance(value, np.ndarray) and value.dtype == dtype
    return good and value.shape == tuple(tensor.shape)


def check_arrays(what: str, given: Any, expected: Mapping[str, torch.Tensor]) -> None:
    """Refuse arrays that have not the names, shapes and dtypes of tensors.

    Parameters
    ----------
    what : str
        Whose they are, for the error.
    given : dict of str to ndarray
    expected : mapping of str to Tensor
        On any device.
    """
    need(isinstance(given, dict), f"arrays of {what} that are no dict")
    check_names(f"arrays of {what}", given, expected.keys())
    for name, tensor in expected.items():
        array = given[name]
        if is_array_of(array, tensor):
            continue
        found = shortened(array)
        if isinstance(array, np.ndarray):
            found = f"shape {array.shape} and dtype {array.dtype}"
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(
            f"{what}.{name} of {found} where a model of this plan has "
            f"shape {tuple(tensor.shape)} and dtype {dtype}"
        )
