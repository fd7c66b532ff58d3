"""`transform` and `inverse_transform` mean what the module's `encode` and `decode` do.

Each faster way is compared with them: numpy for few samples, buffers for a chunk and
for several, and columns, networks and objectives of every kind.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._inference import chunks
from sk_autoencoder._inference.errors import (
    row_errors,
    squared_errors,
    sums_of_squares,
)
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

DIGITS = load_digits().data[:150]
CHUNK = 40
SIZES = {"few": 3, "a chunk": 17, "chunks": 150}
SHORT = {"max_epochs": 2, "early_stopping": False, "random_state": 0}


def users_network():
    torch.manual_seed(0)
    return UserNetwork(
        torch.nn.Sequential(
            torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
        ),
        torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 64)
        ),
    )


def matrix(dtype):
    return DIGITS.astype(dtype)


def unit_interval(dtype):
    return (DIGITS / 16).astype(dtype)


def with_gaps(dtype):
    rows = DIGITS.astype(dtype)
    rows[::7, ::5] = np.nan
    return rows


def table(dtype):
    frame = pd.DataFrame(DIGITS[:, 18:22].astype(dtype), columns=list("abcd"))
    return frame.assign(e=pd.Categorical((DIGITS[:, 26] // 6).astype(int)))


NETWORKS = {
    "dense": MLP((12, 8)),
    "no hidden layer": MLP(()),
    "dropout and norm": MLP((12,), activation="relu", dropout=0.2, batch_norm=True),
    "convolutions": ConvNet((1, 8, 8), channels=(4,)),
    "recurrent": RecurrentNet((8, 8)),
    "user's": users_network(),
}
AE, DAE, VAE = (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
NUMBERS = {
    f"{kind.__name__}, {name}": (kind(3, network=network, **SHORT), matrix)
    for kind in (AE, DAE)
    for name, network in NETWORKS.items()
} | {
    f"VAE, {name}": (VAE(3, network=NETWORKS[name], **SHORT), matrix)
    for name in ("dense", "no hidden layer", "convolutions")
}
DENSE = {"hidden_layer_sizes": (12, 8), **SHORT}
OTHERS = {
    "random start": (AE(3, init="random", **DENSE), matrix),
    "whitened": (AE(3, whiten=True, **DENSE), matrix),
    "ordered": (AE(3, ordered=True, **DENSE), matrix),
    "truncated": (AE(4, ordered=True, whiten=True, **DENSE), matrix),
    "standard": (AE(3, numeric_scaling="standard", **DENSE), matrix),
    "minmax": (AE(3, numeric_scaling="minmax", **DENSE), matrix),
    "rank-gauss": (AE(3, numeric_scaling="rank_gauss", **DENSE), matrix),
    "cross-entropy": (AE(3, loss="binary_cross_entropy", **DENSE), unit_interval),
    "gaps": (AE(3, allow_missing=True, **DENSE), with_gaps),
    "table": (AE(3, **DENSE), table),
    "hidden": (DAE(features="hidden", **DENSE), matrix),
    "a hidden layer": (DAE(features="hidden", layers=[-1], **DENSE), matrix),
    "hidden of a table": (DAE(features="hidden", **DENSE), table),
    "bernoulli": (VAE(3, likelihood="bernoulli", **DENSE), unit_interval),
    "whitened density": (VAE(3, whiten=True, **DENSE), matrix),
    "density of a table": (VAE(2, **DENSE), table),
}
CASES = NUMBERS | OTHERS


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    estimator, rows = CASES[request.param]
    estimator = clone(estimator).fit(rows(np.float64))
    if request.param == "truncated":
        estimator = estimator.truncate(3)
    return estimator, rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES)
def test_every_faster_way_does_what_the_module_defines(fitted, n, dtype, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", CHUNK)
    estimator, rows = fitted
    X = rows(dtype)[:n]
    matrix = estimator._check_rows(X)
    module = in_dtype(estimator.module_, torch.from_numpy(matrix[:0]).dtype)
    close = {"rtol": 1e-12, "atol": 1e-12}
    if matrix.dtype == np.float32:
        close = {"rtol": 1e-5, "atol": 1e-5}
    with torch.inference_mode():
        codes = module.encode(torch.from_numpy(matrix))
        scale = codes.abs().max().item()
        close["atol"] *= scale
        found = chunks.apply_to_rows(type(module).encode, estimator.module_, matrix)
        np.testing.assert_allclose(found, codes, **close)
        found = estimator.transform(X)
        # Hidden features of a table are always float32.
        np.testing.assert_allclose(found, codes.numpy().astype(found.dtype), **close)
        if module.output_index is not None:
            return
        decoded = module.decode(codes).numpy()
        close["atol"] *= np.abs(decoded).max() / scale
        for name, given in {"decode": codes.numpy(), "reconstruct": matrix}.items():
            function = getattr(type(module), name)
            found = chunks.apply_to_rows(function, estimator.module_, given)
            np.testing.assert_allclose(found, decoded, **close)
    if estimator._table is None:  # else columns get their own values back
        found = estimator.inverse_transform(codes.numpy())
        np.testing.assert_allclose(found, decoded, **close)


@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES)
def test_errors_of_every_way_are_those_that_the_module_defines(fitted, n, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", CHUNK)
    estimator, rows = fitted
    matrix = np.array(estimator._check_rows(rows(np.float64)[:n]), np.float64)
    module = in_dtype(estimator.module_, torch.float64)
    with torch.inference_mode():
        X = torch.from_numpy(matrix)
        squares, targets = module.errors(X).square(), module.targets(X).square()
    expected = {
        squared_errors: module.columns.sum_by_column(squares),
        row_errors: squares.sum(dim=1),
        sums_of_squares: torch.stack([squares.sum(dim=1), targets.sum(dim=1)], dim=1),
    }
    for function, values in expected.items():
        found = chunks.apply_to_rows(function, estimator.module_, matrix)
        np.testing.assert_allclose(found, values, rtol=1e-12, atol=1e-12)


def test_codes_are_those_of_samples_in_steps(fitted):
    """Center, encode, mode, recoding, latent map, truncation: as it is defined."""
    estimator, rows = fitted
    X = torch.from_numpy(np.array(estimator._check_rows(rows(np.float64)), np.float64))
    module = in_dtype(estimator.module_, torch.float64)
    with torch.inference_mode():
        inputs = module.columns.encode(X - module.columns.mean)
        code = module.objective.mode(module.encoder(inputs))
        if module.recoder is not None:
            code = module.recoder(code)
        if module.latent_map.map is not None:
            latent_map = module.latent_map.map
            code = torch.from_numpy(code.numpy() - latent_map.offset)
            matrix = torch.from_numpy(latent_map.matrix)
            code = code * matrix if matrix.ndim == 1 else code @ matrix
        code = code[:, : module.n_kept]
        if module.output_index is not None:
            code = code[:, module.output_index]
        torch.testing.assert_close(module.encode(X), code, rtol=1e-12, atol=1e-12)
