"""The table of activations: every field of a row computes what its module does."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from sk_autoencoder._utils.activations import ACTIVATIONS, activation_of

rows = pytest.mark.parametrize("name", ACTIVATIONS)
Z = torch.linspace(-6, 6, 97, dtype=torch.float64).view(-1, 1).repeat(1, 2)


def value_and_derivative(name, z):
    z = z.clone().requires_grad_()
    value = ACTIVATIONS[name].module()(z)
    (derivative,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), derivative


@rows
def test_in_place_and_out_are_those_of_the_module(name):
    row, (expected, _) = ACTIVATIONS[name], value_and_derivative(name, Z)
    z = Z.clone()
    row.in_place(z)
    assert torch.equal(z, expected)
    if row.out is not None:
        z, out = Z.clone(), torch.empty_like(Z)
        row.out(z, out)
        assert torch.equal(z, Z)
        assert torch.equal(out, expected)


@rows
def test_backward_is_that_of_autograd(name):
    row, (value, derivative) = ACTIVATIONS[name], value_and_derivative(name, Z)
    gradient = torch.linspace(-1, 1, Z.numel(), dtype=torch.float64).view_as(Z)
    expected = gradient * derivative
    row.backward(gradient, value if row.out is None else Z.clone())
    torch.testing.assert_close(gradient, expected)


@rows
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_is_that_of_the_module(name, dtype):
    z = Z.numpy().astype(dtype)
    expected = ACTIVATIONS[name].module()(torch.from_numpy(z)).numpy()
    found = ACTIVATIONS[name].numpy(z)
    assert found.dtype == dtype
    # GELU of -6 is -6 times a difference of numbers near 1.
    rounding = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)
    np.testing.assert_array_equal(z, Z.numpy().astype(dtype))


@rows
def test_range_is_the_narrowest_to_three_digits(name):
    low, high = ACTIVATIONS[name].range
    z = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    value = ACTIVATIONS[name].module()(z)
    assert low <= value.min()
    assert value.max() <= high
    for bound, reached in ((low, value.min()), (high, value.max())):
        if math.isfinite(bound):
            assert reached == pytest.approx(bound, abs=1e-3)
        else:
            assert abs(reached) > 0.2


@rows
def test_row_of_a_module_is_found(name):
    row = ACTIVATIONS[name]
    assert activation_of(row.module()) is row
    for setting, value in row.settings:
        other = copy.copy(row.module())
        assert getattr(other, setting) == value
        setattr(other, setting, "tanh" if isinstance(value, str) else value / 2)
        assert activation_of(other) is None


def test_other_modules_have_no_row():
    class Own(nn.ReLU):
        pass

    assert activation_of(nn.Mish()) is None
    assert activation_of(Own()) is None
