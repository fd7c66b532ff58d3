"""The names in a file, by format: what 0.1.0 wrote, and what has come since.

Format 1 is that of 0.1.0, format 2 that of today. A file of format 1 has no digest;
`RENAMED`, `ADDED` and `LEFT_OUT` bring what it holds up to date. Then both formats are
checked in the same way, against the names of today's classes. A test has the names of
0.1.0, and says which of today's have no value for such a file.

Whoever adds a constructor parameter, or a field to one of the dataclasses, adds its
name here to `ADDED`, with the value under which a model of 0.1.0 gives what it gave.
Whoever renames a class or a field, or a buffer of the trained module, adds both names
to `RENAMED`.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any, Protocol

from sk_autoencoder._saving.checks import check_names, need
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._utils.comparison import is_same
from sk_autoencoder._utils.sklearn_compat import OUTPUT_CONFIG
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP

FORMAT = 2

# Scales of a detector's scorer, a record now, and the other names that it had.
SCALES_OF_SCORER = {
    "middle": "center",
    "unit": "scale",
    "unseen": "constant_distance",
    "levels": "level_distances",
}
NAMES_OF_SCORER = (*SCALES_OF_SCORER, "codes", "error_units", "estimators", "measure")
# The terms of its score by measure: records now.
TERMS_OF_SCORER = {
    "combined": ("Reconstruction", "Marginal"),
    "reconstruction": ("Reconstruction",),
    "latent": ("Reconstruction", "Latent"),
    "likelihood": ("Likelihood",),
}
# Names that a file of either format need not have.
OPTIONAL = (OUTPUT_CONFIG, "feature_names_in_")

# Names of 0.1.0, and what they are called today. "classes" are records, "fields" those
# of a class under its old name, and "arrays" patterns of names in a module's state.
RENAMED: dict[str, dict[str, Any]] = {
    "classes": {
        "CodeFrame": "LatentMap",
        "CodeMoments": "LatentMoments",
        "Fitted": "ModelState",
        "Net": "NetState",
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
            "settings": "training",
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

# Settings of 0.1.0 for a net, a dict then, that fields of a `TrainingConfig` have other
# names than. Those of the optimizer began with "optimizer__".
SETTINGS_1 = {"guard": "fallback_margin", "make_step": "make_gradient_fn"}
OPTIMIZER_1 = "optimizer__"

# 0.1.0 took no snapshots.
SNAPSHOTS = {"checkpoint_dir": None, "checkpoint_interval": 60.0}
# It trained in one process.
PROCESSES = {"distributed": False}
# And turned no codes.
ROTATIONS = {"rotation": None, "align_to": None}
# Names that came after 0.1.0, with the value that keeps what a model of 0.1.0 gives.
# Keys are the old names of classes, values have the names of today.
ADDED: dict[str, dict[str, Any]] = {
    "AutoEncoderTransformer": {**ROTATIONS, **SNAPSHOTS, **PROCESSES},
    "DenoisingAutoEncoderTransformer": {
        "add_indicator": False,
        "passthrough": False,
        **ROTATIONS,
        **SNAPSHOTS,
        **PROCESSES,
    },
    "Fitted": {
        "alignment_error": None,
        "imputation": None,
        "pca_validation_loss": None,
    },
    "AutoEncoderOutlierDetector": {
        "novelty": False,
        "verbose": 0,
        "_held_out": None,
        "_training_scores": None,
        **SNAPSHOTS,
    },
    # The history had no bound, and nothing told what had ended training.
    "Net": {"n_dropped": 0, "stopped": ""},
    # Columns of two values were standardized as all others, samples left as drawn.
    "NumberColumn": {
        "codings": (),
        "is_binary": False,
        "others": (),
        "repeated": None,
    },
    # A user's own network was standardized inside whatever its start.
    "Plan": {
        "block_variances": None,
        "detects_swaps": False,
        "given_outputs": None,
        "indicators": (),
        "keeps_binary": False,
        "loss": None,
        "passthrough": False,
        "pca_loss": None,
        "recoding": None,
        "rotation": None,
    },
    # A wild cell's contribution was its own distance alone.
    "Scorer": {"assigns_spillover": False, "weights": None},
    # Matrices of numbers had no ranks.
    "Table": {"is_matrix": False},
    "UserNetwork": {"output_range": None, "outputs": "auto"},
    "VAETransformer": {**ROTATIONS, **SNAPSHOTS, **PROCESSES},
}

# Attributes that follow from the others: no longer written, but computed again.
LEFT_OUT = frozenset(
    {
        "_n_features_out",
        "active_units_",
        "best_epoch_",
        "device_",
        "explained_variance_ratio_",
        "fell_back_to_pca_",
        "kl_per_component_",
        "loss_curve_",
        "mean_",
        "n_components_",
        "n_iter_",
        "validation_loss_curve_",
    }
)


class Maker(Protocol):
    """Makes what a file holds, once its parts are decoded."""

    def make_estimator(self, name: Any, state: Any) -> Any:
        """Make an estimator of the state that its file has."""

    def make_record(self, name: Any, fields: Any) -> Any:
        """Make a record of its fields, under the names of its file."""

    def make_model(self, state: Any) -> Any:
        """Make what a fit gave."""


def upgraded(kind: str, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Bring what 0.1.0 wrote of a class up to date; the names are checked later.

    Parameters
    ----------
    kind : str
        The class, as it was called.
    values : mapping of str to object
    """
    today = RENAMED["fields"].get(kind, {})
    kept = {today.get(name, name): value for name, value in values.items()}
    if kind == "Plan" and "training" in kept:
        kept["training"] = _training_config(kept["training"])
    return {**kept, **copy.deepcopy(ADDED.get(kind, {}))}


