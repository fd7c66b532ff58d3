"""The history of a stream: the last epochs, and counts of all."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting import fit as fitting
from sk_autoencoder.plotting import LossCurveDisplay

X = load_digits().data[:40, 8:24]
SMALL = {"hidden_layer_sizes": (6,), "max_epochs": 2, "random_state": 0}
MOST = 4
KINDS = {
    "autoencoder": AutoEncoderTransformer(3, **SMALL),
    "ordered": AutoEncoderTransformer(3, ordered=True, **SMALL),
    "denoising": DenoisingAutoEncoderTransformer(3, **SMALL),
    "vae": VAETransformer(3, **SMALL),
}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(fitting, "HISTORY_OF_PASSES", MOST)


def streamed(kind, n_passes):
    reducer = copy.deepcopy(KINDS[kind])
    for _ in range(n_passes):
        reducer.partial_fit(X)
    return reducer


@pytest.mark.parametrize("kind", KINDS)
def test_history_of_passes_has_a_bound(kind, monkeypatch):
    bounded = streamed(kind, 7)
    monkeypatch.setattr(fitting, "HISTORY_OF_PASSES", 100)
    whole = streamed(kind, 7)
    np.testing.assert_array_equal(bounded.transform(X), whole.transform(X))
    assert bounded.loss_curve_ == whole.loss_curve_[-MOST:]
    assert (bounded.n_iter_, bounded.best_epoch_) == (7, 7)
    assert (whole.n_iter_, whole.best_epoch_) == (7, 7)
    assert [row["epoch"] for row in bounded.history_] == [4, 5, 6, 7]
    assert all(len(net.history) == MOST for net in bounded._fitted.nets)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "file"])
@pytest.mark.parametrize("kind", ["autoencoder", "ordered", "denoising"])
def test_copies_count_all_epochs(kind, how, tmp_path):
    reducer = streamed(kind, 6)
    if how == "file":
        reducer.save(tmp_path / "model", optimizer=True)
        again = sk_autoencoder.load(tmp_path / "model")
    elif how == "pickle":
        again = pickle.loads(pickle.dumps(reducer))
    else:
        again = copy.deepcopy(reducer)
    assert (again.n_iter_, again.best_epoch_) == (6, 6)
    for one in (again, reducer):
        one.partial_fit(X)
        one.set_params(warm_start=True).fit(X)
        assert one.n_iter_ == 6 + 1 + 2
        assert [row["epoch"] for row in one.history_] == [4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(again.transform(X), reducer.transform(X))


def test_schedules_count_all_epochs(monkeypatch):
    rates = {}
    for most in (2, 100):
        monkeypatch.setattr(fitting, "HISTORY_OF_PASSES", most)
        reducer = AutoEncoderTransformer(3, lr_schedule=0.5, lr=1.0, **SMALL)
        for _ in range(5):
            reducer.partial_fit(X)
        rates[most] = reducer.net_.optimizer_.param_groups[0]["lr"]
    assert rates[2] == rates[100] == 0.5**4


def test_a_pass_that_fails_drops_nothing():
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    reducer = streamed("autoencoder", 6)
    rows = [dict(row) for row in reducer.history_]
    with pytest.raises(RuntimeError, match="broken"):
        reducer.set_params(callbacks=[Broken()]).partial_fit(X)
    assert [dict(row) for row in reducer.history_] == rows
    reducer.set_params(callbacks=None).partial_fit(X)
    assert (reducer.n_iter_, len(reducer.history_)) == (7, MOST)


def test_history_of_a_fit_is_whole():
    reducer = AutoEncoderTransformer(3, **{**SMALL, "max_epochs": 9}).fit(X)
    assert len(reducer.history_) == len(reducer.loss_curve_) == reducer.n_iter_ == 9
    reducer.partial_fit(X)
    assert (len(reducer.history_), reducer.n_iter_) == (MOST, 10)


def test_pretraining_is_numbered_before_all():
    reducer = DenoisingAutoEncoderTransformer(3, pretrain="layerwise", **SMALL)
    for _ in range(7):
        reducer.partial_fit(X)
    numbers = [row["epoch"] for row in reducer.history_]
    n_pretrained = len(reducer._fitted.pretrained)
    n_all = n_pretrained + 7
    assert numbers == [*range(1, n_pretrained + 1), *range(n_all - 3, n_all + 1)]
    assert reducer.n_iter_ == reducer.best_epoch_ == n_all


def test_curve_is_drawn_over_the_epochs_of_the_history():
    display = LossCurveDisplay.from_estimator(streamed("autoencoder", 7))
    np.testing.assert_array_equal(display.line_.get_xdata(), [4, 5, 6, 7])
    assert display.best_epoch_line_.get_xdata()[0] == 7


def test_phases_are_drawn_at_the_epochs_of_the_history():
    reducer = DenoisingAutoEncoderTransformer(3, pretrain="layerwise", **SMALL)
    for _ in range(7):
        reducer.partial_fit(X)
    n_pretrained = len(reducer._fitted.pretrained)
    n_all = n_pretrained + 7
    display = LossCurveDisplay.from_estimator(reducer)
    drawn = display.line_.get_xdata()
    np.testing.assert_array_equal(
        drawn[np.isfinite(drawn)], [row["epoch"] for row in reducer.history_]
    )
    assert display.best_epoch_line_.get_xdata()[0] == n_all
    last = display.phase_labels_[-1]
    assert last.get_text() == "all layers"
    assert last.xy[0] == n_all - MOST + 0.5
    assert display.phase_labels_[0].xy[0] == 0.5
