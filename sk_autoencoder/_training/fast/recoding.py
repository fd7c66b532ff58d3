"""One training step of what puts codes in order, by hand: loss and gradient of a batch.

A coupling with the other components o, its network n and b = BOUND tanh(o / BOUND) has

    (a, t) = n(b)        y = x exp(tanh a) + t

and from a gradient G of the loss by y

    da = G x exp(tanh a) (1 - tanh(a)^2)        dt = G        dx = G exp(tanh a)

The decoder behind them is as that of `FusedStep`, for a prefix of each code; both ways
of training take the same steps, to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sk_autoencoder._model.nested_decoder import NestedModule
from sk_autoencoder._model.recoder import BOUND
from sk_autoencoder._training.fast.dense import DenseBackprop, DenseLayer, dense_layers
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.activations import IDENTITY

Back = Callable[[Tensor], Tensor]


def recoding_step(module: NestedModule, flat: FlatParameters) -> "RecodingStep | None":
    """Return the step of a module, None where its networks are not dense.

    Parameters
    ----------
    module : NestedModule
        On the CPU, its weights those of `flat`.
    flat : FlatParameters
    """
    if module.recoder is None or not module.columns.has_gradient:
        return None
    couplings: Any = module.recoder.couplings
    networks = [*(part.network for part in couplings), module.decoder.network]
    layers = [dense_layers(network) for network in networks]
    known = [found for found in layers if found is not None]
    weights = {w for found in known for x in found for w in x.linear.parameters()}
    if (
        len(known) < len(layers)
        or known[-1][-1].activation is not IDENTITY
        or weights != set(flat.parameters)
    ):
        return None
    return RecodingStep(module, flat, known)


class RecodingStep:
    """Loss and gradient of a batch, without a graph.

    Parameters
    ----------
    module : NestedModule
    flat : FlatParameters
        Its gradient is written to, whole.
    networks : list of list of DenseLayer
        Of the couplings, and of the decoder.
    """

    def __init__(
        self,
        module: NestedModule,
        flat: FlatParameters,
        networks: list[list[DenseLayer]],
    ) -> None:
        self._module, self._networks = module, networks
        places = zip(
            flat.split(flat.vector.data), flat.split(flat.gradient), strict=True
        )
        self._views: dict[Tensor, tuple[Tensor, Tensor]] = dict(
            zip(flat.parameters, places, strict=True)
        )
        self._passes: dict[int, list[DenseBackprop]] = {}

    def __call__(self, x: Tensor, target: Tensor) -> tuple[float, dict[str, float]]:
        """Write the gradient of the mean loss of centered rows; return that loss.

        Parameters
        ----------
        x, target : Tensor of shape (n, n_features)
        """
        with torch.no_grad():
            module = self._module
            code, lengths = module.draw(x)
            *couplings, decoder = self._buffered(len(x))
            recoder = module.recoder
            code = (code - recoder.offset) @ recoder.matrix
            ways_back = []
            for part, network in zip(recoder.couplings, couplings, strict=True):
                code, back = _coupled(code, network, part.first, part.last)
                ways_back.append(back)
            loss, gradient = self._decoded(code, lengths, target, decoder)
            for back in reversed(ways_back):
                gradient = back(gradient)
        return loss, {}

    def _decoded(
        self, code: Tensor, lengths: Tensor, target: Tensor, network: DenseBackprop
    ) -> tuple[float, Tensor]:
        """Return the loss of prefixes, and its gradient by the whole codes."""
        nested, columns = self._module.decoder, self._module.columns
        k = code.shape[1]
        mask = (torch.arange(k) < lengths.unsqueeze(1)).to(code)
        prefix = code * mask
        bent = (prefix / BOUND).tanh_()
        learned = network.forward(torch.cat([bent * BOUND, mask], dim=1))
        linear = torch.addmm(nested.offset, prefix, nested.axes)
        units = nested.units[lengths - 1].unsqueeze(1)
        raw = torch.addcmul(columns.link(linear), learned, units)
        weights = units.square().reciprocal_()
        losses = columns.per_sample_loss(raw, target) * weights[:, 0]
        _, gradient = columns.loss_and_gradient(raw, target, 1.0)
        gradient = gradient * weights
        seen = network.backward(gradient * units, to_inputs=True)
        assert seen is not None
        slope = columns.link_vjp(gradient, linear)
        by_prefix = seen[:, :k] * (1 - bent.square())
        by_prefix.addmm_(slope, nested.axes.t())
        return losses.mean().item(), by_prefix.mul_(mask)

    def _buffered(self, n_rows: int) -> list[DenseBackprop]:
        """Return the layers with buffers: one set a size, the last batch's apart."""
        if n_rows not in self._passes:
            self._passes[n_rows] = [
                DenseBackprop(layers, self._views, n_rows) for layers in self._networks
            ]
        return self._passes[n_rows]


def _coupled(
    code: Tensor, network: DenseBackprop, first: int, last: int
) -> tuple[Tensor, Back]:
    """Run codes through a coupling; return them, and the way back."""
    changed, n_changed = code[:, first:last], last - first
    bent = torch.cat([code[:, :first], code[:, last:]], dim=1).div_(BOUND).tanh_()
    found = network.forward(bent * BOUND)
    logs = found[:, :n_changed].tanh()
    factors = logs.exp()
    result = code.clone()
    result[:, first:last] = changed * factors + found[:, n_changed:]

    def back(gradient: Tensor) -> Tensor:
        own = gradient[:, first:last]
        to_factors = own * changed * factors * (1 - logs.square())
        by_found = torch.cat([to_factors, own], dim=1)
        others = network.backward(by_found, to_inputs=True)
        assert others is not None
        others = others * (1 - bent.square())
        parts = [others[:, :first], others[:, first:]]
        before, behind = gradient[:, :first] + parts[0], gradient[:, last:] + parts[1]
        return torch.cat([before, own * factors, behind], dim=1)

    return result, back
