"""Errors of reconstructions, in float64 whatever the dtype of the samples."""

import math

import torch
from torch import Tensor

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.float64_buffers import in_dtype

__all__ = ["squared_errors", "sums_of_squares"]

# Of errors: the squares of as many as 10^8 cells can be summed in float64.
LARGEST = 1e150


def squared_errors(module: AutoEncoderModule, X: Tensor) -> Tensor:
    """Return the squared error of each feature of each sample, (n, n_features)."""
    errors = _errors(module, X - module.columns.mean)
    return module.columns.sum_by_column(errors.square_())


def sums_of_squares(module: AutoEncoderModule, X: Tensor) -> Tensor:
    """Return each sample's squared error, and its squared distance from the mean.

    **Shape**: (n, n_features) to (n, 2).
    """
    x = X - module.columns.mean
    targets = _bounded(module.columns.centered_targets(x).double())
    parts = (_errors(module, x), targets)
    return torch.stack([part.square_().sum(dim=1) for part in parts], dim=1)


def _errors(module: AutoEncoderModule, x: Tensor) -> Tensor:
    """Return centered samples less their reconstruction, in float64.

    None is beyond `LARGEST`, which also stands for what is too large to compute.
    """
    errors = _errors_in_dtype(module, x).double()
    if x.dtype != torch.float64 and not math.isfinite(errors.sum().item()):
        far = ~errors.isfinite().all(dim=1)
        wide = in_dtype(module, torch.float64)
        errors[far] = _errors_in_dtype(wide, x[far].double())
    return _bounded(errors)


def _errors_in_dtype(module: AutoEncoderModule, x: Tensor) -> Tensor:
    return module.columns.errors(module.decoder_output(module.code(x)), x)


def _bounded(errors: Tensor) -> Tensor:
    """Return errors with what is too large, or no number, at the largest."""
    return errors.nan_to_num(nan=LARGEST).clamp_(-LARGEST, LARGEST)
