"""Ranks of cells and distances from exemplars in ONNX: what `Ranks` computes.

Cells are float64, and, but for the distances, stand as (n_features, n): each column
has a table of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev, chebyshev
from scipy.special import ndtri

from sk_autoencoder._outliers.ranks import (
    N_NEIGHBORS,
    SAME,
    Exemplars,
    NormalScores,
    rounding_of,
)
from sk_autoencoder._outliers.robust import RobustScales
from sk_autoencoder._outliers.terms import Ranks
from sk_autoencoder.export._graph import Graph

# Of the polynomial for `ndtri`: it is off by less than 1e-11 for ranks of as many rows
# as ranks are measured on.
DEGREE = 20
# Not the number of any level, of a row or of an exemplar.
MISSING = -2.0


@dataclass(frozen=True)
class Scored:
    """Normal scores of cells, (n_columns, n) of float64.

    Attributes
    ----------
    numbers : str or None
        Of the columns of numbers; NaN where a cell is missing.
    sizes, levels : str or None
        Of categories: 0 and NaN where a cell is missing.
    """

    numbers: str | None
    sizes: str | None
    levels: str | None


def add_rank_distances(
    graph: Graph, term: Ranks, scales: RobustScales, rows: str, dtype: np.dtype
) -> str:
    """Return the weighted mean of the two distances of each row, (n,) of float64.

    Parameters
    ----------
    graph : Graph
    term : Ranks
    scales : RobustScales
    rows : str
        (n, n_features) of float64.
    dtype : dtype
        That the rows came in.
    """
    wide = graph.op("Transpose", rows, perm=[1, 0])
    scored = _scored(graph, term.normal_scores, scales, wide, dtype)
    parts = [part for part in (scored.numbers, scored.sizes) if part is not None]
    every = parts[0] if len(parts) == 1 else graph.op("Concat", *parts, axis=0)
    n_features = len(scales.center)
    rarity = _sum(graph, _known(graph, graph.op("Mul", every, every)))
    near = _neighbor_distance(graph, term.exemplars, scales, scored)
    share = 1.0 / (1.0 + term.neighbor_weight) / n_features
    factors = share / term.usual * [1.0, term.neighbor_weight]
    weighed = (
        graph.op("Mul", part, graph.constant(factor))
        for part, factor in zip((rarity, near), factors, strict=True)
    )
    return graph.op("Add", *weighed)


def _scored(
    graph: Graph,
    normal_scores: NormalScores,
    scales: RobustScales,
    cells: str,
    dtype: np.dtype,
) -> Scored:
    numbers = sizes = levels = None
    of = scales.is_category
    if not of.all():
        own = _rows_of(graph, cells, ~of)
        ranks = _ranks(graph, normal_scores, ~of, own, dtype)
        numbers = _normal_quantiles(graph, ranks, float(normal_scores.least.min()))
    if of.any():
        levels = _rows_of(graph, cells, of)
        tables = [level for level in scales.level_distances if level is not None]
        sizes = _level_sizes(graph, tables, levels)
    return Scored(numbers, sizes, levels)


def _rows_of(graph: Graph, cells: str, chosen: np.ndarray) -> str:
    if chosen.all():
        return cells
    return graph.op(
        "Gather", cells, graph.constant(np.flatnonzero(chosen), np.int64), axis=0
    )


def _level_sizes(graph: Graph, tables: list[np.ndarray], levels: str) -> str:
    """Return how far levels are off, 0 where a cell is missing; the last is unseen."""
    lengths = np.array([len(table) for table in tables])
    starts = np.cumsum(lengths) - lengths
    known = _known(graph, levels)
    unseen = graph.op("Less", known, graph.constant(0.0))
    last = graph.constant((lengths - 1)[:, None], np.float64)
    at = graph.op("Where", unseen, last, known)
    at = graph.op("Add", at, graph.constant(starts[:, None], np.float64))
    sizes = graph.constant(np.concatenate(tables))
    found = graph.op("Gather", sizes, graph.cast(at, np.int64))
    nothing = graph.constant(0.0)
    return graph.op("Where", graph.op("IsNaN", levels), nothing, found)


def _ranks(
    graph: Graph,
    normal_scores: NormalScores,
    chosen: np.ndarray,
    cells: str,
    dtype: np.dtype,
) -> str:
    """Return mid-ranks, as `NormalScores` computes them; NaN where one is missing."""
    values, below, up_to = (
        table[chosen]
        for table in (normal_scores.values, normal_scores.below, normal_scores.up_to)
    )
    n_columns, n_values = values.shape
    rounding = max(normal_scores.rounding, rounding_of(dtype))
    reach = graph.op("Mul", graph.op("Abs", cells), graph.constant(rounding))
    first = graph.search_sorted(graph.op("Sub", cells, reach), values, right=False)
    after = graph.search_sorted(graph.op("Add", cells, reach), values, right=True)
    # Infinity is past the numbers that fill up the table of a search.
    first, after = (
        graph.op("Min", found, graph.ints([n_values])) for found in (first, after)
    )
    # Tables with what stands before the first and past the last value.
    starts = graph.constant(np.arange(n_columns)[:, None] * (n_values + 1), np.int64)
    at_first, at_after = (graph.op("Add", found, starts) for found in (first, after))

    low = _at_ends(graph, up_to, at_after, before=True, fill=0.0)
    high = _at_ends(graph, below, at_first, before=False, fill=1.0)
    # Halves first: the difference of two values may overflow.
    near = _at_ends(graph, 0.5 * values, at_after, before=True)
    far = _at_ends(graph, 0.5 * values, at_first, before=False)
    gap = graph.op("Sub", far, near)
    zero, one, half = (graph.constant(number) for number in (0.0, 1.0, 0.5))
    gap = graph.op("Where", graph.op("Greater", gap, zero), gap, one)
    beyond = graph.op("Sub", graph.op("Mul", cells, half), near)
    part = _clipped(graph, graph.op("Div", beyond, gap), zero, one)
    ranks = graph.op("Add", low, graph.op("Mul", graph.op("Sub", high, low), part))
    ends = (
        _at_ends(graph, below, at_first, before=False),
        _at_ends(graph, up_to, at_after, before=True),
    )
    middles = graph.op("Mul", graph.op("Add", *ends), half)
    ranks = graph.op("Where", graph.op("Greater", after, first), middles, ranks)
    least = normal_scores.least[chosen, None]
    ranks = _clipped(graph, ranks, graph.constant(least), graph.constant(1.0 - least))
    return graph.op("Where", graph.op("IsNaN", cells), cells, ranks)


def _at_ends(
    graph: Graph, table: np.ndarray, at: str, *, before: bool, fill: float | None = None
) -> str:
    """Look up values of a table with one more before the first, or after the last.

    That is `fill`, or the first, or the last, again.
    """
    pads = ((0, 0), (1, 0) if before else (0, 1))
    if fill is None:
        filled = np.pad(table, pads, mode="edge")
    else:
        filled = np.pad(table, pads, constant_values=fill)
    return graph.op("Gather", graph.constant(filled.ravel()), at)


def _normal_quantiles(graph: Graph, ranks: str, least: float) -> str:
    """Return what `ndtri` does, of fractions that are as far as that from 0 and 1.

    As a polynomial in the square root of minus the logarithm of the tail, in which the
    quantile is nearly a straight line.
    """
    ends = [np.sqrt(np.log(2.0)), np.sqrt(-np.log(min(least, 0.4)))]
    fitted = Chebyshev.interpolate(lambda s: -ndtri(np.exp(-s * s)), DEGREE, ends)
    factors = chebyshev.cheb2poly(fitted.coef)[::-1]
    tail = graph.op("Min", ranks, graph.op("Sub", graph.constant(1.0), ranks))
    root = graph.op("Sqrt", graph.op("Neg", graph.op("Log", tail)))
    middle, reach = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    x = graph.op("Sub", root, graph.constant(middle))
    x = graph.op("Div", x, graph.constant(reach))
    found = graph.constant(factors[0])
    for factor in factors[1:]:
        found = graph.op("Add", graph.op("Mul", found, x), graph.constant(factor))
    is_low = graph.op("Less", ranks, graph.constant(0.5))
    return graph.op("Where", is_low, graph.op("Neg", found), found)


def _neighbor_distance(
    graph: Graph, exemplars: Exemplars, scales: RobustScales, scored: Scored
) -> str:
    """Return the mean over the nearest exemplars of the summed distances, (n,)."""
    of, sizes = scales.is_category, None
    if scored.numbers is not None:
        sizes = _squared_distances(graph, exemplars.scores[:, ~of], scored.numbers)
    if exemplars.levels is not None:
        assert scored.sizes is not None
        assert scored.levels is not None
        levels = _levels_of(exemplars)
        for j, i in enumerate(np.flatnonzero(of)):
            column = graph.ints([j])
            own, level = (
                graph.op(
                    "Transpose", graph.op("Gather", cells, column, axis=0), perm=[1, 0]
                )
                for cells in (scored.sizes, scored.levels)
            )
            others = graph.constant(exemplars.scores[None, :, i])
            their_levels = graph.constant(levels[None, :, j])
            more = _between_levels(graph, own, level, others, their_levels)
            sizes = more if sizes is None else graph.op("Add", sizes, more)
    assert sizes is not None
    n_nearest = min(N_NEIGHBORS + 1, len(exemplars.scores))
    least, which = graph.ops(
        "TopK", sizes, graph.ints([n_nearest]), n=2, axis=1, largest=0
    )
    least = graph.op("Max", least, graph.constant(0.0))
    # Of fewer exemplars than that the last one counts again.
    places = np.minimum(np.arange(N_NEIGHBORS + 1), n_nearest - 1)
    means = [
        _mean(graph, graph.op("Gather", least, graph.constant(at, np.int64), axis=1))
        for at in (places[:-1], places[1:])
    ]
    nearest = graph.op("Gather", which, graph.constant(0, np.int64), axis=1)
    same = _is_same(graph, exemplars, of, scored, nearest)
    return graph.op("Where", same, means[1], means[0])


def _squared_distances(graph: Graph, others: np.ndarray, scores: str) -> str:
    """Return the distances of rows from all exemplars, (n, n_exemplars)."""
    missing = graph.cast(graph.op("IsNaN", scores), np.float64)
    both = graph.op("Concat", _known(graph, scores), missing, axis=0)
    factors = graph.constant(np.concatenate([others.T, 0.5 * others.T**2]))
    norms = graph.constant((others**2).sum(axis=1))
    found = graph.op("Gemm", both, factors, norms, transA=1, alpha=-2.0)
    known = _known(graph, graph.op("Mul", scores, scores))
    own = graph.op("ReduceSum", known, graph.ints([0]), keepdims=1)
    return graph.op("Add", found, graph.op("Transpose", own, perm=[1, 0]))


def _between_levels(
    graph: Graph, own: str, level: str, others: str, their_levels: str
) -> str:
    """Return how far levels are apart, of any shapes; 0 where a row's is missing."""
    apart = graph.op("Add", graph.op("Mul", own, own), graph.op("Mul", others, others))
    same = graph.op("Equal", level, their_levels)
    nothing = graph.op("Or", same, graph.op("IsNaN", level))
    return graph.op("Where", nothing, graph.constant(0.0), apart)


