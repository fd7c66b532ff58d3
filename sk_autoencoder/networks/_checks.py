"""Refuse parameters that no network takes."""

from collections.abc import Collection, Iterable
from numbers import Real
from typing import Any, SupportsIndex


def is_count(size: object) -> bool:
    """Whether this is a whole number of at least one; numpy's ints count too."""
    return (
        isinstance(size, SupportsIndex)
        and not isinstance(size, bool)
        and (size.__index__() >= 1)
    )


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is none of the choices."""
    known = sorted(choices)
    if value not in known:
        raise ValueError(f"expected one of {known}, got {name}={value!r}. Pass one.")


def check_sizes(name: str, sizes: object, example: tuple[int, ...]) -> tuple[int, ...]:
    """Return whole numbers of at least one as a tuple; refuse anything else."""
    if isinstance(sizes, Iterable) and not isinstance(sizes, str):
        given = tuple(sizes)
        if all(is_count(size) for size in given):
            return tuple(int(size) for size in given)
    raise ValueError(
        f"expected a tuple of ints >= 1, got {name}={sizes!r}. Pass e.g. "
        f"{name}={example}."
    )


def check_dropout(dropout: Any) -> None:
    """Refuse anything but a number in [0, 1)."""
    is_number = isinstance(dropout, Real)
    if not (is_number and 0 <= dropout < 1):
        raise ValueError(
            f"expected a fraction in [0, 1), got dropout={dropout!r}. Pass 0.0 to keep "
            "every unit."
        )
