"""The step that a GPU replays, and bfloat16, as far as a CPU can show them."""

import gc
import re
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._training.batches import Batches, RowDataset
from sk_autoencoder._training.fast.cuda_graph import (
    CudaGraphStep,
    no_search_for_garbage,
)
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder.networks import ConvNet, UserNetwork

X = load_digits().data[:333].astype(np.float32)
SMALL = {
    "hidden_layer_sizes": (16,),
    "batch_size": 64,
    "max_epochs": 4,
    "random_state": 0,
    "device": "cpu",
}
ALL = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer]


def twice_then_as_it_is(compute, generator):
    """Record as a GPU does: some trials first, then the same call each time."""
    compute()
    compute()
    return compute


def replaying(record, clip=None):
    """Make the net's `make_gradient_fn` argument."""

    def make_gradient_fn(module, flat, precision):
        return CudaGraphStep(module, flat, precision, clip=clip, record=record)

    return {"make_gradient_fn": make_gradient_fn}


@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_replayed_step_is_the_step(estimator, dropout):
    # 300 rows to train on: four batches of 64, and a last one of another size.
    settings = {**SMALL, "dropout": dropout}
    steps = estimator(5, net_params={"make_gradient_fn": None}, **settings).fit(X)
    replayed = estimator(5, net_params=replaying(twice_then_as_it_is), **settings)
    replayed.fit(X)
    assert replayed.loss_curve_ == steps.loss_curve_
    np.testing.assert_array_equal(replayed.transform(X), steps.transform(X))


def test_a_replayed_step_clips_the_gradient():
    settings = {"gradient_clip": 1e-3, "make_gradient_fn": None}
    steps = AutoEncoderTransformer(5, net_params=settings, **SMALL).fit(X)
    own = {"gradient_clip": 1e-3, **replaying(twice_then_as_it_is, 1e-3)}
    replayed = AutoEncoderTransformer(5, net_params=own, **SMALL).fit(X)
    np.testing.assert_array_equal(replayed.transform(X), steps.transform(X))
    # Whoever clips again would scale by another norm.
    own = {"gradient_clip": 1e-9, **replaying(twice_then_as_it_is, 1e-3)}
    alone = AutoEncoderTransformer(5, net_params=own, **SMALL).fit(X)
    np.testing.assert_array_equal(alone.transform(X), steps.transform(X))


class OfMyOwn(nn.Linear):
    """A module that may do otherwise at every call."""


def listened_to():
    layer = nn.Linear(64, 5)
    layer.register_forward_hook(lambda *_: None)
    return layer


def with_encoder(encoder):
    network = UserNetwork(encoder, nn.Linear(5, 64), outputs="data")
    return AutoEncoderTransformer(5, network=network)


RECORDED = {
    "dense": (AutoEncoderTransformer(5), True),
    "variational": (VAETransformer(5), True),
    "known noise": (DenoisingAutoEncoderTransformer(5, noise="gaussian"), True),
    "convolutions": (AutoEncoderTransformer(5, network=ConvNet((1, 8, 8))), True),
    "modules of torch": (with_encoder(nn.Sequential(nn.Linear(64, 5))), True),
    "own module": (with_encoder(OfMyOwn(64, 5)), False),
    "hook": (with_encoder(listened_to()), False),
    "own loss": (AutoEncoderTransformer(5, loss=nn.L1Loss(reduction="none")), False),
    "own noise": (DenoisingAutoEncoderTransformer(5, noise=lambda x, g: 2 * x), False),
}


@pytest.mark.filterwarnings("ignore:expected a network that explains:UserWarning")
@pytest.mark.parametrize("name", RECORDED)
def test_what_a_user_has_written_is_not_recorded(name):
    estimator, is_recorded = RECORDED[name]
    module = estimator.set_params(max_epochs=0, device="cpu").fit(X).module_
    flat = SimpleNamespace(vector=SimpleNamespace(device=torch.device("cuda")))
    step = fast_step(module, flat, "float32")
    assert isinstance(step, CudaGraphStep) == is_recorded
    assert (step is None) != is_recorded


