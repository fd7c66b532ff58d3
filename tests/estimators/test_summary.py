"""One text that tells of a fit."""

import pickle
import re
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting import resolve
from sk_autoencoder.networks import ConvNet, RecurrentNet

X = load_digits().data[:300]
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}


class Interrupt(Callback):
    """Ctrl-C in the second epoch of a run."""

    def on_train_begin(self, net, **kwargs):
        self.first_ = len(net.history)

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) > self.first_ + 1:
            raise KeyboardInterrupt


def lines_of(estimator):
    head, *lines = estimator.summary().splitlines()
    return {
        "": head,
        **dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines),
    }


def test_summary_tells_what_the_attributes_are():
    reducer = AutoEncoderTransformer(5, **SMALL).fit(X)
    lines = lines_of(reducer)
    assert list(lines) == [
        "",
        "Data",
        "Network",
        "Weights",
        "Variance",
        "Validation",
        "Training",
        "Result",
        "Device",
    ]
    n_varied = int((X.std(axis=0) > 0).sum())
    assert lines[""] == "AutoEncoderTransformer: 64 features -> 5"
    expected = f"300 samples; numbers: {n_varied}, constant: {64 - n_varied}"
    assert lines["Data"] == expected
    assert lines["Network"].startswith("encoder: Linear 64-8, Linear 8-5; decoder: ")
    n_weights = sum(p.numel() for p in reducer.module_.parameters())
    assert lines["Weights"] == f"{n_weights:,}"
    linear = PCA(5).fit(X).explained_variance_ratio_.sum()
    own = reducer.explained_variance_ratio_.sum()
    told = f"explains {own:.3f} of the training samples' variance, PCA {linear:.3f}"
    assert lines["Variance"] == told
    least = min(reducer.validation_loss_curve_)
    assert f"least loss {least:.4g}, " in lines["Validation"]
    assert lines["Validation"].endswith(" (1: PCA's on the training samples)")
    assert re.match(r"3 epochs in \d+\.\d s, best \d; ", lines["Training"])
    assert lines["Device"] == "cpu"


@pytest.mark.parametrize(
    ("params", "result"),
    [
        ({"max_epochs": 0}, "PCA: nothing was trained"),
        ({"lr": 1e-9}, "PCA: no epoch was better on the validation samples, beyond"),
        ({"init": "random"}, "epoch 3"),
    ],
)
def test_summary_tells_what_is_kept(params, result):
    reducer = AutoEncoderTransformer(5, **{**SMALL, **params}).fit(X)
    assert lines_of(reducer)["Result"].startswith(result)
    assert reducer.fell_back_to_pca_ == result.startswith("PCA")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, "all of max_epochs=3"),
        ({"tol": 9.0, "n_iter_no_change": 1}, "stopped 4 epochs after the best"),
        ({"callbacks": [EarlyStopping(patience=1, threshold=1.0)]}, "stopped by a cal"),
        ({"callbacks": [Interrupt()]}, "interrupted"),
    ],
    ids=["max_epochs", "patience", "callback", "interrupt"],
)
def test_what_ended_a_fit_is_told_also_by_a_pickle_and_of_its_last_run(params, told):
    reducer = AutoEncoderTransformer(5, warm_start=True, **SMALL).fit(X)
    reducer.set_params(**params)
    with suppress(KeyboardInterrupt):
        reducer.fit(X)
    for each in (reducer, pickle.loads(pickle.dumps(reducer))):
        _, why, *_ = lines_of(each)["Training"].split("; ")
        assert why.startswith(told)


# Two components of a roll in space, and a random start, are far from done.
UNFINISHED = {"n_components": 2, "max_epochs": 20, "random_state": 0}


def gain_of_last_tenth(losses):
    n_last = len(losses) // 10
    return 100 * (1 - min(losses) / min(losses[:-n_last]))


def test_fit_that_is_cut_off_while_it_gains_says_so_once(capsys):
    roll = make_swiss_roll(300, random_state=0)[0]
    reducer = AutoEncoderTransformer(verbose=1, **UNFINISHED).fit(roll)
    gain = gain_of_last_tenth(reducer.validation_loss_curve_)
    assert gain > 1
    told = f"lowered the validation loss by {gain:.1f}% in the last tenth"
    assert told in lines_of(reducer)["Result"]
    assert capsys.readouterr().out.count(told) == 1


def test_density_that_is_best_at_its_last_epoch_says_so(capsys):
    vae = VAETransformer(3, max_epochs=5, verbose=1, random_state=0).fit(X)
    assert vae.best_epoch_ == 5
    told = "the last epoch is the best: a larger max_epochs may help"
    assert lines_of(vae)["Result"] == f"epoch 5; {told}"
    assert capsys.readouterr().out.count(told) == 1


