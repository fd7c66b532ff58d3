"""What the display of an outlier draws, read back from the artists."""

import re
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer
from sk_autoencoder.plotting import OutlierContributionsDisplay
from sk_autoencoder.plotting._common import GRAY
from sk_autoencoder.plotting._outlier import AWAY, TOWARD

mpl.use("Agg")

X = np.random.default_rng(0).standard_normal((120, 5))
X[17, 2] = 9
NAMES = list("abcde")


@pytest.fixture(scope="module")
def detector():
    frame = pd.DataFrame(X, columns=NAMES)
    return AutoEncoderOutlierDetector(random_state=0).fit(frame)


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def labels(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def widths(display):
    return [bar.get_width() for bar in display.bars_]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_least_normal_row_is_drawn(detector, kind, to_polars):
    frame = pd.DataFrame(X, columns=NAMES)
    rows = frame if kind == "pandas" else to_polars(frame)
    display = OutlierContributionsDisplay.from_estimator(detector, rows)
    assert display.row == 17
    expected = detector.explain(frame[17:18]).to_numpy()[0]
    assert widths(display) == sorted(expected.tolist(), reverse=True)
    assert labels(display)[0] == "c = 9"
    assert display.ax_.yaxis_inverted()
    decision = detector.decision_function(frame)[17]
    assert display.ax_.get_title() == (
        "AutoEncoderOutlierDetector: row 17, an outlier\n"
        f"{decision:+.3g} from the threshold"
    )
    assert display.ax_.get_xlabel() == "Contribution to being an outlier"
    assert {to_hex(bar.get_facecolor()).upper() for bar in display.bars_} == {TOWARD}


def test_rows_features_axes_and_names_can_be_chosen(detector):
    frame = pd.DataFrame(X, columns=NAMES)
    _, ax = plt.subplots()
    display = OutlierContributionsDisplay.from_estimator(
        detector, frame, row=-1, n_features=2, ax=ax, name="Mine"
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.row == 119
    parts = np.sort(detector.explain(frame[119:]).to_numpy()[0])[::-1]
    np.testing.assert_allclose(widths(display), [*parts[:2], parts[2:].sum()])
    assert labels(display)[2] == "3 other features"
    assert to_hex(display.bars_[2].get_facecolor()).upper() == GRAY
    assert display.ax_.get_title().startswith("Mine: row 119, no outlier\n+")
    again = display.plot(name="Yours")
    assert again.ax_ is not ax
    assert again.ax_.get_title().startswith("Yours: row 119")


def test_sparse_rows_and_contributions_below_zero():
    estimator = AutoEncoderTransformer(2, max_epochs=1, random_state=0)
    rows = sparse.csr_matrix(X)
    fitted = AutoEncoderOutlierDetector(estimator, measure="latent").fit(rows)
    display = OutlierContributionsDisplay.from_estimator(fitted, rows, row=3)
    assert labels(display)[0].startswith("feature ")
    display = OutlierContributionsDisplay([2.0, -1.0]).plot()
    colors = [to_hex(bar.get_facecolor()).upper() for bar in display.bars_]
    assert colors == [TOWARD, AWAY]
    assert labels(display) == ["feature 0", "feature 1"]
    assert display.ax_.get_title() == "Contributions by feature"
    display = OutlierContributionsDisplay([2.0], decision=0.5, estimator_name="Me")
    title = display.plot().ax_.get_title()
    assert title == "Me: no outlier\n+0.5 from the threshold"


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_values_are_written_by_kind_of_column(kind, to_polars):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "place": rng.choice(["77407", "01004"], 60),
            "price": rng.integers(27_010, 27_012, 60),
            "share": rng.random(60),
            "pay": [27_010.5] * 30 + [12_345.67] * 30,
            "sunny": rng.random(60) > 0.5,
            "age": [np.nan, *range(59)],
        }
    )
    frame.loc[0, ["place", "price", "share", "sunny"]] = "77407", 27_010, 0.123456, True
    rows = frame if kind == "pandas" else to_polars(frame)
    estimator = AutoEncoderTransformer(
        2, allow_missing=True, max_epochs=1, random_state=0
    )
    fitted = AutoEncoderOutlierDetector(estimator).fit(rows)
    display = OutlierContributionsDisplay.from_estimator(fitted, rows, row=0)
    assert sorted(labels(display)) == [
        "age = missing",
        "pay = 27010",
        "place = 77407",
        "price = 27010",
        "share = 0.1235",
        "sunny = True",
    ]


def test_large_values_are_whole_and_text_is_verbatim():
    values = ["1e5", "nan", np.float32(77_407), 1e20, 10**16, np.bool_(True), -0.00123]
    display = OutlierContributionsDisplay(np.arange(7)[::-1], values=values).plot()
    assert [label.split(" = ")[1] for label in labels(display)] == [
        "1e5",
        "nan",
        "77407",
        "1e+20",
        "10000000000000000",
        "True",
        "-0.00123",
    ]


def test_long_values_are_cut():
    display = OutlierContributionsDisplay(
        [1.0], feature_names=["job"], values=["a very long name of a job"]
    ).plot()
    assert labels(display) == ["job = a very long name of…"]


def test_what_cannot_be_drawn_is_refused(detector, monkeypatch):
    draw = OutlierContributionsDisplay.from_estimator
    frame = pd.DataFrame(X, columns=NAMES)
    with pytest.raises(NotFittedError):
        draw(AutoEncoderOutlierDetector(), X)
    estimator = AutoEncoderTransformer()
    message = (
        f"expected a detector with explain, got estimator={estimator!r}. Pass an "
        "AutoEncoderOutlierDetector."
    )
    with raises(TypeError, message):
        draw(estimator, X)
    for row in (120, -121, 1.5):
        message = (
            f"expected a row of X, which has 120, got row={row!r}. Pass a position "
            "from 0 to 119."
        )
        with raises(ValueError, message):
            draw(detector, frame, row=row)
    message = (
        "expected at least one feature, got n_features=0. Pass n_features=1 or more."
    )
    with raises(ValueError, message):
        draw(detector, frame, n_features=0)
    message = (
        "expected 2 values, one a contribution, got 1. Pass those of the same features."
    )
    with raises(ValueError, message):
        OutlierContributionsDisplay([1.0, 2.0], values=[1.0]).plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = (
        "expected matplotlib to be installed, got "
        "OutlierContributionsDisplay.from_estimator called without it. "
        'Run pip install "sk_autoencoder[plot]".'
    )
    with raises(ImportError, message):
        draw(detector, frame)
