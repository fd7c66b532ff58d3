"""`fit(X, X_val=...)`: a validation set of the caller's own."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from small_fits import ALL, make

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import ConvNet

DIGITS = load_digits().data
X, X_VAL = DIGITS[:200], DIGITS[200:260]


def validation_loss(reducer, rows):
    """Mean loss of rows, in the units of the curves, by the module as it is now."""
    net = reducer.net_
    batches = net.get_iterator(net.get_dataset(rows))
    return float(net.sample_losses(batches).mean())


def sizes(row):
    """Numbers of samples trained on and validated on, in a row of a history."""
    batches = {}
    for batch in row["batches"]:
        batches |= batch
    return batches["train_batch_size"], batches["valid_batch_size"]


def other_samples():
    """Samples of which what is learned from digits is worth nothing: mirrored ones."""
    return X_VAL.max() - X_VAL


@pytest.mark.parametrize("cls", ALL)
def test_all_samples_are_trained_on_and_none_is_held_out(cls):
    fitted = make(cls).fit(X, X_val=X_VAL)
    assert [sizes(row) for row in fitted.history_] == [(200, 60)] * 3
    assert len(fitted.validation_loss_curve_) == 3
    assert sizes(make(cls).fit(X).history_[0]) == (180, 20)


def test_validation_losses_are_those_of_the_validation_set():
    reducer = make(init="random", max_epochs=3).fit(X, X_val=X_VAL)
    best = reducer.validation_loss_curve_[reducer.best_epoch_ - 1]
    assert best == min(reducer.validation_loss_curve_)
    assert validation_loss(reducer, X_VAL) == pytest.approx(best, rel=1e-5)


def test_kept_epoch_is_the_best_on_the_validation_set():
    settings = {"init": "random", "max_epochs": 30, "lr": 0.02}
    reducer = make(**settings).fit(X[:40], X_val=other_samples())
    curve = reducer.validation_loss_curve_
    assert reducer.best_epoch_ == np.argmin(curve) + 1
    assert reducer.best_epoch_ < len(curve)


def test_early_stopping_looks_at_the_validation_set():
    settings = {"max_epochs": 40, "n_iter_no_change": 2}
    stopped = make(**settings).fit(X, X_val=other_samples())
    assert stopped.n_iter_ == 2
    assert make(**settings).fit(X, X_val=X_VAL).n_iter_ > 2


@pytest.mark.parametrize("cls", [AutoEncoderTransformer, VAETransformer])
def test_fallback_to_pca_looks_at_the_validation_set(cls):
    settings = {"max_epochs": 12, "n_iter_no_change": 12}
    assert not make(cls, **settings).fit(X, X_val=X_VAL).fell_back_to_pca_
    fell_back = make(cls, **settings).fit(X, X_val=other_samples() * 3)
    assert fell_back.fell_back_to_pca_


def test_principal_axes_are_those_of_all_samples():
    reducer = make(max_epochs=0).fit(X, X_val=X_VAL)
    expected = PCA(3, svd_solver="full").fit(X).transform(X_VAL)
    found = reducer.transform(X_VAL)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(reducer.mean_, X.mean(axis=0))


def test_automatic_epochs_count_all_samples():
    # 150 epochs, or those that make 1,500 steps: more steps an epoch, fewer epochs.
    auto = {"max_epochs": "auto", "batch_size": 50, "n_iter_no_change": 1, "tol": 1e9}
    assert make(**auto).fit(X, X_val=X_VAL).net_.max_epochs == 375
    assert make(**auto).fit(X[:160]).net_.max_epochs == 500


@pytest.mark.parametrize(
    "convert",
    [np.float32, sparse.csr_matrix, pd.DataFrame, np.ndarray.tolist],
    ids=["float32", "sparse", "frame", "list"],
)
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
def test_containers_of_the_validation_set_give_the_same(convert):
    expected = make().fit(X, X_val=X_VAL)
    found = make().fit(X, X_val=convert(X_VAL))
    np.testing.assert_allclose(
        found.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-5
    )


def test_images_may_come_in_their_shape():
    network = ConvNet((1, 8, 8), channels=(2,), hidden_layer_sizes=())
    reducer = AutoEncoderTransformer(2, network=network, max_epochs=1, random_state=0)
    flat = clone(reducer).fit(X, X_val=X_VAL)
    shaped = clone(reducer).fit(X.reshape(-1, 8, 8), X_val=X_VAL.reshape(-1, 1, 8, 8))
    assert shaped.validation_loss_curve_ == flat.validation_loss_curve_
    assert shaped.reconstruct(X[:2]).shape == (2, 8, 8)


def table(n, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "c": pd.Categorical.from_codes(rng.integers(0, 3, n), ["x", "y", "z"]),
        }
    )
    frame.loc[::7, "a"] = np.nan
    return frame


@pytest.mark.parametrize("cls", ALL)
def test_tables_take_a_validation_set(cls):
    reducer = make(cls, 2, allow_missing=True)
    fitted = reducer.fit(table(60, 0), X_val=table(20, 1))
    assert sizes(fitted.history_[-1]) == (60, 20)
    assert np.isfinite(fitted.validation_loss_curve_).all()


# ---------------------------------------------------------------- fits made of fits


def test_number_of_components_is_judged_on_the_validation_set():
    share = 0.6
    fitted = make(n_components=share).fit(X, X_val=X_VAL)
    lost = np.square(fitted.reconstruct(X_VAL) - X_VAL).sum()
    assert 1 - lost / np.square(X_VAL - X.mean(axis=0)).sum() >= share
    assert sizes(fitted.history_[-1]) == (200, 60)


def test_ordered_components_take_a_validation_set():
    fitted = make(ordered=True, max_epochs=8).fit(X, X_val=X_VAL)
    for net in (fitted.net_, fitted._fitted.prefix_net):
        assert sizes(net.history[-1]) == (200, 60)


@pytest.mark.parametrize("cls", ALL[:2])
def test_pretraining_takes_a_validation_set(cls):
    params = {"init": "random", "pretrain": "layerwise", "max_epochs": 4}
    fitted = make(cls, **params).fit(X, X_val=X_VAL)
    assert {row["phase"] for row in fitted.history_} > {"layer 1", "layer 2"}
    assert {sizes(row) for row in fitted.history_} == {(200, 60)}


def test_validation_set_of_hidden_features():
    cls = DenoisingAutoEncoderTransformer
    fitted = make(cls, features="hidden").fit(X, X_val=X_VAL)
    assert sizes(fitted.history_[-1]) == (200, 60)


def test_each_fit_of_a_warm_start_has_its_own_validation_set():
    reducer = make(warm_start=True)
    found = [
        sizes(reducer.fit(X, **more).history_[-1])
        for more in ({"X_val": X_VAL}, {}, {"X_val": X_VAL[:30]})
    ]
    assert found == [(200, 60), (180, 20), (200, 30)]


def test_seeded_fit_without_a_validation_set_follows_one_with_it():
    expected = make().fit(X).transform(X)
    again = make().fit(X, X_val=X_VAL).fit(X)
    np.testing.assert_array_equal(again.transform(X), expected)


# ---------------------------------------------------------------------- pipelines


@pytest.mark.parametrize("last", [True, False], ids=["last", "in the middle"])
def test_pipeline_brings_the_validation_set_through_the_steps_before(last):
    with sklearn.config_context(enable_metadata_routing=True):
        steps = [
            ("scale", StandardScaler()),
            ("reduce", make().set_fit_request(X_val=True)),
        ]
        if not last:
            steps.append(("scale again", StandardScaler()))
        pipe = Pipeline(steps, transform_input=["X_val"]).fit(X, X_val=X_VAL)
    scaler = StandardScaler().fit(X)
    expected = make().fit(scaler.transform(X), X_val=scaler.transform(X_VAL))
    found = pipe.named_steps["reduce"]
    assert found.validation_loss_curve_ == expected.validation_loss_curve_


def test_pipeline_hands_on_a_validation_set_without_routing():
    pipe = make_pipeline(make())
    pipe.fit(X, autoencodertransformer__X_val=X_VAL)
    assert sizes(pipe[0].history_[-1]) == (200, 60)
    codes = make().fit_transform(X, X_val=X_VAL)
    np.testing.assert_array_equal(codes, pipe.transform(X))


def test_extra_rows_transformer_hands_on_a_validation_set():
    reducer = ExtraRowsTransformer(make(), extra_rows=DIGITS[300:340])
    inner = reducer.fit(X, X_val=X_VAL).transformer_
    assert sizes(inner.history_[-1]) == (240, 60)
    message = (
        "expected a transformer whose fit takes X_val, got transformer=PCA(). Leave "
        "X_val out, or pass one that takes it, as AutoEncoderTransformer()."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ExtraRowsTransformer(PCA()).fit(X, X_val=X_VAL)


# ----------------------------------------------------------------------- refusals


def test_validation_set_without_early_stopping_is_refused():
    message = (
        "expected early_stopping=True with a validation set, got X_val and "
        "early_stopping=False, which looks at none. Pass early_stopping=True, or leave "
        "X_val out."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(early_stopping=False).fit(X, X_val=X_VAL)


NAN = np.where(np.arange(64) == 3, np.nan, X_VAL)


@pytest.mark.parametrize(
    ("params", "rows", "reason"),
    [
        ({}, X_VAL[:, :5], "X has 5 features, but AutoEncoderTransformer is expecting"),
        ({}, NAN, "Input X contains NaN"),
        ({}, X_VAL[:1], "Found array with 1 sample(s) (shape=(1, 64)) while a minimum"),
        ({}, X_VAL[0], "Expected 2D array, got 1D array instead"),
        ({}, X_VAL.reshape(-1, 8, 8), "Found array with dim 3"),
        ({}, X_VAL * 1e33, "expected columns whose ranges fit float32"),
        (
            {"column_weights": np.ones(64)},
            X_VAL[:1],
            "Found array with 1 sample(s) (shape=(1, 64)) while a minimum of 2 is",
        ),
    ],
)
def test_validation_set_of_another_kind_is_refused(params, rows, reason):
    start = "expected X_val that can be used with X, got one that cannot, because: "
    reducer = make(**params)
    with pytest.raises(ValueError, match=f"^{re.escape(start + reason)}"):
        reducer.fit(X, X_val=rows)
    assert not hasattr(reducer, "net_")


def test_validation_set_out_of_range_is_refused():
    reducer = make(loss="binary_cross_entropy")
    message = (
        "expected X_val that can be used with X, got one that cannot, because: "
        "expected X in [0, 1] for loss='binary_cross_entropy', got values from 0 to 16."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        reducer.fit(X / 16, X_val=X_VAL)


def test_validation_set_with_other_names_is_refused():
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
    other = pd.DataFrame(X_VAL, columns=[f"q{i}" for i in range(64)])
    with pytest.raises(ValueError, match="because: The feature names should match"):
        make().fit(frame, X_val=other)


def test_partial_fit_has_no_validation_set():
    assert (
        "X_val" not in inspect.signature(AutoEncoderTransformer.partial_fit).parameters
    )
