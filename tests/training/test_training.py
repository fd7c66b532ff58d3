"""How training runs, stops, goes on, and what callbacks see."""

import inspect
import os
import re
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    LRScheduler,
    ProgressBar,
)

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting.recipe import automatic_batch_size, automatic_epochs
from sk_autoencoder._objectives.reconstruct import Reconstruct
from sk_autoencoder._training.batches import Batches, RowDataset, split_rows
from sk_autoencoder._training.config import Patience
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.selection import BestCheckpoint
from sk_autoencoder._training.weights import EMA
from sk_autoencoder._utils.schedules import schedule_factor
from sk_autoencoder.exceptions import DivergenceError

X = load_digits().data[:400]
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0}

ALL = [
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
]


class BatchWatcher(Callback):
    """Looks at batches, so that the epoch runs on skorch's own loop."""

    def initialize(self):
        self.batches_ = 0
        return self

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        self.batches_ += 1


class GradientWatcher(Callback):
    def initialize(self):
        self.norms_ = []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        norms = [p.grad.norm() for _, p in named_parameters]
        self.norms_.append(torch.stack(norms).norm().item())


class InterruptAt(Callback):
    def __init__(self, epoch=3):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


# -- going on where it stopped ---


@pytest.mark.parametrize("estimator", ALL)
def test_a_warm_start_continues_as_if_never_stopped(estimator):
    settings = {**SMALL, "early_stopping": False, "dropout": 0.1}
    whole = estimator(5, max_epochs=8, **settings).fit(X)
    halves = estimator(5, max_epochs=4, warm_start=True, **settings).fit(X).fit(X)
    np.testing.assert_array_equal(halves.transform(X), whole.transform(X))
    assert halves.loss_curve_ == whole.loss_curve_
    assert halves.n_iter_ == 8


@pytest.mark.parametrize("estimator", ALL)
def test_partial_fit_continues_as_if_never_stopped(estimator, monkeypatch):
    """A pass over the same rows is an epoch of `fit` without validation rows."""
    # But for the noise, which falls as rows are seen: three passes count thrice.
    monkeypatch.setattr(Reconstruct, "ROWS_A_COLUMN", np.inf)
    settings = {**SMALL, "early_stopping": False, "batch_size": 64}
    whole = estimator(5, max_epochs=3, **settings).fit(X)
    passes = estimator(5, **settings)
    for _ in range(3):
        # The same rows thrice have the statistics of the rows once.
        passes.partial_fit(X)
    np.testing.assert_allclose(
        passes.transform(X), whole.transform(X), rtol=1e-3, atol=1e-4
    )
    assert passes.n_iter_ == 3


def test_partial_fit_moves_the_mean_until_enough_rows_are_seen():
    rng = np.random.default_rng(0)
    chunks = [rng.normal(i, 1, size=(4000, 3)) for i in range(4)]
    reducer = AutoEncoderTransformer(2, **SMALL)
    for chunk in chunks[:3]:
        reducer.partial_fit(chunk)
    seen = np.vstack(chunks[:3])
    np.testing.assert_allclose(reducer.mean_, seen.mean(axis=0))
    np.testing.assert_allclose(
        reducer.module_.columns.statistics.spread, seen.std(axis=0)
    )
    reducer.partial_fit(chunks[3])
    np.testing.assert_allclose(reducer.mean_, seen.mean(axis=0))


def test_partial_fit_learns_from_a_stream():
    digits = load_digits().data
    reducer = AutoEncoderTransformer(10, random_state=0)
    for _ in range(10):
        for chunk in np.array_split(digits, 6):
            reducer.partial_fit(chunk)
    assert reducer.score(digits) > 0.75


def test_a_warm_start_refuses_another_network():
    reducer = AutoEncoderTransformer(5, max_epochs=1, warm_start=True, **SMALL).fit(X)
    before = reducer.transform(X)
    reducer.set_params(n_components=4)
    with pytest.raises(ValueError, match=r"expected n_components=5 as in the fit"):
        reducer.fit(X)
    reducer.set_params(n_components=5, hidden_layer_sizes=(9,))
    with pytest.raises(ValueError, match=r"expected hidden_layer_sizes=\(16,\) as in"):
        reducer.fit(X)
    reducer.set_params(hidden_layer_sizes=(16,))
    with pytest.raises(ValueError, match=r"^X has 10 features, but .* expecting 64"):
        reducer.set_params(n_components=5).fit(X[:, :10])
    np.testing.assert_array_equal(reducer.transform(X), before)
    reducer.set_params(lr=1e-4, max_epochs=2).fit(X)
    assert reducer.n_iter_ == 3
    assert reducer.net_.optimizer_.param_groups[0]["lr"] == 1e-4


