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

    def forward(self, x: Tensor | ThinInputs) -> Tensor:
        """Run a batch (n_rows, n_in) through; the result lives until the next one."""
        rows: Any = x if isinstance(x, ThinInputs) else x.numpy()
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
        self._weights, self._gradients = weight, weight_gradient
        self._bias, bias_gradient = views[layer.linear.bias]
        self._weight, self._weight_gradient = weight.numpy(), weight_gradient.numpy()
        self._bias_gradient = bias_gradient.numpy()
        row = layer.activation
        assert row.in_place is not None
        assert row.backward is not None
        self._in_place, self._out = row.in_place, row.out
        self._multiply_by_derivative = row.backward
        n_out, n_in = weight.shape
        self._ones = np.ones(n_rows, dtype=self._weight.dtype)
        self._before = self.output = weight.new_empty(n_rows, n_out)
        if self._out is not None:
            self.output = torch.empty_like(self._before)
        self.to_inputs = weight.new_empty(n_rows, n_in)
        # The same memory, for numpy.
        self._product, self._result = self._before.numpy(), self.output.numpy()
        self._product_back = self.to_inputs.numpy()
        self._x: Any = self._product_back

    def forward(self, x: np.ndarray | ThinInputs) -> np.ndarray:
        self._x = x
        if isinstance(x, ThinInputs):
            x.times(self._weights, self._bias, out=self._before)
        else:
            np.dot(x, self._weight.T, out=self._product)
            self._before.add_(self._bias)
        if self._out is None:
            self._in_place(self._before)
        else:
            self._out(self._before, self.output)
        return self._result

    def backward(self, gradient: Tensor, *, to_inputs: bool) -> None:
        self._multiply_by_derivative(gradient, self._before)
        rows, x = gradient.numpy(), self._x
        np.dot(self._ones, rows, out=self._bias_gradient)
        if isinstance(x, ThinInputs):
            x.transposed_times(gradient, out=self._gradients)
        else:
            np.dot(rows.T, x, out=self._weight_gradient)
        if to_inputs:
            np.dot(rows, self._weight, out=self._product_back)
