"""Batches of samples that are read again and again: checked, and sketched once."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from sk_autoencoder._columns import (
    ColumnStatistics,
    Table,
    TableSketch,
    Whole,
    join_all,
)
from sk_autoencoder._estimators.validation import (
    check_table,
    dense_numbers,
    table_rows,
)
from sk_autoencoder._training.stream import RowStream, row_keys
from sk_autoencoder._utils.chunks import row_slices
from sk_autoencoder._utils.shapes import flat_rows
from sk_autoencoder._utils.sklearn_compat import take_rows
from sk_autoencoder._utils.values import shortened

# Cells of a batch that are read at once, 8 MB in float64, whatever its size.
CHUNK_CELLS = 2**20

# The most samples that are kept, and cells of them. Ranks that are estimated from so
# many are off by at most .005 with probability .99, and so many validation samples show
# a gain of a thousandth.
MOST_SAMPLED, MOST_SAMPLED_CELLS = 2**17, 2**23

HOW_TO_PASS = (
    "Pass a list of arrays or frames, or a function that gives an iterator over them, "
    "as lambda: pandas.read_csv(path, chunksize=10_000)."
)


class SampledRows:
    """A random sample of the rows of a stream: those of the least keys.

    Parameters
    ----------
    seed : int
        Of the keys; see `row_keys`.
    """

    def __init__(self, seed: int) -> None:
        self._generator = row_keys(seed)
        self._keys: list[np.ndarray] = []
        self._parts: list[Any] = []
        self._n_held, self._most, self._bound = 0, MOST_SAMPLED, 1.0

    def add(self, rows: Any) -> None:
        """Add some of these rows, a frame, an array or a CSR matrix."""
        n_columns = max(1, rows.shape[1])
        self._most = max(2, min(MOST_SAMPLED, MOST_SAMPLED_CELLS // n_columns))
        keys = self._generator.random(rows.shape[0])
        kept = keys < self._bound
        if not kept.any():
            return
        self._keys.append(keys[kept])
        self._parts.append(take_rows(rows, kept))
        self._n_held += len(self._keys[-1])
        if self._n_held > 2 * self._most:
            self._drop_most()

    def _drop_most(self) -> None:
        keys, rows = np.concatenate(self._keys), join_all(self._parts, "batches")
        if len(keys) > self._most:
            self._bound = float(np.partition(keys, self._most)[self._most])
            kept = keys < self._bound
            keys, rows = keys[kept], take_rows(rows, kept)
        self._keys, self._parts, self._n_held = [keys], [rows], len(keys)

    def rows(self) -> Any:
        """Return the sample, in the order of the stream."""
        self._drop_most()
        return self._parts[0]

    def with_rows(self, parts: list[Any], n_rows: int) -> Any:
        """Return the sample with more rows appended, unless it already has all rows."""
        rows = self.rows()
        if rows.shape[0] == n_rows:
            return rows
        return join_all([rows, *(part for part in parts if part.shape[0])], "batches")

    def held_out(self, n_rows: int, fraction: float) -> tuple[Any, float]:
        """Return validation rows, and the number that their keys are below.

        At most the whole sample; None where fewer than two rows would be left.

        Parameters
        ----------
        n_rows : int
            Of the stream.
        fraction : float
            Of these rows, to be held out.
        """
        if not fraction:
            return None, 0.0
        rows, keys = self.rows(), self._keys[0]
        n_held_out = min(math.ceil(fraction * n_rows), len(keys), n_rows - 2)
        if n_held_out <= 0:
            return None, 0.0
        below = self._bound
        if n_held_out < len(keys):
            below = float(np.partition(keys, n_held_out)[n_held_out])
        return take_rows(rows, keys < below), below


class BatchReader:
    """Batches as an estimator reads them: checked, and in chunks of some size.

    Parameters
    ----------
    estimator : estimator
        Keeps the names of the features.
    batches : iterable or callable
        As `fit_batches` takes them.
    network : Network or None
        Says which shapes a sample may have.
    table : Table or None
        How samples are read, where that is known and they are not numbers alone.
    goes_on : bool
        Whether the features have to be those of the fit before.

    Attributes
    ----------
    table : Table or None
        Known after the first pass.
    row_shape : tuple of int or None
        That samples have, where they are not flat.
    new_levels : dict of set
        Levels that are taken for missing, by column.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        batches: Any,
        network: Any,
        table: Table | None = None,
        *,
        goes_on: bool = False,
    ) -> None:
        self._estimator, self._network, self.table = estimator, network, table
        self._goes_on = goes_on
        self._open = opener(batches)
        self.row_shape: tuple[int, ...] | None = None
        self.new_levels: dict[Any, set[Any]] = {}
        self._n_features = 0

    def read(
        self,
        check: Callable[[], None],
        table_check: Callable[[Any], Callable[..., Any] | None],
        sketch: TableSketch,
        make_table: Callable[[Any, Any], Table],
        *,
        fraction: float,
        seed: int,
    ) -> RowStream:
        """Read all batches once, and return their samples as a stream.

        Parameters
        ----------
        check : callable
            Called once the features are known, before the other batches are read.
        table_check : callable
            Returns what validates samples like the first, where no table is known and
            they are to be one; None where they are numbers alone.
        sketch : TableSketch
        make_table : callable
            Finds out how a table becomes numbers, from some samples and the sketch.
        fraction : float
            Of the samples to hold out.
        seed : int
            Of those.
        """
        statistics: ColumnStatistics | None = None
        n_rows, dtypes, new = 0, set(), list[Any]()
        sample, validate = SampledRows(seed), None
        for i, chunk in self._chunks():
            with batch_errors(i):
                reset = n_rows == 0 and not self._goes_on
                if reset and self.table is None:
                    validate = table_check(chunk)
                if validate is not None:
                    rows = validate(self._estimator, chunk, reset=reset)
                    new.append(take_rows(rows, sketch.add(rows)))
                else:
                    rows = self._matrix(chunk, reset=reset)
                    part = self._statistics(rows)
                    statistics = part if statistics is None else statistics.joined(part)
                    dtypes.add(rows.dtype)
            if n_rows == 0:
                check()
            n_rows += rows.shape[0]
            if validate is not None or fraction:
                sample.add(rows)
        refuse_few(n_rows)
        if validate is dense_numbers and not any(map(varies, sketch.columns)):
            # A table without a number that varies is read again, as plain numbers.
            return self.read(
                check, lambda _: None, sketch, make_table, fraction=fraction, seed=seed
            )
        if validate is not None:
            self.table = make_table(sample.with_rows(new, n_rows), sketch.columns)
            statistics = self.table.own_statistics(n_rows)
        assert statistics is not None
        dtype = np.result_type(*dtypes) if self.table is None else self.table.dtype
        held_out, below = sample.held_out(n_rows, fraction)
        if held_out is not None:
            if validate is not None and self.table is not None:
                held_out = self.table.matrix(held_out)
            held_out = held_out.astype(dtype, copy=False)
        return RowStream(
            lambda: self._matrices(dtype),
            statistics,
            dtype,
            held_out=held_out,
            below=below,
            seed=seed,
        )

    def _statistics(self, rows: np.ndarray) -> ColumnStatistics:
        table = self.table
        return ColumnStatistics.of(rows) if table is None else table.statistics(rows)

    def _chunks(self) -> Iterator[tuple[int, Any]]:
        """Return the batches' rows, some at a time, with the position of the batch."""
        is_first = True
        for i, batch in enumerate(self._open()):
            with batch_errors(i):
                rows, shape = flat_rows(batch, self._network)
                if sparse.issparse(rows):
                    rows = rows.tocsr()
                else:
                    rows = check_table(self._estimator, rows)
                if is_first:
                    self.row_shape = shape
                elif shape != self.row_shape:
                    raise ValueError(
                        f"expected samples of shape {self.row_shape}, as in the first "
                        f"batch, got {shape}. Pass batches of one shape."
                    )
            is_first = False
            for part in row_slices(rows.shape[0], max(1, CHUNK_CELLS // rows.shape[1])):
                yield i, take_rows(rows, part)

    def _matrix(self, chunk: Any, *, reset: bool = False) -> np.ndarray:
        """Validate samples, and turn them into numbers."""
        if self.table is None:
            return dense_numbers(self._estimator, chunk, reset=reset)
        return table_rows(
            self._estimator, chunk, self.table, reset=reset, new_levels=self.new_levels
        )

    def _matrices(self, dtype: np.dtype) -> Iterator[np.ndarray]:
        """Read all samples again, as numbers."""
        for i, chunk in self._chunks():
            with batch_errors(i):
                rows = self._matrix(chunk)
            yield rows.astype(dtype, copy=False)


def refuse_few(n_rows: int) -> None:
    """Refuse fewer than two samples in all."""
    if n_rows < 2:
        raise ValueError(
            f"expected at least 2 samples, got batches with {n_rows}. {HOW_TO_PASS}"
        )


def varies(column: Whole) -> bool:
    """Whether a column holds numbers that vary."""
    return isinstance(column, ColumnStatistics) and bool(column.varies.any())


@contextmanager
def batch_errors(position: int) -> Iterator[None]:
    """Name the batch in an error of the block."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"expected batches of samples that go together, got batch {position} "
            f"(counted from 0), refused because: {error}"
        ) from error


def opener(batches: Any) -> Callable[[], Iterator[Any]]:
    """Return a function that returns a new iterator over batches at each call.

    Raises
    ------
    TypeError
        If these are not batches, or can be read only once.
    """
    if callable(batches):
        return lambda: _iterator(batches(), "a function that returns ")
    if _iterator(batches) is batches:
        raise TypeError(
            "expected batches that can be read again for each epoch, got an iterator "
            f"of type {type(batches).__name__}, which can be read once. {HOW_TO_PASS}"
        )
    return lambda: iter(batches)


def _iterator(batches: Any, through: str = "batches=") -> Iterator[Any]:
    """Return an iterator over batches; refuse a path, a single batch and the like."""
    got = f"got {through}{shortened(batches)} of type {type(batches).__name__}"
    if isinstance(batches, str | bytes | os.PathLike):
        raise TypeError(
            f"expected an iterable of batches, {got}: a path is not read. {HOW_TO_PASS}"
        )
    if hasattr(batches, "shape") or isinstance(batches, dict):
        raise TypeError(
            f"expected several batches, {got}. {HOW_TO_PASS} A single batch that is "
            "larger than memory is [X]; for one that is not, call fit(X)."
        )
    try:
        return iter(batches)
    except TypeError:
        raise TypeError(
            "expected an iterable of batches, or a function that gives an iterator, "
            f"{got}. {HOW_TO_PASS}"
        ) from None
