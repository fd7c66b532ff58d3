"""Ordered components: every prefix of a code is a code by itself."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
)
from sk_autoencoder._fitting import recipe
from sk_autoencoder._training import batches

K = 8
TRAIN, TEST = train_test_split(load_digits().data, random_state=0)
NOISE = np.random.default_rng(3).normal(size=(600, 8))


@pytest.fixture(scope="module")
def fitted():
    small = {"hidden_layer_sizes": (64, 32), "max_epochs": 40, "random_state": 0}
    return AutoEncoderTransformer(K, ordered=True, **small).fit(TRAIN)


def error(rows, reconstruction):
    return np.square(rows - reconstruction).sum()


def error_of_pca(k):
    pca = PCA(k).fit(TRAIN)
    return error(TEST, pca.inverse_transform(pca.transform(TEST)))


def test_the_whole_code_is_as_without_an_order():
    ordered = AutoEncoderTransformer(K, ordered=True, max_epochs=5, random_state=0)
    plain = clone(ordered).set_params(ordered=False).fit(TRAIN)
    ordered.fit(TRAIN)
    codes, restored = ordered.transform(TEST), plain.reconstruct(TEST)
    assert np.abs(codes - plain.transform(TEST)).max() > 0.1
    np.testing.assert_allclose(ordered.reconstruct(TEST), restored, atol=1e-10)
    np.testing.assert_allclose(ordered.inverse_transform(codes), restored, atol=1e-10)
    in_float32 = ordered.transform(TEST.astype(np.float32))
    back = ordered.inverse_transform(in_float32)
    np.testing.assert_allclose(back, restored, atol=1e-4)
    with pytest.raises(ValueError, match=f"n_components_={K} columns, got X with 3"):
        plain.inverse_transform(plain.transform(TEST)[:, :3])


def test_every_prefix_is_better_than_pca_and_than_the_one_before(fitted):
    codes = fitted.transform(TEST)
    errors = [
        error(TEST, fitted.inverse_transform(codes[:, :j])) for j in range(1, K + 1)
    ]
    assert errors == sorted(errors, reverse=True)
    for j, ours in enumerate(errors, start=1):
        assert ours < error_of_pca(j) * (1 if j == 1 else 0.9)


def test_the_ratios_are_what_each_component_adds_in_order(fitted):
    codes = fitted.transform(TRAIN)
    total = error(TRAIN, TRAIN.mean(axis=0))
    explained = [
        1 - error(TRAIN, fitted.inverse_transform(codes[:, :j])) / total
        for j in range(1, K + 1)
    ]
    ratios, gains = fitted.explained_variance_ratio_, np.diff(explained, prepend=0.0)
    falling = IsotonicRegression(increasing=False).fit(np.arange(K), gains)
    np.testing.assert_allclose(ratios, falling.predict(np.arange(K)), atol=1e-6)
    assert ratios.sum() == pytest.approx(fitted.score(TRAIN), abs=1e-6)
    # What the page on components says of them.
    assert np.abs(np.cumsum(ratios) - explained).max() < 0.06


def test_truncated_it_is_the_prefix(fitted):
    codes = fitted.transform(TEST)
    three = fitted.truncate(3)
    np.testing.assert_array_equal(three.transform(TEST), codes[:, :3])
    np.testing.assert_array_equal(
        three.inverse_transform(codes[:, :3]), fitted.inverse_transform(codes[:, :3])
    )
    assert three.n_components == three.n_components_ == 3
    assert len(three.get_feature_names_out()) == 3
    assert len(three.explained_variance_ratio_) == 3
    errors = np.square(TEST - three.reconstruct(TEST))
    np.testing.assert_allclose(three.reconstruction_error(TEST), errors.sum(axis=1))
    assert fitted.n_components_ == K
    np.testing.assert_array_equal(fitted.transform(TEST), codes)


@pytest.mark.parametrize("copied", [False, True])
def test_truncation_can_be_repeated_and_pickled(fitted, copied):
    five = fitted.truncate(5)
    five = pickle.loads(pickle.dumps(five)) if copied else five
    two = five.truncate(2)
    np.testing.assert_array_equal(two.transform(TEST), fitted.transform(TEST)[:, :2])
    with pytest.raises(ValueError, match="n_components == 6, must be <= 5"):
        five.truncate(6)


def test_wrong_truncations_are_refused(fitted):
    with pytest.raises(ValueError, match="n_components == 0, must be >= 1"):
        fitted.truncate(0)
    with pytest.raises(TypeError, match="n_components must be an instance of"):
        fitted.truncate(0.5)
    plain = AutoEncoderTransformer(3, max_epochs=0).fit(TRAIN)
    with pytest.raises(ValueError, match="expected a fit with ordered=True"):
        plain.truncate(2)


def test_truncated_it_is_not_trained_further(fitted):
    three = fitted.truncate(3)
    message = f"expected all {K} components .* got the first 3, .* truncate it again"
    for n_components in (3, K):
        three.set_params(n_components=n_components, warm_start=True)
        for train in (three.fit, three.partial_fit):
            with pytest.raises(ValueError, match=message):
                train(TRAIN)
    assert three.n_components_ == 3


def test_an_order_needs_the_start_from_pca():
    reducer = AutoEncoderTransformer(3, ordered=True, init="random")
    with pytest.raises(ValueError, match="expected init='pca' for ordered=True"):
        reducer.fit(TRAIN)


def test_codes_of_too_many_columns_are_refused(fitted):
    with pytest.raises(ValueError, match="8 columns, or fewer, got X with 9"):
        fitted.inverse_transform(np.zeros((2, K + 1)))


def test_a_copy_goes_on_as_the_first_would():
    first = AutoEncoderTransformer(4, ordered=True, max_epochs=3, random_state=0)
    first.fit(TRAIN)
    second = pickle.loads(pickle.dumps(first))
    for reducer in (first, second):
        reducer.partial_fit(TRAIN[:300])
    codes = first.transform(TEST)
    np.testing.assert_array_equal(second.transform(TEST), codes)
    np.testing.assert_array_equal(
        second.inverse_transform(codes[:, :2]), first.inverse_transform(codes[:, :2])
    )


def test_whitened_prefixes_decode_alike():
    fitted = AutoEncoderTransformer(K, ordered=True, max_epochs=5, random_state=0)
    white = clone(fitted).set_params(whiten=True).fit(TRAIN)
    fitted.fit(TRAIN)
    codes = white.transform(TRAIN)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(K), atol=1e-4)
    np.testing.assert_allclose(
        white.inverse_transform(codes[:, :3]),
        fitted.inverse_transform(fitted.transform(TRAIN)[:, :3]),
        atol=1e-4,
    )


def test_on_noise_prefixes_are_pcas():
    # Of six hundred rows a network learns a code that is better than PCA's, even so.
    rows = NOISE[:100]
    reducer = AutoEncoderTransformer(4, ordered=True, random_state=0).fit(rows)
    pca = PCA(4).fit(rows)
    assert reducer.fell_back_to_pca_
    np.testing.assert_allclose(
        reducer.explained_variance_ratio_, pca.explained_variance_ratio_, atol=1e-6
    )


def test_from_a_stream_too():
    reducer = AutoEncoderTransformer(
        4, hidden_layer_sizes=(64,), ordered=True, random_state=0
    )
    for _ in range(10):
        for rows in np.array_split(TRAIN, 3):
            reducer.partial_fit(rows)
    assert reducer.explained_variance_ratio_.shape == (4,)
    codes = reducer.transform(TEST)
    assert error(TEST, reducer.inverse_transform(codes[:, :2])) < error_of_pca(2)


@pytest.mark.filterwarnings("ignore:expected n_components of at most:UserWarning")
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("k", [1, 4])
def test_hard_rows(k, whiten):
    flat = NOISE[:, :2] @ NOISE[:2, :8]
    for rows in (flat, NOISE[:3], np.ones((20, 5))):
        reducer = DenoisingAutoEncoderTransformer(
            k, ordered=True, whiten=whiten, max_epochs=5, random_state=0
        ).fit(rows)
        codes = reducer.transform(rows)
        for j in range(1, k + 1):
            assert np.isfinite(reducer.inverse_transform(codes[:, :j])).all()


def test_hidden_features_have_no_order():
    reducer = DenoisingAutoEncoderTransformer(
        features="hidden", ordered=True, hidden_layer_sizes=(8, 8), max_epochs=2
    ).fit(TRAIN)
    assert reducer.transform(TEST).shape[1] == 16


def test_cross_entropy_prefixes():
    rows = TRAIN / 16
    reducer = AutoEncoderTransformer(
        4, ordered=True, loss="binary_cross_entropy", max_epochs=15, random_state=0
    ).fit(rows)
    codes = reducer.transform(rows)
    prefix = reducer.inverse_transform(codes[:, :2])
    assert prefix.min() >= 0
    assert prefix.max() <= 1
    assert 0 < reducer.explained_variance_ratio_[:2].sum() < reducer.score(rows)


def test_a_prefix_that_learns_nothing_is_pcas():
    # Nine components of ten: the last ones have much to learn, the first nothing.
    rows = load_diabetes().data
    train, test = train_test_split(rows, random_state=0)
    with pytest.warns(ConvergenceWarning, match="resolved to 150 epochs"):
        reducer = AutoEncoderTransformer(9, ordered=True, random_state=0).fit(train)
    gate = reducer.module_.prefixes.gate
    assert 0 < gate.sum() < 9
    pca = PCA(9).fit(train)
    codes, scores = reducer.transform(test), pca.transform(test)
    one = reducer.inverse_transform(codes[:, :1])
    of_pca = scores[:, :1] @ pca.components_[:1] + pca.mean_
    assert gate[0] == 0
    assert error(test, one) < 1.002 * error(test, of_pca)
    again = pickle.loads(pickle.dumps(reducer))
    np.testing.assert_array_equal(again.inverse_transform(codes[:, :1]), one)


@pytest.mark.parametrize("n_components", [4, 0.6])
def test_all_steps_of_a_fit_share_one_copy_of_the_rows(n_components, monkeypatch):
    copies, copy = [], batches._centered_copy

    def counted(X, mean):
        copies.append(X)
        return copy(X, mean)

    monkeypatch.setattr(batches, "_centered_copy", counted)
    settings = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0}
    reducer = AutoEncoderTransformer(n_components, ordered=True, **settings).fit(TRAIN)
    assert len(copies) == 1
    reducer.set_params(n_components=4).fit(TRAIN).partial_fit(TRAIN)
    assert len(copies) == 3


def test_an_order_that_gains_nothing_stays_linear(monkeypatch):
    monkeypatch.setattr(recipe, "NESTED_LR", 1e-9)
    reducer = AutoEncoderTransformer(4, ordered=True, max_epochs=5, random_state=0)
    reducer.fit(TRAIN)
    assert not reducer.fell_back_to_pca_
    assert reducer._fitted.prefix_net.best_epoch_ == 0
    for part in reducer.module_.recoder.couplings:
        assert not part.network[-1].weight.any()
    codes = reducer.transform(TRAIN)
    assert (np.diff(codes.var(axis=0)) < 0).all()
    # The best that j linear functions of this code can do.
    for j in range(1, 4):
        linear = LinearRegression().fit(codes[:, :j], TRAIN).predict(codes[:, :j])
        ours = reducer.inverse_transform(codes[:, :j])
        assert error(TRAIN, ours) < 1.02 * error(TRAIN, linear)