@pytest.mark.parametrize("in_batches", [False, True])
def test_a_warm_start_refuses_other_names(in_batches):
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    reducer = AutoEncoderTransformer(1, max_epochs=1, warm_start=True, **SMALL)
    fit = reducer.fit
    if in_batches:

        def fit(samples):
            return reducer.fit_batches([samples[:100], samples[100:]])

    fit(frame)
    with pytest.raises(ValueError, match=r"The feature names should match those"):
        fit(frame[["b", "a", "c"]])
    assert fit(frame).n_iter_ == 2


# -- the epoch that is kept ---


def test_the_best_epoch_on_held_out_rows_is_kept():
    """A learning rate that ruins the network shows whether the best comes back."""

    def ruin(epoch):
        return 1.0 if epoch < 5 else 300.0

    varied = X[:, X.std(axis=0) > 0]
    reducer = AutoEncoderTransformer(
        5, lr_schedule=ruin, max_epochs=12, n_iter_no_change=20, init="random", **SMALL
    ).fit(varied)
    losses = reducer.validation_loss_curve_
    assert reducer.best_epoch_ == np.argmin(losses) + 1
    assert losses[-1] > 1.2 * min(losses)
    assert reducer.n_iter_ == 12
    _, valid = reducer.net_.get_split_datasets(varied)
    rows = varied[valid.indices]
    kept = reducer.reconstruction_error(rows).mean() / varied.var(axis=0).sum()
    assert kept == pytest.approx(min(losses), rel=1e-4)


def test_stopping_waits_for_n_iter_no_change():
    def freeze(epoch):
        return 1.0 if epoch < 4 else 1e-12

    reducer = AutoEncoderTransformer(
        5,
        init="random",
        lr_schedule=freeze,
        max_epochs=100,
        n_iter_no_change=3,
        tol=1e-3,
        net_params={"weight_average": None},
        **SMALL,
    ).fit(X)
    assert reducer.n_iter_ == reducer.best_epoch_ + 3
    assert reducer.n_iter_ < 10


def test_held_out_rows_are_not_trained_on():
    """A column that is only in the held-out rows must not be learned."""
    reducer = AutoEncoderTransformer(5, max_epochs=3, **SMALL).fit(X)
    train, valid = reducer.net_.get_split_datasets(X)
    assert len(valid) == 40
    assert set(train.indices).isdisjoint(valid.indices)
    assert sorted([*train.indices, *valid.indices]) == list(range(400))
    again, _ = reducer.net_.get_split_datasets(X)
    np.testing.assert_array_equal(train.indices, again.indices)
    assert np.any(np.diff(valid.indices) != 1)  # drawn at random, not a block


def test_no_epochs_train_nothing():
    reducer = AutoEncoderTransformer(5, max_epochs=0, **SMALL).fit(X)
    assert (reducer.n_iter_, reducer.best_epoch_, reducer.loss_curve_) == (0, 0, [])
    assert reducer.transform(X).shape == (400, 5)


def test_without_early_stopping_all_epochs_run_on_all_rows():
    reducer = AutoEncoderTransformer(
        5, max_epochs=7, early_stopping=False, **SMALL
    ).fit(X)
    assert reducer.n_iter_ == reducer.best_epoch_ == 7
    assert reducer.validation_loss_curve_ == []
    assert reducer.history_[-1, "batches", 0, "train_batch_size"] == 400


# -- two loops, one training ---


