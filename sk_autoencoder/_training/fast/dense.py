"""Dense layers, forwards and backwards by hand.

For one layer z = x W' + b, a = f(z), and a gradient G of the loss by a, (n, n_out),

    dz = G * f'(z)        dW = dz' x        db = sum of dz over the rows
    dx = dz W

which is what autograd computes, without its graph: results go into buffers that are
there already, and gradients straight into the vector that the optimizer reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._training.fast.thin import ThinInputs
from sk_autoencoder._utils.activations import IDENTITY, Activation, activation_of

# Multiply-adds of a product from which on torch's is faster, by up to a third: see
# docs/development/decisions/0043-products-by-size.md.
LEAST_FOR_TORCH = 500_000

Call = Callable[[], object]


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
    calls are shorter. The rest is torch's. All calls are made up in advance, but for
    those of the first layer, whose input is another tensor each time: for a small
    network what stands around its products takes as long as they do.

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
        every = [_BufferedLayer(layer, views, n_rows) for layer in layers]
        self._first, self._output = every[0], every[-1].output
        # The gradient by the output is written over it, where that is not needed.
        is_free = layers[-1].activation is IDENTITY
        self._gradient = self._output if is_free else torch.empty_like(self._output)
        gradients = [*(layer.to_inputs for layer in every[1:]), self._gradient]
        self._x: Tensor | ThinInputs = every[0].to_inputs
        self._by_first = gradients[0]
        self._forward: list[Call] = []
        self._backward: list[Call] = []
        for i, layer in enumerate(every[1:], start=1):
            x = every[i - 1].output
            self._forward += layer.forward(x)
            back = layer.backward(x, gradients[i], to_inputs=True)
            self._backward = back + self._backward

    def forward(self, x: Tensor | ThinInputs) -> Tensor:
        """Run a batch (n_rows, n_in) through; the result lives until the next one."""
        self._x = x
        for call in self._first.forward(x):
            call()
        for call in self._forward:
            call()
        return self._output

    def backward(self, gradient: Tensor, *, to_inputs: bool) -> Tensor | None:
        """Write the weights' gradients.

        Parameters
        ----------
        gradient : Tensor of shape (n_rows, n_out)
            Of the loss by the result of `forward`, which may be overwritten.
        to_inputs : bool
            Whether the gradient by the inputs is wanted too.
        """
        if gradient is not self._gradient:
            self._gradient.copy_(gradient)
        for call in self._backward:
            call()
        first = self._first
        for call in first.backward(self._x, self._by_first, to_inputs=to_inputs):
            call()
        return first.to_inputs if to_inputs else None


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
        self._transposed = self._weight.t()
        self._activation = layer.activation
        n_out, n_in = self._weight.shape
        self._by_torch = n_rows * n_in * n_out >= LEAST_FOR_TORCH
        self._before = self.output = self._weight.new_empty(n_rows, n_out)
        if self._activation.out is not None:
            self.output = torch.empty_like(self._before)
        self.to_inputs = self._weight.new_empty(n_rows, n_in)
        self._ones = np.ones(n_rows, dtype=np.float32)

    def forward(self, x: Tensor | ThinInputs) -> list[Call]:
        """Return the calls that write the output from an input, as it then is."""
        row, before = self._activation, self._before
        calls: list[Call] = []
        if isinstance(x, ThinInputs):
            calls += [partial(x.times, self._weight, self._bias, out=before)]
        elif self._by_torch:
            weight = self._transposed
            calls += [partial(torch.addmm, self._bias, x, weight, out=before)]
        else:
            weights = self._transposed.numpy()
            calls += [partial(np.dot, x.numpy(), weights, out=before.numpy())]
            calls += [partial(before.add_, self._bias)]
        if row.out is not None:
            calls += [partial(row.out, before, self.output)]
        elif row is not IDENTITY:
            assert row.in_place is not None
            calls += [partial(row.in_place, before)]
        return calls

    def backward(
        self, x: Tensor | ThinInputs, gradient: Tensor, *, to_inputs: bool
    ) -> list[Call]:
        """Return the calls that write gradients from that by the output."""
        row, rows = self._activation, gradient.numpy()
        calls: list[Call] = []
        if row is not IDENTITY:
            assert row.backward is not None
            calls += [partial(row.backward, gradient, self._before)]
        calls += [partial(np.dot, self._ones, rows, out=self._bias_gradient.numpy())]
        by_weight = self._weight_gradient
        if isinstance(x, ThinInputs):
            calls += [partial(x.transposed_times, gradient, out=by_weight)]
        elif self._by_torch:
            calls += [partial(torch.mm, gradient.t(), x, out=by_weight)]
        else:
            calls += [partial(np.dot, rows.T, x.numpy(), out=by_weight.numpy())]
        if to_inputs and self._by_torch:
            calls += [partial(torch.mm, gradient, self._weight, out=self.to_inputs)]
        elif to_inputs:
            weights, out = self._weight.numpy(), self.to_inputs.numpy()
            calls += [partial(np.dot, rows, weights, out=out)]
        return calls
