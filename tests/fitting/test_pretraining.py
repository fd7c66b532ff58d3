"""Layerwise pretraining: each phase against a network that is trained alone."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

import sk_autoencoder
from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._fitting.pretrain_columns import LayerColumns
from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder.networks import MLP, ConvNet, UserNetwork
from sk_autoencoder.networks._layers import Dropout

X = load_digits().data[:240]
SIZES = (20, 12)
KINDS = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]


class Stop(Callback):
    """Ends a fit before the first step of all layers together."""

    def on_epoch_begin(self, net, **kwargs):
        raise KeyboardInterrupt


def make(kind=AutoEncoderTransformer, **parameters):
    options = {
        "hidden_layer_sizes": SIZES,
        "activation": "logistic",
        "init": "random",
        "pretrain": "layerwise",
        "max_epochs": 9,
        "random_state": 0,
    }
    return kind(4, **options | parameters)


def fit_layers(estimator, rows=X):
    """Fit, and end before all layers are trained together."""
    with pytest.raises(KeyboardInterrupt, match="interrupted after epoch"):
        estimator.set_params(callbacks=[Stop()]).fit(rows)
    return estimator


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def layers(estimator):
    """Encoder layers and decoder layers of a bottleneck, the outermost first."""
    encoder, decoder = estimator.module_.encoder, estimator.module_.decoder
    both = [
        [part for part in network if isinstance(part, nn.Linear)]
        for network in (encoder, decoder)
    ]
    return both[0], both[1][::-1]


def assert_same(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        assert torch.equal(a, b)


def alone(start, width, epochs, **parameters):
    """Train one hidden layer and a linear output, from the weights of `start`."""
    estimator = DenoisingAutoEncoderTransformer(
        features="hidden",
        network=MLP((width,), "logistic"),
        numeric_scaling="none",
        max_epochs=0,
        random_state=0,
        **parameters,
    ).fit(X)
    module = estimator.module_
    (encoders, decoders) = layers(start)
    module.encoder.blocks[0][0].load_state_dict(encoders[0].state_dict())
    module.decoder.output.load_state_dict(decoders[0].state_dict())
    estimator.net_.start_from(module.state_dict())
    return estimator.set_params(max_epochs=epochs, warm_start=True).fit(X)


# ---------------------------------------------------------------- what a phase is


@pytest.mark.parametrize(
    "noise",
    [
        {"noise_level": 0.0},
        {"noise": "gaussian", "noise_level": 0.3},
        {"noise": "swap", "noise_level": 0.2, "feature_groups": [[3, 4], [9, 2]]},
    ],
    ids=["none", "gaussian", "swap"],
)
def test_the_first_phase_is_an_autoencoder_of_one_layer(noise):
    start = make(pretrain=None, max_epochs=0).fit(X)
    other = alone(start, SIZES[0], 3, **noise)
    kind = KINDS[noise["noise_level"] > 0]
    fitted = fit_layers(make(kind, **noise if noise["noise_level"] else {}))
    # Two phases came after it: its layer and what undoes that have not moved.
    (encoders, decoders) = layers(fitted)
    assert_same(encoders[0], other.module_.encoder)
    assert_same(decoders[0], other.module_.decoder)
    assert fitted.loss_curve_[:3] == other.loss_curve_
    assert fitted.validation_loss_curve_[:3] == other.validation_loss_curve_
    # And all of them began where they begin without pretraining.
    assert not torch.equal(encoders[0].weight, layers(start)[0][0].weight)


@pytest.mark.parametrize(("activation", "lr"), [("logistic", 0.4), ("silu", 0.05)])
def test_the_second_phase_is_gradient_descent_on_outputs_of_the_first(activation, lr):
    plain = {
        "optimizer": "sgd",
        "lr": lr,
        "batch_size": len(X),
        "early_stopping": False,
        "net_params": {"weight_average": None, "gradient_clip": None},
        "activation": activation,
    }
    start = make(pretrain=None, max_epochs=0, **plain).fit(X)
    fitted = fit_layers(make(max_epochs=15, **plain))
    columns = fitted.module_.columns
    function = ACTIVATIONS[activation].module()
    (encoders, decoders), (before, undo) = layers(fitted), layers(start)
    with torch.no_grad():
        rows = columns.encode(torch.tensor(X, dtype=torch.float32) - columns.mean)
        hidden = function(encoders[0](rows))
    unit = hidden.var(dim=0, correction=0).mean()
    parameters = [*before[1].parameters(), *undo[1].parameters()]
    losses = []
    for _ in range(5):
        rebuilt = function(undo[1](function(before[1](hidden))))
        loss = (rebuilt - hidden).square().mean() / unit
        losses.append(loss.item())
        for weight, step in zip(
            parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            weight.data -= lr * step
    np.testing.assert_allclose(fitted.loss_curve_[5:10], losses, rtol=1e-4)
    # The third phase has not moved it.
    found = weights(encoders[1]) + weights(decoders[1])
    for weight, expected in zip(found, parameters, strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)
    last = weights(encoders[2])[0]
    assert not torch.equal(last, before[2].weight)


def test_without_noise_both_are_the_same():
    one = make().fit(X)
    other = make(DenoisingAutoEncoderTransformer, noise_level=0.0).fit(X)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


def test_noise_is_drawn_at_each_layer():
    seen = []

    def noise(batch, generator):
        seen.append((batch.shape[1], float(batch.mean())))
        return batch + 0.1 * torch.randn(batch.shape, generator=generator)

    fit_layers(make(DenoisingAutoEncoderTransformer, noise=noise))
    assert list(dict.fromkeys(width for width, _ in seen)) == [64, *SIZES]
    means = {width: np.mean([m for w, m in seen if w == width]) for width, _ in seen}
    assert means[64] == pytest.approx(X.mean(), rel=0.05)  # in the units of X
    assert 0.1 < means[20] < 0.9  # what a logistic unit gives, not centered


@pytest.mark.parametrize("noise", ["masking", "salt_and_pepper", "swap", "gaussian"])
def test_every_noise_goes_through_the_layers(noise):
    fitted = make(DenoisingAutoEncoderTransformer, noise=noise, noise_level=0.2).fit(X)
    assert np.isfinite(fitted.transform(X)).all()
    clean = make(DenoisingAutoEncoderTransformer, noise_level=0.0).fit(X)
    assert fitted.loss_curve_[3] != clean.loss_curve_[3]


def test_a_deep_stack_is_trained_layer_by_layer():
    stack = make(DenoisingAutoEncoderTransformer, features="hidden", init="pca")
    start = clone(stack).set_params(pretrain=None, max_epochs=0).fit(X)
    fitted = fit_layers(stack)
    assert [row["phase"] for row in fitted.history_] == ["layer 1"] * 5 + [
        "layer 2"
    ] * 5
    blocks, before = fitted.module_.encoder.blocks, start.module_.encoder.blocks
    for block, fresh in zip(blocks, before, strict=True):
        assert not torch.equal(block[0].weight, fresh[0].weight)
    # No layer is undone by the output of the whole, which waits for all of them.
    assert_same(fitted.module_.decoder, start.module_.decoder)
    whole = make(DenoisingAutoEncoderTransformer, features="hidden").fit(X)
    assert whole.transform(X).shape == (240, 32)
    assert whole.loss_curve_[-1] < whole.loss_curve_[10]


def test_a_stack_of_one_layer_is_undone_by_the_output():
    one = {"features": "hidden", "hidden_layer_sizes": (20,), "noise_level": 0.0}
    fitted = fit_layers(make(DenoisingAutoEncoderTransformer, max_epochs=3, **one))
    whole = make(
        DenoisingAutoEncoderTransformer, pretrain=None, max_epochs=3, **one
    ).fit(X)
    assert_same(fitted.module_, whole.module_)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_by_hand_is_that_of_autograd(activation):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.rand(7, 5, generator=generator).double()
    statistics = ColumnStatistics.of(outputs.numpy())
    columns = LayerColumns(statistics, ACTIVATIONS[activation].module()).double()
    centered = outputs - torch.tensor(statistics.mean)
    raw = torch.randn(7, 5, generator=generator).double().requires_grad_()
    loss = columns.loss(raw, centered)
    (expected,) = torch.autograd.grad(loss / 3, raw)
    found, gradient = columns.loss_and_gradient(raw.detach().clone(), centered, 3.0)
    assert found == pytest.approx(loss.item() / 3)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)
    rows = columns.per_sample_loss(raw, centered)
    assert rows.shape == (7,)
    assert rows.mean().item() == pytest.approx(loss.item())


def test_both_ways_of_training_take_the_same_steps():
    by_hand = make(DenoisingAutoEncoderTransformer).fit(X)
    autograd = make(
        DenoisingAutoEncoderTransformer, net_params={"make_gradient_fn": None}
    )
    np.testing.assert_allclose(
        by_hand.loss_curve_, autograd.fit(X).loss_curve_, rtol=1e-4
    )


def test_layers_are_paired_with_what_undoes_them():
    estimator = make(dropout=0.3, batch_norm=True, max_epochs=0).fit(X)
    module, network = estimator.module_, MLP(SIZES, "logistic", 0.3, True)
    generator = torch.Generator().manual_seed(0)
    pairs = network.layer_pairs(module.encoder, module.decoder, generator)
    rows = torch.randn(5, 64, generator=generator)
    codes, rebuilt = rows, module.encoder(rows)
    for encoder, _ in pairs:
        codes = encoder(codes)
    torch.testing.assert_close(codes, module.encoder(rows))
    for _, decoder in reversed(pairs):
        assert not any(isinstance(part, Dropout) for part in decoder)
        rebuilt = decoder(rebuilt)
    torch.testing.assert_close(rebuilt, module.decoder(module.encoder(rows)))


def test_the_averaged_weights_begin_where_pretraining_ended():
    class Look(Stop):
        def on_train_begin(self, net, **kwargs):
            with net.average_.applied():
                self.average = weights(net.module_)

    look = Look()
    fitted = make(callbacks=[look])
    with pytest.raises(KeyboardInterrupt, match="interrupted after epoch"):
        fitted.fit(X)
    for average, weight in zip(look.average, weights(fitted.module_), strict=True):
        assert torch.equal(average, weight)


def test_dropout_and_batch_norm():
    fitted = fit_layers(make(dropout=0.3, batch_norm=True, activation="relu"))
    norms = [p for p in fitted.module_.encoder if isinstance(p, nn.BatchNorm1d)]
    assert all(norm.num_batches_tracked > 0 for norm in norms)
    # Frozen, they count no more batches than those of their own phase.
    assert norms[0].num_batches_tracked == norms[1].num_batches_tracked
    whole = make(dropout=0.3, batch_norm=True, activation="relu").fit(X)
    assert np.isfinite(whole.transform(X)).all()


def test_a_table_with_categories_and_gaps():
    frame = pd.DataFrame(X[:, 2:7]).rename(columns=str)
    frame["digit"] = pd.Categorical(load_digits().target[:240].astype(str))
    frame.iloc[3, 1] = np.nan
    fitted = make(allow_missing=True).fit(frame)
    assert fitted.inverse_transform(fitted.transform(frame)).shape == frame.shape
    assert {row["phase"] for row in fitted.history_} == {
        "layer 1",
        "layer 2",
        "layer 3",
        "all layers",
    }


def test_sigmoid_layers_gain_by_it():
    options = {"hidden_layer_sizes": (64, 32), "max_epochs": 60}
    whole = make(pretrain=None, **options).fit(X)
    layerwise = make(**options).fit(X)
    assert layerwise.score(X) > whole.score(X) + 0.1


# ------------------------------------------------------------------ what is kept


def test_the_history_shows_the_phases():
    fitted = make(max_epochs=10).fit(X)
    phases = fitted.history_[:, "phase"]
    assert phases == (
        ["layer 1"] * 4 + ["layer 2"] * 4 + ["layer 3"] * 4 + ["all layers"] * 10
    )
    assert fitted.history_[:, "epoch"] == list(range(1, 23))
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 22
    assert fitted.loss_curve_ == fitted.history_[:, "train_loss"]
    assert fitted.validation_loss_curve_ == fitted.history_[:, "valid_loss"]
    assert fitted.best_epoch_ == 12 + fitted.net_.best_epoch_
    assert len(fitted.net_.history) == 10
    for last in (3, 7, 11, 21):  # and each learns
        assert fitted.loss_curve_[last] < fitted.loss_curve_[last - 3]


def test_no_rows_held_out():
    fitted = make(early_stopping=False).fit(X)
    assert fitted.validation_loss_curve_ == []
    assert fitted.best_epoch_ == fitted.n_iter_ == 18


def test_patience_ends_a_phase():
    fitted = make(max_epochs=300, n_iter_no_change=2, lr=0.05).fit(X)
    lengths = pd.Series(fitted.history_[:, "phase"]).value_counts()
    assert (lengths[["layer 1", "layer 2", "layer 3"]] < 100).all()


def test_no_epochs_are_no_phases():
    fitted, plain = (
        make(pretrain=how, max_epochs=0).fit(X) for how in ("layerwise", None)
    )
    assert fitted.history_ == []
    assert fitted.best_epoch_ == fitted.n_iter_ == 0
    np.testing.assert_array_equal(fitted.transform(X), plain.transform(X))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (AutoEncoderTransformer, {}),
        (DenoisingAutoEncoderTransformer, {}),
        (DenoisingAutoEncoderTransformer, {"features": "hidden"}),
        (AutoEncoderTransformer, {"dropout": 0.3, "early_stopping": False}),
    ],
)
def test_the_same_seed_gives_the_same_to_the_bit(kind, more):
    before = torch.get_rng_state()
    one, other, third = (
        make(kind, random_state=s, max_epochs=3, **more).fit(X) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(clone(one).fit(X).transform(X), one.transform(X))
    assert not np.array_equal(one.transform(X), third.transform(X))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_pretrained_estimator_is_pickled_and_saved(kind, tmp_path):
    fitted = make(kind).fit(X)
    fitted.save(tmp_path / "model", optimizer=True)
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        sk_autoencoder.load(tmp_path / "model"),
    ):
        assert again.pretrain == "layerwise"
        assert again.history_ == fitted.history_
        np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
        more, also = (pickle.loads(pickle.dumps(e)) for e in (again, fitted))
        for estimator in (more, also):
            estimator.set_params(warm_start=True, max_epochs=2).fit(X)
        assert more.history_[:, "phase"] == also.history_[:, "phase"]
        np.testing.assert_array_equal(more.transform(X), also.transform(X))


def test_a_search_over_it():
    search = GridSearchCV(make(), {"pretrain": [None, "layerwise"]}, cv=2).fit(X)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_a_fit_that_goes_on_trains_all_layers():
    fitted = make(warm_start=True).fit(X)
    fitted.set_params(max_epochs=2).fit(X)
    phases = fitted.history_[:, "phase"]
    assert phases[9:] == ["all layers"] * 11
    assert fitted.partial_fit(X).history_[:, "phase"][9:] == ["all layers"] * 12
    assert fitted.n_iter_ == 21
    # A new fit begins with the layers again.
    fitted.set_params(warm_start=False).fit(X)
    assert fitted.history_[0, "phase"] == "layer 1"
    assert fitted.n_iter_ == 5


def test_the_first_of_many_rows_train_each_layer_once():
    fitted = make().partial_fit(X[:120]).partial_fit(X[120:])
    assert fitted.history_[:, "phase"] == [
        "layer 1",
        "layer 2",
        "layer 3",
        "all layers",
        "all layers",
    ]
    assert fitted.validation_loss_curve_ == []


def test_an_interrupt_is_meant_for_all_of_the_fit():
    calls = []

    def noise(batch, generator):
        if len(batch) == 32:  # of training: validation has 24 samples
            calls.append(batch.shape[1])
            if calls.count(SIZES[0]) == 10:
                raise KeyboardInterrupt
        return batch

    estimator = make(DenoisingAutoEncoderTransformer, noise=noise, batch_size=32)
    with pytest.raises(KeyboardInterrupt, match="interrupted after epoch 4: this"):
        estimator.fit(X)
    fitted = estimator
    assert fitted.history_[:, "phase"] == ["layer 1"] * 3 + ["layer 2"]
    assert len(fitted.net_.history) == 0
    assert np.isfinite(fitted.transform(X)).all()


def test_the_phases_are_told(capsys):
    make(verbose=1, max_epochs=1).fit(X)
    told = capsys.readouterr().out
    for number in (1, 2, 3):
        assert f"Layer {number} of 3:" in told
    make(verbose=2, max_epochs=1).fit(X)
    assert "Layer 2 of 3:" in capsys.readouterr().err
    make(max_epochs=1).fit(X)
    assert capsys.readouterr() == ("", "")


# ------------------------------------------------------------------ what is refused


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out)


REFUSED = {
    "pca": (
        {"init": "pca"},
        "expected init='random' for pretrain='layerwise', got init='pca': a model "
        "that starts as PCA leaves nothing to train layer by layer. Pass "
        "init='random', or pretrain=None.",
    ),
    "ordered": (
        {"init": "pca", "ordered": True},
        "expected ordered=False for pretrain='layerwise', got ordered=True: ordered "
        "components start as PCA's, and pretrained layers do not. Pass ordered=False, "
        "or pretrain=None and init='pca'.",
    ),
    "a share": (
        {"n_components": 0.9},
        "expected an int or None for pretrain='layerwise', got n_components=0.9: the "
        "number of components is found by several fits. Pass an int, or "
        "pretrain=None.",
    ),
}
OTHER_NETWORKS = [
    ConvNet((1, 8, 8)),
    UserNetwork(nn.Linear(64, 4), nn.Linear(4, 64)),
    UserNetwork(linear, linear),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_it_is_refused(name, kind):
    parameters, message = REFUSED[name]
    estimator = make(kind).set_params(**parameters)
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            method(X)


@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_other_networks_are_refused(network):
    parameters = {"hidden_layer_sizes": "auto", "activation": "silu"}
    message = (
        "expected a network of dense layers for pretrain='layerwise', got "
        f"network={network!r}. Pass network=None or network=MLP(...), or pretrain=None."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(network=network, **parameters).fit(X)


def test_a_specification_of_dense_layers_is_taken():
    parameters = {"hidden_layer_sizes": "auto", "activation": "silu"}
    network = MLP(SIZES, activation="logistic")
    one, other = make(network=network, **parameters).fit(X), make().fit(X)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    with pytest.raises(ValueError, match="The 'pretrain' parameter of"):
        make(pretrain="greedy").fit(X)
