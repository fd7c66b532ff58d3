"""The map that puts codes in order, and back."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from sk_autoencoder._model.recoder import Recoder, Recoding, blocks
from sk_autoencoder._utils.float64_buffers import in_dtype

RNG = np.random.default_rng(0)


def recoding(codes, scores, std):
    """Return the linear part for samples with these codes and principal scores."""
    together = np.cov(np.hstack([codes, scores]).T, bias=True)
    return Recoding.of(codes.mean(axis=0), together[: len(std)], std)


def recoder(k, *, trained=True):
    """Return a recoder of random codes, with random weights if it is trained."""
    codes = RNG.normal(size=(300, k)) @ RNG.normal(size=(k, k))
    networks = [
        nn.Sequential(
            nn.Linear(k - last + first, 16),
            nn.SiLU(),
            nn.Linear(16, 2 * last - 2 * first),
        )
        for first, last in blocks(k)
    ]
    scores = PCA(k, whiten=True).fit_transform(codes)
    found = Recoder(recoding(codes, scores, np.arange(k, 0.0, -1)), networks)
    for coupling in found.couplings if trained else ():
        nn.init.normal_(coupling.network[-1].weight)
    return found, torch.from_numpy(codes)


def test_couplings_change_each_component_given_the_others():
    assert blocks(2) == [(0, 1), (1, 2)]
    assert blocks(3) == [(0, 1), (1, 2), (2, 3), (0, 1)]
    assert blocks(10) == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 10), (0, 1)]


@pytest.mark.parametrize("k", [2, 3, 8, 20])
def test_it_can_be_undone(k):
    layer, codes = recoder(k)
    with torch.no_grad():
        ordered = layer(codes.float())
        back = layer.inverse(ordered)
        wide = in_dtype(layer, torch.float64)
        exact = wide.inverse(wide(codes))
    assert back.dtype == torch.float32
    size = codes.abs().max().item()
    assert (back - codes).abs().max() < 1e-4 * size
    assert (exact - codes).abs().max() < 1e-10 * size


def test_the_linear_part_has_unit_variance_and_explains_most_first():
    layer, codes = recoder(6, trained=False)
    with torch.no_grad():
        white = in_dtype(layer, torch.float64)(codes).numpy()
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(6), atol=1e-8)


def test_principal_scores_stay_as_they_are():
    rows = RNG.normal(size=(200, 5)) * np.arange(5, 0, -1)
    scores = PCA(5, whiten=True).fit_transform(rows)
    scores *= np.sqrt(len(rows) / (len(rows) - 1))
    std = rows.std(axis=0)
    found = recoding(scores, scores, std)
    np.testing.assert_allclose(found.weights, np.eye(5), atol=1e-8)
    np.testing.assert_allclose(found.latent_map.matrix, np.eye(5), atol=1e-8)
    np.testing.assert_allclose(found.scale, np.ones(5))


@pytest.mark.parametrize("k", [1, 3])
def test_codes_that_do_not_vary(k):
    codes = np.zeros((10, k))
    found = recoding(codes, codes, np.zeros(k))
    np.testing.assert_allclose(
        found.latent_map.matrix @ found.latent_map.inverse, np.eye(k), atol=1e-12
    )
    assert (found.scale == 1).all()
