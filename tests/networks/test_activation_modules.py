"""Activations: leaky ReLU by every path, and modules of a user's own."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._utils.activations import ACTIVATIONS, BY_MODULE, Activation
from sk_autoencoder._utils.sklearn_compat import StrOptions
from sk_autoencoder.networks import MLP, ConvNet
from sk_autoencoder.networks._checks import LAYER_CONSTRAINTS

X = load_digits().data[:120]
SMALL = {
    "hidden_layer_sizes": (12, 8),
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
    "device": "cpu",
}


def fit(activation, cls=AutoEncoderTransformer, **params):
    return cls(**{**SMALL, "activation": activation, **params}).fit(X)


class OwnActivation(nn.Module):
    def forward(self, x):
        return torch.sin(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 60], ids=["few rows", "a chunk"])
def test_leaky_relu_codes_are_those_of_the_module(n, dtype):
    fitted = fit("leaky_relu")
    module = copy.deepcopy(fitted.module_).double()
    rows = X[:n].astype(dtype)
    with torch.no_grad():
        centered = torch.from_numpy(X[:n]) - torch.from_numpy(fitted.mean_)
        code = module.network_code(centered)
        expected = (
            (code - module.latent_map.offset) * module.latent_map.matrix
        ).numpy()
    found = fitted.transform(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.ptp(expected))
    assert any(type(part) is nn.LeakyReLU for part in module.modules())


@pytest.mark.parametrize(
    ("name", "module"),
    [("leaky_relu", nn.LeakyReLU()), ("gelu", nn.GELU()), ("relu", nn.ReLU(True))],
)
def test_module_of_a_named_activation_gives_the_same_bits(name, module):
    np.testing.assert_array_equal(fit(module).transform(X), fit(name).transform(X))


def test_slope_of_a_leaky_relu_is_heard():
    steep, usual = fit(nn.LeakyReLU(0.3)), fit("leaky_relu")
    assert not np.array_equal(steep.transform(X), usual.transform(X))
    few = np.vstack([steep.transform(X[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(few, steep.transform(X)[:5], rtol=1e-9)


@pytest.mark.parametrize(
    "cls", [AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer]
)
@pytest.mark.parametrize("activation", [nn.Mish(), OwnActivation(), nn.PReLU()])
def test_activation_module_trains_copies_and_saves(cls, activation, tmp_path):
    fitted = fit(activation, cls)
    codes = fitted.transform(X)
    assert np.isfinite(fitted.loss_curve_).all()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).transform(X), codes
    )
    np.testing.assert_array_equal(clone(fitted).fit(X).transform(X), codes)
    fitted.save(tmp_path / "file", optimizer=True)
    custom = {"activation": copy.deepcopy(activation)}
    loaded = sk_autoencoder.load(tmp_path / "file", custom=custom)
    np.testing.assert_array_equal(loaded.transform(X), codes)
    np.testing.assert_allclose(
        loaded.partial_fit(X).transform(X), fitted.partial_fit(X).transform(X)
    )


def test_each_layer_trains_a_copy_of_the_weights_of_an_activation():
    given = nn.PReLU()
    fitted = fit(given, init="random")
    slopes = [m.weight.item() for m in fitted.module_.modules() if type(m) is nn.PReLU]
    assert len(set(slopes)) == 4  # two layers each way
    assert 0.25 not in slopes
    assert given.weight.item() == 0.25
    assert fitted.activation is given


def test_pretraining_trains_the_weights_of_an_activation():
    params = {"init": "random", "pretrain": "layerwise", "max_epochs": 6}
    fitted = fit(nn.PReLU(), **params)
    slopes = [m.weight.item() for m in fitted.module_.modules() if type(m) is nn.PReLU]
    assert len(set(slopes)) == 4
    # All weights are still parts of the vector that the optimizer moves.
    flat = fitted.net_.flat_
    assert sum(w.numel() for w in flat.parameters) == flat.vector.numel()
    before = fitted.transform(X)
    assert not np.array_equal(fitted.partial_fit(X).transform(X), before)


def test_convolutions_take_an_activation_module():
    network = ConvNet((1, 8, 8), channels=(2,), activation=nn.Mish())
    fitted = AutoEncoderTransformer(2, network=network, max_epochs=1, random_state=0)
    fitted.fit(X)
    assert sum(type(m) is nn.Mish for m in fitted.module_.modules()) > 2


def test_search_over_activations():
    search = GridSearchCV(
        AutoEncoderTransformer(hidden_layer_sizes=(4,), max_epochs=1, random_state=0),
        {"activation": ["leaky_relu", nn.Mish()]},
        cv=2,
    )
    assert np.isfinite(search.fit(X[:40]).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (
            nn.GLU(),
            "expected an activation that keeps the shape (2, 12), got "
            "activation=GLU(dim=-1), because it returns (2, 6). Pass one such as "
            "torch.nn.Mish().",
        ),
        (
            nn.RReLU(),
            "expected an activation that draws no random numbers, got "
            "activation=RReLU(lower=0.125, upper=0.3333333333333333), because it uses "
            "torch's global generator. Pass one such as torch.nn.Mish().",
        ),
        (
            nn.Linear(3, 3),
            "expected an activation for layers of (12,) units, got "
            "activation=Linear(in_features=3, out_features=3, bias=True), because: "
            "mat1 and mat2 shapes cannot be multiplied (2x12 and 3x3). Pass one such "
            "as torch.nn.Mish().",
        ),
    ],
)
def test_activation_module_that_does_not_fit_is_refused(activation, reason):
    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=re.escape(reason)):
        fit(activation)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("activation", [nn.Mish, torch.tanh, "swish", 3])
def test_anything_else_is_refused(activation):
    message = f"torch.nn.modules.module.Module'. Got {activation!r} instead."
    for network in (
        MLP((4,), activation),
        ConvNet((1, 8, 8), channels=(2,), activation=activation),
    ):
        reducer = AutoEncoderTransformer(2, network=network, max_epochs=0)
        with pytest.raises(ValueError, match=re.escape(message)):
            reducer.fit(X)
        with pytest.raises(NotFittedError, match="not fitted"):
            reducer.transform(X)
    if isinstance(activation, type):
        error, message = TypeError, "which is a class. Pass activation=Mish(...)."
    else:
        error, message = ValueError, "The 'activation' parameter of AutoEncoderTra"
    with pytest.raises(error, match=re.escape(message)):
        fit(activation)


def test_fit_goes_on_with_the_activation_of_a_copy(tmp_path):
    fitted = fit(nn.PReLU(), warm_start=True)
    fitted.save(tmp_path / "file", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "file", custom={"activation": nn.PReLU()})
    expected = copy.deepcopy(fitted).fit(X).loss_curve_
    for other in (pickle.loads(pickle.dumps(fitted)), loaded):
        assert other.fit(X).loss_curve_ == expected
    fitted.set_params(activation=nn.Mish())
    with pytest.raises(ValueError, match=r"expected activation=PReLU\(num_parameters="):
        fitted.fit(X)


def test_an_activation_that_only_the_table_knows_goes_through_torch(monkeypatch):
    row = Activation("softsign", nn.Softsign)
    monkeypatch.setitem(ACTIVATIONS, row.name, row)
    monkeypatch.setitem(BY_MODULE, row.module, row)
    # Made of the table when the package is imported.
    names = StrOptions({row.name})
    monkeypatch.setitem(LAYER_CONSTRAINTS, "activation", [names, nn.Module])
    settings = {name: value for name, value in SMALL.items() if "sizes" not in name}
    network = MLP(hidden_layer_sizes=(12, 8), activation="softsign")
    by_name = AutoEncoderTransformer(network=network, **settings).fit(X)
    own = fit(nn.Softsign())
    np.testing.assert_array_equal(by_name.transform(X), own.transform(X))
    np.testing.assert_array_equal(by_name.transform(X[:1]), own.transform(X[:1]))
