"""A table of numbers and categories as a matrix of numbers, and back."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from sk_autoencoder._columns.bins import BinnedColumn
from sk_autoencoder._columns.filling import Gap, fill_cells
from sk_autoencoder._columns.frames import (
    ColumnData,
    TableFormat,
    has_labels,
    index_of,
    is_declared,
    is_frame,
    read_columns,
)
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._columns.statistics import ColumnStatistics
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import Range, listed, shortened

Column = NumberColumn | BinnedColumn | CategoryColumn | EmptyColumn
Whole = ColumnStatistics | Counter[Any] | None
"""What is known of all values of a column; None where there are none."""

# Text is taken for identifiers where there are so many samples, of which more than this
# fraction has a text of its own, and for numbers where more than so many texts are.
LEAST_SAMPLES, MOST_DISTINCT, MOST_NUMERALS = 100, 0.9, 32


FLOATS = (np.float32, np.float64)


@dataclass(frozen=True)
class Table:
    """How the columns of a table become numbers, one each.

    A number is scaled and around 0, or itself where it has bins; a category is the
    number of its level. What is missing, or a level that was not seen in fit, is NaN.

    Attributes
    ----------
    format : TableFormat
    columns : tuple of NumberColumn, BinnedColumn, CategoryColumn and EmptyColumn
    weights : ndarray of shape (n_features,)
        Of the columns' losses; 0 for constant and empty ones.
    allow_missing : bool
    handle_unknown : {"error", "ignore"}
    dtype : dtype
        In which rows of a frame are transformed: float32 where all columns fit. Those
        of an array of floats are in their own.
    is_matrix : bool
        Whether it is a matrix of numbers, validated as such: its rows are transformed
        in the dtype in which they come.
    """

    format: TableFormat
    columns: tuple[Column, ...]
    weights: Annotated[np.ndarray, Range(0, shape="d")]
    allow_missing: bool
    handle_unknown: str
    dtype: np.dtype
    is_matrix: bool = False

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
        more_to_come: bool = False,
        keeps_binary: bool = False,
        keeps_values: bool = False,
        is_matrix: bool = False,
        binned: bool = False,
        whole: Sequence[Whole] | None = None,
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
        more_to_come : bool
            Whether these are the first samples of many: then levels that a dtype
            declares are known before they are seen.
        keeps_binary : bool
            Whether numbers of two values are measured in their range where others are
            standardized or ranked.
        keeps_values : bool
            Whether numbers know the values to which samples move.
        is_matrix : bool
            Whether it is a matrix of numbers.
        binned : bool
            Whether numbers have bins.
        whole : sequence of ColumnStatistics, Counter or None, one a column; or None
            Of the values of each, where X has some of the samples only: of numbers a
            random sample, of categories all levels.
        """
        fmt = TableFormat.of(X)
        raw = marked_columns(X, categorical_features, allow_missing=allow_missing)
        there = [column for column in raw if not column.missing.all()]
        if scaling == "auto":
            mixed = any(column.is_category for column in there)
            scaling = "standard" if mixed else "none"
        keeps = {"keeps_binary": keeps_binary, "keeps_values": keeps_values}
        known: Sequence[Whole] = [None] * len(raw) if whole is None else whole
        columns = tuple(
            _fitted(column, scaling, more_to_come, binned, keeps, of_all)
            for column, of_all in zip(raw, known, strict=True)
        )
        # Categories are exact in float32, and so are numbers that came so.
        single = all(c.is_category or c.values.dtype == np.float32 for c in there)
        dtype = np.dtype(np.float32 if single else np.float64)
        constant = np.array([column.is_constant for column in columns])
        weights = np.where(constant, 0.0, _weights(column_weights, fmt))
        if not weights.any():
            raise ValueError(
                "expected a column that varies and has a weight above 0, got X whose "
                f"columns [{listed(c.name for c in columns if c.is_constant)}] are "
                "constant or empty, and column_weights="
                f"{shortened(column_weights)}. Pass rows that differ, or other weights."
            )
        return cls(
            fmt, columns, weights, allow_missing, handle_unknown, dtype, is_matrix
        )

    @property
    def unit(self) -> float:
        """Unit of the score: what all scaled numbers are divided by in it, else 1."""
        if not self.has_units:
            return 1.0
        variances = [getattr(c, "variance", 0.0) for c in self.columns]
        return float(np.sqrt(np.mean([v for v in variances if v > 0])))

    @property
    def has_units(self) -> bool:
        """Whether all are numbers whose errors can be told in the caller's units."""
        scales = [column for column in self.scales if column is not None]
        return not self.has_categories and all(c.knots is None for c in scales)

    @property
    def scales(self) -> list[NumberColumn | None]:
        """How each number is scaled, or its errors are; None for other columns."""
        return [scale_of(column) for column in self.columns]

    @property
    def widest_range(self) -> float:
        """Widest range of a column whose errors are told in the caller's units.

        Others only have to have one: infinity, if one is too wide for a number.
        """
        columns = [column for column in self.scales if column is not None]
        # As numpy's numbers, which become infinite.
        low = np.array([c.low for c in columns if c.knots is None])
        high = np.array([c.high for c in columns if c.knots is None])
        with np.errstate(over="ignore"):
            widest = float(np.max(high - low, initial=0.0))
        return widest if self.has_units or np.isinf(widest) else 0.0

    @property
    def mean(self) -> np.ndarray:
        """Mean of the values seen in each column, NaN for categories and empty ones."""
        return np.array([getattr(c, "mean", np.nan) for c in self.columns])

    @property
    def has_categories(self) -> bool:
        """Whether any column is one of categories, some of which were seen."""
        return any(isinstance(c, CategoryColumn) for c in self.columns)

    @property
    def comes_as_frame(self) -> bool:
        """Whether rows are given back as a frame without being asked for."""
        empty = [c for c in self.columns if isinstance(c, EmptyColumn)]
        holds = self.has_categories or any(column.is_category for column in empty)
        return holds and self.format.kind != "array"

    @property
    def is_empty(self) -> np.ndarray:
        """Which columns had no value in the training samples, (n_features,)."""
        return np.array([isinstance(c, EmptyColumn) for c in self.columns])

    def warn(self, n_samples: int, chosen: Any) -> None:
        """Warn of columns without a value, and of text that is hardly categories.

        Parameters
        ----------
        n_samples : int
            That were fitted on; 0 of an array, whose categories are chosen.
        chosen : "from_dtype", None, or array-like
            As `categorical_features`: what it names is not doubted.
        """
        self._warn_of_empty()
        if n_samples < LEAST_SAMPLES or not isinstance(chosen, str):
            return
        names = [
            column.name
            for column, dtype in zip(self.columns, self.format.dtypes, strict=True)
            if isinstance(column, CategoryColumn)
            and not is_declared(dtype)
            and column.is_doubtful(MOST_DISTINCT * n_samples, MOST_NUMERALS)
        ]
        if names:
            warnings.warn(
                "expected text that names categories, got identifiers, or numbers as "
                f"text, in column {listed(names)}: each different text is taken for a "
                "category. Drop what only names a sample, convert numbers as with "
                "pandas.to_numeric, or give the column a categorical dtype to keep it.",
                UserWarning,
                stacklevel=caller_level(),
            )

    def _warn_of_empty(self) -> None:
        names = [c.name for c in self.columns if isinstance(c, EmptyColumn)]
        if names:
            warnings.warn(
                "expected at least one value in each column, got X with none in column "
                f"{listed(names)}: the model leaves it out, and it comes back "
                "missing. Drop it, or fit on samples that have values there.",
                UserWarning,
                stacklevel=caller_level(),
            )

    def matrix(
        self,
        X: Any,
        *,
        new_levels: dict[Any, set[Any]] | None = None,
    ) -> np.ndarray:
        """Turn a table of the columns of fit into numbers, (n_samples, n_features).

        Parameters
        ----------
        X : frame or ndarray of shape (n_samples, n_features)
        new_levels : dict or None
            Takes up the levels that are taken for missing, by the names of the columns.

        Raises
        ------
        ValueError
            If cells are missing and must not be, or a category is unknown and must
            not be.
        TypeError
            If a column holds something else than in fit.
        """
        matrix = np.empty((X.shape[0], len(self.columns)), self._dtype_for(X))
        with_gaps, most = [], np.finfo(matrix.dtype).max
        # One at a time: a column as it came may take more memory than its numbers.
        pairs = zip(self.columns, read_columns(X), strict=True)
        for i, (column, raw) in enumerate(pairs):
            if not self.allow_missing and raw.missing.any():
                with_gaps.append(raw.name)
                continue
            if isinstance(column, CategoryColumn):
                unknown = column.unknown_levels(raw, self.handle_unknown)
                if unknown and new_levels is not None:
                    new_levels[raw.name] = unknown
            matrix[:, i] = np.clip(column.encode(raw), -most, most)
        if with_gaps:
            raise missing_cells_error(with_gaps)
        return matrix

    def _dtype_for(self, X: Any) -> np.dtype:
        """Return the dtype in which rows are transformed; see `dtype`."""
        if is_frame(X) or self.comes_as_frame or X.dtype not in FLOATS:
            return self.dtype
        found: np.dtype = X.dtype
        return found

    def table(
        self, matrix: np.ndarray, like: Any = None, given: np.ndarray | None = None
    ) -> Any:
        """Turn numbers, NaN in empty columns alone, into a table.

        Parameters
        ----------
        matrix : ndarray of shape (n_samples, n_features)
        like : Any
            A pandas frame lends its index.
        given : ndarray of shape (n_samples, n_features) or None
            Numbers that were not computed, NaN elsewhere: they are not made like those
            that were seen.
        """
        return self.format.make(self._decoded(matrix, given), index_of(like))

    def array(self, matrix: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """Turn such numbers into an array, whatever was fitted on."""
        found = self.format.as_array(self._decoded(matrix, given))
        return found.astype(matrix.dtype, copy=False) if self.is_matrix else found

    def _decoded(self, matrix: np.ndarray, given: np.ndarray | None) -> list[Any]:
        """Return the values of each column."""
        values = [column.decode(matrix[:, i]) for i, column in enumerate(self.columns)]
        if given is None:
            return values
        return [
            np.where(np.isnan(own), found, own)
            if scale_of(column) is not None
            else found
            for column, own, found in zip(self.columns, given.T, values, strict=True)
        ]

    def nearest_seen(self, matrix: np.ndarray) -> np.ndarray:
        """Return the values to which samples of numbers move, NaN where they do not."""
        moved = np.full(matrix.shape, np.nan)
        for i, column in enumerate(self.columns):
            if isinstance(column, NumberColumn) and column.repeated is not None:
                moved[:, i] = column.nearest_seen(column.decode(matrix[:, i]))
        return moved

    def numbers(self, cells: np.ndarray, like: Any = None) -> Any:
        """Put a number for each cell under the names of the columns."""
        return self.format.of_numbers().make(list(cells.T), index_of(like))

    def filled(self, X: Any, matrix: np.ndarray) -> Any:
        """Return a table with its missing cells taken from numbers, none of them NaN.

        A category that was not seen in fit is there: it stays. A column that was empty
        in fit becomes missing as a whole, so that it is what it was.
        """
        gaps: list[Gap] = []
        for i, raw in enumerate(read_columns(X)):
            column, missing = self.columns[i], raw.missing
            if isinstance(column, EmptyColumn):
                gaps.append((np.ones_like(missing), None))
            else:
                gaps.append((missing, column.decode(matrix[missing, i])))
        same = TableFormat.of(X).kind == self.format.kind
        dtypes = self.format.dtypes if same else (None,) * len(gaps)
        return fill_cells(X, gaps, dtypes)

    def own_statistics(self, n_rows: int) -> ColumnStatistics:
        """Return the statistics of the samples that the table was found on."""
        ends = np.zeros((2, len(self.columns)))
        for i, column in enumerate(self.columns):
            if isinstance(column, NumberColumn):
                ends[:, i] = column.scaled(np.array([column.low, column.high]))
        return self.statistics(ends, n_rows)

    def statistics(
        self, matrix: np.ndarray, n_rows: int | None = None
    ) -> ColumnStatistics:
        """Return what is known of the rows' numbers: they are around 0 already.

        Parameters
        ----------
        matrix : ndarray of shape (n_samples, n_features)
        n_rows : int or None
            That there are, where these are only those with the extremes.
        """
        n_columns = matrix.shape[1]
        n_rows = len(matrix) if n_rows is None else n_rows
        zero = np.zeros(n_columns)
        spread = np.array(
            [c.variance if isinstance(c, NumberColumn) else 0.0 for c in self.columns]
        )
        low, high = zero.copy(), zero.copy()
        for i, column in enumerate(self.columns):
            if isinstance(column, NumberColumn) and not column.is_constant:
                low[i] = np.fmin.reduce(matrix[:, i], initial=np.inf)
                high[i] = np.fmax.reduce(matrix[:, i], initial=-np.inf)
        empty = low > high
        low[empty] = high[empty] = 0.0
        with np.errstate(over="ignore"):
            return ColumnStatistics(n_rows, zero, spread * n_rows, low, high)


def _fitted(
    column: ColumnData,
    scaling: str,
    declared: bool,
    binned: bool,
    keeps: dict[str, bool],
    whole: Whole,
) -> Column:
    """Find out how a column of the training samples becomes numbers."""
    if whole is None and column.missing.all():
        return EmptyColumn(column.name, column.is_category)
    if column.is_category:
        assert not isinstance(whole, ColumnStatistics)
        return CategoryColumn.of(column, declared=declared, whole=whole)
    assert not isinstance(whole, Counter)
    if binned:
        return BinnedColumn.of(column, scaling, keeps_binary=keeps["keeps_binary"])
    return NumberColumn.of(column, scaling, **keeps, whole=whole)


def scale_of(column: Column) -> NumberColumn | None:
    """Return how a column of numbers is scaled, or its errors are; None for others."""
    if isinstance(column, BinnedColumn):
        return column.scale
    return column if isinstance(column, NumberColumn) else None


def marked_columns(X: Any, chosen: Any, *, allow_missing: bool) -> list[ColumnData]:
    """Read a table, and mark the columns of categories that the caller chose.

    Parameters
    ----------
    X : frame or ndarray of shape (n_samples, n_features)
    chosen : "from_dtype", None, or array-like
        As `categorical_features`.
    allow_missing : bool
        Whether cells may be missing.
    """
    fmt = TableFormat.of(X)
    columns = _marked(list(read_columns(X)), fmt, chosen)
    gaps = [column.name for column in columns if column.missing.any()]
    if gaps and not allow_missing:
        raise missing_cells_error(gaps)
    return columns


def _marked(raw: list[ColumnData], fmt: TableFormat, chosen: Any) -> list[ColumnData]:
    """Mark the columns of categories that the caller chose."""
    from_dtype = isinstance(chosen, str) and chosen == "from_dtype"
    if from_dtype and fmt.kind != "array":
        return raw
    unnamed = from_dtype or chosen is None
    mask = [False] * len(raw) if unnamed else _mask(chosen, fmt)
    pairs = list(zip(raw, mask, strict=True))
    marked = [c.as_categories() if named else c.as_numbers() for c, named in pairs]
    text = [
        c.name for c, named in zip(marked, mask, strict=True) if c.is_category > named
    ]
    if text:
        raise ValueError(
            "expected numbers in the columns that categorical_features does not name, "
            f"got categories or text in [{listed(text)}] for categorical_features="
            f"{shortened(chosen)}. "
            "Name these too, or pass a frame and categorical_features='from_dtype'."
        )
    return marked


def _mask(chosen: Any, fmt: TableFormat) -> list[bool]:
    """Resolve names, positions or a mask to a mask, as HistGradientBoosting does."""
    n_columns, array = len(fmt.names), np.asarray(chosen)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "bOUSTiu"):
        raise ValueError(
            "expected categorical_features of names, positions or a mask, got "
            f"categorical_features={shortened(chosen)}. Pass a list of one of these."
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
            f"expected columns of X, got [{listed(unknown)}] in categorical_features="
            f"{shortened(chosen)}. Pass names of columns, or positions from 0."
        )
    return [column in picked for column in known]


