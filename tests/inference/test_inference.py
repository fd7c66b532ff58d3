"""Rows in use: every layout, dtype and path gives the same codes, and `out` takes them.

A path is few rows (numpy), one chunk or several (torch); the tests make chunks small.
"""

import copy
import pickle
import tracemalloc

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from saved_files import peak, reset_peak
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_array
from torch import nn

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._columns import NumericColumns
from sk_autoencoder._inference import chunks as inference
from sk_autoencoder._inference.fast_few import FEW_ROWS
from sk_autoencoder._protocols import Network
from sk_autoencoder._utils import float64_buffers
from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder._utils.chunks import dense_rows

DIGITS = load_digits().data
X = DIGITS[:300]
CHUNK = 64
PATHS = {"few rows": 3, "a chunk": CHUNK, "chunks": 2 * CHUNK + 3}
# Without held-out rows nothing falls back to PCA: every network has its say.
SMALL = {
    "hidden_layer_sizes": (16, 12),
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_path = pytest.mark.parametrize("n", PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(inference, "CHUNK_ROWS", CHUNK)


@pytest.mark.parametrize(("cells", "n_rows"), [(10 * 64, 10), (1, 5)])
def test_chunks_of_wide_samples_have_fewer_rows(cells, n_rows, fitted, monkeypatch):
    heights = []

    def recorded(rows, part):
        heights.append(part.stop - part.start)
        return dense_rows(rows, part)

    expected = fitted.transform(X), fitted.score(X)
    monkeypatch.setattr(inference, "CHUNK_CELLS", cells)
    monkeypatch.setattr(inference, "LEAST_ROWS", 5)
    monkeypatch.setattr(inference, "dense_rows", recorded)
    for rows in (X, sparse.csr_array(X)):
        np.testing.assert_allclose(fitted.transform(rows), expected[0], atol=1e-9)
        assert fitted.score(rows) == pytest.approx(expected[1], rel=1e-12)
    assert set(heights) == {n_rows}


def test_wide_sparse_samples_take_little_memory(monkeypatch):
    monkeypatch.setattr(inference, "CHUNK_ROWS", 1024)
    n, d = 1000, 20_000
    rows = sparse.random(n, d, density=0.001, format="csr", random_state=0).astype("f4")
    params = {"hidden_layer_sizes": (8,), "max_epochs": 0, "random_state": 0}
    reducer = AutoEncoderTransformer(2, **params).fit(rows[:50])
    before = reset_peak()
    reducer.transform(rows)
    reducer.score(rows)
    assert peak() - before < 2 * 4 * n * d  # in one chunk six times as much as dense


@pytest.fixture(scope="module")
def fitted():
    """One that no test may change."""
    return AutoEncoderTransformer(4, **SMALL).fit(X)


@pytest.fixture
def own(fitted):
    """One that a test may change."""
    return copy.deepcopy(fitted)


class Strange(Network):
    """Parts that no fast path knows, among them one that writes to its input."""

    def build(self, *, n_inputs, n_encoder_outputs, n_components, n_outputs, generator):
        encoder = nn.Sequential(nn.PReLU(), nn.Linear(n_inputs, 12), nn.GELU("tanh"))
        encoder.append(nn.Sequential(nn.Softplus(), nn.Linear(12, n_encoder_outputs)))
        decoder = nn.Sequential(nn.Hardtanh(-99, 99, inplace=True))
        decoder.append(nn.Sequential(nn.Linear(n_components, 9, bias=False), nn.ELU(2)))
        decoder.append(nn.Linear(9, n_outputs))
        for part in [*encoder.modules(), *decoder.modules()]:
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.3, generator=generator)
        return encoder, decoder


class Unusual(Network):
    """Known parts, but for their parameters."""

    def build(self, *, n_inputs, n_encoder_outputs, n_components, n_outputs, generator):
        encoder = nn.Sequential(nn.Linear(n_inputs, 9), nn.GELU("tanh"))
        encoder.append(nn.Linear(9, n_encoder_outputs))
        decoder = nn.Sequential(nn.Linear(n_components, 9, bias=False), nn.ELU(2))
        decoder.append(nn.Linear(9, n_outputs))
        for part in [*encoder, *decoder]:
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.3, generator=generator)
        return encoder, decoder


