"""States of torch's optimizers come back from files, and training goes on."""

import functools

import numpy as np
import pytest
import torch
from skorch.callbacks import LRScheduler

import sk_autoencoder
from sk_autoencoder import AutoEncoderTransformer

X = np.random.default_rng(0).normal(size=(40, 5))
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
OPTIMIZERS = {
    "adam": "adam",
    "adamw": "adamw",
    "sgd": "sgd",
    **{
        name: getattr(torch.optim, name)
        for name in (
            "Adadelta",
            "Adagrad",
            "Adam",
            "AdamW",
            "Adamax",
            "ASGD",
            "LBFGS",
            "NAdam",
            "RAdam",
            "RMSprop",
            "Rprop",
            "SGD",
        )
    },
    "amsgrad": functools.partial(torch.optim.Adam, amsgrad=True),
    "nesterov": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "centered": functools.partial(torch.optim.RMSprop, momentum=0.5, centered=True),
}


def check_goes_on(estimator, tmp_path, custom=None):
    estimator.fit(X).save(tmp_path / "model", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "model", custom=custom)
    for model in (estimator, loaded):
        model.partial_fit(X)
    np.testing.assert_array_equal(loaded.transform(X), estimator.transform(X))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_of_every_optimizer_comes_back(name, tmp_path):
    estimator = AutoEncoderTransformer(2, optimizer=OPTIMIZERS[name], lr=0.01, **SMALL)
    check_goes_on(estimator, tmp_path)


@pytest.mark.parametrize("optimizer", ["adamw", torch.optim.Adam, torch.optim.SGD])
def test_what_a_scheduler_has_set_comes_back(optimizer, tmp_path):
    # It also gives SGD the momentum that it was made without.
    scheduler = LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=100
    )
    estimator = AutoEncoderTransformer(
        2, optimizer=optimizer, lr=0.01, callbacks=[scheduler], **SMALL
    )
    estimator.fit(X).save(tmp_path / "model", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "model", custom={"LRScheduler": scheduler})
    groups = [
        model.net_.raw_optimizer_.param_groups[0] for model in (estimator, loaded)
    ]
    names = {"base_momentum", "initial_lr", "max_lr", "max_momentum", "min_lr"}
    assert {name: groups[0][name] for name in names} == {
        name: groups[1][name] for name in names
    }
    loaded.partial_fit(X)
