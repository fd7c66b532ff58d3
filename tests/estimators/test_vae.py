"""The variational autoencoder as a density: where it starts, what it tells, draws."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import VAETransformer, load
from sk_autoencoder._fitting.build import LINEAR_SHARE
from sk_autoencoder._inference import density
from sk_autoencoder._inference.density import LinearDensity, MixturePrior

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 8, "random_state": 0}
LINEAR = {
    "hidden_layer_sizes": (),
    "lr": 1e-2,
    "weight_decay": 0.0,
    "max_epochs": 100,
    "early_stopping": False,
    "random_state": 0,
}


def curved(n=400, noise=0.1, seed=0):
    """Rows near a bent sheet in six columns, which no plane comes near."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    parts = [z, z**2 - 1, np.sin(2 * z)]
    return 3 * np.hstack(parts) + noise * rng.normal(size=(n, 6)) + 10


@pytest.fixture(scope="module")
def fitted():
    return VAETransformer(2, **{**SMALL, "max_epochs": 40}).fit(curved())


# ---------------------------------------------------------------- where it starts


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(
    "load", [load_wine, load_diabetes, load_breast_cancer, load_digits]
)
def test_before_the_first_step_it_is_probabilistic_pca(load, k):
    X = StandardScaler().fit_transform(load().data)
    vae = VAETransformer(k, max_epochs=0, random_state=0).fit(X)
    pca = PCA(k).fit(X).score(X)
    assert vae.score(X) == pytest.approx(pca, abs=0.01)
    # The posterior is exact: the bound is the density.
    bound = vae.score_samples(X, n_importance=1).mean()
    assert bound == pytest.approx(pca, abs=0.01)


def test_the_linear_part_is_pca_in_the_callers_units(fitted):
    X, new = curved(), curved(seed=1) * 2
    axes = fitted._plan.axes
    variances = np.square(np.linalg.svd(X - X.mean(axis=0), compute_uv=False)) / len(X)
    unit = fitted._plan.scale.unit[0]
    linear = LinearDensity.of(axes, 2, variances[2:].mean() / unit**2)
    y = torch.from_numpy((new - X.mean(axis=0)) / unit)
    density = linear.log_prob(y).numpy() - 6 * np.log(unit)
    # PCA divides by the rows less one.
    np.testing.assert_allclose(density, PCA(2).fit(X).score_samples(new), rtol=5e-3)


def test_a_row_unlike_all_others_is_no_wilder_than_under_pca(fitted):
    far = curved()[:5].copy()
    far[:, 4:] += 1e3
    density = fitted.score_samples(far)
    floor = PCA(2).fit(curved()).score_samples(far) + np.log(LINEAR_SHARE)
    assert fitted.best_epoch_ > 0
    # The share of PCA is all that is left, and PCA divides by the rows less one.
    np.testing.assert_allclose(density, floor, rtol=5e-3)


def test_a_density_from_a_random_start_has_no_linear_part():
    vae = VAETransformer(2, init="random", **SMALL).fit(curved())
    assert vae._linear_part() is None


# -------------------------------------------------------------------- the estimate


def test_more_draws_bring_the_bound_up_to_the_exact_density():
    X = load_wine().data[:, :6]
    vae = VAETransformer(2, numeric_scaling="standard", **LINEAR).fit(X)
    # A linear decoder makes the density normal: its mean and covariance are exact.
    rows = vae.inverse_transform(np.vstack([np.zeros(2), np.eye(2)]))
    loadings = rows[1:] - rows[0]
    columns = vae.module_.columns
    variance = (columns.likelihood.variance * columns.loss_scale**2).numpy()
    exact = stats.multivariate_normal(
        rows[0], loadings.T @ loadings + np.diag(variance)
    ).logpdf(X)
    pca = PCA(2).fit(X / X.std(axis=0)).score_samples(X / X.std(axis=0))
    pca -= np.log(X.std(axis=0)).sum()
    exact = np.logaddexp(
        np.log1p(-LINEAR_SHARE) + exact, np.log(LINEAR_SHARE) + pca
    ).mean()
    means = [vae.score_samples(X, n).mean() for n in (1, 4, 32, 500)]
    assert means[0] < exact
    assert means == sorted(means)
    assert means[-1] == pytest.approx(exact, abs=0.02)


