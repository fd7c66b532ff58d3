"""`fit_batches`: what `fit` gives, on samples that are read anew in each epoch."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from small_fits import ALL, make

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    load,
)
from sk_autoencoder._columns import ColumnStatistics, TableSketch
from sk_autoencoder._estimators import streams
from sk_autoencoder._training import stream
from sk_autoencoder._training.batches import Batches, RowDataset
from sk_autoencoder._training.stream import RowStream, StreamBatches, shuffled
from sk_autoencoder.networks import ConvNet

# Of all writers among each other: a buffer of some of them at a time costs 0.4 %.
DIGITS = np.random.default_rng(0).permutation(load_digits().data)
X = DIGITS[:500]


def cut(rows, size=64):
    """Batches of some size, the last of which may be smaller."""
    take = rows.iloc if isinstance(rows, pd.DataFrame) else rows
    return [take[i : i + size] for i in range(0, len(rows), size)]


@pytest.fixture
def little_memory(monkeypatch):
    """Room for 400 samples of digits to be shuffled, and 180 that are held out."""
    monkeypatch.setattr(stream, "BUFFERED_CELLS", 400 * 64)
    monkeypatch.setattr(streams, "CHUNK_CELLS", 40 * 64)
    monkeypatch.setattr(streams, "MOST_SAMPLED", 180)


def mixed_table(n=400, seed=0):
    """Numbers, whole numbers, two values, categories, gaps; all related."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "income": np.exp(x + 0.1 * rng.normal(size=n)),
            "age": (40 + 9 * x + rng.normal(size=n)).astype(int),
            "owner": (x + rng.normal(size=n) > 0).astype(float),
            "city": np.where(x > 1, "north", np.where(x > -1, "mid", "south")),
            "kind": pd.Categorical(
                np.where(x > 0, "b", "a"), categories=["b", "a", "unused"]
            ),
        }
    )
    table.loc[rng.random(n) < 0.1, "income"] = np.nan
    table.loc[rng.random(n) < 0.1, "city"] = None
    return table


# -- as `fit` ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", ALL)
def test_untrained_models_are_equal(cls, dtype):
    rows = X.astype(dtype)
    whole = make(cls, max_epochs=0).fit(rows)
    streamed = make(cls, max_epochs=0).fit_batches(cut(rows))
    for name in ("transform", "reconstruct"):
        expected, got = (getattr(e, name)(rows) for e in (whole, streamed))
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, atol=2e-5 if dtype == "f" else 1e-9)
    np.testing.assert_allclose(
        streamed.explained_variance_ratio_, whole.explained_variance_ratio_, rtol=1e-5
    )


@pytest.mark.parametrize("scaling", ["auto", "rank_gauss"])
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_untrained_models_of_tables_are_equal(kind, scaling):
    table = mixed_table()
    rows = table if kind is pd.DataFrame else pl.from_pandas(table)
    params = {"max_epochs": 0, "allow_missing": True, "numeric_scaling": scaling}
    whole = make(**params).fit(rows)
    streamed = make(**params).fit_batches(cut(rows))
    codes = whole.transform(rows)
    np.testing.assert_allclose(streamed.transform(rows), codes, atol=1e-9)
    expected, back = (e.inverse_transform(codes) for e in (whole, streamed))
    assert type(back) is kind
    np.testing.assert_allclose(back["income"], expected["income"], rtol=1e-9)
    for name in ("age", "city", "kind"):
        assert list(back[name]) == list(expected[name])
        assert back[name].dtype == expected[name].dtype


@pytest.mark.parametrize("cls", ALL)
def test_trained_models_are_as_good(cls, little_memory):
    params = {"n_components": 8, "hidden_layer_sizes": (64,), "max_epochs": 12}
    whole = make(cls, **params).fit(DIGITS)
    streamed = make(cls, **params).fit_batches(lambda: iter(cut(DIGITS, 100)))
    expected, got = whole.score(DIGITS), streamed.score(DIGITS)
    # Seeds alone move a density by one or two per cent, either way.
    share = 0.02 if cls.__name__ == "VAETransformer" else 0.005
    assert got > expected - share * abs(expected)
    assert streamed.n_iter_ == whole.n_iter_
    assert not streamed.fell_back_to_pca_