def test_garbage_is_not_looked_for_in_a_recording():
    assert gc.isenabled()
    with suppress(ValueError), no_search_for_garbage():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()
    gc.disable()
    try:
        with no_search_for_garbage():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_first_error_of_a_recording_is_named():
    def refuse(compute, generator):
        try:
            raise RuntimeError("nonzero is not permitted")
        finally:
            raise RuntimeError("a previous error")

    refused = VAETransformer(5, net_params=replaying(refuse), **SMALL)
    with pytest.warns(UserWarning, match="because: nonzero is not permitted. It is"):
        refused.fit(X)


def test_a_step_that_cannot_be_recorded_is_computed():
    def refuse(compute, generator):
        compute()
        raise RuntimeError("operation not permitted when stream is capturing")

    settings = {**SMALL, "batch_norm": True}
    steps = VAETransformer(5, net_params={"make_gradient_fn": None}, **settings).fit(X)
    refused = VAETransformer(5, net_params=replaying(refuse), **settings)
    message = (
        "expected a training step that can be recorded as a CUDA graph, got one that "
        "cannot, because: operation not permitted when stream is capturing. It is "
        "computed step by step, which is slower and gives the same result."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        refused.fit(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(refused.transform(X), steps.transform(X))


class Centered(nn.Module):
    """Puts another tensor in the place of its buffer at each step."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.register_buffer("center", torch.zeros(64))

    def forward(self, x):
        if self.training:
            self.center = 0.9 * self.center + 0.1 * x.detach().mean(dim=0)
        return self.layer(x - self.center)


def test_a_step_that_replaces_a_buffer_is_computed():
    def make_gradient_fn(module, flat, precision):
        encoder = next(m for m in module.modules() if isinstance(m, Centered))

        def record(compute, generator):
            start = encoder.center
            compute()

            def replay():  # reads the memory that was read in the recording
                encoder.center = start
                return compute()

            return replay

        return CudaGraphStep(module, flat, precision, record=record)

    network = UserNetwork(Centered(), nn.Linear(3, 64))
    settings = {**SMALL, "network": network, "init": "pca"}
    del settings["hidden_layer_sizes"]
    steps, replayed = (
        AutoEncoderTransformer(3, net_params={"make_gradient_fn": make}, **settings)
        for make in (None, make_gradient_fn)
    )
    steps.fit(X)
    with pytest.warns(UserWarning, match="because: another tensor takes the place of"):
        replayed.fit(X)
    np.testing.assert_array_equal(replayed.transform(X), steps.transform(X))


@pytest.mark.parametrize("batch", ["its own", "the last one's"])
def test_the_terms_of_the_loss_are_in_the_history(batch):
    # Recorded tensors are the same each time: what is read late is the last batch's.
    def record(compute, generator):
        loss, terms = compute()

        def replay():
            again, new = compute()
            loss.copy_(again)
            for name, value in new.items():
                terms[name].copy_(value)
            return loss, terms

        return replay

    how = {"its own": twice_then_as_it_is, "the last one's": record}[batch]
    steps = VAETransformer(5, net_params={"make_gradient_fn": None}, **SMALL).fit(X)
    replayed = VAETransformer(5, net_params=replaying(how), **SMALL).fit(X)
    names = "train_loss", "train_kl", "train_reconstruction"
    curves = np.array(steps.history_[:, names])
    assert curves.shape == (4, 3)
    assert np.ptp(curves, axis=0).min() > 0
    np.testing.assert_array_equal(replayed.history_[:, names], curves)
    kl, reconstruction = curves[:, 1:].T
    np.testing.assert_allclose(curves[:, 0], reconstruction + kl, rtol=1e-5)


def test_targets_of_a_users_own_data_set_are_heeded():
    rows = torch.from_numpy(X - X.mean(axis=0))

    def fit(net_params):
        reducer = AutoEncoderTransformer(5, net_params=net_params, **SMALL).fit(X)
        reducer.net_.partial_fit(TensorDataset(rows, -rows))
        return reducer

    steps = fit({"make_gradient_fn": None})
    replayed = fit(replaying(twice_then_as_it_is))
    assert replayed.net_.history[-1]["train_loss"] > 5
    assert replayed.net_.history[:, "train_loss"] == steps.net_.history[:, "train_loss"]
    np.testing.assert_array_equal(replayed.transform(X), steps.transform(X))


def test_each_size_of_batch_is_recorded_once():
    sizes = []

    def count(compute, generator):
        sizes.append(compute)
        return compute

    AutoEncoderTransformer(5, net_params=replaying(count), **SMALL).fit(X)
    assert len(sizes) == 2


def test_rows_that_lie_on_a_device_are_cut_by_one_copy_of_the_order():
    rows = RowDataset(X, mean=X.mean(axis=0, dtype=np.float64), resident=True)
    placed = rows.to_index(np.arange(10))
    assert isinstance(placed, torch.Tensor)
    plain = RowDataset(X, mean=X.mean(axis=0, dtype=np.float64))
    order = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    indices = np.arange(len(X))
    for a, b in zip(
        Batches(rows, indices, 50, order[0]),
        Batches(plain, indices, 50, order[1]),
        strict=True,
    ):
        torch.testing.assert_close(a[0], b[0])


# -- bfloat16 ---


@pytest.mark.parametrize("estimator", ALL)
def test_bf16_ends_nearly_where_float32_does(estimator):
    settings = {**SMALL, "max_epochs": 30}
    exact = estimator(5, **settings).fit(X)
    rough = estimator(5, precision="bf16", **settings).fit(X)
    assert rough.loss_curve_ != exact.loss_curve_
    assert rough.loss_curve_[-1] == pytest.approx(exact.loss_curve_[-1], rel=0.02)
    assert all(w.dtype == torch.float32 for w in rough.module_.parameters())
    assert rough.transform(X).dtype == np.float32


@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(5, init="random"),
        AutoEncoderTransformer(5, pretrain="layerwise"),
        DenoisingAutoEncoderTransformer(features="hidden"),
        DenoisingAutoEncoderTransformer(features="hidden", noise="gaussian"),
        VAETransformer(2, init="random"),
    ],
    ids=str,
)
def test_bf16_trains_tables_from_a_random_start(estimator):
    table = pd.DataFrame(X[:, 2:6], columns=list("abcd"))
    table["level"] = pd.Categorical.from_codes(np.arange(len(X)) % 3, list("xyz"))
    losses = [
        estimator.set_params(**SMALL, precision=precision).fit(table).loss_curve_[-1]
        for precision in ("float32", "bf16")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_in_bf16_the_start_is_still_pca():
    one_step = {**SMALL, "max_epochs": 1, "batch_size": 333, "early_stopping": False}
    exact = AutoEncoderTransformer(5, **one_step).fit(X)
    rough = AutoEncoderTransformer(5, precision="bf16", **one_step).fit(X)
    # The first loss is PCA's own: bfloat16 has three digits.
    assert rough.loss_curve_[0] == pytest.approx(exact.loss_curve_[0], rel=1e-6)


def test_the_linear_parts_are_not_rounded_to_bf16():
    module = AutoEncoderTransformer(5, **SMALL, init="pca").fit(X).module_
    nn.init.zeros_(module.encoder.network[-1].weight)
    nn.init.zeros_(module.encoder.network[-1].bias)
    x = torch.from_numpy(X - X.mean(axis=0))
    module.eval()
    with torch.no_grad():
        exact = module.encoder(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(module.encoder(x), exact, rtol=0, atol=0)


def test_in_bf16_prefixes_still_start_as_pcas():
    one_step = {**SMALL, "max_epochs": 1, "batch_size": 333, "early_stopping": False}
    still = {"ordered": True, "lr": 1e-12, "weight_decay": 0.0, **one_step}
    exact = AutoEncoderTransformer(5, **still).fit(X)
    rough = AutoEncoderTransformer(5, precision="bf16", **still).fit(X)
    losses = [
        reducer._fitted.prefix_net.history[0, "train_loss"]
        for reducer in (exact, rough)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    prefixes = rough.module_.prefixes
    codes = rough.module_.network_code(torch.from_numpy(X - X.mean(axis=0)))
    for rows in (codes, codes[:, :2]):
        alone = prefixes.linear(rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(prefixes.linear(rows), alone, rtol=0, atol=0)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"'precision' parameter .* must be a str"):
        AutoEncoderTransformer(5, precision="fp8").fit(X)
