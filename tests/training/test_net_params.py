"""`net_params` and partial optimizers: what reaches the net, and what is refused."""

import functools
import inspect
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

X = load_digits().data[:120]
SMALL = {
    "hidden_layer_sizes": (8,),
    "max_epochs": 2,
    "early_stopping": False,
    "random_state": 0,
    "device": "cpu",
}
ALL = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer]


def fit(cls=AutoEncoderTransformer, **params):
    return cls(**{**SMALL, **params}).fit(X)


# ------------------------------------------------------------------ net_params


@pytest.mark.parametrize(
    ("key", "value", "parameter"),
    [
        ("lr", -1, "lr"),
        ("batch_size", 0, "batch_size"),
        ("max_epochs", 3, "max_epochs"),
        ("optimizer", torch.optim.SGD, "optimizer"),
        ("optimizer__lr", 0.1, "lr"),
        ("optimizer__weight_decay", 0.1, "weight_decay"),
        ("callbacks", [], "callbacks"),
        ("device", "cpu", "device"),
        ("verbose", 1, "verbose"),
        ("warm_start", True, "warm_start"),
        ("seeds", None, "random_state"),
        ("fallback_margin", None, "init"),
        ("patience", 3, "n_iter_no_change"),
        ("module", None, "network"),
        ("module__encoder", None, "network"),
        ("validation_fraction", 0.5, "validation_fraction"),
    ],
)
@pytest.mark.parametrize("cls", ALL)
def test_key_that_the_estimator_sets_is_refused(cls, key, value, parameter):
    message = (
        f"expected further arguments of the skorch net, got {key!r} in net_params, "
        f"which the estimator sets itself. Use the parameter {parameter} of "
        "the estimator."
    )
    estimator = cls(**SMALL, net_params={key: value})
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            method(X)
    with pytest.raises(NotFittedError, match="not fitted"):
        estimator.transform(X)


@pytest.mark.parametrize(
    ("cls", "key", "advice"),
    [
        (
            AutoEncoderTransformer,
            "train_split",
            "Use the parameter validation_fraction of the estimator, or pass "
            "X_val to fit.",
        ),
        (
            AutoEncoderTransformer,
            "criterion",
            "Use the parameter loss of the estimator.",
        ),
        (
            VAETransformer,
            "criterion",
            "Use the parameter likelihood of the estimator.",
        ),
        (AutoEncoderTransformer, "predict_nonlinearity", "Leave it out."),
    ],
)
def test_refused_key_names_what_takes_its_place(cls, key, advice):
    with pytest.raises(ValueError, match=f"itself. {re.escape(advice)}$"):
        fit(cls, net_params={key: None})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"gradient_clip": -1},
            "expected a number above 0, or None, for gradient_clip, got "
            "net_params={'gradient_clip': -1}. Pass 1.0, or None to clip nothing.",
        ),
        (
            {"weight_average": 2},
            "expected a number in [0, 1), or None, for weight_average, got "
            "net_params={'weight_average': 2}. Pass 0.99, or None.",
        ),
        (
            {"make_gradient_fn": 3},
            "expected a callable, or None, for make_gradient_fn, got "
            "net_params={'make_gradient_fn': 3}. Pass None.",
        ),
        (
            {"flatten": None},
            "expected True or False for flatten, got net_params={'flatten': None}. "
            "Pass False.",
        ),
    ],
)
def test_value_of_net_params_out_of_range_is_refused(params, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fit(net_params=params)


@pytest.mark.parametrize("value", [0, np.nan, np.inf, True, "1"])
def test_gradient_clip_must_be_a_positive_number(value):
    with pytest.raises(ValueError, match="expected a number above 0, or None, for"):
        fit(net_params={"gradient_clip": value})


@pytest.mark.parametrize("value", [1, -0.1, np.nan, True, "0.9"])
def test_weight_average_must_be_below_one(value):
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\), or None"):
        fit(net_params={"weight_average": value})


