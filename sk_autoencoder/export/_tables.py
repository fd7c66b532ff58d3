"""The columns of a table in ONNX: cells to numbers, and numbers to cells.

What `Table.matrix` and `Table.array` do, and in float64 as there. A graph cannot refuse
what is wrong: an unknown level counts as missing, whatever `handle_unknown` says.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.bins import BinnedColumn
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder.export._graph import Graph
from sk_autoencoder.export._record import Unsupported

Column = NumberColumn | CategoryColumn | EmptyColumn

ML = "ai.onnx.ml"


def columns_of(table: Table) -> list[Column]:
    """Return the columns; the numbers of those with bins stay as they are."""
    plain: dict[str, Any] = {"origin": 0.0, "unit": 1.0, "knots": None}
    return [
        replace(column.scale, **plain) if isinstance(column, BinnedColumn) else column
        for column in table.columns
    ]


def comes_by_column(table: Table) -> bool:
    """Whether each column is an input of its own: where some are no numbers."""
    kinds = {getattr(dtype, "kind", "O") for dtype in table.format.dtypes}
    is_matrix = table.format.kind == "array" and kinds <= set("biuf")
    has_text = any(getattr(column, "is_category", False) for column in table.columns)
    return (table.has_categories or has_text) and not is_matrix


def column_names(table: Table) -> list[str]:
    """Return the names of the columns, those of an array as scikit-learn has them."""
    if table.format.kind == "array":
        return [f"x{i}" for i in table.format.names]
    names = [str(name) for name in table.format.names]
    for i in [i for i, name in enumerate(names) if not name]:
        # "" is no name in ONNX.
        new = f"x{i}"
        while new in names:
            new += "_"
        names[i] = new
    return names


def column_dtypes(table: Table, dtype: np.dtype) -> list[np.dtype]:
    """Return what each column has to come as, where each is an input of its own."""
    return [
        _dtype_of(column, given, table.allow_missing, dtype)
        for column, given in zip(columns_of(table), table.format.dtypes, strict=True)
    ]


def _dtype_of(column: Column, given: Any, may_miss: bool, dtype: np.dtype) -> np.dtype:
    if isinstance(column, EmptyColumn):
        return np.dtype(object) if column.is_category else dtype
    # numpy's integers and booleans are never missing.
    kind = given.kind if isinstance(given, np.dtype) else ""
    whole = kind in ("i", "u", "b") or not may_miss
    if isinstance(column, NumberColumn):
        if kind == "b":
            return np.dtype(bool)
        return np.dtype(np.int64) if whole and column.is_integer else dtype
    if _are(column, str):
        return np.dtype(object)
    if whole and _are(column, bool):
        return np.dtype(bool)
    if whole and all(float(level).is_integer() for level in column.levels):
        return np.dtype(np.int64)
    return dtype


def _are(column: CategoryColumn, kind: type) -> bool:
    return all(isinstance(level, kind) for level in column.levels)


def encoded_columns(
    graph: Graph,
    table: Table,
    cells: list[tuple[str, np.dtype]],
    dtype: np.dtype,
    *,
    unseen: float = np.nan,
) -> list[str]:
    """Turn the cells of each column, (n, 1), into numbers.

    A level that `fit` has not seen becomes `unseen`, what is missing NaN.
    """
    return [
        graph.cast(_encoded(graph, column, *given, unseen), dtype)
        for column, given in zip(columns_of(table), cells, strict=True)
    ]


def _encoded(
    graph: Graph, column: Column, cells: str, dtype: np.dtype, unseen: float
) -> str:
    if isinstance(column, EmptyColumn):
        nothing = graph.constant([[np.nan]], np.float32)
        one = graph.ints([1])
        return graph.op(
            "Expand", nothing, graph.op("Concat", graph.n_rows(), one, axis=0)
        )
    if isinstance(column, CategoryColumn):
        return _level_numbers(graph, column, cells, dtype, unseen)
    values = graph.cast(cells, np.float64)
    if column.knots is not None:
        values = interpolated(graph, values, *column.knots)
    centered = graph.op("Sub", values, graph.constant(column.origin, np.float64))
    return graph.op("Div", centered, graph.constant(column.unit, np.float64))


def _level_numbers(
    graph: Graph, column: CategoryColumn, cells: str, dtype: np.dtype, unseen: float
) -> str:
    """Return the number of each level, NaN for what is missing."""
    levels: list[Any] = list(column.levels)
    values = [float(i) for i in range(len(levels))]
    if dtype.kind == "O":
        kind = "strings"
        if "" not in levels:
            levels, values = [*levels, ""], [*values, np.nan]
    elif dtype.kind in "iub":
        cells, kind = graph.cast(cells, np.int64), "int64s"
        levels = [int(level) for level in levels]
    else:
        cells, kind = graph.cast(cells, np.float32), "floats"
        levels = [float(np.float32(level)) for level in levels]
        if len(set(levels)) < len(levels):
            raise Unsupported(
                f"levels of column {column.name!r} that are the same in float32"
            )
    numbers = graph.op(
        "LabelEncoder",
        cells,
        domain=ML,
        values_floats=values,
        default_float=float(unseen),
        **{f"keys_{kind}": levels},
    )
    if kind != "floats":
        return numbers
    missing = graph.op("IsNaN", cells)
    return graph.op("Where", missing, graph.constant(np.nan, np.float32), numbers)


def add_cells(
    graph: Graph, table: Table, matrix: str, dtypes: list[np.dtype]
) -> list[tuple[str, np.dtype]]:
    """Turn numbers (n, n_features) into the cells of each column, of some dtypes."""
    widths = graph.ints([1] * len(dtypes))
    numbers = graph.ops("Split", matrix, widths, n=len(dtypes), axis=1)
    return [
        (_decoded(graph, column, number, own), own)
        for column, number, own in zip(columns_of(table), numbers, dtypes, strict=True)
    ]


def _decoded(graph: Graph, column: Column, y: str, own: np.dtype) -> str:
    if isinstance(column, EmptyColumn):
        nothing = graph.constant("" if own.kind == "O" else np.nan, own)
        return graph.op("Expand", nothing, graph.op("Shape", y))
    if isinstance(column, CategoryColumn):
        levels = graph.constant(np.array(column.levels, dtype=own))
        if column.is_constant:  # decoded from any number
            return graph.op("Expand", levels, graph.op("Shape", y))
        return graph.op("Gather", levels, graph.cast(y, np.int64))
    values = graph.cast(y, np.float64)
    # In a cast to int64, 2**63 would become the least number.
    most = np.nextafter(2.0**63, 0) if own.kind == "i" else np.inf
    ends = np.minimum([column.low, column.high], most)
    if column.is_constant:
        values = graph.op("Mul", values, graph.constant(0.0, np.float64))
        values = graph.op("Add", values, graph.constant(ends[0], np.float64))
    else:
        unit, origin = (
            graph.constant(v, np.float64) for v in (column.unit, column.origin)
        )
        values = graph.op("Add", graph.op("Mul", values, unit), origin)
        if column.knots is not None:
            values = interpolated(graph, values, *column.knots[::-1])
        if column.is_integer:
            low, high = (graph.constant(v, np.float64) for v in ends)
            values = graph.op(
                "Min", graph.op("Max", graph.op("Round", values), low), high
            )
    return graph.cast(values, own)


def interpolated(graph: Graph, x: str, knots: np.ndarray, values: np.ndarray) -> str:
    """Return what `numpy.interp` does, of x (n, 1)."""
    knots, first = np.unique(knots, return_index=True)
    values = values[first]
    if len(knots) == 1:
        knots, values = np.append(knots, knots + 1), np.append(values, values)
    # Halves first: the difference of two values may overflow.
    slopes = 2 * np.diff(0.5 * values) / np.diff(knots)
    low, high = (graph.constant(v, np.float64) for v in knots[[0, -1]])
    x = graph.op("Min", graph.op("Max", x, low), high)
    place = graph.search_sorted(x, knots[None, :-1], right=True)
    place = graph.op("Max", graph.op("Sub", place, graph.ints([1])), graph.ints([0]))
    x0, y0, slope = (
        graph.op("Gather", graph.constant(v, np.float64), place)
        for v in (knots[:-1], values[:-1], slopes)
    )
    return graph.op("Add", y0, graph.op("Mul", graph.op("Sub", x, x0), slope))
