"""The carried series, compared with what pandas reads from the same file."""

import gzip
import re
import sys
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from sk_autoencoder.datasets import load_nab

SIZES = {"nyc_taxi": (10320, 30, 5), "machine_temperature": (5672, 20, 4)}


@pytest.fixture(scope="module")
def expected():
    """The file as pandas reads it: an independent reader."""
    path = resources.files("sk_autoencoder.datasets") / "data" / "nab.csv.gz"
    with path.open("rb") as packed, gzip.open(packed, "rt") as text:
        return pd.read_csv(text, parse_dates=["timestamp"])


@pytest.mark.parametrize("series", SIZES)
def test_series_hold_the_file(series, expected):
    part = expected[expected["series"] == series]
    n_steps, step, n_windows = SIZES[series]
    arrays, frames = load_nab(series, as_frame=False), load_nab(series)
    assert arrays.data.shape == arrays.target.shape == (n_steps,)
    assert arrays.step == step
    assert (np.diff(arrays.times) == np.timedelta64(step, "m")).all()
    np.testing.assert_array_equal(arrays.data, part["value"])
    np.testing.assert_array_equal(arrays.target, part["anomaly_window"] == 1)
    assert (np.diff(arrays.target.astype(int)) == 1).sum() == n_windows
    assert frames.data.name == series
    assert frames.data.tolist() == arrays.data.tolist()
    assert frames.target.tolist() == arrays.target.tolist()
    assert frames.data.index.tolist() == part["timestamp"].tolist()
    assert "License: MIT" in frames.DESCR


def test_other_series_and_flags_are_refused(monkeypatch):
    message = "The 'series' parameter of load_nab must be a str among {"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        load_nab("taxi")
    message = "The 'as_frame' parameter of load_nab must be "
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        load_nab(as_frame="polars")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert load_nab(as_frame=False).data.shape == (10320,)
    with pytest.raises(ImportError, match="expected pandas to be installed"):
        load_nab()
