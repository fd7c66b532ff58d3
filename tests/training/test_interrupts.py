"""Interrupts at any point of a fit: the best state so far, or nothing changed.

A trace function raises KeyboardInterrupt at the n-th line that is run, in the package,
in skorch or in torch's optimizers, as Ctrl-C would between two instructions.
"""

import copy
import os
import pickle
import sys
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler
from threadpoolctl import threadpool_info

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._saving.state import capture
from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.run import TrainingRun
from sk_autoencoder._training.selection import BestCheckpoint
from sk_autoencoder._training.weights import EMA

X = load_digits().data[:90, 20:36]
EPOCHS = 3
# More points, and others: SK_AUTOENCODER_POINTS=1000,7 pytest ...
N_POINTS, SEED = map(int, os.environ.get("SK_AUTOENCODER_POINTS", "8,0").split(","))
SMALL = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "max_epochs": EPOCHS,
    "random_state": 0,
}
LEARNS = {"init": "random", "lr": 0.01}

KINDS = {
    "from PCA": AutoEncoderTransformer(3, **SMALL),
    "random": AutoEncoderTransformer(3, **LEARNS, **SMALL),
    "not flat": AutoEncoderTransformer(
        3, optimizer=torch.optim.RMSprop, init="random", **SMALL
    ),
    "all rows": AutoEncoderTransformer(3, early_stopping=False, **LEARNS, **SMALL),
    "white": DenoisingAutoEncoderTransformer(3, whiten=True, **LEARNS, **SMALL),
    "VAE": VAETransformer(3, **LEARNS, **SMALL),
}


class Boom(Exception):
    """Something unforeseen."""


class Points:
    """A trace function that counts lines, and may raise at one of them."""

    FILES = ("sk_autoencoder", "skorch", "torch/optim")
    # They hold a lock for a few calls. Python looks for signals behind the call that
    # takes a lock, when the block is entered, and not before the call that gives it
    # back; a trace function may raise there, and the lock would stay for good.
    LOCKED = {"limit", "release", "_apply", "own_threads", "_take_one_thread"}
    # Catch what representing or comparing a user's objects raises, whatever it is.
    CATCHING = {"shortened", "is_same"}
    STEP = FlatAdam.step.__code__

    def __init__(self, at=None, error=KeyboardInterrupt):
        self.at, self.error = at, error
        self.count, self.stepped, self.where = 0, False, None

    def __call__(self, frame, event, arg):
        if not any(name in frame.f_code.co_filename for name in self.FILES):
            return None
        if frame.f_code.co_name in self.LOCKED | self.CATCHING:
            return None
        return self.line

    def line(self, frame, event, arg):
        if event == "line":
            if self.count == self.at:
                sys.settrace(None)
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self.error
            self.count += 1
            self.stepped |= frame.f_code.co_name == "step"
        return self.line

    @contextmanager
    def traced(self):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(before)


# The lines by which a call that has succeeded returns, or a copy of it runs more: it
# compares settings that are no longer the same objects.
LAST = 200


def points_of(function, n_points, seed=SEED):
    """Draw some of the lines that a call runs, the first and the last among them."""
    points = Points()
    with points.traced():
        function(X)
    last = points.count - LAST
    places = np.arange(n_points) + np.random.default_rng(seed).random(n_points)
    return sorted({0, last, *(places * last / n_points).astype(int).tolist()})


def disturbed(function, at, error=KeyboardInterrupt):
    """Call a method that an error ends at a line; return what had happened."""
    points = Points(at, error)
    with points.traced(), pytest.raises(error):
        function(X)
    return points


def surroundings():
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "threads": torch.get_num_threads(),
        "errors": np.geterr(),
        "libraries": [library["num_threads"] for library in threadpool_info()],
    }


def states(estimator):
    """Codes after each number of epochs, by a fit that ends there."""
    found = {}
    for epochs in range(EPOCHS + 1):
        fitted = copy.deepcopy(estimator).set_params(max_epochs=epochs).fit(X)
        if fitted.best_epoch_ == epochs:
            found[epochs] = fitted.transform(X)
    return found


