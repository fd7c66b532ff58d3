"""Text that is hardly categories: identifiers, and numbers as text."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer

TINY = {"hidden_layer_sizes": (6,), "max_epochs": 1, "random_state": 0}
WARNING = (
    "expected text that names categories, got identifiers, or numbers as text, in "
    "column {}: each different text is taken for a category. Drop what only names a "
    "sample, convert numbers as with pandas.to_numeric, or give the column a "
    "categorical dtype to keep it."
)


def table(n=120):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "key": [f"k{i}" for i in range(n)],
            "price": [f"{i % 40}.5" for i in range(n)],
            "dose": [f"{i % 40}.5" if i % 8 else "?" for i in range(n)],
            "city": rng.choice(["a", "b", "c"], n),
            "digit": rng.choice(list("0123456789"), n),
            "zip": [f"{i % 40:02}" for i in range(n)],
        }
    )


def warned(*names):
    message = WARNING.format(", ".join(map(repr, names)))
    return pytest.warns(UserWarning, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.from_pandas])
def test_identifiers_and_numbers_as_text_are_named(frame):
    with warned("key", "price", "dose") as found:
        AutoEncoderTransformer(2, **TINY).fit(frame(table()))
    assert len(found) == 1


def test_streams_and_detectors_name_them_too():
    X = table(240)
    with warned("key", "price", "dose"):
        AutoEncoderTransformer(2, **TINY).fit_batches([X[:120], X[120:]])
    for estimator in None, AutoEncoderTransformer(2, **TINY):
        with warned("key", "price", "dose") as found:
            AutoEncoderOutlierDetector(estimator, random_state=0).fit(X)
        assert len(found) == 1


def test_what_is_meant_is_not_doubted():
    X = table()
    declared = X.astype(dict.fromkeys(["key", "price", "dose"], "category"))
    text = ["key", "price", "dose", "city", "digit", "zip"]
    # None of these warns: warnings are errors here.
    AutoEncoderTransformer(2, **TINY).fit(declared)
    AutoEncoderTransformer(2, categorical_features=text, **TINY).fit(X)
    AutoEncoderTransformer(2, **TINY).fit(X[:99])  # too few to tell
    AutoEncoderTransformer(2, **TINY).fit(X.drop(columns=["key", "price", "dose"]))
