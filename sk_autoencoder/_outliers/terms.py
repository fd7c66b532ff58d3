"""What makes a sample an outlier: the terms of a score.

A term is a small class with `fit`, `score` and `explain`. To add one, write it here and
name it in `TERMS`, for the measures that have it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from sk_autoencoder._outliers.members import (
    Members,
    cell_errors,
    code_width,
    codes_of,
    has_density,
    knows_conditionals,
    log_density,
)
from sk_autoencoder._outliers.ranks import (
    MOST_EXEMPLAR_CELLS,
    MOST_EXEMPLARS,
    USUAL_FRACTION,
    Exemplars,
    NormalScores,
    usual_size,
    with_levels,
)
from sk_autoencoder._outliers.robust import (
    UNSEEN,
    RobustScales,
    distance,
    min_error_scales,
    robust_scale,
)
from sk_autoencoder._outliers.rows import own_levels
from sk_autoencoder._saving.checks import Range, need
from sk_autoencoder._saving.registry import loadable

# How much neighbors count beside each of the other two distances; more where all
# training rows are clean, since a row that is near to one of them is then as normal as
# that one: see docs/development/decisions/0037-neighbors-of-clean-samples.md.
NEIGHBOR_WEIGHT, CLEAN_NEIGHBOR_WEIGHT = 2.0, 8.0


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
        """Measure what the term needs, on some rows that members were fitted to."""
        del members, rows
        return cls()

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows by each member, (n_samples, n_members or 1)."""
        scores: np.ndarray = -self.explain(members, rows).mean(axis=1)
        return scores[:, np.newaxis]

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, 1 for a typical one, for all rows."""
        raise NotImplementedError

    def check(self, members: Members) -> None:
        """Refuse a term from a file that does not fit the members."""


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
        return cls.measure(members, rows)[0]

    @classmethod
    def measure(cls, members: Members, rows: np.ndarray) -> tuple[Self, np.ndarray]:
        """Measure the errors of each member; score the rows by each, too."""
        scales = members.scales
        least = min_error_scales(scales, rows, members.level_shares)
        errors = members.checked_errors(rows)
        found = np.stack([robust_scale(sizes, least) for sizes in errors])
        found[:, scales.is_category] = least[scales.is_category]
        found[list(map(knows_conditionals, members.estimators))] = 1.0
        found[:, (scales.scale == 0) & ~scales.is_category] = 0.0
        means = [
            distance(sizes, scale).mean(axis=1)
            for sizes, scale in zip(errors, found, strict=True)
        ]
        return cls(found), -np.stack(means, axis=1)

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows by each member, (n_samples, n_members)."""
        means = [cells.mean(axis=1) for cells in self._by_member(members, rows)]
        return -np.stack(means, axis=1)

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, in the shape of rows."""
        result = np.zeros(rows.shape)
        for cells in self._by_member(members, rows):
            result += cells
        return result / len(members.estimators)

    def _by_member(self, members: Members, rows: np.ndarray) -> Iterator[np.ndarray]:
        of = members.scales.is_category
        unseen = distance(members.scales.unseen_level_error(rows), 1.0)
        pairs = zip(members.seen(rows), self.error_scales, strict=True)
        for (estimator, seen), scale in pairs:
            yield distance(cell_errors(estimator, rows, seen, of), scale) + unseen

    def check(self, members: Members) -> None:
        """Refuse scales of other members, or of other features."""
        shape = (len(members.estimators), len(members.scales.center))
        need(self.error_scales.shape == shape, "scales of other errors")


@loadable()
@dataclass(frozen=True)
class Marginal(Term):
    """How far cells are from the medians of their columns: in files of 0.1.0."""

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, in the shape of rows."""
        return members.scales.distances(rows)


