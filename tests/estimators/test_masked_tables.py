"""Tables filled, predicted and sampled by a masked network of their cells."""

import copy
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from made_tables import with_imputation
from scipy import sparse
from skorch.callbacks import Callback

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    DenoisingAutoEncoderTransformer,
    load,
)
from sk_autoencoder._fitting.recipe import masked_epochs
from sk_autoencoder._utils.schedules import step_factor
from sk_autoencoder.networks import MLP

NAN = float("nan")
SMALL = {
    "features": "reconstruction",
    "allow_missing": True,
    "hidden_layer_sizes": (16,),
    "max_epochs": 8,
    "random_state": 0,
}
BINS = "a", "whole", "flag"


def masked(**params):
    return DenoisingAutoEncoderTransformer(**{**SMALL, **params})


def made_table(n=150, seed=0):
    """Make a table of numbers and categories in which columns tell of each other."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": a,
            "whole": np.round(10 * a + rng.normal(size=n)).astype(int),
            "kind": pd.Categorical(np.where(a > 0, "x", rng.choice(["y", "z"], n))),
            "one": np.ones(n),
            "flag": (a > 1).astype(float),
        }
    )
    for name in ("a", "kind"):
        frame.loc[rng.random(n) < 0.2, name] = None
    return frame


TABLE = made_table()


@pytest.fixture(scope="module")
def fitted():
    return masked().fit(TABLE)


def cells_by_hand(estimator, frame):
    """Return the cells of a frame's columns, -1 where missing, by slow loops."""
    rows = []
    for i in range(len(frame)):
        row = []
        for column in estimator._table.columns:
            value = frame[column.name].iloc[i]
            if column.is_constant:
                continue
            if pd.isna(value):
                row.append(-1)
            elif hasattr(column, "levels"):
                row.append(column.levels.index(value))
            else:
                (cell,) = column.bins.cells(np.array([value], float))
                assert int(cell) == (column.bins.edges <= value).sum()
                row.append(cell)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def distributions(estimator, levels):
    """Return a list of each column's probabilities, (n, n_levels), in float64."""
    network = estimator.module_.network
    with torch.no_grad():
        logits = copy.deepcopy(network).double()(levels)
    sizes = network.offsets.diff().tolist()
    return [part.softmax(dim=1).numpy() for part in logits.split(sizes, dim=1)]


def varying(estimator):
    return [c for c in estimator._table.columns if not c.is_constant]


def predicted(column, shares):
    """Return the mean of a number's bins, or the likeliest level."""
    if hasattr(column, "levels"):
        return np.array(column.levels)[shares.argmax(axis=1)]
    return shares @ column.bins.means


# -- filling and predicting ----------------------------------------------------------


def test_missing_cells_are_the_mean_of_the_bins_or_the_likeliest_level(fitted):
    fitted = with_imputation(fitted, linear=None)
    filled = fitted.transform(TABLE)
    found = distributions(fitted, cells_by_hand(fitted, TABLE))
    for column, shares in zip(varying(fitted), found, strict=True):
        expected = pd.Series(predicted(column, shares))
        kept = fitted.imputation_report_[column.name]["kept"]
        if kept != "network":
            cells = TABLE[column.name]
            expected[:] = cells.mode()[0] if kept == "mode" else column.bins.median
        was_there = TABLE[column.name].notna()
        kept = TABLE[column.name][was_there]
        pd.testing.assert_series_equal(filled[column.name][was_there], kept)
        cells = filled[column.name][~was_there]
        if column.name == "kind":
            assert list(cells) == list(expected[~was_there])
        else:
            np.testing.assert_allclose(cells, expected[~was_there], rtol=1e-9)
    assert not filled.isna().any().any()
    pd.testing.assert_frame_equal(fitted.transform(TABLE), filled)


def left_out(estimator, frame):
    """Return each column's probabilities, given the other columns."""
    levels = cells_by_hand(estimator, frame)
    for i in range(levels.shape[1]):
        others = levels.clone()
        others[:, i] = -1
        yield distributions(estimator, others)[i]


