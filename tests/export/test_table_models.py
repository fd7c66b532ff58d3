"""Models of estimators that were fitted on tables."""

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
from onnx_sessions import session_of

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.export import to_onnx

TOLERANCE = 1e-5
N_ROWS = 600
PARAMETERS = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0}
CELLS = {
    "tensor(string)": object,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": bool,
}


def made_table(*, with_gaps):
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, N_ROWS)
    table = pd.DataFrame(
        {
            "wide": rng.normal(size=N_ROWS) * 100 + 50 * group,
            "skewed": rng.normal(size=N_ROWS) ** 3,
            "count": rng.integers(0, 9, N_ROWS) + group,
            "letter": np.array(["u", "v", "w", "x"])[group],
            "answer": np.array(["yes", "no"])[(group + rng.integers(0, 2, N_ROWS)) % 2],
            "flag": rng.random(N_ROWS) < 0.3,
            "many": [f"k{i}" for i in rng.integers(0, 80, N_ROWS)],
            "same": 1.5,
        }
    ).astype({"letter": "category"})
    for name in ("wide", "skewed"):  # so that a model in float32 is given the same
        table[name] = table[name].astype(np.float32).astype(np.float64)
    if with_gaps:
        for name in ("wide", "skewed", "letter", "answer", "many"):
            table.loc[rng.random(N_ROWS) < 0.2, name] = None
        table["nullable"] = pd.array([1, None, 3] * (N_ROWS // 3), dtype="Int64")
        table["yes or no"] = pd.array([True, None, False] * (N_ROWS // 3), "boolean")
        table["empty"] = np.nan
    return table


def autoencoder(**parameters):
    return AutoEncoderTransformer(3, **PARAMETERS, **parameters)


def hidden(**parameters):
    return DenoisingAutoEncoderTransformer(
        features="hidden", **PARAMETERS, **parameters
    )


GAPS = {"allow_missing": True}
CASES = {
    "whole": (autoencoder, {}),
    "whole, ranks": (autoencoder, {"numeric_scaling": "rank_gauss"}),
    "gaps": (autoencoder, GAPS),
    "gaps, ranks": (autoencoder, {**GAPS, "numeric_scaling": "rank_gauss"}),
    "gaps, random": (autoencoder, {**GAPS, "init": "random"}),
    "gaps, hidden": (
        hidden,
        {
            **GAPS,
            "passthrough": True,
            "numeric_scaling": ("standard", "rank_gauss"),
        },
    ),
    "gaps, vae": (lambda **k: VAETransformer(3, **PARAMETERS, **k), GAPS),
}


@pytest.fixture(scope="module")
def fitted():
    made = {}

    def get(name):
        if name not in made:
            make, parameters = CASES[name]
            table = made_table(with_gaps=name.startswith("gaps"))
            made[name] = make(**parameters), table
            if "empty" in table:
                with pytest.warns(UserWarning, match="expected at least one value"):
                    made[name][0].fit(table)
            else:
                made[name][0].fit(table)
        return made[name]

    return get


def columns_of(session, table):
    """Inputs of a model that has one for each column of a table."""
    inputs = {}
    for value in session.get_inputs():
        cells = table[value.name]
        if CELLS[value.type] is object:
            cells = [cell if isinstance(cell, str) else "" for cell in cells]
        elif value.type in ("tensor(float)", "tensor(double)"):
            cells = np.array([np.nan if pd.isna(c) else float(c) for c in cells])
        inputs[value.name] = np.asarray(cells).astype(CELLS[value.type]).reshape(-1, 1)
    return inputs


def as_column(cells, dtype):
    if dtype.kind == "O":
        return np.array(["" if pd.isna(cell) else cell for cell in cells], object)
    return np.array([np.nan if pd.isna(cell) else cell for cell in cells]).astype(dtype)


def assert_columns_agree(found, table):
    assert len(found) == table.shape[1]
    for values, (_, cells) in zip(found, table.items(), strict=True):
        expected = as_column(cells, values.dtype)
        if values.dtype.kind == "f":
            scale = np.nanmax(np.abs(expected), initial=0)
            np.testing.assert_allclose(
                values[:, 0], expected, rtol=0, atol=TOLERANCE * scale
            )
        else:
            np.testing.assert_array_equal(values[:, 0], expected)


def assert_agree(found, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_tables_are_exported_in_both_directions(name, dtype, fitted):
    estimator, table = fitted(name)
    forth = to_onnx(estimator, dtype=dtype)
    around = to_onnx(estimator, method="reconstruct", dtype=dtype)
    back = to_onnx(estimator, method="inverse_transform", dtype=dtype)
    sessions = []
    for model in (forth, around, back):
        onnx.checker.check_model(model, full_check=True)
        sessions.append(session_of(model))
    for n in (1, 7, N_ROWS):
        some = table[:n]
        inputs = columns_of(sessions[0], some)
        (codes,) = sessions[0].run(None, inputs)
        assert_agree(codes, estimator.transform(some))
        assert_columns_agree(sessions[1].run(None, inputs), estimator.reconstruct(some))
        own = estimator.transform(some).astype(dtype)
        assert_columns_agree(
            sessions[2].run(None, {"codes": own}), estimator.inverse_transform(own)
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["auto", "squared_error"])
def test_imputers_fill_cells(loss, dtype):
    table = made_table(with_gaps=True)
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", loss=loss, **GAPS, **PARAMETERS
    )
    with pytest.warns(UserWarning, match="expected at least one value"):
        imputer.fit(table)
    assert imputer._plan.is_masked == (loss == "auto")
    model = to_onnx(imputer, dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    session = session_of(model)
    names = [value.name for value in session.get_outputs()]
    assert names == [f"filled_{name}" for name in table]
    for n in (1, 7, N_ROWS):
        found = session.run(None, columns_of(session, table[:n]))
        assert_columns_agree(found, imputer.transform(table[:n]))


@pytest.mark.parametrize("loss", ["auto", "squared_error"])
def test_imputers_fill_one_level_keep_blanks_and_leave_empty_columns(loss):
    rows = np.arange(N_ROWS)
    text = {"one": "k", "blank": np.where(rows % 3, "", "x"), "none": None}
    table = pd.DataFrame({"x": rows % 7 * 1.5, **text})
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", loss=loss, allow_missing=True, **PARAMETERS
    )
    with pytest.warns(UserWarning, match="expected at least one value"):
        imputer.fit(table)
    later = table[:9].assign(none="new", one=[None, "k", "new"] * 3)
    session = session_of(to_onnx(imputer))
    found = session.run(None, columns_of(session, later))
    assert_columns_agree(found, imputer.transform(later))


@pytest.mark.parametrize("loss", ["auto", "squared_error"])
def test_imputers_of_arrays_fill_cells(loss):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(500, 3)), rng.integers(0, 5, 500) / 2])
    X[rng.random(X.shape) < 0.2] = np.nan
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", loss=loss, **GAPS, **PARAMETERS
    ).fit(X)
    session = session_of(to_onnx(imputer))
    (found,) = session.run(["filled"], {"X": X})
    assert_agree(found, imputer.transform(X))
    np.testing.assert_array_equal(found[~np.isnan(X)], X[~np.isnan(X)])
    flagged = DenoisingAutoEncoderTransformer(
        features="reconstruction", add_indicator=True, **GAPS, **PARAMETERS
    ).fit(X)
    with pytest.raises(ValueError, match="or with flags of them in transform"):
        to_onnx(flagged)