ESTIMATORS = {
    **{
        activation: AutoEncoderTransformer(4, activation=activation, **SMALL)
        for activation in ACTIVATIONS
    },
    "random": AutoEncoderTransformer(4, init="random", **SMALL),
    "dropout": AutoEncoderTransformer(4, dropout=0.3, **SMALL),
    "norm": AutoEncoderTransformer(4, batch_norm=True, **SMALL),
    "linear": AutoEncoderTransformer(4, **{**SMALL, "hidden_layer_sizes": ()}),
    "white": AutoEncoderTransformer(4, whiten=True, **SMALL),
    "minmax": AutoEncoderTransformer(4, numeric_scaling="minmax", **SMALL),
    "entropy": AutoEncoderTransformer(
        4, loss="binary_cross_entropy", numeric_scaling="minmax", **SMALL
    ),
    "ordered": AutoEncoderTransformer(4, ordered=True, whiten=True, **SMALL),
    "strange": AutoEncoderTransformer(
        4, network=Strange(), max_epochs=2, early_stopping=False, random_state=0
    ),
    "strange, random": AutoEncoderTransformer(
        4, network=Strange(), init="random", max_epochs=2, random_state=0
    ),
    "unusual": AutoEncoderTransformer(
        4, network=Unusual(), max_epochs=2, early_stopping=False, random_state=0
    ),
    "denoising": DenoisingAutoEncoderTransformer(4, **SMALL),
    "hidden": DenoisingAutoEncoderTransformer(
        features="hidden", numeric_scaling="standard", **SMALL
    ),
    "density": VAETransformer(4, **SMALL),
    "bernoulli": VAETransformer(
        4, likelihood="bernoulli", numeric_scaling="minmax", **SMALL
    ),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def any_kind(request):
    """One of every kind; no test may change it."""
    return clone(ESTIMATORS[request.param]).fit(X)


class Undoing(nn.Module):
    """The inverse of a module, as a module."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, code):
        return self.module.inverse(code)


def by_module(estimator, rows, method):
    """What the torch module itself gives, in float64 but for its rounded statistics."""
    module = copy.deepcopy(estimator.module_).double()
    latent_map, x = module.latent_map, torch.from_numpy(rows.astype(np.float64))
    with torch.no_grad():
        if method == "encode":
            code = module.network_code(x - module.columns.mean)
            if latent_map.map is not None:
                code = code - latent_map.offset
                code = (
                    code * latent_map.matrix
                    if latent_map.matrix.ndim == 1
                    else code @ latent_map.matrix
                )
            return code[:, : module.n_kept]
        decoder = module.decoder
        if module.recoder is not None:
            decoder = nn.Sequential(Undoing(module.recoder), module.decoder)
        if latent_map.map is not None:
            j, back = x.shape[1], latent_map.inverse
            decoder = module.prefixes if j < latent_map.width else decoder
            x = x * back[:j] if back.ndim == 1 else x @ back[:j, :j]
            x = x + latent_map.offset[:j]
        return module.columns.decode(decoder(x))


# -- one answer on every path ---


@every_dtype
@every_path
def test_rows_get_what_the_torch_module_gives(any_kind, n, dtype):
    rows = X[:n].astype(dtype)
    codes = any_kind.transform(rows)
    assert codes.dtype == dtype
    close = {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(codes, by_module(any_kind, rows, "encode"), **close)
    found = any_kind.inverse_transform(codes)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, by_module(any_kind, codes, "decode"), **close)
    np.testing.assert_allclose(any_kind.reconstruct(rows), found, **close)


def test_a_row_has_the_same_code_on_every_path(any_kind):
    codes = any_kind.transform(X)
    rows = any_kind.inverse_transform(codes)
    np.testing.assert_array_equal(any_kind.transform(X), codes)
    for n in (1, FEW_ROWS, FEW_ROWS + 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
        for some in (slice(n), slice(300 - n, 300)):
            close = {"rtol": 1e-9, "atol": 1e-11}
            np.testing.assert_allclose(
                any_kind.transform(X[some]), codes[some], **close
            )
            decoded = any_kind.inverse_transform(codes[some])
            np.testing.assert_allclose(decoded, rows[some], **close)
            decoded = any_kind.reconstruct(X[some])
            np.testing.assert_allclose(decoded, rows[some], **close)


@every_path
@pytest.mark.parametrize("name", ["silu", "density", "bernoulli"])
def test_parts_of_a_start_from_pca_are_not_copied(name, n, monkeypatch):
    estimator = clone(ESTIMATORS[name]).fit(X)
    monkeypatch.setattr(float64_buffers.copy, "deepcopy", None)
    codes = estimator.transform(X[:n])
    assert estimator.inverse_transform(codes).shape == (n, X.shape[1])
    assert estimator.reconstruction_error(X[:n]).shape == (n,)
    assert estimator.reconstruction_error(X[:n], per_feature=True).shape == X[:n].shape
    if not isinstance(estimator, VAETransformer):
        assert np.isfinite(estimator.score(X[:n]))


def test_errors_and_score_are_those_of_the_reconstruction(any_kind):
    rows = DIGITS[300:500]
    errors = np.square(rows - any_kind.reconstruct(rows))
    cells = any_kind.reconstruction_error(rows, per_feature=True)
    np.testing.assert_allclose(cells, errors, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(any_kind.reconstruction_error(rows), errors.sum(axis=1))
    if not isinstance(any_kind, VAETransformer):
        total = np.square(rows - X.mean(axis=0)).sum()
        assert any_kind.score(rows) == pytest.approx(1 - errors.sum() / total)


@every_path
def test_prefixes_of_codes_are_decoded_on_every_path(n):
    ordered = clone(ESTIMATORS["ordered"]).fit(X)
    codes, three = ordered.transform(X), ordered.truncate(3)
    np.testing.assert_allclose(three.transform(X[:n]), codes[:n, :3], rtol=1e-9)
    rows = three.inverse_transform(codes[:, :3])
    found = ordered.inverse_transform(codes[:n, :3])
    np.testing.assert_allclose(found, rows[:n], rtol=1e-9, atol=1e-11)


@every_path
def test_float64_rows_are_centered_by_what_is_known_in_float64(n):
    """A mean rounded to float32 would be wrong by units."""
    reducer = AutoEncoderTransformer(4, **SMALL).fit(X + 1e8)
    plain = AutoEncoderTransformer(4, **SMALL).fit(X)
    rows = reducer.reconstruct(X[:n] + 1e8) - 1e8
    np.testing.assert_allclose(rows, plain.reconstruct(X[:n]), atol=1e-2)


@every_path
def test_columns_of_another_kind_are_called_as_they_are(own, n):
    class Other(NumericColumns):
        is_affine = False

        def encode(self, x):
            return 0.5 * super().encode(x)

        def decode(self, raw):
            return 0.5 * super().decode(raw)

    rows, before = X[:n], own.transform(X[:n])
    own.module_.columns.__class__ = Other
    codes = own.transform(rows)
    assert np.abs(codes - before).max() > 1
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(codes, by_module(own, rows, "encode"), **close)
    found = own.inverse_transform(codes)
    np.testing.assert_allclose(found, by_module(own, codes, "decode"), **close)
    np.testing.assert_allclose(own.reconstruct(rows), found, **close)
    assert np.isfinite(own.reconstruction_error(rows)).all()


@every_dtype
@every_path
def test_hooks_are_called(own, n, dtype):
    seen = []
    for part in (own.module_.encoder, own.module_.decoder.network[-1]):
        part.register_forward_hook(lambda part, x, y: seen.append(len(y)))
    expected = own.transform(X)
    seen.clear()
    codes = own.transform(X[:n].astype(dtype))
    assert sum(seen) == n
    np.testing.assert_allclose(codes, expected[:n], rtol=1e-3, atol=1e-3)
    own.inverse_transform(codes)
    assert sum(seen) == 2 * n


# -- every layout ---


def read_only(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


LAYOUTS = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "strided": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "columns of more": lambda rows: np.hstack([rows, rows])[:, : rows.shape[1]],
    "backwards": lambda rows: rows[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda rows: rows.astype(rows.dtype.newbyteorder(">")),
    "object": lambda rows: rows.astype(object),
    "list": lambda rows: rows.tolist(),
    "matrix of scipy": sparse.csr_matrix,
    "frame": pd.DataFrame,
}


@every_path
@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_matter(fitted, layout, dtype, n):
    rows = X[:n].astype(dtype)
    there = LAYOUTS[layout](rows)
    kept = layout not in ("big-endian", "object", "list")  # these become float64
    codes = fitted.transform(rows if kept else rows.astype(np.float64))
    np.testing.assert_array_equal(fitted.transform(there), codes)
    if layout == "matrix of scipy":
        there = rows
    error = fitted.reconstruction_error(rows if kept else rows.astype(np.float64))
    np.testing.assert_array_equal(fitted.reconstruction_error(there), error)
    layout = LAYOUTS[layout] if layout != "matrix of scipy" else np.asarray
    decoded = fitted.inverse_transform(codes)
    np.testing.assert_array_equal(fitted.inverse_transform(layout(codes)), decoded)


@every_path
@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8", "bool"])
def test_other_numbers_are_float64(fitted, dtype, n):
    rows = X[:n].astype(dtype)
    codes = fitted.transform(rows)
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes, fitted.transform(rows.astype(np.float64)))


def test_a_memory_map_is_read_in_place(fitted, tmp_path):
    np.save(tmp_path / "rows.npy", X.astype(np.float32))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected = fitted.transform(X.astype(np.float32))
    codes = fitted.transform(rows)
    assert type(codes) is np.ndarray
    np.testing.assert_array_equal(codes, expected)


@every_dtype
def test_the_callers_codes_are_never_written_to(dtype):
    reducer = clone(ESTIMATORS["strange, random"]).fit(X)
    codes = np.full((CHUNK + 1, 4), 1000, dtype=dtype)  # the decoder clips in place
    reducer.inverse_transform(codes)
    reducer.inverse_transform(codes[:2])
    assert (codes == 1000).all()


# -- out ---


def some_out(kind, shape, dtype, folder):
    if kind == "memory map":
        path = folder / f"{len(list(folder.iterdir()))}.dat"
        return np.memmap(path, dtype=dtype, mode="w+", shape=shape)
    if kind == "Fortran":
        return np.full(shape, np.nan, dtype, order="F")
    if kind == "strided":
        return np.full((2 * shape[0], shape[1] + 1), np.nan, dtype)[::2, 1:]
    return np.full(shape, np.nan, dtype)


@every_path
@every_dtype
@pytest.mark.parametrize("kind", ["array", "memory map", "Fortran", "strided"])
@pytest.mark.parametrize("width", ["float16", "float32", "float64"])
def test_out_takes_the_result(fitted, kind, width, dtype, n, tmp_path):
    rows = X[:n].astype(dtype)
    codes = fitted.transform(rows)
    out = some_out(kind, codes.shape, width, tmp_path)
    assert fitted.transform(rows, out=out) is out
    np.testing.assert_array_equal(out, codes.astype(width))
    decoded = fitted.inverse_transform(codes)
    out = some_out(kind, decoded.shape, width, tmp_path)
    assert fitted.inverse_transform(codes, out=out) is out
    np.testing.assert_array_equal(out, decoded.astype(width))


def test_out_takes_the_result_of_any_rows_and_any_kind(any_kind):
    codes = any_kind.transform(X)
    out = np.empty_like(codes)
    for rows in (X.tolist(), sparse.csr_array(X), pd.DataFrame(X)):
        out.fill(np.nan)
        assert any_kind.transform(rows, out=out) is out
        np.testing.assert_array_equal(out, codes)
    rows = np.empty_like(X)
    any_kind.inverse_transform(codes.tolist(), out=rows)
    np.testing.assert_array_equal(rows, any_kind.inverse_transform(codes))


def test_rows_stream_from_a_file_to_a_file(fitted, tmp_path):
    """Beside the two files there is memory for some chunks only."""
    shape = (40_000, 64)
    rows = np.memmap(tmp_path / "rows", dtype=np.uint8, mode="w+", shape=shape)
    rows[:] = np.resize(X, shape)
    rows.flush()
    rows = np.memmap(tmp_path / "rows", dtype=np.uint8, mode="r", shape=shape)
    codes = np.memmap(tmp_path / "codes", dtype="f2", mode="w+", shape=(40_000, 4))
    back = np.memmap(tmp_path / "back", dtype="f4", mode="w+", shape=shape)
    tracemalloc.start()
    fitted.transform(rows, out=codes)
    fitted.inverse_transform(codes, out=back)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows.nbytes / 5
    expected = fitted.transform(X[:5]).astype("f2")
    np.testing.assert_array_equal(codes[:5], expected)
    np.testing.assert_allclose(back[:5], fitted.inverse_transform(expected), rtol=1e-6)


OUT = np.zeros((300, 4))
BAD_OUT = {
    "a list": (OUT.tolist(), TypeError, "expected an ndarray .* of type list"),
    "ints": (OUT.astype(int), TypeError, "float64, got out.dtype=int64"),
    "shape": (OUT[:9], ValueError, r"shape \(300, 4\), .* got out.shape=\(9, 4\)"),
    "flat": (OUT[:, 0], ValueError, r"shape \(300, 4\), .* got out.shape=\(300,\)"),
    "read-only": (read_only(OUT), ValueError, "got out.flags.writeable=False"),
}


@pytest.mark.parametrize("bad", BAD_OUT)
def test_an_out_that_cannot_take_the_result_is_refused(fitted, bad):
    out, error, message = BAD_OUT[bad]
    before = copy.deepcopy(out)
    with pytest.raises(error, match=message):
        fitted.transform(X, out=out)
    np.testing.assert_array_equal(out, before)
    square = X[:, :4]  # is rows to one and codes to the other
    reducer = AutoEncoderTransformer(3, max_epochs=0).fit(square)
    with pytest.raises(error, match=message):
        reducer.inverse_transform(square[:, :3], out=out)
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_out_and_set_output_are_refused_together(fitted, own, kind):
    codes = own.transform(X)
    own.set_output(transform=kind)
    message = rf"got both out and set_output\(transform='{kind}'\). Pass out=None, or"
    with pytest.raises(ValueError, match=message):
        own.transform(X, out=np.empty((300, 4)))
    with pytest.raises(ValueError, match=message):
        own.inverse_transform(codes, out=np.empty((300, 64)))
    own.set_output(transform="default").transform(X, out=np.empty((300, 4)))
    with (
        sklearn.config_context(transform_output=kind),
        pytest.raises(ValueError, match=message),
    ):
        fitted.transform(X, out=np.empty((300, 4)))


def test_an_out_within_the_rows_is_refused(fitted):
    both = np.hstack([X, X])
    with pytest.raises(ValueError, match="shares memory with X"):
        fitted.transform(both[:, :64], out=both[:, 62:66])
    fitted.transform(both[:, :64], out=both[:, 64:68])  # beside them it may be
    np.testing.assert_array_equal(both[:, 64:68], fitted.transform(X))


def test_out_is_no_metadata(fitted):
    assert not hasattr(fitted, "set_transform_request")
    assert not hasattr(fitted, "set_inverse_transform_request")
    routing = fitted.get_metadata_routing()
    assert routing.transform.requests == {}
    assert routing.inverse_transform.requests == {}
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(clone(fitted)).fit(X)
        np.testing.assert_array_equal(pipe.transform(X), fitted.transform(X))


@pytest.mark.parametrize("n", [3, CHUNK, 200])
def test_a_number_too_large_for_float16_is_told(fitted, n):
    out = np.empty((n, 4), "float16")
    with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):
        fitted.transform(X[:n] * 1e5, out=out)


# -- bad rows ---


A_PCA = PCA(4).fit(X)
METHODS = {
    "transform": DIGITS,
    "inverse_transform": DIGITS[:, :4],
    "reconstruct": DIGITS,
    "reconstruction_error": DIGITS,
    "score": DIGITS,
}


@every_dtype
@every_path
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_a_number_that_is_not_finite_is_refused_as_elsewhere(
    fitted, method, value, n, dtype
):
    rows = METHODS[method][:n].astype(dtype)
    rows[-1, 2] = value
    # By scikit-learn's words; of missing cells in rows the advice is ours, as in fit.
    if method == "inverse_transform":
        theirs = check_array
    else:
        theirs = AutoEncoderTransformer().fit if np.isnan(value) else A_PCA.transform
    with pytest.raises(ValueError, match="Input") as expected:
        theirs(rows if len(rows) > 1 else np.vstack([rows, rows]))
    with pytest.raises(ValueError, match="Input") as got:
        getattr(fitted, method)(rows)
    ours = str(got.value).replace("AutoEncoderTransformer", "PCA")
    assert ours == str(expected.value)


def test_what_came_before_the_bad_number_is_written(fitted):
    rows = X.copy()
    rows[2 * CHUNK + 5, 0] = np.nan
    out = np.full((300, 4), -1.0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fitted.transform(rows, out=out)
    expected = fitted.transform(X)[: 2 * CHUNK]
    np.testing.assert_array_equal(out[: 2 * CHUNK], expected)
    assert (out[2 * CHUNK :] == -1).all()


@every_path
def test_large_numbers_are_not_taken_for_infinite(fitted, n):
    rows = np.full((n, 64), 3e37, dtype=np.float32)  # their sum is infinite
    assert np.isfinite(fitted.transform(rows)).any()
    rows[-1, -1] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        fitted.transform(rows)


@every_path
def test_numbers_are_not_looked_at_if_all_are_assumed_finite(fitted, n):
    rows = X[:n].copy()
    rows[0, 0] = np.nan
    with sklearn.config_context(assume_finite=True):
        codes = fitted.transform(rows)
    assert np.isnan(codes[0]).any()
    np.testing.assert_allclose(codes[1:], fitted.transform(X[1:n]), rtol=1e-9)


@every_path
def test_what_else_can_be_wrong_with_rows_is_found(fitted, n):
    with pytest.raises(ValueError, match="X has 63 features, but"):
        fitted.transform(X[:n, :63])
    with pytest.raises(ValueError, match="Complex data not supported"):
        fitted.transform(X[:n].astype(complex))
    with pytest.raises(ValueError, match="Expected 2D array"):
        fitted.transform(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        fitted.transform(X[:0])
    with pytest.raises(ValueError, match="n_components_=4 columns, got X with 5"):
        fitted.inverse_transform(X[:n, :5])
    with pytest.raises(TypeError, match=r"np\.matrix is not supported"):
        fitted.transform(X[:n].view(np.matrix))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(fitted).transform(X[:n])


@every_path
def test_names_that_are_missing_are_warned_of(n):
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(64)])
    reducer = AutoEncoderTransformer(4, **SMALL).fit(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        codes = reducer.transform(X[:n])
    np.testing.assert_array_equal(codes, reducer.transform(frame[:n]))
    with pytest.raises(ValueError, match="feature names"):
        reducer.transform(frame[:n].rename(columns={"c0": "d0"}))


# -- nothing is kept, nothing is left changed ---


def in_place(estimator):
    with torch.no_grad():
        for weight in estimator.module_.parameters():
            weight.add_(0.1)


def behind_torchs_back(estimator):
    for weight in estimator.module_.parameters():
        weight.data.mul_(1.5)


def load(estimator):
    other = clone(estimator).set_params(random_state=5, init="random")
    other.fit(X + 3)
    weights = {
        name: 2 * value for name, value in estimator.module_.state_dict().items()
    }
    weights.update(
        (name, value)
        for name, value in other.module_.state_dict().items()
        if "mean" in name
    )
    estimator.module_.load_state_dict(weights)


def replace_part(estimator):
    estimator.module_.encoder.network[1] = nn.Tanh()
    estimator.module_.decoder.network[1] = nn.Tanh()


def train_on(estimator):
    estimator.partial_fit(X * 2)


def train_by_skorch(estimator):
    estimator.net_.partial_fit(X[:99].astype(np.float32) * 2, None, epochs=1)


def fit_warm(estimator):
    estimator.set_params(warm_start=True).fit(X)


CHANGES = [
    in_place,
    behind_torchs_back,
    load,
    replace_part,
    train_on,
    train_by_skorch,
    fit_warm,
]


@every_path
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_of_the_weights_is_missed(own, change, n):
    rows = X[:n]
    before, codes = own.reconstruct(rows), own.transform(rows)
    change(own)
    own.module_.eval()
    after = own.reconstruct(rows)
    assert np.abs(after - before).max() > 1e-3
    close = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(own.reconstruct(rows.astype("f4")), after, **close)
    np.testing.assert_allclose(
        own.transform(rows), by_module(own, rows, "encode"), **close
    )
    np.testing.assert_allclose(
        own.inverse_transform(codes), by_module(own, codes, "decode"), **close
    )


def test_using_an_estimator_leaves_it_as_it_was(any_kind):
    fresh = clone(any_kind).fit(X)
    before, size = dict(vars(fresh)), len(pickle.dumps(fresh))
    state = {k: v.clone() for k, v in fresh.module_.state_dict().items()}
    for rows in (X, X[:2], X.astype(np.float32)):
        fresh.inverse_transform(fresh.transform(rows))
        fresh.score(rows)
    assert vars(fresh) == before
    assert len(pickle.dumps(fresh)) == size
    for name, value in fresh.module_.state_dict().items():
        assert torch.equal(value, state[name]), name
    for again in (copy.deepcopy(any_kind), pickle.loads(pickle.dumps(any_kind))):
        np.testing.assert_array_equal(again.transform(X), any_kind.transform(X))


def test_one_loaded_as_a_memory_map_is_used_alike(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model")
    again = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(again.reconstruct(X[:2]), fitted.reconstruct(X[:2]))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("below", "threads"), [(1e8, 1), (1e3, 2)])
def test_small_networks_take_one_thread_and_give_the_others_back(
    own, monkeypatch, below, threads
):
    monkeypatch.setattr(inference, "ONE_THREAD_BELOW", below)
    monkeypatch.setattr("sk_autoencoder._utils.threads.ONE_THREAD_BELOW", below)
    expected = own.transform(X)
    seen = []
    own.module_.encoder.register_forward_hook(
        lambda part, x, y: seen.append((torch.get_num_threads(), len(y)))
    )
    np.testing.assert_allclose(own.transform(X), expected, rtol=1e-9)
    assert {n for n, _ in seen} == {threads}
    assert seen[0][1] == threads * CHUNK // 2
    assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="NaN"):
        own.transform(np.vstack([X, np.full((1, 64), np.nan)]))
    assert torch.get_num_threads() == 2
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@every_path
def test_results_can_be_written_to_and_are_new(fitted, n):
    first = fitted.transform(X[:n])
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(fitted.transform(X[:n]), kept)
    assert first.flags.c_contiguous
    assert first.flags.owndata
