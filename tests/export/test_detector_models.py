"""Models of outlier detectors score as these do."""

from itertools import cycle

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx_sessions import session_of
from sklearn.decomposition import PCA

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    load,
)
from sk_autoencoder.export import to_onnx
from sk_autoencoder.networks import ConvNet

# Some networks here are hardly trained.
pytestmark = pytest.mark.filterwarnings(
    "ignore:expected a network that explains:UserWarning"
)

# Of the largest value of a result.
TOLERANCE = 1e-5
N_FEATURES = 12
N_FITTED = 400
CELLS = {
    onnx.TensorProto.STRING: object,
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.DOUBLE: np.float64,
    onnx.TensorProto.INT64: np.int64,
    onnx.TensorProto.BOOL: bool,
}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(3_000, 3))
    X = np.tanh(latent @ rng.normal(size=(3, N_FEATURES)))
    X += 0.05 * rng.normal(size=X.shape)
    X[:, 4] = 2.5  # constant
    X[:, 5] = np.round(3 * X[:, 5])  # of few values
    X[:, 6] *= X[:, 6] > 0.3  # with a spike
    return X


def made_table(n_rows=600):
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, n_rows)
    table = pd.DataFrame(
        {
            "wide": rng.normal(size=n_rows) * 100 + 50 * group,
            "count": rng.integers(0, 9, n_rows) + group,
            "letter": np.array(["u", "v", "w", "x"])[group],
            "answer": np.array(["yes", "no"])[rng.integers(0, 8, n_rows) // 7],
            "flag": rng.random(n_rows) < 0.3,
            "many": [f"k{i}" for i in rng.integers(0, 80, n_rows)],
        }
    ).astype({"letter": "category"})
    # So that a model in float32 is given the same.
    table["wide"] = table["wide"].astype(np.float32).astype(np.float64)
    return table


def with_gaps(table):
    rng = np.random.default_rng(1)
    table = table.copy()
    for name in ("wide", "letter", "answer", "many"):
        table.loc[rng.random(len(table)) < 0.1, name] = None
    return table


def detector(estimator=None, **parameters):
    return AutoEncoderOutlierDetector(estimator, random_state=0, **parameters)


def autoencoder(**parameters):
    if "network" not in parameters:
        parameters["hidden_layer_sizes"] = (16,)
    return AutoEncoderTransformer(3, max_epochs=2, **parameters)


def vae():
    return VAETransformer(3, hidden_layer_sizes=(16,), max_epochs=2)


DETECTORS = {
    "default": lambda: detector(),
    "novelty": lambda: detector(novelty=True),
    "reconstruction": lambda: detector(measure="reconstruction"),
    "latent": lambda: detector(measure="latent"),
    "likelihood": lambda: detector(vae(), measure="likelihood"),
    "given": lambda: detector(autoencoder(activation="gelu"), threshold="held_out"),
    "vae": lambda: detector(vae()),
}


@pytest.fixture(scope="module")
def fitted(X):
    made = {}

    def get(name):
        if name not in made:
            made[name] = DETECTORS[name]().fit(X[:N_FITTED])
        return made[name]

    return get


def runner(model):
    """Return a function that runs a model; to make one takes longer than a run."""
    session = session_of(model)
    return lambda **inputs: session.run(None, inputs)[0]


def run(model, **inputs):
    """The output of a model."""
    return runner(model)(**inputs)


def assert_agree(found, expected):
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


def assert_methods_agree(detector, rows, dtype, inputs):
    """Check methods on 1, 7 and all rows, as `inputs` hands them over.

    What `decision_function` gives is `score_samples` less a number.
    """
    model = to_onnx(detector, method="decision_function", dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    of_model = runner(model)
    for n in (1, 7, len(rows)):
        found = of_model(**inputs(model, rows[:n]))
        assert found.dtype == dtype
        assert_agree(found, detector.decision_function(rows[:n]))
    model = to_onnx(detector, method="predict", dtype=dtype)
    labels = run(model, **inputs(model, rows))
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, detector.predict(rows))
    assert set(labels) == {-1, 1}


def as_matrix(_, rows):
    return {"X": rows}


def as_columns(model, table):
    """Inputs of a model that has one for each column of a table."""
    inputs = {}
    for value in model.graph.input:
        cells, kind = table[value.name], CELLS[value.type.tensor_type.elem_type]
        if kind is object:
            cells = [cell if isinstance(cell, str) else "" for cell in cells]
        elif kind in (np.float32, np.float64):
            cells = [np.nan if pd.isna(cell) else float(cell) for cell in cells]
        inputs[value.name] = np.asarray(cells).astype(kind).reshape(-1, 1)
    return inputs


# The default meets both dtypes; of the others each meets one, in turn.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("default", "float32"),
        *zip(DETECTORS, cycle(["float64", "float32"]), strict=False),
    ],
)
def test_models_score_as_the_detector_does(name, dtype, X, fitted):
    rows = X[: 3000 if name == "default" else 500]
    assert_methods_agree(fitted(name), rows.astype(dtype), dtype, as_matrix)


