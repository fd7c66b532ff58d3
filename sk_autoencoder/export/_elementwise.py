"""Operators of torch that compute cell by cell, in ONNX; see `Emitter`."""

import math
from typing import Any

import numpy as np

from sk_autoencoder.export._record import Unsupported
from sk_autoencoder.export._translator import Emitter, Operand, Translator


def unary(kind: str) -> Emitter:
    return lambda t, x: t.op(kind, t.of(x))


def binary(kind: str) -> Emitter:
    return lambda t, x, y: t.op(kind, t.of(x), t.of(y))


def added(kind: str, *, swaps: bool = False) -> Emitter:
    def emit(t: Translator, x: Any, y: Any, alpha: float = 1) -> str:
        x, y = (y, x) if swaps else (x, y)
        scaled = t.of(y) if alpha == 1 else t.op("Mul", t.of(y), t.of(alpha))
        return t.op(kind, t.of(x), scaled)

    return emit


def same(t: Translator, x: Operand, *_: Any, **__: Any) -> str:
    return t.of(x)


def power(t: Translator, x: Any, exponent: Any) -> str:
    if isinstance(exponent, int | float) and exponent == 2:
        return t.op("Mul", t.of(x), t.of(x))
    return t.op("Pow", t.of(x), t.of(exponent))


def compared(kind: str, *, negate: bool = False) -> Emitter:
    def emit(t: Translator, x: Operand, y: Any) -> str:
        # Of a number, as torch has it: only a float beside integers makes them floats.
        given = y.dtype if isinstance(y, Operand) else np.dtype(type(y))
        dtype = x.dtype if x.dtype.kind == "f" else np.promote_types(x.dtype, given)
        if isinstance(y, Operand):
            dtype = np.promote_types(x.dtype, y.dtype)
        found = t.op(kind, t.of(x, dtype), t.of(y, dtype))
        return t.op("Not", found) if negate else found

    return emit


def logical(kind: str) -> Emitter:
    def emit(t: Translator, *operands: Any) -> str:
        if t.dtype.kind != "b":
            raise Unsupported("logic on the bits of numbers")
        return t.op(kind, *(t.of(x) for x in operands))

    return emit


def clamp(t: Translator, x: Operand, min: Any = None, max: Any = None) -> str:
    found = t.of(x)
    if min is not None:
        found = t.op("Max", found, t.of(min))
    return found if max is None else t.op("Min", found, t.of(max))


def nan_to_num(
    t: Translator, x: Operand, nan: Any = None, high: Any = None, low: Any = None
) -> str:
    limits = np.finfo(t.dtype)
    found = t.op("Where", t.op("IsNaN", x), t.of(0.0 if nan is None else nan), x)
    for infinity, given, limit in (
        (np.inf, high, limits.max),
        (-np.inf, low, limits.min),
    ):
        is_infinite = t.op("Equal", x, t.of(infinity))
        finite = t.of(limit if given is None else given)
        found = t.op("Where", is_infinite, finite, found)
    return found


def where(t: Translator, condition: Operand, x: Any, y: Any) -> str:
    return t.op("Where", t.of(condition, bool), t.of(x), t.of(y))


def masked_fill(t: Translator, x: Operand, mask: Operand, value: Any) -> str:
    return where(t, mask, value, x)


def logit(t: Translator, x: Operand, eps: Any = None) -> str:
    if eps is not None:
        raise Unsupported("logit with eps")
    return t.op("Log", t.op("Div", x, t.op("Sub", t.of(1), x)))


# -- activations -----------------------------------------------------------------------


def gelu(t: Translator, x: Operand, *, approximate: str = "none") -> str:
    half = t.op("Mul", x, t.of(0.5))
    if approximate == "tanh":
        cube = t.op("Mul", t.op("Mul", x, x), t.op("Mul", x, t.of(0.044715)))
        inner = t.op("Mul", t.op("Add", x, cube), t.of(math.sqrt(2 / math.pi)))
        return t.op("Mul", half, t.op("Add", t.op("Tanh", inner), t.of(1)))
    erf = t.op("Erf", t.op("Mul", x, t.of(math.sqrt(0.5))))
    return t.op("Mul", half, t.op("Add", erf, t.of(1)))


def elu(
    t: Translator, x: Operand, alpha: float = 1, scale: float = 1, inner: float = 1
) -> str:
    below = t.op("Exp", t.op("Min", t.op("Mul", x, t.of(inner)), t.of(0)))
    below = t.op("Mul", t.op("Sub", below, t.of(1)), t.of(alpha * scale))
    above = t.op("Mul", x, t.of(scale))
    return t.op("Where", t.op("Greater", x, t.of(0)), above, below)


