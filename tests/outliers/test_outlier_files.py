"""A saved detector: there and back to the bit, and files that were tampered with."""

import json
import pickle

import numpy as np
import pytest
from made_tables import adult_rows
from saved_files import SavedFile
from sklearn.base import clone

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
PEOPLE = adult_rows(150)
X = np.random.default_rng(0).standard_normal((80, 5))
DETECTOR = AutoEncoderOutlierDetector

CASES = {
    "default": (DETECTOR(random_state=0), X),
    "float32": (DETECTOR(random_state=0), X.astype(np.float32)),
    "latent": (DETECTOR(AutoEncoderTransformer(2, **SMALL), measure="latent"), X),
    "latent, imputer": (
        DETECTOR(
            DenoisingAutoEncoderTransformer(
                features="reconstruction", loss="squared_error", **SMALL
            ),
            measure="latent",
        ),
        X,
    ),
    "likelihood": (
        DETECTOR(VAETransformer(2, prior="mixture", **SMALL), measure="likelihood"),
        X,
    ),
    "held_out": (
        DETECTOR(
            DenoisingAutoEncoderTransformer(2, **SMALL),
            measure="reconstruction",
            threshold="held_out",
            cv=2,
        ),
        X,
    ),
    "table": (DETECTOR(AutoEncoderTransformer(2, allow_missing=True, **SMALL)), PEOPLE),
    "generator": (DETECTOR(random_state=np.random.RandomState(1)), X),
}


@pytest.mark.parametrize("name", CASES)
def test_saved_loaded_saved_loaded_is_the_same_to_the_bit(name, tmp_path):
    detector, rows = CASES[name]
    last = detector.fit(rows)
    for i in range(2):
        last.save(tmp_path / str(i))
        last = sk_autoencoder.load(tmp_path / str(i))
    again = pickle.loads(pickle.dumps(detector))
    for other in (last, again):
        for method in ("score_samples", "decision_function", "predict", "explain"):
            expected = np.asarray(getattr(detector, method)(rows))
            np.testing.assert_array_equal(getattr(other, method)(rows), expected)
        assert other.offset_ == detector.offset_
        assert other.n_features_in_ == detector.n_features_in_
        assert other.get_params().keys() == detector.get_params().keys()
    fresh = clone(last).fit(rows)
    if name != "generator":  # the first fit has drawn from it
        expected = detector.score_samples(rows)
        np.testing.assert_array_equal(fresh.score_samples(rows), expected)
    if name == "table":
        assert list(last.feature_names_in_) == list(PEOPLE.columns)


