"""Contributions of wild cells, and scores of cells as far off as numbers go."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from made_tables import adult_rows
from sklearn.base import clone

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    VAETransformer,
)

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
PEOPLE = adult_rows(1000)


@pytest.fixture(scope="module")
def people():
    return AutoEncoderOutlierDetector(random_state=0).fit(PEOPLE)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("capital_gain", 99_999),
        ("age", 900),
        ("fnlwgt", 10**8),
        ("capital_loss", 9e4),
    ],
)
def test_a_wild_cell_has_what_it_drags_along(people, column, value):
    usual = PEOPLE[:100].assign(**{column: PEOPLE[column].median()})
    members = people._scorer.members
    # Another wild cell drags along what is its own.
    calm = (members.scales.distances(members.matrix(usual)) < 9).all(axis=1)
    assert calm.sum() > 50
    changed = usual[calm].assign(**{column: value})
    before = people.explain(usual[calm])
    parts = people.explain(changed)
    assert (parts[column] / parts.sum(axis=1)).min() > 0.7
    # All others have no more than without it.
    more = parts.drop(columns=column) - before.drop(columns=column)
    assert more.to_numpy().max() < 1e-6
    np.testing.assert_allclose(parts.sum(axis=1), -people.score_samples(changed))


@pytest.mark.parametrize(("column", "value"), [("hours_per_week", -40), ("age", 900)])
def test_a_wild_cell_has_most_of_a_row_on_average(people, column, value):
    parts = people.explain(PEOPLE[:300].assign(**{column: value}))
    assert (parts[column] / parts.sum(axis=1)).mean() > 0.7


def test_education_num_is_not_blamed_for_a_capital_gain(people):
    row = PEOPLE[:1].assign(capital_gain=99_999, education_num=15)
    parts = people.explain(row).iloc[0]
    assert parts.idxmax() == "capital_gain"
    assert parts["education_num"] < 0.1 * parts["capital_gain"]


@pytest.mark.parametrize("measure", ["combined", "reconstruction"])
def test_several_wild_cells_share_what_they_drag_along(measure):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6))
    X += 0.1 * rng.normal(size=X.shape)
    detector = AutoEncoderOutlierDetector(measure=measure, random_state=0).fit(X)
    wild = X[:50].copy()
    wild[:, 1] += 60
    wild[:, 4] -= 40
    parts = detector.explain(wild)
    assert (parts >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), -detector.score_samples(wild))
    own = parts[:, [1, 4]].sum(axis=1) / parts.sum(axis=1)
    assert own.min() > 0.85


def test_cells_that_are_not_wild_keep_what_they_had():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(200, 5))
    detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
    scorer = detector._scorer
    assert (scorer.members.scales.distances(X) < 9).all()
    np.testing.assert_array_equal(detector.explain(X), scorer._cells(X) / 5)


# ------------------------------------------------------------- as far as numbers go

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)) @ RNG.normal(size=(2, 5)) + RNG.normal(size=(200, 5))
DETECTORS = {
    "combined": AutoEncoderOutlierDetector(random_state=0),
    "reconstruction": AutoEncoderOutlierDetector(
        measure="reconstruction", random_state=0
    ),
    "latent": AutoEncoderOutlierDetector(measure="latent", random_state=0),
    "latent of one's own": AutoEncoderOutlierDetector(
        AutoEncoderTransformer(2, **SMALL), measure="latent"
    ),
    "likelihood": AutoEncoderOutlierDetector(
        VAETransformer(2, **SMALL), measure="likelihood"
    ),
    "likelihood of a mixture": AutoEncoderOutlierDetector(
        VAETransformer(2, prior="mixture", **SMALL), measure="likelihood"
    ),
    "a table": AutoEncoderOutlierDetector(
        AutoEncoderTransformer(2, allow_missing=True, **SMALL)
    ),
}
ENDS = {
    "float32": (np.float32, 3.4e38),
    "1e200": (np.float64, 1e200),
    "float64": (np.float64, 1.7e308),
}


@cache
def fitted(name, dtype):
    return clone(DETECTORS[name]).fit(X.astype(dtype))


def test_cells_as_far_off_as_numbers_go_may_be_trained_on():
    rows = X.copy()
    rows[:2, 0] = 1.7e308, -1.7e308
    detector = AutoEncoderOutlierDetector(random_state=0).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()
    assert detector.predict(rows[:2]).tolist() == [-1, -1]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("end", ENDS)
def test_scores_and_contributions_are_finite_however_far_off_a_cell_is(name, end):
    dtype, size = ENDS[end]
    rows = X.astype(dtype)
    detector = fitted(name, dtype)
    usual = detector.score_samples(rows)
    # Five samples with one cell far off, up and down, and five with all their cells.
    far = np.tile(rows[:5], (4, 1))
    far[:5, 2], far[5:10, 2] = size, -dtype(size)
    far[10:15], far[15:] = size, -dtype(size)
    scores = detector.score_samples(far)
    assert scores.dtype == dtype
    assert np.isfinite(scores).all()
    assert (scores >= np.finfo(dtype).min).all()
    assert (scores < usual.min()).all()
    assert (detector.predict(far) == -1).all()
    assert np.isfinite(detector.decision_function(far)).all()
    parts = detector.explain(far)
    assert np.isfinite(parts).all()
    assert (parts[:10].argmax(axis=1) == 2).all()


@pytest.mark.parametrize("end", ENDS)
def test_cells_of_either_end_in_one_row_are_finite(end):
    dtype, size = ENDS[end]
    detector = fitted("combined", dtype)
    far = X[:4].astype(dtype)
    far[:, 0], far[:, 1] = size, -dtype(size)
    assert np.isfinite(detector.score_samples(far)).all()
    assert (detector.explain(far)[:, :2] > 1e3).all()


def test_numbers_as_far_as_they_go_beside_categories_are_finite():
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": list("xyzu") * 50})
    detector = AutoEncoderOutlierDetector(random_state=0).fit(frame)
    for size in (1e200, -1.7e308):
        far = frame[:20].assign(b=size)
        assert np.isfinite(detector.score_samples(far)).all()
        assert (detector.predict(far) == -1).all()
        assert (detector.explain(far).to_numpy().argmax(axis=1) == 1).all()


def test_a_cell_cut_back_is_farther_off_the_farther_it_is():
    detector = fitted("combined", np.float64)
    far = np.tile(X[:1], (4, 1))
    far[:, 3] = 10.0 ** np.array([3, 5, 7, 9])
    scores = detector.score_samples(far)
    assert (np.diff(scores) < 0).all()
    np.testing.assert_allclose(scores[1:] / scores[:-1], 100, rtol=0.5)
