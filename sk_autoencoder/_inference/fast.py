"""The forward pass of rows in use: in their dtype, without autograd, in buffers.

A `FastEncoder` lives for one call. It reads the module as it is, layer by layer, and
casts what float64 rows need in float64: microseconds where a copy of the module takes
milliseconds. Nothing is kept from call to call, so that no change of the weights can be
missed, be it by training, by loading or by hand. (The version counters of the weights
would miss training, which moves them through `.data`.)

What is not known here, as a user's own network or a part with hooks, is called as it
is; for float64 rows a copy of that part alone is made.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._columns import NumericColumns
from sk_autoencoder._model.latent_map import LatentMapLayer
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.pca_residual import (
    PCAResidualDecoder,
    PCAResidualEncoder,
    PCAResidualPosterior,
)
from sk_autoencoder._protocols import Columns
from sk_autoencoder._utils.activations import activation_of
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.torch_compat import has_forward_hooks
from sk_autoencoder.networks.mlp import HiddenActivations

__all__ = ["FastEncoder"]

Step = Callable[[Tensor, Tensor | None], Tensor]
"""From a batch to the next; writes into the second argument if it can and is given."""

# Of errors: the squares of as many as 10^8 cells can be summed in float64.
LARGEST = 1e150


class FastEncoder:
    """Encoder and decoder of a module for rows of one dtype, a chunk at a time.

    Every chunk is computed in the memory of the first, which none may exceed: a result
    lives until the next one. Where `out` is given, the result is written there if that
    saves a copy; what is returned counts.

    **Shape**: rows (n, n_features); codes (n, n_components).

    Parameters
    ----------
    module : AutoEncoderModule
        In evaluation mode. Only read.
    dtype : torch.dtype
        float32 or float64.
    """

    def __init__(self, module: AutoEncoderModule, dtype: torch.dtype) -> None:
        if type(module.columns) is not NumericColumns:
            # Columns of other kinds take part in decoding, with buffers of their own.
            module = in_dtype(module, dtype)
        self._module, self._dtype = module, dtype
        columns, latent_map = module.columns, module.latent_map
        self._columns: _Numeric | _AnyColumns
        if type(columns) is NumericColumns:
            self._columns = _Numeric(columns, dtype)
        else:
            self._columns = _AnyColumns(columns)
        self._latent_map = (
            None if latent_map.map is None else _LatentMap(latent_map, dtype)
        )
        self._parts: dict[str, Step] = {}

    @property
    def mean(self) -> Tensor:
        """What has to be taken off rows before they are encoded, (n_features,)."""
        return self._columns.mean

    @cached_property
    def module(self) -> AutoEncoderModule:
        """The whole module in the dtype: a copy for float64, which takes its time."""
        return in_dtype(self._module, self._dtype)

    def encode(
        self, x: Tensor, out: Tensor | None = None, *, keep: bool = False
    ) -> Tensor:
        """Turn centred rows into codes; `x` is written over, unless to be kept."""
        shown = self._module.shown
        if shown is None:
            return self._code(x, out, keep=keep)
        return self._code(x, None, keep=keep)[:, shown]

    def _code(self, x: Tensor, out: Tensor | None, *, keep: bool = False) -> Tensor:
        """Turn centred rows into codes that can be decoded."""
        module = self._module
        encoder_output = self._part("encoder")(self._columns.encode(x, keep), None)
        code = module.objective.mode(encoder_output)
        if self._latent_map is not None:
            code = self._latent_map.to_users(code, out if module.kept is None else None)
        return code if module.kept is None else code[:, : module.kept]

    def decode(self, code: Tensor, out: Tensor | None = None) -> Tensor:
        """Turn codes, or the first components of ordered ones, into rows."""
        # Where the decoder's output is not as wide as a row it needs its own room.
        raw = self._raw(code, out if self._columns.raw_is_row else None)
        return self._columns.rows(raw, out)

    def reconstruct(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Turn centred rows into codes and these into rows, not centred."""
        return self.decode(self._code(x, None), out)

    @cached_property
    def in_float64(self) -> "FastEncoder":
        """The same in float64, for rows that are too large for float32."""
        if self._dtype == torch.float64:
            return self
        return FastEncoder(self._module, torch.float64)

    def errors(self, x: Tensor) -> Tensor:
        """Return centred rows less their reconstruction, in float64.

        None is beyond `LARGEST`, which also stands for what is too large to compute.
        """
        errors = self._errors(x).double()
        if self._dtype != torch.float64 and not math.isfinite(errors.sum().item()):
            far = ~errors.isfinite().all(dim=1)
            errors[far] = self.in_float64._errors(x[far].double())
        return _bounded(errors)

    def _errors(self, x: Tensor) -> Tensor:
        return self._columns.errors(self._raw(self._code(x, None, keep=True), None), x)

    def centered_targets(self, x: Tensor) -> Tensor:
        """Return centred rows as `errors` has them."""
        return _bounded(self._columns.centered_targets(x).double())

    def squares(self, x: Tensor) -> Tensor:
        """Return squared errors in float64, (n, n_features)."""
        return self._columns.sum_by_column(self.errors(x).square_())

    def _raw(self, code: Tensor, out: Tensor | None) -> Tensor:
        """Run the decoder on the users' codes; its output is not yet rows."""
        name = "decoder"
        if self._latent_map is not None:
            if (
                code.shape[1] < self._latent_map.width
                and self._module.prefixes is not None
            ):
                name = "prefixes"
            code = self._latent_map.to_networks(code)
        return self._part(name)(code, out)

    def _part(self, name: str) -> Step:
        if name not in self._parts:
            self._parts[name] = _step(getattr(self._module, name), self._dtype)
        return self._parts[name]


