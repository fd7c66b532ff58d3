"""Thresholds and p-values of a detector, from the scores of its training rows."""

from typing import Any

import numpy as np

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


def in_order(
    held_out: tuple[np.ndarray, ...] | None,
) -> tuple[np.ndarray, ...] | None:
    """Return the `quantiles_of` scores of held-out rows, by estimator."""
    return None if held_out is None else tuple(quantiles_of(s) for s in held_out)


def offset_at(scores: np.ndarray, contamination: float) -> float:
    """Compute the score that so large a fraction of the scores is below."""
    return float(np.percentile(scores, 100.0 * contamination))


def least_p_value(held_out: tuple[np.ndarray, ...]) -> float:
    """Return the smallest p-value that scores of so many held-out rows can give."""
    return 1.0 / (1 + sum(map(len, held_out)))


def conformal_p_values(
    scores: np.ndarray, held_out: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Compute which fraction of the held-out rows is as unusual as each row.

    Each row is compared with those that an estimator has not seen by that estimator's
    scores, and counted as one of them: see Vovk (2015), Cross-conformal predictors,
    Annals of Mathematics and Artificial Intelligence 74.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_estimators)
    held_out : tuple of ndarray, one an estimator
        In increasing order.

    Returns
    -------
    p_values : ndarray of shape (n_samples,)
    """
    counts = [
        np.searchsorted(others, own, side="right")
        for own, others in zip(scores.T, held_out, strict=True)
    ]
    p_values: np.ndarray = (1 + np.sum(counts, axis=0)) / (1 + sum(map(len, held_out)))
    return p_values


def rejected(p_values: np.ndarray, fdr: float) -> np.ndarray:
    """Return which rows to reject: the procedure of Benjamini and Hochberg (1995).

    Parameters
    ----------
    p_values : ndarray of shape (n_samples,)
    fdr : float
        False discovery rate.

    Returns
    -------
    is_rejected : ndarray of bool of shape (n_samples,)
    """
    ordered = np.sort(p_values)
    # A p-value that is equal to its limit is below it, however both are rounded.
    limits = fdr * np.arange(1, len(ordered) + 1) / len(ordered) * (1 + 1e-12)
    below = np.flatnonzero(ordered <= limits)
    largest = ordered[below[-1]] if len(below) else -1.0
    is_rejected: np.ndarray = p_values <= largest
    return is_rejected


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


def check_held_out(held_out: Any, n_estimators: int) -> None:
    """Refuse what a file has in place of scores of held-out rows; None is none."""
    if held_out is None:
        return
    if not isinstance(held_out, tuple) or len(held_out) != n_estimators:
        raise ValueError("held-out scores of other estimators")
    for scores in held_out:
        if scores is None:
            raise ValueError("no scores of held-out rows")
        check_scores(scores)
