"""The score of samples: fitted transformers, and the terms of the score."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._outliers.members import (
    Members,
    reading_as,
    table_of,
    without_warnings_of_columns,
)
from sk_autoencoder._outliers.robust import UNSEEN, WILD, RobustScales
from sk_autoencoder._outliers.rows import (
    CHUNK_CELLS,
    by_chunks,
    level_counts,
    level_shares,
    numbers_of,
    own_levels,
    some_of,
    typical_rows,
)
from sk_autoencoder._outliers.terms import TERMS, fit_combined, is_measure
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.sklearn_compat import _safe_indexing

# Each member leaves out a fold only if two rows remain for it.
LEAST_ROWS = 3


@loadable()
@dataclass(frozen=True)
class Scorer:
    """Autoencoders fitted to the same rows, and a score of their terms.

    Rows are those that the autoencoders have validated: of a table the numbers that
    it becomes, one a feature.

    Attributes
    ----------
    members : Members
    terms : tuple of Term
    weights : tuple of float or None
        Of the terms; None takes the mean of those that have cells, and the sum of the
        others.
    assigns_spillover : bool
        Whether `contributions` gives a wild cell what it adds to those of others.
        Version 0.1.0 did not, and its files keep what they gave.
    """

    members: Members
    terms: tuple[Any, ...]
    weights: tuple[float, ...] | None = None
    assigns_spillover: bool = True

    @classmethod
    def fit(
        cls,
        estimators: Sequence[Any],
        measure: str,
        X: Any,
        support: float,
        generator: np.random.Generator,
        *,
        reader: BaseAutoEncoder | None,
        fitting: Callable[[Any], AbstractContextManager[None]],
    ) -> "tuple[Scorer, tuple[np.ndarray, ...] | None]":
        """Fit transformers to the most typical rows, and the terms to all.

        Parameters
        ----------
        estimators : sequence of transformers
            Not fitted; they are now. Of several each leaves out a fold of the rows.
        measure : str
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        support : float
            Fraction of the rows to fit to, those nearest to the medians; with 1 no row
            is left out anywhere.
        generator : numpy Generator
            Draws folds, the exemplars, and the rows that are measured where there are
            many.
        reader : BaseAutoEncoder or None
            Reads a table as `estimators` do; None where X holds numbers alone.
        fitting : callable (estimator) -> context manager
            In which the estimator is fitted.

        Returns
        -------
        scorer : Scorer
        held_out : tuple of ndarray or None
            For each estimator, its scores of the rows that it was not fitted to. There
            a level that no other row has counts as unseen. None where each estimator
            was fitted to all rows.
        """
        folds = _folds(X.shape[0], len(estimators), generator)
        parts = [np.flatnonzero(folds != i) for i in range(len(estimators))]
        table = None if reader is None else reader._read_table(X)
        # Members that see parts of a table have to read it in the same way.
        shared = table if len(estimators) > 1 else None
        chosen = typical_rows(table, X, parts, support, generator)
        for estimator, part in zip(estimators, chosen, strict=True):
            typical = X if len(part) == X.shape[0] else _safe_indexing(X, part)
            reading = reading_as(estimator, shared)
            with fitting(estimator), without_warnings_of_columns(estimator), reading:
                estimator.fit(typical)
        table = table_of(estimators[0])
        matrix = numbers_of(table, X)
        some = some_of(matrix.shape[0], generator)
        rows, folds = dense_rows(matrix, some), folds[some]
        shares = level_shares(table, rows.shape[1])
        scales = RobustScales.of(rows, shares, matrix.shape[0])
        members = Members(list(estimators), scales)
        counts = level_counts(shares, matrix)
        if measure == "combined":
            terms, weights, scores = fit_combined(
                members, rows, counts, support, generator
            )
            scorer = cls(members, terms, weights)
        else:
            scorer = cls(members, tuple(t.fit(members, rows) for t in TERMS[measure]))
            scores = None
        if (folds < 0).any():
            return scorer, None
        if scores is None:
            own = own_levels(counts, rows)
            scores = scorer.member_scores(np.where(own, UNSEEN, rows))
        return scorer, tuple(scores[folds == i, i] for i in range(len(estimators)))

    def check(self, n_features: int) -> None:
        """Refuse a scorer from a file whose parts do not fit each other.

        Parameters
        ----------
        n_features : int
            Of the detector.
        """
        need(is_measure(self.terms), "terms of no measure")
        good = self.weights is None or (
            len(self.weights) == len(self.terms)
            and all(0 < weight < np.inf for weight in self.weights)
        )
        need(good, "weights of other terms")
        self.members.check(n_features)
        for term in self.terms:
            term.check(self.members)

    def scores(self, rows: Any) -> np.ndarray:
        """Score rows, higher is more normal, (n_samples,) in the dtype of the rows.

        All are finite: scores that overflow become the least number of the dtype.
        """
        dtype: Any = np.float32 if rows.dtype == np.float32 else np.float64
        limits = np.finfo(dtype)
        scores = np.nan_to_num(by_chunks(self._scores_of, rows), nan=limits.min)
        clipped: np.ndarray = scores.clip(limits.min, limits.max).astype(dtype)
        return clipped

    def contributions(self, rows: Any) -> np.ndarray:
        """Distribute the scores over the cells, (n_samples, n_features) of float64.

        Where the score is a sum over cells, its parts, each given to the cell that
        causes it; else how much the score rises when the cell is replaced by the median
        or the most frequent level.
        """
        if all(term.has_cells for term in self.terms):
            return by_chunks(lambda part: self._explained(part) / part.shape[1], rows)
        return by_chunks(self._gains, rows)

    def member_scores(self, rows: Any) -> np.ndarray:
        """Score rows by each member alone, (n_samples, n_members) of float64."""
        return by_chunks(self._member_scores_of, rows)

    @property
    def term_weights(self) -> tuple[float, ...]:
        """Weights of the terms, those of a mean where none are given."""
        if self.weights is not None:
            return self.weights
        n_with_cells = max(1, sum(term.has_cells for term in self.terms))
        return tuple(1 / n_with_cells if t.has_cells else 1.0 for t in self.terms)

    def _scores_of(self, rows: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self._member_scores_of(rows).mean(axis=1)
        return scores

    def _member_scores_of(self, rows: np.ndarray) -> np.ndarray:
        result = np.zeros((len(rows), len(self.members.estimators)))
        for term, weight in zip(self.terms, self.term_weights, strict=True):
            result += weight * term.score(self.members, rows)
        return result

    def _cells(self, rows: np.ndarray) -> np.ndarray:
        """Compute each cell's part of the score, 1 for a typical one, in float64."""
        result = np.zeros(rows.shape)
        for term, weight in zip(self.terms, self.term_weights, strict=True):
            if term.has_cells:
                result += weight * term.explain(self.members, rows)
        return result

    def _explained(self, rows: np.ndarray) -> np.ndarray:
        """Compute `_cells`, with what a wild cell adds to other cells given to it.

        A cell far from its median spoils the reconstruction of other columns too. A
        cell that is less far off keeps what it has when the wild one is replaced by its
        median. The rest is the wild cell's.
        """
        scales, cells = self.members.scales, self._cells(rows)
        if not self.assigns_spillover:
            return cells
        own, spillover = cells.copy(), np.zeros(rows.shape)
        far = scales.distances(rows)
        # One wild cell of a row is replaced at a time, column by column.
        pairs = np.argwhere((far > WILD).T)
        for part in row_chunks(len(pairs), rows.shape[1], CHUNK_CELLS):
            columns, at = pairs[part].T
            changed = rows[at]
            changed[np.arange(len(at)), columns] = scales.center[columns]
            less = cells[at] - self._cells(changed)
            less[far[at] >= far[at, columns, np.newaxis]] = 0.0
            for i in np.unique(columns):
                of, moved = at[columns == i], less[columns == i]
                moved = np.clip(moved, 0.0, own[of])
                own[of] -= moved
                spillover[of, i] += moved.sum(axis=1)
        return own + spillover

    def _gains(self, rows: np.ndarray) -> np.ndarray:
        """Compute how much each score rises when a cell is replaced by the median."""
        center, before = self.members.scales.center, self._scores_of(rows)
        gains = np.zeros(rows.shape)
        for i in range(rows.shape[1]):
            changed = rows.copy()
            changed[:, i] = np.where(np.isnan(rows[:, i]), np.nan, center[i])
            gains[:, i] = _difference(self._scores_of(changed), before)
        return gains


def _difference(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Subtract scores, and clip differences that overflow."""
    limits = np.finfo(np.float64)
    ends = [np.nan_to_num(scores, nan=limits.min) for scores in (after, before)]
    with np.errstate(over="ignore"):
        return (ends[0] - ends[1]).clip(limits.min, limits.max)


def _folds(n_rows: int, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Return a fold for each row, all of about the same size; -1 where none is made."""
    if n_folds == 1 or n_rows < LEAST_ROWS:
        return np.full(n_rows, -1)
    return generator.permutation(n_rows) % n_folds
