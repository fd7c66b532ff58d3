"""How much the columns of a stream have changed."""

from typing import Any

import numpy as np

from sk_autoencoder._utils.chunks import dense_rows


def drifts_of(before: Any, after: Any, is_category: np.ndarray) -> np.ndarray:
    """Measure how far apart the distributions of columns are, from 0 to 1.

    Parameters
    ----------
    before, after : {ndarray, CSR matrix} of shape (n_samples, n_features)
        NaN where a cell is missing; such cells are left out.
    is_category : ndarray of bool of shape (n_features,)

    Returns
    -------
    drift : ndarray of shape (n_features,)
        The largest difference of the distribution functions (Kolmogorov and Smirnov);
        of categories half the sum of the differences of the frequencies (total
        variation). 0 where a column has no value before or after.
    """
    drift = np.zeros(before.shape[1])
    every = slice(None)
    columns = dense_rows(before, every).T, dense_rows(after, every).T
    for i, pair in enumerate(zip(*columns, strict=True)):
        one, other = (column[~np.isnan(column)] for column in pair)
        if not (len(one) and len(other)):
            continue
        values = np.unique(np.concatenate([one, other]))
        upto = [
            np.searchsorted(np.sort(part), values, side="right") / len(part)
            for part in (one, other)
        ]
        differences = upto[0] - upto[1]
        if is_category[i]:
            drift[i] = 0.5 * np.abs(np.diff(differences, prepend=0.0)).sum()
        else:
            drift[i] = np.abs(differences).max()
    return drift
