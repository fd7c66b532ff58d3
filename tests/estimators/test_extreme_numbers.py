"""Numbers near the ends of float32 and float64: scores stay finite, ranges are told.

Warnings are errors here: an overflow that numpy tells of is a failure.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.metrics import reconstruction_scorer

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
FEW = "expected at least half of n_components"  # two epochs teach a density little


def nearly_flat(seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8))
    return Z + 0.3 * rng.normal(size=(200, 8))


def explained(estimator, X):
    """Explained variance of the reconstruction, in float64 and in units of the data."""
    given = X.toarray() if sparse.issparse(X) else np.asarray(X)
    unit = np.abs(given).max()
    rows = given.astype(np.float64) / unit
    lost = rows - np.asarray(estimator.reconstruct(X), np.float64) / unit
    around = rows - estimator.mean_ / unit
    return 1 - np.square(lost).sum() / np.square(around).sum()


# ------------------------------------------------------------------ errors and scores

REDUCERS = {
    "pca": AutoEncoderTransformer(2, max_epochs=0),
    "trained": AutoEncoderTransformer(2, early_stopping=False, **SMALL),
    "random start": AutoEncoderTransformer(2, init="random", **SMALL),
    "each column": AutoEncoderTransformer(2, numeric_scaling="standard", **SMALL),
    "denoising": DenoisingAutoEncoderTransformer(2, early_stopping=False, **SMALL),
}


@pytest.mark.parametrize("c", [1e-24, 1e-20, 1e-10, 1.0, 1e10, 1e17, 1e19])
@pytest.mark.parametrize("name", REDUCERS)
def test_score_is_the_explained_variance_in_float64(name, c):
    X = (nearly_flat() * c).astype(np.float32)
    reducer = clone(REDUCERS[name]).fit(X)
    assert reducer.score(X) == pytest.approx(explained(reducer, X), abs=1e-4)
    expected = explained_around_own_mean(reducer, X)
    assert reconstruction_scorer(reducer, X) == pytest.approx(expected, abs=1e-4)
    assert 0 < reducer.explained_variance_ratio_.sum() < 1 or name == "random start"


def explained_around_own_mean(estimator, X):
    rows = X.astype(np.float64)
    lost = rows - estimator.reconstruct(X).astype(np.float64)
    return 1 - np.square(lost).sum() / np.square(rows - rows.mean(axis=0)).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [1e-24, 1e-20, 1.0, 1e19])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_errors_neither_overflow_nor_vanish(container, c, dtype):
    X = (nearly_flat() * c).astype(dtype)
    reducer = AutoEncoderTransformer(2, max_epochs=0).fit(container(X))
    assert reducer.score(container(X)) == pytest.approx(explained(reducer, X), abs=1e-4)
    lost = X.astype(np.float64) - reducer.reconstruct(X)
    close = {"rtol": 1e-2, "atol": 1e-10 * c**2}
    cells = reducer.reconstruction_error(container(X), per_feature=True)
    np.testing.assert_allclose(cells, np.square(lost), **close)
    errors = reducer.reconstruction_error(container(X))
    assert errors.dtype == np.float64
    np.testing.assert_allclose(errors, np.square(lost).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("c", [1e-150, 1e-40, 1e40, 1e150, 1e300])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_ranges_beyond_float32_are_told(container, c):
    X = nearly_flat() * c
    widest = f"{np.ptp(X, axis=0).max():g}".replace("+", r"\+")
    message = (
        r"^expected columns whose ranges fit float32, the widest between 1e-30 and "
        rf"1e\+30, got {widest}\. Scale X first, as with StandardScaler\.$"
    )
    with pytest.raises(ValueError, match=message):
        AutoEncoderTransformer(2, **SMALL).fit(container(X))
    with pytest.raises(ValueError, match=message):
        AutoEncoderTransformer(2, **SMALL).partial_fit(container(X))


FAR = {
    np.float32: [1e20, -3.4e38],
    np.float64: [1e150, 1e200, -1.7e308],
}
CELLS = [(dtype, value) for dtype, values in FAR.items() for value in values]
ESTIMATORS = {
    **REDUCERS,
    "density": VAETransformer(2, **SMALL),
    "isotropic": VAETransformer(2, likelihood="isotropic", **SMALL),
    "density, random": VAETransformer(2, init="random", **SMALL),
    "mixture": VAETransformer(2, prior="mixture", **SMALL),
    "gaps": AutoEncoderTransformer(2, allow_missing=True, **SMALL),
    "density, gaps": VAETransformer(2, allow_missing=True, **SMALL),
    "ranks": AutoEncoderTransformer(2, numeric_scaling="rank_gauss", **SMALL),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted_in(request):
    """The same estimator fitted on float32 and on float64 rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=FEW)
        estimator = ESTIMATORS[request.param]
        return {
            dtype: clone(estimator).fit(nearly_flat().astype(dtype)) for dtype in FAR
        }


