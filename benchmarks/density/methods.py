"""The densities that `density.run` compares, each fitted to training rows."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy import special
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from sk_autoencoder import VAETransformer

MOST_PARTS = 10
BANDWIDTHS = np.geomspace(0.02, 2.0, 25)
"""Tried, in standard deviations."""
NO_GAIN = 2
"""Numbers of parts in a row that may have a worse criterion before the search ends."""
TOLD = 0.01
"""Share of the variance beyond which a component of PCA tells something."""


@dataclass(frozen=True)
class Density:
    """A density fitted to rows.

    Parameters
    ----------
    score : callable
        Gives the log density of each row, in nats.
    sample : callable or None
        Takes a number and a seed, draws so many rows.
    values : dict of str to float
        What else is reported.
    bound : callable or None
        Gives a lower bound of the log density of each row.
    """

    score: Callable[[np.ndarray], np.ndarray]
    sample: Callable[[int, int], np.ndarray] | None = None
    values: dict[str, float] = field(default_factory=dict)
    bound: Callable[[np.ndarray], np.ndarray] | None = None


# --------------------------------------------------------------------------- rivals


def pca(train: np.ndarray, k: int) -> Density:
    """Probabilistic PCA: `PCA.score`."""
    fitted = PCA(k, svd_solver="full").fit(train)
    least = float(fitted.explained_variance_ratio_[-1])
    return Density(fitted.score_samples, values={"last": least})


def mixture(train: np.ndarray, seed: int) -> Density:
    """Gaussian mixture of full covariances, its parts by Bayes' criterion."""
    best, lowest, worse = None, math.inf, 0
    for n_parts in range(1, min(MOST_PARTS, len(train) // 2) + 1):
        model = GaussianMixture(n_parts, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            criterion = model.fit(train).bic(train)
        worse = 0 if criterion < lowest else worse + 1
        if not worse:
            best, lowest = model, criterion
        if worse == NO_GAIN:
            break
    assert best is not None
    return Density(
        best.score_samples,
        lambda n, seed: _drawn(best, n, seed),
        {"parts": float(best.n_components)},
    )


def _drawn(model: GaussianMixture, n_rows: int, seed: int) -> np.ndarray:
    """Draw rows, in random order, of a seed of their own."""
    model = copy.deepcopy(model).set_params(random_state=seed)
    return np.random.default_rng(seed).permutation(model.sample(n_rows)[0])


def kernel(train: np.ndarray) -> Density:
    """`KernelDensity` of the bandwidth that is best for rows left out one by one."""
    squares = cdist(train, train, "sqeuclidean")
    np.fill_diagonal(squares, math.inf)
    n_rows, n_columns = train.shape
    scores = [
        special.logsumexp(squares / (-2 * width**2), axis=1).mean()
        - math.log(n_rows - 1)
        - n_columns * math.log(width * math.sqrt(2 * math.pi))
        for width in BANDWIDTHS
    ]
    width = float(BANDWIDTHS[int(np.argmax(scores))])
    # A tree of one leaf: more of them only cost time in so many dimensions.
    fitted = KernelDensity(bandwidth=width, leaf_size=n_rows).fit(train)
    return Density(
        fitted.score_samples,
        lambda n, seed: fitted.sample(n, random_state=seed),
        {"width": width},
    )


def independent(train: np.ndarray) -> Density:
    """Each column drawn by itself from its training values; no density."""

    def sample(n_rows: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        at = rng.integers(len(train), size=(n_rows, train.shape[1]))
        return np.take_along_axis(train, at, axis=0)

    return Density(lambda X: np.full(len(X), math.nan), sample)


# ----------------------------------------------------------------------------- ours


def variational(train: np.ndarray, k: int, seed: int, **params: Any) -> list[Density]:
    """Return the variational autoencoder with either prior, of one training.

    "held_out" among the values is the score of the rows that training held out:
    what a user could choose k by.
    """
    vae = VAETransformer(k, random_state=seed, device="cpu", **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few active units: reported
        vae.fit(train)
        # No epoch more: only the prior is fitted.
        mixed = copy.deepcopy(vae).set_params(
            prior="mixture", warm_start=True, max_epochs=0
        )
        mixed.fit(train)
    _, held_out = vae.net_.get_split_datasets(train)
    rows = train if held_out is None else train[held_out.indices]
    found = []
    for model in (vae, mixed):
        values = {
            "held_out": model.score(rows),
            "active": float(model.active_units_),
            "epochs": float(model.n_iter_),
            "best": float(model.best_epoch_),
        }
        found.append(
            Density(
                model.score_samples,
                model.sample,
                values,
                partial(model.score_samples, n_importance=1),
            )
        )
    return found