def test_densities_of_tables_are_exported(fitted):
    estimator, table = fitted("gaps, vae")
    model = to_onnx(estimator, method="score_samples")
    session = session_of(model)
    (scores,) = session.run(None, columns_of(session, table[:50]))
    assert_agree(scores, estimator.score_samples(table[:50]))


def test_each_column_has_a_type(fitted):
    def types(name):
        model = to_onnx(fitted(name)[0], dtype="float32")
        session = session_of(model)
        return {value.name: value.type for value in session.get_inputs()}

    assert types("whole") == {
        "wide": "tensor(float)",
        "skewed": "tensor(float)",
        "count": "tensor(int64)",
        "letter": "tensor(string)",
        "answer": "tensor(string)",
        "flag": "tensor(bool)",
        "many": "tensor(string)",
        "same": "tensor(float)",
    }
    # Integers and booleans of numpy cannot be missing, others can.
    gaps = types("gaps")
    assert gaps["count"] == "tensor(int64)"
    assert gaps["flag"] == "tensor(bool)"
    assert gaps["nullable"] == gaps["yes or no"] == "tensor(float)"


def test_an_unknown_level_counts_as_missing(fitted):
    estimator, table = fitted("gaps")
    some = table[:20].astype({"letter": object})
    session = session_of(to_onnx(estimator))
    unknown = columns_of(session, some.assign(letter="?", many="?"))
    missing = columns_of(session, some.assign(letter=None, many=None))
    (codes,) = session.run(None, unknown)
    np.testing.assert_array_equal(codes, session.run(None, missing)[0])
    assert_agree(codes, estimator.transform(some.assign(letter="?", many="?")))


