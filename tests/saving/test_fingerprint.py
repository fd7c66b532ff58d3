"""Descriptions of what a fit depends on: the same in each process."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch.callbacks import EarlyStopping, Freezer, LRScheduler

from sk_autoencoder._saving.fingerprint import describe, first_difference
from sk_autoencoder.networks import MLP, UserNetwork


def noise(level):
    """Return a function whose result depends on a variable around it."""
    return lambda batch, generator: batch * level


class Spoils:
    def __init__(self, level):
        self._level = level

    def __call__(self, batch, generator):
        return batch in {1, "a", 2, "b", self._level}


class SpoilsLess(Spoils):
    def __call__(self, batch, generator):
        return batch - self._level


class Scaled(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.layer, self.scale = torch.nn.Linear(2, 2, bias=False), scale
        self.layer.weight.data.fill_(1.0)


def renamed():
    """Return a function that is called like `noise`, and does something else."""

    def other(level):
        return level

    other.__qualname__, other.__module__ = noise.__qualname__, noise.__module__
    return other


RELU, TANH = torch.nn.ReLU(), torch.nn.Tanh()
ROWS = np.arange(60.0).reshape(20, 3)
DIFFERENT = [
    None,
    0.5,
    1,
    "1",
    True,
    [1, 2],
    {"a": 1},
    {"a": 2},
    ROWS,
    ROWS + 1e-12,
    ROWS.astype("f4"),
    ROWS.reshape(3, 20),
    sparse.csr_matrix(ROWS),
    torch.zeros(3),
    torch.device("cpu"),
    torch.float32,
    np.tanh,
    torch.tanh,
    torch.nn.functional.relu,
    np.dtype("f4"),
    noise,
    renamed(),
    noise(1),
    noise(2),
    partial(noise, level=1),
    partial(noise, level=2),
    Spoils,
    Spoils(1),
    Spoils(2),
    SpoilsLess(1),
    Spoils(1).__call__,
    torch.nn.ReLU(),
    torch.nn.LeakyReLU(0.1),
    torch.nn.LeakyReLU(0.2),
    torch.nn.Sequential(RELU, TANH),
    torch.nn.Sequential(RELU, TANH, RELU),
    Scaled(1.0),
    Scaled(2.0),
    MLP((8,)),
    MLP((9,)),
    UserNetwork(Scaled(1.0), Scaled(2.0)),
    UserNetwork(Scaled(2.0), Scaled(1.0)),
    np.random.default_rng(0),
    np.random.default_rng(1),
    np.random.RandomState(0),
    LRScheduler("StepLR", step_size=2),
    LRScheduler("StepLR", step_size=3),
    EarlyStopping(patience=3),
    Freezer("encoder.*").initialize(),  # whose attributes lead back to it
    pd.CategoricalDtype(["a", "b"]),
    pd.CategoricalDtype(["b", "a"]),
]


def test_different_values_have_different_descriptions():
    found = {}
    for i, value in enumerate(DIFFERENT):
        other = found.setdefault(describe(value), i)
        assert other == i, f"{value!r} is described as {DIFFERENT[other]!r}"
        assert len(describe(value)) <= 100


SAME = [
    ((8, 4), [8, 4]),
    ([0.5, 1.0], np.array([0.5, 1.0])),
    ([0.5, 1.0], pd.Series([0.5, 1.0])),
    (np.int64(3), 3),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (ROWS, np.asfortranarray(ROWS)),
    (ROWS, np.repeat(ROWS, 2, axis=0)[::2]),
    (noise(1), noise(1)),
    (Spoils(1), Spoils(1)),
    (Scaled(1.0), Scaled(1.0)),
    (EarlyStopping(), EarlyStopping().initialize()),
    (Freezer("a").initialize(), Freezer("a").initialize()),
]


@pytest.mark.parametrize("pair", SAME, ids=lambda pair: type(pair[0]).__name__)
def test_equal_values_have_equal_descriptions(pair):
    assert describe(pair[0]) == describe(pair[1])


def test_descriptions_are_those_of_another_process():
    code = (
        "from test_fingerprint import DIFFERENT, describe\n"
        "print(*map(describe, DIFFERENT), sep='\\n')"
    )
    # Of Python's hashes, by which sets are in order; not those of this process.
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=__file__.rpartition("/")[0],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [describe(value) for value in DIFFERENT]


def test_what_cannot_be_told_from_another_is_refused():
    with pytest.raises(TypeError, match="cannot be told from another"):
        describe([object()])


def test_first_difference():
    assert first_difference({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == (
        "b: 2 here, 3 there"
    )
    assert first_difference({}, {"c": "4"}) == "c: nothing here, 4 there"
