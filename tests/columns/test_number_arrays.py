"""Arrays of one number type that hold categories come back as arrays of that type."""

import numpy as np
import pytest

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
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
