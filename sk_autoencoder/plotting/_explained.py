"""Proportions of the variance of a table that codes, and PCA's, explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sk_autoencoder._inference.chunks import sum_over_rows
from sk_autoencoder._utils.variance import explained_variance

if TYPE_CHECKING:
    import numpy as np

    from sk_autoencoder._estimators.base import BaseAutoEncoder


def explained_of_table(
    estimator: BaseAutoEncoder, X: Any, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Measure what codes explain of a table, and PCA's curve, as `score` does.

    On the encoded, scaled columns, and by the network's own parts.

    Parameters
    ----------
    estimator : BaseAutoEncoder
        Fitted on a table.
    X : {frame, array-like} of shape (n_samples, n_features)
    sizes : ndarray of shape (n_sizes,)
        How many first components are decoded.

    Returns
    -------
    explained : ndarray of shape (n_sizes,)
    by_pca : ndarray of shape (n_components,) or None
        By 1, 2, ... principal axes; None where the network did not start there.
    """
    plan, k = estimator._plan, estimator.n_components_
    has_pca = plan.axes is not None and not plan.objective.is_variational

    def squares(module: Any, x: Tensor) -> Tensor:
        x = x - module.columns.mean
        if plan.stacked:  # of k columns, some may be passed on and not decoded
            raws = [module.decoder_output(module.code(x))]
        else:
            code = module.network_code(x)
            raws = [module.raw(code[:, :size]) for size in sizes]
        if has_pca:
            scores = module.encoder.linear(module.columns.encode(x))
            raws += [module.decoder.linear(scores[:, :j]) for j in range(1, k + 1)]
        each = [module.columns.errors(raw, x) for raw in raws]
        each.append(module.columns.centered_targets(x))
        return torch.stack([part.double().square().sum(dim=1) for part in each], dim=1)

    rows = estimator._check_rows(X)
    sums = sum_over_rows(squares, estimator.net_.module_, rows)
    explained = explained_variance(sums[:-1], sums[-1])
    return explained[: len(sizes)], explained[len(sizes) :] if has_pca else None
