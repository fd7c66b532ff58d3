"""The denoiser keeps what repairs corrupted samples best, PCA included."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from skorch.callbacks import Callback
from torch import nn

import sk_autoencoder
from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder.networks import UserNetwork


def nearly_linear(seed=0, n=2000):
    """Return samples close to three dimensions of eight, in two halves."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8))
    X += 0.2 * rng.normal(size=(n, 8))
    return X[: n // 2], X[n // 2 :], rng


def hidden(B, mean, rng, level=0.3):
    """Return samples in which some cells are the mean."""
    return np.where(rng.random(B.shape) < level, mean, B)


def unexplained(R, B, mean):
    return ((R - B) ** 2).sum() / ((B - mean) ** 2).sum()


def pca_error(A, B, C, k):
    """Return what PCA, fitted to clean samples, leaves of corrupted ones."""
    pca = PCA(k).fit(A)
    return unexplained(pca.inverse_transform(pca.transform(C)), B, A.mean(0))


def denoiser(k=3, **params):
    defaults = {"noise": "masking", "noise_level": 0.3, "random_state": 0}
    return DenoisingAutoEncoderTransformer(k, **{**defaults, **params})


def test_nearly_linear_samples_are_repaired_far_better_than_by_pca():
    A, B, rng = nearly_linear()
    C = hidden(B, A.mean(0), rng)
    est = denoiser(max_epochs=200).fit(A)
    # PCA leaves .188, a linear regression from corrupted samples .146, and the mean
    # given the mask and the model .025.
    assert pca_error(A, B, C, 3) > 0.18
    assert unexplained(est.reconstruct(C), B, A.mean(0)) < 0.055
    assert not est.fell_back_to_pca_


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_there_is_something_to_repair_where_every_component_fits(loss):
    A, B, rng = nearly_linear(n=800)
    C = hidden(B, A.mean(0), rng)
    est = denoiser(8, max_epochs=40, loss=loss).fit(A)
    assert unexplained(est.reconstruct(C), B, A.mean(0)) < 0.7 * pca_error(A, B, C, 8)


def test_nothing_is_trained_without_noise_where_every_component_fits():
    A, _, _ = nearly_linear(n=200)
    est = denoiser(8, noise_level=0.0).fit(A)
    assert est.n_iter_ == 0
    np.testing.assert_allclose(est.reconstruct(A), A, atol=1e-6)


def test_nothing_is_trained_on_constant_samples():
    A = np.full((100, 4), 3.0)
    est = denoiser(2).fit(A)
    assert est.n_iter_ == 0
    np.testing.assert_allclose(est.reconstruct(A), A)


def test_pca_is_kept_where_corrupted_samples_are_not_repaired():
    A = np.random.default_rng(0).normal(size=(400, 6))
    est = denoiser(3, max_epochs=3, lr=0.5, noise="swap", noise_level=0.5).fit(A)
    assert est.fell_back_to_pca_
    pca = PCA(3).fit(A)
    expected = pca.inverse_transform(pca.transform(A))
    np.testing.assert_allclose(est.reconstruct(A), expected, atol=1e-6)


def test_losses_are_in_units_of_what_pca_leaves_of_corrupted_samples():
    A, B, _ = nearly_linear(n=4000)
    est = denoiser(max_epochs=1, lr=1e-7).fit(A, X_val=B)
    # Both curves begin at PCA itself, whose error is the unit.
    assert est.loss_curve_[0] == pytest.approx(1.0, abs=0.05)
    assert est.validation_loss_curve_[0] == pytest.approx(1.0, abs=0.05)


def test_validation_draws_the_same_noise_in_every_epoch():
    A, _, _ = nearly_linear(n=400)
    curve = denoiser(max_epochs=5, lr=1e-9).fit(A).validation_loss_curve_
    np.testing.assert_allclose(curve, curve[0], rtol=1e-5)


class LooksAtBatches(Callback):
    def on_batch_end(self, net, **kwargs):
        pass


def test_validation_on_skorchs_loop_sees_the_same_noise():
    A, _, _ = nearly_linear(n=400)
    own = denoiser(max_epochs=3).fit(A)
    skorchs = denoiser(max_epochs=3, callbacks=[LooksAtBatches()]).fit(A)
    np.testing.assert_allclose(
        skorchs.validation_loss_curve_, own.validation_loss_curve_, rtol=1e-5
    )


def test_cells_of_a_table_are_repaired_better_than_by_pca(tmp_path):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=1200)
    X = pd.DataFrame(
        {
            "a": latent + 0.1 * rng.normal(size=1200),
            "b": latent**2 + 0.1 * rng.normal(size=1200),
            "c": np.tanh(latent) + 0.1 * rng.normal(size=1200),
            "kind": pd.Categorical(np.where(latent > 0, "up", "down")),
        }
    )
    A, B = X[:800], X[800:]
    C = B.assign(a=A["a"].mean())
    start = denoiser(2, max_epochs=0).fit(A)
    est = denoiser(2, max_epochs=30).fit(A)
    assert est.loss_curve_[0] < 1.5

    def error(fitted):
        return ((fitted.reconstruct(C)["a"] - B["a"]) ** 2).mean()

    assert error(est) < 0.5 * error(start)
    est.save(tmp_path / "denoiser.safetensors")
    loaded = sk_autoencoder.load(tmp_path / "denoiser.safetensors")
    np.testing.assert_array_equal(loaded.transform(B), est.transform(B))


def test_prefixes_of_an_ordered_denoiser_repair_better_than_by_pca():
    A, B, rng = nearly_linear()
    C = hidden(B, A.mean(0), rng)
    est = denoiser(ordered=True, max_epochs=40).fit(A)
    assert not est.fell_back_to_pca_
    codes = est.transform(C)
    pca = PCA(3).fit(A)
    scores = pca.transform(C)
    for j in (1, 2, 3):
        by_pca = pca.mean_ + scores[:, :j] @ pca.components_[:j]
        own = unexplained(est.inverse_transform(codes[:, :j]), B, A.mean(0))
        assert own < 0.95 * unexplained(by_pca, B, A.mean(0))


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_a_users_denoiser_is_compared_with_pca_on_corrupted_samples(loss):
    A, B, rng = nearly_linear()
    C = hidden(B, A.mean(0), rng)
    network = UserNetwork(
        nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3)),
        nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 8)),
    )
    # Worse than PCA on clean samples, better on corrupted ones: no warning.
    est = denoiser(network=network, max_epochs=40, loss=loss).fit(A)
    pca = PCA(3).fit(A)
    assert est.score(B) < 1 - unexplained(pca.inverse_transform(pca.transform(B)), B, 0)
    assert unexplained(est.reconstruct(C), B, A.mean(0)) < pca_error(A, B, C, 3)
    with pytest.warns(UserWarning, match="PCA"):
        denoiser(network=network, max_epochs=0, loss=loss).fit(A)
