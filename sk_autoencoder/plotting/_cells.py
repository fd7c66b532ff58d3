"""Rows of a table and what is made of them, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder.plotting._common import as_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

LONGEST = 14  # letters of a cell that are shown
# Of the colours of errors, in the units of the columns.
MOST = 1.0


def is_frame(X: Any) -> bool:
    """Whether this has named columns."""
    return hasattr(X, "columns")


def names_of(X: Any) -> list[str]:
    """Name the columns, by their place where they have no names."""
    names = X.columns if is_frame(X) else [f"x{j}" for j in range(as_array(X).shape[1])]
    return [str(name) for name in names]


def columns_of(X: Any) -> list[list[Any]]:
    """Return the cells of each column of a frame, an array or a sparse matrix."""
    if hasattr(X, "iloc"):
        return [X.iloc[:, j].tolist() for j in range(X.shape[1])]
    if is_frame(X):
        return [X[name].to_list() for name in X.columns]
    return as_array(X).T.tolist()


def is_number(cell: Any) -> bool:
    """Whether a cell is measured; booleans are categories."""
    return isinstance(cell, Real) and not isinstance(cell, bool | np.bool_)


def has_only_numbers(X: Any) -> bool:
    """Whether no cell is a category; missing ones may be either."""
    every = (cell for cells in columns_of(X) for cell in cells)
    return all(is_number(cell) or _is_missing(cell) for cell in every)


def spreads_of(X: Any) -> np.ndarray:
    """Return the standard deviation of each column of numbers, NaN for the others."""
    spreads = []
    for cells in columns_of(X):
        seen = [cell for cell in cells if not _is_missing(cell)]
        numbers = bool(seen) and all(map(is_number, seen))
        spreads.append(float(np.std(seen)) if numbers else np.nan)
    return np.array(spreads)


def draw_table(
    ax: Axes, rows: dict[str, Any], spreads: Sequence[float] | None
) -> tuple[AxesImage, list[Text]]:
    """Write the cells of a few rows beside those that were made of them.

    Parameters
    ----------
    ax : matplotlib Axes
    rows : dict of str to {frame, array-like} of shape (n_rows, n_columns)
        By their labels, the input first.
    spreads : array-like of shape (n_columns,) or None
        Units of the errors in columns of numbers; None is the inputs' own spread.
    """
    inputs = next(iter(rows.values()))
    names, units = names_of(inputs), spreads_of(inputs)
    if spreads is not None:
        units = np.asarray(spreads, dtype=float)
    cells = {label: columns_of(X) for label, X in rows.items()}
    truth = next(iter(cells.values()))
    n_rows = len(truth[0])
    errors = np.full((len(names), n_rows * len(rows)), np.nan)
    texts = []
    for j, i, (k, label) in (
        (j, i, each)
        for j in range(len(names))
        for i in range(n_rows)
        for each in enumerate(cells)
    ):
        place = i * len(rows) + k
        cell = cells[label][j][i]
        if k:
            errors[j, place] = _error(truth[j][i], cell, units[j])
        texts.append(
            ax.text(place, j, _shown(cell), ha="center", va="center", fontsize="small")
        )
    image = ax.imshow(errors, cmap="Oranges", vmin=0, vmax=1.6 * MOST, aspect="auto")
    _label(ax, names, list(rows), n_rows)
    return image, texts


def _label(ax: Axes, names: list[str], labels: list[str], n_rows: int) -> None:
    ax.set_yticks(np.arange(len(names)), names)
    heads = [
        f"row {i}\n{label}" if k == 0 else f"\n{label}"
        for i in range(n_rows)
        for k, label in enumerate(labels)
    ]
    ax.set_xticks(np.arange(len(heads)), heads, fontsize="small")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    for i in range(1, n_rows):
        ax.axvline(i * len(labels) - 0.5, color="black", linewidth=0.8)
    for side in ax.spines.values():
        side.set_visible(False)


def _error(truth: Any, cell: Any, unit: float) -> float:
    """Return how far a cell is off: in units, or 1 for another category."""
    if _is_missing(truth) or _is_missing(cell):
        return np.nan
    if np.isnan(unit):
        return MOST * float(truth != cell)
    return min(abs(float(cell) - float(truth)) / (unit or 1.0), MOST)


def _is_missing(cell: Any) -> bool:
    try:
        return cell is None or bool(cell != cell)
    except TypeError:
        return True  # pandas.NA has no truth value


def _shown(cell: Any) -> str:
    if _is_missing(cell):
        return "missing"
    text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
