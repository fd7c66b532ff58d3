"""Scores of an outlier detector in ONNX: what `Scorer` computes.

The transformers compute in the dtype of the graph, all else is float64, as there.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._outliers.members import MAX_ERROR, knows_conditionals
from sk_autoencoder._outliers.robust import (
    HUBER_DELTA,
    MAX_DISTANCE,
    ROUNDING,
    UNSEEN,
    distance,
)
from sk_autoencoder._outliers.scorer import Scorer
from sk_autoencoder._outliers.terms import (
    Latent,
    Likelihood,
    Ranks,
    Reconstruction,
    Term,
)
from sk_autoencoder.export._graph import Graph
from sk_autoencoder.export._ranks import add_rank_distances
from sk_autoencoder.export._record import Unsupported, record
from sk_autoencoder.export._translator import Emitter, Translator

WIDE = np.dtype(np.float64)
# Rounding of sums, as a fraction of the threshold: a training row whose score is the
# threshold is none of the outliers.
SLACK = {np.dtype(np.float32): 1e-6, WIDE: 1e-11}


def add_scores(
    graph: Graph,
    scorer: Scorer,
    rows: str,
    dtype: np.dtype,
    *,
    example: Callable[[Any], np.ndarray],
    emitters: dict[str, Emitter],
) -> str:
    """Return the scores of rows, (n,) of their dtype.

    Parameters
    ----------
    graph : Graph
    scorer : Scorer
    rows : str
        Rows of numbers, (n, n_features), with `UNSEEN` for a level never seen.
    dtype : dtype
        Of the rows.
    example : callable (estimator) -> ndarray
        Makes rows that a transformer can be run on.
    emitters : dict of str to Emitter

    Raises
    ------
    Unsupported
    """
    return _Scores(graph, scorer, rows, dtype, example, emitters).total()


def add_decision(graph: Graph, scores: str, offset: float) -> str:
    """Return how far scores are above the threshold, (n,) of float64."""
    return graph.op("Sub", graph.cast(scores, WIDE), graph.constant(offset, WIDE))


def add_labels(graph: Graph, decision: str, offset: float, dtype: np.dtype) -> str:
    """Return -1 for outliers and 1 for others, (n,) of int64."""
    below = graph.constant(-SLACK[dtype] * abs(offset), WIDE)
    signs = (graph.constant(sign, np.int64) for sign in (-1, 1))
    return graph.op("Where", graph.op("Less", decision, below), *signs)


class _Scores:
    """The terms of a score, added to a graph; see `add_scores`."""

    def __init__(
        self,
        graph: Graph,
        scorer: Scorer,
        rows: str,
        dtype: np.dtype,
        example: Callable[[Any], np.ndarray],
        emitters: dict[str, Emitter],
    ) -> None:
        self.graph, self.scorer, self.members = graph, scorer, scorer.members
        self.scales = scorer.members.scales
        self.rows, self.dtype = rows, dtype
        self._example, self._emitters = example, emitters

    def total(self) -> str:
        """Return the weighted sum of the terms, finite."""
        g, terms = self.graph, self.scorer.terms
        add: dict[type[Term], Callable[[Any], str]] = {
            Reconstruction: self._reconstruction,
            Ranks: lambda term: add_rank_distances(
                g, term, self.scales, self._wide_rows, self.dtype
            ),
            Latent: self._latent,
            Likelihood: self._likelihood,
        }
        total = None
        for term, weight in zip(terms, self.scorer.term_weights, strict=True):
            if type(term) not in add:
                raise Unsupported("a detector from a file of version 0.1.0")
            part = add[type(term)](term)
            part = g.op("Mul", part, g.constant(-weight, WIDE))
            total = part if total is None else g.op("Add", total, part)
        assert total is not None
        limits = np.finfo(self.dtype)
        low, high = (g.constant(v, WIDE) for v in (limits.min, limits.max))
        total = g.op("Where", g.op("IsNaN", total), low, total)
        return g.cast(g.op("Min", g.op("Max", total, low), high), self.dtype)

    # -- terms: far is large ---------------------------------------------------------

    def _reconstruction(self, term: Reconstruction) -> str:
        unseen = self._unseen_levels()
        found = []
        for (estimator, seen), scale in zip(
            self._members(), term.error_scales, strict=True
        ):
            cells = self._distance(self._errors(estimator, seen), scale)
            found.append(cells if unseen is None else self._add(cells, unseen))
        return self._mean_over_members(found)

    def _latent(self, term: Latent) -> str:
        found = []
        for (estimator, seen), (center, scale) in zip(
            self._members(), term.code_scales, strict=True
        ):
            (codes,) = self._recorded(
                estimator, estimator._module_function("transform"), seen
            )
            gap = self.graph.op("Sub", codes, self.graph.constant(center, WIDE))
            found.append(self._distance(self.graph.op("Abs", gap), scale))
        return self._mean_over_members(found)

    def _likelihood(self, term: Likelihood) -> str:
        del term
        found = []
        for estimator in self._ours():
            if not isinstance(estimator, VAETransformer):
                raise _not_ours(estimator)
            (scores,) = self._recorded(
                estimator, estimator._module_function("score_samples"), self._known_rows
            )
            found.append(self.graph.op("Neg", scores))
        return self._mean_of(found)

    # -- cells -----------------------------------------------------------------------

    def _errors(self, estimator: BaseAutoEncoder, seen: str) -> str:
        """Return the sizes of the errors of cells, (n, n_features) of float64."""
        g, of = self.graph, self.scales.is_category
        if knows_conditionals(estimator):
            raise Unsupported("a masked network's distribution of each cell")
        reconstruct = estimator._module_function("reconstruct")
        (found,) = self._recorded(estimator, reconstruct, seen, wide=False)
        gap = g.cast(g.op("Abs", g.op("Sub", self.rows, found)), WIDE)
        most, nothing = g.constant(MAX_ERROR, WIDE), g.constant(0.0, WIDE)
        errors = g.op("Where", g.op("IsNaN", gap), most, g.op("Min", gap, most))
        errors = g.op("Where", g.op("IsNaN", self.rows), nothing, errors)
        if of.any():
            (sizes,) = self._recorded(estimator, partial(_sizes, of=of), seen)
            errors = g.op("Where", g.constant(of), sizes, errors)
        return errors

    def _unseen_levels(self) -> str | None:
        """Return how far off levels never seen are, whatever is reconstructed."""
        g, of = self.graph, self.scales.is_category
        if not of.any():
            return None
        row = np.full((1, len(of)), float(UNSEEN))
        far = distance(self.scales.unseen_level_error(row), 1.0)
        unseen = g.op("Equal", self._wide_rows, g.constant(float(UNSEEN), WIDE))
        unseen = g.op("And", unseen, g.constant(of))
        return g.op("Where", unseen, g.constant(far, WIDE), g.constant(0.0, WIDE))

    def _distance(self, sizes: str, scale: np.ndarray) -> str:
        """Return what `robust.distance` does."""
        g = self.graph
        unit = g.constant(np.where(scale > 0, scale, np.inf), WIDE)
        ratio = g.op("Div", sizes, unit)
        ratio = g.op("Where", g.op("IsNaN", ratio), g.constant(0.0, WIDE), ratio)
        ratio = g.op("Min", ratio, g.constant(MAX_DISTANCE, WIDE))
        delta = g.constant(HUBER_DELTA, WIDE)
        beyond = g.op("Sub", g.op("Add", ratio, ratio), delta)
        near = g.op("Mul", ratio, ratio)
        far = g.op("Mul", beyond, delta)
        return g.op("Where", g.op("Less", ratio, delta), near, far)

    # -- rows, and what transformers make of them --------------------------------------

    @cached_property
    def _wide_rows(self) -> str:
        return self.graph.cast(self.rows, WIDE)

    @cached_property
    def _known_rows(self) -> str:
        """Rows in which a level never seen is missing."""
        g, of = self.graph, self.scales.is_category
        if not of.any():
            return self.rows
        unseen = g.op("Equal", self.rows, g.constant(UNSEEN, self.dtype))
        unseen = g.op("And", unseen, g.constant(of))
        return g.op("Where", unseen, g.constant(np.nan, self.dtype), self.rows)

    @cached_property
    def _seen_rows(self) -> str:
        """Rows as networks see them that take missing cells."""
        g, scales = self.graph, self.scales
        center, constant = scales.center, scales.scale == 0
        rounding = np.where(constant, ROUNDING * np.abs(center), 0.0)
        rows = self._known_rows
        for kind, end, sign in zip(
            ("Less", "Greater"), scales.seen_range(self.dtype), (-1, 1), strict=True
        ):
            # Rows of another dtype differ from a constant by rounding: these stay.
            at = np.where(constant, center + sign * rounding, end)
            at = np.where(scales.is_category, sign * np.inf, at)
            is_beyond = g.op(kind, self._wide_rows, g.constant(at, WIDE))
            rows = g.op("Where", is_beyond, g.constant(end, self.dtype), rows)
        return rows

    @cached_property
    def _filled_rows(self) -> str:
        """Rows as networks see them that take no missing cells."""
        g, rows = self.graph, self._seen_rows
        center = g.constant(self.scales.center, self.dtype)
        return g.op("Where", g.op("IsNaN", rows), center, rows)

    def _members(self) -> Iterator[tuple[BaseAutoEncoder, str]]:
        """Yield each transformer with the rows as it is to see them."""
        for estimator, fills in zip(self._ours(), self.members.fills, strict=True):
            yield estimator, self._filled_rows if fills else self._seen_rows

    def _ours(self) -> Iterator[BaseAutoEncoder]:
        for estimator in self.members.estimators:
            if not isinstance(estimator, BaseAutoEncoder):
                raise _not_ours(estimator)
            yield estimator

    def _recorded(
        self, estimator: Any, function: Any, rows: str, *, wide: bool = True
    ) -> list[str]:
        """Return what a function of a transformer's module makes of rows."""
        recording = record(
            function,
            estimator.module_,
            self._example(estimator),
            getattr(torch, self.dtype.name),
        )
        results = Translator(self.graph, self._emitters).add(recording, rows)
        kind = WIDE if wide else self.dtype
        return [self.graph.cast(result, kind) for result in results]

    # -- sums --------------------------------------------------------------------------

    def _add(self, one: str, other: str) -> str:
        return self.graph.op("Add", one, other)

    def _mean_over_members(self, cells: list[str]) -> str:
        """Average cells (n, k) of each transformer over columns and transformers."""
        axes = self.graph.ints([1])
        means = [self.graph.op("ReduceMean", c, axes, keepdims=0) for c in cells]
        return self._mean_of(means)

    def _mean_of(self, values: list[str]) -> str:
        n_values = self.graph.constant(float(len(values)), WIDE)
        return self.graph.op("Div", self.graph.op("Sum", *values), n_values)


def _sizes(module: Any, X: torch.Tensor, of: np.ndarray) -> torch.Tensor:
    """Return the sizes of the errors of categories, by their one-hots; 0 of others."""
    errors = module.errors(X).double()
    of_columns = module.columns.sum_by_column(torch.eye(errors.shape[1])).double()
    of_columns *= torch.from_numpy(of)
    return (errors.square() @ of_columns).sqrt()


def _not_ours(estimator: Any) -> Unsupported:
    return Unsupported(
        f"a {type(estimator).__name__} in a detector, in place of a transformer of "
        "sk_autoencoder,"
    )
