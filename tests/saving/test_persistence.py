"""Estimators in one file: there and back to the bit, and files that are not whole."""

import json
import pickle
import re
import struct

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from made_tables import adult_rows
from saved_files import with_right_digest
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._columns.dtypes import dtype_from_json
from sk_autoencoder._objectives.denoise import masking
from sk_autoencoder.networks import MLP

X = load_digits().data[:200, 10:30]
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
PEOPLE = adult_rows(150)
MIXED = {"allow_missing": True, **SMALL}
PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer


def go_black(batch, generator):
    return batch * masking(batch, 0.2, generator)


class Twice(MLP):
    """A network specification of one's own."""


def polars_people():
    columns = {
        "job": pl.Series(["a", "b", None, "a"] * 30, dtype=pl.Categorical),
        "size": pl.Series(["s", "m", "l"] * 40, dtype=pl.Enum(["s", "m", "l", "xl"])),
        "age": pl.Series(range(120), dtype=pl.Int16),
        "old": pl.Series([True, False] * 60),
        "name": [f"n{i % 5}" for i in range(120)],
        "pay": np.linspace(0, 1, 120),
    }
    return pl.DataFrame(columns)


def pandas_people():
    frame = PEOPLE.copy()
    frame["grade"] = pd.Categorical(
        np.resize(["low", "high"], len(frame)), ["low", "high", "none"], ordered=True
    )
    frame["many"] = [f"level {i % 100}" for i in range(len(frame))]
    frame["whole"] = pd.array(np.arange(len(frame)), dtype="Int64")
    frame["yes"] = pd.array([True, None, False] * 50, dtype="boolean")
    frame["text"] = pd.Series(["x", "y", "z"] * 50, dtype="string")
    return frame


CASES = {
    "plain": (PLAIN(3, **SMALL), X),
    "float32": (PLAIN(3, **SMALL), X.astype(np.float32)),
    "pca": (PLAIN(3, max_epochs=0), X),
    "random": (PLAIN(3, init="random", batch_norm=True, dropout=0.1, **SMALL), X),
    "ordered": (PLAIN(3, ordered=True, whiten=True, **SMALL), X),
    "share": (PLAIN(0.6, **SMALL), X),
    "entropy": (
        PLAIN(3, loss="binary_cross_entropy", numeric_scaling="minmax", **SMALL),
        X,
    ),
    "network": (
        PLAIN(3, network=MLP((8, 7), activation="tanh"), max_epochs=2, random_state=0),
        X,
    ),
    "optimizer": (
        PLAIN(3, optimizer=torch.optim.RMSprop, **{**SMALL, "random_state": None}),
        X,
    ),
    "generator": (
        PLAIN(3, **{**SMALL, "random_state": np.random.RandomState(1)}),
        X,
    ),
    "hidden": (
        DENOISING(features="hidden", layers=[-1], noise_schedule="cosine", **SMALL),
        X,
    ),
    "groups": (DENOISING(3, feature_groups=[[0, 1], [5]], **SMALL), X),
    "vae": (VAETransformer(3, prior="mixture", **SMALL), X),
    "bernoulli": (
        VAETransformer(3, likelihood="bernoulli", numeric_scaling="minmax", **SMALL),
        X,
    ),
    "pandas": (PLAIN(3, **MIXED), pandas_people()),
    "polars": (PLAIN(3, numeric_scaling="rank_gauss", **MIXED), polars_people()),
    "imputer": (DENOISING(features="reconstruction", **MIXED), pandas_people()),
    "mixed_vae": (VAETransformer(3, **MIXED), PEOPLE),
}


def same(first, second):
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
    elif isinstance(first, pl.DataFrame):
        assert first.equals(second)
        assert first.schema == second.schema
    else:
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:expected at least half of n_components:UserWarning")
def test_saved_loaded_saved_loaded_is_the_same_to_the_bit(name, tmp_path):
    estimator, rows = CASES[name]
    estimator.fit(rows)
    last = estimator
    for i in range(2):
        path = tmp_path / f"{i}.safetensors"
        last.save(path)
        last = sk_autoencoder.load(path)
    codes = estimator.transform(rows)
    same(codes, last.transform(rows))
    if name != "hidden":
        same(estimator.inverse_transform(codes), last.inverse_transform(codes))
    for method in ("score_samples", "reconstruction_error"):
        if hasattr(estimator, method):
            same(getattr(estimator, method)(rows), getattr(last, method)(rows))
    if name != "generator":  # whose place in memory is told
        assert repr(last) == repr(estimator)
    assert last.loss_curve_ == estimator.loss_curve_
    assert list(last.get_feature_names_out()) == list(estimator.get_feature_names_out())
    assert (tmp_path / "0.safetensors").stat().st_size < 10_000_000