def leaky_relu(t: Translator, x: Operand, slope: Any = 0.01) -> str:
    below = t.op("Mul", x, t.of(slope))
    return t.op("Where", t.op("Greater", x, t.of(0)), x, below)


def softplus(t: Translator, x: Operand, beta: float = 1, *_: Any) -> str:
    # log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
    scaled = t.op("Mul", x, t.of(beta))
    small = t.op("Exp", t.op("Neg", t.op("Abs", scaled)))
    logs = t.op("Log", t.op("Add", small, t.of(1)))
    return t.op("Div", t.op("Add", t.op("Max", scaled, t.of(0)), logs), t.of(beta))


def log_sigmoid(t: Translator, x: Operand) -> str:
    return t.op("Neg", softplus(t, Operand(t.op("Neg", x), x.shape, x.dtype)))


def hard_sigmoid(t: Translator, x: Operand) -> str:
    shifted = t.op("Div", t.op("Add", x, t.of(3)), t.of(6))
    return t.op("Min", t.op("Max", shifted, t.of(0)), t.of(1))


def hard_tanh(t: Translator, x: Operand, low: float = -1, high: float = 1) -> str:
    return clamp(t, x, low, high)


def threshold(t: Translator, x: Operand, at: float, value: float) -> str:
    return t.op("Where", t.op("Greater", x, t.of(at)), x, t.of(value))


def glu(t: Translator, x: Operand, dim: int = -1) -> str:
    one, other = t.graph.ops("Split", x.name, n=2, axis=x.axis(dim), num_outputs=2)
    return t.op("Mul", one, t.op("Sigmoid", other))


def cross_entropy(
    t: Translator, x: Operand, y: Operand, weight: Any, positive: Any, reduction: int
) -> str:
    if weight is not None or positive is not None or reduction != 0:
        raise Unsupported("binary cross-entropy with weights or a reduction")
    return t.op("Sub", softplus(t, x), t.op("Mul", x, t.of(y)))


EMITTERS: dict[str, Emitter] = {
    **{
        name.lower(): unary(name)
        for name in (
            *("Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Reciprocal"),
            *("Exp", "Log", "Sqrt", "Erf", "Sigmoid", "Tanh", "Relu"),
            *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan"),
            *("Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        )
    },
    **dict.fromkeys(("alias", "detach", "clone", "lift_fresh", "_to_copy", "to"), same),
    "isnan": lambda t, x: t.op("IsNaN", x),
    "isinf": lambda t, x: t.op("IsInf", x),
    "rsqrt": lambda t, x: t.op("Reciprocal", t.op("Sqrt", x)),
    "square": lambda t, x: t.op("Mul", x, x),
    "log1p": lambda t, x: t.op("Log", t.op("Add", x, t.of(1))),
    "expm1": lambda t, x: t.op("Sub", t.op("Exp", x), t.of(1)),
    "logit": logit,
    "add": added("Add"),
    "sub": added("Sub"),
    "rsub": added("Sub", swaps=True),
    "mul": binary("Mul"),
    "div": binary("Div"),
    "maximum": binary("Max"),
    "minimum": binary("Min"),
    "pow": power,
    "eq": compared("Equal"),
    "ne": compared("Equal", negate=True),
    "lt": compared("Less"),
    "le": compared("LessOrEqual"),
    "gt": compared("Greater"),
    "ge": compared("GreaterOrEqual"),
    **{
        f"{kind}_{name.lower()}": logical(name)
        for kind in ("logical", "bitwise")
        for name in ("And", "Or", "Xor", "Not")
    },
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda t, x, high: clamp(t, x, None, high),
    "nan_to_num": nan_to_num,
    "where": where,
    "masked_fill": masked_fill,
    "gelu": gelu,
    "elu": elu,
    "celu": lambda t, x, alpha=1: elu(t, x, alpha, 1, 1 / alpha),
    "leaky_relu": leaky_relu,
    "_prelu_kernel": leaky_relu,
    "softplus": softplus,
    "silu": lambda t, x: t.op("Mul", x, t.op("Sigmoid", x)),
    "mish": lambda t, x: t.op("Mul", x, t.op("Tanh", softplus(t, x))),
    "log_sigmoid_forward": log_sigmoid,
    "hardsigmoid": hard_sigmoid,
    "hardswish": lambda t, x: t.op("Mul", x, hard_sigmoid(t, x)),
    "hardtanh": hard_tanh,
    "threshold": threshold,
    "glu": glu,
    "binary_cross_entropy_with_logits": cross_entropy,
}