def test_the_end_of_the_schedule_is_kept_and_else_the_best_epoch():
    settings = {"max_epochs": 60, "lr": 0.05, "dropout": 0.0}
    own = masked(**settings).fit(TABLE)
    best = np.argmin(own.validation_loss_curve_) + 1
    assert own.best_epoch_ == own.n_iter_ == 60 > best
    for params in ({"n_iter_no_change": 59}, {"lr_schedule": None}):
        other = masked(**settings, **params).fit(TABLE)
        assert other.best_epoch_ == np.argmin(other.validation_loss_curve_) + 1 < 60


def test_reconstructions_predict_each_cell_from_the_others(fitted):
    rebuilt = fitted.reconstruct(TABLE)
    assert list(rebuilt.dtypes) == list(TABLE.dtypes)
    for column, shares in zip(varying(fitted), left_out(fitted, TABLE), strict=True):
        expected = predicted(column, shares)
        if column.name == "kind":
            assert list(rebuilt["kind"]) == list(expected)
        elif column.name == "whole":
            assert list(rebuilt["whole"]) == list(np.rint(expected))
        else:
            np.testing.assert_allclose(rebuilt[column.name], expected, rtol=1e-9)
    assert (rebuilt["one"] == 1).all()


def test_errors_are_those_of_means_and_of_probabilities(fitted):
    errors = fitted.reconstruction_error(TABLE, per_feature=True)
    total = np.zeros(len(TABLE))
    for column, shares in zip(varying(fitted), left_out(fitted, TABLE), strict=True):
        cells = TABLE[column.name]
        if column.name == "kind":
            hot = np.stack([cells == level for level in column.levels], axis=1)
            expected = np.square(hot - shares).sum(axis=1)
            expected /= 1 - np.square(column.shares).sum()
        else:
            expected = np.square(cells - shares @ column.bins.means)
            expected /= cells.var(ddof=0)
        expected = np.where(cells.isna(), 0.0, expected)
        np.testing.assert_allclose(errors[column.name], expected, rtol=1e-9)
        total += expected
    np.testing.assert_allclose(fitted.reconstruction_error(TABLE), total, rtol=1e-9)
    spread = sum(
        np.square((TABLE[n] - TABLE[n].mean()) / TABLE[n].std(ddof=0)).sum()
        for n in BINS
    )
    spread += TABLE["kind"].notna().sum()
    assert fitted.score(TABLE) == pytest.approx(1 - total.sum() / spread)


def test_errors_of_numbers_alone_are_in_their_units():
    X = TABLE[list(BINS)].to_numpy(float)
    estimator = masked().fit(X)
    errors = estimator.reconstruction_error(X, per_feature=True)
    expected = np.nan_to_num(np.square(X - estimator.reconstruct(X)))
    np.testing.assert_allclose(errors, expected, rtol=1e-9)
    assert errors[:, 1].max() > 10  # of whole numbers, not of standardized ones
    frame = TABLE[list(BINS)]
    filled = masked().fit(frame).transform(frame)
    np.testing.assert_array_equal(filled, estimator.transform(X))


def test_what_rests_on_a_code_is_absent(fitted):
    for name in (
        "components_",
        "contributions",
        "encoded_feature_names_",
        "explained_variance_ratio_",
        "mean_code_",
    ):
        assert not hasattr(fitted, name)
    assert fitted.n_samples_ == len(TABLE)
    filled = fitted.transform(TABLE)
    assert fitted.inverse_transform(filled) is filled
    assert fitted.n_components_ == 5
    assert list(fitted.get_feature_names_out()) == list(TABLE)


def test_a_sample_alone_is_filled_as_among_others(fitted):
    gaps = TABLE[TABLE["a"].isna()]
    alone = pd.concat([fitted.transform(gaps.iloc[[i]]) for i in range(len(gaps))])
    pd.testing.assert_frame_equal(alone, fitted.transform(gaps), rtol=1e-12)


def test_polars_come_back_as_polars(fitted):
    frame = pl.from_pandas(TABLE).with_columns(
        pl.col("kind").cast(pl.Enum(["x", "y", "z"]))
    )
    estimator = masked().fit(frame)
    assert estimator.transform(frame).null_count().sum_horizontal().item() == 0
    assert estimator.sample(3, 0).schema == frame.schema


