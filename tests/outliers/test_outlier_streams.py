"""Detectors of streams: `partial_fit`, its window, and the drift of columns."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import ks_2samp
from sklearn import config_context

import sk_autoencoder
from sk_autoencoder import AutoEncoderOutlierDetector

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(
    size=(300, 5)
)
BATCHES = [X[:100], X[100:160], X[160:300]]
FRAME = pd.DataFrame(X, columns=list("abcde"))
FRAME["job"] = pd.Categorical(RNG.choice(["cook", "clerk"], 300))


FRAMES = {"mixed": FRAME, "frame": FRAME[list("abcde")]}


def detector():
    return AutoEncoderOutlierDetector(random_state=0)


def batches_of(kind):
    if kind in FRAMES:
        frame = FRAMES[kind]
        return [frame[:100], frame[100:160], frame[160:300]]
    return [sparse.csr_matrix(b) if kind == "sparse" else b for b in BATCHES]


@pytest.mark.parametrize(
    ("kind", "window"),
    [("array", None), *((kind, 150) for kind in ("array", "frame", "mixed", "sparse"))],
)
def test_a_stream_is_a_fit_to_its_last_rows(kind, window):
    stream, batches = detector(), batches_of(kind)
    for batch in batches:
        assert stream.partial_fit(batch, window=window) is stream
    rows = FRAMES.get(kind, X)
    rows = rows[-window:] if window else rows
    expected = detector().fit(sparse.csr_matrix(rows) if kind == "sparse" else rows)
    for method in ("score_samples", "p_values", "predict"):
        np.testing.assert_array_equal(
            getattr(stream, method)(batches[0]), getattr(expected, method)(batches[0])
        )


def test_a_fit_begins_a_stream_anew():
    stream = detector().partial_fit(X[:50]).fit(X[:60])
    assert not hasattr(stream, "drift_")
    again = stream.partial_fit(X[60:120]).score_samples(X)
    expected = detector().fit(X[60:120]).score_samples(X)
    np.testing.assert_array_equal(again, expected)


def test_single_rows_and_lists_go_on_with_a_stream():
    stream = detector().partial_fit(X[:50].tolist())
    for row in X[50:53]:
        stream.partial_fit(row[np.newaxis].tolist(), window=51)
    expected = detector().fit(X[2:53]).score_samples(X)
    np.testing.assert_array_equal(stream.score_samples(X), expected)


def test_drift_is_that_of_kolmogorov_and_smirnov():
    stream = detector().partial_fit(BATCHES[0])
    assert stream.drift_.tolist() == [0.0] * 5
    moved = BATCHES[1].copy()
    moved[:, 2] += 3
    stream.partial_fit(moved)
    expected = [ks_2samp(BATCHES[0][:, i], moved[:, i]).statistic for i in range(5)]
    np.testing.assert_allclose(stream.drift_, expected)
    assert stream.drift_.argmax() == 2


def test_drift_of_categories_and_of_missing_cells():
    stream = detector().partial_fit(FRAME[:100])
    after = FRAME[100:200].copy()
    after["job"] = pd.Categorical(["cook"] * 90 + ["pilot"] * 10)
    after.loc[after.index[:50], "a"] = np.nan
    after["b"] = np.nan
    stream.partial_fit(after)
    before = FRAME["job"][:100].value_counts(normalize=True)
    expected = 0.5 * (abs(before["cook"] - 0.9) + before["clerk"] + 0.1)
    assert stream.drift_[5] == pytest.approx(expected)
    found = ks_2samp(FRAME["a"][:100], after["a"].dropna()).statistic
    assert stream.drift_[0] == pytest.approx(found)
    assert stream.drift_[1] == 0
    assert np.isfinite(stream.score_samples(after)).all()


def test_a_stream_that_changes_its_columns_is_refused_and_left_as_it_was():
    stream = detector().partial_fit(FRAME[:100])
    before = stream.score_samples(FRAME)
    for other, error, message in (
        (FRAME[100:].drop(columns="c"), ValueError, "feature names should match"),
        (FRAME[100:].rename(columns={"c": "z"}), ValueError, "feature names should"),
        (FRAME[100:][[*"bacde", "job"]], ValueError, "feature names should"),
        (FRAME[100:].assign(c="text"), TypeError, "expected numbers in column 'c'"),
    ):
        with pytest.raises(error, match=message):
            stream.partial_fit(other)
        np.testing.assert_array_equal(stream.score_samples(FRAME), before)
    numbers = detector().partial_fit(X[:100])
    with pytest.raises(ValueError, match="X has 4 features, but"):
        numbers.partial_fit(X[100:, :4])
    with pytest.raises(ValueError, match=r"^expected X of this call of the same kind"):
        numbers.partial_fit(sparse.csr_matrix(X[100:]))
    np.testing.assert_array_equal(
        numbers.partial_fit(X[100:]).score_samples(X),
        detector().fit(X).score_samples(X),
    )


@pytest.mark.parametrize("window", [1, 0, -5, 2.5, "all"])
def test_a_window_out_of_its_range_is_refused(window):
    message = (
        "The 'window' parameter of partial_fit must be an int in the range [2, inf) or "
        f"None. Got {window!r} instead."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        detector().partial_fit(X, window=window)


def test_a_file_holds_no_window_and_a_pickle_does(tmp_path):
    stream = detector().partial_fit(BATCHES[0]).partial_fit(BATCHES[1])
    stream.save(tmp_path / "model")
    loaded = sk_autoencoder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(X), stream.score_samples(X))
    assert not hasattr(loaded, "drift_")
    loaded.partial_fit(BATCHES[2])
    anew = detector().fit(BATCHES[2]).score_samples(X)
    np.testing.assert_array_equal(loaded.score_samples(X), anew)
    pickled = pickle.loads(pickle.dumps(stream)).partial_fit(BATCHES[2])
    np.testing.assert_array_equal(
        pickled.score_samples(X), detector().fit(X).score_samples(X)
    )


def test_the_window_is_no_metadata():
    with config_context(enable_metadata_routing=True):
        assert "partial_fit" not in str(detector().get_metadata_routing())
        assert not hasattr(detector(), "set_partial_fit_request")
