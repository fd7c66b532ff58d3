"""What a net shows of its optimizer, and nets that are pickled by themselves."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback, Checkpoint, LRScheduler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._saving.state import capture
from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.weights import FlatParameters

X = load_digits().data[:60, 8:24]
SMALL = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "max_epochs": 2,
    "random_state": 0,
    "device": "cpu",
}
LEARNS = {"init": "random", "lr": 0.01, **SMALL}
KINDS = {
    "adamw": AutoEncoderTransformer(3, **LEARNS),
    "adam, all rows": AutoEncoderTransformer(
        3, optimizer="adam", early_stopping=False, **LEARNS
    ),
    "from PCA": AutoEncoderTransformer(3, ordered=True, **SMALL),
    "no epochs": AutoEncoderTransformer(3, **{**LEARNS, "max_epochs": 0}),
    "vae": VAETransformer(3, **{**LEARNS, "max_epochs": 0}),
}


def plain(value):
    """Turn arrays in nested dicts and lists into bytes."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def state_of(reducer):
    """All that may make a difference later on."""
    return plain(vars(capture(reducer._fitted).net))


def assert_goes_on_alike(one, other):
    for method in ("partial_fit", "fit", "partial_fit"):
        for reducer in (one, other):
            getattr(reducer.set_params(warm_start=True), method)(X)
        np.testing.assert_array_equal(one.transform(X), other.transform(X))
        assert one.loss_curve_ == other.loss_curve_


# -- the view -------------------------------------------------------------------------

READ = {
    "optimizer_": lambda net: net.optimizer_,
    "getmembers": inspect.getmembers,
    "state": lambda net: net.optimizer_.state_dict(),
    "getattr": lambda net: [getattr(net, name, None) for name in dir(net)],
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *((kind, "getattr") for kind in KINDS),  # the view, and all else
        *(("adamw", how) for how in READ if how != "getattr"),
    ],
)
def test_reading_the_optimizer_changes_nothing(kind, how):
    seen, unseen = (copy.deepcopy(KINDS[kind]).fit(X) for _ in range(2))
    before = state_of(seen)
    READ[how](seen.net_)
    assert isinstance(seen.net_.raw_optimizer_, FlatAdam)
    assert state_of(seen) == before
    assert_goes_on_alike(seen, unseen)
    assert isinstance(seen.net_.raw_optimizer_, FlatAdam)
    again = pickle.loads(pickle.dumps(seen))
    assert_goes_on_alike(again, pickle.loads(pickle.dumps(unseen)))


def test_view_is_one_object_that_follows():
    reducer = copy.deepcopy(KINDS["adamw"]).fit(X)
    optimizer = reducer.net_.optimizer_
    assert type(optimizer) is torch.optim.AdamW
    steps = float(optimizer.state_dict()["state"][0]["step"])
    reducer.partial_fit(X)
    assert reducer.net_.optimizer_ is optimizer
    assert float(optimizer.state_dict()["state"][0]["step"]) == steps + 2


class Writer(Callback):
    """Writes settings where skorch shows the optimizer."""

    def __init__(self, **settings):
        self.settings = settings

    def on_epoch_begin(self, net, **kwargs):
        net.optimizer_.param_groups[0].update(self.settings)


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ({"lr": 0.5}, {"lr": 0.5}),
        ({"betas": (0.5, 0.6)}, {"net_params": {"optimizer__betas": (0.5, 0.6)}}),
        ({"eps": 0.1}, {"net_params": {"optimizer__eps": 0.1}}),
        ({"weight_decay": 5.0}, {"weight_decay": 5.0}),
    ],
)
def test_what_a_callback_writes_counts(written, settings):
    written_to = AutoEncoderTransformer(3, callbacks=[Writer(**written)], **LEARNS)
    expected = AutoEncoderTransformer(3, **{**LEARNS, **settings})
    codes = written_to.fit(X).transform(X)
    np.testing.assert_array_equal(codes, expected.fit(X).transform(X))
    plain = AutoEncoderTransformer(3, **LEARNS).fit(X).transform(X)
    assert not np.array_equal(codes, plain)


def test_maximize_counts():
    fitted = AutoEncoderTransformer(
        3, callbacks=[Writer(maximize=True)], early_stopping=False, **LEARNS
    ).fit(X)
    assert fitted.loss_curve_[1] > fitted.loss_curve_[0]


def test_hook_of_a_step_is_called():
    calls = []

    class Hook(Callback):
        def on_train_begin(self, net, **kwargs):
            net.optimizer_.register_step_post_hook(lambda *args: calls.append(args))

    hooked = AutoEncoderTransformer(3, callbacks=[Hook()], **LEARNS).fit(X)
    plain = AutoEncoderTransformer(3, **LEARNS).fit(X)
    assert len(calls) == 2 * 2
    np.testing.assert_array_equal(hooked.transform(X), plain.transform(X))


