"""Fitted autoencoders, and what they make of how normal a row is."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sk_autoencoder._columns import Table
from sk_autoencoder._columns.frames import read_columns
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._outliers.members import (
    MOST_ERROR,
    allows_nan,
    cell_errors,
    codes_of,
    has_density,
    log_density,
    or_likelihood,
    short,
    table_of,
)
from sk_autoencoder._outliers.robust import (
    UNSEEN,
    WILD,
    Units,
    check_array,
    distance,
    least_error_units,
    robust_unit,
)
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.state_checks import need
from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.sklearn_compat import _safe_indexing
from sk_autoencoder._utils.values import shortened

__all__ = ["MEASURES", "Scorer"]

COMBINED, RECONSTRUCTION, LATENT, LIKELIHOOD = MEASURES = (
    "combined",
    "reconstruction",
    "latent",
    "likelihood",
)
# Rows from which units are measured: more do not move a median.
ROWS_FOR_UNITS = 20_000
# Cells that are looked at together: some tens of megabytes in all.
CHUNK_CELLS = 1_000_000


@loadable
@dataclass(frozen=True)
class Scorer:
    """Autoencoders fitted to the same rows, and the units of their errors.

    Rows are those that the autoencoders have validated: of a table the numbers that
    it becomes, one a feature.

    Attributes
    ----------
    estimators : list of transformers
    measure : {"combined", "reconstruction", "latent", "likelihood"}
    units : Units
    error_units : ndarray of shape (n_estimators, n_features)
        0 for constant features.
    codes : tuple of ndarray of shape (2, n_components), one an estimator
        Medians and units of the codes; empty but for "latent".
    moves_drag : bool
        Whether `contributions` gives a wild cell what it drags along. Version 0.1.0
        did not, and its files keep what they gave.
    """

    estimators: list[Any]
    measure: str
    units: Units
    error_units: np.ndarray
    codes: tuple[np.ndarray, ...]
    moves_drag: bool = True

    @classmethod
    def of(
        cls,
        estimators: Sequence[Any],
        measure: str,
        X: Any,
        n_fitted: int,
        generator: np.random.Generator,
        *,
        reader: BaseAutoEncoder | None = None,
        on_fit: Callable[[int], None] = lambda i: None,
    ) -> "Scorer":
        """Fit autoencoders to the most typical rows, and measure their errors on all.

        Parameters
        ----------
        estimators : sequence of transformers
            Not fitted; they are now.
        measure : str
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        n_fitted : int
            Rows to fit to: those nearest to the medians.
        generator : numpy Generator
            Draws the rows for the units, where there are many.
        reader : BaseAutoEncoder or None
            Reads a table as `estimators` do; None where X holds numbers alone.
        on_fit : callable (int)
            Called with the position of an estimator once it is fitted.
        """
        typical = _most_typical(reader, X, n_fitted, generator)
        with _without_warnings_of_empty(reader, typical):
            for i, estimator in enumerate(estimators):
                estimator.fit(typical)
                on_fit(i)
        table = table_of(estimators[0])
        rows = _some(_rows(table, X), generator)
        shares = _shares(table)
        units = Units.of(rows, shares)
        least = least_error_units(units, rows, shares)
        error_units = np.zeros((len(estimators), rows.shape[1]))
        codes: tuple[np.ndarray, ...] = ()
        scorer = cls(list(estimators), measure, units, error_units, codes)
        for i, (estimator, seen) in enumerate(scorer._seen(rows)):
            if measure == LIKELIHOOD and not isinstance(estimator, BaseAutoEncoder):
                continue  # no reconstruction is asked for, and there may be none
            errors = cell_errors(estimator, rows, seen, units.is_category)
            _check_reconstructs(estimator, errors)
            unit = robust_unit(errors, least)
            unit[units.unit == 0] = 0.0
            unit[units.is_category] = least[units.is_category]
            error_units[i] = unit
            if measure == LATENT:
                codes = (*codes, _code_units(estimator, seen))
        return replace(scorer, codes=codes)

    def check(self, n_features: int) -> None:
        """Refuse a scorer from a file whose parts do not fit each other.

        Parameters
        ----------
        n_features : int
            Of the detector.
        """
        fitted, measure, units = self.estimators, self.measure, self.units
        need(fitted and measure in MEASURES, f"a measure {shortened(measure)}")
        for estimator in fitted:
            need(
                isinstance(estimator, BaseAutoEncoder)
                and getattr(estimator, "n_features_in_", 0) == n_features,
                f"an estimator that is not fitted to {n_features} columns",
            )
            need(
                measure != LIKELIHOOD or has_density(estimator),
                "a likelihood of estimators without a density",
            )
        units.check(n_features, _level_counts(fitted[0], n_features))
        shape = (len(fitted), n_features)
        check_array("error_units", self.error_units, shape, least=0)
        need(
            len(self.codes) == (len(fitted) if measure == LATENT else 0),
            f"units of the codes of {len(self.codes)} estimators",
        )
        for estimator, code in zip(fitted, self.codes, strict=False):
            check_array("units of codes", code, (2, estimator.n_components_))

    def matrix(self, X: Any, *, takes_missing: bool = False) -> Any:
        """Turn validated rows into those that are scored.

        Parameters
        ----------
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        takes_missing : bool
            Whether missing cells are taken even if the autoencoders have seen none.
        """
        table = table_of(self.estimators[0])
        if table is not None and takes_missing:
            table = replace(table, allow_missing=True)
        return _rows(table, X)

    def scores(self, rows: Any) -> np.ndarray:
        """Score rows, higher is more normal, (n_samples,) in the dtype of the rows.

        All are finite: a row farther away than numbers go gets the least of its dtype.
        """
        dtype = self._dtype(rows)
        limits = np.finfo(dtype)
        scores = np.nan_to_num(_by_chunks(self._scores_of, rows), nan=limits.min)
        return scores.clip(limits.min, limits.max).astype(dtype)

    def contributions(self, rows: Any) -> np.ndarray:
        """Share the scores out to the cells, (n_samples, n_features) of float64.

        Of a score that is a sum over cells its parts, each given to the cell that it
        is due to. Of other scores how much they rise if the cell is the median, or the
        most frequent level.
        """
        if self.measure in (COMBINED, RECONSTRUCTION):
            return _by_chunks(lambda part: self._shared(part) / part.shape[1], rows)
        return _by_chunks(self._gains, rows)

    def _scores_of(self, rows: np.ndarray) -> np.ndarray:
        if self.measure == LIKELIHOOD:
            # As it is: how far off is for the density to say.
            seen = self.units.known(rows)
            logs = [log_density(estimator, seen) for estimator in self.estimators]
            return np.stack(logs).mean(axis=0, dtype=np.float64)
        scores = -self._cells(rows).mean(axis=1)
        if self.measure == LATENT:
            far = [
                distance(codes_of(estimator, seen) - middle, unit).mean(axis=1)
                for (estimator, seen), (middle, unit) in zip(
                    self._seen(rows), self.codes, strict=True
                )
            ]
            scores -= np.mean(far, axis=0)
        return scores

    def _seen(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return each transformer with the rows as it is to see them."""
        fills = self._fills
        seen = {f: self.units.seen_by_networks(rows, fill=f) for f in set(fills)}
        return [(e, seen[f]) for e, f in zip(self.estimators, fills, strict=True)]

    @cached_property
    def _fills(self) -> list[bool]:
        """Whether missing cells are filled for each transformer; slow to find out."""
        return [not allows_nan(estimator) for estimator in self.estimators]

    def _cells(self, rows: np.ndarray) -> np.ndarray:
        """Compute what each cell has of the score, 1 for a typical one, in float64."""
        errors, of = np.zeros(rows.shape), self.units.is_category
        pairs = zip(self._seen(rows), self.error_units, strict=True)
        for (estimator, seen), unit in pairs:
            errors += distance(cell_errors(estimator, rows, seen, of), unit)
        errors /= len(self.estimators)
        errors += distance(self.units.missed(rows), np.ones(rows.shape[1]))
        if self.measure != COMBINED:
            return errors
        return 0.5 * (errors + self.units.distances(rows))

    def _shared(self, rows: np.ndarray) -> np.ndarray:
        """Compute `_cells`, where a wild cell has what it drags along.

        A cell far off spoils the reconstruction of other columns too. What cells that
        are less far off have beyond what they would have if the wild one were the
        median is the wild cell's.
        """
        cells = self._cells(rows)
        if not self.moves_drag:
            return cells
        own, dragged = cells.copy(), np.zeros(rows.shape)
        far = self.units.distances(rows)
        # All rows with one wild cell calmed at a time, column by column.
        pairs = np.argwhere((far > WILD).T)
        for part in row_chunks(len(pairs), rows.shape[1], CHUNK_CELLS):
            columns, at = pairs[part].T
            changed = rows[at]
            changed[np.arange(len(at)), columns] = self.units.middle[columns]
            less = cells[at] - self._cells(changed)
            less[far[at] >= far[at, columns, np.newaxis]] = 0.0
            for i in np.unique(columns):
                of, moved = at[columns == i], less[columns == i]
                moved = np.clip(moved, 0.0, own[of])
                own[of] -= moved
                dragged[of, i] += moved.sum(axis=1)
        return own + dragged

    def _gains(self, rows: np.ndarray) -> np.ndarray:
        before = self._scores_of(rows)
        gains = np.zeros(rows.shape)
        for i in range(rows.shape[1]):
            changed = rows.copy()
            changed[:, i] = np.where(np.isnan(rows[:, i]), np.nan, self.units.middle[i])
            gains[:, i] = _difference(self._scores_of(changed), before)
        return gains

    @staticmethod
    def _dtype(rows: Any) -> np.dtype:
        return np.dtype(np.float32 if rows.dtype == np.float32 else np.float64)


