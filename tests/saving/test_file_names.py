"""Every name of today has its place in files: those of 0.1.0, and what came since."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._outliers.scorer import Scorer
from sk_autoencoder._saving.formats import (
    ADDED,
    RENAMED,
    SETTINGS_1,
    check_names,
    upgraded,
    upgraded_array,
)
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.registry import NETWORKS, RECORDS
from sk_autoencoder._training.config import TrainingConfig

_TRANSFORMER = (
    "activation allow_missing batch_norm batch_size callbacks categorical_features "
    "column_weights device dropout early_stopping handle_unknown hidden_layer_sizes "
    "init lr lr_schedule max_epochs n_components n_iter_no_change net_params network "
    "numeric_scaling optimizer precision random_state tol validation_fraction verbose "
    "warm_start weight_decay whiten "
)
# Frozen: the names of 0.1.0. Of transformers their parameters, of the detector what a
# fit leaves too.
NAMES_1: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "AutoEncoderTransformer": f"{_TRANSFORMER} loss ordered pretrain",
        "DenoisingAutoEncoderTransformer": (
            f"{_TRANSFORMER} feature_groups features layers loss noise noise_level "
            "noise_schedule ordered pretrain"
        ),
        "VAETransformer": (f"{_TRANSFORMER} beta free_bits kl_warmup likelihood prior"),
        "AutoEncoderOutlierDetector": (
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

X = load_iris().data
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}
TRANSFORMERS = (AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer)


def names_of(kind):
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    kept = kind._saved_attributes if kind is AutoEncoderOutlierDetector else ()
    return {*kind._get_param_names(), *kept}


def names_1(name):
    """Names of a class in files of 0.1.0, those that were renamed by today's."""
    today = RENAMED["fields"].get(name, {})
    return frozenset(today.get(field, field) for field in NAMES_1[name])


OLD_NAMES = {today: name for name, today in RENAMED["classes"].items()}
# What 0.1.0 had of each class, by the class.
OF_0_1_0 = {
    **{kind: NAMES_1[kind.__name__] for kind in TRANSFORMERS},
    **{kind: NAMES_1[name] for name, kind in NETWORKS.items() if name in NAMES_1},
    **{
        kind: names_1(OLD_NAMES.get(name, name))
        for name, kind in RECORDS.items()
        if OLD_NAMES.get(name, name) in NAMES_1
    },
    AutoEncoderOutlierDetector: NAMES_1["AutoEncoderOutlierDetector"],
    # What a scorer is made of has been parted into records.
    Scorer: {"members", "terms"},
}


@pytest.mark.parametrize("kind", OF_0_1_0, ids=lambda kind: kind.__name__)
def test_every_name_is_one_of_0_1_0_or_has_the_value_that_keeps_its_results(kind):
    name = OLD_NAMES.get(kind.__name__, kind.__name__)
    expected = OF_0_1_0[kind] | ADDED.get(name, {}).keys()
    new, gone = names_of(kind) - expected, expected - names_of(kind)
    assert not new, (
        f"{name} has {new}, which 0.1.0 had not: give ADDED in _saving/formats.py "
        f"for {name!r} the value under which a model of 0.1.0 gives what it gave"
    )
    assert not gone, (
        f"{name} has {gone} no more: have `upgraded` in _saving/formats.py leave it "
        "out, or take it out of ADDED if it was never released"
    )


def test_the_state_of_a_model_has_the_names_of_the_model():
    assert names_of(ModelState) == names_of(FittedModel)


# Settings of a net in 0.1.0, but for those of its optimizer.
OF_NET_1 = {
    "batch_size",
    "callbacks",
    "flatten",
    "gradient_clip",
    "guard",
    "lr",
    "lr_schedule",
    "make_step",
    "max_epochs",
    "optimizer",
    "patience",
    "precision",
    "tol",
    "validation_fraction",
    "verbose",
    "weight_average",
}


