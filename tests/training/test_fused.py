"""Training without autograd: the derived step and Adam on one vector, against torch."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Freezer, LRScheduler
from torch import nn
from torch.utils.data import TensorDataset

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._columns import LIKELIHOODS
from sk_autoencoder._protocols import Network
from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.fast import dense
from sk_autoencoder._training.fast.fused import FusedStep, fast_step
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.networks import MLP

X = load_digits().data[:400]
ROWS = np.hstack([X[:, 18:30], np.ones((400, 1))])
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0, "device": "cpu"}
CROSS_ENTROPY = {"loss": "binary_cross_entropy", "numeric_scaling": "minmax"}
SCALINGS = [{"numeric_scaling": name} for name in ("standard", "minmax")]
HUBER = [{"loss": "huber", **scaling} for scaling in [{}, *SCALINGS]]
LOSSES = [{}, *SCALINGS, CROSS_ENTROPY, *HUBER]
KINDS = [torch.optim.Adam, torch.optim.AdamW]
PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer

both = pytest.mark.parametrize("estimator", [PLAIN, DENOISING])
inits = pytest.mark.parametrize("init", ["pca", "random"])
losses = pytest.mark.parametrize("loss", LOSSES, ids=str)
SHAPES = [(name, (9, 7)) for name in ACTIVATIONS]
SHAPES += [("silu", sizes) for sizes in [(9, 7, 5), (7,), ()]]


class Custom(Network):
    """Any parts in the middle and at the end of the encoder, and after the decoder."""

    def __init__(self, middle=(), code=(), last=()):
        self.middle = middle
        self.code = code
        self.last = last

    def build(self, *, n_inputs, n_encoder_outputs, n_components, n_outputs, generator):
        middle, code, last = copy.deepcopy((self.middle, self.code, self.last))
        encoder = (
            nn.Linear(n_inputs, 8),
            *middle,
            nn.Linear(8, n_encoder_outputs),
            *code,
        )
        decoder = nn.Linear(n_components, n_outputs), *last
        return nn.Sequential(*encoder), nn.Sequential(*decoder)


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def untrained(estimator):
    """Return a module in float64, none of whose weights is zero."""
    estimator.set_params(max_epochs=0, random_state=0, device="cpu").fit(ROWS)
    module = estimator.module_
    generator = make_generator(1)
    for weight in module.double().train().parameters():
        nn.init.normal_(weight, std=0.5, generator=generator)
    return module


def batches(module):
    """Two sizes in turn; some rows lie far beyond those of the fit."""
    centered = torch.from_numpy(ROWS) - module.columns.mean
    return [centered[:40], centered[40:47] * 3, centered[50:90] * 2, centered[90:97]]


def check_gradients(estimator):
    """Compare loss and gradient of each batch with autograd's, on the same noise."""
    module = untrained(estimator)
    flat = FlatParameters(module)
    step = fast_step(module, flat, "float32")
    assert isinstance(step, FusedStep)
    for x in batches(module):
        before, target = x.clone(), x.flip(0)
        buffers = [(b, b.clone()) for b in module.buffers() if b.numel()]
        module.use_generator(make_generator(2))
        loss, terms = step(x, target)
        for buffer, value in buffers:  # a running variance
            buffer.copy_(value)
        by_hand = flat.gradient.clone()
        flat.gradient.zero_()
        module.use_generator(make_generator(2))
        expected_terms = module.loss_terms(module(x), target)
        expected = module.objective.combine(expected_terms)
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-12)
        if module.objective.is_variational:
            values = {name: value.item() for name, value in expected_terms.items()}
            assert terms == pytest.approx(values, rel=1e-12)
        else:
            assert terms == {}
        # An entry near zero is a sum of larger ones.
        rounding = 1e-12 * flat.gradient.abs().max().item()
        torch.testing.assert_close(by_hand, flat.gradient, rtol=1e-10, atol=rounding)
        assert torch.equal(x, before)
        assert torch.equal(target, before.flip(0))
    assert (flat.gradient != 0).double().mean() > 0.4


