"""Sums of squares of errors, which are added up in two precisions."""

import numpy as np
import pytest
import torch

from sk_autoencoder._inference.moments import sum_of_squares


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_sum_of_squares_is_that_of_float64_in_any_unit(unit, dtype):
    numbers = np.random.default_rng(0).normal(size=(200, 50)) * unit
    x = torch.from_numpy(numbers).to(dtype)
    expected = np.square(x.double().numpy()).sum()
    assert sum_of_squares(x) == pytest.approx(expected, rel=1e-7)


def test_sum_of_squares_is_exact_where_there_is_nothing_and_shows_what_is_not_finite():
    x = torch.zeros(3, 4)
    assert sum_of_squares(x) == 0.0
    x[1, 2] = torch.nan
    assert np.isnan(sum_of_squares(x))
    assert np.isinf(sum_of_squares(torch.full((2, 2), torch.inf)))
