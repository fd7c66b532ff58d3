"""Everything taken from scikit-learn that is not part of its public interface.

One door, so that a release of scikit-learn that moves one of these breaks here
and nowhere else. Tried on scikit-learn 1.6 and 1.9.

Estimators also call or override `_validate_params` and `_get_param_names` of
`BaseEstimator`, and set `_n_features_out` for `ClassNamePrefixFeaturesOutMixin`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._available_if import _AvailableIfDescriptor
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils._set_output import (
    ADAPTERS_MANAGER,
    _get_output_config,
    _safe_set_output,
)
from sklearn.utils.validation import _check_feature_names_in

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's where that knows no callbacks."""


__all__ = [
    "CALLBACKS",
    "OF_CALLBACKS",
    "OUTPUT_CONFIG",
    "REQUESTS",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "_safe_indexing",
    "_safe_set_output",
    "available_if",
    "feature_names_in",
    "fit_context",
    "in_output_container",
    "output_kind",
    "take_rows",
    "validate_parameter_constraints",
    "validate_params",
]


# Where an estimator keeps what `set_callbacks` has set, and more of it during a fit.
CALLBACKS = "_skl_callbacks"
OF_CALLBACKS = (
    CALLBACKS,
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks_to_teardown",
)
# And what `set_output` and `set_fit_request` have set.
OUTPUT_CONFIG = "_sklearn_output_config"
REQUESTS = "_metadata_request"

Method = TypeVar("Method", bound=Callable[..., Any])


class _AvailableIf(_AvailableIfDescriptor):
    """A method that is hidden unless a check passes, with the reason in the message.

    scikit-learn's own leaves the reason to the cause of the error.
    """

    def _check(self, obj: Any, owner: type) -> None:
        try:
            super()._check(obj, owner)
        except AttributeError as error:
            reason = error.__cause__
            if reason is None:
                raise
            raise AttributeError(f"{error}: {reason}") from reason


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Return the decorator of a method that only some estimators have.

    Parameters
    ----------
    check : callable
        Of an estimator: returns True, or raises an AttributeError with the reason.
    """

    def decorate(method: Method) -> Method:
        return cast("Method", _AvailableIf(method, check, method.__name__))

    return decorate


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """Return the decorator of `fit` that validates parameters, with types.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        Whether estimators inside need not validate theirs.
    """
    decorator: Callable[[Method], Method] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorator


def validate_params(**constraints: list[Any]) -> Callable[[Method], Method]:
    """Return a decorator of functions that validates parameters, with types.

    Parameters
    ----------
    **constraints : list
        Of some of the parameters, as those of estimators.
    """
    decorator: Callable[[Method], Method] = _validate_params(
        constraints, prefer_skip_nested_validation=True
    )
    return decorator


def take_rows(X: Any, rows: slice | np.ndarray) -> Any:
    """Return rows of a frame, an array, a list or a sparse matrix, in the same kind.

    Parameters
    ----------
    X : {array-like, frame, sparse matrix} of shape (n_samples, ...)
    rows : slice or ndarray
        Positions, or a mask.
    """
    if sparse.issparse(X):
        X = X.tocsr()  # other formats cannot be sliced
    return _safe_indexing(X, rows)


def output_kind(estimator: BaseEstimator) -> str:
    """Name the container of what `transform` gives, "default" for an array."""
    kind: str = _get_output_config("transform", estimator)["dense"]
    return kind


def feature_names_in(estimator: BaseEstimator, names: Any = None) -> np.ndarray:
    """Return the names of the features of `fit`, made up where there were none."""
    found: np.ndarray = _check_feature_names_in(estimator, names)
    return found


def in_output_container(estimator: BaseEstimator, rows: np.ndarray, like: Any) -> Any:
    """Put rows into the container that `set_output` or `set_config` asks for.

    scikit-learn wraps what `transform` returns; `inverse_transform` is left to us.

    Parameters
    ----------
    estimator : estimator
        The fitted transformer; its input feature names become the columns.
    rows : ndarray of shape (n_samples, n_features)
        What is to be returned.
    like : array-like or frame
        The argument of the call; a pandas frame lends its index.

    Returns
    -------
    rows : ndarray or frame
        `rows` itself where no container was asked for.
    """
    kind = output_kind(estimator)
    if kind == "default":
        return rows
    adapter = ADAPTERS_MANAGER.adapters[kind]
    columns = feature_names_in(estimator)
    return adapter.create_container(rows, like, columns=columns)
