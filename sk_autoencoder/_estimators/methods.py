"""What a fitted estimator does with samples and codes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import metadata_routing
from sklearn.utils.validation import check_array, check_is_fitted
from torch import nn

from sk_autoencoder._columns import (
    Table,
    copied,
    is_frame,
    with_flags,
    without_flags,
)
from sk_autoencoder._estimators.summary import summarize
from sk_autoencoder._estimators.validation import (
    DTYPES,
    check_finite,
    check_numbers,
    check_table,
    is_plain_array,
    table_rows,
    validate_out,
)
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.chunks import apply_to_rows, sum_over_rows
from sk_autoencoder._inference.conditionals import CellPredictor
from sk_autoencoder._inference.errors import row_errors, squared_errors, sums_of_squares
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.shapes import Shape, flat_rows, refuse_foreign, shaped
from sk_autoencoder._utils.sklearn_compat import (
    feature_names_in,
    in_output_container,
    output_kind,
)
from sk_autoencoder._utils.tensors import as_array, as_tensor, is_dispatched
from sk_autoencoder._utils.variance import explained_variance

Check = Callable[[np.ndarray], object] | None


class FittedMethods(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The methods of a fitted estimator that take samples or codes.

    Each public method validates what it is given, and has a private twin for what has
    been validated: `_transform`, `_reconstruct`.
    """

    # Not metadata: nothing to route through a pipeline.
    __metadata_request__transform = {"out": metadata_routing.UNUSED}
    __metadata_request__inverse_transform = {"out": metadata_routing.UNUSED}

    n_components_: int
    n_features_in_: int
    _fitted: FittedModel
    # Of the samples of fit, and of one as it came.
    _input_dtype: np.dtype = np.dtype(np.float64)
    _row_shape: Shape

    def transform(self, X: Any, *, out: np.ndarray | None = None) -> Any:
        """Return the codes of samples.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`, or in the shape that the network
            accepts. An array is read in chunks, so it may be a `numpy.memmap` that is
            larger than memory.
        out : ndarray of shape (n_samples, n_components) or None, default=None
            Array or `numpy.memmap` of float16, float32 or float64 to which the codes
            are written in chunks. Cannot be combined with `set_output`. If X has NaN or
            infinity, earlier rows may already have been written.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_components)
            Codes; `out` if it is given, and a tensor if X is one and scikit-learn's
            `array_api_dispatch` is on. float32 if X is, and for hidden features of a
            frame with categories; float64 otherwise. Two calls with the same X return
            identical codes. The code of a sample depends on other samples by rounding
            only: by 1e-12 of the largest code in float64, 1e-6 in float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing; if `out` has another shape or
            dtype; if a sample is so far from those of `fit` that its code overflows.
        """
        self._check_is_fitted()
        if self._plan.imputes:
            return self._as_given(self._impute(as_array(X), out), X)
        rows, check = self._validate_rows(X)
        flat = None
        if out is not None:
            flat = validate_out(self, out, rows, self.n_components_)
        elif self._plan.stacked and self._table and self._table.comes_as_frame:
            # Hundreds of activations a row: float64 would take twice the memory for
            # digits that training in float32 never had.
            flat = np.empty((rows.shape[0], self.n_components_), np.float32)
        codes = self._transform(rows, check=check, out=flat, is_finite=True)
        return self._as_given(codes, X) if out is None else out

    @property
    def _explained_by_prefix(self) -> np.ndarray:
        """What the first 1, 2, ... components explain of the training samples, (k,)."""
        fitted = self._fitted
        gains: Any = fitted.explained_variance_ratio
        if fitted.prefix_errors is not None:  # as they are, not put into order
            gains = fitted.moments.explained_by_prefix(fitted.prefix_errors)
            gains = gains[: fitted.plan.n_kept]
        found: np.ndarray = np.cumsum(gains)
        return found

    def _transform(self, rows: Any, **options: Any) -> np.ndarray:
        """Encode samples that have been validated; see `apply_to_rows`."""
        module = self.net_.module_
        return apply_to_rows(AutoEncoderModule.encode, module, rows, **options)

    def inverse_transform(self, X: Any, *, out: np.ndarray | None = None) -> Any:
        """Decode codes into samples.

        Parameters
        ----------
        X : {array-like, frame} of shape (n_samples, n_components)
            Codes, as `transform` returns them.
        out : ndarray of shape (n_samples, n_features) or None, default=None
            Array or `numpy.memmap` of this shape to which the result is written, as in
            `transform`.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Samples in the units and in the shape of those of `fit`; `out` if it is
            given; a tensor as in `transform`; a frame with one row per sample after
            `set_output` or with `sklearn.set_config(transform_output=...)`. The columns
            of a table keep their dtypes: integers are returned as integers, with
            missing cells too in polars and in the Int64 of pandas; a column of integers
            with NaN is float64 in pandas, and is returned with fractions.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has a different number of columns than codes have, or cells that are
            missing or infinite; if `out` has another shape or dtype.
        """
        self._check_is_fitted()
        if self._plan.imputes:
            return self._without_flags(X)
        codes, check = self._validate_codes(X)
        flat = None
        if out is not None:
            if self._table is not None:
                raise ValueError(
                    "expected columns of numbers for inverse_transform into out, got a "
                    "fit on a table with columns of other kinds or scales. Pass "
                    "out=None."
                )
            shape = self._row_shape or (self.n_features_in_,)
            flat = validate_out(self, out, codes, *shape)
        rows = apply_to_rows(
            AutoEncoderModule.decode,
            self.net_.module_,
            codes,
            check=check,
            out=flat,
            is_finite=True,
        )
        return self._to_output(rows, like=X) if out is None else out

    def reconstruct(self, X: Any) -> Any:
        """Return the reconstructions of samples.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            The result of `inverse_transform(transform(X))`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        self._check_is_fitted()
        rows, check = self._validate_rows(X)
        found = self._reconstruct(rows, check=check, is_finite=True)
        return self._to_output(found, like=X)

    def _reconstruct(self, rows: Any, **options: Any) -> np.ndarray:
        """Reconstruct samples that have been validated; see `apply_to_rows`."""
        kind: Any = CellPredictor if self._plan.is_masked else AutoEncoderModule
        return apply_to_rows(kind.reconstruct, self.net_.module_, rows, **options)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the squared errors of reconstructed samples.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.
        per_feature : bool, default=False
            Whether to return a value for each cell.

        Returns
        -------
        error : ndarray of shape (n_samples,) or (n_samples, n_features)
            Squared errors, in squared units of X; for a sample, their sum over the
            features. For a table with categories, or with rank-gauss scaling, they are
            the errors of the scaled and encoded columns, each of variance 1. Values for
            each cell have the shape that samples had in `fit`; with categories they are
            a frame. Always finite, and in float64, whatever the dtype of X, because
            squares of float32 numbers may overflow float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        self._check_is_fitted()
        rows, check = self._validate_rows(X)
        errors = apply_to_rows(
            squared_errors if per_feature else row_errors,
            self.net_.module_,
            rows,
            check=check,
            dtype=np.dtype(np.float64),
        )
        if per_feature:
            return self._cells_to_output(errors, like=X)
        return self._as_given(errors, X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the explained variance ratio of the reconstruction of X; 1 is perfect.

        The units are those of the sum of PCA's `explained_variance_ratio_`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`, preferably ones that it has not seen.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            One minus the ratio of the squared error to the squared distance from the
            training mean, `mean_`; 1.0 if both are 0, 0.0 if only the distance is.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        self._check_is_fitted()
        return self._explained_variance(*self._validate_rows(X))

    def summary(self) -> str:
        """Describe the fit: data, network, explained variance, training and result.

        .. versionadded:: 0.2

        Returns
        -------
        text : str
            Several lines: the number of samples and of columns of each kind; layers and
            number of weights; for a squared error, the explained variance of the
            training samples (or the unexplained one if it is close to 1) next to that
            of PCA with the same number of components; the loss on the validation
            samples, with its unit, and that of PCA; the number of epochs, the best one,
            why training stopped, and the seconds; whether PCA or the weights of an
            epoch are kept; the device. The wording may change in any release.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self._check_is_fitted()
        return summarize(
            type(self).__name__,
            self._fitted,
            n_components=self._n_features_out,
            loss_label=self._loss_label,
        )

    @property
    def _table_score(self) -> Callable[[Any], float | None] | None:
        """What `reconstruction_scorer` asks for a score; None if it need not ask."""
        is_asked = self._is_fitted() and (self._table or self._plan.imputes)
        return self._score_of_table if is_asked else None

    def _score_of_table(self, X: Any) -> float | None:
        """Score samples for `reconstruction_scorer`.

        The explained variance ratio of the encoded, scaled matrix, for categories, for
        missing cells, and where `transform` gives back what is there; None for rows of
        numbers, which can be compared as they are.
        """
        rows, table = self._check_rows(X), self._table
        has_categories = table is not None and table.has_categories
        if not (self._plan.imputes or has_categories or np.isnan(rows).any()):
            return None
        return self._explained_variance(rows, None)

    def _explained_variance(self, rows: Any, check: Check) -> float:
        """Compute the explained variance ratio of rows in use, by the mean codes."""
        error, total = sum_over_rows(
            sums_of_squares, self.net_.module_, rows, check=check
        )
        return float(explained_variance(error, total))

    def _impute(self, X: Any, out: Any) -> Any:
        """Return samples with their missing cells filled; others stay as they are."""
        if out is not None:
            raise ValueError(
                "expected out=None for features='reconstruction', which gives rows as "
                f"they came, got out of type {type(out).__name__}. Pass out=None."
            )
        table = self._table
        rows = self._check_rows(X)
        if table is None:
            return copied(X) if is_frame(X) else rows.copy()
        flagged = list(self._plan.indicators)
        flags = np.isnan(rows[:, flagged])
        gaps = np.isnan(rows[:, ~table.is_empty]).any(axis=1)
        if gaps.any():
            rows[gaps] = self._filled(rows[gaps])
        filled = table.filled(check_table(self, X), rows)
        names = [f"missingindicator_{feature_names_in(self)[i]}" for i in flagged]
        return with_flags(filled, names, flags) if flagged else filled

    def _without_flags(self, X: Any) -> Any:
        """Return samples as they are, without the columns that `_impute` put behind."""
        refuse_foreign(X)
        rows = as_array(X)
        if not sparse.issparse(rows):
            rows = check_table(self, rows, min_samples=1)
        self._refuse_other_width(rows)
        return self._as_given(without_flags(rows, len(self._plan.indicators)), X)

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        """Fill the missing cells of samples that have been validated."""
        if not self._plan.is_masked:
            return self._reconstruct(rows, is_finite=True)
        module, imputation = self.net_.module_, self._fitted.imputation
        linear = None if imputation is None else imputation.linear
        impute = partial(CellPredictor.impute, linear=linear)
        filled = apply_to_rows(impute, module, rows)
        if imputation is None:
            return filled
        return imputation.applied(filled, rows, module.columns)

    def _fillings(self, module: Any, x: torch.Tensor) -> torch.Tensor:
        """Return what each missing cell is filled with.

        **Shape**: (n, 2 n_columns), the cells of a masked network and then the numbers
        and levels that they are, to (n, n_columns).
        """
        imputation, columns = self._fitted.imputation, module.columns
        linear = None if imputation is None else imputation.linear
        cells, own = x.tensor_split(2, dim=1)
        found = CellPredictor(module, x.dtype).fillings(cells, own, linear)
        if imputation is None:
            return found
        kept = torch.tensor(imputation.keeps_constant)
        return torch.where(kept, torch.from_numpy(columns.constant_cells()), found)

    def _module_function(self, method: str) -> Callable[[Any, Any], Any]:
        """Return what a method computes: a function of the module and of samples."""
        if method == "inverse_transform":
            self._refuse_part_of_layers()
        if method == "transform" and self._plan.is_masked:
            return self._fillings
        if method == "transform" and self._plan.imputes:
            return AutoEncoderModule.reconstruct
        return {
            "transform": AutoEncoderModule.encode,
            "inverse_transform": AutoEncoderModule.decode,
            "reconstruct": AutoEncoderModule.reconstruct,
        }[method]

    # -- checks ------------------------------------------------------------------------

    def _check_is_fitted(self) -> None:
        """Raise if there is no fit; scikit-learn's check takes ten times as long."""
        if not self._is_fitted():
            check_is_fitted(self)

    def _is_fitted(self) -> bool:
        return "_fitted" in self.__dict__

    def _check_rows(self, X: Any) -> Any:
        """Validate samples as those of `fit` were, and return numbers."""
        X, _ = flat_rows(X, self._plan.network)
        if self._table is None:
            return check_numbers(self, X)
        return table_rows(self, X, self._table)

    def _validate_rows(self, X: Any) -> tuple[Any, Check]:
        """Return validated samples, and what is left to check chunk by chunk."""
        keeps = self._table is None and self._gives_tensor(X)
        X, _ = flat_rows(X, self._plan.network, keeps_device=keeps)
        if self._table is not None or not is_plain_array(X, self.n_features_in_):
            return self._check_rows(X), None
        if hasattr(self, "feature_names_in_"):
            self._check_rows(X[:1])  # warns that X has no names
        name = type(self).__name__
        rows = X if isinstance(X, torch.Tensor) else np.asarray(X)
        return rows, lambda rows: check_finite(
            rows, input_name="X", estimator_name=name
        )

    def _validate_codes(self, X: Any) -> tuple[Any, Check]:
        """Return validated codes, and what is left to check chunk by chunk."""
        X = as_array(X, keeps_device=self._table is None and self._gives_tensor(X))
        if is_plain_array(X, self.n_components_) and self._plan.output_index is None:
            return X if isinstance(X, torch.Tensor) else np.asarray(X), check_finite
        refuse_foreign(X)
        with within_float64():
            codes = check_array(X, dtype=DTYPES)
        self._refuse_part_of_layers()
        self._refuse_other_width(codes)
        return codes, None

    def _refuse_other_width(self, codes: Any) -> None:
        """Refuse codes of another number of columns than `transform` gives."""
        given, most, ordered = codes.shape[1], self.n_components_, self._plan.ordered
        if given > most or (given < most and not ordered):
            fewer = ", or fewer," if ordered else ","
            has_codes = not (self._plan.stacked or self._plan.imputes)
            shorter = given < most and has_codes and hasattr(self, "truncate")
            advice = ", or fit with ordered=True to decode fewer" if shorter else ""
            raise ValueError(
                f"expected codes with n_components_={most} columns{fewer} got X with "
                f"{given}. Pass what transform gives{advice}."
            )

    def _refuse_part_of_layers(self) -> None:
        plan = self._plan
        if plan.output_index is not None and (
            plan.whiten or plan.output_index[-1] != plan.n_components - 1
        ):
            raise ValueError(
                "expected hidden features that end with the last layer, without "
                "whitening, to decode them, got others. Fit with layers=None and "
                "whiten=False."
            )

    # -- what is returned ------------------------------------------------------------

    def _to_output(
        self, rows: np.ndarray, like: Any, given: np.ndarray | None = None
    ) -> Any:
        """Return rows of numbers in the container that the caller expects.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
        like : Any
            Argument of the call; a pandas frame lends its index.
        given : ndarray of shape (n_samples, n_features) or None
            Numbers of a table as they are to be, NaN elsewhere.
        """
        if self._table is None:
            return self._in_container(rows, like)
        if self._table.comes_as_frame:
            return self._table.table(rows, like, given)
        return self._in_container(self._table.array(rows, given), like)

    def _cells_to_output(self, cells: np.ndarray, like: Any) -> Any:
        """Return a number for each cell, under the names of the columns."""
        if self._table is None or not self._table.comes_as_frame:
            return self._in_container(cells, like)
        return self._table.numbers(cells, like)

    def _in_container(self, rows: np.ndarray, like: Any) -> Any:
        """Return an array in the shape that rows had in fit; frames hold flat rows."""
        rows = in_output_container(self, rows, like=like)
        return shaped(self._as_given(rows, like), self._row_shape)

    def _as_given(self, rows: Any, X: Any) -> Any:
        """Return numbers as a tensor on the device of X, where one is expected."""
        return as_tensor(rows, X.device) if self._gives_tensor(X) else rows

    def _gives_tensor(self, X: Any) -> bool:
        """Whether what is made of X is returned as a tensor."""
        return is_dispatched(X) and output_kind(self) == "default"

    # -- parts -------------------------------------------------------------------------

    @property
    def net_(self) -> AutoEncoderNet:
        """The skorch net."""
        self._check_is_fitted()
        return self._fitted.net

    @property
    def module_(self) -> nn.Module:
        """The trained torch module."""
        module: nn.Module = self.net_.module_
        return module

    @property
    def _plan(self) -> Plan:
        return self._fitted.plan

    @property
    def _table(self) -> Table | None:
        return self._fitted.plan.table if self._is_fitted() else None
