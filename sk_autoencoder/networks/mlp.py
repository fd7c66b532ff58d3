"""Stacks of dense layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sk_autoencoder._protocols import Network
from sk_autoencoder.networks._checks import LAYER_CONSTRAINTS, check_sizes
from sk_autoencoder.networks._layers import (
    Dropout,
    hidden_layers,
    linear,
)

# What "auto" is: before a code that is smaller than all layers, and where all layers
# side by side are the code.
BOTTLENECK_SIZES = (256, 128)
STACK_SIZES = (256, 256, 256)


@dataclass(eq=False, repr=False)
class MLP(Network):
    """Dense layers from the input to the code, and mirrored back.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Number of units in each layer between the input and the code, in the order of
        the encoder; the decoder mirrors them. With an empty tuple, encoder and decoder
        are linear. "auto" is (256, 128), or (256, 256, 256) for `features="hidden"`,
        for which these are all layers between the input and the linear output.
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="silu"
        Activation after each hidden layer. Each layer gets its own copy of a module,
        whose weights are trained; the module must keep the shape of its input and must
        not be random.
    dropout : float, default=0.0
        Fraction of units set to zero in training after each hidden layer, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalize each hidden layer over the batch.

    See Also
    --------
    sk_autoencoder.AutoEncoderTransformer : Takes it as `network=`.

    Examples
    --------
    >>> from sk_autoencoder.networks import MLP
    >>> MLP(hidden_layer_sizes=(64, 32), activation="relu")
    MLP(activation='relu', hidden_layer_sizes=(64, 32))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = LAYER_CONSTRAINTS
    # Whether layers are normalized over the units of a row.
    _normalizes: ClassVar[bool] = False

    hidden_layer_sizes: Sequence[int] | str = "auto"
    activation: str | nn.Module = "silu"
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
        self._validate_params()
        if isinstance(self.hidden_layer_sizes, str):
            return automatic
        return check_sizes("hidden_layer_sizes", self.hidden_layer_sizes, (256, 128))

    def _layers(
        self, sizes: Sequence[int], generator: torch.Generator
    ) -> list[nn.Module]:
        """Return hidden layers through these sizes."""
        return hidden_layers(
            sizes,
            self.activation,
            generator,
            dropout=self.dropout,
            batch_norm=self.batch_norm,
            layer_norm=self._normalizes,
        )


class FeatureStack(MLP):
    """Dense layers without a bottleneck, whose activations are features.

    What `network=None` is with `features="hidden"`: an `MLP` each of whose layers is
    normalized over the units of a row, unless it is over the batch.
    """

    _normalizes = True

    def build_detector(self, n_cells: int, generator: torch.Generator) -> nn.Linear:
        """Build what finds corrupted cells from the last layer, a logit a cell."""
        return linear(self.stack_widths()[-1], n_cells, generator)


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
        last: Tensor = self.output(hidden[:, -self.output.in_features :])
        return last
