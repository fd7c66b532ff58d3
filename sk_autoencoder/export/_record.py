"""What a module computes, as a list of torch's operators.

A function is run on a few rows, and each operator that torch calls is written down.
What does not depend on the rows is a constant, so that weights, and all that is made
of them, come out ready. The function is run twice, on different numbers of rows: sizes
that differ in proportion are the number of rows, times a factor, and the list holds for
any number. So the definition of the forward pass stays the only one
(`docs/development/decisions/0034-onnx-by-recording.md`).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.torch_compat import one_by_one, torch_defaults

# Rows that a function is run on: primes, which no factor turns into each other.
FEW, MORE = 3, 5

# Operators whose results depend on the shape and the dtype of a tensor only.
LIKE = {
    f"{made}{kind}"
    for made, kind in [
        *(("new_", kind) for kind in ("zeros", "ones", "full", "empty")),
        *((f"{kind}_", "like") for kind in ("zeros", "ones", "full", "empty")),
    ]
}


class Unsupported(Exception):
    """What a function computes has no place in a graph; the message says what."""


class ChangedThroughAnother(Unsupported):
    """A tensor was written to in place through a part of it, or its whole."""


@dataclass(frozen=True)
class Rows:
    """A size that is the number of rows, times a factor."""

    factor: int


@dataclass(frozen=True)
class Ref:
    """A tensor that an earlier step made, or that the function is given.

    Attributes
    ----------
    index : int
    shape : tuple of int and Rows
    dtype : torch.dtype
    """

    index: int
    shape: tuple[int | Rows, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Spread:
    """A constant that is repeated for each row.

    Attributes
    ----------
    value : ndarray
        Of size 1 along axes that depend on the number of rows.
    shape : tuple of int and Rows
    """

    value: np.ndarray
    shape: tuple[int | Rows, ...]


@dataclass(frozen=True)
class Counted:
    """A constant vector 0, step, 2 * step, and so on, with a number for each row."""

    step: int


@dataclass(frozen=True)
class Step:
    """One operator.

    Attributes
    ----------
    name : str
        Without its overload, and without the mark of one that works in place.
    args, kwargs : tuple, dict
        Tensors are Ref, constant ones ndarray or Spread; sizes int or Rows.
    results : tuple of Ref
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: tuple[Ref, ...]


@dataclass(frozen=True)
class Recording:
    """Steps in their order, and what they lead to.

    Attributes
    ----------
    input : Ref
    steps : list of Step
    outputs : tuple of Ref, ndarray and Spread
    """

    input: Ref
    steps: list[Step]
    outputs: tuple[Any, ...]


def record(
    function: Callable[[Any, Tensor], Any],
    module: nn.Module,
    example: np.ndarray,
    dtype: torch.dtype,
) -> Recording:
    """Run a function of a module and rows, and return what it computes.

    Parameters
    ----------
    function : callable (module, rows) -> Tensor or tuple of Tensor
    module : torch.nn.Module
        In evaluation mode; only read.
    example : ndarray of shape (MORE, n_columns)
        Rows that it can be run on.
    dtype : torch.dtype
        Of the rows, and of the module's numbers.

    Raises
    ------
    Unsupported
        If the operators depend on the values of rows, or on their number.
    """
    # A copy: a module of the user's own may write to itself.
    module = copy.deepcopy(in_dtype(module, dtype)).to("cpu").eval()
    rows = torch.from_numpy(np.ascontiguousarray(example)).to(dtype)

    def compute(x: Tensor) -> Any:
        return function(module, x)

    try:
        return _merged(compute, rows)
    except ChangedThroughAnother:
        # Without mutations: what is written to a part of a tensor is seen in the whole.
        # It takes seconds, where torch imports its compiler for it.
        return _merged(torch.func.functionalize(compute), rows)


def _merged(compute: Any, rows: Tensor) -> Recording:
    return _Merged(*(_run(compute, rows[:n].clone()) for n in (FEW, MORE))).recording()


def _run(compute: Any, rows: Tensor) -> "_Recorder":
    recorder = _Recorder(rows)
    with torch_defaults(), torch.no_grad(), one_by_one():
        with recorder:
            outputs = compute(rows)
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        recorder.outputs = tuple(recorder.described(value) for value in outputs)
    return recorder


