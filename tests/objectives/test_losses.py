"""Huber's loss, and losses of a user's own."""

import copy
import functools
import pickle
import re
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

import sk_autoencoder
from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._training.fast.cuda_graph import CudaGraphStep
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder.networks import ConvNet, UserNetwork

DIGITS = load_digits().data
X = DIGITS[:120]
SMALL = {
    "hidden_layer_sizes": (12,),
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
    "device": "cpu",
}
BOTH = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]
SCALINGS = ["none", "standard", "minmax"]


def fit(loss, cls=AutoEncoderTransformer, X=X, n_components=3, **params):
    return cls(n_components, **{**SMALL, "loss": loss, **params}).fit(X)


def squares(reconstruction, target):
    return (reconstruction - target) ** 2


def distances(reconstruction, target):
    return (reconstruction - target).abs().mean(dim=1)


def double(reconstruction, target):
    """Wants twice the target: not what PCA gives."""
    return (reconstruction - 2 * target) ** 2


def scaled(X, scaling, like=X):
    if scaling == "standard":
        spread = like.std(axis=0)
        return (X - like.mean(axis=0)) / np.where(spread > 0, spread, 1)
    if scaling == "minmax":
        width = np.ptp(like, axis=0)
        return (X - like.min(axis=0)) / np.where(width > 0, width, 1)
    return X


# --------------------------------------------------------------------- what is seen


@pytest.mark.parametrize("scaling", SCALINGS)
def test_own_loss_sees_the_units_of_the_scaling(scaling):
    seen = []

    def spy(reconstruction, target):
        seen.append((reconstruction.detach().numpy(), target.detach().numpy()))
        return squares(reconstruction, target)

    shifted = X + 100
    reducer = fit(spy, X=shifted, max_epochs=0, numeric_scaling=scaling)
    reconstruction, target = seen[0]
    like = shifted
    np.testing.assert_allclose(
        target, scaled(shifted, scaling, like), rtol=1e-5, atol=1e-5
    )
    expected = scaled(reducer.reconstruct(shifted), scaling, like)
    varies = shifted.std(axis=0) > 0
    np.testing.assert_allclose(
        reconstruction[:, varies], expected[:, varies], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("init", ["auto", "pca"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_own_loss_sees_the_same_units_with_modules_of_the_users(scaling, init):
    seen = []

    def spy(reconstruction, target):
        seen.append((reconstruction.detach().numpy(), target.detach().numpy()))
        return squares(reconstruction, target)

    network = UserNetwork(nn.Linear(64, 3), nn.Linear(3, 64))
    settings = {"network": network, "hidden_layer_sizes": "auto", "init": init}
    reducer = fit(spy, numeric_scaling=scaling, max_epochs=0, **settings)
    reconstruction, target = seen[0]
    np.testing.assert_allclose(target, scaled(X, scaling), rtol=1e-5, atol=1e-5)
    expected, varies = scaled(reducer.reconstruct(X), scaling), X.std(axis=0) > 0
    np.testing.assert_allclose(
        reconstruction[:, varies], expected[:, varies], rtol=1e-4, atol=1e-4
    )
    trained = AutoEncoderTransformer(3, **{**SMALL, **settings, "loss": "huber"})
    trained.set_params(early_stopping=True, lr=0.01, max_epochs=20)
    with warnings.catch_warnings():
        # It may be worse than PCA, and say so; by the loss, not by the variance.
        warnings.filterwarnings("ignore", "expected a network whose loss", UserWarning)
        trained.fit(X, X_val=DIGITS[200:240])
    assert trained.loss_curve_[-1] < trained.loss_curve_[0]


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("init", ["pca", "random"])
def test_huber_is_that_of_torch(scaling, init):
    # The one by derived gradients, the other through autograd.
    settings = {"numeric_scaling": scaling, "init": init}
    found = fit("huber", **settings)
    expected = fit(nn.HuberLoss(reduction="none"), **settings)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_own_squared_error_trains_as_the_named_one(scaling):
    # Both are divided by PCA's: units do not matter.
    found = fit(squares, numeric_scaling=scaling)
    expected = fit("squared_error", numeric_scaling=scaling)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("loss", ["huber", squares, distances])
def test_large_offset_costs_no_precision(loss):
    settings = {"init": "random", "n_components": 2}
    expected = fit(loss, X=X, **settings)
    found = fit(loss, X=X + 2.0**31, **settings)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-4)


def test_loss_by_sample_and_by_cell_are_the_same():
    by_cell = fit(lambda r, t: (r - t).abs())
    by_sample = fit(distances)
    np.testing.assert_allclose(by_cell.loss_curve_, by_sample.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("loss", ["huber", squares, distances])
def test_loss_of_pca_on_the_training_samples_is_one(loss):
    reducer = fit(loss, max_epochs=1, early_stopping=True, tol=1e9)
    net = reducer.net_
    rows = net.sample_losses(net.get_iterator(net.get_dataset(X)))
    assert reducer.fell_back_to_pca_
    assert rows.mean().item() == pytest.approx(1, rel=1e-5)


def test_loss_below_zero_is_not_divided():
    def similarity(reconstruction, target):
        return -F.cosine_similarity(reconstruction, target)

    reducer = fit(similarity, max_epochs=5)
    assert -1 <= reducer.loss_curve_[-1] < -0.5
    assert reducer._loss_label == "Loss"


def test_own_loss_is_called_at_every_step_on_a_gpu():
    # A recorded step would go on as the loss was when it was recorded.
    device = types.SimpleNamespace(type="cuda")
    flat = types.SimpleNamespace(vector=types.SimpleNamespace(device=device))
    for loss, recorded in ((distances, False), ("huber", True)):
        module = fit(loss, max_epochs=0).module_
        assert isinstance(fast_step(module, flat, "float32"), CudaGraphStep) == recorded


# ------------------------------------------------------------------ what it is for


def test_huber_brings_its_own_loss_down_further_than_squared_error_does():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8))
    rows[:20] += 30 * rng.standard_t(1.5, size=(20, 8))
    settings = {"X": rows, "max_epochs": 60, "hidden_layer_sizes": (32,)}

    def huber(reducer):
        target = torch.from_numpy(rows)
        return F.huber_loss(torch.from_numpy(reducer.reconstruct(rows)), target).item()

    assert huber(fit("huber", **settings)) < 0.95 * huber(fit("auto", **settings))


@pytest.mark.parametrize("loss", ["huber", squares])
def test_untrained_reducer_is_pca(loss):
    found = fit(loss, max_epochs=0).transform(X)
    expected = PCA(3, svd_solver="full").fit(X).transform(X)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-6, atol=1e-6)


