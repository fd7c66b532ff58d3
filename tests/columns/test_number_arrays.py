"""Arrays of one number type that hold categories come back as arrays of that type."""

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

TINY = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)
WHOLE = np.column_stack([RNG.integers(1, 4, 60) * 7, RNG.poisson(9, (60, 2))])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
@pytest.mark.parametrize("kind", [AutoEncoderTransformer, VAETransformer])
def test_numbers_that_are_categories_come_back_in_the_array_s_dtype(kind, dtype):
    X = WHOLE.astype(dtype)
    reducer = kind(2, categorical_features=[0], **TINY).fit(X)
    found = [reducer.reconstruct(X), reducer.inverse_transform(reducer.transform(X))]
    if kind is VAETransformer:
        found.append(reducer.sample(50, random_state=0))
    for rows in found:
        assert rows.dtype == X.dtype
        assert set(rows[:, 0]) <= {7, 14, 21}


def test_halves_come_back_as_floats_and_booleans_as_what_they_can_be():
    X = WHOLE.astype("float16")
    reducer = AutoEncoderTransformer(2, categorical_features=[0], **TINY).fit(X)
    assert reducer.reconstruct(X).dtype == np.float64
    flags = WHOLE % 2 == 0
    both = AutoEncoderTransformer(2, categorical_features=[0, 1, 2], **TINY).fit(flags)
    assert both.reconstruct(flags).dtype == bool
    one = AutoEncoderTransformer(2, categorical_features=[0], **TINY).fit(flags)
    assert one.reconstruct(flags).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_an_imputer_keeps_the_number_type(dtype):
    X = WHOLE.astype(dtype)
    if X.dtype.kind == "f":
        X[RNG.random(X.shape) < 0.2] = np.nan
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", categorical_features=[0], allow_missing=True, **TINY
    )
    filled = imputer.fit_transform(X)
    assert filled.dtype == X.dtype
    assert np.isfinite(filled).all()
    assert set(filled[:, 0]) <= {7, 14, 21}


def test_frames_of_such_an_array_hold_numbers():
    X = WHOLE.astype(float)
    reducer = AutoEncoderTransformer(2, categorical_features=[0], **TINY)
    back = reducer.set_output(transform="pandas").fit(X).reconstruct(X)
    assert [dtype.name for dtype in back.dtypes] == ["float64"] * 3


def test_arrays_of_text_and_numbers_come_back_as_objects():
    X = WHOLE.astype(object)
    X[:, 0] = ["a", "b", "c"] * 20
    reducer = AutoEncoderTransformer(2, categorical_features=[0], **TINY).fit(X)
    assert reducer.reconstruct(X).dtype == object


# The largest number of int64 is 2**63 in float64, which is one too many.
ENDS = {"int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}
FRAMES = ["int64", "uint64", "Int64", "UInt64", "int64[pyarrow]", "uint64[pyarrow]"]


def at_the_ends(dtype, kind):
    """Sixty rows of a category and of the least and the largest whole number."""
    plain = dtype.lower().removesuffix("[pyarrow]")
    ends = np.array([*ENDS[plain]] * 30, plain)
    halves = np.array([0, 1] * 30, plain)
    if kind == "array":
        return np.column_stack([ends, halves])
    if kind == "polars":
        return pl.DataFrame({"ends": ends, "half": halves.astype(str)})
    return pd.DataFrame({"ends": pd.Series(ends, dtype=dtype), "half": halves > 0})


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        *((dtype, "pandas") for dtype in FRAMES),
        *((dtype, kind) for dtype in ENDS for kind in ("array", "polars")),
    ],
)
def test_the_ends_of_whole_numbers_come_back_as_such(dtype, kind):
    X = at_the_ends(dtype, kind)
    named = {"categorical_features": [1]} if kind == "array" else {}
    back = AutoEncoderTransformer(1, **named, **TINY).fit(X).reconstruct(X)
    column = back[:, 0] if kind == "array" else back["ends"]
    given = X[:, 0] if kind == "array" else X["ends"]
    assert column.dtype == given.dtype
    found, given = list(column), list(given)
    assert max(found) == max(given)
    for number, true in zip(found, given, strict=True):
        assert int(number) == pytest.approx(int(true), abs=2**62)


@pytest.mark.parametrize("kind", ["Int64", "int64[pyarrow]", "polars"])
@pytest.mark.parametrize("low", [2**63 - 1, 2**63 - 3000])
def test_gaps_at_the_end_of_whole_numbers_are_filled(kind, low):
    whole = pd.array([2**63 - 1, low, None] * 20, "Int64")
    X = pd.DataFrame({"whole": whole, "letter": list("ab") * 30})
    X = pl.from_pandas(X) if kind == "polars" else X.astype({"whole": kind})
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **TINY
    )
    column = imputer.fit_transform(X)["whole"]
    assert column.dtype == X["whole"].dtype
    assert all(low - 1024 <= int(number) < 2**63 for number in column)


IDS = [2**60 + 1, 2**60 + 3, 2**60 + 5]


def identified(dtype, kind):
    """Sixty rows of identifiers that float64 does not tell apart, and of a number."""
    ids, numbers = IDS * 20, np.repeat([0, 1], 30)
    if kind == "array":
        return np.column_stack([np.array(ids, dtype), numbers.astype(dtype)])
    if kind == "polars":
        return pl.DataFrame({"id": np.array(ids, dtype), "number": numbers})
    series = pd.Series(ids, dtype=dtype)
    if dtype == "Int64":
        series[0] = pd.NA
    return pd.DataFrame({"id": series, "number": numbers})


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        *((dtype, "pandas") for dtype in (*FRAMES, "object")),
        *((dtype, "array") for dtype in ("int64", "uint64", "object")),
        ("int64", "polars"),
    ],
)
def test_identifiers_beyond_the_digits_of_floats_are_levels_of_their_own(
    dtype, kind, tmp_path
):
    X = identified(dtype, kind)
    settings = {
        "categorical_features": [0],
        "allow_missing": dtype == "Int64",
        "handle_unknown": "error",
        **TINY,
    }
    imputer = DenoisingAutoEncoderTransformer(features="reconstruction", **settings)
    filled = imputer.fit_transform(X)
    ids = filled[:, 0] if kind == "array" else filled["id"]
    assert [int(number) for number in ids][1:] == (IDS * 20)[1:]
    assert int(next(iter(ids))) in IDS
    reducer = AutoEncoderTransformer(2, **settings).fit(X)
    back = reducer.reconstruct(X)
    column = back[:, 0] if kind == "array" else back["id"]
    assert {int(number) for number in column} <= set(IDS)
    reducer.save(tmp_path / "file")
    np.testing.assert_array_equal(
        load(tmp_path / "file").transform(X), reducer.transform(X)
    )
    other = identified(dtype, kind)
    if kind == "polars":
        other = other.with_columns(id=pl.col("id") + 1)
    elif kind == "array":
        other[:, 0] += 1
    else:
        other["id"] += 1
    with pytest.raises(ValueError, match=f"categories of fit.*, got '{2**60 + 2}"):
        reducer.transform(other)