def _weights(column_weights: Any, fmt: TableFormat) -> np.ndarray:
    """Resolve the weights of the columns, 1 where nothing else is said."""
    n_columns = len(fmt.names)
    if has_labels(column_weights):
        column_weights = dict(column_weights.items())
    if isinstance(column_weights, Mapping):
        unknown = [name for name in column_weights if name not in fmt.names]
        if unknown:
            raise ValueError(
                f"expected columns of X, got column_weights for [{listed(unknown)}]. "
                "Pass names of columns; those that are left out weigh 1."
            )
        given: Any = [column_weights.get(name, 1.0) for name in fmt.names]
    elif column_weights is None:
        return np.ones(n_columns)
    else:
        given = column_weights
    try:
        weights = np.asarray(given, float)
    except (TypeError, ValueError):
        weights = np.empty(0)
    good = weights.shape == (n_columns,) and np.isfinite(weights).all()
    if not (good and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"expected {n_columns} finite weights, none below 0 and not all 0, got "
            f"column_weights={shortened(column_weights)}. Pass one a column, or a dict "
            "of names."
        )
    return weights


def with_missing(X: Any) -> list[Any]:
    """Return the names of the columns of a frame with missing cells.

    Parameters
    ----------
    X : object
        What is no frame has none.
    """
    columns = read_columns(X) if is_frame(X) else ()
    return [column.name for column in columns if column.missing.any()]


def missing_cells_error(names: Sequence[Any]) -> ValueError:
    """Make the error of missing cells, at `fit` and after it.

    Parameters
    ----------
    names : sequence
        Of the columns that have them; none where they are not known.
    """
    where = f", got some in column {listed(names)}" if names else ""
    return ValueError(
        "Input X contains NaN: expected no missing cells for allow_missing=False"
        f"{where}. Fit with allow_missing=True, or fill them first, as with "
        "SimpleImputer."
    )