def _training_config(settings: Any) -> TrainingConfig:
    """Make the config of settings that 0.1.0 wrote; what they are is checked later."""
    found: dict[str, Any] = {}
    of_optimizer: dict[str, Any] = {}
    for name, value in _dict("settings", settings).items():
        if isinstance(name, str) and name.startswith(OPTIMIZER_1):
            of_optimizer[name.removeprefix(OPTIMIZER_1)] = value
        else:
            found[SETTINGS_1.get(name, name)] = value
    return TrainingConfig(**found, optimizer_args=of_optimizer)


def upgraded_class(name: str) -> str:
    """Return what a class of 0.1.0 is called today.

    Parameters
    ----------
    name : str
        Of any class; one that kept its name is returned as it is.
    """
    return str(RENAMED["classes"].get(name, name))


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


def upgraded_state(name: str, state: Any, maker: Maker) -> dict[Any, Any]:
    """Bring the state of an estimator that 0.1.0 wrote up to date.

    Parameters
    ----------
    name : str
        Class of the estimator.
    state : dict
        Its records are up to date already. It has dicts in place of estimators, and of
        what a fit gave.
    maker : Maker
        Makes objects of these.
    """
    kept = {key: value for key, value in state.items() if key not in LEFT_OUT}
    state = upgraded(name, kept)
    # It has no meaning beside a network, and is refused there if not at its default.
    if state.get("network") is not None and is_same(state.get("activation"), "gelu"):
        state["activation"] = MLP.activation
    if "_fitted" in state:
        state["_fitted"] = _made_model(state["_fitted"], maker)
    if "_scorer" in state:
        state["estimator"] = _made_estimator(state.get("estimator"), maker)
        state["_scorer"] = _made_scorer(state["_scorer"], maker)
    return state


def _made_model(model: Any, maker: Maker) -> Any:
    """Make what a fit gave: it and its nets are records now."""
    model = dict(_dict("a model", model))
    for name in ("net", "prefix_net"):
        if model.get(name) is not None:
            net = _dict("a net", model[name])
            arrays = _dict("arrays of a module", net.get("module"))
            named = {upgraded_array(key): array for key, array in arrays.items()}
            model[name] = maker.make_record("Net", {**net, "module": named})
    return maker.make_model(maker.make_record("Fitted", model))


def _made_estimator(value: Any, maker: Maker) -> Any:
    """Make an estimator inside another one."""
    if value is None:
        return None
    check_names("an estimator", _dict("an estimator", value), ("class", "state"))
    return maker.make_estimator(value["class"], value["state"])


def _made_scorer(scorer: Any, maker: Maker) -> Any:
    """Make a detector's scorer: what it is made of are records of their own now."""
    scorer = _dict("a scorer", scorer)
    check_names("a scorer", scorer, NAMES_OF_SCORER)
    scales = {today: scorer[name] for name, today in SCALES_OF_SCORER.items()}
    need(isinstance(scorer["estimators"], list), "estimators that are no list")
    members = {
        "estimators": [_made_estimator(part, maker) for part in scorer["estimators"]],
        "scales": maker.make_record("RobustScales", scales),
    }
    fields = {
        "Reconstruction": {"error_scales": scorer["error_units"]},
        "Latent": {"code_scales": scorer["codes"]},
    }
    measure = scorer["measure"]
    kinds = TERMS_OF_SCORER.get(measure) if isinstance(measure, str) else None
    need(kinds, f"a measure {shortened(measure)}")
    return maker.make_record(
        "Scorer",
        {
            "members": maker.make_record("Members", members),
            "terms": tuple(
                maker.make_record(kind, fields.get(kind, {})) for kind in kinds or ()
            ),
        },
    )


def _dict(what: str, value: Any) -> dict[Any, Any]:
    need(isinstance(value, dict), f"{what} that is no dict")
    found: dict[Any, Any] = value
    return found
