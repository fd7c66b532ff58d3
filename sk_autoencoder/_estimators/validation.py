"""What the estimators do with tables that are not numbers alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from sk_autoencoder._columns import Table, has_categories, is_frame
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.params import ChecksObjects
from sk_autoencoder._utils.shapes import Shape, shaped
from sk_autoencoder._utils.sklearn_compat import in_output_container
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import MOST_LISTED, first_line, listed, shortened

__all__ = ["ReadsTables", "named_rows", "numbers_alone"]


@contextmanager
def numbers_alone() -> Iterator[None]:
    """Validate rows of numbers in the block; say of others what would take them.

    Raises
    ------
    ValueError
        In place of scikit-learn's for missing cells, text, or too large a number.
    """
    try:
        with within_float64():
            yield
    except ValueError as error:
        text = str(error)
        if text.startswith("Input X contains NaN"):
            raise ValueError(
                "Input X contains NaN: expected no missing cells for "
                "allow_missing=False. Pass allow_missing=True, or fill them first, as "
                "with SimpleImputer."
            ) from error
        if not text.startswith("could not convert string"):
            raise
        raise ValueError(
            f"expected numbers, got X with text: {first_line(error)}. Name its columns "
            "in categorical_features, or pass a frame to fit."
        ) from None


def named_rows(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Validate the names and the number of columns of a table, and that it has rows.

    Parameters
    ----------
    estimator : estimator
        Keeps the names if they are to be reset, else compares.
    X : frame or ndarray of shape (n_samples, n_features)
    reset : bool
    """
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {type(estimator).__name__}."
        )
    return X


class ReadsTables(ChecksObjects):
    """From frames and arrays of any kind to rows of numbers, and back."""

    categorical_features: Any
    numeric_scaling: str
    allow_missing: bool
    handle_unknown: str
    column_weights: Any
    _table: Table | None
    _row_shape: Shape
    # Levels not learned that the caller has been warned of, by column; not saved.
    _told_levels: dict[Any, set]

    def _is_table(self, X: Any) -> bool:
        """Whether rows to fit on have to be read column by column."""
        return self._asks_for_table() or (is_frame(X) and has_categories(X))

    def _asks_for_table(self) -> bool:
        """Whether they have to be, whatever they are."""
        chosen = self.categorical_features
        named = not isinstance(chosen, str) and chosen is not None and len(chosen) > 0
        return bool(
            named
            or self.allow_missing
            or self.numeric_scaling == "rank_gauss"
            or self.column_weights is not None
        )

    def _read_table(self, X: Any, *, more_to_come: bool = False) -> Table:
        """Find out how a table to fit on becomes numbers."""
        X = self._checked_table(X)
        if X.shape[0] < 2:
            raise ValueError(
                f"Found array with {X.shape[0]} sample(s) (shape={X.shape}) while a "
                f"minimum of 2 is required by {type(self).__name__}."
            )
        return Table.of(
            X,
            categorical_features=self.categorical_features,
            scaling=self._table_scaling(),
            column_weights=self.column_weights,
            allow_missing=self.allow_missing,
            handle_unknown=self.handle_unknown,
            more_to_come=more_to_come,
        )

    def _table_scaling(self) -> str:
        """Name the scaling of numbers; "auto" may still depend on the columns."""
        return self.numeric_scaling

    def _table_rows(
        self, X: Any, table: Table, *, first: bool = False, new_levels: Any = None
    ) -> np.ndarray:
        """Validate a table's names and number of columns, and turn it into numbers."""
        X = named_rows(self, self._checked_table(X), reset=first)
        return table.matrix(X, new_levels=new_levels)

    def _warn_of_levels(self, found: dict[Any, set]) -> None:
        """Warn of levels that training met and does not learn, once of each."""
        told = getattr(self, "_told_levels", {})
        new = {name: values - told.get(name, set()) for name, values in found.items()}
        new = {name: values for name, values in new.items() if values}
        if not new:
            return
        # A new dict: a call that raises puts the old one back.
        self._told_levels = {**told, **{n: told.get(n, set()) | new[n] for n in new}}
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

    def _checked_table(self, X: Any) -> Any:
        """Take frames as they are, and anything else as an array of two dimensions."""
        if is_frame(X):
            return X
        if sparse.issparse(X):
            raise TypeError(
                "expected a frame or a dense array for columns of categories, missing "
                "cells, column_weights or numeric_scaling='rank_gauss', got a sparse "
                "matrix. Pass X.toarray()."
            )
        if isinstance(X, list | tuple):
            # numpy would turn numbers beside text into text.
            X = np.array(X, dtype=object)
        return check_array(
            X,
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=0,
            estimator=self,
        )

    def _to_output(self, rows: np.ndarray, like: Any) -> Any:
        """Return rows of numbers in the container that the caller expects.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        like : Any
            Argument of the call; a pandas frame lends its index.
        """
        if self._table is None:
            return self._in_container(rows, like)
        if self._table.comes_as_frame:
            return self._table.table(rows, like)
        return self._in_container(self._table.array(rows), like)

    def _cells_to_output(self, cells: np.ndarray, like: Any) -> Any:
        """Return a number for each cell, under the names of the columns."""
        if self._table is None or not self._table.comes_as_frame:
            return self._in_container(cells, like)
        return self._table.numbers(cells, like)

    def _in_container(self, rows: np.ndarray, like: Any) -> Any:
        """Return an array in the shape that rows had in fit; frames hold flat rows."""
        return shaped(in_output_container(self, rows, like=like), self._row_shape)
