"""How reconstructions change with the code, and codes with the sample.

All of it is computed in float64, whatever the dtype of the samples.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.values import first_line

# Remainder of a sample's attributions, as a fraction of the way that its code is off.
# With corners in a network the integrand jumps, and a digit takes many more nodes.
TOLERANCE, TOLERANCE_OF_CORNERS = 5e-7, 5e-4
CORNERS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.SELU,
    nn.Hardtanh,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardshrink,
    nn.Softshrink,
    nn.Threshold,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
)
NOT_SMOOTH = (
    "expected a network whose code follows from its gradients, got one that jumps, or "
    "that has none in places. Compute all of its forward pass by torch, outside of "
    "torch.no_grad(), or pass return_remainder=True to see what is left."
)
# Nodes in each piece of a line, and pieces at a time: a thousand samples for a network.
NODES, PIECES = 8, 128
# Numbers in the attributions of the samples that are computed at a time.
MOST_NUMBERS = 2**19
# How often pieces are halved, and pieces of one line, at most. What is left beyond is
# the remainder of a network that jumps.
ROUNDS, MOST_PIECES = 20, 1024


@contextmanager
def differentiable() -> Iterator[None]:
    """Keep a graph in the block, also where there is none to be kept outside."""
    # cuDNN gives recurrent networks no gradient in evaluation mode.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
    ):
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            if not any(part in text for part in ("grad", "derivative", "differentia")):
                raise
            raise ValueError(
                "expected a network whose output can be differentiated by its input, "
                f"got one that cannot, because: {first_line(error)}. Compute all of "
                "its forward pass by torch, outside of torch.no_grad()."
            ) from error


def code_of_inputs(module: AutoEncoderModule, inputs: Tensor) -> Tensor:
    """Turn the encoder's inputs (n, n_inputs) into the components that users see."""
    code = module.objective.mode(module.encoder(inputs))
    return module.latent_map.to_users(module.recoded(code))[:, : module.n_kept]


def mean_code(module: AutoEncoderModule) -> Tensor:
    """Return the code of the mean training sample, (n_components,)."""
    with torch.no_grad():
        return code_of_inputs(module, module.columns.mean_inputs()[None])[0]


def decoded_errors(module: AutoEncoderModule, code: Tensor, x: Tensor) -> Tensor:
    """Return centered samples less what network codes (n, j) are decoded to."""
    return module.columns.errors(module.raw(code), x)


def decoder_jacobians(module: AutoEncoderModule, code: Tensor) -> Tensor:
    """Return how the reconstruction, in units of errors, changes with network codes.

    One pass back for each component, through the pass back of the decoder.

    **Shape**: (n, k) to (n, k, n_outputs).

    Parameters
    ----------
    module : AutoEncoderModule
        In float64 and in evaluation mode.
    code : Tensor of shape (n, k)
    """
    with differentiable():
        code = code.detach().clone().requires_grad_()
        x = module.columns.mean.new_zeros((len(code), len(module.columns.mean)))
        y = -decoded_errors(module, code, x)
        direction = torch.zeros_like(y, requires_grad=True)
        (products,) = torch.autograd.grad(y, code, direction, create_graph=True)
        if not products.requires_grad:  # a decoder that does not see the code
            return y.new_zeros((*code.shape, y.shape[1]))
        rows = [
            torch.autograd.grad(column.sum(), direction, retain_graph=True)[0]
            for column in products.unbind(dim=1)
        ]
        return torch.stack(rows, dim=1).detach()


