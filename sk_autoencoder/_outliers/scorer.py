"""What makes a sample an outlier: the terms of a score, and their sum.

A term is a small class with `fit`, `score` and `explain`. To add one, write it here and
name it in `TERMS`, for the measures that have it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._outliers.members import (
    Members,
    cell_errors,
    codes_of,
    has_density,
    log_density,
    table_of,
)
from sk_autoencoder._outliers.robust import (
    WILD,
    RobustScales,
    distance,
    min_error_scales,
    robust_scale,
)
from sk_autoencoder._outliers.rows import (
    CHUNK_CELLS,
    by_chunks,
    level_shares,
    most_typical,
    numbers_of,
    some_rows,
    without_warnings_of_empty,
)
from sk_autoencoder._saving.checks import Range, need
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.chunks import row_chunks

__all__ = ["MEASURES", "TERMS", "Scorer"]


# ------------------------------------------------------------------------ the terms


class Term:
    """A part of the score of samples; higher is more normal.

    Attributes
    ----------
    has_cells : bool
        Whether the score is minus the mean of what `explain` returns.
    """

    has_cells: ClassVar[bool] = True

    @classmethod
    def fit(cls, members: Members, rows: np.ndarray) -> Self:
        """Measure rows, some of those that the members were fitted to, if need be."""
        del members, rows
        return cls()

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows, (n_samples,)."""
        scores: np.ndarray = -self.explain(members, rows).mean(axis=1)
        return scores

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, 1 for a typical one, of shape of rows."""
        raise NotImplementedError

    def check(self, members: Members) -> None:
        """Refuse a term from a file that is not of such members."""


@loadable(error_scales=Range(0, shape="m d"))
@dataclass(frozen=True)
class Reconstruction(Term):
    """How far cells are from their reconstructions, on average over the members.

    Attributes
    ----------
    error_scales : ndarray of shape (n_estimators, n_features)
        0 for constant features.
    """

    error_scales: np.ndarray

    @classmethod
    def fit(cls, members: Members, rows: np.ndarray) -> Self:
        """Measure the errors of each member."""
        scales = members.scales
        least = min_error_scales(scales, rows, members.level_shares)
        errors = members.checked_errors(rows)
        found = np.stack([robust_scale(sizes, least) for sizes in errors])
        found[:, scales.scale == 0] = 0.0
        found[:, scales.is_category] = least[scales.is_category]
        return cls(found)

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, of shape of rows."""
        result, of = np.zeros(rows.shape), members.scales.is_category
        pairs = zip(members.seen(rows), self.error_scales, strict=True)
        for (estimator, seen), scale in pairs:
            result += distance(cell_errors(estimator, rows, seen, of), scale)
        result /= len(members.estimators)
        return result + distance(members.scales.unseen_level_error(rows), 1.0)

    def check(self, members: Members) -> None:
        """Refuse scales of other members, or of other features."""
        shape = (len(members.estimators), len(members.scales.center))
        need(self.error_scales.shape == shape, "scales of other errors")


@loadable()
@dataclass(frozen=True)
class Marginal(Term):
    """How far cells are from the medians of their columns."""

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, of shape of rows."""
        return members.scales.distances(rows)


@loadable()
@dataclass(frozen=True)
class Latent(Term):
    """How far codes are from the median code, on average over the members.

    Attributes
    ----------
    code_scales : tuple of ndarray of shape (2, n_components), one an estimator
        Medians and scales of the codes.
    """

    code_scales: tuple[np.ndarray, ...]
    has_cells: ClassVar[bool] = False

    @classmethod
    def fit(cls, members: Members, rows: np.ndarray) -> Self:
        """Measure the codes of each member."""
        return cls(tuple(_code_scales(*pair) for pair in members.seen(rows)))

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows, (n_samples,)."""
        far = [
            distance(codes_of(estimator, seen) - center, scale).mean(axis=1)
            for (estimator, seen), (center, scale) in zip(
                members.seen(rows), self.code_scales, strict=True
            )
        ]
        scores: np.ndarray = -np.mean(far, axis=0)
        return scores

    def check(self, members: Members) -> None:
        """Refuse scales of other codes."""
        shapes = [(2, estimator.n_components_) for estimator in members.estimators]
        need([a.shape for a in self.code_scales] == shapes, "scales of other codes")


