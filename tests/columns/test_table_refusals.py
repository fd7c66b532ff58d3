"""Tables that are refused, what that says, and what is taken after all."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer


def small(n=60):
    rng = np.random.default_rng(0)
    frame = {
        "a": rng.normal(size=n),
        "i": rng.integers(0, 9, n),
        "c": pd.Categorical(rng.choice(list("xyz"), n)),
        "s": rng.choice(["u", "v"], n),
        "b": rng.random(n) < 0.4,
    }
    return pd.DataFrame(frame)


FRAME = small()
N = len(FRAME)
TINY = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"c": np.arange(N) % 3},
            TypeError,
            "expected text in column 'c', as in fit, .*numbers",
        ),
        ({"c": FRAME["b"]}, TypeError, "expected text in column 'c'.* booleans: "),
        ({"b": "True"}, TypeError, "expected booleans in column 'b'.* text: 'T"),
        ({"a": "1"}, TypeError, "expected numbers in column 'a', as in fit"),
        ({"a": FRAME["c"]}, TypeError, "expected numbers in column 'a', as in fit"),
        ({"c": ["x", 1] * 30}, TypeError, "column 'c' of int and str"),
        ({"a": np.inf}, ValueError, "expected finite numbers.*column 'a'"),
        ({"c": None}, ValueError, "contains NaN.*in column 'c'.*SimpleImputer"),
        ({"c": "new"}, ValueError, "categories of fit in column 'c', got 'new'"),
        (
            {"a": pd.date_range("2020", periods=N)},
            TypeError,
            "column 'a' of dtype datet",
        ),
    ],
)
def test_other_cells_than_in_fit_are_refused_by_column(change, error, message):
    reducer = PLAIN(2, handle_unknown="error", **TINY).fit(FRAME)
    with pytest.raises(error, match=message):
        reducer.transform(FRAME.assign(**change))


def test_levels_that_are_new_or_of_another_dtype_are_no_error_unless_asked_for(
    to_polars,
):
    reducer = PLAIN(2, allow_missing=True, **TINY).fit(FRAME)
    codes = reducer.transform(FRAME)
    missing = reducer.transform(FRAME.assign(c=None))
    for other in ("new", pd.Categorical(["new"] * N, ["x", "new"])):
        np.testing.assert_array_equal(reducer.transform(FRAME.assign(c=other)), missing)
    text = FRAME.astype({"c": "string", "s": "category", "a": "Float64", "i": "int8"})
    again = text.assign(c=text["c"].astype(pd.CategoricalDtype(["z", "y", "q", "x"])))
    for same in (text, again, to_polars(FRAME), FRAME.astype({"b": int})):
        np.testing.assert_array_equal(reducer.transform(same), codes)
    # Not allowed to be missing, they still have a code.
    strict = PLAIN(2, **TINY).fit(FRAME)
    assert np.isfinite(strict.transform(FRAME.assign(c="new"))).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["i", "a", "c", "s", "b"], "must be in the same order"),
        (["a", "i", "d", "s", "b"], r"unseen at fit time:\n- d"),
        (["a", "i", "c", "s"], "now missing:\n- b"),
    ],
)
def test_columns_of_other_names_are_refused(columns, message):
    reducer = PLAIN(2, **TINY).fit(FRAME)
    with pytest.raises(ValueError, match=message):
        reducer.transform(
            FRAME.rename(columns={"c": "d"} if "d" in columns else {})[columns]
        )
    warned = pytest.warns(UserWarning, match="does not have valid feature names")
    with warned, pytest.raises(ValueError, match=r"has 4 features, but .*expecting 5"):
        reducer.transform(FRAME.to_numpy(object)[:, :4])


LISTS = pd.Series([[1]] * N)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"c": [1, "a"] * 30}, TypeError, "column 'c' of int and str.* astype"),
        ({"c": ["a", 1.5] * 30}, TypeError, "column 'c' of float and str.* astype"),
        (
            {"c": pd.to_datetime(["2020-01-01"] * N)},
            TypeError,
            "'c' of dtype datetime64.*days since",
        ),
        ({"c": pd.to_timedelta(range(N), "h")}, TypeError, "'c' of dtype timedelta64"),
        ({"c": pd.period_range("2020", periods=N)}, TypeError, "'c' of Period"),
        ({"c": np.arange(N) * 1j}, TypeError, "'c' of dtype complex128.* drop it"),
        ({"c": LISTS}, TypeError, "'c' of list, because an argument must be a string"),
        (
            {"a": np.inf},
            ValueError,
            "expected finite numbers, got infinity in column 'a'",
        ),
    ],
)
@pytest.mark.parametrize("others", [["s"], []])
def test_columns_that_cannot_be_read_are_refused_by_name(
    change, error, message, others
):
    frame = FRAME[["a", "i", *others]].assign(**change)
    with pytest.raises(error, match=message):
        PLAIN(2, allow_missing=True, **TINY).fit(frame)


@pytest.mark.parametrize("dtype", [pl.Date, pl.Duration, pl.List(pl.Int64)], ids=str)
def test_columns_of_polars_likewise(dtype, to_polars):
    frame = to_polars(FRAME).with_columns(c=pl.lit(None, dtype=dtype))
    with pytest.raises(TypeError, match=re.escape(f"column 'c' of dtype {dtype}")):
        PLAIN(2, allow_missing=True, **TINY).fit(frame)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "expected 5 finite weights, none below 0 and not all 0"),
        ([-1, 1, 1, 1, 1], "none below 0"),
        ([0] * 5, "not all 0"),
        ({"a": np.inf}, "expected 5 finite weights"),
        ([np.nan] * 5, "expected 5 finite weights"),
        (["a"] * 5, "expected 5 finite weights"),
        ({"a": "x"}, r"column_weights=\{'a': 'x'\}"),
        ({"z": 1}, r"expected columns of X, got column_weights for \['z'\]"),
        (pd.Series({"z": 1}), r"expected columns of X, got column_weights for \['z'\]"),
        (np.ones((5, 1)), "expected 5 finite weights"),
        ("a", "'column_weights' parameter .* must be"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        PLAIN(2, column_weights=weights, **TINY).fit(FRAME)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["z"], r"expected columns of X, got \['z'\]"),
        ([9], r"expected columns of X, got \[9\]"),
        ([-1], r"expected columns of X, got \[-1\]"),
        ([True, False], "expected a mask of 5 columns, got .* of 2"),
        ([0.5], "expected categorical_features of names, positions or a mask"),
        ([["c"]], "expected categorical_features of names, positions or a mask"),
        (["c"], r"does not name, got categories or text in \['s'\]"),
        (None, r"does not name, got categories or text in \['c', 's'\]"),
        ("c", "'categorical_features' parameter .* must be"),
    ],
)
def test_columns_that_are_none_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        PLAIN(2, categorical_features=chosen, **TINY).fit(FRAME)


def test_categories_are_named_numbered_or_masked():
    codes = PLAIN(2, **TINY).fit(FRAME).transform(FRAME)
    mask = [False, False, True, True, True]
    for chosen in (["c", "s", "b"], (2, 3, 4), mask, np.array(mask)):
        reducer = PLAIN(2, categorical_features=chosen, **TINY).fit(FRAME)
        np.testing.assert_array_equal(reducer.transform(FRAME), codes)
    # Booleans that are not named are numbers.
    reducer = PLAIN(None, categorical_features=["c", "s"], max_epochs=0).fit(FRAME)
    pd.testing.assert_frame_equal(reducer.reconstruct(FRAME), FRAME)
    numbers = FRAME[["a", "i", "b"]]
    reducer = PLAIN(None, categorical_features=None, max_epochs=0).fit(numbers)
    back = reducer.reconstruct(numbers)
    assert isinstance(back, np.ndarray)
    np.testing.assert_allclose(back, numbers.to_numpy(float), atol=1e-9)
    # Numbers of an array can be categories; levels come back as they were.
    X = np.column_stack([FRAME["a"], FRAME["i"] * 7.0])
    back = PLAIN(None, categorical_features=[1], max_epochs=0).fit(X).reconstruct(X)
    assert back[:, 1].tolist() == X[:, 1].tolist()


def test_text_in_arrays_has_to_be_named():
    X = FRAME[["a", "c", "s"]].to_numpy(object)
    with pytest.raises(
        ValueError, match=r"expected numbers, got X with text: could not"
    ):
        PLAIN(2, **TINY).fit(X)
    with pytest.raises(ValueError, match=r"got categories or text in \[1, 2\]"):
        PLAIN(2, allow_missing=True, **TINY).fit(X)
    for rows in (X, X.tolist()):
        reducer = PLAIN(None, categorical_features=[1, 2], max_epochs=0).fit(rows)
        back = reducer.reconstruct(rows)
        assert back[:, 1:].tolist() == X[:, 1:].tolist()
        np.testing.assert_allclose(back[:, 0].astype(float), X[:, 0].astype(float))
    text = FRAME[["c", "s"]].to_numpy(str)
    back = (
        PLAIN(None, categorical_features=[0, 1], max_epochs=0)
        .fit(text)
        .reconstruct(text)
    )
    assert back.tolist() == text.tolist()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME[:1], r"1 sample\(s\) .* minimum of 2"),
        (FRAME[:0], r"0 sample\(s\)"),
        (
            pd.concat([FRAME, FRAME[["c"]]], axis=1),
            r"of different names, got X with \['c'\]",
        ),
        (
            FRAME[["a", "c"]].assign(a=1, c="x"),
            "expected a column that varies.*'a', 'c'",
        ),
    ],
    ids=["one row", "no rows", "duplicates", "constants"],
)
def test_tables_that_teach_nothing_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        PLAIN(1, **TINY).fit(frame)


def test_small_tables_and_those_of_one_kind_are_taken():
    for frame in (
        FRAME[["c", "s"]],
        FRAME[["c", "s", "b"]][:4],
        FRAME.assign(k=1, t="t"),
    ):
        reducer = PLAIN(1, **TINY).fit(frame)
        back = reducer.reconstruct(frame[:1])
        pd.testing.assert_series_equal(back.dtypes, frame.dtypes)
    assert back[["k", "t"]].to_numpy().tolist() == [[1, "t"]]
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        reducer.transform(frame[:0])


@pytest.mark.parametrize(
    "setting",
    [
        {"allow_missing": True},
        {"numeric_scaling": "rank_gauss"},
        {"column_weights": [1, 2, 3]},
        {"categorical_features": [0]},
    ],
    ids=str,
)
def test_arrays_of_other_shapes_are_refused(setting):
    with pytest.raises(TypeError, match=r"got a sparse matrix. Pass X.toarray\(\)"):
        PLAIN(1, **setting, **TINY).fit(sparse.csr_matrix(np.eye(3)))
    with pytest.raises(ValueError, match="dim 3"):
        PLAIN(1, **setting, **TINY).fit(np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match="Expected 2D array"):
        PLAIN(1, **setting, **TINY).fit(np.ones(4))


@pytest.mark.parametrize(
    ("reducer", "message"),
    [
        (DENOISING(loss="binary_cross_entropy"), "expected loss='auto' for a table"),
        (VAETransformer(likelihood="bernoulli"), "expected likelihood='auto' for a ta"),
    ],
)
def test_a_table_has_a_loss_for_each_kind_of_column(reducer, message):
    with pytest.raises(ValueError, match=message):
        reducer.fit(FRAME)
