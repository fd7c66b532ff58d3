"""Files that were made to do harm: each is refused by a ValueError that names it."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from saved_files import SavedFile, peak, reset_peak, with_right_digest
from sklearn.datasets import load_iris
from sklearn.utils.validation import check_is_fitted

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._columns import least_size
from sk_autoencoder._columns.dtypes import dtype_from_json, dtype_to_json
from sk_autoencoder._utils.random import check_generator_state, check_numpy_state
from sk_autoencoder._utils.values import first_line, fits, shortened
from sk_autoencoder.networks import ConvNet, RecurrentNet

X = load_iris().data
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(
    kind=pd.Categorical(np.resize(["x", "y", "z"], len(X)))
)
NET = ("_fitted", "net")
PLAN = ("_fitted", "plan")
OPTIMIZER = (*NET, "optimizer", "state", 0)
GROUP = (*NET, "optimizer", "param_groups", 0)
PLAIN = AutoEncoderTransformer

ESTIMATORS = {
    "plain": (PLAIN(2, **SMALL), X),
    "ordered": (PLAIN(2, ordered=True, whiten=True, **SMALL), X),
    "sgd": (PLAIN(2, optimizer=torch.optim.SGD, lr=0.01, **SMALL), X),
    "rmsprop": (PLAIN(2, optimizer=torch.optim.RMSprop, **SMALL), X),
    "lbfgs": (PLAIN(2, optimizer=torch.optim.LBFGS, lr=0.1, **SMALL), X),
    "batch_norm": (PLAIN(2, init="random", batch_norm=True, **SMALL), X),
    "generator": (PLAIN(2, **{**SMALL, "random_state": np.random.RandomState(0)}), X),
    "hidden": (DenoisingAutoEncoderTransformer(features="hidden", **SMALL), X),
    "masked": (
        DenoisingAutoEncoderTransformer(features="reconstruction", **SMALL),
        FRAME,
    ),
    "vae": (VAETransformer(2, prior="mixture", **SMALL), X),
    "frame": (PLAIN(2, **SMALL), FRAME),
    "conv": (
        PLAIN(2, network=ConvNet(channels=(2,), hidden_layer_sizes=()), max_epochs=1),
        X,
    ),
    "recurrent": (PLAIN(2, network=RecurrentNet(hidden_size=3), max_epochs=1), X),
    "detector": (AutoEncoderOutlierDetector(PLAIN(2, **SMALL)), X),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files by the names of their estimators, each written when it is asked for."""
    folder, files = tmp_path_factory.mktemp("saved"), {}

    def get(asked):
        name = asked.removesuffix(", for use")
        if name not in files:
            estimator, rows = ESTIMATORS[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a fit this short
                estimator.fit(rows).save(folder / name, optimizer=True)
                estimator.save(folder / f"{name}, for use")
            files[f"{name}, for use"] = (folder / f"{name}, for use").read_bytes()
            files[name] = (folder / name).read_bytes()
        return SavedFile(files[asked])

    return get


def refusal(data, tmp_path):
    """Load a file, and return why it is refused."""
    path = tmp_path / "model"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="expected a file that save has written") as e:
        sk_autoencoder.load(path)
    message = str(e.value)
    assert type(e.value).__mro__[1] is ValueError
    start = f"expected a file that save has written, got {str(path)!r}, because: "
    assert message.startswith(start)
    end = ". Save the estimator again, or look for a whole copy."
    assert message.endswith(end)
    return message.removeprefix(start).removesuffix(end)


# -- arrays: name, shape and dtype ----------------------------------------------------


def moment_at_step(file):
    """The fault that was found: moments in the memory of one number."""
    name = file.array(*OPTIMIZER, "step")
    file.put({"$array": name, "shape": []}, *OPTIMIZER, "exp_avg")


def resized(*names):
    def change(file):
        array = file.arrays[file.array(*names)]
        file.give(np.resize(array, array.size + 1), *names)

    return change


def retyped(dtype, *names):
    return lambda file: file.give(file.arrays[file.array(*names)].astype(dtype), *names)


def filled(value, *names):
    def change(file):
        array = file.arrays[file.array(*names)]
        file.give(np.full_like(array, value), *names)

    return change


