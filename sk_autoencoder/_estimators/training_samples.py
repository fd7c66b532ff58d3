"""How samples to fit on are validated, and become rows of numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy import sparse

from sk_autoencoder._columns import Table, has_categories, is_frame
from sk_autoencoder._estimators.methods import FittedMethods
from sk_autoencoder._estimators.validation import (
    check_numbers,
    check_table,
    dense_numbers,
    has_variation,
    named_rows,
    table_rows,
    warn_of_levels,
)
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.train import validation_errors
from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.shapes import flat_rows

# Warnings that were given already; neither files nor pickles keep them.
TRANSIENT = "_told_levels"


class TrainingSamples(FittedMethods):
    """What an estimator makes of the samples that it is to be fitted to.

    Its parameters say whether they are read as numbers or, column by column, as a
    table.
    """

    network: Network | None
    numeric_scaling: str | Sequence[str]
    categorical_features: Any
    allow_missing: bool
    handle_unknown: str
    column_weights: Any
    # Levels not learned that the caller has been warned of, by column; not saved.
    _told_levels: dict[Any, set[Any]]

    # -- what a leaf says of itself --------------------------------------------------

    def _table_scaling(self) -> str:
        """Return the scaling of a table's numbers; "auto" may depend on its columns."""
        return str(self.numeric_scaling)

    def _keeps_binary(self) -> bool:
        """Whether numbers of two values keep their units beside standardized ones."""
        return False

    def _keeps_values(self) -> bool:
        """Whether numbers know the values to which samples move."""
        return False

    def _ranks_numbers(self) -> bool:
        """Whether a dense matrix of numbers becomes a table, for the sake of ranks."""
        return False

    def _uses_levels(self, X: Any) -> bool:
        """Whether a masked network of levels is to be fitted to X."""
        return False

    # -- reading ---------------------------------------------------------------------

    def _reads_as_table(self, X: Any = None) -> bool:
        """Whether `fit` would read X as a table, column by column.

        Without X the parameters alone decide.
        """
        chosen = self.categorical_features
        named = not isinstance(chosen, str) and chosen is not None and len(chosen) > 0
        return bool(
            named
            or self.allow_missing
            or self.numeric_scaling == "rank_gauss"
            or not isinstance(self.numeric_scaling, str)
            or self.column_weights is not None
            or (is_frame(X) and has_categories(X))
            or (X is not None and self._uses_levels(X))
        )

    def _table_check(self, X: Any) -> Callable[..., Any] | None:
        """Return what validates samples that are read as a table; None for numbers."""
        if self._reads_as_table(X):
            return named_rows
        is_matrix = self._ranks_numbers() and not sparse.issparse(X)
        return dense_numbers if is_matrix else None

    def _read_table(
        self, X: Any, whole: Any = None, *, more_to_come: bool = False
    ) -> Table:
        """Find out how a table to fit on becomes numbers; see `Table.of`."""
        return Table.of(
            check_table(self, X, min_samples=2),
            categorical_features=self.categorical_features,
            scaling=self._table_scaling(),
            column_weights=self.column_weights,
            allow_missing=self.allow_missing,
            handle_unknown=self.handle_unknown,
            more_to_come=more_to_come,
            keeps_binary=self._keeps_binary(),
            keeps_values=self._keeps_values(),
            is_matrix=self._ranks_numbers() and not is_frame(X),
            binned=self._uses_levels(X),
            whole=whole,
        )

    def _warn_of_table(self, table: Table, X: Any) -> None:
        """Warn of columns without a value, and of text that is hardly categories."""
        table.warn(len(X) if is_frame(X) else 0, self.categorical_features)

    def _training_rows(
        self, X: Any, before: FittedModel | None, *, is_pass: bool = False
    ) -> tuple[Any, Table | None]:
        """Validate samples to fit on; return how a table of them was read, or None.

        A first fit sets the features; what goes on from one has to have them.
        """
        X, self._row_shape = flat_rows(X, self.network)
        reset = before is None
        if before is None:
            self.__dict__.pop(TRANSIENT, None)
            check, table = self._table_check(X), None
            if check is named_rows:
                table = self._read_table(X, more_to_come=is_pass)
                self._warn_of_table(table, X)
            elif check is not None:
                X = check(self, X, reset=True, min_samples=2)
                if not has_variation(X):
                    return X, None  # a table has to vary
                table = self._read_table(X, more_to_come=is_pass)
                return table.matrix(X), table
        else:
            table = before.plan.table
        least = 2 if reset or not is_pass or self._has_batch_norm() else 1
        if table is None:
            return check_numbers(self, X, reset=reset, min_samples=least), None
        new: dict[Any, set[Any]] = {}
        rows = table_rows(
            self, X, table, reset=reset, new_levels=new, min_samples=least
        )
        self._warn_of_levels(new)
        return rows, table

    def _validation_rows(self, X_val: Any, table: Table | None, *names: str) -> Any:
        """Validate the caller's validation set; None where there is none."""
        if X_val is None:
            return None
        with validation_errors(*names):
            X_val, _ = flat_rows(X_val, self.network)
            if table is None:
                return check_numbers(self, X_val, min_samples=2)
            return table_rows(self, X_val, table, min_samples=2)

    def _warn_of_levels(self, new: dict[Any, set[Any]]) -> None:
        """Warn of levels that are taken for missing, if there are any new ones."""
        if new:
            # A new dict: a call that raises puts the old one back.
            self._told_levels = warn_of_levels(new, vars(self).get(TRANSIENT, {}))

    def _has_batch_norm(self) -> bool:
        """Whether the fitted network needs two samples a batch."""
        parts = self.module_.modules()
        return any(isinstance(part, torch.nn.BatchNorm1d) for part in parts)