def test_key_of_net_params_must_be_a_string():
    with pytest.raises(TypeError, match="expected names of the net's arguments, got"):
        fit(net_params={1: 2})


OF_ADAMW = [
    name
    for name in inspect.signature(torch.optim.AdamW).parameters
    if name not in ("params", "lr", "weight_decay")
]
NET = "expected further arguments of the skorch net, got "


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"foo": 1},
            f"{NET}'foo' in net_params, which it does not have. Pass one such as "
            "'gradient_clip', or 'optimizer__betas' of a part.",
        ),
        (
            {"gradient_clipping": 1.0},
            f"{NET}'gradient_clipping' in net_params, which it does not have. Pass "
            "'gradient_clip'.",
        ),
        (
            {"history_": []},
            f"{NET}'history_' in net_params, which it does not have. Pass one such as "
            "'gradient_clip', or 'optimizer__betas' of a part.",
        ),
        (
            {"optimizer__beta": (0.8, 0.99)},
            "expected arguments of AdamW, got 'beta' in net_params={'optimizer__beta': "
            "(0.8, 0.99)}. Pass 'betas'.",
        ),
        (
            {"optimizer__foo": 1},
            "expected arguments of AdamW, got 'foo' in net_params={'optimizer__foo': "
            f"1}}. Pass some of {', '.join(OF_ADAMW)}.",
        ),
    ],
)
def test_unknown_argument_of_the_net_is_named(params, message):
    for method in ("fit", "partial_fit"):
        reducer = AutoEncoderTransformer(**SMALL, net_params=params)
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            getattr(reducer, method)(X)


def test_unknown_argument_of_a_partial_optimizer_is_named():
    message = (
        "expected arguments of SGD, got 'momentun' in the functools.partial that is "
        "the optimizer. Pass 'momentum'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fit(optimizer=functools.partial(torch.optim.SGD, momentun=0.9))


def test_arguments_of_the_net_and_its_parts_are_taken():
    params = {
        "iterator_valid__num_workers": 0,
        "optimizer__betas": (0.8, 0.99),
        "use_caching": "auto",
    }
    net = fit(net_params=params).net_
    assert net.optimizer_.param_groups[0]["betas"] == (0.8, 0.99)


def test_net_params_in_range_reach_the_net():
    params = {
        "gradient_clip": np.float32(0.5),
        "weight_average": 0,
        "make_gradient_fn": None,
    }
    net = fit(net_params=params).net_
    assert net.config.gradient_clip == 0.5
    assert net.config.weight_average == 0
    assert fit(net_params={"gradient_clip": None}).net_.config.gradient_clip is None


# ----------------------------------------------------------- partial optimizers


@pytest.mark.parametrize("cls", ALL)
def test_partial_optimizer_takes_the_steps_of_its_class(cls):
    # The same by another way in: keyword arguments as skorch takes them.
    expected = fit(
        cls,
        optimizer=torch.optim.RMSprop,
        lr=0.003,
        net_params={"optimizer__momentum": 0.5},
    )
    optimizer = functools.partial(torch.optim.RMSprop, momentum=0.5, lr=0.003)
    found = fit(cls, optimizer=optimizer)
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))
    assert found.optimizer is optimizer
    (group,) = found.net_.optimizer_.param_groups
    assert (group["momentum"], group["lr"]) == (0.5, 0.003)


def test_partial_optimizer_leaves_lr_and_weight_decay_to_the_parameters():
    optimizer = functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    fitted = fit(optimizer=optimizer, lr=0.01, weight_decay=0.001)
    (group,) = fitted.net_.optimizer_.param_groups
    assert (group["lr"], group["weight_decay"], group["nesterov"]) == (0.01, 1e-3, True)
    (group,) = fit(optimizer=optimizer).net_.optimizer_.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0)
    decayed = functools.partial(optimizer, weight_decay=0.5)
    (group,) = fit(optimizer=decayed).net_.optimizer_.param_groups
    assert (group["weight_decay"], group["momentum"]) == (0.5, 0.9)


