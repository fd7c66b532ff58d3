"""Rows in memory and the batches cut from them.

A batch is one gather from one array. On the CPU that array is the caller's own,
where it is float32 and in C order: nothing is copied, nothing is written to, and
a memory map is read as the batches need it. float64 costs one float32 copy, a GPU
one copy on the device, and a sparse matrix is made dense a batch at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sk_autoencoder._utils.chunks import dense_rows, row_chunks

# Columns from which on the inputs of sparse rows are given by their filled columns, and
# stored cells of a column in a batch, on average, up to which: with one, at most two
# thirds of the columns are filled.
THIN_COLUMNS, MOST_FILLED = 1000, 1.0
# Numbers up to which batches are gathered together: a call for each takes as long.
AT_ONCE = 2**16
# Likewise on a GPU, where to start a call takes longer than most batches' gathering.
AT_ONCE_ON_GPU = 2**24


class ThinBatch(NamedTuple):
    """A batch of sparse rows most of whose columns are empty, for a first layer.

    Attributes
    ----------
    columns : Tensor of shape (m,)
        Those with a stored cell.
    cells : Tensor of shape (n, m)
        What stands there, 0 where nothing is stored.
    empty : Tensor of shape (n_features,)
        What a row in which nothing is stored is when it is centered.
    """

    columns: Tensor
    cells: Tensor
    empty: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features of the batch."""
        return self.cells.shape[0], self.empty.shape[0]


class TrainingRows(torch.utils.data.Dataset[Any], ABC):
    """Rows that a net is trained on, and the validation set that belongs to them.

    Attributes
    ----------
    dtype : dtype
        Of the rows as they came.
    validation : RowDataset or None
    """

    dtype: np.dtype
    validation: "RowDataset | None"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def chunks(self) -> Iterator[np.ndarray]:
        """Return the rows as they came, dense, a few at a time."""


