"""The forward pass of dense modules, in memory that is used again for each chunk.

It computes what `AutoEncoderModule.encode` and its neighbors define, to the bit, and
saves a tenth to a fifth of the time: memory that the chunk before has used is still in
the processor's cache. For float64 samples only the weights that take part are cast
(`docs/development/decisions/0023-forward-pass-in-buffers.md`).

It reads the module as it is at the call, and keeps nothing from call to call: a change
of the weights cannot be missed, be it by training, by loading or by hand.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.pca_residual import (
    PCAResidualDecoder,
    PCAResidualEncoder,
    PCAResidualPosterior,
)
from sk_autoencoder._utils.activations import activation_of
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.torch_compat import has_forward_hooks

ChunkFunction = Callable[[Tensor], Tensor]
"""From a chunk to its results, which live until the next chunk. None may be longer than
the first."""


class Unsupported(Exception):
    """A faster way does not know a part of the module."""


def buffered_encode(module: AutoEncoderModule, dtype: torch.dtype) -> ChunkFunction:
    """Return a function equivalent to `AutoEncoderModule.encode` for one dtype.

    Parameters
    ----------
    module : AutoEncoderModule
        In evaluation mode. Only read.
    dtype : torch.dtype
        float32 or float64.

    Raises
    ------
    Unsupported
    """
    columns: Any = module.columns
    latent_map, n_kept = module.latent_map, module.n_kept
    if (
        not columns.is_affine
        or module.output_index is not None
        or module.passed is not None
    ):
        raise Unsupported
    encoder, mode = _encoder(module.encoder, dtype), module.objective.mode
    mean = columns.get_tensor("mean", dtype)
    weight = columns.get_tensor("input_weight", dtype)
    has_map, buffer, codes = latent_map.map is not None, _Buffer(), _Buffer()
    recoder = None if module.recoder is None else in_dtype(module.recoder, dtype)
    if has_map:
        offset = latent_map.get_tensor("offset", dtype)
        matrix = latent_map.get_tensor("matrix", dtype)

    def encode(X: Tensor) -> Tensor:
        inputs = torch.sub(X, mean, out=buffer.like(X)).mul_(weight)
        code = mode(encoder(inputs))
        code = code if recoder is None else recoder(code)
        if has_map:
            code = torch.sub(code, offset, out=codes.like(code))
            code = code.mul_(matrix) if matrix.ndim == 1 else code @ matrix
        return code[:, :n_kept]

    return encode


def buffered_decode(module: AutoEncoderModule, dtype: torch.dtype) -> ChunkFunction:
    """Return an equivalent of `AutoEncoderModule.decode`; see `buffered_encode`."""
    centered = _buffered_decode_centered(module, dtype)
    mean = module.columns.get_tensor("mean", dtype)
    return lambda Z: centered(Z).add_(mean)


def _buffered_decode_centered(
    module: AutoEncoderModule, dtype: torch.dtype
) -> ChunkFunction:
    """Return a function that turns codes into samples less their mean."""
    columns: Any = module.columns
    latent_map = module.latent_map
    is_whole = module.prefixes is None and module.passed is None
    if not columns.is_affine or not is_whole:
        raise Unsupported
    decoder, inverse_link = (
        _decoder(module.decoder, dtype),
        columns.likelihood.link.inverse,
    )
    unit = columns.get_tensor("output_unit", dtype)
    origin = columns.get_tensor("offset", dtype)
    has_origin = bool(origin.any())
    has_map, codes = latent_map.map is not None, _Buffer()
    if has_map:
        offset = latent_map.get_tensor("offset", dtype)
        inverse = latent_map.get_tensor("inverse", dtype)

    def decode(Z: Tensor) -> Tensor:
        code = codes.like(Z)
        if not has_map:
            code.copy_(Z)
        elif inverse.ndim == 1:
            torch.mul(Z, inverse, out=code).add_(offset)
        else:
            torch.mm(Z, inverse, out=code).add_(offset)
        rows = inverse_link(decoder(code))
        if has_origin:
            rows.sub_(origin)
        return rows.mul_(unit)

    return decode


def buffered_reconstruct(
    module: AutoEncoderModule, dtype: torch.dtype
) -> ChunkFunction:
    """Return one of `AutoEncoderModule.reconstruct`; see `buffered_encode`."""
    encode, decode = buffered_encode(module, dtype), buffered_decode(module, dtype)
    return lambda X: decode(encode(X))


class BufferedErrors:
    """Faster `errors` and `targets` of `AutoEncoderModule`, for float64 samples.

    Parameters
    ----------
    module : AutoEncoderModule
        See `buffered_encode`.

    Raises
    ------
    Unsupported
    """

    def __init__(self, module: AutoEncoderModule) -> None:
        columns: Any = module.columns
        self.columns = module.columns
        self._encode = buffered_encode(module, torch.float64)
        self._decode = _buffered_decode_centered(module, torch.float64)
        self._mean = columns.get_tensor("mean", torch.float64)
        self._from_mean: Tensor | None = None
        if columns.as_given:
            self._from_mean = columns.get_tensor("from_mean", torch.float64)
        self._buffer = _Buffer()

    def errors(self, X: Tensor) -> Tensor:
        """Return samples less their reconstruction."""
        x = torch.sub(X, self._mean, out=self._buffer.like(X))
        return x.sub_(self._decode(self._encode(X)))

    def targets(self, X: Tensor) -> Tensor:
        """Return samples less their mean."""
        x = torch.sub(X, self._mean)
        return x if self._from_mean is None else x.add_(self._from_mean)


def _encoder(part: nn.Module, dtype: torch.dtype) -> ChunkFunction:
    if type(part) not in (PCAResidualEncoder, PCAResidualPosterior):
        return _layers(part, dtype)
    assert isinstance(part, PCAResidualEncoder)
    if has_forward_hooks(part):
        raise Unsupported
    network, axes = _layers(part.network, dtype), part.get_tensor("axes", dtype)
    log_variance: Tensor | None = None
    if isinstance(part, PCAResidualPosterior):
        log_variance = part.get_tensor("log_variance", dtype)

    def encode(inputs: Tensor) -> Tensor:
        learned = network(inputs)
        if log_variance is not None:
            learned.add_(log_variance)
        return torch.addmm(learned, inputs, axes, out=learned)

    return encode


def _decoder(part: nn.Module, dtype: torch.dtype) -> ChunkFunction:
    if type(part) is not PCAResidualDecoder:
        return _layers(part, dtype)
    if has_forward_hooks(part):
        raise Unsupported
    network, axes = _layers(part.network, dtype), part.get_tensor("axes", dtype)
    offset, buffer = part.get_tensor("offset", dtype), _Buffer()

    def decode(code: Tensor) -> Tensor:
        linear = torch.addmm(offset, code, axes, out=buffer.of(code, axes.shape[1]))
        linear = part.link(linear)
        return torch.add(linear, network(code), alpha=part.residual, out=linear)

    return decode


def _layers(stack: nn.Module, dtype: torch.dtype) -> ChunkFunction:
    """Read linear layers, the last of all among them, and what is between them.

    What is not known, or has a hook, is called as it is.
    """
    parts = list(stack) if type(stack) is nn.Sequential else []
    if not parts or type(parts[-1]) is not nn.Linear:
        raise Unsupported
    if has_forward_hooks(stack) or has_forward_hooks(parts[-1]):
        raise Unsupported
    steps: list[Callable[[Tensor], Any]] = []
    may_overwrite = False
    for part in parts:
        activation, has_hooks = activation_of(part), has_forward_hooks(part)
        if type(part) is nn.Linear and not has_hooks:
            steps.append(_linear(part, dtype))
        elif activation and activation.in_place and may_overwrite and not has_hooks:
            steps.append(activation.in_place)
        else:
            steps.append(in_dtype(part, dtype))
        # A linear layer's output is in a buffer, and needed by nobody else.
        may_overwrite = type(part) is nn.Linear and not has_hooks

    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


def _linear(layer: nn.Linear, dtype: torch.dtype) -> ChunkFunction:
    weight, buffer = layer.weight.to(dtype).t(), _Buffer()
    if layer.bias is None:
        return lambda x: torch.mm(x, weight, out=buffer.of(x, weight.shape[1]))
    bias = layer.bias.to(dtype)
    return lambda x: torch.addmm(bias, x, weight, out=buffer.of(x, weight.shape[1]))


class _Buffer:
    """Memory for the results of one operation, made for the first chunk."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def of(self, x: Tensor, n_columns: int) -> Tensor:
        """Return memory for so many columns and the rows of x."""
        if self._memory is None:
            self._memory = x.new_empty((x.shape[0], n_columns))
        return self._memory[: x.shape[0]]

    def like(self, x: Tensor) -> Tensor:
        """Return memory for a result of the shape of x."""
        return self.of(x, x.shape[1])
