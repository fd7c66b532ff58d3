"""Two processes that train one network, beside one process with the same batches."""

import multiprocessing
import sys
import traceback
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._training.processes import normalize
from sk_autoencoder.networks import ConvNet, UserNetwork

X = load_digits().data[:300]
SMALL = {
    "n_components": 4,
    "hidden_layer_sizes": (16,),
    "max_epochs": 4,
    "batch_size": 64,
    "random_state": 0,
    "device": "cpu",
}
AE, DAE, VAE = (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)


def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    rows = pd.DataFrame(x + 0.3 * rng.normal(size=(300, 4)), columns=list("abcd"))
    rows["kind"] = np.where(x[:, 0] > 0, "p", "q")
    return rows.mask(rng.random(rows.shape) < 0.1)


CASES = {
    "plain": (AE, {}, X),
    "batches of 7, the last of 1": (AE, {"batch_size": 7, "max_epochs": 1}, X[:75]),
    "dropout": (AE, {"dropout": 0.2}, X),
    "an optimizer class": (AE, {"optimizer": partial(torch.optim.SGD, lr=0.01)}, X),
    "a random start": (AE, {"init": "random"}, X),
    "without validation samples": (AE, {"early_stopping": False}, X),
    "a table": (AE, {"allow_missing": True}, table()),
    "pictures": (
        AE,
        {
            "network": ConvNet((1, 8, 8), channels=(4,)),
            "hidden_layer_sizes": "auto",
            "max_epochs": 2,
        },
        X.astype("f"),
    ),
    "batch norm": (AE, {"batch_norm": True}, X),
    # Not by Adam: the gradients of biases before a normalization are zero but for
    # rounding, of which it makes steps as of any other.
    "batch norm of parts of 3 and 4": (
        VAE,
        {
            "batch_norm": True,
            "batch_size": 7,
            "init": "random",
            "optimizer": "sgd",
            "max_epochs": 2,
        },
        X[:100],
    ),
    "batch norm of pictures": (
        AE,
        {
            "network": ConvNet((1, 8, 8), channels=(4,), batch_norm=True),
            "hidden_layer_sizes": "auto",
            "max_epochs": 2,
        },
        X,
    ),
    "swap noise": (DAE, {"noise": "swap"}, X),
    "gaussian noise": (DAE, {"noise": "gaussian"}, X),
    "hidden features": (DAE, {"features": "hidden"}, X),
    "variational": (VAE, {}, X),
    "variational, from a random start": (VAE, {"init": "random"}, X),
    "a variational table": (VAE, {"n_components": 1, "allow_missing": True}, table()),
    "ranked, whitened": (AE, {"numeric_scaling": "rank_gauss", "whiten": True}, X),
}


def fit(name, **params):
    cls, own, rows = CASES[name]
    return cls(**{**SMALL, **own, **params}).fit(rows)


def results(name, **params):
    """Reconstructions and losses of a fit."""
    cls, own, rows = CASES[name]
    made = cls(**{**SMALL, **own, **params}).fit(rows)
    losses = [*made.loss_curve_, *made.validation_loss_curve_]
    return np.asarray(made.transform(rows)), np.array(losses)


def normalized(layer, forward=None, part=slice(None)):
    """Gradients of a layer's weights and input, and its buffers."""
    x = torch.linspace(0, 9, 7 * 6 * 2, dtype=torch.float64).sin().view(7, 6, 2)
    x = (x + 100).requires_grad_()
    out = (forward or layer)(x[part])
    (out * x[part].detach()).tanh().square().sum(dim=(1, 2)).mean().backward()
    return [*(p.grad for p in layer.parameters()), x.grad], [*layer.buffers()]


def normalized_together(rank):
    part, layer = [slice(0, 3), slice(3, 7)][rank], torch.nn.BatchNorm1d(6).double()
    share = [3 / 7, 4 / 7][rank]
    forward = partial(normalize, layer, share)
    gradients, buffers = normalized(layer, forward, part)
    for gradient in gradients:
        torch.distributed.all_reduce(gradient.mul_(share))
    return [part.numpy() for part in (*gradients, *buffers)]


class Watcher(Callback):
    def on_batch_end(self, net, **_):
        pass