class RowDataset(TrainingRows):
    """Training rows, given out centered, float32 and on the device.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Never written to.
    mean : ndarray of shape (n_features,), float64
        Taken off every row, before it is rounded where X is float64.
    device : torch.device or str
    resident : bool or None
        Whether to keep dense rows as a tensor on the device; None does so on every
        device but the CPU.
    validation : RowDataset or None
        The validation set that belongs to these rows, if the caller gave one: then
        all rows are trained on.

    Attributes
    ----------
    source : ndarray or CSR matrix of shape (n_samples, n_features)
        X as it came.
    """

    def __init__(
        self,
        X: Any,
        *,
        mean: np.ndarray,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
        validation: "RowDataset | None" = None,
    ) -> None:
        self.validation = validation
        self.device = torch.device(device)
        resident = self.device.type != "cpu" if resident is None else resident
        self.source, self.dtype, self.n_features = X, X.dtype, X.shape[1]
        self._mean = torch.from_numpy(mean.astype(np.float32))
        self._sparse = sparse.issparse(X)
        self._centered = not self._sparse and (X.dtype != np.float32 or resident)
        self.density = 1.0
        if self._sparse:
            self.density = X.nnz / max(1, X.shape[0] * X.shape[1])
            # As dense rows of the same dtype, to the bit.
            mean = mean.astype(X.dtype)
            self._empty = (0 - mean).astype(np.float32)
            cells = (X.data - mean[X.indices]).astype(np.float32)
            X = sparse.csr_array((cells, X.indices, X.indptr), shape=X.shape)
        elif self._centered:
            X = _centered_copy(X, mean)
        else:
            # `take` copies the whole of an array in another order, at every call.
            X = np.ascontiguousarray(X)
        self._array: Any = X
        self._mean = self._mean.to(self.device)
        if resident and not self._sparse:
            self._array = torch.from_numpy(X).to(self.device)

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def chunks(self) -> Iterator[np.ndarray]:
        """Return the rows as they came, dense, a few at a time."""
        for rows in row_chunks(*self.source.shape):
            yield dense_rows(self.source, rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        """One row twice, as input and as target: for loaders other than ours."""
        row = self.gather(np.array([i]))[0]
        return row, row

    def to_index(self, indices: np.ndarray) -> np.ndarray | Tensor:
        """Put indices where the rows are: one copy for an epoch's batches."""
        if isinstance(self._array, Tensor):
            return torch.from_numpy(indices).to(self.device)
        return indices

    def gather(self, indices: np.ndarray | Tensor) -> Tensor:
        """Gather rows, (len(indices), n_features), centered. A fresh tensor.

        Parameters
        ----------
        indices : ndarray or Tensor of int
            From `to_index`, whole or in part.
        """
        if isinstance(self._array, Tensor):
            return self._array.index_select(0, torch.as_tensor(indices).to(self.device))
        if self._sparse:
            return self._dense(self._array[indices])
        rows = torch.from_numpy(self._array.take(indices, axis=0))
        return rows if self._centered else rows.sub_(self._mean)

    def gather_thin(self, indices: Any) -> tuple[Tensor, ThinBatch]:
        """Gather rows of a sparse matrix on the CPU: as `gather` does, and thin."""
        stored = self._array[indices]
        columns, place = np.unique(stored.indices, return_inverse=True)
        cells = np.zeros((stored.shape[0], len(columns)), dtype=np.float32)
        cells[_row_of_each(stored), place] = stored.data - self._empty[stored.indices]
        parts = columns.astype(np.int64), cells, self._empty
        return self._dense(stored), ThinBatch(*map(torch.from_numpy, parts))

    def _dense(self, stored: Any) -> Tensor:
        """Make some of the centered sparse rows dense."""
        dense = np.tile(self._empty, (stored.shape[0], 1))
        dense[_row_of_each(stored), stored.indices] = stored.data
        return torch.from_numpy(dense).to(self.device)


def _row_of_each(stored: Any) -> np.ndarray:
    """Return the row of each stored cell."""
    return np.repeat(np.arange(stored.shape[0]), np.diff(stored.indptr))


def _centered_copy(X: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Copy X - mean to float32, subtracting before rounding, a chunk at a time."""
    centered = np.empty(X.shape, dtype=np.float32)
    # Only a table's constant columns, which nobody reads, may be too large.
    with np.errstate(over="ignore"):
        for rows in row_chunks(*X.shape):
            centered[rows] = X[rows] - mean
    return centered


class Batches:
    """Batches (x, x) of some rows, in their order or in a fresh random one.

    A last batch of one row would be useless to batch normalization and to swap
    noise: it joins the batch before.

    Parameters
    ----------
    rows : RowDataset
    indices : ndarray of int
    batch_size : int
    generator : torch.Generator or None
        Draws a new order for each pass; None keeps the order.
    n_drawn : int or None
        Rows of a pass in a random order; where there are fewer `indices`, some come
        again. None is each row once.

    Attributes
    ----------
    n_draws : int
        How many times all of them come, one time after the other.
    gives_thin : bool
        Whether the first x of a batch is a `ThinBatch`.
    """

    def __init__(
        self,
        rows: RowDataset,
        indices: np.ndarray,
        batch_size: int,
        generator: torch.Generator | None = None,
        n_drawn: int | None = None,
    ) -> None:
        self.rows, self.indices = rows, indices
        self.batch_size, self.generator = batch_size, generator
        self.n_drawn = len(indices) if n_drawn is None else n_drawn
        self.n_draws = 1
        self.gives_thin = False

    @property
    def is_thin(self) -> bool:
        """Whether rows are sparse, with many columns, most of them empty in a batch."""
        return (
            self.rows.density < 1
            and self.rows.n_features >= THIN_COLUMNS
            and self.rows.density * self.batch_size <= MOST_FILLED
        )

    def __len__(self) -> int:
        return self.n_draws * self._n_batches

    @property
    def _n_batches(self) -> int:
        """Number of batches that each row comes in once."""
        n, size = self.n_drawn, self.batch_size
        count = -(-n // size)
        return count - 1 if count > 1 and size > 1 and n % size == 1 else count

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        indices = self.indices
        if self.generator is not None:
            order = torch.randperm(len(indices), generator=self.generator)
            while len(order) < self.n_drawn:
                again = torch.randperm(len(indices), generator=self.generator)
                order = torch.cat([order, again])[: self.n_drawn]
            indices = indices[order.numpy()]
        placed, count = self.rows.to_index(indices), self._n_batches
        size = self.batch_size
        bounds = [*range(0, count * size, size), len(indices)]
        for _ in range(self.n_draws):
            for first in range(0, count, self._at_once):
                some = bounds[first : first + self._at_once + 1]
                rows = placed[some[0] : some[-1]]
                if self.gives_thin:
                    x, thin = self.rows.gather_thin(rows)
                    yield thin, x
                else:
                    sizes = [stop - start for start, stop in pairwise(some)]
                    yield from ((x, x) for x in self.rows.gather(rows).split(sizes))

    @property
    def _at_once(self) -> int:
        """Number of batches that are gathered together."""
        if self.rows.density < 1:
            return 1
        most = AT_ONCE if self.rows.device.type == "cpu" else AT_ONCE_ON_GPU
        return max(1, most // (self.batch_size * self.rows.n_features))


def split_rows(
    n_rows: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the validation samples.

    Parameters
    ----------
    n_rows : int
    fraction : float
        Of the rows, rounded up; 0 holds out none.
    seed : int
        The same split for the same seed and number of rows.

    Returns
    -------
    train, valid : ndarray of int32
        Two rows at least are left to train on; `valid` is None where there are no more.
    """
    n_valid = min(int(np.ceil(fraction * n_rows)), n_rows - 2)
    every = np.arange(n_rows, dtype=np.int32)
    if n_valid <= 0:
        return every, None
    held_out = np.zeros(n_rows, dtype=bool)
    generator = np.random.default_rng(seed)
    held_out[generator.choice(n_rows, n_valid, replace=False, shuffle=False)] = True
    return every[~held_out], every[held_out]
