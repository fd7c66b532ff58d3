"""scikit-learn's own callbacks, which came with its version 1.9."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)

pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has none")

X = load_digits().data[:200]
OURS = (AutoEncoderTransformer, VAETransformer)
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0}


class Recorder:
    """Keeps what it is told, and stops a run after an epoch."""

    max_propagation_depth = None

    def __init__(self, last=None):
        self.last, self.told = last, []

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        assert X is not None or not isinstance(estimator, OURS)
        n = context.max_subtasks
        self.told.append((type(estimator).__name__, context.task_name, n))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.told.append(f"end of {context.task_name}")
        self.fitted = fitted_estimator
        return context.task_name == "epoch" and context.task_id == self.last


def of(recorder, kind):
    return [item for item in recorder.told if isinstance(item, tuple) and kind in item]


NAME = "AutoEncoderTransformer"
EPOCH = [(NAME, "epoch", 0), "end of epoch"]


def test_every_epoch_is_a_task_and_no_digit_changes():
    recorder = Recorder()
    reducer = AutoEncoderTransformer(3, **SMALL).set_callbacks(recorder).fit(X)
    assert recorder.told == [
        "setup",
        (NAME, "fit", 4),
        *(4 * EPOCH),
        "end of fit",
        "teardown",
    ]
    codes = AutoEncoderTransformer(3, **SMALL).fit_transform(X)
    np.testing.assert_array_equal(reducer.transform(X), codes)
    np.testing.assert_array_equal(recorder.fitted.transform(X), codes)


def test_fit_of_several_runs_has_them_for_tasks():
    recorder = Recorder()
    reducer = AutoEncoderTransformer(3, ordered=True, init="pca", **SMALL)
    reducer.set_params(max_epochs=20, early_stopping=False, lr=0.01)
    reducer.set_callbacks(recorder).fit(X)
    assert recorder.told[1] == (NAME, "fit", None)
    runs = [n for _, _, n in of(recorder, "run")]
    assert runs == [reducer.n_iter_, 12]  # .6 times as many, rounded up
    assert len(of(recorder, "epoch")) == sum(runs)
    assert recorder.told.count("end of run") == len(runs)


def test_callback_stops_a_run():
    reducer = AutoEncoderTransformer(3, **SMALL).set_callbacks(Recorder(last=1))
    assert reducer.fit(X).n_iter_ == 2
    assert "; stopped by a callback; " in reducer.summary()


def test_failed_fit_tears_callbacks_down():
    recorder = Recorder()
    reducer = AutoEncoderTransformer(3, **SMALL).set_callbacks(recorder)
    with pytest.raises(ValueError, match="NaN"):
        reducer.fit(np.full_like(X, np.nan))
    assert recorder.told == ["setup", "teardown"]
    assert not [name for name in vars(reducer) if "ctx" in name or "teardown" in name]


def test_callbacks_reach_through_pipelines_and_searches():
    recorder = Recorder()
    pipeline = make_pipeline(StandardScaler(), VAETransformer(2, **SMALL))
    search = GridSearchCV(pipeline, {"vaetransformer__beta": [0.5, 1.0]}, cv=2)
    search.set_callbacks(recorder).fit(X)
    n_fits = 2 * 2 + 1  # of candidates and folds, and the best again
    assert of(recorder, "VAETransformer").count(("VAETransformer", "fit", 4)) == n_fits
    epochs = [item for item in of(recorder, "epoch") if item[0] == "VAETransformer"]
    assert len(epochs) == 4 * n_fits
    best = search.best_estimator_[-1]
    assert not [name for name in vars(best) if "skl" in name or "ctx" in name]


def test_callbacks_survive_copies_and_stay_out_of_files(tmp_path):
    reducer = AutoEncoderTransformer(3, checkpoint_dir=tmp_path / "runs", **SMALL)
    reducer.set_callbacks(Recorder()).fit(X)
    for again in (clone(reducer), copy.deepcopy(reducer)):
        assert isinstance(again._skl_callbacks[0], Recorder)
    reducer.save(tmp_path / "model")
    loaded = sk_autoencoder.load(tmp_path / "model")
    pickled = pickle.loads(pickle.dumps(reducer))
    for again in (loaded, pickled):
        np.testing.assert_array_equal(again.transform(X), reducer.transform(X))
    assert "_skl_callbacks" not in vars(loaded)


def test_stream_has_epochs_for_tasks():
    recorder = Recorder()
    reducer = AutoEncoderTransformer(3, **SMALL).set_callbacks(recorder)
    reducer.fit_batches(np.array_split(X, 3))
    assert len(of(recorder, "epoch")) == 4
    assert recorder.told[-1] == "teardown"


def test_callbacks_reach_the_transformer_of_extra_rows():
    recorder = Recorder()
    wrapped = ExtraRowsTransformer(AutoEncoderTransformer(3, **SMALL), extra_rows=X[:9])
    pipeline = make_pipeline(StandardScaler(), wrapped).set_callbacks(recorder).fit(X)
    fit = [(NAME, "fit", 4), *(4 * EPOCH), "end of fit"]
    begin = recorder.told.index(("ExtraRowsTransformer", "fit", 1))
    assert recorder.told[begin + 1 :][: len(fit) + 1] == [*fit, "end of fit"]
    assert (recorder.told.count("setup"), recorder.told.count("teardown")) == (1, 1)
    assert of(recorder, "epoch") == 4 * [(NAME, "epoch", 0)]
    for part in (pipeline[-1], pipeline[-1].transformer_):
        assert not [name for name in vars(part) if "skl" in name or "ctx" in name]
    expected = pipeline[-1].transformer_.transform(pipeline[0].transform(X))
    np.testing.assert_array_equal(pipeline.transform(X), expected)


@pytest.mark.parametrize("given", [{}, {"novelty": True, "cv": 2}])
def test_callbacks_reach_the_members_and_folds_of_a_detector(given):
    recorder, rows = Recorder(last=1), X[:60, 18:30]
    member = AutoEncoderTransformer(3, **SMALL) if given else None
    detector = AutoEncoderOutlierDetector(member, random_state=0, **given)
    detector.set_callbacks(recorder).fit(rows)
    assert recorder.told[1] == ("AutoEncoderOutlierDetector", "fit", 3)
    assert (recorder.told[0], recorder.told[-1]) == ("setup", "teardown")
    fits = [item for item in of(recorder, "fit") if item[0] == NAME]
    assert len(fits) == 3
    assert len(of(recorder, "epoch")) == 6  # two of each fit, then they are stopped
    assert {e.n_iter_ for e in detector.estimators_} == {2}
    assert recorder.told.count("end of fit") == 4
    scores = recorder.fitted.score_samples(rows)
    np.testing.assert_array_equal(detector.score_samples(rows), scores)
    for part in detector.estimators_:
        assert not [name for name in vars(part) if "skl" in name or "ctx" in name]


def test_a_detector_of_what_takes_no_callbacks_has_tasks_and_warns():
    recorder = Recorder()
    detector = AutoEncoderOutlierDetector(PCA(2)).set_callbacks(recorder)
    with pytest.warns(UserWarning, match="PCA does not support callbacks"):
        detector.fit(X[:, 18:30])
    assert of(recorder, "fit-estimator") == [
        ("AutoEncoderOutlierDetector", "fit-estimator", 0)
    ]


def test_a_failed_fit_of_a_detector_leaves_its_callbacks():
    recorder = Recorder()
    detector = AutoEncoderOutlierDetector().set_callbacks(recorder)
    with pytest.raises(ValueError, match="infinity"):
        detector.fit(np.full_like(X, np.inf))
    assert recorder.told == ["setup", "teardown"]
    assert detector._skl_callbacks == [recorder]
    assert not [name for name in vars(detector) if "ctx" in name or "teardown" in name]


def test_callbacks_of_a_detector_stay_out_of_files_and_streams(tmp_path):
    recorder, rows = Recorder(), X[:60, 18:30]
    detector = AutoEncoderOutlierDetector(random_state=0).set_callbacks(recorder)
    detector.partial_fit(rows[:40]).partial_fit(rows[40:])
    assert (recorder.told.count("setup"), recorder.told.count("teardown")) == (2, 2)
    detector.fit(rows).save(tmp_path / "detector")
    loaded = sk_autoencoder.load(tmp_path / "detector")
    expected = detector.score_samples(rows)
    np.testing.assert_array_equal(loaded.score_samples(rows), expected)
    assert "_skl_callbacks" not in vars(loaded)
