"""A table of numbers and categories as a matrix of numbers, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_autoencoder._columns.frames import (
    RawColumn,
    TableFormat,
    index_of,
    read_columns,
)
from sk_autoencoder._columns.kinds import CategoryColumn, NumberColumn
from sk_autoencoder._columns.statistics import ColumnStatistics

__all__ = ["Table", "has_categories"]


@dataclass(frozen=True)
class Table:
    """How the columns of a table become numbers, one each.

    A number is scaled and around 0; a category is the number of its level. What is
    missing, or a level that was not seen in fit, is NaN.

    Attributes
    ----------
    format : TableFormat
    columns : tuple of NumberColumn and CategoryColumn
    weights : ndarray of shape (n_features,)
        Of the columns' losses; 0 for constant ones.
    allow_missing : bool
    handle_unknown : {"error", "ignore"}
    dtype : dtype
        In which rows are transformed: float32 where all columns fit.
    """

    format: TableFormat
    columns: tuple[NumberColumn | CategoryColumn, ...]
    weights: np.ndarray
    allow_missing: bool
    handle_unknown: str
    dtype: np.dtype

    @classmethod
    def of(
        cls,
        X: Any,
        *,
        categorical_features: Any,
        scaling: str,
        column_weights: Any,
        allow_missing: bool,
        handle_unknown: str,
    ) -> "Table":
        """Read a table that is fitted on.

        Parameters
        ----------
        X : frame or ndarray of shape (n_samples, n_features)
        categorical_features : "from_dtype", None, or array-like
            Names, positions or a mask of the columns of categories.
        scaling : {"auto", "none", "standard", "minmax", "rank_gauss"}
            Of the numbers. "auto" is "standard" beside categories, else "none".
        column_weights : None, mapping or array-like of shape (n_features,)
        allow_missing : bool
        handle_unknown : {"error", "ignore"}
        """
        fmt = TableFormat.of(X)
        raw = _marked(list(read_columns(X)), fmt, categorical_features)
        if not allow_missing:
            _refuse_missing(raw)
        if scaling == "auto":
            mixed = any(column.is_category for column in raw)
            scaling = "standard" if mixed else "none"
        columns = tuple(
            CategoryColumn.of(column)
            if column.is_category
            else NumberColumn.of(column, scaling)
            for column in raw
        )
        # Categories are exact in float32, and so are numbers that came so.
        single = all(c.is_category or c.values.dtype == np.float32 for c in raw)
        dtype = np.dtype(np.float32 if single else np.float64)
        constant = np.array([column.is_constant for column in columns])
        weights = np.where(constant, 0.0, _weights(column_weights, fmt))
        return cls(fmt, columns, weights, allow_missing, handle_unknown, dtype)

    @property
    def unit(self) -> float:
        """Unit of the score: one for all numbers that were only centred, else 1."""
        numbers = [c for c in self.columns if isinstance(c, NumberColumn)]
        plain = all(c.unit == 1 and c.knots is None for c in numbers)
        if self.has_categories or not plain:
            return 1.0
        return float(np.sqrt(np.mean([c.variance for c in numbers]))) or 1.0

    @property
    def has_categories(self) -> bool:
        """Whether any column is one of categories."""
        return any(isinstance(c, CategoryColumn) for c in self.columns)

    @property
    def comes_as_frame(self) -> bool:
        """Whether rows are given back as a frame without being asked for."""
        return self.has_categories and self.format.kind != "array"

    def matrix(self, X: Any) -> np.ndarray:
        """Turn a table of the columns of fit into numbers, (n_samples, n_features).

        Raises
        ------
        ValueError
            If cells are missing and must not be, or a category is unknown and must
            not be.
        TypeError
            If a column holds something else than in fit.
        """
        raw = list(read_columns(X))
        if not self.allow_missing:
            _refuse_missing(raw)
        matrix = np.empty((X.shape[0], len(self.columns)), self.dtype)
        for i, (column, values) in enumerate(zip(self.columns, raw, strict=True)):
            matrix[:, i] = column.forth(values, unknown=self.handle_unknown)
        return matrix

    def table(self, matrix: np.ndarray, like: Any = None) -> Any:
        """Turn numbers, none of them NaN, into a table.

        Parameters
        ----------
        matrix : ndarray of shape (n_samples, n_features)
        like : Any
            A pandas frame lends its index.
        """
        values = [column.back(matrix[:, i]) for i, column in enumerate(self.columns)]
        return self.format.make(values, index_of(like))

    def array(self, matrix: np.ndarray) -> np.ndarray:
        """Turn numbers, none of them NaN, into an array, whatever was fitted on."""
        values = [column.back(matrix[:, i]) for i, column in enumerate(self.columns)]
        return self.format.as_array(values)

    def numbers(self, cells: np.ndarray, like: Any = None) -> Any:
        """Put a number for each cell under the names of the columns."""
        return self.format.of_numbers().make(list(cells.T), index_of(like))

    def filled(self, X: Any, matrix: np.ndarray) -> Any:
        """Give a table with its missing cells taken from numbers, none of them NaN."""
        values = []
        for i, (column, raw) in enumerate(
            zip(self.columns, read_columns(X), strict=True)
        ):
            filled, missing = raw.values.copy(), raw.missing
            filled[missing] = column.back(matrix[missing, i])
            values.append(filled)
        return self.format.make(values, index_of(X))

    def statistics(self, matrix: np.ndarray) -> ColumnStatistics:
        """Say what is known of the numbers of the rows: they are around 0 already."""
        n_rows, n_columns = matrix.shape
        zero = np.zeros(n_columns)
        spread = np.array(
            [0.0 if isinstance(c, CategoryColumn) else c.variance for c in self.columns]
        )
        low, high = zero.copy(), zero.copy()
        for i, column in enumerate(self.columns):
            if isinstance(column, NumberColumn) and not column.is_constant:
                low[i], high[i] = np.nanmin(matrix[:, i]), np.nanmax(matrix[:, i])
        return ColumnStatistics(n_rows, zero, spread * n_rows, low, high)


def has_categories(X: Any) -> bool:
    """Tell whether the dtype of any column says that it holds categories."""
    return any(column.is_category for column in read_columns(X[:1]))


def _marked(raw: list[RawColumn], fmt: TableFormat, chosen: Any) -> list[RawColumn]:
    """Mark the columns of categories that the caller chose."""
    if chosen is None or (isinstance(chosen, str) and chosen == "from_dtype"):
        marked = list(raw)
    else:
        mask = _mask(chosen, fmt)
        marked = [c.as_categories() if m else c for c, m in zip(raw, mask, strict=True)]
        others = zip(marked, mask, strict=True)
        text = [str(c.name) for c, m in others if c.is_category and not m]
        if text:
            raise ValueError(
                f"expected numbers in the columns that are not in "
                f"categorical_features={chosen!r}, got categories or text in {text}. "
                "Name these too, or pass categorical_features='from_dtype'."
            )
    if chosen is None and any(c.is_category for c in marked):
        text = [str(c.name) for c in marked if c.is_category]
        raise ValueError(
            "expected columns of numbers for categorical_features=None, got categories "
            f"or text in {text}. Pass categorical_features='from_dtype'."
        )
    return marked


def _mask(chosen: Any, fmt: TableFormat) -> list[bool]:
    """Resolve names, positions or a mask to a mask, as HistGradientBoosting does."""
    n_columns, array = len(fmt.names), np.asarray(chosen)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "bOUSTiu"):
        raise ValueError(
            "expected categorical_features of names, positions or a mask, got "
            f"categorical_features={chosen!r}. Pass a list of one of these."
        )
    if array.dtype.kind == "b":
        if len(array) != n_columns:
            raise ValueError(
                f"expected a mask of {n_columns} columns, got categorical_features of "
                f"{len(array)}. Pass one value a column."
            )
        return array.tolist()
    known = list(range(n_columns)) if array.dtype.kind in "iu" else list(fmt.names)
    picked = array.tolist()
    unknown = [value for value in picked if value not in known]
    if unknown:
        raise ValueError(
            f"expected columns of X, got {unknown!r} in categorical_features="
            f"{chosen!r}. Pass names of columns, or positions from 0."
        )
    return [column in picked for column in known]


def _weights(column_weights: Any, fmt: TableFormat) -> np.ndarray:
    """Resolve the weights of the columns, 1 where nothing else is said."""
    n_columns = len(fmt.names)
    if isinstance(column_weights, Mapping):
        unknown = [name for name in column_weights if name not in fmt.names]
        if unknown:
            raise ValueError(
                f"expected columns of X, got column_weights for {unknown!r}. Pass "
                "names of columns; those that are left out weigh 1."
            )
        weights = np.array([column_weights.get(n, 1.0) for n in fmt.names], float)
    elif column_weights is None:
        weights = np.ones(n_columns)
    else:
        weights = np.asarray(column_weights, float)
    if weights.shape != (n_columns,) or not (weights >= 0).all() or not weights.any():
        raise ValueError(
            f"expected {n_columns} weights, none below 0 and not all 0, got "
            f"column_weights={column_weights!r}. Pass one a column, or a dict of names."
        )
    return weights


def _refuse_missing(raw: Sequence[RawColumn]) -> None:
    names = [column.name for column in raw if column.missing.any()]
    if names:
        shown = ", ".join(repr(name) for name in names[:5])
        raise ValueError(
            "Input X contains NaN: expected no missing cells for allow_missing=False, "
            f"got some in column {shown}{', ...' if len(names) > 5 else ''}. Pass "
            "allow_missing=True, or fill them first, as with SimpleImputer."
        )
