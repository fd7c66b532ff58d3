"""Fill, sample and predict cells of a table with a masked network.

A cell is the number of its level, `HIDDEN` where it is to be found. As a float it may
have a fraction: the position within the bin of a number. The columns turn cells back
into values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sk_autoencoder._columns.bins import MARGIN
from sk_autoencoder._inference.linear_filling import LinearFilling
from sk_autoencoder._model.masked import MaskedModule
from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder._utils.chunks import row_chunks
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder.networks._masked import MaskedNetwork

if TYPE_CHECKING:
    from sk_autoencoder._columns import LevelColumns

# Numbers of a chunk's widest array, rows by levels or by hidden units: what is made of
# them stays in the cache of usual processors.
CHUNK_SIZE = 1_000_000
# Smaller tail probabilities are rounding. No surprise is above six standard deviations.
LEAST_TAIL = 1e-9


@dataclass(frozen=True)
class Conditionals:
    """A trained network in the dtype of its samples, with its weights computed once.

    Attributes
    ----------
    network : MaskedNetwork
        In evaluation mode.
    table : Tensor of shape (n_levels + n_columns, width)
    weight : Tensor of shape (n_levels, width)
    bias : Tensor of shape (n_levels,)
    """

    network: MaskedNetwork
    table: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, network: MaskedNetwork) -> "Conditionals":
        """Compute the weights of a network in evaluation mode."""
        return cls(network, network.input(), *network.output())

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self.network.membership.shape[1]

    def encode(self, levels: Tensor) -> Tensor:
        """Return the last hidden layer, (n, width)."""
        return self.network.encode(levels, self.table)

    def probabilities(self, levels: Tensor) -> Tensor:
        """Return the probability of every level of every cell, (n, n_levels)."""
        logits = F.linear(self.encode(levels), self.weight, self.bias)
        return self.network.log_softmax(logits).exp_()

    def levels_of(self, column: int) -> slice:
        """Return where a column's levels stand."""
        first, last = self.network.offsets[column : column + 2].tolist()
        return slice(first, last)

    def chunks(self, n_rows: int) -> list[slice]:
        """Cut rows into slices that fit the cache."""
        return row_chunks(n_rows, max(self.weight.shape), CHUNK_SIZE)


