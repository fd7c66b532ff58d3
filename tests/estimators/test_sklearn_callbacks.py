"""scikit-learn's own callbacks, which came with its version 1.9."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_autoencoder
from sk_autoencoder import AutoEncoderTransformer, VAETransformer

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
