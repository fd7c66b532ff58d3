"""Rows that are read anew in each pass, and the batches cut from them.

Nothing is held but a buffer in which rows are shuffled.
"""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._training.batches import RowDataset, TrainingRows

# Numbers that are shuffled at a time, 64 MB in float32. With the copies that shuffling
# takes they are most of the memory of a fit.
BUFFERED_CELLS = 2**24


class RowStream(TrainingRows):
    """Training rows that are read anew in each pass: all of them, in one order.

    Parameters
    ----------
    read : callable () -> iterator of ndarray of shape (n, n_features)
        Reads all of them, a few at a time.
    statistics : ColumnStatistics
        Of all.
    dtype : dtype
    held_out : ndarray of shape (n_validation_samples, n_features) or None
        The validation samples among them.
    below : float
        They are those whose keys are below it; see `row_keys`.
    seed : int
        Of the keys.

    Attributes
    ----------
    validation : RowDataset or None
        The validation set, which is not trained on.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[np.ndarray]],
        statistics: ColumnStatistics,
        dtype: np.dtype,
        *,
        held_out: np.ndarray | None = None,
        below: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._read, self._below, self._seed = read, below, seed
        self.statistics, self.dtype, self.held_out = statistics, dtype, held_out
        self.shape = (statistics.n_rows, len(statistics.mean))
        self.validation: RowDataset | None = None
        self.device = torch.device("cpu")
        self._mean = np.zeros(self.shape[1])
        self._is_part = False

    def placed(
        self, mean: np.ndarray, device: str, validation: RowDataset | None
    ) -> "RowStream":
        """Return the same rows for batches around a mean, on a device."""
        return self._with(
            _mean=mean, device=torch.device(device), validation=validation
        )

    def training_part(self) -> "RowStream":
        """Return the rows that are trained on: all but the validation samples."""
        return self._with(_is_part=True)

    def _with(self, **attributes: Any) -> "RowStream":
        other = copy(self)
        vars(other).update(attributes)
        return other

    def __len__(self) -> int:
        n_held_out = 0 if self.held_out is None else len(self.held_out)
        return self.shape[0] - self._is_part * n_held_out

    def chunks(self) -> Iterator[np.ndarray]:
        """Read the rows, a few at a time.

        Raises
        ------
        ValueError
            If they are not those of the first pass, as far as can be told.
        """
        keys, n_read, n_drawn = row_keys(self._seed), 0, 0
        for chunk in self._read():
            n_read += len(chunk)
            if self.held_out is not None:
                drawn = keys.random(len(chunk)) < self._below
                known = self.held_out[n_drawn : n_drawn + int(drawn.sum())]
                if not np.array_equal(chunk[drawn], known, equal_nan=True):
                    raise ValueError(
                        "expected batches with the same samples in the same order in "
                        "each pass, got others in a later pass than in the first: "
                        "validation samples would be trained on. Pass batches in a "
                        "fixed order, which need not be random: the samples are "
                        "shuffled in fit_batches."
                    )
                n_drawn += len(known)
                if self._is_part:
                    yield chunk[~drawn]
                    continue
            yield chunk
        if n_read != self.shape[0]:
            raise ValueError(
                f"expected the {self.shape[0]} samples of the first pass in each pass, "
                f"got {n_read} in a later one. Pass a function that gives a new "
                "iterator over all of them at each call."
            )

    def centered(self) -> Iterator[np.ndarray]:
        """Read the rows as batches have them: centered and in float32."""
        for chunk in self.chunks():
            rows = RowDataset(chunk, mean=self._mean)
            yield rows.gather(np.arange(len(rows))).numpy()


class StreamBatches:
    """Batches (x, x) of a stream, in its order or shuffled within a buffer.

    A last batch of one row joins the batch before, as in `Batches`.

    Parameters
    ----------
    rows : RowStream
    batch_size : int
    generator : torch.Generator or None
        Draws a new order for each pass; None keeps the order.

    Attributes
    ----------
    n_draws : int
        How many times all of them come: once.
    """

    n_draws = 1

    def __init__(
        self,
        rows: RowStream,
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows, self.batch_size, self.generator = rows, batch_size, generator

    def __len__(self) -> int:
        return max(1, -(-(len(self.rows) - self._n_joined) // self.batch_size))

    @property
    def _n_joined(self) -> int:
        """Number of rows at the end that are no batch by themselves."""
        return int(self.batch_size > 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        chunks = self.rows.centered()
        if self.generator is not None:
            n_buffered = max(2, BUFFERED_CELLS // max(1, self.rows.shape[1]))
            chunks = shuffled(chunks, n_buffered, self.generator)
        size, least = self.batch_size, self.batch_size + self._n_joined
        left = np.empty((0, self.rows.shape[1]), np.float32)
        for chunk in chunks:
            left = np.concatenate([left, chunk]) if len(left) else chunk
            start = 0
            while len(left) - start > least:
                yield self._batch(left[start : start + size])
                start += size
            left = left[start:]
        if len(left):
            yield self._batch(left)

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(rows).to(self.rows.device)
        return x, x


def row_keys(seed: int) -> np.random.Generator:
    """Make the generator of one key a row, uniform in [0, 1), for one pass.

    The first n numbers are those of the first n rows, however these are cut.
    """
    return np.random.default_rng(seed)


def shuffled(
    chunks: Iterator[np.ndarray], n_buffered: int, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Shuffle rows within a buffer: half of it is given out each time that it is full.

    Parameters
    ----------
    chunks : iterator of ndarray of shape (n, n_features)
    n_buffered : int
        Rows in a full buffer. All rows of a stream of no more are in random order.
    generator : torch.Generator
    """
    parts: list[np.ndarray] = []
    n_held = 0
    for chunk in chunks:
        parts.append(chunk)
        n_held += len(chunk)
        if n_held > n_buffered:
            held = np.concatenate(parts)
            order = torch.randperm(n_held, generator=generator).numpy()
            n_held = n_buffered // 2
            parts = [held[order[:n_held]]]
            yield held[order[n_held:]]
    if parts:
        held = np.concatenate(parts)
        yield held[torch.randperm(n_held, generator=generator).numpy()]
