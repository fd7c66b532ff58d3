"""`reconstruction_scorer` on tables of categories and missing cells."""

import numpy as np
import pandas as pd
import pytest
from made_tables import adult_rows, small
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.metrics import explained_variance_ratio, reconstruction_scorer

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
TINY = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
GAPPY = small(gaps=True)


def explained_by_hand(reducer, X):
    """Score a fitted reducer from its encoded table, column by column."""
    table, columns = reducer._table, reducer.module_.columns
    matrix = table.matrix(X)
    x = np.where(np.isnan(matrix), 0, matrix)
    sse = reducer.reconstruction_error(X).astype(float).sum()
    sst = 0.0
    for i, column in enumerate(table.columns):
        there = ~np.isnan(matrix[:, i])
        if hasattr(column, "shares"):
            if len(column.levels) > 64:
                # Random codes of a level: their squared length, from the buffers.
                part = next(p for p in columns.groups if p.index.tolist() == [i])
                codes = part.exact["codes"][x[there, i].astype(int)]
                sst += np.square(codes).sum()
                continue
            hot = np.eye(len(column.levels))[x[there, i].astype(int)] - column.shares
            sst += np.square(hot).sum() / (1 - np.square(column.shares).sum())
        else:
            sst += np.square(x[there, i]).sum() / column.variance
    return 1 - sse / sst


@pytest.mark.parametrize("kind", [PLAIN, DENOISING, VAETransformer])
@pytest.mark.parametrize("container", ["pandas", "polars", "objects"])
def test_tables_are_scored_encoded_and_scaled(kind, container, to_polars):
    rows, settings = GAPPY, {}
    if container == "polars":
        rows = to_polars(GAPPY)
    elif container == "objects":
        rows, settings = GAPPY.to_numpy(object), {"categorical_features": [2, 3, 4]}
    reducer = kind(3, allow_missing=True, **settings, **TINY).fit(rows)
    score = reconstruction_scorer(reducer, rows)
    assert score == pytest.approx(explained_by_hand(reducer, rows), rel=1e-5)
    if kind is not VAETransformer:
        assert score == reducer.score(rows)


def test_missing_numbers_are_scored_in_their_own_units():
    X = np.random.default_rng(0).normal(size=(80, 4)) * [1, 10, 100, 1000]
    gappy = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    for kind in (PLAIN, VAETransformer):
        reducer = kind(3, allow_missing=True, **TINY).fit(gappy)
        there = ~np.isnan(gappy)
        gaps = np.where(there, reducer.reconstruct(gappy) - gappy, 0)
        around = np.where(there, gappy - reducer.mean_, 0)
        expected = 1 - np.square(gaps).sum() / np.square(around).sum()
        assert reconstruction_scorer(reducer, gappy) == pytest.approx(expected)


@pytest.mark.parametrize(
    "settings", [{"allow_missing": True}, {"column_weights": [2, 1, 1]}]
)
def test_whole_rows_of_numbers_are_scored_as_those_of_any_reducer(settings):
    X = np.random.default_rng(0).normal(size=(80, 3))
    reducer = PLAIN(2, **settings, **TINY).fit(X[:50])
    expected = explained_variance_ratio(X[50:], reducer.reconstruct(X[50:]))
    assert reconstruction_scorer(reducer, X[50:]) == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["auto", "squared_error"])
@pytest.mark.parametrize("allow_missing", [False, True])
def test_what_fills_cells_is_scored_by_its_reconstruction(loss, allow_missing):
    X = np.random.default_rng(0).normal(size=(80, 3))
    imputer = DENOISING(
        features="reconstruction", loss=loss, allow_missing=allow_missing, **TINY
    )
    for model in (imputer, make_pipeline(StandardScaler(), imputer)):
        score = reconstruction_scorer(model.fit(X[:50]), X[50:])
        assert score < 0.9
        if model is imputer:
            assert score == imputer.score(X[50:])


def test_a_pipeline_and_other_wrappers_are_scored_at_their_end():
    frame = small()
    reducer = PLAIN(3, **TINY)
    drop = FunctionTransformer(lambda X: X.drop(columns="whole"))
    less = frame.drop(columns="whole")
    expected = PLAIN(3, **TINY).fit(less).score(less)
    inside = make_pipeline(drop, make_pipeline(reducer))
    extra = ExtraRowsTransformer(make_pipeline(drop, reducer), extra_rows=frame[:0])
    search = GridSearchCV(
        make_pipeline(drop, reducer),
        {"autoencodertransformer__n_components": [3]},
        scoring=reconstruction_scorer,
        cv=2,
    )
    for model in (inside, extra, search):
        assert reconstruction_scorer(model.fit(frame), frame) == expected
    # No way back is needed from what stands before: it only says what is seen.
    numbers = make_column_transformer(
        (OrdinalEncoder(), ["flag", "few"]), (StandardScaler(), ["a"])
    )
    model = make_pipeline(numbers, PLAIN(2, categorical_features=[0, 1], **TINY))
    score = reconstruction_scorer(model.fit(frame), frame)
    assert score == model[-1].score(numbers.transform(frame))


def test_one_search_ranks_autoencoders_of_every_kind_on_adult():
    people = adult_rows(400)
    assert people.isna().any().any()
    settings = {"allow_missing": True, **TINY}
    reducers = [kind(5, **settings) for kind in (PLAIN, DENOISING, VAETransformer)]
    search = GridSearchCV(
        Pipeline([("reduce", PLAIN())]),
        {"reduce": reducers, "reduce__numeric_scaling": ["standard", "rank_gauss"]},
        scoring=reconstruction_scorer,
        cv=2,
        error_score="raise",
    ).fit(people)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 6
    assert np.all((scores > 0) & (scores < 1))


def test_scores_of_whole_numbers_and_pipelines_stay_in_the_units_of_the_rows():
    X = np.random.default_rng(0).normal(size=(80, 3)) * [1, 10, 100]
    frame = pd.DataFrame(X, columns=list("abc"))
    model = make_pipeline(StandardScaler(), PLAIN(2, **TINY))
    found = cross_val_score(model, frame, scoring=reconstruction_scorer, cv=2)
    expected = []
    for test, train in ((slice(0, 40), slice(40, 80)), (slice(40, 80), slice(0, 40))):
        fitted = model.fit(frame[train])
        back = fitted.inverse_transform(fitted.transform(frame[test]))
        expected.append(explained_variance_ratio(frame[test], back))
    np.testing.assert_allclose(found, expected)