def test_the_posterior_mean_is_the_code(fitted):
    mean, std = fitted.posterior(curved())
    np.testing.assert_allclose(mean, fitted.transform(curved()), rtol=1e-5, atol=1e-6)
    assert (std > 0).all()
    # It narrows the prior.
    assert (std.mean(axis=0) < 1).all()


def test_components_come_by_what_they_tell():
    X = StandardScaler().fit_transform(load_digits().data)
    vae = VAETransformer(6, **SMALL).fit(X)
    kl = vae.kl_per_component_
    assert (np.diff(kl) <= 0).all()
    mean, std = vae.posterior(X)
    by_hand = 0.5 * (std**2 + mean**2 - 1 - 2 * np.log(std)).mean(axis=0)
    np.testing.assert_allclose(kl, by_hand, rtol=1e-4)
    variances = vae.transform(X).var(axis=0)
    assert vae.active_units_ == (variances > 0.01).sum() == 6


def test_components_that_tell_nothing_are_reported():
    vae = VAETransformer(4, beta=1e3, init="random", **SMALL)
    told = r"n_components=4 .* got active_units_=0"
    with pytest.warns(UserWarning, match=told) as caught:
        vae.fit(curved())
    assert caught[0].filename == __file__
    assert vae.active_units_ == 0
    assert vae.kl_per_component_.max() < 0.05


@pytest.mark.parametrize("params", [{"kl_warmup": 4}, {"free_bits": 0.5}, {"beta": 0}])
def test_a_lighter_divergence_lets_the_code_tell_more(params):
    how = {"beta": 4, "init": "random", "early_stopping": False, **SMALL}
    strict, free = VAETransformer(2, **how), VAETransformer(2, **{**how, **params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they may tell nothing
        strict.fit(curved())
        free.fit(curved())
    assert free.kl_per_component_.sum() > strict.kl_per_component_.sum()
    assert np.isfinite(free.score_samples(curved())).all()


# ----------------------------------------------------------------------- the prior


def two_clouds():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(-3, 0.5, (300, 2)), rng.normal(2, 1, (500, 2))])


def test_a_mixture_prior_is_a_proper_density():
    codes = two_clouds()
    prior = MixturePrior.of(codes, 0)
    n_parts = len(prior.weights)
    assert n_parts > 1
    other = GaussianMixture(n_parts, random_state=0, reg_covar=1e-4).fit(codes)
    density = prior.log_prob(torch.from_numpy(codes)).numpy()
    np.testing.assert_allclose(density, other.score_samples(codes), rtol=1e-8)
    side = np.linspace(-12, 12, 241)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    mass = prior.log_prob(torch.from_numpy(grid)).exp().sum().item() * 0.01
    assert mass == pytest.approx(1, abs=1e-4)
    drawn = prior.sample(20_000, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.2)


def target():
    rng = np.random.default_rng(5)
    angle = rng.uniform(0, 2 * np.pi, 300)
    ring = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring += rng.normal(0, 0.1, ring.shape)
    return np.vstack([ring, rng.normal(0, 0.3, (100, 2))])


def test_a_mixture_prior_has_the_least_criterion_though_it_rises_before():
    codes = target()
    criteria = {
        n: GaussianMixture(n, random_state=0, reg_covar=1e-4).fit(codes).bic(codes)
        for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    }
    least = min(criteria, key=criteria.__getitem__)
    assert least > 4
    assert criteria[2] > criteria[1]
    assert len(MixturePrior.of(codes, 0).weights) == least


def test_a_mixture_prior_tries_few_parts_where_there_are_few_or_large_codes():
    rng = np.random.default_rng(0)
    assert len(MixturePrior.of(rng.normal(size=(2, 2)), 0).weights) == 1
    # As many parts as rows allow would have the least criterion, of points.
    assert len(MixturePrior.of(rng.normal(size=(40, 2)), 0).weights) <= 6
    assert density._is_tried(32, (20_000, 5), rises=True)
    assert not density._is_tried(32, (20_000, 30), rises=True)
    assert density._is_tried(32, (20_000, 30), rises=False)