def test_fallback_compares_by_the_loss_and_score_is_explained_variance():
    settings = {"early_stopping": True, "max_epochs": 30, "X": DIGITS[:300]}
    # What brings this loss down brings the error up: kept all the same.
    reducer = fit(double, **settings)
    assert not reducer.fell_back_to_pca_
    rest = DIGITS[300:500]
    lost = np.square(reducer.reconstruct(rest) - rest).sum()
    total = np.square(rest - DIGITS[:300].mean(axis=0)).sum()
    assert reducer.score(rest) == pytest.approx(1 - lost / total, rel=1e-5)
    assert reducer.score(rest) < fit("auto", max_epochs=0).score(rest)
    np.testing.assert_allclose(
        reducer.reconstruction_error(rest[:5]),
        np.square(reducer.reconstruct(rest[:5]) - rest[:5]).sum(axis=1),
        rtol=1e-6,
    )


def test_loss_without_a_gain_falls_back_to_pca():
    reducer = fit(lambda r, t: 1 + 0 * squares(r, t), early_stopping=True)
    assert reducer.fell_back_to_pca_


# ------------------------------------------------------------- together with others


@pytest.mark.parametrize("loss", ["huber", distances])
@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    "params",
    [
        {"ordered": True, "early_stopping": True},
        {"n_components": 0.5, "early_stopping": True},
        {"init": "random", "pretrain": "layerwise"},
        {"whiten": True},
        {"network": ConvNet((1, 8, 8), (2,)), "hidden_layer_sizes": "auto"},
        {"precision": "bf16", "init": "random"},
        {"dropout": 0.2},
    ],
    ids=str,
)
def test_losses_go_with_everything_else(cls, loss, params):
    reducer = fit(loss, cls, **params)
    assert np.isfinite(reducer.loss_curve_).all()
    assert np.isfinite(reducer.transform(X)).all()
    assert np.isfinite(reducer.score(X))


