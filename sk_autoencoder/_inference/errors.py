"""Errors of reconstructions, in float64 whatever the dtype of the samples."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.float64_buffers import in_dtype

# Of errors: the squares of as many as 10^8 cells can be summed in float64.
LARGEST = 1e150


class Reconstructing(Protocol):
    """A module in evaluation mode, or what does as it for samples of one dtype."""

    columns: Any  # has `sum_by_column`

    def errors(self, X: Tensor) -> Tensor:
        """Return samples less their reconstruction."""

    def targets(self, X: Tensor) -> Tensor:
        """Return samples less their mean, in the units of `errors`."""


def squared_errors(module: Reconstructing, X: Tensor) -> Tensor:
    """Return the squared error of each feature of each sample, (n, n_features)."""
    return module.columns.sum_by_column(_errors(module, X).square_())


def row_errors(module: Reconstructing, X: Tensor) -> Tensor:
    """Return the squared error of each sample, (n,)."""
    return squared_errors(module, X).sum(dim=1)


def sums_of_squares(module: Reconstructing, X: Tensor) -> Tensor:
    """Return each sample's squared error, and its squared distance from the mean.

    **Shape**: (n, n_features) to (n, 2).
    """
    parts = (_errors(module, X), _bounded(module.targets(X).double()))
    return torch.stack([part.square_().sum(dim=1) for part in parts], dim=1)


ERRORS: tuple[Callable[[Reconstructing, Tensor], Tensor], ...] = (
    squared_errors,
    row_errors,
    sums_of_squares,
)
"""Functions of which the module may be replaced by what is faster."""


def _errors(module: Reconstructing, X: Tensor) -> Tensor:
    """Return samples less their reconstruction, in float64.

    None is beyond `LARGEST`, which also stands for what is too large to compute.
    """
    errors = module.errors(X).double()
    fits = X.dtype == torch.float64 or not isinstance(module, AutoEncoderModule)
    if not fits and not math.isfinite(errors.sum().item()):
        assert isinstance(module, AutoEncoderModule)
        far = ~errors.isfinite().all(dim=1)
        errors[far] = in_dtype(module, torch.float64).errors(X[far].double())
    return _bounded(errors)


def _bounded(errors: Tensor) -> Tensor:
    """Return errors with what is too large, or no number, at the largest."""
    return errors.nan_to_num(nan=LARGEST).clamp_(-LARGEST, LARGEST)
