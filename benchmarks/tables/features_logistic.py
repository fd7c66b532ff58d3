"""Logistic regression with its C tuned, for matrices of many columns, quickly.

scikit-learn's, all values of C on all folds at once: Newton steps whose directions are
found by conjugate gradients, in the coordinates of the principal axes. `features` fits
thousands.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from torch.nn.functional import softplus

CS = 10.0 ** np.arange(-4, 1.1, 0.5)
N_FOLDS = 5
NEGLIGIBLE = 1e-6
"""Of the largest eigenvalue: axes below have no columns."""


def tuned_auc(X: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int) -> float:
    """Fit on some rows with the C of the least log loss in CV; AUC of the others."""
    mean = X[train].mean(axis=0)
    axes = _axes(X[train] - mean)
    Z = torch.from_numpy((X[train] - mean) @ axes)
    labels = torch.from_numpy(y[train])
    c = _best_c(Z, labels, seed)
    weights, _ = fit(Z, labels, torch.ones(len(Z), 1), torch.tensor([c]))
    test = np.setdiff1d(np.arange(len(y)), train)
    scores = (X[test] - mean) @ (axes @ weights.numpy()[:, 0])
    return float(roc_auc_score(y[test], scores))


def _best_c(Z: torch.Tensor, y: torch.Tensor, seed: int) -> float:
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    used = torch.ones(len(y), N_FOLDS)
    for i, (_, held_out) in enumerate(folds.split(Z, y)):
        used[held_out, i] = 0
    used = used.repeat_interleave(len(CS), dim=1)
    weights, intercepts = fit(Z, y, used, torch.tensor(np.tile(CS, N_FOLDS)))
    losses = _losses(Z @ weights + intercepts, y, 1 - used)
    return float(CS[int(losses.view(N_FOLDS, -1).sum(dim=0).argmin())])


def _axes(X: np.ndarray) -> np.ndarray:
    """Return the principal axes, as columns, of centered rows."""
    n_rows, n_columns = X.shape
    few = n_rows < n_columns
    values, vectors = np.linalg.eigh((X @ X.T if few else X.T @ X).astype(np.float64))
    some = values > NEGLIGIBLE * values[-1]
    values, vectors = values[some][::-1], vectors[:, some][:, ::-1]
    if few:
        vectors = X.T @ (vectors / np.sqrt(values))
    return np.ascontiguousarray(vectors, np.float32)


def _losses(scores: torch.Tensor, y: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    return ((softplus(scores) - y[:, None] * scores) * used).sum(dim=0)


def fit(
    Z: torch.Tensor,
    y: torch.Tensor,
    used: torch.Tensor,
    C: torch.Tensor,
    max_iter: int = 20,
    tol: float = 2e-5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a model for each C, on the rows that its column of `used` has ones for.

    Parameters
    ----------
    Z : Tensor of shape (n_rows, n_columns)
        Uncorrelated columns.
    y : Tensor of shape (n_rows,)
    used : Tensor of shape (n_rows, n_models)
    C : Tensor of shape (n_models,)
    max_iter : int, default=20
        Newton steps.
    tol : float, default=2e-5
        A step that lowers the loss by a smaller share of it is a model's last.

    Returns
    -------
    weights : Tensor of shape (n_columns, n_models)
    intercepts : Tensor of shape (n_models,)
    """
    penalty = (1 / C).to(Z.dtype)
    share = (y[:, None] * used).sum(dim=0) / used.sum(dim=0)
    weights, intercepts = Z.new_zeros(Z.shape[1], len(C)), torch.logit(share)
    active = torch.arange(len(C))
    for _ in range(max_iter):
        part = (Z, y, used[:, active], penalty[active])
        old = weights[:, active], intercepts[active]
        new, gains = _newton_step(*part, *old)
        weights[:, active], intercepts[active] = new
        active = active[gains > tol]
        if not len(active):
            break
    return weights, intercepts


def _newton_step(
    Z: torch.Tensor,
    y: torch.Tensor,
    used: torch.Tensor,
    penalty: torch.Tensor,
    weights: torch.Tensor,
    intercepts: torch.Tensor,
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return new weights and intercepts, and by what share the loss fell."""

    def objective(
        weights: torch.Tensor, intercepts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = Z @ weights + intercepts
        shrinking = 0.5 * penalty * (weights * weights).sum(dim=0)
        return _losses(scores, y, used) + shrinking, scores

    before, scores = objective(weights, intercepts)
    p = torch.sigmoid(scores)
    residual, curvature = (p - y[:, None]) * used, p * (1 - p) * used
    slope = Z.T @ residual + penalty * weights, residual.sum(dim=0)
    step, step_0 = _direction(Z, curvature, penalty, *slope)
    length = torch.ones_like(penalty)
    for _ in range(6):
        new = weights + length * step, intercepts + length * step_0
        after, _ = objective(*new)
        too_far = after > before * (1 + 1e-4)
        if not too_far.any():
            break
        length = torch.where(too_far, 0.4 * length, length)
    return new, (before - after) / before


def _direction(
    Z: torch.Tensor,
    curvature: torch.Tensor,
    penalty: torch.Tensor,
    slope: torch.Tensor,
    slope_0: torch.Tensor,
    max_iter: int = 10,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve for the Newton step by conjugate gradients, preconditioned."""
    total = curvature.sum(dim=0)
    diagonal = (Z * Z).mean(dim=0)[:, None] * total + penalty
    x, x_0 = torch.zeros_like(slope), torch.zeros_like(slope_0)
    r, r_0 = -slope, -slope_0
    d, d_0 = r / diagonal, r_0 / total
    size = first = (r * d).sum(dim=0) + r_0 * d_0
    for _ in range(max_iter):
        bent = (Z @ d + d_0) * curvature
        a, a_0 = Z.T @ bent + penalty * d, bent.sum(dim=0)
        length = size / ((d * a).sum(dim=0) + d_0 * a_0).clamp_min(1e-20)
        x, x_0 = x + length * d, x_0 + length * d_0
        r, r_0 = r - length * a, r_0 - length * a_0
        z, z_0 = r / diagonal, r_0 / total
        new = (r * z).sum(dim=0) + r_0 * z_0
        if float((new / first.clamp_min(1e-20)).max()) < 1e-4:
            break
        ratio = new / size.clamp_min(1e-20)
        d, d_0, size = z + ratio * d, z_0 + ratio * d_0, new
    return x, x_0
