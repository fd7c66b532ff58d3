"""Products, sums, shapes, and places in ONNX; see `Emitter`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_autoencoder.export._record import Counted, Rows, Unsupported
from sk_autoencoder.export._translator import Emitter, Operand, Translator

# An end that no axis reaches.
FAR = np.iinfo(np.int64).max

# -- products and sums -----------------------------------------------------------------


def product(t: Translator, x: Operand, y: Operand) -> str:
    # Not MatMul of matrices: beside a transpose ONNX Runtime up to 1.23 makes one
    # operator of both, for which it has no kernel in float64.
    return t.op("Gemm" if x.ndim == y.ndim == 2 else "MatMul", x, y)


def product_and_sum(
    t: Translator,
    start: Operand,
    x: Operand,
    y: Operand,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> str:
    if x.ndim == y.ndim == 2:
        return t.op("Gemm", x, y, start, alpha=float(alpha), beta=float(beta))
    if (alpha, beta) != (1, 1):
        raise Unsupported("a product and a sum with other factors than 1")
    return t.op("Add", t.op("MatMul", x, y), start)


def solved(t: Translator, triangle: Operand, x: Operand, **how: Any) -> str:
    if triangle.value is None or not how.get("left", True):
        raise Unsupported("a triangular matrix that depends on the rows")
    return t.op("Gemm", t.graph.constant(np.linalg.inv(triangle.value)), x)


def axes_of(x: Operand, dims: Any) -> list[int]:
    """Return axes counted from the front; none given are all."""
    dims = range(x.ndim) if dims in (None, []) else dims
    return [x.axis(dim) for dim in ([dims] if isinstance(dims, int) else dims)]


def reduced(kind: str) -> Emitter:
    def emit(
        t: Translator, x: Operand, dims: Any = None, keepdim: bool = False, **_: Any
    ) -> str:
        axes = t.graph.ints(axes_of(x, dims))
        return t.op(kind, t.of(x), axes, keepdims=int(keepdim))

    return emit


def extreme(kind: str) -> Emitter:
    """Of max and min: over all cells, or along an axis, with its places."""

    def emit(t: Translator, x: Operand, dim: Any = None, keepdim: bool = False) -> Any:
        value = reduced(f"Reduce{kind}")(t, x, dim, keepdim)
        return value if dim is None else [value, place(kind)(t, x, dim, keepdim)]

    return emit


def place(kind: str) -> Emitter:
    def emit(t: Translator, x: Operand, dim: Any = None, keepdim: bool = False) -> str:
        if dim is None:
            raise Unsupported("argmax or argmin over all cells")
        kept = int(keepdim)
        return t.graph.op(f"Arg{kind}", x.name, axis=x.axis(dim), keepdims=kept)

    return emit


def any_or_all(kind: str) -> Emitter:
    def emit(t: Translator, x: Operand, dims: Any = None, keepdim: bool = False) -> str:
        numbers, axes = t.of(x, np.int32), t.graph.ints(axes_of(x, dims))
        found = t.graph.op(kind, numbers, axes, keepdims=int(keepdim))
        return t.graph.cast(found, bool)

    return emit


def variance(
    t: Translator,
    x: Operand,
    dims: Any = None,
    *,
    correction: Any = 1,
    keepdim: bool = False,
) -> str:
    sizes: Any = [x.shape[axis] for axis in axes_of(x, dims)]
    if any(isinstance(size, Rows) for size in sizes):
        raise Unsupported("a variance over the rows")
    n = math.prod(sizes) - (1 if correction is None else correction)
    axes = t.graph.ints(axes_of(x, dims))
    gap = t.op("Sub", x, t.op("ReduceMean", x, axes, keepdims=1))
    total = t.op("ReduceSum", t.op("Mul", gap, gap), axes, keepdims=int(keepdim))
    return t.op("Div", total, t.of(n))


def vector_norm(
    t: Translator, x: Operand, order: float = 2, dims: Any = None, *rest: Any, **_: Any
) -> str:
    if order not in (1, 2):
        raise Unsupported(f"a norm of order {order}")
    return str(reduced(f"ReduceL{int(order)}")(t, x, dims, *rest))


def softmax(kind: str) -> Emitter:
    return lambda t, x, dim, *_: t.op(kind, t.of(x), axis=x.axis(dim))


def log_add_exp(t: Translator, x: Operand, y: Operand) -> str:
    last = t.graph.ints([-1])
    both = [t.op("Unsqueeze", t.of(value), last) for value in (x, y)]
    return t.op("ReduceLogSumExp", t.op("Concat", *both, axis=-1), last, keepdims=0)


def negative_log_likelihood(
    t: Translator, x: Operand, target: Operand, weight: Any, reduction: int, *_: Any
) -> str:
    if weight is not None or reduction != 0:
        raise Unsupported("nll_loss with weights or a reduction")
    last = t.graph.ints([-1])
    own = t.op("GatherElements", x, t.op("Unsqueeze", target, last), axis=-1)
    return t.op("Neg", t.op("Squeeze", own, last))


def cumulative_sum(t: Translator, x: Operand, dim: int, **_: Any) -> str:
    return t.op("CumSum", t.of(x), t.graph.constant(x.axis(dim), np.int64))


# -- shapes ----------------------------------------------------------------------------


def view(t: Translator, x: Operand, *_: Any, **__: Any) -> str:
    return t.reshaped(x)


def transposed(t: Translator, x: Operand, one: int = 0, other: int = 1) -> str:
    order = list(range(x.ndim))
    i, j = x.axis(one), x.axis(other)
    order[i], order[j] = j, i
    return t.op("Transpose", x, perm=order)


def permuted(t: Translator, x: Operand, dims: Sequence[int]) -> str:
    return t.op("Transpose", x, perm=axes_of(x, dims))


def expanded(t: Translator, x: Operand, *_: Any, **__: Any) -> str:
    return t.op("Expand", x, t.sizes(t.shape))


def filled(t: Translator, _: Operand, value: Any, *__: Any) -> str:
    return t.op("Expand", t.of(value), t.sizes(t.shape))


def repeated(t: Translator, x: Operand, counts: Sequence[Any]) -> str:
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    return t.op("Tile", t.reshaped(x, shape), t.sizes(counts))


def sliced(
    t: Translator,
    x: Operand,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> str:
    if isinstance(start, Rows):
        raise Unsupported("rows from a number on that depends on how many there are")
    end = FAR if end is None or isinstance(end, Rows) else end
    bounds = (start or 0, end, x.axis(dim), step)
    return t.op("Slice", x, *(t.graph.ints([value]) for value in bounds))


def selected(t: Translator, x: Operand, dim: int, index: Any) -> str:
    return t.op("Gather", x, t.graph.constant(index, np.int64), axis=x.axis(dim))


def concatenated(t: Translator, parts: list[Operand], dim: int = 0) -> str:
    # torch leaves out vectors without elements.
    parts = [part for part in parts if part.shape != (0,)]
    axis = parts[0].axis(dim)
    return t.op("Concat", *(t.of(part) for part in parts), axis=axis)


def stacked(t: Translator, parts: list[Operand], dim: int = 0) -> str:
    axis = dim % (parts[0].ndim + 1)
    where = t.graph.ints([axis])
    higher = [t.op("Unsqueeze", t.of(part), where) for part in parts]
    return t.op("Concat", *higher, axis=axis)


def split(t: Translator, x: Operand, _sizes: Any, dim: int = 0) -> list[str]:
    axis = x.axis(dim)
    sizes: Any = [result.shape[axis] for result in t.results]
    if any(isinstance(size, Rows) for size in sizes):
        raise Unsupported("rows split into parts")
    return t.graph.ops("Split", x.name, t.graph.ints(sizes), n=len(sizes), axis=axis)


def unbound(t: Translator, x: Operand, dim: int = 0) -> list[str]:
    if isinstance(x.shape[x.axis(dim)], Rows):
        raise Unsupported("a loop over the rows")
    return [selected(t, x, dim, i) for i in range(len(t.results))]


def flipped(t: Translator, x: Operand, dims: Sequence[int]) -> str:
    axes = axes_of(x, dims)
    starts, ends, steps = (
        t.graph.ints([value] * len(axes)) for value in (-1, -FAR, -1)
    )
    return t.op("Slice", x, starts, ends, t.graph.ints(axes), steps)


def padded(t: Translator, x: Operand, pads: Sequence[int], value: Any = 0) -> str:
    # torch counts from the last axis on, and has both ends of an axis together.
    beyond = [0] * (x.ndim - len(pads) // 2)
    before, after = (beyond + list(pads[i::2])[::-1] for i in (0, 1))
    return t.op("Pad", x, t.graph.ints([*before, *after]), t.of(value))


# -- places ----------------------------------------------------------------------------


def index_selected(t: Translator, x: Operand, dim: int, index: Operand) -> str:
    return t.op("Gather", x, index, axis=x.axis(dim))


def embedded(t: Translator, weight: Operand, index: Operand, *_: Any, **__: Any) -> str:
    return t.op("Gather", weight, index, axis=0)


def bag(t: Translator, weight: Operand, index: Operand, starts: Any, *how: Any) -> str:
    if not isinstance(starts, Counted) or how[1] != 0:
        raise Unsupported("embedding_bag but for sums of as many for each row")
    each = t.reshaped(index, (Rows(1), starts.step))
    found = t.op("Gather", weight, each, axis=0)
    if len(how) > 3 and how[3] is not None:
        shares = t.reshaped(how[3], (Rows(1), starts.step, 1))
        found = t.op("Mul", found, shares)
    return t.op("ReduceSum", found, t.graph.ints([1]), keepdims=0)


def indexed(t: Translator, x: Operand, indices: list[Any]) -> str:
    (axis, index), *others = [(i, v) for i, v in enumerate(indices) if v is not None]
    if others or index.dtype.kind == "b":
        raise Unsupported("a choice of cells by several indices, or by a mask")
    return t.op("Gather", x, index, axis=axis)


def gathered(t: Translator, x: Operand, dim: int, index: Operand, **_: Any) -> str:
    return t.op("GatherElements", x, index, axis=x.axis(dim))


def scattered(t: Translator, x: Operand, dim: int, index: Operand, value: Any) -> str:
    if not (isinstance(value, Operand) and value.ndim):
        updates = t.op("Expand", t.of(value), t.sizes(index.shape))
    else:
        updates = t.of(value)
    return t.op("ScatterElements", t.of(x), index, updates, axis=x.axis(dim))


def placed(t: Translator, x: Operand, axis: int, places: Any, source: str) -> str:
    """Return x with other cells at some places along an axis."""
    size = x.shape[axis]
    if isinstance(size, Rows):
        raise Unsupported("writing to some of the rows")
    # One after the other, and then the right one for each place.
    order = np.arange(size)
    order[places] = size + np.arange(len(order[places]))
    both = t.op("Concat", t.of(x), source, axis=axis)
    return t.op("Gather", both, t.graph.constant(order), axis=axis)


def scatter_reduced(
    t: Translator, x: Operand, dim: int, index: Operand, source: Operand, how: str
) -> str:
    if how not in ("amax", "amin"):
        raise Unsupported(f"scatter_reduce by {how!r}")
    axis = x.axis(dim)
    return t.op("ScatterElements", x, index, source, axis=axis, reduction=how[1:])


def index_copied(
    t: Translator, x: Operand, dim: int, index: Operand, source: Operand
) -> str:
    if index.value is None:
        raise Unsupported("index_copy with an index that depends on the rows")
    return placed(t, x, x.axis(dim), index.value, t.of(source))


def slice_scattered(
    t: Translator,
    x: Operand,
    source: Operand,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> str:
    return placed(t, x, x.axis(dim), slice(start, end, step), t.of(source))


def select_scattered(
    t: Translator, x: Operand, source: Operand, dim: int, index: int
) -> str:
    one = t.op("Unsqueeze", t.of(source), t.graph.ints([x.axis(dim)]))
    return placed(t, x, x.axis(dim), [index], one)


def search_sorted(t: Translator, steps: Operand, x: Operand, **how: Any) -> str:
    if steps.value is None:
        raise Unsupported("searchsorted with steps that depend on the rows")
    series = steps.value.reshape(-1, steps.value.shape[-1])
    return t.graph.search_sorted(x.name, series, right=bool(how.get("right")))


EMITTERS: dict[str, Emitter] = {
    "mm": product,
    "bmm": product,
    "mv": product,
    "dot": product,
    "addmm": product_and_sum,
    "addmv": product_and_sum,
    "baddbmm": product_and_sum,
    "linalg_solve_triangular": solved,
    "sum": reduced("ReduceSum"),
    "mean": reduced("ReduceMean"),
    "prod": reduced("ReduceProd"),
    "amax": reduced("ReduceMax"),
    "amin": reduced("ReduceMin"),
    "logsumexp": reduced("ReduceLogSumExp"),
    "max": extreme("Max"),
    "min": extreme("Min"),
    "argmax": place("Max"),
    "argmin": place("Min"),
    "any": any_or_all("ReduceMax"),
    "all": any_or_all("ReduceMin"),
    "var": variance,
    "linalg_vector_norm": vector_norm,
    "_softmax": softmax("Softmax"),
    "_safe_softmax": softmax("Softmax"),
    "_log_softmax": softmax("LogSoftmax"),
    "logaddexp": log_add_exp,
    "nll_loss_forward": negative_log_likelihood,
    "cumsum": cumulative_sum,
    **dict.fromkeys(("view", "_unsafe_view", "squeeze", "unsqueeze"), view),
    "t": transposed,
    "transpose": transposed,
    "permute": permuted,
    "expand": expanded,
    "copy": filled,
    "fill": filled,
    "repeat": repeated,
    "slice": sliced,
    "select": selected,
    "cat": concatenated,
    "stack": stacked,
    **{
        f"{safe}split{sizes}": split
        for safe in ("", "unsafe_")
        for sizes in ("", "_with_sizes")
    },
    "unbind": unbound,
    "flip": flipped,
    "constant_pad_nd": padded,
    "index_select": index_selected,
    "embedding": embedded,
    "_embedding_bag_forward_only": bag,
    "_embedding_bag": bag,
    "index": indexed,
    "gather": gathered,
    "scatter": scattered,
    "scatter_reduce": scatter_reduced,
    "index_copy": index_copied,
    "slice_scatter": slice_scattered,
    "select_scatter": select_scattered,
    "searchsorted": search_sorted,
}