@pytest.mark.parametrize("name", ["default", "latent"])
def test_wild_and_missing_cells_are_scored_alike(name, X, fitted):
    detector, rows = fitted(name), X[:300].copy()
    rng = np.random.default_rng(0)
    for value in (np.nan, 1e5, -1e30, 1e300):
        rows[rng.random(rows.shape) < 0.02] = value
    rows[:3, 4] = 2.5 * (1 + 1e-7), 2.5 * (1 + 1e-4), -1
    found = run(to_onnx(detector, method="score_samples"), X=rows)
    # Row by row: they are of different sizes.
    np.testing.assert_allclose(found, detector.score_samples(rows), rtol=1e-8)


def test_a_training_row_at_the_threshold_is_no_outlier(X):
    fitted = detector(measure="latent").fit(X[:101])
    assert (fitted.decision_function(X[:101]) == 0).any()
    labels = run(to_onnx(fitted, method="predict"), X=X[:101])
    np.testing.assert_array_equal(labels, fitted.predict(X[:101]))


def test_few_exemplars_and_many_columns():
    rng = np.random.default_rng(0)
    for shape in ((3, 1), (4, 3), (30, 600)):
        X = rng.normal(size=shape)
        fitted = detector().fit(X)
        rows = np.concatenate([X, rng.normal(size=shape), 10 * X])
        found = run(to_onnx(fitted, method="score_samples"), X=rows)
        assert_agree(found, fitted.score_samples(rows))


def test_matrices_with_missing_cells_are_one_input(X):
    rng = np.random.default_rng(0)
    rows = np.where(rng.random(X.shape) < 0.1, np.nan, X)[:1000]
    fitted = detector().fit(rows[:N_FITTED])
    assert_methods_agree(fitted, rows, "float64", as_matrix)


def test_images_keep_their_shape(X):
    images = X.reshape(-1, 1, 3, 4)
    conv = ConvNet((1, 3, 4), channels=(4,), hidden_layer_sizes=(8,))
    fitted = detector(autoencoder(network=conv)).fit(images[:N_FITTED])
    found = run(to_onnx(fitted, method="score_samples"), X=images[:500])
    assert_agree(found, fitted.score_samples(images[:500]))


@pytest.mark.parametrize(
    ("parameters", "gaps", "dtype"),
    [
        ({}, True, "float32"),
        ({"novelty": True}, False, "float64"),
        ({"measure": "latent"}, True, "float64"),
    ],
)
def test_tables_have_an_input_for_each_column(parameters, gaps, dtype):
    table = with_gaps(made_table()) if gaps else made_table()
    fitted = detector(**parameters).fit(table[:N_FITTED])
    assert_methods_agree(fitted, table, dtype, as_columns)
    # Levels never seen, and missing cells where `fit` has met none.
    odd = with_gaps(made_table())
    odd["letter"] = odd["letter"].cat.add_categories("new")
    odd.loc[:50, "letter"], odd.loc[30:80, "many"] = "new", "other"
    model = to_onnx(fitted, method="score_samples", dtype=dtype)
    assert_agree(run(model, **as_columns(model, odd)), fitted.score_samples(odd))


def test_tables_of_categories_alone_and_of_a_given_autoencoder():
    table = with_gaps(made_table())
    letters = table[["letter", "answer", "many"]]
    for made, rows in (
        (detector(), letters),
        (detector(autoencoder(allow_missing=True)), table),
        (detector(VAETransformer(2, max_epochs=1, allow_missing=True)), table),
    ):
        made.fit(rows[:N_FITTED])
        assert_methods_agree(made, rows, "float64", as_columns)


def test_a_stream_and_a_file_are_exported_as_they_are(X, tmp_path):
    fitted = detector()
    for rows in (X[:300], X[300:600]):
        fitted.partial_fit(rows, window=400)
    fitted.set_threshold(0.3).save(tmp_path / "detector")
    for one in (fitted, load(tmp_path / "detector")):
        assert_methods_agree(one, X[:1000], "float64", as_matrix)


def test_what_has_no_graph_is_named(X, fitted):
    with pytest.raises(ValueError, match=r"one of score_samples, .* got method='trans"):
        to_onnx(fitted("default"))
    others = detector(PCA(3)).fit(X[:N_FITTED])
    with pytest.raises(ValueError, match="got a PCA in a detector, in place of"):
        to_onnx(others, method="predict")
    masked = DenoisingAutoEncoderTransformer(
        features="reconstruction",
        loss="cross_entropy",
        hidden_layer_sizes=(8,),
        max_epochs=1,
    )
    with pytest.raises(ValueError, match="a masked network's distribution of each"):
        to_onnx(detector(masked).fit(X[:N_FITTED]), method="predict")