def _bounded(errors: Tensor) -> Tensor:
    """Return errors with what is too large, or no number, at the largest."""
    return errors.nan_to_num(nan=LARGEST).clamp_(-LARGEST, LARGEST)


class _Buffer:
    """Memory for the results of one operation, made for the first chunk."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def of(self, n_columns: int, x: Tensor) -> Tensor:
        """Return room for so many columns and the rows of x."""
        n_rows = x.shape[0]
        if self._memory is None:
            self._memory = x.new_empty((n_rows, n_columns))
        same = self._memory.shape[0] == n_rows
        return self._memory if same else self._memory[:n_rows]

    def like(self, x: Tensor) -> Tensor:
        """Return room for a result of the shape of x."""
        return self.of(x.shape[1], x)


# -- around the networks --------------------------------------------------------------


class _Numeric:
    """What `NumericColumns` does."""

    raw_is_row = True

    def __init__(self, columns: NumericColumns, dtype: torch.dtype) -> None:
        self._columns, self._dtype = columns, dtype
        self._inverse_link = columns.likelihood.inverse_link
        self._inputs, self._rows = _Buffer(), _Buffer()

    def encode(self, x: Tensor, keep: bool) -> Tensor:
        return torch.mul(x, self._weight, out=self._inputs.like(x) if keep else x)

    def centered_targets(self, x: Tensor) -> Tensor:
        if not self._columns.as_given:
            return x
        return x + self._columns.get_tensor("from_mean", self._dtype)

    def sum_by_column(self, squares: Tensor) -> Tensor:
        return squares

    def rows(self, raw: Tensor, out: Tensor | None) -> Tensor:
        return self._centred(raw, out).add_(self.mean)

    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        y = self._centred(raw, None)
        return torch.sub(x, y, out=y)

    def _centred(self, raw: Tensor, out: Tensor | None) -> Tensor:
        y = self._inverse_link(raw)
        out = self._rows.like(y) if out is None else out
        if self._offset is None:
            return torch.mul(y, self._unit, out=out)
        return torch.sub(y, self._offset, out=out).mul_(self._unit)

    @cached_property
    def mean(self) -> Tensor:
        return self._columns.get_tensor("mean", self._dtype)

    @cached_property
    def _weight(self) -> Tensor:
        return self._columns.get_tensor("input_weight", self._dtype)

    @cached_property
    def _unit(self) -> Tensor:
        return self._columns.get_tensor("output_unit", self._dtype)

    @cached_property
    def _offset(self) -> Tensor | None:
        offset = self._columns.get_tensor("offset", self._dtype)
        return offset if offset.any() else None


class _AnyColumns:
    """Columns of another kind, called as they are."""

    raw_is_row = False

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.mean, self.errors = columns.mean, columns.errors
        self.centered_targets, self.sum_by_column = (
            columns.centered_targets,
            columns.sum_by_column,
        )

    def encode(self, x: Tensor, keep: bool) -> Tensor:
        return self._columns.encode(x)

    def rows(self, raw: Tensor, out: Tensor | None) -> Tensor:
        return self._columns.decode(raw)


class _LatentMap:
    """The map of a `LatentMapLayer` that has a map, and its inverse."""

    def __init__(self, layer: LatentMapLayer, dtype: torch.dtype) -> None:
        self._layer, self._dtype = layer, dtype
        self.width = layer.width
        self._shifted, self._users, self._networks = _Buffer(), _Buffer(), _Buffer()

    def to_users(self, code: Tensor, out: Tensor | None) -> Tensor:
        out = self._users.like(code) if out is None else out
        if self._matrix.ndim == 1:
            return torch.sub(code, self._map_offset, out=out).mul_(self._matrix)
        shifted = torch.sub(code, self._map_offset, out=self._shifted.like(code))
        return torch.mm(shifted, self._matrix, out=out)

    def to_networks(self, code: Tensor) -> Tensor:
        j, out = code.shape[1], self._networks.like(code)
        if self._inverse.ndim == 1:
            torch.mul(code, self._inverse[:j], out=out)
        else:
            torch.mm(code, self._inverse[:j, :j], out=out)
        return out.add_(self._map_offset[:j])

    @cached_property
    def _map_offset(self) -> Tensor:
        return self._layer.get_tensor("offset", self._dtype)

    @cached_property
    def _matrix(self) -> Tensor:
        return self._layer.get_tensor("matrix", self._dtype)

    @cached_property
    def _inverse(self) -> Tensor:
        return self._layer.get_tensor("inverse", self._dtype)


# -- the networks ---------------------------------------------------------------------


def _step(part: nn.Module, dtype: torch.dtype) -> Step:
    """Read a network, or a part of one, as it now is."""
    known = KNOWN.get(type(part))
    if known is not None and not has_forward_hooks(part):
        return known(part, dtype)
    called = in_dtype(part, dtype)
    return lambda x, out: called(x)


class _Dense:
    """A linear layer and the activation behind it."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        self._weight = linear.weight.to(dtype).t()
        self._bias = None if linear.bias is None else linear.bias.to(dtype)
        self.activation: Callable[[Tensor], Any] | None = None
        self._room = _Buffer()

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        if out is None:
            out = self._room.of(self._weight.shape[1], x)
        if self._bias is None:
            torch.mm(x, self._weight, out=out)
        else:
            torch.addmm(self._bias, x, self._weight, out=out)
        if self.activation is not None:
            self.activation(out)
        return out


