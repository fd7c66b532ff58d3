"""Convolutional networks for images and signals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.shapes import shape_of
from sk_autoencoder._utils.sklearn_compat import StrOptions
from sk_autoencoder.networks._checks import (
    COUNT,
    LAYER_CONSTRAINTS,
    check_sizes,
)
from sk_autoencoder.networks._layers import (
    Dropout,
    hidden_layers,
    initialized,
    linear,
    make_activation,
)

# Of signals, with one side, and of images, with two.
POOLINGS = {
    "max": (nn.MaxPool1d, nn.MaxPool2d),
    "average": (nn.AvgPool1d, nn.AvgPool2d),
}
# By the number of sides: a convolution, its transpose, and a norm.
LAYERS = {
    1: (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d),
    2: (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d),
}


Shape = tuple[int, ...]
"""Of a row, (channels, height, width) or (channels, length)."""


@dataclass(eq=False, repr=False)
class ConvNet(Network):
    """Convolutions from an image or a signal to the code, and mirrored back.

    Samples are images or signals with channels first: flattened, as by
    `X.reshape(len(X), -1)`, or of shape (n_samples, `*input_shape`); with one channel,
    also (n_samples, height, width). They are returned in the same shape. Each stage
    divides height and width, or length, by `stride`, rounded up; the decoder restores
    the exact size. With `allow_missing=True`, missing cells are 0 for the network, and
    additional channels mark them.

    Parameters
    ----------
    input_shape : tuple of int or None, default=None
        (channels, height, width) of an image, (channels, length) of a signal; their
        product is the number of features. None is one channel of as many steps as
        there are features.
    channels : tuple of int, default=(16, 32)
        Number of channels of each stage of the encoder.
    kernel_size : int, default=5
        Odd.
    stride : int, default=2
        Factor by which each stage reduces the size of its input.
    pooling : {"max", "average", "global"} or None, default=None
        How a stage reduces the size: None by strided convolutions, "max" and "average"
        by pooling after convolutions with stride 1. "global" is like None, with the
        mean over all positions after the last stage.
    hidden_layer_sizes : tuple of int, default=(256, 128)
        Number of units of the dense layers between the last stage and the code.
    upsampling : {"nearest", "transposed"}, default="nearest"
        How a stage of the decoder increases the size: by repeating pixels before a
        convolution, or by a transposed convolution, which is faster.
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="gelu"
        Activation after each stage and each dense layer, each of which gets its own
        copy of a module.
    dropout : float, default=0.0
        Fraction of units set to zero in training after each stage, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalize each stage over the batch.

    See Also
    --------
    MLP : Dense layers.

    Notes
    -----
    Convolutional autoencoders are those of [1]_.

    References
    ----------
    .. [1] Masci et al. (2011), Stacked convolutional auto-encoders for hierarchical
       feature extraction, ICANN, https://doi.org/10.1007/978-3-642-21735-7_7

    Examples
    --------
    >>> from sk_autoencoder.networks import ConvNet
    >>> ConvNet((1, 28, 28), channels=(8, 16))
    ConvNet(channels=(8, 16), input_shape=(1, 28, 28))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LAYER_CONSTRAINTS,
        "channels": ["array-like"],
        "kernel_size": [COUNT],
        "stride": [COUNT],
        "pooling": [StrOptions({*POOLINGS, "global"}), None],
        "hidden_layer_sizes": ["array-like"],
        "upsampling": [StrOptions({"transposed", "nearest"})],
    }
    needs_all_features: ClassVar[bool] = True

    # Chosen on USPS and Fashion-MNIST (decisions/0021-convolutional-defaults.md).
    input_shape: Sequence[int] | None = None
    channels: Sequence[int] = (16, 32)
    kernel_size: int = 5
    stride: int = 2
    pooling: str | None = None
    hidden_layer_sizes: Sequence[int] = (256, 128)
    upsampling: str = "nearest"
    activation: str | nn.Module = "gelu"
    dropout: float = 0.0
    batch_norm: bool = False

    def build(
        self,
        *,
        n_inputs: int,
        n_encoder_outputs: int,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and its mirror image; see `Network.build`."""
        shapes = self._shapes(n_outputs)
        # Marks of missing cells are channels of their own, behind the others.
        seen = (shapes[0][0] * (n_inputs // n_outputs), *shapes[0][1:])
        encoder: list[nn.Module] = [Reshape(seen)]
        for before, after in pairwise([seen, *shapes[1:]]):
            encoder += self._down(before, after, generator)
        last = shapes[-1]
        if self.pooling == "global":
            encoder.append(Mean())
            n_flat = last[0]
        else:
            encoder.append(nn.Flatten())
            n_flat = math.prod(last)
        sizes = (n_flat, *self.hidden_layer_sizes)
        encoder += hidden_layers(sizes, self.activation, generator)
        encoder.append(linear(sizes[-1], n_encoder_outputs, generator))
        sizes = (n_components, *reversed(self.hidden_layer_sizes))
        decoder = hidden_layers((*sizes, math.prod(last)), self.activation, generator)
        # On the CPU convolutions after repeated pixels take a fifth to a quarter less
        # time so; the encoder's and transposed ones gain nothing
        # (decisions/0022-convolutions-on-the-cpu.md).
        decoder.append(Reshape(last, channels_last=self.upsampling == "nearest"))
        for before, after in pairwise(reversed(shapes)):
            decoder += self._up(before, after, generator)
            if after is not shapes[0]:  # the last one gives the row as it is
                decoder += self._after(after)
        decoder.append(nn.Flatten())
        return nn.Sequential(*encoder), nn.Sequential(*decoder)

    def warning_for(self, n_features: int) -> str | None:
        """Whether axes seem to be mistaken; see `Network.warning_for`."""
        shape = shape_of(self) or ()
        if _looks_like_an_image(shape) and math.prod(shape) == n_features:
            return (
                "expected (channels, length) of a signal, or (channels, height, "
                f"width), got input_shape={shape}, which is {shape[0]} channels of "
                f"length {shape[1]} and looks like (height, width). Pass input_shape="
                f"{(1, *shape)} for images."
            )
        # Other numbers of features are errors, which tell the same.
        if not _has_channels_last(shape) or math.prod(shape) != n_features:
            return None
        return (
            f"expected (channels, height, width), got input_shape={shape}, which "
            f"looks like (height, width, channels). {_advice(shape)}"
        )

    # -- stages ----------------------------------------------------------------------

    def _down(
        self, before: Shape, after: Shape, generator: torch.Generator
    ) -> list[nn.Module]:
        """Return a stage of the encoder, from one shape to the next."""
        pools = POOLINGS.get(str(self.pooling))
        stride = 1 if pools else self.stride
        kind = LAYERS[len(before) - 1][0]
        layers = [self._convolution(kind, before, after, stride, generator)]
        layers += self._after(after)
        if pools and self.stride > 1:
            pool = pools[len(before) - 2]
            layers.append(pool(self.stride, ceil_mode=True))
        return layers

    def _up(
        self, before: Shape, after: Shape, generator: torch.Generator
    ) -> list[nn.Module]:
        """Return how a stage of the decoder grows."""
        plain, transposed, _ = LAYERS[len(before) - 1]
        if self.upsampling == "nearest":
            convolution = self._convolution(plain, before, after, 1, generator)
            return [nn.Upsample(size=after[1:]), convolution]
        # What the strides leave over at the end of each side.
        over = tuple(
            big - ((small - 1) * self.stride + 1)
            for small, big in zip(before[1:], after[1:], strict=True)
        )
        return [
            self._convolution(
                transposed, before, after, self.stride, generator, output_padding=over
            )
        ]

    def _convolution(
        self,
        kind: type[nn.Module],
        before: Shape,
        after: Shape,
        stride: int,
        generator: torch.Generator,
        **more: Any,
    ) -> nn.Module:
        """Make a convolution that keeps height and width, but for the stride."""
        layer: nn.Module = initialized(
            kind,
            before[0],
            after[0],
            self.kernel_size,
            stride=stride,
            padding=self.kernel_size // 2,
            generator=generator,
            **more,
        )
        return layer

    def _after(self, shape: Shape) -> list[nn.Module]:
        """Return what follows a stage's convolution."""
        layers: list[nn.Module] = []
        if self.batch_norm:
            norm = LAYERS[len(shape) - 1][2]
            layers.append(norm(shape[0], dtype=torch.float32))
        layers.append(make_activation(self.activation, shape))
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return layers

    # -- shapes ----------------------------------------------------------------------

    def _shapes(self, n_features: int) -> list[Shape]:
        """Check the parameters; return the shape of the input and of each stage."""
        channels = self._check_parameters()
        shapes = [self._input_shape(n_features)]
        for n_channels in channels:
            sides = [math.ceil(side / self.stride) for side in shapes[-1][1:]]
            shapes.append((n_channels, *sides))
        return shapes

    def _input_shape(self, n_features: int) -> Shape:
        """Check the shape of a row; suggest what it may have been meant to be."""
        shape: Shape = (1, n_features)
        if self.input_shape is not None:
            shape = check_sizes("input_shape", self.input_shape, (1, 28, 28))
        if len(shape) not in (2, 3):
            raise ValueError(
                "expected (channels, height, width) or (channels, length), got "
                f"input_shape={self.input_shape!r}. Pass e.g. input_shape=(1, 28, 28)."
            )
        if math.prod(shape) != n_features:
            kind = "an image" if len(shape) == 3 else "a signal"
            raise ValueError(
                f"expected {kind} of input_shape={shape}, {math.prod(shape)} features, "
                f"got X with {n_features} features{_guess(shape, n_features)}. Pass "
                "network=ConvNet(input_shape=...) whose product is X.shape[1]."
            )
        return shape

    def _check_parameters(self) -> tuple[int, ...]:
        """Refuse parameters out of range; return the channels of each stage."""
        self._validate_params()
        channels = check_sizes("channels", self.channels, (16, 32))
        check_sizes("hidden_layer_sizes", self.hidden_layer_sizes, (256, 128))
        if not channels:
            raise ValueError(
                f"expected at least one stage, got channels={self.channels!r}. Pass "
                "e.g. channels=(16, 32), or network=MLP()."
            )
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"expected an odd kernel_size, got kernel_size={self.kernel_size!r}. "
                "Pass 3 or 5: only these have a middle."
            )
        if self.stride > self.kernel_size:
            raise ValueError(
                f"expected a stride from 1 to kernel_size={self.kernel_size}, got "
                f"stride={self.stride!r}. Pass stride=2."
            )
        return channels


