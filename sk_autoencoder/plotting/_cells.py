"""Rows of a table and what is made of them, column by column."""

from __future__ import annotations

from itertools import chain
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._columns.frames import ColumnData, is_frame, read_columns
from sk_autoencoder._utils.variance import unit_or_one
from sk_autoencoder.plotting._common import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

LONGEST = 14  # letters of a cell that are shown
MOST_COLUMNS = 30  # of a table that are drawn: more can no longer be read on a page
# Of the colors of errors, in the units of the columns.
MOST = 1.0


def with_shape(X: Any) -> Any:
    """Return a table that is a list as an array; others as they are."""
    # Of objects: numpy would turn numbers beside text into text.
    return X if hasattr(X, "shape") else np.array(X, dtype=object)


def columns_of(X: Any) -> list[ColumnData]:
    """Read the columns of a frame, an array-like or a sparse matrix."""
    X = with_shape(X)
    return list(read_columns(X if is_frame(X) else as_array(X)))


def _is_numeric(column: ColumnData) -> bool:
    """Whether a column is measured; booleans are categories."""
    return column.values.dtype.kind == "f" and not column.missing.all()


def has_only_numbers(X: Any) -> bool:
    """Whether no column has categories; one without a value may be either."""
    return all(_is_numeric(column) or column.missing.all() for column in columns_of(X))


def spreads_of(X: Any) -> np.ndarray:
    """Return the standard deviation of each column of numbers, NaN for the others."""
    columns = columns_of(X)
    spreads = np.full(len(columns), np.nan)
    for j, column in enumerate(columns):
        if _is_numeric(column):
            spreads[j] = np.nanstd(column.values, dtype=np.float64)
    return spreads


def draw_table(
    ax: Axes, rows: dict[str, Any], spreads: Sequence[float] | None
) -> tuple[AxesImage, list[Text]]:
    """Write the cells of a few rows beside those that were made of them.

    Of more columns than can be read, those with the largest errors are drawn.

    Parameters
    ----------
    ax : matplotlib Axes
    rows : dict of str to {frame, array-like} of shape (n_rows, n_columns)
        By their labels, the input first.
    spreads : array-like of shape (n_columns,) or None
        Units of the errors in columns of numbers; None is the inputs' own spread.
    """
    inputs = rows["input"]
    units = spreads_of(inputs) if spreads is None else np.asarray(spreads, dtype=float)
    columns = {label: columns_of(X) for label, X in rows.items()}
    by_column = list(zip(*columns.values(), strict=True))
    n_rows, n_labels = inputs.shape[0], len(rows)
    errors = np.full((len(by_column), n_rows * n_labels), np.nan)
    for j, each in enumerate(by_column):
        for k in range(1, n_labels):
            errors[j, k::n_labels] = _errors(each[0], each[k], units[j])
    # By the last label, the reconstruction; in the order of the table.
    totals = np.nan_to_num(errors[:, n_labels - 1 :: n_labels]).sum(axis=1)
    shown = np.sort(np.argsort(-totals, kind="stable")[:MOST_COLUMNS])
    texts = []
    for j, column in enumerate(shown):
        # Row by row, the input and what became of it side by side.
        cells = zip(*map(shown_cells, by_column[column]), strict=True)
        texts += [
            ax.text(place, j, text, ha="center", va="center", fontsize="small")
            for place, text in enumerate(chain.from_iterable(cells))
        ]
    image = ax.imshow(
        np.minimum(errors[shown], MOST),
        cmap="Oranges",
        vmin=0,
        vmax=1.6 * MOST,
        aspect="auto",
    )
    before = "" if is_frame(inputs) else "x"
    names = [f"{before}{by_column[j][0].name}" for j in shown]
    _label(ax, names, list(rows), n_rows)
    return image, texts


def table_size(rows: dict[str, Any]) -> tuple[float, float]:
    """Return the inches that a table fills, with room for names and the scale."""
    n_rows, n_columns = rows["input"].shape
    return 3.0 + 1.15 * n_rows * len(rows), 1.2 + 0.28 * min(n_columns, MOST_COLUMNS)


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


def _errors(truth: ColumnData, made: ColumnData, unit: float) -> np.ndarray:
    """Return how far cells are off: in units, or 1 for another category."""
    if np.isnan(unit):
        errors = np.where(truth.values != made.values, MOST, 0.0)
    else:
        errors = abs(made.values - truth.values) / unit_or_one(unit)
    return np.where(truth.missing | made.missing, np.nan, errors)


def shown_cells(column: ColumnData) -> list[str]:
    """Return the cells of a column as text, shortened."""
    return [shown_value(cell) for cell in column.values.tolist()]


def shown_value(value: Any, longest: int = LONGEST) -> str:
    """Write a value in few letters: text as it is, large and whole numbers whole."""
    text = str(value)
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        text = "missing"
    elif isinstance(value, Real) and not isinstance(value, Integral):
        number = float(value)
        # Up to where a float64 still tells one whole number from the next.
        is_whole = abs(number) < 1e15 and (abs(number) >= 1e3 or number.is_integer())
        text = f"{number:{'.0f' if is_whole else '.4g'}}"
    return text if len(text) <= longest else text[: longest - 1] + "…"
