"""What the estimators do with rows once they are fitted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import assert_all_finite, metadata_routing
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor, nn

from sk_autoencoder._columns import Table, copied, is_frame
from sk_autoencoder._estimators.output import validate_out
from sk_autoencoder._estimators.validation import ReadsTables, numbers_alone
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.chunks import apply_to_rows, dtype_in_use, sum_over_rows
from sk_autoencoder._inference.fast import FastEncoder
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.shapes import flat_rows, refuse_foreign_frame

__all__ = ["DTYPES", "UsesRows"]

DTYPES = [np.float64, np.float32]

Check = Callable[[np.ndarray], object] | None


class UsesRows(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ReadsTables):
    """The methods of a fitted estimator that take rows or codes."""

    # Not metadata: nothing to route through a pipeline.
    __metadata_request__transform = {"out": metadata_routing.UNUSED}
    __metadata_request__inverse_transform = {"out": metadata_routing.UNUSED}

    n_components_: int
    n_features_in_: int
    _fitted: FittedModel

    def transform(self, X: Any, *, out: np.ndarray | None = None) -> Any:
        """Encode rows.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`, or in the shape that the network asks
            for. An array is read once, a chunk at a time: it may be a `numpy.memmap`
            that is larger than memory.
        out : ndarray of shape (n_samples, n_components) or None, default=None
            Array or `numpy.memmap` of float16, float32 or float64 to write the codes
            to, a chunk at a time. Not together with `set_output`. If X holds NaN or
            infinity somewhere, rows before may have been written.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_components)
            Codes, float32 for float32 rows and for hidden features of a frame with
            categories, float64 for others; `out` if it is given. Two calls with the
            same rows return the same bits. Alone or among others a row has the same
            code up to rounding: 1e-12 of the largest code in float64, 1e-6 in float32.
        """
        self._check_is_fitted()
        if self._plan.imputes:
            return self._filled(X, out)
        rows, check = self._validate_rows(X)
        flat = None
        if out is not None:
            flat = validate_out(self, out, rows, self.n_components_)
        elif self._plan.stacked and self._table and self._table.comes_as_frame:
            # Hundreds of activations a row: float64 would take twice the memory for
            # digits that training in float32 never had.
            flat = np.empty((rows.shape[0], self.n_components_), np.float32)
        codes = apply_to_rows(
            FastEncoder.encode, self.net_.module_, rows, check=check, out=flat
        )
        return codes if out is None else out

    def inverse_transform(self, X: Any, *, out: np.ndarray | None = None) -> Any:
        """Decode codes.

        Parameters
        ----------
        X : {array-like, frame} of shape (n_samples, n_components)
            Codes, as `transform` gives them.
        out : ndarray of shape (n_samples, n_features) or None, default=None
            Array or `numpy.memmap` to write the rows to, as for `transform`; of the
            shape of the result.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Rows in the units of `fit`, and in the shape in which they came to it;
            `out` if it is given; a frame of flat rows after `set_output`, or where
            `sklearn.set_config(transform_output=...)` asks for one. Of a table columns
            have their dtypes: whole numbers come back whole where the dtype says so,
            as pandas' Int64 and polars' integers do with missing cells; an int column
            of pandas that holds NaN is float64, and comes back in fractions.
        """
        self._check_is_fitted()
        if self._plan.imputes:
            return X
        codes, check = self._validate_codes(X)
        flat = None
        if out is not None:
            self._refuse_out_of_table()
            shape = self._row_shape or (self.n_features_in_,)
            flat = validate_out(self, out, codes, *shape)
        rows = apply_to_rows(
            FastEncoder.decode,
            self.net_.module_,
            codes,
            are_codes=True,
            check=check,
            out=flat,
        )
        return self._to_output(rows, like=X) if out is None else out

    def reconstruct(self, X: Any) -> Any:
        """Encode rows and decode the codes.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            What `inverse_transform(transform(X))` gives, in the same shape or frame.
        """
        self._check_is_fitted()
        rows, check = self._validate_rows(X)
        reconstructed = apply_to_rows(
            FastEncoder.reconstruct, self.net_.module_, rows, check=check
        )
        return self._to_output(reconstructed, like=X)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Measure how far reconstructions lie from the rows.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.
        per_feature : bool, default=False
            Whether to give a value for each cell.

        Returns
        -------
        error : ndarray of shape (n_samples,) or (n_samples, n_features)
            Squared errors in the caller's units, squared; for a row the sum over its
            features. Of a table with categories or rank-gauss they are those of the
            scaled and encoded columns, each of variance 1; of categories the value
            for each cell comes as a frame. A value for each cell comes in the shape in
            which rows came to `fit`. In float64, whatever the dtype of X: squares of
            float32 numbers may lie beyond float32. Always finite.
        """
        self._check_is_fitted()

        def squared(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            squares = forward.squares(x)
            return squares if per_feature else squares.sum(dim=1)

        rows, check = self._validate_rows(X)
        errors = apply_to_rows(
            squared, self.net_.module_, rows, check=check, dtype=np.dtype(np.float64)
        )
        return self._cells_to_output(errors, like=X) if per_feature else errors

    def score(self, X: Any, y: Any = None) -> float:
        """Explained variance ratio of the reconstruction of X; 1 is perfect.

        The units are those of the sum of PCA's `explained_variance_ratio_`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`, best ones that it has not seen.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            One minus the squared error over the squared distance from the training
            mean, `mean_`; 1.0 if both are 0, 0.0 if only the second is.
        """
        self._check_is_fitted()
        return self._explained_variance(*self._validate_rows(X))

    def _table_score(self, X: Any) -> float | None:
        """Return what `reconstruction_scorer` scores, where it has to be asked for.

        The explained variance ratio of the encoded, scaled matrix, for categories and
        for missing cells; None for rows of numbers, which can be compared as they are.
        """
        if self._table is None:
            return None
        rows = self._check_rows(X)
        if not (self._table.has_categories or np.isnan(rows).any()):
            return None
        return self._explained_variance(rows, None)

    def _explained_variance(self, rows: Any, check: Check) -> float:
        """Compute the explained variance ratio of rows in use, by the mean codes."""

        def squares(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            error = forward.errors(x).square_().sum(dim=1)
            total = forward.centered_targets(x).square_().sum(dim=1)
            return torch.stack([error, total], dim=1)

        error, total = sum_over_rows(squares, self.net_.module_, rows, check=check)
        if total == 0:
            return 1.0 if error == 0 else 0.0
        return float(1 - error / total)

    def _filled(self, X: Any, out: Any) -> Any:
        """Return rows with their missing cells filled, and all others as they are."""
        if out is not None:
            raise ValueError(
                "expected out=None for features='reconstruction', which gives rows as "
                f"they came, got out of type {type(out).__name__}. Pass out=None."
            )
        table = self._table
        rows = self._check_rows(X)
        if table is None:
            return copied(X) if is_frame(X) else rows.copy()
        X = self._checked_table(X)
        gaps = np.isnan(rows[:, ~table.is_empty]).any(axis=1)
        if gaps.any():
            module = self.net_.module_
            rows[gaps] = apply_to_rows(FastEncoder.reconstruct, module, rows[gaps])
        return table.filled(X, rows)

    # -- checks ------------------------------------------------------------------------

    def _check_is_fitted(self) -> None:
        """Refuse to go on without a fit; scikit-learn takes ten times as long."""
        if not self._is_fitted():
            check_is_fitted(self)

    def _is_fitted(self) -> bool:
        return "_fitted" in self.__dict__

    def _check_rows(self, X: Any, *, fitting: bool = False, reset: bool = True) -> Any:
        """Validate rows as scikit-learn does; a table becomes numbers."""
        if not fitting:
            X, _ = flat_rows(X, self._plan.network)
        first = fitting and reset
        if not first and self._table is not None:
            return self._table_rows(X, self._table)
        two = first or (fitting and self._has_batch_norm())
        with numbers_alone():
            return validate_data(
                self,
                X,
                reset=first,
                accept_sparse="csr",
                dtype=DTYPES,
                ensure_min_samples=2 if two else 1,
            )

    def _has_batch_norm(self) -> bool:
        """Whether the fitted network needs two rows a batch."""
        return any(isinstance(part, nn.BatchNorm1d) for part in self.module_.modules())

    def _validate_rows(self, X: Any) -> tuple[Any, Check]:
        """Validate rows, and say what is left to check chunk by chunk."""
        X, _ = flat_rows(X, self._plan.network)
        if self._table is not None or not _is_plain(X, self.n_features_in_):
            return self._check_rows(X), None
        if hasattr(self, "feature_names_in_"):
            self._check_rows(X[:1])  # warns that X has no names
        name = type(self).__name__
        return np.asarray(X), lambda rows: _check_finite(
            rows, input_name="X", estimator_name=name
        )

    def _validate_codes(self, X: Any) -> tuple[np.ndarray, Check]:
        """Validate codes likewise."""
        most, ordered = self.n_components_, self._plan.ordered
        if _is_plain(X, most) and self._plan.output_index is None:
            return np.asarray(X), _check_finite
        refuse_foreign_frame(X)
        with within_float64():
            codes = check_array(X, dtype=DTYPES)
        self._refuse_part_of_layers()
        if codes.shape[1] > most or (codes.shape[1] < most and not ordered):
            fewer = ", or fewer," if ordered else ","
            shorter = codes.shape[1] < most and hasattr(self, "truncate")
            advice = ", or fit with ordered=True to decode fewer" if shorter else ""
            raise ValueError(
                f"expected codes with n_components_={most} columns{fewer} got X with "
                f"{codes.shape[1]}. Pass what transform gives{advice}."
            )
        return codes, None

    def _refuse_part_of_layers(self) -> None:
        plan = self._plan
        if plan.output_index is not None and (
            plan.whiten or plan.output_index[-1] != plan.n_components - 1
        ):
            raise ValueError(
                "expected the last hidden layer, last of all, and whiten=False to "
                "decode hidden features, got others. Fit with layers=None."
            )

    def _refuse_out_of_table(self) -> None:
        if self._table is not None:
            raise ValueError(
                "expected columns of numbers for inverse_transform into out, got a fit "
                "on a table with columns of other kinds or scales. Pass out=None."
            )

    # -- parts -------------------------------------------------------------------------

    @property
    def net_(self) -> AutoEncoderNet:
        """The skorch net."""
        self._check_is_fitted()
        return self._fitted.net

    @property
    def module_(self) -> nn.Module:
        """The trained torch module."""
        return self.net_.module_

    @property
    def _plan(self) -> Plan:
        return self._fitted.plan

    @property
    def _table(self) -> Table | None:  # type: ignore[override]
        return self._fitted.plan.table if self._is_fitted() else None


def _is_plain(X: Any, n_columns: int) -> bool:
    """Whether only the numbers of rows can be wrong, and nothing else.

    These can be checked a chunk at a time, while they are in the cache. All at once is
    a pass over all rows, which may come from a disk, and a copy in float64 of what is
    neither float32 nor float64; for a single row, it is most of the time.
    """
    return (
        type(X) in (np.ndarray, np.memmap)
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == n_columns
        and X.dtype.kind in "fiub"
        and X.dtype.itemsize <= 8
    )


def _check_finite(rows: np.ndarray, **names: str) -> None:
    """Refuse a number that is NaN or infinite, as all rows at once are."""
    with numbers_alone():
        assert_all_finite(rows.astype(dtype_in_use(rows), copy=False), **names)
