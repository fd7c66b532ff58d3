"""Stacks of dense layers."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._protocols import Network

__all__ = [
    "ACTIVATIONS",
    "LEAKY_SLOPE",
    "MLP",
    "check_activation",
    "check_choice",
    "check_share",
    "check_sizes",
    "is_count",
    "is_plain_activation",
    "linear",
    "make_activation",
]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}

KINDS = frozenset(ACTIVATIONS.values())
# torch's default: what the derived gradients and the numpy functions compute.
LEAKY_SLOPE = 0.01

BOTTLENECK_SIZES = (256, 128)
STACK_SIZES = (256, 256, 256)


class MLP(Network):
    """Dense layers from the input to the code, and mirrored back.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of the layers between input and code, in the encoder's order; the
        decoder mirrors them. An empty tuple is one linear layer each way. "auto"
        is (256, 128), and (256, 256, 256) for `features="hidden"`, where the tuple
        holds all layers between the input and the linear output.
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="gelu"
        After each layer but the one that gives the code and the last. Each layer has
        its own copy of a module, which keeps the shape of its input and draws no
        random numbers; its weights, if it has any, are trained.
    dropout : float, default=0.0
        Share of units set to zero in training after each hidden layer, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalise each hidden layer over the batch.

    See Also
    --------
    sk_autoencoder.AutoEncoderTransformer : Takes it as `network=`.

    Examples
    --------
    >>> from sk_autoencoder.networks import MLP
    >>> MLP(hidden_layer_sizes=(64, 32), activation="relu")
    MLP(activation='relu', hidden_layer_sizes=(64, 32))
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        activation: str | nn.Module = "gelu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm

    def build(
        self,
        *,
        n_inputs: int,
        n_encoder_outputs: int,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> tuple[nn.Module, nn.Module]:
        """Build the mirrored encoder and decoder; see `Network.build`."""
        sizes = self._sizes(BOTTLENECK_SIZES)
        encoder = self._layers((n_inputs, *sizes), generator)
        encoder.append(linear((n_inputs, *sizes)[-1], n_encoder_outputs, generator))
        mirrored = (n_components, *reversed(sizes))
        decoder = self._layers(mirrored, generator)
        decoder.append(linear(mirrored[-1], n_outputs, generator))
        return nn.Sequential(*encoder), nn.Sequential(*decoder)

    def stack_widths(self) -> list[int]:
        """Return the units of each hidden layer; see `Network.stack_widths`."""
        sizes = self._sizes(STACK_SIZES)
        if not sizes:
            raise ValueError(
                "expected at least one hidden layer for features='hidden', got "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}. Pass e.g. "
                "hidden_layer_sizes=(256, 256, 256)."
            )
        return list(sizes)

    def build_stack(
        self, *, n_inputs: int, n_outputs: int, generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module]:
        """Build a deep stack, all hidden layers its code; see `Network.build_stack`."""
        sizes = self.stack_widths()
        blocks = [
            nn.Sequential(*self._layers(pair, generator))
            for pair in pairwise((n_inputs, *sizes))
        ]
        output = linear(sizes[-1], n_outputs, generator)
        return HiddenActivations(blocks), FromLastLayer(output)

    def layer_pairs(
        self, encoder: nn.Module, decoder: nn.Module, generator: torch.Generator
    ) -> list[tuple[nn.Sequential, nn.Sequential]]:
        """Pair each layer with its mirror image; see `Network.layer_pairs`.

        A deep stack has no mirror images: they are made.
        """
        if not isinstance(encoder, HiddenActivations):
            mirrored = [_without_dropout(block) for block in reversed(_blocks(decoder))]
            return list(zip(_blocks(encoder), mirrored, strict=True))
        assert isinstance(decoder, FromLastLayer)
        blocks: list[Any] = encoder.in_a_row()
        widths = [decoder.output.out_features, *(b[0].out_features for b in blocks)]
        if len(blocks) == 1:
            return [(blocks[0], nn.Sequential(decoder.output))]
        layers = [
            _without_dropout(self._layers((n_out, n_in), generator))
            for n_in, n_out in pairwise(widths)
        ]
        layers[0] = nn.Sequential(layers[0][0])  # columns have no activation
        return list(zip(blocks, layers, strict=True))

    def _sizes(self, automatic: tuple[int, ...]) -> tuple[int, ...]:
        """Check the parameters and resolve `hidden_layer_sizes`."""
        check_activation(self.activation)
        check_share("dropout", self.dropout)
        if isinstance(self.hidden_layer_sizes, str):
            check_choice("hidden_layer_sizes", self.hidden_layer_sizes, ["auto"])
            return automatic
        return check_sizes("hidden_layer_sizes", self.hidden_layer_sizes, (256, 128))

    def _layers(
        self, sizes: Sequence[int], generator: torch.Generator
    ) -> list[nn.Module]:
        """Hidden layers through these sizes: linear, norm, activation, dropout."""
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers.append(linear(n_in, n_out, generator))
            if self.batch_norm:
                layers.append(nn.BatchNorm1d(n_out, dtype=torch.float32))
            layers.append(make_activation(self.activation, (n_out,)))
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return layers


def _blocks(layers: Any) -> list[nn.Sequential]:
    """Cut layers in a row before each linear one."""
    blocks: list[list[nn.Module]] = []
    for part in layers:
        if isinstance(part, nn.Linear):
            blocks.append([])
        blocks[-1].append(part)
    return [nn.Sequential(*block) for block in blocks]