FIRST = "encoder.network.0.weight"
ARRAYS = {
    "a moment that is one number": (
        "plain",
        moment_at_step,
        "an array '0035 NetState.optimizer.state.0.step' that is not there, or twice",
    ),
    "a moment of another shape": (
        "plain",
        resized(*OPTIMIZER, "exp_avg"),
        "another exp_avg than one of shape (62,) and dtype float32, in the state of "
        "the optimizer",
    ),
    "a moment of another dtype": (
        "plain",
        retyped("f8", *OPTIMIZER, "exp_avg_sq"),
        "another exp_avg_sq than one of shape (62,) and dtype float32, in the state of "
        "the optimizer",
    ),
    "a moment that is NaN": (
        "plain",
        filled(np.nan, *OPTIMIZER, "exp_avg"),
        "another exp_avg than one of shape (62,) and dtype float32, in the state of "
        "the optimizer",
    ),
    "a square below 0": (
        "plain",
        filled(-1, *OPTIMIZER, "exp_avg_sq"),
        "exp_avg_sq out of range, in the state of the optimizer",
    ),
    "no moment": (
        "plain",
        lambda file: file.remove(*OPTIMIZER, "exp_avg") or drop_unused(file),
        "moments of an optimizer without exp_avg",
    ),
    "moments of other weights": (
        "plain",
        lambda file: file.put({"$dict": [[7, file.at(*OPTIMIZER)]]}, *OPTIMIZER[:-1]),
        "moments of other weights, in the state of the optimizer",
    ),
    "a moment of torch's own optimizer": (
        "rmsprop",
        resized(*OPTIMIZER, "square_avg"),
        "another square_avg than one of shape (4, 4) and dtype float32, in the state "
        "of the optimizer",
    ),
    "memory of LBFGS": (
        "lbfgs",
        resized(*OPTIMIZER, "prev_flat_grad"),
        "prev_flat_grad of other weights, in the state of the optimizer",
    ),
    "a weight of another shape": (
        "plain",
        resized(*NET, "module", FIRST),
        "net.module.encoder.network.0.weight of shape (17,) and dtype float32 where a "
        "model of this plan has shape (4, 4) and dtype float32",
    ),
    "a weight of another dtype": (
        "plain",
        retyped("f8", *NET, "module", FIRST),
        "net.module.encoder.network.0.weight of shape (4, 4) and dtype float64 where a "
        "model of this plan has shape (4, 4) and dtype float32",
    ),
    "no weight": (
        "plain",
        lambda file: file.remove(*NET, "module", FIRST) or drop_unused(file),
        "arrays of net.module without encoder.network.0.weight",
    ),
    "one more weight": (
        "plain",
        lambda file: add_array(file, "more", *NET, "module"),
        "arrays of net.module with the unknown 'more'",
    ),
    "a weight that is NaN": (
        "plain",
        filled(np.nan, *NET, "module", FIRST),
        "encoder.network.0.weight with numbers that are not finite",
    ),
    "a weight of a user's optimizer": (
        "plain",
        filled(np.inf, *NET, "raw_weights", 0),
        "weights that are not finite",
    ),
    "other raw weights": (
        "plain",
        resized(*NET, "raw_weights", 0),
        "weights.0 of shape (63,) and dtype float32 where a model of this plan has "
        "shape (62,) and dtype float32",
    ),
    "no raw weights": (
        "plain",
        lambda file: file.put([], *NET, "raw_weights") or drop_unused(file),
        "weights of another net",
    ),
    "weights of prefixes": (
        "ordered",
        resized("_fitted", "prefix_net", "module", "decoder.units"),
        "prefix_net.module.decoder.units of shape (3,) and dtype float32 where a model "
        "of this plan has shape (2,) and dtype float32",
    ),
    "positions beyond the table": (
        "frame",
        filled(9, *NET, "module", "columns.column_index"),
        "columns.column_index of other columns",
    ),
    "a variance below 0": (
        "vae",
        filled(-1, *NET, "module", "columns.likelihood.variance"),
        "columns.likelihood.variance below its least",
    ),
    "a variance of batch norm below 0": (
        "batch_norm",
        filled(-1, *NET, "module", "encoder.1.running_var"),
        "encoder.1.running_var below its least",
    ),
    "axes of other columns": (
        "plain",
        resized(*PLAN, "axes", "components"),
        "a PrincipalAxes of components of shape (9,)",
    ),
    "a mean of more columns": (
        "plain",
        resized(*PLAN, "statistics", "mean"),
        "a ColumnStatistics of squares of shape (4,)",
    ),
    "units that are NaN": (
        "plain",
        filled(np.nan, *PLAN, "units"),
        "a Plan of units=array([nan, nan])",
    ),
    "an array that belongs to nothing": (
        "plain",
        lambda file: file.arrays.update(more=np.zeros(3)),
        "an array 'more' that is part of no value",
    ),
    "an array that is there twice": (
        "plain",
        lambda file: file.put(
            dict(file.at(*PLAN, "statistics", "low")), *PLAN, "statistics", "mean"
        ),
        "an array '0002 ColumnStatistics.low' that is not there, or twice",
    ),
}