# -- the guard and the flags ---------------------------------------------------------


def test_a_column_is_filled_by_what_is_nearer_to_hidden_validation_cells(fitted):
    # Of a, whole, kind and flag; more of a category are better, less of an error.
    estimator = with_imputation(
        fitted,
        network=np.array([2.0, 1, 0.6, 3]),
        constant=np.array([1.0, 2, 0.7, 3]),
        keeps_constant=(True, False, True, False),
        shares=np.array([1.0, 0.5, 0, 0]),
    )
    report = estimator.imputation_report_
    kept = {name: own["kept"] for name, own in report.items()}
    assert kept == {
        "a": "median",
        "whole": "network",
        "kind": "mode",
        "flag": "network",
    }
    assert report["a"] == {
        "measure": "squared_error",
        "network": 2.0,
        "median": 1.0,
        "kept": "median",
        "regression": 1.0,
    }
    assert report["kind"]["measure"] == "accuracy"
    X = TABLE.assign(whole=TABLE["whole"].astype(float))
    X.loc[:3] = None
    filled = estimator.transform(X)
    median = estimator._table.columns[0].bins.median
    assert (filled["a"][X["a"].isna()] == median).all()
    assert (filled["kind"][X["kind"].isna()] == TABLE["kind"].mode()[0]).all()
    assert filled["whole"][:4].notna().all()


def test_a_number_that_is_mostly_zero_is_not_filled_by_its_median():
    # None of the cells held out is large: zero is nearest to them, and farther from
    # others than what the network expects.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    X[:, 3] = np.where(rng.random(400) < 0.03, 1000.0, 0.0)
    held_out = X[X[:, 3] == 0][:100]
    report = masked(max_epochs=2).fit(X, X_val=held_out).imputation_report_
    assert report[3]["median"] < report[3]["network"]
    assert report[3]["kept"] == "network"


def test_where_a_wild_cell_spoils_the_mean_the_median_fills():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    X[0, 0] = 1e6
    report = masked(max_epochs=4).fit(X).imputation_report_
    assert report[0]["kept"] == "median"


@pytest.mark.parametrize("size", [1e-300, 1e160, 1e300])
def test_numbers_whose_squares_are_none_are_filled_in_their_range(size):
    frame = TABLE.assign(a=TABLE["a"] * size)
    estimator = masked(max_epochs=2, numeric_scaling="rank_gauss").fit(frame)
    filled = estimator.transform(frame)["a"]
    assert filled.between(frame["a"].min(), frame["a"].max()).all()
    assert np.isfinite(estimator.imputation_report_["a"]["median"])