@pytest.mark.parametrize(("dtype", "value"), CELLS)
def test_rows_beyond_all_others_have_finite_scores(fitted_in, dtype, value):
    estimator = fitted_in[dtype]
    X = nearly_flat().astype(dtype)[:6]
    X[0, 1] = value
    X[1] = value
    X[2, ::2] = -value
    for errors in (
        estimator.reconstruction_error(X),
        estimator.reconstruction_error(X, per_feature=True),
    ):
        assert np.isfinite(errors).all()
    assert np.isfinite(estimator.score(X))
    if not isinstance(estimator, VAETransformer):
        return
    for n_importance in (1, 64):
        scores = estimator.score_samples(X, n_importance)
        assert scores.dtype == dtype
        assert np.isfinite(scores).all()
        assert scores[:3].max() < scores[3:].min()
        if abs(value) > 1e160 or dtype == np.float32:
            np.testing.assert_array_equal(scores[:3], np.finfo(dtype).min)
        # Those beside them have their own.
        alone = estimator.score_samples(X[3:], n_importance)
        np.testing.assert_allclose(scores[3:], alone, rtol=1e-5)


@pytest.mark.parametrize("value", [1e18, 1e25, -3e38])
def test_float32_scores_of_distant_rows_are_those_of_float64(value):
    X = nearly_flat()
    X[:, 0] *= 1e12
    reducer = AutoEncoderTransformer(2, max_epochs=0).fit(X.astype(np.float32))
    rows = X[:4].astype(np.float32)
    rows[1] = value
    errors = reducer.reconstruction_error(rows)
    expected = reducer.reconstruction_error(rows.astype(np.float64))
    np.testing.assert_allclose(errors[1], expected[1], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("params", [{}, {"init": "random"}], ids=["pca", "random"])
def test_densities_follow_the_units(params, dtype):
    found = []
    for c in (1.0, 1e-24, 1e19):
        X = (nearly_flat() * c).astype(dtype)
        vae = VAETransformer(2, **{**SMALL, "max_epochs": 5}, **params).fit(X)
        found.append(vae.score(X) + 8 * np.log(c))
        found.append(np.abs(vae.sample(5, random_state=0) / c).max())
    np.testing.assert_allclose(found[2:], found[:2] * 2, rtol=1e-4)


def test_two_rows_of_a_small_range_have_densities():
    X = nearly_flat()
    vae = VAETransformer(2, max_epochs=0).fit(X)
    rows = X[:2].copy()
    rows[1] = rows[0]
    rows[1, 0] = np.nextafter(rows[0, 0], 9.0)
    scores = vae.score_samples(1e-20 * rows)
    assert np.isfinite(scores).all()


# ------------------------------------------------------------------ values to fit on


def with_column(values):
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:, 1] = values(X[:, 1])
    return X


def as_mixed(X):
    kinds = np.random.default_rng(1).choice(list("abc"), len(X))
    frame = pd.DataFrame(X, columns=["x", "y", "z"])
    return frame.assign(kind=pd.Categorical(kinds))


COLUMNS = {
    "1e37": lambda x: 1e37 * x,
    "1e300": lambda x: 1e300 * x,
    "to the end": lambda x: 1.7e308 * np.tanh(x) / 2,
    "from end to end": lambda x: 1.7e308 * np.sign(x),
    "constant 1e17": lambda x: np.full_like(x, 1e17 + 3),
    "constant 1e155": lambda x: np.full_like(x, 1e155),
    "constant 1e300": lambda x: np.full_like(x, 1e300),
    "constant at the end": lambda x: np.full_like(x, -1.7e308),
}
SCALINGS = {
    "auto": {},
    "ranks": {"numeric_scaling": "rank_gauss"},
    "gaps": {"allow_missing": True},
}
RANGES = "expected columns whose ranges fit float32, .*Scale X first, as with Standard"


