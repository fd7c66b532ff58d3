"""Tables column by column: pandas, polars and arrays, in and out.

Nothing else in the package knows what a frame is. A table is read one column at a time,
as numbers or as categories, and made again from such columns.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sk_autoencoder._columns.dtypes import within_integers
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.values import listed, shortened

# What the first letter of a numpy dtype's kind says.
NUMBERS, BOOLEANS, STRINGS = "iuf", "b", "OUST"
# Up to here float64 tells one whole number from the next.
LARGEST_EXACT = 2.0**53


@dataclass(frozen=True)
class ColumnData:
    """A column as it came.

    Attributes
    ----------
    name : object
        Its name in a frame, its position in an array.
    values : ndarray of shape (n_samples,)
        Numbers in float32 or float64 with NaN where they are missing, or objects with
        None there.
    is_category : bool
        Whether its dtype says that it holds categories.
    order : tuple or None
        Categories in the order in which the dtype declares them.
    integers : callable () -> ndarray of shape (n_samples,), or None
        Returns numbers as Python's integers; None where the dtype holds others too.
    """

    name: Any
    values: np.ndarray
    is_category: bool
    order: tuple[Any, ...] | None = None
    integers: Callable[[], np.ndarray] | None = None

    @property
    def is_integer(self) -> bool:
        """Whether its dtype holds whole numbers only."""
        return self.integers is not None

    @property
    def missing(self) -> np.ndarray:
        """Which cells are missing, (n_samples,)."""
        if self.values.dtype.kind == "O":
            return np.array([value is None for value in self.values], dtype=bool)
        return np.isnan(self.values)

    def as_categories(self) -> "ColumnData":
        """Return the column as one of categories, whatever its dtype says."""
        if self.values.dtype.kind == "O":
            return ColumnData(self.name, self.values, True, order=self.order)
        values = self.values.astype(object)
        if self.integers is not None and (np.abs(self.values) >= LARGEST_EXACT).any():
            # Floats would take one identifier for another.
            values = self.integers()
        values[self.missing] = None
        return ColumnData(self.name, values, True)

    def as_numbers(self) -> "ColumnData":
        """Return booleans, or no values at all, as numbers; anything else as it is."""
        if self.values.dtype.kind != "O":
            return self
        if {type(value) for value in self.values} - {bool, np.bool_, type(None)}:
            return self
        numbers = self.values.astype(np.float64)
        return ColumnData(self.name, numbers, False, integers=self.values.copy)


def is_frame(X: Any) -> bool:
    """Whether this is a pandas or polars frame."""
    return library_of(X) != "array"


def library_of(X: Any) -> str:
    """Name the library of a frame, "pandas" or "polars"; all else is an "array"."""
    # Whoever has a frame has imported its library.
    for name in ("pandas", "polars"):
        library = sys.modules.get(name)
        if library is not None and isinstance(X, library.DataFrame):
            return name
    return "array"


def is_pandas(X: Any) -> bool:
    """Whether a frame is one of pandas."""
    return library_of(X) == "pandas"


def has_labels(values: Any) -> bool:
    """Whether this is a pandas Series with more than numbers of its rows as index."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(values, pandas.Series):
        return False
    return list(values.index) != list(range(len(values)))


def is_declared(dtype: Any) -> bool:
    """Whether a column of a frame's dtype is categorical, and not only text."""
    return str(dtype).partition("(")[0] in ("category", "Categorical", "Enum")


def copied(X: Any) -> Any:
    """Return a copy of a frame."""
    return X.copy() if is_pandas(X) else X.clone()


def has_categories(X: Any) -> bool:
    """Whether any column of a frame holds categories, as far as its type says."""
    # What objects are is not in their dtype: all of them have to be looked at.
    return any(
        column.is_category
        for part in _typed_and_not(X)
        for column in read_columns(part)
    )


def _typed_and_not(X: Any) -> tuple[Any, Any]:
    """Return a row of the columns that have a type, and those of objects."""
    dtypes = zip(X.columns, X.dtypes, strict=True)
    objects = np.array([str(dtype).lower() == "object" for _, dtype in dtypes], bool)
    if is_pandas(X):
        return X[:1].loc[:, ~objects], X.loc[:, objects]
    names = np.array(X.columns, dtype=object)
    return X[names[~objects].tolist()][:1], X[names[objects].tolist()]


def read_columns(X: Any) -> Iterator[ColumnData]:
    """Read a frame, or an array of shape (n_samples, n_features), column by column.

    Raises
    ------
    TypeError
        If a column holds dates, or values of several types.
    """
    kind = library_of(X)
    for i, name in enumerate(_names(X)):
        if kind == "pandas":
            yield _from_pandas(name, X.iloc[:, i])
        elif kind == "polars":
            yield _from_polars(name, X.to_series(i))
        else:
            yield _from_array(i, X[:, i])