def attributions(
    module: AutoEncoderModule, X: Tensor, *, least: float, strict: bool
) -> Tensor:
    """Return how far each column moved each component from the mean sample's code.

    Integrated gradients along the line from the inputs of the mean sample to those of
    each sample. How far the code moves between two points of a line is known, and so is
    the error of each piece of it: pieces are halved until all errors are small.

    **Shape**: (n, n_features) to (n, n_components, n_features).

    Parameters
    ----------
    module : AutoEncoderModule
        In float64 and in evaluation mode.
    X : Tensor of shape (n, n_features)
    least : float
        What errors are measured by where a code is hardly off.
    strict : bool
        Whether to refuse a network whose attributions do not add up.

    References
    ----------
    Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks, ICML.
    """
    columns = module.columns
    has_corners = any(isinstance(part, CORNERS) for part in module.modules())
    tolerance = TOLERANCE_OF_CORNERS if has_corners else TOLERANCE
    with differentiable():
        lines = _Lines(partial(code_of_inputs, module), columns.mean_inputs())
        inputs = columns.encode(X.double().clone() - columns.mean)
        size = lines.at_start.numel() * inputs.shape[1]
        found = torch.cat(
            [
                lines.integrated(some, least, tolerance, strict=strict)
                for some in inputs.split(max(1, MOST_NUMBERS // size))
            ]
        )
    if columns.column_index is None:
        return found
    by_column = found.new_zeros((*found.shape[:2], X.shape[1]))
    n_outputs = len(columns.column_index)
    by_column.index_add_(2, columns.column_index, found[..., :n_outputs])
    if columns.flagged_columns is not None:
        by_column.index_add_(2, columns.flagged_columns, found[..., n_outputs:])
    return by_column


class _Lines:
    """Lines from one point, along which the gradients of a function are integrated.

    Parameters
    ----------
    function : callable
        (n, d) to (n, k).
    start : Tensor of shape (d,)
    """

    def __init__(self, function: Callable[[Tensor], Tensor], start: Tensor) -> None:
        self.function, self.start = function, start.detach()
        self.at_start = self._values(self.start[None])
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        self._nodes = torch.from_numpy((nodes + 1) / 2).to(start)
        self._weights = torch.from_numpy(weights / 2).to(start)

    def integrated(
        self, ends: Tensor, least: float, tolerance: float, *, strict: bool
    ) -> Tensor:
        """Integrate along the lines to some ends, (n, d) to (n, k, d)."""
        ends = ends.detach()
        gaps, at_ends, n = ends - self.start, self._values(ends), len(ends)
        total = gaps.new_zeros((n, at_ends.shape[1], gaps.shape[1]))
        bounds = tolerance * (at_ends - self.at_start).abs().amax(1).clamp(min=least)
        spent = torch.zeros_like(at_ends)  # errors of the pieces that are done
        # Pieces: the line, both ends on it, and the function there.
        line = torch.arange(n, device=ends.device)
        low, high = gaps.new_zeros(n), gaps.new_ones(n)
        below, above = self.at_start.expand(n, -1), at_ends
        for left in range(ROUNDS, -1, -1):
            found = self._pieces(gaps[line], low, high)
            errors = above - below - found.sum(dim=2)
            remainder = spent.index_add(0, line, errors).abs().amax(dim=1)
            count = torch.bincount(line, minlength=n)
            # All pieces of a line are done when their errors together are small, or
            # each when its own is too small to matter whatever comes of the others.
            is_line_done = (remainder <= bounds) | (count > MOST_PIECES) | (left == 0)
            most = bounds / (2 * ROUNDS * count.clamp(min=1))
            is_done = is_line_done[line] | (errors.abs().amax(dim=1) <= most[line])
            total.index_add_(0, line[is_done], found[is_done])
            spent.index_add_(0, line[is_done], errors[is_done])
            if is_done.all():
                break
            line, low, high, below, above = (
                part[~is_done] for part in (line, low, high, below, above)
            )
            half = (low + high) / 2
            between = self._values(self.start + half[:, None] * gaps[line])
            line = line.repeat(2)
            low, high = torch.cat([low, half]), torch.cat([half, high])
            below, above = torch.cat([below, between]), torch.cat([between, above])
        if strict and (spent.abs().amax(dim=1) > bounds).any():
            raise ValueError(NOT_SMOOTH)
        return total

    def _values(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat(
                [self.function(some) for some in rows.split(NODES * PIECES)]
            )

    def _pieces(self, gaps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Integrate along pieces, by as many nodes each, (n, d) to (n, k, d)."""
        pieces = zip(
            gaps.split(PIECES), low.split(PIECES), high.split(PIECES), strict=True
        )
        return torch.cat([self._batch(*piece) for piece in pieces])

    def _batch(self, gaps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        at = low[:, None] + (high - low)[:, None] * self._nodes
        rows = self.start + at[:, :, None] * gaps[:, None]
        rows = rows.flatten(0, 1).requires_grad_()
        values = self.function(rows)
        means = []
        for column in values.unbind(dim=1):
            slopes = rows.new_zeros(rows.shape)
            if column.requires_grad:
                (slopes,) = torch.autograd.grad(column.sum(), rows, retain_graph=True)
            means.append(
                torch.einsum("nqj,q->nj", slopes.view(*at.shape, -1), self._weights)
            )
        return torch.stack(means, dim=1) * (gaps * (high - low)[:, None])[:, None]