def drop_unused(file):
    text = json.dumps(file.header)
    for name in list(file.arrays):
        if json.dumps(name) not in text:
            del file.arrays[name]


def add_array(file, name, *names):
    file.arrays[name] = np.zeros(3, np.float32)
    file.add(name, {"$array": name, "shape": [3]}, *names)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_those_of_a_model_that_was_just_built(name, saved, tmp_path):
    estimator, change, reason = ARRAYS[name]
    file = saved(estimator)
    change(file)
    assert refusal(file.to_bytes(), tmp_path) == reason


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_file_taken_apart_and_put_together_loads(name, saved, tmp_path):
    (tmp_path / "model").write_bytes(saved(name).to_bytes())
    model = sk_autoencoder.load(tmp_path / "model")
    check_is_fitted(model)
    if hasattr(model, "partial_fit"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of so short a training
            model.partial_fit(ESTIMATORS[name][1])


# -- settings, results and attributes -------------------------------------------------

VALUES = {
    "a group without a learning rate": (
        lambda file: file.remove(*GROUP, "lr"),
        "settings of an optimizer without lr",
    ),
    "a group with anything": (
        lambda file: file.add("hook", 1, *GROUP),
        "settings of an optimizer with the unknown 'hook'",
    ),
    "a learning rate of text": (
        lambda file: file.put("fast", *GROUP, "lr"),
        "a setting lr='fast', in the state of the optimizer",
    ),
    "a learning rate below 0": (
        lambda file: file.put(-1.0, *GROUP, "lr"),
        "a setting lr=-1.0, in the state of the optimizer",
    ),
    "a learning rate that is NaN": (
        lambda file: file.put(float("nan"), *GROUP, "lr"),
        "a setting lr=nan, in the state of the optimizer",
    ),
    "betas beyond 1": (
        lambda file: file.put({"$tuple": [0.9, 1.5]}, *GROUP, "betas"),
        "a setting betas=(0.9, 1.5), in the state of the optimizer",
    ),
    "three betas": (
        lambda file: file.put({"$tuple": [0.9, 0.9, 0.9]}, *GROUP, "betas"),
        "a setting betas=(0.9, 0.9, 0.9), in the state of the optimizer",
    ),
    "two groups": (
        lambda file: file.put([file.at(*GROUP)] * 2, *GROUP[:-1]),
        "another number of groups of weights, in the state of the optimizer",
    ),
    "a net that is compiled": (
        lambda file: file.add("compile", True, *PLAN, "training", "extra"),
        "a setting 'compile'",
    ),
    "a batch of no samples": (
        lambda file: file.put(0, *PLAN, "training", "batch_size"),
        "a TrainingConfig of batch_size out of range: 0",
    ),
    "net_params that compile": (
        lambda file: file.put({"$dict": [["compile", True]]}, "net_params"),
        "a setting 'compile'",
    ),
    "a parameter out of range": (
        lambda file: file.put(-1, "max_epochs"),
        "The 'max_epochs' parameter of AutoEncoderTransformer must be an int in the "
        "range [0, inf) or a str among {'auto'}. Got -1 instead",
    ),
    "any attribute": (
        lambda file: file.add("transform", 1),
        "AutoEncoderTransformer with the unknown 'transform'",
    ),
    "no model": (
        lambda file: file.remove("_fitted") or drop_unused(file),
        "it holds a 'AutoEncoderTransformer' that is not fitted",
    ),
    "no state": (
        lambda file: file.header.update(state={"$dict": []}) or drop_unused(file),
        "it holds a 'AutoEncoderTransformer' that is not fitted",
    ),
    "a state without parameters": (
        lambda file: [file.remove(name) for name in ("lr", "tol")],
        "AutoEncoderTransformer without lr, tol",
    ),
    "an empty list": (
        lambda file: file.header.update(state=[]) or drop_unused(file),
        "a state of AutoEncoderTransformer that is no dict",
    ),
    "other features": (
        lambda file: file.put(5, "n_features_in_"),
        "n_features_in_=5",
    ),
    "rows of a shape": (
        lambda file: file.put({"$tuple": [2, 2]}, "_row_shape"),
        "rows of shape (2, 2)",
    ),
    "rows of text": (
        lambda file: file.put(
            {"$dtype": {"$dict": [["numpy", "<U3"]]}}, "_input_dtype"
        ),
        "rows of dtype dtype('<U3')",
    ),
    "names of other features": (
        lambda file: file.add("feature_names_in_", {"$objects": ["a"]}),
        "names of other features",
    ),
    "an output of its own": (
        lambda file: file.add(
            "_sklearn_output_config", {"$dict": [["transform", "evil"]]}
        ),
        "an output that set_output has not",
    ),
    "requests of another method": (
        lambda file: file.add(
            "_metadata_request", {"$dict": [["transform", {"$dict": []}]]}
        ),
        "requests of metadata {'transform': {}}",
    ),
    "requests of other metadata": (
        lambda file: file.add(
            "_metadata_request",
            {"$dict": [["fit", {"$dict": [["sample_weight", True]]}]]},
        ),
        "Unexpected args: {'sample_weight'} in fit.",
    ),
    "a request by a number": (
        lambda file: file.add(
            "_metadata_request", {"$dict": [["fit", {"$dict": [["X_val", 3]]}]]}
        ),
        "The alias you're setting for `X_val` should be either a valid identifier",
    ),
    "a request by no name": (
        lambda file: file.add(
            "_metadata_request", {"$dict": [["fit", {"$dict": [["X_val", "a b"]]}]]}
        ),
        "The alias you're setting for `X_val` should be either a valid identifier",
    ),
    "an objective of another class": (
        lambda file: file.put(
            {
                "$record": "Denoise",
                "fields": {
                    "$dict": [
                        ["noise", "swap"],
                        ["level", 0.1],
                        ["groups", None],
                        ["schedule", None],
                    ]
                },
            },
            *PLAN,
            "objective",
        ),
        "a Denoise in a AutoEncoderTransformer",
    ),
    "a best epoch to come": (
        lambda file: file.put(10**6, *NET, "best_epoch"),
        "a best epoch that was none",
    ),
    "a history without losses": (
        lambda file: file.put([{"$dict": []}], *NET, "history"),
        "a history without losses",
    ),
    "a device without memory": (
        lambda file: file.put("meta", *PLAN, "device"),
        "a device 'meta'",
    ),
    "a seed that is none": (
        lambda file: file.put(-1, *PLAN, "seeds", "noise"),
        "a Seeds of noise out of range: -1",
    ),
    "a record of other types": (
        lambda file: file.put("two", *PLAN, "n_components"),
        "a Plan of n_components='two'",
    ),
    "more components than arrays": (
        lambda file: file.put(3, *PLAN, "n_components"),
        "units of other components",
    ),
    "a plan without a field": (
        lambda file: file.remove(*PLAN, "whiten"),
        "a Plan without whiten",
    ),
    "a plan with another": (
        lambda file: file.add("exec", "1", *PLAN),
        "a Plan with the unknown 'exec'",
    ),
    "a class of another": (
        lambda file: file.header.update({"class": "Pipeline"}),
        "it holds a 'Pipeline', which is not known here",
    ),
    "a class that is a number": (
        lambda file: file.header.update({"class": 1}),
        "a class called 1",
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_checked_against_the_plan(name, saved, tmp_path):
    change, reason = VALUES[name]
    file = saved("plain")
    change(file)
    # A reason of scikit-learn's may go on.
    assert refusal(file.to_bytes(), tmp_path).startswith(reason)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (
            "hidden",
            lambda file: file.put({"$tuple": [9**9]}, *PLAN, "output_index"),
            "layers that are not there",
        ),
        (
            "masked",
            filled(0.0, *PLAN, "table", "columns", 0, "bins", "edges"),
            "bins of 'a' that are none",
        ),
        (
            "masked",
            filled(1e9, *PLAN, "table", "columns", 0, "bins", "values"),
            "bins of 'a' that are none",
        ),
        (
            "masked",
            lambda file: file.put("squared_error", *PLAN, "likelihood"),
            "a column 'a' for another network",
        ),
        (
            "frame",
            lambda file: file.put("cross_entropy", *PLAN, "likelihood"),
            "levels of no table",
        ),
        (
            "vae",
            lambda file: file.put(None, "_fitted", "kl") or drop_unused(file),
            "kl out of place",
        ),
        (
            "vae",
            filled(-1, "_fitted", "prior", "weights"),
            "a MixturePrior of weights out of range: array([-1., -1.])",
        ),
        (
            "frame",
            lambda file: file.put(
                {"$tuple": ["x"]}, *PLAN, "table", "columns", 4, "levels"
            ),
            "proportions of 'kind' that are none",
        ),
        (
            "frame",
            lambda file: file.put("z", *PLAN, "table", "columns", 0, "name"),
            "a column called 'z'",
        ),
        (
            "frame",
            lambda file: file.put(True, *PLAN, "table", "is_matrix"),
            "a matrix of other columns",
        ),
        (
            "ordered",
            lambda file: file.put(None, "_fitted", "prefix_net") or drop_unused(file),
            "a prefix net out of place",
        ),
        (
            "detector",
            lambda file: file.put(
                -1.0, "_scorer", "members", "scales", "constant_distance"
            ),
            "a RobustScales of constant_distance out of range: -1.0",
        ),
        (
            "detector",
            lambda file: file.add("predict", 1),
            "AutoEncoderOutlierDetector with the unknown 'predict'",
        ),
    ],
    ids=range(13),
)
def test_values_of_other_estimators_are_checked(name, change, reason, saved, tmp_path):
    file = saved(name)
    change(file)
    assert refusal(file.to_bytes(), tmp_path) == reason


# -- generators -----------------------------------------------------------------------


def test_states_of_generators_are_theirs():
    generator = torch.Generator().manual_seed(0)
    for n in range(700):
        check_generator_state(generator.get_state().numpy())
        torch.randn(n % 20, generator=generator)
        torch.rand(n % 3, generator=generator)
    random = np.random.RandomState(0)
    for n in range(700):
        check_numpy_state(random.get_state(legacy=False))
        random.normal(size=n % 3)


@pytest.mark.parametrize(
    ("place", "value"), [(8, 0), (8, 625), (12, 0), (12, 2), (16, 600), (16, 2**31 - 1)]
)
def test_a_generator_whose_next_word_is_beyond_its_state_is_refused(place, value):
    state = torch.Generator().manual_seed(0).get_state().numpy().copy()
    state[place : place + 4].view(np.int32)[0] = value
    with pytest.raises(ValueError, match=r"^a generator whose state is out of range$"):
        check_generator_state(state)
    for other in (state[1:], state.astype(np.int8), None):
        with pytest.raises(ValueError, match=r"^a generator whose state is none$"):
            check_generator_state(other)


@pytest.mark.parametrize("position", [-1, 625, 10**6, 1.0, True, None])
def test_a_random_state_whose_next_word_is_beyond_it_is_refused(
    position, saved, tmp_path
):
    file = saved("generator")
    node = file.at("random_state")["$random_state"]
    state = next(value for key, value in node["$dict"] if key == "state")
    next(pair for pair in state["$dict"] if pair[0] == "pos")[1] = position
    assert (
        refusal(file.to_bytes(), tmp_path)
        == "a RandomState whose state is out of range"
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([f"own_{i}" for i in range(7)], "own_0, own_1, own_2, own_3, own_4, ..."),
        (["x" * 10**6], f"{'x' * 120}..."),
    ],
    ids=["many", "long"],
)
def test_what_the_file_names_is_told_in_few_words(names, shown, saved, tmp_path):
    file = saved("plain")
    file.put([{"$custom": name} for name in names], "callbacks")
    (tmp_path / "model").write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match=r"^expected your own ") as caught:
        sk_autoencoder.load(tmp_path / "model")
    first = f"expected your own {shown}, which the file names and does not hold, got "
    assert str(caught.value).startswith(first)
    assert len(str(caught.value)) < 600


