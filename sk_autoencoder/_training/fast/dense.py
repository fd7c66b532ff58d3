"""Dense layers, forwards and backwards by hand.

For one layer z = x W' + b, a = f(z), and a gradient G of the loss by a, (n, n_out),

    dz = G * f'(z)        dW = dz' x        db = sum of dz over the rows
    dx = dz W

which is what autograd computes, without its graph: results go into buffers that are
there already, and gradients straight into the vector that the optimizer reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._training.fast.thin import ThinInputs
from sk_autoencoder._utils.activations import IDENTITY, Activation, activation_of

# Multiply-adds of a product from which on torch's is faster, by up to a third: see
# docs/development/decisions/0043-products-by-size.md.
LEAST_FOR_TORCH = 500_000


@dataclass(frozen=True)
class DenseLayer:
    """A linear layer and what follows it.

    Attributes
    ----------
    linear : torch.nn.Linear
    activation : Activation
        With a derivative.
    """

    linear: nn.Linear
    activation: Activation = IDENTITY


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
        row = activation_of(part)
        if type(part) is nn.Linear and part.bias is not None:
            layers.append(DenseLayer(part))
        elif row and row.backward and layers and layers[-1].activation is IDENTITY:
            layers[-1] = DenseLayer(layers[-1].linear, row)
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

    Products of little work are numpy's, on the memory of torch's tensors, because its
    calls are shorter. The rest is torch's.

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

    def forward(self, x: Tensor | ThinInputs) -> Tensor:
        """Run a batch (n_rows, n_in) through; the result lives until the next one."""
        for layer in self._layers:
            x = layer.forward(x)
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
        self._weight, self._weight_gradient = views[layer.linear.weight]
        self._bias, self._bias_gradient = views[layer.linear.bias]
        row = layer.activation
        assert row.in_place is not None
        assert row.backward is not None
        self._in_place, self._out = row.in_place, row.out
        self._multiply_by_derivative = row.backward
        n_out, n_in = self._weight.shape
        self._by_torch = n_rows * n_in * n_out >= LEAST_FOR_TORCH
        self._before = self.output = self._weight.new_empty(n_rows, n_out)
        if self._out is not None:
            self.output = torch.empty_like(self._before)
        self.to_inputs = self._weight.new_empty(n_rows, n_in)
        self._x: Tensor | ThinInputs = self.to_inputs
        self._as_arrays()

    def _as_arrays(self) -> None:
        """Keep NumPy arrays that share the memory of the tensors."""
        self._weights, self._product = self._weight.numpy(), self._before.numpy()
        self._ones = np.ones(len(self._product), dtype=self._weights.dtype)
        self._product_back = self.to_inputs.numpy()
        self._weights_gradient = self._weight_gradient.numpy()
        self._biases_gradient = self._bias_gradient.numpy()

    def forward(self, x: Tensor | ThinInputs) -> Tensor:
        self._x = x
        if isinstance(x, ThinInputs):
            x.times(self._weight, self._bias, out=self._before)
        elif self._by_torch:
            torch.addmm(self._bias, x, self._weight.t(), out=self._before)
        else:
            np.dot(x.numpy(), self._weights.T, out=self._product)
            self._before.add_(self._bias)
        if self._out is None:
            self._in_place(self._before)
        else:
            self._out(self._before, self.output)
        return self.output

    def backward(self, gradient: Tensor, *, to_inputs: bool) -> None:
        self._multiply_by_derivative(gradient, self._before)
        rows, x = gradient.numpy(), self._x
        np.dot(self._ones, rows, out=self._biases_gradient)
        if isinstance(x, ThinInputs):
            x.transposed_times(gradient, out=self._weight_gradient)
        elif self._by_torch:
            torch.mm(gradient.t(), x, out=self._weight_gradient)
        else:
            np.dot(rows.T, x.numpy(), out=self._weights_gradient)
        if to_inputs and self._by_torch:
            torch.mm(gradient, self._weight, out=self.to_inputs)
        elif to_inputs:
            np.dot(rows, self._weights, out=self._product_back)