@pytest.fixture
def by_hand(monkeypatch):
    """Collect the rows of every step that is taken without autograd."""
    taken, call = [], FusedStep.__call__

    def counted(step, x, target):
        taken.append(len(x))
        return call(step, x, target)

    monkeypatch.setattr(FusedStep, "__call__", counted)
    return taken


# -- gradients ------------------------------------------------------------------------


@both
@inits
@pytest.mark.parametrize(("activation", "sizes"), SHAPES)
def test_fused_gradient_matches_autograd(estimator, init, activation, sizes):
    network = {"hidden_layer_sizes": sizes, "activation": activation}
    check_gradients(estimator(3, init=init, **network))


# Layers know nothing of the loss; with none of them, PCA's output is all it has.
@both
@inits
@losses
@pytest.mark.parametrize("sizes", [(9, 7), ()])
def test_fused_gradient_of_each_loss_matches_autograd(estimator, loss, init, sizes):
    check_gradients(estimator(3, init=init, hidden_layer_sizes=sizes, **loss))


@inits
def test_fused_gradient_by_products_of_torch_matches_autograd(init, monkeypatch):
    monkeypatch.setattr(dense, "LEAST_FOR_TORCH", 0)
    check_gradients(PLAIN(3, hidden_layer_sizes=(9, 7), init=init))


STACKS = [({}, *shape) for shape in SHAPES[:-1]]
STACKS += [(loss, "silu", (9, 7)) for loss in LOSSES[1:]]


@pytest.mark.parametrize(("loss", "activation", "sizes"), STACKS)
def test_fused_gradient_of_a_stack_matches_autograd(loss, activation, sizes):
    network = MLP(sizes, activation)
    check_gradients(DENOISING(features="hidden", network=network, **loss))


def add_noise(batch, generator):
    return batch + torch.randn(batch.shape, generator=generator, dtype=batch.dtype)


@inits
@pytest.mark.parametrize("noise", ["gaussian", "masking", "salt_and_pepper", add_noise])
def test_fused_gradient_under_noise_matches_autograd(init, noise):
    sizes = (9,)
    check_gradients(DENOISING(3, init=init, hidden_layer_sizes=sizes, noise=noise))


@inits
def test_fused_gradient_under_noise_with_a_graph_matches_autograd(init):
    weight = torch.ones((), requires_grad=True)
    check_gradients(
        DENOISING(3, init=init, noise=lambda batch, generator: batch * weight)
    )


@inits
@pytest.mark.parametrize("likelihood", ["gaussian", "isotropic", "bernoulli"])
@pytest.mark.parametrize("sizes", [(9, 7), ()])
@pytest.mark.parametrize("kl", [{}, {"beta": 0.3, "free_bits": 0.5}], ids=str)
def test_fused_gradient_of_sampled_codes_matches_autograd(likelihood, init, sizes, kl):
    scaling = {"numeric_scaling": "minmax"} if likelihood == "bernoulli" else {}
    network = {"hidden_layer_sizes": sizes, "init": init}
    check_gradients(
        VAETransformer(3, likelihood=likelihood, **network, **scaling, **kl)
    )


def test_fused_gradient_of_ones_own_dense_network_matches_autograd():
    middle = nn.Tanh(), nn.Sequential(nn.Linear(8, 8), nn.Identity(), nn.ELU())
    check_gradients(PLAIN(3, network=Custom(middle)))
    bounded = PLAIN(3, network=Custom(code=[nn.Tanh()]))
    check_gradients(bounded.set_params(init="random"))
    # Added to PCA's code, the activation's result would be written over.
    module = untrained(bounded.set_params(init="pca"))
    assert fast_step(module, FlatParameters(module), "float32") is None