def _is_same(
    graph: Graph, exemplars: Exemplars, of: np.ndarray, scored: Scored, nearest: str
) -> str:
    """Whether rows are as the exemplar that is nearest to each, (n,)."""
    # Cell by cell: a sum of products is off by more.
    parts = []
    if scored.numbers is not None:
        others = graph.constant(exemplars.scores[:, ~of].T)
        others = graph.op("Gather", others, nearest, axis=1)
        gap = graph.op("Sub", scored.numbers, others)
        parts.append(_sum(graph, _known(graph, graph.op("Mul", gap, gap))))
    if exemplars.levels is not None:
        assert scored.sizes is not None
        assert scored.levels is not None
        others, their_levels = (
            graph.op("Gather", graph.constant(a.T), nearest, axis=1)
            for a in (exemplars.scores[:, of], _levels_of(exemplars))
        )
        cells = scored.sizes, scored.levels, others, their_levels
        parts.append(_sum(graph, _between_levels(graph, *cells)))
    total = parts[0] if len(parts) == 1 else graph.op("Add", *parts)
    return graph.op("LessOrEqual", total, graph.constant(SAME))


def _levels_of(exemplars: Exemplars) -> np.ndarray:
    assert exemplars.levels is not None
    return np.where(exemplars.levels < 0, MISSING, exemplars.levels)


def _known(graph: Graph, cells: str) -> str:
    """Return cells with 0 where one is missing."""
    return graph.op("Where", graph.op("IsNaN", cells), graph.constant(0.0), cells)


def _clipped(graph: Graph, x: str, low: str, high: str) -> str:
    return graph.op("Min", graph.op("Max", x, low), high)


def _sum(graph: Graph, cells: str) -> str:
    """Sum cells (n_columns, n) over the columns."""
    return graph.op("ReduceSum", cells, graph.ints([0]), keepdims=0)


def _mean(graph: Graph, cells: str) -> str:
    """Average cells (n, k) over the second axis."""
    return graph.op("ReduceMean", cells, graph.ints([1]), keepdims=0)
