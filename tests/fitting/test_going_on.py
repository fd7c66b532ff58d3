"""What may be set anew before a fit goes on, and what may not."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._utils.comparison import is_same
from sk_autoencoder.networks import MLP

X = load_digits().data[:60, 8:24]
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}


class Counter(Callback):
    """Counts epochs."""

    def __init__(self):
        self.epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


class Pickler(Callback):
    """Pickles the net after each epoch."""

    def on_epoch_end(self, net, **kwargs):
        again = pickle.loads(pickle.dumps(net))
        for one, other in zip(
            again.module_.state_dict().values(),
            net.module_.state_dict().values(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        assert again.run_ is None


@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_net_can_be_pickled_by_a_callback(init):
    watched, plain = (
        AutoEncoderTransformer(3, init=init, callbacks=callbacks, **SMALL).fit(X)
        for callbacks in ([Pickler()], None)
    )
    np.testing.assert_array_equal(watched.transform(X), plain.transform(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_callbacks_set_before_going_on_are_called(method):
    reducer = AutoEncoderTransformer(3, warm_start=True, **SMALL).fit(X)
    counter = Counter()
    reducer.set_params(callbacks=[("counter", counter)])
    getattr(reducer, method)(X)
    assert counter.epochs == (2 if method == "fit" else 1)


def test_callbacks_that_were_taken_away_are_silent():
    first, second = Counter(), Counter()
    reducer = AutoEncoderTransformer(
        3, warm_start=True, callbacks=[first, second], **SMALL
    ).fit(X)
    reducer.set_params(callbacks=[second]).fit(X)
    assert (first.epochs, second.epochs) == (2, 4)


def test_callbacks_that_stay_are_not_made_anew():
    counter = Counter()
    reducer = AutoEncoderTransformer(
        3, warm_start=True, callbacks=[counter], verbose=2, **SMALL
    ).fit(X)
    callbacks = reducer.net_.callbacks_
    assert reducer.fit(X).net_.callbacks_ is callbacks
    again = pickle.loads(pickle.dumps(reducer))
    callbacks = again.net_.callbacks_
    assert again.fit(X).net_.callbacks_ is callbacks
    assert again.callbacks[0].epochs == 6


def test_a_table_is_printed_from_when_it_is_asked_for(capsys):
    reducer = AutoEncoderTransformer(3, warm_start=True, **SMALL).fit(X)
    assert capsys.readouterr().out == ""
    reducer.set_params(verbose=1).fit(X)
    assert "train_loss" in capsys.readouterr().out
    reducer.set_params(verbose=0).fit(X)
    assert capsys.readouterr().out == ""


def test_a_fit_that_fails_leaves_the_callbacks_as_they_were():
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    reducer = AutoEncoderTransformer(3, warm_start=True, **SMALL).fit(X)
    with pytest.raises(RuntimeError, match="broken"):
        reducer.set_params(callbacks=[Broken()]).fit(X)
    reducer.set_params(callbacks=None).fit(X)
    assert reducer.n_iter_ == 4


def test_a_weight_in_the_middle_of_many_columns_counts():
    wide = np.tile(X, (1, 100))[:, :1200]
    weights = np.ones(1200)
    reducer = AutoEncoderTransformer(
        3, column_weights=weights, **{**SMALL, "max_epochs": 0}
    ).fit(wide)
    other = weights.copy()
    other[600] = 2.0
    assert repr(weights) == repr(other)
    reducer.set_params(column_weights=other)
    with pytest.raises(ValueError, match=r"expected column_weights=array\(\[1\., 1\."):
        reducer.partial_fit(wide)
    reducer.set_params(column_weights=weights.tolist()).partial_fit(wide)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(2000), list(range(2000))),
        ((16, 8), [16, 8]),
        ({"a": np.ones(3)}, {"a": [1.0, 1.0, 1.0]}),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan])),
        (MLP((8,)), MLP([8])),
        (1, 1.0),
        (None, None),
    ],
)
def test_equal_values_are_the_same(one, other):
    assert is_same(one, other)
    assert is_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2000), np.r_[np.zeros(1000), 1.0, np.zeros(999)]),
        (np.zeros(3), np.zeros(4)),
        ({"a": 1}, {"b": 1}),
        (MLP((8,)), MLP((9,))),
        (MLP((8,)), DenoisingAutoEncoderTransformer()),
        ("from_dtype", [0]),
        (None, np.ones(2)),
        (np.ones((2, 2)), np.ones(4)),
    ],
)
def test_other_values_are_not(one, other):
    assert not is_same(one, other)
    assert not is_same(other, one)


# -- settings that are taken away ------------------------------------------------------

ADAM_BETAS = {"optimizer__betas": (0.5, 0.6)}


def continued(first, second, **common):
    """Fit with some parameters, go on with others; and the same with others throughout.

    The second state is reached by the first step of a fit of no epochs.
    """
    reducer = AutoEncoderTransformer(3, **{**SMALL, **common, "max_epochs": 0})
    reducer.set_params(warm_start=True, **first).fit(X)
    reducer.set_params(max_epochs=2, **second).fit(X)
    plain = AutoEncoderTransformer(3, **{**SMALL, **common, "max_epochs": 0})
    plain.set_params(warm_start=True, **second).fit(X)
    plain.set_params(max_epochs=2).fit(X)
    return reducer, plain


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"net_params": ADAM_BETAS}, {"net_params": None}),
        ({"net_params": {"weight_average": 0.01}}, {"net_params": {}}),
        ({"net_params": {"weight_average": None}}, {"net_params": None}),
        ({"net_params": None}, {"net_params": {"weight_average": None}}),
        ({"net_params": {"gradient_clip": 0.01}}, {"net_params": None}),
        (
            {"optimizer": partial(torch.optim.SGD, momentum=0.9, nesterov=True)},
            {"optimizer": torch.optim.SGD},
        ),
        (
            {"optimizer": partial(torch.optim.RMSprop, alpha=0.5, eps=0.1)},
            {"optimizer": partial(torch.optim.RMSprop, eps=0.1)},
        ),
        (
            {"optimizer": torch.optim.AdamW, "weight_decay": 10.0},
            {"optimizer": torch.optim.AdamW, "weight_decay": "auto"},
        ),
    ],
)
@pytest.mark.parametrize("how", ["same object", "copy"])
def test_settings_taken_away_are_defaults_again(first, second, how):
    reducer, plain = continued(first, second, init="random")
    np.testing.assert_array_equal(reducer.transform(X), plain.transform(X))
    # Different settings would have been seen.
    other, _ = continued(first, first, init="random")
    assert not np.array_equal(other.transform(X), plain.transform(X))
    if how == "copy":
        reducer, plain = (pickle.loads(pickle.dumps(one)) for one in (reducer, plain))
    reducer.partial_fit(X)
    np.testing.assert_array_equal(
        reducer.transform(X), plain.partial_fit(X).transform(X)
    )


def test_way_to_a_gradient_is_the_fast_one_again():
    found = []

    def make_gradient_fn(module, flat, precision):
        found.append(module)

    reducer = AutoEncoderTransformer(
        3, warm_start=True, net_params={"make_gradient_fn": make_gradient_fn}, **SMALL
    ).fit(X)
    assert len(found) == 1
    reducer.set_params(net_params=None).fit(X)
    assert len(found) == 1
    assert reducer.net_.config.make_gradient_fn == "fast"


def test_argument_of_a_part_of_the_net_is_taken_away():
    reducer = AutoEncoderTransformer(
        3, warm_start=True, net_params={"iterator_train__anything": 3}, **SMALL
    ).fit(X)
    assert reducer.net_.get_params_for("iterator_train") == {"anything": 3}
    reducer.set_params(net_params=None).fit(X)
    assert reducer.net_.get_params_for("iterator_train") == {}


def test_average_that_is_taken_away_leaves_what_was_kept():
    reducer = AutoEncoderTransformer(
        3, init="random", early_stopping=False, warm_start=True, **SMALL
    ).fit(X)
    before = reducer.transform(X)
    reducer.set_params(net_params={"weight_average": None}, max_epochs=0).fit(X)
    np.testing.assert_array_equal(reducer.transform(X), before)
    assert reducer.net_.average_.raw_weights() == []


def test_fit_that_fails_leaves_the_settings_as_they_were():
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    first = {"weight_average": 0.5, **ADAM_BETAS}
    reducer, plain = (
        AutoEncoderTransformer(3, warm_start=True, net_params=first, **SMALL).fit(X)
        for _ in range(2)
    )
    reducer.set_params(net_params=None, callbacks=[Broken()])
    with pytest.raises(RuntimeError, match="broken"):
        reducer.fit(X)
    reducer.set_params(net_params=first, callbacks=None).fit(X)
    np.testing.assert_array_equal(reducer.transform(X), plain.fit(X).transform(X))


def test_groups_of_weights_cannot_be_set_anew():
    groups = {"optimizer__param_groups": [("encoder*", {"lr": 0.1})]}
    reducer = AutoEncoderTransformer(
        3, optimizer=torch.optim.SGD, warm_start=True, net_params=groups, **SMALL
    ).fit(X)
    reducer.set_params(net_params=None)
    with pytest.raises(ValueError, match=r"^expected optimizer__param_groups=\[\('enc"):
        reducer.fit(X)


def test_prefixes_are_trained_by_the_settings_of_now():
    # Without validation samples no fit goes back to PCA, which needs no training.
    params = {"ordered": True, "warm_start": True, "early_stopping": False, **SMALL}
    reducer = AutoEncoderTransformer(3, **params).fit(X)
    reducer.set_params(max_epochs=5, lr=0.01, batch_size=16, net_params=None)
    again = pickle.loads(pickle.dumps(reducer))
    prefix_net = reducer.fit(X)._fitted.prefix_net
    # Six tenths of the epochs of the net, rounded up.
    assert len(prefix_net.history) == 2 + 3
    assert prefix_net.callbacks == []
    np.testing.assert_array_equal(reducer.transform(X), again.fit(X).transform(X))
