"""The forward pass of a few rows, by numpy.

To call torch takes longer than to compute a row: the dozen calls that
`AutoEncoderModule.encode` makes take twice as long as PCA needs for a row, the same by
numpy less than half of that. The module is read as it is at the call, and nothing is
kept: a change of the weights cannot be missed. The results are the same to rounding.

What is not known here, torch computes.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from sk_autoencoder._columns import Likelihood, Link
from sk_autoencoder._inference.fast import Unsupported
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.pca_residual import (
    PCAResidualDecoder,
    PCAResidualEncoder,
    PCAResidualPosterior,
)
from sk_autoencoder._utils.activations import activation_of
from sk_autoencoder._utils.torch_compat import has_forward_hooks
from sk_autoencoder.networks._layers import Dropout

# torch catches up at 30 rows. But of products of more than a few rows numpy's library
# gives a part to a second thread, and waits for it where another process has the core.
FEW_ROWS = 4


def numpy_encode(module: AutoEncoderModule, x: np.ndarray) -> np.ndarray:
    """Turn rows into codes.

    Parameters
    ----------
    module : AutoEncoderModule
        In evaluation mode, on the CPU. Only read.
    x : ndarray of shape (n, n_features), float32 or float64
        Not centered; not written to.

    Returns
    -------
    code : ndarray of shape (n, n_components)

    Raises
    ------
    Unsupported
    """
    columns: Any = module.columns
    latent_map = module.latent_map
    if (
        not columns.is_affine
        or module.output_index is not None
        or module.recoder is not None
        or module.passed is not None
    ):
        raise Unsupported
    inputs = x - columns.get_array("mean", x.dtype)
    inputs *= columns.get_array("input_weight", x.dtype)
    code = _through(module.encoder, inputs)
    if module.objective.is_variational:
        code = module.objective.mode(torch.from_numpy(code)).numpy()
    if latent_map.map is not None:
        code = code - latent_map.get_array("offset", x.dtype)
        matrix = latent_map.get_array("matrix", x.dtype)
        code = code * matrix if matrix.ndim == 1 else code @ matrix
    return code if module.n_kept is None else code[:, : module.n_kept]


def numpy_decode(module: AutoEncoderModule, code: np.ndarray) -> np.ndarray:
    """Turn codes (n, n_components) into rows (n, n_features): see `numpy_encode`."""
    columns: Any = module.columns
    latent_map = module.latent_map
    is_known = columns.is_affine and module.passed is None and module.recoder is None
    if not is_known or not _is_identity(columns.likelihood):
        raise Unsupported
    if latent_map.map is not None:
        if code.shape[1] != latent_map.width:
            raise Unsupported
        inverse = latent_map.get_array("inverse", code.dtype)
        code = code * inverse if inverse.ndim == 1 else code @ inverse
        code += latent_map.get_array("offset", code.dtype)
    raw = _through(module.decoder, code)
    rows = raw - columns.get_array("offset", code.dtype)
    rows *= columns.get_array("output_unit", code.dtype)
    rows += columns.get_array("mean", code.dtype)
    return rows


def numpy_reconstruct(module: AutoEncoderModule, x: np.ndarray) -> np.ndarray:
    """Encode rows and decode the codes: see `numpy_encode`."""
    return numpy_decode(module, numpy_encode(module, x))


def _is_identity(likelihood: Likelihood) -> bool:
    """Whether a decoder's output is a row in scaled units, as it is."""
    return type(likelihood.link) is Link


def _through(part: Any, x: np.ndarray) -> np.ndarray:
    """Run rows through a part of the module; they are not written to."""
    kind = type(part)
    if has_forward_hooks(part):
        raise Unsupported
    if kind is nn.Linear:
        weight = part.weight.detach().numpy().astype(x.dtype, copy=False)
        y = x @ weight.T
        if part.bias is not None:
            y += part.bias.detach().numpy()
        return y
    activation = activation_of(part)
    if activation is not None and activation.numpy is not None:
        return activation.numpy(x)
    if kind is Dropout and not part.training:
        return x
    if kind is nn.Sequential:
        for each in part:
            x = _through(each, x)
        return x
    return _through_pca_residual(part, x)


def _through_pca_residual(part: Any, x: np.ndarray) -> np.ndarray:
    """Run rows through PCA and a network beside it."""
    kind = type(part)
    if kind in (PCAResidualEncoder, PCAResidualPosterior):
        y = _through(part.network, x) + x @ part.get_array("axes", x.dtype)
        if kind is PCAResidualPosterior:
            y += part.get_array("log_variance", x.dtype)
        return y
    if kind is PCAResidualDecoder:
        linear = x @ part.get_array("axes", x.dtype)
        linear += part.get_array("offset", x.dtype)
        return linear + part.residual * _through(part.network, x)
    raise Unsupported