class CellPredictor:
    """What users see of a masked module, for samples X (n, n_features) of one dtype.

    Parameters
    ----------
    module : MaskedModule
        In evaluation mode.
    dtype : torch.dtype

    Attributes
    ----------
    columns : LevelColumns
    """

    def __init__(self, module: MaskedModule, dtype: torch.dtype) -> None:
        self.columns = cast("LevelColumns", module.columns)
        self._model = Conditionals.of(in_dtype(module.network, dtype))

    def impute(self, X: Tensor, linear: LinearFilling | None = None) -> Tensor:
        """Return samples with their missing cells filled, but for empty columns."""
        cells, own = self.columns.cells(X), X[:, self.columns.index]
        found = self.fillings(cells, own, linear)
        filled = torch.where(cells == HIDDEN, found.to(X), own)
        return self._into(X, filled)

    def fillings(
        self, cells: Tensor, own: Tensor, linear: LinearFilling | None
    ) -> Tensor:
        """Return what each missing cell is filled with, (n, n_columns), in float64.

        Parameters
        ----------
        cells, own : Tensor of shape (n, n_columns)
            The cells, and what they are: numbers, and numbers of levels.
        linear : LinearFilling or None
            What is added to numbers.
        """
        found = fillings(self._model, cells, self.columns.centers().to(cells.device))
        if linear is None:
            return found
        hidden = cells == HIDDEN
        filled = torch.where(hidden, found, own.to(found))
        return linear.applied(filled, hidden, self.columns)

    def reconstruct(self, X: Tensor) -> Tensor:
        """Return each cell as it is predicted from the other cells of its sample.

        A number by its mean, a category by its likeliest level.
        """
        columns, found = self.columns, []
        for i, probabilities in leave_one_out(self._model, columns.cells(X)):
            means = columns.means[i]
            if means is None:
                found.append(probabilities.argmax(dim=1).to(X))
            else:
                found.append((probabilities.double() @ _like(means, X)).to(X))
        return self._into(X, torch.stack(found, dim=1))

    def draw(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Return samples whose missing cells are sampled, given the other cells.

        Parameters
        ----------
        X : Tensor of shape (n, n_features)
        generator : torch.Generator
            On the CPU.
        """
        # In the caller's dtype: float32 may not tell two large values apart.
        cells = self.columns.cells(X).float()
        drawn = draw_cells(self._model, cells, generator)
        values = self.columns.values(drawn).to(X)
        own = X[:, self.columns.index]
        return self._into(X, torch.where(cells == HIDDEN, values, own))

    def errors(self, X: Tensor) -> Tensor:
        """Return samples less what `reconstruct` predicts, (n, n_errors).

        Of categories by their probabilities.
        """
        found = leave_one_out(self._model, self.columns.cells(X))
        return torch.cat([self.columns.error(i, X, s) for i, s in found], dim=1)

    def surprises(self, X: Tensor) -> Tensor:
        """Return how improbable each cell is, given the other cells of its sample.

        The size of a standard normal number that is as improbable: 0 in the middle of
        the cell's distribution, and where a cell is missing. The levels of a category
        have no order: its tail is the levels that are less likely.

        **Shape**: (n, n_features), to the same in float64.
        """
        cells = self.columns.cells(X)
        levels = cells.long()
        found = torch.zeros_like(levels, dtype=torch.float64)
        for i, probabilities in leave_one_out(self._model, cells):
            probabilities = probabilities.double()
            own = levels[:, i : i + 1]
            of_cell = probabilities.gather(1, own.clamp_min(0))
            if self.columns.means[i] is None:
                is_tail = probabilities < of_cell
                tail = (probabilities * is_tail).sum(dim=1, keepdim=True)
                tail = (tail + of_cell / 2) / 2
            else:
                below = probabilities.cumsum(dim=1).gather(1, own.clamp_min(0))
                up_to = below - of_cell / 2
                tail = torch.minimum(up_to, 1 - up_to)
            sizes = -torch.special.ndtri(tail.clamp(LEAST_TAIL, 0.5))
            found[:, i] = torch.where(own == HIDDEN, 0.0, sizes).squeeze(1)
        return self._into(X.double(), found)

    def targets(self, X: Tensor) -> Tensor:
        """Return samples less their mean, in the units of `errors`."""
        return self.columns.centered_targets(X)

    def _into(self, X: Tensor, cells: Tensor) -> Tensor:
        """Put cells into their columns; constant ones are 0 until they are decoded."""
        rows = torch.zeros_like(X)
        rows[:, self.columns.index] = cells
        return rows


def _like(values: np.ndarray, X: Tensor) -> Tensor:
    return torch.from_numpy(values).to(X.device)


@torch.inference_mode()
def predict_cells(
    model: Conditionals, levels: Tensor, centers: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean and the likeliest level of every cell, from the cells seen.

    Parameters
    ----------
    model : Conditionals
    levels : Tensor of shape (n, n_columns)
        `HIDDEN` where a cell is missing.
    centers : Tensor of shape (n_levels,)
        The number that each level stands for: the mean of a bin.

    Returns
    -------
    means : Tensor of shape (n, n_columns)
        Mean of the centers under each cell's distribution.
    likeliest : Tensor of int of shape (n, n_columns)
    """
    values = centers.unsqueeze(1) * model.network.membership.to(centers)
    own, means, likeliest = [model.levels_of(i) for i in range(model.n_columns)], [], []
    for rows in model.chunks(len(levels)) or [slice(0)]:
        probabilities = model.probabilities(levels[rows])
        means.append(probabilities.to(centers) @ values)
        found = [probabilities[:, levels].argmax(dim=1) for levels in own]
        likeliest.append(torch.stack(found, dim=1))
    return torch.cat(means), torch.cat(likeliest)


def fillings(model: Conditionals, levels: Tensor, centers: Tensor) -> Tensor:
    """Return what each cell would be filled with, (n, n_columns), in float64.

    A number is the mean of its bins' means, a category the likeliest level.

    Parameters
    ----------
    model : Conditionals
    levels : Tensor of shape (n, n_columns)
    centers : Tensor of shape (n_levels,)
        Mean of each bin; NaN for the levels of categories.
    """
    is_category = centers[model.network.offsets[:-1]].isnan()
    means, likeliest = predict_cells(model, levels, centers.nan_to_num(0.0))
    return torch.where(is_category, likeliest.to(means), means)


@torch.inference_mode()
def draw_cells(
    model: Conditionals, levels: Tensor, generator: torch.Generator
) -> Tensor:
    """Return rows whose hidden cells are drawn, given those that are seen.

    Cells are drawn one after the other in an order of each row's own, each from its
    distribution given the seen cells and those drawn before: together they are a draw
    from the distribution of all hidden cells. A fixed order was worse, and several
    cells at a time, which are then independent of each other, much worse.

    Parameters
    ----------
    model : Conditionals
    levels : Tensor of shape (n, n_columns)
        `HIDDEN` where a cell is to be drawn: everywhere for a new sample. If these are
        floats, a position within the bin is drawn too, uniformly.
    generator : torch.Generator
        On the CPU. All random numbers are drawn at once, so that the result does not
        depend on the chunks.
    """
    drawn = levels.clone()
    hidden = levels == HIDDEN
    device = levels.device
    draw = partial(torch.rand, levels.shape, generator=generator, dtype=torch.float32)
    order = draw().to(device)
    order = order.masked_fill_(~hidden, 2.0).argsort(dim=1)
    u, places = draw().to(device), draw().clamp_(MARGIN, 1 - MARGIN).to(device)
    n_hidden = hidden.sum(dim=1)
    for rows in model.chunks(len(levels)):
        part = drawn[rows]
        for step in range(int(n_hidden[rows].max())):
            active = (n_hidden[rows] > step).nonzero().squeeze(1)
            column = order[rows][active, step]
            probabilities = _own_probabilities(model, part[active], column)
            chosen = levels_at(probabilities, u[rows][active, step])
            cells = chosen + places[rows][active, step]
            part[active, column] = cells.to(part.dtype)
    return drawn


@torch.inference_mode()
def leave_one_out(model: Conditionals, levels: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield each column with the probabilities of its levels, given the other columns.

    Parameters
    ----------
    model : Conditionals
    levels : Tensor of shape (n, n_columns)

    Yields
    ------
    column : int
    probabilities : Tensor of shape (n, n_levels)
        Of the column's levels.
    """
    for column in range(model.n_columns):
        own = model.levels_of(column)
        others = levels.clone()
        others[:, column] = HIDDEN
        parts = [
            F.linear(model.encode(others[rows]), model.weight[own], model.bias[own])
            for rows in model.chunks(len(levels))
        ]
        yield column, torch.cat(parts).softmax(dim=1)


def _own_probabilities(model: Conditionals, levels: Tensor, column: Tensor) -> Tensor:
    """Return the probabilities of one cell of each row, padded with 0.

    Parameters
    ----------
    model : Conditionals
    levels : Tensor of shape (n, n_columns)
    column : Tensor of int of shape (n,)
        Which cell.
    """
    offsets = model.network.offsets
    logits = F.linear(model.encode(levels), model.weight, model.bias)
    first, size = offsets[column], offsets.diff()[column]
    steps = torch.arange(int(size.max()), device=levels.device)
    places = (first.unsqueeze(1) + steps).clamp_(max=logits.shape[1] - 1)
    beyond = steps >= size.unsqueeze(1)
    return logits.gather(1, places).masked_fill_(beyond, -torch.inf).softmax(dim=1)


def levels_at(probabilities: Tensor, u: Tensor) -> Tensor:
    """Return the level of each row at which the distribution function reaches u."""
    reached = probabilities.double().cumsum(dim=1)
    # Rounding may leave the sum below u: the last level that has a probability then.
    last = (probabilities > 0).long().cumsum(dim=1).argmax(dim=1)
    level = torch.searchsorted(reached, u.double().unsqueeze(1), right=True)
    return torch.minimum(level.squeeze(1), last)
