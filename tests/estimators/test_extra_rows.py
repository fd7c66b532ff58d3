"""The meta-transformer, compared with fitting on the joined rows by hand."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
EXTRA = RNG.normal(3, 2, size=(40, 5))
BOTH = np.concatenate([X, EXTRA])
LABELS = (X[:, 0] > 0).astype(int)


class Remember(TransformerMixin, BaseEstimator):
    """Keeps the rows that it was fitted on, and gives rows back as they are."""

    def fit(self, X, y=None):
        self.rows_, self.n_features_in_ = X, X.shape[1]
        return self

    def transform(self, X):
        return X


def joined(X, extra):
    return ExtraRowsTransformer(Remember(), extra).fit(X).transformer_.rows_


# ---------------------------------------------------------------------- fitting


def test_extra_rows_transformer_fits_on_all_rows_and_transforms_those_given():
    scaler = ExtraRowsTransformer(StandardScaler(), EXTRA)
    scaled = scaler.fit_transform(X)
    by_hand = StandardScaler().fit(BOTH)
    assert_array_equal(scaled, by_hand.transform(X))
    assert_array_equal(scaler.transform(EXTRA), by_hand.transform(EXTRA))
    assert_array_equal(
        scaler.inverse_transform(scaled), by_hand.inverse_transform(scaled)
    )
    assert scaler.n_features_in_ == 5


def test_without_extra_rows_it_is_the_transformer():
    scaled = ExtraRowsTransformer(StandardScaler()).fit_transform(X)
    assert_array_equal(scaled, StandardScaler().fit_transform(X))
    rows = X.copy()
    assert joined(rows, None) is rows


@pytest.mark.parametrize(
    "autoencoder",
    [
        AutoEncoderTransformer(2, max_epochs=2, random_state=0),
        DenoisingAutoEncoderTransformer(
            features="hidden", hidden_layer_sizes=(6, 4), max_epochs=2, random_state=0
        ),
    ],
)
def test_an_autoencoder_learns_from_all_rows(autoencoder):
    codes = ExtraRowsTransformer(autoencoder, EXTRA).fit_transform(X)
    assert_array_equal(codes, clone(autoencoder).fit(BOTH).transform(X))
    alone = clone(autoencoder).fit_transform(X)
    assert np.abs(codes - alone).max() > 0.01


def test_the_parameter_is_not_fitted():
    inner = StandardScaler()
    ExtraRowsTransformer(inner, EXTRA).fit(X)
    assert not hasattr(inner, "mean_")


def test_before_the_fit_it_says_so():
    scaler = ExtraRowsTransformer(StandardScaler(), EXTRA)
    for method in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(
            NotFittedError, match="ExtraRowsTransformer instance is not"
        ):
            method(X)
    with pytest.raises(NotFittedError, match="ExtraRowsTransformer instance is not"):
        scaler.get_feature_names_out()


def test_codes_go_to_out():
    reducer = AutoEncoderTransformer(2, max_epochs=1, random_state=0)
    reducer = ExtraRowsTransformer(reducer, EXTRA).fit(X)
    out = np.empty((60, 2), np.float16)
    assert reducer.transform(X, out=out) is out
    np.testing.assert_allclose(out, reducer.transform(X), rtol=2e-3, atol=1e-3)
    rows = np.empty((60, 5), np.float32)
    assert reducer.inverse_transform(reducer.transform(X), out=rows) is rows


# ------------------------------------------------------------- joining of arrays


def test_arrays_keep_a_common_dtype():
    rows = joined(X.astype(np.float32), EXTRA.astype(np.float32))
    assert rows.dtype == np.float32
    assert_array_equal(rows, BOTH.astype(np.float32))
    assert_array_equal(joined(X.tolist(), EXTRA.tolist()), BOTH)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows_stay_sparse(container):
    rows = joined(container(X), container(EXTRA))
    assert sparse.issparse(rows)
    assert rows.format == "csr"
    assert_array_equal(rows.toarray(), BOTH)
    scaler = ExtraRowsTransformer(MaxAbsScaler(), container(EXTRA)).fit(container(X))
    assert_array_equal(scaler.transformer_.max_abs_, np.abs(BOTH).max(axis=0))


# ------------------------------------------------------------- joining of frames


def pandas_frames():
    one = pd.DataFrame(
        {
            "small": np.array([1, 2], np.int8),
            "number": [0.5, 1.5],
            "color": pd.Categorical(["red", "blue"]),
            "rank": pd.Categorical(["low", "high"], ["low", "high"], ordered=True),
            "nullable": pd.array([1, None], dtype="Int64"),
        },
        index=[7, 7],
    )
    other = pd.DataFrame(
        {
            "small": np.array([3], np.int8),
            "number": [2.5],
            "color": pd.Categorical(["green"]),
            "rank": pd.Categorical(["low"], ["low", "high"], ordered=True),
            "nullable": pd.array([3], dtype="Int64"),
        },
        index=[7],
    )
    return one, other


def test_pandas_frames_keep_their_dtypes():
    one, other = pandas_frames()
    rows = joined(one, other)
    expected = one.dtypes.to_dict() | {
        "color": pd.CategoricalDtype(["blue", "red", "green"])
    }
    assert rows.dtypes.to_dict() == expected
    assert rows["color"].tolist() == ["red", "blue", "green"]
    assert rows["small"].tolist() == [1, 2, 3]
    assert rows["rank"].tolist() == ["low", "high", "low"]
    assert rows.index.tolist() == [0, 1, 2]
    # What was passed is as it was.
    for frame, before in zip((one, other), pandas_frames(), strict=True):
        pd.testing.assert_frame_equal(frame, before)


def test_polars_frames_keep_their_dtypes():
    kind = pl.Enum(["a", "b"])
    one = pl.DataFrame(
        {"n": [1, 2], "color": ["red", "blue"], "kind": ["a", "b"]},
        schema={"n": pl.Int8, "color": pl.Categorical, "kind": kind},
    )
    other = pl.DataFrame(
        {"n": [3], "color": ["green"], "kind": ["c"]},
        schema={"n": pl.Int8, "color": pl.Categorical, "kind": pl.Enum(["c", "a"])},
    )
    rows = joined(one, other)
    assert rows.schema["n"] == pl.Int8
    assert rows.schema["color"] == pl.Categorical
    assert rows.schema["kind"] == pl.Enum(["a", "b", "c"])
    assert rows.rows() == [(1, "red", "a"), (2, "blue", "b"), (3, "green", "c")]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_of_numbers_go_through(frame):
    names = list("abcde")
    X_frame = frame(dict(zip(names, X.T, strict=True)))
    extra = frame(dict(zip(names, EXTRA.T, strict=True)))
    scaler = ExtraRowsTransformer(StandardScaler(), extra).fit(X_frame)
    by_hand = StandardScaler().fit(BOTH)
    np.testing.assert_allclose(scaler.transform(X_frame), by_hand.transform(X))
    assert scaler.feature_names_in_.tolist() == names
    assert scaler.get_feature_names_out().tolist() == names


def test_an_encoder_inside_learns_the_levels_of_all_rows():
    one, other = pandas_frames()
    encoder = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["color"]), ("passthrough", ["number"])
    )
    encoder = ExtraRowsTransformer(encoder, other).set_output(transform="pandas")
    assert encoder.fit_transform(one).columns.tolist() == [
        "onehotencoder__color_blue",
        "onehotencoder__color_green",
        "onehotencoder__color_red",
        "passthrough__number",
    ]


def ordered(*categories):
    values = pd.Categorical([categories[0]], categories, ordered=True)
    return pd.DataFrame({"size": values})


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            X,
            EXTRA[:, :4],
            "expected extra_rows with the columns of X, got extra_rows of shape (40, "
            "4) and X of shape (60, 5). Pass rows of the same table.",
        ),
        (
            pd.DataFrame(X),
            EXTRA,
            "expected extra_rows of the same kind as X, a pandas frame, got an array. "
            "Convert one of them.",
        ),
        (
            sparse.csr_array(X),
            pl.DataFrame(EXTRA),
            "expected extra_rows of the same kind as X, a sparse matrix, got a polars "
            "frame. Convert one of them.",
        ),
        (
            pd.DataFrame(X[:, :2], columns=["a", "b"]),
            pd.DataFrame(EXTRA[:, :2], columns=["b", "a"]),
            "expected extra_rows with the columns of X in the same order, got "
            "extra_rows.columns=['b', 'a'] for ['a', 'b']. Pass extra_rows[X.columns] "
            "if only the order differs.",
        ),
        (
            pl.DataFrame({"a": [1]}),
            pl.DataFrame({"a": ["1"]}),
            "expected column 'a' to be of numbers in both X and extra_rows or in "
            "neither, got Int64 and String. Convert it in one of them.",
        ),
        (
            pl.DataFrame({"a": [1]}),
            pl.DataFrame({f"c{i}": [1] for i in range(9)}),
            "expected extra_rows with the columns of X in the same order, got "
            "extra_rows.columns=['c0', 'c1', 'c2', 'c3', 'c4', ...] for ['a']. "
            "Pass extra_rows[X.columns] if only the order differs.",
        ),
        (
            pd.DataFrame({"a": pd.Categorical(["x"])}),
            pd.DataFrame({"a": [1]}),
            "expected column 'a' to be categorical in both X and extra_rows or in "
            "neither, got category and int64. Convert it in one of them.",
        ),
        (
            ordered("small", "large"),
            ordered("small", "medium", "large"),
            "expected the same categories in column 'size' of X and extra_rows, "
            "because they are ordered, got different ones. Give both all of them, by "
            "cat.set_categories.",
        ),
    ],
)
def test_rows_that_do_not_go_together(one, other, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        joined(one, other)


def test_something_that_is_no_transformer_is_refused():
    with pytest.raises(ValueError, match="'transformer' parameter of ExtraRowsTran"):
        ExtraRowsTransformer(LogisticRegression(), EXTRA).fit(X)


# ------------------------------------------------------- scikit-learn's manners


def test_a_clone_shares_the_extra_rows_and_nothing_else():
    scaler = ExtraRowsTransformer(StandardScaler(), EXTRA).set_output(
        transform="pandas"
    )
    scaler.fit(X)
    copy = clone(scaler)
    assert copy.extra_rows is scaler.extra_rows is EXTRA
    assert copy.transformer is not scaler.transformer
    assert not hasattr(copy, "transformer_")
    assert isinstance(copy.fit_transform(X), pd.DataFrame)
    assert scaler.extra_rows is EXTRA  # cloning has not touched the original


def test_parameters_are_nested():
    reducer = ExtraRowsTransformer(DenoisingAutoEncoderTransformer(3), EXTRA)
    assert reducer.get_params()["transformer__noise_level"] == "auto"
    reducer.set_params(transformer__noise_level=0.2)
    assert reducer.transformer.noise_level == 0.2


@pytest.mark.parametrize(
    ("kind", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)]
)
def test_set_output_reaches_the_transformer(kind, frame):
    reducer = ExtraRowsTransformer(AutoEncoderTransformer(2, max_epochs=1), EXTRA)
    codes = reducer.set_output(transform=kind).fit_transform(X)
    assert isinstance(codes, frame)
    assert list(codes.columns) == ["autoencodertransformer0", "autoencodertransformer1"]
    assert isinstance(reducer.inverse_transform(codes), frame)
    # After the fit too.
    assert isinstance(reducer.set_output(transform="default").transform(X), np.ndarray)


def test_methods_are_those_of_the_transformer():
    assert not hasattr(ExtraRowsTransformer(Remember()), "inverse_transform")
    assert not hasattr(ExtraRowsTransformer(Remember()), "get_feature_names_out")
    assert hasattr(ExtraRowsTransformer(PCA()), "inverse_transform")
    fitted = ExtraRowsTransformer(Remember()).fit(X)
    with pytest.raises(AttributeError, match="has no attribute 'inverse_transform'"):
        fitted.inverse_transform(X)
    with pytest.raises(AttributeError, match="feature_names_in_"):
        _ = ExtraRowsTransformer(StandardScaler()).fit(X).feature_names_in_


def test_extra_rows_transformer_can_be_searched_over_in_a_pipeline():
    pipe = make_pipeline(ExtraRowsTransformer(PCA(), EXTRA), LogisticRegression())
    name = "extrarowstransformer__transformer__n_components"
    search = GridSearchCV(pipe, {name: [1, 4]}, cv=3).fit(X, LABELS)
    best = search.best_estimator_
    assert best[0].transformer_.n_samples_ == 100
    assert best[0].extra_rows is EXTRA
    by_hand = PCA(search.best_params_[name]).fit(BOTH)
    assert_array_equal(best[0].transform(X), by_hand.transform(X))


def test_extra_rows_transformer_pickles():
    scaler = ExtraRowsTransformer(StandardScaler(), EXTRA).fit(X)
    again = pickle.loads(pickle.dumps(scaler))
    assert_array_equal(again.transform(X), scaler.transform(X))
