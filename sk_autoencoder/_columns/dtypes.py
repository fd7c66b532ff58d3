"""The dtypes of columns as plain values, and back.

Only what is listed here is ever made of a name: to make one of any other name may open
files or import packages of the name's choice.
"""

import importlib
import re
from typing import Any

import numpy as np

# Numbers, booleans, texts and objects; of texts the length is part of the name.
NUMPY = re.compile(r"[<>|=]([biuf]\d{1,2}|O|[USTO]\d{1,6})")
_PANDAS = (
    "Float32 Float64 Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 boolean str "
    "string"
)
PANDAS = frozenset(_PANDAS.split())
# Kept in memory by Arrow; made only where pyarrow is installed.
_ARROW_TYPES = (
    "bool double float halffloat int8 int16 int32 int64 large_string null string uint8 "
    "uint16 uint32 uint64"
)
ARROW_TYPES = frozenset(_ARROW_TYPES.split())
ARROW = frozenset(f"{name}[pyarrow]" for name in ARROW_TYPES)
# Arrow's categories, of such values.
DICTIONARY = re.compile(
    r"dictionary<values=(\w+), indices=(u?int(?:8|16|32|64)), ordered=([01])>"
    r"\[pyarrow\]"
)
_POLARS = (
    "Boolean Categorical Enum Float16 Float32 Float64 Int8 Int16 Int32 Int64 Int128 "
    "Null Object String UInt8 UInt16 UInt32 UInt64 UInt128"
)
POLARS = frozenset(_POLARS.split())
# In lower case.
INTEGER = re.compile(r"u?int(?:8|16|32|64)")


def dtype_library(dtype: Any) -> str:
    """Name the library of a dtype: "numpy", "pandas" or "polars"; "" for others."""
    if isinstance(dtype, np.dtype):
        return "numpy"
    kind = dtype if isinstance(dtype, type) else type(dtype)
    library = kind.__module__.partition(".")[0]
    return library if library in ("pandas", "polars") else ""


def integer_limits(dtype: Any) -> tuple[int, int] | None:
    """Return the least and the greatest number of a dtype of whole numbers."""
    name = str(dtype).lower().removesuffix("[pyarrow]")
    if not INTEGER.fullmatch(name):
        return None
    limits = np.iinfo(name)
    return int(limits.min), int(limits.max)