def test_a_mixture_prior_changes_the_density_and_not_the_codes():
    X = np.hstack([two_clouds(), two_clouds() ** 2, two_clouds()[:, ::-1]])
    plain = VAETransformer(2, **SMALL).fit(X)
    mixed = VAETransformer(2, prior="mixture", **SMALL).fit(X)
    np.testing.assert_array_equal(plain.transform(X), mixed.transform(X))
    assert mixed.score(X) > plain.score(X)
    drawn = mixed.sample(2_000, random_state=0)
    assert drawn.shape == (2_000, 6)
    # Few rows between the clouds, where a normal prior has many.
    between = [((r[:, 0] > -1.5) & (r[:, 0] < -0.5)).mean() for r in (X, drawn)]
    assert between[1] < between[0] + 0.05
    again = pickle.loads(pickle.dumps(mixed))
    np.testing.assert_array_equal(again.score_samples(X), mixed.score_samples(X))
    np.testing.assert_array_equal(again.kl_per_component_, mixed.kl_per_component_)
    np.testing.assert_array_equal(
        again.sample(5, random_state=1), mixed.sample(5, random_state=1)
    )


def test_a_pass_of_few_samples_keeps_the_mixture():
    X = two_clouds()
    stream = VAETransformer(2, prior="mixture", **SMALL).partial_fit(X)
    before = stream.score(X)
    for part in (X[:1], X[1:3]):
        stream.partial_fit(part)
    assert stream.score(X) == pytest.approx(before, abs=0.2)
    assert stream.n_samples_ == len(X) + 3
    stream.partial_fit(X)
    assert np.isfinite(stream.score(X))


# -------------------------------------------------- rows that PCA reconstructs exactly


def levels_that_determine_each_other(kind):
    """Categories, all told by the first; and the entropy of a row in nats."""
    first = np.random.default_rng(0).integers(0, 3, 600)
    columns = {"a": np.array(list("xyz"))[first], "b": np.array(list("uvw"))[first]}
    if kind == "beside a pair of levels":
        columns["c"] = first > 0
    return pd.DataFrame(columns).astype("category"), np.log(3)


@pytest.mark.parametrize("kind", ["two columns", "beside a pair of levels"])
def test_density_of_categories_is_trained_where_pca_is_exact(kind):
    frame, entropy = levels_that_determine_each_other(kind)
    settings = {"hidden_layer_sizes": (32,), "random_state": 0}
    vae = VAETransformer(4, **settings).fit(frame)
    assert vae.best_epoch_ > 0
    start = VAETransformer(4, max_epochs=0, **settings).fit(frame)
    assert start.score(frame) < -4 * entropy
    assert -1.4 * entropy < vae.score(frame) < -0.99 * entropy


def test_density_of_numbers_stays_pca_where_that_has_the_better_bound():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6))
    settings = {"hidden_layer_sizes": (16,), "random_state": 0}
    vae = VAETransformer(2, n_iter_no_change=5, **settings).fit(X)
    assert vae.n_iter_ > 0
    start = VAETransformer(2, max_epochs=0, **settings).fit(X)
    assert vae.score(X) >= start.score(X)


def test_rows_that_never_vary_train_nothing():
    vae = VAETransformer(2, random_state=0).fit(np.full((40, 3), 5.0))
    assert vae.n_iter_ == 0


# --------------------------------------------------------------------------- draws


def test_two_calls_give_the_same_bits(fitted):
    X = curved()
    for n in (1, 64):
        first, second = (fitted.score_samples(X, n) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        # A row's value depends on no other row, but for the order of a sum.
        np.testing.assert_allclose(fitted.score_samples(X[3:4], n), first[3], rtol=1e-4)
    draws = [fitted.sample(20, random_state=3) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    assert not np.array_equal(draws[0], fitted.sample(20, random_state=4))


def test_draws_are_of_the_network_alone(fitted, monkeypatch):
    assert fitted.sample(0).shape == (0, 6)
    plain, covariance = fitted.sample(20_000, random_state=0), fitted.get_covariance()
    np.testing.assert_allclose(plain.mean(axis=0), curved().mean(axis=0), atol=0.5)
    most = 0.03 * covariance.max()  # what 20,000 draws leave to chance
    np.testing.assert_allclose(np.cov(plain.T), covariance, atol=most)
    monkeypatch.setattr(VAETransformer, "_linear_part", lambda self: None)
    np.testing.assert_array_equal(plain, fitted.sample(20_000, random_state=0))


def test_draws_of_a_frame_have_its_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=150),
            "whole": rng.integers(0, 9, size=150),
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], size=150)),
        }
    )
    vae = VAETransformer(2, **SMALL).fit(frame)
    drawn = vae.sample(30, random_state=0)
    pd.testing.assert_series_equal(drawn.dtypes, frame.dtypes)
    assert set(drawn["kind"]) <= {"a", "b", "c"}
    assert drawn["whole"].between(0, 8).all()
    assert len(vae.sample(0)) == 0


