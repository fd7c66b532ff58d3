"""The dtypes of columns as plain values, and back."""

from typing import Any

import numpy as np

__all__ = ["dtype_from_json", "dtype_to_json"]


def dtype_to_json(dtype: Any) -> dict[str, Any] | None:
    """Describe a dtype of numpy, pandas or polars; None for anything else."""
    if isinstance(dtype, np.dtype):
        return {"numpy": dtype.str}
    kind = dtype if isinstance(dtype, type) else type(dtype)
    library = kind.__module__.partition(".")[0]
    if library == "pandas":
        return _of_pandas(dtype)
    return _of_polars(dtype, kind) if library == "polars" else None


def _of_pandas(dtype: Any) -> dict[str, Any] | None:
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype):
        return {
            "pandas": "category",
            "categories": dtype.categories.to_numpy(object).tolist(),
            "of": dtype_to_json(dtype.categories.dtype),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pandas.api.extensions.ExtensionDtype):
        return {"pandas": str(dtype)}
    return None


def _of_polars(dtype: Any, kind: type) -> dict[str, Any] | None:
    import polars

    if not issubclass(kind, polars.DataType):
        return None
    found: dict[str, Any] = {"polars": kind.__name__}
    if isinstance(dtype, polars.Enum):
        found["categories"] = dtype.categories.to_list()
    return found


def dtype_from_json(found: dict[str, Any]) -> Any:
    """Make the dtype that was described."""
    if "numpy" in found:
        return np.dtype(found["numpy"])
    if "polars" in found:
        return _to_polars(found)
    import pandas

    if found["pandas"] != "category":
        return pandas.api.types.pandas_dtype(found["pandas"])
    of = dtype_from_json(found["of"])
    categories = pandas.Index(found["categories"], dtype=of)
    return pandas.CategoricalDtype(categories, ordered=found["ordered"])


def _to_polars(found: dict[str, Any]) -> Any:
    import polars

    kind = getattr(polars, found["polars"], None)
    # A file must not have anything else of polars called.
    if not (isinstance(kind, type) and issubclass(kind, polars.DataType)):
        raise ValueError(f"a dtype called {found['polars']!r}")
    return kind(found["categories"]) if kind is polars.Enum else kind()
