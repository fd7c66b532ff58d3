"""Which cells are hidden: how many of a row, and which."""

import pytest
import torch

from sk_autoencoder._objectives.masks import hide_by_fraction, hide_by_number
from sk_autoencoder._utils.random import make_generator

N, D = 12_000, 6


def test_each_number_of_hidden_cells_is_as_likely_and_each_cell_too():
    hidden = hide_by_number(N, D, make_generator(0))
    counts = torch.bincount(hidden.sum(dim=1), minlength=D + 1)
    assert counts[0] == 0
    torch.testing.assert_close(
        counts[1:] / N, torch.full((D,), 1 / D), atol=0.015, rtol=0
    )
    mean = torch.full((D,), (D + 1) / (2 * D))
    torch.testing.assert_close(hidden.float().mean(dim=0), mean, atol=0.015, rtol=0)
    # Of rows with one hidden cell, each cell is the one as often.
    ones = hidden[hidden.sum(dim=1) == 1].float().mean(dim=0)
    torch.testing.assert_close(ones, torch.full((D,), 1 / D), atol=0.04, rtol=0)


def test_the_only_cell_of_a_row_is_hidden():
    assert hide_by_number(5, 1, make_generator(0)).all()


def test_fraction_of_hidden_cells_is_uniform():
    hidden = hide_by_fraction(N, 200, make_generator(0), 0.6)
    levels = hidden.float().mean(dim=1)
    found = levels.quantile(torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(
        found, torch.tensor([0.15, 0.3, 0.45]), atol=0.02, rtol=0
    )


@pytest.mark.parametrize(
    "hide", [hide_by_number, lambda *shape: hide_by_fraction(*shape, 0.6)]
)
def test_masks_follow_their_generator_alone(hide):
    torch.manual_seed(0)
    first = hide(9, D, make_generator(3))
    torch.manual_seed(1)
    assert torch.equal(first, hide(9, D, make_generator(3)))
    assert not torch.equal(first, hide(9, D, make_generator(4)))
