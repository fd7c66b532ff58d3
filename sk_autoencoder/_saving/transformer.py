"""A transformer as the values that a file holds, and back."""

import math
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import config_context

from sk_autoencoder._saving.formats import OPTIONAL, check_names
from sk_autoencoder._saving.settings_checks import check_setting_names
from sk_autoencoder._saving.state import capture, restore, without_optimizer
from sk_autoencoder._saving.state_checks import need
from sk_autoencoder._utils.shapes import shape_of
from sk_autoencoder._utils.values import shortened

__all__ = [
    "KEPT",
    "TRANSIENT",
    "check_features",
    "check_own_names",
    "from_values",
    "refuse_own_class",
    "to_values",
]

# What a fit leaves beside its model, and does not follow from it.
KEPT = ("_input_dtype", "_row_shape", "n_features_in_")
# What the caller has been told: of no use to who reads the file.
TRANSIENT = ("_told_levels",)
# What `set_fit_request` has set: an object of scikit-learn's, plain values in a file.
REQUESTS = "_metadata_request"


def to_values(estimator: Any, *, optimizer: bool = True) -> dict[str, Any]:
    """Return what a file holds of a transformer, fitted or not, by name.

    Parameters
    ----------
    estimator : transformer
    optimizer : bool
        Whether to keep the optimizer's state.

    Raises
    ------
    ValueError, TypeError
        If it has parameters or attributes that could not be read again.
    """
    estimator._validate_params()
    kind, own = type(estimator), vars(estimator)
    state = {name: getattr(estimator, name) for name in kind._get_param_names()}
    _refuse_settings(state["net_params"] or {})
    if not estimator._is_fitted():
        check_own_names(estimator, {*state, *OPTIONAL, REQUESTS})
        return {**state, **_requests_of(estimator)}
    fitted = estimator._fitted
    _refuse_settings(fitted.plan.settings)
    kept = {name: own[name] for name in (*KEPT, *OPTIONAL) if name in own}
    following = vars(_from_model(kind, fitted, {**state, **kept}))
    check_own_names(estimator, {*OPTIONAL, *TRANSIENT, REQUESTS, *following})
    captured = capture(fitted)
    model = captured if optimizer else without_optimizer(captured)
    return {**state, **kept, **_requests_of(estimator), "_fitted": model}


def _requests_of(estimator: Any) -> dict[str, Any]:
    """Return which metadata an estimator requests, where that was set, by name."""
    if REQUESTS not in vars(estimator):
        return {}
    return {REQUESTS: {"fit": dict(estimator.get_metadata_routing().fit.requests)}}


def _set_requests(estimator: Any, requests: Any) -> None:
    """Request the metadata that a file names, as its user had done.

    Parameters
    ----------
    estimator : transformer
    requests : dict
        From `_requests_of`, or not.
    """
    need(
        isinstance(requests, dict)
        and requests.keys() == {"fit"}
        and isinstance(requests["fit"], dict)
        and requests["fit"].keys() == {"X_val"},
        f"requests of metadata {shortened(requests)}",
    )
    value = requests["fit"]["X_val"]
    is_alias = isinstance(value, str) and value.isidentifier()
    need(
        value is None or isinstance(value, bool) or is_alias,
        f"a request of metadata X_val={shortened(value)}",
    )
    # Without it, scikit-learn's setter refuses to be called.
    with config_context(enable_metadata_routing=True):
        estimator.set_fit_request(X_val=value)


def refuse_own_class(kind: type) -> None:
    """Refuse estimators of classes that `load` does not know.

    Parameters
    ----------
    kind : type
    """
    if kind.__module__.partition(".")[0] != __name__.partition(".")[0]:
        raise TypeError(
            "expected an estimator of a class of sk_autoencoder, got "
            f"{kind.__qualname__} of {kind.__module__}, which load does not know. "
            "Pickle it instead."
        )


def check_own_names(estimator: Any, known: set[str]) -> None:
    """Refuse attributes that are no estimator's own, as no file has a place for them.

    Parameters
    ----------
    estimator : estimator
    known : set of str
    """
    unknown = sorted(vars(estimator).keys() - known)
    if unknown:
        raise TypeError(
            f"expected attributes of {type(estimator).__name__} alone, got "
            f"{', '.join(unknown)} beside them. Delete what is yours, as by "
            f"del estimator.{unknown[0]}, or pickle the estimator instead."
        )


