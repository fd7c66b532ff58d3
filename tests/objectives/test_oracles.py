"""Properties held against independent answers: PCA, closed forms, Monte Carlo."""

import pickle
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._columns import ColumnStatistics, NumericColumns
from sk_autoencoder._columns.likelihoods import (
    BinaryCrossEntropy,
    Gaussian,
    Isotropic,
)
from sk_autoencoder._objectives.denoise import (
    Denoise,
    gaussian,
    group_numbers,
    masking,
    salt_and_pepper,
    swap,
    swap_donors,
)
from sk_autoencoder._objectives.variational import Variational, kl_to_standard_normal

PLAIN = {"gradient_clip": None, "weight_average": None}


def low_rank(n=400, d=12, k=3, noise=0.05, seed=0):
    """Rows near a k-dimensional plane, columns of unequal size."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k)) @ rng.normal(size=(k, d)) + rng.normal(size=d)
    return X + noise * rng.normal(size=(n, d))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- the autoencoders ---


def test_linear_autoencoder_spans_the_subspace_of_pca():
    X = low_rank()
    reducer = AutoEncoderTransformer(
        3,
        hidden_layer_sizes=(),
        activation="identity",
        lr=1e-2,
        weight_decay=0.0,
        lr_schedule="cosine",
        early_stopping=False,
        max_epochs=300,
        random_state=0,
    ).fit(X)
    pca = PCA(3).fit(X)

    # The decoder's columns span PCA's components: regress one on the other.
    codes = np.vstack([np.zeros(3), np.eye(3)])
    rows = reducer.inverse_transform(codes)
    directions = rows[1:] - rows[0]
    fitted = LinearRegression(fit_intercept=False).fit(pca.components_.T, directions.T)
    residual = directions.T - fitted.predict(pca.components_.T)
    assert np.abs(residual).max() < 0.02 * np.abs(directions).max()
    explained = pca.explained_variance_ratio_.sum()
    assert reducer.score(X) == pytest.approx(explained, abs=1e-4)


@cache
def of_digits():
    """Return a default fit to digits, its samples, and others."""
    train, test = train_test_split(load_digits().data, random_state=0)
    return AutoEncoderTransformer(10, random_state=0).fit(train), train, test


def test_digits_at_defaults_are_far_above_pca():
    reducer, train, test = of_digits()
    pca = PCA(10).fit(train)
    error = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    of_pca = 1 - error / np.square(test - train.mean(axis=0)).sum()
    assert of_pca < 0.75
    assert reducer.score(test) >= 0.85


def test_a_pixel_that_is_hardly_ever_set_does_not_outweigh_the_others():
    """Fully standardized, noise in it would be thirty deviations and more."""
    reducer, _, test = of_digits()
    noise = 4 * np.random.default_rng(0).normal(size=test.shape)
    error = np.square(reducer.reconstruct(test + noise) - test).mean()
    assert error < 2 * np.square(noise).mean()


@pytest.mark.parametrize("noise", ["swap", "gaussian", "masking", "salt_and_pepper"])
def test_without_noise_denoising_is_plain_reconstruction(noise):
    X = low_rank()
    settings = {"hidden_layer_sizes": (16,), "max_epochs": 5, "random_state": 3}
    settings["init"] = "random"  # from PCA the plain one has noise of its own
    plain = AutoEncoderTransformer(3, **settings).fit(X)
    silent = DenoisingAutoEncoderTransformer(
        3, noise=noise, noise_level=0.0, **settings
    ).fit(X)
    noisy = DenoisingAutoEncoderTransformer(3, noise=noise, **settings).fit(X)
    np.testing.assert_array_equal(silent.transform(X), plain.transform(X))
    assert noisy.loss_curve_ != plain.loss_curve_


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_units_of_the_rows_do_not_matter(scale, offset):
    X = low_rank()
    settings = {"hidden_layer_sizes": (16,), "max_epochs": 20, "random_state": 0}
    reference = AutoEncoderTransformer(3, **settings).fit(X)
    scaled = AutoEncoderTransformer(3, **settings).fit(X * scale + offset * scale)
    np.testing.assert_allclose(
        scaled.reconstruct(X * scale + offset * scale) / scale - offset,
        reference.reconstruct(X),
        # The offset takes digits from float64, and training rounds to float32.
        atol=2e-4,
    )


def test_a_large_offset_costs_no_precision():
    X = low_rank()
    reducer = AutoEncoderTransformer(3, random_state=0).fit(X)
    shifted = AutoEncoderTransformer(3, random_state=0).fit(X + 1e8)
    assert shifted.score(X + 1e8) == pytest.approx(reducer.score(X), abs=5e-3)
    assert shifted.score(X + 1e8) > 0.95


def test_standard_scaling_is_a_standard_scaler_before_it():
    X = low_rank() * np.logspace(-3, 3, 12)
    settings = {"hidden_layer_sizes": (16,), "max_epochs": 10, "random_state": 0}
    inside = AutoEncoderTransformer(3, numeric_scaling="standard", **settings).fit(X)
    mean, spread = X.mean(axis=0), X.std(axis=0)
    outside = AutoEncoderTransformer(3, **settings).fit((X - mean) / spread)
    np.testing.assert_allclose(
        inside.reconstruct(X),
        outside.reconstruct((X - mean) / spread) * spread + mean,
        rtol=1e-3,
        atol=1e-3 * spread.max(),
    )


def test_score_and_errors_by_hand():
    X = low_rank(60)
    reducer = AutoEncoderTransformer(2, max_epochs=3, random_state=0).fit(X)
    new = low_rank(40, seed=1)
    errors = np.square(new - reducer.inverse_transform(reducer.transform(new)))
    np.testing.assert_allclose(
        reducer.reconstruction_error(new, per_feature=True), errors
    )
    np.testing.assert_allclose(reducer.reconstruction_error(new), errors.sum(axis=1))
    total = np.square(new - X.mean(axis=0)).sum()
    assert reducer.score(new) == pytest.approx(1 - errors.sum() / total)


@pytest.mark.parametrize("init", ["random", "pca"])
def test_the_validation_loss_is_the_error_over_pcas_or_the_variance(init):
    X = load_digits().data.astype(np.float32)
    reducer = AutoEncoderTransformer(2, init=init, max_epochs=5, random_state=0).fit(X)
    assert reducer.best_epoch_ > 0
    _, valid = reducer.net_.get_split_datasets(X)
    held_out = X[valid.indices]
    pca = PCA(2).fit(X)
    unit = X.var(axis=0).sum()
    if init == "pca":
        unit = np.square(X - pca.inverse_transform(pca.transform(X))).sum() / len(X)
    expected = reducer.reconstruction_error(held_out).mean() / unit
    best = reducer.validation_loss_curve_[reducer.best_epoch_ - 1]
    if init == "random":  # beside PCA the roots of the samples' losses are compared
        assert best == min(reducer.validation_loss_curve_)
    assert best == pytest.approx(expected, rel=1e-4)


# -- the noises ---


def test_swap_keeps_the_distribution_and_the_rate():
    x = torch.rand((4000, 3), generator=generator(1))
    noisy = swap(x, 0.15, generator())
    swapped = noisy != x
    # 12,000 cells: four standard errors of a rate of 0.15 are 0.013.
    assert swapped.float().mean().item() == pytest.approx(0.15, abs=0.013)
    for column in range(3):
        values = set(x[:, column].tolist())
        assert set(noisy[:, column].tolist()) <= values
        test = stats.ks_2samp(x[:, column].numpy(), noisy[:, column].numpy())
        assert test.pvalue > 0.01


def test_swap_draws_a_donor_for_each_cell_and_never_the_row_itself():
    n, d = 50, 40
    x = torch.arange(n).float().unsqueeze(1).expand(n, d).contiguous()
    noisy = swap(x, 1.0, generator())
    assert (noisy != x).all()
    donors = [len(set(row.tolist())) for row in noisy]
    assert min(donors) > d / 3  # one donor a row would be 1
    counts = np.bincount(noisy.long().flatten().numpy(), minlength=n)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("level", [0.02, 0.15, 1.0])
@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 2, 3, 3, 3])])
def test_swapped_cells_are_those_of_their_donors(level, groups):
    for n in (2, 3, 128):
        whole = torch.randn(6, n, generator=generator(1)).T  # no row is in one piece
        for x in (whole, whole.double(), whole.masked_fill(whole > 1, torch.nan)):
            donors = swap_donors(x, level, generator(0), groups)
            found = swap(x, level, generator(0), groups)
            expected = x.gather(0, donors)
            torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_swap_is_fresh_each_time_and_leaves_the_batch_alone():
    x = torch.rand((64, 8), generator=generator())
    before, draws = x.clone(), generator(5)
    first, second = swap(x, 0.3, draws), swap(x, 0.3, draws)
    assert not torch.equal(first, second)
    assert torch.equal(x, before)
    assert torch.equal(swap(x, 0.3, generator(5)), first)


def test_swap_has_no_donor_in_a_batch_of_one_row():
    x = torch.rand((1, 8), generator=generator())
    assert torch.equal(swap(x, 0.9, generator()), x)


def test_groups_move_together_and_are_copied_to_a_device_once():
    groups = group_numbers([["b", "d"]], ["a", "b", "c", "d"], 4)
    assert groups == (0, 1, 2, 1)
    x = torch.arange(40.0).repeat(4, 1).t().contiguous()
    noise = Denoise("swap", 0.5, groups)
    columns = SimpleNamespace(encode=lambda x: x)
    moved = noise.corrupt(x, columns, generator())
    assert torch.equal(moved[:, 1], moved[:, 3])
    assert not torch.equal(moved[:, 0], moved[:, 2])
    assert noise._groups_on(x, columns) is noise._groups_on(x + 1, columns)
    assert "_copies" not in pickle.loads(pickle.dumps(noise)).__dict__


def test_gaussian_masking_and_salt_and_pepper_by_their_rates():
    x = torch.randn((4000, 5), generator=generator(2))
    added = gaussian(x, 0.3, generator(), torch.ones(5)) - x
    assert added.std().item() == pytest.approx(0.3, rel=0.03)
    kept = masking(x, 0.2, generator())
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.012)
    low, high = torch.full((5,), -9.0), torch.full((5,), 9.0)
    peppered = salt_and_pepper(x, 0.2, generator(), low, high)
    assert (peppered == low).float().mean().item() == pytest.approx(0.1, abs=0.009)
    assert (peppered == high).float().mean().item() == pytest.approx(0.1, abs=0.009)
    assert (peppered == x).float().mean().item() == pytest.approx(0.8, abs=0.012)


def test_gaussian_noise_is_in_standard_deviations_of_each_column():
    X = low_rank(2000) * np.logspace(-2, 2, 12)
    inputs = X - X.mean(axis=0)
    columns = NumericColumns(
        scaling="none", likelihood="squared_error", statistics=ColumnStatistics.of(X)
    )
    x = torch.from_numpy(inputs.astype(np.float32))
    clean = columns.encode(x)
    added = Denoise("gaussian", 0.5).corrupt(x, columns, generator()) - clean
    np.testing.assert_allclose(added.std(dim=0) / clean.std(dim=0), 0.5, rtol=0.1)


def test_a_callable_noise_sees_rows_in_the_callers_units():
    X = low_rank(200) + 100
    seen = []

    def noise(batch, generator):
        seen.append(batch.clone())
        return batch.zero_()  # writing into the batch must not reach the target

    # From a random start no batch is corrupted but those of training.
    reducer = DenoisingAutoEncoderTransformer(
        2,
        init="random",
        noise=noise,
        max_epochs=1,
        early_stopping=False,
        random_state=0,
    ).fit(X)
    rows = torch.cat(seen).double().numpy()
    order = np.argsort(rows[:, 0])
    np.testing.assert_allclose(rows[order], X[np.argsort(X[:, 0])], rtol=1e-5)
    assert np.isfinite(reducer.transform(X)).all()


# -- the densities ---


def test_divergence_against_monte_carlo():
    mean = torch.tensor([[0.5, -1.0, 0.0], [2.0, 0.1, -0.3]], dtype=torch.float64)
    log_variance = torch.tensor(
        [[-1.0, 0.2, 0.0], [0.5, -2.0, -0.1]], dtype=torch.float64
    )
    deviation = torch.exp(0.5 * log_variance)
    noise = torch.randn((200_000, 1, 3), generator=generator(), dtype=torch.float64)
    z = mean + deviation * noise
    posterior = torch.distributions.Normal(mean, deviation).log_prob(z)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    estimate = (posterior - prior).sum(dim=2).mean(dim=0)
    exact = kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(exact, estimate, rtol=0.01, atol=0.0)
    assert kl_to_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_gaussian_likelihood_by_hand():
    likelihood = Gaussian(3, 10).eval()
    raw, y = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.0]])
    likelihood.fit_dispersion([(raw, y)])
    # Ten rows, and ten more of the mean variance.
    variance = 0.5 * np.array([0.25, 0, 1]) + 0.5 * (0.25 + 0 + 1) / 3
    np.testing.assert_allclose(likelihood.variance, variance, rtol=1e-6)
    expected = -stats.norm(raw, np.sqrt(variance)).logpdf(y).sum()
    assert likelihood.log_likelihood(raw, y).item() == pytest.approx(-expected)
    # Training has a variance of its own, which goes on where it stopped.
    ones = -stats.norm(raw, 1).logpdf(y).sum()
    assert likelihood.loss(raw, y).item() == pytest.approx(ones)
    assert likelihood.per_sample_loss(raw, y).item() == pytest.approx(ones)


def test_the_isotropic_likelihood_has_one_variance():
    likelihood = Isotropic(3, 10).eval()
    raw, y = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.0]])
    likelihood.fit_dispersion([(raw, y)])
    np.testing.assert_allclose(likelihood.variance, (0.25 + 0 + 1) / 3, rtol=1e-6)


def test_gaussian_variance_is_bounded_below():
    likelihood = Gaussian(2, 10).eval()
    raw = torch.ones((5, 2))
    likelihood.fit_dispersion([(raw, raw)])
    np.testing.assert_allclose(likelihood.variance, Gaussian.FLOOR, rtol=1e-6)
    assert torch.isfinite(likelihood.log_likelihood(raw, raw)).all()


def test_the_cross_entropy_by_hand():
    raw, y = torch.tensor([[0.3, -2.0]]), torch.tensor([[1.0, 0.25]])
    p = 1 / (1 + np.exp(-raw.double().numpy()))
    t = y.double().numpy()
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert BinaryCrossEntropy().loss(raw, y).item() == pytest.approx(expected)


def test_the_bound_of_a_linear_decoder_is_below_and_near_the_exact_density():
    X = low_rank(1000, d=6, k=2, noise=0.3) * 5
    vae = VAETransformer(
        2,
        hidden_layer_sizes=(),
        lr=1e-2,
        weight_decay=0.0,
        lr_schedule="cosine",
        max_epochs=300,
        early_stopping=False,
        random_state=0,
    ).fit(X)
    # A linear decoder makes the density normal: its mean and covariance are exact.
    codes = np.vstack([np.zeros(2), np.eye(2)])
    rows = vae.inverse_transform(codes)
    loadings = rows[1:] - rows[0]
    columns = vae.module_.columns
    variance = (columns.likelihood.variance * columns.loss_scale**2).numpy()
    exact = stats.multivariate_normal(
        rows[0], loadings.T @ loadings + np.diag(variance)
    ).logpdf(X)
    # Probabilistic PCA is a hundredth of the density.
    beside = PCA(2).fit(X).score_samples(X)
    exact = np.logaddexp(np.log(0.99) + exact, np.log(0.01) + beside)
    bound = vae.score_samples(X, n_importance=1)
    # The draws have exact moments, so that a linear decoder's bound has no error:
    # it is below the exact density for every row, and a good encoder brings it near.
    assert (bound < exact + 1e-4).all()
    assert bound.mean() > exact.mean() - 0.05
    # Importance weights bring it nearer, the more the draws.
    few, many = (vae.score_samples(X, n_importance=n).mean() for n in (8, 500))
    assert bound.mean() <= few <= many
    assert many == pytest.approx(exact.mean(), abs=0.001)
    # Probabilistic PCA is the best linear model: its exact density is the ceiling.
    assert vae.score(X) == pytest.approx(PCA(2).fit(X).score(X), abs=0.15)


def test_samples_have_the_moments_of_the_rows():
    X = low_rank(1000, d=6, k=2, noise=0.3) * 5 + 20
    vae = VAETransformer(2, random_state=0).fit(X)
    drawn = vae.sample(20_000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=1.5)
    np.testing.assert_allclose(drawn.std(axis=0), X.std(axis=0), rtol=0.2)
    assert vae.sample(0).shape == (0, 6)


def test_no_component_collapses_at_defaults():
    X = load_digits().data
    vae = VAETransformer(n_components=8, random_state=0).fit(X)
    assert (vae.transform(X).std(axis=0) > 0.5).all()


def test_beta_zero_is_an_autoencoder_and_a_large_one_shuts_the_code():
    X = low_rank()
    free = VAETransformer(3, beta=0.0, random_state=0).fit(X)
    shut = VAETransformer(3, beta=1e4, init="random", random_state=0)
    with pytest.warns(UserWarning, match=r"got active_units_=0"):
        shut.fit(X)
    assert np.isfinite(free.score_samples(X)).all()
    assert shut.transform(X).std() < 0.05
    assert free.transform(X).std() > 0.5


def test_total_joins_the_terms_with_beta():
    terms = {"reconstruction": torch.tensor(2.0), "kl": torch.tensor(3.0)}
    assert Variational(0.5).combine(terms).item() == pytest.approx(2 + 0.5 * 3)


def test_bernoulli_samples_are_zeros_and_ones():
    X = (load_digits().data > 7).astype(np.float64)
    vae = VAETransformer(5, likelihood="bernoulli", max_epochs=5, random_state=0)
    vae.fit(X)
    assert set(np.unique(vae.sample(50, random_state=0))) <= {0.0, 1.0}
    rows = vae.inverse_transform(vae.transform(X))
    assert rows.min() >= 0
    assert rows.max() <= 1
    # Each pixel alone, by its mean: a code must explain more than none.
    p = X.mean(axis=0).clip(1e-6, 1 - 1e-6)
    alone = (X * np.log(p) + (1 - X) * np.log(1 - p)).sum(axis=1).mean()
    assert vae.score(X) > alone