class _Recorder(TorchDispatchMode):
    """Writes down each operator that depends on some rows.

    Parameters
    ----------
    rows : Tensor

    Attributes
    ----------
    steps : list of (name, args, kwargs, results)
        Tensors that depend on the rows are Ref, others are copied.
    outputs : tuple
    """

    outputs: tuple[Any, ...] = ()

    def __init__(self, rows: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[tuple[str, Any, Any, tuple[Ref, ...]]] = []
        # By identity, with the tensor, which stays alive, and with what it held.
        self._known: dict[int, tuple[Ref, Tensor, Tensor]] = {}
        self._constants: dict[Any, Tensor] = {}
        self._n_values = 0
        self.input = self._add(rows)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Asked by torch, which else imports its compiler: seconds.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator, and write it down if a result depends on the rows."""
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            with self:  # else what torch would take apart comes here as a whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        name = func.overloadpacket.__name__
        depends = any(id(t) in self._known for t in _tensors((args, kwargs)))
        if not depends or name in LIKE:
            self._refuse_draws(func, name)
            return func(*args, **kwargs)
        self._refuse_draws(func, name)
        if name == "_local_scalar_dense":
            raise Unsupported("Python's if, int() or float() on values of rows")
        inputs = (self.described(args), self.described(kwargs))
        results = func(*args, **kwargs)
        refs = tuple(self._add(t) for t in _tensors(results))
        self.steps.append((name.removesuffix("_"), *inputs, refs))
        return results

    def _constant(self, tensor: Tensor) -> np.ndarray:
        """Return a copy: the same one as long as the tensor holds the same."""
        where = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        held = self._constants.get(where)
        if held is None or not _same(tensor, held):
            held = self._constants[where] = tensor.clone()
        return held.numpy()

    @staticmethod
    def _refuse_draws(func: Any, name: str) -> None:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Unsupported(f"random numbers by torch's operator {name!r}")

    def _add(self, tensor: Tensor) -> Ref:
        ref = Ref(self._n_values, tuple(tensor.shape), tensor.dtype)
        self._n_values += 1
        self._known[id(tensor)] = (ref, tensor, tensor.clone())
        return ref

    def described(self, value: Any) -> Any:
        """Return an argument with Ref in place of tensors, and copies of others."""
        if isinstance(value, Tensor):
            known = self._known.get(id(value))
            if known is None:
                return self._constant(value.detach())
            ref, _, held = known
            if not _same(value, held):
                raise ChangedThroughAnother("a tensor written to through another")
            return ref
        if isinstance(value, dict):
            return {name: self.described(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return tuple(self.described(item) for item in value)
        return value


def _each(value: Any, kind: type) -> Iterator[Any]:
    """Return what is of a kind among arguments, however deep."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, dict):
        yield from _each(tuple(value.values()), kind)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _each(item, kind)


def _tensors(value: Any) -> Iterator[Tensor]:
    yield from _each(value, Tensor)


def _refs(value: Any) -> Iterator[Ref]:
    yield from _each(value, Ref)


def _same(one: Tensor, other: Tensor) -> bool:
    return bool(((one == other) | ((one != one) & (other != other))).all())


class _Merged:
    """Two recordings of one function, on different numbers of rows, as one.

    Parameters
    ----------
    few, more : _Recorder
    """

    def __init__(self, few: _Recorder, more: _Recorder) -> None:
        self.few, self.more = few, more

    def recording(self) -> Recording:
        """Return the recording that holds for any number of rows."""
        few, more = self.few, self.more
        if [step[0] for step in few.steps] != [step[0] for step in more.steps]:
            raise Unsupported("other operators for another number of rows")
        steps = [
            Step(*(self._both(a, b) for a, b in zip(one, other, strict=True)))
            for one, other in zip(few.steps, more.steps, strict=True)
        ]
        outputs = self._both(few.outputs, more.outputs)
        needed = {ref.index for ref in _refs(outputs)}
        kept = []
        for step in reversed(steps):
            if any(result.index in needed for result in step.results):
                needed.update(ref.index for ref in _refs((step.args, step.kwargs)))
                kept.append(step)
        return Recording(self._both(few.input, more.input), kept[::-1], outputs)

    def _both(self, one: Any, other: Any) -> Any:
        """Return what two arguments have in common; sizes may depend on the rows."""
        if isinstance(one, Ref) and isinstance(other, Ref):
            if (one.index, one.dtype) == (other.index, other.dtype):
                return Ref(one.index, self._both(one.shape, other.shape), one.dtype)
        elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            return self._constant(one, other)
        elif isinstance(one, dict):
            return {name: self._both(value, other[name]) for name, value in one.items()}
        elif isinstance(one, tuple) and len(one) == len(other):
            pairs = zip(one, other, strict=True)
            return tuple(self._both(a, b) for a, b in pairs)
        elif one == other or (one != one and other != other):  # NaN, too
            return one
        elif (
            isinstance(one, int)
            and isinstance(other, int)
            and one * MORE == other * FEW
        ):
            return Rows(one // FEW)
        raise Unsupported("a computation that depends on the number of rows")

    def _constant(self, one: np.ndarray, other: np.ndarray) -> Any:
        shape = self._both(one.shape, other.shape)
        if shape == (Rows(1),) and one.dtype == np.int64 and one[0] == 0:
            step = int(one[1])
            if all(np.array_equal(a, step * np.arange(len(a))) for a in (one, other)):
                return Counted(step) if step else Spread(one[:1], shape)
        for axis, size in enumerate(shape):
            if isinstance(size, Rows):
                # What stands for each row must be the same for all.
                first, others = one.take([0], axis), other.take([0], axis)
                if not (np.all(one == first) and np.all(other == others)):
                    raise Unsupported("constants that differ from row to row")
                one, other = first, others
        if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            raise Unsupported("a constant that depends on the number of rows")
        return one if shape == one.shape else Spread(one, shape)
