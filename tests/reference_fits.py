"""Fits of twenty steps, whose results tests/contract/reference_fits.json holds.

    python tests/reference_fits.py

writes that file anew: only after a change that is meant to change what fits give.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import ConvNet, RecurrentNet

FILE = Path(__file__).parent / "contract" / "reference_fits.json"
COMMAND = "python tests/reference_fits.py"

# 64 samples, 58 of them for training: two steps an epoch.
SHORT: dict[str, Any] = {
    "max_epochs": 10,
    "batch_size": 32,
    "hidden_layer_sizes": (16, 8),
    "random_state": 0,
    "device": "cpu",
}
# Where the last layers start at 0 the gradients of the others are rounding, whose sign
# Adam's first step takes for a direction: with other kernels these would differ.
WITH_SGD = {key: SHORT[key] for key in SHORT if key != "hidden_layer_sizes"}
WITH_SGD["optimizer"] = "sgd"


def matrix() -> np.ndarray:
    """Return samples of eight numbers on a bent sheet."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(64, 2))
    parts = [z, z**2, np.sin(2 * z), 0.1 * rng.normal(size=(64, 2))]
    return np.hstack(parts) * [1, 2, 3, 1, 1, 2, 1, 1]


def table() -> pd.DataFrame:
    """Return samples of numbers with gaps and of categories."""
    X = matrix()
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame.loc[::7, "b"] = np.nan
    frame["sign"] = pd.Categorical(np.where(X[:, 0] > 0, "up", "down"))
    frame["third"] = pd.Categorical(np.array(list("xyz"))[np.arange(64) % 3])
    return frame


def unit_interval() -> np.ndarray:
    """Return samples of probabilities."""
    return 1 / (1 + np.exp(-matrix()))


def fits() -> dict[str, tuple[Any, Any]]:
    """Return estimators and samples by name: each way through training once."""
    ae, dae, vae = (
        AutoEncoderTransformer,
        DenoisingAutoEncoderTransformer,
        VAETransformer,
    )
    missing = {**SHORT, "allow_missing": True}
    pictures = ConvNet((1, 2, 4), channels=(4,))
    steps = RecurrentNet((4, 2))
    return {
        "plain": (ae(3, **SHORT), matrix()),
        "random start": (ae(3, init="random", **SHORT), matrix()),
        "cross-entropy": (ae(3, loss="binary_cross_entropy", **SHORT), unit_interval()),
        "ordered": (ae(3, ordered=True, **SHORT), matrix()),
        "whitened": (ae(3, whiten=True, **SHORT), matrix()),
        "convolutions": (ae(3, network=pictures, **WITH_SGD), matrix()),
        "recurrent": (ae(3, network=steps, **WITH_SGD), matrix()),
        "layer by layer": (ae(3, pretrain="layerwise", **SHORT), matrix()),
        "table": (ae(3, **missing), table()),
        "swap": (dae(3, **SHORT), matrix()),
        "masking in a table": (dae(3, noise="masking", **missing), table()),
        "hidden features": (dae(features="hidden", **SHORT), matrix()),
        "beside the columns": (
            dae(features="hidden", passthrough=True, **missing),
            table(),
        ),
        "density": (vae(2, **SHORT), matrix()),
        "density of a table": (vae(2, **missing), table()),
    }


def results(estimator: Any, X: Any) -> dict[str, list]:
    """Fit, and return what is compared, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of so short a training
        estimator.fit(X)
    found = {
        "codes": estimator.transform(X[:3]),
        "errors": estimator.reconstruction_error(X),
        "losses": estimator.loss_curve_,
        "validation": estimator.validation_loss_curve_,
        "score": [estimator.score(X)],
    }
    if isinstance(estimator, VAETransformer):
        found["densities"] = estimator.score_samples(X)
    return {
        name: np.asarray(values, dtype=np.float64).tolist()
        for name, values in found.items()
    }


if __name__ == "__main__":
    every = {name: results(*fit) for name, fit in fits().items()}
    FILE.write_text(json.dumps(every, indent=1) + "\n")