def codes_of_samples(vae, n):
    """The codes that `sample` draws from the prior for random_state=0."""
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    shape, generator = (n, vae.n_components_), torch.Generator().manual_seed(seed)
    codes = torch.randn(shape, generator=generator).numpy().astype(np.float64)
    return codes[:, vae._fitted.order]


SECONDS = 1_700_000_000.0


@pytest.mark.parametrize("params", [{}, {"init": "random"}, {"prior": "mixture"}])
def test_samples_far_from_zero_keep_their_digits(params):
    X = curved()
    vae = VAETransformer(2, **SMALL, **params).fit(X + SECONDS)
    near = VAETransformer(2, **SMALL, **params).fit(X)
    drawn = vae.sample(300, random_state=0)
    assert drawn.dtype == np.float64
    assert len(np.unique(drawn[:, 0])) == 300
    np.testing.assert_allclose(
        drawn - SECONDS, near.sample(300, random_state=0), atol=1e-2
    )


def test_samples_of_dates_in_a_frame_keep_their_digits():
    frame = pd.DataFrame(curved() + SECONDS, columns=list("abcdef"))
    frame["kind"] = pd.Categorical(np.where(frame["a"] > SECONDS, "x", "y"))
    drawn = VAETransformer(2, **SMALL).fit(frame).sample(300, random_state=0)
    assert len(np.unique(drawn["a"])) == 300
    assert drawn["a"].std() == pytest.approx(frame["a"].std(), rel=0.3)


def test_samples_are_decoded_as_inverse_transform_decodes():
    X = curved() + SECONDS
    vae = VAETransformer(2, init="random", **SMALL).fit(X)
    means = vae.sample(50, random_state=0, noise=False)
    expected = vae.inverse_transform(codes_of_samples(vae, 50))
    np.testing.assert_allclose(means, expected, rtol=1e-15)


@pytest.mark.parametrize(
    "params", [{}, {"prior": "mixture"}, {"likelihood": "isotropic"}]
)
def test_samples_without_noise_are_the_means_of_those_with_it(params):
    vae = VAETransformer(2, **{**SMALL, "max_epochs": 40}, **params).fit(curved())
    means = vae.sample(4000, random_state=0, noise=False)
    drawn = vae.sample(4000, random_state=0)
    # The same codes: what is left is noise.
    noise = drawn - means
    assert np.abs(noise.mean(axis=0) / noise.std(axis=0)).max() < 5 / 4000**0.5
    assert np.abs(np.corrcoef(noise.T, means.T)[:6, 6:]).max() < 0.1
    assert (means.std(axis=0) < drawn.std(axis=0)).all()
    np.testing.assert_array_equal(means, vae.sample(4000, random_state=0, noise=False))


def test_samples_without_noise_of_a_frame_are_the_most_probable_levels():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=200),
            "often": pd.Categorical(rng.choice(list("abc"), 200, p=[0.8, 0.1, 0.1])),
            "pair": pd.Categorical(rng.choice(["no", "yes"], 200, p=[0.3, 0.7])),
            "many": pd.Categorical(np.where(np.arange(200) % 2, 0, np.arange(200))),
        }
    )
    vae = VAETransformer(2, **SMALL).fit(frame)
    modes = vae.sample(200, random_state=0, noise=False)
    pd.testing.assert_series_equal(modes.dtypes, frame.dtypes)
    expected = vae.inverse_transform(codes_of_samples(vae, 200))
    pd.testing.assert_frame_equal(modes, expected)
    drawn = vae.sample(200, random_state=0)
    for name in ("often", "pair", "many"):
        assert 0 < (drawn[name] != modes[name]).mean() < 0.7
    assert modes["number"].std() < drawn["number"].std()


def test_samples_without_noise_of_pixels_are_probabilities():
    rng = np.random.default_rng(0)
    X = (rng.random((200, 8)) < 0.3).astype(np.float32)
    vae = VAETransformer(2, likelihood="bernoulli", **SMALL).fit(X)
    means = vae.sample(50, random_state=0, noise=False)
    assert means.dtype == np.float32
    assert ((means > 0) & (means < 1)).all()
    assert set(np.unique(vae.sample(50, random_state=0))) == {0, 1}


def test_noise_of_samples_is_a_boolean(fitted):
    with pytest.raises(TypeError, match="noise must be an instance of"):
        fitted.sample(3, noise=0.5)
    with pytest.raises(TypeError, match="positional arguments"):
        fitted.sample(3, None, False)