@dataclass(frozen=True)
class TableFormat:
    """What a table has to be given back as.

    Attributes
    ----------
    kind : {"pandas", "polars", "array"}
    names : tuple
        Of the columns, where it was a frame.
    dtypes : tuple
        Of each column; of an array the one it has, as often.
    """

    kind: str
    names: tuple[Any, ...]
    dtypes: tuple[Any, ...]

    @classmethod
    def of(cls, X: Any) -> "TableFormat":
        """Take the format of a frame or an array; names must not repeat."""
        names = _names(X)
        repeated = sorted({str(name) for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"expected columns of different names, got X with [{listed(repeated)}] "
                "more than once. Rename or drop columns."
            )
        kind = library_of(X)
        if kind == "array":
            return cls(kind, tuple(names), (X.dtype,) * X.shape[1])
        return cls(kind, tuple(names), tuple(X.dtypes))

    def make(self, columns: Sequence[np.ndarray], index: Any = None) -> Any:
        """Make a table of such a format.

        Parameters
        ----------
        columns : sequence of ndarray of shape (n_samples,)
            In the order of `names`; numbers that are all NaN are missing cells of
            any dtype.
        index : Index or None
            Of a pandas frame.
        """
        if self.kind == "array":
            return self.as_array(columns)
        cells: list[Any] = [
            _missing_or(within_integers(values, dtype))
            for values, dtype in zip(columns, self.dtypes, strict=True)
        ]
        if self.kind == "polars":
            import polars

            cells = [v if isinstance(v, list) else v.tolist() for v in cells]

            return polars.DataFrame(
                [
                    polars.Series(name, values, dtype=dtype, strict=False)
                    for name, values, dtype in zip(
                        self.names, cells, self.dtypes, strict=True
                    )
                ]
            )
        import pandas

        series = [
            pandas.Series(values, index=index, dtype=dtype, copy=True)
            for values, dtype in zip(cells, self.dtypes, strict=True)
        ]
        frame = pandas.concat(series, axis=1) if series else pandas.DataFrame()
        frame.columns = pandas.Index(self.names)
        return frame

    def of_numbers(self) -> "TableFormat":
        """Return the format with numbers in every column."""
        if self.kind == "polars":
            import polars

            return replace(self, dtypes=(polars.Float64,) * len(self.names))
        return replace(self, dtypes=(np.dtype(np.float64),) * len(self.names))

    def as_array(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Make an array, of one number type where it was of one, else of objects.

        Numbers come as floats, as PCA gives them; whole numbers some of which are
        categories keep their type, as the columns of a frame do.
        """
        dtype = self._array_dtype([values.dtype.kind == "O" for values in columns])
        rows = np.empty((len(columns[0]), len(columns)), dtype)
        for i, values in enumerate(columns):
            rows[:, i] = within_integers(values, dtype)
        return rows

    def _array_dtype(self, are_levels: Sequence[bool]) -> np.dtype:
        """Return the dtype of an array some columns of which are levels."""
        own = self.dtypes[0] if self.kind == "array" else None
        floats = np.dtype(np.float32 if own == np.float32 else np.float64)
        if not any(are_levels) or (own is not None and own.kind == "f"):
            return floats
        if own is None or own.kind not in "biu":
            return np.dtype(object)
        # The reconstruction of a boolean that is a number lies between 0 and 1.
        return own if own.kind in "iu" or all(are_levels) else floats


def _missing_or(values: np.ndarray) -> np.ndarray | list[Any]:
    """Return the cells of a column as they are, but None where they are all NaN."""
    if values.dtype.kind == "f" and np.isnan(values).all():
        return [None] * len(values)
    return values


def index_of(X: Any) -> Any:
    """Return the index of a pandas frame, and None for anything else."""
    return X.index if is_pandas(X) else None


# -- one column --------------------------------------------------------------------


def _from_pandas(name: Any, series: Any) -> ColumnData:
    import pandas

    dtype = series.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        order = tuple(_plain(dtype.categories.to_numpy(object)))
        # One more for code -1, a missing cell.
        values = np.array([*order, None], dtype=object)[series.cat.codes.to_numpy()]
        return ColumnData(name, values, True, order=order)
    if pandas.api.types.is_bool_dtype(dtype):
        return ColumnData(name, _objects(series), True, order=(False, True))
    if pandas.api.types.is_integer_dtype(dtype) or pandas.api.types.is_float_dtype(
        dtype
    ):
        exact = np.float32 if dtype in (np.float32, np.int16, np.int8) else np.float64
        values = series.to_numpy(exact, na_value=np.nan)
        if not pandas.api.types.is_integer_dtype(dtype):
            return ColumnData(name, values, False)
        return ColumnData(name, values, False, integers=lambda: _objects(series))
    if str(dtype).startswith("dictionary<"):
        # Arrow's categories; the array has their levels, not the dtype.
        return ColumnData(name, _objects(series), True)
    # Arrow's text is of kind "U".
    if isinstance(dtype, pandas.StringDtype) or dtype.kind in "OU":
        return _from_objects(name, _objects(series))
    raise _refused(name, dtype)


def _objects(series: Any) -> np.ndarray:
    values = series.to_numpy(object, copy=True)
    values[series.isna().to_numpy()] = None
    return values


def _from_polars(name: str, series: Any) -> ColumnData:
    import polars

    dtype = series.dtype
    if dtype == polars.Categorical or dtype == polars.Enum:
        # The order of a Categorical is that in which the process met its levels.
        order = tuple(dtype.categories) if dtype == polars.Enum else None
        values = np.array(series.cast(polars.String).to_list(), dtype=object)
        return ColumnData(name, values, True, order=order)
    if dtype in (polars.Boolean, polars.String):
        order = (False, True) if dtype == polars.Boolean else None
        values = np.array(series.to_list(), dtype=object)
        return ColumnData(name, values, True, order=order)
    if dtype.is_integer() or dtype.is_float():
        exact = polars.Float32 if dtype == polars.Float32 else polars.Float64
        filled = series.cast(exact).fill_null(float("nan"))
        if not dtype.is_integer():
            return ColumnData(name, filled.to_numpy(), False)
        return ColumnData(
            name,
            filled.to_numpy(),
            False,
            integers=lambda: np.array(series.to_list(), dtype=object),
        )
    if dtype == polars.Null:
        return ColumnData(name, np.full(len(series), None, dtype=object), True)
    if dtype == polars.Object:
        return _from_objects(name, np.array(series.to_list(), dtype=object))
    raise _refused(name, dtype)


def _from_array(position: int, values: np.ndarray) -> ColumnData:
    kind = values.dtype.kind
    if kind in NUMBERS:
        exact = values.dtype if values.dtype == np.float32 else np.float64
        if kind == "f":
            return ColumnData(position, values.astype(exact), False)
        return ColumnData(
            position,
            values.astype(exact),
            False,
            integers=lambda: values.astype(object),
        )
    if kind in BOOLEANS:
        return ColumnData(position, values.astype(np.float64), False)
    if kind in STRINGS:
        values = values.astype(object)
        values[np.array([_is_missing(value) for value in values], dtype=bool)] = None
        return _from_objects(position, values)
    raise _refused(position, values.dtype)


def _from_objects(name: Any, values: np.ndarray) -> ColumnData:
    """Find out what objects are; None is missing."""
    kinds = {type(value) for value in values if value is not None}
    if all(issubclass(kind, str) for kind in kinds):
        return ColumnData(name, values, True)
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return ColumnData(name, values, True)
    numbers = (int, float, np.integer, np.floating)
    if all(issubclass(kind, numbers) and kind is not bool for kind in kinds):
        floats = _as_floats(name, values)
        if not all(issubclass(kind, int | np.integer) for kind in kinds):
            return ColumnData(name, floats, False)
        return ColumnData(
            name,
            floats,
            False,
            integers=lambda: np.array(_plain(values), dtype=object),
        )
    names = sorted(kind.__name__ for kind in kinds)
    first = {type(value): i for i, value in reversed(list(enumerate(values)))}
    reason = "because an argument must be a string, a boolean or a number"
    if all(issubclass(kind, (str, bool, np.bool_, *numbers)) for kind in kinds):
        cells = [
            f"{shortened(values[i])} in row {i}"
            for i in sorted(first[kind] for kind in kinds)
        ]
        reason = f"as {' and '.join(cells)}"
    raise TypeError(
        f"expected a column of numbers, of strings or of booleans, got column "
        f"{shortened(name)} of {' and '.join(names)}, {reason}. Convert it, as with "
        "astype(str) or pandas.to_numeric, or drop it."
    )


def _as_floats(name: Any, values: np.ndarray) -> np.ndarray:
    """Turn objects that are numbers into float64."""
    with within_float64(f" in column {shortened(name)}"):
        return values.astype(np.float64)


def _is_missing(value: Any) -> bool:
    """Whether an object stands for nothing: None, NaN, or NA of pandas."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def refuse_dates(X: Any) -> None:
    """Refuse a frame with dates, which numpy would take for numbers.

    Parameters
    ----------
    X : frame of shape (n_samples, n_features)
    """
    for name, dtype in zip(X.columns, X.dtypes, strict=True):
        if _is_time(dtype):
            raise _refused(name, dtype)


def _is_time(dtype: Any) -> bool:
    times = ("date", "time", "duration", "period", "interval[")
    return str(dtype).lower().startswith(times)


def _refused(name: Any, dtype: Any) -> TypeError:
    advice = (
        "Turn it into numbers, such as the days since a date, or drop it."
        if _is_time(dtype)
        else "Turn it into numbers, as by a cast to float, into text, or drop it."
    )
    return TypeError(
        "expected columns of numbers, categories, strings or booleans, got "
        f"column {shortened(name)} of dtype {shortened(dtype, quoted=False)}. {advice}"
    )


def _names(X: Any) -> list[Any]:
    return list(X.columns) if is_frame(X) else list(range(X.shape[1]))


def _plain(values: np.ndarray) -> list[Any]:
    """Return objects as Python's own, where numpy wrapped them."""
    return [
        value.item() if isinstance(value, np.generic) else value for value in values
    ]