def test_cross_entropy_is_flat_where_pca_leaves_the_unit_interval():
    module = untrained(PLAIN(3, hidden_layer_sizes=(9, 7), **CROSS_ENTROPY))
    for x in batches(module):
        code = module.network_code(x)
        linear = code @ module.decoder.axes + module.decoder.offset
        beyond = (linear < 0.01) | (linear > 0.99)
        # The gradients above are of both kinds of cells.
        assert 0.1 < beyond.double().mean() < 0.9
    y = np.array([-1, 0, 0.009, 0.01, 0.011, 0.5, 0.98, 1 - 0.01, 0.991, 1, 2])
    y = torch.from_numpy(y).requires_grad_()
    gradient = torch.linspace(1, 2, len(y), dtype=torch.float64)
    likelihood = LIKELIHOODS["binary_cross_entropy"]()
    likelihood.link(y).backward(gradient)
    by_hand = likelihood.link.vjp(gradient, y.detach())
    torch.testing.assert_close(by_hand, y.grad, rtol=1e-12, atol=0)


# -- a whole run ----------------------------------------------------------------------


# Each two of these choices meet.
@pytest.mark.parametrize(
    ("estimator", "init", "loss", "activation"),
    [
        (PLAIN, "pca", {}, "relu"),
        (PLAIN, "random", CROSS_ENTROPY, "relu"),
        (PLAIN, "pca", CROSS_ENTROPY, "silu"),
        (DENOISING, "pca", CROSS_ENTROPY, "relu"),
        (DENOISING, "random", {}, "relu"),
        (DENOISING, "pca", {}, "silu"),
        (PLAIN, "random", {}, "silu"),
        (DENOISING, "random", CROSS_ENTROPY, "silu"),
    ],
)
def test_a_run_is_that_of_autograd(estimator, loss, init, activation, by_hand):
    reducer = estimator(
        5,
        init=init,
        activation=activation,
        max_epochs=40,
        lr_schedule=lambda epoch: 1.0 if epoch < 8 else 1e-12,  # and soon it stops
        n_iter_no_change=2,
        tol=1e-3,
        net_params={"gradient_clip": 0.1},
        **SMALL,
        **loss,
    ).fit(X)
    assert by_hand == [*[32] * 11, 8] * reducer.n_iter_
    curves = reducer.loss_curve_, reducer.validation_loss_curve_
    reducer.set_params(net_params={"gradient_clip": 0.1, "make_gradient_fn": None}).fit(
        X
    )
    assert len(by_hand) == 12 * reducer.n_iter_ < 12 * 40
    expected = reducer.loss_curve_, reducer.validation_loss_curve_
    # What PCA leaves is orthogonal to its axes: the encoder's first gradient is
    # nothing but rounding then, and Adam takes whole steps by it.
    is_rounding = init == "pca" and estimator is PLAIN and not loss
    # Else rounding matters where it switches a unit of relu on or off.
    np.testing.assert_allclose(curves, expected, rtol=1e-3 if is_rounding else 1e-4)


@both
def test_the_same_seed_gives_the_same_bits(estimator):
    first = estimator(5, max_epochs=3, **SMALL).fit(X)
    estimator(4, max_epochs=2, batch_size=50, random_state=1).fit(ROWS)
    second = estimator(5, max_epochs=3, **SMALL).fit(X)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    assert first.loss_curve_ == second.loss_curve_


@both
def test_each_run_has_batches_of_its_own_sizes(estimator, by_hand):
    def fit(**net_params):
        reducer = estimator(5, init="random", early_stopping=False, **SMALL)
        reducer.set_params(warm_start=True, net_params=net_params)
        reducer.set_params(batch_size=32, max_epochs=2).fit(X[:65])
        reducer.set_params(batch_size=50, max_epochs=1).fit(X[:130])
        assert reducer.net_.run_ is None  # nor are its buffers kept
        return reducer.partial_fit(X[:1])

    reducer = fit()
    assert by_hand == [32, 33, 32, 33, 50, 50, 30, 1]
    expected = fit(make_gradient_fn=None)
    assert len(by_hand) == 8
    np.testing.assert_allclose(reducer.loss_curve_, expected.loss_curve_, rtol=1e-5)


