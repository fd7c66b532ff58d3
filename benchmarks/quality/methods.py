"""What `quality.run` compares: how each method is fitted and reconstructs.

A run is one estimator with one setting, such as "Plain lr=0.005". A method of the
tables is one run or, where its name ends in "best of grid", the best of several. The
best is picked for each split by the held-out rows themselves, which is more than a
user could do: the comparison leans toward those rivals. Their seconds are those of
the whole grid.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA, KernelPCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks._shared.data import some_rows
from benchmarks._shared.timing import timed

HIDDEN = (256, 128)
"""Our default layers between input and code, and so MLPRegressor's."""
MLP_GRID = list(itertools.product((3e-4, 1e-3, 3e-3), (1e-4, 1e-2)))
"""Learning rates and alphas for MLPRegressor; its defaults, (1e-3, 1e-4), are in it."""
PLAIN_RATES = (5e-4, 5e-3)
"""Learning rates of "Plain" beside the default, 2e-3."""
GAMMAS = (0.1, 0.3, 1.0)
"""Widths of the kernel by 1 / columns, scikit-learn's default.

Chosen for the rival: on digits, wine and breast cancer, wider and narrower kernels are
worse than all of these.
"""
RIDGE = 1e-3
"""Kernel PCA's alpha; at its default, 1, the errors are up to ten times as large."""
KERNEL_ROWS = 2_000
"""Training rows of a kernel PCA, at most: its time grows with their cube."""
UMAP_ROWS = 2_000
UMAP_MOST_K = 5
"""Largest code of UMAP, whose inverse triangulates the codes: work exponential in k."""

PCA_NAME = "PCA"
OURS = "AutoEncoder"
PLAIN = "Plain"
PLAIN_BEST = "Plain, best of grid"
KERNEL_BEST = "Kernel PCA, best of grid"
MLP = "MLP"
MLP_BEST = "MLP, best of grid"
UMAP = "UMAP"
PARAMETRIC_UMAP = "Parametric UMAP"


class Fitted(NamedTuple):
    """What a run gives: seconds of fit, held-out rows again, whether it is PCA."""

    seconds: float
    reconstruction: np.ndarray
    fell_back: bool | None = None


Run = Callable[[np.ndarray, np.ndarray, int, int], Fitted]
"""Takes training rows, held-out rows, k and a seed."""


# ------------------------------------------------------------------- reducers, ours


def pca(train: np.ndarray, test: np.ndarray, k: int, seed: int) -> Fitted:
    """Fit PCA, in float64: in float32 its small components are inexact."""
    model = PCA(k, random_state=seed)
    train, test = train.astype(np.float64), test.astype(np.float64)
    seconds = timed_fit(model, train)
    return Fitted(seconds, model.inverse_transform(model.transform(test)))


def own(
    train: np.ndarray, test: np.ndarray, k: int, seed: int, *, name: str, **params: Any
) -> Fitted:
    """Fit the class `name` of this package, at its defaults but for `params`."""
    model = own_estimator(name, k, seed, **params)
    seconds = timed_fit(model, train)
    _check_sizes(model, k)
    again = model.inverse_transform(model.transform(test))
    return Fitted(seconds, again, getattr(model, "fell_back_to_pca_", None))


def own_estimator(name: str, k: int, seed: int, **params: Any) -> Any:
    """Return one of this package's estimators, for one thread of the CPU."""
    # Imported here so that --help and the tables need no torch.
    import sk_autoencoder

    estimator = getattr(sk_autoencoder, name)
    return estimator(k, device="cpu", random_state=seed, **params)


