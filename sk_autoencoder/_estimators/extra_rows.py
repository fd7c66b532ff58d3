"""A transformer fitted on further rows beside those of the pipeline."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sk_autoencoder._columns.joining import join_rows
from sk_autoencoder._utils.sklearn_compat import (
    HasMethods,
    _fit_context,
    _safe_set_output,
)

__all__ = ["ExtraRowsTransformer"]


def _transformer_has(name: str) -> Callable[[Any], bool]:
    """Whether the transformer, fitted if it is, has a method; else raise."""

    def check(self: Any) -> bool:
        getattr(getattr(self, "transformer_", self.transformer), name)
        return True

    return check


class ExtraRowsTransformer(  # type: ignore[call-arg]
    MetaEstimatorMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """A transformer that is fitted on further rows beside those given to `fit`.

    A pipeline hands its transformers the training rows only. What learns without labels
    may learn from others too, such as the rows that are to be predicted: the winner of
    Kaggle's Porto Seguro competition fitted his denoising autoencoders on the
    training and the test rows together.

    It is fair where the rows to be predicted are known before the fit, and their labels
    are not. It is not fair for an estimate of how good a model is on rows that nobody
    has seen: these must be kept out of `extra_rows`. A cross-validation cuts X into
    folds, but leaves `extra_rows` whole: rows of X among them would bring each held-out
    fold back into the fit. Pass rows that are no part of X.

    `extra_rows` have to be in the form in which rows reach this transformer, so put the
    steps before it inside: `ExtraRowsTransformer(make_pipeline(scaler, reducer))`. Both
    sets of rows are held in memory together for the time of the fit.

    Parameters
    ----------
    transformer : transformer
        What to fit, on a clone; a pipeline without a final predictor will do. Its
        parameters are reached as `transformer__...`.
    extra_rows : {array-like, frame, sparse matrix} of shape (n_extra, n_features) or \
None, default=None
        Rows of the same kind and with the same columns as X. None is only X. A clone of
        this transformer shares them.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    n_features_in_ : int
        Features seen in `fit`, where `transformer_` tells.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `transformer_` tells.

    See Also
    --------
    DenoisingAutoEncoderTransformer : Features learnt without labels.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_autoencoder import ExtraRowsTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> known, to_predict = X[:500], X[500:]
    >>> reducer = ExtraRowsTransformer(PCA(20), extra_rows=to_predict)
    >>> pipe = make_pipeline(reducer, LogisticRegression(max_iter=2000))
    >>> pipe.fit(known, y[:500]).predict(to_predict).shape
    (1297,)
    >>> pipe[0].transformer_.n_samples_
    1797
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "transformer": [HasMethods(["fit", "transform"])],
        "extra_rows": ["array-like", "sparse matrix", None],
    }

    def __init__(self, transformer: Any, extra_rows: Any = None) -> None:
        self.transformer = transformer
        self.extra_rows = extra_rows

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Fit the transformer to the rows of X and the extra ones together.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Whatever the transformer takes.
        y : Ignored
            Not used, present for API consistency by convention: the extra rows have no
            labels.
        X_val : {array-like, frame, sparse matrix} of shape \
(n_validation_samples, n_features), default=None
            A validation set, passed on to the `fit` of a transformer that takes one,
            as this package's do.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        rows = X if self.extra_rows is None else join_rows(X, self.extra_rows)
        transformer = clone(self.transformer)
        options = {} if X_val is None else {"X_val": X_val}
        if options and not has_fit_parameter(transformer, "X_val"):
            raise ValueError(
                "expected a transformer whose fit takes X_val, got transformer="
                f"{transformer!r}. Leave X_val out, or pass one that takes it, as "
                "AutoEncoderTransformer()."
            )
        self.transformer_ = transformer.fit(rows, **options)
        return self

    def transform(self, X: Any, **options: Any) -> Any:
        """Transform rows, those of X only.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows.
        **options
            Of the transformer's own method, such as `out`.

        Returns
        -------
        X_new : {array-like, frame, sparse matrix}
            What the transformer gives.
        """
        check_is_fitted(self)
        return self.transformer_.transform(X, **options)

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X: Any, **options: Any) -> Any:
        """Undo the transformation, as far as the transformer can.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix}
            As `transform` gives it.
        **options
            Of the transformer's own method, such as `out`.

        Returns
        -------
        X_original : {array-like, frame, sparse matrix}
            What the transformer gives.
        """
        check_is_fitted(self)
        return self.transformer_.inverse_transform(X, **options)

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Passed on to the transformer.

        Returns
        -------
        names : ndarray of str
            The transformer's.
        """
        check_is_fitted(self)
        return self.transformer_.get_feature_names_out(input_features)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container of what `transform` gives, as a pipeline does.

        Parameters
        ----------
        transform : str or None, default=None
            One of "default", "pandas" and "polars", passed on to the transformer; None
            changes nothing.

        Returns
        -------
        self : object
            This transformer.
        """
        for transformer in (self.transformer, getattr(self, "transformer_", None)):
            if transformer is not None:
                _safe_set_output(transformer, transform=transform)
        return self

    @property
    def n_features_in_(self) -> int:
        """Features seen in `fit`."""
        return self.transformer_.n_features_in_

    @property
    def feature_names_in_(self) -> Any:
        """Names of the features seen in `fit`."""
        return self.transformer_.feature_names_in_

    def __sklearn_clone__(self) -> Self:
        """Clone without a copy of the extra rows: they are data, not settings."""
        bare = copy.copy(self)
        bare.extra_rows = None
        cloned = super(ExtraRowsTransformer, bare).__sklearn_clone__()
        cloned.extra_rows = self.extra_rows
        return cloned

    def __sklearn_tags__(self) -> Tags:
        tags, inner = super().__sklearn_tags__(), get_tags(self.transformer)
        tags.input_tags = copy.copy(inner.input_tags)
        tags.transformer_tags = copy.copy(inner.transformer_tags)
        tags.non_deterministic = inner.non_deterministic
        return tags