def _has_channels_last(shape: Shape) -> bool:
    """Whether an image's channels seem to be its last size.

    Only square ones count: an image as wide as a pixel or three, with exactly as
    many channels as rows, is nothing that anybody has. (64, 128, 1) may be 64 sensors.
    """
    return len(shape) == 3 and shape[0] == shape[1] >= 8 and shape[2] in (1, 3, 4)


def _looks_like_an_image(shape: Shape) -> bool:
    """Whether the shape of a signal seems to be that of an image without channels.

    Only square ones from 8 on count, as for `_has_channels_last`: signals seldom have
    as many channels as steps.
    """
    return len(shape) == 2 and shape[0] == shape[1] >= 8


def _advice(shape: Shape) -> str:
    """Return what to do about an image whose channels are its last size."""
    turned = (shape[2], shape[0], shape[1])
    if shape[2] == 1:
        return f"Pass input_shape={turned}."
    sizes = ", ".join(map(str, shape))
    return (
        f"Pass input_shape={turned}, and rows with the channels first, as "
        f"X.reshape(-1, {sizes}).transpose(0, 3, 1, 2).reshape(len(X), -1)."
    )


def _guess(shape: Shape, n_inputs: int) -> str:
    """Return what else rows of so many features may be."""
    if _has_channels_last(shape):
        return ", where input_shape looks like (height, width, channels)"
    if n_inputs and n_inputs % math.prod(shape[1:]) == 0:
        n_channels = n_inputs // math.prod(shape[1:])
        return f", which would be {n_channels} channels of {shape[1:]}"
    return ""


class Reshape(nn.Module):
    """Rows of numbers as images or signals.

    **Shape**: (n, product of shape) to (n, *shape).

    Parameters
    ----------
    shape : tuple of int
    channels_last : bool
        Whether images lie in memory with their channels last, on the CPU. What comes
        after keeps to that: same numbers, other steps from one to the next.
    """

    def __init__(self, shape: Shape, *, channels_last: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.channels_last = channels_last and len(shape) == 3

    def forward(self, x: Tensor) -> Tensor:
        """Reshape each row."""
        x = x.reshape(-1, *self.shape)
        if self.channels_last and x.device.type == "cpu":
            x = x.to(memory_format=torch.channels_last)
        return x


class Mean(nn.Module):
    """The mean over all positions.

    **Shape**: (n, channels, ...) to (n, channels).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Take the mean."""
        return x.flatten(2).mean(dim=2)