def linear_table(n, seed=0):
    """Make numbers and a category that are linear in each other, but for some noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    numbers = z @ rng.normal(size=(2, 4)) + 0.05 * rng.normal(size=(n, 4))
    frame = pd.DataFrame(numbers, columns=list("abcd"))
    frame["kind"] = np.where(rng.random(n) < 0.5, "x", "y")
    frame["d"] += 2.0 * (frame["kind"] == "x")
    return frame


def error_of(estimator, complete, share=0.2):
    """Return the root of the squared error of hidden numbers, over their variance."""
    hidden = np.random.default_rng(1).random(complete.shape) < share
    filled = estimator.transform(complete.mask(hidden))
    squares = [
        np.square((filled[c] - complete[c])[hidden[:, i]]).mean() / complete[c].var()
        for i, c in enumerate(complete)
        if complete[c].dtype.kind == "f"
    ]
    return np.sqrt(np.mean(squares))


def test_where_columns_are_linear_regressions_bring_numbers_nearer():
    estimator = masked(max_epochs=30).fit(linear_table(600))
    complete = linear_table(600, seed=0)
    alone = error_of(with_imputation(estimator, linear=None), complete)
    assert error_of(estimator, complete) < 0.8 * alone


def test_where_columns_are_not_linear_the_network_fills_alone():
    rng = np.random.default_rng(0)
    a = rng.uniform(-2, 2, 800)
    signs = np.where(rng.random(800) < 0.5, -1.0, 1.0)
    frame = pd.DataFrame({"a": a, "signs": signs, "product": a * signs})
    estimator = masked(max_epochs=80, hidden_layer_sizes=(64,)).fit(frame)
    report = estimator.imputation_report_.values()
    assert [own["regression"] for own in report] == [0, 0, 0]


def test_the_report_is_of_hidden_cells():
    estimator = masked(max_epochs=60, hidden_layer_sizes=(64,)).fit(made_table(400))
    whole = estimator.imputation_report_["whole"]
    assert whole["kept"] == "network"
    assert whole["network"] < 0.7 * whole["median"]
    # The variance of the cells, around their median and not their mean.
    assert 0.7 < whole["median"] / made_table(400)["whole"].var() < 1.3


def test_medians_and_modes_are_those_of_the_training_cells(fitted):
    columns = fitted.module_.columns
    for kind, found in zip(columns.kinds, columns.constant_cells(), strict=True):
        cells = TABLE[kind.name].dropna()
        if kind.name == "kind":
            assert kind.levels[int(found)] == cells.mode()[0]
        else:
            assert (cells < found).mean() <= 0.51
            assert (cells > found).mean() <= 0.51


def test_the_report_is_of_the_validation_samples():
    held_out = made_table(60, seed=3)
    estimator = masked(noise_level=1.0).fit(TABLE, X_val=held_out)
    own = estimator.imputation_report_["kind"]
    right = (held_out["kind"].dropna() == TABLE["kind"].mode()[0]).mean()
    assert own["mode"] == pytest.approx(right)


def test_without_validation_there_is_no_report():
    for estimator in (
        masked(early_stopping=False).fit(TABLE),
        masked().fit(TABLE).partial_fit(TABLE),
        masked(loss="squared_error").fit(TABLE),
    ):
        assert not hasattr(estimator, "imputation_report_")


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
@pytest.mark.parametrize("loss", ["auto", "squared_error"])
def test_flags_of_missing_cells_are_appended(kind, loss):
    frame = TABLE[["a", "whole", "flag"]]
    X = {
        "array": frame.to_numpy(float),
        "pandas": frame,
        "polars": pl.from_pandas(frame),
    }[kind]
    estimator = masked(add_indicator=True, loss=loss).fit(X)
    filled = estimator.transform(X)
    assert type(filled) is type(X)
    assert filled.shape[1] == estimator.n_components_ == 4
    name = "x0" if kind == "array" else "a"
    assert estimator.get_feature_names_out()[-1] == f"missingindicator_{name}"
    flags = np.asarray(filled)[:, -1]
    np.testing.assert_array_equal(flags, TABLE["a"].isna())
    if kind != "array":
        assert filled.columns[-1] == "missingindicator_a"
    back = np.asarray(estimator.inverse_transform(filled))
    np.testing.assert_array_equal(back, np.asarray(filled)[:, :-1])


def test_flags_have_names_of_their_own():
    frame = TABLE.rename(columns={TABLE.columns[1]: f"missingindicator_{BINS[0]}"})
    with pytest.raises(ValueError, match=r"add_indicator=True, got \['missingindica"):
        masked(add_indicator=True).fit(frame)
    assert masked().fit(frame).transform(frame).columns.tolist() == [*frame.columns]


@pytest.mark.parametrize("flags", [False, True])
def test_the_way_back_takes_what_transform_gives_alone(flags):
    estimator = masked(add_indicator=flags, max_epochs=1).fit(TABLE)
    filled, width = estimator.transform(TABLE), estimator.n_components_
    names = [*TABLE.columns]
    assert estimator.inverse_transform(filled).columns.tolist() == names
    cells = filled.to_numpy(object)
    for rows in (cells, cells.tolist()):
        found = estimator.inverse_transform(rows)
        np.testing.assert_array_equal(found, cells[:, : len(names)])
    with pytest.raises(
        ValueError, match=rf"n_components_={width} columns, got X with 2\. Pass [^,]*$"
    ):
        estimator.inverse_transform(filled.iloc[:, :2])
    for rows in ("abc", cells[0], filled[:0]):
        with pytest.raises(ValueError, match=r"Expected 2D array|a minimum of 1"):
            estimator.inverse_transform(rows)


def test_flags_are_of_reconstructions_only():
    estimator = masked(features="hidden", add_indicator=True).fit(TABLE)
    assert estimator.n_components_ == 16
    assert masked(add_indicator=True).fit(TABLE.dropna()).n_components_ == 5


# -- which network -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "n_columns", "expected"),
    [
        ({}, 3, "cross_entropy"),
        ({"noise": "masking", "noise_level": 0.3}, 3, "cross_entropy"),
        ({}, 257, "squared_error"),
        ({"loss": "cross_entropy"}, 257, "cross_entropy"),
        ({"loss": "squared_error"}, 3, "squared_error"),
        ({"noise": "swap"}, 3, "squared_error"),
        ({"network": MLP((16,)), "hidden_layer_sizes": "auto"}, 3, "squared_error"),
    ],
)
def test_parameters_and_columns_decide_for_a_masked_network(
    params, n_columns, expected
):
    X = np.random.default_rng(0).normal(size=(20, n_columns))
    estimator = masked(**{**params, "max_epochs": 1}).fit(X)
    assert estimator._plan.likelihood == expected
    assert hasattr(estimator, "sample") is (expected == "cross_entropy")


def test_sparse_samples_keep_the_squared_error():
    X = sparse.random(30, 4, density=0.5, format="csr", random_state=0)
    estimator = masked(allow_missing=False).fit(X)
    assert estimator._plan.likelihood == "squared_error"
    assert estimator._plan.objective.level is None


@pytest.mark.parametrize(
    ("params", "noise", "level"),
    [
        ({"features": "hidden"}, "swap", 0.15),
        ({"features": "bottleneck", "noise": "masking"}, "masking", 0.15),
        ({}, "masking", None),
        ({"noise": "masking"}, "masking", None),
        ({"noise_level": 0.4}, "masking", 0.4),
        ({"noise": "swap"}, "swap", 0.15),
        ({"noise": "gaussian", "noise_level": 2}, "gaussian", 2),
    ],
)
def test_noise_that_is_not_given(params, noise, level):
    X = np.random.default_rng(0).normal(size=(20, 3))
    objective = masked(**{**params, "max_epochs": 1}).fit(X)._plan.objective
    assert (objective.noise, objective.level) == (noise, level)


KIND = "for features='reconstruction' with loss='auto'"
REFUSED = {
    "norm": ({"batch_norm": True}, f"expected batch_norm=False {KIND}, got batch_norm"),
    "pretrain": ({"pretrain": "layerwise"}, f"expected pretrain=None {KIND}, got "),
    "whiten": (
        {"whiten": True},
        "expected whiten=False for features='reconstruction', got whiten=True: "
        "transform gives samples, and no code to whiten. Pass whiten=False.",
    ),
    "widths": ({"hidden_layer_sizes": (8, 4)}, "expected layers of one width, which "),
    "schedule": ({"noise_schedule": "cosine"}, "expected a noise_level for noise_sch"),
    "loss of a code": (
        {"loss": "cross_entropy", "features": "hidden"},
        "expected features='reconstruction' for loss='cross_entropy', got features=",
    ),
    "loss and network": (
        {
            "loss": "cross_entropy",
            "network": MLP((16,)),
            "hidden_layer_sizes": "auto",
        },
        "expected network=None for loss='cross_entropy', got network=MLP(",
    ),
    "loss and noise": (
        {"loss": "cross_entropy", "noise": "swap"},
        "expected noise='auto' or 'masking' for loss='cross_entropy', got noise=",
    ),
    "level": ({"noise_level": 1.5}, "expected a fraction of cells in [0, 1] for noise"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_combinations_are_refused(case):
    params, message = REFUSED[case]
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        masked(**params).fit(TABLE)


def test_very_many_levels_are_refused():
    names = pd.Series([f"level {i}" for i in range(4097)], dtype="category")
    X = pd.DataFrame({"name": names, "a": np.arange(4097.0)})
    with pytest.raises(ValueError, match=r"got \{'name': 4097\}: each has a prob"):
        masked().fit(X)


def test_sparse_samples_are_refused_by_a_loss_of_levels():
    X = sparse.random(30, 4, density=0.5, format="csr", random_state=0)
    with pytest.raises(TypeError, match="loss='cross_entropy'"):
        masked(loss="cross_entropy", allow_missing=False).fit(X)


def test_another_loss_does_not_go_on():
    estimator = masked(warm_start=True).fit(TABLE)
    estimator.set_params(loss="squared_error")
    with pytest.raises(ValueError, match="expected loss='cross_entropy' as in the"):
        estimator.fit(TABLE)


# -- training ------------------------------------------------------------------------


def test_passes_keep_the_bins_of_the_first(fitted):
    with pytest.warns(UserWarning, match=r"1,000 samples in the first .* got 150"):
        stream = masked().partial_fit(TABLE)
    bins = stream._table.columns[0].bins
    other = made_table(seed=1)
    other["a"] *= 10
    stream.partial_fit(other)
    assert stream._table.columns[0].bins is bins
    assert stream.n_iter_ == 2
    assert not stream.transform(other).isna().any().any()


def test_a_column_without_weight_is_not_learned():
    weighted = masked(column_weights={"a": 0.0}).fit(TABLE)
    others = [c.name for c in varying(weighted)]
    module, x = weighted.module_, torch.zeros((4, len(others)))
    hidden = torch.full((4, len(others)), -1)
    logits = torch.randn((4, int(module.network.offsets[-1])), requires_grad=True)
    module.per_sample_loss((logits, hidden), x).sum().backward()
    first, last = module.network.offsets[:2].tolist()
    assert (logits.grad[:, first:last] == 0).all()
    assert (logits.grad[:, last:] != 0).all()


def test_warm_start_goes_on(fitted):
    again = masked(warm_start=True).fit(TABLE).fit(TABLE)
    assert again.n_iter_ == 16
    assert len(again.validation_loss_curve_) == 16


def test_a_validation_set_of_ones_own():
    estimator = masked().fit(TABLE, X_val=made_table(40, seed=2))
    assert len(estimator.validation_loss_curve_) == 8


# -- samples -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    return masked(max_epochs="auto", hidden_layer_sizes=(64,)).fit(made_table(600))


def test_samples_have_the_values_and_the_kinds_of_the_table(trained):
    drawn = trained.sample(500, random_state=0)
    table = made_table(600)
    assert list(drawn.dtypes) == list(table.dtypes)
    assert not drawn.isna().any().any()
    for name in ("a", "whole", "one", "flag"):
        assert set(drawn[name]) <= set(table[name])
    pd.testing.assert_frame_equal(trained.sample(500, random_state=0), drawn)
    assert not drawn.equals(trained.sample(500, random_state=1))


def test_columns_of_samples_belong_together(trained):
    drawn = trained.sample(1000, random_state=0)
    np.testing.assert_allclose(drawn["a"].mean(), 0.0, atol=0.15)
    assert (drawn["a"][drawn["kind"] == "x"] > 0).mean() > 0.9
    assert np.corrcoef(drawn["a"], drawn["whole"])[0, 1] > 0.9


def test_given_columns_decide_the_others(trained):
    drawn = trained.sample(400, 0, given={"kind": "x", "one": 1.0})
    assert (drawn["kind"] == "x").all()
    assert (drawn["a"] > 0).mean() > 0.9
    frame = pd.DataFrame({"kind": ["x", "y"]}, index=[7, 3])
    drawn = trained.sample(2, 0, given=frame)
    assert list(drawn["kind"]) == ["x", "y"]
    every = TABLE.dropna().iloc[:3]
    pd.testing.assert_frame_equal(trained.sample(3, 0, given=every), every)


def test_positions_are_given_for_arrays():
    X = np.random.default_rng(0).normal(size=(50, 3))
    estimator = masked().fit(X)
    drawn = estimator.sample(4, 0, given={1: 0.5})
    assert drawn.shape == (4, 3)
    assert (drawn[:, 1] == 0.5).all()
    assert estimator.sample(0).shape == (0, 3)


WRONG = {
    "column": ({"b": 1}, ValueError, "expected columns of fit, got 'b' in given. Pass"),
    "level": ({"kind": "w"}, ValueError, "expected a level of column 'kind', got 'w' "),
    "fraction": (
        {"whole": 2.5},
        ValueError,
        "expected whole numbers in column 'whole'",
    ),
    "text": (
        {"a": "x"},
        TypeError,
        "expected numbers in column 'a', as in fit, got categories or text",
    ),
    "infinity": (
        {"a": np.inf},
        ValueError,
        "expected finite numbers, got infinity",
    ),
    "values": ({"a": [1, 2]}, ValueError, "expected one value a column, got given={'a"),
    "list": ([1], TypeError, "expected a dict of columns and a value each, or a frame"),
    "rows": (TABLE[["a"]], ValueError, "expected a row for each of n_samples=2, got g"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_cells_are_not_given(trained, case):
    given, error, message = WRONG[case]
    with pytest.raises(error, match="^" + re.escape(message)):
        trained.sample(2, 0, given=given)


@pytest.mark.parametrize("dtype", ["int8", "Int8", "int8[pyarrow]"])
def test_whole_numbers_come_back_as_they_are_given(dtype):
    table = made_table(60)[["whole", "kind"]]
    table = table.assign(whole=table["whole"].fillna(0).astype(dtype), one=7)
    estimator = masked().fit(table)
    with pytest.warns(UserWarning, match="for column 'whole', 'one' in given"):
        drawn = estimator.sample(2, 0, given={"whole": 100, "one": 8})
    assert list(drawn.dtypes) == list(table.dtypes)
    assert drawn["whole"].tolist() == [100, 100]
    assert drawn["one"].tolist() == [8, 8]
    message = "expected numbers from -128 to 127 in column 'whole', which is "
    with pytest.raises(ValueError, match="^" + message):
        estimator.sample(2, 0, given={"whole": 400})


def test_the_least_number_beyond_a_dtype_is_not_given():
    table = pd.DataFrame({"x": np.arange(60), "y": np.arange(60) % 3})
    message = f"expected numbers from {-(2**63)} to {2**63 - 1} in column 'x', which"
    with pytest.raises(ValueError, match="^" + message):
        masked().fit(table).sample(2, 0, given={"x": 2.0**63})


def test_the_greatest_number_of_a_dtype_is_given():
    table = pd.DataFrame({"x": np.arange(60), "y": np.arange(60) % 3})
    with pytest.warns(UserWarning, match="for column 'x' in given"):
        drawn = masked().fit(table).sample(2, 0, given={"x": 2**63 - 1})
    assert drawn["x"].tolist() == [2**63 - 1] * 2


def test_large_numbers_that_float32_cannot_tell_apart_are_drawn_for():
    late = np.random.default_rng(0).integers(0, 2, 300)
    kind = np.where(late, "late", "early")
    table = pd.DataFrame({"time": 10**9 + late, "kind": kind})
    estimator = masked(max_epochs=40, lr=0.01).fit(table)
    for name, time in (("early", 10**9), ("late", 10**9 + 1)):
        drawn = estimator.sample(50, 0, given={"time": time})
        assert (drawn["kind"] == name).mean() > 0.9


def test_numbers_far_off_count_as_the_end_of_the_range(trained):
    with pytest.warns(UserWarning, match="for column 'a' in given"):
        drawn = trained.sample(200, 0, given={"a": 99.0})
    assert (drawn["a"] == 99.0).all()
    assert (drawn["kind"] == "x").mean() > 0.9


def test_missing_cells_are_drawn_several_times(trained):
    first, second = trained.sample_missing(TABLE, 2, random_state=0)
    gaps = TABLE["a"].isna()
    pd.testing.assert_frame_equal(first[TABLE.notna()], TABLE)
    assert (first["a"] != second["a"]).sum() > gaps.sum() / 2
    assert (first["a"] == second["a"])[~gaps].all()
    assert set(first["a"][gaps]) <= set(made_table(600)["a"])
    (again,) = trained.sample_missing(TABLE, random_state=0)
    pd.testing.assert_frame_equal(again, first)
    assert trained.sample_missing(TABLE, 0) == []


def test_only_a_masked_network_draws_cells():
    for params in ({"features": "hidden"}, {"loss": "squared_error"}):
        estimator = masked(**params)
        assert not hasattr(estimator, "sample")
        assert not hasattr(estimator, "sample_missing")
    assert hasattr(masked(), "sample")


# -- elsewhere -----------------------------------------------------------------------


def test_a_file_of_numbers_alone_gives_the_same_cells(tmp_path):
    numbers = TABLE[["a", "whole", "flag"]]
    estimator = masked(max_epochs=2).fit(numbers)
    estimator.save(tmp_path / "table.ae")
    found = load(tmp_path / "table.ae").transform(numbers)
    pd.testing.assert_frame_equal(found, estimator.transform(numbers))


def test_a_file_gives_the_same_cells(fitted, tmp_path):
    fitted.save(tmp_path / "table.ae", optimizer=True)
    loaded = load(tmp_path / "table.ae")
    pd.testing.assert_frame_equal(loaded.transform(TABLE), fitted.transform(TABLE))
    pd.testing.assert_frame_equal(loaded.sample(5, 0), fitted.sample(5, 0))
    assert loaded.score(TABLE) == fitted.score(TABLE)
    assert loaded.imputation_report_ == fitted.imputation_report_
    assert loaded.partial_fit(TABLE).n_iter_ == 9


def test_a_detector_asks_for_each_cell_given_the_others():
    detector = AutoEncoderOutlierDetector(
        masked(max_epochs=40), measure="reconstruction", random_state=0
    ).fit(TABLE)
    odd = TABLE.dropna().iloc[[0]].assign(a=-3.0, whole=30, kind="x")
    usual = detector.score_samples(TABLE)
    assert detector.score_samples(odd)[0] < np.quantile(usual, 0.05)


class Rates(Callback):
    """Keeps the learning rate of each step; skorch's loop runs then."""

    def __init__(self):
        self.rates = []

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])