def assert_equal_states(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal_states(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal_states(a, b)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "__dataclass_fields__"):
        assert_equal_states(vars(one), vars(other))
    elif isinstance(one, float):
        assert one == other or (np.isnan(one) and np.isnan(other))


def as_it_is(estimator):
    """All that a fitted estimator is, as arrays."""
    public = {k: v for k, v in vars(estimator).items() if k not in ("_fitted", "net_")}
    state = capture(estimator._fitted)
    for net in state.nets.values():
        for row in net.history:
            row["dur"] = None  # seconds
    return copy.deepcopy((public, state))


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_fit_is_one_of_its_epochs_or_no_fit(kind):
    estimator = KINDS[kind]
    expected, before = states(estimator), surroundings()
    parameters = estimator.get_params(deep=False)
    kept = 0
    for at in points_of(copy.deepcopy(estimator).fit, N_POINTS):
        fitted = copy.deepcopy(estimator)
        points = disturbed(fitted.fit, at)
        assert surroundings() == before, points.where
        if "_fitted" not in vars(fitted):
            assert vars(fitted).keys() == parameters.keys(), points.where
            assert not points.stepped, points.where
            continue
        kept += 1
        codes = fitted.transform(X)
        np.testing.assert_array_equal(
            codes, expected[fitted.best_epoch_], err_msg=points.where
        )
        assert fitted.n_iter_ == len(fitted.loss_curve_) >= fitted.best_epoch_
        assert np.isfinite(fitted.explained_variance_ratio_).all()
        fitted.set_params(warm_start=True, max_epochs=1).fit(X)
    assert kept > 3


GOING_ON = {
    **{kind: KINDS[kind] for kind in ("from PCA", "not flat", "VAE")},
    "ordered": AutoEncoderTransformer(3, ordered=True, whiten=True, **SMALL),
    "batch norm": AutoEncoderTransformer(3, batch_norm=True, dropout=0.1, **SMALL),
    "LBFGS": AutoEncoderTransformer(
        3,
        optimizer=partial(torch.optim.LBFGS, max_iter=2),
        net_params={"gradient_clip": None},
        **SMALL,
    ),
    "filled": DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **SMALL
    ),
    "mixture": VAETransformer(3, prior="mixture", **SMALL),
    "skorch's loop": AutoEncoderTransformer(
        3,
        callbacks=[GradientNormClipping(1.0), LRScheduler("StepLR", step_size=2)],
        **SMALL,
    ),
}


