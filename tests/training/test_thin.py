"""Training on wide sparse samples: as on dense ones, without their empty columns."""

import numpy as np
import pytest
import torch
from scipy import sparse

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._training.batches import Batches, RowDataset, ThinBatch
from sk_autoencoder._training.fast import thin
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder._training.fast.thin import ThinInputs
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.networks import MLP

X = sparse.random(200, 1200, 0.004, format="csr", random_state=0)
SMALL = {"hidden_layer_sizes": (9,), "random_state": 0, "device": "cpu"}
CROSS_ENTROPY = {"loss": "binary_cross_entropy", "numeric_scaling": "minmax"}


def rows_of(X):
    return RowDataset(X, mean=np.asarray(X.mean(axis=0), np.float64).ravel())


@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(2, **SMALL),
        AutoEncoderTransformer(2, init="random", **SMALL),
        AutoEncoderTransformer(2, numeric_scaling="standard", **SMALL),
        AutoEncoderTransformer(2, **CROSS_ENTROPY, **SMALL),
        VAETransformer(2, **SMALL),
    ],
    ids=str,
)
def test_thin_gradient_matches_the_dense_one(estimator):
    module = estimator.set_params(max_epochs=0).fit(X).module_.double().train()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.5, generator=make_generator(1))
    if estimator.init != "random":
        module.encoder.noise = 0.0
    flat = FlatParameters(module)
    step = fast_step(module, flat, "float32")
    assert step.takes_thin
    rows = rows_of(X)
    for indices in (np.arange(40), np.arange(40, 47)):
        x, batch = rows.gather_thin(indices)
        # In float64 from here on: rounded cells would not add up to the dense rows.
        x, empty, columns = x.double(), batch.empty.double(), batch.columns
        batch = ThinBatch(columns, x[:, columns] - empty[columns], empty)
        found, buffers = [], [(b, b.clone()) for b in module.buffers()]
        for inputs in (batch, x):
            module.use_generator(make_generator(2))  # of the code that is drawn
            loss, terms = step(inputs, x)
            found.append((loss, terms, flat.gradient.clone()))
            for buffer, value in buffers:  # a variance follows the batches
                buffer.copy_(value)
        (loss, terms, gradient), (expected, its_terms, its_gradient) = found
        assert loss == pytest.approx(expected, rel=1e-12)
        assert terms == pytest.approx(its_terms, rel=1e-12)
        # An entry near zero is a sum of larger ones.
        atol = 1e-12 * its_gradient.abs().max().item()
        torch.testing.assert_close(gradient, its_gradient, rtol=1e-9, atol=atol)


@pytest.mark.parametrize("n_draws", [7, 40, 1000])
def test_products_are_those_with_dense_inputs(monkeypatch, n_draws):
    monkeypatch.setattr(thin, "N_DRAWS", n_draws)
    generator = make_generator(0)

    def normal(*shape):
        return torch.empty(shape, dtype=torch.float64).normal_(generator=generator)

    columns = torch.tensor([2, 9, 33])
    inputs = ThinInputs(normal(40), columns, normal(5, 3)).noisy(0.3, generator)
    dense = inputs.rest.repeat(5, 1)
    dense[:, columns] += inputs.cells
    width = inputs.draws.shape[1]
    dense += inputs.draws[:, torch.arange(40) % width] * inputs.signs
    weight, bias, gradient = normal(4, 40), normal(4), normal(5, 4)
    torch.testing.assert_close(inputs.times(weight, bias), dense @ weight.t() + bias)
    of_weight = torch.empty_like(weight)
    inputs.transposed_times(gradient, of_weight)
    torch.testing.assert_close(of_weight, gradient.t() @ dense)


def test_noise_has_one_variance_and_no_correlation():
    generator = make_generator(0)
    none = torch.zeros(0, dtype=torch.int64)
    inputs = ThinInputs(torch.zeros(1500), none, torch.zeros(64, 0))
    eye, bias = torch.eye(1500)[[0, 1024, 3]], torch.zeros(3)
    drawn = [inputs.noisy(0.2, generator).times(eye, bias) for _ in range(300)]
    covariance = torch.cat(drawn).T.cov() / 0.2**2
    torch.testing.assert_close(covariance, torch.eye(3), atol=0.15, rtol=0)


def test_batches_are_thin_where_most_columns_are_empty():
    def is_thin(X, batch_size=64):
        return Batches(rows_of(X), np.arange(50), batch_size).is_thin

    assert is_thin(X)
    assert not is_thin(X, batch_size=512)  # hardly a column would be empty
    assert not is_thin(X[:, :500])
    full = np.ones(X.shape, np.float32)  # a sample alone fills all columns
    assert not is_thin(full, batch_size=1)
    assert not is_thin(sparse.csr_matrix(full), batch_size=1)
    assert not is_thin(X.toarray())


def test_thin_batches_are_what_dense_ones_are():
    rows = rows_of(X)
    batches = Batches(rows, np.arange(200), 64, make_generator(3))
    expected = [x for x, _ in batches]
    batches.gives_thin, batches.generator = True, make_generator(3)
    for (batch, target), x in zip(batches, expected, strict=True):
        torch.testing.assert_close(target, x, rtol=0, atol=0)
        dense = batch.empty.repeat(len(x), 1)
        dense[:, batch.columns] += batch.cells
        torch.testing.assert_close(dense, x)
        assert batch.shape == x.shape


def test_fits_use_thin_batches_where_they_can(monkeypatch):
    seen = []
    gather = RowDataset.gather_thin

    def noted(self, indices):
        seen.append(len(indices))
        return gather(self, indices)

    monkeypatch.setattr(RowDataset, "gather_thin", noted)
    fit = {"max_epochs": 1, "batch_size": 64, **SMALL}
    reducer = AutoEncoderTransformer(2, **fit).fit(X)
    assert seen == [64, 64, 52]
    assert np.isfinite(reducer.loss_curve_).all()
    # What is corrupted has no empty columns, and autograd takes tensors.
    DenoisingAutoEncoderTransformer(2, **fit).fit(X)
    network = MLP(hidden_layer_sizes=(9,), batch_norm=True)
    del fit["hidden_layer_sizes"]
    AutoEncoderTransformer(2, network=network, **fit).fit(X)
    assert len(seen) == 3
