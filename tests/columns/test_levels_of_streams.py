"""Levels of categories that come chunk by chunk: declared ones, and new ones."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    load,
)

PLAIN = AutoEncoderTransformer
TINY = {"hidden_layer_sizes": (16,), "random_state": 0}
RNG = np.random.default_rng(0)


def chunk(letters, n=60, dtype=None):
    c = pd.Series(np.resize(list(letters), n), dtype=dtype)
    return pd.DataFrame({"a": RNG.normal(size=n), "b": RNG.normal(size=n), "c": c})


DECLARED = pd.CategoricalDtype(["z", "y", "x", "w"])


def is_known(reducer, frame, level):
    """Whether a level has a code of its own, another than a missing cell has."""
    other = frame.assign(c=pd.Series([level] * len(frame), dtype=DECLARED))
    gone = frame.assign(c=pd.Series([None] * len(frame), dtype=DECLARED))
    codes = [reducer.transform(X) for X in (other, gone)]
    return bool(np.any(codes[0] != codes[1]))


@pytest.mark.parametrize(
    "kind", [PLAIN, DenoisingAutoEncoderTransformer, VAETransformer]
)
def test_levels_that_a_dtype_declares_are_known_from_the_first_chunk(kind):
    first, later = chunk("xy", dtype=DECLARED), chunk("xyzw", dtype=DECLARED)
    reducer = kind(4, allow_missing=True, handle_unknown="error", **TINY)
    reducer.partial_fit(first)
    column = reducer._table.columns[2]
    assert column.levels == ("z", "y", "x", "w")
    np.testing.assert_allclose(column.shares, [1 / 122, 30 / 61, 30 / 61, 1 / 122])
    reducer.partial_fit(later)
    for level in "zw":
        assert is_known(reducer, first, level)
    if kind is PLAIN:
        for _ in range(40):
            reducer.partial_fit(later)
        assert set(reducer.reconstruct(later)["c"]) == set("xyzw")


def test_levels_of_enums_booleans_and_many_levels_are_declared_too():
    n = 60
    numbers = RNG.normal(size=(n, 2))
    frame = pl.DataFrame({"a": numbers[:, 0], "b": numbers[:, 1]}).with_columns(
        c=pl.lit("u", dtype=pl.Enum(["u", "v", "w"])), flag=pl.lit(True)
    )
    reducer = PLAIN(2, **TINY).partial_fit(frame)
    assert [c.levels for c in reducer._table.columns[2:]] == [
        ("u", "v", "w"),
        (False, True),
    ]
    flags = pd.DataFrame({"a": numbers[:, 0], "flag": np.ones(n, bool)})
    for dtype in ("bool", "boolean"):
        reducer = PLAIN(2, **TINY).partial_fit(flags.astype({"flag": dtype}))
        assert reducer._table.columns[1].levels == (False, True)
    many = pd.CategoricalDtype([f"m{i}" for i in range(200)])
    frame = chunk(["m7", "m9"], dtype=many)
    reducer = PLAIN(2, **TINY).partial_fit(frame)
    assert len(reducer._table.columns[2].levels) == 200
    assert np.isfinite(reducer.partial_fit(frame[::-1]).transform(frame)).all()


def test_fit_still_knows_the_levels_that_it_has_seen():
    frame = chunk("xy", dtype=DECLARED)
    reducer = PLAIN(3, max_epochs=0, **TINY).fit(frame)
    assert reducer._table.columns[2].levels == ("y", "x")
    np.testing.assert_array_equal(reducer._table.columns[2].shares, [0.5, 0.5])


def warning_of(what):
    return (
        "expected levels that the first samples had or their dtypes declare, got "
        f"{what}: they are taken for missing, in training and later on, because the "
        "levels stay those of the first samples. Declare all of them from the first "
        "call on, as with pandas.CategoricalDtype or polars.Enum, or fit anew."
    )


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_other_new_levels_get_one_warning(dtype):
    first, later = chunk("xy", dtype=dtype), chunk("xyzw", dtype=dtype)
    reducer = PLAIN(2, allow_missing=True, **TINY)
    reducer.partial_fit(first)
    with pytest.warns(UserWarning, match="z") as caught:
        reducer.partial_fit(later)
    assert [str(w.message) for w in caught] == [warning_of("'w', 'z' in column 'c'")]
    assert caught[0].filename == __file__
    # Once said is enough; what is new again is said again.
    reducer.partial_fit(later)
    with pytest.warns(UserWarning, match="got 'v' in column 'c'"):
        reducer.partial_fit(chunk("xzv", dtype=dtype))
    unknown, gone = first.assign(c="z"), first.assign(c=None)
    np.testing.assert_array_equal(reducer.transform(unknown), reducer.transform(gone))


def test_new_levels_of_columns_named_by_the_caller_are_warned_of():
    X = np.column_stack([RNG.integers(0, 3, 60), RNG.normal(size=(60, 2))])
    reducer = PLAIN(2, categorical_features=[0], **TINY).partial_fit(X)
    later = X.copy()
    later[:8, 0] = np.arange(5, 13)
    shown = "10.0, 11.0, 12.0, 5.0, 6.0, ... in column 0"
    with pytest.warns(UserWarning, match=f"^{re.escape(warning_of(shown))}$"):
        reducer.partial_fit(later)


def test_long_levels_are_shortened_and_many_columns_are_cut():
    names = [f"c{i}" for i in range(7)]
    frame = pd.DataFrame({name: ["x", "y"] * 30 for name in names})
    reducer = PLAIN(2, allow_missing=True, **TINY).partial_fit(frame)
    with pytest.warns(UserWarning, match="in column 'c4'; [.]{3}: they") as caught:
        reducer.partial_fit(frame.replace("x", "n" * 50_000))
    assert len(str(caught[0].message)) < 1000


def test_a_fit_that_goes_on_warns_too_and_a_new_one_does_not():
    frame = chunk("xy")
    reducer = PLAIN(2, warm_start=True, max_epochs=1, **TINY).fit(frame)
    later = chunk("xyz")
    with pytest.warns(UserWarning, match="got 'z' in column 'c'"):
        reducer.fit(later)
    anew = reducer.set_params(warm_start=False).fit(later)
    assert anew._table.columns[2].levels == ("x", "y", "z")
    with pytest.warns(UserWarning, match="got 'w' in column 'c'"):
        reducer.partial_fit(chunk("w"))


def test_a_call_that_raises_has_told_nothing(tmp_path):
    frame = chunk("xy")
    reducer = PLAIN(2, **TINY).partial_fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="got 'z'"):
            reducer.partial_fit(chunk("xyz"))
    with pytest.warns(UserWarning, match="got 'z'"):
        reducer.partial_fit(chunk("xyz"))
    # Whoever reads a file has not seen the warning.
    reducer.save(tmp_path / "levels.skae", optimizer=True)
    for again in (load(tmp_path / "levels.skae"), pickle.loads(pickle.dumps(reducer))):
        with pytest.warns(UserWarning, match="got 'z'"):
            again.partial_fit(chunk("xyz"))


def test_the_levels_of_a_key_are_told_and_remembered_up_to_a_bound():
    reducer = PLAIN(2, allow_missing=True, **TINY).partial_fit(chunk("xyz"))
    sizes = []
    for i in range(4):
        keys = [f"key {i} {j}" for j in range(600)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reducer.partial_fit(chunk(keys, 600))
        told = [w for w in caught if "expected levels that the first" in str(w.message)]
        assert len(told) == (i < 2)
        sizes.append(len(reducer._told_levels["c"]))
    assert sizes == [600, 1200, 1200, 1200]
