"""Linear regressions that correct the numbers that a masked network fills in."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sk_autoencoder._utils.values import Range

if TYPE_CHECKING:
    from sk_autoencoder._columns import LevelColumns

# A covariance of more columns takes seconds to invert: levels are left out then.
MOST_COLUMNS = 1_000
LARGEST = float(np.finfo(np.float64).max)
# Numbers of these sizes have squares in float64. Columns of others are not regressed.
SQUARED = 1e-150, 1e150


@dataclass(frozen=True)
class LinearFilling:
    """The step, or a part of it, from a network's numbers to those of regressions.

    Each number is regressed on all other cells of its row, numbers and one-hots.

    Attributes
    ----------
    mean, low, high : ndarray of shape (n_columns,)
        Of numbers in training; 0 and the largest of numbers for categories.
    slopes : ndarray of shape (n_columns, n_columns)
        What a unit of each number adds to each number; 0 for categories.
    levels : ndarray of shape (n_levels, n_columns)
        What each level of a category adds to each number, one category's after another.

    References
    ----------
    Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional
    covariance matrices, Journal of Multivariate Analysis 88. The coefficients of each
    regression are a row of its inverse.
    """

    mean: Annotated[np.ndarray, Range(shape="n")]
    low: Annotated[np.ndarray, Range(shape="n")]
    high: Annotated[np.ndarray, Range(shape="n")]
    slopes: Annotated[np.ndarray, Range(shape="n n")]
    levels: Annotated[np.ndarray, Range(shape="l n")]

    @classmethod
    def of(cls, columns: "LevelColumns", rows: Tensor) -> "LinearFilling":
        """Regress each number on the other cells of training rows.

        Parameters
        ----------
        columns : LevelColumns
        rows : Tensor of shape (n, n_columns)
            Numbers, and numbers of levels; their missing cells are filled.
        """
        cells = rows.cpu().numpy()
        n, (categories, starts) = len(columns.means), columns.categories
        numbers = np.setdiff1d(np.arange(n), categories)
        sizes = np.array([len(columns.counts[i]) for i in categories], dtype=np.int64)
        hot = _one_hots(starts + cells[:, categories].astype(np.int64), sizes.sum())
        X = cells[:, numbers]
        low, high = X.min(axis=0), X.max(axis=0)
        size = np.maximum(-low, high)
        fits = (size > SQUARED[0]) & (size < SQUARED[1])
        X = np.where(fits, X, 0.0)
        scale = X.std(axis=0)
        scale[scale == 0] = 1.0
        steps = _steps((X - X.mean(axis=0)) / scale, hot) * scale
        k = len(numbers)
        steps[:, ~fits] = steps[:k][~fits] = 0.0

        slopes, levels = np.zeros((n, n)), np.zeros((len(steps) - k, n))
        slopes[np.ix_(numbers, numbers)] = steps[:k] / scale[:, None]
        levels[:, numbers] = steps[k:]
        for first, size in zip(starts, sizes, strict=True):
            own = slice(first, first + size)
            levels[own] -= hot[:, own].mean(axis=0) @ levels[own]
        ends = np.full((3, n), [[0.0], [-LARGEST], [LARGEST]])
        ends[:, numbers] = X.mean(axis=0), low, high
        mean, low, high = ends
        return cls(mean, low, high, slopes, levels)

    def scaled(self, fractions: np.ndarray) -> "LinearFilling":
        """Return the same with a fraction of each column's step, (n_columns,)."""
        return replace(
            self, slopes=self.slopes * fractions, levels=self.levels * fractions
        )

    def applied(
        self, filled: Tensor, hidden: Tensor, columns: "LevelColumns"
    ) -> Tensor:
        """Return filled rows with the step taken where a cell was hidden.

        Numbers stay in the range of training, as those of a network do.

        Parameters
        ----------
        filled : Tensor of shape (n, n_columns), float64
            Numbers, and numbers of levels.
        hidden : Tensor of bool of shape (n, n_columns)
        columns : LevelColumns
        """
        own = (self.mean, self.low, self.high, self.slopes, self.levels)
        mean, low, high, slopes, levels, categories, starts = (
            torch.from_numpy(array).to(filled.device)
            for array in (*own, *columns.categories)
        )
        found = filled + (filled.clamp(low, high) - mean) @ slopes
        if len(categories):
            places = filled.index_select(1, categories).long() + starts
            found = found + F.embedding_bag(places, levels, mode="sum")
        return torch.where(hidden, found.clamp(low, high), filled)


def _one_hots(places: np.ndarray, n_levels: int) -> np.ndarray:
    """Return zeros, with a one at each position that a row names."""
    hot = np.zeros((len(places), n_levels))
    np.put_along_axis(hot, places, 1.0, axis=1)
    return hot


def _steps(Z: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """Return what each column adds to the step of each number, in units of Z.

    **Shape**: (n_numbers + n_levels, n_numbers).

    Parameters
    ----------
    Z : ndarray of shape (n, n_numbers)
        Standardized numbers.
    hot : ndarray of shape (n, n_levels)
        Levels as zeros and ones.
    """
    from sklearn.covariance import LedoitWolf  # which a fit of codes does not wait for

    encoded = np.hstack([Z, hot])
    k, n_encoded = Z.shape[1], encoded.shape[1]
    n_used = n_encoded if n_encoded <= MOST_COLUMNS else k
    precision = LedoitWolf().fit(encoded[:, :n_used]).precision_[:, :k]
    steps = np.zeros((n_encoded, k))
    # 0 of a column that does not vary, if the others need no shrinkage.
    own = precision.diagonal()
    steps[:n_used] = -precision / np.where(own > 0, own, 1.0)
    return steps