def test_gradient_that_a_callback_drops_is_made_again():
    class Dropper(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.optimizer_.zero_grad()
            net.module_.zero_grad()

    fitted = AutoEncoderTransformer(3, callbacks=[Dropper()], **LEARNS).fit(X)
    plain = AutoEncoderTransformer(3, **LEARNS).fit(X)
    np.testing.assert_array_equal(fitted.transform(X), plain.transform(X))


def test_state_loaded_into_the_view_counts():
    first, second = (copy.deepcopy(KINDS["adam, all rows"]).fit(X) for _ in range(2))
    second.partial_fit(X[::-1])
    file = io.BytesIO()
    first.net_.save_params(f_optimizer=file)
    weights = copy.deepcopy(first.module_.state_dict())
    file.seek(0)
    second.net_.load_params(f_optimizer=file)
    assert isinstance(second.net_.raw_optimizer_, FlatAdam)
    for one, other in zip(
        second.net_.raw_optimizer_.state_dict()["state"][0].values(),
        first.net_.raw_optimizer_.state_dict()["state"][0].values(),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert weights.keys() == second.module_.state_dict().keys()
    steps = float(first.net_.raw_optimizer_.state["step"])
    second.partial_fit(X)
    assert float(second.net_.raw_optimizer_.state["step"]) == steps + 2


def test_schedule_and_checkpoint_leave_the_steps_where_they_are(tmp_path):
    callbacks = [
        LRScheduler("StepLR", step_size=1, gamma=0.5),
        Checkpoint(dirname=str(tmp_path)),
    ]
    scheduled = AutoEncoderTransformer(3, callbacks=callbacks, **LEARNS).fit(X)
    own = AutoEncoderTransformer(3, lr_schedule=0.5, **LEARNS).fit(X)
    assert isinstance(scheduled.net_.raw_optimizer_, FlatAdam)
    np.testing.assert_array_equal(scheduled.transform(X), own.transform(X))


@pytest.mark.parametrize("seen_before", [True, False])
def test_fit_that_fails_leaves_the_optimizer_as_it_was(seen_before):
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.optimizer_.param_groups[0].update(maximize=True, lr=3.0, other=1)
            net.optimizer_.load_state_dict(net.optimizer_.state_dict())
            raise RuntimeError("broken")

    reducer, plain = (copy.deepcopy(KINDS["adamw"]).fit(X) for _ in range(2))
    if seen_before:
        optimizer = reducer.net_.optimizer_
    before = state_of(reducer)
    with pytest.raises(RuntimeError, match="broken"):
        reducer.set_params(warm_start=True, callbacks=[Broken()]).fit(X)
    assert state_of(reducer) == before
    if seen_before:
        assert reducer.net_.optimizer_ is optimizer
    assert_goes_on_alike(reducer.set_params(callbacks=None), plain)


# -- copies of a net ------------------------------------------------------------------

COPIED = {
    **KINDS,
    "one weight vector, torch's optimizer": AutoEncoderTransformer(
        3, optimizer="sgd", **{**LEARNS, "net_params": {"optimizer__momentum": 0.9}}
    ),
    "many weights": AutoEncoderTransformer(3, optimizer=torch.optim.RMSprop, **LEARNS),
    "no average": AutoEncoderTransformer(
        3, net_params={"weight_average": None}, **LEARNS
    ),
    "many weights, no average": AutoEncoderTransformer(
        3,
        optimizer=torch.optim.Adam,
        net_params={"weight_average": None},
        **LEARNS,
    ),
    "ordered, many weights": AutoEncoderTransformer(
        3, ordered=True, optimizer=torch.optim.Adam, **SMALL
    ),
    "batch norm": AutoEncoderTransformer(3, batch_norm=True, dropout=0.1, **LEARNS),
    "noise": DenoisingAutoEncoderTransformer(3, **LEARNS),
}
HOW = {
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "deepcopy": copy.deepcopy,
    "twice": lambda net: pickle.loads(pickle.dumps(copy.deepcopy(net))),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", COPIED)
def test_copy_of_a_net_is_trained_like_the_net(kind, how):
    net = copy.deepcopy(COPIED[kind]).fit(X).net_
    again = HOW[how](net)
    before = copy.deepcopy(net.module_.state_dict())
    rows = X[::-1].copy()
    again.partial_fit(rows, epochs=2, is_pass=True)
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, before[name])  # nothing is shared
    net.partial_fit(rows, epochs=2, is_pass=True)
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, again.module_.state_dict()[name])
    moved = [not torch.equal(v, before[n]) for n, v in net.module_.state_dict().items()]
    assert any(moved)


def test_weights_of_a_copy_are_one_vector():
    again = pickle.loads(pickle.dumps(copy.deepcopy(KINDS["adamw"]).fit(X).net_))
    assert isinstance(again.flat_, FlatParameters)
    again.average_.unapply()
    parameters = list(again.module_.parameters())
    assert [p is q for p, q in zip(again.flat_.parameters, parameters, strict=True)]
    with torch.no_grad():
        again.flat_.vector.fill_(3.0)
    assert all((p == 3).all() for p in parameters)
    assert again.raw_optimizer_._vector is again.flat_.vector


def test_net_that_was_never_initialized_can_be_copied():
    net = copy.deepcopy(KINDS["no epochs"]).fit(X).net_
    bare = AutoEncoderNet(copy.deepcopy(net.module_), net.config, seeds=net.seeds)
    again = pickle.loads(pickle.dumps(bare))
    assert not again.initialized_
    assert isinstance(again.initialize().flat_, FlatParameters)