@pytest.mark.parametrize("loss", ["huber", distances])
def test_losses_go_with_hidden_features_and_a_validation_set(loss):
    cls = DenoisingAutoEncoderTransformer
    assert fit(loss, cls, features="hidden").transform(X).shape == (120, 12)
    reducer = AutoEncoderTransformer(3, **{**SMALL, "early_stopping": True}, loss=loss)
    reducer.fit(X, X_val=DIGITS[200:240])
    assert len(reducer.validation_loss_curve_) == 3


@pytest.mark.parametrize("loss", ["huber", distances])
def test_losses_go_on_from_a_fit(loss):
    whole = fit(loss, max_epochs=4)
    parts = fit(loss, max_epochs=2, warm_start=True).fit(X)
    assert parts.loss_curve_[:2] == whole.loss_curve_[:2]
    batches = AutoEncoderTransformer(3, **SMALL, loss=loss)
    for part in np.array_split(X, 3):
        batches.partial_fit(part)
    assert np.isfinite(batches.loss_curve_).all()
    other = {"huber": squares, distances: "huber"}[loss]
    parts.set_params(loss=other)
    with pytest.raises(ValueError, match="as in the fit before, got"):
        parts.fit(X)


def test_fit_goes_on_with_the_loss_of_a_copy(tmp_path):
    fitted = fit(Weighted(), warm_start=True)
    fitted.save(tmp_path / "file", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "file", custom={"loss": Weighted()})
    expected = copy.deepcopy(fitted).fit(X).loss_curve_
    for other in (pickle.loads(pickle.dumps(fitted)), loaded):
        assert other.fit(X).loss_curve_ == expected


def test_label_of_the_loss_names_it():
    assert fit("huber")._loss_label == "Huber loss (PCA = 1)"
    assert fit(distances)._loss_label == "Loss (PCA = 1)"
    assert fit("huber", init="random")._loss_label == "Huber loss"


# ----------------------------------------------------------------- modules and files