def test_training_goes_on_as_if_nothing_had_happened(tmp_path):
    first = PLAIN(3, init="random", warm_start=True, **SMALL).fit(X)
    first.save(tmp_path / "model", optimizer=True)
    second = sk_autoencoder.load(tmp_path / "model")
    before = first.transform(X)
    same(first.fit(X).transform(X), second.fit(X).transform(X))
    assert (first.n_iter_, second.n_iter_) == (4, 4)
    assert second.loss_curve_ == first.loss_curve_
    assert (second.transform(X) != before).any()


def test_names_in_a_frame_and_output_are_kept(tmp_path):
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    reducer = PLAIN(3, **SMALL).set_output(transform="pandas").fit(frame)
    reducer.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    same(reducer.transform(frame), again.transform(frame))
    with pytest.raises(ValueError, match="feature names"):
        again.transform(frame.rename(columns={"c0": "other"}))


@pytest.mark.parametrize("value", [True, False, None, "validation"])
@pytest.mark.parametrize("cls", [PLAIN, DENOISING, VAETransformer])
def test_requests_of_metadata_are_kept(cls, value, tmp_path):
    reducer = cls(3, **{**SMALL, "max_epochs": 0})
    with sklearn.config_context(enable_metadata_routing=True):
        reducer.set_fit_request(X_val=value)
    reducer.set_output(transform="pandas").fit(X).save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    assert not sklearn.get_config()["enable_metadata_routing"]
    assert again.get_metadata_routing().fit.requests == {"X_val": value}
    pd.testing.assert_frame_equal(again.transform(X), reducer.transform(X))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_requests_of_a_detectors_estimator_are_kept(tmp_path):
    reducer = PLAIN(3, **{**SMALL, "max_epochs": 0})
    with sklearn.config_context(enable_metadata_routing=True):
        reducer.set_fit_request(X_val=True)
    detector = AutoEncoderOutlierDetector(reducer).fit(X)
    detector.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    for estimator in (again.estimator, *again.estimators_):
        assert estimator.get_metadata_routing().fit.requests == {"X_val": True}
    same(again.score_samples(X), detector.score_samples(X))