def _refuse_settings(settings: Mapping[str, Any]) -> None:
    """Refuse arguments of the skorch net that a file does not hold."""
    try:
        check_setting_names(settings)
    except ValueError as error:
        raise TypeError(
            "expected net_params that a file can hold, arguments of the net of "
            f"sk_autoencoder and of the optimizer, got {error}. Pickle the estimator "
            "instead, or fit without it."
        ) from None


def _from_model(kind: Any, fitted: Any, attributes: Mapping[str, Any]) -> Any:
    """Make a transformer that has what follows from its model alone.

    Parameters
    ----------
    kind : type
    fitted : FittedModel
    attributes : mapping
        Has those of `KEPT`, and parameters.
    """
    estimator = kind.__new__(kind)
    vars(estimator).update(attributes)
    estimator._set_fitted_attributes(fitted, attributes["_input_dtype"])
    return estimator


def from_values(kind: Any, state: Any) -> Any:
    """Make a transformer of what `to_values` gave; nothing of it is trusted.

    Parameters
    ----------
    kind : type
        Of the transformer.
    state : dict

    Raises
    ------
    ValueError
        If `to_values` would not have given it.
    """
    need(isinstance(state, dict), f"a state of {kind.__name__} that is no dict")
    names = kind._get_param_names()
    is_fitted = "_fitted" in state
    kept = ("_fitted", *KEPT) if is_fitted else ()
    check_names(kind.__name__, state, (*names, *kept), (*OPTIONAL, REQUESTS))
    estimator = kind.__new__(kind)
    vars(estimator).update({name: state[name] for name in names})
    estimator._validate_params()
    check_setting_names(estimator.net_params or {})
    attributes = {name: state[name] for name in OPTIONAL if name in state}
    _check_output(attributes)
    vars(estimator).update(attributes)
    if REQUESTS in state:
        _set_requests(estimator, state[REQUESTS])
    if not is_fitted:
        return estimator
    fitted = restore(state["_fitted"], trusted=False)
    plan = fitted.plan
    _check_objective(kind, plan)
    vars(estimator).update({name: state[name] for name in KEPT})
    check_features(estimator, plan.statistics.mean.size, plan.network)
    dtype = estimator._input_dtype
    need(dtype in (np.float32, np.float64), f"rows of dtype {shortened(dtype)}")
    need(plan.table is None or dtype == plan.table.dtype, "rows of another dtype")
    return _from_model(kind, fitted, vars(estimator))


def check_features(estimator: Any, n_features: int, network: Any) -> None:
    """Refuse numbers, names and shapes of features that are not those of a model.

    Parameters
    ----------
    estimator : estimator
        Has them as attributes.
    n_features : int
        Of the model.
    network : Network or None
        Says which shapes a row may have.
    """
    given = estimator.n_features_in_
    need(
        type(given) is int and given == n_features, f"n_features_in_={shortened(given)}"
    )
    names = getattr(estimator, "feature_names_in_", None)
    need(
        names is None
        or (
            isinstance(names, np.ndarray)
            and names.shape == (n_features,)
            and all(isinstance(name, str) for name in names)
        ),
        "names of other features",
    )
    shape = estimator._row_shape
    own = shape_of(network)
    allowed = [None] if own is None else [None, own, own[1:]]
    good = shape in allowed and (shape is None or isinstance(shape, tuple))
    need(
        good and (shape is None or math.prod(shape) == n_features),
        f"rows of shape {shortened(shape)}",
    )


def _check_objective(kind: Any, plan: Any) -> None:
    """Refuse a plan that no transformer of this class makes."""
    own = typing.get_type_hints(kind._objective)["return"]
    need(
        type(plan.objective) is own,
        f"a {type(plan.objective).__name__} in a {kind.__name__}",
    )
    names = kind._get_param_names()
    for flag, name in (("stacked", "features"), ("ordered", "ordered")):
        need(not getattr(plan, flag) or name in names, f"a {kind.__name__} {flag}")
    need(not plan.mixture_prior or "prior" in names, f"a prior of a {kind.__name__}")


def _check_output(attributes: Mapping[str, Any]) -> None:
    """Refuse a container that `set_output` does not know."""
    config = attributes.get("_sklearn_output_config", {})
    known = ("default", "pandas", "polars", None)
    good = isinstance(config, dict) and config.keys() <= {"transform"}
    need(good and config.get("transform") in known, "an output that set_output has not")
