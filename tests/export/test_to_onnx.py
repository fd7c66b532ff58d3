"""Models of fitted estimators give what their methods give."""

import builtins

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx_sessions import session_of
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
    load,
)
from sk_autoencoder.export import to_onnx
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

# Some networks here are hardly trained, or not at all.
pytestmark = pytest.mark.filterwarnings(
    "ignore:expected a network that explains:UserWarning"
)

# Of the largest value of a result.
TOLERANCE = 1e-5
N_FEATURES = 12


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(10_000, 3))
    X = np.tanh(latent @ rng.normal(size=(3, N_FEATURES))) + 0.05 * rng.normal(
        size=(10_000, N_FEATURES)
    )
    X[:, 4] = 2.5  # constant
    X[:, 5] = X[:, 5] * 100 + 1000
    return X


def autoencoder(n_components=3, **parameters):
    parameters = {"max_epochs": 3, "random_state": 0, **parameters}
    if "network" not in parameters:
        parameters = {"hidden_layer_sizes": (16, 8), **parameters}
    return AutoEncoderTransformer(n_components, **parameters)


def denoiser(**parameters):
    return DenoisingAutoEncoderTransformer(
        features="hidden",
        hidden_layer_sizes=(16, 8),
        max_epochs=3,
        random_state=0,
        **parameters,
    )


def vae(**parameters):
    return VAETransformer(
        3, hidden_layer_sizes=(16,), max_epochs=3, random_state=0, **parameters
    )


def user_network():
    encoder = nn.Sequential(
        nn.Unflatten(1, (1, N_FEATURES)),
        nn.Conv1d(1, 4, 3, padding=1),
        nn.Flatten(),
        nn.LayerNorm(4 * N_FEATURES),
        nn.Linear(4 * N_FEATURES, 3),
    )
    return UserNetwork(
        encoder, nn.Sequential(nn.Linear(3, 9), nn.Mish(), nn.Linear(9, 12))
    )


ESTIMATORS = {
    "default": lambda: autoencoder(),
    "ordered, whitened": lambda: autoencoder(ordered=True, whiten=True),
    "truncated": lambda: autoencoder(ordered=True),
    "random": lambda: autoencoder(init="random", activation="gelu", batch_norm=True),
    "probabilities": lambda: autoencoder(
        loss="binary_cross_entropy", numeric_scaling="minmax", activation="elu"
    ),
    "standard": lambda: autoencoder(numeric_scaling="standard", activation="tanh"),
    "one layer": lambda: autoencoder(hidden_layer_sizes=()),
    "conv": lambda: autoencoder(network=ConvNet((1, 3, 4), hidden_layer_sizes=(8,))),
    "recurrent": lambda: autoencoder(network=RecurrentNet((6, 2), hidden_size=5)),
    "user's, beside PCA": lambda: autoencoder(network=user_network(), init="pca"),
    "user's, as given": lambda: autoencoder(
        network=user_network(), numeric_scaling="standard"
    ),
    "hidden": lambda: denoiser(),
    "hidden, passed": lambda: denoiser(passthrough=True),
    "vae": lambda: vae(),
    "vae, mixture": lambda: vae(prior="mixture", whiten=True, batch_norm=True),
}


@pytest.fixture(scope="module")
def fitted(X):
    made = {}

    def get(name):
        if name not in made:
            made[name] = ESTIMATORS[name]().fit(X[:500])
            if name == "truncated":
                made[name] = made[name].truncate(2)
        return made[name]

    return get