# -- where it applies -----------------------------------------------------------------


@pytest.mark.parametrize(
    "reducer",
    [
        PLAIN(optimizer="adam"),
        PLAIN(optimizer="sgd"),
        PLAIN(whiten=True, ordered=True),
        DENOISING(features="hidden", network=MLP(), lr_schedule="cosine"),
        VAETransformer(),
        VAETransformer(likelihood="bernoulli", numeric_scaling="minmax"),
    ],
    ids=str,
)
def test_dense_networks_are_trained_by_hand(reducer, by_hand):
    reducer.set_params(max_epochs=2, random_state=0, device="cpu").fit(X)
    assert len(by_hand) == 24


@pytest.mark.parametrize(
    "reducer",
    [
        PLAIN(dropout=0.1),
        PLAIN(batch_norm=True),
        PLAIN(optimizer=torch.optim.RMSprop),
        PLAIN(net_params={"flatten": False}),
        PLAIN(callbacks=[Freezer("encoder.*")]),
    ],
    ids=["dropout", "batch_norm", "class", "parts", "frozen"],
)
def test_all_else_is_left_to_autograd_and_learns(reducer, by_hand):
    reducer.set_params(n_components=5, max_epochs=10, **SMALL).fit(X)
    assert by_hand == []
    assert reducer.loss_curve_[-1] < 0.998 * reducer.loss_curve_[0]


@inits
@pytest.mark.parametrize(
    "network",
    [
        Custom([nn.Dropout(0.1)]),
        Custom([nn.LayerNorm(8), nn.ReLU()]),
        Custom([nn.Linear(8, 8, bias=False)]),
        Custom([nn.GELU("tanh")]),
        Custom([nn.ELU(0.5)]),
        Custom([nn.Tanh(), nn.ReLU()]),
        Custom(last=[nn.Tanh()]),
        Custom([Residual(nn.Linear(8, 8))]),
        Custom([nn.Linear(8, 8)] * 2),
    ],
    ids=lambda network: type([*network.middle, *network.last][-1]).__name__,
)
def test_networks_with_other_parts_are_left_to_autograd(network, init):
    module = untrained(PLAIN(3, network=network, init=init))
    assert fast_step(module, FlatParameters(module), "float32") is None


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_hooks_on_a_part_are_called(kind, by_hand):
    reducer = PLAIN(5, max_epochs=0, **SMALL).fit(X)
    calls = []
    listen = getattr(reducer.module_.decoder.network[0], f"register_{kind}_hook")
    hook = listen(lambda *_: calls.append(1))
    reducer.partial_fit(X)
    assert by_hand == []
    assert len(calls) >= 13
    hook.remove()
    reducer.partial_fit(X)
    assert len(by_hand) == 13


def test_weights_that_are_frozen_after_a_fit_stay():
    reducer = PLAIN(5, max_epochs=0, weight_decay=0.0, **SMALL).fit(X)
    frozen = reducer.module_.encoder.requires_grad_(False).network
    before = copy.deepcopy(frozen.state_dict())
    reducer.partial_fit(X)
    torch.testing.assert_close(frozen.state_dict(), before, rtol=0, atol=0)


# -- Adam on one vector ---------------------------------------------------------------


def pair(kind, **settings):
    """Return Adam on a vector and torch's plain one, each with its weights."""
    start = torch.randn(50, generator=make_generator(0), dtype=torch.float64)
    ours, torchs = nn.Parameter(start.clone()), nn.Parameter(start)
    plain = kind([torchs], fused=False, foreach=False, **settings)
    return (ours, FlatAdam(kind, ours, **settings)), (torchs, plain)


def take_steps(*pairs, n=20, seed=0):
    """Step each on the same gradients."""
    generator = make_generator(seed)
    for _ in range(n):
        gradient = torch.randn(50, generator=generator, dtype=torch.float64)
        for weights, optimizer in pairs:
            weights.grad = gradient.clone()
            optimizer.step()