# -- memory and time ------------------------------------------------------------------


LEVELS = {"$tuple": [f"level {i}" for i in range(3000)]}


def many_levels(file):
    column = (*PLAN, "table", "columns", 4)
    file.put(LEVELS, *column, "levels")
    file.give(np.full(3000, 1 / 3000), *column, "shares")


def network(name, **params):
    pairs = [[key, value] for key, value in params.items()]
    return {"$network": name, "params": {"$dict": pairs}}


MLP = {"activation": "gelu", "batch_norm": False, "dropout": 0.0}
RECURRENT = {
    "bidirectional": True,
    "cell": "lstm",
    "dropout": 0.0,
    "frame_size": "auto",
    "input_shape": None,
    "n_future": 0,
}
CONV = {
    **MLP,
    "input_shape": None,
    "kernel_size": 5,
    "pooling": None,
    "stride": 2,
    "upsampling": "nearest",
}
HUGE = {
    "layers beyond the file": (
        "plain",
        network("MLP", **MLP, hidden_layer_sizes={"$tuple": [10**6] * 2}),
        r"a network of size 1000000 in a file of \d+ numbers",
    ),
    "wide layers": (
        "plain",
        network("MLP", **MLP, hidden_layer_sizes={"$tuple": [9000] * 12}),
        r"arrays of net\.module without .*",
    ),
    "wide layers, as many as are there": (
        "plain",
        network("MLP", **MLP, hidden_layer_sizes={"$tuple": [9000]}),
        r"net\.module\.encoder\.network\.0\.weight of shape \(4, 4\) and dtype float32 "
        r"where a model of this plan has shape \(9000, 4\) and dtype float32",
    ),
    "many layers": (
        "plain",
        network("MLP", **MLP, hidden_layer_sizes={"$tuple": [1] * 20_000}),
        r"a network of 20000 layers in a file of \d+ arrays",
    ),
    "many recurrent layers": (
        "recurrent",
        network("RecurrentNet", **RECURRENT, hidden_size=1, n_layers=9000),
        "a network of more layers than there are arrays",
    ),
    "wide recurrent layers": (
        "recurrent",
        network("RecurrentNet", **RECURRENT, hidden_size=9000, n_layers=1),
        r"net\.module\..* of shape .* where a model of this plan has shape .*",
    ),
    "many channels": (
        "conv",
        network(
            "ConvNet",
            **CONV,
            channels={"$tuple": [9000]},
            hidden_layer_sizes={"$tuple": []},
        ),
        r"net\.module\..* of shape .* where a model of this plan has shape .*",
    ),
    "large kernels": (
        "conv",
        network(
            "ConvNet",
            **{**CONV, "kernel_size": 9001},
            channels={"$tuple": [9000]},
            hidden_layer_sizes={"$tuple": []},
        ),
        r"net\.module\..* of shape .* where a model of this plan has shape .*",
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_no_network_is_built_that_is_larger_than_the_file(name, saved, tmp_path):
    estimator, value, reason = HUGE[name]
    file = saved(estimator)
    file.put(value, *PLAN, "network")
    before = reset_peak()
    assert re.fullmatch(reason, refusal(file.to_bytes(), tmp_path))
    assert peak() - before < 100_000_000


def test_no_table_is_built_that_is_larger_than_the_file(saved, tmp_path):
    file = saved("frame")
    many_levels(file)
    reason = refusal(file.to_bytes(), tmp_path)
    assert re.fullmatch(r"a table of 141000 numbers where \d+ are", reason)


def test_numbers_that_a_table_takes_are_counted():
    frame = pd.DataFrame(
        {
            "number": np.arange(600.0),
            "pair": ["a", "b"] * 300,
            **{f"few {i}": np.resize(list("abcd"), 600) for i in range(3)},
            "many": [f"level {i % 100}" for i in range(600)],
        }
    )
    fitted = PLAIN(2, max_epochs=0).fit(frame)
    columns, table = fitted.module_.columns, fitted._plan.table
    made = {n.rpartition(".")[2]: b.numel() for n, b in columns.named_buffers()}
    assert least_size(table) == made["members"] + made["codes"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            [{"$tuple": []}] * 800_000,
            r"its header has 32000\d\d values, beyond 1000000",
        ),
        (["x" * 25_000_000], r"its header claims to have \d+ bytes"),
        (json.loads("[" * 150 + "]" * 150), "values nested more than 100 deep"),
        ([{}], "a value of unknown kind None"),
    ],
    ids=["tuples", "text", "nested", "empty"],
)
def test_a_header_takes_no_more_than_it_needs(value, reason, saved, tmp_path):
    file = saved("plain")
    file.header["state"] = value
    data, before = file.to_bytes(), reset_peak()
    assert re.fullmatch(reason, refusal(data, tmp_path))
    assert peak() - before < 200_000_000


