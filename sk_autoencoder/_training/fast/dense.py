"""Dense layers, forwards and backwards by hand.

For one layer z = x W' + b, a = f(z), and a gradient G of the loss by a, (n, n_out),

    dz = G * f'(z)        dW = dz' x        db = sum of dz over the rows
    dx = dz W

which is what autograd computes, without its graph: results go into buffers that are
there already, and gradients straight into the vector that the optimiser reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder.networks.mlp import LEAKY_SLOPE, is_plain_activation

__all__ = ["DenseLayer", "DenseBackprop", "dense_layers"]

aten = torch.ops.aten


class Activation(NamedTuple):
    """An activation f and its gradient, in place or between two buffers.

    Attributes
    ----------
    forward : callable (z, a) -> None
        Writes f(z) to `a`.
    backward : callable (gradient, kept) -> None
        Multiplies the gradient by f', in place; `kept` may be written over.
    keeps_input : bool
        Whether `kept` is z; else it is f(z), and z and `a` are one buffer.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor], object]
    keeps_input: bool = False


def _gelu_backward(g: Tensor, z: Tensor) -> None:
    aten.gelu_backward.grad_input(g, z, grad_input=g)


def _silu_backward(g: Tensor, z: Tensor) -> None:
    aten.silu_backward.grad_input(g, z, grad_input=g)


def _relu_backward(g: Tensor, a: Tensor) -> None:
    # 0 or 1. Nobody needs `a` any more, and two methods are faster than one of `aten`.
    g.mul_(a.sign_())


def _sigmoid_backward(g: Tensor, a: Tensor) -> None:
    aten.sigmoid_backward.grad_input(g, a, grad_input=g)


def _tanh_backward(g: Tensor, a: Tensor) -> None:
    aten.tanh_backward.grad_input(g, a, grad_input=g)


def _elu_backward(g: Tensor, a: Tensor) -> None:
    aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, True, a, grad_input=g)


def _leaky_relu_backward(g: Tensor, a: Tensor) -> None:
    # The sign of f(z) is that of z.
    aten.leaky_relu_backward.grad_input(g, a, LEAKY_SLOPE, True, grad_input=g)


ACTIVATIONS: dict[type[nn.Module], Activation | None] = {
    nn.Identity: None,
    nn.ReLU: Activation(lambda z, a: torch.relu_(a), _relu_backward),
    nn.Sigmoid: Activation(lambda z, a: torch.sigmoid_(a), _sigmoid_backward),
    nn.Tanh: Activation(lambda z, a: torch.tanh_(a), _tanh_backward),
    nn.ELU: Activation(lambda z, a: nn.functional.elu_(a), _elu_backward),
    nn.LeakyReLU: Activation(
        lambda z, a: nn.functional.leaky_relu_(a, LEAKY_SLOPE), _leaky_relu_backward
    ),
    nn.GELU: Activation(
        lambda z, a: aten.gelu.out(z, out=a), _gelu_backward, keeps_input=True
    ),
    nn.SiLU: Activation(
        lambda z, a: aten.silu.out(z, out=a), _silu_backward, keeps_input=True
    ),
}
"""None is no activation at all."""


@dataclass(frozen=True)
class DenseLayer:
    """A linear layer and what follows it.

    Attributes
    ----------
    linear : torch.nn.Linear
    activation : Activation or None
    """

    linear: nn.Linear
    activation: Activation | None = None


def dense_layers(module: nn.Module) -> list[DenseLayer] | None:
    """Read a module as dense layers in a row; None where it is something else.

    Parameters
    ----------
    module : torch.nn.Module
        A linear layer, a `Sequential` of linear layers and activations, or something
        whose `in_a_row` gives one.
    """
    layers: list[DenseLayer] = []
    for part in _in_a_row(module):
        if type(part) is nn.Linear and part.bias is not None:
            layers.append(DenseLayer(part))
        elif (
            is_plain_activation(part)
            and type(part) in ACTIVATIONS
            and layers
            and layers[-1].activation is None
        ):
            layers[-1] = DenseLayer(layers[-1].linear, ACTIVATIONS[type(part)])
        else:
            return None
    return layers or None


