"""A network of a table's cells: the distribution of each cell, given those it sees.

Every column is one of levels, categories or bins of a number. Hidden cells are part of
the input, so that one network knows every conditional distribution of the table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder.networks._layers import Dropout, linear

# Bumps along a number's bins, by which neighbors share what they learn: a few wide
# ones and more narrow ones. Without them a boosted classifier told samples from real
# rows with an AUC of .69, with them of .60.
N_WIDE, N_NARROW = 4, 12
# Units of a block's hidden layer for each unit of the trunk.
EXPANSION = 2
# Standard deviations of what a level and a bump add to the trunk at the start, for a
# whole row; of the bumps' output weights; and what the other output weights are of
# torch's default.
LEVEL_STD, BUMP_STD, BUMP_OUTPUT_STD, OUTPUT_SCALE = 0.6, 0.3, 0.02, 0.3
# Added to the counts of the levels, so that one that is never seen has a logarithm.
PSEUDO_COUNT = 0.5


@dataclass(frozen=True)
class LevelColumn:
    """What the network is told of a column.

    Attributes
    ----------
    counts : ndarray of shape (n_levels,)
        Training cells of each level.
    positions : ndarray of shape (n_levels, 2) or None
        Two numbers that say where a bin of a number lies; None for categories, which
        have no order.
    is_wide : ndarray of bool of shape (n_levels,) or None
        Which bins hold more than one value; None where none does.
    """

    counts: np.ndarray
    positions: np.ndarray | None = None
    is_wide: np.ndarray | None = None

    def neighbors(self, step: int) -> np.ndarray:
        """Return the level beside each, `step` -1 or 1 from it; itself where none is.

        Only wide bins are beside each other.
        """
        levels = np.arange(len(self.counts))
        if self.is_wide is None:
            return levels
        beside = (levels + step).clip(0, len(levels) - 1)
        return np.where(self.is_wide & self.is_wide[beside], beside, levels)


class MaskedNetwork(nn.Module):
    """Logits of every level of every column, from the cells that are not hidden.

    **Shape**: cells (n, n_columns), `HIDDEN` for what is not seen, to logits
    (n, n_levels), the columns' levels one column after the other. A cell is a level,
    plus a fraction that says where in its bin a number lies; whole numbers, not floats,
    lie in the middle.

    A cell adds to the trunk what its level does, mixed with what the next bin does, the
    more the nearer it is: from one middle to the next is a line.

    Parameters
    ----------
    columns : sequence of LevelColumn
    hidden_layer_sizes : tuple of int
        As many residual blocks as there are sizes, all the same.
    dropout : float
    generator : torch.Generator
        Draws the initial weights. On the CPU.

    Attributes
    ----------
    offsets : Tensor of shape (n_columns + 1,)
        Where each column's levels begin.
    column_index : Tensor of shape (n_levels,)
        Which column each level is of.
    membership : Tensor of shape (n_levels, n_columns)
        The same as ones and zeros.
    below, above : Tensor of shape (n_levels + n_columns,)
        The level beside each.

    References
    ----------
    Gorishniy et al. (2022), On embeddings for numerical features in tabular deep
    learning, NeurIPS: piecewise linear encodings.
    """

    offsets: Tensor
    below: Tensor
    above: Tensor
    column_index: Tensor
    membership: Tensor

    def __init__(
        self,
        *,
        columns: Sequence[LevelColumn],
        hidden_layer_sizes: Sequence[int],
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        width, *others = hidden_layer_sizes
        if any(size != width for size in others):
            raise ValueError(
                "expected layers of one width, which residual blocks add to each "
                f"other, got hidden_layer_sizes={tuple(hidden_layer_sizes)}. Pass "
                f"hidden_layer_sizes={(width,) * (1 + len(others))}."
            )
        n_levels = np.array([len(column.counts) for column in columns])
        offsets = torch.from_numpy(np.cumsum(np.append(0, n_levels)))
        index = np.repeat(np.arange(len(columns)), n_levels)
        self.register_buffer("offsets", offsets)
        self.register_buffer("column_index", torch.from_numpy(index))
        membership = F.one_hot(self.column_index, len(columns)).float()
        self.register_buffer("membership", membership)
        starts = np.repeat(offsets[:-1].numpy(), n_levels)
        hidden = len(index) + np.arange(len(columns))
        for name, step in (("below", -1), ("above", 1)):
            beside = np.concatenate([column.neighbors(step) for column in columns])
            rows = torch.from_numpy(np.append(starts + beside, hidden))
            self.register_buffer(name, rows, persistent=False)
        self.input = LevelEmbedding(columns, width, generator)
        self.blocks = nn.Sequential(
            *(ResidualBlock(width, dropout, generator) for _ in hidden_layer_sizes)
        )
        self.norm = nn.LayerNorm(width, dtype=torch.float32)
        self.dropout = FastDropout(dropout)
        self.output = LevelOutput(columns, width, generator)

    def forward(self, cells: Tensor) -> Tensor:
        """Return the logits of every cell's levels, seen or not."""
        return F.linear(self.encode(cells, self.input()), *self.output())

    def encode(self, cells: Tensor, table: Tensor) -> Tensor:
        """Return the last hidden layer, (n, width).

        Parameters
        ----------
        cells : Tensor of shape (n, n_columns)
        table : Tensor of shape (n_levels + n_columns, width)
            What `input` gives: it is the same for all rows.
        """
        rows, weights = self.places(cells)
        hidden = F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
        last: Tensor = self.dropout(self.norm(self.blocks(hidden)))
        return last

    def places(self, cells: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return which rows of the table cells add, and with which weights."""
        n_columns, levels = cells.shape[1], cells.long()
        unseen = self.offsets[-1] + torch.arange(n_columns, device=cells.device)
        rows = torch.where(levels == HIDDEN, unseen, self.offsets[:-1] + levels)
        if not cells.is_floating_point():
            return rows, None
        off = cells - levels - 0.5  # the middle; what it is of hidden cells is the same
        beside = torch.where(off < 0, self.below[rows], self.above[rows])
        share = off.abs()
        return torch.cat([rows, beside], dim=1), torch.cat([1 - share, share], dim=1)

    def log_softmax(self, logits: Tensor) -> Tensor:
        """Return log probabilities: normalize the logits of each column's levels."""
        centered = self._centered(logits)
        return centered - self._log_totals(centered).index_select(1, self.column_index)

    def _centered(self, logits: Tensor) -> Tensor:
        """Take off the highest logit of each column."""
        index = self.column_index.expand_as(logits)
        with torch.no_grad():
            # A probability is the same whatever is taken off: no gradient.
            highest = logits.new_full(
                (len(logits), self.membership.shape[1]), -math.inf
            )
            highest.scatter_reduce_(1, index, logits, "amax")
        return logits - highest.index_select(1, self.column_index)

    def _log_totals(self, centered: Tensor) -> Tensor:
        """Return the logarithm of the sum of each column's exponentials, (n, d)."""
        # By a product: columns differ in their numbers of levels.
        return (centered.exp() @ self.membership).log()

    def per_sample_loss(
        self,
        logits: Tensor,
        levels: Tensor,
        scored: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the mean cross-entropy of each sample's scored cells, in nats, (n,).

        A sample without such a cell has 0.

        Parameters
        ----------
        logits : Tensor of shape (n, n_levels)
        levels : Tensor of shape (n, n_columns)
            The true ones, or cells. Those that are missing in the data are not scored.
        scored : Tensor of bool of shape (n, n_columns)
            Cells that were hidden.
        weights : Tensor of shape (n_columns,) or None
            Of the columns in the mean; None is 1 for each.
        """
        levels = levels.long()
        counts = (scored & (levels != HIDDEN)).to(logits)
        if weights is not None:
            counts = counts * weights
        places = self.offsets[:-1] + levels.clamp_min(0)
        centered = self._centered(logits)
        losses = self._log_totals(centered) - centered.gather(1, places)
        # Where nothing counts the sum is 0 as well.
        total = counts.sum(dim=1)
        return (losses * counts).sum(dim=1) / torch.where(total > 0, total, 1.0)


class ResidualBlock(nn.Module):
    """Adds a hidden layer's answer to its input, and nothing before training.

    **Shape**: (n, width), kept.

    Parameters
    ----------
    width : int
    dropout : float
    generator : torch.Generator

    References
    ----------
    Gorishniy et al. (2021), Revisiting deep learning models for tabular data, NeurIPS.
    """

    def __init__(self, width: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, dtype=torch.float32)
        self.expand = linear(width, EXPANSION * width, generator)
        self.dropout = FastDropout(dropout)
        self.reduce = linear(EXPANSION * width, width, generator)
        nn.init.zeros_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize, expand, reduce and add."""
        added: Tensor = self.reduce(self.dropout(self.expand(self.norm(x)).relu()))
        return x + added


class FastDropout(Dropout):
    """Dropout whose mask takes a fifth of the time, to a precision of 1 / 65,536.

    **Shape**: any, kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop units in training; do nothing in evaluation."""
        if not self.training or not self.p:
            return x
        # Four random numbers of 16 bits in each word.
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.generator)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        keep = bits < round((0.5 - self.p) * 2**16)
        return x * keep.to(x.dtype).div_(1 - self.p)


class _Bumps(nn.Module):
    """Functions along the bins of each number, with weights for each number's own.

    **Shape**: nothing to (n_levels, width): what the functions add to each level.

    Parameters
    ----------
    columns : sequence of LevelColumn
    functions : sequence of ndarray of shape (n_bins, n_functions)
        Of each number.
    weights : Tensor of shape (n_numbers, n_functions, width)
    """

    functions: Tensor
    rows: Tensor

    def __init__(
        self,
        columns: Sequence[LevelColumn],
        functions: Sequence[np.ndarray],
        weights: Tensor,
    ) -> None:
        super().__init__()
        self.n_levels = sum(len(column.counts) for column in columns)
        is_number = [column.positions is not None for column in columns]
        sizes = np.array([len(column.counts) for column in columns])
        first = np.cumsum(sizes) - sizes
        most = max((len(values) for values in functions), default=0)
        padded = np.zeros((len(functions), most, weights.shape[1]), np.float32)
        # Where the padding goes: behind the last level, to be cut off.
        rows = np.full((len(functions), most), self.n_levels)
        for i, (values, start) in enumerate(
            zip(functions, first[np.array(is_number, bool)], strict=True)
        ):
            padded[i, : len(values)] = values
            rows[i, : len(values)] = start + np.arange(len(values))
        self.register_buffer("functions", torch.from_numpy(padded))
        self.register_buffer("rows", torch.from_numpy(rows).flatten())
        self.weight = nn.Parameter(weights)

    def forward(self) -> Tensor:
        """Return what the functions of each level add, 0 for categories."""
        width = self.weight.shape[2]
        added = torch.bmm(self.functions, self.weight).reshape(-1, width)
        total = added.new_zeros((self.n_levels + 1, width))
        return total.index_copy(0, self.rows, added)[:-1]


class LevelEmbedding(nn.Module):
    """What each level adds to the trunk where it is seen, and each hidden cell.

    **Shape**: nothing to (n_levels + n_columns, width).

    The two numbers that say where a bin lies are functions of the bin as the bumps are,
    so that the linear map of them is a part of the table.

    Parameters
    ----------
    columns : sequence of LevelColumn
    width : int
    generator : torch.Generator
    """

    def __init__(
        self, columns: Sequence[LevelColumn], width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        n_levels = sum(len(column.counts) for column in columns)
        self.in_features, self.out_features = n_levels, width
        root = math.sqrt(len(columns))
        levels = _normal((n_levels + len(columns), width), generator)
        self.weight = nn.Parameter(levels * (LEVEL_STD / root))
        numbers = [c.positions for c in columns if c.positions is not None]
        n_bumps = N_WIDE + N_NARROW
        shape = (len(numbers), n_bumps, width)
        bumps = _normal(shape, generator) * (BUMP_STD / root)
        # torch's default for a layer of all these numbers.
        bound = 1 / math.sqrt(max(1, 2 * len(numbers)))
        shape = (len(numbers), 2, width)
        along = torch.empty(shape, dtype=torch.float32)
        along.uniform_(-bound, bound, generator=generator)
        functions = [
            np.concatenate([_gaussian_bumps(len(where)), where], axis=1)
            for where in numbers
        ]
        self.bumps = _Bumps(columns, functions, torch.cat([bumps, along], dim=1))

    def forward(self) -> Tensor:
        """Return the table."""
        n_levels = self.bumps.n_levels
        levels = self.weight[:n_levels] + self.bumps()
        return torch.cat([levels, self.weight[n_levels:]])


class LevelOutput(nn.Module):
    """Weight and bias of the layer that gives the logits.

    **Shape**: nothing to (n_levels, width) and (n_levels,).

    Parameters
    ----------
    columns : sequence of LevelColumn
    width : int
    generator : torch.Generator
    """

    def __init__(
        self, columns: Sequence[LevelColumn], width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        n_levels = sum(len(column.counts) for column in columns)
        self.in_features, self.out_features = width, n_levels
        free = linear(width, n_levels, generator).weight.detach()
        self.weight = nn.Parameter(free * OUTPUT_SCALE)
        logs = [np.log(column.counts + PSEUDO_COUNT) for column in columns]
        logs = [log - np.logaddexp.reduce(log) for log in logs]
        self.bias = nn.Parameter(torch.from_numpy(np.concatenate(logs)).float())
        functions = [
            _gaussian_bumps(len(c.counts)) for c in columns if c.positions is not None
        ]
        shape = (len(functions), N_WIDE + N_NARROW, width)
        bumps = _normal(shape, generator) * BUMP_OUTPUT_STD
        self.bumps = _Bumps(columns, functions, bumps)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return the weight and the bias."""
        return self.weight + self.bumps(), self.bias


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw standard normal weights."""
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def _gaussian_bumps(n_bins: int) -> np.ndarray:
    """Return the values of Gaussian bumps along so many bins, (n_bins, n_bumps)."""
    where = (np.arange(n_bins) + 0.5) / n_bins
    bumps = []
    for n_bumps in (N_WIDE, N_NARROW):
        centers = (np.arange(n_bumps) + 0.5) / n_bumps
        bumps.append(np.exp(-0.5 * ((where[:, None] - centers) * n_bumps) ** 2))
    return np.concatenate(bumps, axis=1)
