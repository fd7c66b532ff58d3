"""skorch's loggers and other callbacks that leave the steps of a fit alone."""

import pickle
import re
import sys
import types
from collections import defaultdict

import numpy as np
import pytest
from sklearn.datasets import load_digits
from skorch.callbacks import (
    Callback,
    InputShapeSetter,
    MlflowLogger,
    NeptuneLogger,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    WandbLogger,
)

from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder._training.callbacks import hooks_batches

X = load_digits().data[:300]
N_EPOCHS, N_BATCHES = 3, 9  # of 270 samples for training


class Writer:
    """Stands in for the writers of all trackers, and keeps what it is given."""

    def __init__(self, path=None):
        self.dir, self.values = path, defaultdict(list)
        self.info = types.SimpleNamespace(run_id="run")

    def add_scalar(self, tag, scalar_value, global_step):
        self.values[tag.removeprefix("Loss/")].append(scalar_value)

    def log_scalar(self, key, value, step=None):
        self.values[key].append(value)

    def log_metric(self, run_id, key, value, step):
        self.values[key].append(value)

    def log_artifact(self, run_id, path):
        assert path.stat().st_size > 0
        self.values["artifacts"].append(path.name)

    def log(self, values):
        for key, value in values.items():
            self.values[key].append(value)

    def watch(self, module):
        self.values["watched"].append(module)

    def set_terminated(self, run_id):
        self.close()

    def close(self):
        self.values["closed"].append(True)


class Folder(dict):
    """Stands in for a run of Neptune: folders in folders, made when they are read."""

    def __missing__(self, key):
        self[key] = Folder()
        return self[key]

    def append(self, value):
        self.setdefault("", []).append(value)

    stop = close = lambda self: None


@pytest.fixture
def neptune(monkeypatch):
    file = types.SimpleNamespace(from_content=lambda text, extension: text)
    types_ = types.ModuleType("neptune.types")
    types_.File = file
    handler = types.ModuleType("neptune.handler")
    handler.Handler = Folder
    Folder.get_root_object = lambda self: self
    package = types.ModuleType("neptune")
    for name, module in (("", package), (".types", types_), (".handler", handler)):
        monkeypatch.setitem(sys.modules, f"neptune{name}", module)


def make_loggers(path, **params):
    """Each of skorch's loggers, and where it writes the training loss."""
    writer, folder = Writer(path), Folder()
    return {
        "tensorboard": (TensorBoard(writer), writer.values),
        "wandb": (WandbLogger(writer), writer.values),
        "mlflow": (MlflowLogger(writer, writer, **params), writer.values),
        "sacred": (SacredLogger(writer, **params), writer.values),
        "neptune": (NeptuneLogger(folder, **params), folder),
    }


def fit(*callbacks):
    return AutoEncoderTransformer(
        3, callbacks=list(callbacks), max_epochs=N_EPOCHS, batch_size=30, random_state=0
    ).fit(X)


@pytest.mark.parametrize("name", make_loggers(None))
def test_logger_gets_every_epoch_and_changes_no_digit(name, tmp_path, neptune):
    logger, values = make_loggers(tmp_path)[name]
    assert not hooks_batches(logger)
    plain, logged = fit(), fit(logger)
    assert logged.loss_curve_ == plain.loss_curve_
    np.testing.assert_array_equal(logged.transform(X), plain.transform(X))
    if name == "neptune":
        assert values["training"]["train"]["epoch"]["loss"][""] == plain.loss_curve_
    else:
        assert values["train_loss"] == plain.loss_curve_
        assert values["valid_loss"] == plain.validation_loss_curve_


@pytest.mark.parametrize("name", ["mlflow", "sacred", "neptune"])
def test_logger_gets_batches_where_it_is_told_to(name, tmp_path, neptune):
    logger, values = make_loggers(tmp_path, log_on_batch_end=True)[name]
    plain, logged = fit(), fit(logger)
    if name == "neptune":
        found = values["training"]["train"]["batch"]["loss"][""]
    else:
        found = values["train_loss_batch"]
    # Each is logged once more with the validation batch that follows in its epoch.
    assert len(found) >= N_EPOCHS * N_BATCHES
    np.testing.assert_allclose(logged.loss_curve_, plain.loss_curve_, rtol=1e-4)


class Overriding(TensorBoard):
    def on_batch_end(self, net, **kwargs):
        self.n_batches_ = getattr(self, "n_batches_", 0) + 1


class CountingBar(ProgressBar):
    def on_grad_computed(self, net, **kwargs):
        self.n_steps_ = getattr(self, "n_steps_", 0) + 1


def test_hooks_of_subclasses_are_called():
    board, bar = Overriding(Writer()), CountingBar()
    fit(board)
    fit(bar)
    assert board.n_batches_ == N_EPOCHS * (N_BATCHES + 1)
    assert bar.n_steps_ == N_EPOCHS * N_BATCHES


def test_setter_of_input_shapes_has_nothing_to_do():
    plain, also = fit(), fit(InputShapeSetter(), ("shapes", InputShapeSetter("width")))
    np.testing.assert_array_equal(also.transform(X), plain.transform(X))


def test_passed_through_score_is_that_of_the_epoch():
    scorer = PassthroughScoring("train_loss", on_train=True)
    plain, also = fit(), fit(("again", scorer))
    assert also.loss_curve_ == plain.loss_curve_
    assert scorer.best_score_ == min(plain.loss_curve_)


class Keep(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.pickle_ = pickle.dumps(net)
        # skorch moves what is in it to the device, where no generator takes its state.
        self.on_device_ = net.__getstate__()["__cuda_dependent_attributes__"]
        assert net.module_.generator is net.noise_
        self.weights_ = [w.detach().clone() for w in net.module_.parameters()]


def test_net_pickles_inside_a_callback():
    keep = Keep()
    plain, kept = fit(), fit(keep)
    np.testing.assert_array_equal(kept.transform(X), plain.transform(X))
    assert b"Generator" not in keep.on_device_
    net = pickle.loads(keep.pickle_)
    assert net.module_.generator is net.noise_
    assert len(net.history) == N_EPOCHS
    for weight, expected in zip(net.module_.parameters(), keep.weights_, strict=True):
        np.testing.assert_array_equal(weight.detach(), expected)


def test_epochs_have_colors_on_terminals_alone(capsys, monkeypatch):
    def printed(**params):
        given = {"max_epochs": 3, "random_state": 0, "verbose": 1, **params}
        AutoEncoderTransformer(3, **given).fit(X)
        return capsys.readouterr().out

    text = printed()
    assert "\x1b" not in text
    lines = []
    assert printed(net_params={"callbacks__print_log__sink": lines.append}) == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    sunk = {"net_params": {"callbacks__print_log": PrintLog(sink=lines.append)}}
    assert printed(**sunk) == ""
    assert "\x1b[" not in "".join(lines[:5])
    assert "\x1b[" in "".join(lines[5:])  # a caller's own table is as skorch has it
    colored = re.sub(r"\x1b\[\d+m", "", printed())
    assert colored.split()[:11] == text.split()[:11]  # up to seconds
    assert "\x1b[" in printed()