def test_fit_that_falls_back_says_so_once(capsys):
    reducer = AutoEncoderTransformer(5, verbose=1, **{**SMALL, "lr": 1e-9}).fit(X)
    assert reducer.fell_back_to_pca_
    assert capsys.readouterr().out.count("PCA is kept") == 1


def test_steady_fit_does_not_ask_for_more_epochs(capsys):
    reducer = AutoEncoderTransformer(5, verbose=1, **{**SMALL, "lr": 1e-9}).fit(X)
    assert "max_epochs may gain" not in reducer.summary() + capsys.readouterr().out


def test_automatic_epochs_that_were_too_few_are_warned_of(monkeypatch):
    monkeypatch.setattr(resolve, "automatic_epochs", lambda *_: 20)
    roll = make_swiss_roll(300, random_state=0)[0]
    cut_off = {**UNFINISHED, "max_epochs": "auto"}
    with pytest.warns(ConvergenceWarning, match="resolved to 20 epochs, and training"):
        AutoEncoderTransformer(**cut_off).fit(roll)
    # None of these warns: warnings are errors here.
    AutoEncoderTransformer(**UNFINISHED).fit(roll)
    monkeypatch.setattr(resolve, "automatic_epochs", lambda *_: 200)  # stops before 20
    AutoEncoderTransformer(n_iter_no_change=10, lr=1e-9, random_state=0).fit(roll)
    monkeypatch.setattr(resolve, "automatic_epochs", lambda *_: 20)
    AutoEncoderTransformer(lr_schedule="cosine", **cut_off).fit(roll)
    scheduler = LRScheduler("ExponentialLR", gamma=0.99)
    AutoEncoderTransformer(callbacks=[scheduler], **cut_off).fit(roll)
    AutoEncoderTransformer(early_stopping=False, **cut_off).fit(roll)
    VAETransformer(**cut_off).fit(roll)
    monkeypatch.setattr(resolve, "automatic_epochs", lambda *_: 9)  # too few to tell
    AutoEncoderTransformer(**cut_off).fit(roll)


def test_early_stop_is_told():
    reducer = AutoEncoderTransformer(
        5, hidden_layer_sizes=(8,), max_epochs=200, n_iter_no_change=2, random_state=0
    ).fit(X)
    n_more = reducer.n_iter_ - reducer.best_epoch_
    assert (
        f"; stopped {n_more} epochs after the best; " in lines_of(reducer)["Training"]
    )


@pytest.mark.filterwarnings("ignore:expected at least half of n_components:UserWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(5, ordered=True, **SMALL),
        AutoEncoderTransformer(5, early_stopping=False, **SMALL),
        AutoEncoderTransformer(3, network=ConvNet(channels=(2,)), max_epochs=1),
        AutoEncoderTransformer(3, network=RecurrentNet(hidden_size=3), max_epochs=1),
        AutoEncoderTransformer(
            3, loss="binary_cross_entropy", numeric_scaling="minmax", **SMALL
        ),
        DenoisingAutoEncoderTransformer(features="hidden", **SMALL),
        DenoisingAutoEncoderTransformer(features="reconstruction", **SMALL),
        VAETransformer(3, **SMALL),
    ],
    ids=str,
)
def test_summary_of_any_estimator_is_the_same_from_a_file(estimator, tmp_path):
    estimator.fit(X[:, 20:36]).save(tmp_path / "model")
    assert sk_autoencoder.load(tmp_path / "model").summary() == estimator.summary()


def test_columns_are_counted_by_kind():
    frame = pd.DataFrame({"x": X[:, 20], "gone": np.full(300, np.nan)})
    frame["two"] = np.resize(["a", "b"], 300)
    frame["few"] = np.resize(list("abc"), 300)
    reducer = AutoEncoderTransformer(2, allow_missing=True, **SMALL)
    with pytest.warns(UserWarning, match="gone"):
        reducer.fit(frame)
    assert lines_of(reducer)["Data"] == (
        "300 samples; numbers: 1, categories: 2 (2 to 3 levels), without values: 1"
    )


def test_summary_asks_for_a_fit():
    with pytest.raises(ValueError, match="is not fitted yet"):
        AutoEncoderTransformer().summary()


def test_explained_variance_is_compared_with_pca_in_the_same_units_only():
    scaled = AutoEncoderTransformer(
        3, numeric_scaling="standard", max_epochs=0, random_state=0
    ).fit(X)
    assert ", PCA 0." not in scaled.summary()
    plain = AutoEncoderTransformer(3, max_epochs=0, random_state=0).fit(X)
    (told,) = re.findall(r"explains (\S+) of .*, PCA (\S+)", plain.summary())
    assert told[0] == told[1]