def test_many_arrays_are_refused(saved, tmp_path):
    file = saved("plain")
    empty = np.empty(0, np.float32)
    file.arrays.update((f"more {i}", empty) for i in range(20_001))
    assert re.fullmatch(
        r"200\d\d arrays, beyond 20000", refusal(file.to_bytes(), tmp_path)
    )


# -- dtypes, names and numbers --------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        {"numpy": "datetime64[ns, dateutil//etc/passwd]"},
        {"numpy": "<U9999999"},
        {"numpy": "f8, f8"},
        {"numpy": None},
        {"pandas": "datetime64[ns, dateutil//etc/passwd]"},
        {"pandas": "period[D]"},
        {"pandas": "interval[int64]"},
        {"pandas": "list<item: int64>[pyarrow]"},
        {"pandas": ["string"]},
        {"polars": "Datetime"},
        {"polars": "DataFrame"},
        {"polars": 3},
        {},
    ],
    ids=str,
)
def test_dtypes_are_those_of_a_list(found, monkeypatch):
    def refuse(event, *arguments):
        raise AssertionError(event)

    monkeypatch.setattr("pandas.api.types.pandas_dtype", refuse)
    with pytest.raises(ValueError, match=r"^a dtype called "):
        dtype_from_json(found)


@pytest.mark.parametrize(
    "dtype",
    ["Int8", "UInt64", "Float32", "boolean", "string", "str", "float64", "bool", "<U5"],
)
def test_dtypes_of_the_list_come_back(dtype):
    made = pd.api.types.pandas_dtype(dtype)
    assert dtype_from_json(dtype_to_json(made)) == made


