"""The threshold of a detector, from the scores of its training rows."""

from typing import Any

import numpy as np

__all__ = ["MOST_SCORES", "check_scores", "offset_at", "quantiles_of"]

# Scores that are kept: a quantile of so many even ones is within 1 / 40,000 of the
# fraction that was asked for, and they take 160 kB.
MOST_SCORES = 20_000


def quantiles_of(scores: np.ndarray) -> np.ndarray:
    """Return scores in their order, or so many even quantiles if there are more.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)

    Returns
    -------
    scores : ndarray of shape (min(n_samples, MOST_SCORES),)
    """
    ordered = np.sort(scores)
    if len(ordered) <= MOST_SCORES:
        return ordered
    levels = np.linspace(0, len(ordered) - 1, MOST_SCORES)
    return np.interp(levels, np.arange(len(ordered)), ordered).astype(scores.dtype)


def offset_at(scores: np.ndarray, contamination: float) -> float:
    """Compute the score that so large a fraction of the scores is below."""
    return float(np.percentile(scores, 100.0 * contamination))


def check_scores(scores: Any) -> None:
    """Refuse what a file has in place of scores; None is none.

    Raises
    ------
    ValueError
        If these are not finite floats in their order.
    """
    if scores is None:
        return
    good = isinstance(scores, np.ndarray) and scores.dtype in (np.float32, np.float64)
    if not good or scores.ndim != 1 or not 0 < len(scores) <= MOST_SCORES:
        raise ValueError(f"scores that are not 1 to {MOST_SCORES} floats")
    if not np.isfinite(scores).all() or (np.diff(scores) < 0).any():
        raise ValueError("scores that are not finite or not in their order")
