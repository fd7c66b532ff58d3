"""Tables of one column, as selectors, column transformers and ensembles make them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)

TINY = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(60, 1))
GAPPY = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
ONE_COLUMN = {
    "array": X,
    "frame": pd.DataFrame({"a": X[:, 0]}, dtype="float32"),
    "categories": pd.DataFrame({"c": RNG.choice(list("xyz"), 60)}),
    "booleans": pd.DataFrame({"b": X[:, 0] > 3}),
    "constant": np.ones((60, 1)),
}


@pytest.mark.parametrize("kind", ONE_COLUMN)
@pytest.mark.parametrize(
    "reducer",
    [
        AutoEncoderTransformer(1, **TINY),
        AutoEncoderTransformer(1, ordered=True, whiten=True, **TINY),
        AutoEncoderTransformer(1, init="random", **TINY),
        DenoisingAutoEncoderTransformer(1, **TINY),
        DenoisingAutoEncoderTransformer(features="hidden", **TINY),
        VAETransformer(1, **TINY),
    ],
    ids=repr,
)
def test_transformers_take_one_column(reducer, kind):
    rows = ONE_COLUMN[kind]
    codes = reducer.fit_transform(rows)
    assert codes.shape == (60, reducer.n_components_)
    assert np.isfinite(codes).all()
    assert reducer.inverse_transform(codes).shape == (60, 1)
    assert np.isfinite(reducer.score(rows))


def test_one_component_of_one_column_is_pca():
    reducer = AutoEncoderTransformer(1, random_state=0).fit(X)
    codes = PCA(1).fit_transform(X)
    np.testing.assert_allclose(np.abs(reducer.transform(X)), np.abs(codes), rtol=1e-9)
    np.testing.assert_allclose(reducer.reconstruct(X), X, rtol=1e-9)
    vae = VAETransformer(1, random_state=0).fit(X)
    assert vae.score(X) == pytest.approx(PCA(1).fit(X).score(X), abs=1e-3)


def test_an_imputer_fills_one_column():
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **TINY
    )
    filled = imputer.fit_transform(GAPPY)
    there = ~np.isnan(GAPPY)
    np.testing.assert_array_equal(filled[there], GAPPY[there])
    assert np.isfinite(filled).all()


@pytest.mark.parametrize("kind", ["array", "categories"])
@pytest.mark.parametrize(
    "estimator", [None, AutoEncoderTransformer(1, **TINY)], ids=["default", "tiny"]
)
def test_detectors_and_extra_rows_take_one_column(estimator, kind):
    rows = ONE_COLUMN[kind]
    detector = AutoEncoderOutlierDetector(estimator, random_state=0).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()
    assert detector.explain(rows).shape == (60, 1)
    inner = AutoEncoderTransformer(1, **TINY)
    wrapped = ExtraRowsTransformer(inner, extra_rows=rows)
    assert wrapped.fit_transform(rows).shape == (60, 1)


def test_a_stream_of_one_column():
    reducer = AutoEncoderTransformer(1, **TINY)
    for rows in (X[:30], X[30:59], X[59:]):
        reducer.partial_fit(rows)
    assert reducer.transform(X).shape == (60, 1)


@pytest.mark.filterwarnings("ignore:expected n_components of at most:UserWarning")
def test_scikit_learn_hands_over_one_column():
    # The warning above is right: two components of one column compress nothing.
    rows = np.hstack([X, RNG.normal(size=(60, 2))])
    y = (X[:, 0] > 3).astype(int)
    reducer = AutoEncoderTransformer(2, **TINY)
    model = make_pipeline(StandardScaler(), reducer, LogisticRegression())
    selector = SequentialFeatureSelector(model, n_features_to_select=1, cv=2)
    assert selector.fit(rows, y).get_support().tolist() == [True, False, False]
    bagged = BaggingClassifier(model, 2, max_features=1, random_state=0).fit(rows, y)
    assert bagged.predict(rows).shape == (60,)
    one = ("ae", AutoEncoderTransformer(1, **TINY), [0])
    parts = ColumnTransformer([one], remainder="passthrough")
    assert parts.fit_transform(rows).shape == (60, 3)
    frame = pd.DataFrame({"c": np.where(y, "u", "v"), "a": X[:, 0]})
    one = ("ae", AutoEncoderTransformer(1, **TINY), ["c"])
    assert ColumnTransformer([one]).fit_transform(frame).shape == (60, 1)