def test_settings_of_0_1_0_are_fields_of_a_training_config():
    record = TrainingConfig(torch.optim.SGD, 0.1, 3, 32, {"momentum": 0.9})
    fields = {name: value for name, value in vars(record).items() if name in OF_NET_1}
    fields |= {name: getattr(record, today) for name, today in SETTINGS_1.items()}
    assert fields.keys() == OF_NET_1
    old = dict.fromkeys(NAMES_1["Plan"])
    old["settings"] = {**fields, "optimizer__momentum": 0.9}
    assert upgraded("Plan", old)["training"] == record
    old["settings"] = {**fields, "compile": True}
    with pytest.raises(TypeError, match="'compile'"):
        upgraded("Plan", old)


FITTED = {
    "autoencoder": (AutoEncoderTransformer(2, **SMALL), X),
    "truncated": (AutoEncoderTransformer(3, ordered=True, whiten=True, **SMALL), X),
    "denoising": (DenoisingAutoEncoderTransformer(features="hidden", **SMALL), X),
    "vae": (VAETransformer(2, prior="mixture", **SMALL), X),
    "frame": (
        AutoEncoderTransformer(2, **SMALL).set_output(transform="pandas"),
        pd.DataFrame(X, columns=list("abcd")),
    ),
    "detector": (AutoEncoderOutlierDetector(AutoEncoderTransformer(2, **SMALL)), X),
}


@pytest.mark.filterwarnings("ignore:expected at least half of n_components:UserWarning")
@pytest.mark.parametrize("name", FITTED)
def test_every_attribute_comes_back(name, tmp_path):
    estimator, rows = FITTED[name]
    estimator.fit(rows)
    if name == "truncated":
        estimator = estimator.truncate(2)
    estimator.save(tmp_path / "model")
    loaded = sk_autoencoder.load(tmp_path / "model")
    assert vars(loaded).keys() == vars(estimator).keys(), (
        "an attribute that fit sets and load does not: set it in "
        "`_set_fitted_attributes`, or name it in `_saved_attributes` of the class"
    )
    for attribute, value in vars(estimator).items():
        own = getattr(loaded, attribute)
        if isinstance(value, np.ndarray | float | int | list | str):
            np.testing.assert_array_equal(own, value, err_msg=attribute)


def test_attributes_of_ones_own_are_refused(tmp_path):
    for estimator in (
        AutoEncoderTransformer(2, **SMALL),
        AutoEncoderOutlierDetector(AutoEncoderTransformer(2, **SMALL)),
    ):
        estimator.fit(X).note = "from May"
        message = (
            f"expected attributes of {type(estimator).__name__} alone, got note beside "
            "them. Delete what is yours, as by del estimator.note, or pickle the "
            "estimator instead."
        )
        with pytest.raises(TypeError) as caught:
            estimator.save(tmp_path / "model")
        assert str(caught.value) == message
        del estimator.note
        estimator.save(tmp_path / "model")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "a thing without b"),
        (["a", "b", "transform"], "a thing with the unknown 'transform'"),
        (["a", "b", 3], "a thing with the unknown 3"),
        (["a", "b", "x" * 500], f"a thing with the unknown '{'x' * 119}..."),
    ],
)
def test_names_that_are_missing_or_unknown_are_told(names, message):
    check_names("a thing", ["b", "a", "c"], ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="a thing") as caught:
        check_names("a thing", names, ["a", "b"])
    assert str(caught.value) == message


def test_names_added_later_are_filled_in(monkeypatch):
    monkeypatch.setitem(ADDED, "Seeds", {"later": [1]})
    seeds = dict.fromkeys(NAMES_1["Seeds"], 0)
    first, second = upgraded("Seeds", seeds), upgraded("Seeds", seeds)
    assert first == {**seeds, "later": [1]}
    assert first["later"] is not second["later"]


def test_renamed_names_are_names_of_0_1_0_under_which_nothing_is_known_today():
    for name, today in RENAMED["classes"].items():
        assert name in NAMES_1
        assert name not in RECORDS
        assert today not in NAMES_1
    for name, fields in RENAMED["fields"].items():
        assert fields.keys() <= NAMES_1[name]
        assert not set(fields.values()) & NAMES_1[name] - fields.keys()


def test_arrays_of_a_users_network_keep_their_names():
    own = ["encoder.frame.shift", "decoder.frame.back", "encoder.columns.unit"]
    assert [upgraded_array(name) for name in own] == own
    assert upgraded_array("frame.shift") == "latent_map.offset"
