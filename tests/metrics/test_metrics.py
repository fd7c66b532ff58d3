"""Explained variance, against PCA's own figures and cases computed by hand."""

import ast
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, KernelPCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    metrics,
)
from sk_autoencoder.metrics import explained_variance_ratio, reconstruction_scorer


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Seven rows of ten columns a chunk, so that small data have many chunks."""
    monkeypatch.setattr(metrics, "_CHUNK_SIZE", 7 * 10)


def by_definition(X, X_reconstructed, mean=None):
    mean = X.mean(axis=0) if mean is None else mean
    return 1 - ((X - X_reconstructed) ** 2).sum() / ((X - mean) ** 2).sum()


# --------------------------------------------------------- explained_variance_ratio


@pytest.mark.parametrize("n_components", [1, 10, 64])
def test_equals_what_pca_reports_of_its_training_rows(digits, n_components):
    pca = PCA(n_components).fit(digits)
    reconstructed = pca.inverse_transform(pca.transform(digits))
    assert explained_variance_ratio(digits, reconstructed) == pytest.approx(
        pca.explained_variance_ratio_.sum(), abs=1e-12
    )


@pytest.mark.parametrize(
    ("reconstructed", "mean", "expected"),
    [
        # SST around the mean (2, 10) is 4 + 4 + 100 + 100 = 208.
        ([[0, 0], [4, 20]], None, 1.0),
        ([[2, 10], [2, 10]], None, 0.0),
        ([[0, 0], [4, 18]], None, 1 - 4 / 208),
        ([[4, 20], [0, 0]], None, 1 - (2 * 16 + 2 * 400) / 208),
        # SST around (0, 0) is 16 + 400 = 416.
        ([[0, 0], [4, 18]], [0, 0], 1 - 4 / 416),
    ],
)
def test_cases_by_hand(reconstructed, mean, expected):
    value = explained_variance_ratio([[0, 0], [4, 20]], reconstructed, mean=mean)
    assert type(value) is float
    assert value == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e8, 1e-300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_variance(constant, dtype):
    # 0.1 ten times is not 1.0: a mean by plain summing would differ from the rows.
    X = np.full((10, 3), constant, dtype)
    assert explained_variance_ratio(X, X) == 1.0
    assert explained_variance_ratio(X, X, mean=X[0]) == 1.0
    assert explained_variance_ratio(X, X + dtype(1e4)) == 0.0


def test_no_variance_and_an_error_of_rounding():
    X = np.full((10, 3), 0.1)
    assert explained_variance_ratio(X, np.nextafter(X, 1)) == 1.0
    assert explained_variance_ratio(X, X + 1e-9) == 0.0


@pytest.mark.usefixtures("tiny_chunks")
def test_no_variance_in_many_chunks():
    # Thousands of partial sums of 0.1, each rounded, would give a mean beside 0.1.
    X = np.full((20_000, 10), 0.1)
    assert explained_variance_ratio(X, X + 1e-9) == 0.0


def test_small_variance_beside_large_values_is_still_variance():
    rng = np.random.default_rng(0)
    X = 1e6 + 1e-3 * rng.normal(size=(500, 3))
    assert explained_variance_ratio(X, np.tile(X.mean(axis=0), (500, 1))) == (
        pytest.approx(0.0, abs=1e-6)
    )
    # A constant column of any size leaves a small one its say.
    wide = np.column_stack([np.full(500, 1e15), X[:, 0] - 1e6])
    half = wide.copy()
    half[:, 1] /= 2
    expected = by_definition(wide[:, 1:], half[:, 1:])
    assert explained_variance_ratio(wide, half) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("power", [-1000, -600, -80, 0, 80, 600, 1000])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_sums_neither_overflow_nor_vanish(digits, convert, power):
    X = digits[:300]
    mean = X.mean(axis=0)
    ratio = explained_variance_ratio(X, np.round(X, -1), mean=mean)
    c = 2.0**power
    scaled = convert(X * c), convert(np.round(X, -1) * c)
    assert explained_variance_ratio(*scaled, mean=mean * c) == ratio
    assert explained_variance_ratio(*scaled) == pytest.approx(ratio)


def test_one_column_counts_by_its_variance():
    X = np.array([[0.0, 0.0], [1.0, 100.0]])
    lost_small, lost_large = X.copy(), X.copy()
    lost_small[:, 0], lost_large[:, 1] = 0.5, 50.0
    assert explained_variance_ratio(X, lost_small) == pytest.approx(1 - 1 / 10001)
    assert explained_variance_ratio(X, lost_large) == pytest.approx(1 - 10000 / 10001)


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.asfortranarray,
        np.ndarray.tolist,
        pd.DataFrame,
        lambda X: pl.DataFrame(X, schema=[f"c{i}" for i in range(X.shape[1])]),
        sparse.csr_array,
        sparse.csc_matrix,
        sparse.coo_array,
    ],
)
@pytest.mark.parametrize("n_rows", [1 + 7, 2 * 7, 50])
def test_containers_and_chunks(convert, n_rows):
    rng = np.random.default_rng(n_rows)
    X = rng.normal(size=(n_rows, 10)) * (rng.random((n_rows, 10)) < 0.5) + 0.0
    reconstructed = X + 0.1 * rng.normal(size=X.shape)
    expected = by_definition(X, reconstructed)
    assert explained_variance_ratio(convert(X), reconstructed) == pytest.approx(
        expected
    )
    assert explained_variance_ratio(convert(X), convert(reconstructed)) == (
        pytest.approx(expected)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8, bool])
def test_sums_are_in_double_precision(dtype):
    # In the dtype's own arithmetic bytes overflow, bools cannot be subtracted and
    # float32 is off in the sixth digit.
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2 if dtype is bool else 100, size=(20_000, 5)).astype(dtype)
    reconstructed = np.roll(X, 1, axis=0)
    expected = by_definition(X.astype(float), reconstructed.astype(float))
    value = explained_variance_ratio(X, reconstructed)
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [np.ascontiguousarray, sparse.csr_array])
def test_memory_stays_small(make):
    X = make(np.eye(2_000, dtype=np.float32))
    reconstructed = X * np.float32(0.5)
    tracemalloc.start()
    value = explained_variance_ratio(X, reconstructed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value == pytest.approx(1 - 0.25 * 2_000 / (2_000 - 1))
    # Dense in double precision it is 32 MB, and there are two of them.
    assert peak < 6 * 8 * metrics._CHUNK_SIZE


def test_input_is_not_written_to():
    X = np.arange(12.0).reshape(4, 3)
    X.flags.writeable = False
    explained_variance_ratio(X, X, mean=X[0])
    np.testing.assert_array_equal(X, np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize(
    ("X", "reconstructed", "mean", "message"),
    [
        (
            np.zeros((3, 2)),
            np.zeros((3, 1)),
            None,
            "expected X_reconstructed of shape (3, 2), the shape of X, got "
            "X_reconstructed of shape (3, 1). Pass the reconstruction of the same "
            "rows, with all of their columns.",
        ),
        (
            np.zeros((3, 2)),
            np.zeros((2, 2)),
            None,
            "expected X_reconstructed of shape (3, 2), the shape of X, got "
            "X_reconstructed of shape (2, 2). Pass the reconstruction of the same "
            "rows, with all of their columns.",
        ),
        (
            np.zeros((3, 2)),
            np.zeros((3, 2)),
            [0.0, 0.0, 0.0],
            "expected mean of shape (2,), one value for each column of X, got mean of "
            "shape (3,). Pass the training mean, such as PCA's mean_, or None for the "
            "mean of the rows given.",
        ),
        (
            np.zeros((3, 2)),
            np.zeros((3, 2)),
            [[0.0, 0.0]],
            "expected mean of shape (2,), one value for each column of X, got mean of "
            "shape (1, 2). Pass the training mean, such as PCA's mean_, or None for "
            "the mean of the rows given.",
        ),
    ],
)
def test_shapes_that_do_not_fit(X, reconstructed, mean, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        explained_variance_ratio(X, reconstructed, mean=mean)


@pytest.mark.parametrize("mean", [None, [-1e308]])
def test_ranges_that_no_number_holds_are_refused(mean):
    X = np.array([[1e308], [-1e308], [1e308]])
    with pytest.raises(ValueError, match=r"fit float64, .* -1e\+308 to 1e\+308"):
        explained_variance_ratio(X, -X, mean=mean)


@pytest.mark.parametrize("place", ["X", "X_reconstructed", "mean"])
def test_nan_is_refused_by_name(place):
    arguments = {"X": np.eye(2), "X_reconstructed": np.eye(2), "mean": np.zeros(2)}
    arguments[place] = arguments[place] * np.nan
    with pytest.raises(ValueError, match=rf"^Input {place} contains NaN\."):
        explained_variance_ratio(**arguments)


# ------------------------------------------------------------ reconstruction_scorer


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize(
    "reducer",
    [
        PCA(3),
        KernelPCA(3, kernel="rbf", fit_inverse_transform=True),
        TruncatedSVD(3, random_state=0),
        make_pipeline(StandardScaler(), PCA(3)),
        make_pipeline(MinMaxScaler(), StandardScaler(), TruncatedSVD(3)),
        PCA(3).set_output(transform="pandas"),
        PCA(3).set_output(transform="polars"),
        AutoEncoderTransformer(3, max_epochs=2, random_state=0),
        DenoisingAutoEncoderTransformer(
            features="hidden", max_epochs=2, random_state=0
        ),
        VAETransformer(3, max_epochs=2, random_state=0),
        make_pipeline(
            StandardScaler(), AutoEncoderTransformer(3, max_epochs=2, random_state=0)
        ),
    ],
    ids=lambda reducer: type(reducer).__name__,
)
def test_scores_anything_that_goes_there_and_back(reducer):
    X = np.random.default_rng(0).normal(size=(60, 10))
    reducer.fit(X[:40])
    expected = by_definition(
        X[40:], np.asarray(reducer.inverse_transform(reducer.transform(X[40:])))
    )
    score = reconstruction_scorer(reducer, X[40:])
    assert type(score) is float
    assert score == pytest.approx(expected, rel=1e-9)
    assert score == reconstruction_scorer(reducer, X[40:], y=np.zeros(20))


def test_one_search_ranks_pca_and_the_autoencoder(digits):
    search = GridSearchCV(
        Pipeline([("reduce", PCA())]),
        [
            {"reduce": [PCA(random_state=0)], "reduce__n_components": [2, 5]},
            {
                "reduce": [AutoEncoderTransformer(5, max_epochs=20, random_state=0)],
            },
        ],
        scoring=reconstruction_scorer,
        cv=2,
    ).fit(digits)
    two, five, autoencoder = search.cv_results_["mean_test_score"]
    assert 0 < two < five < autoencoder < 1
    assert search.best_estimator_.named_steps["reduce"].n_components == 5


def test_cross_val_score_is_the_mean_over_held_out_rows(digits):
    scores = cross_val_score(PCA(5), digits, scoring=reconstruction_scorer, cv=2)
    half = len(digits) // 2 + 1
    for score, train, test in [
        (scores[0], digits[half:], digits[:half]),
        (scores[1], digits[:half], digits[half:]),
    ]:
        pca = PCA(5).fit(train)
        expected = by_definition(test, pca.inverse_transform(pca.transform(test)))
        assert score == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_columns_keep_their_names_on_the_way_to_the_estimator(frame):
    X = np.random.default_rng(0).normal(size=(30, 10))
    named = frame({f"c{i}": X[:, i] for i in range(10)})
    # Rows without names would make a warning, which is an error here.
    pca = PCA(3).fit(named)
    assert reconstruction_scorer(pca, named) == pytest.approx(
        pca.explained_variance_ratio_.sum()
    )


@pytest.mark.usefixtures("tiny_chunks")
def test_rows_are_taken_by_place_and_not_by_index():
    # pandas 2 reads frame[:7] as labels where the index holds fractions.
    X = np.random.default_rng(0).normal(size=(30, 10))
    frame = pd.DataFrame(X, index=np.arange(30) / 30)
    pca = PCA(3).fit(frame)
    assert reconstruction_scorer(pca, frame) == pytest.approx(
        pca.explained_variance_ratio_.sum()
    )


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.coo_matrix])
def test_sparse_rows(convert):
    X = np.eye(30, 10)
    svd = TruncatedSVD(3, random_state=0).fit(X)
    expected = reconstruction_scorer(svd, X)
    assert reconstruction_scorer(svd, convert(X)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("estimator", "shown", "reason"),
    [
        (
            LogisticRegression(),
            "LogisticRegression()",
            "no transform and no inverse_transform",
        ),
        (Normalizer(), "Normalizer()", "no inverse_transform"),
        (
            make_pipeline(Normalizer(), PCA()),
            "Pipeline(steps=[('normalizer', Normalizer()), ('pca', PCA())])",
            "no inverse_transform",
        ),
    ],
)
def test_what_cannot_go_back_is_refused(estimator, shown, reason):
    message = (
        "expected an estimator with transform and inverse_transform, got "
        f"estimator={shown}, because it has {reason}. Pass a reducer such as PCA, "
        "KernelPCA(fit_inverse_transform=True) or AutoEncoderTransformer, or a "
        "Pipeline that ends in one."
    )
    estimator.fit(np.eye(3), [0, 1, 1])
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        reconstruction_scorer(estimator, np.eye(3))


def test_what_goes_back_elsewhere_is_refused():
    class Halfway(PCA):
        def inverse_transform(self, X):
            return super().inverse_transform(X)[:, :2]

    message = (
        "expected inverse_transform to give shape (4, 3), the shape of the rows, got "
        "shape (4, 2) from estimator=Halfway(). Pass an estimator whose "
        "inverse_transform goes all the way back to the rows given."
    )
    X = np.eye(4, 3)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reconstruction_scorer(Halfway().fit(X), X)


def test_unfitted_is_refused_by_the_estimator():
    with pytest.raises(NotFittedError):
        reconstruction_scorer(AutoEncoderTransformer(), np.eye(3))


def test_the_module_knows_neither_torch_nor_the_estimators():
    tree = ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    packages = {name.partition(".")[0] for name in imported}
    assert packages - {"__future__", "collections", "typing"} == {
        "numpy",
        "scipy",
        "sklearn",
        "sk_autoencoder",
    }
    # Those of ours know of frames' names, shapes, scikit-learn, tensors and variances.
    ours = {name for name in imported if name.startswith("sk_autoencoder")}
    assert ours == {
        "sk_autoencoder._utils.chunks",
        "sk_autoencoder._utils.shapes",
        "sk_autoencoder._utils.sklearn_compat",
        "sk_autoencoder._utils.tensors",
        "sk_autoencoder._utils.variance",
    }


def test_whole_numbers_beyond_float64_are_refused():
    with pytest.raises(ValueError, match="columns whose values fit float64"):
        explained_variance_ratio(np.array([[10**400]]), [[1.0]])