# Which error it is makes no difference between the models.
@pytest.mark.parametrize(
    ("kind", "method", "error"),
    [
        *((kind, "partial_fit", KeyboardInterrupt) for kind in GOING_ON),
        *((kind, "fit", Boom) for kind in GOING_ON),
        ("from PCA", "partial_fit", Boom),
    ],
)
def test_a_call_that_fails_leaves_no_trace(kind, method, error):
    fitted = copy.deepcopy(GOING_ON[kind]).set_params(warm_start=True).fit(X)
    expected, net = as_it_is(fitted), fitted.net_
    following = copy.deepcopy(fitted).partial_fit(X[::-1])
    trial = copy.deepcopy(fitted)
    trial.reconstruct(X)  # computes what is computed once
    for at in points_of(getattr(trial, method), N_POINTS // 2):
        points = disturbed(getattr(fitted, method), at, error)
        assert fitted.net_ is net
        try:
            assert_equal_states(as_it_is(fitted), expected)
        except AssertionError as difference:
            raise AssertionError(points.where) from difference
    fitted.partial_fit(X[::-1])
    np.testing.assert_array_equal(fitted.transform(X), following.transform(X))
    assert_equal_states(as_it_is(fitted), as_it_is(following))


def test_a_first_call_that_fails_leaves_nothing():
    for method in ("fit", "partial_fit"):
        estimator = copy.deepcopy(KINDS["from PCA"])
        names = set(vars(estimator))
        trial = copy.deepcopy(estimator)
        for at in points_of(getattr(trial, method), N_POINTS // 2):
            points = disturbed(getattr(estimator, method), at, Boom)
            assert set(vars(estimator)) == names, points.where


# -- what contains a fit ---------------------------------------------------------------


class Begun(list):
    """The nets whose epochs have begun, shared by all clones."""

    def __deepcopy__(self, memo):
        return self


class InterruptAt(Callback):
    """Interrupts the n-th epoch that any of its nets begins, once."""

    def __init__(self, epoch, counter):
        self.epoch, self.counter = epoch, counter

    def on_epoch_begin(self, net, **kwargs):
        self.counter.append(net)
        if len(self.counter) == self.epoch:
            raise KeyboardInterrupt


def interrupting(epoch, n_components=3, **parameters):
    """Make a transformer whose fit is interrupted, and the list of epochs begun."""
    counter = Begun()
    estimator = AutoEncoderTransformer(
        n_components,
        callbacks=[InterruptAt(epoch, counter)],
        **{**SMALL, **LEARNS, **parameters},
    )
    return estimator, counter


@pytest.mark.parametrize("where", ["first fit", "second fit"])
def test_a_search_for_components_ends_at_once_and_leaves_nothing(where):
    epoch = 2 if where == "first fit" else EPOCHS + 2
    estimator, begun = interrupting(epoch, 0.5)
    names = set(vars(estimator))
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X)
    assert len(begun) == epoch
    assert set(vars(estimator)) == names


@pytest.mark.parametrize("threshold", ["train", "held_out"])
def test_a_detector_ends_at_once_and_leaves_nothing(threshold):
    epoch = 2 if threshold == "train" else 2 * EPOCHS + 2
    estimator, begun = interrupting(epoch)
    detector = AutoEncoderOutlierDetector(estimator, threshold=threshold, cv=3)
    names = set(vars(detector))
    with pytest.raises(KeyboardInterrupt):
        detector.fit(X)
    assert len(begun) == epoch
    assert set(vars(detector)) == names


def test_a_fitted_detector_stays_as_it_was():
    detector = AutoEncoderOutlierDetector(AutoEncoderTransformer(3, **SMALL)).fit(X)
    before = detector.score_samples(X)
    detector.estimator = interrupting(2)[0]
    with pytest.raises(KeyboardInterrupt):
        detector.fit(X[:, :5])
    np.testing.assert_array_equal(detector.score_samples(X), before)


def test_extra_rows_leave_nothing():
    estimator, _ = interrupting(2)
    transformer = ExtraRowsTransformer(estimator, extra_rows=X[:9])
    with pytest.raises(KeyboardInterrupt):
        transformer.fit(X)
    assert not hasattr(transformer, "transformer_")


def test_a_cross_validation_ends():
    estimator, begun = interrupting(EPOCHS + 2)
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(estimator, X, cv=3)
    assert len(begun) == EPOCHS + 2


def test_a_fit_of_a_pipeline_keeps_the_best_state_in_its_step():
    estimator, _ = interrupting(3)
    pipeline = make_pipeline(StandardScaler(), estimator)
    with pytest.raises(KeyboardInterrupt, match="fit was interrupted after epoch 2"):
        pipeline.fit(X)
    assert pipeline[-1].best_epoch_ == 2


# -- interrupts in one place or another ------------------------------------------------


def test_an_interrupt_in_the_first_validation_is_not_swallowed(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    estimator = copy.deepcopy(KINDS["from PCA"])
    monkeypatch.setattr(TrainingRun, "validate", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        estimator.fit(X)
    assert "_fitted" not in vars(estimator)


def test_no_weights_are_left_half_exchanged():
    """The average is put into the module weight by weight, and taken out again."""
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    average = EMA(layers, 0.9)
    with torch.no_grad():
        for weight in layers.parameters():
            weight.fill_(1.0)
    average.update()
    for method in (average.apply, average.unapply):
        for at in range(12):
            average.unapply() if method == average.apply else average.apply()
            points = Points(at)
            with points.traced(), suppress(KeyboardInterrupt):
                method()
            method()
            shown = [weight.data_ptr() for weight in layers.parameters()]
            assert shown == [w.data_ptr() for w in average.weights_in_module()]


def test_a_state_is_kept_with_its_own_score_and_epoch():
    layer = torch.nn.Linear(1, 1, bias=False)
    for at in range(40):
        best = BestCheckpoint(lambda: [layer.weight.data])
        layer.weight.data.fill_(0.0)
        best.start(layer, 0.0)
        with Points(at).traced(), suppress(KeyboardInterrupt):
            for epoch in range(1, 4):
                layer.weight.data.fill_(epoch)
                best.update(-float(epoch), epoch)
        assert best.state["weight"].item() == best.epoch == -best.score


@pytest.mark.parametrize("kind", ["ordered", "layer by layer", "mixture"])
def test_phases_end_in_one_consistent_state(kind):
    estimator = {
        **GOING_ON,
        "layer by layer": DenoisingAutoEncoderTransformer(
            features="hidden",
            pretrain="layerwise",
            **{**SMALL, "hidden_layer_sizes": (8, 4)},
        ),
        "mixture": VAETransformer(3, prior="mixture", **LEARNS, **SMALL),
    }[kind]
    estimator = copy.deepcopy(estimator)
    copy.deepcopy(estimator).fit(X)
    for at in points_of(copy.deepcopy(estimator).fit, N_POINTS):
        fitted = copy.deepcopy(estimator)
        points = disturbed(fitted.fit, at)
        if "_fitted" not in vars(fitted):
            assert not points.stepped, points.where
            continue
        for net in fitted._fitted.nets:
            assert net.run_ is None
            if net.best_epoch_ == 0:
                continue
            _, held_out = net.get_split_datasets(fitted._check_rows(X))
            loss = net.sample_losses(net.validation_batches(held_out)).mean().item()
            recorded = net.history[net.best_epoch_ - 1]["valid_loss"]
            assert loss == pytest.approx(recorded, rel=1e-6), points.where
        assert np.isfinite(fitted.transform(X)).all()
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
        fitted.set_params(warm_start=True, max_epochs=1).fit(X)


def test_a_second_interrupt_gives_up(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    estimator, _ = interrupting(3)
    names = set(vars(estimator))
    monkeypatch.setattr(LatentMoments, "of", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        estimator.fit(X)
    assert set(vars(estimator)) == names


def test_a_warm_start_goes_on_from_the_best_state():
    estimator, _ = interrupting(EPOCHS + 3, warm_start=True)
    estimator.fit(X)
    kept = r"best state so far, that of epoch 5\."
    with pytest.raises(KeyboardInterrupt, match=kept):
        estimator.fit(X)
    assert estimator.n_iter_ == EPOCHS + 2
    assert estimator.fit(X).n_iter_ == 2 * EPOCHS + 2
