"""The start from PCA, the guard that goes back to it, and what is told of it."""

import warnings

import numpy as np
import pytest
import torch
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting.recipe import ROOT_FALLBACK_MARGIN
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._training.selection import PCAFallback
from sk_autoencoder._utils.pca import PrincipalAxes, RowsInUnits

BOTH = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer]
DIGITS = load_digits().data
UNLIKE = np.random.default_rng(5).normal(size=(200, 8)) @ np.diag(
    np.logspace(-6, 6, 8)
) + np.logspace(6, -6, 8)
WIDE = np.random.default_rng(2).normal(size=(40, 1100)) * np.linspace(9, 1, 1100)
NOISE = np.random.default_rng(3).normal(size=(600, 8))


def codes_error(a, b):
    """Largest difference over the largest entry of each column, signs aside."""
    return np.max(np.abs(np.abs(a) - np.abs(b)) / np.abs(b).max(axis=0))


# -- at step 0 ------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", BOTH)
@pytest.mark.parametrize(
    ("rows", "k"),
    [(DIGITS, 5), (UNLIKE, 1), (WIDE, 5), (load_breast_cancer().data, 1)],
)
def test_untrained_it_is_pca(transformer, rows, k):
    pca = PCA(k, svd_solver="full").fit(rows)
    reducer = transformer(k, max_epochs=0).fit(rows)
    codes, of_pca = reducer.transform(rows), pca.transform(rows)
    assert codes.shape == of_pca.shape
    assert codes_error(codes, of_pca) < 1e-7
    error = np.square(rows - reducer.inverse_transform(codes)).sum()
    least = np.square(rows - pca.inverse_transform(of_pca)).sum()
    assert error == pytest.approx(least, rel=1e-6)
    assert reducer.fell_back_to_pca_
    assert reducer.best_epoch_ == 0


def test_untrained_in_float32_it_is_pca_to_float32():
    rows = DIGITS.astype(np.float32)
    codes = AutoEncoderTransformer(5, max_epochs=0).fit_transform(rows)
    assert codes.dtype == np.float32
    assert codes_error(codes, PCA(5).fit_transform(DIGITS)) < 1e-5


def test_signs_are_those_of_pca():
    codes = AutoEncoderTransformer(5, max_epochs=0).fit_transform(DIGITS)
    np.testing.assert_allclose(codes, PCA(5).fit_transform(DIGITS), atol=1e-9)


def test_untrained_on_standardized_columns_it_is_pca_of_those():
    rows = load_breast_cancer().data
    scaled = StandardScaler().fit_transform(rows)
    reducer = AutoEncoderTransformer(4, numeric_scaling="standard", max_epochs=0)
    codes = reducer.fit_transform(rows)
    assert codes_error(codes, PCA(4).fit_transform(scaled)) < 1e-9


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_rows_have_the_axes_of_dense_ones(container):
    reducer = AutoEncoderTransformer(6, max_epochs=0).fit(container(DIGITS))
    codes = reducer.transform(container(DIGITS))
    assert codes_error(codes, PCA(6).fit_transform(DIGITS)) < 1e-9


def test_cross_entropy_starts_at_pca_clipped_to_probabilities():
    rows = DIGITS / 16
    reducer = AutoEncoderTransformer(5, loss="binary_cross_entropy", max_epochs=0)
    pca = PCA(5).fit(rows)
    expected = np.clip(pca.inverse_transform(pca.transform(rows)), 0.01, 0.99)
    expected[:, rows.std(axis=0) == 0] = 0  # a constant column comes back as it was
    np.testing.assert_allclose(reducer.fit(rows).reconstruct(rows), expected, atol=1e-6)
    trained = clone(reducer).set_params(max_epochs=20, random_state=0).fit(rows)
    assert not trained.fell_back_to_pca_
    assert trained.score(rows) > reducer.score(rows)


@pytest.mark.parametrize("transformer", BOTH)
def test_a_network_without_hidden_layers_starts_as_pca_too(transformer):
    reducer = transformer(3, hidden_layer_sizes=(), max_epochs=0).fit(DIGITS)
    assert codes_error(reducer.transform(DIGITS), PCA(3).fit_transform(DIGITS)) < 1e-9


def test_a_random_start_is_no_pca():
    reducer = AutoEncoderTransformer(5, init="random", max_epochs=0, random_state=0)
    reducer.fit(DIGITS)
    assert not reducer.fell_back_to_pca_
    assert codes_error(reducer.transform(DIGITS), PCA(5).fit_transform(DIGITS)) > 0.1


# -- the axes ---------------------------------------------------------------------