class Weighted(nn.Module):
    """Counts cells by weights of its own, and must not be in training mode."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.linspace(0, 1, 64, dtype=torch.float64))
        self.dropout = nn.Dropout(0.5)

    def forward(self, reconstruction, target):
        return self.dropout((reconstruction - target) ** 2) * self.weights


def test_module_is_copied_frozen_and_stays_in_evaluation_mode():
    given = Weighted()
    state = torch.random.get_rng_state()
    reducer = fit(given)
    assert torch.equal(state, torch.random.get_rng_state())
    used = reducer.module_.columns.likelihood.function
    assert used is not given
    assert given.training
    assert given.weights.dtype == torch.float64
    assert given.weights.requires_grad
    np.testing.assert_allclose(used.weights.detach(), given.weights.detach(), rtol=1e-6)
    again = fit(given)
    np.testing.assert_array_equal(again.transform(X), reducer.transform(X))


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("loss", "custom"),
    [
        ("huber", None),
        (distances, {"distances": distances}),
        (Weighted(), {"loss": Weighted()}),
        (
            functools.partial(F.smooth_l1_loss, reduction="none", beta=2.0),
            {"loss": functools.partial(F.smooth_l1_loss, reduction="none", beta=2.0)},
        ),
    ],
    ids=["huber", "function", "module", "partial"],
)
def test_losses_survive_clone_pickle_and_file(cls, loss, custom, tmp_path):
    reducer = fit(loss, cls)
    codes = reducer.transform(X)
    np.testing.assert_array_equal(clone(reducer).fit(X).transform(X), codes)
    again = pickle.loads(pickle.dumps(reducer))
    reducer.save(tmp_path / "file", optimizer=True)
    loaded = sk_autoencoder.load(tmp_path / "file", custom=copy.deepcopy(custom))
    expected = copy.deepcopy(reducer).partial_fit(X)
    for other in (again, loaded):
        np.testing.assert_array_equal(other.transform(X), codes)
        assert other.partial_fit(X).loss_curve_ == expected.loss_curve_
    if custom is not None:
        with pytest.raises(ValueError, match=next(iter(custom))):
            sk_autoencoder.load(tmp_path / "file")


# ------------------------------------------------------------------------- refusals


def cells(*shape):
    return lambda r, t: r.sum() * torch.ones(shape)


START = (
    "expected a tensor of shape (n,) or (n, n_features) from the loss, for arguments "
    "of shape (120, 64), got "
)


@pytest.mark.parametrize(
    ("loss", "start", "end"),
    [
        (
            nn.MSELoss(),
            f"{START}a scalar from loss=MSELoss(). ",
            "Pass reduction='none' to it, or leave out its mean over the batch.",
        ),
        (
            F.l1_loss,
            f"{START}a scalar from loss=<function l1_loss",
            "Pass reduction='none' to it, or leave out its mean over the batch.",
        ),
        (cells(120, 3), f"{START}one of shape (120, 3) from", "Return such a tensor."),
        (cells(64), f"{START}one of shape (64,) from", "Return such a tensor."),
        (cells(120, 1), f"{START}one of shape (120, 1)", "Return such a tensor."),
        (lambda r, t: 0.5, f"{START}a float from", "Return such a tensor."),
        (lambda r, t: None, f"{START}a NoneType from", "Return such a tensor."),
        (
            nn.MSELoss,
            "expected a function or an instance of a module, got loss=<class 'torch.",
            "Pass an instance, as torch.nn.L1Loss(reduction='none').",
        ),
        (
            lambda r, t: (r - t).log(),
            "expected a loss with finite values, got NaN or infinity from loss=",
            "or choose other units by numeric_scaling.",
        ),
        (
            lambda r, t: (0 * (r - t)).sqrt(),
            "expected a loss with finite gradients, got NaN or infinity from loss=",
            "or choose other units by numeric_scaling.",
        ),
        (
            lambda r, t: squares(r.detach(), t),
            "expected a loss with a gradient by the reconstruction, got loss=",
            "without detach().",
        ),
        (
            lambda r, t: np.square(r.numpy() - t.numpy()),
            "expected a loss that takes (reconstruction, target), tensors of shape ",
            "Compute it by torch's functions.",
        ),
        (
            lambda r: r,
            "expected a loss that takes (reconstruction, target), tensors of shape ",
            "Compute it by torch's functions.",
        ),
        (
            lambda r, t: squares(r, t.mul_(2)),
            "expected a loss that leaves its arguments as they are, got loss=",
            "Work on a copy.",
        ),
    ],
)
@pytest.mark.parametrize("init", ["pca", "random"])
def test_loss_that_cannot_be_trained_is_refused(loss, start, end, init):
    pattern = f"(?s)^{re.escape(start)}.*{re.escape(end)}$"
    with pytest.raises(ValueError, match=pattern):
        fit(loss, init=init)
    reducer = AutoEncoderTransformer(3, **{**SMALL, "init": init}, loss=loss)
    with pytest.raises(ValueError, match=pattern):
        reducer.partial_fit(X)


def test_loss_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"The 'loss' parameter .* or a callable"):
        fit(3)


FRAME = pd.DataFrame({"a": X[:, 20], "b": X[:, 21], "c": pd.Categorical(X[:, 3] > 4)})


@pytest.mark.parametrize("loss", ["huber", distances])
@pytest.mark.parametrize(
    ("rows", "params"),
    [(FRAME, {}), (X, {"allow_missing": True}), (X, {"numeric_scaling": "rank_gauss"})],
    ids=["categories", "missing", "ranks"],
)
@pytest.mark.parametrize("cls", BOTH)
def test_tables_refuse_both(cls, loss, rows, params):
    message = (
        "expected loss='auto' for a table whose columns have a likelihood each, got "
        f"loss={loss!r}. Pass 'auto', or encode the columns first."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fit(loss, cls, X=rows, n_components=1, **params)