def _without_dropout(layers: Iterable[nn.Module]) -> nn.Sequential:
    """Leave out what would drop parts of a reconstruction."""
    return nn.Sequential(*(part for part in layers if not isinstance(part, Dropout)))


class HiddenActivations(nn.Module):
    """Layers in a row, all their outputs side by side.

    **Shape**: (n, n_inputs) to (n, sum of the layers' units).

    Parameters
    ----------
    blocks : list of torch.nn.Module
    """

    def __init__(self, blocks: list[nn.Sequential]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def in_a_row(self) -> list[nn.Module]:
        """Return the layers; the last one's output is all that is decoded."""
        return list(self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers and keep what each gives."""
        hidden = []
        for block in self.blocks:
            x = block(x)
            hidden.append(x)
        return torch.cat(hidden, dim=1)


class FromLastLayer(nn.Module):
    """A linear output that reads the last hidden layer only.

    **Shape**: (n, sum of the layers' units) to (n, n_outputs).

    Parameters
    ----------
    output : torch.nn.Linear
    """

    def __init__(self, output: nn.Linear) -> None:
        super().__init__()
        self.output = output

    def in_a_row(self) -> list[nn.Module]:
        """Return what runs after the last layer."""
        return [self.output]

    def forward(self, hidden: Tensor) -> Tensor:
        """Decode the last layer's block of columns."""
        return self.output(hidden[:, -self.output.in_features :])


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, never from torch's global one.

    **Shape**: any, kept.

    Parameters
    ----------
    share : float
        Of the units set to zero in training; the others are scaled up to keep the
        sum.
    """

    generator: torch.Generator | None = None

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop units in training; do nothing in evaluation."""
        if not self.training:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * keep.div_(1 - self.share)


def is_plain_activation(part: nn.Module) -> bool:
    """Whether this is one of `ACTIVATIONS`, with torch's default parameters."""
    if type(part) is nn.GELU:
        return part.approximate == "none"
    if type(part) is nn.ELU:
        return part.alpha == 1.0
    if type(part) is nn.LeakyReLU:
        return part.negative_slope == LEAKY_SLOPE
    return type(part) in KINDS


def check_activation(activation: object) -> None:
    """Refuse what is neither the name of an activation nor a module."""
    if isinstance(activation, nn.Module):
        return
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(
            f"expected one of {sorted(ACTIVATIONS)} or a torch.nn.Module, got "
            f"activation={activation!r}. Pass e.g. 'relu', or an instance such as "
            "torch.nn.Mish()."
        )


def make_activation(activation: str | nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Make an activation for one layer, or copy the module that is given.

    Parameters
    ----------
    activation : str or torch.nn.Module
        Accepted by `check_activation`.
    shape : tuple of int
        Of a sample's output of the layer, (n_units,) or (n_channels, ...).

    Raises
    ------
    ValueError
        If the module cannot take such an output, changes its shape, or draws from
        torch's global generator.
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation]()
    _try_activation(copy.deepcopy(activation), shape)
    module = copy.deepcopy(activation).to("cpu", torch.float32).train()
    part: Any
    for part in module.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # what it is given may still be needed
    return module


def _try_activation(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Run two samples through an activation in training mode; see `make_activation`."""
    example = "Pass one such as torch.nn.Mish()."
    # Below zero: there some modules draw, and others do not.
    x = torch.full((2, *shape), -1.0, device="cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.random.get_rng_state()
        try:
            result = module.to("cpu", torch.float32).train()(x.clone())
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"expected an activation for layers of {shape} units, got activation="
                f"{module!r}, because: {reason}. {example}"
            ) from error
        draws = not torch.equal(before, torch.random.get_rng_state())
    if not isinstance(result, Tensor) or result.shape != x.shape:
        found = (
            tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        )
        raise ValueError(
            f"expected an activation that keeps the shape {tuple(x.shape)}, got "
            f"activation={module!r}, because it returns {found}. {example}"
        )
    if draws:
        raise ValueError(
            "expected an activation that draws no random numbers, got activation="
            f"{module!r}, because it uses torch's global generator. {example}"
        )


def linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Make torch's default `Linear`, uniform in +-1/sqrt(n_in), from a generator."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=torch.float32)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def is_count(size: object) -> bool:
    """Whether this is a whole number of at least one; numpy's ints count too."""
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        return False
    return size.__index__() >= 1


def check_choice(name: str, value: object, choices: object) -> None:
    """Refuse a value that is none of the choices."""
    known = sorted(choices)  # type: ignore[call-overload]
    if value not in known:
        raise ValueError(f"expected one of {known}, got {name}={value!r}. Pass one.")


def check_sizes(name: str, sizes: object, example: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse anything but whole numbers of at least one; give them as a tuple."""
    if isinstance(sizes, Iterable) and not isinstance(sizes, str):
        given = tuple(sizes)
        if all(is_count(size) for size in given):
            return tuple(int(size) for size in given)
    raise ValueError(
        f"expected a tuple of ints >= 1, got {name}={sizes!r}. Pass e.g. "
        f"{name}={example}."
    )


def check_share(name: str, share: Any) -> None:
    """Refuse anything but a number in [0, 1)."""
    is_number = isinstance(share, Real)
    if not (is_number and 0 <= share < 1):
        raise ValueError(
            f"expected a share in [0, 1), got {name}={share!r}. Pass 0.0 to keep every "
            "unit."
        )