@loadable()
@dataclass(frozen=True)
class Likelihood(Term):
    """The log density of samples, in nats, on average over the members."""

    has_cells: ClassVar[bool] = False

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows, (n_samples,)."""
        # Not cut back: how far off numbers are is for the density to say.
        known = members.scales.known(rows)
        logs = [log_density(estimator, known) for estimator in members.estimators]
        return np.stack(logs).mean(axis=0, dtype=np.float64)

    def check(self, members: Members) -> None:
        """Refuse members without a density."""
        good = all(map(has_density, members.estimators))
        need(good, "a likelihood of estimators without a density")


# Of each measure. A score is minus the mean of the cells, averaged over the terms
# that have cells, and the sum of the others.
TERMS: dict[str, tuple[type[Term], ...]] = {
    "combined": (Reconstruction, Marginal),
    "reconstruction": (Reconstruction,),
    "latent": (Reconstruction, Latent),
    "likelihood": (Likelihood,),
}
MEASURES = tuple(TERMS)


# ------------------------------------------------------------------------- the score


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
    assigns_spillover : bool
        Whether `contributions` gives a wild cell what it adds to those of others.
        Version 0.1.0 did not, and its files keep what they gave.
    """

    members: Members
    terms: tuple[Any, ...]
    assigns_spillover: bool = True

    @classmethod
    def fit(
        cls,
        estimators: Sequence[Any],
        measure: str,
        X: Any,
        n_fitted: int,
        generator: np.random.Generator,
        *,
        reader: BaseAutoEncoder | None,
        on_fit: Callable[[], None],
    ) -> "Scorer":
        """Fit autoencoders to the most typical rows, and the terms to all.

        Parameters
        ----------
        estimators : sequence of transformers
            Not fitted; they are now.
        measure : str
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        n_fitted : int
            Rows to fit to: those nearest to the medians.
        generator : numpy Generator
            Draws the rows for the scales, where there are many.
        reader : BaseAutoEncoder or None
            Reads a table as `estimators` do; None where X holds numbers alone.
        on_fit : callable ()
            Called once an estimator is fitted.
        """
        typical = most_typical(reader, X, n_fitted, generator)
        with without_warnings_of_empty(reader, typical):
            for estimator in estimators:
                estimator.fit(typical)
                on_fit()
        table = table_of(estimators[0])
        rows = some_rows(numbers_of(table, X), generator)
        shares = level_shares(table, rows.shape[1])
        members = Members(list(estimators), RobustScales.of(rows, shares))
        terms = tuple(term.fit(members, rows) for term in TERMS[measure])
        return cls(members, terms)

    def check(self, n_features: int) -> None:
        """Refuse a scorer from a file whose parts do not fit each other.

        Parameters
        ----------
        n_features : int
            Of the detector.
        """
        kinds = tuple(map(type, self.terms))
        need(kinds in TERMS.values(), "terms of no measure")
        self.members.check(n_features)
        for term in self.terms:
            term.check(self.members)

    def scores(self, rows: Any) -> np.ndarray:
        """Score rows, higher is more normal, (n_samples,) in the dtype of the rows.

        All are finite: a row farther away than numbers go gets the least of its dtype.
        """
        dtype: Any = np.float32 if rows.dtype == np.float32 else np.float64
        limits = np.finfo(dtype)
        scores = np.nan_to_num(by_chunks(self._scores_of, rows), nan=limits.min)
        clipped: np.ndarray = scores.clip(limits.min, limits.max).astype(dtype)
        return clipped

    def contributions(self, rows: Any) -> np.ndarray:
        """Distribute the scores over the cells, (n_samples, n_features) of float64.

        Of a score that is a sum over cells its parts, each given to the cell that it
        is due to. Of other scores how much they rise if the cell is the median, or the
        most frequent level.
        """
        if all(term.has_cells for term in self.terms):
            return by_chunks(lambda part: self._explained(part) / part.shape[1], rows)
        return by_chunks(self._gains, rows)

    def _scores_of(self, rows: np.ndarray) -> np.ndarray:
        scores = [
            term.score(self.members, rows) for term in self.terms if not term.has_cells
        ]
        if len(scores) < len(self.terms):
            scores.insert(0, -self._cells(rows).mean(axis=1))
        result: np.ndarray = np.sum(scores, axis=0)
        return result

    def _cells(self, rows: np.ndarray) -> np.ndarray:
        """Compute what each cell has of the score, 1 for a typical one, in float64."""
        terms = [term for term in self.terms if term.has_cells]
        parts = [term.explain(self.members, rows) for term in terms]
        return np.sum(parts, axis=0) / len(parts)

    def _explained(self, rows: np.ndarray) -> np.ndarray:
        """Compute `_cells`, where a wild cell has what it adds to those of others.

        A cell far off spoils the reconstruction of other columns too. What cells that
        are less far off have beyond what they would have if the wild one were the
        median is the wild cell's.
        """
        scales, cells = self.members.scales, self._cells(rows)
        if not self.assigns_spillover:
            return cells
        own, spillover = cells.copy(), np.zeros(rows.shape)
        far = scales.distances(rows)
        # All rows with one wild cell calmed at a time, column by column.
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
        """Compute how much each score rises if a cell is the median."""
        center, before = self.members.scales.center, self._scores_of(rows)
        gains = np.zeros(rows.shape)
        for i in range(rows.shape[1]):
            changed = rows.copy()
            changed[:, i] = np.where(np.isnan(rows[:, i]), np.nan, center[i])
            gains[:, i] = _difference(self._scores_of(changed), before)
        return gains


def _difference(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Compute a difference of scores that may be as far apart as numbers go; finite."""
    limits = np.finfo(np.float64)
    ends = [np.nan_to_num(scores, nan=limits.min) for scores in (after, before)]
    with np.errstate(over="ignore"):
        return (ends[0] - ends[1]).clip(limits.min, limits.max)


def _code_scales(estimator: Any, seen: np.ndarray) -> np.ndarray:
    codes = codes_of(estimator, seen).astype(np.float64)
    center = np.median(codes, axis=0)
    return np.stack([center, robust_scale(np.abs(codes - center))])
