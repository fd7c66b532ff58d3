"""What PCA tells of a fit means the same here, and is PCA's where the model is PCA."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.decomposition import PCA

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.exceptions import InconsistentVersionWarning
from sk_autoencoder.networks import UserNetwork

ROOT = Path(__file__).parents[2]
X = load_breast_cancer().data
VALUES = ["explained_variance_", "singular_values_", "noise_variance_", "mean_"]
SHORT = {"max_epochs": 5, "random_state": 0}


def signs(ours, theirs):
    return np.sign(np.sum(ours * theirs, axis=1, keepdims=True))


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(
    "cls", [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]
)
def test_results_are_those_of_pca(cls, whiten):
    pixels = load_digits().data
    pca = PCA(4).fit(pixels)
    ours = cls(4, whiten=whiten, max_epochs=0).fit(pixels)
    turned = ours.components_ * signs(ours.components_, pca.components_)
    np.testing.assert_allclose(turned, pca.components_, atol=1e-12)
    for name in VALUES:
        np.testing.assert_allclose(getattr(ours, name), getattr(pca, name), rtol=1e-12)
    assert ours.n_samples_ == pca.n_samples_
    # Of a PCA that whitens, scikit-learn's scales the components twice.
    for name in ("get_covariance", "get_precision"):
        expected = getattr(pca, name)()
        np.testing.assert_allclose(getattr(ours, name)(), expected, atol=1e-11)
    scores = ours.score_samples(pixels)
    np.testing.assert_allclose(scores, pca.score_samples(pixels), rtol=3e-14)
    assert scores.mean() == pytest.approx(pca.score(pixels), rel=3e-14)


def test_results_of_few_samples_are_those_of_pca():
    few = X[:12]
    pca, ours = PCA(3).fit(few), AutoEncoderTransformer(3, max_epochs=0).fit(few)
    for name in VALUES:
        np.testing.assert_allclose(getattr(ours, name), getattr(pca, name), rtol=1e-8)
    np.testing.assert_allclose(
        ours.score_samples(few), pca.score_samples(few), rtol=1e-8
    )
    whole = load_iris().data
    pca, ours = PCA(4).fit(whole), AutoEncoderTransformer(4, max_epochs=0).fit(whole)
    assert ours.noise_variance_ == pca.noise_variance_ == 0.0
    np.testing.assert_allclose(
        ours.score_samples(whole), pca.score_samples(whole), rtol=1e-10
    )


def test_a_fit_that_fell_back_is_pca():
    noise = np.random.default_rng(0).normal(size=(300, 5)) * [5, 4, 1, 1, 1]
    ours = AutoEncoderTransformer(2, **SHORT).fit(noise)
    assert ours.fell_back_to_pca_
    pca = PCA(2).fit(noise)
    np.testing.assert_allclose(ours.score_samples(noise), pca.score_samples(noise))


@pytest.mark.parametrize(
    "settings",
    [{}, {"init": "random"}, {"whiten": True}, {"activation": "relu"}],
    ids=str,
)
def test_density_is_that_of_codes_and_errors(settings):
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = AutoEncoderTransformer(3, **SHORT, **settings).fit(scaled)
    assert not model.fell_back_to_pca_
    n, d, k = len(X), 30, 3
    plain = clone(model).set_params(whiten=False).fit(scaled)
    codes = plain.transform(scaled)
    errors = model.reconstruction_error(scaled)
    noise = errors.sum() / ((n - 1) * (d - k))
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-5)
    gaps, covariance = codes - codes.mean(axis=0), np.cov(codes.T)
    ways = np.einsum("ni,ij,nj->n", gaps, np.linalg.inv(covariance), gaps)
    constant = np.linalg.slogdet(covariance)[1] + (d - k) * np.log(noise)
    expected = -0.5 * (ways + errors / noise + constant + d * np.log(2 * np.pi))
    np.testing.assert_allclose(model.score_samples(scaled), expected, rtol=1e-4)
    explained = model.explained_variance_
    np.testing.assert_allclose(
        explained,
        np.maximum(model.explained_variance_ratio_, 0) * d * n / (n - 1),
        rtol=1e-5,
    )
    np.testing.assert_allclose(model.singular_values_, np.sqrt((n - 1) * explained))
    covariance = model.get_covariance()
    assert np.trace(covariance) == pytest.approx(d * n / (n - 1), rel=1e-5)
    np.testing.assert_allclose(model.get_precision() @ covariance, np.eye(d), atol=1e-8)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"whiten": True},
        {"init": "random"},
        {"numeric_scaling": "standard"},
        {"ordered": True},
    ],
    ids=str,
)
def test_components_are_slopes_of_the_reconstruction(settings):
    model = AutoEncoderTransformer(3, **SHORT, **settings).fit(X)
    at, step = model.mean_code_, 1e-4
    found = model.components_
    size = np.ones(3)
    if model.whiten:  # per unit of the code before whitening
        other = clone(model).set_params(whiten=False).fit(X)
        at = other.mean_code_
        model = other
    scale = step * model.transform(X).std(axis=0)
    for i in range(3):
        shift = np.eye(3)[i] * scale[i]
        both = model.inverse_transform(np.vstack([at + shift, at - shift]))
        slope = (both[0] - both[1]) / (2 * scale[i] * size[i])
        np.testing.assert_allclose(
            found[i], slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max()
        )


def test_mean_code_is_the_code_of_the_mean():
    for model in (
        AutoEncoderTransformer(3, **SHORT),
        AutoEncoderTransformer(3, **SHORT, whiten=True, numeric_scaling="standard"),
        VAETransformer(3, **SHORT),
    ):
        model.fit(X)
        expected = model.transform(model.mean_[np.newaxis])[0]
        np.testing.assert_allclose(model.mean_code_, expected, atol=1e-9)


def test_tables_are_named_by_their_encoded_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "level": pd.Categorical(rng.choice(list("abc"), 200)),
            "size": rng.normal(size=200),
            "on": rng.random(200) > 0.5,
            "many": pd.Categorical(np.arange(200) % 70),
        }
    )
    model = AutoEncoderTransformer(2, **SHORT).fit(frame)
    names = model.encoded_feature_names_.tolist()
    assert {"size", "level_a", "level_b", "level_c", "on_True"} < set(names)
    assert sum(name.startswith("many_code") for name in names) == len(names) - 5
    assert model.components_.shape == (2, len(names))
    assert model.get_covariance().shape == (len(names),) * 2
    assert np.isfinite(model.score_samples(frame)).all()
    array = AutoEncoderTransformer(2, max_epochs=0).fit(X)
    assert array.encoded_feature_names_[:2].tolist() == ["x0", "x1"]


def test_variational_covariance_is_that_of_its_samples():
    iris = load_iris().data
    n = len(iris)
    pca = PCA(2).fit(iris)
    linear = VAETransformer(2, max_epochs=0, likelihood="isotropic").fit(iris)
    np.testing.assert_allclose(
        linear.get_covariance(), pca.get_covariance() * (n - 1) / n, rtol=1e-6
    )
    for prior in ("standard", "mixture"):
        model = VAETransformer(2, max_epochs=60, prior=prior, random_state=0).fit(iris)
        assert model.best_epoch_ > 0
        drawn = np.cov(model.sample(20_000, random_state=0).T)
        np.testing.assert_allclose(model.get_covariance(), drawn, atol=0.1)


REFUSED = ["components_", "explained_variance_", "singular_values_", "noise_variance_"]
REFUSED += ["score_samples", "get_covariance", "get_precision"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (DenoisingAutoEncoderTransformer(features="hidden"), "features='hidden'"),
        (
            DenoisingAutoEncoderTransformer(features="reconstruction"),
            "features='reconstruction'",
        ),
        (
            AutoEncoderTransformer(loss="binary_cross_entropy"),
            "loss='binary_cross_entropy'",
        ),
    ],
    ids=str,
)
def test_what_means_nothing_is_not_there(model, reason):
    model = clone(model).set_params(max_epochs=1, numeric_scaling="minmax").fit(X)
    for name in REFUSED:
        assert not hasattr(model, name)
        with pytest.raises(AttributeError) as caught:
            getattr(model, name)
        raised = [caught.value, caught.value.__cause__]
        assert any(reason in str(error) for error in raised)
    is_code = getattr(model, "features", "bottleneck") == "bottleneck"
    for name in ("mean_code_", "contributions", "local_components"):
        assert hasattr(model, name) is is_code


def test_bernoulli_variances_are_refused():
    model = VAETransformer(2, likelihood="bernoulli", **SHORT).fit(
        np.round(X / X.max())
    )
    with pytest.raises(AttributeError, match="likelihood='bernoulli'"):
        model.components_  # noqa: B018
    assert not hasattr(model, "get_covariance")


def test_an_infinite_density_is_refused():
    flat = np.random.default_rng(0).normal(size=(50, 2)) @ np.ones((2, 5))
    model = AutoEncoderTransformer(3, max_epochs=0).fit(flat)
    for method in (lambda: model.score_samples(flat), model.get_precision):
        with pytest.raises(ValueError, match="Fit with a smaller n_components"):
            method()
    with pytest.warns(UserWarning, match="compresses nothing"):
        wide = AutoEncoderTransformer(6, max_epochs=0).fit(load_iris().data)
    with pytest.raises(ValueError, match="Fit with a smaller n_components"):
        wide.score_samples(load_iris().data)


def test_streams_count_all_their_samples():
    model = AutoEncoderTransformer(2, random_state=0)
    for part in np.array_split(X, 4):
        model.partial_fit(part)
    assert model.n_samples_ == len(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert model.components_.shape == (2, 30)


def test_results_survive_files(tmp_path):
    model = AutoEncoderTransformer(3, **SHORT, ordered=True).fit(X)
    model.save(tmp_path / "model.safetensors")
    again = sk_autoencoder.load(tmp_path / "model.safetensors")
    for name in ("components_", *VALUES, "mean_code_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
    two = again.truncate(2)
    assert two.components_.shape == (2, 30)
    assert two.noise_variance_ > model.noise_variance_ * 27 / 28
    assert np.isfinite(two.score_samples(X)).all()


def test_files_of_an_older_version_have_what_they_can():
    folder = ROOT / "tests" / "saving" / "files_0_1_0"
    with np.load(folder / "inputs.npz") as arrays:
        data = arrays["X"]
    with pytest.warns(InconsistentVersionWarning):
        model = sk_autoencoder.load(folder / "autoencoder.safetensors")
    assert model.components_.shape == (model.n_components_, data.shape[1])
    assert model.contributions(data).shape[2] == data.shape[1]
    assert model.noise_variance_ > 0
    with pytest.raises(ValueError, match="an older version has saved"):
        model.score_samples(data)


def test_scores_of_far_samples_are_finite():
    model = AutoEncoderTransformer(2, **SHORT).fit(X)
    far = np.full((2, 30), 1e200)
    assert np.isfinite(model.score_samples(far)).all()
    narrow = X.astype(np.float32)
    scores = AutoEncoderTransformer(2, **SHORT).fit(narrow).score_samples(narrow)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


class Cut(torch.nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = torch.nn.Linear(n_inputs, n_outputs)

    def forward(self, x):
        return self.layer(x.detach())


def test_a_decoder_without_slopes_is_told():
    network = UserNetwork(torch.nn.Linear(30, 2), Cut(2, 30))
    with pytest.warns(UserWarning, match="PCA"):
        model = AutoEncoderTransformer(2, network=network, **SHORT).fit(X / X.std(0))
    with pytest.raises(ValueError, match="can be differentiated by its input"):
        model.components_  # noqa: B018


# ------------------------------------------------------------------------ the guide


def names_in_guide():
    text = (ROOT / "docs" / "user_guide" / "components.rst").read_text("utf-8")
    table = text.split(".. list-table:: What differs from PCA")[1].split("\n\n.. ")[0]
    cells = re.findall(r"^   \* - (.+)$", table, flags=re.MULTILINE)[1:]
    return {name for cell in cells for name in re.findall(r"``(\w+)``", cell)}


def test_every_public_name_of_pca_is_there_or_explained():
    pca = PCA(2).fit(X)
    ours = AutoEncoderTransformer(2, max_epochs=0).fit(X)
    names = {name for name in dir(pca) if not name.startswith("_")}
    missing = {name for name in names if not hasattr(ours, name)}
    explained = names_in_guide()
    assert missing <= explained
    assert explained <= names
