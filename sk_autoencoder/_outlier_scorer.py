"""Fitted autoencoders, and what they make of how normal a row is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_autoencoder._base import BaseAutoEncoder
from sk_autoencoder._columns import Table
from sk_autoencoder._columns.frames import read_columns
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._forward import Forward
from sk_autoencoder._inference import apply_to_rows
from sk_autoencoder._outlier_units import (
    LEAST_ERROR,
    UNSEEN,
    Units,
    distance,
    robust_unit,
)
from sk_autoencoder._rows import dense_rows, row_chunks
from sk_autoencoder._sklearn_compat import _safe_indexing
from sk_autoencoder._vae_density import HasDensity

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


@dataclass(frozen=True)
class Scorer:
    """Autoencoders fitted to the same rows, and the units of their errors.

    Rows are those that the autoencoders have validated: of a table the numbers that
    it becomes, one a feature.

    Attributes
    ----------
    estimators : list of BaseAutoEncoder
    measure : {"combined", "reconstruction", "latent", "likelihood"}
    units : Units
    error_units : ndarray of shape (n_estimators, n_features)
        0 for constant features, 1 for categories.
    codes : tuple of ndarray of shape (2, n_components), one an estimator
        Medians and units of the codes; empty but for "latent".
    """

    estimators: list[BaseAutoEncoder]
    measure: str
    units: Units
    error_units: np.ndarray
    codes: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls,
        estimators: Sequence[BaseAutoEncoder],
        measure: str,
        X: Any,
        n_fitted: int,
        generator: np.random.Generator,
    ) -> "Scorer":
        """Fit autoencoders to the most typical rows, and measure their errors on all.

        Parameters
        ----------
        estimators : sequence of BaseAutoEncoder
            Not fitted; they are now.
        measure : str
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        n_fitted : int
            Rows to fit to: those nearest to the medians.
        generator : numpy Generator
            Draws the rows for the units, where there are many.
        """
        typical = _most_typical(estimators[0], X, n_fitted, generator)
        for estimator in estimators:
            estimator.fit(typical)
        table = estimators[0]._table
        rows = _some(_rows(table, X), generator)
        units = _units(table, rows)
        least = LEAST_ERROR * units.unit
        error_units = np.empty((len(estimators), rows.shape[1]))
        for i, estimator in enumerate(estimators):
            unit = robust_unit(_errors(estimator, rows, units), least)
            unit[units.unit == 0] = 0.0
            unit[units.is_category] = 1.0
            error_units[i] = unit
        codes: tuple[np.ndarray, ...] = ()
        if measure == LATENT:
            codes = tuple(_code_units(estimator, rows) for estimator in estimators)
        return cls(list(estimators), measure, units, error_units, codes)

    def scores(self, X: Any) -> np.ndarray:
        """Score rows, higher is more normal, (n_samples,) in the dtype of the rows."""
        rows = _rows(self.estimators[0]._table, X)
        scores = _by_chunks(self._scores_of, rows)
        limits = np.finfo(self._dtype(rows))
        return scores.clip(limits.min, limits.max).astype(self._dtype(rows))

    def contributions(self, X: Any) -> np.ndarray:
        """Share the scores out to the cells, (n_samples, n_features) of float64.

        What is a sum over cells is: its parts are given. Of other scores it is how much
        they rise if the cell is the median, or the most frequent level.
        """
        rows = _rows(self.estimators[0]._table, X)
        if self.measure in (COMBINED, RECONSTRUCTION):
            return _by_chunks(lambda part: self._cells(part) / part.shape[1], rows)
        return _by_chunks(self._gains, rows)

    def _scores_of(self, rows: np.ndarray) -> np.ndarray:
        known = self.units.known(rows)
        if self.measure == LIKELIHOOD:
            logs = [_log_density(estimator, known) for estimator in self.estimators]
            return np.stack(logs).mean(axis=0, dtype=np.float64)
        scores = -self._cells(rows).mean(axis=1)
        if self.measure == LATENT:
            pairs = zip(self.estimators, self.codes, strict=True)
            far = [
                distance(_codes(estimator, known) - middle, unit).mean(axis=1)
                for estimator, (middle, unit) in pairs
            ]
            scores -= np.mean(far, axis=0)
        return scores

    def _cells(self, rows: np.ndarray) -> np.ndarray:
        """Give what each cell has of the score, 1 for a typical one, in float64."""
        errors, known = np.zeros(rows.shape), self.units.known(rows)
        for estimator, unit in zip(self.estimators, self.error_units, strict=True):
            errors += distance(_errors(estimator, known, self.units), unit)
        errors /= len(self.estimators)
        errors += distance(self.units.missed(rows), np.ones(rows.shape[1]))
        if self.measure != COMBINED:
            return errors
        return 0.5 * (errors + self.units.distances(rows))

    def _gains(self, rows: np.ndarray) -> np.ndarray:
        before = self._scores_of(rows)
        gains = np.zeros(rows.shape)
        for i in range(rows.shape[1]):
            changed = rows.copy()
            changed[:, i] = np.where(np.isnan(rows[:, i]), np.nan, self.units.middle[i])
            gains[:, i] = self._scores_of(changed) - before
        return gains

    @staticmethod
    def _dtype(rows: Any) -> np.dtype:
        return np.dtype(np.float32 if rows.dtype == np.float32 else np.float64)


def _most_typical(
    reader: BaseAutoEncoder, X: Any, n_rows: int, generator: np.random.Generator
) -> Any:
    """Give the rows nearest to the medians, in their order; all if these are alike.

    What is odd about the others is not to be learnt. Of a table numbers alone count: by
    its categories all rows of a smaller group would be left out. And no level is.
    """
    if n_rows >= X.shape[0]:
        return X
    table = reader._read_table(X) if reader._is_table(X) else None
    rows = _rows(table, X)
    units = _units(table, _some(rows, generator))
    are_numbers = ~units.is_category
    far = _by_chunks(lambda part: units.distances(part) @ are_numbers, rows)
    order = np.argsort(far, kind="stable")
    if not far[order[:n_rows]].any():
        return X
    kept = set(order[:n_rows].tolist())
    for i in np.flatnonzero(units.is_category):
        # The nearest row of each level, NaN for missing cells among them.
        kept.update(order[np.unique(rows[order, i], return_index=True)[1]].tolist())
    return _safe_indexing(X, np.array(sorted(kept)))


def _some(rows: Any, generator: np.random.Generator) -> np.ndarray:
    """Give rows enough to measure units, made dense."""
    n_rows = rows.shape[0]
    if n_rows <= ROWS_FOR_UNITS:
        return dense_rows(rows, slice(None))
    chosen = generator.choice(n_rows, ROWS_FOR_UNITS, replace=False)
    return dense_rows(rows, np.sort(chosen))


def _units(table: Table | None, rows: np.ndarray) -> Units:
    """Measure the columns of rows that a table has become, or that came as numbers."""
    if table is None:
        return Units.of(rows)
    shares = [
        column.shares if isinstance(column, CategoryColumn) else None
        for column in table.columns
    ]
    return Units.of(rows, shares)


def _rows(table: Table | None, X: Any) -> Any:
    """Turn a table into numbers; take validated rows as they are."""
    if table is None:
        return X
    matrix = table.matrix(X)
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


def _errors(estimator: BaseAutoEncoder, rows: np.ndarray, units: Units) -> np.ndarray:
    """Give the size of the error of each cell, NaN where one is missing."""
    errors = np.abs(rows - _reconstructed(estimator, rows)).astype(np.float64)
    if units.is_category.any():
        module = estimator.net_.module_
        squares = apply_to_rows(
            lambda forward, x, out: forward.squares(x),
            module,
            rows,
            dtype=np.dtype(np.float64),
        )
        of = units.is_category
        errors[:, of] = np.sqrt(squares[:, of])
    return errors


def _reconstructed(estimator: BaseAutoEncoder, rows: np.ndarray) -> np.ndarray:
    return apply_to_rows(Forward.reconstruct, estimator.net_.module_, rows)


def _codes(estimator: BaseAutoEncoder, rows: np.ndarray) -> np.ndarray:
    return apply_to_rows(Forward.encode, estimator.net_.module_, rows)


def _code_units(estimator: BaseAutoEncoder, rows: np.ndarray) -> np.ndarray:
    codes = _codes(estimator, rows).astype(np.float64)
    middle = np.median(codes, axis=0)
    return np.stack([middle, robust_unit(np.abs(codes - middle))])


def _log_density(estimator: BaseAutoEncoder, rows: np.ndarray) -> np.ndarray:
    assert isinstance(estimator, HasDensity)
    return estimator._log_density(rows)
