"""Graphs of fitted estimators."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn
from sk_autoencoder._outliers.detector import AutoEncoderOutlierDetector
from sk_autoencoder._outliers.members import table_of
from sk_autoencoder._outliers.robust import UNSEEN
from sk_autoencoder.export import _arrays, _elementwise, _layers
from sk_autoencoder.export._filling import add_filled
from sk_autoencoder.export._graph import Graph
from sk_autoencoder.export._outliers import add_decision, add_labels, add_scores
from sk_autoencoder.export._record import MORE, Unsupported, record
from sk_autoencoder.export._tables import (
    add_cells,
    column_dtypes,
    column_names,
    comes_by_column,
    encoded_columns,
)
from sk_autoencoder.export._translator import Translator

EMITTERS = {**_elementwise.EMITTERS, **_arrays.EMITTERS, **_layers.EMITTERS}

# What each method gives, in the words of the graph.
OUTPUTS = {
    "transform": ["codes"],
    "inverse_transform": ["reconstruction"],
    "reconstruct": ["reconstruction"],
    "posterior": ["mean", "std"],
    "score_samples": ["scores"],
}


@dataclass(frozen=True)
class Given:
    """An input that is there already, in a graph that this one becomes a part of."""

    name: str
    dtype: np.dtype


def assemble(
    estimator: Any,
    method: str,
    dtype: np.dtype,
    *,
    prefix: str = "",
    given: list[Given] | None = None,
) -> Graph:
    """Make the graph of a method of a fitted transformer.

    Parameters
    ----------
    estimator : estimator
    method : str
        A key of `OUTPUTS`.
    dtype : dtype
        float32 or float64.
    prefix : str
        Of the names of all values but the inputs.
    given : list of Given or None
        The inputs; None makes them.

    Raises
    ------
    Unsupported
    """
    graph = Graph(prefix)
    if method == "transform" and estimator._plan.imputes:
        return _imputer(graph, estimator, dtype, given)
    takes_codes = method == "inverse_transform"
    if takes_codes:
        matrix = _matrix(graph, "codes", (estimator.n_components_,), dtype, given)
    else:
        matrix = _rows(graph, estimator, dtype, given)
    recording = record(
        estimator._module_function(method),
        estimator.module_,
        _example(estimator, takes_codes=takes_codes),
        getattr(torch, dtype.name),
    )
    results = Translator(graph, EMITTERS).add(recording, matrix)
    names = [prefix + name for name in OUTPUTS[method]]
    if method in ("inverse_transform", "reconstruct"):
        _give_rows(graph, estimator, results[0], dtype, names[0])
    else:
        for name, value, ref in zip(names, results, recording.outputs, strict=True):
            graph.output(name, graph.cast(value, dtype), dtype, *ref.shape[1:])
    return graph


def assemble_detector(
    detector: AutoEncoderOutlierDetector,
    method: str,
    dtype: np.dtype,
    *,
    prefix: str = "",
    given: list[Given] | None = None,
    with_decision: bool = False,
) -> Graph:
    """Make the graph of a method of a fitted detector; see `assemble`.

    Parameters
    ----------
    detector : AutoEncoderOutlierDetector
    method : {"score_samples", "decision_function", "predict"}
    dtype : dtype
    prefix : str
    given : list of Given or None
    with_decision : bool
        Whether `predict` comes with `decision_function`.
    """
    graph = Graph(prefix)
    scores = add_scores(
        graph,
        detector._scorer,
        _detector_rows(graph, detector, dtype, given),
        dtype,
        example=partial(_example, takes_codes=False),
        emitters=EMITTERS,
    )
    if method == "score_samples":
        graph.output(prefix + "scores", scores, dtype)
        return graph
    decision = add_decision(graph, scores, detector.offset_)
    if method == "predict":
        labels = add_labels(graph, decision, detector.offset_, dtype)
        graph.output(prefix + "label", labels, np.int64)
    if with_decision or method == "decision_function":
        graph.output(prefix + "scores", graph.cast(decision, dtype), dtype)
    return graph


def _detector_rows(
    graph: Graph, detector: Any, dtype: np.dtype, given: list[Given] | None
) -> str:
    """Add the inputs for samples, and return the numbers that are scored."""
    table, shape = table_of(detector.estimators_[0]), _shape(detector)
    if table is None:
        return _matrix(graph, "X", shape, dtype, given)
    if detector.estimator is None:
        table = replace(table, allow_missing=True)
    columns = _cells(graph, table, shape, dtype, given)
    parts = encoded_columns(graph, table, columns, dtype, unseen=UNSEEN)
    rows = graph.op("Concat", *parts, axis=1)
    # In units of its column a number may be larger than numbers go.
    limits = np.finfo(dtype)
    low, high = (graph.constant(limit, dtype) for limit in (limits.min, limits.max))
    finite = graph.op("Min", graph.op("Max", rows, low), high)
    return graph.op("Where", graph.op("IsNaN", rows), rows, finite)


def _rows(graph: Graph, estimator: Any, dtype: np.dtype, given: Any) -> str:
    """Add the inputs for samples, and return the matrix that the module takes."""
    table, shape = estimator._table, _shape(estimator)
    if table is None:
        return _matrix(graph, "X", shape, dtype, given)
    columns = _cells(graph, table, shape, dtype, given)
    return graph.op("Concat", *encoded_columns(graph, table, columns, dtype), axis=1)


def _shape(estimator: Any) -> tuple[int, ...]:
    """Return the shape of a sample."""
    return estimator._row_shape or (estimator.n_features_in_,)


def _cells(
    graph: Graph, table: Table, shape: tuple[int, ...], dtype: np.dtype, given: Any
) -> list[tuple[str, np.dtype]]:
    """Add the inputs for a table, and return the cells of each column, and dtypes."""
    if not comes_by_column(table):
        matrix = _matrix(graph, "X", shape, dtype, given)
        n_columns = len(table.columns)
        widths = graph.ints([1] * n_columns)
        cells = graph.ops("Split", matrix, widths, n=n_columns, axis=1)
        return [(cell, dtype) for cell in cells]
    if given is None:
        names, dtypes = column_names(table), column_dtypes(table, dtype)
        given = [Given(*pair) for pair in zip(names, dtypes, strict=True)]
    elif len(given) != len(table.columns):
        raise Unsupported(
            f"{len(given)} inputs for the {len(table.columns)} columns of a table"
        )
    return [(graph.input(one.name, one.dtype, 1), one.dtype) for one in given]


def _imputer(graph: Graph, estimator: Any, dtype: np.dtype, given: Any) -> Graph:
    """Make the graph of a transformer that fills missing cells."""
    table = estimator._table
    if table is None or estimator._plan.indicators:
        raise Unsupported("an imputer of no missing cells, or with flags of them")
    shape = _shape(estimator)
    cells = _cells(graph, table, shape, dtype, given)
    if estimator._plan.is_masked:
        example = np.zeros((MORE, 2 * len(estimator.module_.columns.index)))
    else:
        example = _example(estimator, takes_codes=False)
    filled = add_filled(
        graph, estimator, cells, dtype, example=example, emitters=EMITTERS
    )
    name = graph.prefix + "filled"
    _give_cells(graph, table, filled, shape, dtype, name, prefix="filled")
    return graph


def _matrix(
    graph: Graph, name: str, shape: tuple[int, ...], dtype: np.dtype, given: Any
) -> str:
    """Add the input for rows of numbers, flattened; or those for their columns."""
    if given is None:
        given = [Given(name, dtype)]
    if len(given) > 1:
        columns = [graph.input(one.name, one.dtype, 1) for one in given]
        casts = [graph.cast(column, dtype) for column in columns]
        return graph.op("Concat", *casts, axis=1)
    matrix = graph.input(given[0].name, given[0].dtype, *shape)
    if given[0].dtype != dtype:
        matrix = graph.cast(matrix, dtype)
    if len(shape) > 1:
        flat = graph.ints([-1, int(np.prod(shape))])
        matrix = graph.op("Reshape", matrix, flat)
    return matrix


def _give_rows(
    graph: Graph, estimator: Any, matrix: str, dtype: np.dtype, name: str
) -> None:
    """Add the outputs for samples."""
    table, shape = estimator._table, _shape(estimator)
    if table is None:
        _give_matrix(graph, matrix, shape, dtype, name)
        return
    by_column = comes_by_column(table)
    dtypes = column_dtypes(table, dtype) if by_column else [dtype] * len(table.columns)
    cells = add_cells(graph, table, matrix, dtypes)
    _give_cells(graph, table, cells, shape, dtype, name, prefix="reconstructed")


def _give_matrix(
    graph: Graph, matrix: str, shape: tuple[int, ...], dtype: np.dtype, name: str
) -> None:
    """Add the output for rows of numbers, each of the shape of a sample."""
    if len(shape) > 1:
        matrix = graph.op("Reshape", matrix, graph.ints([-1, *shape]))
    graph.output(name, matrix, dtype, *shape)


def _give_cells(
    graph: Graph,
    table: Any,
    cells: list[tuple[str, np.dtype]],
    shape: tuple[int, ...],
    dtype: np.dtype,
    name: str,
    *,
    prefix: str,
) -> None:
    """Add an output for each column, or one for a matrix of numbers."""
    if comes_by_column(table):
        for column, (value, own) in zip(column_names(table), cells, strict=True):
            graph.output(f"{prefix}_{column}", value, own, 1)
        return
    parts = [graph.cast(value, dtype) for value, _ in cells]
    matrix = graph.op("Concat", *parts, axis=1)
    _give_matrix(graph, matrix, shape, dtype, name)


def _example(estimator: Any, *, takes_codes: bool) -> np.ndarray:
    """Return a few rows that the module can be run on."""
    normal = np.random.default_rng(0).normal
    if takes_codes:
        return normal(size=(MORE, estimator.n_components_))
    columns = estimator.module_.columns
    mean, spread = (
        columns.get_array(name, np.dtype(np.float64)) for name in ("mean", "spread")
    )
    rows = mean + spread * normal(size=(MORE, len(mean)))
    table = estimator._table
    for i, column in enumerate(() if table is None else table.columns):
        if isinstance(column, CategoryColumn):
            rows[:, i] = np.arange(MORE) % len(column.levels)
        elif isinstance(column, EmptyColumn):
            rows[:, i] = np.nan
    return rows
