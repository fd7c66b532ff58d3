"""Groups of a table: columns of one kind, side by side.

Shapes: x (n, c) are cells of c columns, numbers around 0 or numbers of levels, NaN
where there is nothing. Inputs are (n, d), 0 for a missing cell; d is c for numbers and
pairs of levels, and more for categories. `raw` (n, d) is what the decoder gives.

The *score* is the space in which PCA sees the table: each column has a variance of its
weight there. `factor` (d,) leads from inputs to it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._utils.float64_buffers import Float64Buffers

# Nats that a column of categories counts for at least: an error in one that hardly ever
# varies would otherwise outweigh all others. Of two levels, the rarer is then in nine
# rows of a thousand.
LEAST_ENTROPY = 0.05


class ColumnGroup(Float64Buffers):
    """Base of the groups.

    Parameters
    ----------
    cells : sequence of int
        Positions of the columns in the table.
    weights : ndarray of shape (c,)
        Of the columns.
    n_outputs : int
        d.

    Attributes
    ----------
    weight : Tensor of shape (c,)
        What a cell's loss is multiplied by.
    factor : ndarray of shape (d,)
    """

    index: Tensor
    weight: Tensor
    factor: np.ndarray
    weight_units: np.ndarray

    def __init__(self, cells: Sequence[int], weights: np.ndarray, n_outputs: int):
        super().__init__()
        self.register_buffer("index", torch.tensor(cells, dtype=torch.long))
        self.n_outputs = n_outputs
        self.sqrt_weights = np.sqrt(weights)

    @staticmethod
    def width_of(column: Any) -> int:
        """Return how many inputs a column of the group has."""
        return 1

    def set_weight(self, total: float, *, balanced: bool) -> None:
        """Set what cells count for: a fraction of a total, or all if unbalanced."""
        weights = np.square(self.sqrt_weights)
        shares = weights / (self.weight_units * total)
        self.write("weight", shares if balanced else weights)

    def column_indices(self) -> np.ndarray:
        """Return the index of the column that each input belongs to, (d,)."""
        return self.index.numpy()

    def to_error_units(self, *, in_units: bool) -> np.ndarray:
        """Return what leads from inputs to the units of errors, (d,).

        Parameters
        ----------
        in_units : bool
            The caller's units; else that of a column's variance in the score, unless
            a weight changes that.
        """
        return np.ones(self.n_outputs)

    def input_spread(self) -> np.ndarray:
        """Return the standard deviations of the inputs in training, (d,)."""
        return np.ones(self.n_outputs)

    def of(self, x: Tensor) -> Tensor:
        """Take the group's cells (n, c) from those of the whole table."""
        return x.index_select(1, self.index)

    def inputs(self, x: Tensor) -> Tensor:
        """Turn cells into inputs."""
        raise NotImplementedError

    def mean_inputs(self) -> Tensor:
        """Return the mean of the inputs in training, (d,)."""
        return self.weight.new_zeros(self.n_outputs)

    def centered(self, x: Tensor) -> Tensor:
        """Turn cells into inputs that are around 0."""
        return self.inputs(x)

    def passed(self, x: Tensor) -> Tensor:
        """Turn cells into what stands beside hidden features."""
        return self.inputs(x)

    def cell_losses(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each cell (n, c), 0 where it is missing; not yet weighted."""
        raise NotImplementedError

    def gradient(self, raw: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score each cell, and give the gradient of the weighted sum by `raw`."""
        raise NotImplementedError

    def set_residual_variance(self, variances: np.ndarray) -> None:
        """Set the variance that PCA leaves in each number of the score, (d,)."""

    def set_variance(self, variance: float) -> None:
        """Start from a variance of the errors; only a normal density has one."""

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the variances around the trained reconstruction; see `set_variance`.

        `outputs` are the decoder's outputs and cells, not read where there are none.
        """

    def link(self, y: Tensor) -> Tensor:
        """Turn a row of the score that PCA gives into what the decoder would."""
        raise NotImplementedError

    def losses_of_inputs(self, raw: Tensor, x: Tensor, inputs: Tensor) -> Tensor:
        """Return `cell_losses`, where `inputs` is what `inputs(x)` gives."""
        return self.cell_losses(raw, x)

    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""
        raise NotImplementedError

    def expected(self, raw: Tensor) -> Tensor:
        """Return the expected inputs, (n, d)."""
        raise NotImplementedError

    def values(self, raw: Tensor) -> Tensor:
        """Return the likeliest cells, (n, c)."""
        raise NotImplementedError

    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw cells, (n, c)."""
        raise NotImplementedError

    def log_density(self, raw: Tensor, x: Tensor) -> Tensor:
        """Compute each row's log density, (n,) in nats: without weights."""
        return -self.cell_losses(raw, x).sum(dim=1)


def inverse(values: np.ndarray) -> np.ndarray:
    """Return 1 / value, and 0 for 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def entropy(shares: np.ndarray) -> float:
    """Entropy of a column in nats, with a floor."""
    return max(float(-(shares * np.log(shares)).sum()), LEAST_ENTROPY)
