"""The names in a file, by format: what 0.1.0 wrote, and what has come since.

Format 1 is that of 0.1.0, format 2 that of today. A file of format 1 has exactly the
names of `NAMES_1`, and no digest; `RENAMED`, `ADDED` and `LEFT_OUT` bring it up to
date. From there on both formats are checked in the same way, against the names of
today's classes.

Whoever adds a constructor parameter, or a field to one of the dataclasses, adds its
name here to `ADDED`, with the value under which a model of 0.1.0 gives what it gave.
Whoever renames a class or a field, or a buffer of the trained module, adds both names
to `RENAMED`.
"""

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sk_autoencoder._utils.values import shortened

__all__ = [
    "ADDED",
    "FORMAT",
    "LEFT_OUT",
    "NAMES_1",
    "RENAMED",
    "check_names",
    "upgraded",
    "upgraded_array",
    "upgraded_class",
]

FORMAT = 2

_TRANSFORMER = (
    "activation allow_missing batch_norm batch_size callbacks categorical_features "
    "column_weights device dropout early_stopping handle_unknown hidden_layer_sizes "
    "init lr lr_schedule max_epochs n_components n_iter_no_change net_params network "
    "numeric_scaling optimizer precision random_state tol validation_fraction verbose "
    "warm_start weight_decay whiten "
)
# Attributes that follow from the others: no longer written, but computed again.
_FOLLOWING = (
    "_n_features_out best_epoch_ device_ explained_variance_ratio_ fell_back_to_pca_ "
    "loss_curve_ mean_ n_components_ n_iter_ validation_loss_curve_"
)
_FOLLOWING_VAE = f"{_FOLLOWING} active_units_ kl_per_component_"
_FITTED = f" _fitted _input_dtype _row_shape n_features_in_ {_FOLLOWING}"

# Frozen: the names of 0.1.0. "X, fitted" is a fitted estimator of class X.
NAMES_1: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "AutoEncoderTransformer": f"{_TRANSFORMER} loss ordered pretrain",
        "DenoisingAutoEncoderTransformer": (
            f"{_TRANSFORMER} feature_groups features layers loss noise noise_level "
            "noise_schedule ordered pretrain"
        ),
        "VAETransformer": (f"{_TRANSFORMER} beta free_bits kl_warmup likelihood prior"),
        "AutoEncoderTransformer, fitted": (
            f"{_TRANSFORMER} loss ordered pretrain {_FITTED}"
        ),
        "DenoisingAutoEncoderTransformer, fitted": (
            f"{_TRANSFORMER} feature_groups features layers loss noise noise_level "
            f"noise_schedule ordered pretrain {_FITTED}"
        ),
        "VAETransformer, fitted": (
            f"{_TRANSFORMER} beta free_bits kl_warmup likelihood prior {_FITTED} "
            "active_units_ kl_per_component_"
        ),
        "AutoEncoderOutlierDetector, fitted": (
            "contamination cv estimator measure random_state support_fraction "
            "threshold _row_shape _scorer n_features_in_ offset_"
        ),
        "Scorer": "estimators measure middle unit unseen levels error_units codes",
        "Fitted": "plan net moments prefix_net prefix_errors kl prior pretrained",
        "Net": (
            "module raw_weights steps optimizer order noise device history best_epoch"
        ),
        "ConvNet": (
            "activation batch_norm channels dropout hidden_layer_sizes input_shape "
            "kernel_size pooling stride upsampling"
        ),
        "MLP": "activation batch_norm dropout hidden_layer_sizes",
        "RecurrentNet": (
            "bidirectional cell dropout frame_size hidden_size input_shape n_future "
            "n_layers"
        ),
        "UserNetwork": "decoder encoder input_shape",
        "CategoryColumn": "name levels shares",
        "CodeFrame": "shift forth back",
        "CodeMoments": "n_rows mean scatter error total",
        "ColumnStatistics": "n_rows mean squares low high",
        "Denoise": "noise level groups schedule",
        "MixturePrior": "weights means factors",
        "NumberColumn": ("name low high is_integer mean origin unit knots variance"),
        "Patience": "n_iter_no_change steps share",
        "Plan": (
            "network objective scaling likelihood statistics n_components stacked "
            "seeds device axes units frame whiten ordered kept shown fills mixture "
            "table asked settings"
        ),
        "PrincipalAxes": "n_rows components deviations tail",
        "Reconstruct": "",
        "Seeds": "weights split order noise validation score",
        "Table": "format columns weights allow_missing handle_unknown dtype",
        "TableFormat": "kind names dtypes",
        "Variational": "beta warmup free_bits",
    }.items()
}
# Names that a file of either format need not have.
OPTIONAL = ("_sklearn_output_config", "feature_names_in_")

# Names of 0.1.0, and what they are called today. "classes" are records, "fields" those
# of a class under its old name, and "arrays" patterns of names in a module's state.
RENAMED: dict[str, dict[str, Any]] = {
    "classes": {
        "CodeFrame": "LatentMap",
        "CodeMoments": "LatentMoments",
    },
    "fields": {
        "CodeFrame": {"shift": "offset", "forth": "matrix", "back": "inverse"},
        "Plan": {
            "frame": "latent_map",
            "asked": "table_parameters",
            "shown": "output_index",
            "kept": "n_kept",
            "fills": "imputes",
            "mixture": "mixture_prior",
        },
        "PrincipalAxes": {"deviations": "std", "tail": "residual_variance"},
    },
    "arrays": {
        r"frame\.shift": "latent_map.offset",
        r"frame\.forth": "latent_map.matrix",
        r"frame\.back": "latent_map.inverse",
        r"columns\.unit": "columns.loss_scale",
        r"columns\.owner": "columns.column_index",
        r"columns\.to_errors": "columns.to_error_units",
        r"columns\.to_score": "columns.to_pca_space",
        r"columns\.parts\.(\d+)\.owner": r"columns.groups.\1.column_index",
        r"columns\.parts\.(\d+)\.(.+)": r"columns.groups.\1.\2",
    },
}

