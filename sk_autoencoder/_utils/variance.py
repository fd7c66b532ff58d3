"""Explained variance, and what has none: the one definition of each."""

from typing import Any

import numpy as np

# Of a mean and a standard deviation in float64, as a fraction of the mean: each of the
# values is rounded by half a unit in its last place, and so is each sum.
ROUNDING = 4 * np.finfo(np.float64).eps


def explained_variance(error: Any, total: float) -> Any:
    """Return the fraction of the variance that reconstructions explain.

    Where nothing varies, it is 1 for reconstructions without an error, 0 for others.

    Parameters
    ----------
    error : float or ndarray
        Squared errors of the reconstructions, summed.
    total : float
        Squared distances of the same samples from their mean, summed.

    Returns
    -------
    explained : float or ndarray
        1 - error / total.
    """
    if total == 0:
        return np.where(np.equal(error, 0), 1.0, 0.0)
    return 1 - error / total


def variance_fractions(parts: np.ndarray, total: float) -> np.ndarray:
    """Return parts of a variance as fractions of it; 0 where nothing varies."""
    return parts / total if total else np.zeros_like(parts)


def is_constant(low: Any, high: Any, mean: Any, std: Any) -> Any:
    """Whether features of this range, mean and standard deviation are constant.

    A standard deviation that is no more than the rounding of the values is taken for 0:
    scaling by it would blow rounding up to the size of data. A feature that varies
    little, but by more than that, is none of these: it is scaled with a limit
    (`docs/development/decisions/0004-nearly-constant-features.md`).
    """
    return (low == high) | (std <= ROUNDING * np.abs(mean))


def unit_or_one(unit: Any) -> Any:
    """Return units to divide by: 1 where one is 0, as that of a constant feature.

    A constant feature has no unit of its own, so that an error in it counts in the
    caller's.
    """
    return np.where(unit > 0, unit, 1.0)


def falling(values: np.ndarray) -> np.ndarray:
    """Return the numbers nearest to others that do not rise, of the same sum.

    References
    ----------
    Barlow, Bartholomew, Bremner and Brunk (1972), Statistical inference under order
    restrictions, Wiley: pool adjacent violators.
    """
    pools: list[list[float]] = []
    for value in values:
        pools.append([float(value)])
        while len(pools) > 1 and np.mean(pools[-2]) < np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
