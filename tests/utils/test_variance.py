"""Explained variance, and what does not vary."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.isotonic import isotonic_regression

from sk_autoencoder._utils.variance import (
    explained_variance,
    falling,
    is_constant,
    unit_or_one,
    variance_fractions,
)

DIGITS = load_digits().data


def test_explained_variance_of_components_adds_up_pcas_ratios():
    pca = PCA(10).fit(DIGITS)
    codes, total = pca.transform(DIGITS), np.square(DIGITS - pca.mean_).sum()
    errors = [
        np.square(DIGITS - pca.mean_ - codes[:, :k] @ pca.components_[:k]).sum()
        for k in range(1, 11)
    ]
    expected = pca.explained_variance_ratio_.cumsum()
    np.testing.assert_allclose(explained_variance(np.array(errors), total), expected)
    assert explained_variance(errors[-1], total) == pytest.approx(expected[-1])


def test_explained_variance_where_nothing_varies():
    assert float(explained_variance(0.0, 0.0)) == 1.0
    assert float(explained_variance(1e-300, 0.0)) == 0.0
    found = explained_variance(np.array([0.0, 2.0]), 0.0)
    np.testing.assert_array_equal(found, [1.0, 0.0])


def test_fractions_of_a_variance_add_up_to_one_or_are_zero():
    parts = np.array([1.0, 3.0])
    np.testing.assert_array_equal(variance_fractions(parts, 4.0), [0.25, 0.75])
    np.testing.assert_array_equal(variance_fractions(np.zeros(2), 0.0), [0.0, 0.0])


def test_a_feature_that_varies_by_rounding_alone_is_constant():
    rounded = np.full(1000, 0.1) * (1 + np.finfo(float).eps * (np.arange(1000) % 2))
    small = 0.1 * (1 + 1e-12 * (np.arange(1000) % 2))
    for values, expected in ((np.full(9, 0.1), True), (rounded, True), (small, False)):
        found = is_constant(values.min(), values.max(), values.mean(), values.std())
        assert bool(found) == expected


def test_only_a_unit_of_zero_becomes_one():
    np.testing.assert_array_equal(
        unit_or_one(np.array([0.0, 1e-300, 2])), [1, 1e-300, 2]
    )


@pytest.mark.parametrize("seed", range(5))
def test_falling_is_isotonic_regression(seed):
    values = np.random.default_rng(seed).normal(size=12) - np.linspace(0, 2, 12)
    expected = isotonic_regression(values, increasing=False)
    np.testing.assert_allclose(falling(values), expected, atol=1e-12)
    assert falling(values).sum() == pytest.approx(values.sum())
    assert falling(values[:1]).tolist() == values[:1].tolist()
