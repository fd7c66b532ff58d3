"""Convolutions, pooling, and normalization in ONNX; see `Emitter`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_autoencoder.export._record import Unsupported
from sk_autoencoder.export._translator import Emitter, Operand, Translator


def convolved(
    t: Translator,
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> str:
    more = {"output_padding": list(output_padding)} if transposed else {}
    return t.op(
        "ConvTranspose" if transposed else "Conv",
        *((x, weight) if bias is None else (x, weight, bias)),
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=groups,
        **more,
    )


def _each(value: Any, n: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * n if len(values) == 1 else values


def max_pooled(n: int) -> Emitter:
    def emit(
        t: Translator,
        x: Operand,
        kernel: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> str:
        pads = _each(padding, n)
        return t.op(
            "MaxPool",
            x,
            kernel_shape=_each(kernel, n),
            strides=_each(stride or kernel, n),
            pads=[*pads, *pads],
            dilations=_each(dilation, n),
            ceil_mode=int(ceil_mode),
        )

    return emit


def mean_pooled(n: int) -> Emitter:
    def emit(
        t: Translator,
        x: Operand,
        kernel: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> str:
        if divisor_override is not None:
            raise Unsupported("avg_pool2d with divisor_override")
        pads = _each(padding, n)
        return t.op(
            "AveragePool",
            x,
            kernel_shape=_each(kernel, n),
            strides=_each(stride or kernel, n),
            pads=[*pads, *pads],
            ceil_mode=int(ceil_mode),
            count_include_pad=int(count_include_pad),
        )

    return emit


def adaptively_pooled(t: Translator, x: Operand, sizes: Any) -> str:
    sides: Any = x.shape[2:]
    if any(side % size for side, size in zip(sides, sizes, strict=True)):
        raise Unsupported(f"adaptive pooling of {sides} cells to {tuple(sizes)}")
    kernel = [side // size for side, size in zip(sides, sizes, strict=True)]
    return mean_pooled(len(sides))(t, x, kernel)


def resized(mode: str) -> Emitter:
    def emit(t: Translator, x: Operand, _sizes: Any, *more: Any) -> str:
        how = "asymmetric"
        if mode == "linear":
            how = "align_corners" if more and more[0] is True else "half_pixel"
        rows = t.of(x, np.float32)
        found = t.graph.op(
            "Resize",
            rows,
            "",
            "",
            t.sizes(t.shape),
            mode=mode,
            coordinate_transformation_mode=how,
            nearest_mode="floor" if mode == "nearest" else None,
        )
        return found if t.dtype == np.float32 else t.graph.cast(found, t.dtype)

    return emit


def batch_normalized(
    t: Translator,
    x: Operand,
    weight: Operand | None,
    bias: Operand | None,
    mean: Operand,
    variance: Operand,
    *rest: Any,
) -> str:
    # Of constants: one product and one sum.
    if mean is None or mean.value is None or variance.value is None:
        raise Unsupported("batch normalization by the statistics of the batch")
    factor = 1 / np.sqrt(variance.value + rest[-1])
    if weight is not None and weight.value is not None:
        factor = factor * weight.value
    shift = -mean.value * factor
    if bias is not None and bias.value is not None:
        shift = shift + bias.value
    shape = (-1, *[1] * (x.ndim - 2))
    scaled = t.op("Mul", x, t.graph.constant(factor.reshape(shape), t.dtype))
    return t.op("Add", scaled, t.graph.constant(shift.reshape(shape), t.dtype))


def layer_normalized(
    t: Translator,
    x: Operand,
    shape: Sequence[int],
    weight: Operand | None,
    bias: Operand | None,
    eps: float,
) -> str:
    ones = t.graph.constant(np.ones(shape), t.dtype)
    given = [ones if weight is None else weight, *([] if bias is None else [bias])]
    return t.op("LayerNormalization", x, *given, axis=-len(shape), epsilon=eps)


def group_normalized(
    t: Translator,
    x: Operand,
    weight: Operand | None,
    bias: Operand | None,
    *sizes: Any,
) -> str:
    *_, groups, eps = sizes
    cells: Any = x.shape[1:]
    shape = (x.shape[0], groups, math.prod(cells) // groups)
    inner = Operand(t.reshaped(x, shape), shape, x.dtype)
    found = t.reshaped(layer_normalized(t, inner, shape[2:], None, None, eps), x.shape)
    per_channel = (cells[0], *[1] * (x.ndim - 2))
    for kind, value in (("Mul", weight), ("Add", bias)):
        if value is not None:
            found = t.op(kind, found, t.reshaped(value, per_channel))
    return found


EMITTERS: dict[str, Emitter] = {
    "convolution": convolved,
    "max_pool1d": max_pooled(1),
    "max_pool2d_with_indices": max_pooled(2),
    "avg_pool1d": mean_pooled(1),
    "avg_pool2d": mean_pooled(2),
    "_adaptive_avg_pool2d": adaptively_pooled,
    "upsample_nearest1d": resized("nearest"),
    "upsample_nearest2d": resized("nearest"),
    "upsample_linear1d": resized("linear"),
    "upsample_bilinear2d": resized("linear"),
    "native_batch_norm": batch_normalized,
    "_native_batch_norm_legit_no_training": batch_normalized,
    "native_layer_norm": layer_normalized,
    "native_group_norm": group_normalized,
}
