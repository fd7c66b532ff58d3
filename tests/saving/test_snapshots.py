"""Fits that are killed and called again, and what their folder may hold.

A fit that is killed leaves its folder as it is at that moment. So the folder is copied
in the midst of each write, and the same call goes on from each copy; a few fits are
killed for good.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from killed_fits import CASES, SMALL, X, differences, gave
from safetensors.numpy import load_file
from saved_files import SavedFile
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping, PrintLog

import sk_autoencoder
from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer
from sk_autoencoder._saving import atomic_file, snapshots
from sk_autoencoder._saving.state import capture
from sk_autoencoder._training.run import TrainingRun
from sk_autoencoder.metrics import reconstruction_scorer

SCRIPT = Path(__file__).parents[1] / "killed_fits.py"
# Of the copies of a folder so many are gone on from: SK_AUTOENCODER_KILLS=20 pytest ...
N_COPIES = int(os.environ.get("SK_AUTOENCODER_KILLS", "1"))
# Those of a detector's fits; of any other estimator there is one.
N_FILES = {"detector": 3, "detector of a table": 3, "folds": 4}


def small(**params):
    given = {"n_components": 3, "checkpoint_interval": 0, **SMALL, **params}
    return AutoEncoderTransformer(**given)


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def copies(monkeypatch, tmp_path):
    """Copy the folder of a file whenever one is about to be replaced."""
    found = []

    def replace(source, target):
        copy = tmp_path / f"copy {len(found)}"
        shutil.copytree(Path(target).parent, copy)
        found.append(copy)
        return os.rename(source, target)

    monkeypatch.setattr(atomic_file.os, "replace", replace)
    return found


@pytest.fixture
def no_training(monkeypatch):
    """Let no run train."""

    def train(run):
        raise AssertionError("expected a fit that is taken up")

    return lambda: monkeypatch.setattr(TrainingRun, "train_epochs", train)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_a_killed_fit_goes_on_to_the_bit(name, copies, tmp_path):
    estimator, samples = CASES[name]
    expected = gave(clone(estimator).fit(samples), samples)
    taking = clone(estimator).set_params(
        checkpoint_dir=tmp_path / "own", checkpoint_interval=0
    )
    assert not differences(gave(clone(taking).fit(samples), samples), expected)
    assert len(copies) > 6
    chosen = np.random.default_rng(len(name)).permutation(copies)[:N_COPIES]
    for copy in [*chosen, tmp_path / "own"]:
        again = clone(taking).set_params(checkpoint_dir=copy).fit(samples)
        assert not differences(gave(again, samples), expected), copy
        assert files(copy) == files(tmp_path / "own")  # no lock, no part of a file
        assert len(files(copy)) == N_FILES.get(name, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks no processes")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_killed_processes(number):
    command = [sys.executable, SCRIPT, str(number), str(number)]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{number} equal results" in done.stdout


def test_a_finished_fit_is_taken_up_without_training(tmp_path, no_training):
    fitted = small(checkpoint_dir=tmp_path, ordered=True).fit(X)
    (name,) = files(tmp_path)
    sizes = [array.size for array in load_file(tmp_path / name).values()]
    no_training()
    again = small(checkpoint_dir=str(tmp_path), ordered=True, verbose=0).fit(X)
    assert not differences(gave(again), gave(fitted))
    # The optimizer's moments, as many as weights, are the only difference.
    assert capture(fitted._fitted).net.optimizer["state"]
    assert not capture(again._fitted).net.optimizer["state"]
    # Two generators of each of two nets, of 5,056 bytes each.
    n_weights = sum(p.numel() for p in again.module_.parameters())
    assert sum(sizes) < 2.7 * n_weights + 20_224
    # Its history too is that of the fit, seconds included.
    assert again.history_ == fitted.history_


def test_files_are_as_large_as_the_guide_says(tmp_path):
    wide = small(checkpoint_dir=tmp_path, hidden_layer_sizes=(300, 200))
    sizes = []
    killed(wide)
    sizes.append((tmp_path / files(tmp_path)[0]).stat().st_size)
    wide.fit(X)
    sizes.append((tmp_path / files(tmp_path)[0]).stat().st_size)
    n_bytes = sum(p.numel() * p.element_size() for p in wide.module_.parameters())
    # Weights, their average, two moments of Adam, and the best state.
    np.testing.assert_allclose(sizes, [5 * n_bytes, 2 * n_bytes], rtol=0.05)


def test_training_goes_on_from_a_fit_that_was_taken_up(tmp_path):
    small(checkpoint_dir=tmp_path).fit(X)
    again = small(checkpoint_dir=tmp_path).fit(X)
    again.set_params(warm_start=True).fit(X)
    assert again.n_iter_ == 12
    assert len(files(tmp_path)) == 2
    # What it started from is part of the file's name.
    same = small(checkpoint_dir=tmp_path).fit(X)
    same.set_params(warm_start=True).fit(X)
    assert not differences(gave(same), gave(again))
    assert len(files(tmp_path)) == 2
    same.partial_fit(X)
    assert len(files(tmp_path)) == 2


def test_partial_fit_takes_no_snapshots(tmp_path):
    small(checkpoint_dir=tmp_path / "new", random_state=None).partial_fit(X)
    assert not (tmp_path / "new").exists()


def test_a_search_skips_what_is_done(tmp_path, no_training):
    search = GridSearchCV(
        small(checkpoint_dir=tmp_path),
        {"n_components": [2, 3]},
        scoring=reconstruction_scorer,
        cv=2,
    )
    first = clone(search).fit(X)
    assert len(files(tmp_path)) == 5  # the best is fitted to all samples
    no_training()
    again = clone(search).fit(X)
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], first.cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize("estimator", [None, small(checkpoint_interval=60.0)])
def test_a_detector_takes_up_what_is_done(estimator, tmp_path, no_training):
    rows = X[:60, :6]
    given = {"novelty": True, "cv": 2, "random_state": 0, "estimator": estimator}
    expected = AutoEncoderOutlierDetector(**given).fit(rows).score_samples(rows)
    given |= {"checkpoint_dir": tmp_path / "folder", "checkpoint_interval": 0}
    fits, run = [], TrainingRun.train_epochs

    def third_is_killed(self):
        fits.append(self)
        if len(fits) == 3:
            raise MemoryError
        run(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingRun, "train_epochs", third_is_killed)
        with pytest.raises(MemoryError):
            AutoEncoderOutlierDetector(**given).fit(rows)
    again = AutoEncoderOutlierDetector(**given).fit(rows)
    np.testing.assert_array_equal(again.score_samples(rows), expected)
    assert len(files(tmp_path / "folder")) == 3
    again.save(tmp_path / "detector")
    assert b"folder" not in (tmp_path / "detector").read_bytes()
    no_training()
    again = AutoEncoderOutlierDetector(**given).fit(rows)
    np.testing.assert_array_equal(again.score_samples(rows), expected)
    given["random_state"] = None
    with pytest.raises(ValueError, match="expected an int random_state for checkpoint"):
        AutoEncoderOutlierDetector(**given).fit(rows)


def test_a_folder_may_go_at_any_time(tmp_path, monkeypatch):
    folder, keep = tmp_path / "folder", snapshots.Snapshots.keep

    def remove(self, state):
        shutil.rmtree(folder)
        keep(self, state)

    monkeypatch.setattr(snapshots.Snapshots, "keep", remove)
    fitted = small(checkpoint_dir=folder).fit(X)
    assert not differences(gave(fitted), gave(small().fit(X)))
    assert len(files(folder)) == 1


def test_snapshots_are_as_rare_as_asked_for(copies, tmp_path):
    small(checkpoint_dir=tmp_path / "own", checkpoint_interval=60).fit(X)
    assert len(copies) == 1  # what the fit gave


# -- interrupts and errors -------------------------------------------------------------


def killed(estimator, error=MemoryError, samples=X):
    """Fit an estimator until its fifth epoch, and leave it as it was."""
    run_epoch = TrainingRun._run_epoch

    def until(run, epoch):
        if epoch == 5:
            raise error
        return run_epoch(run, epoch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingRun, "_run_epoch", until)
        with pytest.raises(error):
            estimator.fit(samples)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_ends_a_fit_leaves_a_snapshot(error, tmp_path):
    patient = small(checkpoint_dir=tmp_path, checkpoint_interval=60)
    killed(patient, error)
    assert hasattr(patient, "module_") == (error is KeyboardInterrupt)
    (name,) = files(tmp_path)
    found = snapshots.read_snapshot(tmp_path / name)
    assert [len(run.net.history) for run in found.runs] == [4]
    assert not found.is_finished
    # A fit goes on from there, whatever the estimator holds.
    assert not differences(gave(patient.fit(X)), gave(small().fit(X)))


def test_a_full_disk_costs_the_snapshots_alone(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "disk")

    monkeypatch.setattr(snapshots, "write_state", full)
    with pytest.warns(UserWarning, match="No snapshot could be .*No space") as caught:
        fitted = small(checkpoint_dir=tmp_path).fit(X)
    assert len(caught) == 1
    assert not differences(gave(fitted), gave(small().fit(X)))
    assert files(tmp_path) == []


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_only_an_int_random_state_goes_with_a_folder(random_state, tmp_path):
    estimator = small(random_state=random_state, checkpoint_dir=tmp_path / "new")
    with pytest.raises(ValueError, match="expected an int random_state for checkpoint"):
        estimator.fit(X)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="expected a folder for files of snapshots, got"):
        small(checkpoint_dir=tmp_path / "file").fit(X)
    assert files(tmp_path) == ["file"]


def test_a_parameter_that_nobody_finds_again_is_refused(tmp_path):
    # Of a class in C, which does not tell what it was made of.
    estimator = small(checkpoint_dir=tmp_path, lr_schedule=itemgetter(0))
    with pytest.raises(TypeError, match="got lr_schedule, which it cannot, because"):
        estimator.fit(X)
    assert files(tmp_path) == []


# -- two at a time ---------------------------------------------------------------------


def test_the_second_of_two_fits_runs_without_snapshots(tmp_path, monkeypatch):
    expected, results, keep = gave(small().fit(X)), [], snapshots.Snapshots.keep
    second_is_done = threading.Event()

    def wait(self, state):
        keep(self, state)
        if self._lock is not None:
            assert second_is_done.wait(60)

    monkeypatch.setattr(snapshots.Snapshots, "keep", wait)
    first_has_begun = threading.Event()
    write = snapshots.Snapshots._write

    def begun(self):
        write(self)
        first_has_begun.set()

    monkeypatch.setattr(snapshots.Snapshots, "_write", begun)

    def fit():
        results.append(gave(small(checkpoint_dir=tmp_path).fit(X)))

    first = threading.Thread(target=fit)
    first.start()
    assert first_has_begun.wait(60)
    fit()
    assert len(results) == 1
    second_is_done.set()
    first.join()
    for result in results:
        assert not differences(result, expected)
    assert len(results) == 2
    assert len(files(tmp_path)) == 1


# -- what the folder holds ---------------------------------------------------------


def test_verbose_names_the_parameter_that_differs(tmp_path, capsys):
    small(checkpoint_dir=tmp_path).fit(X)
    small(checkpoint_dir=tmp_path, n_components=2, lr=0.1).fit(X)
    capsys.readouterr()
    small(checkpoint_dir=tmp_path, n_components=2, lr=0.2, verbose=1).fit(X)
    printed = capsys.readouterr().out
    assert "the one most like it differs in lr: 0.2 here, 0.1 there" in printed
    small(checkpoint_dir=tmp_path, verbose=1).fit(X[:80])
    printed = capsys.readouterr().out
    assert "differs in X.shape: (80, 16) here, (90, 16) there" in printed
    small(checkpoint_dir=tmp_path, verbose=1).fit(X)
    assert "Taken up from " in capsys.readouterr().out


def taken_apart(folder):
    """Return the file in a folder, and its parts."""
    (name,) = files(folder)
    return folder / name, SavedFile((folder / name).read_bytes())


def test_a_file_of_another_fit_is_refused(tmp_path):
    killed(small(checkpoint_dir=tmp_path))
    path, _ = taken_apart(tmp_path)
    killed(small(checkpoint_dir=tmp_path / "other", n_components=2))
    other, _ = taken_apart(tmp_path / "other")
    shutil.copy(other, path)
    shutil.rmtree(other.parent)
    with pytest.raises(ValueError, match="it is of another fit than its name") as error:
        small(checkpoint_dir=tmp_path).fit(X)
    assert path.name in str(error.value)
    assert "Delete it" in str(error.value)
    assert files(tmp_path) == [path.name]
    # Fits of other names pass it by.
    small(checkpoint_dir=tmp_path, n_components=4).fit(X)


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -1])
def test_half_a_file_is_refused(size, tmp_path):
    killed(small(checkpoint_dir=tmp_path))
    path, _ = taken_apart(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    fitted = small().fit(X)
    before = gave(fitted)
    fitted.set_params(checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="expected a snapshot of this fit in"):
        fitted.fit(X)
    assert not differences(gave(fitted), before)


def of_twice_the_size(file):
    raw = ("runs", 0, "net", "raw_weights", 0)
    file.give(np.zeros(2 * file.arrays[file.array(*raw)].size, "f4"), *raw)


def of_nan(file):
    best = ("runs", 0, "best", "columns.mean")
    file.give(np.full_like(file.arrays[file.array(*best)], np.nan), *best)


HARM = {
    "another size": of_twice_the_size,
    "NaN": of_nan,
    "no module": lambda file: file.put({"$dict": []}, "runs", 0, "net", "module"),
    "no best": lambda file: file.put({"$dict": []}, "runs", 0, "best"),
    "a late best epoch": lambda file: file.put(7, "runs", 0, "best_epoch"),
    "no losses": lambda file: file.put([{"$dict": []}], "runs", 0, "net", "history"),
    "a list": lambda file: file.put([], "runs", 0),
    "twice": lambda file: file.put(2 * file.at("runs"), "runs"),
    "a text of frozen": lambda file: file.put("encoder", "runs", 0, "frozen"),
    "a callback of lists": lambda file: file.put(
        {"$dict": [["valid_loss", []]]}, "runs", 0, "callbacks"
    ),
    "a score of text": lambda file: file.put(
        {"$dict": [["valid_loss", {"$dict": [["best_score_", "0"]]}]]},
        "runs",
        0,
        "callbacks",
    ),
    "another moment": lambda file: file.put(
        {"$dict": []}, "runs", 0, "net", "optimizer", "param_groups", 0
    ),
    "a generator": lambda file: file.put(
        {"$array": file.array("runs", 0, "net", "raw_weights", 0), "shape": [1]},
        "runs",
        0,
        "net",
        "order",
    ),
    "finished in an epoch": lambda file: file.put(True, "is_finished"),
    "another name": lambda file: file.put("0.3", "fit", "lr"),
    "no fit": lambda file: file.put({"$dict": []}, "fit"),
}


@pytest.mark.parametrize("harm", HARM)
def test_files_that_do_harm_are_refused(harm, tmp_path):
    killed(small(checkpoint_dir=tmp_path))
    path, file = taken_apart(tmp_path)
    HARM[harm](file)
    path.write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="expected a snapshot of this fit in"):
        small(checkpoint_dir=tmp_path).fit(X)


def test_a_finished_file_of_too_few_runs_is_refused(tmp_path):
    small(checkpoint_dir=tmp_path, n_components=0.45).fit(X)
    path, file = taken_apart(tmp_path)
    names = json.dumps(file.at("runs", 1))
    file.arrays = {k: v for k, v in file.arrays.items() if k not in names}
    file.put(file.at("runs")[:1], "runs")
    path.write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="because: a fit has more runs"):
        small(checkpoint_dir=tmp_path, n_components=0.45).fit(X)


def test_load_says_that_a_snapshot_is_no_estimator(tmp_path):
    small(checkpoint_dir=tmp_path).fit(X)
    path, _ = taken_apart(tmp_path)
    with pytest.raises(ValueError, match="it holds a 'SnapshotFile'"):
        sk_autoencoder.load(path)


def test_a_saved_estimator_names_no_folder(tmp_path):
    fitted = small(checkpoint_dir=tmp_path / "folder").fit(X)
    fitted.save(tmp_path / "model")
    assert b"folder" not in (tmp_path / "model").read_bytes()
    assert sk_autoencoder.load(tmp_path / "model").checkpoint_dir is None
    file = SavedFile((tmp_path / "model").read_bytes())
    file.put("/", "checkpoint_dir")
    (tmp_path / "model").write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="a folder for snapshots"):
        sk_autoencoder.load(tmp_path / "model")


# -- callbacks -----------------------------------------------------------------------


class Counts(Callback):
    """Counts epochs, and forgets."""

    def __init__(self, step=1):
        self.step, self.n_epochs_ = step, 0

    def on_epoch_end(self, net, **_):
        self.n_epochs_ += self.step


class Remembers(Counts):
    def state_dict(self):
        return {"n": self.n_epochs_, "array": np.ones(3)}

    def load_state_dict(self, state):
        assert state["array"].shape == (3,)
        self.n_epochs_ = state["n"]


@pytest.mark.parametrize("kind", [Counts, Remembers])
def test_callbacks_of_a_users_own(kind, tmp_path):
    expected = gave(small(callbacks=[kind()]).fit(X))
    killed(small(checkpoint_dir=tmp_path, callbacks=[kind()]))
    counts = kind()
    again = small(checkpoint_dir=tmp_path, callbacks=[counts])
    if kind is Counts:
        with pytest.warns(
            UserWarning, match="after epoch 4, but Counts has no state_d"
        ):
            again.fit(X)
    else:
        again.fit(X)
    assert counts.n_epochs_ == 6
    assert not differences(gave(again), expected)
    # It sees each epoch of the next fit: nothing is taken up.
    assert files(tmp_path) == []
    again.fit(X)
    assert counts.n_epochs_ == 12


class Writes(Callback):
    """Holds what no file can."""

    def __init__(self, file):
        self.file = file


def test_a_callback_may_hold_anything(tmp_path):
    expected = gave(small().fit(X))
    with (tmp_path / "log").open("w") as log:
        held = small(checkpoint_dir=tmp_path / "folder", callbacks=[Writes(log)])
        assert not differences(gave(held.fit(X)), expected)


def test_a_callback_of_skorchs_is_used_again(tmp_path):
    stopping = EarlyStopping(patience=3, load_best=True)
    expected = gave(small(callbacks=[stopping]).fit(X))  # it remembers that fit
    for _ in range(2):
        again = small(checkpoint_dir=tmp_path, callbacks=[stopping]).fit(X)
        assert not differences(gave(again), expected)
    assert len(files(tmp_path)) == 1


def test_callbacks_that_show_something_change_no_name(tmp_path, no_training, capsys):
    small(checkpoint_dir=tmp_path).fit(X)
    no_training()
    small(checkpoint_dir=tmp_path, callbacks=[PrintLog()], verbose=2).fit(X)
    assert len(files(tmp_path)) == 1
