"""Modules of a user's own, trained as they were given."""

import copy
import itertools
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import UserNetwork
from sk_autoencoder.networks.ranges import output_range

X = load_digits().data[:300]
UNIT = X / 16
K = 3
KINDS = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer]
UNTRAINED = {"max_epochs": 0, "random_state": 0}
SHORT = {"max_epochs": 3, "random_state": 0}

worse_than_pca = pytest.mark.filterwarnings(
    # So short a fit from a random start is.
    "ignore:expected (a network|at least half):UserWarning"
)


def dense(sizes, *last):
    layers = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1], *last)


def network(kind=AutoEncoderTransformer, *last, d=64, seed=0, **parameters):
    torch.manual_seed(seed)
    n_encoder_outputs = 2 * K if kind is VAETransformer else K
    pair = dense((d, 16, n_encoder_outputs)), dense((K, 16, d), *last)
    return UserNetwork(*pair, **parameters)


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out)


def run(module, rows):
    """Compute what a module gives for rows, in float64."""
    module = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(rows, dtype=float))).numpy()


def check_close(result, expected, tolerance=1e-6):
    expected = np.asarray(expected, dtype=float)
    result = np.asarray(result, dtype=float)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= tolerance * np.abs(expected).max()


def trained(estimator):
    """Return the trained encoder and decoder of a user's own."""
    parts = estimator.module_.encoder, estimator.module_.decoder
    # Around those of a table without categories stands what puts constants in place.
    return tuple(getattr(part, "network", part).module for part in parts)


# -- where training starts -------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_start_is_auto_and_without_own_modules_that_is_pca(kind):
    assert kind().init == "auto"
    auto, pca = (
        kind(K, hidden_layer_sizes=(8,), init=init, **SHORT).fit(X)
        for init in ("auto", "pca")
    )
    np.testing.assert_array_equal(auto.transform(X), pca.transform(X))
    assert auto.module_.encoder.__class__.__name__.startswith("PCAResidual")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "kind", [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]
)
def test_start_is_random_with_pretraining(kind, method):
    auto, random = (
        getattr(
            kind(K, hidden_layer_sizes=(8,), pretrain="layerwise", init=init, **SHORT),
            method,
        )(X)
        for init in ("auto", "random")
    )
    np.testing.assert_array_equal(auto.transform(X), random.transform(X))
    assert not auto.fell_back_to_pca_