def test_hidden_features_are_as_good(little_memory):
    params = {"features": "hidden", "hidden_layer_sizes": (32,), "max_epochs": 8}
    whole = make(DenoisingAutoEncoderTransformer, **params).fit(X)
    streamed = make(DenoisingAutoEncoderTransformer, **params).fit_batches(cut(X))
    assert streamed.transform(X).shape == whole.transform(X).shape
    assert streamed.score(X) == pytest.approx(whole.score(X), abs=0.01)


def test_one_seed_is_drawn_from_a_generator():
    drawn = []
    for fit in (lambda e: e.fit(X), lambda e: e.fit_batches(cut(X))):
        generator = np.random.RandomState(3)
        fit(make(random_state=generator))
        drawn.append(generator.random())
    assert drawn[0] == drawn[1]


def test_same_seed_gives_the_same_model_whatever_the_batches():
    first, second = (make().fit_batches(cut(X, size)) for size in (500, 7))
    np.testing.assert_allclose(first.transform(X), second.transform(X), atol=1e-3)
    again = make().fit_batches(cut(X, 7))
    assert np.array_equal(second.transform(X), again.transform(X))


def test_float64_batches_beside_float32_ones_give_float64():
    parts = cut(X)
    parts[1] = parts[1].astype(np.float32)
    assert make().fit_batches(parts).transform(X).dtype == np.float64


def test_whitened_codes_are_white(little_memory):
    codes = make(whiten=True).fit_batches(cut(X)).transform(X)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(3), atol=1e-6)


def test_images_sparse_rows_frames_and_memory_maps(tmp_path):
    network = ConvNet((1, 8, 8), channels=(4,))
    images = X.reshape(-1, 8, 8)
    fitted = make(network=network, hidden_layer_sizes="auto").fit_batches(cut(images))
    assert fitted.reconstruct(images).shape == images.shape
    expected = make().fit_batches(cut(X)).transform(X)
    names = [f"p{i}" for i in range(64)]
    frame = pd.DataFrame(X, columns=names)
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for batches in (
        [sparse.csr_matrix(part) for part in cut(X)],
        cut(frame),
        cut(mapped),
        [[row.tolist() for row in part] for part in cut(X)],
        [torch.from_numpy(part) for part in cut(X)],
    ):
        fitted = make().fit_batches(batches)
        rows = frame if hasattr(fitted, "feature_names_in_") else X
        np.testing.assert_allclose(fitted.transform(rows), expected, atol=1e-4)


def test_warm_start_goes_on():
    reducer = make(warm_start=True).fit_batches(cut(X))
    before = reducer.score(X)
    reducer.fit_batches(cut(X))
    assert reducer.n_iter_ == 6
    assert reducer.score(X) > before - 1e-3
    reducer.fit(X)
    assert reducer.n_iter_ == 9
    with pytest.raises(ValueError, match="X has 2 features, but"):
        reducer.fit_batches(cut(X[:, :2]))


def test_large_validation_fractions_leave_samples_to_train_on():
    reducer = make(validation_fraction=0.999, max_epochs=1).fit_batches(cut(X))
    assert sizes(reducer.history_[0]) == (2, len(X) - 2)


def test_streamed_models_can_be_kept(tmp_path):
    reducer = make(allow_missing=True).fit_batches(cut(mixed_table()))
    reducer.save(tmp_path / "model.skae")
    expected = reducer.transform(mixed_table())
    for other in (load(tmp_path / "model.skae"), pickle.loads(pickle.dumps(reducer))):
        assert np.array_equal(other.transform(mixed_table()), expected)


# -- validation --------------------------------------------------------------------


def sizes(row):
    batches = {}
    for batch in row["batches"]:
        batches |= batch
    return batches["train_batch_size"], batches.get("valid_batch_size")


def test_validation_sets_have_the_size_that_is_asked_for(monkeypatch):
    assert sizes(make().fit_batches(cut(X)).history_[0]) == (450, 50)
    assert sizes(make(early_stopping=False).fit_batches(cut(X)).history_[0]) == (
        500,
        None,
    )
    own = make().fit_batches(cut(X), validation=DIGITS[500:560])
    assert sizes(own.history_[0]) == (500, 60)
    monkeypatch.setattr(streams, "MOST_SAMPLED", 20)
    assert sizes(make().fit_batches(cut(X)).history_[0]) == (480, 20)