# Names that came after 0.1.0, with the value that keeps what a model of 0.1.0 gives.
# What holds for a class holds for its fitted estimators too. Keys are the old names of
# classes, values those of today.
ADDED: dict[str, dict[str, Any]] = {
    "AutoEncoderOutlierDetector": {"verbose": 0},
    "AutoEncoderOutlierDetector, fitted": {"_training_scores": None},
    # The history had no bound.
    "Net": {"n_dropped": 0},
    # A user's own network was standardized inside whatever its start.
    "Plan": {"given_outputs": None, "loss": None, "pca_loss": None},
    "Scorer": {"moves_drag": False},
    "UserNetwork": {"output_range": None, "outputs": "auto"},
}

# Names that are no longer written.
LEFT_OUT: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "AutoEncoderTransformer, fitted": _FOLLOWING,
        "DenoisingAutoEncoderTransformer, fitted": _FOLLOWING,
        "VAETransformer, fitted": _FOLLOWING_VAE,
    }.items()
}


def check_names(
    what: str,
    given: Iterable[Any],
    expected: Collection[str],
    optional: Collection[str] = (),
) -> None:
    """Refuse names that are missing, or too many.

    Parameters
    ----------
    what : str
        Whose names they are, for the error.
    given : iterable
    expected, optional : collection of str
    """
    found = set(given)
    missing = sorted(set(expected) - found)
    if missing:
        raise ValueError(f"{what} without {', '.join(missing)}")
    unknown = found - set(expected) - set(optional)
    if unknown:
        names = ", ".join(sorted(shortened(name) for name in unknown))
        raise ValueError(f"{what} with the unknown {shortened(names, quoted=False)}")


def upgraded(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring values that 0.1.0 wrote up to date, once their names are checked.

    Parameters
    ----------
    kind : str
        A key of `NAMES_1`.
    values : mapping of str to object
    """
    is_fitted = kind.endswith(", fitted")
    check_names(kind, values, NAMES_1[kind], OPTIONAL if is_fitted else ())
    left_out = LEFT_OUT.get(kind, frozenset())
    today = RENAMED["fields"].get(kind, {})
    kept = {
        today.get(name, name): value
        for name, value in values.items()
        if name not in left_out
    }
    added = {**ADDED.get(kind.removesuffix(", fitted"), {}), **ADDED.get(kind, {})}
    return {**kept, **copy.deepcopy(added)}


def upgraded_class(name: str) -> str:
    """Return what a class of 0.1.0 is called today.

    Parameters
    ----------
    name : str
        Of any class; one that kept its name is returned as it is.
    """
    return RENAMED["classes"].get(name, name)


def upgraded_state(name: str, state: Any) -> dict[str, Any]:
    """Bring the state of an estimator that 0.1.0 wrote up to date.

    Parameters
    ----------
    name : str
        Class of the estimator.
    state : dict
        Its records are up to date already.
    """
    if not isinstance(state, dict):
        raise ValueError(f"a state of {name} that is no dict")
    is_fitted = "_fitted" in state or "_scorer" in state
    kind = f"{name}, fitted" if is_fitted else name
    if kind not in NAMES_1:
        raise ValueError(f"an estimator {shortened(kind)}, which 0.1.0 did not have")
    state = upgraded(kind, state)
    if "_fitted" in state:
        state["_fitted"] = _upgraded_model(state["_fitted"])
    if "_scorer" in state:
        state["estimator"] = _upgraded_estimator(state["estimator"])
        state["_scorer"] = _upgraded_scorer(state["_scorer"])
    return state


def _upgraded_model(model: Any) -> dict[str, Any]:
    """Bring what a fit gave up to date."""
    model = upgraded("Fitted", _dict("a model", model))
    for name in ("net", "prefix_net"):
        if model[name] is not None:
            net = upgraded("Net", _dict("a net", model[name]))
            arrays = _dict("arrays of a module", net["module"])
            named = {upgraded_array(key): array for key, array in arrays.items()}
            model[name] = {**net, "module": named}
    return model


def upgraded_array(name: Any) -> Any:
    """Return what an array of a module's state is called today.

    Parameters
    ----------
    name : object
        From a file; what is no name is returned as it is.
    """
    for pattern, today in RENAMED["arrays"].items():
        if isinstance(name, str) and re.fullmatch(pattern, name):
            return re.sub(pattern, today, name)
    return name


def _upgraded_estimator(value: Any) -> dict[str, Any] | None:
    """Bring an estimator inside another one up to date."""
    if value is None:
        return None
    check_names("an estimator", _dict("an estimator", value), ("class", "state"))
    return {**value, "state": upgraded_state(value["class"], value["state"])}


def _upgraded_scorer(scorer: Any) -> dict[str, Any]:
    """Bring a detector's scorer up to date: its units are a record now."""
    scorer = upgraded("Scorer", _dict("a scorer", scorer))
    units = {name: scorer.pop(name) for name in ("middle", "unit", "unseen", "levels")}
    if not isinstance(scorer["estimators"], list):
        raise ValueError("estimators of a scorer that are no list")
    each = [_upgraded_estimator(value) for value in scorer["estimators"]]
    return {**scorer, "estimators": each, "units": {**units, **ADDED.get("Units", {})}}


def _dict(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} that is no dict")
    return value
