"""Arrow's columns, frames of other libraries, and the container that is asked for."""

import io
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from made_tables import small
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
    load,
)
from sk_autoencoder.metrics import reconstruction_scorer

PLAIN = AutoEncoderTransformer
TINY = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)


# -- Arrow --------------------------------------------------------------------------


def letters(n=60):
    return pa.array(np.resize(list("xyz"), n))


ARROW = {
    "string": letters(),
    "large_string": letters().cast(pa.large_string()),
    "dictionary of text": letters().dictionary_encode(),
    "dictionary of numbers": pa.array(RNG.integers(0, 3, 60)).dictionary_encode(),
    "bool": pa.array(RNG.random(60) < 0.5),
    "int64": pa.array(RNG.integers(0, 9, 60)),
    "double": pa.array(RNG.normal(size=60)),
}


@pytest.mark.parametrize("kind", ARROW)
@pytest.mark.parametrize("gaps", [False, True])
def test_columns_of_arrow_come_back_as_they_were(kind, gaps, tmp_path):
    values = pd.Series(pd.arrays.ArrowExtensionArray(ARROW[kind]))
    frame = pd.DataFrame({"a": RNG.normal(size=60), "v": values, "t": ["u", "v"] * 30})
    if gaps:
        frame.loc[[3, 9], "v"] = None
    reducer = PLAIN(None, allow_missing=gaps, max_epochs=0, random_state=0).fit(frame)
    back = reducer.reconstruct(frame)
    assert back.dtypes.equals(frame.dtypes)
    there = frame["v"].notna().to_numpy()
    pd.testing.assert_frame_equal(back[there], frame[there])
    is_number = kind in ("int64", "double")
    assert hasattr(reducer._table.columns[1], "levels") is not is_number
    reducer.save(tmp_path / "arrow.skae")
    again = load(tmp_path / "arrow.skae").reconstruct(frame)
    pd.testing.assert_frame_equal(again, back)
    if gaps:
        imputer = DenoisingAutoEncoderTransformer(
            features="reconstruction", allow_missing=True, **TINY
        )
        filled = imputer.fit_transform(frame)
        assert filled.dtypes.equals(frame.dtypes)
        assert filled.notna().all().all()


def test_a_table_that_was_read_with_arrow_s_dtypes_is_taken():
    frame = pd.DataFrame({"a": RNG.normal(size=60), "t": np.resize(list("xyz"), 60)})
    frame["c"] = frame["t"].astype("category")
    stored = io.BytesIO()
    frame.to_parquet(stored)
    codes = PLAIN(2, **TINY).fit_transform(frame)
    for backend in ("pyarrow", "numpy_nullable"):
        stored.seek(0)
        read = pd.read_parquet(stored, dtype_backend=backend)
        reducer = PLAIN(2, **TINY).fit(read)
        np.testing.assert_allclose(reducer.transform(read), codes)
        assert reducer.reconstruct(read).dtypes.equals(read.dtypes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([0] * 60, pa.date32()), "of dtype date32.*such as the days"),
        (pa.array([0] * 60, pa.timestamp("us")), "of dtype timestamp.*days since"),
        (pa.array([1.5] * 60).cast(pa.decimal128(9, 2)), "of Decimal, .*Convert it"),
        (pa.array([b"a"] * 60), "of bytes, .*Convert it"),
    ],
)
def test_other_columns_of_arrow_are_refused_with_advice_of_their_own(values, message):
    frame = pd.DataFrame({"a": range(60), "v": pd.arrays.ArrowExtensionArray(values)})
    with pytest.raises(TypeError, match=f"column 'v' {message}"):
        PLAIN(2, **TINY).fit(frame)


def test_advice_about_dates_is_given_for_dates_alone():
    frame = pl.DataFrame({"a": range(60), "v": range(60)})
    for dtype, message in (
        (pl.Date, r"dtype Date\. Turn it into numbers, such as the days"),
        (pl.Duration, r"dtype Duration.*days since"),
        (pl.Decimal(9, 2), r"dtype Decimal.*Turn it into numbers, as by a cast to fl"),
    ):
        with pytest.raises(TypeError, match=message):
            PLAIN(2, **TINY).fit(frame.cast({"v": dtype}))


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime, pl.Duration, "datetime64[ns]"])
def test_dates_are_refused_after_a_fit_on_numbers(dtype):
    frame = pl.DataFrame({"a": range(9), "b": range(9)})
    fitted = PLAIN(1, **TINY).fit(frame)
    dates = frame.cast(dtype) if isinstance(dtype, type) else None
    dates = frame.to_pandas().astype(dtype) if dates is None else dates
    with pytest.raises(TypeError, match=r"column 'a' of dtype .*days since"):
        fitted.transform(dates)


# -- arrays that numpy would read as other numbers -------------------------------------


MASKED = np.ma.masked_array(RNG.normal(size=(30, 2)), mask=np.eye(30, 2))
DATES = np.arange(60).reshape(30, 2).astype("datetime64[D]")
DATES[0, 0] = "NaT"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (MASKED, r"without a mask, got .* with . masked cells\. Pass .*filled\("),
        (DATES, r"expected numbers, got .* of dtype datetime64\[D\]\. Turn"),
        (DATES - DATES[1, 1], r"expected numbers, got .* of dtype timedelta64"),
    ],
)
def test_masked_cells_and_dates_are_not_taken_for_numbers(X, message):
    numbers = np.ma.masked_array(RNG.normal(size=(30, 2)), mask=False)
    fitted = PLAIN(2, **TINY).fit(numbers)
    calls = [
        PLAIN(1, allow_missing=True, **TINY).fit,
        PLAIN(1, **TINY).partial_fit,
        lambda X: PLAIN(1, **TINY).fit_batches([numbers, X]),
        lambda X: PLAIN(1, **TINY).fit(numbers, X_val=X),
        fitted.transform,
        fitted.inverse_transform,
        fitted.score,
        lambda X: fitted.transform(X[:1]),
        AutoEncoderOutlierDetector(PLAIN(1, **TINY)).fit,
        ExtraRowsTransformer(PLAIN(1, **TINY), numbers).fit,
        lambda X: reconstruction_scorer(fitted, X),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=message):
            call(X)


