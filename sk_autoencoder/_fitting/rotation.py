"""Turns codes of a trained net: to simple components, or to those of another fit."""

import numpy as np
import torch
from scipy import linalg

from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.jacobians import decoder_jacobians
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap, varimax
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._training.batches import RowDataset
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.float64_buffers import in_dtype


def simplified(plan: Plan, net: AutoEncoderNet, moments: LatentMoments) -> LatentMap:
    """Turn the codes so that each component changes few columns much.

    Parameters
    ----------
    plan : Plan
        With the latent map before.
    net : AutoEncoderNet
        Of the plan, trained.
    moments : LatentMoments
        Of its codes.
    """
    latent_map = _before(plan)
    inverse, changes = latent_map.inverse, slopes(net)
    loadings = inverse[:, None] * changes if inverse.ndim == 1 else inverse @ changes
    rotation = varimax(loadings.T)
    sizes = moves(moments, latent_map.turned(rotation).matrix, changes)
    return latent_map.turned(rotation[:, np.argsort(-sizes, kind="stable")])


def aligned(
    plan: Plan, net: AutoEncoderNet, rows: RowDataset, old_codes: np.ndarray
) -> tuple[LatentMap, float]:
    """Turn the codes to those that another fit has of the same samples.

    Parameters
    ----------
    plan : Plan
        With the latent map before.
    net : AutoEncoderNet
        Of the plan, trained.
    rows : RowDataset
        That it was trained on.
    old_codes : ndarray of shape (n_samples, n_components)

    Returns
    -------
    latent_map : LatentMap
    error : float
        Norm of what is left between both, over that of the old codes, both centered.

    References
    ----------
    Schonemann (1966), A generalized solution of the orthogonal Procrustes problem,
    Psychometrika 31.
    """
    latent_map = _before(plan)
    codes = apply_to_rows(_network_code, net.module_, rows.source).astype(np.float64)
    codes -= codes.mean(axis=0)
    matrix = latent_map.matrix
    codes = codes * matrix if matrix.ndim == 1 else codes @ matrix
    old = old_codes - old_codes.mean(axis=0, dtype=np.float64)
    left, _, right = linalg.svd(codes.T @ old)
    rotation = left @ right
    gap, size = linalg.norm(old - codes @ rotation), linalg.norm(old)
    # Old codes that do not vary are met by others that do not.
    error = gap / size if size > 0 else float(gap > 0)
    return latent_map.turned(rotation), float(error)


def moves(
    moments: LatentMoments, matrix: np.ndarray, changes: np.ndarray
) -> np.ndarray:
    """Return how much each component of turned codes moves samples, (k,).

    Parameters
    ----------
    moments : LatentMoments
        Of the network's codes.
    matrix : ndarray of shape (k, k)
        From the network's codes.
    changes : ndarray of shape (k, n_outputs)
        See `slopes`.
    """
    covariance = moments.covariance
    if covariance.ndim == 1:  # of a file of an older version
        covariance = np.diag(covariance)
    variances = np.diag(matrix.T @ covariance @ matrix)
    directions = np.linalg.pinv(matrix) @ changes
    found: np.ndarray = variances * np.square(directions).sum(axis=1)
    return found


def slopes(net: AutoEncoderNet) -> np.ndarray:
    """Return how reconstructions change with the network's codes, (k, n_outputs).

    At the mean sample.
    """
    wide = in_dtype(net.module_, torch.float64)
    with torch.no_grad():
        code = wide.objective.mode(wide.encoder(wide.columns.mean_inputs()[None]))
    found: np.ndarray = decoder_jacobians(wide, code)[0].cpu().numpy()
    return found


def _before(plan: Plan) -> LatentMap:
    """Return the latent map of codes that are not turned."""
    return plan.latent_map or LatentMap.scaling(np.ones(plan.n_components))


def _network_code(module: AutoEncoderModule, X: torch.Tensor) -> torch.Tensor:
    return module.network_code(X - module.columns.mean)