def units(X, mean=None):
    return RowsInUnits(X, X.mean(axis=0) if mean is None else mean, np.ones(X.shape[1]))


def test_axes_of_parts_join_to_those_of_all():
    rows = DIGITS[:, ::4]
    first, second = rows[:700], rows[700:]
    gap = second.mean(axis=0) - first.mean(axis=0)
    d = rows.shape[1]
    parts = [PrincipalAxes.of(units(part), d) for part in (first, second)]
    joined = parts[0].joined(parts[1], gap, np.ones(d))
    whole = PrincipalAxes.of(units(rows), d)
    np.testing.assert_allclose(joined.std, whole.std, atol=1e-9)
    assert joined.n_rows == len(rows)
    assert joined.total == pytest.approx(rows.var(axis=0).sum())
    assert joined.residual(3) == pytest.approx(whole.residual(3))


def test_axes_join_in_new_units():
    rows = DIGITS[:, 10:20]
    first, second = rows[:700], rows[700:]
    weight = np.linspace(0.5, 2, 10)
    ones = PrincipalAxes.of(units(first), 10)
    others = PrincipalAxes.of(RowsInUnits(second, second.mean(axis=0), weight), 10)
    gap = (second.mean(axis=0) - first.mean(axis=0)) * weight
    joined = ones.joined(others, gap, weight)
    expected = (
        PCA().fit(rows * weight).explained_variance_ * (len(rows) - 1) / len(rows)
    )
    np.testing.assert_allclose(np.square(joined.std), expected)


def test_few_axes_of_many_columns_leave_what_pca_leaves():
    axes = PrincipalAxes.of(units(WIDE), 5)
    variances = PCA(svd_solver="full").fit(WIDE).explained_variance_ * 39 / 40
    assert axes.total == pytest.approx(variances.sum())
    assert axes.residual(5) == pytest.approx(variances[5:].sum(), rel=1e-6)
    np.testing.assert_allclose(
        axes.components @ axes.components.T, np.eye(5), atol=1e-12
    )


def test_many_rows_of_many_columns_are_iterated_to_nearly_pca():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(1100, 30)) * np.linspace(9, 3, 30)
    rows = rows @ rng.normal(size=(30, 1100)) + rng.normal(size=(1100, 1100))
    axes = PrincipalAxes.of(units(rows), 5)
    pca = PCA(5, svd_solver="full").fit(rows)
    expected = np.sqrt(pca.explained_variance_ * 1099 / 1100)
    np.testing.assert_allclose(axes.std, expected, rtol=1e-3)
    assert axes.total == pytest.approx(rows.var(axis=0).sum())


@pytest.mark.parametrize("scaling", ["none", "standard", "minmax"])
def test_partial_fit_finds_the_axes_of_all_rows_seen(scaling):
    settings = {"numeric_scaling": scaling, "random_state": 0}
    varied = DIGITS[:, DIGITS.std(axis=0) > 0]
    stream = AutoEncoderTransformer(8, lr=1e-12, weight_decay=0.0, **settings)
    for start in range(0, len(varied), 300):
        stream.partial_fit(varied[start : start + 300])
    whole = AutoEncoderTransformer(8, max_epochs=0, **settings).fit(varied)
    assert codes_error(stream.transform(varied), whole.transform(varied)) < 1e-6


def test_the_axes_stay_once_enough_rows_are_seen():
    rng = np.random.default_rng(0)
    reducer = AutoEncoderTransformer(2, hidden_layer_sizes=(8,), random_state=0)
    reducer.partial_fit(rng.normal(size=(10_000, 5)) * [5, 4, 1, 1, 1])
    before = reducer.module_.encoder.axes.clone()
    reducer.partial_fit(rng.normal(size=(5_000, 5)) * [1, 1, 1, 9, 9])
    assert torch.equal(reducer.module_.encoder.axes, before)


# -- the guard --------------------------------------------------------------------


@pytest.mark.parametrize("transformer", BOTH)
def test_on_noise_it_stays_pca_and_says_so(transformer, capsys):
    reducer = transformer(3, random_state=0, verbose=1).fit(NOISE)
    assert reducer.fell_back_to_pca_
    assert reducer.n_iter_ > 0
    assert "PCA is kept" in capsys.readouterr().out
    assert codes_error(reducer.transform(NOISE), PCA(3).fit_transform(NOISE)) < 1e-9
    reducer.set_params(verbose=2, max_epochs=3).fit(NOISE)
    assert "PCA is kept" in capsys.readouterr().err