@pytest.mark.parametrize("name", ["string[pyarrow]", "int64[pyarrow]"])
def test_a_package_that_is_not_installed_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = (
        f"it has a column of dtype {name!r}, for which pyarrow is not installed here. "
        "Install it, and load the file again"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dtype_from_json({"pandas": name})


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_installed_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    name = "boolean" if library == "pandas" else "Boolean"
    message = (
        f"it has a column of the dtype {name!r} of {library}, which is not installed "
        "here. Install it, and load the file again"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dtype_from_json({library: name})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda file: file.put({"$custom": None}, "callbacks"),
            "the name of your own that is no text: None",
        ),
        (
            lambda file: file.put({"$optimizer": "lr_scheduler"}, "optimizer"),
            "an optimizer called 'lr_scheduler'",
        ),
        (
            lambda file: file.put({"$optimizer": 3}, "optimizer"),
            "the name of an optimizer that is no text: 3",
        ),
        (
            lambda file: file.put({"$array": ["a"], "shape": []}, "callbacks"),
            "the name of an array that is no text: ['a']",
        ),
        (
            lambda file: file.put({"$tuple": 3}, "callbacks"),
            "items 3 that are no list",
        ),
        (
            lambda file: file.put({"$dict": [["a", 1], ["a", 2]]}, "net_params"),
            "a dict with a key more than once",
        ),
        (
            lambda file: file.put({"$dict": [["a"]]}, "net_params"),
            "a dict of what is no pair of a key and a value",
        ),
        (
            lambda file: file.put({"$dict": [[[], 1]]}, "net_params"),
            "cannot use 'list' as a dict key (unhashable type: 'list')",
        ),
        (
            lambda file: file.put({"$tuple": [], "more": 1}, "callbacks"),
            "a value of kind $tuple with the unknown 'more'",
        ),
        (
            lambda file: file.put(2**70, "random_state"),
            "its header cannot be read: a whole number of 22 digits",
        ),
    ],
    ids=range(10),
)
def test_values_of_the_wrong_kind_are_refused(change, reason, saved, tmp_path):
    file = saved("plain")
    change(file)
    found = refusal(file.to_bytes(), tmp_path)
    if "unhashable" in reason:  # in the words of this version of Python
        assert "unhashable type: 'list'" in found
    else:
        assert found == reason