class Own(AutoEncoderTransformer):
    """A transformer of one's own."""


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not fitted yet"):
        DETECTOR().save(tmp_path / "model")
    own = DETECTOR(Own(2, **SMALL)).fit(X)
    with pytest.raises(TypeError) as caught:
        own.save(tmp_path / "model")
    assert str(caught.value) == (
        "expected an estimator of a class of sk_autoencoder, or a pipeline of one with "
        "StandardScaler, MinMaxScaler or PCA, got estimator=Own of "
        f"{Own.__module__}, which load does not know. Dump the estimator around it "
        "with skops or joblib instead."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    DETECTOR(AutoEncoderTransformer(2, **SMALL), measure="latent").fit(X).save(path)
    return path.read_bytes()


SCALES = ("_scorer", "members", "scales")


def changed(*names, to):
    """Return a change of the JSON that is reached by names."""
    return lambda file: file.put(to, *names)


def without_scorer(file):
    file.remove("_scorer")
    for name in DETECTOR._saved_attributes[1:]:
        file.remove(name)
    file.arrays.clear()


def another_class(file):
    file.at("_scorer", "members", "estimators")[0]["$estimator"] = "PCA"


def without_codes(file):
    file.put({"$tuple": []}, "_scorer", "terms", 1, "code_scales")
    drop_unused(file)


def two_of_a_kind(file):
    terms = file.at("_scorer", "terms")["$tuple"]
    terms[1] = {"$record": "Marginal", "fields": {"$dict": []}}
    terms.append(terms[1])
    drop_unused(file)


def a_likelihood(file):
    likelihood = {"$record": "Likelihood", "fields": {"$dict": []}}
    file.put({"$tuple": [likelihood]}, "_scorer", "terms")
    drop_unused(file)


def drop_unused(file):
    text = json.dumps(file.header)
    for name in list(file.arrays):
        if json.dumps(name) not in text:
            del file.arrays[name]


def fewer_levels(file):
    file.put({"$tuple": []}, *SCALES, "level_distances")


def levels_of_a_number(file):
    file.arrays["levels"] = np.ones(3)
    levels = file.at(*SCALES, "level_distances")["$tuple"]
    levels[0] = {"$array": "levels", "shape": [3]}


def another_shape(file):
    names = (*SCALES, "scale")
    file.give(file.arrays[file.array(*names)][np.newaxis], *names)


def below_zero(file):
    file.arrays[file.array(*SCALES, "scale")][0] = -1


def of_default(*names, to):
    """Return a change of an array of the default detector's ranks or exemplars."""

    def change(file):
        names_of = ("_scorer", "terms", 1, *names)
        file.give(to(file.arrays[file.array(*names_of)]), *names_of)

    return change


def levels_of_exemplars(file):
    shape = file.arrays[file.array("_scorer", "terms", 1, "exemplars", "scores")].shape
    file.arrays["levels"] = np.zeros((shape[0], 1))
    file.put(
        {"$array": "levels", "shape": [shape[0], 1]},
        *("_scorer", "terms", 1, "exemplars", "levels"),
    )


def held_out_of_one(file):
    file.put({"$tuple": file.at("_held_out")["$tuple"][:1]}, "_held_out")
    drop_unused(file)


def held_out_of_none(file):
    file.at("_held_out")["$tuple"][0] = None
    drop_unused(file)


RANKS = ("normal_scores", "up_to")
BROKEN_DEFAULT = {
    "ranks of other columns": (
        lambda file: [
            of_default("normal_scores", name, to=lambda a: a[:-1])(file)
            for name in ("values", "below", "up_to", "least")
        ],
        "ranks of other columns",
    ),
    "falling ranks": (
        of_default(*RANKS, to=lambda a: a[:, ::-1].copy()),
        "ranks that are not in their order",
    ),
    "a rank above 1": (
        of_default(*RANKS, to=lambda a: a + 1),
        "a NormalScores of up_to",
    ),
    "no rank at all": (
        of_default("normal_scores", "least", to=lambda a: 0 * a),
        "a NormalScores of least out of range",
    ),
    "exemplars of other columns": (
        of_default("exemplars", "scores", to=lambda a: a[:, :-1].copy()),
        "exemplars of other columns",
    ),
    "levels without categories": (levels_of_exemplars, "levels of other columns"),
    "no usual size": (
        of_default("usual", to=lambda a: 0 * a),
        "a Ranks of usual out of",
    ),
    "weights of other terms": (
        changed("_scorer", "weights", to={"$tuple": [1.0]}),
        "weights of other terms",
    ),
    "a weight of nothing": (
        changed("_scorer", "weights", to={"$tuple": [1.0, 0.0]}),
        "weights of other terms",
    ),
    "held-out scores of others": (
        held_out_of_one,
        "held-out scores of other estimators",
    ),
    "no held-out scores": (held_out_of_none, "no scores of held-out rows"),
    "falling held-out scores": (
        lambda file: file.give(
            file.arrays[file.array("_held_out", 0)][::-1].copy(), "_held_out", 0
        ),
        "scores that are not finite or not in their order",
    ),
}


@pytest.fixture(scope="module")
def saved_default(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    DETECTOR(random_state=0).fit(X).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", BROKEN_DEFAULT)
def test_tampered_files_of_the_default_are_refused(name, saved_default, tmp_path):
    change, reason = BROKEN_DEFAULT[name]
    message = refusal(saved_default, change, tmp_path / "model")
    assert f"because: {reason}" in message


BROKEN = {
    "no scorer": (
        without_scorer,
        "it holds a 'AutoEncoderOutlierDetector' that is not fitted",
    ),
    "not a scorer": (
        changed("_scorer", to=3),
        "a scorer that is none",
    ),
    "not an estimator": (
        changed("_scorer", "members", "estimators", to=[None]),
        "an estimator that is not fitted to 5 columns",
    ),
    "unknown estimator": (another_class, "an estimator called 'PCA'"),
    "terms of no measure": (two_of_a_kind, "terms of no measure"),
    "no density": (
        a_likelihood,
        "a likelihood of estimators without a density",
    ),
    "no codes": (without_codes, "scales of other codes"),
    "fewer levels": (fewer_levels, "scales of other columns"),
    "levels of a number": (levels_of_a_number, "levels of a number, or none"),
    "offset of text": (
        changed("offset_", to="none"),
        "offset_='none', which is no finite number",
    ),
    "infinite offset": (
        changed("offset_", to=float("inf")),
        "offset_=inf, which is no finite number",
    ),
    "other columns": (
        changed("n_features_in_", to=6),
        "an estimator that is not fitted to 6 columns",
    ),
    "another shape": (another_shape, "a RobustScales of scale of shape (1, 5)"),
    "a unit below 0": (below_zero, "a RobustScales of scale out of range: array([-1."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_tampered_files_are_refused(name, saved, tmp_path):
    change, reason = BROKEN[name]
    message = refusal(saved, change, tmp_path / "model")
    assert f"because: {reason}" in message


def refusal(saved, change, path):
    """Return the message of loading a file that loaded before a change."""
    file = SavedFile(saved)
    path.write_bytes(file.to_bytes())
    sk_autoencoder.load(path)
    change(file)
    path.write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="expected a file that save has written") as e:
        sk_autoencoder.load(path)
    return str(e.value)
