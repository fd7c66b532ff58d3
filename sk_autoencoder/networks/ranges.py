"""The range of what a module gives, read from its last operation.

Modules in a row are read as they are; a `forward` of a user's own is traced by
`torch.fx`, which calls it with symbols in place of numbers.
"""

import math
import operator
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder.networks._layers import Dropout

Range = tuple[float, float]
UNBOUNDED: Range = (-math.inf, math.inf)


class Unreadable(Exception):
    """An operation whose range is not known here."""


def output_range(module: nn.Module) -> Range | None:
    """Return the range of a module's output; None where it cannot be read.

    Parameters
    ----------
    module : torch.nn.Module
        Only read, but for its `forward`, which is called with symbols.

    Returns
    -------
    low, high : float
        Infinite where the output is not bounded.
    """
    try:
        return _of_module(module, UNBOUNDED)
    except Exception:
        # Tracing runs the user's own code, which may raise anything.
        return None


# -- operations ------------------------------------------------------------------------


def _clamped(x: Range, low: float | None, high: float | None) -> Range:
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    return min(max(x[0], low), high), min(max(x[1], low), high)


def _leaky(x: Range, slope: float) -> Range:
    return tuple(value if value > 0 else slope * value for value in x)  # type: ignore[return-value]


def _add(x: Range, y: Range) -> Range:
    return x[0] + y[0], x[1] + y[1]


def _negative(x: Range) -> Range:
    return -x[1], -x[0]


def _multiply(x: Range, y: Range) -> Range:
    products = [a * b if a and b else 0.0 for a in x for b in y]
    return min(products), max(products)


def _divide(x: Range, y: Range) -> Range:
    if y[0] <= 0 <= y[1]:
        return UNBOUNDED
    return _multiply(x, (1 / y[1], 1 / y[0]))


def _absolute(x: Range) -> Range:
    least = 0.0 if x[0] <= 0 <= x[1] else min(map(abs, x))
    return least, max(map(abs, x))


Bounded = Callable[..., Range]
"""From the range of the first argument, and the other arguments as they are."""


def _always(low: float, high: float) -> Bounded:
    """Return a function whose range depends on no argument."""
    return lambda *_a, **_k: (low, high)


# By the name of a function, a method or a module: lower case, without underscores.
# Where the range is neither all of the function's nor follows from that of the first
# argument alone, its other arguments have torch's names; modules have the same.
FUNCTIONS: dict[str, Bounded] = {
    **{
        row.module.__name__.lower(): _always(*row.range) for row in ACTIVATIONS.values()
    },
    "expit": _always(0.0, 1.0),
    "specialexpit": _always(0.0, 1.0),
    "hardsigmoid": _always(0.0, 1.0),
    "softmax": _always(0.0, 1.0),
    "softmax2d": _always(0.0, 1.0),
    "softmin": _always(0.0, 1.0),
    "softsign": _always(-1.0, 1.0),
    "sin": _always(-1.0, 1.0),
    "cos": _always(-1.0, 1.0),
    "exp": _always(0.0, math.inf),
    "softplus": _always(0.0, math.inf),
    "square": _always(0.0, math.inf),
    "logsigmoid": _always(-math.inf, 0.0),
    "logsoftmax": _always(-math.inf, 0.0),
    # The least value of these three lies between 0 and where they level off.
    "selu": _always(-1.7581, math.inf),
    "hardswish": _always(-0.375, math.inf),
    "mish": _always(-0.3089, math.inf),
    "relu": lambda x, *_a, **_k: _clamped(x, 0, None),
    "relu6": lambda x, *_a, **_k: _clamped(x, 0, 6),
    "clamp": lambda x, min=None, max=None: _clamped(x, min, max),
    "clip": lambda x, min=None, max=None: _clamped(x, min, max),
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0, *_a, **_k: _clamped(
        x, min_val, max_val
    ),
    "elu": lambda _x, alpha=1.0, *_a, **_k: (-float(alpha), math.inf),
    "celu": lambda _x, alpha=1.0, *_a, **_k: (-float(alpha), math.inf),
    "leakyrelu": lambda x, negative_slope=0.01, *_a, **_k: _leaky(x, negative_slope),
    "abs": _absolute,
    "neg": _negative,
}
ARGUMENTS = ("alpha", "negative_slope", "min_val", "max_val")

# Names of the same kind: what moves, repeats or leaves out numbers, or scales some of
# them in training; and what multiplies by weights, which may give any number.
ONLY_MOVES = """
    alphadropout chunk clone contiguous detach double dropout dropout1d dropout2d
    dropout3d expand flatten flip float getitem identity interpolate moveaxis movedim
    narrow permute pixelshuffle repeat reshape roll select split squeeze swapaxes
    swapdims t tile to transpose type unflatten unsqueeze upsample upsamplingbilinear2d
    upsamplingnearest2d view
"""
MULTIPLIES = """
    addmm baddbmm batchnorm bilinear bmm conv1d conv2d conv3d convtranspose1d
    convtranspose2d convtranspose3d einsum groupnorm instancenorm layernorm linear
    matmul mm rmsnorm
"""
KEEP_VALUES, LINEAR = frozenset(ONLY_MOVES.split()), frozenset(MULTIPLIES.split())
ARITHMETIC: dict[str, Callable[[Range, Range], Range]] = {
    "add": _add,
    "sub": lambda x, y: _add(x, _negative(y)),
    "mul": _multiply,
    "truediv": _divide,
    "div": _divide,
}
# What `+=` and its like are called.
ARITHMETIC |= {
    f"i{name}": ARITHMETIC[name] for name in ("add", "sub", "mul", "truediv")
}

