"""Whole pipelines, by skl2onnx."""

import builtins

import numpy as np
import pandas as pd
import pytest
import skl2onnx
from onnx_sessions import session_of
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.export import register_skl2onnx

TINY = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module", autouse=True)
def registered():
    register_skl2onnx()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 8)) + rng.normal(size=(300, 8))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def run(model, inputs):
    session = session_of(model)
    return session.run(None, inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "reducer",
    [
        AutoEncoderTransformer(3, **TINY),
        VAETransformer(3, **TINY),
        DenoisingAutoEncoderTransformer(features="hidden", passthrough=True, **TINY),
        ExtraRowsTransformer(AutoEncoderTransformer(3, **TINY), extra_rows=None),
        make_union(
            AutoEncoderTransformer(2, **TINY), AutoEncoderTransformer(1, **TINY)
        ),
    ],
    ids=lambda reducer: type(reducer).__name__,
)
def test_pipelines_predict_what_they_do_here(reducer, dtype, data):
    X, y = data
    pipe = make_pipeline(StandardScaler(), reducer, LogisticRegression()).fit(X, y)
    options = {id(pipe): {"zipmap": False}}
    rows = X.astype(dtype)
    model = skl2onnx.to_onnx(pipe, rows[:1], options=options)
    labels, probabilities = run(model, {"X": rows})
    np.testing.assert_array_equal(labels, pipe.predict(rows))
    expected = pipe.predict_proba(rows)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_a_transformer_alone_and_last(data):
    X, _ = data
    reducer = AutoEncoderTransformer(3, **TINY).fit(X)
    types = [("rows", DoubleTensorType([None, 8]))]
    (codes,) = run(skl2onnx.to_onnx(reducer, initial_types=types), {"rows": X})
    np.testing.assert_allclose(codes, reducer.transform(X), atol=1e-6)
    assert codes.dtype == np.float64


def test_tables_have_an_input_for_each_column(data):
    X, y = data
    table = pd.DataFrame(
        {
            "number": X[:, 0],
            "text": np.where(X[:, 2] > 0, "high", "low"),
            "count": np.abs(X[:, 3]).astype(int),
        }
    )
    pipe = make_pipeline(AutoEncoderTransformer(2, **TINY), LogisticRegression())
    pipe.fit(table, y)
    types = [
        ("number", DoubleTensorType([None, 1])),
        ("text", StringTensorType([None, 1])),
        ("count", Int64TensorType([None, 1])),
    ]
    options = {id(pipe): {"zipmap": False}}
    model = skl2onnx.to_onnx(pipe, initial_types=types, options=options)
    inputs = {name: table[[name]].to_numpy() for name in table}
    inputs["text"] = inputs["text"].astype(object)
    _, probabilities = run(model, inputs)
    np.testing.assert_allclose(probabilities, pipe.predict_proba(table), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_detectors_give_labels_and_scores(dtype, data):
    rows = data[0].astype(dtype)
    detector = AutoEncoderOutlierDetector(random_state=0)
    pipe = make_pipeline(StandardScaler(), detector).fit(rows[:200])
    model = skl2onnx.to_onnx(pipe, rows[:1])
    assert [value.name for value in model.graph.output] == ["label", "scores"]
    labels, scores = run(model, {"X": rows})
    assert (labels.shape, scores.shape, scores.dtype) == ((300, 1), (300, 1), dtype)
    np.testing.assert_array_equal(labels[:, 0], pipe.predict(rows))
    np.testing.assert_allclose(scores[:, 0], pipe.decision_function(rows), atol=1e-5)


def test_columns_of_numbers_may_be_inputs_of_their_own(data):
    X, _ = data
    frame = pd.DataFrame(X).add_prefix("x")
    reducer = AutoEncoderTransformer(3, **TINY).fit(frame)
    types = [(name, FloatTensorType([None, 1])) for name in frame]
    inputs = {name: frame[[name]].to_numpy(np.float32) for name in frame}
    (codes,) = run(skl2onnx.to_onnx(reducer, initial_types=types), inputs)
    np.testing.assert_allclose(codes, reducer.transform(frame), atol=1e-4)


def test_imputers_of_matrices_are_converted(data):
    X, y = data
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **TINY
    )
    pipe = make_pipeline(imputer, LogisticRegression()).fit(X, y)
    types = [("X", DoubleTensorType([None, 8]))]
    options = {id(pipe): {"zipmap": False}}
    model = skl2onnx.to_onnx(pipe, initial_types=types, options=options)
    _, probabilities = run(model, {"X": X})
    np.testing.assert_allclose(probabilities, pipe.predict_proba(X), atol=1e-5)
    texts = pd.DataFrame({"a": X[:, 0], "b": np.where(y, "u", "v"), "c": X[:, 1]})
    imputer.fit(texts)
    kinds = [DoubleTensorType, StringTensorType, DoubleTensorType]
    types = [(n, kind([None, 1])) for n, kind in zip(texts, kinds, strict=True)]
    with pytest.raises(ValueError, match="expected a transformer that gives a matrix"):
        skl2onnx.to_onnx(imputer, initial_types=types)


def test_what_cannot_be_converted_is_named(data):
    X, _ = data
    reducer = AutoEncoderTransformer(3, **TINY).fit(X)
    with pytest.raises(ValueError, match="expected target_opset of 18 or later, got"):
        skl2onnx.to_onnx(reducer, X[:1], target_opset=15)
    other = ExtraRowsTransformer(PCA(2), extra_rows=None).fit(X)
    with pytest.raises(TypeError, match="expected a fitted estimator of sk_autoenc"):
        skl2onnx.to_onnx(other, X[:1])


def test_skl2onnx_that_is_not_installed_is_asked_for(monkeypatch):
    imported = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "skl2onnx":
            raise ImportError("No module named 'skl2onnx'")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="Run pip install skl2onnx"):
        register_skl2onnx()
