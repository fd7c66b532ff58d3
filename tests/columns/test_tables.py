"""Tables with categories and missing cells, through the whole of an estimator."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from made_tables import adult_rows, small, with_imputation
from polars.testing import assert_series_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._objectives import Denoise
from sk_autoencoder.exceptions import DivergenceError

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
TINY = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
START = {"max_epochs": 0, "random_state": 0}
ADULT = adult_rows()
NUMBERS = ADULT.select_dtypes("number").columns.tolist()
CATEGORIES = [name for name in ADULT if name not in NUMBERS]


def arrays(gaps=True):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 5)) * [1, 2, 3, 100, 0.1]
    X += rng.normal(size=X.shape) * 0.1 + 7
    return np.where(gaps & (rng.random(X.shape) < 0.15), np.nan, X)


# -- PCA of the encoded matrix --------------------------------------------------------


@pytest.fixture(scope="module")
def adult():
    """Return rows of Adult without gaps, and their encoding by scikit-learn."""
    frame = ADULT.dropna().head(2500)
    kept = [name for name in CATEGORIES if frame[name].nunique() > 1]
    encoder = ColumnTransformer(
        [("n", StandardScaler(), NUMBERS), ("c", OneHotEncoder(), kept)],
        sparse_threshold=0,
    )
    matrix = encoder.fit_transform(frame)
    blocks = np.repeat(
        np.arange(len(NUMBERS) + len(kept)),
        [1] * len(NUMBERS) + [frame[name].nunique() for name in kept],
    )
    variance = np.bincount(blocks, matrix.var(axis=0))
    matrix = (matrix - matrix.mean(axis=0)) / np.sqrt(variance)[blocks]
    return frame, matrix, blocks, encoder, np.sqrt(variance)[blocks]


def test_untrained_it_is_pca_of_the_encoded_matrix(adult):
    frame, matrix, blocks, encoder, unit = adult
    reducer = PLAIN(5, **START).fit(frame)
    pca = PCA(5, svd_solver="full").fit(matrix)
    codes, expected = reducer.transform(frame), pca.transform(matrix)
    signs = np.sign((codes * expected).sum(axis=0))
    np.testing.assert_allclose(codes * signs, expected, atol=1e-6)
    # Shares of levels that PCA puts out of (0, 1) are brought back.
    mean = encoder.transform(frame).mean(axis=0)
    linear = pca.inverse_transform(expected) * unit + mean
    n_numbers = len(NUMBERS)
    linear[:, n_numbers:] = linear[:, n_numbers:].clip(0.01, 0.99)
    for block in range(n_numbers, blocks.max() + 1):
        own = linear[:, blocks == block]
        linear[:, blocks == block] = own / own.sum(axis=1, keepdims=True)
    squares = np.square(matrix - (linear - mean) / unit)
    score = 1 - squares.sum() / np.square(matrix).sum()
    assert reducer.score(frame) == pytest.approx(score, rel=1e-6)
    assert reducer.explained_variance_ratio_.sum() == pytest.approx(score, rel=1e-4)
    np.testing.assert_allclose(
        reducer.reconstruction_error(frame), squares.sum(axis=1), rtol=1e-5, atol=1e-6
    )
    cells = reducer.reconstruction_error(frame, per_feature=True)
    assert list(cells.columns) == list(frame.columns)
    for i, name in enumerate([*NUMBERS, *(c for c in CATEGORIES)]):
        own = squares[:, blocks == i].sum(axis=1)
        np.testing.assert_allclose(cells[name], own, rtol=1e-5, atol=1e-6)


def test_at_full_rank_a_table_comes_back(to_polars):
    frame = ADULT.head(2000)
    reducer = PLAIN(None, allow_missing=True, **START).fit(frame)
    back = reducer.inverse_transform(
        reducer.set_output(transform="pandas").transform(frame)
    )
    there = frame.notna()
    pd.testing.assert_frame_equal(back.where(there), frame)
    assert back.notna().all().all()
    polar = to_polars(frame)
    there = clone(reducer).set_output(transform="default").fit(polar)
    again = there.inverse_transform(there.transform(polar))
    assert again.schema == polar.schema
    assert again.to_dicts() == to_polars(back).cast(dict(polar.schema)).to_dicts()


@pytest.mark.parametrize("scaling", ["none", "standard", "minmax"])
@pytest.mark.parametrize("constant", [False, True])
def test_numbers_without_gaps_score_as_if_none_were_allowed(scaling, constant):
    X = arrays(gaps=False)
    X[:, 1] = 3.0 if constant else X[:, 1]
    how = {"numeric_scaling": scaling, **START}
    expected = PLAIN(2, **how).fit(X)
    for table in (
        PLAIN(2, allow_missing=True, **how),
        PLAIN(2, column_weights=[2] * 5, **how),
    ):
        table.fit(X)
        assert table.score(X) == pytest.approx(expected.score(X), rel=1e-6)
        np.testing.assert_allclose(table.mean_, expected.mean_, rtol=1e-12)
        for given in ("reconstruct", "reconstruction_error"):
            values = getattr(table, given)(X), getattr(expected, given)(X)
            np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)
    ours = PLAIN(2, allow_missing=True, **how).fit(X).transform(X)
    codes = expected.transform(X)
    signs = np.sign((ours * codes).sum(axis=0))
    np.testing.assert_allclose(ours * signs, codes, rtol=1e-5, atol=1e-6)


def test_a_stack_measures_numbers_in_their_spread_with_gaps_too():
    X = arrays(gaps=False)
    reducer = DENOISING(features="hidden", allow_missing=True, **TINY).fit(X)
    np.testing.assert_allclose([c.unit for c in reducer._table.columns], X.std(axis=0))


def test_a_column_of_no_weight_is_not_learned_and_not_in_the_way():
    frame = small()
    weights = {"a": 0, "many": 0}
    reducer = PLAIN(2, column_weights=weights, **START).fit(frame)
    others = PLAIN(2, **START).fit(frame[["whole", "flag", "few"]])
    codes, expected = (
        reducer.transform(frame),
        others.transform(frame[["whole", "flag", "few"]]),
    )
    signs = np.sign((codes * expected).sum(axis=0))
    np.testing.assert_allclose(codes * signs, expected, atol=1e-6)
    assert reducer.reconstruction_error(frame, per_feature=True)[
        "a"
    ].mean() == pytest.approx(1)


# -- what is missing ------------------------------------------------------------------


def test_the_network_is_told_what_is_missing_and_the_loss_is_not():
    frame = small(gaps=True)
    reducer = PLAIN(2, allow_missing=True, **TINY).fit(frame)
    module = reducer.module_
    x = torch.from_numpy(reducer._table.matrix(frame)).float()
    inputs = module.columns.encode(x)
    assert inputs.shape[1] == module.columns.n_outputs + 5
    np.testing.assert_array_equal(inputs[:, -5:].numpy(), frame.isna().to_numpy())
    cells = reducer.reconstruction_error(frame, per_feature=True).to_numpy()
    assert (cells[frame.isna().to_numpy()] == 0).all()
    assert (cells[frame.notna().to_numpy()] > 0).mean() > 0.99
    told = PLAIN(2, allow_missing=True, **TINY).fit(small()).module_.columns.encode
    assert not told(x[:1].nan_to_num())[:, -5:].any()


@pytest.mark.parametrize("kind", [PLAIN, DENOISING, VAETransformer])
def test_what_is_missing_is_refused_unless_allowed(kind):
    frame, X = small(gaps=True), arrays()
    with pytest.raises(
        ValueError, match=r"Input X contains NaN: .*column 'a', 'whole'"
    ):
        kind(2, **TINY).fit(frame)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        kind(2, **TINY).fit(X)
    reducer = kind(2, **TINY).fit(small())
    with pytest.raises(ValueError, match=r"column 'few'. Fit with allow_missing"):
        reducer.transform(small().assign(few=None))


def test_a_loss_that_is_not_finite_is_seen_beside_missing_cells():
    reducer = PLAIN(2, allow_missing=True, lr=1e30, init="random", **TINY)
    with pytest.raises(DivergenceError, match="expected a finite loss"):
        reducer.fit(arrays())


def test_an_imputer_fills_what_is_missing_and_nothing_else():
    X = arrays()
    imputer = DENOISING(features="reconstruction", allow_missing=True, **TINY).fit(X)
    imputer = with_imputation(imputer, linear=None)
    report = imputer.imputation_report_.values()
    by_median = np.array([column["kept"] == "median" for column in report])
    for rows in (X, X.astype(np.float32)):
        filled, gaps = imputer.transform(rows), np.isnan(rows)
        assert filled.dtype == rows.dtype
        np.testing.assert_array_equal(filled[~gaps], rows[~gaps])
        # The median where hidden validation cells were nearer to that.
        expected = np.where(
            by_median, np.nanmedian(X, axis=0), imputer.reconstruct(rows)
        )
        assert not by_median[gaps.any(axis=0)].all()
        np.testing.assert_allclose(filled[gaps], expected[gaps], rtol=1e-5)
        assert imputer.inverse_transform(filled) is filled
    names = ["x0", "x1", "x2", "x3", "x4"]
    assert imputer.get_feature_names_out().tolist() == names
    y = np.nan_to_num(X[:, 0]) > 7
    model = make_pipeline(imputer, StandardScaler(), LogisticRegression())
    assert model.fit(X, y).score(X, y) > 0.6
    with pytest.raises(ValueError, match=r"expected out=None for features='recon"):
        imputer.transform(X, out=np.empty((150, 5)))


@pytest.mark.parametrize("as_polars", [False, True])
def test_an_imputer_leaves_frames_as_they_came(as_polars, to_polars):
    frame = small(gaps=True)
    frame["many"] = frame["many"].astype("category")
    if as_polars:
        frame = to_polars(frame).cast({"few": pl.Enum(["x", "y", "z"])})
    imputer = DENOISING(features="reconstruction", allow_missing=True, **TINY).fit(
        frame
    )
    imputer = with_imputation(imputer, linear=None, keeps_constant=(False,) * 5)
    filled = imputer.transform(frame)
    assert list(filled.dtypes) == list(frame.dtypes)
    reconstructed = imputer.reconstruct(frame)
    if as_polars:
        assert filled.null_count().sum_horizontal().item() == 0
        for name in frame.columns:
            kept = frame[name].is_not_null()
            assert filled[name].filter(kept).equals(frame[name].filter(kept))
            assert_series_equal(
                filled[name].filter(~kept), reconstructed[name].filter(~kept)
            )
        return
    pd.testing.assert_frame_equal(filled, frame.fillna(reconstructed))
    whole = frame.assign(few=frame["few"].cat.add_categories("new").fillna("new"))
    # A category that fit had not seen is not missing; a level may be new to the dtype.
    assert (imputer.transform(whole)["few"] == whole["few"]).all()
    narrow = frame[frame["few"] != "x"].copy()
    narrow["few"] = narrow["few"].cat.remove_unused_categories()
    assert imputer.transform(narrow)["few"].notna().all()
    nothing = pd.DataFrame([dict.fromkeys(frame.columns)])
    filled = imputer.transform(nothing)
    assert filled.notna().all().all()
    assert list(filled.dtypes) == list(frame.dtypes)
    plain = DENOISING(features="reconstruction", **TINY).fit(small()[["a", "whole"]])
    given = small()[["a", "whole"]]
    pd.testing.assert_frame_equal(plain.transform(given), given)


def test_all_kinds_of_nothing_are_missing():
    rows = [[1.0, "u"], [2.0, "v"], [None, "v"], [np.nan, None], [pd.NA, np.nan]]
    settings = {"categorical_features": [1], "allow_missing": True, **TINY}
    for X in (np.array(rows, dtype=object), rows):
        reducer = PLAIN(1, **settings).fit(X)
        encoded = reducer._table.matrix(np.array(X, dtype=object))
        assert np.isnan(encoded).tolist() == [[pd.isna(c) for c in row] for row in rows]
        back = reducer.inverse_transform(reducer.transform(X))
        assert set(back[:, 1]) <= {"u", "v"}
        assert all(isinstance(value, float) for value in back[:, 0])


# -- noise, layers --------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["swap", "masking"])
def test_noise_moves_whole_cells_and_groups_of_them(noise):
    frame = small(400)
    reducer = DENOISING(2, allow_missing=True, **TINY).fit(frame)
    columns = reducer.module_.columns
    x = torch.from_numpy(reducer._table.matrix(frame)).float()
    groups = (0, 1, 2, 1, 3)
    generator = torch.Generator().manual_seed(0)
    noisy = Denoise(noise, 0.3, groups).noisy(x, columns, generator)
    changed = (noisy != x) | noisy.isnan()
    if noise == "masking":
        assert noisy[changed].isnan().all()
        assert torch.equal(changed[:, 1], changed[:, 3])
        assert changed.float().mean().item() == pytest.approx(0.3, abs=0.05)
    else:
        pairs = {tuple(pair) for pair in x[:, [1, 3]].tolist()}
        both = changed[:, 1] & changed[:, 3]
        assert both.sum() > 10
        assert {tuple(pair) for pair in noisy[:, [1, 3]].tolist()} <= pairs
        alone = {tuple(pair) for pair in noisy[:, [0, 3]].tolist()}
        assert not alone <= {tuple(pair) for pair in x[:, [0, 3]].tolist()}
        assert torch.isin(noisy[:, 4], x[:, 4]).all()
    # A category's numbers stay those of one level, or of none.
    hot = columns.encode(noisy)[:, columns.column_index.tolist().index(3) :][:, :3]
    levels = columns.encode(x)[:, columns.column_index.tolist().index(3) :][:, :3]
    known = torch.cat([levels.unique(dim=0), torch.zeros(1, 3)])
    assert all((known == row).all(dim=1).any() for row in hot)


def test_feature_groups_are_named_or_numbered_and_columns_of_x():
    frame = small()
    by_name = DENOISING(2, feature_groups=[["few", "flag"]], **TINY).fit(frame)
    by_place = DENOISING(2, feature_groups=[[3, 2]], **TINY).fit(frame)
    np.testing.assert_array_equal(by_name.transform(frame), by_place.transform(frame))
    for groups in ([["few", "none"]], [["few"], ["few"]], [[5]]):
        with pytest.raises(ValueError, match="expected each of the 5 features in one"):
            DENOISING(2, feature_groups=groups, **TINY).fit(frame)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (None, [1, 1, 1, 1]),
        (0.5, [1, 0.5, 0.25, 0.125]),
        ("cosine", [1, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5]),
        (lambda epoch: 1 / (1 + epoch), [1, 1 / 2, 1 / 3, 1 / 4]),
    ],
)
def test_the_noise_follows_its_schedule(schedule, factors, monkeypatch):
    levels, noisy = [], Denoise.noisy

    def seen(objective, *args):
        levels.append(objective.level)
        return noisy(objective, *args)

    monkeypatch.setattr(Denoise, "noisy", seen)
    # From a random start nothing is corrupted but the batches of training.
    reducer = DENOISING(2, init="random", noise_level=0.2, batch_size=120)
    reducer.set_params(noise_schedule=schedule)
    reducer.set_params(**TINY | {"max_epochs": 4}, early_stopping=False).fit(small())
    np.testing.assert_allclose(levels, 0.2 * np.array(factors))


def test_layers_choose_hidden_features_and_their_names():
    frame = small(gaps=True)
    settings = {"features": "hidden", "allow_missing": True, **TINY}
    settings["hidden_layer_sizes"] = (6, 4, 5)
    every = DENOISING(**settings).fit(frame)
    codes = every.transform(frame)
    for layers, places in {
        (1,): [*range(6)],
        (-1,): [*range(10, 15)],
        (3, 1): [*range(10, 15), *range(6)],
    }.items():
        reducer = DENOISING(layers=list(layers), **settings).fit(frame)
        np.testing.assert_array_equal(reducer.transform(frame), codes[:, places])
        names = reducer.get_feature_names_out().tolist()
        assert names == every.get_feature_names_out()[places].tolist()
        if layers == (-1,):
            back = reducer.inverse_transform(reducer.transform(frame))
            again = every.reconstruct(frame)
            assert (back["few"].to_numpy() == again["few"].to_numpy()).all()
            # Hidden features of a frame with categories are float32.
            np.testing.assert_allclose(back["a"], again["a"], rtol=1e-5)
        else:
            with pytest.raises(
                ValueError,
                match="expected hidden features that end with the last layer",
            ):
                reducer.inverse_transform(reducer.transform(frame))
    for wrong in ([0], [4], [], [1.5], ["a"]):
        with pytest.raises(ValueError, match=r"expected hidden layers from 1 to 3"):
            DENOISING(layers=wrong, **settings).fit(frame)