def test_order_of_components_asks_for_a_start_from_pca():
    own = AutoEncoderTransformer(K, network=network(), ordered=True)
    message = (
        "expected init='pca' for ordered=True, got init='auto', which is 'random' for "
        "a UserNetwork: only components that start as PCA's have an order. Pass "
        "init='pca'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        own.fit(X)
    pretrained = AutoEncoderTransformer(K, pretrain="layerwise", ordered=True)
    with pytest.raises(ValueError, match=r"Pass ordered=False, or .* init='pca'"):
        pretrained.fit(X)
    made = UserNetwork(linear, linear)
    own.set_params(network=made, init="pca", **SHORT).fit(X)


@worse_than_pca
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", KINDS)
def test_own_modules_are_the_whole_model(kind, method):
    given = network(kind)
    estimator = getattr(kind(K, network=given, **UNTRAINED), method)(X)
    encoder, decoder = trained(estimator)
    assert type(estimator.module_.encoder).__name__ == "UsersPart"
    if method == "fit":
        check_close(run(encoder, X), run(given.encoder, X), 0)
        check_close(run(decoder, X[:, :K]), run(given.decoder, X[:, :K]), 0)
    assert not estimator.fell_back_to_pca_


# -- the units -------------------------------------------------------------------------


def in_units(rows, scaling):
    """Return what a scaling makes of rows, and the origin and unit of each column."""
    zero, one = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    origin, unit = {
        "auto": (zero, one),
        "standard": (rows.mean(axis=0), rows.std(axis=0)),
        "minmax": (rows.min(axis=0), np.ptp(rows, axis=0)),
    }[scaling]
    unit = np.where(unit > 0, unit, 1.0)
    return (rows - origin) / unit, origin, unit


@worse_than_pca
@pytest.mark.parametrize("max_epochs", [0, 2])
@pytest.mark.parametrize("scaling", ["auto", "standard", "minmax"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_transform_is_the_encoder_and_inverse_transform_the_decoder(
    kind, scaling, max_epochs, dtype
):
    rows = X.astype(dtype)
    estimator = kind(
        K,
        network=network(kind),
        numeric_scaling=scaling,
        max_epochs=max_epochs,
        random_state=0,
    ).fit(rows)
    encoder, decoder = trained(estimator)
    scaled, origin, unit = in_units(X, scaling)
    codes = run(encoder, scaled)[:, :K]  # of a variational one the means
    back = run(decoder, codes) * unit + origin
    for part in (slice(None), slice(1)):  # many samples, and few by another way
        check_close(estimator.transform(rows[part]), codes[part])
        check_close(estimator.inverse_transform(codes[part].astype(dtype)), back[part])
        check_close(estimator.reconstruct(rows[part]), back[part])
    error = np.square(X - back).sum()
    check_close(estimator.reconstruction_error(rows).sum(), error, 1e-5)
    if kind is not VAETransformer:
        total = np.square(X - X.mean(axis=0)).sum()
        assert estimator.score(rows) == pytest.approx(1 - error / total, abs=1e-5)


class Recording(nn.Module):
    """Keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, K)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.layer(x)


@worse_than_pca
@pytest.mark.parametrize("offset", [0.0, 1.7e9])
def test_encoder_gets_the_samples_to_the_bit(offset):
    rows = (X + offset).astype(np.float32)
    given = UserNetwork(Recording(), nn.Linear(K, 64))
    estimator = AutoEncoderTransformer(
        K, network=given, max_epochs=1, batch_size=512, early_stopping=False
    ).fit(rows)
    seen = trained(estimator)[0].seen
    seen.clear()
    estimator.transform(rows)
    np.testing.assert_array_equal(seen[-1].numpy(), rows)
    batch = estimator.net_.get_iterator(estimator.net_.get_dataset(rows))
    estimator.module_.eval()
    estimator.module_(next(iter(batch))[0])
    np.testing.assert_array_equal(seen[-1].numpy(), rows)


@worse_than_pca
def test_sparse_samples_and_constant_columns_are_as_they_are():
    rows = X.copy()
    rows[:, 0] = 5.0  # constant in training, another value later
    estimator = AutoEncoderTransformer(K, network=network(), **SHORT)
    estimator.fit(sparse.csr_matrix(rows))
    encoder, decoder = trained(estimator)
    later = rows[:7].copy()
    later[:, 0] = 9.0
    check_close(estimator.transform(later), run(encoder, later))
    check_close(estimator.reconstruct(later), run(decoder, run(encoder, later)))


@worse_than_pca
def test_one_step_is_the_step_of_a_loop():
    given = network()
    encoder, decoder = copy.deepcopy((given.encoder, given.decoder))
    weights = [*encoder.parameters(), *decoder.parameters()]
    x = torch.from_numpy(UNIT).float()
    F.mse_loss(decoder(encoder(x)), x).backward()
    torch.optim.SGD(weights, lr=0.1).step()
    estimator = AutoEncoderTransformer(
        K,
        network=given,
        optimizer="sgd",
        lr=0.1,
        batch_size=512,
        max_epochs=1,
        early_stopping=False,
        net_params={"weight_average": None},
    ).fit(UNIT)
    for own, expected in zip(trained(estimator), (encoder, decoder), strict=True):
        for name, weight in own.state_dict().items():
            check_close(weight, expected.state_dict()[name], 1e-5)


@worse_than_pca
def test_an_epoch_has_as_many_steps_as_without_validation_samples():
    settings = {"network": network(), "batch_size": 10, **SHORT}
    with_them = AutoEncoderTransformer(K, **settings).fit(X)
    without = AutoEncoderTransformer(K, early_stopping=False, **settings).fit(X)
    for estimator in (with_them, without):
        assert [row["train_batch_count"] for row in estimator.history_] == [30] * 3
    ours = AutoEncoderTransformer(K, hidden_layer_sizes=(8,), batch_size=10, **SHORT)
    assert ours.fit(X).history_[0]["train_batch_count"] == 27


@worse_than_pca
def test_going_on_keeps_the_units():
    estimator = AutoEncoderTransformer(
        K, network=network(), numeric_scaling="minmax", **SHORT
    )
    estimator.partial_fit(X[:150])
    estimator.partial_fit(X[150:])
    scaled, origin, unit = in_units(X, "minmax")
    encoder, decoder = trained(estimator)
    check_close(estimator.transform(X), run(encoder, scaled))
    check_close(
        estimator.reconstruct(X), run(decoder, run(encoder, scaled)) * unit + origin
    )
    estimator.set_params(warm_start=True).fit(X)
    check_close(estimator.transform(X), run(trained(estimator)[0], scaled))


@worse_than_pca
@pytest.mark.parametrize("kind", KINDS)
def test_file_gives_the_same_and_goes_on(kind, tmp_path):
    given = network(kind)
    estimator = kind(K, network=given, **SHORT).fit(X)
    estimator.save(tmp_path / "own", optimizer=True)
    own = {"encoder": given.encoder, "decoder": given.decoder}
    again = sk_autoencoder.load(tmp_path / "own", custom=own)
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    np.testing.assert_array_equal(again.reconstruct(X), estimator.reconstruct(X))
    again.partial_fit(X)
    check_close(again.transform(X), run(trained(again)[0], X)[:, :K])


def test_components_of_a_variational_one_stay_in_the_encoders_order():
    own = network(VAETransformer)
    with torch.no_grad():
        for statistics in own.encoder[-1].parameters():
            statistics[::K] = 0  # the first component is as its prior
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = VAETransformer(K, network=own, **UNTRAINED).fit(UNIT)
    assert np.argmin(estimator.kl_per_component_) == 0
    mean, _ = estimator.posterior(UNIT)
    check_close(mean, run(own.encoder, UNIT)[:, :K])
    check_close(estimator.transform(UNIT), run(own.encoder, UNIT)[:, :K])


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_density_follows_the_callers_units(scale):
    rows = X[:, 20:30] * scale
    weights = network(VAETransformer, d=10)
    with torch.no_grad():
        weights.decoder[-1].weight *= scale
        weights.decoder[-1].bias *= scale
        weights.encoder[0].weight /= scale
    other = network(VAETransformer, d=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaled = VAETransformer(K, network=weights, **UNTRAINED).fit(rows)
        plain = VAETransformer(K, network=other, **UNTRAINED).fit(X[:, 20:30])
    shift = 10 * np.log(scale)
    expected = plain.score_samples(X[:, 20:30]) - shift
    np.testing.assert_allclose(scaled.score_samples(rows), expected, rtol=1e-4)


# -- tables ----------------------------------------------------------------------------


@worse_than_pca
@pytest.mark.parametrize("scaling", ["auto", "standard", "minmax"])
def test_weighted_columns_are_in_the_same_units(scaling):
    weights = np.linspace(0.5, 2, 64)
    estimator = AutoEncoderTransformer(
        K, network=network(), column_weights=weights, numeric_scaling=scaling, **SHORT
    ).fit(X)
    scaled, origin, unit = in_units(X, scaling)
    encoder, decoder = trained(estimator)
    codes = run(encoder, scaled)
    check_close(estimator.transform(X), codes)
    back = run(decoder, codes) * unit + origin
    back[:, np.ptp(X, axis=0) == 0] = X[0, np.ptp(X, axis=0) == 0]
    check_close(estimator.inverse_transform(codes), back)


@worse_than_pca
def test_missing_cells_are_the_mean_beside_their_marks():
    rows = UNIT.copy()
    rows[::3, 20] = np.nan
    torch.manual_seed(0)
    given = UserNetwork(dense((128, 16, K)), dense((K, 16, 64)))
    estimator = AutoEncoderTransformer(
        K, network=given, allow_missing=True, **SHORT
    ).fit(rows)
    filled = np.where(np.isnan(rows), np.nanmean(rows, axis=0), rows)
    codes = run(trained(estimator)[0], np.hstack([filled, np.isnan(rows)]))
    check_close(estimator.transform(rows), codes)


@worse_than_pca
def test_numbers_beside_categories_are_standardized_and_categories_logits():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(5, 3, size=(200, 4)), columns=list("abcd"))
    frame["kind"] = pd.Categorical(rng.choice(["u", "v", "w"], 200))
    torch.manual_seed(0)
    given = UserNetwork(dense((7, 16, K)), dense((K, 16, 7)))
    estimator = AutoEncoderTransformer(K, network=given, **SHORT).fit(frame)
    numbers = frame[list("abcd")].to_numpy()
    origin, unit = numbers.mean(axis=0), numbers.std(axis=0)
    rows = estimator._check_rows(frame)
    inputs = estimator.module_.columns.encode(torch.from_numpy(rows)).numpy()
    check_close(inputs[:, :4], (numbers - origin) / unit, 1e-5)
    codes = estimator.transform(frame)
    raw = run(trained(estimator)[1], codes)
    back = estimator.inverse_transform(codes)
    check_close(back[list("abcd")].to_numpy(), raw[:, :4] * unit + origin, 1e-5)
    levels = np.array(["u", "v", "w"])[raw[:, 4:].argmax(axis=1)]
    assert back["kind"].tolist() == levels.tolist()


# -- worse than PCA --------------------------------------------------------------------


def test_being_worse_than_pca_is_told_with_both_numbers():
    train, valid = X[:200], X[200:]
    estimator = AutoEncoderTransformer(K, network=network(), **SHORT)
    with pytest.warns(UserWarning, match="^expected a network") as caught:
        estimator.fit(train, X_val=valid)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    pca = PCA(K).fit(train)
    total = np.square(valid - train.mean(axis=0)).sum()
    back = pca.inverse_transform(pca.transform(valid))
    theirs = 1 - np.square(valid - back).sum() / total
    assert str(caught[0].message) == (
        "expected a network that explains as much of the variance of the validation "
        f"samples as PCA with as many components, {theirs:.3f}, got "
        f"{estimator.score(valid):.3f}. Train it longer, give it another lr or other "
        "layers, or pass init='pca', which starts as PCA and keeps what is better."
    )


def test_being_worse_than_pca_is_told_of_probabilities_and_densities():
    own = network(AutoEncoderTransformer, nn.Sigmoid())
    entropy = AutoEncoderTransformer(
        K, network=own, loss="binary_cross_entropy", **UNTRAINED
    )
    with pytest.warns(UserWarning, match=r"cross-entropy .* at most PCA's, 0\.") as w:
        entropy.fit(UNIT[:200], X_val=UNIT[200:])
    probability = torch.from_numpy(run(own.decoder, run(own.encoder, UNIT[200:])))
    loss = F.binary_cross_entropy(probability, torch.from_numpy(UNIT[200:]))
    assert f"got {loss:.4g}" in str(w[0].message)
    vae = VAETransformer(K, network=network(VAETransformer), **UNTRAINED)
    with pytest.warns(UserWarning, match="evidence lower bound") as w:
        vae.fit(X[:200], X_val=X[200:])
    numbers = re.findall(r"-?\d+\.?\d*(?= nats|\. Train)", str(w[0].message))
    pca = VAETransformer(K, **UNTRAINED).fit(X[:200])
    expected = [np.mean(m.score_samples(X[200:], 1)) for m in (pca, vae)]
    np.testing.assert_allclose([float(n) for n in numbers], expected, rtol=1e-3)


def test_nothing_is_told_where_nothing_was_held_out_or_pca_is_matched():
    AutoEncoderTransformer(K, network=network(), early_stopping=False, **SHORT).fit(X)
    AutoEncoderTransformer(K, network=network(), **SHORT).partial_fit(X)
    pca = PCA(K).fit(X)
    encoder, decoder = nn.Linear(64, K), nn.Linear(K, 64)
    with torch.no_grad():
        W = torch.from_numpy(pca.components_).float()
        encoder.weight.copy_(W)
        encoder.bias.copy_(-W @ torch.from_numpy(pca.mean_).float())
        decoder.weight.copy_(W.T)
        decoder.bias.copy_(torch.from_numpy(pca.mean_))
    same = AutoEncoderTransformer(K, network=UserNetwork(encoder, decoder), **UNTRAINED)
    same.fit(X)
    check_close(same.transform(X), pca.transform(X), 1e-5)


def entropy_by_hand(reconstruction, target):
    logs = reconstruction.log() * target + (1 - reconstruction).log() * (1 - target)
    return -logs


def difference_of_roots(reconstruction, target):
    return (reconstruction.sqrt() - target.sqrt()) ** 2


def infinite_below_zero(reconstruction, target):
    error = (reconstruction - target) ** 2
    return torch.where(reconstruction < 0, torch.inf, error)


@pytest.mark.parametrize(("scaling", "held_out"), [("none", True), ("minmax", False)])
@pytest.mark.parametrize(
    "loss",
    [
        nn.BCELoss(reduction="none"),
        nn.PoissonNLLLoss(log_input=False, reduction="none"),
        entropy_by_hand,
        difference_of_roots,
        infinite_below_zero,
    ],
)
def test_loss_that_has_no_value_for_pca_is_not_compared_with_it(
    loss, held_out, scaling
):
    rows = np.random.default_rng(0).random((300, 6), dtype=np.float32) ** 3
    seen = []

    def watched(reconstruction, target):
        seen.append(reconstruction.min().item())
        return loss(reconstruction, target)

    estimator = AutoEncoderTransformer(
        K,
        network=network(AutoEncoderTransformer, nn.Sigmoid(), d=6),
        loss=watched,
        numeric_scaling=scaling,
        **SHORT,
    )
    estimator.fit(rows, X_val=rows[:100] if held_out else None)
    assert min(seen) < 0  # PCA's, which the comparison tried
    assert np.isfinite(estimator.validation_loss_curve_).all()
    assert estimator.transform(rows).shape == (300, K)


@pytest.mark.parametrize(
    "loss", [nn.L1Loss(reduction="none"), nn.SmoothL1Loss(reduction="none")]
)
def test_loss_that_has_a_value_for_pca_is_still_compared_with_it(loss):
    estimator = AutoEncoderTransformer(K, network=network(), loss=loss, **UNTRAINED)
    with pytest.warns(UserWarning, match=r"whose loss on the .* is at most PCA's, \d"):
        estimator.fit(X)


# -- what the decoder gives ------------------------------------------------------------


class Last(nn.Module):
    """A decoder whose last operation is a function of its `forward`."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.norm = nn.Linear(K, 64), nn.BatchNorm1d(64)
        self.steps = nn.LSTM(64, 64, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.function = function

    def forward(self, z):
        return self.function(self, self.layer(z))


def depends_on_values(module, h):
    return torch.sigmoid(h) if h.sum() > 0 else h


INFINITE = (-np.inf, np.inf)
SIGMOID = nn.Sigmoid()
RANGES = {
    "the same one twice": (
        nn.Sequential(nn.Linear(K, 8), SIGMOID, nn.Linear(8, 64), SIGMOID),
        (0, 1),
    ),
    "linear": (nn.Linear(K, 64), INFINITE),
    "sigmoid, flat": (
        nn.Sequential(nn.Linear(K, 64), nn.Sigmoid(), nn.Flatten()),
        (0, 1),
    ),
    "in a row in a row": (
        nn.Sequential(nn.Linear(K, 64), nn.Sequential(nn.ReLU(), nn.Dropout(0.1))),
        (0, np.inf),
    ),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(1, 1, 2)), INFINITE),
    "tanh after what cannot be read": (
        nn.Sequential(Last(depends_on_values), nn.Tanh()),
        (-1, 1),
    ),
    "torch.sigmoid": (Last(lambda m, h: torch.sigmoid(h).view(-1, 8, 8)), (0, 1)),
    "method": (Last(lambda m, h: h.sigmoid().reshape(h.size(0), 64)), (0, 1)),
    "functional": (Last(lambda m, h: F.tanh(h)), (-1, 1)),
    "made in forward": (Last(lambda m, h: nn.Sigmoid()(h)), (0, 1)),
    "scaled": (Last(lambda m, h: 255 * torch.sigmoid(h)), (0, 255)),
    "shifted": (Last(lambda m, h: h.tanh() / 2 + 0.5), (0, 1)),
    "clamped": (Last(lambda m, h: h.clamp(0, 1)), (0, 1)),
    "softmax": (Last(lambda m, h: F.softmax(h, dim=1)), (0, 1)),
    "with a skip": (Last(lambda m, h: h + torch.tanh(h)), INFINITE),
    "normalized": (Last(lambda m, h: m.norm(h)), INFINITE),
    "dropped": (Last(lambda m, h: m.dropout(torch.relu(h))), (0, np.inf)),
    "LSTM": (Last(lambda m, h: m.steps(h.unsqueeze(1))[0].squeeze(1)), (-1, 1)),
    "values": (Last(depends_on_values), None),
    "unknown": (Last(lambda m, h: torch.fft.fft(h).real), None),
}


@pytest.mark.parametrize("name", RANGES)
def test_range_is_read_from_the_last_operation(name):
    decoder, expected = RANGES[name]
    assert output_range(decoder) == expected


@worse_than_pca
@pytest.mark.parametrize("name", ["values", "unknown"])
def test_what_cannot_be_read_is_asked_for_once(name):
    decoder = Last(RANGES[name][0].function)
    own = UserNetwork(nn.Linear(64, K), decoder)
    message = (
        "expected a decoder whose last operation can be read, got decoder=Last(...): "
        "its output is taken for 'data' without bounds. Pass outputs='data' or "
        "'logits' and output_range=(low, high) to UserNetwork."
    )
    estimator = AutoEncoderTransformer(K, network=own, early_stopping=False, **SHORT)
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        estimator.fit(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    own.set_params(output_range=(-np.inf, np.inf), outputs="data")
    clone(estimator).fit(X)


def test_data_outside_of_the_range_are_told():
    own = network(AutoEncoderTransformer, nn.Sigmoid())
    estimator = AutoEncoderTransformer(K, network=own, early_stopping=False, **SHORT)
    message = (
        "expected training data in the range of the decoder's output, from 0 to 1, got "
        "data from 0 to 16 for numeric_scaling='none': what lies outside cannot be "
        "reconstructed. Pass numeric_scaling='minmax', or a decoder with another last "
        "layer."
    )
    for method in (estimator.fit, clone(estimator).partial_fit):
        with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
            method(X)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    estimator.partial_fit(X)  # told once
    clone(estimator).set_params(numeric_scaling="minmax").fit(X)
    estimator.fit(UNIT)
    clone(estimator).set_params(init="pca", early_stopping=True).fit(X)
    told = network(AutoEncoderTransformer, output_range=(-1.0, 3))
    with pytest.warns(UserWarning, match="output, from -1 to 3, got data from 0 to 16"):
        clone(estimator).set_params(network=told).fit(X)


def test_bounds_beside_categories_are_told():
    frame = pd.DataFrame({"a": UNIT[:, 20], "b": UNIT[:, 21]})
    frame["kind"] = pd.Categorical(np.where(X[:, 30] > 8, "u", "v"))
    torch.manual_seed(0)
    own = UserNetwork(dense((3, 16, 2)), dense((2, 16, 3), nn.Sigmoid()))
    estimator = AutoEncoderTransformer(
        2, network=own, numeric_scaling="minmax", early_stopping=False, **SHORT
    )
    with pytest.warns(UserWarning, match="without bounds for a table with categories"):
        estimator.fit(frame)


@worse_than_pca
@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        (AutoEncoderTransformer, {"loss": "binary_cross_entropy"}),
        (VAETransformer, {"likelihood": "bernoulli"}),
    ],
)
@pytest.mark.parametrize(
    ("last", "outputs", "is_logit"),
    [
        ((), "auto", True),
        ((nn.Sigmoid(),), "auto", False),
        ((nn.Hardsigmoid(),), "auto", False),
        ((), "data", False),
        ((), "logits", True),
    ],
)
def test_probabilities_and_logits_are_told_apart(kind, loss, last, outputs, is_logit):
    own = network(kind, *last, outputs=outputs)
    if not last and not is_logit:
        own.set_params(output_range=(0.0, 1.0))
    estimator = kind(K, network=own, **loss, **SHORT).fit(UNIT)
    codes = estimator.transform(UNIT)
    given = run(trained(estimator)[1], codes)
    expected = 1 / (1 + np.exp(-given)) if is_logit else given
    check_close(estimator.inverse_transform(codes), expected)
    assert np.isfinite(estimator.loss_curve_).all()
    columns = estimator.module_.columns
    raw, target = torch.from_numpy(given), torch.from_numpy(UNIT)
    if is_logit:
        cells = F.binary_cross_entropy_with_logits(raw, target, reduction="none")
    else:
        cells = F.binary_cross_entropy(raw.clamp(0, 1), target, reduction="none")
    cells = cells.sum(dim=1) if kind is VAETransformer else cells.mean(dim=1)
    check_close(columns.per_sample_loss(raw, target), cells)
    check_close(columns.loss(raw, target), cells.mean())
    if kind is VAETransformer:
        drawn = estimator.sample(50, random_state=0)
        assert set(np.unique(drawn)) <= {0.0, 1.0}


def test_certain_probabilities_have_a_finite_loss_and_gradient():
    own = network(AutoEncoderTransformer, nn.Sigmoid())
    estimator = AutoEncoderTransformer(
        K, network=own, loss="binary_cross_entropy", early_stopping=False, **SHORT
    ).fit(UNIT)
    columns = estimator.module_.columns
    raw = torch.tensor([[0.0, 1.0, 0.0, 1.0] * 16], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0, 1.0] * 16])
    loss = columns.loss(raw, target)
    assert loss.item() == pytest.approx(50)  # as torch has it, logarithms above -100
    loss.backward()
    assert torch.isfinite(raw.grad).all()
    assert columns.loss(raw.detach() * torch.nan, target).isnan()