def test_numbers_of_thousands_of_digits_are_refused(saved, tmp_path):
    file = saved("plain")
    file.put("DIGITS", "random_state")
    for n in (23, 400, 5000):
        text = json.dumps(file.header).replace('"DIGITS"', "9" * n)
        data = with_text(file.to_bytes(), text)
        reason = f"its header cannot be read: a whole number of {n} digits"
        assert refusal(data, tmp_path) == reason


def with_text(data, text):
    """Put another text in the place of a file's JSON."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = {"sk_autoencoder": text}
    outer = json.dumps(header).encode()
    return with_right_digest(struct.pack("<Q", len(outer)) + outer + data[8 + size :])


def test_arrays_of_other_numbers_are_refused(saved, tmp_path):
    data = saved("plain").to_bytes()
    for name, size in (("F8_E4M3", 1), ("BF16", 2), ("F8_E5M2", 1)):
        text = data.replace(b'"dtype":"U8"', f'"dtype":"{name}"'.encode(), 1)
        length = struct.unpack("<Q", data[:8])[0] + len(text) - len(data)
        reason = refusal(struct.pack("<Q", length) + text[8:], tmp_path)
        if size == 1:  # else the header does not fit the file, as safetensors finds
            assert reason == f"an array of {name} numbers"


@pytest.mark.parametrize("message", ["", "\n", "first\nsecond"])
def test_an_error_is_told_in_one_line(message):
    expected = "first" if message.strip() else "IndexError"
    assert first_line(IndexError(message)) == expected
    assert first_line(ValueError("x" * 900)) == f"{'x' * 400}..."
    assert first_line(ValueError("It is so. So it is.")) == "It is so. So it is"
    assert first_line(ValueError("and so on...")) == "and so on..."
    assert first_line(ValueError()) == "ValueError"


def test_values_are_shortened():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    assert shortened("x" * 10**8) == f"'{'x' * 119}..."
    assert shortened([1, 2]) == "[1, 2]"
    assert shortened(Odd()) == "<Odd, RuntimeError>"


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None, 2**60]),
        (float, [0.5, 3], [True, float("nan"), float("inf"), "1"]),
        (bool, [True], [1, 0.0, None]),
        (int | None, [None, 1], [1.5]),
        (tuple[int, ...] | None, [(), (1, 2), None], [[1], (1.5,), (1, "a")]),
        (tuple[int, str], [(1, "a")], [(1,), ("a", 1), (1, "a", 2)]),
        (list[int], [[], [1]], [(1,), ["a"]]),
        (dict[str, int], [{}, {"a": 1}], [{1: 1}, {"a": "b"}, []]),
        (np.ndarray, [np.ones(2)], [np.ones(2, "f4"), np.array([np.nan]), [1.0]]),
        (np.dtype, [np.dtype("f4")], ["f4"]),
    ],
    ids=str,
)
def test_values_fit_their_annotations(hint, good, bad):
    assert [fits(value, hint) for value in good] == [True] * len(good)
    assert [fits(value, hint) for value in bad] == [False] * len(bad)


# -- mutations by the thousand --------------------------------------------------------


FOLDER_0_1_0 = Path(__file__).parent / "files_0_1_0"
# Those with a short history, which take a fourth of the time of the others.
FEW_OF_0_1_0 = ("autoencoder_pca", "denoising_hidden", "vae", "detector_held_out")


def fuzz(folder, seed, number):
    """Run the fuzzer in a process of its own; return what it counted."""
    script = Path(__file__).parents[1] / "fuzz_files.py"
    command = [sys.executable, str(script), str(folder), str(seed), str(number)]
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def folder(saved, tmp_path):
    """Files of today's format, and some of 0.1.0."""
    for name in ESTIMATORS:
        for kind in (name, f"{name}, for use"):
            (tmp_path / f"{kind}.safetensors").write_bytes(saved(kind).to_bytes())
    for name in FEW_OF_0_1_0:
        shutil.copy(FOLDER_0_1_0 / f"{name}.safetensors", tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for its memory")
def test_mutated_files_do_no_harm(folder):
    assert "refused" in fuzz(folder, seed=0, number=100)


@pytest.mark.slow
@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("seed", range(1, 101))
def test_very_many_mutated_files_do_no_harm(seed, folder):
    for path in FOLDER_0_1_0.glob("*.safetensors"):
        shutil.copy(path, folder)
    assert "refused" in fuzz(folder, seed=seed, number=1000)