def test_where_there_is_more_than_pca_it_is_found():
    train, test = train_test_split(DIGITS, random_state=0)
    reducer = AutoEncoderTransformer(10, max_epochs=60, random_state=0).fit(train)
    pca = PCA(10).fit(train)
    least = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    assert not reducer.fell_back_to_pca_
    assert reducer.reconstruction_error(test).sum() < 0.55 * least


def test_without_held_out_rows_nothing_is_guarded():
    reducer = AutoEncoderTransformer(
        3, early_stopping=False, max_epochs=5, random_state=0
    ).fit(NOISE)
    assert reducer.best_epoch_ == 5
    assert not reducer.fell_back_to_pca_


@pytest.mark.parametrize(
    ("after", "passes"),
    [
        ([0.5, 0.6, 0.4, 0.5], True),
        ([0.99, 1.3, 0.7, 0.98], False),
        ([1.1, 1.2, 1.1, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0], False),
        ([0.1], False),
        ([0.5, 0.9, 0.6], True),
        ([0.5, 0.9, 0.8], False),  # 2.2 errors, where three rows ask for 2.5
    ],
)
def test_the_guard_lets_only_gains_beyond_chance_pass(after, passes):
    losses = torch.ones(len(after))
    guard = PCAFallback(torch.nn.Identity(), lambda: losses.clone(), 1.5)
    losses[:] = torch.tensor(after)
    assert guard.is_improved() == passes


WILD = torch.tensor([1.0] * 11 + [900.0])


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        # A wild sample may not forbid what all others gain by, nor decide for all.
        (WILD, [0.5, 0.4, 0.6] * 3 + [0.5, 0.4, 930.0], True),
        (WILD, [1.0, 1.1, 0.9] * 3 + [1.1, 1.0, 100.0], False),
        # Roots gain, but the sum does not: PCA minimizes that.
        ([1.0] * 9, [0.1] * 7 + [6.0, 6.0], False),
        ([1.0] * 9, [0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1], True),
    ],
)
def test_no_sample_decides_alone(before, after, passes):
    losses = torch.as_tensor(before).clone()
    # Twelve samples ask for 1.5 standard errors more than those given.
    guard = PCAFallback(torch.nn.Identity(), lambda: losses.clone(), 0.0, by_roots=True)
    losses[:] = torch.as_tensor(after)
    assert guard.is_improved() == passes


@pytest.mark.parametrize(
    ("n_rows", "errors", "passes"),
    [(13, 3.1, False), (13, 3.4, True), (40, 2.2, False), (40, 2.3, True)],
)
def test_few_samples_have_to_show_more(n_rows, errors, passes):
    # Roots of losses that gain by so many standard errors, once Student's are normal's.
    shape = np.linspace(-1.0, 1.0, n_rows)
    asked = stats.t.ppf(stats.norm.cdf(errors), n_rows - 1)
    gains = shape + asked * shape.std(ddof=1) / n_rows**0.5
    losses = torch.full((n_rows,), 25.0, dtype=torch.float64)
    guard = PCAFallback(
        torch.nn.Identity(),
        lambda: losses.clone(),
        ROOT_FALLBACK_MARGIN,
        by_roots=True,
    )
    losses[:] = torch.as_tensor((5.0 - gains) ** 2)
    assert guard.is_improved() == passes


def test_going_on_from_pca_may_leave_it():
    reducer = AutoEncoderTransformer(
        3, max_epochs=0, warm_start=True, random_state=0
    ).fit(DIGITS)
    first = reducer.score(DIGITS)
    assert reducer.fell_back_to_pca_
    reducer.set_params(max_epochs=30).fit(DIGITS)
    assert not reducer.fell_back_to_pca_
    assert reducer.score(DIGITS) > first + 0.05


# -- hard rows ----------------------------------------------------------------------


HARD = {
    "fewer rows than components": DIGITS[:4, :20],
    "duplicate columns": np.repeat(NOISE[:, :3], 4, axis=1),
    "rank two": NOISE[:, :2] @ NOISE[:2, :8],
    "one dominating column": NOISE * [1e5, 1, 1, 1, 1, 1, 1, 1],
    "constant columns": NOISE * [1, 1, 0, 0, 0, 0, 0, 0],
    "all constant": np.ones((30, 6)),
    "sorted": np.sort(NOISE, axis=0),
    "sorted by a column": NOISE[np.argsort(NOISE[:, 0])],
    "three rows held out": NOISE[:30],
    "five rows": NOISE[:5],
}