@loadable(usual=Range(0, above=True, shape="2"), neighbor_weight=Range(0, above=True))
@dataclass(frozen=True)
class Ranks(Term):
    """How rare cells are in their columns, and how far rows are from their neighbors.

    Attributes
    ----------
    normal_scores : NormalScores
    exemplars : Exemplars
    usual : ndarray of shape (2,)
        Usual sizes of the two distances.
    neighbor_weight : float
        How much the second counts beside the first.
    """

    normal_scores: NormalScores
    exemplars: Exemplars
    usual: np.ndarray
    neighbor_weight: float = NEIGHBOR_WEIGHT

    @classmethod
    def measure(
        cls,
        members: Members,
        rows: np.ndarray,
        counts: Sequence[np.ndarray | None],
        errors: np.ndarray,
        support: float,
        generator: np.random.Generator,
    ) -> tuple[Self, np.ndarray]:
        """Rank the cells of training rows, and choose the exemplars.

        Parameters
        ----------
        members : Members
        rows : ndarray of shape (n_samples, n_features)
        counts : sequence of ndarray or None, one a feature
            Training rows that have each level; None for a number.
        errors : ndarray of shape (n_samples,)
            Errors of the members on each row, over their usual size.
        support : float
            Fraction of the rows that exemplars are drawn from: see `_typical`. With 1
            neighbors count more.
        generator : numpy Generator
            Draws them.

        Returns
        -------
        term : Ranks
        scores : ndarray of shape (n_samples,)
            Of these rows, each as if it had been left out.
        """
        scales = members.scales
        normal_scores = NormalScores.of(rows, scales.is_category)
        scores = normal_scores(rows, scales.level_distances)
        rarity = np.nan_to_num(scores**2).mean(axis=1)
        usual_rarity = usual_size(rarity)
        pool = np.arange(len(rows))
        if support < 1.0:
            unusual = rarity / usual_rarity + errors
            pool = _typical(unusual, _off_spikes(scales, rows, scores), support)
        most = max(1, min(MOST_EXEMPLARS, MOST_EXEMPLAR_CELLS // rows.shape[1]))
        chosen = np.sort(generator.permutation(pool)[:most])
        of = scales.is_category
        exemplars = Exemplars.of(scores[chosen], rows[chosen], of)
        is_exemplar = np.isin(np.arange(len(rows)), chosen)
        # From the other rows alone: one row fewer has the row's level.
        scores = with_levels(scores, rows, scales.left_out_levels(counts))
        far = exemplars.distances(scores, rows, of, left_out=is_exemplar).mean(axis=1)
        usual = np.array([usual_rarity, usual_size(far)])
        weight = CLEAN_NEIGHBOR_WEIGHT if support == 1.0 else NEIGHBOR_WEIGHT
        term = cls(normal_scores, exemplars, usual, weight)
        rarity = np.nan_to_num(scores**2).mean(axis=1)
        return term, -term._sum(rarity, far)

    def explain(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Return how far off each cell is, in the shape of rows."""
        scales = members.scales
        scores = self.normal_scores(rows, scales.level_distances)
        near = self.exemplars.distances(scores, rows, scales.is_category)
        return self._sum(np.nan_to_num(scores**2), near)

    def _sum(self, rarity: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Weigh the two distances: about 1 for a typical row."""
        weight = self.neighbor_weight
        found: np.ndarray = rarity / self.usual[0] + weight * near / self.usual[1]
        return found / (1.0 + weight)

    def check(self, members: Members) -> None:
        """Refuse ranks or exemplars of other features."""
        is_category = members.scales.is_category
        self.normal_scores.check(len(is_category))
        self.exemplars.check(is_category)


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
        """Score rows by each member, (n_samples, n_members)."""
        far = [
            distance(codes_of(estimator, seen) - center, scale).mean(axis=1)
            for (estimator, seen), (center, scale) in zip(
                members.seen(rows), self.code_scales, strict=True
            )
        ]
        return -np.stack(far, axis=1)

    def check(self, members: Members) -> None:
        """Refuse scales of other codes."""
        shapes = [(2, code_width(estimator)) for estimator in members.estimators]
        need([a.shape for a in self.code_scales] == shapes, "scales of other codes")


@loadable()
@dataclass(frozen=True)
class Likelihood(Term):
    """The log density of samples, in nats, on average over the members."""

    has_cells: ClassVar[bool] = False

    def score(self, members: Members, rows: np.ndarray) -> np.ndarray:
        """Score rows by each member, (n_samples, n_members)."""
        # Not cut back: how far off numbers are is for the density to say.
        known = members.scales.known(rows)
        logs = [log_density(estimator, known) for estimator in members.estimators]
        return np.stack(logs, axis=1).astype(np.float64)

    def check(self, members: Members) -> None:
        """Refuse members without a density."""
        good = all(map(has_density, members.estimators))
        need(good, "a likelihood of estimators without a density")


# Of each measure. A score is minus the mean of the cells, averaged over the terms
# that have cells, and the sum of the others.
TERMS: dict[str, tuple[type[Term], ...]] = {
    "combined": (Reconstruction, Ranks),
    "reconstruction": (Reconstruction,),
    "latent": (Reconstruction, Latent),
    "likelihood": (Likelihood,),
}
MEASURES = tuple(TERMS)
# Of the default measure in files of 0.1.0.
OLD_TERMS = (Reconstruction, Marginal)
# Where reconstructions are exact, the usual error is rounding, and no unit for others.
LEAST_ERROR = 1e-6


def is_measure(terms: Sequence[Term]) -> bool:
    """Whether terms from a file are those of a measure."""
    kinds = tuple(map(type, terms))
    return kinds in TERMS.values() or kinds == OLD_TERMS


def fit_combined(
    members: Members,
    rows: np.ndarray,
    counts: Sequence[np.ndarray | None],
    support: float,
    generator: np.random.Generator,
) -> tuple[tuple[Term, ...], tuple[float, ...], np.ndarray]:
    """Measure training rows for measure="combined"; see `Ranks.measure`.

    Returns
    -------
    terms : tuple of Term
    weights : tuple of float
        Of the terms: their sum is about 1 for a typical row.
    scores : ndarray of shape (n_samples, n_members)
        Of the rows by each member, as if each had been left out of the ranks, of the
        exemplars and of what levels there are.
    """
    reconstruction, scores = Reconstruction.measure(members, rows)
    errors = -scores.mean(axis=1)
    usual = max(usual_size(errors), LEAST_ERROR)
    ranks, others = Ranks.measure(
        members, rows, counts, errors / usual, support, generator
    )
    own = own_levels(counts, rows)
    alone = own.any(axis=1)
    if alone.any():
        left_out = np.where(own[alone], UNSEEN, rows[alone])
        scores[alone] = reconstruction.score(members, left_out)
    share = 1.0 / (2.0 + ranks.neighbor_weight)
    weights = (share / usual, 1.0 - share)
    scores = weights[0] * scores + weights[1] * others[:, np.newaxis]
    return (reconstruction, ranks), weights, scores


def _off_spikes(
    scales: RobustScales, rows: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Compute how rare cells are that leave a spike, where a row leaves several.

    A spike is a value that over half of a column of numbers have. What is rare in one
    column may be the mark of a smaller group; outliers often leave several together.
    """
    spiked = ((rows == scales.center).mean(axis=0) > 0.5) & ~scales.is_category
    is_off = (rows != scales.center) & ~np.isnan(rows) & spiked
    sizes = np.where(is_off, scores**2, 0.0).sum(axis=1)
    return np.where(is_off.sum(axis=1) > 1, sizes, 0.0)


def _typical(unusual: np.ndarray, off: np.ndarray, support: float) -> np.ndarray:
    """Return rows to compare others with, where some rows may be outliers.

    Parameters
    ----------
    unusual : ndarray of shape (n_samples,)
        Sum of the other two distances: the tenth with the largest is left out.
    off : ndarray of shape (n_samples,)
        Sizes by `_off_spikes`: such rows would be near to each other. Where there are
        any, those with the largest are left out, too.
    support : float
        Fraction of the nine tenths that is then left.
    """
    n_kept = math.ceil(USUAL_FRACTION * len(unusual))
    kept = np.argsort(unusual, kind="stable")[:n_kept]
    if not off.any():
        return kept
    order = np.argsort(off[kept], kind="stable")
    typical: np.ndarray = kept[order[: math.ceil(support * n_kept)]]
    return typical


def _code_scales(estimator: Any, seen: np.ndarray) -> np.ndarray:
    codes = codes_of(estimator, seen).astype(np.float64)
    center = np.median(codes, axis=0)
    return np.stack([center, robust_scale(np.abs(codes - center))])
