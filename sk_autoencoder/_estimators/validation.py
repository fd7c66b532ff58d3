"""What X may be, and what `out` may be."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_array, validate_data

from sk_autoencoder._columns import (
    ColumnStatistics,
    Table,
    is_frame,
    missing_cells_error,
    refuse_dates,
    with_missing,
)
from sk_autoencoder._inference.chunks import dtype_in_use
from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.shapes import flat_view
from sk_autoencoder._utils.sklearn_compat import output_kind
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.tensors import stays_on_device
from sk_autoencoder._utils.values import MOST_LISTED, first_line, listed, shortened

DTYPES = [np.float64, np.float32]
# Levels of a column that are told in warnings, about: more are those of a key, and what
# is remembered of them would grow with a stream.
MOST_TOLD = 1000
OUT_DTYPES = [np.dtype(name) for name in ("float16", "float32", "float64")]


@contextmanager
def numbers_alone(X: Any = None) -> Iterator[None]:
    """Validate rows of numbers in the block; say of others what would take them.

    Parameters
    ----------
    X : object
        What is validated. Missing cells of a frame are told with their columns.

    Raises
    ------
    ValueError
        In place of scikit-learn's for missing cells, text, no columns, or too large a
        number.
    TypeError
        If X is a frame with dates.
    """
    refuse_no_columns(X)
    if is_frame(X):
        refuse_dates(X)
    try:
        with within_float64():
            yield
    except ValueError as error:
        text = str(error)
        if text.startswith("Input X contains NaN"):
            raise missing_cells_error(with_missing(X)) from error
        if not text.startswith("could not convert string"):
            raise
        advice = "Name its columns in categorical_features, or pass a frame to fit."
        if is_frame(X):  # its text would have been read as categories in fit
            advice = "Pass columns of numbers, as in fit."
        raise ValueError(
            f"expected numbers, got X with text: {first_line(error)}. {advice}"
        ) from None


def check_network(given: Any) -> None:
    """Refuse what is no specification of a network, with advice; a class is left.

    Parameters
    ----------
    given : object
        The parameter.
    """
    kind = given if isinstance(given, type) else type(given)
    if issubclass(kind, torch.nn.Module):
        raise TypeError(
            "expected network=None or a network specification, got "
            f"network={shortened(given)} of torch. Pass "
            "network=UserNetwork(encoder, decoder), of two modules."
        )
    if given is not None and not issubclass(kind, Network):
        raise TypeError(
            "expected network=None or a specification of sk_autoencoder.networks, "
            f"got network={shortened(given)}. Pass an instance of one, as "
            "network=MLP(), or network=UserNetwork(encoder, decoder) for modules "
            "of your own."
        )


def check_numbers(
    estimator: BaseEstimator, X: Any, *, reset: bool = False, min_samples: int = 1
) -> Any:
    """Validate samples of numbers alone, dense or sparse, as scikit-learn does."""
    with numbers_alone(X):
        rows = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=DTYPES,
            ensure_min_samples=min_samples,
        )
    if sparse.issparse(rows) and not rows.has_canonical_format:
        rows = rows.copy()  # X may be the caller's own
        rows.sum_duplicates()
    return rows


def dense_numbers(
    estimator: BaseEstimator, X: Any, *, reset: bool, min_samples: int = 1
) -> np.ndarray:
    """Validate a matrix as `check_numbers` does, and make a sparse one dense."""
    X = check_numbers(estimator, X, reset=reset, min_samples=min_samples)
    rows: np.ndarray = X.toarray() if sparse.issparse(X) else X
    return rows


def has_variation(X: np.ndarray) -> bool:
    """Whether some column varies, by the rule of tables."""
    # One at a time: mostly the first does, and no other is read.
    columns = (X[:, i : i + 1] for i in range(X.shape[1]))
    return any(ColumnStatistics.of(column).varies.any() for column in columns)


def check_table(estimator: BaseEstimator, X: Any, *, min_samples: int = 0) -> Any:
    """Return a frame as it is, and anything else as an array of two dimensions."""
    if not is_frame(X):
        if sparse.issparse(X):
            raise TypeError(
                "expected a frame or a dense array where columns are read one by one "
                "(categories, allow_missing, column_weights, "
                "numeric_scaling='rank_gauss', loss='cross_entropy'), got a sparse "
                "matrix. Pass X.toarray()."
            )
        if isinstance(X, list | tuple):
            # numpy would turn numbers beside text into text.
            X = np.array(X, dtype=object)
        X = check_array(
            X,
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=0,
            estimator=estimator,
        )
    refuse_no_columns(X)
    if X.shape[0] < min_samples:
        raise ValueError(
            f"Found array with {X.shape[0]} sample(s) (shape={X.shape}) while a "
            f"minimum of {min_samples} is required by {type(estimator).__name__}."
        )
    return X


def refuse_no_columns(X: Any) -> None:
    """Refuse a frame without columns as an array without is refused.

    Parameters
    ----------
    X : object
    """
    if is_frame(X) and not X.shape[1]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is "
            "required: expected at least one column. Pass a frame of the columns to "
            "read."
        )


def named_rows(
    estimator: BaseEstimator, X: Any, *, reset: bool, min_samples: int = 1
) -> Any:
    """Validate the names and the number of columns of a table, and that it has rows.

    Parameters
    ----------
    estimator : estimator
        Keeps the names if they are to be reset, else compares.
    X : object
    reset : bool
    min_samples : int
    """
    X = check_table(estimator, X)
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    return check_table(estimator, X, min_samples=min_samples)


def table_rows(
    estimator: BaseEstimator,
    X: Any,
    table: Table,
    *,
    reset: bool = False,
    new_levels: dict[Any, set[Any]] | None = None,
    min_samples: int = 1,
) -> np.ndarray:
    """Validate what is read as a table, and turn it into numbers."""
    check = dense_numbers if table.is_matrix else named_rows
    rows = check(estimator, X, reset=reset, min_samples=min_samples)
    return table.matrix(rows, new_levels=new_levels)


def warn_of_levels(
    found: dict[Any, set[Any]], told: dict[Any, set[Any]]
) -> dict[Any, set[Any]]:
    """Warn of levels that training met and does not learn, once of each of the first.

    Parameters
    ----------
    found : dict of set
        Levels by column.
    told : dict of set
        Those that the caller has been warned of.

    Returns
    -------
    told : dict of set
        A new one, with those found, where fewer than `MOST_TOLD` had been told.
    """
    new = {
        name: values - told.get(name, set())
        for name, values in found.items()
        if len(told.get(name, ())) < MOST_TOLD
    }
    new = {name: values for name, values in new.items() if values}
    if new:
        shown = [
            f"{listed(sorted(values, key=str))} in column {shortened(name)}"
            for name, values in list(new.items())[:MOST_LISTED]
        ]
        more = "; ..." if len(new) > MOST_LISTED else ""
        warnings.warn(
            "expected levels that the first samples had or their dtypes declare, got "
            f"{'; '.join(shown)}{more}: they are taken for missing, in training and "
            "later on, because the levels stay those of the first samples. Declare all "
            "of them from the first call on, as with pandas.CategoricalDtype or "
            "polars.Enum, or fit anew.",
            UserWarning,
            stacklevel=caller_level(),
        )
    return {**told, **{name: told.get(name, set()) | new[name] for name in new}}


def is_plain_array(X: Any, n_columns: int) -> bool:
    """Whether only the numbers of rows can be wrong, and nothing else.

    These can be checked a chunk at a time, while they are in the cache. All at once is
    a pass over all rows, which may come from a disk, and a copy in float64 of what is
    neither float32 nor float64; for a single row, it is most of the time.
    """
    if type(X) in (np.ndarray, np.memmap):
        is_plain = X.dtype.kind in "fiub" and X.dtype.itemsize <= 8
    else:
        is_plain = stays_on_device(X)
    return is_plain and X.ndim == 2 and X.shape[0] > 0 and X.shape[1] == n_columns


def check_finite(rows: np.ndarray, **names: str) -> None:
    """Refuse a number that is NaN or infinite, as all rows at once are."""
    with numbers_alone():
        assert_all_finite(rows.astype(dtype_in_use(rows), copy=False), **names)


def validate_out(
    estimator: BaseEstimator, out: Any, rows: Any, *row_shape: int
) -> np.ndarray:
    """Refuse an `out` that cannot take a result, and give it as rows of numbers.

    Parameters
    ----------
    estimator : estimator
    out : Any
        What was passed.
    rows : ndarray or CSR matrix of shape (n_samples, ...)
        Of which the result is to be.
    *row_shape : int
        Of a row of the result.

    Returns
    -------
    flat : ndarray of shape (n_samples, n_columns)
        In the same memory.
    """
    kind, shape = output_kind(estimator), (rows.shape[0], *row_shape)
    if kind != "default":
        raise ValueError(
            "expected out, or frames as output, got both out and "
            f"set_output(transform={kind!r}). Pass out=None, or call "
            "set_output(transform='default')."
        )
    if not isinstance(out, np.ndarray):
        raise TypeError(
            "expected an ndarray or a numpy.memmap, got out of type "
            f"{type(out).__name__}. Pass e.g. out=numpy.empty({shape}, 'float32')."
        )
    if out.dtype not in OUT_DTYPES:
        raise TypeError(
            f"expected out of dtype float16, float32 or float64, got out.dtype="
            f"{out.dtype}. Pass e.g. out=numpy.empty({shape}, 'float32')."
        )
    if out.shape != shape:
        raise ValueError(
            f"expected out of shape {shape}, a row for each of X, got out.shape="
            f"{out.shape}. Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    if not out.flags.writeable:
        raise ValueError(
            "expected out that can be written to, got out.flags.writeable=False. "
            "Pass a new array, or a numpy.memmap with mode='r+' or 'w+'."
        )
    if isinstance(rows, np.ndarray) and np.shares_memory(out, rows):
        raise ValueError(
            "expected out in memory of its own, got out that shares memory with X. "
            f"Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    flat = flat_view(out)
    if flat is None:
        raise ValueError(
            "expected out whose rows lie in one piece, got out.strides="
            f"{out.strides}. Pass e.g. out=numpy.empty({shape}, '{out.dtype}')."
        )
    return flat