def _difference(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Compute a difference of scores that may be as far apart as numbers go; finite."""
    limits = np.finfo(np.float64)
    ends = [np.nan_to_num(scores, nan=limits.min) for scores in (after, before)]
    with np.errstate(over="ignore"):
        return (ends[0] - ends[1]).clip(limits.min, limits.max)


def _most_typical(
    reader: BaseAutoEncoder | None, X: Any, n_rows: int, generator: np.random.Generator
) -> Any:
    """Return the rows nearest to the medians, in their order; all if these are alike.

    What is odd about the others is not to be learnt. Of a table numbers alone count: by
    its categories all rows of a smaller group would be left out. And no level is, nor
    the last value of a column of which most cells are missing.
    """
    if n_rows >= X.shape[0]:
        return X
    table = None if reader is None else reader._read_table(X)
    rows = _rows(table, X)
    units = Units.of(_some(rows, generator), _shares(table))
    are_numbers = ~units.is_category
    far = _by_chunks(lambda part: units.distances(part) @ are_numbers, rows)
    order = np.argsort(far, kind="stable")
    if not far[order[:n_rows]].any():
        return X
    kept = set(order[:n_rows].tolist())
    for i in np.flatnonzero(units.is_category):
        # The nearest row of each level, NaN for missing cells among them.
        kept.update(order[np.unique(rows[order, i], return_index=True)[1]].tolist())
    if table is not None:
        there = ~np.isnan(rows[order])
        for i in np.flatnonzero(~there[:n_rows].any(axis=0) & there.any(axis=0)):
            kept.add(int(order[there[:, i].argmax()]))
    return _safe_indexing(X, np.array(sorted(kept)))


def _check_reconstructs(estimator: Any, errors: np.ndarray) -> None:
    """Refuse a transformer of others that gives no numbers for its training rows."""
    if not isinstance(estimator, BaseAutoEncoder) and (errors == MOST_ERROR).any():
        raise ValueError(
            "expected a transformer that reconstructs the training rows by finite "
            f"numbers, got others from estimator={short(estimator)}. Scale the columns "
            f"first, or pass another one{or_likelihood(estimator)}."
        )


@contextmanager
def _without_warnings_of_empty(
    reader: BaseAutoEncoder | None, X: Any
) -> Iterator[None]:
    """Hide what each fit would say of columns without a value: the detector says it."""
    if (
        reader is None
        or not reader.allow_missing
        or not reader._read_table(X).is_empty.any()
    ):
        # The filters are those of the whole process: no need to touch them.
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "expected at least one value in each column")
        yield


def _some(rows: Any, generator: np.random.Generator) -> np.ndarray:
    """Return rows enough to measure units, made dense."""
    n_rows = rows.shape[0]
    if n_rows <= ROWS_FOR_UNITS:
        return dense_rows(rows, slice(None))
    chosen = generator.choice(n_rows, ROWS_FOR_UNITS, replace=False)
    return dense_rows(rows, np.sort(chosen))


def _shares(table: Table | None) -> list[np.ndarray | None] | None:
    """Return the shares of the levels of each column, None for a number."""
    if table is None:
        return None
    return [
        column.shares if isinstance(column, CategoryColumn) else None
        for column in table.columns
    ]


def _level_counts(estimator: BaseAutoEncoder, n_features: int) -> list[int]:
    """Return the number of levels of each column; 0 for a number."""
    shares = _shares(table_of(estimator)) or [None] * n_features
    return [0 if share is None else len(share) for share in shares]


def _rows(table: Table | None, X: Any) -> Any:
    """Turn a table into numbers; take validated rows as they are."""
    if table is None:
        return X
    with np.errstate(over="ignore"):
        matrix = table.matrix(X)
    # In units of its column a number may be larger than numbers go.
    limit = np.finfo(matrix.dtype).max
    matrix.clip(-limit, limit, out=matrix)
    for i, (column, raw) in enumerate(zip(table.columns, read_columns(X), strict=True)):
        if isinstance(column, CategoryColumn):
            gaps = np.isnan(matrix[:, i])
            if gaps.any():
                matrix[gaps & ~raw.as_categories().missing, i] = UNSEEN
    return matrix


def _by_chunks(function: Callable[[np.ndarray], np.ndarray], rows: Any) -> np.ndarray:
    """Apply a function to rows, some at a time, made dense."""
    n_rows, n_features = rows.shape
    parts = row_chunks(n_rows, n_features, CHUNK_CELLS)
    return np.concatenate([function(dense_rows(rows, part)) for part in parts])


def _code_units(estimator: Any, seen: np.ndarray) -> np.ndarray:
    codes = codes_of(estimator, seen).astype(np.float64)
    middle = np.median(codes, axis=0)
    return np.stack([middle, robust_unit(np.abs(codes - middle))])
