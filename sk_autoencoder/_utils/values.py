"""Values of unknown origin: shown in few words, and checked against annotations."""

import math
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

# Characters of a value in a message: enough to find it again.
MOST_SHOWN = 120
# Values in a message: enough to recognize what they are.
MOST_LISTED = 5
# And of a reason: scikit-learn's lists the choices.
MOST_REASON = 400
# Whole numbers up to which float64 tells each from the next; seeds and counts are less.
MOST_INT = 2**53


def shortened(value: Any, *, quoted: bool = True) -> str:
    """Return the representation of a value, or a text as it is, cut to one line or two.

    Parameters
    ----------
    value : object
    quoted : bool
        Whether to represent it; else it is a text.
    """
    try:
        # A cut first: the representation of a long text takes as long as it is.
        cut = value[: MOST_SHOWN + 1] if isinstance(value, str) else value
        text = repr(cut) if quoted else str(cut)
    except Exception as error:  # of an object that is not ours
        text = f"<{type(value).__name__}, {type(error).__name__}>"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def listed(values: Iterable[Any]) -> str:
    """Return the representations of a few values, cut as `shortened` cuts each."""
    shown = [shortened(value) for value in islice(values, MOST_LISTED + 1)]
    more = ", ..." if len(shown) > MOST_LISTED else ""
    return ", ".join(shown[:MOST_LISTED]) + more


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its kind where it has none.

    Without the period at its end, for a sentence that goes on or ends with its own.
    """
    text = str(error)[: MOST_REASON + 1]
    if len(text) > MOST_REASON:
        text = f"{text[:MOST_REASON]}..."
    lines = text.splitlines()
    line = lines[0] if lines and lines[0] else type(error).__name__
    return line if line.endswith("..") else line.removesuffix(".")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that an annotation names.

    Arrays and numbers of records are finite: nothing that a fit computes is not. An
    array is one of float64.

    Parameters
    ----------
    value : object
    hint : type or typing construct
        As `typing.get_type_hints` gives it.
    """
    if hint is Any:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return isinstance(value, str) and value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and abs(value) <= MOST_INT
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    if hint is np.ndarray:
        good = isinstance(value, np.ndarray) and value.dtype == np.float64
        return good and bool(np.isfinite(value).all())
    if origin in (tuple, list, dict):
        return isinstance(value, origin) and _items_fit(value, arguments)
    if origin is Callable:
        return callable(value)
    return isinstance(value, hint if origin is None else origin)


def _items_fit(value: Any, hints: tuple[Any, ...]) -> bool:
    """Whether the items of a dict, list or tuple are of the types named."""
    if isinstance(value, dict):
        return all(fits(k, hints[0]) and fits(v, hints[1]) for k, v in value.items())
    if isinstance(value, list) or hints[1:] == (Ellipsis,):
        return all(fits(item, hints[0]) for item in value)
    return len(value) == len(hints) and all(map(fits, value, hints))


def is_plain(value: Any) -> bool:
    """Whether a value is made of finite numbers, text, and groups of these."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, [*value, *value.values()]))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


@dataclass(frozen=True)
class Range:
    """What a field of a record may hold, beyond what its annotation says.

    Attributes
    ----------
    low, high : float
        Of each number.
    above : bool
        Whether `low` itself is too low.
    shape : str
        Of an array: a letter or number for each size, or several of these, separated
        by "|". In all fields of a record a letter stands for the same size.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    shape: str = ""

    def fits(self, value: Any) -> bool:
        """Whether a number, or each of an array, is within the limits."""
        array = np.asarray(value)
        too_low = array <= self.low if self.above else array < self.low
        return not (too_low | (array > self.high)).any()

    def has_shape(self, array: np.ndarray, sizes: dict[str, int]) -> bool:
        """Whether an array has a shape of such letters; those that are new are set."""
        for shape in self.shape.split("|"):
            names = shape.split()
            if len(names) == array.ndim:
                pairs = zip(names, array.shape, strict=True)
                return all(
                    sizes.setdefault(name, int(name) if name.isdigit() else size)
                    == size
                    for name, size in pairs
                )
        return False
