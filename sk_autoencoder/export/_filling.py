"""Missing cells of a table, filled, in ONNX: `transform` of an imputer."""

from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.bins import MARGIN, BinnedColumn
from sk_autoencoder._columns.kinds import EmptyColumn
from sk_autoencoder.export._graph import Graph
from sk_autoencoder.export._record import record
from sk_autoencoder.export._tables import ML, add_cells, encoded_columns, interpolated
from sk_autoencoder.export._translator import Emitter, Translator

Cell = tuple[str, np.dtype]


def add_filled(
    graph: Graph,
    estimator: Any,
    cells: list[Cell],
    dtype: np.dtype,
    *,
    example: np.ndarray,
    emitters: dict[str, Emitter],
) -> list[Cell]:
    """Return the cells of each column with missing ones filled, and their dtypes.

    Parameters
    ----------
    graph : Graph
    estimator : estimator
        One whose `transform` fills cells.
    cells : list of (name, dtype)
        Of each column, (n, 1).
    dtype : dtype
        Of the graph.
    example : ndarray
        Rows of numbers that the module can be run on; where it is masked, of cells and
        then of what they are.
    emitters : dict of str to Emitter
    """
    table, is_masked = estimator._table, estimator._plan.is_masked
    columns = encoded_columns(graph, table, cells, dtype)
    index = np.arange(len(columns))
    if is_masked:
        index = estimator.module_.columns.index
        own = [columns[i] for i in index]
        columns = [*(_cell(graph, table, i, columns[i]) for i in index), *own]
    seen = graph.op("Concat", *columns, axis=1)
    recording = record(
        estimator._module_function("transform"),
        estimator.module_,
        example,
        getattr(torch, dtype.name),
    )
    (found,) = Translator(graph, emitters).add(recording, seen)
    every = graph.cast(found, dtype)
    if is_masked:  # constant columns are decoded from any number
        every = graph.op(
            "Gather",
            graph.op("Concat", every, columns[0], axis=1),
            graph.ints(_places(index, len(table.columns))),
            axis=1,
        )
    given = [own for _, own in cells]
    return [
        (_where_missing(graph, column, cell, own, filled), own)
        for column, (cell, own), (filled, _) in zip(
            table.columns, cells, add_cells(graph, table, every, given), strict=True
        )
    ]


def _places(index: np.ndarray, n_columns: int) -> list[int]:
    """Return where each column is found; those that are not, last of all."""
    places = np.full(n_columns, len(index))
    places[index] = np.arange(len(index))
    return places.tolist()


def _cell(graph: Graph, table: Table, i: int, numbers: str) -> str:
    """Return a column's levels and places in bins, -1 where a cell is missing."""
    column, cells = table.columns[i], numbers
    if isinstance(column, BinnedColumn):
        wide, bins = graph.cast(numbers, np.float64), column.bins
        level = graph.search_sorted(wide, bins.edges[None], right=True)
        level = graph.cast(level, np.float64)
        found = interpolated(graph, wide, *bins.knots)
        for kind, end in (("Max", MARGIN), ("Min", 1 - MARGIN)):
            limit = graph.op("Add", level, graph.constant(end, np.float64))
            found = graph.op(kind, found, limit)
        cells = graph.op("CastLike", found, numbers)
    hidden = graph.op("CastLike", graph.constant(-1.0), numbers)
    return graph.op("Where", graph.op("IsNaN", numbers), hidden, cells)


def _where_missing(
    graph: Graph, column: Any, cell: str, own: np.dtype, filled: str
) -> str:
    """Return a cell that is there, else what fills it; missing for an empty column."""
    if isinstance(column, EmptyColumn):
        return filled
    if own.kind == "O" and "" not in column.levels:
        # Texts are compared from opset 19 on.
        how = {"keys_strings": [""], "values_int64s": [1], "default_int64": 0}
        found = graph.op("LabelEncoder", cell, domain=ML, **how)
        missing = graph.cast(found, bool)
    elif own.kind == "f":
        missing = graph.op("IsNaN", cell)
    else:
        return cell
    return graph.op("Where", missing, filled, cell)
