"""Losses that run away and stay finite are told of."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder.exceptions import DivergenceError

X = load_digits().data[:60, 8:24]
# With its gradient clipped to a norm of 1, each step is as long as the learning rate.
WILD = {
    "hidden_layer_sizes": (8,),
    "init": "random",
    "optimizer": torch.optim.SGD,
    "lr": 1e6,
    "max_epochs": 3,
    "random_state": 0,
    "device": "cpu",
}
NUMBER = r"[\d.]+(?:e\+\d+)?"
ADVICE = re.escape(
    "Try a smaller lr, numeric_scaling='standard', or fewer extreme values in X."
)


@pytest.mark.parametrize(
    "cls", [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]
)
def test_random_start_that_no_epoch_is_better_than_is_no_model(cls):
    message = (
        rf"^expected a validation loss that falls from {NUMBER}, got {NUMBER} in epoch "
        rf"3, before any epoch gave a usable state\. {ADVICE}$"
    )
    reducer = cls(3, **WILD)
    with pytest.raises(DivergenceError, match=message):
        reducer.fit(X)
    assert not hasattr(reducer, "net_")


def test_epochs_before_the_explosion_are_kept_with_a_warning():
    schedule = [1e-7, 1e-7, 1.0]
    message = (
        rf"^The loss rose to {NUMBER}, from {NUMBER} before the first step, in epoch "
        rf"3: the weights of epoch 2 are kept\. {ADVICE}$"
    )
    reducer = AutoEncoderTransformer(3, lr_schedule=schedule.__getitem__, **WILD)
    with pytest.warns(ConvergenceWarning, match=message) as found:
        reducer.fit(X)
    assert found[0].filename == __file__
    two = AutoEncoderTransformer(
        3, lr_schedule=schedule.__getitem__, **{**WILD, "max_epochs": 2}
    ).fit(X)
    np.testing.assert_array_equal(reducer.transform(X), two.transform(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_last_epoch_without_validation_is_told_of_if_it_is_absurd(method):
    reducer = AutoEncoderTransformer(3, early_stopping=False, **WILD)
    message = (
        rf"^The squared error of the reconstructions is {NUMBER} times the variance of "
        r"the samples after epoch \d, whose weights are kept because there are no "
        rf"validation samples\. {ADVICE}$"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        getattr(reducer, method)(X)
    assert reducer.score(X) < -1e6


def test_start_from_pca_is_kept_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reducer = AutoEncoderTransformer(3, **{**WILD, "init": "pca", "lr": 1e3}).fit(X)
    assert reducer.fell_back_to_pca_


def test_start_from_pca_without_validation_is_told_of():
    reducer = AutoEncoderTransformer(
        3, early_stopping=False, **{**WILD, "init": "pca", "lr": 1e3}
    )
    with pytest.warns(ConvergenceWarning, match="The squared error of the reconstruct"):
        reducer.fit(X)


def test_model_before_a_warm_start_that_explodes_is_kept():
    settings = {**WILD, "lr": 0.1, "warm_start": True}
    reducer = AutoEncoderTransformer(3, **settings).fit(X)
    before, kept = reducer.transform(X), reducer.best_epoch_
    reducer.set_params(lr=1e6)
    with pytest.warns(ConvergenceWarning, match=f"weights of epoch {kept} are kept"):
        reducer.fit(X)
    np.testing.assert_array_equal(reducer.transform(X), before)


def test_columns_without_variance_are_no_explosion():
    flat = np.ones((30, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for settings in ({"early_stopping": False}, {}):
            reducer = AutoEncoderTransformer(
                2, **{**WILD, "lr": 0.01, "max_epochs": 1, **settings}
            ).fit(flat)
            assert np.isfinite(reducer.reconstruct(flat)).all()
