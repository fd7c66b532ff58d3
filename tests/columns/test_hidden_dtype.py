"""Hidden features of a mixed frame take half the memory, unless asked otherwise."""

import numpy as np
import pytest
from made_tables import small

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
)

TINY = {"hidden_layer_sizes": (6, 4), "max_epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def extractor():
    reducer = DenoisingAutoEncoderTransformer(
        features="hidden", allow_missing=True, **TINY
    )
    return reducer.fit(small(gaps=True))


@pytest.mark.parametrize("as_polars", [False, True])
def test_hidden_features_of_a_mixed_frame_are_float32(extractor, as_polars, to_polars):
    frame = small(gaps=True)
    if as_polars:
        frame = to_polars(frame)
    hidden = extractor.transform(frame)
    assert hidden.dtype == np.float32
    double = np.empty(hidden.shape)
    assert extractor.transform(frame, out=double) is double
    np.testing.assert_array_equal(hidden, double.astype("float32"))
    assert np.any(double != hidden)
    assert extractor.transform(frame[:1]).dtype == np.float32


def test_hidden_features_in_a_frame_and_behind_extra_rows_are_float32():
    frame = small()
    reducer = DenoisingAutoEncoderTransformer(features="hidden", layers=[-1], **TINY)
    wrapped = ExtraRowsTransformer(reducer, extra_rows=frame)
    assert wrapped.fit_transform(frame).dtype == np.float32
    codes = reducer.set_output(transform="pandas").fit_transform(frame)
    assert {dtype.name for dtype in codes.dtypes} == {"float32"}


def test_other_codes_keep_the_dtype_of_the_numbers():
    frame, numbers = small(), small()[["a", "whole"]]
    hidden = DenoisingAutoEncoderTransformer(features="hidden", **TINY)
    assert hidden.fit_transform(numbers).dtype == np.float64
    assert hidden.fit_transform(numbers.astype("float32")).dtype == np.float32
    assert AutoEncoderTransformer(2, **TINY).fit_transform(frame).dtype == np.float64