def _in_a_row(module: nn.Module) -> Sequence[nn.Module]:
    """Return the parts that run one after the other, `Sequential`s taken apart."""
    in_a_row: Any = getattr(module, "in_a_row", None)
    if in_a_row is not None:
        parts = in_a_row()
    elif type(module) is nn.Sequential:
        parts = list(module)
    else:
        return [module]
    return [leaf for part in parts for leaf in _in_a_row(part)]


class DenseBackprop:
    """Layers in a row with buffers for batches of so many rows.

    Products are numpy's, on the memory of torch's tensors: its calls are shorter, and
    its BLAS is as fast, to 5 %, or faster on all sizes that were tried
    (`python -m benchmarks.quality.choices --tables products`). The rest is torch's.

    Parameters
    ----------
    layers : list of DenseLayer
    views : dict of Tensor to (Tensor, Tensor)
        Where each weight and its gradient lie, on the CPU.
    n_rows : int
    """

    def __init__(
        self,
        layers: list[DenseLayer],
        views: dict[Tensor, tuple[Tensor, Tensor]],
        n_rows: int,
    ) -> None:
        self._layers = [_BufferedLayer(layer, views, n_rows) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Run a batch (n_rows, n_in) through; the result lives until the next one."""
        rows = x.numpy()
        for layer in self._layers:
            rows = layer.forward(rows)
        return self._layers[-1].output

    def backward(self, gradient: Tensor, *, to_inputs: bool) -> Tensor | None:
        """Write the weights' gradients.

        Parameters
        ----------
        gradient : Tensor of shape (n_rows, n_out)
            Of the loss by the result of `forward`. It is overwritten.
        to_inputs : bool
            Whether the gradient by the inputs is wanted too.
        """
        for i in reversed(range(len(self._layers))):
            layer = self._layers[i]
            layer.backward(gradient, to_inputs=to_inputs or i > 0)
            gradient = layer.to_inputs
        return gradient if to_inputs else None


class _BufferedLayer:
    """One layer, and room for what it gives and gets."""

    def __init__(
        self,
        layer: DenseLayer,
        views: dict[Tensor, tuple[Tensor, Tensor]],
        n_rows: int,
    ) -> None:
        weight, weight_gradient = views[layer.linear.weight]
        self._bias, bias_gradient = views[layer.linear.bias]
        self._weight, self._weight_gradient = weight.numpy(), weight_gradient.numpy()
        self._bias_gradient = bias_gradient.numpy()
        self._activation = layer.activation
        n_out, n_in = weight.shape
        self._ones = np.ones(n_rows, dtype=self._weight.dtype)
        self._before = self.output = weight.new_empty(n_rows, n_out)
        if self._activation is not None and self._activation.keeps_input:
            self.output = torch.empty_like(self._before)
        self.to_inputs = weight.new_empty(n_rows, n_in)
        # The same memory, for numpy.
        self._product, self._result = self._before.numpy(), self.output.numpy()
        self._product_back = self.to_inputs.numpy()
        self._x = self._product_back

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._x = x
        np.dot(x, self._weight.T, out=self._product)
        self._before.add_(self._bias)
        if self._activation is not None:
            self._activation.forward(self._before, self.output)
        return self._result

    def backward(self, gradient: Tensor, *, to_inputs: bool) -> None:
        if self._activation is not None:
            self._activation.backward(gradient, self._before)
        rows = gradient.numpy()
        np.dot(rows.T, self._x, out=self._weight_gradient)
        np.dot(self._ones, rows, out=self._bias_gradient)
        if to_inputs:
            np.dot(rows, self._weight, out=self._product_back)