def test_validation_samples_are_not_trained_on():
    rows = RowStream(
        lambda: iter(cut(X)),
        ColumnStatistics.of(X),
        X.dtype,
        held_out=X[np.random.default_rng(5).random(500) < 0.1],
        below=0.1,
        seed=5,
    ).placed(np.zeros(64), "cpu", None)
    part = rows.training_part()
    trained = np.concatenate([x.numpy() for x, _ in StreamBatches(part, 32)])
    assert len(part) == len(trained) == 500 - len(rows.held_out)
    both = np.concatenate([trained, rows.held_out]).astype(np.float32)
    assert sorted(map(bytes, both)) == sorted(map(bytes, X.astype(np.float32)))


def test_best_epoch_is_kept_and_pca_where_nothing_is_gained():
    params = {"init": "random", "max_epochs": 30, "lr": 0.02}
    rows = load_digits().data
    reducer = make(**params).fit_batches(
        cut(rows[:40], 16), validation=16 - rows[200:260]
    )
    assert reducer.best_epoch_ == np.argmin(reducer.validation_loss_curve_) + 1
    assert reducer.best_epoch_ < len(reducer.validation_loss_curve_)
    noise = np.random.default_rng(0).normal(size=(200, 10))
    assert make().fit_batches(cut(noise)).fell_back_to_pca_


# -- the parts ---------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [2, 3, 31, 32, 33, 64, 65, 66, 99])
@pytest.mark.parametrize("batch_size", [1, 2, 32, 200])
def test_batches_are_as_those_in_memory(n_rows, batch_size):
    rows, mean = X[:n_rows], X[:n_rows].mean(axis=0)
    every = RowStream(lambda: iter(cut(rows, 10)), ColumnStatistics.of(rows), X.dtype)
    streamed = StreamBatches(every.placed(mean, "cpu", None), batch_size)
    expected = Batches(RowDataset(rows, mean=mean), np.arange(n_rows), batch_size)
    assert len(streamed) == len(expected)
    for (x, _), (y, _) in zip(streamed, expected, strict=True):
        assert torch.equal(x, y)


def test_shuffling_keeps_all_rows_and_mixes_them():
    rows = np.arange(10_000, dtype=np.float32)[:, None]
    generator = torch.Generator().manual_seed(0)
    order = np.concatenate(list(shuffled(iter(cut(rows, 90)), 1000, generator)))
    assert not np.array_equal(order, rows)
    assert np.array_equal(np.sort(order, axis=0), rows)
    # A row leaves at the next emptying with probability one half: few stay long.
    assert 100 < np.abs(order - rows).mean() < 1000
    few = np.concatenate(list(shuffled(iter(cut(rows, 90)), 20_000, generator)))
    assert np.corrcoef(few[:, 0], rows[:, 0])[0, 1] == pytest.approx(0, abs=0.05)


