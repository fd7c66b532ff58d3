"""Recorded operators of torch as nodes of an ONNX graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sk_autoencoder.export._graph import Graph
from sk_autoencoder.export._record import (
    Recording,
    Ref,
    Rows,
    Spread,
    Step,
    Unsupported,
)

DTYPES = {torch.bool, torch.int32, torch.int64, torch.float32, torch.float64}

Shape = tuple[int | Rows, ...]
Emitter = Callable[..., Any]
"""Adds an operator of torch to a graph.

It is given the `Translator`, which knows what the results have to be, and the
operator's arguments, in which tensors are `Operand`. It returns the name of the result,
or a list of names.
"""


@dataclass(frozen=True)
class Operand:
    """A tensor in the graph.

    Attributes
    ----------
    name : str
    shape : tuple of int and Rows
    dtype : dtype
    value : ndarray or None
        Of a constant.
    """

    name: str
    shape: Shape
    dtype: np.dtype
    value: np.ndarray | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Return an axis counted from the front."""
        return axis % max(1, self.ndim)


class Translator:
    """Adds recorded steps to a graph.

    Parameters
    ----------
    graph : Graph
    emitters : mapping of str to Emitter
        By the names of torch's operators.

    Attributes
    ----------
    results : tuple of Ref
        Of the step that is being added.
    """

    results: tuple[Ref, ...]

    def __init__(self, graph: Graph, emitters: Mapping[str, Emitter]) -> None:
        self.graph, self.emitters = graph, emitters
        self._operands: dict[int, Operand] = {}

    def add(self, recording: Recording, rows: str) -> list[str]:
        """Add a recording whose input is named; return the names of its outputs."""
        self._operands = {}
        self._keep(recording.input, rows)
        for step in recording.steps:
            self._add(step)
        return [self.operand(output).name for output in recording.outputs]

    def _add(self, step: Step) -> None:
        emit = self.emitters.get(step.name)
        if emit is None:
            raise Unsupported(f"torch's operator {step.name!r}")
        self.results = step.results
        args = [self._argument(value) for value in step.args]
        kwargs = {name: self._argument(v) for name, v in step.kwargs.items()}
        try:
            names = emit(self, *args, **kwargs)
        except TypeError as error:  # of a signature: more than an emitter knows
            raise Unsupported(f"such arguments of {step.name!r}") from error
        names = names if isinstance(names, list) else [names]
        for ref, name in zip(step.results, names, strict=False):
            self._keep(ref, name)

    def _keep(self, ref: Ref, name: str) -> None:
        self._operands[ref.index] = Operand(name, ref.shape, numpy_dtype(ref.dtype))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Ref | np.ndarray | Spread):
            return self.operand(value)
        if isinstance(value, tuple):
            return [self._argument(item) for item in value]
        return value

    def operand(self, value: Any) -> Operand:
        """Return a recorded tensor as it is in the graph."""
        if isinstance(value, Ref):
            if value.index not in self._operands:
                raise Unsupported("a second result of one of torch's operators")
            return self._operands[value.index]
        if isinstance(value, Spread):
            once = self.graph.constant(value.value)
            name = self.graph.op("Expand", once, self.sizes(value.shape))
            return Operand(name, value.shape, value.value.dtype)
        return Operand(self.graph.constant(value), value.shape, value.dtype, value)

    # -- for emitters ----------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the (first) result."""
        return numpy_dtype(self.results[0].dtype)

    @property
    def shape(self) -> Shape:
        """The shape of the (first) result."""
        return self.results[0].shape

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Add an operator of ONNX."""
        names = [i.name if isinstance(i, Operand) else i for i in inputs]
        return self.graph.real(kind, self.dtype, *names, **attributes)

    def of(self, value: Any, dtype: Any = None) -> str:
        """Return an operand or a number in a dtype, that of the result."""
        dtype = np.dtype(dtype or self.dtype)
        if isinstance(value, Rows):
            raise Unsupported("a computation that depends on the number of rows")
        if not isinstance(value, Operand):
            return self.graph.constant(value, dtype)
        if value.dtype == dtype:
            return value.name
        if value.value is not None:
            return self.graph.constant(value.value, dtype)
        return self.graph.cast(value.name, dtype)

    def sizes(self, shape: Sequence[int | Rows]) -> str:
        """Return a shape as a vector; sizes may depend on the number of rows."""
        if not any(isinstance(size, Rows) for size in shape):
            return self.graph.ints(shape)  # type: ignore[arg-type]
        parts = []
        for size in shape:
            if isinstance(size, Rows):
                n_rows = self.graph.n_rows()
                factor = self.graph.ints([size.factor])
                parts.append(self.graph.op("Mul", n_rows, factor))
            else:
                parts.append(self.graph.ints([size]))
        return self.graph.op("Concat", *parts, axis=0)

    def reshaped(self, value: Any, shape: Sequence[int | Rows] | None = None) -> str:
        """Return a value in a shape, that of the result."""
        shape = self.shape if shape is None else shape
        moving = [isinstance(size, Rows) for size in shape]
        if sum(moving) == 1:  # ONNX finds out one size by itself
            sizes = self.graph.ints(
                [-1 if isinstance(size, Rows) else size for size in shape]
            )
        else:
            sizes = self.sizes(shape)
        name = value.name if isinstance(value, Operand) else value
        return self.graph.op("Reshape", name, sizes)


def numpy_dtype(dtype: torch.dtype) -> np.dtype:
    """Return numpy's name of a dtype of torch."""
    if dtype not in DTYPES:
        raise Unsupported(f"numbers of {dtype}")
    return np.dtype(str(dtype).removeprefix("torch."))