def test_partial_optimizer_survives_clone_pickle_search_and_file(tmp_path):
    optimizer = functools.partial(torch.optim.Adam, betas=(0.8, 0.99), amsgrad=True)
    fitted = fit(optimizer=optimizer)
    codes = fitted.transform(X)
    np.testing.assert_array_equal(clone(fitted).fit(X).transform(X), codes)
    again = pickle.loads(pickle.dumps(fitted))
    fitted.save(tmp_path / "file", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "file")
    assert loaded.optimizer.func is torch.optim.Adam
    assert loaded.optimizer.keywords == optimizer.keywords
    expected = fitted.partial_fit(X).transform(X)
    for other in (again, loaded):
        np.testing.assert_array_equal(other.transform(X), codes)
        np.testing.assert_array_equal(other.partial_fit(X).transform(X), expected)
    grid = {"optimizer": [optimizer, functools.partial(torch.optim.SGD, momentum=0.9)]}
    search = GridSearchCV(AutoEncoderTransformer(**SMALL), grid, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


SGD = functools.partial(torch.optim.SGD, momentum=0.9)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SGD, functools.partial(torch.optim.RMSprop, alpha=0.9)),
        ("adamw", "sgd"),
        ("sgd", "adamw"),
        (torch.optim.Adagrad, "adam"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_fit_does_not_go_on_with_another_optimizer(first, second, method):
    fitted = fit(optimizer=first, warm_start=True)
    before = fitted.transform(X)
    fitted.set_params(optimizer=second)
    with pytest.raises(ValueError, match=r"^expected optimizer=<class 'torch.optim."):
        getattr(fitted, method)(X)
    np.testing.assert_array_equal(fitted.transform(X), before)
    pickle.loads(pickle.dumps(fitted))


def test_fit_goes_on_with_other_arguments_of_its_optimizer():
    fitted = fit(optimizer=SGD, warm_start=True)
    other = functools.partial(torch.optim.SGD, momentum=0.5)
    fitted.set_params(optimizer=other).fit(X)
    (group,) = pickle.loads(pickle.dumps(fitted)).net_.optimizer_.param_groups
    assert group["momentum"] == 0.5


class OwnOptimizer(torch.optim.SGD):
    """As a user writes one."""


def test_partial_of_a_users_optimizer_is_named_in_the_file(tmp_path):
    fitted = fit(optimizer=functools.partial(OwnOptimizer, lr=0.1, momentum=0.9))
    fitted.save(tmp_path / "file")
    with pytest.raises(ValueError, match="OwnOptimizer"):
        sk_autoencoder.load(tmp_path / "file")
    custom = {"OwnOptimizer": OwnOptimizer}
    loaded = sk_autoencoder.load(tmp_path / "file", custom=custom)
    assert loaded.optimizer.func is OwnOptimizer
    assert loaded.optimizer.keywords == {"lr": 0.1, "momentum": 0.9}
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


@pytest.mark.parametrize(("name", "value"), [("lr", 0.5), ("weight_decay", 0.25)])
def test_value_in_a_partial_and_in_a_parameter_is_refused(name, value):
    optimizer = functools.partial(torch.optim.SGD, **{name: value})
    message = (
        f"expected {name} in one place, got {name}=0.1 and {name}={value} in the "
        f"functools.partial that is the optimizer. Pass {name}='auto', or leave it out "
        "of the partial."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fit(optimizer=optimizer, **{name: 0.1})


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            functools.partial(torch.optim.SGD, [torch.zeros(1)]),
            "expected a functools.partial with keyword arguments only",
        ),
        (
            functools.partial(dict, lr=1),
            "or a functools.partial of one, got optimizer=",
        ),
        (functools.partial(print), "or a functools.partial of one, got optimizer="),
        (dict, "or a functools.partial of one, got optimizer=<class 'dict'>"),
    ],
)
def test_what_is_no_optimizer_is_refused(optimizer, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        fit(optimizer=optimizer)