# ------------------------------------------------------------------- unusual rows


def test_values_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"expected X in \[0, 1\] for likelihood="):
        VAETransformer(2, likelihood="bernoulli", **SMALL).fit(curved())
    vae = VAETransformer(2, likelihood="bernoulli", **SMALL).fit(np.eye(40)[:, :8])
    assert vae._linear_part() is None
    with pytest.raises(ValueError, match=r"expected X in \[0, 1\] for likelihood="):
        vae.score_samples(np.full((2, 8), 1.5))


def test_columns_and_rows_that_never_vary():
    X = curved()
    X[:, 2] = 7
    vae = VAETransformer(2, **SMALL).fit(X)
    assert np.isfinite(vae.score_samples(X)).all()
    assert (vae.sample(300, random_state=0)[:, 2] == 7).all()
    # Without a warning that the code tells nothing: there is nothing to tell.
    same = VAETransformer(2, **SMALL).fit(np.full((40, 3), 5.0))
    assert np.isfinite(same.score_samples(np.full((4, 3), 5.0))).all()
    np.testing.assert_array_equal(same.sample(10, random_state=0), 5.0)


def test_more_components_than_features():
    with pytest.warns(UserWarning, match="n_components=8"):
        vae = VAETransformer(8, **SMALL).fit(curved())
    assert vae.transform(curved()).shape == (400, 8)
    assert np.isfinite(vae.score_samples(curved())).all()
    assert np.isfinite(vae.sample(10, random_state=0)).all()


def test_training_goes_on():
    X = curved()
    parts = VAETransformer(2, **SMALL)
    for _ in range(3):
        for part in np.array_split(X, 4):
            parts.partial_fit(part)
    assert parts.score(X) > VAETransformer(2, max_epochs=0).fit(X).score(X)
    on = VAETransformer(2, warm_start=True, **SMALL).fit(X)
    before = on.score(X)
    on.set_params(max_epochs=60).fit(X)
    assert on.score(X) > before
    assert len(on.loss_curve_) > 8


def _spiky_table(n, seed=0):
    rng = np.random.default_rng(seed)
    amount = np.where(rng.random(n) < 0.4, 0.0, rng.exponential(size=n)).clip(max=2.0)
    return pd.DataFrame(
        {
            "amount": amount,
            "half": rng.integers(0, 4, n) / 2,
            "smooth": rng.normal(size=n),
            "kind": pd.Categorical(np.where(amount > 0, "a", "b")),
        }
    )


@pytest.mark.parametrize("scaling", ["auto", "rank_gauss"])
def test_samples_of_a_table_move_to_values_that_were_seen(scaling):
    X = _spiky_table(300)
    vae = VAETransformer(2, numeric_scaling=scaling, max_epochs=2, random_state=0)
    drawn = vae.fit(X).sample(300, random_state=0)
    assert set(drawn["amount"]) <= set(X["amount"])
    assert set(drawn["half"]) == {0.0, 0.5, 1.0, 1.5}
    assert (drawn["amount"] == 0).mean() > 0.1
    assert not set(drawn["smooth"]) & set(X["smooth"])
    means = vae.sample(300, random_state=0, noise=False)
    assert not set(means["half"]) <= {0.0, 0.5, 1.0, 1.5}
    assert means["smooth"].nunique() > 290


def test_moved_samples_are_saved(tmp_path):
    X = _spiky_table(200)
    vae = VAETransformer(2, max_epochs=1, random_state=0).fit(X)
    vae.save(tmp_path / "vae.ae")
    loaded = load(tmp_path / "vae.ae")
    pd.testing.assert_frame_equal(loaded.sample(50, 1), vae.sample(50, 1))


@pytest.mark.parametrize("missing", [False, True])
def test_samples_of_each_column_are_in_its_own_units(missing):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 5))
    X = (X + rng.normal(scale=0.3, size=X.shape)) * [1e5, 1e5, 1, 1, 1]
    vae = VAETransformer(2, allow_missing=missing, max_epochs=30, random_state=0)
    drawn = vae.fit(X).sample(2000, random_state=0)
    for spread in stats.iqr, np.std:
        ratio = spread(drawn, axis=0) / spread(X, axis=0)
        assert ratio.min() > 0.7
        assert ratio.max() < 1.4
    vae.set_params(numeric_scaling="standard")
    assert vae.score(X) > vae.fit(X).score(X) - 3
