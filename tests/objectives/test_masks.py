"""Which cells are hidden: how many of a row, and which."""

import torch

from sk_autoencoder._objectives.masks import hide_by_number
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


def test_cells_of_a_group_are_hidden_together():
    groups = torch.tensor([0, 1, 0, 3, 1, 0])
    hidden = hide_by_number(N, D, make_generator(0), groups)
    assert torch.equal(hidden, hidden[:, groups])
    assert hidden.any(dim=1).all()
    assert hidden.all(dim=1).any()


def test_masks_follow_their_generator_alone():
    torch.manual_seed(0)
    first = hide_by_number(9, D, make_generator(3))
    torch.manual_seed(1)
    assert torch.equal(first, hide_by_number(9, D, make_generator(3)))
    assert not torch.equal(first, hide_by_number(9, D, make_generator(4)))
