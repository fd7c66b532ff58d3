"""The network of a table's cells: shapes, masks, loss and initial weights."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sk_autoencoder._columns.bins import Bins
from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.networks._masked import (
    FastDropout,
    LevelColumn,
    MaskedNetwork,
)

SIZES = [40, 3, 2, 7]


def made_columns():
    """Make columns of bins, of three categories, of a flag and of whole numbers."""
    rng = np.random.default_rng(0)
    bins = Bins.of(rng.exponential(size=500))
    few = Bins.of(rng.integers(0, 7, size=500).astype(float))
    return [
        LevelColumn(bins.counts, bins.positions),
        LevelColumn(np.array([100.0, 0, 400])),
        LevelColumn(np.array([250.0, 250])),
        LevelColumn(few.counts, few.positions),
    ]


def made_network(columns=None, *, seed=0, dropout=0.2, sizes=(16, 16)):
    return MaskedNetwork(
        columns=made_columns() if columns is None else columns,
        hidden_layer_sizes=sizes,
        dropout=dropout,
        generator=make_generator(seed),
    )


def trained_looking(network):
    """Move all weights, so that no part of a network is at its start."""
    generator = make_generator(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return network.eval()


def made_levels(columns, n=30, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [len(column.counts) for column in columns]
    return torch.from_numpy(rng.integers(0, sizes, size=(n, len(sizes))))


def slow_table(network, columns):
    """Return the embedding of each level, one column after the other."""
    free, bumps = network.input.weight, network.input.bumps.weight
    rows, place, number = [], 0, 0
    for column in columns:
        n = len(column.counts)
        own = free[place : place + n]
        if column.positions is not None:
            x = (torch.arange(n) + 0.5) / n
            basis = [
                torch.exp(-0.5 * ((x - (i + 0.5) / m) * m) ** 2)
                for m in (4, 12)
                for i in range(m)
            ]
            where = torch.from_numpy(column.positions).float()
            basis = torch.cat([torch.stack(basis, dim=1), where], dim=1)
            own = own + basis @ bumps[number]
            number += 1
        rows.append(own)
        place += n
    return rows, free[place:]


def test_input_is_the_sum_of_what_seen_levels_and_hidden_cells_add():
    columns = made_columns()
    network = trained_looking(made_network(columns))
    levels = made_levels(columns)
    levels[torch.rand(levels.shape, generator=make_generator(0)) < 0.5] = HIDDEN
    rows, hidden = slow_table(network, columns)
    expected = torch.stack(
        [
            sum(
                hidden[j] if level == HIDDEN else rows[j][level]
                for j, level in enumerate(row)
            )
            for row in levels
        ]
    )
    own, weights = network.places(levels)
    assert weights is None
    found = F.embedding_bag(own, network.input(), mode="sum")
    torch.testing.assert_close(found, expected)


def test_a_cell_mixes_what_its_bin_and_the_next_wide_one_add():
    # Bins 1 to 3 of the number hold several values, 0 and 4 a single one each.
    is_wide = np.array([False, True, True, True, False])
    number = LevelColumn(np.full(5, 9.0), np.zeros((5, 2)), is_wide)
    category = LevelColumn(np.ones(2))
    network = trained_looking(made_network([number, category]))
    table = network.input().detach()
    expected = {
        0.2: table[0],
        1.2: table[1],
        1.9: 0.6 * table[1] + 0.4 * table[2],
        2.5: table[2],
        2.25: 0.75 * table[2] + 0.25 * table[1],
        3.9: table[3],
        4.9: table[4],
        HIDDEN: table[7],
    }
    cells = torch.tensor([[cell, 1.0] for cell in expected])
    own, weights = network.places(cells)
    assert own.shape == (8, 4)
    found = F.embedding_bag(own, table, mode="sum", per_sample_weights=weights)
    whole = torch.stack([row + table[6] for row in expected.values()])
    torch.testing.assert_close(found, whole)
    # Whole numbers lie in the middle of their bins.
    middle = torch.tensor([[2, 1]])
    torch.testing.assert_close(network(middle), network(middle + 0.5))


def test_logits_are_of_each_level_and_hidden_values_do_not_reach_them():
    columns = made_columns()
    network = trained_looking(made_network(columns))
    levels = made_levels(columns)
    sizes = [len(column.counts) for column in columns]
    assert network.offsets.tolist() == np.cumsum([0, *sizes]).tolist()
    logits = network(levels)
    assert logits.shape == (30, sum(sizes))
    torch.testing.assert_close(network(levels[3:4]), logits[3:4])
    # What is seen matters, and that something is hidden too.
    for column in range(4):
        other = levels.clone()
        other[:, column] = (other[:, column] + 1) % sizes[column]
        assert (network(other) != logits).any(dim=1).all()
        other[:, column] = HIDDEN
        assert (network(other) != logits).any(dim=1).all()


def test_probabilities_of_each_column_add_up_to_one():
    network = trained_looking(made_network())
    logits = 200 * torch.randn((50, 4), generator=make_generator(0))
    # Columns far from each other, and one whose levels are: none may underflow.
    logits = logits[:, network.column_index]
    logits = logits + 30 * torch.randn(logits.shape, generator=make_generator(1))
    found = network.log_softmax(logits)
    for first, last in itertools.pairwise(network.offsets.tolist()):
        expected = logits[:, first:last].log_softmax(dim=1)
        torch.testing.assert_close(found[:, first:last], expected)


def test_loss_is_the_mean_cross_entropy_of_hidden_cells_that_are_known():
    columns = made_columns()
    network = trained_looking(made_network(columns))
    levels = made_levels(columns, n=4)
    levels[0, 1] = levels[3] = HIDDEN
    scored = torch.tensor(
        [[1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool
    )
    logits = network(levels.masked_fill(scored, HIDDEN))
    logits = logits.detach()
    found = network.per_sample_loss(logits, levels, scored)
    first = network.offsets.tolist()
    losses = torch.stack(
        [
            F.cross_entropy(
                logits[:, first[j] : first[j + 1]],
                levels[:, j].clamp_min(0),
                reduction="none",
            )
            for j in range(4)
        ],
        dim=1,
    )
    expected = [losses[0, [0, 3]].mean(), losses[1].mean(), 0, 0]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_loss_has_the_gradient_of_its_cross_entropies():
    columns = made_columns()
    network = made_network(columns).eval()
    levels = made_levels(columns, n=3)
    scored = torch.ones((3, 4), dtype=torch.bool)
    logits = torch.randn((3, len(network.column_index)), dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda given: network.double().per_sample_loss(given, levels, scored), logits
    )


def test_untrained_network_gives_about_the_counts_of_each_column():
    columns = made_columns()
    network = made_network(columns, sizes=(256, 256)).eval()
    levels = torch.full((1, 4), HIDDEN)
    counts = torch.from_numpy(np.concatenate([c.counts + 0.5 for c in columns]))
    total = (counts @ network.membership.double())[network.column_index]
    expected = (counts / total).log().float()
    torch.testing.assert_close(network.output.bias.detach(), expected)
    found = network.log_softmax(network(levels))[0]
    assert (found - expected).abs().max() < 2.0


def test_initial_weights_are_as_wide_as_the_recipe_has_them():
    columns = [LevelColumn(np.ones(50), np.zeros((50, 2)))] * 9
    network = made_network(columns, sizes=(64, 64))
    root = 3.0
    bumps = network.input.bumps.weight
    assert network.input.weight.std().item() == pytest.approx(0.6 / root, rel=0.05)
    assert bumps[:, :16].std().item() == pytest.approx(0.3 / root, rel=0.05)
    assert bumps[:, 16:].abs().max().item() == pytest.approx(18**-0.5, rel=0.05)
    assert network.output.bumps.weight.std().item() == pytest.approx(0.02, rel=0.05)
    largest = network.output.weight.abs().max().item()
    assert largest == pytest.approx(0.3 / 8, rel=0.05)
    for block in network.blocks:
        assert not block.reduce.weight.any()
        assert not block.reduce.bias.any()


def test_blocks_add_nothing_at_the_start():
    network = made_network().eval()
    x = torch.randn((5, 16), generator=make_generator(0))
    assert torch.equal(network.blocks(x), x)


def test_same_seed_same_weights_and_no_global_draw():
    before = torch.get_rng_state()
    first, second, other = (made_network(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(
        first.parameters(), second.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        # Matrices are drawn, but for those that are zero at the start.
        assert a.dim() == 1 or not a.any() or not torch.equal(a, c)


def test_every_weight_is_trained():
    columns = made_columns()
    network = trained_looking(made_network(columns, dropout=0.0)).train()
    levels = made_levels(columns, n=200)
    # A level that no row has takes no part in the input.
    hidden = torch.rand(levels.shape, generator=make_generator(0)) < 0.5
    logits = network(levels.masked_fill(hidden, HIDDEN))
    network.per_sample_loss(logits, levels, hidden).mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert (weight.grad != 0).double().mean() > 0.7, name


def test_tables_without_numbers_and_of_one_column():
    columns = [LevelColumn(np.array([3.0, 4, 5]))]
    network = made_network(columns)
    network.train()
    for part in network.modules():
        if hasattr(part, "generator"):
            part.generator = make_generator(0)
    levels = made_levels(columns, n=5)
    logits = network(torch.full_like(levels, HIDDEN))
    scored = torch.ones((5, 1), dtype=torch.bool)
    loss = network.per_sample_loss(logits, levels, scored).mean()
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3), abs=1)


def test_layers_of_several_widths_are_refused():
    with pytest.raises(ValueError, match=r"^expected layers of one width.*\(8, 8\)\."):
        made_network(sizes=(8, 4))


def test_learns_what_a_cell_says_of_another():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, size=512)
    levels = torch.from_numpy(np.stack([x, (x + 1) % 4], axis=1))
    columns = [LevelColumn(np.bincount(column)) for column in levels.T.numpy()]
    network = made_network(columns, dropout=0.0, sizes=(32, 32))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    hidden = torch.zeros(levels.shape, dtype=torch.bool)
    hidden[:, 1] = True
    for _ in range(40):
        logits = network(levels.masked_fill(hidden, HIDDEN))
        loss = network.per_sample_loss(logits, levels, hidden).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_dropout_drops_its_share_in_training_and_keeps_the_mean(share):
    dropout = FastDropout(share).train()
    dropout.generator = make_generator(0)
    x = torch.ones((301, 333))  # not a multiple of four
    found = dropout(x)
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=0.005)
    assert found.mean().item() == pytest.approx(1, abs=0.015)
    assert not share or not torch.equal(dropout(x), found)
    dropout.generator = make_generator(0)
    assert torch.equal(dropout(x), found)
    assert torch.equal(dropout.eval()(x), x)
