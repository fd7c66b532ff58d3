"""Cells filled, drawn and predicted, against distributions that are known."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from sk_autoencoder._inference import conditionals
from sk_autoencoder._inference.conditionals import (
    Conditionals,
    draw_cells,
    fillings,
    leave_one_out,
    predict_cells,
)
from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.networks._masked import LevelColumn, MaskedNetwork

SIZES = (3, 2, 4)
NAN = float("nan")
CENTERS = torch.tensor([1.0, 2.0, 5.0, NAN, NAN, -1.0, 0.0, 1.0, 3.0]).double()


def made_network(sizes=SIZES, *, dtype=torch.float64, scale=1.0):
    """Make a network whose conditionals are far from the columns' marginals."""
    columns = [
        LevelColumn(np.ones(size), np.zeros((size, 2)) if i != 1 else None)
        for i, size in enumerate(sizes)
    ]
    network = MaskedNetwork(
        columns=columns,
        hidden_layer_sizes=(8, 8),
        dropout=0.2,
        generator=make_generator(0),
    )
    generator = make_generator(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += scale * torch.randn(weight.shape, generator=generator)
    return network.eval().to(dtype)


@pytest.fixture(scope="module")
def model():
    return Conditionals.of(made_network(scale=0.3))


def every_row(sizes=SIZES):
    return torch.tensor(list(itertools.product(*(range(size) for size in sizes))))


def exact_draws(model, levels):
    """Return the probability of each complete row, over all orders of its cells."""
    rows = every_row()
    hidden = (levels == HIDDEN).nonzero().squeeze(1).tolist()
    seen = [j for j in range(len(levels)) if j not in hidden]
    fits = (rows[:, seen] == levels[seen]).all(dim=1)
    total = torch.zeros(len(rows), dtype=torch.float64)
    orders = list(itertools.permutations(hidden))
    for order in orders:
        known = levels.repeat(len(rows), 1)
        chance = fits.double()
        for column in order:
            shares = model.probabilities(known)[:, model.levels_of(column)]
            chance = chance * shares.gather(1, rows[:, [column]]).squeeze(1)
            known[:, column] = rows[:, column]
        total += chance / len(orders)
    return total.detach()


@pytest.mark.parametrize(
    "given", [(HIDDEN, HIDDEN, HIDDEN), (2, HIDDEN, HIDDEN), (HIDDEN, 1, 3), (0, 0, 0)]
)
def test_draws_have_the_distribution_of_the_network_over_all_orders(model, given):
    n = 20_000
    given = torch.tensor(given)
    drawn = draw_cells(model, given.repeat(n, 1), make_generator(0))
    expected = exact_draws(model, given).numpy()
    assert expected.sum() == pytest.approx(1)
    code = np.ravel_multi_index(drawn.T.numpy(), SIZES)
    counts = np.bincount(code, minlength=len(expected))
    there = expected > 0
    assert counts[~there].sum() == 0
    if there.sum() > 1:
        chance = stats.chisquare(counts[there], n * expected[there]).pvalue
        assert chance > 1e-3


def test_draws_keep_seen_cells_and_do_not_depend_on_chunks(model, monkeypatch):
    generator = make_generator(0)
    levels = every_row().repeat(5, 1)
    hidden = torch.rand(levels.shape, generator=generator) < 0.5
    given = levels.masked_fill(hidden, HIDDEN)
    whole = draw_cells(model, given, make_generator(1))
    assert torch.equal(whole[~hidden], levels[~hidden])
    assert (whole != HIDDEN).all()
    monkeypatch.setattr(conditionals, "CHUNK_SIZE", 100)
    assert len(list(model.chunks(len(levels)))) > 5
    assert torch.equal(draw_cells(model, given, make_generator(1)), whole)
    assert not torch.equal(draw_cells(model, given, make_generator(2)), whole)
    assert given.eq(HIDDEN).equal(hidden)  # what is given is not written to


def test_cells_are_drawn_with_a_place_in_their_bin(model):
    levels = every_row().repeat(20, 1)
    hidden = torch.rand(levels.shape, generator=make_generator(0)) < 0.5
    given = (levels + 0.5).double().masked_fill(hidden, HIDDEN)
    drawn = draw_cells(model, given, make_generator(1))
    assert torch.equal(drawn[~hidden], given[~hidden])
    whole = levels.masked_fill(hidden, HIDDEN)
    # No bin of this network is wide: places in them say nothing.
    assert torch.equal(drawn.long(), draw_cells(model, whole, make_generator(1)))
    places = (drawn - drawn.floor())[hidden].float()
    assert stats.kstest(places.numpy(), "uniform").pvalue > 1e-3
    assert 0 < places.min() < places.max() < 1


def test_levels_without_a_probability_are_never_drawn():
    shares = torch.tensor([[0.0, 0.5, 0.0, 0.5 - 1e-6, 0.0]]).repeat(3, 1)
    u = torch.tensor([0.0, 0.5, 1 - 1e-12], dtype=torch.float64)
    assert conditionals.levels_at(shares, u).tolist() == [1, 3, 3]


def test_predictions_are_means_and_likeliest_levels(model, monkeypatch):
    levels = every_row()
    levels[::2, 0] = HIDDEN
    shares = model.probabilities(levels).detach()
    monkeypatch.setattr(conditionals, "CHUNK_SIZE", 50)
    centers = CENTERS.nan_to_num(0.0)
    means, likeliest = predict_cells(model, levels, centers)
    for column, (first, last) in enumerate(itertools.pairwise((0, 3, 5, 9))):
        own = shares[:, first:last]
        torch.testing.assert_close(means[:, column], own @ centers[first:last])
        assert torch.equal(likeliest[:, column], own.argmax(dim=1))


def test_cells_are_filled_by_means_and_likeliest_levels(model):
    levels = every_row()
    hidden = torch.rand(levels.shape, generator=make_generator(0)) < 0.4
    given = levels.masked_fill(hidden, HIDDEN)
    filled = fillings(model, given, CENTERS)
    means, likeliest = predict_cells(model, given, CENTERS.nan_to_num(0.0))
    assert torch.equal(filled[:, ::2], means[:, ::2])
    assert torch.equal(filled[:, 1], likeliest[:, 1].double())


def test_leave_one_out_is_what_the_network_says_with_the_cell_hidden(
    model, monkeypatch
):
    levels = every_row()
    levels[::3, 2] = HIDDEN
    monkeypatch.setattr(conditionals, "CHUNK_SIZE", 50)
    found = dict(leave_one_out(model, levels))
    assert list(found) == [0, 1, 2]
    for column, shares in found.items():
        others = levels.clone()
        others[:, column] = HIDDEN
        expected = model.probabilities(others)[:, model.levels_of(column)].detach()
        torch.testing.assert_close(shares, expected)
        # The cell itself has no part in its prediction.
        same = (others[:, None] == others).all(dim=2)
        assert torch.allclose(shares[same.long().argmax(dim=1)], shares)


def test_a_row_alone_is_filled_as_among_others(model):
    levels = every_row()
    levels[:, 1] = HIDDEN
    means, _ = predict_cells(model, levels, CENTERS.nan_to_num(0.0))
    for i in (0, 7, 23):
        alone, _ = predict_cells(model, levels[i : i + 1], CENTERS.nan_to_num(0.0))
        torch.testing.assert_close(alone[0], means[i], rtol=1e-12, atol=1e-12)


def test_no_rows_give_no_rows(model):
    none = torch.empty((0, 3), dtype=torch.int64)
    assert draw_cells(model, none, make_generator(0)).shape == (0, 3)
    assert predict_cells(model, none, CENTERS)[0].shape == (0, 3)


def test_a_table_of_one_column_is_drawn_from_its_distribution():
    model = Conditionals.of(made_network((4,), dtype=torch.float32))
    levels = torch.full((8000, 1), HIDDEN)
    drawn = draw_cells(model, levels, make_generator(0))
    counts = np.bincount(drawn[:, 0], minlength=4)
    expected = model.probabilities(levels[:1])[0].detach().double().numpy()
    assert stats.chisquare(counts, 8000 * expected / expected.sum()).pvalue > 1e-3