def test_what_is_left_is_told_where_almost_all_is_explained():
    line = np.outer(np.arange(60.0), [1.0, 2.0, 3.0])
    noisy = line + np.random.default_rng(0).normal(scale=0.01, size=line.shape)
    reducer = AutoEncoderTransformer(1, max_epochs=0, random_state=0).fit(noisy)
    left = 1 - PCA(1).fit(noisy).explained_variance_ratio_.sum()
    told = f"leaves {left:.1e} of the training samples' variance, PCA {left:.1e}"
    assert lines_of(reducer)["Variance"] == told


def test_the_loss_of_a_density_is_no_ratio():
    vae = VAETransformer(3, max_epochs=1, random_state=0).fit(X)
    told = "; negative evidence bound (nats per row, scaled units)"
    assert lines_of(vae)["Validation"].endswith(told)
    assert "(1: PCA's" not in vae.summary()


@pytest.mark.parametrize("ordered", [False, True])
def test_the_validation_loss_stands_beside_pcas(ordered):
    rows, others = X[:200], X[200:]
    fitted = AutoEncoderTransformer(5, ordered=ordered, **SMALL).fit(rows, X_val=others)
    pca = PCA(5).fit(rows)
    expected, usual = (
        np.square(part - pca.inverse_transform(pca.transform(part))).sum(1).mean()
        for part in (others, rows)
    )
    found = float(re.search(r"PCA's (\S+) ", fitted.summary())[1])
    assert found == pytest.approx(expected / usual, rel=2e-3)
    again = fitted.set_params(warm_start=True).fit(rows, X_val=others)
    assert f"PCA's {found:.4g} " in again.summary()


@pytest.mark.parametrize("params", [{"init": "random"}, {"early_stopping": False}])
def test_no_loss_of_pca_is_told_where_none_was_measured(params):
    text = AutoEncoderTransformer(5, **SMALL, **params).fit(X).summary()
    assert "PCA's " not in text.replace("(1: PCA's", "")


def test_layers_of_an_imputer_are_told_with_their_sizes():
    frame = pd.DataFrame({"x": X[:, 20], "y": np.resize(list("abc"), 300)})
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", hidden_layer_sizes=(8,), max_epochs=1, random_state=0
    ).fit(frame)
    told = "; cross-entropy (nats per hidden cell)"
    assert lines_of(imputer)["Validation"].endswith(told)
    n_levels = len(np.unique(X[:, 20])) + 3
    assert lines_of(imputer)["Network"] == (
        f"network: LevelEmbedding {n_levels}-8, LayerNorm, Linear 8-16, Linear 16-8, "
        f"LayerNorm, LevelOutput 8-{n_levels}"
    )


def test_layers_of_images_and_series_have_sizes():
    conv = AutoEncoderTransformer(3, network=ConvNet(channels=(2,)), max_epochs=0)
    assert "encoder: Conv1d 1-2, Linear " in conv.fit(X).summary()
    network = RecurrentNet(hidden_size=5)
    series = AutoEncoderTransformer(3, network=network, max_epochs=0).fit(X)
    assert re.search(r"encoder: Recurrence \d+-5, ", series.summary())


def test_each_size_that_is_tried_is_named(capsys):
    reducer = AutoEncoderTransformer(0.45, verbose=1, **SMALL).fit(X)
    out = capsys.readouterr().out
    tried = re.findall(r"^(\d+) components, of at most (\d+):$", out, re.MULTILINE)
    told = re.findall(r"^(\d+) components explain (\S+) in val", out, re.MULTILINE)
    assert [size for size, _ in tried] == [size for size, _ in told]
    assert {most for _, most in tried} == {str(PCA(0.45).fit(X).n_components_)}
    assert len(tried) > 1
    for size, explained in told:
        assert (float(explained) >= 0.45) == (int(size) >= reducer.n_components_)


def test_gain_over_a_floor_is_measured_by_what_training_brought():
    # Cross-entropies of cells have a floor, beside which all gains are small.
    rng = np.random.default_rng(0)
    table = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 6))
    cut_off = {"features": "reconstruction", "max_epochs": 12, "random_state": 0}
    imputer = DenoisingAutoEncoderTransformer(**cut_off).fit(table)
    losses = imputer.validation_loss_curve_
    gain = (min(losses[:-3]) - min(losses)) / (losses[0] - min(losses))
    assert gain > 0.01
    told = f"{100 * gain:.1f}% of the decrease of the validation loss came in"
    assert told in lines_of(imputer)["Result"]
    noise = DenoisingAutoEncoderTransformer(**cut_off).fit(rng.normal(size=(600, 6)))
    assert lines_of(noise)["Result"] == "epoch 12"


@pytest.mark.parametrize("params", [{}, {"features": "hidden"}])
def test_network_of_constant_samples_is_told_to_have_no_effect(params):
    constant = np.full((30, 4), 3.0)
    lines = lines_of(DenoisingAutoEncoderTransformer(**params).fit(constant))
    assert lines["Network"] == "without effect: no feature varies"
    assert lines["Training"] == "none"
    assert lines["Result"].endswith("nothing was trained")
