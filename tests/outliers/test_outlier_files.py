"""A saved detector: there and back to the bit, and files that were tampered with."""

import json
import pickle
import struct

import numpy as np
import pytest
from sklearn.base import clone

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.datasets import load_adult

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
PEOPLE = load_adult().data[:150]
X = np.random.default_rng(0).standard_normal((80, 5))
DETECTOR = AutoEncoderOutlierDetector

CASES = {
    "default": (DETECTOR(random_state=0), X),
    "float32": (DETECTOR(random_state=0), X.astype(np.float32)),
    "latent": (DETECTOR(AutoEncoderTransformer(2, **SMALL), measure="latent"), X),
    "likelihood": (
        DETECTOR(VAETransformer(2, prior="mixture", **SMALL), measure="likelihood"),
        X,
    ),
    "held_out": (
        DETECTOR(
            DenoisingAutoEncoderTransformer(2, **SMALL),
            measure="reconstruction",
            threshold="held_out",
            cv=2,
        ),
        X,
    ),
    "table": (DETECTOR(AutoEncoderTransformer(2, allow_missing=True, **SMALL)), PEOPLE),
    "generator": (DETECTOR(random_state=np.random.RandomState(1)), X),
}


@pytest.mark.parametrize("name", CASES)
def test_saved_loaded_saved_loaded_is_the_same_to_the_bit(name, tmp_path):
    detector, rows = CASES[name]
    last = detector.fit(rows)
    for i in range(2):
        last.save(tmp_path / str(i))
        last = sk_autoencoder.load(tmp_path / str(i))
    again = pickle.loads(pickle.dumps(detector))
    for other in (last, again):
        for method in ("score_samples", "decision_function", "predict", "explain"):
            expected = np.asarray(getattr(detector, method)(rows))
            np.testing.assert_array_equal(getattr(other, method)(rows), expected)
        assert other.offset_ == detector.offset_
        assert other.n_features_in_ == detector.n_features_in_
        assert other.get_params().keys() == detector.get_params().keys()
    fresh = clone(last).fit(rows)
    if name != "generator":  # the first fit has drawn from it
        expected = detector.score_samples(rows)
        np.testing.assert_array_equal(fresh.score_samples(rows), expected)
    if name == "table":
        assert list(last.feature_names_in_) == list(PEOPLE.columns)


class Own(AutoEncoderTransformer):
    """A transformer of one's own."""


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not fitted yet"):
        DETECTOR().save(tmp_path / "model")
    own = DETECTOR(Own(2, **SMALL)).fit(X)
    with pytest.raises(TypeError) as caught:
        own.save(tmp_path / "model")
    assert str(caught.value) == (
        "expected estimators that can be saved, AutoEncoderTransformer, "
        "DenoisingAutoEncoderTransformer, VAETransformer, got "
        f"estimator={own.estimator!r}. Pickle the detector instead."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    DETECTOR(AutoEncoderTransformer(2, **SMALL), measure="latent").fit(X).save(path)
    return path.read_bytes()


def tampered(saved, change):
    """Change the state in a file's header: a nested list of pairs."""
    size = struct.unpack("<Q", saved[:8])[0]
    header = json.loads(saved[8 : 8 + size])
    inner = json.loads(header["__metadata__"]["sk_autoencoder"])
    change(header, inner["state"]["$dict"])
    header["__metadata__"]["sk_autoencoder"] = json.dumps(inner)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + saved[8 + size :]


def put(pairs, value, *names):
    """Set a value deep in nested lists of pairs; None takes it out."""
    pair = next(pair for pair in pairs if pair[0] == names[0])
    if len(names) > 1:
        put(pair[1]["$dict"], value, *names[1:])
    elif value is None:
        pairs.remove(pair)
    else:
        pair[1] = value


def swap_estimator(header, state):
    scorer = next(value for key, value in state if key == "_scorer")["$dict"]
    (estimator,) = next(value for key, value in scorer if key == "estimators")
    put(estimator["$dict"], "PCA", "class")


def unknown_measure(header, state):
    put(state, "other", "_scorer", "measure")
    put(state, {"$tuple": []}, "_scorer", "codes")


def shrink(header, state):
    name = next(name for name in header if name.endswith("_scorer.units.middle"))
    header[name]["shape"] = [1, 5]


BROKEN = {
    "no scorer": lambda h, s: put(s, None, "_scorer"),
    "no estimators": lambda h, s: put(s, [], "_scorer", "estimators"),
    "not an estimator": lambda h, s: put(s, [None], "_scorer", "estimators"),
    "unknown estimator": swap_estimator,
    "unknown measure": unknown_measure,
    "another measure": lambda h, s: put(s, "combined", "_scorer", "measure"),
    "no codes": lambda h, s: put(s, {"$tuple": []}, "_scorer", "codes"),
    "units of text": lambda h, s: put(s, "none", "_scorer", "units", "unit"),
    "fewer levels": lambda h, s: put(s, {"$tuple": []}, "_scorer", "units", "levels"),
    "offset of text": lambda h, s: put(s, "none", "offset_"),
    "infinite offset": lambda h, s: put(s, float("inf"), "offset_"),
    "other columns": lambda h, s: put(s, 6, "n_features_in_"),
    "another shape": shrink,
}


@pytest.mark.parametrize("name", BROKEN)
def test_tampered_files_are_refused(name, saved, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(saved)
    sk_autoencoder.load(path)
    path.write_bytes(tampered(saved, BROKEN[name]))
    with pytest.raises(ValueError, match="expected a file that save has written, got"):
        sk_autoencoder.load(path)
