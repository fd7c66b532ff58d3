"""Columns without one observed training cell take no part, and come back missing."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from made_tables import small
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    load,
)
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import ConvNet, RecurrentNet

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
TINY = {
    "hidden_layer_sizes": (6,),
    "max_epochs": 2,
    "random_state": 0,
    "allow_missing": True,
}
IMPUTER = DENOISING(features="reconstruction", **TINY)
WARNING = (
    "expected at least one value in each column, got X with none in column {}: the "
    "model leaves it out, and it comes back missing. Drop it, or fit on samples that "
    "have values there."
)
FULL = small(gaps=True)


def warned(*names):
    message = WARNING.format(", ".join(map(repr, names)))
    return pytest.warns(UserWarning, match=f"^{re.escape(message)}$")


# What an empty column may be, and cells that may stand there later.
OF_PANDAS = {
    "float64": 1.5,
    "float32": 2.0,
    "Int64": 3,
    "Float64": 1.5,
    "boolean": True,
    "string": "text",
    "object": "text",
    "category": "x",
    "declared": "u",
}
DECLARED = pd.CategoricalDtype(["u", "v"])


@pytest.mark.parametrize("dtype", OF_PANDAS)
@pytest.mark.parametrize("reducer", [PLAIN(2, **TINY), IMPUTER])
def test_empty_pandas_columns_come_back_missing_in_place_and_dtype(reducer, dtype):
    cell = OF_PANDAS[dtype]
    dtype = DECLARED if dtype == "declared" else dtype
    empty = pd.Series([None] * len(FULL), index=FULL.index, dtype=dtype)
    frame = FULL.copy()
    frame.insert(1, "empty", empty)
    with warned("empty"):
        reducer.fit(frame)
    later = frame.assign(empty=pd.Series([cell] * len(FULL), index=FULL.index))
    codes = reducer.transform(frame)
    for X in (frame, later):
        found = [reducer.reconstruct(X), reducer.inverse_transform(codes)]
        if reducer is IMPUTER:
            found.append(reducer.transform(X))
        for back in found:
            assert list(back.columns) == list(frame.columns)
            assert back.dtypes.equals(frame.dtypes)
            assert back["empty"].isna().all()
            assert back.drop(columns="empty").notna().all().all()
        if reducer is not IMPUTER:
            np.testing.assert_array_equal(reducer.transform(X), codes)
    assert np.isfinite(reducer.score(later))


def test_samples_have_empty_columns_too():
    frame = FULL.assign(empty=pd.Series(None, index=FULL.index, dtype=DECLARED))
    vae = VAETransformer(2, **TINY)
    with warned("empty"):
        vae.fit(frame)
    drawn = vae.sample(5, random_state=0)
    assert drawn.dtypes.equals(frame.dtypes)
    assert drawn["empty"].isna().all()
    assert drawn.drop(columns="empty").notna().all().all()
    density = vae.score_samples(frame.assign(empty="u"))
    np.testing.assert_array_equal(density, vae.score_samples(frame))


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Float32,
        pl.Int8,
        pl.Boolean,
        pl.String,
        pl.Categorical,
        pl.Enum(["u", "v"]),
        pl.Null,
    ],
    ids=str,
)
@pytest.mark.parametrize("reducer", [PLAIN(2, **TINY), IMPUTER])
def test_empty_polars_columns_likewise(reducer, dtype, to_polars):
    frame = to_polars(FULL).insert_column(
        0, pl.Series("empty", [None] * len(FULL), dtype=dtype)
    )
    with warned("empty"):
        reducer.fit(frame)
    later = frame.with_columns(empty=pl.lit("text"))
    for X in (frame, later):
        found = [reducer.reconstruct(X)]
        found += [reducer.transform(X)] if reducer is IMPUTER else []
        for back in found:
            assert back.schema == frame.schema
            assert back["empty"].is_null().all()
            assert not back.drop("empty").null_count().sum_horizontal().item()


@pytest.mark.parametrize("dtype", ["float64", "float32", object])
@pytest.mark.parametrize("chosen", [None, [0], [0, 2]])
def test_empty_columns_of_arrays_likewise(dtype, chosen):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(60, 4)).astype(dtype)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 2] = np.nan
    later = X.copy()
    later[:, 2] = 7
    for reducer in (PLAIN(2, categorical_features=chosen, **TINY), IMPUTER):
        reducer.set_params(categorical_features=chosen)
        with warned(2):
            reducer.fit(X)
        found = [
            reducer.reconstruct(later),
            reducer.inverse_transform(reducer.transform(later)),
        ]
        for back in found:
            if dtype is object and chosen is None:
                assert back.dtype == np.float64
            else:
                assert back.dtype == X.dtype
            assert pd.isna(back[:, 2]).all()
            assert not pd.isna(np.delete(back, 2, axis=1)).any()
    imputed = IMPUTER.transform(np.nan_to_num(later.astype(float)).astype(int))
    assert np.isnan(imputed[:, 2].astype(float)).all()


def test_the_model_is_that_of_the_other_columns():
    frame = FULL.assign(empty=np.nan)
    without = PLAIN(3, **TINY).fit(FULL)
    with warned("empty"):
        with_one = PLAIN(3, **TINY).fit(frame)
    later = frame.assign(empty=1.0)
    np.testing.assert_array_equal(with_one.transform(later), without.transform(FULL))
    assert with_one.score(later) == without.score(FULL)
    assert reconstruction_scorer(with_one, later) == with_one.score(later)
    errors = with_one.reconstruction_error(later, per_feature=True)
    assert (errors["empty"] == 0).all()
    assert np.isnan(with_one.mean_[-1])


def test_empty_columns_are_named_and_refused_without_allow_missing():
    frame = FULL.assign(e=None, f=np.nan)
    with warned("e", "f"):
        PLAIN(2, **TINY).fit(frame)
    for others in ([], ["flag"]):
        X = small()[["a", "whole", *others]].assign(e=np.nan)
        with pytest.raises(ValueError, match="Input X contains NaN"):
            PLAIN(2).fit(X)
    with pytest.raises(ValueError, match=r"\['e', 'f'\] are constant or empty"):
        PLAIN(2, **TINY).fit(frame[["e", "f"]])


def test_a_search_goes_on_over_a_fold_in_which_a_column_is_empty():
    frame = FULL.reset_index(drop=True)
    # The second of three folds alone has values in these.
    frame["rare"] = pd.Series(np.arange(120.0)).where(frame.index // 40 == 1)
    frame["seldom"] = pd.Series(["u", "v"] * 60, dtype="category").where(
        frame.index // 40 == 1
    )
    y = np.arange(120) % 2
    model = make_pipeline(PLAIN(**TINY), LogisticRegression())
    grid = {"autoencodertransformer__n_components": [2, 3]}
    for scoring in (None, reconstruction_scorer):
        search = GridSearchCV(
            model[:1] if scoring else model, grid, cv=3, scoring=scoring
        )
        search.cv = [
            (
                np.flatnonzero(frame.index // 40 != i),
                np.flatnonzero(frame.index // 40 == i),
            )
            for i in range(3)
        ]
        search.set_params(error_score="raise")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(frame, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        messages = {str(w.message) for w in caught}
        assert messages == {WARNING.format("'rare', 'seldom'")}


def test_the_warning_points_to_the_caller():
    with pytest.warns(UserWarning, match="none in column 'e'") as caught:
        PLAIN(2, **TINY).fit(FULL.assign(e=np.nan))
    assert [w.filename for w in caught] == [__file__]


def test_streams_copies_and_files_keep_a_column_empty(tmp_path):
    frame = FULL.assign(e=pd.Series([None] * 120, index=FULL.index, dtype="string"))
    frame = frame.astype({"many": "category"})  # its levels come later
    reducer = PLAIN(2, **TINY)
    with warned("e"):
        reducer.partial_fit(frame[:60])
    reducer.partial_fit(frame[60:].assign(e="text"))
    codes = reducer.transform(frame)
    reducer.save(tmp_path / "empty.skae")
    for again in (pickle.loads(pickle.dumps(reducer)), load(tmp_path / "empty.skae")):
        np.testing.assert_array_equal(again.transform(frame), codes)
        pd.testing.assert_frame_equal(
            again.inverse_transform(codes), reducer.inverse_transform(codes)
        )


@pytest.mark.parametrize("network", [RecurrentNet(), ConvNet()], ids=repr)
def test_networks_that_read_cells_in_place_see_an_empty_one_as_missing(network):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8)).cumsum(axis=1)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, [3, 7]] = np.nan
    settings = {"max_epochs": 1, "random_state": 0, "allow_missing": True}
    with warned(3, 7):
        reducer = PLAIN(2, network=network, init="random", **settings).fit(X)
    later = X.copy()
    later[:, [3, 7]] = 5.0
    np.testing.assert_array_equal(reducer.transform(later), reducer.transform(X))
    back = reducer.reconstruct(later)
    assert np.isnan(back[:, [3, 7]]).all()
    assert np.isfinite(np.delete(back, [3, 7], axis=1)).all()


def test_a_detector_leaves_an_empty_column_out():
    frame = FULL.assign(e=np.nan)
    detector = AutoEncoderOutlierDetector(PLAIN(2, **TINY), random_state=0)
    with warned("e"):
        detector.fit(frame)
    later = frame.assign(e=1e6)
    scores = detector.score_samples(later)
    np.testing.assert_array_equal(scores, detector.score_samples(frame))
    assert np.isfinite(scores).all()
    assert (detector.explain(later)["e"] == 0).all()