# -- frames of other libraries ---------------------------------------------------------


def stand_in(module, name):
    """An object of a class that says to be of another library."""
    columns = ["a", "b"]
    return type(name, (), {"__module__": module, "columns": columns, "shape": (9, 2)})()


LAZY = small()[["a", "flag"]]
FOREIGN = {
    "polars.LazyFrame": (pl.from_dict(LAZY.to_dict("list")).lazy(), "collect()"),
    "pyarrow.Table": (pa.Table.from_pandas(LAZY), "to_pandas()"),
    "pyarrow.RecordBatch": (pa.RecordBatch.from_pandas(LAZY), "to_pandas()"),
    "dask.DataFrame": (
        stand_in("dask.dataframe.dask_expr._collection", "DataFrame"),
        "compute()",
    ),
    "modin.DataFrame": (
        stand_in("modin.pandas.dataframe", "DataFrame"),
        "modin.to_pandas()",
    ),
    "pyspark.DataFrame": (
        stand_in("pyspark.sql.classic.dataframe", "DataFrame"),
        "toPandas()",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_frames_of_other_libraries_are_refused_with_what_makes_one(kind):
    X, method = FOREIGN[kind]
    fitted = PLAIN(1, **TINY).fit(LAZY)
    numbers = PLAIN(1, **TINY).fit(small()[["a", "whole"]])
    detector = AutoEncoderOutlierDetector(PLAIN(1, **TINY)).fit(LAZY)
    calls = [
        *(reducer.fit for reducer in (PLAIN(1), VAETransformer(1))),
        PLAIN(1, allow_missing=True).fit,
        PLAIN(1).partial_fit,
        AutoEncoderOutlierDetector().fit,
        ExtraRowsTransformer(PCA(1), extra_rows=LAZY).fit,
        fitted.transform,
        fitted.score,
        fitted.inverse_transform,
        numbers.transform,
        numbers.partial_fit,
        detector.predict,
        lambda X: reconstruction_scorer(fitted, X),
        lambda X: reconstruction_scorer(numbers, X),
    ]
    message = (
        "expected an array, or a frame of pandas or polars, got X of type "
        f"{kind}. Pass X.{method}."
    )
    for call in calls:
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            call(X)
    wrapped = ExtraRowsTransformer(PCA(1), extra_rows=None)
    wrapped.extra_rows = X
    with pytest.raises((TypeError, ValueError), match="extra_rows"):
        wrapped.fit(LAZY)


# -- the container that is asked for ---------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_way_back_follows_set_config(kind):
    X = small()[["a", "whole"]]
    of_frame, of_array = PLAIN(2, **TINY).fit(X), PLAIN(2, **TINY).fit(X.to_numpy())
    plain = of_frame.reconstruct(X)
    assert isinstance(plain, np.ndarray)
    with sklearn.config_context(transform_output=kind):
        library = {"pandas": pd, "polars": pl}[kind]
        for reducer, names in ((of_frame, ["a", "whole"]), (of_array, ["x0", "x1"])):
            rows = X if reducer is of_frame else X.to_numpy()
            codes = reducer.transform(rows)
            assert isinstance(codes, library.DataFrame)
            for back in (reducer.reconstruct(rows), reducer.inverse_transform(codes)):
                assert isinstance(back, library.DataFrame)
                assert list(back.columns) == names
                np.testing.assert_allclose(back.to_numpy(), plain)
        with pytest.raises(ValueError, match="expected out, or frames as output"):
            of_array.inverse_transform(codes, out=np.empty((len(X), 2)))
        # What an estimator was told itself comes first.
        of_array.set_output(transform="default")
        assert isinstance(of_array.reconstruct(X.to_numpy()), np.ndarray)
    assert isinstance(of_frame.reconstruct(X), np.ndarray)


def test_searches_tables_and_samples_go_on_under_set_config():
    frame = small()
    with sklearn.config_context(transform_output="pandas"):
        reducer = PLAIN(2, **TINY).fit(frame)
        back = reducer.reconstruct(frame)
        pd.testing.assert_series_equal(back.dtypes, frame.dtypes)
        numbers = frame[["a", "whole"]]
        model = make_pipeline(StandardScaler(), PLAIN(1, **TINY)).fit(numbers)
        found = np.asarray(model.inverse_transform(model.transform(numbers)))
        score = reconstruction_scorer(model, numbers)
        vae = VAETransformer(1, **TINY).fit(numbers)
        assert list(vae.sample(3, random_state=0).columns) == ["a", "whole"]
        errors = vae.reconstruction_error(numbers, per_feature=True)
        assert errors.index.equals(numbers.index)
    gaps, around = found - numbers, numbers - numbers.mean()
    explained = (
        1 - np.square(gaps).to_numpy().sum() / np.square(around).to_numpy().sum()
    )
    assert score == pytest.approx(explained)
