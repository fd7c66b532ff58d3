"""Every objective with every network on every kind of data that it takes.

A network is a line in `NETWORKS`, an objective one in `OBJECTIVES`, a kind of data one
in `DATA`: all that go together are then tried. What does not is in `REFUSED`.
"""

import pickle
import re
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

import sk_autoencoder
from sk_autoencoder import networks
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

N_ROWS = 60
# Two epochs of a network of a user's own, from a random start, leave it worse than PCA
# and a variational one without active units.
pytestmark = pytest.mark.filterwarnings(
    "ignore:expected (a network|at least half):UserWarning"
)


def make_rows():
    """Sixteen numbers a row: curves in three hidden ones, between 0 and 1."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(N_ROWS, 3))
    mixed = np.tanh(hidden @ rng.normal(size=(3, 16)))
    return 0.5 + 0.4 * mixed + 0.02 * rng.normal(size=(N_ROWS, 16))


def make_frame():
    frame = pd.DataFrame(NUMBERS[:, :4], columns=["a", "b", "c", "d"])
    frame["whole"] = (10 * NUMBERS[:, 4]).astype(int)
    frame["size"] = pd.Categorical(np.array(["s", "m", "l"])[frame["whole"] % 3])
    frame["sunny"] = NUMBERS[:, 5] > 0.5
    return frame


def with_gaps(frame):
    return frame.mask(np.random.default_rng(1).random(frame.shape) < 0.1)


NUMBERS = make_rows()
FRAME = make_frame()


@dataclass(frozen=True)
class Data:
    """Rows of a kind, and the parameters that they ask for."""

    rows: Any
    parameters: dict[str, Any] = field(default_factory=dict)


DATA = {
    "numbers": Data(NUMBERS),
    "float32": Data(NUMBERS.astype(np.float32)),
    "sparse": Data(sparse.csr_array(np.where(NUMBERS > 0.6, NUMBERS, 0))),
    "images": Data(NUMBERS.reshape(-1, 1, 4, 4)),
    "images without a channel": Data(NUMBERS.reshape(-1, 4, 4)),
    "series": Data(NUMBERS.reshape(-1, 8, 2)),
    "mixed frame": Data(FRAME),
    "missing cells": Data(
        np.where(np.eye(N_ROWS, 16) > 0, np.nan, NUMBERS), {"allow_missing": True}
    ),
    "mixed frame, missing cells": Data(
        with_gaps(FRAME.drop(columns="sunny")), {"allow_missing": True}
    ),
}
FLAT = ["numbers", "float32", "sparse"]
TABLES = ["mixed frame", "missing cells", "mixed frame, missing cells"]


def dense(n_in, n_out):
    return nn.Linear(n_in, n_out)


def deep(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 6), nn.Tanh(), nn.Linear(6, n_out))


def steps(n_in, n_out):
    return nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out))


OWN = {function.__name__: function for function in (dense, deep, steps)}


@dataclass(frozen=True)
class Case:
    """A network, the kinds of data that it takes, and what can be searched over."""

    network: Any
    data: list[str]
    grid: dict[str, list]
    parameters: dict[str, Any] = field(default_factory=dict)


# One line for each network and shape of rows. A matrix of other numbers than float64 is
# tried with one network of a kind.
NETWORKS = {
    "default": Case(
        None,
        FLAT + TABLES,
        {"hidden_layer_sizes": [(4,), (6, 3)]},
        {"hidden_layer_sizes": (6,)},
    ),
    "MLP": Case(
        MLP((6,)),
        ["numbers", "mixed frame, missing cells"],
        {"network__hidden_layer_sizes": [(4,), (6, 3)]},
    ),
    "ConvNet": Case(
        ConvNet((1, 4, 4), channels=(2,)),
        [*FLAT, "missing cells", "images", "images without a channel"],
        {"network__channels": [(2,), (2, 3)]},
    ),
    "ConvNet of signals": Case(
        ConvNet(channels=(2,)), ["numbers"], {"network__kernel_size": [3, 5]}
    ),
    "RecurrentNet": Case(
        RecurrentNet((8, 2), hidden_size=4),
        [*FLAT, "missing cells", "series"],
        {"network__hidden_size": [4, 6]},
    ),
    "RecurrentNet of one channel": Case(
        RecurrentNet(cell="gru", hidden_size=4),
        ["numbers"],
        {"network__n_layers": [1, 2]},
    ),
    "UserNetwork": Case(
        UserNetwork(deep, deep), FLAT + TABLES, {"network__encoder": [dense, deep]}
    ),
    "UserNetwork of series": Case(
        UserNetwork(steps, dense, input_shape=(8, 2)),
        ["numbers", "series"],
        {"network__decoder": [dense, deep]},
    ),
}
OBJECTIVES = {
    name: getattr(sk_autoencoder, name)
    for name in sk_autoencoder.__all__
    if name.endswith("Transformer") and name != "ExtraRowsTransformer"
}
COMBINATIONS = [
    (objective, network, data)
    for objective in OBJECTIVES
    for network, case in NETWORKS.items()
    for data in case.data
]


def make(objective, network, data):
    case = NETWORKS[network]
    parameters = case.parameters | DATA[data].parameters
    return OBJECTIVES[objective](
        2, network=case.network, max_epochs=2, random_state=0, **parameters
    )


def assert_alike(given, rows):
    """Rows that are given back are of the kind, shape and dtype of those that came."""
    assert given.shape == rows.shape
    if isinstance(rows, pd.DataFrame):
        pd.testing.assert_series_equal(given.dtypes, rows.dtypes)
        assert not given.isna().any().any()
        return
    assert type(given) is np.ndarray
    assert given.dtype == rows.dtype
    assert np.isfinite(given).all()


def assert_same(one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    else:
        np.testing.assert_array_equal(one, other)


def test_nothing_is_left_out():
    tried = {type(case.network).__name__ for case in NETWORKS.values()}
    assert set(networks.__all__) <= tried, "a network has no line in NETWORKS"
    taken = {data for case in NETWORKS.values() for data in case.data}
    assert taken == set(DATA)
    assert len(OBJECTIVES) >= 3


@pytest.mark.parametrize(("objective", "network", "data"), COMBINATIONS)
def test_combination_trains_reconstructs_and_is_kept(
    objective, network, data, tmp_path
):
    rows = DATA[data].rows
    estimator = make(objective, network, data)
    codes = estimator.fit_transform(rows)
    assert codes.shape == (N_ROWS, 2)
    assert np.isfinite(codes).all()
    assert estimator.n_iter_ == 2
    assert estimator.n_features_in_ == np.prod(rows.shape[1:])
    assert estimator.reconstruction_error(rows).shape == (N_ROWS,)
    assert np.isfinite(estimator.score(rows))
    restored = estimator.inverse_transform(codes)
    assert_alike(restored, rows)
    assert_same(estimator.reconstruct(rows), restored)

    np.testing.assert_array_equal(clone(estimator).fit_transform(rows), codes)
    estimator.save(tmp_path / "model")
    for again in (
        pickle.loads(pickle.dumps(estimator)),
        sk_autoencoder.load(tmp_path / "model", custom=OWN),
    ):
        np.testing.assert_array_equal(again.transform(rows), codes)
        assert_same(again.inverse_transform(codes), restored)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("network", NETWORKS)
def test_combination_continues_training(objective, network):
    rows = DATA[NETWORKS[network].data[-1]].rows
    estimator = make(objective, network, NETWORKS[network].data[-1])
    first = estimator.partial_fit(rows[:30]).transform(rows)
    second = estimator.partial_fit(rows[30:]).transform(rows)
    assert not np.array_equal(first, second)
    estimator.set_params(warm_start=True).fit(rows)
    assert estimator.n_iter_ == 4


# What is searched over is the network's, whatever the objective.
@pytest.mark.parametrize(
    ("network", "objective"), list(zip(NETWORKS, cycle(OBJECTIVES), strict=False))
)
def test_network_can_be_searched_over(objective, network):
    case, sizes = NETWORKS[network], set()
    (name,) = case.grid
    data = case.data[-1]

    def score(estimator, X, y=None):
        sizes.add(estimator.module_.n_weights())
        return estimator.score(X)

    search = GridSearchCV(
        make(objective, network, data), case.grid, cv=2, scoring=score
    )
    search.fit(DATA[data].rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.get_params()[name] in case.grid[name]
    assert len(sizes) == 2  # what is searched over reaches the network


# ------------------------------------------------------------------------- refused

AUTO, NOISY, VAE = (
    OBJECTIVES[name]
    for name in (
        "AutoEncoderTransformer",
        "DenoisingAutoEncoderTransformer",
        "VAETransformer",
    )
)
CONV = NETWORKS["ConvNet"].network
OWN_NETWORK = NETWORKS["UserNetwork"].network
ONE_SIZE = UserNetwork(nn.Linear(16, 2), nn.Linear(2, 16))
HIDDEN = {"features": "hidden"}
IMAGES = DATA["images"].rows


def dense_only(feature, network, *other):
    advice = ", or ".join(["Pass network=None or network=MLP(...)", *other])
    return (
        f"expected a network of dense layers for {feature}, got network={network!r}. "
        f"{advice}."
    )


REFUSED = {
    "a mixed frame, RecurrentNet": (
        AUTO(network=RecurrentNet()),
        FRAME,
        "expected columns of numbers for network=RecurrentNet(), got categories in "
        "['size', 'sunny']. Pass network=None, or rows without them.",
    ),
    "steps to predict, a start from PCA": (
        AUTO(network=RecurrentNet(n_future=4)),
        NUMBERS,
        "expected init='random' for n_future=4, got init='pca', which sees the steps "
        "that are to be predicted. Pass init='random', or n_future=0.",
    ),
    "a mixed frame, ConvNet": (
        AUTO(network=ConvNet(), allow_missing=True),
        DATA["mixed frame, missing cells"].rows,
        "expected columns of numbers for network=ConvNet(), got categories in "
        "['size']. Pass network=None, or rows without them.",
    ),
    "images, no network": (
        AUTO(),
        IMAGES,
        "Found array with dim 4, while dim <= 2 is required by a network without "
        "input_shape: got X of shape (60, 1, 4, 4). Pass X.reshape(len(X), -1), or a "
        "network of that input_shape, as ConvNet((1, 4, 4)).",
    ),
    "images, another shape": (
        AUTO(network=ConvNet((2, 4, 4))),
        IMAGES,
        "expected rows of input_shape=(2, 4, 4), as an array of shape (n, 2, 4, 4) or "
        "(n, 32), got X of shape (60, 1, 4, 4). Pass such an array, or a network whose "
        "input_shape is X.shape[1:].",
    ),
    "numbers, another shape": (
        AUTO(network=ConvNet((1, 5, 4))),
        NUMBERS,
        "expected an image of input_shape=(1, 5, 4), 20 features, got X with 16 "
        "features. Pass network=ConvNet(input_shape=...) whose product is X.shape[1].",
    ),
    "numbers, another shape of the user's": (
        AUTO(network=UserNetwork(steps, dense, input_shape=(5, 4))),
        NUMBERS,
        "expected rows of input_shape=(5, 4), 20 features, got X with 16 features. "
        "Pass an input_shape whose product is X.shape[1].",
    ),
    "a network of one's own without the variances": (
        VAE(2, network=UserNetwork(nn.Linear(16, 2), nn.Linear(2, 16))),
        NUMBERS,
        "expected an encoder that gives 4 numbers a row, got (2,) from encoder=Linear("
        "in_features=16, out_features=2, bias=True). Change its last layer, or "
        "n_components.",
    ),
    "hidden features, ConvNet": (
        NOISY(network=CONV, **HIDDEN),
        NUMBERS,
        dense_only("features='hidden'", CONV, "features='bottleneck'"),
    ),
    "hidden features, UserNetwork": (
        NOISY(network=OWN_NETWORK, **HIDDEN),
        NUMBERS,
        dense_only("features='hidden'", OWN_NETWORK, "features='bottleneck'"),
    ),
    "pretraining, ConvNet": (
        AUTO(network=CONV, init="random", pretrain="layerwise"),
        NUMBERS,
        dense_only("pretrain='layerwise'", CONV, "pretrain=None"),
    ),
    "pretraining, a start from PCA": (
        NOISY(pretrain="layerwise", init="pca"),
        NUMBERS,
        "expected init='random' for pretrain='layerwise', got init='pca': a model "
        "that starts as PCA leaves nothing to train layer by layer. Pass "
        "init='random', or pretrain=None.",
    ),
    "a network and dense parameters": (
        AUTO(network=MLP((6,)), dropout=0.5),
        NUMBERS,
        "expected dropout=0.0 beside a network, got dropout=0.5 and network=MLP("
        "hidden_layer_sizes=(6,)). Set it in the network, or pass network=None.",
    ),
    "an order, a random start": (
        AUTO(ordered=True, init="random"),
        NUMBERS,
        "expected init='pca' for ordered=True, got init='random': only components that "
        "start as PCA's have an order. Pass init='pca'.",
    ),
    "an order, a decoder of one size": (
        AUTO(ordered=True, init="pca", network=ONE_SIZE),
        NUMBERS,
        "expected a function that makes the decoder for ordered=True, got decoder="
        f"{ONE_SIZE.decoder!r}: first components have a decoder of their own, of twice "
        "as many inputs. Pass a function of the numbers of inputs and outputs, as "
        "UserNetwork(encoder, lambda n_in, n_out: torch.nn.Linear(n_in, n_out)), or "
        "ordered=False.",
    ),
    "a share, hidden features": (
        NOISY(0.9, **HIDDEN),
        NUMBERS,
        "expected an int or None with features='hidden', got n_components=0.9: they "
        "have no components. Pass an int, or features='bottleneck'.",
    ),
    "a cross-entropy, numbers beyond it": (
        AUTO(loss="binary_cross_entropy"),
        2 * NUMBERS.round(),
        "expected X in [0, 1] for loss='binary_cross_entropy', got values from 0 to 2. "
        "Pass numeric_scaling='minmax', or another loss.",
    ),
    "a cross-entropy, standardized": (
        AUTO(loss="binary_cross_entropy", numeric_scaling="standard"),
        NUMBERS,
        "expected targets in [0, 1] for loss='binary_cross_entropy', got "
        "numeric_scaling='standard', which gives others. Pass numeric_scaling='minmax' "
        "or 'none'.",
    ),
    "a cross-entropy, a mixed frame": (
        NOISY(loss="binary_cross_entropy"),
        FRAME,
        "expected loss='auto' for a table whose columns have a likelihood each, got "
        "loss='binary_cross_entropy'. Pass 'auto', or encode the columns first.",
    ),
    "Bernoulli, a mixed frame": (
        VAE(likelihood="bernoulli"),
        FRAME,
        "expected likelihood='auto' for a table whose columns have a likelihood each, "
        "got likelihood='bernoulli'. Pass 'auto', or encode the columns first.",
    ),
    "ranks, a sparse matrix": (
        AUTO(numeric_scaling="rank_gauss"),
        DATA["sparse"].rows,
        "expected a frame or a dense array where columns are read one by one "
        "(categories, allow_missing, column_weights, numeric_scaling='rank_gauss', "
        "loss='cross_entropy'), got a sparse matrix. Pass X.toarray().",
    ),
    "missing cells, not allowed": (
        AUTO(),
        with_gaps(FRAME[["a", "size"]]),
        "Input X contains NaN: expected no missing cells for allow_missing=False, got "
        "some in column 'a', 'size'. Fit with allow_missing=True, or fill them first, "
        "as with SimpleImputer.",
    ),
    "a fraction of cells above 1": (
        NOISY(noise="masking", noise_level=2),
        NUMBERS,
        "expected a fraction of cells in [0, 1] for noise='masking', got "
        "noise_level=2.0. Pass e.g. noise_level=0.15.",
    ),
    "groups of columns that are not there": (
        NOISY(feature_groups=[[3, 99]]),
        NUMBERS,
        "expected each of the 16 features in one group at most, by name or position, "
        "got 99 in feature_groups=[[3, 99]]. Pass lists of columns of X.",
    ),
    "layers that are not there": (
        NOISY(layers=[4], **HIDDEN),
        NUMBERS,
        "expected hidden layers from 1 to 3, or from -1 for the last, got layers=[4]. "
        "Pass a list of ints, as layers=[3].",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused_with_advice(name):
    estimator, rows, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}$"):
        estimator.set_params(max_epochs=1).fit(rows)
    assert not hasattr(estimator, "n_iter_")


def test_what_a_fit_cannot_give_is_refused_with_advice():
    fitted = make("AutoEncoderTransformer", "default", "numbers").fit(NUMBERS)
    with pytest.raises(ValueError, match="expected a fit with ordered=True, got order"):
        fitted.truncate(1)
    codes = fitted.transform(NUMBERS)
    fewer = (
        "expected codes with n_components_=2 columns, got X with 1. Pass what "
        "transform gives, or fit with ordered=True to decode fewer."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(fewer)}$"):
        fitted.inverse_transform(codes[:, :1])
    table = make("AutoEncoderTransformer", "default", "mixed frame").fit(FRAME)
    numbers = (
        "expected columns of numbers for inverse_transform into out, got a fit on a "
        "table with columns of other kinds or scales. Pass out=None."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(numbers)}$"):
        table.inverse_transform(codes, out=np.empty((N_ROWS, 7)))
    filler = NOISY(features="reconstruction", max_epochs=1).fit(NUMBERS)
    filled = (
        "expected out=None for features='reconstruction', which gives rows as they "
        "came, got out of type ndarray. Pass out=None."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(filled)}$"):
        filler.transform(NUMBERS, out=np.empty_like(NUMBERS))
