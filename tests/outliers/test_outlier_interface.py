"""What goes into a detector: missing cells, any transformer, progress, a threshold."""

import re
from pathlib import Path

import numpy as np
import outlier_formula as by_hand
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA, KernelPCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.utils import get_tags

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.exceptions import InconsistentVersionWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)) @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(
    size=(200, 5)
)
GAPPY = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
AE = AutoEncoderTransformer(2, **SMALL)
DETECTOR = AutoEncoderOutlierDetector


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


# --------------------------------------------------------------------- missing cells


def as_mixed(rows):
    frame = pd.DataFrame(rows, columns=list("abcde"))
    frame["job"] = pd.Categorical(["clerk", "cook", None, "pilot"] * (len(rows) // 4))
    return frame


TABLES = {
    "array": GAPPY,
    "float32": GAPPY.astype(np.float32),
    "objects": np.where(np.isnan(GAPPY), None, GAPPY.astype(object)),
    "frame": pd.DataFrame(GAPPY, columns=list("abcde")),
    "nullable": pd.DataFrame(GAPPY, columns=list("abcde")).convert_dtypes(),
    "mixed": as_mixed(GAPPY),
}


@pytest.mark.parametrize("name", TABLES)
def test_default_detector_is_fitted_to_missing_cells(name):
    rows = TABLES[name]
    detector = DETECTOR(random_state=0).fit(rows)
    scores = detector.score_samples(rows)
    assert np.isfinite(scores).all()
    assert scores.dtype == (np.float32 if name == "float32" else np.float64)
    assert set(detector.predict(rows)) == {-1, 1}
    parts = np.asarray(detector.explain(rows), dtype=float)
    np.testing.assert_allclose(parts.sum(axis=1), -scores, rtol=1e-5)
    missing = pd.isna(pd.DataFrame(rows)).to_numpy()
    assert missing.any()
    assert (parts[missing] == 0).all()
    assert get_tags(detector).input_tags.allow_nan


def test_missing_cells_in_polars(to_polars):
    frame = as_mixed(GAPPY)
    expected = DETECTOR(random_state=0).fit(frame).score_samples(frame)
    other = to_polars(frame)
    found = DETECTOR(random_state=0).fit(other).score_samples(other)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["array", "frame", "mixed", "sparse"])
def test_missing_cells_that_only_new_rows_have_count_for_nothing(kind):
    def made(rows):
        if kind == "sparse":
            return sparse.csr_matrix(rows)
        if kind == "mixed":
            return as_mixed(rows).assign(job=["clerk", "cook"] * (len(rows) // 2))
        return rows if kind == "array" else pd.DataFrame(rows, columns=list("abcde"))

    full = DETECTOR(random_state=0).fit(made(X))
    rows = X[:20].copy()
    np.testing.assert_array_equal(
        full.score_samples(made(X[:20])), full.score_samples(made(rows))
    )
    rows[:, 1] = np.nan
    parts = np.asarray(full.explain(made(rows)))
    assert (parts[:, 1] == 0).all()
    assert np.isfinite(full.score_samples(made(rows))).all()
    rows[:, 3] = 50
    assert (full.predict(made(rows)) == -1).all()
    # All that can be missing is.
    assert np.isfinite(full.score_samples(made(np.full((4, 5), np.nan)))).all()


def test_a_fit_without_missing_cells_is_as_if_none_were_allowed():
    plain = DETECTOR(random_state=0).fit(X)
    assert not any(estimator.allow_missing for estimator in plain.estimators_)
    gappy = DETECTOR(random_state=0).fit(GAPPY)
    assert all(estimator.allow_missing for estimator in gappy.estimators_)


def test_given_estimators_take_missing_cells_if_they_say_so():
    assert not get_tags(DETECTOR(AE)).input_tags.allow_nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        DETECTOR(AE).fit(GAPPY)
    full = DETECTOR(AE).fit(X)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        full.predict(GAPPY)
    mixed = as_mixed(X).assign(job=["clerk", "cook"] * 100)
    fitted = DETECTOR(AE).fit(mixed)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fitted.predict(as_mixed(GAPPY))
    willing = clone(AE).set_params(allow_missing=True)
    assert get_tags(DETECTOR(willing)).input_tags.allow_nan
    assert np.isfinite(DETECTOR(willing).fit(GAPPY).score_samples(GAPPY)).all()
    piped = make_pipeline(StandardScaler(), willing)
    assert get_tags(DETECTOR(piped)).input_tags.allow_nan
    assert np.isfinite(DETECTOR(piped).fit(GAPPY).score_samples(GAPPY)).all()
    assert not get_tags(
        DETECTOR(make_pipeline(StandardScaler(), AE))
    ).input_tags.allow_nan


IMPUTED = make_pipeline(SimpleImputer(add_indicator=True), PCA(2))


def test_a_pipeline_with_an_imputer_takes_missing_cells():
    detector = DETECTOR(IMPUTED, measure="likelihood")
    assert get_tags(detector).input_tags.allow_nan
    scores = detector.fit(GAPPY).score_samples(GAPPY)
    # The most typical rows are fitted to: their density is that of no other rows.
    (fitted,) = detector.estimators_
    np.testing.assert_allclose(scores, fitted.score_samples(GAPPY))
    assert np.isfinite(detector.explain(GAPPY[:3])).all()
    held = clone(detector).set_params(threshold="held_out", cv=2).fit(GAPPY)
    assert np.isfinite(held.offset_)


def test_a_pipeline_that_fills_and_scales_measures_reconstructions():
    ours = clone(AE).set_params(allow_missing=True)
    identity = FunctionTransformer(check_inverse=False)
    for steps in ([ours, StandardScaler()], [identity, ours, StandardScaler()]):
        piped = make_pipeline(*steps)
        taken = get_tags(identity).input_tags.allow_nan or len(steps) == 2
        assert get_tags(DETECTOR(piped)).input_tags.allow_nan == taken
        if taken:
            assert np.isfinite(DETECTOR(piped).fit(GAPPY).score_samples(GAPPY)).all()


def test_an_inverse_without_numbers_leaves_the_likelihood():
    # PCA's inverse does not bring back which cells were missing, to the last bit.
    for inside in (IMPUTED, make_pipeline(SimpleImputer(), PCA(2))):
        with pytest.raises(
            ValueError, match=r"^expected a transformer whose inver"
        ) as e:
            DETECTOR(inside).fit(GAPPY)
        assert str(e.value).endswith(
            "Pass one that undoes its transform, or measure='likelihood'."
        )
        assert e.value.__cause__ is not None
    with pytest.raises(ValueError, match=r"works only when.*undoes its transform\.$"):
        DETECTOR(make_pipeline(SimpleImputer(), StandardScaler())).fit(GAPPY)


def test_what_a_pipeline_is_not_given_is_refused_with_what_works():
    piped = make_pipeline(StandardScaler(), PCA(2))
    message = (
        "Input X contains NaN: expected no missing cells, because "
        "estimator=PCA(n_components=2) takes none. Fill them before the detector, as "
        "in make_pipeline(SimpleImputer(), AutoEncoderOutlierDetector(PCA())), or pass "
        "estimator=AutoEncoderTransformer(allow_missing=True)."
    )
    with raises(ValueError, message):
        DETECTOR(PCA(2)).fit(GAPPY)
    with raises(ValueError, message):
        DETECTOR(PCA(2)).fit(X).predict(GAPPY)
    with pytest.raises(ValueError, match="because estimator=Pipeline"):
        DETECTOR(piped).fit(GAPPY)
    make_pipeline(SimpleImputer(), DETECTOR(PCA(2))).fit(GAPPY).predict(GAPPY)
    table = as_mixed(X)
    for estimator, rows in (
        (make_pipeline(AE), table),
        (make_pipeline(OneHotEncoder(sparse_output=False), PCA(2)), table[["job"]]),
        (piped, table.to_numpy(dtype=object)),
    ):
        with pytest.raises(ValueError, match=r"^expected columns of numbers, because"):
            DETECTOR(estimator).fit(rows)
    encoder = OneHotEncoder(sparse_output=False)
    make_pipeline(encoder, DETECTOR(PCA(2))).fit(table[["job"]])
    DETECTOR(AE).fit(table.assign(job=["clerk", "cook"] * 100))


def test_a_column_without_a_value_takes_no_part_and_is_warned_of_once():
    rows = X.copy()
    rows[:, 2] = np.nan
    with pytest.warns(UserWarning, match="at least one value in each column") as caught:
        detector = DETECTOR(random_state=0, threshold="held_out", cv=2).fit(rows)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (detector.explain(X)[:, 2] == 0).all()
    np.testing.assert_array_equal(
        detector.score_samples(X), detector.score_samples(rows)
    )


def test_a_column_with_a_value_in_one_untypical_row_is_fitted():
    rows = X.copy()
    rows[1:, 2] = np.nan
    rows[0] = 30
    detector = DETECTOR(random_state=0).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()


def test_missing_cells_in_sparse_rows_are_refused_in_fit_with_advice():
    with pytest.raises(TypeError, match=r"Pass X.toarray\(\)\.$"):
        DETECTOR().fit(sparse.csr_matrix(GAPPY))


# ------------------------------------------------------------------ other transformers

OTHERS = {
    "PCA": PCA(2),
    "KernelPCA": KernelPCA(2, kernel="rbf", fit_inverse_transform=True),
    "pipeline": make_pipeline(StandardScaler(), AE),
    "pipeline of PCA": make_pipeline(StandardScaler(), PCA(2)),
    "extra rows": ExtraRowsTransformer(AE, X[:20]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_transformer_with_an_inverse_is_scored_by_the_formula(name):
    detector = DETECTOR(OTHERS[name], support_fraction=1.0).fit(X)
    fitted = clone(OTHERS[name]).fit(X)
    off = np.abs(X - fitted.inverse_transform(fitted.transform(X)))
    expected = by_hand.combined(X, by_hand.errors(off).mean(axis=1), support=1.0)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-6)
    parts = detector.explain(X)
    np.testing.assert_allclose(parts.sum(axis=1), -detector.score_samples(X))
    far = X[:9].copy()
    far[:, 3] = 40
    assert (detector.predict(far) == -1).all()
    assert (detector.explain(far).argmax(axis=1) == 3).all()


def test_rounding_of_an_exact_reconstruction_is_no_error():
    detector = DETECTOR(StandardScaler(), support_fraction=1.0).fit(X)
    expected = by_hand.combined(X, np.full(len(X), 1e-20), support=1.0)
    # Without the error's tenth.
    np.testing.assert_allclose(detector.score_samples(X), expected + 0.1)


@pytest.mark.parametrize("estimator", [None, VAETransformer(1)])
def test_one_row_of_a_table_is_refused_by_the_detector(estimator):
    frame = pd.DataFrame({"a": [1.0], "b": ["x"]})
    message = (
        "Found array with 1 sample(s) (shape=(1, 2)) while a minimum of 2 is required "
        "by AutoEncoderOutlierDetector."
    )
    with raises(ValueError, message):
        DETECTOR(estimator).fit(frame)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("measure", ["reconstruction", "latent"])
def test_other_transformers_have_the_other_measures(name, measure):
    frame = pd.DataFrame(X, columns=list("abcde"))
    detector = DETECTOR(OTHERS[name], measure=measure, threshold="held_out", cv=2)
    detector.fit(frame)
    assert list(detector.feature_names_in_) == list("abcde")
    assert detector.predict(frame.assign(b=1e200)).tolist() == [-1] * 200
    assert list(detector.explain(frame).columns) == list("abcde")


def test_likelihood_is_that_of_other_densities():
    pca = PCA(2).fit(X)
    detector = DETECTOR(PCA(2), measure="likelihood", support_fraction=1.0).fit(X)
    np.testing.assert_allclose(detector.score_samples(X), pca.score_samples(X))
    far = X[:3].copy()
    far[:, 0] = 1.7e308
    assert np.isfinite(detector.score_samples(far)).all()
    assert np.isfinite(detector.explain(far)).all()
    vae = make_pipeline(StandardScaler(), VAETransformer(2, **SMALL))
    piped = DETECTOR(vae, measure="likelihood", support_fraction=1.0).fit(X)
    np.testing.assert_allclose(
        piped.score_samples(X), clone(vae).fit(X).score_samples(X)
    )


def test_random_state_is_set_in_every_part_that_has_one():
    estimator = make_pipeline(
        StandardScaler(),
        PCA(4, random_state=1),
        AutoEncoderTransformer(2, init="random", max_epochs=2, hidden_layer_sizes=(8,)),
    )
    detector = DETECTOR(estimator, random_state=3).fit(X)
    (fitted,) = detector.estimators_
    states = [fitted[1].random_state, fitted[2].random_state]
    assert len({1, None, *states}) == 4
    assert estimator[1].random_state == 1
    again = DETECTOR(estimator, random_state=3).fit(X)
    np.testing.assert_array_equal(detector.score_samples(X), again.score_samples(X))
    DETECTOR(make_pipeline(StandardScaler(), PCA(2)), random_state=0).fit(X)
    DETECTOR(StandardScaler(), random_state=0).fit(X)  # has none


def test_a_detector_of_another_transformer_is_cloned_and_searched_over():
    detector = clone(DETECTOR(make_pipeline(StandardScaler(), PCA(2)), verbose=1))
    assert detector.get_params()["estimator__pca__n_components"] == 2
    assert detector.set_params(estimator__pca__n_components=3, verbose=0).fit(X)
    assert detector.estimators_[0][-1].n_components_ == 3


class Rounding(TransformerMixin, BaseEstimator):
    """Its inverse gives what is asked for."""

    def __init__(self, back="rows", codes="numbers"):
        self.back = back
        self.codes = codes

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X if self.codes == "numbers" else np.full(X.shape, "text")

    def inverse_transform(self, Z):
        if self.back == "nothing":
            return np.full(Z.shape, np.nan)
        return {"rows": Z, "fewer": Z[:, :2], "sparse": sparse.csr_matrix(Z)}[self.back]


LACKS = (
    "^The 'estimator' parameter of AutoEncoderOutlierDetector must be an object "
    r"implementing '.*' or None\. Got (Normalizer|Pipeline)"
)


def test_what_other_transformers_lack_is_said():
    for lacking in (Normalizer(), make_pipeline(Normalizer(), PCA(2))):
        with pytest.raises(ValueError, match=LACKS):
            DETECTOR(lacking).fit(X)
    with raises(
        ValueError,
        "expected an estimator with a density for measure='likelihood', got "
        "estimator=StandardScaler(). Pass estimator=VAETransformer(...), or another "
        "measure.",
    ):
        DETECTOR(StandardScaler(), measure="likelihood").fit(X)
    with raises(
        ValueError,
        "expected columns of numbers, because a detector compares cells with their "
        "reconstructions, and categories only with those of a transformer of "
        "sk_autoencoder, outside of a pipeline; got X with categories in 'job' and "
        "estimator=PCA(n_components=2). Encode them before the detector, as in "
        "make_pipeline(OneHotEncoder(sparse_output=False), "
        "AutoEncoderOutlierDetector(PCA())), or pass "
        "estimator=AutoEncoderTransformer(...), which reads tables.",
    ):
        DETECTOR(PCA(2)).fit(as_mixed(X))
    with raises(
        ValueError,
        "expected a transformer whose inverse_transform returns numbers of shape "
        "(200, 5), that of the rows, got an array of shape (200, 2) and dtype float64 "
        "from estimator=Rounding(back='fewer'). Pass one that undoes its transform.",
    ):
        DETECTOR(Rounding("fewer")).fit(X)
    with raises(
        ValueError,
        "expected a transformer whose transform returns numbers of shape (n_samples, "
        "n_components) for measure='latent', got an array of shape (200, 5) and dtype "
        "<U4 from estimator=Constant(codes='text'). Pass "
        "measure='reconstruction'.",
    ):
        DETECTOR(Constant(codes="text"), measure="latent").fit(X)


class Constant(Rounding):
    def inverse_transform(self, Z):
        return np.zeros(Z.shape)


def test_outputs_of_other_transformers_may_be_frames_and_sparse():
    expected = DETECTOR(StandardScaler()).fit(X).score_samples(X)
    framed = StandardScaler().set_output(transform="pandas")
    np.testing.assert_allclose(DETECTOR(framed).fit(X).score_samples(X), expected)
    thin = DETECTOR(Rounding("sparse")).fit(X).score_samples(X)
    np.testing.assert_allclose(thin, DETECTOR(Rounding()).fit(X).score_samples(X))


def test_what_is_not_reconstructed_is_refused_in_fit_and_an_outlier_later():
    with raises(
        ValueError,
        "expected finite reconstructions of the training rows, got others from "
        "estimator=Rounding(back='nothing'). Scale the columns first, or pass another "
        "one.",
    ):
        DETECTOR(Rounding("nothing")).fit(X)
    detector = DETECTOR(Rounding()).fit(X)
    detector.estimators_[0].back = "nothing"
    assert (detector.score_samples(X) < -1e10).all()
    assert np.isfinite(detector.explain(X)).all()


def test_save_of_another_transformer_is_refused(tmp_path):
    detector = DETECTOR(PCA(2)).fit(X)
    with raises(
        TypeError,
        "expected an estimator of a class of sk_autoencoder, or a pipeline of one with "
        "StandardScaler, MinMaxScaler or PCA, got estimator=PCA of "
        "sklearn.decomposition._pca, which load does not know. Dump the estimator "
        "around it with skops or joblib instead.",
    ):
        detector.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- progress


def test_progress_is_shown_as_asked_for(capsys):
    shown = {}
    for verbose in (0, 1, 2):
        DETECTOR(AE, threshold="held_out", cv=2, verbose=verbose).fit(X)
        shown[verbose] = capsys.readouterr()
    assert (shown[0].out, shown[0].err, shown[1].err, shown[2].out) == ("",) * 4
    lines = shown[1].out.splitlines()
    pattern = r"\[AutoEncoderOutlierDetector\] fitted (\d) of 3: (.*), \d+\.\d s"
    found = [re.fullmatch(pattern, line).groups() for line in lines]
    k = f"{AE.n_components} components"
    assert found == [("1", k), ("2", f"{k}, fold 1 of 2"), ("3", f"{k}, fold 2 of 2")]
    assert "3/3" in shown[2].err
    DETECTOR(random_state=0, verbose=1, threshold="held_out", cv=3).fit(X[:4])
    lines = capsys.readouterr().out.splitlines()
    # The default's members hold out rows themselves: no further fits.
    assert "fitted 3 of 3: " in lines[-1]
    DETECTOR(random_state=0, verbose=1).fit(X)
    assert "fitted 3 of 3: " in capsys.readouterr().out
    DETECTOR(PCA(2), random_state=0, verbose=1).fit(X)
    assert "fitted 1 of 1: PCA, " in capsys.readouterr().out


def test_progress_does_not_change_the_fit():
    quiet, loud = DETECTOR(random_state=0), DETECTOR(random_state=0, verbose=2)
    np.testing.assert_array_equal(
        quiet.fit(X).score_samples(X), loud.fit(X).score_samples(X)
    )


# -------------------------------------------------------------------------- threshold


@pytest.mark.parametrize("threshold", ["train", "held_out"])
def test_set_threshold_is_what_a_fit_would_have_chosen(threshold, tmp_path):
    made = {"random_state": 0, "threshold": threshold, "cv": 2}
    detector = DETECTOR(AE, contamination=0.1, **made).fit(X)
    detector.save(tmp_path / "model")
    loaded = sk_autoencoder.load(tmp_path / "model")
    for share in (0.25, 0.01, 0.5, 0.1):
        expected = DETECTOR(AE, contamination=share, **made).fit(X)
        for each in (detector, loaded):
            assert each.set_threshold(contamination=share) is each
            assert each.offset_ == expected.offset_
            assert each.contamination == 0.1
            np.testing.assert_array_equal(each.predict(X), expected.predict(X))
    loaded.save(tmp_path / "again")
    again = sk_autoencoder.load(tmp_path / "again")
    assert again.offset_ == loaded.offset_
    assert again.set_threshold(0.25).offset_ == loaded.set_threshold(0.25).offset_


def test_scores_of_many_rows_are_kept_as_quantiles(monkeypatch):
    full = DETECTOR(AE).fit(X)
    monkeypatch.setattr("sk_autoencoder._outliers.threshold.MOST_SCORES", 50)
    few = DETECTOR(AE).fit(X)
    assert len(few._training_scores) == 50
    assert few.offset_ == full.offset_
    for share in (0.05, 0.1, 0.5):
        found = few.set_threshold(share).predict(X) == -1
        assert found.mean() == pytest.approx(share, abs=1 / 50)


@pytest.mark.parametrize("share", [0, 0.6, -0.1, "few"])
def test_set_threshold_refuses_shares_outside_of_their_range(share):
    detector = DETECTOR(AE).fit(X)
    before = detector.offset_
    with raises(
        ValueError,
        "The 'contamination' parameter of set_threshold must be a float in the range "
        f"(0.0, 0.5]. Got {share!r} instead.",
    ):
        detector.set_threshold(contamination=share)
    assert detector.offset_ == before


def test_set_threshold_asks_for_a_fit_and_for_scores():
    with pytest.raises(ValueError, match="is not fitted yet"):
        DETECTOR().set_threshold(0.2)
    folder = Path(__file__).parents[1] / "saving" / "files_0_1_0"
    with pytest.warns(InconsistentVersionWarning):
        old = sk_autoencoder.load(folder / "detector.safetensors")
    assert old.get_params()["verbose"] == 0
    with raises(
        ValueError,
        "expected a detector with the scores of its training rows, got one from a file "
        "of version 0.1.0, which holds none. Fit it again.",
    ):
        old.set_threshold(0.2)
    fitted = clone(old).fit(X)
    assert fitted.set_threshold(0.2) is fitted


def test_rows_with_missing_cells_are_scored_in_their_dtype():
    detector = AutoEncoderOutlierDetector(random_state=0).fit(GAPPY[:150])
    rows = GAPPY[150:]
    scores = detector.score_samples(rows.astype(np.float32))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, detector.score_samples(rows), rtol=1e-4)
