"""Frames that go in, and frames that come back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sk_autoencoder import (
    AutoEncoderTransformer,
)

PLAIN = AutoEncoderTransformer


def pandas_of_every_kind(n=60):
    rng = np.random.default_rng(1)
    letters = pd.Series(rng.choice(list("abc"), n))
    ages = pd.cut(pd.Series(rng.random(n)), [0, 0.3, 0.7, 1])
    flags = pd.Series(rng.random(n) < 0.4)
    whole = pd.Series(rng.integers(0, 50, n))
    ordered = pd.CategoricalDtype(["c", "b", "a", "unused"], ordered=True)
    series = {
        "ordered": letters.astype(ordered),
        "intervals": ages,
        "numbers as levels": pd.Categorical(rng.choice([3, 1, 2], n)),
        "string": letters.astype("string"),
        "object": letters.astype(object),
        "objects of bool": flags.astype(object),
        "objects of int": whole.astype(object),
        "bool": flags,
        "boolean": flags.astype("boolean"),
        "Int64": whole.astype("Int64"),
        "Float64": pd.Series(rng.normal(size=n)).astype("Float64"),
        "int8": whole.astype("int8"),
        "uint8": (whole + 200).astype("uint8"),
        "float32": pd.Series(rng.normal(size=n)).astype("float32"),
        "float64": pd.Series(rng.normal(size=n) + 1e6),
        "constant": pd.Series(7, index=range(n)),
        "constant text": pd.Series("t", index=range(n)),
    }
    return pd.DataFrame(series).set_axis([f"row {i}" for i in range(n)])


def polars_of_every_kind(n=60):
    rng = np.random.default_rng(1)
    letters = rng.choice(list("abc"), n).tolist()
    whole = rng.integers(0, 50, n)
    return pl.DataFrame(
        {
            "Categorical": pl.Series(letters, dtype=pl.Categorical),
            "Enum": pl.Series(letters, dtype=pl.Enum(["c", "unused", "b", "a"])),
            "String": letters,
            "Boolean": (rng.random(n) < 0.4).tolist(),
            "UInt8": pl.Series(whole + 200, dtype=pl.UInt8),
            "Int64": whole,
            "Float32": pl.Series(rng.normal(size=n), dtype=pl.Float32),
            "Float64": rng.normal(size=n) + 1e6,
        }
    )


def full_rank(frame, **settings):
    return PLAIN(None, max_epochs=0, random_state=0, **settings).fit(frame)


def test_every_kind_of_pandas_column_comes_back_as_it_was():
    frame = pandas_of_every_kind()
    reducer = full_rank(frame)
    back = reducer.reconstruct(frame)
    pd.testing.assert_frame_equal(back, frame, rtol=1e-6)
    codes = reducer.set_output(transform="pandas").transform(frame)
    pd.testing.assert_frame_equal(reducer.inverse_transform(codes), frame, rtol=1e-6)
    assert list(reducer.inverse_transform(codes.to_numpy()).index) == list(range(60))


def test_every_kind_of_polars_column_comes_back_as_it_was():
    frame = polars_of_every_kind()
    back = full_rank(frame).reconstruct(frame)
    assert back.schema == frame.schema
    for name in frame.columns:
        if frame[name].dtype.is_float():
            np.testing.assert_allclose(back[name], frame[name], atol=1e-5)
        else:
            assert back[name].to_list() == frame[name].to_list()


@pytest.mark.parametrize("make", [pandas_of_every_kind, polars_of_every_kind])
def test_what_is_missing_is_filled_and_all_else_comes_back(make):
    frame = make()
    rows = np.random.default_rng(2).random(frame.shape) < 0.2
    if isinstance(frame, pd.DataFrame):
        kept = ["bool", "int8", "uint8", "constant"]
        rows[:, [c in kept for c in frame.columns]] = False
        gappy = frame.copy()
        for i, name in enumerate(frame):
            gappy[name] = frame[name].mask(rows[:, i])
        empty = gappy.isna().to_numpy()
    else:
        gappy = frame.with_columns(
            pl.when(pl.Series(~rows[:, i])).then(pl.col(name)).alias(name)
            for i, name in enumerate(frame.columns)
        )
        empty = gappy.select(pl.all().is_null()).to_numpy()
    np.testing.assert_array_equal(empty, rows)
    back = full_rank(gappy, allow_missing=True).reconstruct(gappy)
    assert list(back.dtypes) == list(gappy.dtypes)
    for i, name in enumerate(frame.columns):
        was, now = (np.asarray(f[name].to_list(), object) for f in (frame, back))
        there = ~rows[:, i]
        if "loat" in name:
            np.testing.assert_allclose(
                now[there].astype(float), was[there].astype(float), rtol=1e-6
            )
        else:
            assert now[there].tolist() == was[there].tolist()
            assert set(now[rows[:, i]]) <= set(was) | set(range(256))


def test_names_that_are_no_strings_and_the_index_are_kept():
    frame = pandas_of_every_kind().iloc[:, [0, 4, 7, 14]]
    frame = frame.set_axis([3, 1, 4, 0], axis=1).set_axis(range(100, 160))
    back = full_rank(frame).reconstruct(frame)
    pd.testing.assert_frame_equal(back, frame)


def test_levels_are_sorted_where_the_dtype_has_no_order_of_its_own():
    pl.Series(["z", "y", "x"], dtype=pl.Categorical)  # the process has met them so
    letters = ["x", "z", "y", "x"] * 5
    enum = pl.Enum(["y", "unused", "x", "z"])
    frame = pl.DataFrame({"a": np.arange(20.0) % 7, "c": letters})
    for dtype, order in ((pl.Categorical, "xyz"), (pl.String, "xyz"), (enum, "yxz")):
        reducer = PLAIN(1, max_epochs=0).fit(frame.cast({"c": dtype}))
        assert "".join(reducer._table.columns[1].levels) == order


@pytest.mark.parametrize("missing", [False, True])
def test_a_frame_of_a_class_of_ones_own_is_a_frame(missing):
    class Mine(pd.DataFrame):
        @property
        def _constructor(self):
            return Mine

    frame = pandas_of_every_kind()[["ordered", "float64", "string"]]
    if missing:
        frame.iloc[0, 0] = None
    settings = {"max_epochs": 0, "allow_missing": missing, "random_state": 0}
    expected = PLAIN(2, **settings).fit(frame).transform(frame)
    found = PLAIN(2, **settings).fit(Mine(frame))
    np.testing.assert_array_equal(found.transform(Mine(frame)), expected)
    back = found.reconstruct(frame)
    assert back.dtypes.equals(frame.dtypes)
