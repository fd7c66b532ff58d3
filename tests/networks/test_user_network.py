"""Modules of a user's own as networks."""

import copy
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import UserNetwork

X = load_digits().data[:300]
FAST = {"max_epochs": 2, "random_state": 0}
# Two epochs of a network of a user's own, from a random start, leave it worse than PCA
# and a variational one without active units.
pytestmark = pytest.mark.filterwarnings(
    "ignore:expected (a network|at least half):UserWarning"
)


class OutputFirst(nn.Module):
    """A tutorial's module whose last layer is registered first."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.out = nn.Linear(9, n_out)
        self.inner = nn.Linear(n_in, 9)

    def forward(self, x):
        return self.out(torch.relu(self.inner(x))) + 1


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)
        )

    def forward(self, x):
        return self.layers(x)


class Pair(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.layer(x), x


def modules():
    torch.manual_seed(0)
    return UserNetwork(OutputFirst(64, 3), OutputFirst(3, 64))


@pytest.mark.parametrize(
    ("kind", "n_encoder_outputs"),
    [
        (AutoEncoderTransformer, 3),
        (DenoisingAutoEncoderTransformer, 3),
        (VAETransformer, 6),
    ],
)
def test_every_objective_trains_and_leaves_the_modules_alone(
    kind, n_encoder_outputs, tmp_path
):
    network = UserNetwork(OutputFirst(64, n_encoder_outputs), OutputFirst(3, 64))
    before = copy.deepcopy(network.encoder.state_dict())
    estimator = kind(3, network=network, max_epochs=8, random_state=0).fit(X)
    assert estimator.transform(X).shape == (300, 3)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    for name, weight in network.encoder.state_dict().items():
        assert torch.equal(weight, before[name])
    codes = estimator.transform(X)
    np.testing.assert_array_equal(clone(estimator).fit(X).transform(X), codes)
    estimator.save(tmp_path / "model")
    with pytest.raises(ValueError, match="expected your own decoder, encoder, which"):
        sk_autoencoder.load(tmp_path / "model")
    own = {"encoder": network.encoder, "decoder": network.decoder}
    again = sk_autoencoder.load(tmp_path / "model", custom=own)
    np.testing.assert_array_equal(again.transform(X), codes)
    swapped = {"encoder": network.decoder, "decoder": network.encoder}
    with pytest.raises(ValueError, match="expected in custom what"):
        sk_autoencoder.load(tmp_path / "model", custom=swapped)


@pytest.mark.parametrize("wrong", ["a class", "other sizes"])
def test_modules_that_do_not_fit_a_file_are_told(wrong, tmp_path):
    encoder, decoder = nn.Linear(64, 2), nn.Linear(2, 64)
    network = UserNetwork(encoder, decoder)
    path = tmp_path / "own.safetensors"
    reducer = AutoEncoderTransformer(2, network=network, max_epochs=1, random_state=0)
    reducer.fit(X).save(path)
    custom = {"encoder": encoder, "decoder": decoder}
    again = sk_autoencoder.load(path, custom=custom)
    np.testing.assert_array_equal(again.transform(X), reducer.transform(X))
    custom["encoder"] = nn.ReLU if wrong == "a class" else nn.Linear(64, 3)
    message = f"expected in custom what {str(path)!r} was saved with, got custom="
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        sk_autoencoder.load(path, custom=custom)
    assert "for a UserNetwork modules of the same layers" in str(caught.value)


def test_user_network_starts_as_pca_whatever_the_order_of_the_layers():
    start = AutoEncoderTransformer(3, network=modules(), init="pca", max_epochs=0)
    start.fit(X)
    codes, pca = start.transform(X), PCA(3).fit_transform(X)
    np.testing.assert_allclose(np.abs(codes), np.abs(pca), atol=1e-6)


def test_functions_make_modules_of_any_size_with_seeded_weights():
    network = UserNetwork(OutputFirst, OutputFirst)
    before = torch.get_rng_state()
    first, second = (
        AutoEncoderTransformer(
            k, network=network, init="pca", ordered=True, **FAST
        ).fit(X)
        for k in (3, 3)
    )
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    AutoEncoderTransformer(5, network=network, init="random", **FAST).fit(X)
    assert torch.equal(torch.get_rng_state(), before)


def test_own_functions_are_asked_for_when_a_file_is_read(tmp_path):
    network = UserNetwork(OutputFirst, OutputFirst)
    estimator = AutoEncoderTransformer(3, network=network, **FAST).fit(X)
    estimator.save(tmp_path / "model")
    own = {"OutputFirst": OutputFirst}
    again = sk_autoencoder.load(tmp_path / "model", custom=own)
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))


def test_rows_have_the_shape_that_is_asked_for():
    network = UserNetwork(Images(), nn.Linear(3, 64), input_shape=(1, 8, 8))
    estimator = AutoEncoderTransformer(3, network=network, **FAST).fit(X)
    assert estimator.inverse_transform(estimator.transform(X)).shape == X.shape


def test_dropout_draws_from_our_generator():
    encoder = nn.Sequential(nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    network = UserNetwork(encoder, nn.Linear(3, 64))
    before = torch.get_rng_state()
    first = AutoEncoderTransformer(3, network=network, **FAST).fit_transform(X)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(encoder[1], nn.Dropout)
    second = AutoEncoderTransformer(3, network=network, **FAST).fit_transform(X)
    np.testing.assert_array_equal(first, second)


def test_lazy_layers_draw_from_our_generator():
    network = UserNetwork(
        nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(3)), nn.LazyLinear(64)
    )
    before = torch.get_rng_state()
    first = AutoEncoderTransformer(3, network=network, **FAST).fit_transform(X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = AutoEncoderTransformer(3, network=network, **FAST).fit_transform(X)
    np.testing.assert_array_equal(first, second)


def with_first_layers(inplace, n_codes):
    torch.manual_seed(0)
    parts = [(64, n_codes), (3, 64)]
    return UserNetwork(
        *(nn.Sequential(nn.ReLU(inplace), nn.Linear(*sizes)) for sizes in parts)
    )


@pytest.mark.parametrize("init", ["random", "pca"])
@pytest.mark.parametrize(
    ("kind", "n_codes"),
    [
        (AutoEncoderTransformer, 3),
        (DenoisingAutoEncoderTransformer, 3),
        (VAETransformer, 6),
    ],
)
def test_modules_may_write_to_their_input(kind, n_codes, init):
    own, other = (
        kind(3, network=with_first_layers(inplace, n_codes), init=init, **FAST).fit(X)
        for inplace in (True, False)
    )
    assert own.loss_curve_ == other.loss_curve_
    assert own.validation_loss_curve_ == other.validation_loss_curve_
    np.testing.assert_array_equal(own.transform(X), other.transform(X))
    np.testing.assert_array_equal(own.reconstruct(X), other.reconstruct(X))
    assert own.score(X) == other.score(X)


def test_dropout_that_stands_in_two_places_draws_from_random_state_in_both():
    drop = nn.Dropout(0.5)
    layers = [nn.Linear(64, 8), drop, nn.Linear(8, 8), drop]
    network = UserNetwork(nn.Sequential(*layers, nn.Linear(8, 3)), nn.Linear(3, 64))
    before, found = torch.get_rng_state(), []
    for _ in range(2):
        fitted = AutoEncoderTransformer(3, network=network, **FAST).fit(X)
        found.append(fitted.loss_curve_)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(1)
        before = torch.get_rng_state()
    assert found[0] == found[1]


class MovingCenter(nn.Module):
    """Takes off a mean that it follows in training, in a buffer."""

    def __init__(self, *, copies):
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.register_buffer("center", torch.zeros(64))
        self.copies = copies

    def forward(self, x):
        if self.training:
            moved = 0.9 * self.center + 0.1 * x.detach().mean(dim=0)
            if self.copies:
                self.center.copy_(moved)
            else:
                self.center = moved
        return self.layer(x - self.center)


def test_buffers_that_a_module_replaces_are_of_the_best_epoch():
    found = []
    for copies in (True, False):
        torch.manual_seed(0)
        network = UserNetwork(MovingCenter(copies=copies), nn.Linear(3, 64))
        estimator = AutoEncoderTransformer(
            3, network=network, lr=0.1, max_epochs=12, random_state=0
        ).fit(X)
        assert 0 < estimator.best_epoch_ < 12
        found.append(estimator.transform(X))
    np.testing.assert_array_equal(*found)


class Tied(nn.Module):
    """Decodes by the weights of an encoder, which it has as its own or only reads."""

    def __init__(self, encoder, *, reads):
        super().__init__()
        self.encoder = [encoder]
        self.weight = None if reads else encoder.weight
        self.bias = nn.Parameter(torch.zeros(64))

    def forward(self, z):
        weight = self.encoder[0].weight if self.weight is None else self.weight
        return z @ weight + self.bias


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("init", ["random", "pca"])
def test_weights_that_both_parts_share_stay_shared(reads, init, tmp_path):
    encoder = nn.Linear(64, 3)
    decoder = Tied(encoder, reads=reads)
    how = {"output_range": (-np.inf, np.inf), "outputs": "data"}
    network = UserNetwork(encoder, decoder, **how)
    estimator = AutoEncoderTransformer(3, network=network, init=init, lr=0.01, **FAST)
    fitted = clone(estimator).set_params(early_stopping=False).fit(X)
    fitted.save(tmp_path / "model", optimizer=True)
    own = {"encoder": encoder, "decoder": decoder}
    loaded = sk_autoencoder.load(tmp_path / "model", custom=own)
    for each in (fitted, copy.deepcopy(fitted), loaded, loaded.partial_fit(X)):
        weights = [w for w in each.module_.parameters() if w.shape == (3, 64)]
        assert len(weights) == 1
        assert not torch.equal(weights[0], encoder.weight)
        Z = each.transform(X)
        if init == "random":
            back = Z @ weights[0].detach().numpy()
            back += dict(each.module_.named_parameters())["decoder.module.bias"].numpy(
                force=True
            )
            np.testing.assert_allclose(each.inverse_transform(Z), back, rtol=1e-6)


ENCODER, DECODER = nn.Linear(64, 3), nn.Linear(3, 64)


class Refuses(nn.Linear):
    def forward(self, x):
        raise RuntimeError


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        (
            UserNetwork(nn.Linear(64, 4), DECODER),
            ValueError,
            "expected an encoder that gives 3 numbers a row, got (4,) from encoder="
            "Linear(in_features=64, out_features=4, bias=True). Change its last layer, "
            "or n_components.",
        ),
        (
            UserNetwork(nn.Linear(60, 3), DECODER),
            ValueError,
            "expected an encoder that takes rows of 64 numbers, got encoder=Linear(",
        ),
        (
            UserNetwork(ENCODER, nn.Linear(3, 60)),
            ValueError,
            "expected a decoder that gives 64 numbers a row, got (60,)",
        ),
        (
            UserNetwork(Pair(64, 3), DECODER),
            TypeError,
            "expected an encoder that returns one tensor, got a tuple from encoder=",
        ),
        (
            UserNetwork(nn.Identity(), DECODER),
            ValueError,
            "expected a module with parameters to train, got encoder=Identity()",
        ),
        (
            UserNetwork("mlp", DECODER),
            TypeError,
            "expected a torch.nn.Module, or a function that makes one, got encoder="
            "'mlp'. Pass an instance, as nn.Linear(64, 3).",
        ),
        (
            UserNetwork(lambda n_in, n_out: None, DECODER),
            TypeError,
            "expected a torch.nn.Module, or a function that makes one, got encoder=",
        ),
        (
            UserNetwork(ENCODER, DECODER, input_shape=(1, 9, 9)),
            ValueError,
            "expected rows of input_shape=(1, 9, 9), 81 features, got X with 64",
        ),
        (
            UserNetwork(Refuses(64, 3), DECODER),
            ValueError,
            "expected an encoder that takes rows of 64 numbers, got encoder=Refuses("
            "in_features=64, out_features=3, bias=True), because: RuntimeError. Change",
        ),
    ],
)
def test_what_does_not_fit_is_named(network, error, message):
    with pytest.raises(error, match=re.escape(message)):
        AutoEncoderTransformer(3, network=network, **FAST).fit(X)


@pytest.mark.parametrize("init", ["random", "pca"])
def test_encoder_without_room_for_marks_of_missing_cells_is_told(init):
    rows = np.random.default_rng(1).normal(size=(60, 4))
    rows[::7, 1:] = np.nan
    network = UserNetwork(nn.Linear(4, 2), nn.Linear(2, 4))
    message = (
        "expected an encoder that takes rows of 8 numbers, the last 4 of them marks "
        "of missing cells that allow_missing=True adds, got "
        "encoder=Linear(in_features=4, out_features=2, bias=True), because: "
    )
    estimator = AutoEncoderTransformer(
        2, network=network, allow_missing=True, init=init, **FAST
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        estimator.fit(rows)


def test_shape_without_room_for_marks_of_missing_cells_is_told():
    rows = np.random.default_rng(1).normal(size=(60, 4))
    rows[::7, 1] = np.nan
    encoder = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten())
    network = UserNetwork(encoder, nn.Linear(3, 4), input_shape=(1, 2, 2))
    message = (
        "expected an input_shape of rows of 8 numbers, the last 4 of them marks of "
        "missing cells that allow_missing=True adds, got input_shape=(1, 2, 2). Pass "
        "input_shape=(2, 2, 2) and flat rows, or fill missing cells first, as with "
        "SimpleImputer."
    )
    estimator = AutoEncoderTransformer(
        3, network=network, allow_missing=True, init="pca", **FAST
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        estimator.fit(rows)
    estimator.set_params(network__input_shape=(2, 2, 2)).fit(rows)
    assert estimator.transform(rows).shape == (60, 3)
