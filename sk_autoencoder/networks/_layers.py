"""Layers that several networks have, with weights from a generator."""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder._utils.random import noise_like
from sk_autoencoder._utils.values import first_line


def linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Make torch's default `Linear`, uniform in +-1/sqrt(n_in), from a generator."""
    layer: nn.Linear = initialized(nn.Linear, n_in, n_out, generator=generator)
    return layer


def initialized(
    kind: type[nn.Module], *sizes: int, generator: torch.Generator, **settings: Any
) -> Any:
    """Make a layer with torch's default weights, but from a generator.

    Parameters
    ----------
    kind : {torch.nn.Linear, torch.nn.Conv1d, ...}
    *sizes : int
        Its positional arguments.
    generator : torch.Generator
        Draws the weights, uniform in +-1/sqrt(numbers that an output is the sum of).
    **settings : Any
        Its keyword arguments.
    """
    # Without weights first: torch's own would come from its global generator. Its
    # `skip_init` would import sympy to fill them in, half a second of the first fit.
    layer: Any = kind(*sizes, dtype=torch.float32, device="meta", **settings)
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for name in ("weight", "bias"):
        values = torch.empty(getattr(layer, name).shape, dtype=torch.float32)
        values.uniform_(-bound, bound, generator=generator)
        setattr(layer, name, nn.Parameter(values))
    return layer


def hidden_layers(
    sizes: Sequence[int],
    activation: str | nn.Module,
    generator: torch.Generator,
    *,
    dropout: float = 0.0,
    batch_norm: bool = False,
    layer_norm: bool = False,
) -> list[nn.Module]:
    """Return dense layers through these sizes: linear, norm, activation, dropout."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers.append(linear(n_in, n_out, generator))
        if batch_norm:
            layers.append(nn.BatchNorm1d(n_out, dtype=torch.float32))
        elif layer_norm:
            layers.append(nn.LayerNorm(n_out, dtype=torch.float32))
        layers.append(make_activation(activation, (n_out,)))
        if dropout:
            layers.append(Dropout(dropout))
    return layers


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, never from torch's global one.

    **Shape**: any, kept.

    Parameters
    ----------
    p : float
        Fraction of the units that are set to zero in training; the others are scaled
        up to keep the sum.
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop units in training; do nothing in evaluation."""
        if not self.training:
            return x
        keep = noise_like(x, self.generator, "bernoulli_", 1 - self.p)
        return x * keep.div_(1 - self.p)


def make_activation(activation: str | nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Make an activation for one layer, or copy the module that is given.

    Parameters
    ----------
    activation : str or torch.nn.Module
        Of an allowed name, where it is one.
    shape : tuple of int
        Of a sample's output of the layer, (n_units,) or (n_channels, ...).

    Raises
    ------
    ValueError
        If the module cannot take such an output, changes its shape, or draws from
        torch's global generator.
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation].module()
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
            raise ValueError(
                f"expected an activation for layers of {shape} units, got activation="
                f"{module!r}, because: {first_line(error)}. {example}"
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
