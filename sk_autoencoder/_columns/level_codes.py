"""The categories of a table that have many levels: codes of a few numbers."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sk_autoencoder._columns.base import ColumnGroup, entropy, inverse
from sk_autoencoder._columns.kinds import CategoryColumn

# Fraction of a column's variance that PCA is taken to leave at least: the gain of its
# codes is bounded, and no logit of a level becomes infinite.
LEAST_RESIDUAL = 0.05
# Levels beyond which training compares a row with the levels of its batch only; see
# docs/development/decisions/0008-categories-with-many-levels.md.
MOST_COMPARED = 1024
# Logits at a time where rows are decoded: 16 MB in float32, a few times over.
MOST_LOGITS = 4_000_000


class RandomCodeColumn(ColumnGroup):
    """One column of many levels, each a fixed random code of a few numbers.

    The decoder gives a direction t; level l has the logit log share_l + t . code_l.
    With n levels the codes have 4 log2 n numbers: they are far enough apart for the
    levels to be told from each other, and their number hardly grows.

    Parameters
    ----------
    cells, weights
        See `ColumnGroup`.
    columns : sequence of CategoryColumn
        One.

    References
    ----------
    Serra and Karatzoglou (2017), Getting deep recommenders fit: Bloom embeddings for
    sparse binary input/output networks, RecSys: codes in place of one-hots.
    Yi et al. (2019), Sampling-bias-corrected neural modeling for large corpus item
    recommendations, RecSys: comparing with the levels of a batch.
    """

    def __init__(
        self,
        cells: Sequence[int],
        weights: np.ndarray,
        columns: Sequence[CategoryColumn],
    ) -> None:
        (column,) = columns
        n_levels = len(column.levels)
        super().__init__(cells, weights, self.width_of(column))
        self.weight_units = np.array([entropy(column.shares)])
        codes = np.random.default_rng(n_levels).normal(size=(n_levels, self.n_outputs))
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
        mean = column.shares @ codes
        spread = np.sqrt(1 - np.square(mean).sum())
        self.write("codes", (codes - mean) / spread)
        self.write("log_share", np.log(column.shares))
        root = float(self.sqrt_weights[0])
        self.factor = np.full(self.n_outputs, root)
        self._to_plain = float(inverse(self.sqrt_weights)[0])
        self.gain = float(self.n_outputs)

    @staticmethod
    def width_of(column: CategoryColumn) -> int:
        """Return how many numbers the code of a level has."""
        return math.ceil(4 * math.log2(len(column.levels)))

    codes: Tensor
    log_share: Tensor

    def column_indices(self) -> np.ndarray:
        """Return the index of the column that each input belongs to, (d,)."""
        return np.repeat(self.index.numpy(), self.n_outputs)

    def input_spread(self) -> np.ndarray:
        """Return the standard deviations of the inputs in training, (d,)."""
        shares = np.exp(self.exact["log_share"])
        return np.sqrt(shares @ np.square(self.exact["codes"]))

    def _levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level of each row, and 1 or 0 for whether there is one, (n,)."""
        return x[:, 0].nan_to_num(0.0).long(), (~x[:, 0].isnan()).to(x)

    def inputs(self, x: Tensor) -> Tensor:
        """Return the codes around their mean, of unit variance."""
        level, there = self._levels(x)
        return self.codes[level] * there.unsqueeze(1)

    def set_residual_variance(self, variances: np.ndarray) -> None:
        """Trust PCA's codes as far as they are near the true ones."""
        fraction = variances.sum() * self._to_plain**2
        self.gain = self.n_outputs / max(fraction, LEAST_RESIDUAL)

    def _compared(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes and log weights of the levels compared with, and own places.

        NOTE[DIFF] Of very many levels, training compares with those of the batch
        alone. Each counts as often as it would have been drawn by chance.
        """
        if not self.training or len(self.codes) <= MOST_COMPARED:
            return self.codes, self.log_share, level
        some, place = level.unique(return_inverse=True)
        log_share = self.log_share[some]
        drawn = -torch.expm1(len(level) * torch.log1p(-log_share.exp()))
        return self.codes[some], log_share - drawn.log(), place

    def _by_rows(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Apply a function to so many rows at a time that their logits fit."""
        step = max(1, MOST_LOGITS // len(self.codes))
        if len(rows[0]) <= step:
            return function(*rows)
        parts = zip(*(values.split(step) for values in rows), strict=True)
        return torch.cat([function(*part) for part in parts])

    def _every_logit(self, raw: Tensor) -> Tensor:
        return self._logits(raw, self.codes, self.log_share)

    def _logits(self, raw: Tensor, codes: Tensor, log_share: Tensor) -> Tensor:
        with torch.autocast(raw.device.type, enabled=False):
            return torch.addmm(log_share, raw.to(codes), codes.t())

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy in nats."""
        if not self.training:
            return self._by_rows(self._cells, raw, x)
        return self._cells(raw, x)

    def _cells(self, raw: Tensor, x: Tensor) -> Tensor:
        level, there = self._levels(x)
        codes, log_share, place = self._compared(level)
        logits = self._logits(raw, codes, log_share)
        losses = F.cross_entropy(logits, place, reduction="none")
        return (losses * there).unsqueeze(1)

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy and its gradient."""
        level, there = self._levels(x)
        codes, log_share, place = self._compared(level)
        logs = F.log_softmax(self._logits(raw, codes, log_share), dim=1)
        own = logs.gather(1, place.unsqueeze(1))
        slope = logs.exp() @ codes - codes[place]
        there = there.unsqueeze(1)
        return -own * there, slope * there * self.weight

    def link(self, y: Tensor) -> Tensor:
        """Weigh a code that PCA gives by how far it is to be trusted."""
        return y * (self.gain * self._to_plain)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Undo `link` for gradients."""
        return gradient * (self.gain * self._to_plain)

    def expected(self, raw: Tensor) -> Tensor:
        """Return the mean code."""
        return self._by_rows(
            lambda own: self._every_logit(own).softmax(dim=1) @ self.codes, raw
        )

    def values(self, raw: Tensor) -> Tensor:
        """Return the likeliest level."""
        return self._by_rows(
            lambda own: self._every_logit(own).argmax(dim=1, keepdim=True), raw
        ).to(raw)

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a level."""
        return self._by_rows(
            lambda own: torch.multinomial(
                self._every_logit(own).softmax(1).float(), 1, generator=generator
            ),
            raw,
        ).to(raw)