def test_pipeline_of_a_loaded_transformer_hands_it_its_validation_set(tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        reducer = PLAIN(3, **SMALL).set_fit_request(X_val=True).fit(X)
        reducer.save(tmp_path / "model")
        again = sk_autoencoder.load(tmp_path / "model")
        pipeline = Pipeline(
            [("scale", StandardScaler()), ("reduce", again)], transform_input=["X_val"]
        )
        pipeline.fit(X, X_val=X[:7])
    batches = again.history_[0]["batches"][0] | again.history_[0]["batches"][-1]
    assert (batches["train_batch_size"], batches["valid_batch_size"]) == (len(X), 7)


def test_what_is_ones_own_is_named_and_asked_for(tmp_path):
    path = tmp_path / "model"
    own = DENOISING(3, noise=go_black, network=Twice((8,)), max_epochs=1)
    own.fit(X).save(path)
    message = (
        "expected your own Twice, go_black, which the file names and does not hold, "
        "got custom={}. Pass custom={'Twice': Twice, 'go_black': go_black}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sk_autoencoder.load(path)
    again = sk_autoencoder.load(path, custom={"go_black": go_black, "Twice": Twice})
    same(own.transform(X), again.transform(X))
    assert again.noise is go_black


PAIRS = pd.Index([(1, 2), (3, 4)] * 25, tupleize_cols=False)


@pytest.mark.parametrize("levels", [pd.cut(np.arange(50), 5), pd.Categorical(PAIRS)])
def test_levels_that_cannot_be_saved_are_named(levels, tmp_path):
    frame = pd.DataFrame({"when": levels, "x": np.arange(50.0) ** 2})
    reducer = PLAIN(2, **SMALL).fit(frame)
    with pytest.raises(
        TypeError, match=r"expected values that can be saved, got Table"
    ):
        reducer.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got path='.*/none/model'\. Make"):
        PLAIN(2, **SMALL).fit(X).save(tmp_path / "none" / "model")
    with pytest.raises(ValueError, match="is not fitted yet"):
        PLAIN().save(tmp_path / "model")


# -- files that are not whole ---------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    PLAIN(3, **SMALL).fit(X).save(path)
    return path.read_bytes()


def with_header(saved, change):
    """Change the header of a file, its JSON as a dict."""
    size = struct.unpack("<Q", saved[:8])[0]
    header = json.loads(saved[8 : 8 + size])
    inner = json.loads(header["__metadata__"]["sk_autoencoder"])
    change(header, inner)
    header["__metadata__"]["sk_autoencoder"] = json.dumps(inner)
    text = json.dumps(header).encode()
    return with_right_digest(struct.pack("<Q", len(text)) + text + saved[8 + size :])


def first_array(header):
    return next(name for name in header if name != "__metadata__")


def plan(inner):
    pairs = inner["state"]["$dict"]
    fitted = next(value for key, value in pairs if key == "_fitted")["$model"]
    parts = fitted["fields"]["$dict"]
    return next(value for key, value in parts if key == "plan")["fields"]["$dict"]


def set_in_plan(inner, name, value):
    pair = next(pair for pair in plan(inner) if pair[0] == name)
    pair[1] = value


def grow_layer(header, inner):
    network = next(value for key, value in plan(inner) if key == "network")
    sizes = next(p for p in network["params"]["$dict"] if p[0] == "hidden_layer_sizes")
    sizes[1] = {"$tuple": [10**12]}


BROKEN = {
    "array_beyond_the_file": lambda h, i: h[first_array(h)].update(
        data_offsets=[0, 10**15], shape=[10**15 // 4]
    ),
    "shape_of_another_size": lambda h, i: h[first_array(h)].update(shape=[1, 1]),
    "no_class": lambda h, i: i.pop("class"),
    "unknown_class": lambda h, i: i.update({"class": "PCA"}),
    "no_state": lambda h, i: i.pop("state"),
    "unknown_kind": lambda h, i: i["state"].update({"$dict": [["a", {"$eval": "1"}]]}),
    "private_kind": lambda h, i: i["state"].update(
        {"$dict": [["a", {"$_given": "os"}]]}
    ),
    "nested_too_deep": lambda h, i: i["state"].update(
        {"$dict": [["a", json.loads("[" * 500 + "]" * 500)]]}
    ),
    "huge_layer": grow_layer,
    "huge_code": lambda h, i: set_in_plan(i, "n_components", 10**12),
    "no_plan": lambda h, i: plan(i).clear(),
    "smaller_code": lambda h, i: set_in_plan(i, "n_components", 2),
    "unknown_device": lambda h, i: set_in_plan(i, "training", {"$dict": [["zzz", 1]]}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_tampered_header_is_refused(name, saved, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(with_header(saved, BROKEN[name]))
    with pytest.raises(ValueError, match="expected a file that save has written, got"):
        sk_autoencoder.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: b"",
        lambda saved: saved[:7],
        lambda saved: saved[:100],
        lambda saved: saved[:-1],
        lambda saved: saved + b"0",
        lambda saved: struct.pack("<Q", 2**62) + saved[8:],
        lambda saved: b"PK\x03\x04 not a model at all",
        lambda saved: saved.replace(b"sk_autoencoder", b"xx_autoencoder"),
    ],
    ids=["empty", "stub", "header", "truncated", "longer", "huge", "zip", "stranger"],
)
def test_a_file_that_is_not_whole_is_refused(damage, saved, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(damage(saved))
    with pytest.raises(ValueError, match="expected a file that save has written, got"):
        sk_autoencoder.load(path)


@pytest.mark.parametrize(
    "found",
    [
        {"polars": "read_csv", "categories": "rows.csv"},
        {"polars": "DataFrame"},
        {"polars": "no_such_thing"},
    ],
    ids=str,
)
def test_nothing_of_a_library_is_called_but_dtypes(found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a\n1\n")
    with pytest.raises(ValueError, match=f"a dtype called '{found['polars']}'"):
        dtype_from_json(found)


def test_a_file_of_a_later_format_is_refused(saved, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(with_header(saved, lambda h, i: i.update(format=99)))
    with pytest.raises(
        ValueError,
        match=r"expected a file of format 1 to 2, which sk_autoencoder .* reads, got "
        r"format 99, which sk_autoencoder .* wrote, in '.*'\. Read it with that",
    ):
        sk_autoencoder.load(path)
    with pytest.raises(FileNotFoundError):
        sk_autoencoder.load(tmp_path / "none")


def test_a_file_is_replaced_whole_or_not_at_all(saved, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(saved)

    def fail(handle):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        PLAIN(3, **SMALL).fit(X).save(path)
    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pickled")

    PLAIN(3, **SMALL).fit(X).save(tmp_path / "model")
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    again = sk_autoencoder.load(tmp_path / "model")
    assert again.transform(np.zeros((1, 20))).shape == (1, 3)
