"""What the parameters that all three transformers have may be."""

import os
from functools import partial
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator

from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.sklearn_compat import Interval, RealNotInt, StrOptions
from sk_autoencoder.networks._checks import AUTO, LAYER_CONSTRAINTS

PARAMETER_CONSTRAINTS: dict[str, Any] = {
    "n_components": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0, 1, closed="neither"),
        None,
    ],
    **LAYER_CONSTRAINTS,
    "network": [Network, None],
    "numeric_scaling": [
        StrOptions({"auto", "none", "standard", "minmax", "rank_gauss"})
    ],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "allow_missing": ["boolean"],
    "handle_unknown": [StrOptions({"error", "ignore"})],
    "column_weights": ["array-like", dict, None],
    "init": [StrOptions({"auto", "pca", "random"})],
    "optimizer": [StrOptions({"adam", "adamw", "sgd"}), type, partial],
    "lr": [Interval(Real, 0, None, closed="neither"), AUTO],
    "weight_decay": [Interval(Real, 0, None, closed="left"), AUTO],
    "lr_schedule": [
        StrOptions({"cosine"}),
        Interval(Real, 0, 1, closed="right"),
        callable,
        None,
    ],
    "max_epochs": [Interval(Integral, 0, None, closed="left"), AUTO],
    "batch_size": [Interval(Integral, 1, None, closed="left"), AUTO],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), AUTO],
    "tol": [Interval(Real, 0, None, closed="left")],
    "precision": [StrOptions({"float32", "bf16"})],
    "device": [str, torch.device],
    "callbacks": [list, tuple, None],
    "net_params": [dict, None],
    "checkpoint_dir": [str, os.PathLike, None],
    "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
    "distributed": ["boolean"],
    "whiten": ["boolean"],
    "rotation": [StrOptions({"varimax"}), None],
    "align_to": [FrozenEstimator, None],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