class _Sequential:
    """Parts one after the other."""

    def __init__(self, parts: nn.Sequential, dtype: torch.dtype) -> None:
        self._steps: list[Step] = []
        for part in parts:
            last = self._steps[-1] if self._steps else None
            in_place = _in_place(part)
            if in_place and isinstance(last, _Dense) and last.activation is None:
                last.activation = in_place
            else:
                self._steps.append(_step(part, dtype))

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        for step in self._steps[:-1]:
            x = step(x, None)
        return self._steps[-1](x, out) if self._steps else x


def _in_place(part: nn.Module) -> Callable[[Tensor], Any] | None:
    """Find the function that does in place what an activation does, if there is one."""
    activation = activation_of(part)
    if activation is None or has_forward_hooks(part):
        return None
    return activation.in_place


class _Encoder:
    """What `PCAResidualEncoder` does in use."""

    def __init__(self, encoder: PCAResidualEncoder, dtype: torch.dtype) -> None:
        self._network = _step(encoder.network, dtype)
        self._axes = encoder.get_tensor("axes", dtype)
        self._room = _Buffer()

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        out = self._room.of(self._axes.shape[1], x) if out is None else out
        return torch.addmm(self._network(x, out), x, self._axes, out=out)


class _Posterior(_Encoder):
    """What `PCAResidualPosterior` does in use."""

    def __init__(self, encoder: PCAResidualPosterior, dtype: torch.dtype) -> None:
        super().__init__(encoder, dtype)
        self._log_variance = encoder.get_tensor("log_variance", dtype)

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        return super().__call__(x, out).add_(self._log_variance)


class _Decoder:
    """What `PCAResidualDecoder` does."""

    def __init__(self, decoder: PCAResidualDecoder, dtype: torch.dtype) -> None:
        self._network = _step(decoder.network, dtype)
        self._axes = decoder.get_tensor("axes", dtype)
        self._offset = decoder.get_tensor("offset", dtype)
        self._link, self._residual = decoder.link, decoder.residual
        self._room = _Buffer()

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        learnt = self._network(x, None)
        out = self._room.like(learnt) if out is None else out
        raw = self._link(torch.addmm(self._offset, x, self._axes, out=out))
        return torch.add(raw, learnt, alpha=self._residual, out=out)


class _SideBySide:
    """What `HiddenActivations` does: every block's output, side by side."""

    def __init__(self, hidden: HiddenActivations, dtype: torch.dtype) -> None:
        self._steps = [_step(block, dtype) for block in hidden.blocks]

    def __call__(self, x: Tensor, out: Tensor | None) -> Tensor:
        given = []
        for step in self._steps:
            x = step(x, None)
            given.append(x)
        return torch.cat(given, dim=1, out=out)


KNOWN: dict[type[nn.Module], Callable[[Any, torch.dtype], Step]] = {
    nn.Linear: _Dense,
    nn.Sequential: _Sequential,
    PCAResidualEncoder: _Encoder,
    PCAResidualPosterior: _Posterior,
    PCAResidualDecoder: _Decoder,
    HiddenActivations: _SideBySide,
}