def timed_fit(model: Any, train: np.ndarray, *target: np.ndarray) -> float:
    """Fit, and return the seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return timed(time.perf_counter, model.fit, train, *target)[0]


def _check_sizes(model: Any, k: int) -> None:
    """Refuse a comparison of unequal networks, should our default change."""
    encoder = model.module_.encoder
    network = getattr(encoder, "network", encoder)  # init="pca" wraps it
    widths = [getattr(part, "out_features", None) for part in network.modules()]
    sizes = tuple(width for width in widths if width is not None)
    if sizes[:-1] != HIDDEN:
        raise RuntimeError(
            f"expected layers {HIDDEN} before the code of {k}, got {sizes} from "
            f"{model!r}. Set HIDDEN in this file to the new default."
        )


# ---------------------------------------------------------------------------- rivals


def kernel_pca(
    train: np.ndarray, test: np.ndarray, k: int, seed: int, *, gamma: float
) -> Fitted:
    """Fit an rbf KernelPCA on at most `KERNEL_ROWS`; `gamma` is by 1 / columns.

    Rows are centered and divided by one number, the root of the columns' mean variance:
    that suits the kernel and leaves the task as it is.
    """
    if len(train) > KERNEL_ROWS:
        train = some_rows(train, KERNEL_ROWS, seed)
    train = train.astype(np.float64)
    mean, unit = train.mean(axis=0), math.sqrt(train.var(axis=0).mean())
    model = KernelPCA(
        k,
        kernel="rbf",
        gamma=gamma / train.shape[1],
        alpha=RIDGE,
        fit_inverse_transform=True,
        random_state=seed,
    )
    seconds = timed_fit(model, (train - mean) / unit)
    codes = model.transform((test - mean) / unit)
    return Fitted(seconds, model.inverse_transform(codes) * unit + mean)


def mlp(
    train: np.ndarray, test: np.ndarray, k: int, seed: int, *, lr: float, alpha: float
) -> Fitted:
    """Fit MLPRegressor on (X, X), everything but `lr` and `alpha` at its default."""
    model = MLPRegressor(
        hidden_layer_sizes=(*HIDDEN, k, *reversed(HIDDEN)),
        learning_rate_init=lr,
        alpha=alpha,
        random_state=seed,
    )
    seconds = timed_fit(model, train, train)
    return Fitted(seconds, model.predict(test))


def umap(
    train: np.ndarray, test: np.ndarray, k: int, seed: int, *, parametric: bool
) -> Fitted:
    """Fit UMAP, or with a network that reconstructs, ParametricUMAP."""
    if parametric:
        from umap.parametric_umap import ParametricUMAP

        model = ParametricUMAP(
            n_components=k, parametric_reconstruction=True, random_state=seed
        )
    else:
        from umap import UMAP as PlainUMAP

        model = PlainUMAP(n_components=k, random_state=seed, n_jobs=1)
        if len(train) > UMAP_ROWS:
            train = some_rows(train, UMAP_ROWS, seed)
    seconds = timed_fit(model, train)
    return Fitted(seconds, model.inverse_transform(model.transform(test)))


# ------------------------------------------------------------------------- registry

_AUTOENCODER = partial(own, name="AutoEncoderTransformer")

RUNS: dict[str, Run] = {
    PCA_NAME: pca,
    OURS: _AUTOENCODER,
    "Denoising": partial(own, name="DenoisingAutoEncoderTransformer"),
    "VAE": partial(own, name="VAETransformer"),
    PLAIN: partial(_AUTOENCODER, init="random"),
    **{
        f"{PLAIN} lr={lr:g}": partial(_AUTOENCODER, init="random", lr=lr)
        for lr in PLAIN_RATES
    },
    **{f"Kernel PCA gamma={g:g}/d": partial(kernel_pca, gamma=g) for g in GAMMAS},
    **{
        f"{MLP} lr={lr:g} alpha={alpha:g}": partial(mlp, lr=lr, alpha=alpha)
        for lr, alpha in MLP_GRID
    },
    UMAP: partial(umap, parametric=False),
    PARAMETRIC_UMAP: partial(umap, parametric=True),
}


def _runs_of(prefix: str) -> tuple[str, ...]:
    return tuple(run for run in RUNS if run.startswith(prefix))


METHODS: dict[str, tuple[str, ...]] = {
    PCA_NAME: (PCA_NAME,),
    OURS: (OURS,),
    "Denoising": ("Denoising",),
    "VAE": ("VAE",),
    PLAIN: (PLAIN,),
    PLAIN_BEST: _runs_of(PLAIN),
    KERNEL_BEST: _runs_of("Kernel PCA"),
    MLP: ("MLP lr=0.001 alpha=0.0001",),
    MLP_BEST: _runs_of(MLP),
    UMAP: (UMAP,),
    PARAMETRIC_UMAP: (PARAMETRIC_UMAP,),
}
"""The columns of the tables, and the runs whose best each one is."""

QUICK_METHODS = (PCA_NAME, OURS, "Denoising", "VAE", PLAIN, KERNEL_BEST, MLP)


def runs_of(methods: Iterable[str], k: int) -> list[str]:
    """Return the runs that these methods need at a code of k, PCA's first."""
    wanted = {run for method in methods for run in METHODS[method]}
    if k > UMAP_MOST_K:
        wanted.discard(UMAP)
    return [run for run in RUNS if run in wanted]


def missing_methods(methods: Iterable[str]) -> list[str]:
    """Return those of the methods whose package is not installed."""
    needed = {UMAP: ("umap",), PARAMETRIC_UMAP: ("umap", "tensorflow")}
    return [
        method
        for method in methods
        if any(
            importlib.util.find_spec(name) is None for name in needed.get(method, ())
        )
    ]
