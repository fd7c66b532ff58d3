"""Numbers in several codings beside each other, for hidden features."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse, stats

from sk_autoencoder import DenoisingAutoEncoderTransformer, load
from sk_autoencoder._utils.float64_buffers import in_dtype

SMALL = {"features": "hidden", "hidden_layer_sizes": (8,), "max_epochs": 3}
BOTH = ("standard", "rank_gauss")
rng = np.random.default_rng(0)
n = 400
FRAME = pd.DataFrame(
    {
        "year": 2000.0 + rng.integers(0, 20, n),
        "flag": (rng.random(n) < 0.1).astype(float),
        "amount": np.exp(2 * rng.normal(size=n)),
        "letter": pd.Categorical(rng.choice(list("xyz"), n)),
    }
)
FRAME.loc[:19, "amount"] = np.nan


def fit(samples=FRAME, **params):
    given = {"allow_missing": True, "random_state": 0, **SMALL, **params}
    return DenoisingAutoEncoderTransformer(**given).fit(samples)


def standard(values):
    return (values - values.mean()) / values.std()


def both(values):
    scores = stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values))
    return np.column_stack([standard(values), standard(scores)])


def numbers_of(model):
    group = model.module_.columns.groups[0]
    assert type(group).__name__ == "CodedNumbers"
    return in_dtype(group, torch.float64)


@pytest.mark.parametrize("scaling", ["auto", BOTH, list(BOTH)])
def test_numbers_enter_in_both_codings(scaling):
    model = fit(numeric_scaling=scaling)
    group = numbers_of(model)
    rows = torch.from_numpy(model._plan.table.matrix(FRAME))
    inputs = group.inputs(group.of(rows)).numpy()
    seen = FRAME["amount"].notna().to_numpy()
    amount = both(FRAME["amount"][seen].to_numpy())
    np.testing.assert_allclose(
        inputs[seen],
        np.hstack([both(FRAME["year"].to_numpy())[seen], amount.clip(-5, 5)]),
        atol=1e-6,
    )
    assert (inputs[~seen, 2:] == 0).all()


def test_gradient_of_several_codings_is_that_of_autograd():
    model = fit()
    group = numbers_of(model)
    x = group.of(torch.from_numpy(model._plan.table.matrix(FRAME)))
    raw = torch.randn(n, 4, dtype=torch.float64, requires_grad=True)
    losses, slope = group.gradient(raw, x)
    (losses * group.weight).sum().backward()
    np.testing.assert_allclose(slope.detach(), raw.grad)
    assert (losses[x.isnan()] == 0).all()


def test_reconstruction_is_decoded_from_the_first_coding():
    for scaling in (BOTH, BOTH[::-1]):
        model = fit(numeric_scaling=scaling, max_epochs=30)
        group = numbers_of(model)
        x = group.of(torch.from_numpy(model._plan.table.matrix(FRAME)))
        raw = group.centered(x)
        seen = ~x.isnan()
        np.testing.assert_allclose(group.values(raw)[seen], x[seen])
        restored = model.inverse_transform(model.transform(FRAME))
        assert list(restored.columns) == list(FRAME.columns)
        assert restored["amount"].between(-1e6, 1e6).all()


def test_columns_behind_the_block_share_a_variance_among_codings():
    model = fit(passthrough=True)
    Z = pd.DataFrame(model.transform(FRAME), columns=model.get_feature_names_out())
    names = list(Z.columns)[8:]
    assert names == [
        "year_standard",
        "year_rank_gauss",
        "flag",
        "amount_standard",
        "amount_rank_gauss",
        "letter_x",
        "letter_y",
        "letter_z",
        "missingindicator_amount",
    ]
    np.testing.assert_allclose(
        Z[names[:2]], both(FRAME["year"].to_numpy()) / np.sqrt(2), atol=1e-4
    )
    assert (Z.loc[:19, names[3:5]] == 0).all(axis=None)


def test_one_coding_in_a_tuple_is_that_coding():
    alone, other = (
        fit(numeric_scaling=("rank_gauss",)),
        fit(numeric_scaling="rank_gauss"),
    )
    np.testing.assert_array_equal(alone.transform(FRAME), other.transform(FRAME))


def test_several_codings_are_saved(tmp_path):
    model = fit(passthrough=True, numeric_scaling=BOTH)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(FRAME), model.transform(FRAME))
    assert loaded.numeric_scaling == BOTH


def test_a_matrix_takes_several_codings():
    X = rng.normal(size=(200, 3))
    model = fit(X, numeric_scaling=BOTH, allow_missing=False, passthrough=True)
    assert model.transform(X).shape == (200, 8 + 6)
    assert np.isfinite(model.score(X))


def test_a_matrix_has_two_codings_unless_it_is_sparse():
    X = np.column_stack([np.exp(rng.normal(size=(200, 2))), rng.random(200) < 0.1])
    model = fit(X, allow_missing=False, passthrough=True)
    columns = model.transform(X)[:, 8:]
    limits = np.array([-5, 5]) / np.sqrt(2)
    expected = [*(both(x) / np.sqrt(2) for x in X.T[:2]), X[:, 2:]]
    np.testing.assert_allclose(columns, np.hstack(expected).clip(*limits), 1e-6)
    assert list(model.get_feature_names_out()[8:10]) == ["x0_standard", "x0_rank_gauss"]
    assert fit(sparse.csr_matrix(X), allow_missing=False)._plan.scaling == "standard"
    assert fit(X, allow_missing=False, loss="huber")._plan.scaling == "standard"


def test_columns_beside_features_end_at_five_standard_deviations():
    wild = np.append(rng.normal(size=199), 1e3)
    X = np.column_stack([wild, np.arange(200) % 2 * 1e3])
    for scaling in ("standard", BOTH):
        model = fit(X, allow_missing=False, passthrough=True, numeric_scaling=scaling)
        columns = model.transform(X)[:, 8:]
        most = 5 / np.sqrt(1 if scaling == "standard" else 2)
        assert columns[-1, 0] == pytest.approx(most)
        assert np.ptp(columns[:, -1]) == pytest.approx(1)  # two values keep theirs


def test_codings_cannot_change_between_fits():
    model = fit(numeric_scaling="standard", warm_start=True)
    with pytest.raises(ValueError, match="expected numeric_scaling='standard' as in"):
        model.set_params(numeric_scaling=BOTH).fit(FRAME)


@pytest.mark.parametrize("given", [(), ("standard", "standard"), ("ranks",), [1]])
def test_codings_are_known_and_none_twice(given):
    with pytest.raises(ValueError, match="expected at least one of 'none'"):
        fit(numeric_scaling=given)


@pytest.mark.parametrize("features", ["bottleneck", "reconstruction"])
def test_several_codings_need_hidden_features(features):
    with pytest.raises(ValueError, match="expected features='hidden' for several"):
        fit(numeric_scaling=BOTH, features=features)


@pytest.mark.parametrize(
    "given",
    [
        lambda X: X,
        lambda X: X.astype(np.int64),
        lambda X: X.astype(object),
        lambda X: X.astype(np.float32),
        lambda X: pd.DataFrame(X, columns=list("abc")).astype(int),
    ],
    ids=["float64", "int", "object", "float32", "frame"],
)
def test_batches_of_a_matrix_are_read_as_the_matrix_is(given):
    X = given(np.random.default_rng(1).integers(0, 100, (200, 3)).astype(float))
    whole = fit(X, allow_missing=False)
    model = DenoisingAutoEncoderTransformer(random_state=0, **SMALL)
    model.fit_batches([X[:100], X[100:]])
    assert model._plan.table.format == whole._plan.table.format
    found = model.reconstruct(X)
    assert found.dtype == whole.reconstruct(X).dtype
    assert (found % 1 > 0).any()  # whole numbers are numbers in a matrix


def test_later_batches_of_a_matrix_may_be_sparse():
    X = rng.normal(size=(200, 3))
    codes = [
        DenoisingAutoEncoderTransformer(random_state=0, **SMALL)
        .fit_batches([X[:100], part])
        .transform(X)
        for part in (X[100:], sparse.csr_array(X[100:]))
    ]
    np.testing.assert_array_equal(*codes)


def test_a_matrix_is_checked_in_batches_as_it_is_whole():
    X = rng.normal(size=(50, 2))
    X[3, 1] = np.inf
    model = DenoisingAutoEncoderTransformer(**SMALL)
    message = "Input X contains infinity or a value too large"
    for train in (model.fit, lambda X: model.fit_batches([X])):
        with pytest.raises(ValueError, match=message):
            train(X)


def test_a_validation_set_of_a_matrix_may_be_sparse():
    X = rng.normal(size=(200, 3))
    codes = [
        DenoisingAutoEncoderTransformer(random_state=0, **SMALL)
        .fit(X, X_val=X_val)
        .transform(X)
        for X_val in (X[:50], sparse.csr_array(X[:50]))
    ]
    np.testing.assert_array_equal(*codes)


def test_a_matrix_goes_on_in_another_dtype_and_is_saved(tmp_path):
    X = rng.normal(size=(200, 3))
    model = fit(X, allow_missing=False, warm_start=True).fit(X.astype(np.float32))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_constant_samples_are_no_table():
    model = fit(np.full((50, 3), 2.0), allow_missing=False)
    assert model._plan.table is None
    assert model.score(np.full((5, 3), 2.0)) == 1
