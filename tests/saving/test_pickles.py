"""What pickle, joblib, skops and deepcopy keep: parameters, one JSON text, arrays."""

import copy
import importlib
import inspect
import io
import json
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder._saving.pickles import OwnValue
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

X = load_digits().data[:200, 18:30]
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
FRAME = pd.DataFrame(X[:, :4]).rename(columns=str)
FRAME["level"] = pd.Categorical(np.resize(["a", "b", None], len(X)))


def go_black(batch, generator):
    return 0.9 * batch


class Labelled(AutoEncoderTransformer):
    """A subclass of a user's own, with an attribute that `fit` sets."""

    def fit(self, X, y=None, *, X_val=None):
        self.label_ = f"{len(X)} samples"
        return super().fit(X, y, X_val=X_val)


def in_between(X):
    """Return a frame with levels that no file takes."""
    return pd.DataFrame({"when": pd.cut(X[:, 2], 5), "x": X[:, 3]})


CASES = {
    "plain": (AutoEncoderTransformer(3, **SMALL), X),
    "frame": (AutoEncoderTransformer(3, allow_missing=True, **SMALL), FRAME),
    "intervals": (AutoEncoderTransformer(1, **SMALL), in_between(X)),
    "imputer": (
        DenoisingAutoEncoderTransformer(
            features="reconstruction", allow_missing=True, **SMALL
        ),
        FRAME,
    ),
    "own noise": (DenoisingAutoEncoderTransformer(3, noise=go_black, **SMALL), X),
    "own loss": (
        AutoEncoderTransformer(3, loss=torch.nn.L1Loss(reduction="none"), **SMALL),
        X,
    ),
    "own optimizer": (
        AutoEncoderTransformer(
            3,
            optimizer=partial(torch.optim.SGD, momentum=np.float64(0.5)),
            lr=0.01,
            **SMALL,
        ),
        X,
    ),
    "own network": (
        AutoEncoderTransformer(
            3,
            network=UserNetwork(torch.nn.Linear(12, 3), torch.nn.Linear(3, 12)),
            max_epochs=1,
        ),
        X,
    ),
    "subclass": (Labelled(3, **SMALL), X),
    "vae": (VAETransformer(3, prior="mixture", **SMALL), X),
    "detector": (AutoEncoderOutlierDetector(random_state=0), FRAME),
    "detector of another": (AutoEncoderOutlierDetector(PCA(3), random_state=0), X),
    "detector of a pipeline": (
        AutoEncoderOutlierDetector(
            make_pipeline(StandardScaler(), AutoEncoderTransformer(3, **SMALL))
        ),
        X,
    ),
}


def outputs(estimator, rows):
    if isinstance(estimator, AutoEncoderOutlierDetector):
        return estimator.score_samples(rows)
    return np.asarray(estimator.transform(rows), dtype=object)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:expected a network that explains:UserWarning")
def test_copies_give_the_same_to_the_bit(name):
    estimator, rows = CASES[name]
    expected = outputs(estimator.fit(rows), rows)
    for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        assert type(again) is type(estimator)
        assert vars(again).keys() == vars(estimator).keys()
        np.testing.assert_array_equal(outputs(again, rows), expected)
        assert list(again.get_params()) == list(estimator.get_params())
    if name == "subclass":
        assert again.label_ == "200 samples"
    if name == "own noise":
        assert again.noise is go_black


