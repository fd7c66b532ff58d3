"""Classes of a target: which values are classes, and what each looks like."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sk_autoencoder.plotting._common import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Numbers with more values than this are measured, not names of classes. It is also
# how many classes are told apart; the rarest of more than that have one look.
_MOST_CLASSES = 20
# One marker for each round through the colors: with color and shape together,
# class 9 does not pass for class 1.
_MARKERS = ("o", "^", "s")
# What is no class of its own, with the gray of its points.
_MISSING = "missing"
_REST = "all others"
_GRAYS = {_REST: "#CCCCCC", _MISSING: "#777777"}


class Look(NamedTuple):
    """What the points of a class look like."""

    color: str
    marker: str
    is_class: bool = True  # False for what is missing, or for the rest


def is_continuous(y: np.ndarray) -> bool:
    """Whether a target is measured, rather than a class for each row.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The target, of any dtype.

    Returns
    -------
    continuous : bool
        True for numbers that are not whole, or have more than 20 values.
    """
    if y.dtype.kind not in "iuf":
        return False
    values = np.unique(y[np.isfinite(y)])
    return len(values) > _MOST_CLASSES or bool(np.any(values % 1))


def class_names(y: np.ndarray) -> np.ndarray:
    """Turn each row's class into text.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The classes, of any dtype.

    Returns
    -------
    names : ndarray of shape (n_samples,), dtype=object
        "missing" for None and NaN; "all others" for the rarest of more than 20
        classes; "1" for 1.0, as a column of whole numbers with a missing one
        becomes floats, and its classes should be called what they were.
    """
    names = [_class_name(value) for value in y.tolist()]
    counts = Counter(name for name in names if name != _MISSING)
    kept = {name for name, _ in counts.most_common(_MOST_CLASSES)} | {_MISSING}
    return np.array([n if n in kept else _REST for n in names], dtype=object)


def _class_name(value: Any) -> str:
    try:
        # NaN and NaT differ from themselves.
        missing = value is None or bool(value != value)
    except TypeError:
        missing = True  # pandas.NA has no truth value
    if missing:
        return _MISSING
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"  # all digits: "g" has six
    return str(value)


def looks_of(names: np.ndarray) -> dict[str, Look]:
    """Return each class a color and a marker.

    Parameters
    ----------
    names : ndarray of shape (n_samples,)
        The class of each row, as :func:`class_names` gives it.

    Returns
    -------
    looks : dict of str to Look
        For each name in `names`, in the order of a legend: numbers by value, text
        by the alphabet, then what is no class of its own.
    """
    present = set(names.tolist())
    looks = {}
    for i, name in enumerate(sorted(present - set(_GRAYS), key=_by_value)):
        turn, color = divmod(i, len(OKABE_ITO))
        looks[name] = Look(OKABE_ITO[color], _MARKERS[turn])
    for name, gray in _GRAYS.items():
        if name in present:
            looks[name] = Look(gray, _MARKERS[0], is_class=False)
    return looks


def _by_value(name: str) -> tuple[bool, float, str]:
    """Sort "2" before "10", and numbers before text."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def write_over_points(ax: Axes, position: np.ndarray, text: str) -> Text:
    """Write a class's name in the midst of its points, with a white edge.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to write.
    position : ndarray of shape (2,) or (3,)
        In the units of the data.
    text : str
        What to write.

    Returns
    -------
    text : matplotlib Text
        The artist.
    """
    from matplotlib.patheffects import withStroke

    write: Any = ax.text  # with three numbers, if the axes have as many dimensions
    written: Text = write(
        *position,
        text,
        ha="center",
        va="center",
        fontweight="bold",
        zorder=10,  # points in three dimensions are drawn late
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
    return written