@pytest.mark.parametrize("estimator", ALL)
def test_a_callback_on_batches_sees_the_same_training(estimator):
    settings = {**SMALL, "max_epochs": 4, "dropout": 0.1}
    fast = estimator(5, **settings).fit(X)
    watcher = BatchWatcher()
    slow = estimator(5, callbacks=[watcher], **settings).fit(X)
    is_denoiser = estimator is DenoisingAutoEncoderTransformer
    n_draws = 5 if is_denoiser else 1  # of the noise of the 40 validation samples
    assert watcher.batches_ == 4 * (-(-360 // 32) + n_draws)
    np.testing.assert_allclose(slow.transform(X), fast.transform(X), rtol=1e-5)
    np.testing.assert_allclose(slow.loss_curve_, fast.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(
        slow.validation_loss_curve_, fast.validation_loss_curve_, rtol=1e-5
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("estimator", ALL)
def test_weights_in_one_vector_take_the_same_steps(estimator, optimizer):
    settings = {**SMALL, "max_epochs": 4, "optimizer": optimizer}
    if estimator is VAETransformer and optimizer == "sgd":
        # Steps of 0.3 by a loss in nats are chaotic: rounding grows.
        settings["lr"] = 1e-3
    # Gradients from autograd in both: Adam would blow up the least difference.
    flat = estimator(5, net_params={"make_gradient_fn": None}, **settings).fit(X)
    parts = estimator(5, net_params={"flatten": False}, **settings).fit(X)
    assert flat.net_.flat_ is not None
    assert parts.net_.flat_ is None
    np.testing.assert_allclose(
        flat.transform(X), parts.transform(X), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(flat.loss_curve_, parts.loss_curve_, rtol=1e-4)


def test_frozen_weights_stay_as_they_are():
    """A vector of all weights would let the decay pull at them."""
    freezer = Freezer("encoder.*")
    frozen = AutoEncoderTransformer(
        5,
        callbacks=[freezer],
        max_epochs=3,
        net_params={"weight_average": None},
        **SMALL,
    ).fit(X)
    fresh = AutoEncoderTransformer(5, max_epochs=0, **SMALL).fit(X)
    np.testing.assert_array_equal(frozen.transform(X), fresh.transform(X))
    assert frozen.loss_curve_[-1] < frozen.loss_curve_[0]


def test_gradients_are_clipped_on_both_loops():
    watcher = GradientWatcher()
    AutoEncoderTransformer(
        5,
        callbacks=[watcher],
        max_epochs=2,
        net_params={"gradient_clip": 0.01},
        **SMALL,
    ).fit(X)
    assert max(watcher.norms_) <= 0.01 * (1 + 1e-4)
    free = GradientWatcher()
    AutoEncoderTransformer(
        5, callbacks=[free], max_epochs=2, net_params={"gradient_clip": None}, **SMALL
    ).fit(X)
    assert max(free.norms_) > 0.02


@pytest.mark.parametrize(
    ("callback", "slow"),
    [
        (BatchWatcher(), True),
        (GradientWatcher(), True),
        (EpochScoring(lambda net, X, y=None: 0.0, name="z"), True),
        (EpochScoring(lambda net, X, y=None: 0.0, name="z", use_caching=False), False),
        (LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1), False),
        (
            LRScheduler(
                torch.optim.lr_scheduler.StepLR, step_size=1, step_every="batch"
            ),
            True,
        ),
        (EarlyStopping(), False),
        (ProgressBar(detect_notebook=False), False),
    ],
)
def test_only_callbacks_on_batches_leave_the_fast_loop(
    callback, slow, capsys, monkeypatch
):
    loops, skorchs = [], AutoEncoderNet.run_single_epoch

    def counted(net, iterator, *args, **kwargs):
        loops.append(iterator)
        return skorchs(net, iterator, *args, **kwargs)

    monkeypatch.setattr(AutoEncoderNet, "run_single_epoch", counted)
    reducer = AutoEncoderTransformer(5, callbacks=[callback], max_epochs=2, **SMALL)
    reducer.fit(X)
    assert len(loops) == (4 if slow else 0)


def test_an_epoch_scoring_sees_held_out_rows():
    scoring = EpochScoring(
        lambda net, X, y=None: float(len(X)), name="held_out", use_caching=False
    )
    reducer = AutoEncoderTransformer(5, callbacks=[scoring], max_epochs=2, **SMALL)
    assert reducer.fit(X).history_[:, "held_out"] == [40.0, 40.0]


def test_history_has_what_skorch_records():
    vae = VAETransformer(5, max_epochs=3, **SMALL).fit(X)
    row = vae.history_[-1]
    for key in (
        "epoch",
        "dur",
        "train_loss",
        "train_loss_best",
        "valid_loss",
        "valid_loss_best",
        "train_batch_count",
        "train_reconstruction",
        "train_kl",
        "valid_kl",
    ):
        assert key in row
    total = row["train_reconstruction"] + row["train_kl"]
    assert row["train_loss"] == pytest.approx(total, rel=1e-5)


def test_a_checkpoint_saves_what_the_fit_will_give(tmp_path):
    checkpoint = Checkpoint(
        dirname=str(tmp_path), monitor="valid_loss_best", f_pickle=None
    )
    reducer = AutoEncoderTransformer(
        5, callbacks=[checkpoint], max_epochs=5, lr=0.02, **SMALL
    ).fit(X)
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    for name, value in reducer.module_.state_dict().items():
        torch.testing.assert_close(saved[name], value, rtol=0, atol=0)


def test_skorchs_early_stopping_is_not_an_interrupt():
    stopping = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0)
    reducer = AutoEncoderTransformer(5, callbacks=[stopping], max_epochs=30, **SMALL)
    assert reducer.fit(X).n_iter_ < 6


class StopAt(EarlyStopping):
    """Ends training after an epoch, whatever its losses."""

    def __init__(self, epoch):
        super().__init__(patience=1)
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            self.misses_ = self.patience
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("hooked", [True, False])
def test_epoch_at_which_a_callback_stops_counts(early_stopping, hooked):
    settings = {"init": "random", "early_stopping": early_stopping, **SMALL}
    others = [BatchWatcher()] if hooked else []
    stopped = AutoEncoderTransformer(
        5, callbacks=[*others, StopAt(3)], max_epochs=9, **settings
    ).fit(X)
    expected = AutoEncoderTransformer(
        5, callbacks=others, max_epochs=3, **settings
    ).fit(X)
    assert stopped.n_iter_ == stopped.best_epoch_ == 3
    np.testing.assert_array_equal(stopped.transform(X), expected.transform(X))
    stopped.partial_fit(X)
    expected.partial_fit(X)
    np.testing.assert_array_equal(stopped.transform(X), expected.transform(X))


def test_user_interrupt_beside_a_stopping_callback_ends_the_fit():
    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    reducer = AutoEncoderTransformer(
        5, callbacks=[EarlyStopping(), Interrupt()], max_epochs=4, **SMALL
    )
    with pytest.raises(KeyboardInterrupt, match="fit was interrupted after epoch 2"):
        reducer.fit(X)


def test_verbose_prints_a_table_or_a_bar_or_nothing(capfd):
    AutoEncoderTransformer(5, max_epochs=2, **SMALL).fit(X)
    quiet = capfd.readouterr()
    assert quiet.out == quiet.err == ""
    AutoEncoderTransformer(5, max_epochs=2, verbose=1, **SMALL).fit(X)
    table = capfd.readouterr()
    assert "train_loss" in table.out
    assert "valid_loss" in table.out
    AutoEncoderTransformer(5, max_epochs=2, verbose=2, **SMALL).fit(X)
    bar = capfd.readouterr()
    assert bar.out == ""
    assert "epoch" in bar.err


# -- ends that nobody wished for ---


@pytest.fixture
def _interruptible():
    """Let SIGINT interrupt: a process started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("early_stopping", [True, False])
def test_an_interrupt_keeps_the_best_state_and_goes_on_to_the_caller(early_stopping):
    reducer = AutoEncoderTransformer(
        5,
        callbacks=[InterruptAt(4)],
        max_epochs=50,
        early_stopping=early_stopping,
        warm_start=True,
        lr=0.02,  # three epochs are then better than PCA beyond chance
        **SMALL,
    )
    message = (
        "fit was interrupted after epoch 3: this estimator keeps the best state so "
        "far, that of epoch 3. Call its fit again with warm_start=True to go on, "
        "unless it is a copy inside a search or a detector, which ends here."
    )
    with pytest.raises(KeyboardInterrupt, match=f"^{re.escape(message)}$"):
        reducer.fit(X)
    assert reducer.n_iter_ == reducer.best_epoch_ == 3
    assert np.isfinite(reducer.transform(X)).all()
    whole = AutoEncoderTransformer(
        5, max_epochs=3, early_stopping=early_stopping, lr=0.02, **SMALL
    ).fit(X)
    np.testing.assert_allclose(reducer.transform(X), whole.transform(X), rtol=1e-6)
    reducer.callbacks[0].epoch = None
    reducer.set_params(max_epochs=2).fit(X)
    assert reducer.n_iter_ == 5


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_loss_that_explodes_keeps_the_last_finite_state(early_stopping):
    def explode(epoch):
        return 1.0 if epoch < 3 else 1e30

    reducer = AutoEncoderTransformer(
        5,
        lr=0.02,
        lr_schedule=explode,
        max_epochs=9,
        early_stopping=early_stopping,
        **SMALL,
    )
    with pytest.warns(ConvergenceWarning, match=r"(?s)in epoch .*Try a smaller lr"):
        reducer.fit(X)
    assert reducer.best_epoch_ == 3
    assert np.isfinite(reducer.transform(X)).all()
    reducer.set_params(lr_schedule=None)
    reducer.partial_fit(X)  # the optimizer's moments are clean again
    assert np.isfinite(reducer.transform(X)).all()


def test_a_loss_that_explodes_at_once_is_an_error_and_loses_nothing():
    reducer = AutoEncoderTransformer(5, max_epochs=3, **SMALL).fit(X)
    before = reducer.transform(X)
    reducer.set_params(optimizer="sgd", lr=1e30, net_params={"gradient_clip": None})
    with pytest.raises(
        DivergenceError, match=r"expected a finite loss, got NaN or inf"
    ):
        reducer.fit(X)
    np.testing.assert_array_equal(reducer.transform(X), before)
    assert reducer.n_iter_ == 3


def test_an_error_in_a_callback_leaves_the_fitted_model_as_it_was():
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    reducer = AutoEncoderTransformer(5, max_epochs=3, warm_start=True, **SMALL).fit(X)
    before, history = reducer.transform(X), len(reducer.history_)
    reducer.net_.callbacks_.append(("broken", Broken()))
    with pytest.raises(RuntimeError, match="broken"):
        reducer.fit(X)
    with pytest.raises(RuntimeError, match="broken"):
        reducer.partial_fit(X[:200])
    np.testing.assert_array_equal(reducer.transform(X), before)
    assert reducer.n_iter_ == history
    assert reducer.history_[-1]["train_loss"] > 0


# -- parts ---


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop])
def test_named_and_foreign_optimizers_learn(optimizer):
    reducer = AutoEncoderTransformer(
        10, optimizer=optimizer, max_epochs=60, random_state=0
    ).fit(X)
    assert reducer.loss_curve_[-1] < 0.8 * reducer.loss_curve_[0]


def test_a_torch_class_keeps_its_own_defaults():
    reducer = AutoEncoderTransformer(
        5, optimizer=torch.optim.Adagrad, max_epochs=1, **SMALL
    ).fit(X)
    group = reducer.net_.optimizer_.param_groups[0]
    signature = inspect.signature(torch.optim.Adagrad)
    assert group["lr"] == signature.parameters["lr"].default
    assert group["weight_decay"] == 0


def test_weight_decay_of_an_optimizer_that_has_none_is_refused():
    message = (
        "expected weight_decay='auto' for optimizer=LBFGS, which has none, got "
        "weight_decay=0.1. Pass 'auto'."
    )
    reducer = AutoEncoderTransformer(2, optimizer=torch.optim.LBFGS, weight_decay=0.1)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reducer.fit(X)


def test_lbfgs_takes_its_closure():
    reducer = AutoEncoderTransformer(
        5,
        optimizer=torch.optim.LBFGS,
        lr=0.1,
        max_epochs=5,
        batch_size=400,
        net_params={"gradient_clip": None},
        **SMALL,
    ).fit(X)
    assert reducer.loss_curve_[-1] < reducer.loss_curve_[0]


def test_schedules():
    assert schedule_factor(None, 7, 10) == 1.0
    assert schedule_factor(0.995, 2, 10) == pytest.approx(0.995**2)
    assert schedule_factor("cosine", 5, 10) == pytest.approx(0.5)
    assert schedule_factor(lambda epoch: 1 / (1 + epoch), 3, 10) == 0.25
    reducer = AutoEncoderTransformer(5, max_epochs=3, lr_schedule=0.5, **SMALL).fit(X)
    rate = reducer.net_.optimizer_.param_groups[0]["lr"]
    assert rate == pytest.approx(2e-3 * 0.25)


def test_the_budget():
    sizes = [automatic_batch_size(n) for n in (2, 500, 1000, 4000, 10**6)]
    assert sizes == [32, 32, 64, 256, 256]
    assert automatic_epochs(1600, 128) == 150
    assert automatic_epochs(100, 32) == 375
    assert automatic_epochs(30, 32) == 450
    assert automatic_epochs(10, 32) == 300
    assert automatic_epochs(10**7, 256) == 1


def test_the_average_by_hand():
    layer = torch.nn.Linear(1, 1, bias=False)
    average = EMA(layer, 0.99)
    values, expected = [1.0, 5.0, -2.0], layer.weight.item()
    for t, value in enumerate(values, 1):
        layer.weight.data.fill_(value)
        average.update()
        keep = min(0.99, t / (t + 10))
        expected = keep * expected + (1 - keep) * value
    with average.applied():
        assert layer.weight.item() == pytest.approx(expected)
    assert layer.weight.item() == -2.0


def test_weights_that_are_not_finite_are_never_kept():
    layer = torch.nn.Linear(2, 2)
    best = BestCheckpoint(lambda: [p.data for p in layer.parameters()], keep_last=True)
    best.start(layer, 1.0)
    before = layer.weight.detach().clone()
    layer.weight.data[0, 0] = torch.inf
    best.update(0.5, 1)
    assert best.epoch == 0
    torch.testing.assert_close(best.state["weight"], before, rtol=0, atol=0)


def test_patience():
    auto = Patience()
    assert not auto.should_stop(epoch=39, best_epoch=0, steps_an_epoch=10)
    assert auto.should_stop(epoch=40, best_epoch=0, steps_an_epoch=10)
    assert not auto.should_stop(epoch=159, best_epoch=100, steps_an_epoch=10)
    assert auto.should_stop(epoch=160, best_epoch=100, steps_an_epoch=10)
    assert Patience(2).should_stop(epoch=5, best_epoch=3, steps_an_epoch=1000)


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
        (8, 4, [4, 4]),
        (5, 4, [5]),
    ],
)
def test_no_last_batch_of_one_row(n, size, lengths):
    rows = RowDataset(
        np.arange(2 * n, dtype=np.float32).reshape(n, 2), mean=np.zeros(2)
    )
    order = torch.Generator().manual_seed(0)
    batches = Batches(rows, np.arange(n), size, order)
    taken = [x for x, _ in batches]
    assert [len(x) for x in taken] == lengths
    assert len(batches) == len(lengths)
    assert sorted(torch.cat(taken)[:, 0].tolist()) == list(range(0, 2 * n, 2))


@pytest.mark.parametrize("at_once", [1, 12, 10_000])
@pytest.mark.parametrize("n", [40, 41, 43])
def test_batches_gathered_together_are_those_of_single_gathers(n, at_once, monkeypatch):
    monkeypatch.setattr("sk_autoencoder._training.batches.AT_ONCE", at_once)
    X = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    rows = RowDataset(X, mean=X.mean(axis=0))
    batches = Batches(rows, np.arange(n), 4)
    batches.n_draws = 2
    taken = [x for x, _ in batches]
    lengths = [4] * 9 + {40: [4], 41: [5], 43: [4, 3]}[n]
    assert [len(x) for x in taken] == 2 * lengths
    once = torch.from_numpy(X - X.mean(axis=0))
    assert torch.equal(torch.cat(taken), torch.cat([once, once]))


def test_batches_come_in_a_new_order_each_time():
    rows = RowDataset(np.arange(60, dtype=np.float32).reshape(30, 2), mean=np.zeros(2))
    batches = Batches(rows, np.arange(30), 30, torch.Generator().manual_seed(0))
    (first, _), (second, _) = *batches, *batches
    assert not torch.equal(first, second)


def test_few_rows_are_all_trained_on():
    assert split_rows(2, 0.1, 0)[1] is None
    train, valid = split_rows(5, 0.1, 0)
    assert (len(train), len(valid)) == (4, 1)
    assert split_rows(100, 0.0, 0)[1] is None
    train, valid = split_rows(120, 0.99, 0)
    assert (len(train), len(valid)) == (2, 118)


def test_rows_of_every_kind_are_given_out_centered():
    from scipy import sparse

    dense = np.random.default_rng(0).normal(5, 1, size=(20, 3))
    dense[dense < 5] = 0
    mean, where = dense.mean(axis=0), np.array([3, 1, 7], dtype=np.int32)
    for rows in (
        dense,
        dense.astype(np.float32),
        np.asfortranarray(dense.astype(np.float32)),
        sparse.csr_array(dense),
        sparse.csr_matrix(dense.astype(np.float32)),
    ):
        for resident in (False, True):  # True is what a GPU gets
            taken = RowDataset(rows, mean=mean, resident=resident).gather(where)
            assert taken.dtype == torch.float32
            np.testing.assert_allclose(taken, dense[where] - mean, atol=1e-5)


def test_the_net_is_skorchs_and_can_be_used_as_such():
    reducer = AutoEncoderTransformer(5, max_epochs=3, **SMALL).fit(X)
    assert isinstance(reducer.net_, AutoEncoderNet)
    np.testing.assert_allclose(
        reducer.net_.predict(X), reducer.reconstruct(X), rtol=1e-3, atol=1e-3
    )
