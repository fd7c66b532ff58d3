"""torch's modes and defaults, as a caller may have set them, change nothing."""

import pickle
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

X = load_digits().data[:60, 8:24]
SMALL = {"max_epochs": 2, "batch_size": 32, "random_state": 0}


@contextmanager
def default_dtype():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def no_grad_for_good():
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(True)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def everything():
    with (
        default_dtype(),
        default_device(),
        torch.inference_mode(),
        deterministic(),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        yield


SURROUNDINGS = {
    "no_grad": torch.no_grad,
    "set_grad_enabled": no_grad_for_good,
    "inference_mode": torch.inference_mode,
    "default dtype": default_dtype,
    "default device": default_device,
    "a device's context": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "everything": everything,
}


def modes():
    """All that may not be changed."""
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }


def maker(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 8), nn.Tanh(), nn.Linear(8, n_out))


TABLE = pd.DataFrame(X[:, :5], columns=list("abcde"))
TABLE["f"] = pd.Categorical(np.where(X[:, 9] > 8, "high", "low"))
TABLE["g"] = pd.Categorical([f"level {v % 40}" for v in range(60)])
TABLE.loc[::7, "a"] = np.nan

PARTS = {"encoder": maker(16, 3), "decoder": maker(3, 16)}
CUSTOM = {**PARTS, "maker": maker}

CASES = {
    "MLP": (AutoEncoderTransformer(3, **SMALL), X),
    "ordered": (AutoEncoderTransformer(3, ordered=True, whiten=True, **SMALL), X),
    "batch norm": (
        AutoEncoderTransformer(3, batch_norm=True, dropout=0.1, **SMALL),
        X.astype(np.float32),
    ),
    "foreign optimizer": (
        AutoEncoderTransformer(3, optimizer=torch.optim.Adamax, **SMALL),
        X,
    ),
    "bf16": (
        AutoEncoderTransformer(3, precision="bf16", init="random", **SMALL),
        X,
    ),
    "ConvNet": (
        AutoEncoderTransformer(
            3, network=ConvNet(channels=(4,), batch_norm=True), **SMALL
        ),
        X,
    ),
    "RecurrentNet": (
        DenoisingAutoEncoderTransformer(3, network=RecurrentNet(), **SMALL),
        X,
    ),
    "modules": (
        DenoisingAutoEncoderTransformer(3, network=UserNetwork(**PARTS), **SMALL),
        X,
    ),
    "makers": (
        AutoEncoderTransformer(
            3, network=UserNetwork(maker, maker), init="random", **SMALL
        ),
        X,
    ),
    "hidden": (DenoisingAutoEncoderTransformer(features="hidden", **SMALL), X),
    "VAE": (VAETransformer(3, network=MLP((8,)), **SMALL), X),
    "VAE of a ConvNet": (VAETransformer(3, network=ConvNet(channels=(4,)), **SMALL), X),
    "mixture": (VAETransformer(3, prior="mixture", **SMALL), X),
    "table": (DenoisingAutoEncoderTransformer(3, allow_missing=True, **SMALL), TABLE),
    "VAE of a table": (VAETransformer(3, allow_missing=True, **SMALL), TABLE),
    "filled": (
        DenoisingAutoEncoderTransformer(
            features="reconstruction", allow_missing=True, **SMALL
        ),
        TABLE,
    ),
    "detector": (AutoEncoderOutlierDetector(random_state=0), X),
}


def load(path):
    """Load what was saved, with those of its own that it names."""
    for names in ((), ("maker",), ("encoder", "decoder")):
        try:
            return sk_autoencoder.load(path, custom={n: CUSTOM[n] for n in names})
        except ValueError as error:
            missing = error
    raise missing


def results(estimator, rows, path):
    """Do everything once."""
    estimator = clone(estimator).fit(rows)
    if isinstance(estimator, AutoEncoderOutlierDetector):
        found = [estimator.score_samples(rows), estimator.explain(rows)]
        estimator.save(path)
        return [*found, load(path).score_samples(rows)]
    found = [estimator.transform(rows)]
    if getattr(estimator, "features", "") != "hidden":
        found.append(estimator.inverse_transform(found[0]))
        found.append(estimator.reconstruct(rows))
    found.append(estimator.reconstruction_error(rows))
    found.append(estimator.score(rows))
    found.append(estimator.transform(rows[:1]))
    if isinstance(estimator, VAETransformer):
        found.append(estimator.sample(5, random_state=0))
        found.extend(estimator.posterior(rows))
    estimator.partial_fit(rows)
    found.append(estimator.transform(rows))
    estimator.save(path, optimizer=True)
    for again in (load(path), pickle.loads(pickle.dumps(estimator))):
        again.partial_fit(rows)
        found.append(again.transform(rows))
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    found = {}

    def of(case):
        if case not in found:
            found[case] = results(*CASES[case], tmp_path_factory.mktemp("plain") / "x")
        return found[case]

    return of


# Each alone changes what is common to all cases.
PAIRS = [
    *(("MLP", name) for name in SURROUNDINGS),
    *((case, "everything") for case in CASES),
]


# Two epochs are too few for a network of the user's own.
@pytest.mark.filterwarnings("ignore:expected a network that explains as much")
@pytest.mark.parametrize(("case", "name"), dict.fromkeys(PAIRS))
def test_results_are_those_without_any(case, name, plain, tmp_path):
    expected = plain(case)
    with SURROUNDINGS[name]():
        before = modes()
        found = results(*CASES[case], tmp_path / "model")
        assert modes() == before
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other, check_exact=True)
        else:
            np.testing.assert_array_equal(one, other)


def test_a_model_of_inference_mode_is_trained_outside_of_it(tmp_path):
    path = tmp_path / "model"
    with torch.inference_mode():
        AutoEncoderTransformer(3, **SMALL).fit(X).save(path, optimizer=True)
        loaded = sk_autoencoder.load(path)
    expected = sk_autoencoder.load(path).partial_fit(X)
    np.testing.assert_array_equal(
        loaded.partial_fit(X).transform(X), expected.transform(X)
    )


@pytest.mark.parametrize("surroundings", [*SURROUNDINGS.values(), nullcontext])
def test_modes_are_given_back_after_an_error(surroundings):
    def refuse(batch, generator):
        raise RuntimeError("no noise")

    estimator = DenoisingAutoEncoderTransformer(3, noise=refuse, **SMALL)
    with surroundings():
        before = modes()
        with pytest.raises(RuntimeError, match="no noise"):
            estimator.fit(X)
        assert modes() == before
