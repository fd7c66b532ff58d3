"""Contributions add up to the code, and name the features that make it."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import ConvNet, RecurrentNet, UserNetwork

X = load_digits().data
SHORT = {"max_epochs": 3, "random_state": 0}
SMOOTH, CORNERS = 1e-6, 1e-3


def frame():
    table = pd.DataFrame(X[:, [10, 20, 30]], columns=["a", "b", "c"])
    table.loc[::5, "b"] = np.nan
    table["third"] = pd.Categorical(np.array(list("xyz"))[load_digits().target % 3])
    table["high"] = load_digits().target > 4
    table["always"] = 1.0
    return table


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        (AutoEncoderTransformer(4), SMOOTH),
        (AutoEncoderTransformer(4, whiten=True, activation="tanh"), SMOOTH),
        (AutoEncoderTransformer(4, ordered=True, activation="gelu"), SMOOTH),
        (AutoEncoderTransformer(4, init="random"), SMOOTH),
        (AutoEncoderTransformer(4, loss="binary_cross_entropy"), SMOOTH),
        (AutoEncoderTransformer(4, batch_norm=True, dropout=0.1), SMOOTH),
        (DenoisingAutoEncoderTransformer(4, numeric_scaling="standard"), SMOOTH),
        (VAETransformer(4, whiten=True), SMOOTH),
        (VAETransformer(4), SMOOTH),
        (AutoEncoderTransformer(4, network=ConvNet((1, 8, 8), (4, 8))), SMOOTH),
        (AutoEncoderTransformer(4, network=RecurrentNet((8, 8))), SMOOTH),
        (AutoEncoderTransformer(4, activation="relu"), CORNERS),
        (AutoEncoderTransformer(4, activation="elu"), SMOOTH),
    ],
    ids=str,
)
def test_contributions_add_up(model, bound):
    pixels = X / 16
    model.set_params(**SHORT).fit(pixels)
    some = pixels[:20]
    parts, remainder = model.contributions(some, return_remainder=True)
    moved = model.transform(some) - model.mean_code_
    size = np.abs(moved).max(axis=1)
    assert parts.shape == (20, 4, 64)
    assert (np.abs(parts.sum(axis=2) - moved).max(axis=1) <= bound * size).all()
    np.testing.assert_allclose(remainder, moved - parts.sum(axis=2), atol=1e-12)
    np.testing.assert_array_equal(model.contributions(some), parts)


def test_contributions_to_a_linear_code_are_products():
    model = AutoEncoderTransformer(4, max_epochs=0).fit(X)
    expected = (X[:9, np.newaxis] - X.mean(axis=0)) * model.components_
    np.testing.assert_allclose(model.contributions(X[:9]), expected, atol=1e-12)


def test_contributions_are_integrals_of_gradients():
    model = AutoEncoderTransformer(3, **SHORT).fit(X)
    nodes, step = (np.arange(2000) + 0.5) / 2000, 1e-4
    mean, sample = X.mean(axis=0), X[3]
    line = mean + nodes[:, np.newaxis] * (sample - mean)
    for feature in (20, 36):
        shift = np.zeros(64)
        shift[feature] = step
        slopes = (model.transform(line + shift) - model.transform(line - shift)) / (
            2 * step
        )
        expected = slopes.mean(axis=0) * (sample - mean)[feature]
        found = model.contributions(sample[np.newaxis])[0, :, feature]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


class Planted(torch.nn.Module):
    """Twenty components, each a curve through three columns of its own."""

    def __init__(self, columns, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn((len(columns), columns.shape[1], 8), generator=generator)
        self.weights = torch.nn.Parameter(weights)
        self.columns = columns

    def forward(self, x):
        hidden = torch.einsum("nkc,kch->nkh", x[:, self.columns], self.weights)
        return torch.tanh(hidden).sum(dim=2) + 0.3 * hidden.sum(dim=2)


def test_planted_features_rank_first():
    first, n_sets, k = 0, 10, 20
    rng = np.random.default_rng(0)
    for seed in range(n_sets):
        data = rng.normal(size=(40, 70))
        columns = rng.permuted(np.tile(np.arange(70), (k, 1)), axis=1)[:, :3]
        network = UserNetwork(
            Planted(torch.from_numpy(columns), seed), torch.nn.Linear(k, 70)
        )
        model = AutoEncoderTransformer(
            k, network=network, max_epochs=0, early_stopping=False
        ).fit(data)
        size = np.abs(model.contributions(data)).mean(axis=0)
        strongest = np.argsort(-size, axis=1)[:, :3]
        first += sum(
            set(found) == set(own)
            for found, own in zip(strongest.tolist(), columns.tolist(), strict=True)
        )
    assert first >= 0.95 * n_sets * k


def test_columns_of_tables_count_as_one():
    table = frame()
    model = AutoEncoderTransformer(2, allow_missing=True, **SHORT).fit(table)
    parts = model.contributions(table[:30])
    assert parts.shape == (30, 2, 6)
    assert (parts[..., 5] == 0).all()
    moved = model.transform(table[:30]) - model.mean_code_
    np.testing.assert_allclose(parts.sum(axis=2), moved, atol=1e-5)
    # A missing cell is at its mean, but the network is told that it is missing.
    assert (np.abs(parts[0, :, 1]) > 0).any()
    assert model.local_components(table[:30]).shape == (30, 2, 7)


def test_local_components_are_slopes_at_the_samples():
    model = AutoEncoderTransformer(3, **SHORT).fit(X)
    codes, step = model.transform(X[:4]), 1e-3
    found = model.local_components(X[:4])
    for i in range(3):
        shift = step * np.eye(3)[i]
        both = (model.inverse_transform(codes + s) for s in (shift, -shift))
        slope = np.subtract(*both) / (2 * step)
        np.testing.assert_allclose(found[:, i], slope, atol=1e-6)
    mean = model.mean_[np.newaxis]
    np.testing.assert_allclose(model.local_components(mean)[0], model.components_)


def test_contributions_stream_to_out(tmp_path):
    model = AutoEncoderTransformer(2, **SHORT).fit(X)
    out = np.memmap(tmp_path / "parts", np.float32, "w+", shape=(1797, 2, 64))
    assert model.contributions(X, out=out) is out
    some = model.contributions(X[700:705])
    np.testing.assert_allclose(out[700:705], some, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"expected out of shape \(5, 2, 64\)"):
        model.contributions(X[:5], out=np.empty((5, 2, 63)))


def test_containers_and_dtypes():
    narrow = X[:50].astype(np.float32)
    model = AutoEncoderTransformer(2, **SHORT).fit(X)
    wide = model.contributions(X[:50])
    assert model.contributions(narrow).dtype == np.float32
    np.testing.assert_allclose(model.contributions(narrow), wide, atol=1e-4)
    np.testing.assert_allclose(model.contributions(sparse.csr_matrix(X[:50])), wide)
    np.testing.assert_allclose(model.contributions(X[7:8]), wide[7:8], atol=1e-9)
    named = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
    other = AutoEncoderTransformer(2, **SHORT).set_output(transform="pandas")
    parts = other.fit(named).contributions(named[:50])
    assert isinstance(parts, np.ndarray)
    np.testing.assert_allclose(parts, wide)
    streamed = AutoEncoderTransformer(2, random_state=0).partial_fit(X)
    assert streamed.contributions(X[:5]).shape == (5, 2, 64)
    with pytest.raises(ValueError, match="NaN"):
        model.contributions(np.full((1, 64), np.nan))


def test_images_are_flat():
    images = X.reshape(-1, 8, 8)
    model = AutoEncoderTransformer(2, network=ConvNet((1, 8, 8), (4, 8)), **SHORT)
    model.fit(images)
    assert model.contributions(images[:3]).shape == (3, 2, 64)
    assert model.local_components(images[:3]).shape == (3, 2, 64)


class Detached(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 2)

    def forward(self, x):
        with torch.no_grad():
            return self.layer(x)


class Steps(torch.nn.Module):
    """Codes that jump, beside slopes that do not tell."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 2)

    def forward(self, x):
        y = self.layer(x)
        return y + torch.sign(y)


@pytest.mark.parametrize("encoder", [Detached, Steps])
def test_codes_without_slopes_are_refused(encoder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UserNetwork(encoder(), torch.nn.Linear(2, 64))
    model = AutoEncoderTransformer(
        2, network=network, early_stopping=False, **SHORT
    ).fit(X)
    # So many that some jump on the way from the mean sample.
    rows = X[:50]
    with pytest.raises(ValueError, match="expected a network whose code follows"):
        model.contributions(rows)
    parts, remainder = model.contributions(rows, return_remainder=True)
    moved = model.transform(rows) - model.mean_code_
    np.testing.assert_allclose(parts.sum(axis=2) + remainder, moved)
    assert np.abs(remainder).max() > 0.1