def is_taken(X, scaling):
    if scaling == "gaps":  # a table: its constant columns have no part in the network
        return X[:, 1].max() == X[:, 1].min()
    return np.abs(X).max() < 1e38 and np.ptp(X, axis=0).max() < 1e30


@pytest.mark.parametrize("kind", ["array", "frame", "mixed"])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("column", COLUMNS)
def test_huge_columns_give_a_result_or_the_message_of_ranges(column, scaling, kind):
    X = with_column(COLUMNS[column])
    rows = {"array": X, "frame": pd.DataFrame(X), "mixed": as_mixed(X)}[kind]
    if scaling == "gaps":
        rows = rows.copy()
        (rows if kind == "array" else rows.iloc)[0, 0] = np.nan
    reducer = AutoEncoderTransformer(2, **SCALINGS[scaling], **SMALL)
    # Rank-gauss takes any number; beside categories each column has its own unit.
    own_units = kind == "mixed" and column != "from end to end"
    if not (scaling == "ranks" or own_units or is_taken(X, scaling)):
        with pytest.raises(ValueError, match=RANGES):
            reducer.fit(rows)
        return
    reducer.fit(rows)
    assert np.isfinite(reducer.transform(rows)).all()
    assert np.isfinite(reducer.reconstruction_error(rows)).all()
    assert reducer.score(rows) <= 1
    back = reducer.reconstruct(rows)
    back = back if kind == "array" else np.asarray(pd.DataFrame(back).iloc[:, :3])
    assert np.isfinite(np.asarray(back, float)).all()
    if "constant" in column:
        np.testing.assert_array_equal(np.asarray(back, float)[:, 1], X[:, 1])


def test_a_constant_column_far_from_zero_changes_nothing():
    """Its rounded mean would pass for an error of every reconstruction."""
    small, large = (with_column(lambda x, v=v: np.full_like(x, v)) for v in (0.0, 1e20))
    fits = [AutoEncoderTransformer(1, **SMALL).fit(X) for X in (small, large)]
    np.testing.assert_array_equal(fits[0].loss_curve_, fits[1].loss_curve_)
    np.testing.assert_array_equal(fits[0].transform(small), fits[1].transform(large))


def test_the_same_values_get_the_same_answer_as_array_and_as_frame():
    for column in COLUMNS.values():
        X, answers = with_column(column), []
        for rows in (X, pd.DataFrame(X)):
            try:
                fitted = AutoEncoderTransformer(2, **SMALL).fit(rows)
                answers.append(fitted.loss_curve_)
            except ValueError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("number", [10**400, -(10**5000)], ids=["400", "5000"])
@pytest.mark.parametrize("kind", ["array", "frame", "mixed", "gaps"])
def test_whole_numbers_beyond_float64_are_told(kind, number):
    X = with_column(lambda x: x).astype(object)
    X[3, 1] = number
    rows = {"frame": pd.DataFrame(X), "mixed": as_mixed(X)}.get(kind, X)
    where = {"array": "", "mixed": " in column 'y'"}.get(kind, "( in column 1)?")
    message = (
        r"^expected columns whose values fit float64, none beyond 1\.79769e\+308, got "
        rf"a larger whole number{where}\. Scale X first, or drop the column\.$"
    )
    reducer = AutoEncoderTransformer(2, allow_missing=kind == "gaps", **SMALL)
    with pytest.raises(ValueError, match=message):
        reducer.fit(rows)
    mended = rows.copy()
    (mended if kind in ("array", "gaps") else mended.iloc)[3, 1] = 0.0
    reducer.fit(mended)
    for method in (reducer.transform, reducer.score, reducer.reconstruction_error):
        with pytest.raises(ValueError, match=message):
            method(rows)


def with_large_number(kind, number):
    X = with_column(lambda x: x).astype(object)
    X[3, 1] = number
    if kind == "array":
        return X
    return pd.DataFrame(X) if kind == "frame" else as_mixed(X)


