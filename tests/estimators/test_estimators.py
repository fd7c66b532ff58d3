"""The estimators as a scikit-learn user uses them."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import MLP

DIGITS, LABELS = load_digits(return_X_y=True)
X, y = DIGITS[:400], LABELS[:400]
SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0}
ALL = [
    AutoEncoderTransformer(4, **SMALL),
    DenoisingAutoEncoderTransformer(4, **SMALL),
    DenoisingAutoEncoderTransformer(features="hidden", **SMALL),
    VAETransformer(4, **SMALL),
]
every_estimator = pytest.mark.parametrize("estimator", ALL, ids=repr)


@every_estimator
def test_stands_in_for_pca_in_a_pipeline(estimator):
    pipe = make_pipeline(StandardScaler(), clone(estimator), LogisticRegression())
    assert cross_val_score(pipe, X, y, cv=3).mean() > 0.3
    front = pipe.fit(X, y)[:-1]
    rows = front.inverse_transform(front.transform(X))
    assert rows.shape == X.shape


def test_grid_search_over_every_kind_of_parameter():
    reducer = AutoEncoderTransformer(whiten=True, **SMALL)
    pipe = make_pipeline(reducer, LogisticRegression())
    name = "autoencodertransformer__"
    search = GridSearchCV(
        pipe,
        [
            {
                name + "n_components": [2, 5],
                name + "hidden_layer_sizes": [(8,), (9, 8)],
            },
            {
                name + "hidden_layer_sizes": ["auto"],
                name + "network": [MLP((8,))],
                name + "network__activation": ["relu", "tanh"],
            },
        ],
        cv=2,
        error_score="raise",
    )
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_estimator_[0].transform(X).shape[0] == 400


def test_grid_search_without_labels_ranks_ours_with_pca():
    pipe = make_pipeline(PCA())
    ours = AutoEncoderTransformer(10, max_epochs=15, random_state=0)
    search = GridSearchCV(
        pipe,
        {"pca": [PCA(10), PCA(2), ours]},
        scoring=reconstruction_scorer,
        cv=2,
        error_score="raise",
    )
    search.fit(DIGITS)
    assert isinstance(search.best_estimator_[0], AutoEncoderTransformer)


@every_estimator
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_come_back(estimator, dtype):
    reducer = clone(estimator).fit(X.astype(dtype))
    codes = reducer.transform(X.astype(dtype))
    assert codes.dtype == dtype
    assert reducer.inverse_transform(codes).dtype == dtype
    assert reducer.reconstruct(X.astype(dtype)).dtype == dtype
    if isinstance(reducer, VAETransformer):
        assert reducer.sample(2, random_state=0).dtype == dtype


@every_estimator
def test_float32_and_float64_rows_get_the_same_code_to_rounding(estimator):
    reducer = clone(estimator).fit(X)
    narrow = reducer.transform(X.astype(np.float32))
    np.testing.assert_allclose(narrow, reducer.transform(X), rtol=1e-3, atol=1e-4)


@every_estimator
def test_transform_is_the_same_at_every_call_and_in_any_company(estimator):
    reducer = clone(estimator).set_params(dropout=0.3).fit(X)
    codes = reducer.transform(X)
    np.testing.assert_array_equal(reducer.transform(X), codes)
    alone = np.vstack([reducer.transform(row[None]) for row in X[:20]])
    np.testing.assert_allclose(alone, codes[:20], rtol=1e-9, atol=1e-12)


@every_estimator
def test_reconstruct_is_the_inverse_of_transform(estimator):
    reducer = clone(estimator).fit(X)
    np.testing.assert_allclose(
        reducer.reconstruct(X), reducer.inverse_transform(reducer.transform(X))
    )
    codes = clone(estimator).fit_transform(X)
    np.testing.assert_array_equal(codes, reducer.transform(X))


@every_estimator
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_rows_are_as_dense_ones(estimator, container):
    if estimator.get_params().get("features") == "hidden":
        # Only those of dense rows have ranks by default.
        estimator = clone(estimator).set_params(numeric_scaling="standard")
    reducer = clone(estimator).fit(X)
    thin = clone(estimator).fit(container(X))
    np.testing.assert_allclose(
        thin.transform(container(X)), reducer.transform(X), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        reducer.transform(container(X)), reducer.transform(X), rtol=1e-12
    )
    assert reducer.score(container(X)) == pytest.approx(reducer.score(X))
    assert thin.reconstruct(container(X)).shape == X.shape


FRAMES = {
    "pandas": lambda rows: pd.DataFrame(
        rows, columns=[f"c{i}" for i in range(64)], index=range(7, 7 + len(rows))
    ),
    "polars": lambda rows: pl.DataFrame(rows, schema=[f"c{i}" for i in range(64)]),
}


@every_estimator
@pytest.mark.parametrize("kind", FRAMES)
def test_frames_go_in_and_names_come_out(estimator, kind):
    frame = FRAMES[kind](X)
    reducer = clone(estimator).fit(frame)
    assert list(reducer.feature_names_in_) == list(frame.columns)
    codes = reducer.transform(frame)
    assert isinstance(codes, np.ndarray)
    np.testing.assert_array_equal(codes, clone(estimator).fit_transform(X))
    assert isinstance(reducer.inverse_transform(codes), np.ndarray)

    reducer.set_output(transform=kind)
    codes = reducer.transform(frame)
    assert type(codes) is type(frame)
    assert list(codes.columns) == list(reducer.get_feature_names_out())
    rows = reducer.inverse_transform(codes)
    assert type(rows) is type(frame)
    assert list(rows.columns) == list(frame.columns)
    np.testing.assert_allclose(rows, reducer.reconstruct(frame))
    if kind == "pandas":
        assert list(codes.index) == list(rows.index) == list(frame.index)


def test_samples_come_in_the_container_asked_for():
    frame = FRAMES["pandas"](X)
    vae = clone(ALL[-1]).fit(frame).set_output(transform="pandas")
    drawn = vae.sample(5, random_state=0)
    assert list(drawn.columns) == list(frame.columns)
    again = vae.set_output(transform="default").sample(5, random_state=0)
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(vae.sample(5, random_state=1), again)


def test_names_of_the_columns_given():
    names = clone(ALL[0]).fit(X).get_feature_names_out()
    assert list(names) == [f"autoencodertransformer{i}" for i in range(4)]
    hidden = DenoisingAutoEncoderTransformer(
        features="hidden", hidden_layer_sizes=(3, 2), max_epochs=1
    ).fit(X)
    expected = ["h1_0000", "h1_0001", "h1_0002", "h2_0000", "h2_0001"]
    assert list(hidden.get_feature_names_out()) == expected
    assert hidden.n_components_ == 5


def test_hidden_features_are_the_activations_of_every_layer():
    """Recomputed with numpy from the weights."""
    stack = DenoisingAutoEncoderTransformer(
        features="hidden",
        hidden_layer_sizes=(7, 5, 6),
        activation="relu",
        numeric_scaling="standard",
        max_epochs=2,
        random_state=0,
    ).fit(X)
    spread = X.std(axis=0)
    two = np.array([len(np.unique(column)) == 2 for column in X.T])
    spread[two] = np.ptp(X, axis=0)[two]
    inputs = np.divide(X - X.mean(axis=0), spread, where=spread > 0, out=0 * X)
    hidden = []
    for block in stack.module_.encoder.blocks:
        weight, bias, scale, shift = (
            w.detach().double().numpy() for w in block.parameters()
        )
        inputs = inputs @ weight.T + bias
        inputs -= inputs.mean(axis=1, keepdims=True)
        inputs /= np.sqrt(np.square(inputs).mean(axis=1, keepdims=True) + 1e-5)
        inputs = np.maximum(inputs * scale + shift, 0)
        hidden.append(inputs)
    np.testing.assert_allclose(stack.transform(X), np.hstack(hidden), atol=1e-9)
    output = stack.module_.decoder.output
    weight, bias = (w.detach().double().numpy() for w in output.parameters())
    rows = (inputs @ weight.T + bias) * spread + X.mean(axis=0)
    np.testing.assert_allclose(stack.reconstruct(X), rows, atol=1e-9)


def test_hidden_features_ignore_n_components():
    stacks = [
        DenoisingAutoEncoderTransformer(k, features="hidden", **SMALL).fit(X)
        for k in (1, 300, None)
    ]
    for a, b in itertools.pairwise(stacks):
        np.testing.assert_array_equal(a.transform(X), b.transform(X))


def test_n_components_of_none_is_pcas():
    reducer = AutoEncoderTransformer(None, **SMALL).fit(X[:30])
    assert reducer.n_components_ == PCA().fit(X[:30]).n_components_ == 30
    reducer = AutoEncoderTransformer(None, **SMALL).partial_fit(X).partial_fit(X[:20])
    assert reducer.n_components_ == 64


@pytest.mark.parametrize(
    "activation", ["identity", "logistic", "tanh", "relu", "gelu", "elu", "silu"]
)
def test_every_activation_learns(activation):
    reducer = AutoEncoderTransformer(
        8,
        hidden_layer_sizes=(32,),
        activation=activation,
        init="random",
        max_epochs=20,
        lr=0.02,
        random_state=0,
    ).fit(X)
    assert reducer.score(X) > 0.5


def test_probabilities_stay_in_the_unit_interval():
    pixels = X / 16
    for reducer in (
        AutoEncoderTransformer(8, loss="binary_cross_entropy"),
        VAETransformer(8, likelihood="bernoulli"),
    ):
        reducer.set_params(max_epochs=20, random_state=0)
        rows = reducer.fit(pixels).reconstruct(pixels)
        assert rows.min() >= 0
        assert rows.max() <= 1
        assert reconstruction_scorer(reducer, pixels) > 0.7


def test_numeric_scaling_changes_what_is_reconstructed():
    """Two signals of unequal units and one component: which one is kept?"""
    rng = np.random.default_rng(0)
    small = rng.normal(size=(600, 1)) @ np.ones((1, 8))
    large = 100 * rng.normal(size=(600, 1))
    rows = np.hstack([small, large]) + 1e-3 * rng.normal(size=(600, 9))
    settings = {"hidden_layer_sizes": (16,), "random_state": 0}
    kept = {}
    for scaling in ("none", "standard", "minmax"):
        reducer = AutoEncoderTransformer(1, numeric_scaling=scaling, **settings)
        errors = reducer.fit(rows).reconstruction_error(rows, per_feature=True)
        explained = 1 - errors.mean(axis=0) / rows.var(axis=0)
        kept[scaling] = explained[:8].mean(), explained[8]
    assert kept["none"][1] > 0.95 > kept["none"][0]
    assert kept["standard"][0] > 0.9 > kept["standard"][1]
    assert kept["minmax"][0] > 0.9 > kept["minmax"][1]


def test_score_samples_depend_on_no_other_row():
    vae = VAETransformer(4, **SMALL).fit(X)
    scores = vae.score_samples(X)
    np.testing.assert_array_equal(vae.score_samples(X), scores)
    np.testing.assert_allclose(vae.score_samples(X[5:6]), scores[5:6], rtol=1e-9)
    assert vae.score(X) == pytest.approx(scores.mean())


def test_score_samples_are_densities_in_the_callers_units():
    """Rows in other units have another density: by the Jacobian, exactly."""
    vae = VAETransformer(4, **SMALL)
    varied = X[:, X.std(axis=0) > 0]
    one = clone(vae).fit(varied).score(varied)
    thousand = clone(vae).fit(varied * 1000).score(varied * 1000)
    expected = one - varied.shape[1] * np.log(1000)
    assert thousand == pytest.approx(expected, abs=0.05)


def test_outliers_have_large_errors_and_low_densities():
    inliers = DIGITS[:1000]
    outliers = np.random.default_rng(0).permuted(inliers[:100], axis=1)
    reducer = AutoEncoderTransformer(10, max_epochs=20, random_state=0).fit(inliers)
    vae = VAETransformer(10, max_epochs=20, random_state=0).fit(inliers)
    errors = reducer.reconstruction_error
    assert np.median(errors(outliers)) > 3 * np.median(errors(inliers))
    assert np.median(vae.score_samples(outliers)) < np.quantile(
        vae.score_samples(inliers), 0.05
    )


def test_a_dense_network_is_the_parameters_and_the_parameters_are_it():
    by_parameters = AutoEncoderTransformer(
        4, hidden_layer_sizes=(9, 8), activation="tanh", max_epochs=2, random_state=0
    ).fit(X)
    by_network = AutoEncoderTransformer(
        4, network=MLP((9, 8), "tanh"), max_epochs=2, random_state=0
    ).fit(X)
    np.testing.assert_array_equal(by_network.transform(X), by_parameters.transform(X))


def test_the_network_has_the_shape_asked_for():
    reducer = AutoEncoderTransformer(4, hidden_layer_sizes=(9, 8), max_epochs=0).fit(X)
    shapes = [tuple(w.shape) for w in reducer.module_.parameters() if w.ndim == 2]
    assert shapes == [(9, 64), (8, 9), (4, 8), (8, 4), (9, 8), (64, 9)]
