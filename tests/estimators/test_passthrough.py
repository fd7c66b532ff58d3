"""`passthrough=True`: a block of hidden features, and the columns behind it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_autoencoder import DenoisingAutoEncoderTransformer, load

SMALL = {
    "features": "hidden",
    "hidden_layer_sizes": (12, 9),
    "max_epochs": 3,
    "random_state": 0,
}
rng = np.random.default_rng(0)
n = 300
X = np.column_stack(
    [
        rng.random(n) < 0.1,
        rng.normal(5, 3, size=n),
        rng.exponential(size=n),
        np.full(n, 7.0),
    ]
).astype(float)
FRAME = pd.DataFrame(
    {
        "number": rng.normal(2, 3, size=n),
        "flag": (rng.random(n) < 0.3).astype(float),
        "letter": pd.Categorical(rng.choice(list("xyz"), n)),
        "pair": pd.Categorical(rng.choice(["no", "yes"], n)),
        "many": pd.Categorical(rng.integers(0, 80, n).astype(str)),
    }
)
FRAME.loc[:29, "number"] = np.nan
FRAME.loc[20:39, "letter"] = np.nan


def transformer(**params):
    return DenoisingAutoEncoderTransformer(**{**SMALL, "passthrough": True, **params})


def activations(model, samples):
    """All hidden layers, as a fit without passthrough gives them."""
    plain = clone(model).set_params(passthrough=False)
    return plain.fit(samples).transform(samples)


def test_passthrough_is_off_by_default():
    assert DenoisingAutoEncoderTransformer().passthrough is False


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_of_a_matrix_follow_the_block(dtype):
    samples = X.astype(dtype)
    model = transformer(numeric_scaling="standard").fit(samples)
    Z = model.transform(samples)
    assert Z.dtype == dtype
    assert Z.shape == (n, 21 + 4) == (n, model.n_components_)
    expected = np.column_stack(
        [X[:, 0], (X[:, 1:3] - X[:, 1:3].mean(0)) / X[:, 1:3].std(0), np.zeros(n)]
    ).clip(-5, 5)
    np.testing.assert_allclose(Z[:, 21:], expected, atol=1e-5)
    np.testing.assert_array_equal(Z[:, 21], X[:, 0])
    prefix = "denoisingautoencodertransformer"
    names = [f"{prefix}{i}" for i in range(21)] + ["x0", "x1", "x2", "x3"]
    assert list(model.get_feature_names_out()) == names
    assert len(model.explained_variance_ratio_) == 21


@pytest.mark.parametrize("layers", [None, [-1], [2, 1]])
def test_block_is_the_principal_components_of_the_activations(layers):
    model = transformer(layers=layers).fit(X)
    hidden = activations(model, X)
    n_columns = hidden.shape[1]
    block = model.transform(X)[:, :n_columns]
    passed = model.transform(X)[:, n_columns:]
    np.testing.assert_allclose(block.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(
        block.var(axis=0).sum(), passed.var(axis=0).sum(), rtol=1e-4
    )
    # Uncorrelated, in order, and the same distances up to one number.
    covariance = np.cov(block.T)
    variances = np.diag(covariance)
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-4 * variances[0])
    assert (np.diff(variances) <= 1e-9).all()
    centered = hidden - hidden.mean(0)
    factor = np.square(block).sum() / np.square(centered).sum()
    np.testing.assert_allclose(
        block @ block.T, factor * centered @ centered.T, atol=1e-4 * variances[0]
    )


def test_block_has_at_most_128_columns():
    model = transformer(hidden_layer_sizes=(100, 60), max_epochs=1).fit(X)
    assert model.transform(X).shape[1] == 128 + 6
    few = transformer(hidden_layer_sizes=(100, 60), max_epochs=1).fit(X[:20])
    assert few.transform(X).shape[1] == 19 + 6


def test_columns_of_a_table_follow_the_block():
    model = transformer(allow_missing=True, numeric_scaling="standard").fit(FRAME)
    Z = model.transform(FRAME)
    names = list(model.get_feature_names_out())
    assert Z.dtype == np.float32
    assert Z.shape[1] == model.n_components_ == len(names)
    width = sum(name.startswith("many_code") for name in names)
    assert names[21:] == [
        "number",
        "flag",
        "letter_x",
        "letter_y",
        "letter_z",
        "pair_yes",
        *(f"many_code{i}" for i in range(width)),
        "missingindicator_number",
        "missingindicator_letter",
    ]
    passed = pd.DataFrame(Z[:, 21:], columns=names[21:])
    number = FRAME["number"]
    expected = ((number - number.mean()) / number.std(ddof=0)).fillna(0.0)
    np.testing.assert_allclose(passed["number"], expected, atol=1e-5)
    np.testing.assert_allclose(passed["flag"], FRAME["flag"], atol=1e-6)
    for level in "xyz":
        is_there = FRAME["letter"] == level
        np.testing.assert_array_equal(passed[f"letter_{level}"], is_there)
    np.testing.assert_array_equal(passed["pair_yes"], FRAME["pair"] == "yes")
    np.testing.assert_array_equal(passed["missingindicator_number"], number.isna())
    np.testing.assert_array_equal(
        passed["missingindicator_letter"], FRAME["letter"].isna()
    )
    codes = passed[[name for name in names if name.startswith("many_code")]]
    assert len(codes.drop_duplicates()) == FRAME["many"].nunique()


def test_unknown_levels_and_new_gaps_are_zeros():
    model = transformer(allow_missing=True).fit(FRAME)
    other = FRAME.iloc[50:52].copy()
    other["letter"] = ["w", None]
    other["pair"] = [None, "no"]
    Z = pd.DataFrame(model.transform(other), columns=model.get_feature_names_out())
    assert (Z[["letter_x", "letter_y", "letter_z", "pair_yes"]] == 0).all(axis=None)
    assert Z["missingindicator_letter"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("samples", [X, FRAME], ids=["matrix", "frame"])
def test_out_files_and_few_samples(samples, tmp_path):
    model = transformer(allow_missing=samples is FRAME).fit(samples)
    Z = model.transform(samples)
    out = np.empty(Z.shape, np.float32)
    assert model.transform(samples, out=out) is out
    np.testing.assert_allclose(out, Z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model.transform(samples[:2]), Z[:2], atol=1e-5)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(samples), Z)
    assert list(loaded.get_feature_names_out()) == list(model.get_feature_names_out())
    np.testing.assert_array_equal(
        loaded.explained_variance_ratio_, model.explained_variance_ratio_
    )


def test_set_output_names_the_columns():
    model = transformer(allow_missing=True).set_output(transform="pandas").fit(FRAME)
    Z = model.transform(FRAME)
    assert list(Z.columns) == list(model.get_feature_names_out())
    assert list(Z.index) == list(FRAME.index)


def test_inverse_transform_goes_back_through_the_block():
    model = transformer(max_epochs=30).fit(X)
    Z = model.transform(X)
    restored = model.inverse_transform(Z)
    np.testing.assert_allclose(restored, model.reconstruct(X), atol=1e-9)
    # Nothing was left out of the activations: as without passthrough.
    plain = transformer(max_epochs=30, passthrough=False).fit(X)
    np.testing.assert_allclose(restored, plain.reconstruct(X), atol=1e-4)
    Z[:, 21:] = 100.0
    np.testing.assert_array_equal(model.inverse_transform(Z), restored)


def test_partial_fit_keeps_the_number_of_columns():
    model = transformer(allow_missing=True)
    for start in (0, 100, 200):
        model.partial_fit(FRAME[start : start + 100])
        Z = model.transform(FRAME)
        assert Z.shape[1] == model.n_components_
    later = FRAME[60:100].copy()
    assert model.partial_fit(later).transform(later).shape[1] == Z.shape[1]
    block, passed = np.split(model.transform(later).astype(float), [21], axis=1)
    np.testing.assert_allclose(block.var(0).sum(), passed.var(0).sum(), rtol=1e-3)


def test_a_linear_model_needs_nothing_between():
    y = FRAME["flag"] > 0
    model = make_pipeline(transformer(allow_missing=True), LogisticRegression())
    assert model.fit(FRAME, y).score(FRAME, y) > 0.9


@pytest.mark.parametrize("features", ["bottleneck", "reconstruction"])
def test_passthrough_needs_hidden_features(features):
    with pytest.raises(ValueError, match="expected features='hidden' for passthrough"):
        transformer(features=features).fit(X)


def test_passthrough_refuses_whitening():
    with pytest.raises(ValueError, match="expected whiten=False for passthrough"):
        transformer(whiten=True).fit(X)


def test_passthrough_refuses_sparse_samples():
    with pytest.raises(ValueError, match="got a sparse matrix"):
        transformer().fit(sparse.csr_matrix(X))


def test_passthrough_refuses_names_that_are_not_unique():
    frame = pd.DataFrame(
        {"a": pd.Categorical(rng.choice(list("xyz"), n)), "a_x": rng.normal(size=n)}
    )
    with pytest.raises(ValueError, match=r"got .*a_x.* more than once"):
        transformer(numeric_scaling="standard").fit(frame)
    named = pd.DataFrame(X[:, :2], columns=["denoisingautoencodertransformer0", "b"])
    with pytest.raises(ValueError, match="expected unique names"):
        transformer().fit(named)


def test_passthrough_cannot_change_between_fits():
    model = transformer(passthrough=False, warm_start=True).fit(X)
    with pytest.raises(ValueError, match="expected passthrough=False as in the fit"):
        model.set_params(passthrough=True).fit(X)