def test_sketch_knows_all_samples_from_a_few(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SAMPLED", 300)
    table = mixed_table(4000)
    table.loc[3990, "city"] = "seen once"
    params = {"allow_missing": True, "max_epochs": 0}
    whole = make(**params).fit(table)._table
    found = make(**params).fit_batches(cut(table))._table
    assert found.format.names == whole.format.names
    for own, other in zip(found.columns, whole.columns, strict=True):
        if hasattr(own, "levels"):
            assert own.levels == other.levels
            np.testing.assert_allclose(own.shares, other.shares, rtol=1e-12)
            continue
        for name in ("low", "high", "is_integer", "is_binary"):
            assert getattr(own, name) == getattr(other, name)
        for name in ("mean", "origin", "unit", "variance"):
            assert getattr(own, name) == pytest.approx(getattr(other, name), rel=1e-9)


def test_ranks_of_a_sample_are_near_those_of_all(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SAMPLED", 2000)
    table = mixed_table(20_000)[["income", "age"]].fillna(1.0)
    params = {"numeric_scaling": "rank_gauss", "max_epochs": 0}
    whole = make(n_components=1, **params).fit(table)._table.matrix(table)
    found = make(n_components=1, **params).fit_batches(cut(table, 1000))
    gap = np.abs(found._table.matrix(table) - whole)
    assert np.quantile(gap, 0.99) < 0.25
    assert gap.mean() < 0.04


def test_levels_of_categorical_chunks_are_joined():
    table = mixed_table()[["city", "age"]].fillna("mid").sort_values("city")
    chunks = [part.astype({"city": "category"}) for part in cut(table)]
    reducer = make().fit_batches(chunks)
    back = reducer.inverse_transform(reducer.transform(table))
    assert set(back["city"]) == {"north", "mid", "south"}
    assert reducer.score(table) > 0.9


def test_chunks_of_a_csv_file(tmp_path):
    path = tmp_path / "table.csv"
    mixed_table().to_csv(path, index=False)
    reducer = make(allow_missing=True)
    reducer.fit_batches(lambda: pd.read_csv(path, chunksize=50))
    expected = make(allow_missing=True).fit(pd.read_csv(path))
    whole = pd.read_csv(path)
    assert reducer.score(whole) == pytest.approx(expected.score(whole), abs=0.02)


def test_batches_of_a_parquet_data_set(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.dataset as ds

    mixed_table().to_parquet(tmp_path / "part.parquet", row_group_size=100)
    data = ds.dataset(tmp_path)
    reducer = make(allow_missing=True)
    reducer.fit_batches(lambda: (b.to_pandas() for b in data.to_batches()))
    assert reducer.score(mixed_table()) > 0.5


# -- bad input ---------------------------------------------------------------------


class Changing:
    """Batches of which a later pass gives others."""

    def __init__(self, *passes):
        self.passes, self.n_passes = passes, 0

    def __call__(self):
        self.n_passes += 1
        return iter(self.passes[min(self.n_passes, len(self.passes)) - 1])


def with_cell(value):
    rows = X.copy()
    rows[130, 3] = value
    return cut(rows)


BAD = {
    "an iterator": (iter(cut(X)), TypeError, "read once.*as lambda"),
    "a generator": ((x for x in cut(X)), TypeError, "read once"),
    "an array": (X, TypeError, "got batches=.* larger than memory is \\[X\\]"),
    "a frame": (pd.DataFrame(X), TypeError, "larger than memory is \\[X\\]"),
    "text": ("a.csv", TypeError, "got batches='a.csv' .*path is not read.*read_csv"),
    "a path": (Path("a.csv"), TypeError, "a path is not read.*read_csv"),
    "a function of a path": (lambda: "a.csv", TypeError, "got a function that returns"),
    "a function of a frame": (
        lambda: pd.DataFrame(X),
        TypeError,
        "got a function that returns .* of type DataFrame.* is \\[X\\]",
    ),
    "a number": (3, TypeError, "an iterable of batches"),
    "a function of none": (lambda: None, TypeError, "an iterable of batches"),
    "none": ([], ValueError, "at least 2 samples, got batches with 0"),
    "one": ([X[:1]], ValueError, "at least 2 samples, got batches with 1"),
    "empty ones": ([X[:0], X[:0]], ValueError, "got batches with 0"),
    "flat ones": ([X[0], X[1]], ValueError, "batch 0.*2D array"),
    "missing cells": (with_cell(np.nan), ValueError, "batch 2.*NaN"),
    "infinity": (with_cell(np.inf), ValueError, "batch 2.*infinity"),
    "other widths": ([X, X[:, :9]], ValueError, "batch 1.*9 features"),
    "other names": (
        [mixed_table()[["age"]], mixed_table()[["owner"]]],
        ValueError,
        "batch 1.*feature names",
    ),
    "other kinds": (
        [pd.DataFrame({"a": [1.0, 2.0]}), pd.DataFrame({"a": ["x", "y"]})],
        ValueError,
        "batch 1.*text",
    ),
    "kinds of a table": (
        [mixed_table().assign(city=1.0 * np.arange(400)), mixed_table()],
        ValueError,
        "batch 1.*expected numbers in column 'city'.*got categories or text",
    ),
    "ends in the second pass": (
        Changing(cut(X), []),
        ValueError,
        "500 samples of the first pass.*got 0",
    ),
    "shorter later": (Changing(cut(X), cut(X), cut(X)[:-1]), ValueError, "got 448"),
    "other order": (
        Changing(cut(X), cut(X), cut(X)[::-1]),
        ValueError,
        "same order",
    ),
    "NaN later": (Changing(cut(X), cut(X), with_cell(np.nan)), ValueError, "NaN"),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_bad_batches_are_refused_and_change_nothing(name, fitted):
    batches, error, message = BAD[name]
    if isinstance(batches, Changing):
        batches.n_passes = 0
    reducer = make(allow_missing=name == "kinds of a table")
    if fitted:
        reducer.fit(X)
    before = dict(vars(reducer))
    with pytest.raises(error, match=f"(?s){message}"):
        reducer.fit_batches(batches)
    assert vars(reducer).keys() == before.keys()
    assert all(vars(reducer)[k] is before[k] for k in before)


def test_an_error_of_the_stream_is_passed_on():
    def batches():
        nonlocal n_passes
        n_passes += 1
        yield X[:200]
        if n_passes > 3:
            raise OSError("disk gone")
        yield X[200:]

    n_passes = 0
    reducer = make().fit(X)
    expected = reducer.transform(X)
    with pytest.raises(OSError, match="disk gone"):
        reducer.fit_batches(batches)
    assert np.array_equal(reducer.transform(X), expected)


def test_an_interrupt_keeps_the_best_state():
    def batches():
        nonlocal n_passes
        n_passes += 1
        yield X[:200]
        if n_passes == 5:
            raise KeyboardInterrupt
        yield X[200:]

    n_passes = 0
    reducer = make(max_epochs=20)
    with pytest.raises(KeyboardInterrupt, match="keeps the best state"):
        reducer.fit_batches(batches)
    assert 1 <= reducer.n_iter_ <= 3
    assert np.isfinite(reducer.transform(X)).all()


def test_too_many_levels_are_refused(monkeypatch):
    from sk_autoencoder._columns import sketch

    monkeypatch.setattr(sketch, "MOST_LEVELS", 100)
    table = pd.DataFrame({"id": [str(i) for i in range(300)], "x": np.arange(300.0)})
    with pytest.raises(ValueError, match=r"at most 100 levels[^.]*'id'"):
        make().fit_batches(cut(table))


REFUSED = [
    ({"n_components": 0.9}, AutoEncoderTransformer),
    ({"ordered": True}, AutoEncoderTransformer),
    (
        {"pretrain": "layerwise", "init": "random"},
        AutoEncoderTransformer,
    ),
    ({"features": "reconstruction"}, DenoisingAutoEncoderTransformer),
    (
        {"passthrough": True, "features": "hidden"},
        DenoisingAutoEncoderTransformer,
    ),
]


@pytest.mark.parametrize(("params", "cls"), REFUSED)
def test_what_needs_all_samples_is_refused_after_the_first_batch(params, cls):
    read = []

    def batches():
        for part in cut(X):
            read.append(part)
            yield part

    reducer = make(cls, **params)
    name = next(iter(params))
    with pytest.raises(ValueError, match=f"expected {name}=.* in fit_batches, got"):
        reducer.fit_batches(batches)
    assert len(read) == 1


def test_validation_sets_are_checked():
    with pytest.raises(
        ValueError, match="validation that can be used with the batches"
    ):
        make().fit_batches(cut(X), validation=X[:, :3])
    with pytest.raises(ValueError, match=re.escape("early_stopping=False")):
        make(early_stopping=False).fit_batches(cut(X), validation=X[:50])


def test_sketch_of_a_table_marks_samples_with_new_levels():
    sketch = TableSketch("from_dtype", allow_missing=True)
    table = pd.DataFrame({"a": ["x", "y", "x", None], "b": [1.0, np.nan, 3.0, 4.0]})
    assert sketch.add(table).tolist() == [True, True, False, False]
    assert sketch.add(table).tolist() == [False] * 4
    levels, numbers = sketch.columns
    assert levels == {"x": 4, "y": 2}
    assert (numbers.n_rows, numbers.mean[0]) == (6, pytest.approx(8 / 3))


@pytest.mark.parametrize("features", ["bottleneck", "hidden"])
def test_constant_samples_are_fitted_as_in_memory(features):
    rows = np.full((40, 5), 3.0)
    whole = DenoisingAutoEncoderTransformer(2, features=features, random_state=0)
    batches = DenoisingAutoEncoderTransformer(2, features=features, random_state=0)
    whole.fit(rows)
    batches.fit_batches(cut(rows, 20))
    assert batches.n_iter_ == whole.n_iter_ == 0
    np.testing.assert_array_equal(batches.transform(rows), whole.transform(rows))
