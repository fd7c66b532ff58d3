"""Inputs of sparse samples: products with them in the time of their filled columns.

They are 1 c' + V + N, where c is what an empty sample is, V is 0 but in few columns,
and N is noise. Normal numbers in all cells of N would take longer than all else. So
N = D S, where D are normal numbers, (n, m), and S spreads them over the columns, each
to every m-th, with a sign that is drawn anew for each step. Every cell is normal, and
any two columns are uncorrelated over the signs. Noise on the filled columns alone makes
errors 3% larger (`docs/development/decisions/0039-sparse-samples.md`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sk_autoencoder._training.batches import ThinBatch

# Of D: with more there is nothing to be gained, and with fewer not much.
N_DRAWS = 1024


@dataclass(frozen=True)
class ThinInputs:
    """The inputs of a batch.

    Attributes
    ----------
    rest : Tensor of shape (n_in,)
        c.
    columns : Tensor of shape (m,)
    cells : Tensor of shape (n, m)
        V in these columns.
    draws : Tensor of shape (n, n_draws) or None
        D; None without noise.
    signs : Tensor of shape (n_in,)
        Of S.
    """

    rest: Tensor
    columns: Tensor
    cells: Tensor
    draws: Tensor | None = None
    signs: Tensor | None = None

    @classmethod
    def of(cls, batch: ThinBatch, weight: Tensor) -> "ThinInputs":
        """Return the inputs that are centered samples times a weight a column."""
        cells = batch.cells * weight[batch.columns]
        return cls(batch.empty * weight, batch.columns, cells)

    def noisy(self, level: float, generator: torch.Generator | None) -> "ThinInputs":
        """Return these inputs with normal noise of a standard deviation."""
        shape = self.cells.shape[0], min(N_DRAWS, len(self.rest))
        draws = self.cells.new_empty(shape).normal_(0, level, generator=generator)
        signs = torch.empty_like(self.rest).bernoulli_(0.5, generator=generator)
        return replace(self, draws=draws, signs=signs.mul_(2).sub_(1))

    def times(self, weight: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the product with a weight (n_out, n_in), and a bias beside it."""
        start = torch.addmv(bias, weight, self.rest)
        some = weight.index_select(1, self.columns)
        out = torch.addmm(start, self.cells, some.t(), out=out)
        if self.draws is not None and self.signs is not None:
            width = self.draws.shape[1]
            folded = weight.new_zeros(weight.shape[0], width)
            for first in range(0, len(self.rest), width):  # no copy of the weight
                part = weight[:, first : first + width]
                signs = self.signs[first : first + width]
                folded[:, : part.shape[1]].addcmul_(part, signs)
            out.addmm_(self.draws, folded.t())
        return out

    def transposed_times(self, gradient: Tensor, out: Tensor) -> None:
        """Write the gradient of the weight from that of the product, (n, n_out)."""
        torch.outer(gradient.sum(dim=0), self.rest, out=out)
        out.index_add_(1, self.columns, gradient.t() @ self.cells)
        if self.draws is not None and self.signs is not None:
            width, folded = self.draws.shape[1], gradient.t() @ self.draws
            every = len(self.rest) // width * width
            whole = out[:, :every].unflatten(1, (-1, width))
            whole.addcmul_(folded[:, None], self.signs[:every].view(-1, width))
            end = folded[:, : len(self.rest) - every]
            out[:, every:].addcmul_(end, self.signs[every:])
