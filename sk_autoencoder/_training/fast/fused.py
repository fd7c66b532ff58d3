"""One training step of a dense autoencoder by hand: loss and gradient of a batch.

With inputs x, encoder g, decoder h and, where the network starts as PCA, the linear
parts A and D around them,

    u   = g(x) + x A            (without a start from PCA: u = g(x))
    raw = f(o + u D) + r h(u)   (without: raw = h(u))

f is the columns' `link`, r the unit of what is learned. From E, the gradient of
the loss by raw,

    du  = r E dh/du + (E f'(o + u D)) D'

and the gradients by the weights of g and h are those of dense layers, for du and r E
(`DenseBackprop` in `_training/fast/dense.py`). A, D and o are not trained. All noise is
drawn by the module's own parts, in the same order as in its forward pass: both ways of
training take the same steps, to rounding.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.nested_decoder import NestedModule
from sk_autoencoder._model.pca_residual import (
    PCAResidualDecoder,
    PCAResidualEncoder,
    PCAResidualPosterior,
)
from sk_autoencoder._protocols import Objective
from sk_autoencoder._training.batches import ThinBatch
from sk_autoencoder._training.fast.cuda_graph import CudaGraphStep
from sk_autoencoder._training.fast.dense import DenseBackprop, DenseLayer, dense_layers
from sk_autoencoder._training.fast.recoding import RecodingStep, recoding_step
from sk_autoencoder._training.fast.thin import ThinInputs
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.activations import IDENTITY
from sk_autoencoder._utils.random import own_rows
from sk_autoencoder._utils.torch_compat import has_hooks

# Where the modules are defined that compute the same at every call.
KNOWN = ("torch.nn.", "sk_autoencoder.")

Back = Callable[[Tensor], tuple[Tensor, dict[str, float]]]


def fast_step(
    module: nn.Module, flat: FlatParameters, precision: str, clip: float | None = None
) -> "FusedStep | RecodingStep | CudaGraphStep | None":
    """Find a way to a batch's gradient that is faster than autograd on its own.

    Parameters
    ----------
    module : torch.nn.Module
        Its weights are those of `flat`.
    flat : FlatParameters
    precision : {"float32", "bf16"}
    clip : float or None, default=None
        Norm to clip the gradient to, for a step that does so itself: it then has a true
        attribute `clips`.

    Returns
    -------
    step : FusedStep, RecodingStep, CudaGraphStep or None
        None where there is none.
    """
    kind = flat.vector.device.type
    if isinstance(module, NestedModule):
        is_plain = (kind, precision) == ("cpu", "float32") and not has_hooks(module)
        return recoding_step(module, flat) if is_plain else None
    if not isinstance(module, AutoEncoderModule):
        return None
    if kind == "cuda":
        if _calls_own_code(module):
            return None  # it may compute otherwise at every call
        return CudaGraphStep(module, flat, precision, clip=clip)
    has_gradient = module.columns.has_gradient and module.objective.has_gradient
    is_plain = type(module) is AutoEncoderModule and has_gradient
    if (kind, precision) != ("cpu", "float32") or not is_plain:
        return None
    networks = None if has_hooks(module) else _Networks.of(module)
    if networks is None or not networks.hold_all(flat.parameters):
        return None
    return FusedStep(module, flat, networks)


def _calls_own_code(module: AutoEncoderModule) -> bool:
    """Whether a step calls what is neither torch's nor of this package."""
    return (
        module.columns.is_own_loss
        or module.objective.is_own_noise
        or has_hooks(module)
        or not all(type(m).__module__.startswith(KNOWN) for m in module.modules())
    )


class _Networks(NamedTuple):
    """The dense layers of both networks, and the linear parts around them."""

    encoder: list[DenseLayer]
    decoder: list[DenseLayer]
    pca: tuple[PCAResidualEncoder, PCAResidualDecoder] | None

    @classmethod
    def of(cls, module: AutoEncoderModule) -> "_Networks | None":
        """Take a module apart; None where it is not so built."""
        encoder, decoder = module.encoder, module.decoder
        networks, pca = (encoder, decoder), None
        if isinstance(encoder, PCAResidualEncoder) and isinstance(
            decoder, PCAResidualDecoder
        ):
            networks, pca = (encoder.network, decoder.network), (encoder, decoder)
        first, last = map(dense_layers, networks)
        if first is None or last is None:
            return None
        # What these give is written over: nobody behind them may still need it.
        written = [last, first] if pca else [last]
        if any(layers[-1].activation is not IDENTITY for layers in written):
            return None
        return cls(first, last, pca)

    def hold_all(self, parameters: Iterable[Tensor]) -> bool:
        """Whether these are the weights, each in one layer, and all trained."""
        linears = [layer.linear for layer in [*self.encoder, *self.decoder]]
        weights = [weight for x in linears for weight in (x.weight, x.bias)]
        every = set(parameters)
        trained = all(weight.requires_grad for weight in every)
        return trained and len(weights) == len(every) and set(weights) == every


class _LinearParts(NamedTuple):
    """What is not trained, and does not change in a run; modules give it slowly."""

    encoder: PCAResidualEncoder
    axes: Tensor
    components: Tensor
    to_code: Tensor
    offset: Tensor
    residual: float

    @classmethod
    def of(
        cls, encoder: PCAResidualEncoder, decoder: PCAResidualDecoder
    ) -> "_LinearParts":
        """Read them from both sides."""
        components = decoder.axes
        where = encoder, encoder.axes, components, components.t()
        return cls(*where, decoder.offset, decoder.residual)