@pytest.mark.filterwarnings("ignore:expected n_components of at most:UserWarning")
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("rows", HARD.values(), ids=HARD)
def test_hard_rows_are_never_worse_than_by_pca(whiten, rows):
    reducer = AutoEncoderTransformer(6, whiten=whiten, random_state=0, max_epochs=10)
    reducer.fit(rows)
    codes = reducer.transform(rows)
    assert codes.shape == (len(rows), 6)
    assert np.isfinite(codes).all()
    with np.errstate(invalid="ignore"):  # PCA's ratios of no variance at all
        pca = PCA(min(6, *rows.shape)).fit(rows)
    least = np.square(rows - pca.inverse_transform(pca.transform(rows))).sum()
    allowed = 1.01 * least + 1e-9 * np.square(rows - rows.mean(axis=0)).sum()
    assert reducer.reconstruction_error(rows).sum() <= allowed


@pytest.mark.filterwarnings("ignore:expected n_components of at most:UserWarning")
@pytest.mark.parametrize("rows", HARD.values(), ids=HARD)
def test_corrupted_hard_rows_are_never_repaired_worse_than_by_pca(rows):
    noise = {"noise": "masking", "noise_level": 0.15}
    denoiser = DenoisingAutoEncoderTransformer(
        6, max_epochs=10, random_state=0, **noise
    ).fit(rows)
    is_hidden = np.random.default_rng(0).random(rows.shape) < 0.15
    corrupted = np.where(is_hidden, rows.mean(axis=0), rows)
    with np.errstate(invalid="ignore"):  # PCA's ratios of no variance at all
        pca = PCA(min(6, *rows.shape)).fit(rows)
    by_pca = pca.inverse_transform(pca.transform(corrupted))
    least = np.square(rows - by_pca).sum()
    found = np.square(rows - denoiser.reconstruct(corrupted)).sum()
    assert found <= 1.02 * least + 1e-9 * np.square(rows - rows.mean(axis=0)).sum()


MILLION = 1e6 * np.random.default_rng(4).normal(size=(1797, 1)) * DIGITS.std()


@pytest.mark.parametrize(
    ("rows", "n", "at_most"),
    [
        (np.hstack([DIGITS, MILLION]), 600, 1 + 1e-6),
        (np.repeat(DIGITS[:, 18:30], 3, axis=1), 600, 0.7),
        (DIGITS[np.argsort(DIGITS[:, 20], kind="stable")], 1797, 0.7),
        (DIGITS, 40, 1 + 1e-6),
    ],
    ids=["a column of a million", "threefold", "sorted by a column", "4 held out"],
)
def test_pca_is_bettered_or_kept(rows, n, at_most):
    reducer = AutoEncoderTransformer(6, max_epochs=20, random_state=0).fit(rows[:n])
    pca = PCA(6, svd_solver="full").fit(rows[:n])
    least = np.square(rows - pca.inverse_transform(pca.transform(rows))).sum()
    assert reducer.reconstruction_error(rows).sum() <= at_most * least


def test_columns_of_any_spread_are_never_worse_than_by_pca():
    train, test = train_test_split(UNLIKE, random_state=0)
    reducer = AutoEncoderTransformer(3, random_state=0).fit(train)
    pca = PCA(3).fit(train)
    least = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    assert reducer.reconstruction_error(test).sum() <= 1.001 * least


def test_components_beyond_the_rank_start_at_zero():
    rows = NOISE[:, :2] @ NOISE[:2, :8]
    codes = AutoEncoderTransformer(4, max_epochs=0).fit_transform(rows)
    np.testing.assert_array_equal(codes[:, 2:], 0)


# -- whitening ----------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [*BOTH, VAETransformer])
def test_whitened_codes_are_white_and_decode_alike(transformer):
    plain = transformer(6, max_epochs=5, random_state=0).fit(DIGITS)
    white = clone(plain).set_params(whiten=True).fit(DIGITS)
    codes = white.transform(DIGITS)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(6), atol=1e-4)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(
        white.inverse_transform(codes), plain.reconstruct(DIGITS), atol=1e-5
    )


def test_untrained_and_whitened_it_is_whitened_pca():
    codes = AutoEncoderTransformer(5, whiten=True, max_epochs=0).fit_transform(DIGITS)
    np.testing.assert_allclose(
        codes, PCA(5, whiten=True).fit_transform(DIGITS), atol=1e-5
    )


def test_whitening_follows_partial_fit_and_can_be_taken_back():
    reducer = AutoEncoderTransformer(4, whiten=True, random_state=0)
    for start in range(0, 1500, 500):
        reducer.partial_fit(DIGITS[start : start + 500])
    assert np.linalg.cond(np.cov(reducer.transform(DIGITS).T)) < 3
    reducer.set_params(whiten=False).partial_fit(DIGITS[:2])
    assert reducer.transform(DIGITS).std(axis=0)[0] > 5


