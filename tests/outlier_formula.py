"""The default score of a detector by hand, from its definition."""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata


def huber(sizes):
    return np.where(sizes < 3, sizes**2, 6 * sizes - 9)


def unit(deviations):
    """A median deviation, or a fraction of the root mean square, by column."""
    mad = np.median(deviations, axis=0) / 0.6745
    return np.maximum(mad, 0.05 * np.sqrt((deviations**2).mean(axis=0)))


def errors(deviations, least=0.0):
    """How far off reconstructions of training rows are, by cell."""
    return huber(deviations / np.maximum(unit(deviations), least))


def usual(sizes):
    """The mean of the smallest nine tenths."""
    return np.sort(sizes)[: int(np.ceil(0.9 * len(sizes)))].mean()


def normal_scores(X):
    return norm.ppf((rankdata(X, axis=0) - 0.5) / len(X))


def neighbors(z, others, n_left_out=1):
    """Mean distance to the five nearest, of which one that is the same is not one."""
    found = []
    for row in cdist(z, others, "sqeuclidean") / z.shape[1]:
        near = np.sort(row)
        n_same = min(n_left_out, int((near == 0).sum()))
        found.append(near[n_same : n_same + 5].mean())
    return np.array(found)


def combined(X, error, support=0.8):
    """Score training rows, at most 2,048, of such errors (n_samples,)."""
    z = normal_scores(X)
    rarity = (z**2).mean(axis=1)
    kept = np.arange(len(X))
    if support < 1:
        unusual = rarity / usual(rarity) + error / usual(error)
        kept = np.argsort(unusual, kind="stable")[: int(np.ceil(0.9 * len(X)))]
        most = np.median(X, axis=0)
        off = (most != X) & ((most == X).mean(axis=0) > 0.5)
        if (off.sum(axis=1) > 1).any():
            rare = np.where(off.sum(axis=1) > 1, (z**2 * off).sum(axis=1), 0)
            order = np.argsort(rare[kept], kind="stable")
            kept = kept[order[: int(np.ceil(support * len(kept)))]]
    near = neighbors(z, z[kept])
    weight = 2 if support < 1 else 8
    parts = rarity / usual(rarity) + error / usual(error) + weight * near / usual(near)
    return -parts / (2 + weight)
