"""Turned codes: simple components, and the same code as a whole."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.decomposition._factor_analysis import _ortho_rotation
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._model.latent_map import varimax

X = scale(load_wine().data)
SHORT = {"max_epochs": 4, "random_state": 0, "hidden_layer_sizes": (16,)}


def criterion(loadings):
    """Return the variance of squared loadings (d, k), summed over the components."""
    return np.square(loadings).var(axis=0).sum()


def blocks():
    """Return samples of three factors, each of its own four columns."""
    factors = np.random.default_rng(0).laplace(size=(400, 3))
    noise = 0.1 * np.random.default_rng(1).normal(size=(400, 12))
    return np.repeat(factors, 4, axis=1) + noise


def test_varimax_is_that_of_factor_analysis():
    for seed in range(5):
        loadings = np.random.default_rng(seed).normal(size=(12, 4)) ** 3
        rotation = varimax(loadings)
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-12)
        expected = _ortho_rotation(loadings, tol=1e-12, max_iter=10_000).T
        assert criterion(loadings @ rotation) == pytest.approx(
            criterion(expected), rel=1e-6
        )
    assert varimax(np.ones((3, 1))).tolist() == [[1.0]]
    np.testing.assert_array_equal(varimax(np.zeros((3, 2))).shape, (2, 2))


@pytest.mark.parametrize(
    "model",
    [
        AutoEncoderTransformer(4, **SHORT),
        AutoEncoderTransformer(4, whiten=True, **SHORT),
        AutoEncoderTransformer(4, init="random", **SHORT),
        DenoisingAutoEncoderTransformer(4, numeric_scaling="standard", **SHORT),
        VAETransformer(4, **SHORT),
    ],
    ids=str,
)
def test_the_whole_code_stays_the_same(model, tmp_path):
    plain = model.set_params(rotation=None).fit(X)
    codes = plain.transform(X) - plain.mean_code_
    restored, score = plain.reconstruct(X), plain.score(X)
    explained = plain.explained_variance_ratio_.sum()
    simple = criterion(plain.components_.T)
    turned = model.set_params(rotation="varimax").fit(X)
    own = turned.transform(X) - turned.mean_code_
    rotation = np.linalg.lstsq(codes, own, rcond=None)[0]
    np.testing.assert_allclose(codes @ rotation, own, atol=1e-9)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(turned.reconstruct(X), restored, atol=1e-9)
    assert turned.score(X) == pytest.approx(score)
    ratios = turned.explained_variance_ratio_
    assert ratios.sum() == pytest.approx(explained)
    assert (np.diff(ratios) <= 1e-9).all()
    if not model.whiten:
        assert criterion(turned.components_.T) > simple
    back = turned.inverse_transform(turned.transform(X))
    np.testing.assert_allclose(back, restored, atol=1e-9)
    np.testing.assert_allclose(
        turned.contributions(X[:5]).sum(axis=2), own[:5], atol=1e-5
    )
    turned.save(tmp_path / "turned.safetensors")
    again = sk_autoencoder.load(tmp_path / "turned.safetensors")
    np.testing.assert_array_equal(again.transform(X), turned.transform(X))


def test_components_of_blocks_are_blocks():
    data = blocks()
    pca = PCA(3).fit(data)
    model = AutoEncoderTransformer(3, rotation="varimax", max_epochs=0).fit(data)
    sizes = np.abs(model.components_).reshape(3, 3, 4).mean(axis=2)
    assert sorted(sizes.argmax(axis=1)) == [0, 1, 2]
    assert (np.sort(sizes, axis=1)[:, 1] < 0.05).all()
    assert (np.sort(np.abs(pca.components_), axis=1)[:, 3] > 0.05).any()
    scores = model.score_samples(data)
    np.testing.assert_allclose(scores, pca.score_samples(data), rtol=1e-5)


def test_white_codes_stay_white():
    model = AutoEncoderTransformer(3, rotation="varimax", whiten=True, **SHORT).fit(X)
    np.testing.assert_allclose(np.cov(model.transform(X).T), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("estimator", [AutoEncoderTransformer, VAETransformer])
def test_components_without_variance_move_nothing(estimator):
    # Of a rank of two: what is left is whitened to 0, and cannot be turned back.
    flat = X[:, :2] @ np.random.default_rng(0).normal(size=(2, 4))
    still = {**SHORT, "max_epochs": 0}
    model = estimator(3, whiten=True, rotation="varimax", **still).fit(flat)
    codes, components = model.transform(flat), model.components_
    moved = codes @ components + flat.mean(axis=0)
    np.testing.assert_allclose(moved, model.reconstruct(flat), atol=1e-5)


def test_a_search_a_stream_and_a_warm_start_turn_codes():
    search = GridSearchCV(
        AutoEncoderTransformer(3, **SHORT), {"rotation": [None, "varimax"]}, cv=2
    ).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == pytest.approx(scores[1])
    stream = AutoEncoderTransformer(3, rotation="varimax", random_state=0)
    for part in np.array_split(X, 2):
        stream.partial_fit(part)
    warm = AutoEncoderTransformer(3, rotation="varimax", warm_start=True, **SHORT)
    warm.fit(X).fit(X)
    for model in (stream, warm):
        back = model.inverse_transform(model.transform(X))
        np.testing.assert_allclose(back, model.reconstruct(X), atol=1e-9)
    warm.set_params(rotation=None, max_epochs=0).fit(X)
    assert warm.transform(X).shape == (178, 3)


def test_what_does_not_go_with_a_rotation_is_refused():
    with pytest.raises(ValueError, match="expected ordered=False for rotation='varim"):
        AutoEncoderTransformer(3, ordered=True, rotation="varimax", **SHORT).fit(X)
    with pytest.raises(ValueError, match="expected features='bottleneck' for rotation"):
        DenoisingAutoEncoderTransformer(
            features="hidden", rotation="varimax", **SHORT
        ).fit(X)
    with pytest.raises(ValueError, match="'rotation' parameter"):
        AutoEncoderTransformer(3, rotation="quartimax").fit(X)