@pytest.mark.parametrize("triangular", [False, True])
def test_a_whitening_frame_and_its_inverse(triangular):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    covariance = np.cov(codes.T)
    latent_map = LatentMap.whitening(
        codes.mean(axis=0), covariance, triangular=triangular, dtype=np.float32
    )
    white = (codes - latent_map.offset) @ latent_map.matrix
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=1e-12)
    np.testing.assert_allclose(white @ latent_map.inverse + latent_map.offset, codes)
    if triangular:
        np.testing.assert_allclose(np.tril(latent_map.matrix, -1), 0, atol=1e-12)


# -- explained variance ---------------------------------------------------------------


def test_untrained_the_ratios_are_those_of_pca():
    reducer = AutoEncoderTransformer(6, max_epochs=0).fit(DIGITS)
    np.testing.assert_allclose(
        reducer.explained_variance_ratio_,
        PCA(6).fit(DIGITS).explained_variance_ratio_,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("transformer", "whiten"),
    [(AutoEncoderTransformer, True), (BOTH[1], False), (VAETransformer, True)],
)
def test_the_ratios_add_up_to_what_is_explained(transformer, whiten):
    reducer = transformer(6, whiten=whiten, max_epochs=10, random_state=0).fit(DIGITS)
    errors = np.square(DIGITS - reducer.reconstruct(DIGITS)).sum()
    explained = 1 - errors / np.square(DIGITS - DIGITS.mean(axis=0)).sum()
    assert reducer.explained_variance_ratio_.shape == (6,)
    assert (reducer.explained_variance_ratio_ >= 0).all()
    assert reducer.explained_variance_ratio_.sum() == pytest.approx(explained, abs=1e-5)


# -- a share to explain ----------------------------------------------------------------


def test_a_share_takes_no_more_components_than_pca_needs():
    few = {"max_epochs": 30, "random_state": 0}
    reducer = AutoEncoderTransformer(0.9, **few).fit(DIGITS)
    _, valid = reducer.net_.get_split_datasets(DIGITS)
    assert reducer.score(DIGITS[valid.indices]) >= 0.9 - 1e-3
    assert reducer.n_components_ < PCA(0.9).fit(DIGITS).n_components_ - 3
    assert reducer.transform(DIGITS).shape[1] == reducer.n_components_
    fewer = AutoEncoderTransformer(reducer.n_components_ - 1, **few)
    assert fewer.fit(DIGITS).score(DIGITS[valid.indices]) < 0.9


@pytest.mark.parametrize("transformer", [*BOTH, VAETransformer])
def test_a_share_that_is_not_reached_warns_of_what_is(transformer):
    # A split whose held-out rows are harder than the others.
    reducer = transformer(0.95, hidden_layer_sizes=(8,), max_epochs=1, random_state=5)
    rows = NOISE.reshape(80, 60)
    most = PCA(0.95).fit(rows).n_components_
    with pytest.warns(
        UserWarning, match=rf"=0.95 of .*, reached -?0\.\d+ with {most} c"
    ):
        reducer.fit(rows)
    assert reducer.n_components_ == most


def test_one_component_is_found_where_one_is_enough():
    line = np.outer(np.linspace(0, 1, 100), [1.0, 2.0, 3.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reducer = AutoEncoderTransformer(0.99, random_state=0).fit(line)
    assert reducer.n_components_ == 1


def test_a_share_is_refused_where_it_cannot_be_found():
    with pytest.raises(ValueError, match="an int or None in partial_fit"):
        AutoEncoderTransformer(0.9).partial_fit(DIGITS)
    with pytest.raises(ValueError, match="an int or None with features='hidden'"):
        DenoisingAutoEncoderTransformer(0.9, features="hidden").fit(DIGITS)
    for wrong in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="The 'n_components' parameter"):
            AutoEncoderTransformer(wrong).fit(DIGITS)


def test_going_on_keeps_the_number_that_was_found():
    reducer = AutoEncoderTransformer(
        0.6, max_epochs=3, warm_start=True, random_state=0
    ).fit(DIGITS)
    found = reducer.n_components_
    assert reducer.fit(DIGITS).n_components_ == found
    assert reducer.partial_fit(DIGITS[:100]).n_components_ == found


def test_rows_seen_again_leave_the_variance_as_it_is():
    # Some pixels of digits are always 0.
    reducer = AutoEncoderTransformer(
        5, hidden_layer_sizes=(16,), max_epochs=1, random_state=0
    ).fit(DIGITS)
    before = reducer._plan.axes.total
    for _ in range(3):
        reducer.partial_fit(DIGITS)
    assert reducer._plan.axes.total == pytest.approx(before, rel=1e-9)