def within_integers(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return floats that are to be of a dtype as those of its numbers that are nearest.

    In a cast 2**63, which is what the largest numbers of int64 are in float64, would
    become the least one. What is not finite stays, as does all of another dtype.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
    dtype : dtype
    """
    limits = integer_limits(dtype)
    if limits is None or values.dtype.kind != "f" or not np.isfinite(values).all():
        return values
    low, high = limits
    beyond, inside = values >= float(high), np.clip(values, float(low), None)
    inside[beyond] = 0
    whole = np.rint(inside).astype(np.uint64 if low == 0 else np.int64)
    whole[beyond] = high
    return whole


def dtype_to_json(dtype: Any) -> dict[str, Any] | None:
    """Describe a dtype of numpy, pandas or polars; None for anything else."""
    if isinstance(dtype, np.dtype):
        return {"numpy": dtype.str} if NUMPY.fullmatch(dtype.str) else None
    library = dtype_library(dtype)
    if library == "pandas":
        return _of_pandas(dtype)
    return _of_polars(dtype) if library == "polars" else None


def _of_pandas(dtype: Any) -> dict[str, Any] | None:
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype):
        of = dtype_to_json(dtype.categories.dtype)
        categories = [
            value.item() if isinstance(value, np.generic) else value
            for value in dtype.categories.to_numpy(object)
        ]
        # Intervals, dates and tuples are taken as levels, and not as parts of files.
        if of is None or of.get("pandas") == "category" or not _are_plain(categories):
            return None
        return {
            "pandas": "category",
            "categories": categories,
            "of": of,
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pandas.api.extensions.ExtensionDtype):
        name = str(dtype)
        known = name in PANDAS | ARROW or _of_dictionary(name) is not None
        return {"pandas": name} if known else None
    return None


def _of_dictionary(name: str) -> tuple[str, str, bool] | None:
    """Read the types of values and indices, and whether they are ordered, off a name.

    None for the name of another dtype.
    """
    found = DICTIONARY.fullmatch(name)
    if found is None or found[1] not in ARROW_TYPES - {"null"}:
        return None
    return found[1], found[2], found[3] == "1"


def _of_polars(dtype: Any) -> dict[str, Any] | None:
    import polars

    kind = dtype if isinstance(dtype, type) else type(dtype)
    if not issubclass(kind, polars.DataType) or kind.__name__ not in POLARS:
        return None
    found: dict[str, Any] = {"polars": kind.__name__}
    if isinstance(dtype, polars.Enum):
        found["categories"] = dtype.categories.to_list()
    return found


def dtype_from_json(found: Any) -> Any:
    """Make the dtype that was described.

    Raises
    ------
    ValueError
        If it is none that `dtype_to_json` describes, or of a library that is not
        installed here.
    """
    if not isinstance(found, dict):
        raise ValueError("a dtype that is no dict")
    if found.keys() == {"numpy"}:
        return np.dtype(_known(found["numpy"], NUMPY.fullmatch))
    if "polars" in found:
        return _to_polars(found)
    name = _known(found.get("pandas"), _is_known_to_pandas)
    if name == "category":
        return _to_category(found)
    if found.keys() != {"pandas"}:
        raise ValueError("a dtype of pandas that says more than its name")
    return _pandas_dtype(name)


def _is_known_to_pandas(name: str) -> bool:
    return name in {"category", *PANDAS, *ARROW} or _of_dictionary(name) is not None


def _known(name: Any, is_known: Any) -> str:
    """Refuse the name of a dtype that is not in the list."""
    if not (isinstance(name, str) and is_known(name)):
        shown = repr(name[:60]) if isinstance(name, str) else type(name).__name__
        raise ValueError(f"a dtype called {shown}")
    return name


def _pandas_dtype(name: str) -> Any:
    pandas = _library("pandas", name)
    try:
        if name.endswith("[pyarrow]"):
            # Not by its name: "string[pyarrow]" would make a dtype of pandas' own.
            return pandas.ArrowDtype(_arrow_type(name))
        return pandas.api.types.pandas_dtype(name)
    except (ImportError, TypeError) as error:
        # An older pandas knows some names without Arrow being there.
        raise ValueError(
            f"it has a column of dtype {name!r}, for which pyarrow is not installed "
            "here. Install it, and load the file again"
        ) from error


def _arrow_type(name: str) -> Any:
    """Make the type of Arrow that a dtype of pandas is named after."""
    import pyarrow

    dictionary = _of_dictionary(name)
    if dictionary is None:
        return pyarrow.type_for_alias(name.removesuffix("[pyarrow]"))
    values, indices = map(pyarrow.type_for_alias, dictionary[:2])
    return pyarrow.dictionary(indices, values, ordered=dictionary[2])


def _library(name: str, dtype: str) -> Any:
    """Import pandas or polars."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"it has a column of the dtype {dtype!r} of {name}, which is not installed "
            "here. Install it, and load the file again"
        ) from error


def _to_category(found: dict[str, Any]) -> Any:
    pandas = _library("pandas", "category")
    if found.keys() != {"pandas", "categories", "of", "ordered"}:
        raise ValueError("a dtype of categories that lacks something")
    of, categories = found["of"], found["categories"]
    if isinstance(of, dict) and of.get("pandas") == "category":
        raise ValueError("categories of categories")
    if not isinstance(found["ordered"], bool) or not _are_plain(categories):
        raise ValueError("categories that are no list of plain values")
    try:
        index = pandas.Index(categories, dtype=dtype_from_json(of))
        return pandas.CategoricalDtype(index, ordered=found["ordered"])
    except (TypeError, OverflowError) as error:
        raise ValueError("categories of another dtype") from error


def _to_polars(found: dict[str, Any]) -> Any:
    name = _known(found["polars"], POLARS.__contains__)
    expected = {"polars", "categories"} if name == "Enum" else {"polars"}
    polars = _library("polars", name)
    kind = getattr(polars, name, None)
    if found.keys() != expected or kind is None:
        raise ValueError(f"a dtype {name!r} of polars that is not known here")
    if name != "Enum":
        return kind()
    categories = found["categories"]
    if not (_are_plain(categories) and all(isinstance(c, str) for c in categories)):
        raise ValueError("an Enum of what is no text")
    return kind(categories)


def _are_plain(values: Any) -> bool:
    """Whether this is a list of text, numbers and booleans."""
    return isinstance(values, list) and all(
        isinstance(value, str | bool | int | float) for value in values
    )
