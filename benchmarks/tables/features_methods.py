"""What `tables.features` compares: features, blocks of them, and classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks.tables.features_logistic import tuned_auc
from benchmarks.tables.features_tables import Table
from sk_autoencoder import DenoisingAutoEncoderTransformer

RECIPE: dict[str, Any] = {"features": "hidden", "passthrough": True}
NOISE_LEVEL = 0.15
"""The recipe's own, and that of the denoiser by hand."""
SIZES = (256, 256, 256)
"""Hidden layers of the denoiser by hand; ours has them by default."""
EPOCHS = 30


class CenterAndDivide(TransformerMixin, BaseEstimator):
    """Center columns, and divide all by one number: their variances sum to 1."""

    def fit(self, X: np.ndarray, y: None = None) -> CenterAndDivide:
        """Find the means and the number."""
        self.mean_, self.scale_ = np.mean(X, axis=0), np.var(X, axis=0).sum() ** 0.5
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Use them."""
        return (X - self.mean_) / self.scale_


# ------------------------------------------------------------------------- features


def recipe(table: Table, seed: int, noise_level: float | None) -> np.ndarray:
    """Fit the denoising autoencoder on all rows of the frame; its columns follow."""
    given = {} if noise_level is None else {"noise_level": noise_level}
    extractor = DenoisingAutoEncoderTransformer(
        allow_missing=bool(table.frame.isna().to_numpy().any()),
        random_state=seed,
        device="cpu",
        **RECIPE,
        **given,
    )
    return extractor.fit_transform(table.frame)


def thirty_lines(table: Table, seed: int, noise_level: float | None) -> np.ndarray:
    """Train a denoiser as anyone would write it; all its layers beside the columns."""
    torch.manual_seed(seed)
    X = torch.from_numpy(table.encoded)
    widths = (X.shape[1], *SIZES)
    layers = torch.nn.ModuleList(
        torch.nn.Sequential(torch.nn.Linear(a, b), torch.nn.ReLU())
        for a, b in pairwise(widths)
    )
    network = torch.nn.Sequential(*layers, torch.nn.Linear(SIZES[-1], X.shape[1]))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(X)).split(128):
            x = X[rows]
            donors = X.gather(0, torch.randint(len(X), x.shape))
            noisy = torch.where(torch.rand(x.shape) < NOISE_LEVEL, donors, x)
            optimizer.zero_grad()
            (network(noisy) - x).square().mean().backward()
            optimizer.step()
    outputs = [X]
    with torch.no_grad():
        for layer in layers:
            outputs.append(layer(outputs[-1]))
    return beside(table, torch.cat(outputs[1:], dim=1).numpy())


def _coded(make: Callable[[int, int], Any]) -> Callable[..., np.ndarray]:
    """Return features of the coded matrix, by a transformer for its columns."""

    def features(table: Table, seed: int, noise_level: float | None) -> np.ndarray:
        X = table.encoded
        half = max(1, X.shape[1] // 2)
        return beside(table, make(half, seed).fit_transform(X).astype(np.float32))

    return features


def kernel_pca(table: Table, seed: int, noise_level: float | None) -> np.ndarray:
    """Find 256 principal components in the space of a Gaussian kernel, nearly."""
    X = table.encoded
    landmarks = min(500, len(X))
    spread = Nystroem(n_components=landmarks, random_state=seed).fit_transform(X)
    pca = PCA(min(256, landmarks), random_state=seed)
    return beside(table, pca.fit_transform(spread).astype(np.float32))


OURS = "autoencoder"
FEATURES: dict[str, Callable[..., np.ndarray]] = {
    OURS: recipe,
    "thirty lines": thirty_lines,
    "PCA": _coded(lambda half, seed: PCA(half, random_state=seed)),
    "TruncatedSVD": _coded(lambda half, seed: TruncatedSVD(half, random_state=seed)),
    "Nystroem + PCA": kernel_pca,
}
"""All that the regression sees. PCA and TruncatedSVD give half as many numbers as the
matrix has columns."""

# --------------------------------------------------------------------------- blocks


def beside(table: Table, features: np.ndarray | None) -> np.ndarray:
    """Put features beside the raw block, with as much variance in all."""
    raw = table.raw_block - table.raw_block.mean(axis=0)
    if features is None:
        return raw
    own = CenterAndDivide().fit_transform(features)
    return np.hstack([raw, np.float32(np.var(raw, axis=0).sum() ** 0.5) * own])


def _scaled(X: np.ndarray) -> np.ndarray:
    return StandardScaler().fit_transform(X).astype(np.float32)


STANDARD, RANKS = "standardized", "ranks"
CODINGS: dict[str, Callable[[Table], np.ndarray]] = {
    STANDARD: lambda table: np.hstack([table.standard, table.levels]),
    RANKS: lambda table: table.encoded,
    "standardized, scaled levels": lambda table: _scaled(CODINGS[STANDARD](table)),
    "ranks, scaled levels": lambda table: _scaled(table.encoded),
    "raw block": lambda table: beside(table, None),
}
"""The better of the first two is the baseline, of the first four the stricter one."""

# ---------------------------------------------------------------------- classifiers

LABELED = {"a": "half of the rows labeled", "b": "500 rows labeled"}


def drawn(y: np.ndarray, setting: str, draw: int) -> np.ndarray:
    """Return the labeled rows of a draw; the others are predicted."""
    n_labeled = len(y) // 2 if setting == "a" else min(500, len(y) // 2)
    order = np.random.default_rng(1000 + draw).permutation(len(y))
    return np.sort(order[:n_labeled])


def logistic(X: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int) -> float:
    """AUC of a tuned logistic regression on the other rows."""
    return tuned_auc(np.ascontiguousarray(X, np.float32), y, train, seed)


def boosting(X: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int) -> float:
    """AUC of boosted trees on the other rows."""
    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_leaf_nodes=8, random_state=seed
    )
    return _held_out(model, X, y, train)


def small_mlp(X: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int) -> float:
    """AUC of a network of 32 units on the other rows."""
    model = MLPClassifier(
        hidden_layer_sizes=(32,),
        alpha=1.0,
        batch_size=min(64, len(train)),
        learning_rate_init=0.003,
        max_iter=30,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _held_out(model, X, y, train)


def _held_out(model: Any, X: np.ndarray, y: np.ndarray, train: np.ndarray) -> float:
    test = np.setdiff1d(np.arange(len(y)), train)
    scores = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return float(roc_auc_score(y[test], scores))


OTHERS: dict[str, Callable[..., float]] = {
    "boosting": boosting,
    "small MLP": small_mlp,
}
