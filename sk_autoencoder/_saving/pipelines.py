"""Pipelines around our estimators, and the few of scikit-learn's that files hold.

These are a closed list, of the attributes that `transform` and `inverse_transform`
read. They are imported when one is met: not all need them, and they take a while.
"""

import importlib
import inspect
import itertools
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_autoencoder._saving.checks import check_names, need
from sk_autoencoder._saving.registry import ESTIMATORS
from sk_autoencoder._utils.values import is_plain, shortened

PIPELINE = "Pipeline"
MODULES = {
    PIPELINE: "sklearn.pipeline",
    "StandardScaler": "sklearn.preprocessing",
    "MinMaxScaler": "sklearn.preprocessing",
    "PCA": "sklearn.decomposition",
}
# Attributes of a fit, with their shapes: d features, k components, "" a number.
SHAPES: dict[str, dict[str, str]] = {
    PIPELINE: {},
    "StandardScaler": {"mean_": "d", "scale_": "d", "var_": "d"},
    "MinMaxScaler": {
        "min_": "d",
        "scale_": "d",
        "data_min_": "d",
        "data_max_": "d",
        "data_range_": "d",
    },
    "PCA": {
        "components_": "kd",
        "mean_": "d",
        "explained_variance_": "k",
        "explained_variance_ratio_": "k",
        "singular_values_": "k",
        "noise_variance_": "",
    },
}
COUNTS = ("n_features_in_", "n_samples_seen_", "n_samples_", "n_components_")
TEXTS = ("_fit_svd_solver",)
OPTIONAL = ("feature_names_in_", "_sklearn_output_config")


def known_class(value: Any) -> str | None:
    """Return the name of an estimator's class if it is on the list.

    Parameters
    ----------
    value : object
    """
    name = type(value).__name__
    module = sys.modules.get(MODULES.get(name, ""))
    return name if getattr(module, name, None) is type(value) else None


def is_ours(value: Any) -> bool:
    """Whether an estimator is ours, or a pipeline that a file can hold.

    Parameters
    ----------
    value : object
    """
    if known_class(value) != PIPELINE:
        return type(value) is ESTIMATORS.get(type(value).__name__)
    steps = [step for _, step in value.steps]
    listed = MODULES.keys() - {PIPELINE}
    good = all(known_class(step) in listed or is_ours(step) for step in steps)
    return value.memory is None and good and any(map(is_ours, steps))


def state_of(estimator: Any) -> dict[str, Any]:
    """Return what a file holds of an estimator of the list.

    Parameters
    ----------
    estimator : estimator of scikit-learn
    """
    name, own = type(estimator).__name__, vars(estimator)
    kept = (*SHAPES[name], *COUNTS, *TEXTS, *OPTIONAL)
    fitted = {key: own[key] for key in kept if key in own}
    return {"params": estimator.get_params(deep=False), "fitted": fitted}


def make(name: Any, state: Any) -> Any:
    """Make an estimator of the list of what a file holds of it.

    Parameters
    ----------
    name : str
    state : dict
        From `state_of`, or not.

    Raises
    ------
    ValueError
        If `state_of` would not have given it.
    """
    need(isinstance(name, str) and name in MODULES, f"a step {shortened(name)}")
    need(isinstance(state, dict), "a step that is no dict")
    check_names(f"a {name}", state, ("params", "fitted"))
    params, fitted = state["params"], state["fitted"]
    need(isinstance(params, dict) and isinstance(fitted, dict), f"a {name} of no dicts")
    kind = getattr(importlib.import_module(MODULES[name]), name)
    check_names(f"a {name}", params, (), inspect.signature(kind).parameters)
    if name == PIPELINE:
        return _pipeline(kind, params, fitted)
    need(
        all(
            is_plain(v) or isinstance(v, np.random.RandomState) for v in params.values()
        ),
        f"parameters of a {name} that are no plain values",
    )
    if fitted:
        _check_fitted(name, fitted)
    estimator = kind(**params)
    estimator.__dict__.update(fitted)
    return estimator


def _pipeline(kind: Any, params: Mapping[str, Any], fitted: Any) -> Any:
    steps: Any = params.get("steps")
    need(
        isinstance(steps, list)
        and all(isinstance(s, tuple) and len(s) == 2 for s in steps)
        and all(isinstance(name, str) for name, _ in steps)
        and not fitted
        and is_plain({k: v for k, v in params.items() if k != "steps"}),
        "steps of a pipeline that are none",
    )
    pipeline = kind(**params)
    need(is_ours(pipeline), "steps of a pipeline that are not on the list")
    widths = [widths_of(step) for _, step in steps]
    pairs = itertools.pairwise(widths)
    need(all(one[1] == two[0] for one, two in pairs), "steps of other widths")
    return pipeline


def widths_of(estimator: Any) -> tuple[int, int]:
    """Return how many features a step takes and gives; 0 where it is not fitted.

    Parameters
    ----------
    estimator : estimator
        Ours, or one of the list.
    """
    if known_class(estimator) == PIPELINE:
        steps = [step for _, step in estimator.steps]
        return widths_of(steps[0])[0], widths_of(steps[-1])[1]
    inside = vars(estimator).get("transformer_")  # of an ExtraRowsTransformer
    if inside is not None:
        return widths_of(inside)
    n_features = int(vars(estimator).get("n_features_in_", 0))
    if not n_features:
        return 0, 0
    return n_features, len(estimator.get_feature_names_out())


def _check_fitted(name: str, fitted: Mapping[str, Any]) -> None:
    """Check what a fit has left in an estimator of the list."""
    check_names(
        f"a {name}",
        fitted,
        ("n_features_in_",),
        (*SHAPES[name], *COUNTS, *TEXTS, *OPTIONAL),
    )
    n_features = fitted["n_features_in_"]
    need(type(n_features) is int and n_features > 0, "a step of no features")
    sizes = {"d": n_features, "k": fitted.get("n_components_")}
    for key, shape in SHAPES[name].items():
        value = fitted.get(key)
        if value is None and name == "StandardScaler":
            continue  # of what it is told to leave as it is
        array = np.asarray(value)
        need(
            array.dtype in (np.float32, np.float64)
            and array.shape == tuple(sizes[letter] for letter in shape)
            and np.isfinite(array).all(),
            f"{key} of a {name} that is none",
        )
    scale = fitted.get("scale_")
    need(scale is None or (np.abs(scale) > 0).all(), f"a {name} that divides by 0")
    names = fitted.get("feature_names_in_")
    need(
        names is None or len(names) == n_features, f"names of a {name} of other columns"
    )
