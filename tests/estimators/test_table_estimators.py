"""Tables in every use of an estimator: copies, searches, output, density, more rows."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from made_tables import small
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    load,
)

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
TINY = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
START = {"max_epochs": 0, "random_state": 0}


# -- as any transformer ---------------------------------------------------------------

SETTINGS = {
    "categorical_features": ["flag", "few", "many", "whole"],
    "numeric_scaling": "rank_gauss",
    "allow_missing": True,
    "handle_unknown": "error",
    "column_weights": {"a": 2.0},
}


@pytest.mark.parametrize("kind", [PLAIN, DENOISING, VAETransformer])
def test_copies_give_the_same(kind):
    frame = small(gaps=True)
    reducer = kind(2, **SETTINGS, **TINY).fit(frame)
    codes = reducer.transform(frame)
    for again in (
        clone(reducer).fit(frame),
        copy.deepcopy(reducer),
        pickle.loads(pickle.dumps(reducer)),
    ):
        np.testing.assert_array_equal(again.transform(frame), codes)
        back = again.inverse_transform(codes)
        pd.testing.assert_frame_equal(back, reducer.inverse_transform(codes))


def test_settings_can_be_searched_over():
    frame = small(gaps=True)
    model = make_pipeline(PLAIN(2, allow_missing=True, **TINY), LogisticRegression())
    part = "autoencodertransformer__"
    grid = {
        f"{part}numeric_scaling": ["standard", "rank_gauss"],
        f"{part}column_weights": [None, {"few": 2}],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise")
    y = np.arange(len(frame)) % 2
    scores = search.fit(frame, y).cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(scores) == 4


@pytest.mark.parametrize("kind", [PLAIN, DENOISING, VAETransformer])
def test_a_row_has_the_code_that_it_has_among_others_in_any_dtype(kind):
    frame = small(gaps=True)
    reducer = kind(2, allow_missing=True, **TINY).fit(frame)
    codes = reducer.transform(frame)
    assert codes.dtype == np.float64
    alone = np.vstack([reducer.transform(frame[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(alone, codes[:10], rtol=1e-10, atol=1e-12)
    single = frame.astype({"a": "float32", "whole": "float32"})
    half = clone(reducer).fit(single).transform(single)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, codes, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_output_comes_in_the_container_that_was_set(container):
    frame = small()
    reducer = PLAIN(2, **TINY).set_output(transform=container).fit(frame)
    codes = reducer.transform(frame)
    names = reducer.get_feature_names_out().tolist()
    assert list(codes.columns) == names == [f"autoencodertransformer{i}" for i in "01"]
    if container == "pandas":
        assert codes.index.equals(frame.index)
        assert reducer.inverse_transform(codes).index.equals(frame.index)
    # What went in decides what comes back.
    pd.testing.assert_series_equal(
        reducer.inverse_transform(codes).dtypes, frame.dtypes
    )
    numbers = PLAIN(2, allow_missing=True, **TINY).fit(frame[["a", "whole"]])
    assert isinstance(numbers.reconstruct(frame[["a", "whole"]]), np.ndarray)
    back = numbers.set_output(transform=container).reconstruct(frame[["a", "whole"]])
    assert list(back.columns) == ["a", "whole"]


def test_codes_can_be_written_to_an_array_and_tables_can_not():
    frame = small()
    reducer = PLAIN(2, **TINY).fit(frame)
    out = np.empty((120, 2))
    assert reducer.transform(frame, out=out) is out
    np.testing.assert_array_equal(out, reducer.transform(frame))
    with pytest.raises(ValueError, match="expected columns of numbers for inverse_tr"):
        reducer.inverse_transform(out, out=np.empty((120, 5)))


@pytest.mark.parametrize("gaps", [False, True])
def test_a_density_over_tables_draws_rows_that_could_be_there(gaps):
    frame = small(gaps=gaps)
    vae = VAETransformer(2, allow_missing=gaps, **TINY).fit(frame)
    density = vae.score_samples(frame)
    assert density.shape == (120,)
    assert np.isfinite(density).all()
    assert vae.score(frame) == pytest.approx(density.mean())
    drawn = vae.sample(200, random_state=0)
    pd.testing.assert_series_equal(drawn.dtypes, frame.dtypes)
    for name in ("flag", "few", "many"):
        assert drawn[name].isin(frame[name].dropna()).all()
    assert drawn["whole"].between(frame["whole"].min(), frame["whole"].max()).all()
    assert drawn["a"].std() > 5
    pd.testing.assert_frame_equal(drawn, vae.sample(200, random_state=0))
    # A unit ten times as large makes the density of one number a tenth.
    scaled = clone(vae).fit(frame.assign(a=frame["a"] * 10))
    other = scaled.score_samples(frame.assign(a=frame["a"] * 10))
    there = frame["a"].notna()
    gap = np.where(there, np.log(10), 0)
    np.testing.assert_allclose(density - other, gap, atol=1e-3)


def test_weights_count_in_training_a_density_and_not_in_the_density():
    frame = small()
    # PCA, the usual start, weighs the columns too.
    even = VAETransformer(2, init="random", **START).fit(frame)
    uneven = clone(even).set_params(column_weights={"a": 5, "few": 0}).fit(frame)
    np.testing.assert_allclose(uneven.score_samples(frame), even.score_samples(frame))
    x = torch.from_numpy(even._table.matrix(frame)).float()
    modules = even.module_, uneven.module_
    losses = [m.per_sample_loss(m(x), x).mean().item() for m in modules]
    assert losses[1] != pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("kind", [PLAIN, DENOISING, VAETransformer])
def test_training_goes_on_over_further_rows_of_a_table(kind):
    frame = small(gaps=True).astype({"many": "category"})
    reducer = kind(2, allow_missing=True, warm_start=True, **TINY).fit(frame)
    before = reducer.transform(frame)
    assert (reducer.fit(frame).transform(frame) != before).any()
    assert reducer.n_iter_ == 4
    parts = kind(2, allow_missing=True, **TINY)
    levels = frame["many"]
    for rows in (frame[:80], frame[80:].assign(whole=pd.NA), frame[:1]):
        parts.partial_fit(rows)
    assert set(parts.reconstruct(frame)["many"]) <= set(levels.dropna())
    parts.set_params(handle_unknown="error")
    with pytest.raises(ValueError, match=r"expected the categories of fit.*'new'"):
        parts.partial_fit(frame.assign(many="new"))


@pytest.mark.parametrize(
    "change",
    [
        {"allow_missing": False},
        {"column_weights": {"a": 2}},
        {"categorical_features": ["few", "flag", "many"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_training_does_not_go_on_with_rows_read_otherwise(change):
    frame = small()
    reducer = PLAIN(2, allow_missing=True, warm_start=True, **TINY).fit(frame)
    reducer.set_params(**change)
    for method in (reducer.fit, reducer.partial_fit):
        with pytest.raises(
            ValueError, match=f"expected {next(iter(change))}=.*as in the"
        ):
            method(frame)


def test_codes_of_tables_can_be_white_ordered_and_as_many_as_a_share_needs():
    frame = small(gaps=True)
    white = PLAIN(3, whiten=True, allow_missing=True, **TINY).fit(frame)
    codes = white.transform(frame)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(3), atol=1e-4)
    back = white.inverse_transform(codes)
    assert (back["few"].to_numpy() == white.reconstruct(frame)["few"].to_numpy()).all()
    ordered = PLAIN(4, ordered=True, allow_missing=True, **TINY).fit(frame)
    codes, shares = ordered.transform(frame), ordered.explained_variance_ratio_
    short = ordered.inverse_transform(codes[:, :2])
    cut = ordered.truncate(2)
    np.testing.assert_array_equal(cut.transform(frame), codes[:, :2])
    pd.testing.assert_frame_equal(cut.inverse_transform(codes[:, :2]), short)
    np.testing.assert_allclose(cut.explained_variance_ratio_, shares[:2])
    few = small()[["a", "whole", "flag", "few"]]
    share = PLAIN(0.9, early_stopping=False, **TINY).fit(few)
    assert share.score(few) >= 0.9
    assert share.n_components_ < share.module_.columns.n_outputs - 1


@pytest.mark.parametrize(
    "settings",
    [
        {"allow_missing": True},
        {"numeric_scaling": "rank_gauss"},
        {"column_weights": [1, 2, 1, 1]},
        {"categorical_features": [0]},
        {"categorical_features": [0, 1, 2, 3]},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_codes_of_an_array_are_in_its_dtype(settings, dtypes, tmp_path):
    X = np.random.default_rng(0).integers(0, 5, (60, 4))
    model = PLAIN(2, init="random", **settings, **TINY).fit(X.astype(dtypes[0]))
    codes, others = (model.transform(X.astype(dtype)) for dtype in dtypes)
    assert (codes.dtype, others.dtype) == dtypes
    np.testing.assert_allclose(codes, others, atol=1e-5)
    np.testing.assert_allclose(
        *(model.reconstruction_error(X.astype(dtype)) for dtype in dtypes), rtol=1e-4
    )
    model.partial_fit(X.astype(dtypes[1])).save(tmp_path / "model")
    again = load(tmp_path / "model").transform(X.astype(dtypes[0]))
    np.testing.assert_array_equal(again, model.transform(X.astype(dtypes[0])))