def check_steps(a, b, **how):
    before = a[0].data.clone()
    take_steps(a, b, **how)
    torch.testing.assert_close(a[0].data, b[0].data, rtol=1e-12, atol=1e-14)
    assert (a[0] - before).abs().mean() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-2, "weight_decay": 0.3}],
    ids=["default", "own"],
)
def test_adam_takes_the_steps_of_torch(kind, settings):
    check_steps(*pair(kind, **settings))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 10])
def test_torchs_optimizer_takes_over(kind, steps):
    (weights, ours), torchs = pair(kind, lr=0.01, weight_decay=0.2)
    take_steps((weights, ours), torchs, n=steps)
    optimizer = ours.as_torch()
    assert type(optimizer) is kind
    check_steps((weights, optimizer), torchs, n=10, seed=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 10])
@pytest.mark.parametrize("source", [0, 1], ids=["own", "torch"])
def test_the_state_of_either_is_taken_up(kind, steps, source):
    pairs = pair(kind, lr=0.01, weight_decay=0.2)
    take_steps(*pairs, n=steps)
    weights = nn.Parameter(pairs[0][0].data.clone())
    again = FlatAdam(kind, weights, lr=1.0)
    again.load_state_dict(pairs[source][1].state_dict())
    # The other's state is no longer needed: it may be shared.
    check_steps((weights, again), pairs[1 - source], n=10, seed=1)


@pytest.mark.parametrize(
    "written",
    [{"lr": 0.2}, {"betas": (0.2, 0.3)}, {"eps": 1.0}, {"weight_decay": 0.9}],
    ids=str,
)
def test_settings_that_are_written_are_obeyed(written):
    pairs = pair(torch.optim.AdamW)
    for _, optimizer in pairs:
        optimizer.param_groups[0].update(written)
    check_steps(*pairs)


def test_only_settings_that_are_known_fit():
    def fits(kind, **settings):
        return FlatAdam.fits(kind, torch.zeros(3), {"lr": 1e-3, **settings})

    assert all(fits(kind, fused=True, weight_decay=0.1, eps=1e-8) for kind in KINDS)
    assert not fits(torch.optim.SGD)
    assert not fits(type("Own", (torch.optim.Adam,), {}))
    for other in ({"amsgrad": True}, {"maximize": True}, {"fused": False}):
        assert not fits(torch.optim.AdamW, **other)


@pytest.mark.parametrize(
    "gradient",
    [(3.0, 4.0), (0.3, 0.4), (0.6, 0.8), (0.0, 0.0), (np.nan, 1.0), (np.inf, 1.0)],
)
def test_a_gradient_is_clipped_as_by_torch(gradient):
    flat, expected = FlatParameters(nn.Linear(1, 1)), nn.Parameter(torch.zeros(2))
    flat.gradient.copy_(torch.tensor(gradient))
    expected.grad = torch.tensor(gradient)
    flat.clip(1.0)
    nn.utils.clip_grad_norm_([expected], 1.0)
    given = flat.gradient, expected.grad
    torch.testing.assert_close(*given, rtol=2e-7, atol=0, equal_nan=True)


# -- what is seen of it from outside --------------------------------------------------


def test_the_net_shows_torchs_optimizer_and_goes_on_with_it(by_hand):
    settings = {"init": "random", "max_epochs": 3, **SMALL}
    seen, unseen = (PLAIN(5, **settings).fit(X) for _ in range(2))
    optimizer = seen.net_.optimizer_
    assert type(optimizer) is torch.optim.AdamW
    assert seen.net_.optimizer_ is optimizer
    (state,) = optimizer.state.values()
    assert state["step"] == 36
    assert state["exp_avg_sq"].shape == (seen.module_.n_weights(),)
    assert (state["exp_avg_sq"] > 0).float().mean() > 0.9
    for reducer in (seen, unseen):
        reducer.partial_fit(X)
    assert state["step"] == 36 + 13
    assert isinstance(unseen.net_.raw_optimizer_, FlatAdam)
    np.testing.assert_array_equal(seen.transform(X), unseen.transform(X))
    assert len(by_hand) == 2 * (36 + 13)


