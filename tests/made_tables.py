"""Tables that several test modules use."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from sk_autoencoder.datasets import load_adult

read_adult = cache(load_adult)


def adult_rows(n=None):
    """Return the first rows of Adult, which a process reads once."""
    return read_adult().data[:n].copy()


def small(n=120, *, gaps=False, n_many=70):
    """Make a frame of two numbers, and columns of two, three and many levels."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": 10 * factor + rng.normal(size=n),
            "whole": rng.poisson(np.exp(factor)),
            "flag": np.where(factor > 0, "yes", "no"),
            "few": pd.Categorical(
                np.array(list("xyz"))[np.digitize(factor, [-1, 0.5])]
            ),
            "many": np.resize([f"m{i}" for i in range(n_many)], n),
        },
        index=[f"row {i}" for i in range(n)],
    )
    if gaps:
        frame = frame.astype({"whole": "Int64"}).mask(rng.random(frame.shape) < 0.15)
    return frame


def with_imputation(estimator, **fields):
    """Return a copy of an estimator, with another decision on what fills cells."""
    estimator = copy.deepcopy(estimator)
    decided = replace(estimator._fitted.imputation, **fields)
    estimator._fitted = replace(estimator._fitted, imputation=decided)
    return estimator
