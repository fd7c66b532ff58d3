"""Whitened codes are white, however little the rows vary along a component."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from torch import nn

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import UserNetwork


def with_a_tiny_direction(spread, n=500):
    rng = np.random.default_rng(0)
    a, b, noise = rng.normal(size=(3, n))
    return np.column_stack([a, b, a + b + spread * noise])


WHITE = {
    "pca": {"max_epochs": 0},
    "trained": {"max_epochs": 2, "early_stopping": False, "hidden_layer_sizes": (8,)},
    "ordered": {"max_epochs": 2, "ordered": True, "hidden_layer_sizes": (8,)},
    "random start": {"max_epochs": 2, "init": "random", "hidden_layer_sizes": (8,)},
}


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("kind", WHITE)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_whitened_codes_are_white_however_small_a_component(container, kind, spread):
    X = container(with_a_tiny_direction(spread))
    white = AutoEncoderTransformer(3, whiten=True, random_state=0, **WHITE[kind])
    codes = white.fit(X).transform(X)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(3), atol=1e-6)
    assert np.abs(codes.mean(axis=0)).max() < 1e-6
    if kind == "pca":
        pca = PCA(3, whiten=True, svd_solver="full")
        expected = pca.fit_transform(with_a_tiny_direction(spread))
        # Up to a rotation, which zero-phase whitening leaves at none.
        turns = expected.T @ codes / len(codes)
        np.testing.assert_allclose(np.abs(turns), np.eye(3), atol=0.01)
        found = white.inverse_transform(codes)
        np.testing.assert_allclose(found, with_a_tiny_direction(spread), atol=1e-12)


def test_whitening_of_a_stream_sees_all_of_its_rows():
    X = with_a_tiny_direction(1e-7, n=900)
    white = AutoEncoderTransformer(3, whiten=True, hidden_layer_sizes=(), lr=1e-12)
    for part in np.array_split(X, 3):
        white.partial_fit(part)
    codes = white.transform(X)
    # The moments are those of each part under the axes of its time.
    assert np.abs(np.cov(codes.T) - np.eye(3)).max() < 0.3
    white = VAETransformer(2, whiten=True, max_epochs=0).fit(X)
    np.testing.assert_allclose(np.cov(white.transform(X).T), np.eye(2), atol=1e-6)


def test_white_codes_of_float32_rows_are_white_to_their_rounding():
    X = with_a_tiny_direction(1e-2).astype(np.float32)
    white = AutoEncoderTransformer(3, whiten=True, max_epochs=0).fit(X)
    np.testing.assert_allclose(np.cov(white.transform(X).T), np.eye(3), atol=1e-3)


def test_a_component_that_never_varies_is_0_in_white_codes():
    X = with_a_tiny_direction(0.0)
    white = AutoEncoderTransformer(3, whiten=True, max_epochs=0).fit(X)
    codes = white.transform(X)
    np.testing.assert_allclose(np.cov(codes.T), np.diag([1.0, 1.0, 0.0]), atol=1e-6)
    np.testing.assert_allclose(white.reconstruct(X), X, atol=1e-12)


@pytest.mark.parametrize("layers", [None, [1]])
def test_hidden_features_are_whitened(layers):
    X = np.random.default_rng(0).normal(size=(300, 5))
    plain, white = (
        DenoisingAutoEncoderTransformer(
            features="hidden",
            layers=layers,
            whiten=whiten,
            hidden_layer_sizes=(6, 4),
            max_epochs=2,
            random_state=0,
        ).fit(X)
        for whiten in (False, True)
    )
    codes = white.transform(X)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(codes.shape[1]), atol=1e-6)
    assert codes.shape == plain.transform(X).shape
    np.testing.assert_allclose(white.reconstruct(X), plain.reconstruct(X), atol=1e-6)


def test_codes_that_differ_by_rounding_alone_are_not_blown_up():
    # Codes of one, and of what float32 hardly has beside it.
    encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
    nn.init.ones_(encoder.bias)
    X = 1e-7 * np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    network = UserNetwork(encoder, decoder)
    still = {"max_epochs": 0, "early_stopping": False, "random_state": 0}
    white = AutoEncoderTransformer(2, network=network, whiten=True, **still).fit(X)
    np.testing.assert_array_equal(white.transform(X), np.zeros((100, 2)))
    # float64 has the digits.
    codes = white.fit(X.astype(np.float64)).transform(X.astype(np.float64))
    np.testing.assert_allclose(np.cov(codes.T), np.eye(2), atol=1e-4)
