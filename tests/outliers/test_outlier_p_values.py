"""Modes, p-values and the false discovery rate of a detector."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_autoencoder
from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer
from sk_autoencoder._outliers.threshold import conformal_p_values, rejected
from sk_autoencoder.exceptions import InconsistentVersionWarning

DETECTOR = AutoEncoderOutlierDetector
MIXING = np.random.default_rng(0).normal(size=(2, 5))
AE = AutoEncoderTransformer(2, hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
LINEAR = make_pipeline(StandardScaler(), PCA(2))


def clean_rows(n_rows, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 2)) @ MIXING + 0.3 * rng.normal(size=(n_rows, 5))


TRAIN, NEW = clean_rows(600, 1), clean_rows(2000, 2)
ODD = NEW[:100] + np.random.default_rng(3).normal(scale=4, size=(100, 5))


@pytest.fixture(scope="module")
def fitted():
    return DETECTOR(novelty=True, random_state=0).fit(TRAIN)


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


# ------------------------------------------------------------------------------ modes


def test_novelty_trims_no_row():
    given = {"novelty": True, "random_state": 0}
    one, other = (DETECTOR(support_fraction=f, **given).fit(TRAIN) for f in (0.5, 1.0))
    np.testing.assert_array_equal(one.score_samples(NEW), other.score_samples(NEW))
    plain = DETECTOR(random_state=0).fit(TRAIN)
    n_exemplars = [len(d._scorer.terms[1].exemplars.scores) for d in (one, plain)]
    assert n_exemplars == [600, 540]


@pytest.mark.parametrize(
    ("given", "is_held_out"),
    [
        ({}, False),
        ({"novelty": True}, True),
        ({"novelty": True, "threshold": "train"}, False),
        ({"threshold": "held_out"}, True),
    ],
)
def test_fit_predict_is_there_where_the_threshold_is_of_training_rows(
    given, is_held_out
):
    detector = DETECTOR(random_state=0, contamination=0.05, **given)
    assert hasattr(detector, "fit_predict") != is_held_out
    if is_held_out:
        with raises(
            AttributeError,
            "This 'AutoEncoderOutlierDetector' has no attribute 'fit_predict': "
            "expected a threshold from the training rows, got "
            f"novelty={detector.novelty} and threshold={detector.threshold!r}, where "
            "it comes from held-out ones. Pass threshold='train', or use fit(X) and "
            "predict(X).",
        ):
            detector.fit_predict(TRAIN)
        expected = DETECTOR(random_state=0, contamination=0.05)
        expected.set_params(**{**given, "threshold": "train"}).fit(TRAIN)
        assert detector.fit(TRAIN).offset_ != expected.offset_
    else:
        found = detector.fit_predict(TRAIN)
        assert (found == -1).sum() == 30
        np.testing.assert_array_equal(found, detector.predict(TRAIN))


def test_held_out_threshold_alarms_at_its_rate_for_new_rows(fitted):
    rates = [
        (DETECTOR(novelty=True, random_state=0).fit(rows).predict(NEW) == -1).mean()
        for rows in (clean_rows(600, seed) for seed in range(4, 8))
    ]
    assert np.mean(rates) == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(
        fitted.offset_, np.percentile(np.concatenate(fitted._held_out), 10)
    )


# --------------------------------------------------------------------------- p-values


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR(novelty=True, random_state=0),
        DETECTOR(novelty=True, measure="reconstruction", random_state=0),
        DETECTOR(novelty=True, measure="latent", random_state=0),
        DETECTOR(LINEAR, threshold="held_out", novelty=True),
        DETECTOR(LINEAR, threshold="held_out", cv=3, measure="likelihood"),
    ],
)
def test_p_values_of_usual_rows_are_uniform_or_larger(detector):
    found = np.stack(
        [detector.fit(clean_rows(300, seed)).p_values(NEW) for seed in range(10, 13)]
    )
    assert found.shape == (3, 2000)
    assert found.min() >= 1 / 301
    for level in (0.02, 0.1, 0.5):
        # Three times the standard error of a fit's rate, of a beta distribution.
        slack = 3 * np.sqrt(level * (1 - level) / 300 / 3)
        assert (found <= level).mean() < level + slack
        assert (found <= level).mean() > 0.4 * level
    assert detector.p_values(ODD).mean() < 0.1


def test_p_values_are_ranks_by_the_member_that_has_not_seen_the_row(fitted):
    held_out = fitted._held_out
    assert sum(map(len, held_out)) == 600
    scores = fitted._scorer.member_scores(NEW[:20])
    np.testing.assert_allclose(scores.mean(axis=1), fitted.score_samples(NEW[:20]))
    expected = [
        (1 + sum((own <= s).sum() for own, s in zip(held_out, row, strict=True))) / 601
        for row in scores
    ]
    np.testing.assert_allclose(fitted.p_values(NEW[:20]), expected)
    alone = np.concatenate([fitted.p_values(NEW[i : i + 1]) for i in range(20)])
    np.testing.assert_array_equal(alone, fitted.p_values(NEW[:20]))


def test_a_held_out_row_is_scored_as_if_it_had_not_been_there():
    detector = DETECTOR(novelty=True, random_state=0).fit(TRAIN[:90])
    scorer = detector._scorer
    reconstruction, ranks = scorer.terms
    for row in TRAIN[:6]:
        errors = reconstruction.score(scorer.members, row[np.newaxis])[0]
        others = TRAIN[:90][(TRAIN[:90] != row).any(axis=1)]
        z = ranks.normal_scores(others, [None] * 5)
        own = ranks.normal_scores(row[np.newaxis], [None] * 5)
        near = np.sort(((z - own) ** 2).mean(axis=1))[:5].mean()
        rarity = (own**2).mean()
        far = (rarity / ranks.usual[0] + 8 * near / ranks.usual[1]) / 9
        expected = scorer.weights[0] * errors - scorer.weights[1] * far
        # One member has left the row out.
        assert any(
            np.isclose(scores, value, rtol=1e-9).any()
            for scores, value in zip(detector._held_out, expected, strict=True)
        )


def test_conformal_p_values_count_ties_as_more_unusual():
    held_out = (np.array([-3.0, -2.0, -1.0]), np.array([-2.0, -2.0]))
    scores = np.array([[-2.0, -2.0], [-4.0, -4.0], [0.0, 0.0], [-1.5, -3.0]])
    found = conformal_p_values(scores, held_out)
    np.testing.assert_allclose(found, np.array([5, 1, 6, 3]) / 6)


def test_p_values_are_at_most_1_and_meet_limits_that_they_are_equal_to():
    for n in (9, 48, 97):  # 3 * (1 / 10) is above .3, and 49 * (1 / 49) below 1
        held_out = (np.arange(n, dtype=float),)
        found = conformal_p_values(np.arange(-1.0, n)[:, np.newaxis], held_out)
        assert found.tolist() == [(1 + i) / (n + 1) for i in range(n + 1)]
    assert rejected(np.array([0.1, 0.5, 0.9]), 0.3).tolist() == [True, False, False]


@pytest.mark.parametrize("cv", [2, 5])
def test_two_rows_are_left_of_the_fewest_ones(cv):
    detector = DETECTOR(PCA(1), threshold="held_out", cv=cv, random_state=0)
    assert detector.fit(TRAIN[:3]).p_values(NEW).min() >= 1 / 4
    assert np.isfinite(detector.partial_fit(TRAIN[:2]).offset_)
    detector.fit(TRAIN[:2])
    assert detector.offset_ == np.percentile(detector.score_samples(TRAIN[:2]), 10)
    with pytest.raises(ValueError, match=r"got one that was fitted to 2 rows\. Fit it"):
        detector.p_values(NEW)


# --------------------------------------------------------------- false discovery rate


def test_rejected_is_the_procedure_of_benjamini_and_hochberg():
    p_values = np.array([0.3, 0.001, 0.012, 0.04, 0.009, 0.8])
    # Sorted: .001 .009 .012 .04 ...; limits at .05: .0083 .0167 .025 .033 ...
    assert rejected(p_values, 0.05).tolist() == [False, True, True, False, True, False]
    assert not rejected(np.full(5, 0.5), 0.1).any()
    assert rejected(np.full(5, 0.05), 0.05).all()
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(50) ** 3
        adjusted = scipy_stats.false_discovery_control(p)
        np.testing.assert_array_equal(rejected(p, 0.1), adjusted <= 0.1)


def test_outliers_are_found_at_a_false_discovery_rate(fitted):
    rows = np.concatenate([NEW[200:1100], ODD])
    found = fitted.outliers(rows)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, rejected(fitted.p_values(rows), 0.1))
    assert found[900:].mean() > 0.6
    assert found[:900].sum() / found.sum() < 0.2
    assert not fitted.outliers(rows, fdr=0.01)[:900].any()


@pytest.mark.parametrize("fdr", [0, 1, -0.1, 1.5, "low", None])
def test_a_rate_out_of_its_range_is_refused(fitted, fdr):
    with raises(
        ValueError,
        "The 'fdr' parameter of outliers must be a float in the range (0.0, 1.0). Got "
        f"{fdr!r} instead.",
    ):
        fitted.outliers(NEW, fdr=fdr)


def test_few_rows_say_what_they_can_resolve():
    few = DETECTOR(novelty=True, random_state=0).fit(TRAIN[:5])
    assert few.p_values(ODD).min() == pytest.approx(1 / 6)
    with raises(
        ValueError,
        "expected fdr of at least 0.167, the least p-value that is possible with 5 "
        "held-out training rows, got fdr=0.1: no row could be found. Fit on more rows, "
        "or pass a larger fdr.",
    ):
        few.outliers(ODD)
    two = DETECTOR(novelty=True, random_state=0).fit(TRAIN[:2])
    assert np.isfinite(two.offset_)
    assert "have not seen" not in two.summary()
    for method in (two.p_values, two.outliers):
        with raises(
            ValueError,
            "expected a detector with scores of held-out training rows, got one that "
            "was fitted to 2 rows. Fit it to more.",
        ):
            method(NEW)


def test_a_given_estimator_needs_a_held_out_threshold():
    detector = DETECTOR(PCA(2)).fit(TRAIN)
    for method in (detector.p_values, detector.outliers):
        with raises(
            ValueError,
            "expected a detector with scores of held-out training rows, got one that "
            "was fitted with estimator=PCA(n_components=2) and threshold='auto'. Pass "
            "threshold='held_out', and fit it again.",
        ):
            method(NEW)
    with pytest.raises(ValueError, match="is not fitted yet"):
        DETECTOR().p_values(NEW)
    folder = Path(__file__).parents[1] / "saving" / "files_0_1_0"
    with pytest.warns(InconsistentVersionWarning):
        old = sk_autoencoder.load(folder / "detector.safetensors")
    assert not old.novelty
    rows = np.zeros((2, old.n_features_in_))
    with raises(
        ValueError,
        "expected a detector with scores of held-out training rows, got one that is "
        "from a file of version 0.1.0, which holds none. Fit it again.",
    ):
        old.p_values(rows)


@pytest.mark.parametrize("call", ["fit", "set_threshold"])
def test_automatic_contamination_is_refused_with_what_there_is(fitted, call):
    with raises(
        ValueError,
        "expected contamination in (0, 0.5], got contamination='auto', because no "
        "score says by itself where outliers begin. Pass a fraction, or leave it, and "
        "use p_values(X), or outliers(X, fdr=0.1), which keeps the fraction of false "
        "alarms.",
    ):
        if call == "fit":
            DETECTOR(contamination="auto").fit(TRAIN)
        else:
            fitted.set_threshold("auto")


def test_many_held_out_scores_are_kept_as_quantiles(monkeypatch):
    detector = DETECTOR(AE, threshold="held_out", cv=2, random_state=0)
    full = clone(detector).fit(TRAIN)
    monkeypatch.setattr("sk_autoencoder._outliers.threshold.MOST_SCORES", 50)
    few = clone(detector).fit(TRAIN)
    assert [len(scores) for scores in few._held_out] == [50]
    np.testing.assert_allclose(few.p_values(NEW), full.p_values(NEW), atol=0.05)


def test_p_values_survive_a_file_and_a_pickle(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    for other in (
        sk_autoencoder.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(fitted)),
    ):
        np.testing.assert_array_equal(other.p_values(NEW), fitted.p_values(NEW))
        np.testing.assert_array_equal(other.outliers(ODD), fitted.outliers(ODD))


@pytest.mark.filterwarnings("ignore:expected text that names categories")
@pytest.mark.parametrize("n_levels", [None, 2000, 300])
@pytest.mark.parametrize("novelty", [False, True])
def test_p_values_of_tables_with_levels_that_few_rows_have(n_levels, novelty):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    a = rng.normal(size=1200)
    ids = np.arange(1200) if n_levels is None else rng.integers(0, n_levels, 1200)
    table = pd.DataFrame(
        {"id": [f"c{i}" for i in ids], "a": a, "b": a + rng.normal(size=1200) / 2}
    )
    detector = DETECTOR(novelty=novelty, random_state=0).fit(table[:700])
    p = detector.p_values(table[700:])
    # Three standard errors of both samples, 700 and 500.
    assert abs((p <= 0.1).mean() - 0.1) < 3 * np.sqrt(0.09 / 700 + 0.09 / 500)
    assert detector.outliers(table[700:], fdr=0.1).sum() <= 5