@pytest.mark.parametrize("number", [10**400, -(10**5000)], ids=["400", "5000"])
@pytest.mark.parametrize("kind", ["array", "frame", "mixed"])
def test_detector_tells_of_whole_numbers_beyond_float64(kind, number):
    where = " in column 'y'" if kind == "mixed" else "( in column 1)?"
    message = (
        r"^expected columns whose values fit float64, none beyond 1\.79769e\+308, got "
        rf"a larger whole number{where}\. Scale X first, or drop the column\.$"
    )
    detector = AutoEncoderOutlierDetector(
        AutoEncoderTransformer(2, **SMALL), random_state=0
    )
    rows = with_large_number(kind, number)
    with pytest.raises(ValueError, match=message):
        detector.fit(rows)
    detector.fit(with_large_number(kind, 0.0))
    for method in (detector.predict, detector.score_samples, detector.explain):
        with pytest.raises(ValueError, match=message):
            method(rows)


@pytest.mark.parametrize("kind", ["array", "frame", "mixed"])
def test_default_detector_tells_of_whole_numbers_beyond_float64(kind):
    with pytest.raises(ValueError, match="fit float64, none beyond 1"):
        AutoEncoderOutlierDetector(random_state=0).fit(with_large_number(kind, 10**400))


def test_codes_beyond_float64_are_told():
    reducer = AutoEncoderTransformer(2, **SMALL).fit(with_column(lambda x: x))
    with pytest.raises(ValueError, match=r"values fit float64, none beyond 1\.79769e"):
        reducer.inverse_transform([[1.0, 10**400]])
    with pytest.raises(ValueError, match=r"values fit float64, none beyond 1\.79769e"):
        reducer.fit(np.eye(9)[:, :3], X_val=[[1, 2, 10**400], [0, 0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["array", "frame", "mixed"])
def test_cells_at_1e37_are_filled(kind, dtype):
    X = (1e37 * with_column(lambda x: x)).astype(dtype)
    X[0, 0] = np.nan
    rows = {"array": X, "frame": pd.DataFrame(X), "mixed": as_mixed(X)}[kind]
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **SMALL
    )
    filled = imputer.fit_transform(rows)
    cells = np.asarray(filled if kind == "array" else filled.iloc[:, :3], float)
    assert np.isfinite(cells).all()
    assert 0 < abs(cells[0, 0]) < 1e38
    np.testing.assert_array_equal(cells[1:], X[1:].astype(float))


def test_later_rows_of_a_table_may_be_as_large_as_numbers_go():
    frame = as_mixed(with_column(lambda x: 1e-3 * x)).astype({"y": np.float32})
    later = frame[:5].astype({"y": np.float64})
    later.iloc[0, 1] = 1.7e308
    reducer = AutoEncoderTransformer(2, **SMALL).fit(frame)
    assert np.isfinite(reducer.reconstruction_error(later)).all()
    assert np.isfinite(reducer.score(later))


@pytest.mark.parametrize("kind", [AutoEncoderTransformer, VAETransformer])
@pytest.mark.parametrize(("dtype", "value"), [("float32", 3e38), ("float64", -1e308)])
def test_samples_whose_codes_overflow_are_refused(kind, dtype, value):
    X = (1e-8 * np.random.default_rng(0).normal(size=(60, 4))).astype(dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=FEW)
        reducer = kind(2, **SMALL).fit(X)
    for n_rows in (1, 30):
        far = np.tile(X, (40, 1))[-n_rows:]
        far[-1, 1] = value
        out = np.empty((n_rows, 2), dtype)
        for method in (
            reducer.transform,
            reducer.reconstruct,
            lambda X, out=out: reducer.transform(X, out=out),
        ):
            with pytest.raises(ValueError, match=rf"near enough .* row {n_rows - 1} "):
                method(far)
    many = np.tile(X, (40, 1))
    many[2222, 0] = value
    with pytest.raises(ValueError, match=r"got row 2222 of X, for which a result"):
        reducer.transform(many)
    with config_context(assume_finite=True):
        assert not np.isfinite(reducer.transform(far)[-1]).all()
    # What they are for: such a sample is an outlier, not an error.
    assert np.isfinite(reducer.reconstruction_error(many)).all()


def test_codes_that_decode_to_no_number_are_refused():
    X = 1e8 * np.random.default_rng(0).normal(size=(60, 4))
    reducer = AutoEncoderTransformer(2, whiten=True, **SMALL).fit(X)
    with pytest.raises(ValueError, match=r"near enough .* row 1 of X"):
        reducer.inverse_transform([[1.0, 1.0], [1.7e308, 1.7e308]])
