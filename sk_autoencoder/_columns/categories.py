"""The categories of a table that have few levels: two, or a number for each."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sk_autoencoder._columns.base import ColumnGroup, entropy, inverse
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._columns.links import LEAST_PROBABILITY, LogitLink

# Logits beyond this are as good as certain, because e^-30 is below the rounding of 1 in
# float32, and sums of their exponentials are far below its largest number, e^88.
LARGEST_LOGIT = 30.0
LINK = LogitLink()


class BinaryColumns(ColumnGroup):
    """Columns of two levels, scored by cross-entropy.

    Parameters
    ----------
    cells, weights
        See `ColumnGroup`.
    columns : sequence of CategoryColumn
    """

    share: Tensor
    spread: Tensor
    to_plain: Tensor

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[CategoryColumn],
    ) -> None:
        super().__init__(cells, weights, len(cells))
        share = np.array([column.shares[1] for column in columns])
        spread = np.sqrt(share * (1 - share))
        self.weight_units = np.array([entropy(column.shares) for column in columns])
        self.write("share", share)
        self.write("spread", spread)
        self.factor = self.sqrt_weights
        self.write("to_plain", spread * inverse(self.sqrt_weights))

    def inputs(self, x: Tensor) -> Tensor:
        """Standardize; see `ColumnGroup`."""
        return ((x - self.share) / self.spread).nan_to_num_(0.0)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy in nats."""
        losses = F.binary_cross_entropy_with_logits(
            raw, x.nan_to_num(0.0), reduction="none"
        )
        return losses.masked_fill(x.isnan(), 0.0)

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy and its gradient."""
        slope = (raw.sigmoid() - x).masked_fill_(x.isnan(), 0.0)
        return self.cell_losses(raw, x), slope * self.weight

    def link(self, y: Tensor) -> Tensor:
        """Return logits of probabilities kept away from 0 and 1."""
        return LINK(y * self.to_plain + self.share)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Undo `link` for gradients; beyond its bounds it is flat."""
        share = y * self.to_plain + self.share
        return LINK.vjp(gradient, share) * self.to_plain

    def expected(self, raw: Tensor) -> Tensor:
        """Return the inputs of the probabilities."""
        return (raw.sigmoid() - self.share) / self.spread

    def values(self, raw: Tensor) -> Tensor:
        """Return the likelier level."""
        return (raw > 0).to(raw)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw levels."""
        # In float32 whatever the dtype: the same seed gives the same levels.
        return torch.bernoulli(raw.sigmoid().float(), generator=generator).to(raw)


class OneHotColumns(ColumnGroup):
    """Columns of a few levels, a number for each, scored by cross-entropy.

    Parameters
    ----------
    cells, weights
        See `ColumnGroup`.
    columns : sequence of CategoryColumn
    """

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[CategoryColumn],
    ) -> None:
        sizes = np.array([len(column.levels) for column in columns])
        super().__init__(cells, weights, int(sizes.sum()))
        share = np.concatenate([column.shares for column in columns])
        column_index = np.repeat(np.arange(len(sizes)), sizes)
        spread = np.sqrt([1 - np.square(column.shares).sum() for column in columns])
        self.weight_units = np.array([entropy(column.shares) for column in columns])
        self._sizes = sizes.tolist()
        self.register_buffer("column_index", torch.from_numpy(column_index))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.register_buffer("starts", torch.from_numpy(starts))
        self.write("share", share)
        self.write("spread", spread[column_index])
        self.write("members", np.eye(len(sizes))[column_index])
        roots = self.sqrt_weights[column_index]
        self.factor = roots
        self.write("to_plain", spread[column_index] * inverse(roots))

    @staticmethod
    def width_of(column: CategoryColumn) -> int:
        """Return how many levels a column has."""
        return len(column.levels)

    column_index: Tensor
    starts: Tensor
    share: Tensor
    spread: Tensor
    members: Tensor
    to_plain: Tensor

    def column_indices(self) -> np.ndarray:
        """Return the index of the column that each input belongs to, (d,)."""
        return self.index[self.column_index].numpy()

    def input_spread(self) -> np.ndarray:
        """Return the standard deviations of the inputs in training, (d,)."""
        share = self.exact["share"]
        return np.sqrt(share * (1 - share)) / self.exact["spread"]

    def _hot(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the levels' places (n, c), whether there are any, and one-hots."""
        there = (~x.isnan()).to(x)
        places = x.nan_to_num(0.0).long() + self.starts
        hot = x.new_zeros((x.shape[0], self.n_outputs)).scatter_(1, places, there)
        return places, there, hot

    def inputs(self, x: Tensor) -> Tensor:
        """Return one-hots around their mean, all of a column of unit variance."""
        _, there, hot = self._hot(x)
        hot -= self.share * there[:, self.column_index]
        return hot.div_(self.spread)

    def _logits(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return safe logits and the log of each column's sum of exponentials."""
        # The gradient goes straight through: a logit out of bounds can come back.
        safe = raw + (raw.clamp(-LARGEST_LOGIT, LARGEST_LOGIT) - raw).detach()
        with torch.autocast(raw.device.type, enabled=False):
            sums = safe.to(self.members).exp() @ self.members
        return safe, sums.log()

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy in nats."""
        places, there, _ = self._hot(x)
        logits, sums = self._logits(raw)
        return (sums - logits.gather(1, places)) * there

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy and its gradient."""
        places, there, hot = self._hot(x)
        logits, sums = self._logits(raw)
        slope = (logits - sums[:, self.column_index]).exp_() * there[
            :, self.column_index
        ] - hot
        losses = (sums - logits.gather(1, places)) * there
        return losses, slope * self.weight[self.column_index]

    def link(self, y: Tensor) -> Tensor:
        """Return log probabilities that are kept away from 0 and 1."""
        return (
            (y * self.to_plain + self.share)
            .clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            .log()
        )

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Undo `link` for gradients; beyond its bounds it is flat."""
        share = y * self.to_plain + self.share
        low, high = LEAST_PROBABILITY, 1 - LEAST_PROBABILITY
        inside = (share >= low) & (share <= high)
        return torch.where(inside, gradient * self.to_plain / share, 0.0)

    def _probabilities(self, raw: Tensor) -> Tensor:
        logits, sums = self._logits(raw)
        return (logits - sums[:, self.column_index]).exp()

    def expected(self, raw: Tensor) -> Tensor:
        """Return the inputs of the probabilities."""
        return (self._probabilities(raw) - self.share) / self.spread

    def values(self, raw: Tensor) -> Tensor:
        """Return the likeliest level of each column."""
        blocks = raw.split(self._sizes, dim=1)
        return torch.stack([block.argmax(dim=1) for block in blocks], dim=1).to(raw)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw levels."""
        blocks = self._probabilities(raw).float().split(self._sizes, dim=1)
        drawn = [torch.multinomial(b, 1, generator=generator) for b in blocks]
        return torch.cat(drawn, dim=1).to(raw)


class SquaredPairs(BinaryColumns):
    """Columns of two levels, 0 and 1 whatever their proportions, by squared error."""

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[CategoryColumn],
    ) -> None:
        super().__init__(cells, weights, columns)
        self.weight_units = np.ones(len(cells))

    def inputs(self, x: Tensor) -> Tensor:
        """Return the levels' numbers, 0 for missing ones."""
        return x.nan_to_num(0.0)

    def centered(self, x: Tensor) -> Tensor:
        """Standardize."""
        return super().inputs(x)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return squared errors."""
        return (raw - x).masked_fill(x.isnan(), 0.0).square()

    def expected(self, raw: Tensor) -> Tensor:
        """Return the reconstruction, standardized."""
        return (raw - self.share) / self.spread

    def values(self, raw: Tensor) -> Tensor:
        """Return the nearer level."""
        return (raw > 0.5).to(raw)


class SquaredOneHots(OneHotColumns):
    """Columns of a few levels, 0 and 1 whatever their proportions, by squared error."""

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[CategoryColumn],
    ) -> None:
        super().__init__(cells, weights, columns)
        self.weight_units = np.ones(len(cells))

    def inputs(self, x: Tensor) -> Tensor:
        """Return one-hots, 0 for missing cells."""
        return self._hot(x)[2]

    def centered(self, x: Tensor) -> Tensor:
        """Return one-hots around their mean, all of a column of unit variance."""
        return super().inputs(x)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return squared errors, the sum over a column's levels."""
        _, there, hot = self._hot(x)
        squares = (raw - hot).square() @ self.members
        return squares * there

    def expected(self, raw: Tensor) -> Tensor:
        """Return the reconstruction around its mean."""
        return (raw - self.share) / self.spread