def in_each(rank, file, queue):
    torch.set_num_threads(1)
    try:
        torch.distributed.init_process_group(
            "gloo", f"file://{file}", rank=rank, world_size=2
        )
        found = {name: results(name, distributed=True) for name in CASES}
        for name, rows, params in (
            ("other data", X + rank, {}),
            ("other parameters", X, {"lr": 0.1 + rank}),
            ("watcher", X, {"callbacks": [Watcher()]}),
        ):
            try:
                AE(**{**SMALL, "distributed": True, **params}).fit(rows)
                found[name] = "nothing"
            except ValueError as error:
                found[name] = str(error)
        again = AE(**SMALL, distributed=True, warm_start=True).fit(X).fit(X)
        found["normalized"] = normalized_together(rank)
        found["again"] = again.transform(X)
        queue.put((rank, found))
    except BaseException:
        queue.put((rank, traceback.format_exc()))
        raise
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of two processes has found."""
    # Where one process can fork another, both come of one that has imported all.
    forks = sys.platform == "linux"
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["sk_autoencoder", "pandas", "torch._dynamo"])
    queue = context.Queue()
    file = tmp_path_factory.mktemp("processes") / "group"
    children = [
        context.Process(target=in_each, args=(rank, file, queue), daemon=True)
        for rank in range(2)
    ]
    for child in children:
        child.start()
    found = dict(queue.get(timeout=300) for _ in children)
    for child in children:
        child.join(60)
    assert not any(isinstance(part, str) for part in found.values()), found
    return [found[0], found[1]]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_what_one_gives(processes, name):
    first, second = (found[name] for found in processes)
    for own, other in zip(first, second, strict=True):
        assert np.array_equal(own, other)
    for own, expected in zip(first, results(name), strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-6 * np.abs(expected).max())


def test_processes_normalize_a_batch_as_one_does(processes):
    gradients, buffers = normalized(torch.nn.BatchNorm1d(6).double())
    for found in processes:
        for own, expected in zip(
            found["normalized"], [*gradients, *buffers], strict=True
        ):
            np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
    for own, other in zip(*(found["normalized"] for found in processes), strict=True):
        assert np.array_equal(own, other)


def test_a_second_fit_goes_on(processes):
    expected = AE(**SMALL, warm_start=True).fit(X).fit(X).transform(X)
    for found in processes:
        np.testing.assert_allclose(
            found["again"], expected, atol=3e-6 * np.abs(expected).max()
        )


def test_processes_with_other_data_are_refused_in_each(processes):
    for found in processes:
        assert "same samples and parameters in every process" in found["other data"]
        assert "process 1 (there) than in process 0 (here)" in found["other data"]
        assert "X: <f8(300, 64)" in found["other data"]
        assert "lr: 0.1 here, 1.1 there" in found["other parameters"]


def test_callbacks_that_look_at_batches_are_refused(processes):
    assert "do not look at single batches" in processes[0]["watcher"]


def test_without_a_process_group_torchrun_is_named():
    with pytest.raises(ValueError, match=r"process group.*got none.*torchrun"):
        AE(**SMALL, distributed=True).fit(X)


REFUSED = [
    (AE, {"random_state": None}, "an int"),
    (AE, {"ordered": True}, "False"),
    (AE, {"pretrain": "layerwise", "init": "random"}, "None"),
    (AE, {"n_components": 0.9}, "an int or None"),
    (AE, {"checkpoint_dir": "folder"}, "None"),
    (
        AE,
        {
            "network": UserNetwork(torch.nn.Linear(64, 4), torch.nn.Linear(4, 64)),
            "hidden_layer_sizes": "auto",
        },
        "dense, convolutional or recurrent",
    ),
    (DAE, {"features": "reconstruction"}, "'bottleneck' or 'hidden'"),
    (VAE, {"free_bits": 0.1}, "0.0"),
]


@pytest.mark.parametrize(("cls", "params", "message"), REFUSED)
def test_what_does_not_go_with_it_is_refused_by_name(
    monkeypatch, tmp_path, cls, params, message
):
    from sk_autoencoder._estimators import base

    monkeypatch.setattr(base, "check_same_data", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    name = next(iter(params))
    with pytest.raises(ValueError, match=f"expected {name}=.*for distributed=True"):
        cls(**{**SMALL, "distributed": True, **params}).fit(X)


@pytest.mark.parametrize("method", ["partial_fit", "fit_batches"])
def test_streams_are_refused(method):
    rows = [X] if method == "fit_batches" else X
    with pytest.raises(ValueError, match="distributed=False in partial_fit"):
        getattr(AE(**SMALL, distributed=True), method)(rows)