class FusedStep:
    """Loss and gradient of a batch, without a graph.

    Parameters
    ----------
    module : AutoEncoderModule
        Of dense layers, with or without a start from PCA.
    flat : FlatParameters
        Its gradient is written to, whole.
    networks : _Networks
        Of the module.
    """

    def __init__(
        self,
        module: AutoEncoderModule,
        flat: FlatParameters,
        networks: _Networks,
    ) -> None:
        self._module = module
        self._columns = module.columns
        self._networks = networks
        places = zip(
            flat.split(flat.vector.data), flat.split(flat.gradient), strict=True
        )
        self._views: dict[Tensor, tuple[Tensor, Tensor]] = dict(
            zip(flat.parameters, places, strict=True)
        )
        self._passes: dict[int, tuple[DenseBackprop, DenseBackprop]] = {}
        self._pca = None if networks.pca is None else _LinearParts.of(*networks.pca)

    @property
    def takes_thin(self) -> bool:
        """Whether the first x of a batch may be a `ThinBatch`."""
        is_clean = type(self._module.objective).corrupt is Objective.corrupt
        return is_clean and self._columns.is_affine

    def __call__(
        self, x: Tensor | ThinBatch, target: Tensor
    ) -> tuple[float, dict[str, float]]:
        """Write the gradient of the mean loss of centered rows; return that loss.

        Parameters
        ----------
        x : Tensor of shape (n, n_features) or ThinBatch
        target : Tensor of shape (n, n_features)
            Often the same tensor.

        Returns
        -------
        loss : float
        terms : dict
            Empty where the loss is the only one.
        """
        inputs = self._inputs(x)
        # Calls of torch are a tenth shorter where autograd does not look at them.
        with torch.inference_mode():
            if self._pca is not None:
                return self._with_pca(self._pca, inputs, target)
            return self._alone(inputs, target)

    def _alone(
        self, inputs: Tensor | ThinInputs, target: Tensor
    ) -> tuple[float, dict[str, float]]:
        """Take the step of networks without linear parts around them."""
        encoder, decoder = self._buffered(target.shape[0])
        code, back = self._draw(encoder.forward(inputs))
        loss, gradient = self._score(decoder.forward(code), target)
        to_code = decoder.backward(gradient, to_inputs=True)
        assert to_code is not None
        return self._end(encoder, loss, to_code, back)

    def _inputs(self, x: Tensor | ThinBatch) -> Tensor | ThinInputs:
        """Return what the encoder is given."""
        module = self._module
        if isinstance(x, ThinBatch):
            weight: Any = self._columns.input_weight  # of affine columns
            return ThinInputs.of(x, weight)
        inputs = module.objective.corrupt(x, self._columns, module.generator)
        # A user's noise may come with a graph.
        return own_rows(inputs, module.generator).detach()

    def _with_pca(
        self, pca: "_LinearParts", inputs: Tensor | ThinInputs, target: Tensor
    ) -> tuple[float, dict[str, float]]:
        """Take the step with the linear parts around the networks."""
        columns, outer = self._columns, pca.encoder
        encoder, decoder = self._buffered(target.shape[0])
        if isinstance(inputs, ThinInputs):
            seen = inputs
            if outer.noise:
                seen = inputs.noisy(outer.noise, outer.generator)
            learned = encoder.forward(seen)
            encoder_output = learned + inputs.times(pca.axes.t(), learned.new_zeros(()))
        else:
            learned = encoder.forward(outer.seen(inputs))
            encoder_output = learned.addmm_(inputs, pca.axes)
        if isinstance(outer, PCAResidualPosterior):
            encoder_output += outer.log_variance
        code, back = self._draw(encoder_output)
        linear = torch.addmm(pca.offset, code, pca.components)
        start, learned = columns.link(linear), decoder.forward(code)
        # Without a link nobody asks for the linear part again.
        out = linear if start is linear else None
        raw = torch.add(start, learned, alpha=pca.residual, out=out)
        loss, gradient = self._score(raw, target)
        to_decoder = torch.mul(gradient, pca.residual, out=learned)
        to_code = decoder.backward(to_decoder, to_inputs=True)
        assert to_code is not None
        slope = columns.link_vjp(gradient, linear)
        return self._end(encoder, loss, to_code.addmm_(slope, pca.to_code), back)

    def _draw(self, encoder_output: Tensor) -> tuple[Tensor, Back | None]:
        """Return the codes to decode, and the way back where they were drawn."""
        module = self._module
        if not module.objective.is_variational:
            return encoder_output, None
        return module.objective.rsample_with_vjp(encoder_output, module.generator)

    def _end(
        self, encoder: DenseBackprop, loss: float, to_code: Tensor, back: Back | None
    ) -> tuple[float, dict[str, float]]:
        """Take the gradient by the codes through the encoder; return loss and terms."""
        terms: dict[str, float] = {}
        if back is not None:
            to_code, parts = back(to_code)
            terms = {"reconstruction": loss, **parts}
            loss = self._module.objective.combine(terms)
        encoder.backward(to_code, to_inputs=False)
        return loss, terms

    def _score(self, raw: Tensor, target: Tensor) -> tuple[float, Tensor]:
        unit = self._module.loss_unit
        return self._columns.loss_and_gradient(raw, target, unit)

    def _buffered(self, n_rows: int) -> tuple[DenseBackprop, DenseBackprop]:
        """Return the layers with buffers: one set a size, the last batch's apart."""
        if n_rows not in self._passes:
            self._passes[n_rows] = (
                DenseBackprop(self._networks.encoder, self._views, n_rows),
                DenseBackprop(self._networks.decoder, self._views, n_rows),
            )
        return self._passes[n_rows]