def test_polars_frames_are_exported():
    table = pl.from_pandas(made_table(with_gaps=False).astype({"letter": str}))
    estimator = autoencoder().fit(table)
    model = to_onnx(estimator, method="reconstruct")
    session = session_of(model)
    names = [value.name for value in session.get_outputs()]
    assert names == [f"reconstructed_{name}" for name in table.columns]
    found = session.run(None, columns_of(session, table.to_pandas()))
    assert_columns_agree(found, estimator.reconstruct(table).to_pandas())


def test_an_array_of_objects_has_an_input_for_each_column():
    table = made_table(with_gaps=False).to_numpy(object)
    estimator = autoencoder(categorical_features=[3, 4, 5, 6]).fit(table)
    session = session_of(to_onnx(estimator))
    assert [value.name for value in session.get_inputs()] == [f"x{i}" for i in range(8)]
    named = pd.DataFrame(table).add_prefix("x")
    (codes,) = session.run(None, columns_of(session, named))
    assert_agree(codes, estimator.transform(table))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"categorical_features": [3]},
        {"categorical_features": [3], "allow_missing": True},
        {"categorical_features": None, "numeric_scaling": "rank_gauss"},
    ],
)
def test_a_table_that_is_an_array_of_numbers_is_one_input(parameters, dtype):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(500, 3)), rng.integers(0, 5, 500) / 2])
    if "allow_missing" in parameters:
        X[rng.random(X.shape) < 0.1] = np.nan
    X = X.astype(dtype)
    estimator = autoencoder(**parameters).fit(X)
    for method in ("transform", "reconstruct"):
        model = to_onnx(estimator, method=method)
        session = session_of(model)
        (found,) = session.run(None, {"X": X})
        assert_agree(found, getattr(estimator, method)(X))


def test_levels_that_float32_cannot_tell_apart_are_refused():
    rng = np.random.default_rng(0)
    levels = np.array([2**24, 2**24 + 1], float)[rng.integers(0, 2, 100)]
    X = np.column_stack([rng.normal(size=(100, 3)), levels])
    estimator = autoencoder(categorical_features=[3]).fit(X)
    with pytest.raises(ValueError, match="levels of column 3 that are the same in flo"):
        to_onnx(estimator)


def fed(frame):
    """Return what a model is fed, by the names of columns, that of "" by its place."""
    dtypes = {"letter": object}
    return {
        name or f"x{i}": cells.to_numpy(dtypes.get(name)).reshape(-1, 1)
        for i, (name, cells) in enumerate(frame.items())
    }


@pytest.mark.parametrize(
    ("names", "method", "outputs"),
    [
        (["codes", "codes_", "x y"], "transform", ["codes__"]),
        (["scores", "label", ""], "score_samples", ["scores_"]),
        (["scores", "label", ""], "predict", ["label_"]),
        # What operators are called.
        (["cast_1", "concat_9", "sub_2"], "transform", ["codes"]),
        (
            ["a", "reconstructed_a", "reconstructed_a_"],
            "reconstruct",
            [
                "reconstructed_a__",
                "reconstructed_reconstructed_a",
                "reconstructed_reconstructed_a_",
                "reconstructed_letter",
            ],
        ),
    ],
)
def test_columns_may_be_called_as_what_a_model_gives(names, method, outputs):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=names)
    frame["letter"] = pd.Categorical(list("abc") * 20)
    estimator = AutoEncoderTransformer(2, **PARAMETERS)
    if method in ("score_samples", "predict"):
        estimator = AutoEncoderOutlierDetector(estimator, random_state=0)
    expected = getattr(estimator.fit(frame), method)(frame)
    model = to_onnx(estimator, method=method)
    session = session_of(model)
    assert [value.name for value in session.get_outputs()] == outputs
    found = session.run(None, fed(frame))
    if method == "reconstruct":
        found, expected = np.hstack(found[:3]), expected[names].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    else:
        np.testing.assert_allclose(found[0], expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("low", [-(2**63), 2**63 - 1])
def test_the_largest_whole_numbers_stay_large(low):
    frame = pd.DataFrame({"whole": [2**63 - 1, low] * 30, "letter": list("ab") * 30})
    reducer = AutoEncoderTransformer(1, **PARAMETERS).fit(frame)
    expected = reducer.reconstruct(frame)["whole"]
    model = to_onnx(reducer, method="reconstruct").SerializeToString()
    cells = {name: frame[[name]].to_numpy() for name in frame}
    cells["letter"] = cells["letter"].astype(object)
    found = session_of(model).run(["reconstructed_whole"], cells)[0]
    np.testing.assert_allclose(found.ravel().astype(float), expected.astype(float))
