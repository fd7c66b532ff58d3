"""Rows of several dimensions: flattened on the way in, shaped on the way out.

Everything between is about rows of numbers, (n_samples, n_features).
"""

import math
import operator
from typing import Any

import numpy as np
from torch import Tensor

from sk_autoencoder._utils.tensors import as_array

# Frames of other libraries, by the module of their class and its name, and what makes
# one of pandas or polars of them. They are known without their library being here.
FOREIGN_FRAMES = {
    ("polars", "LazyFrame"): "collect()",
    ("dask", "DataFrame"): "compute()",
    ("modin", "DataFrame"): "modin.to_pandas()",
    ("pyarrow", "Table"): "to_pandas()",
    ("pyarrow", "RecordBatch"): "to_pandas()",
    ("cudf", "DataFrame"): "to_pandas()",
    ("pyspark", "DataFrame"): "toPandas()",
    ("duckdb", "DuckDBPyRelation"): "df()",
    ("narwhals", "DataFrame"): "to_native()",
    ("narwhals", "LazyFrame"): "collect().to_native()",
}

Shape = tuple[int, ...] | None
"""Of a row; None is a row of numbers."""


def shape_of(network: Any) -> Shape:
    """Read the shape of a row off a network; None where it says none that can be read.

    Parameters
    ----------
    network : Network or None
        Its `input_shape`, if it has one.
    """
    sizes: Any = getattr(network, "input_shape", None)
    try:
        return tuple(map(operator.index, sizes)) or None
    except TypeError:
        return None  # not said; or refused by the network when it is built


def refuse_foreign(X: Any, name: str = "X") -> None:
    """Refuse what would not be read, or as other numbers, with what to make of it.

    That is a frame of another library than pandas and polars, and an array with masked
    cells, which become whatever lies beneath the mask, or of dates, of which a missing
    one becomes -9.2e18.

    Parameters
    ----------
    X : Any
    name : str
        Of the argument.
    """
    if type(X) is np.ndarray and X.dtype.kind not in "mM":
        return  # at once, for the sake of single rows
    for kind in type(X).__mro__:
        library = kind.__module__.partition(".")[0]
        method = FOREIGN_FRAMES.get((library, kind.__name__))
        if method is not None:
            raise TypeError(
                f"expected an array, or a frame of pandas or polars, got {name} of "
                f"type {library}.{kind.__name__}. Pass {name}.{method}."
            )
    if not isinstance(X, np.ndarray):
        return
    if np.ma.is_masked(X):
        raise TypeError(
            f"expected an array without a mask, got {name} with "
            f"{np.ma.getmaskarray(X).sum():,} masked cells. Pass "
            f"{name}.astype(float).filled(numpy.nan), where cells may be missing, or "
            "fill them."
        )
    if X.dtype.kind in "mM":
        raise TypeError(
            f"expected numbers, got {name} of dtype {X.dtype}. Turn dates into some, "
            f"as by ({name} - {name}.min()) / numpy.timedelta64(1, 'D')."
        )


def flat_rows(X: Any, network: Any, *, keeps_device: bool = False) -> tuple[Any, Shape]:
    """Flatten the rows of an array of more than two dimensions.

    Parameters
    ----------
    X : Any
        What is no such array is given back as it is. One in C order, a `numpy.memmap`
        too, is not copied. Dispatched tensors become arrays.
    network : Network or None
        Says which shapes a row may have.
    keeps_device : bool
        Whether tensors may stay on another device than the CPU; see `as_array`.

    Returns
    -------
    rows : Any
        Of shape (n_samples, n_features), or X.
    shape : tuple of int or None
        That the rows had; None for rows that were flat.

    Raises
    ------
    ValueError
        If the rows have another shape than the network's, or it has none.
    TypeError
        If they are in a frame of another library than pandas and polars, or an array
        with a mask, or of dates.
    """
    refuse_foreign(X)
    X = as_array(X, keeps_device=keeps_device)
    shape = shape_of(network)
    if shape is None:
        n_dims = getattr(X, "ndim", 2)
        if isinstance(X, np.ndarray) and n_dims > 2:
            raise ValueError(
                f"Found array with dim {n_dims}, while dim <= 2 is required by a "
                f"network without input_shape: got X of shape {X.shape}. Pass "
                "X.reshape(len(X), -1), or a network of that input_shape, as "
                f"ConvNet({_with_channels(X.shape[1:])})."
            )
        return X, None
    given = np.asarray(X) if isinstance(X, list | tuple) else X
    if getattr(given, "ndim", 2) < 3:
        return X, None
    found = tuple(given.shape[1:])
    # An image of one channel may come without it. A single one, (1, height, width), can
    # be read in two ways, which give the same row.
    allowed = [shape, shape[1:]] if shape[0] == 1 and len(shape) > 2 else [shape]
    if found not in allowed:
        raise _wrong_shape(tuple(given.shape), shape, allowed)
    return given.reshape(given.shape[0], math.prod(shape)), found


def _with_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return images with a channel where they have none."""
    return (1, *shape) if len(shape) == 2 else shape


def _wrong_shape(
    came: tuple[int, ...], shape: tuple[int, ...], allowed: list[tuple[int, ...]]
) -> ValueError:
    """Make the error of rows in another shape, with what they look like."""
    wanted = ", ".join(_named(one) for one in allowed)
    flat = _named((math.prod(shape),))
    what = ""
    advice = "Pass such an array, or a network whose input_shape is X.shape[1:]."
    if came[1:] == (*shape[1:], shape[0]):
        what = (
            ", which looks like rows with their first axis last, as images have that "
            "end in channels"
        )
        advice = "Pass np.moveaxis(X, -1, 1)."
        if len(shape) == 2:  # of series either may be meant
            what = ", which has its two axes the other way round"
            advice = f"Pass input_shape={came[1:]}, or np.moveaxis(X, -1, 1)."
    elif came == shape:
        what = ", which looks like a single row"
        advice = "Pass X[np.newaxis]."
    return ValueError(
        f"expected rows of input_shape={shape}, as an array of shape {wanted} or "
        f"{flat}, got X of shape {came}{what}. {advice}"
    )


def _named(shape: tuple[int, ...]) -> str:
    return f"(n, {', '.join(map(str, shape))})"


def shaped(rows: Any, shape: Shape) -> Any:
    """Return the rows of an array a shape; frames, and rows of shape None, stay flat.

    Parameters
    ----------
    rows : ndarray, Tensor or frame of shape (n_samples, n_features)
    shape : tuple of int or None
    """
    if shape is None or not isinstance(rows, np.ndarray | Tensor):
        return rows
    return rows.reshape(len(rows), *shape)


def flat_view(array: np.ndarray) -> np.ndarray | None:
    """Return an array as rows of numbers in the same memory; None where none can be."""
    view = array.reshape(len(array), math.prod(array.shape[1:]))
    return view if view.size == 0 or np.may_share_memory(view, array) else None