def test_the_learning_rate_rises_and_falls_by_the_step():
    X = made_table(300)
    params = {"batch_size": 32, "max_epochs": 10}
    rates = Rates()
    watched = masked(callbacks=[rates], **params).fit(X)
    n_steps = 10 * 9  # 270 samples in batches of 32
    assert len(rates.rates) == n_steps
    rise = n_steps // 5
    expected = [0.002 * step_factor(i, n_steps) for i in range(n_steps)]
    np.testing.assert_allclose(rates.rates, expected)
    assert np.argmax(rates.rates) == rise - 1
    assert rates.rates[0] == pytest.approx(0.002 / rise, rel=0.01)
    assert rates.rates[-1] == pytest.approx(0.03 * 0.002, rel=0.05)
    plain = masked(**params).fit(X)
    np.testing.assert_allclose(plain.loss_curve_, watched.loss_curve_, rtol=1e-5)
    constant = masked(lr_schedule=0.5, callbacks=[Rates()], **params).fit(X)
    found = constant.net_.callbacks[0].rates
    np.testing.assert_allclose(found[::9], 0.002 * 0.5 ** np.arange(10))


def test_passes_stay_at_the_learning_rate():
    rates = Rates()
    stream = masked(batch_size=2, callbacks=[rates])
    with pytest.warns(UserWarning, match="the bins of numbers"):
        stream.partial_fit(TABLE)
    stream.partial_fit(TABLE)
    assert not hasattr(stream, "imputation_report_")
    np.testing.assert_allclose(rates.rates[0], 0.002 / 100)
    np.testing.assert_allclose(rates.rates[100:], 0.002)
    assert len(rates.rates) == 150


def test_steps_of_a_masked_network():
    assert masked_epochs(100, 256) == 50  # half a step a sample
    assert masked_epochs(2700, 256) == 58  # 11 steps an epoch, of 633
    assert masked_epochs(10**6, 256) == 1


@pytest.mark.parametrize("level", ["auto", 0.4])
def test_groups_are_hidden_together_beside_a_constant_column(level):
    groups = [["a", "one"], ["kind", "flag"]]
    fitted = masked(feature_groups=groups, noise_level=level).fit(TABLE)
    module, generator = fitted.module_, torch.Generator().manual_seed(0)
    cells = module.objective.corrupt(torch.zeros(99, 4), module.columns, generator)
    a, whole, kind, flag = (cells < 0).T
    assert torch.equal(kind, flag)
    assert 0 < (a == whole).sum() < 99
    assert 0 < (whole == kind).sum() < 99
