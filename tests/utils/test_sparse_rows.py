"""Wide sparse rows: statistics and axes without a dense copy."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._training.batches import RowDataset
from sk_autoencoder._utils import pca, sparse_rows
from sk_autoencoder._utils.sparse_rows import OffsetRows


@pytest.fixture(autouse=True)
def no_size_is_small(monkeypatch):
    """Without it, matrices of a test's size are made dense."""
    monkeypatch.setattr(pca, "MOST_WORK", 0)


def thin(n_rows, n_columns, *, density=0.05, seed=0):
    generator = np.random.default_rng(seed)
    X = sparse.random(n_rows, n_columns, density, format="csr", random_state=seed)
    # Columns of unlike sizes, so that axes are told apart.
    scale = sparse.diags(generator.lognormal(0, 1, n_columns))
    return sparse.csr_matrix(X @ scale)


def start(k, **parameters):
    parameters.setdefault("hidden_layer_sizes", (2,))
    return AutoEncoderTransformer(k, max_epochs=0, random_state=0, **parameters)


def turned(found, expected):
    """Return rows turned to the sign that PCA gives them."""
    return found * np.sign(np.sum(found * expected, axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [(110, 250), (250, 110)])
@pytest.mark.parametrize("k", [3, 50])  # beyond a tenth of the axes all are found
def test_wide_sparse_rows_start_as_pca(shape, k):
    X = thin(*shape)
    exact = PCA(k, svd_solver="full").fit(X.toarray())
    reducer = start(k).fit(X)
    np.testing.assert_allclose(
        turned(reducer.components_, exact.components_), exact.components_, atol=1e-6
    )
    np.testing.assert_allclose(reducer.singular_values_, exact.singular_values_)
    np.testing.assert_allclose(
        reducer.explained_variance_ratio_, exact.explained_variance_ratio_, rtol=1e-9
    )
    np.testing.assert_allclose(
        reducer.noise_variance_, exact.noise_variance_, rtol=1e-9
    )
    codes, expected = reducer.transform(X[:50]).T, exact.transform(X[:50].toarray()).T
    np.testing.assert_allclose(turned(codes, expected), expected, atol=1e-6)


def test_standardized_sparse_rows_start_as_pca():
    X = thin(110, 200)
    dense = X.toarray()
    scaled = (dense - dense.mean(axis=0)) / np.where(dense.any(axis=0), dense.std(0), 1)
    exact = PCA(3, svd_solver="full").fit(scaled)
    reducer = start(3, numeric_scaling="standard").fit(X)
    codes, expected = reducer.transform(X[:50]).T, exact.transform(scaled[:50]).T
    np.testing.assert_allclose(turned(codes, expected), expected, atol=1e-6)


def test_nothing_is_made_dense_before_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("made dense")

    X = thin(110, 200)
    monkeypatch.setattr(sparse.csr_matrix, "toarray", refuse)
    monkeypatch.setattr(RowDataset, "gather", refuse)
    assert start(3).fit(X).fell_back_to_pca_


@pytest.mark.parametrize("rank", [0, 2])
def test_sparse_rows_of_few_ranks_have_no_further_axes(rank):
    left, right = thin(110, rank), thin(200, rank, seed=1)
    X = sparse.csr_matrix(left @ right.T)
    reducer = start(4).fit(X)
    assert np.count_nonzero(reducer.singular_values_ > 1e-9) == rank
    assert np.isfinite(reducer.transform(X[:5])).all()
    np.testing.assert_allclose(reducer.reconstruct(X[:5]), X[:5].toarray(), atol=1e-9)


def test_rows_that_are_far_from_zero_or_hardly_sparse_are_not_thin():
    X = thin(500, 400).tolil()
    mean, weight = np.zeros(400), np.ones(400)
    assert OffsetRows.of(X.tocsr(), mean, weight) is not None
    assert OffsetRows.of(X.toarray(), mean, weight) is None
    full = sparse.csr_matrix(np.ones((5, 5)))
    assert OffsetRows.of(full, np.zeros(5), np.ones(5)) is None
    # A column of seconds since 1970 would take all digits of the others.
    X[:, 0] = 1.8e9 + np.random.default_rng(0).normal(size=(500, 1))
    X = X.tocsr()
    assert OffsetRows.of(X, np.asarray(X.mean(axis=0)).ravel(), weight) is None


def test_axes_are_found_where_the_iteration_fails(monkeypatch):
    X = thin(300, 200)
    rows = OffsetRows.of(X, np.asarray(X.mean(axis=0)).ravel(), np.ones(200))
    squares, vectors = rows.axes(3, 0)

    def fail(*args, **kwargs):
        raise sparse_rows.ArpackError(-9999)

    monkeypatch.setattr(sparse_rows, "svds", fail)
    others, all_vectors = rows.axes(3, 0)
    np.testing.assert_allclose(np.sort(squares), others[-3:])
    expected = all_vectors[-3:]
    order = np.argsort(squares)
    np.testing.assert_allclose(turned(vectors[order], expected), expected, atol=1e-9)


# -- statistics ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_of_sparse_rows_are_those_of_dense_ones(dtype):
    dense = np.random.default_rng(0).normal(size=(40, 6)).astype(dtype)
    dense[np.abs(dense) < 1] = 0
    dense[:, 1], dense[:, 2] = 0, 3  # constant ones, empty and full
    dense[:, 3] = np.abs(dense[:, 3]) + 1
    found, expected = map(ColumnStatistics.of, (sparse.csr_array(dense), dense))
    assert found.n_rows == 40
    for name in ("mean", "squares", "spread"):
        values = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(*values, rtol=1e-12, err_msg=name)
    for name in ("low", "high", "varies"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_cells_that_are_stored_twice_count_as_their_sum():
    shape = (110, 200)
    X = thin(*shape)
    rows = np.repeat(np.arange(shape[0]), np.diff(X.indptr))
    cells = np.concatenate([X.data + 1, np.full(X.nnz, -1.0)])
    order = np.argsort(np.tile(rows, 2), kind="stable")
    doubled = sparse.csr_matrix(
        (cells[order], np.tile(X.indices, 2)[order], 2 * X.indptr), shape=shape
    )
    before = doubled.data.copy()
    reducer, expected = start(2).fit(doubled), start(2).fit(X)
    np.testing.assert_allclose(reducer.singular_values_, expected.singular_values_)
    np.testing.assert_allclose(reducer.transform(doubled), expected.transform(X))
    np.testing.assert_array_equal(doubled.data, before)
