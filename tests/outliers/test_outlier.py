"""The outlier detector: its scores by hand, its threshold, its explanations."""

import re

import numpy as np
import outlier_formula as by_hand
import pandas as pd
import pytest
from made_tables import adult_rows
from scipy import sparse
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._outliers.robust import UNSEEN
from sk_autoencoder.networks import ConvNet

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
PLAIN = AutoEncoderTransformer(2, **SMALL)
PEOPLE = adult_rows(300)


def rows_with_outliers(n_rows=400, n_odd=12):
    """Rows of two hidden numbers; half of the odd ones break the rule, half are far."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((2, 6))
    hidden = rng.standard_normal((n_rows, 2))
    X = hidden @ mixing + 0.1 * rng.standard_normal((n_rows, 6))
    y = np.zeros(n_rows, bool)
    y[:n_odd] = True
    X[: n_odd // 2] = X[: n_odd // 2, rng.permutation(6)]
    angles = np.linspace(0, 6, n_odd - n_odd // 2)
    far = 6 * np.column_stack([np.cos(angles), np.sin(angles)])
    X[n_odd // 2 : n_odd] = far @ mixing
    return X, y


X, Y = rows_with_outliers()


def unit_by_hand(deviations):
    mad = np.median(deviations, axis=0) / 0.6745
    return np.maximum(mad, 0.05 * np.sqrt((deviations**2).mean(axis=0)))


def unit_of_spike_by_hand(deviations):
    others = deviations[deviations > 0]
    share = len(others) / len(deviations)
    level = 0.5 - share
    quantile = np.quantile(others, level, method="inverted_cdf")
    return quantile / norm.isf(share * (1 - level) / 2)


def huber_by_hand(sizes):
    return np.where(sizes < 3, sizes**2, 6 * sizes - 9)


def test_scores_are_those_of_the_formula():
    # One column is zero in most rows: the unit of its errors is that of the others.
    seldom = np.where(np.arange(len(X)) % 4 == 0, X[:, 0], 0.0)
    rows = np.column_stack([X, seldom])
    detector = AutoEncoderOutlierDetector(random_state=0).fit(rows)
    least = np.zeros(rows.shape[1])
    far = np.abs(rows[:, -1] - np.median(rows[:, -1]))
    least[-1] = unit_of_spike_by_hand(far)
    errors = [
        by_hand.errors(np.abs(rows - estimator.reconstruct(rows)), least)
        for estimator in detector.estimators_
    ]
    error = np.mean(errors, axis=(0, 2))
    expected = by_hand.combined(rows, error)
    np.testing.assert_allclose(detector.score_samples(rows), expected, rtol=1e-9)
    assert np.median(expected) == pytest.approx(-1, abs=0.3)
    alone = AutoEncoderOutlierDetector(measure="reconstruction", random_state=0)
    found = alone.fit(rows).score_samples(rows)
    np.testing.assert_allclose(found, -error, rtol=1e-9)


def test_latent_distance_is_added_to_the_error():
    detector = AutoEncoderOutlierDetector(PLAIN, measure="latent").fit(X)
    (estimator,) = detector.estimators_
    codes = estimator.transform(X)
    off = np.abs(X - estimator.inverse_transform(codes))
    far = np.abs(codes - np.median(codes, axis=0))
    expected = -by_hand.errors(off).mean(axis=1)
    expected -= huber_by_hand(far / unit_by_hand(far)).mean(axis=1)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)


def test_likelihood_is_that_of_the_variational_autoencoder():
    vae = VAETransformer(2, prior="mixture", **SMALL)
    detector = AutoEncoderOutlierDetector(
        vae, measure="likelihood", support_fraction=1.0
    ).fit(X)
    expected = vae.fit(X).score_samples(X)
    np.testing.assert_array_equal(detector.score_samples(X), expected)
    message = (
        "expected an estimator with a density for measure='likelihood', got "
        "estimator=None. Pass estimator=VAETransformer(...), or another measure."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AutoEncoderOutlierDetector(measure="likelihood").fit(X)


@pytest.mark.parametrize("measure", ["combined", "latent"])
def test_outliers_of_both_kinds_are_found(measure):
    detector = AutoEncoderOutlierDetector(
        contamination=Y.mean(), measure=measure, random_state=0
    )
    found = detector.fit_predict(X) == -1
    assert roc_auc_score(Y, -detector.score_samples(X)) > 0.98
    assert found.sum() == Y.sum()
    assert found[Y].mean() > 0.8


def rows_seen_in_fits(monkeypatch, detector):
    seen = []
    fit = AutoEncoderTransformer.fit
    monkeypatch.setattr(
        AutoEncoderTransformer, "fit", lambda self, X: seen.append(X) or fit(self, X)
    )
    detector.fit(X)
    return seen


@pytest.mark.parametrize("fraction", [0.5, 0.8, 1.0])
def test_the_rows_nearest_to_the_medians_are_trained_on(fraction, monkeypatch):
    far = np.abs(X - np.median(X, axis=0))
    far = huber_by_hand(far / unit_by_hand(far)).mean(axis=1)
    own = AutoEncoderOutlierDetector(PLAIN, support_fraction=fraction)
    (seen,) = rows_seen_in_fits(monkeypatch, own)
    nearest = X[far <= np.sort(far)[int(fraction * len(X)) - 1]]
    np.testing.assert_array_equal(seen, nearest)
    given = {"support_fraction": fraction, "random_state": 0}
    others = rows_seen_in_fits(monkeypatch, AutoEncoderOutlierDetector(**given))
    assert len(others) == 3
    for rows in others:
        # A third is left out, and of the others the farthest are.
        assert len(rows) == pytest.approx(fraction * 2 / 3 * len(X), abs=2)
        limit = far[[(row == X).all(axis=1).argmax() for row in rows]].max()
        in_reach = np.flatnonzero(far <= limit)
        n_left_out = len(in_reach) - len(rows)
        assert n_left_out == pytest.approx(len(in_reach) / 3, abs=0.1 * len(X))


def test_each_default_member_leaves_out_another_third(monkeypatch):
    detector = AutoEncoderOutlierDetector(novelty=True, random_state=0)
    seen = rows_seen_in_fits(monkeypatch, detector)
    counts = [sum((rows == row).all(axis=1).any() for rows in seen) for row in X]
    assert counts == [2] * len(X)


def test_rows_of_which_most_are_the_same_are_all_trained_on():
    rows = np.zeros((40, 3))
    rows[:5] = np.random.default_rng(0).normal(size=(5, 3))
    detector = AutoEncoderOutlierDetector(contamination=0.1, random_state=0).fit(rows)
    assert (detector.predict(rows)[:5] == -1).sum() == 4
    assert (detector.predict(rows)[5:] == 1).all()


@pytest.mark.parametrize("fraction", [0, 1.1])
def test_a_support_outside_of_its_range_is_refused(fraction):
    message = (
        "The 'support_fraction' parameter of AutoEncoderOutlierDetector must be a "
        f"float in the range (0.0, 1.0]. Got {fraction!r} instead."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AutoEncoderOutlierDetector(PLAIN, support_fraction=fraction).fit(X)


def test_wrapped_estimators_are_cloned_and_seeded():
    template = DenoisingAutoEncoderTransformer(
        2, hidden_layer_sizes=(8,), max_epochs=2, init="random"
    )
    detector = AutoEncoderOutlierDetector(template, random_state=3)
    first = detector.fit(X).score_samples(X)
    assert not hasattr(template, "n_components_")
    assert template.random_state is None
    np.testing.assert_array_equal(detector.fit(X).score_samples(X), first)
    others = detector.set_params(random_state=4).fit(X).score_samples(X)
    assert (others != first).any()
    own = AutoEncoderOutlierDetector(PLAIN).fit(X)
    assert own.estimators_[0].random_state == 0
    again = AutoEncoderOutlierDetector(PLAIN).fit(X)
    np.testing.assert_array_equal(own.score_samples(X), again.score_samples(X))


def test_default_is_a_few_sizes_and_fewer_components_than_features():
    sizes = AutoEncoderOutlierDetector(random_state=0).fit(X).estimators_
    assert [estimator.n_components for estimator in sizes] == [1, 2, 3]
    narrow = AutoEncoderOutlierDetector(random_state=0).fit(X[:, :2]).estimators_
    assert [estimator.n_components for estimator in narrow] == [1, 1, 1]


def test_held_out_threshold_does_not_flatter_training_rows():
    shares = {"train": [], "held_out": []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        train, new = rng.standard_normal((40, 12)), rng.standard_normal((2000, 12))
        for threshold, found in shares.items():
            detector = AutoEncoderOutlierDetector(
                PCA(9),
                measure="reconstruction",
                contamination=0.2,
                threshold=threshold,
                random_state=0,
            ).fit(train)
            found.append((detector.predict(new) == -1).mean())
    off = {name: abs(np.mean(found) - 0.2) for name, found in shares.items()}
    assert off["held_out"] < off["train"] - 0.1


def test_held_out_folds_leave_the_fit_alone():
    plain = AutoEncoderOutlierDetector(PLAIN, random_state=0).fit(X)
    folded = AutoEncoderOutlierDetector(
        PLAIN, random_state=0, threshold="held_out", cv=2
    ).fit(X)
    np.testing.assert_array_equal(plain.score_samples(X), folded.score_samples(X))
    assert plain.offset_ != folded.offset_
    few = AutoEncoderOutlierDetector(PLAIN, threshold="held_out", cv=5).fit(X[:4])
    assert np.isfinite(few.offset_)


@pytest.mark.parametrize("contamination", [0, 0.6, -0.1, "few"])
def test_contamination_outside_of_its_range_is_refused(contamination):
    message = (
        "The 'contamination' parameter of AutoEncoderOutlierDetector must be a float "
        f"in the range (0.0, 0.5]. Got {contamination!r} instead."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AutoEncoderOutlierDetector(PLAIN, contamination=contamination).fit(X)


# ------------------------------------------------------------------- explanations


@pytest.mark.parametrize("measure", ["combined", "reconstruction"])
def test_contributions_sum_to_the_score(measure):
    detector = AutoEncoderOutlierDetector(measure=measure, random_state=0).fit(X)
    parts = detector.explain(X)
    assert (parts >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), -detector.score_samples(X))


@pytest.mark.parametrize(
    ("estimator", "measure"),
    [
        (None, "combined"),
        (None, "reconstruction"),
        (None, "latent"),
        (VAETransformer(2, **SMALL), "likelihood"),
    ],
)
def test_the_feature_that_was_changed_is_named(estimator, measure):
    detector = AutoEncoderOutlierDetector(estimator, measure=measure, random_state=0)
    detector.fit(X)
    changed = X[100:106].copy()
    np.fill_diagonal(changed, changed.diagonal() + 15)
    assert detector.explain(changed).argmax(axis=1).tolist() == list(range(6))


def test_explanations_of_frames_are_frames(to_polars):
    names = [f"sensor {i}" for i in range(6)]
    frame = pd.DataFrame(X, columns=names, index=np.arange(400) + 7)
    detector = AutoEncoderOutlierDetector(PLAIN).fit(frame)
    parts = detector.explain(frame[:5])
    assert list(parts.columns) == names
    assert list(parts.index) == [7, 8, 9, 10, 11]
    other = detector.explain(to_polars(frame[:5]))
    assert other.columns == names
    np.testing.assert_array_equal(parts.to_numpy(), other.to_numpy())
    assert list(detector.feature_names_in_) == names


# ------------------------------------------------------------------------- tables


@pytest.fixture(scope="module")
def people_detector():
    estimator = AutoEncoderTransformer(4, allow_missing=True, **SMALL)
    return AutoEncoderOutlierDetector(estimator).fit(PEOPLE)


def test_tables_with_categories_and_missing_cells(people_detector):
    assert PEOPLE.isna().any().any()
    scores = people_detector.score_samples(PEOPLE)
    assert np.isfinite(scores).all()
    parts = people_detector.explain(PEOPLE)
    assert list(parts.columns) == list(PEOPLE.columns)
    np.testing.assert_allclose(parts.sum(axis=1), -scores, rtol=1e-5)
    assert (parts.to_numpy()[PEOPLE.isna().to_numpy()] == 0).all()
    strange = PEOPLE[:1].copy()
    counts = PEOPLE["native_country"].value_counts()
    for country in (counts[counts == 1].index[0], counts[counts == 0].index[0]):
        strange["native_country"] = pd.Categorical([country], counts.index)
        changed = people_detector.explain(strange)
        assert changed["native_country"].iloc[0] > 10 * parts["native_country"].iloc[0]


def test_distances_of_a_category_are_by_how_rare_its_levels_are():
    estimator = AutoEncoderTransformer(4, allow_missing=True, **SMALL)
    detector = AutoEncoderOutlierDetector(estimator, support_fraction=1.0).fit(PEOPLE)
    scales, (estimator,) = detector._scorer.members.scales, detector.estimators_
    rows = estimator._check_rows(PEOPLE)
    column = list(PEOPLE.columns).index("sex")
    assert scales.is_category[column]
    assert PEOPLE["sex"].value_counts().index[0] == "Male"
    share = (PEOPLE["sex"] == "Female").mean()
    expected = np.where(PEOPLE["sex"] == "Female", norm.isf(share / 4) ** 2, 0)
    np.testing.assert_allclose(scales.distances(rows)[:, column], expected)
    # No reconstruction is a level that was never seen.
    rows[0, column] = UNSEEN
    size = norm.isf(0.25 / len(PEOPLE) / 2)
    assert scales.distances(rows)[0, column] == pytest.approx(huber_by_hand(size))
    assert scales.unseen_level_error(rows)[0, column] == pytest.approx(
        np.sqrt(size**2 + 1)
    )
    assert np.isnan(scales.known(rows)[0, column])


# ---------------------------------------------------------------------- bad input


def test_a_constant_column_counts_once_it_changes():
    rows = np.column_stack([X, np.full(len(X), 0.1)])
    detector = AutoEncoderOutlierDetector(random_state=0).fit(rows)
    parts = detector.explain(rows)
    assert (parts[:, -1] == 0).all()
    assert (detector.explain(rows.astype(np.float32))[:, -1] == 0).all()
    other = rows[200:201].copy()
    other[0, -1] = 0.2
    assert detector.predict(other) == -1
    assert detector.explain(other).argmax() == 6


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((20, 3)),
        X[:2],
        X[:3, :2],
        np.eye(30),
        np.repeat(X[:2], 10, axis=0),
        X * 1e-25,
        X * 1e28,
        (X * 1e25).astype(np.float32),
        X + 1e8,
    ],
    ids=["ones", "two", "three", "eye", "copies", "tiny", "huge", "huge32", "offset"],
)
def test_scores_are_finite_whatever_the_rows(rows):
    detector = AutoEncoderOutlierDetector(random_state=0).fit(rows)
    for queried in (rows, rows * 2, rows[::-1] + 1):
        assert np.isfinite(detector.score_samples(queried)).all()
        assert np.isfinite(detector.explain(queried)).all()
    assert np.isfinite(detector.offset_)


def test_units_of_the_columns_do_not_matter():
    factors = np.array([1e-6, 1, 1e6, 3, 1, 1])
    first = AutoEncoderOutlierDetector(random_state=0).fit(X)
    second = AutoEncoderOutlierDetector(random_state=0).fit(X * factors + 5)
    expected = first.score_samples(X)
    found = second.score_samples(X * factors + 5)
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_float32_stays_float32_and_sparse_rows_score_as_dense_ones():
    detector = AutoEncoderOutlierDetector(random_state=0)
    single = detector.fit(X.astype(np.float32)).score_samples(X.astype(np.float32))
    double = detector.fit(X).score_samples(X)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, rtol=1e-3)
    rows = sparse.csr_matrix(np.where(np.abs(X) > 1, X, 0.0))
    thin = AutoEncoderOutlierDetector(PLAIN).fit(rows)
    full = AutoEncoderOutlierDetector(PLAIN).fit(rows.toarray())
    expected = full.score_samples(rows.toarray())
    np.testing.assert_allclose(thin.score_samples(rows), expected, rtol=1e-4)


def test_units_are_measured_on_some_of_many_rows(monkeypatch):
    many = AutoEncoderOutlierDetector(PLAIN, random_state=0).fit(X).score_samples(X)
    monkeypatch.setattr("sk_autoencoder._outliers.rows.ROWS_FOR_SCALES", 200)
    detector = AutoEncoderOutlierDetector(PLAIN, random_state=0).fit(X)
    some = detector.score_samples(X)
    assert (some != many).all()
    assert np.corrcoef(some, many)[0, 1] > 0.95


def test_rows_are_scored_by_chunks(monkeypatch):
    detector = AutoEncoderOutlierDetector(PLAIN, random_state=0).fit(X)
    whole = detector.score_samples(X)
    for module in ("rows", "scorer"):
        monkeypatch.setattr(f"sk_autoencoder._outliers.{module}.CHUNK_CELLS", 60)
    np.testing.assert_allclose(detector.score_samples(X), whole, rtol=1e-9)


def test_a_category_of_a_smaller_group_is_not_taken_for_an_outlier():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.choice(["x", "y", "z"], 400),
            "b": rng.choice(["common", "less"], 400, p=[0.85, 0.15]),
            "number": rng.normal(size=400),
        }
    )
    frame.loc[0, ["b", "number"]] = ["seldom", 9.0]
    for columns in (["a", "b"], ["a", "b", "number"]):
        detector = AutoEncoderOutlierDetector(random_state=0).fit(frame[columns])
        parts = detector.explain(frame[columns])
        assert parts.loc[frame["b"] == "less", "b"].mean() < 3
        # A level that one row has, and that row far out, is known all the same.
        assert "seldom" in detector.estimators_[0]._table.columns[1].levels
        # One that no row has is farther off than any of these.
        strange = frame[columns].head(20).assign(b="new")
        assert detector.explain(strange)["b"].min() > parts["b"].max()


def test_images_are_scored_as_flat_rows_are():
    images = X.reshape(-1, 2, 3)
    network = ConvNet((1, 2, 3), channels=(2,), hidden_layer_sizes=())
    estimator = AutoEncoderTransformer(2, network=network, max_epochs=2, random_state=0)
    detector = AutoEncoderOutlierDetector(estimator).fit(images)
    flat = AutoEncoderOutlierDetector(estimator).fit(X)
    np.testing.assert_array_equal(detector.predict(images), flat.predict(X))
    np.testing.assert_array_equal(
        detector.explain(images), flat.explain(X).reshape(-1, 2, 3)
    )
    with pytest.raises(ValueError, match=r"^Found array with dim 3, .* ConvNet"):
        AutoEncoderOutlierDetector().fit(images)


def test_rows_that_leave_spikes_together_are_not_neighbors_of_each_other():
    rng = np.random.default_rng(0)
    smooth, spiked = rng.normal(size=(400, 3)), rng.random((400, 2)) < 0.1
    group = np.arange(400) < 60
    smooth[group] *= 0.1
    spiked[group] = 1
    rows = np.column_stack([smooth, spiked])
    detector = AutoEncoderOutlierDetector(random_state=0).fit(rows)
    assert roc_auc_score(group, -detector.score_samples(rows)) > 0.8
    assert len(detector._scorer.terms[1].exemplars.scores) == 288
    detector.fit(smooth)  # without spikes only nine tenths are told apart
    assert len(detector._scorer.terms[1].exemplars.scores) == 360