def run(model, *inputs):
    """Outputs of a model."""
    session = session_of(model)
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def assert_agree(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["transform", "inverse_transform", "reconstruct"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_models_give_what_the_methods_give(name, method, dtype, X, fitted):
    estimator = fitted(name)
    inputs = X.astype(dtype)
    if method == "inverse_transform":
        inputs = estimator.transform(inputs)
    model = to_onnx(estimator, method=method, dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    for n in (1, 7, 10_000):
        (found,) = run(model, inputs[:n])
        assert_agree(found, getattr(estimator, method)(inputs[:n]))


@pytest.mark.parametrize(
    ("name", "dtype"), [("vae", "float32"), ("vae, mixture", "float64")]
)
def test_posteriors_and_densities_are_exported(name, dtype, X, fitted):
    estimator, rows = fitted(name), X[:1000].astype(dtype)
    for found, expected in zip(
        run(to_onnx(estimator, method="posterior", dtype=dtype), rows),
        estimator.posterior(rows),
        strict=True,
    ):
        assert_agree(found, expected)
    model = to_onnx(estimator, method="score_samples", dtype=dtype)
    assert_agree(run(model, rows)[0], estimator.score_samples(rows))


def test_the_dtype_is_that_of_fit(X):
    for dtype in (np.float32, np.float64):
        estimator = autoencoder().fit(X[:200].astype(dtype))
        (codes,) = run(to_onnx(estimator), X.astype(dtype))
        assert codes.dtype == dtype


@pytest.mark.parametrize(
    "parameters", [{}, {"numeric_scaling": "rank_gauss"}, {"allow_missing": True}]
)
def test_rows_keep_their_shape(X, parameters):
    images = X.reshape(-1, 1, 3, 4)
    network = ConvNet((1, 3, 4), channels=(4,))
    estimator = autoencoder(network=network, **parameters).fit(images[:200])
    (found,) = run(to_onnx(estimator, method="reconstruct"), images[:7])
    assert_agree(found, estimator.reconstruct(images[:7]))
    codes = estimator.transform(images[:7])
    session = session_of(to_onnx(estimator, method="inverse_transform"))
    (found,) = session.run(None, {"codes": codes})
    assert_agree(found, estimator.inverse_transform(codes))


def test_columns_of_a_frame_of_numbers_are_one_input(X):
    frame = pd.DataFrame(X[:300]).add_prefix("x")
    estimator = autoencoder(network=MLP((8,))).fit(frame)
    (codes,) = run(to_onnx(estimator), X[:300])
    assert_agree(codes, estimator.transform(frame))


def test_a_transformer_inside_another_is_exported(X):
    outer = ExtraRowsTransformer(autoencoder(), extra_rows=X[200:300]).fit(X[:200])
    (codes,) = run(to_onnx(outer), X[:50])
    assert_agree(codes, outer.transform(X[:50]))


def test_the_model_is_written_to_a_path(X, tmp_path, fitted):
    path = tmp_path / "model.onnx"
    model = to_onnx(fitted("default"), path)
    assert onnx.load(path) == model
    session = session_of(path)
    assert [value.name for value in session.get_inputs()] == ["X"]
    assert [value.name for value in session.get_outputs()] == ["codes"]
    assert session.get_inputs()[0].shape == ["n", N_FEATURES]


def test_the_estimator_stays_as_it_was(X, fitted, tmp_path):
    estimator = fitted("random")
    before = estimator.transform(X[:50])
    random = torch.random.get_rng_state()
    to_onnx(estimator, method="reconstruct", dtype="float32")
    assert torch.equal(random, torch.random.get_rng_state())
    np.testing.assert_array_equal(estimator.transform(X[:50]), before)
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert to_onnx(again) == to_onnx(estimator)


class Noisy(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return y + torch.rand_like(y)


def test_a_module_that_has_no_place_is_named(X):
    network = UserNetwork(Noisy(N_FEATURES, 3), nn.Linear(3, N_FEATURES))
    estimator = autoencoder(network=network, max_epochs=0).fit(X[:200])
    with pytest.raises(
        ValueError, match="random numbers by torch's operator 'rand_like'"
    ):
        to_onnx(estimator)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (
            "default",
            {"method": "posterior"},
            "one of transform, inverse_transform, rec",
        ),
        ("vae", {"method": "sample"}, "one of transform.* got method='sample'"),
        (
            "default",
            {"dtype": "float16"},
            "'float32' or 'float64', got dtype='float16'",
        ),
    ],
)
def test_parameters_that_mean_nothing_are_refused(name, parameters, message, fitted):
    with pytest.raises(ValueError, match=message):
        to_onnx(fitted(name), **parameters)


def test_estimators_that_are_not_ours_are_refused(X, fitted):
    with pytest.raises(NotFittedError):
        to_onnx(autoencoder())
    for other in (PCA().fit(X[:50]), make_pipeline(fitted("default"))):
        with pytest.raises(TypeError, match="expected a fitted estimator of sk_auto"):
            to_onnx(other)


def test_what_is_not_exported_yet_is_refused(X):
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", hidden_layer_sizes=(8,), max_epochs=1, random_state=0
    ).fit(X[:100])
    with pytest.raises(ValueError, match="method='transform' for features='reconstr"):
        to_onnx(imputer, method="reconstruct")
    some = denoiser(layers=(1,)).fit(X[:100])
    assert_agree(run(to_onnx(some), X[:9])[0], some.transform(X[:9]))
    with pytest.raises(ValueError, match="expected hidden features that end"):
        to_onnx(some, method="inverse_transform")


def test_onnx_that_is_not_installed_is_asked_for(monkeypatch, fitted):
    imported = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError("No module named 'onnx'")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'pip install "sk_autoencoder\[onnx\]"'):
        to_onnx(fitted("default"))
