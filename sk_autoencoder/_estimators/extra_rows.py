"""A transformer fitted on further rows beside those of the pipeline."""

import copy
import os
from collections.abc import Callable
from typing import Any, ClassVar, Self

from sklearn.base import MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sk_autoencoder._columns.joining import join_rows
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.files import write
from sk_autoencoder._saving.pipelines import is_ours, widths_of
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.saveable import Saveable
from sk_autoencoder._utils.sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    _safe_set_output,
    available_if,
    fit_context,
)
from sk_autoencoder._utils.tasks import FitTasks


def _transformer_has(name: str) -> Callable[[Any], bool]:
    """Whether the transformer, fitted if it is, has a method; else raise."""

    def check(self: Any) -> bool:
        getattr(vars(self).get("transformer_", self.transformer), name)
        return True

    return check


@loadable()
class ExtraRowsTransformer(  # type: ignore[call-arg]
    CallbackSupportMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    Saveable,
    auto_wrap_output_keys=None,
):
    """Fit a transformer to further samples in addition to those passed to `fit`.

    A pipeline passes only the training samples to its transformers. A transformer that
    learns without labels can also learn from other samples, such as those to be
    predicted: the winner of Kaggle's Porto Seguro competition fitted denoising
    autoencoders to the training and test samples together.

    This is legitimate if the samples to be predicted are known before the fit, and
    their labels are not. It is not legitimate for estimating how good a model is on new
    samples, which must not be in `extra_rows`. Cross-validation splits X into folds,
    but not `extra_rows`: samples of X among them would bring each test fold back into
    the fit. Pass samples that are not in X.

    `extra_rows` must have the form in which samples reach this transformer, so put the
    steps before it inside: `ExtraRowsTransformer(make_pipeline(scaler, reducer))`. Both
    sets of samples are held in memory together during the fit.

    Read more in the :doc:`user guide </user_guide/features>`.

    Parameters
    ----------
    transformer : transformer
        Transformer to fit, on a clone; it may be a pipeline of transformers. Its
        parameters are named `transformer__...`.
    extra_rows : {array-like, frame, sparse matrix} of shape (n_extra, n_features) or \
None, default=None
        Further samples, with the same columns as X. With None, only X is used. Clones
        of this transformer share them.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    n_features_in_ : int
        Number of features seen in `fit`, if `transformer_` has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `transformer_` has them.

    See Also
    --------
    DenoisingAutoEncoderTransformer : Features learned without labels.

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

    _saved_attributes: ClassVar[tuple[str, ...]] = ("transformer_",)
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "transformer": [HasMethods(["fit", "transform"])],
        "extra_rows": ["array-like", "sparse matrix", None],
    }

    def __init__(self, transformer: Any, extra_rows: Any = None) -> None:
        self.transformer = transformer
        self.extra_rows = extra_rows

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Fit the transformer to X and the extra samples together.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples, as accepted by the transformer.
        y : Ignored
            Not used, present for API consistency by convention: the extra samples have
            no labels.
        X_val : {array-like, frame, sparse matrix} of shape \
(n_validation_samples, n_features), default=None
            A validation set, passed on to the `fit` of a transformer that takes one,
            as this package's do.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        tasks = FitTasks(self, X, y)
        rows = X if self.extra_rows is None else join_rows(X, self.extra_rows)
        transformer = clone(self.transformer)
        options = {} if X_val is None else {"X_val": X_val}
        if options and not has_fit_parameter(transformer, "X_val"):
            raise ValueError(
                "expected a transformer whose fit takes X_val, got transformer="
                f"{transformer!r}. Leave X_val out, or pass one that takes it, as "
                "AutoEncoderTransformer()."
            )
        tasks.begin_fit(1)
        with tasks.fit_of(transformer, "fit-transformer"):
            self.transformer_ = transformer.fit(rows, **options)
        tasks.end_fit()
        return self

    def transform(self, X: Any, **options: Any) -> Any:
        """Transform samples, those of X only.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples.
        **options
            Options of the transformer's method, such as `out`.

        Returns
        -------
        X_new : {array-like, frame, sparse matrix}
            What the transformer returns.
        """
        check_is_fitted(self)
        return self.transformer_.transform(X, **options)

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X: Any, **options: Any) -> Any:
        """Undo the transformation, as far as the transformer can.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix}
            As `transform` returns it.
        **options
            Options of the transformer's method, such as `out`.

        Returns
        -------
        X_original : {array-like, frame, sparse matrix}
            What the transformer returns.
        """
        check_is_fitted(self)
        return self.transformer_.inverse_transform(X, **options)

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns that `transform` returns.

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
        """Set the container of what `transform` returns, as a pipeline does.

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
        for transformer in (self.transformer, vars(self).get("transformer_")):
            if transformer is not None:
                _safe_set_output(transformer, transform=transform)
        return self

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted transformer to one file, without pickle.

        `sk_autoencoder.load` reads it. The file does not hold `extra_rows`: what is
        loaded has `extra_rows=None`.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is complete.
        optimizer : bool, default=False
            Whether to include what only further training of the transformer needs.

        Raises
        ------
        TypeError
            If the transformer is neither of this package nor a pipeline of one with
            StandardScaler, MinMaxScaler or PCA, or cannot be saved itself: dump it
            with skops or joblib.
        """
        check_is_fitted(self)
        write(path, self, optimizer=optimizer)

    def _to_state(self) -> dict[str, Any]:
        return {**super()._to_state(), "extra_rows": None}

    def _check_saved(self) -> None:
        need(self.extra_rows is None, "extra rows")
        good = is_ours(self.transformer_) and widths_of(self.transformer_)[0] > 0
        need(good, "a transformer that is not fitted")

    @property
    def n_features_in_(self) -> int:  # type: ignore[override]
        """Number of features seen in `fit`."""
        n_features: int = self.transformer_.n_features_in_
        return n_features

    @property
    def feature_names_in_(self) -> Any:
        """Names of the features seen in `fit`."""
        return self.transformer_.feature_names_in_

    def __sklearn_clone__(self) -> Self:
        """Clone without a copy of the extra rows: they are data, not settings."""
        bare = copy.copy(self)
        bare.extra_rows = None
        cloned: Self = super(ExtraRowsTransformer, bare).__sklearn_clone__()
        cloned.extra_rows = self.extra_rows
        return cloned

    def __sklearn_tags__(self) -> Tags:
        tags, inner = super().__sklearn_tags__(), get_tags(self.transformer)
        tags.input_tags = copy.copy(inner.input_tags)
        tags.transformer_tags = copy.copy(inner.transformer_tags)
        tags.non_deterministic = inner.non_deterministic
        return tags