def test_skorchs_schedule_sets_the_rate_that_is_used(by_hand):
    halve = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    scheduled = PLAIN(5, callbacks=[halve], max_epochs=4, **SMALL).fit(X)
    own = PLAIN(5, lr_schedule=0.5, max_epochs=4, **SMALL).fit(X)
    assert scheduled.history_[:, "event_lr"] == [2e-3, 1e-3, 5e-4, 2.5e-4]
    np.testing.assert_array_equal(scheduled.transform(X), own.transform(X))
    assert len(by_hand) == 2 * 48


def test_skorchs_schedule_goes_on_in_a_copy():
    halve = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    settings = {"callbacks": [halve], "max_epochs": 2, "warm_start": True, **SMALL}
    reducer = PLAIN(5, **settings).fit(X)
    again = copy.deepcopy(reducer).fit(X)
    assert again.history_[:, "event_lr"] == reducer.fit(X).history_[:, "event_lr"]
    np.testing.assert_array_equal(again.transform(X), reducer.transform(X))


def test_targets_of_a_users_own_data_set_are_heeded(by_hand):
    rows = torch.from_numpy(X - X.mean(axis=0)).float()

    def fit(**net_params):
        reducer = PLAIN(5, max_epochs=1, net_params=net_params, **SMALL).fit(X)
        reducer.net_.partial_fit(TensorDataset(rows, -rows))
        return reducer

    reducer = fit()
    assert reducer.net_.history[-1]["train_loss"] > 5
    assert len(by_hand) == 12 + 12
    expected = fit(make_gradient_fn=None)
    assert len(by_hand) == 12 + 12
    np.testing.assert_allclose(reducer.loss_curve_, expected.loss_curve_, rtol=1e-5)


def test_training_goes_on_after_the_optimizer_has_dropped_its_gradient():
    reducer = PLAIN(5, max_epochs=1, **SMALL).fit(X)
    reducer.net_.optimizer_.zero_grad()
    before = reducer.module_.encoder.network[0].weight.detach().clone()
    reducer.partial_fit(X)
    assert not torch.equal(reducer.module_.encoder.network[0].weight, before)


def test_ordered_codes_are_trained_by_hand_in_every_run(by_hand):
    reducer = PLAIN(5, ordered=True, max_epochs=1, **SMALL).fit(X)
    first = len(by_hand)
    reducer.partial_fit(X)
    assert len(by_hand) > first > 0


def test_wrong_settings_of_adam_are_refused():
    reducer = PLAIN(5, net_params={"optimizer__betas": (1.5, 0.9)}, **SMALL)
    with pytest.raises(ValueError, match=r"expected betas in \[0, 1\)"):
        reducer.fit(X)


def test_neither_the_import_nor_a_default_fit_loads_much():
    script = (
        "import sys, torch, skorch.callbacks, sklearn.base, sklearn.frozen\n"
        "import sklearn.utils.validation\n"
        "before = set(sys.modules); from sk_autoencoder import *\n"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})\n"
        "import numpy as np; X = np.random.default_rng(0).normal(size=(60, 4))\n"
        "for kind in (AutoEncoderTransformer, DenoisingAutoEncoderTransformer):\n"
        "    print(kind(max_epochs=2, random_state=0).fit(X).n_iter_ > 0)\n"
        "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported, *fits = done.stdout.splitlines()
    # Not even a further module of torch or of scikit-learn.
    assert set(imported.split()) <= {"sk_autoencoder", "tqdm", "safetensors"}
    # The compiler is what torch's own optimizers bring: a second or more. sympy, half a
    # second, is what torch's layers without weights do.
    assert fits == ["True", "True", "False False"]