# -- modules ---------------------------------------------------------------------------

RECURRENT: dict[type[nn.Module], Callable[[Any], Range]] = {
    nn.LSTM: lambda m: UNBOUNDED if m.proj_size else (-1.0, 1.0),
    nn.LSTMCell: lambda _: (-1.0, 1.0),
    nn.GRU: lambda _: (-1.0, 1.0),
    nn.GRUCell: lambda _: (-1.0, 1.0),
    nn.RNN: lambda m: (-1.0, 1.0) if m.nonlinearity == "tanh" else (0.0, math.inf),
}


def _of_module(module: nn.Module, x: Range) -> Range:
    """Return the range of a module's output from that of its input."""
    kind = type(module)
    name = kind.__name__.lower()
    if isinstance(module, nn.Sequential) and kind is nn.Sequential:
        return _of_parts([*module], x)  # `children` leaves out what comes again
    if kind is Dropout:
        return x
    if not kind.__module__.startswith("torch.nn."):
        return _of_graph(module)
    if kind in RECURRENT:
        return RECURRENT[kind](module)
    if name in KEEP_VALUES:
        return x
    if name in FUNCTIONS:
        arguments = {
            key: getattr(module, key) for key in ARGUMENTS if hasattr(module, key)
        }
        return FUNCTIONS[name](x, **arguments)
    if list(module.parameters(recurse=False)):
        return UNBOUNDED
    raise Unreadable(name)


def _of_parts(parts: list[nn.Module], x: Range) -> Range:
    """Return the range of modules in a row."""
    for part in parts[:-1]:
        try:
            x = _of_module(part, x)
        except Exception:
            x = UNBOUNDED  # the last one may be readable all the same
    return _of_module(parts[-1], x) if parts else x


# -- a forward of one's own ------------------------------------------------------------


class _Tracer(fx.Tracer):
    """Traces the modules of one root, while other threads call theirs.

    Parameters
    ----------
    root : torch.nn.Module
    """

    # Tracing replaces the calls of all modules of the process, and puts them back.
    lock = threading.Lock()

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self._own = {id(module) for module in root.modules()}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) is Dropout or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        if id(m) not in self._own:  # another thread's, or made in `forward`
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


def _of_graph(module: nn.Module) -> Range:
    """Trace a module, and return the range of what it returns."""
    with _Tracer.lock:
        graph = _Tracer(module).trace(module)
    ranges: dict[fx.Node, Range | None] = {}
    for node in graph.nodes:
        try:
            ranges[node] = _of_node(node, module, ranges)
        except Unreadable:
            ranges[node] = None
    found = ranges[next(reversed(graph.nodes))]
    if found is None:
        raise Unreadable(type(module).__name__)
    return found


def _of_node(node: fx.Node, root: nn.Module, ranges: dict[fx.Node, Any]) -> Range:
    """Return the range of a node from those of the nodes before it."""

    def of(value: Any) -> Range:
        if isinstance(value, fx.Node):
            found: Range | None = ranges[value]
            if found is None:
                raise Unreadable(str(value))
            return found
        if isinstance(value, int | float):
            return float(value), float(value)
        raise Unreadable(repr(value))

    if node.op == "placeholder":
        return UNBOUNDED
    if node.op == "output":
        return of(node.args[0])
    if node.op == "get_attr":
        return _of_tensor(operator.attrgetter(str(node.target))(root))
    if node.op == "call_module":
        x = node.args[0] if node.args else None
        before = ranges.get(x) if isinstance(x, fx.Node) else None
        return _of_module(root.get_submodule(str(node.target)), before or UNBOUNDED)
    name = str(getattr(node.target, "__name__", node.target))
    return _of_function(name.lower().replace("_", ""), node, of)


def _of_function(name: str, node: fx.Node, of: Callable[[Any], Range]) -> Range:
    """Return the range of a function's or a method's result, by its name."""
    if name in LINEAR:
        return UNBOUNDED
    first, *others = node.args
    if name in ("cat", "stack", "concat", "concatenate"):
        parts = [of(part) for part in first]  # type: ignore[union-attr]
        return min(low for low, _ in parts), max(high for _, high in parts)
    if name in KEEP_VALUES:
        return of(first)
    if name in ARITHMETIC:
        return ARITHMETIC[name](of(first), of(others[0]))
    if name not in FUNCTIONS:
        raise Unreadable(name)
    try:
        x = of(first)
    except Unreadable:
        x = UNBOUNDED  # a sigmoid is one, whatever came before
    return FUNCTIONS[name](x, *others, **node.kwargs)


def _of_tensor(value: Any) -> Range:
    """Return the range of what a module holds: of weights anything, else its values."""
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
        return float(value.min()), float(value.max())
    return UNBOUNDED