@pytest.mark.parametrize(
    ("kind", "loss", "message"),
    [
        (
            AutoEncoderTransformer,
            {},
            "expected outputs='auto' or 'data' for loss='squared_error', got outputs="
            "'logits', from which only binary cross-entropy is computed. Pass outputs="
            "'auto' to UserNetwork, or loss='binary_cross_entropy'.",
        ),
        (
            VAETransformer,
            {},
            "expected outputs='auto' or 'data' for likelihood='gaussian', got outputs="
            "'logits', from which only binary cross-entropy is computed. Pass outputs="
            "'auto' to UserNetwork, or likelihood='bernoulli'.",
        ),
    ],
)
@pytest.mark.parametrize("init", ["auto", "pca"])
def test_logits_under_other_losses_are_refused(kind, loss, message, init):
    own = network(kind, outputs="logits")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(K, network=own, init=init, **loss).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"outputs": "probabilities"},
            "The 'outputs' parameter of UserNetwork must be a str among {",
        ),
        *[
            (
                {"output_range": pair},
                "expected a pair of numbers, the lower one first, got output_range="
                f"{pair!r}. Pass one, as (0.0, 1.0), or None to have it read from the "
                "decoder.",
            )
            for pair in ((1.0, 0.0), (0.0,), "01", 1.0, (0.0, np.nan))
        ],
    ],
)
def test_wrong_parameters_of_the_network_are_refused(parameters, message):
    own = network(**parameters)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        AutoEncoderTransformer(K, network=own).fit(X)


def test_the_network_is_a_specification_of_keyword_only_outputs():
    with pytest.raises(TypeError):
        UserNetwork(nn.Linear(4, 2), nn.Linear(2, 4), None, (0, 1))
    own = network(outputs="data", output_range=(0, 1))
    parameters = clone(own, safe=False).get_params(deep=False)
    assert (parameters["outputs"], parameters["output_range"]) == ("data", (0, 1))


@worse_than_pca
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_an_epoch_has_as_many_samples_as_there_are(fraction):
    reducer = AutoEncoderTransformer(
        K, network=network(), validation_fraction=fraction, **SHORT
    ).fit(X)
    rows = [row["batches"][0]["train_batch_size"] for row in reducer.history_]
    assert rows == [len(X)] * 3
