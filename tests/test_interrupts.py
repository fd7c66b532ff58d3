"""Interrupts at any point of a fit: the best state so far, or nothing changed.

A trace function raises KeyboardInterrupt at the n-th line that is run, in the package,
in skorch or in torch's optimizers, as Ctrl-C would between two instructions.
"""

import copy
import os
import sys
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import GradientNormClipping, LRScheduler
from threadpoolctl import threadpool_info

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._net_adam import FlatAdam
from sk_autoencoder._state import capture

X = load_digits().data[:90, 20:36]
EPOCHS = 3
# More points, and others: SK_AUTOENCODER_POINTS=1000,7 pytest ...
N_POINTS, SEED = map(int, os.environ.get("SK_AUTOENCODER_POINTS", "10,0").split(","))
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
    STEP = FlatAdam.step.__code__

    def __init__(self, at=None, error=KeyboardInterrupt):
        self.at, self.error = at, error
        self.count, self.stepped, self.where = 0, False, None

    def __call__(self, frame, event, arg):
        if not any(name in frame.f_code.co_filename for name in self.FILES):
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


# The lines by which a call that has succeeded returns, and by which a copy may run more.
LAST = 100


def points_of(function, n_points, seed=SEED):
    """Draw some of the lines that a call runs, the first and the last among them."""
    points = Points()
    with points.traced():
        function(X)
    generator = np.random.default_rng(seed)
    last = points.count - LAST
    return sorted({0, last, *generator.integers(last, size=n_points).tolist()})


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
    for net in filter(None, (state["net"], state["prefix_net"])):
        for row in net["history"]:
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
        3, callbacks=[GradientNormClipping(1.0), LRScheduler("StepLR", step_size=2)], **SMALL
    ),
}


@pytest.mark.parametrize(
    ("method", "error"),
    [("partial_fit", KeyboardInterrupt), ("partial_fit", Boom), ("fit", Boom)],
)
@pytest.mark.parametrize("kind", GOING_ON)
def test_a_call_that_fails_leaves_no_trace(kind, method, error):
    fitted = copy.deepcopy(GOING_ON[kind]).set_params(warm_start=True).fit(X)
    expected, net = as_it_is(fitted), fitted.net_
    following = copy.deepcopy(fitted).partial_fit(X[::-1])
    trial = copy.deepcopy(fitted)
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