class Names(pickle.Unpickler):
    """Reads a pickle, and keeps the names of all that it imports."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.modules = {}
        self.load()

    def find_class(self, module, name):
        self.modules[f"{module}.{name}"] = module
        return super().find_class(module, name)


@pytest.mark.parametrize("is_fitted", [False, True])
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.filterwarnings("ignore:expected a network that explains:UserWarning")
def test_pickle_names_no_private_module_of_the_package(protocol, is_fitted):
    extra = ExtraRowsTransformer(AutoEncoderTransformer(3, **SMALL), extra_rows=X)
    network = RecurrentNet((6, 2), hidden_size=3)
    more = {
        "extra rows": (extra, X),
        "network": (AutoEncoderTransformer(2, network=network, max_epochs=1), X),
    }
    for estimator, rows in [*CASES.values(), *more.values()]:
        one = clone(estimator)
        data = pickle.dumps(one.fit(rows) if is_fitted else one, protocol)
        named = Names(data).modules
        ours = {n for n, module in named.items() if module.startswith("sk_autoen")}
        assert ours <= {"sk_autoencoder._new"}, estimator
        assert ours or isinstance(estimator, Labelled)


def test_specifications_and_subclasses_are_named_by_where_they_are_imported():
    for network in (MLP((8,)), ConvNet((1, 8, 8)), RecurrentNet((6, 2))):
        data = pickle.dumps(network)
        assert list(Names(data).modules) == ["sk_autoencoder._new"]
        assert b"sk_autoencoder.networks" in data
        again = pickle.loads(data)
        assert (type(again), repr(again)) == (type(network), repr(network))
    named = Names(pickle.dumps(Labelled())).modules
    assert f"{__name__}.Labelled" in named
    assert inspect.getsource(AutoEncoderTransformer).startswith("@loadable()")


@pytest.mark.parametrize("name", ["plain", "frame", "imputer", "vae"])
def test_state_is_parameters_a_text_and_arrays(name):
    estimator, rows = CASES[name]
    state = estimator.fit(rows).__getstate__()
    params = estimator.get_params(deep=False)
    assert set(state) - set(params) == {"_fit_own", "_fit_json", "_fit_arrays"}
    assert all(isinstance(own, np.float64) for own in state["_fit_own"].values())
    assert set(json.loads(state["_fit_json"])) == {"format", "state"}
    kinds = {type(array) for array in state["_fit_arrays"].values()}
    assert kinds == {np.ndarray}


def test_parameters_stay_the_objects_that_they_are():
    network = MLP((8,))
    estimator = AutoEncoderTransformer(np.int64(3), network=network, max_epochs=1)
    again = pickle.loads(pickle.dumps(estimator.fit(X)))
    assert type(again.n_components) is np.int64
    assert again.network.get_params() == network.get_params()
    bare = pickle.loads(pickle.dumps(AutoEncoderTransformer("few")))
    assert bare.n_components == "few"  # not checked before `fit`


def test_requests_and_output_are_kept():
    estimator = AutoEncoderTransformer(3, allow_missing=True, **SMALL)
    estimator.set_output(transform="pandas")
    with sklearn.config_context(enable_metadata_routing=True):
        estimator.set_fit_request(X_val=True)
    again = pickle.loads(pickle.dumps(estimator.fit(FRAME)))
    assert again.get_metadata_routing().fit.requests == {"X_val": True}
    pd.testing.assert_frame_equal(again.transform(FRAME), estimator.transform(FRAME))
    assert list(again.feature_names_in_) == list(FRAME)


def test_stream_of_a_detector_goes_on_in_a_copy():
    detector = AutoEncoderOutlierDetector(AutoEncoderTransformer(2, **SMALL))
    detector.set_params(random_state=0).partial_fit(X[:100])
    again = pickle.loads(pickle.dumps(detector))
    for each in (detector, again):
        each.partial_fit(X[100:])
    np.testing.assert_array_equal(again.drift_, detector.drift_)
    np.testing.assert_array_equal(again.score_samples(X), detector.score_samples(X))


def test_what_is_ones_own_is_refused_where_a_class_is_asked_how_it_is_made():
    # As skops does; pickle and copy ask for `__reduce_ex__`.
    value = OwnValue(go_black)
    message = "expected an estimator without functions.* for skops, got <function go_bl"
    with pytest.raises(TypeError, match=message):
        value.__reduce__()
    assert pickle.loads(pickle.dumps(value)) == [go_black]
    assert copy.deepcopy(value) == [go_black]
    state = CASES["own noise"][0].fit(X).__getstate__()
    assert next(iter(state)) == "_fit_own"
    assert OwnValue in {type(own) for own in state["_fit_own"].values()}


def test_trusted_types_are_the_classes_that_there_are():
    for name in sk_autoencoder.TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        found = getattr(importlib.import_module(module), kind)
        assert (found.__module__, found.__qualname__) == (module, kind)
    public = {name.rpartition(".")[2] for name in sk_autoencoder.TRUSTED_TYPES}
    estimators = {
        name for name in sk_autoencoder.__all__ if name.endswith(("former", "Detector"))
    }
    assert public == estimators | {"MLP", "ConvNet", "RecurrentNet"}
