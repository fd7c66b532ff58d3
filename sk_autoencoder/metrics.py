"""Scores that rank dimensionality reducers of any kind without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from sk_autoencoder._utils.chunks import row_chunks, within_float64
from sk_autoencoder._utils.shapes import refuse_foreign
from sk_autoencoder._utils.sklearn_compat import take_rows
from sk_autoencoder._utils.tensors import as_array
from sk_autoencoder._utils.variance import explained_variance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["explained_variance_ratio", "reconstruction_scorer"]

# Numbers in a chunk, eight megabytes in float64: big enough that numpy's overhead does
# not show, small enough to stay in most caches' reach and out of the memory's way.
_CHUNK_SIZE = 1_000_000


def explained_variance_ratio(
    X: Any, X_reconstructed: Any, *, mean: Any = None
) -> float:
    """Compute the fraction of the variance of X that a reconstruction explains.

    ``1 - SSE / SST``: SSE is the squared error of the reconstruction, SST the squared
    distance of the rows from their mean, both summed over all rows and columns. The
    units are those of the sum of PCA's `explained_variance_ratio_`: 1 is a perfect
    reconstruction, 0 is as good as the mean, and negative values are worse than that.
    Columns are not weighted: one with a large variance dominates, so scale the columns
    first to give them the same weight.

    Both matrices are read in chunks of rows and summed in float64; this takes a few
    megabytes of memory, for sparse matrices too.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Original samples; those of an array of more dimensions are flattened.
    X_reconstructed : {array-like, sparse matrix} of shape (n_samples, n_features)
        Reconstructions of the same samples. Columns are compared by position, not by
        name.
    mean : array-like of shape (n_features,), default=None
        Mean around which SST is measured; None is the mean of the rows of `X`. Pass the
        training mean, such as PCA's `mean_`, to compare the reconstruction of new
        samples with a prediction of the training mean.

    Returns
    -------
    ratio : float
        At most 1. If all rows of `X` equal the mean, there is no variance to
        explain: 1.0 if the reconstruction equals it too, 0.0 if it does not. Equal
        means equal up to the rounding of the dtype of `X`.

    Raises
    ------
    ValueError
        If the two shapes differ, `mean` has another length than a row, a value is not
        a finite number, or a distance between two is none.
    TypeError
        If an array has masked cells, or dates.

    See Also
    --------
    reconstruction_scorer : The same for an estimator, for ``scoring=``.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_autoencoder.metrics import explained_variance_ratio
    >>> X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> explained_variance_ratio(X, X)
    1.0
    >>> explained_variance_ratio(X, np.column_stack([X[:, 0], np.ones(4)]))
    0.5

    For PCA, on its own training rows, it is the sum of what PCA reports:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> X, _ = load_digits(return_X_y=True)
    >>> pca = PCA(n_components=10, random_state=0).fit(X)
    >>> ratio = explained_variance_ratio(X, pca.inverse_transform(pca.transform(X)))
    >>> bool(np.isclose(ratio, pca.explained_variance_ratio_.sum()))
    True
    """
    X = _check_matrix(X, "X")
    X_reconstructed = _check_matrix(X_reconstructed, "X_reconstructed")
    if X.shape != X_reconstructed.shape:
        raise ValueError(
            f"expected X_reconstructed of shape {X.shape}, the shape of X, got "
            f"X_reconstructed of shape {X_reconstructed.shape}. Pass the "
            "reconstruction of the same rows, with all of their columns."
        )
    pairs = ((X[rows], X_reconstructed[rows]) for rows in _row_chunks(X))
    return _explained_variance_ratio(X, pairs, mean)


def reconstruction_scorer(estimator: Any, X: Any, y: Any = None) -> float:  # noqa: ARG001
    """Score a fitted reducer by the variance that its reconstruction explains.

    Pass it as ``scoring=`` to :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_val_score` and similar functions. It scores
    anything with `transform` and `inverse_transform`: the autoencoders of this package,
    :class:`~sklearn.decomposition.PCA`, ``KernelPCA(fit_inverse_transform=True)``, or a
    Pipeline that ends in one of them. So one search ranks them all, in the same units,
    and without labels.

    A Pipeline is scored in the units of its input: even with a scaler as its first
    step, errors are measured in the original units of the columns. Scale before the
    search to give all columns the same weight.

    Categories and missing cells have no such units. An autoencoder of this package,
    the variational one included, is scored on them as `score` of
    :class:`~sk_autoencoder.AutoEncoderTransformer` does it: by the explained variance
    of the encoded, scaled table, around the training mean, with missing cells left
    out. In a Pipeline that is the table that reaches it. So is one with
    `features="reconstruction"` on all samples: its `transform` changes no cell that is
    there.

    Parameters
    ----------
    estimator : object
        A fitted estimator with `transform` and `inverse_transform`.
    X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
        Samples to be transformed and reconstructed, usually a test set; an array of
        more dimensions, categories or missing cells where the estimator takes them.
    y : object, default=None
        Not used, present for API consistency by convention.

    Returns
    -------
    score : float
        The explained variance ratio, higher is better, at most 1. The variance is
        measured around the mean of the samples passed, see
        :func:`explained_variance_ratio`; of a table with categories or missing cells
        see above.

    Raises
    ------
    TypeError
        If the estimator has no `transform` or no `inverse_transform`.
    ValueError
        If the reconstruction has another shape than the rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_autoencoder.metrics import reconstruction_scorer
    >>> X, _ = load_digits(return_X_y=True)
    >>> search = GridSearchCV(
    ...     PCA(random_state=0),
    ...     {"n_components": [2, 10]},
    ...     scoring=reconstruction_scorer,
    ...     cv=3,
    ... ).fit(X)
    >>> search.best_params_
    {'n_components': 10}
    >>> f"{search.best_score_:.2f}"
    '0.71'
    """
    refuse_foreign(X)
    score = _table_score(estimator, X)
    if score is not None:
        return score
    # hasattr, not isinstance: a Pipeline has the two only if all of its steps have.
    missing = [
        name
        for name in ("transform", "inverse_transform")
        if not hasattr(estimator, name)
    ]
    if missing:
        raise TypeError(
            "expected an estimator with transform and inverse_transform, got "
            f"estimator={estimator!r}, because it has no {' and no '.join(missing)}. "
            "Pass a reducer such as PCA, KernelPCA(fit_inverse_transform=True) or "
            "AutoEncoderTransformer, or a Pipeline that ends in one."
        )
    matrix = _check_matrix(X, "X")
    return _explained_variance_ratio(
        matrix, _reconstructed_chunks(estimator, X, matrix), None
    )


def _table_score(estimator: Any, X: Any) -> float | None:
    """Ask the autoencoder that an estimator ends in to score the table it is given.

    None where there is none, or where rows of numbers can be compared as they are. It
    is known by its method: metrics know nothing of autoencoders.
    """
    # Not at import: it is not needed by most, and takes a while.
    from sklearn.pipeline import Pipeline

    before = []
    while not hasattr(estimator, "_table_score"):
        if isinstance(estimator, Pipeline):
            before += [estimator[:-1]] if len(estimator) > 1 else []
            estimator = estimator.steps[-1][1]
        else:
            estimator = _inner(estimator)
        if estimator is None:
            return None
    table_score = estimator._table_score
    if table_score is None:
        return None
    for steps in before:
        X = steps.transform(X)
    score: float | None = table_score(X)
    return score


def _inner(estimator: Any) -> Any:
    """Return what a fitted wrapper transforms with; None for what is no wrapper."""
    for name in ("transformer_", "best_estimator_"):
        inner = getattr(estimator, name, None)
        if inner is not None:
            return inner
    return None


def _reconstructed_chunks(
    estimator: Any, X: Any, matrix: Any
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield rows and their reconstruction, chunk by chunk.

    In chunks, because the reconstruction of a wide sparse matrix is dense and may
    not fit into memory as a whole. The estimator gets slices of `X` as it came, so
    that it finds the columns' names where it has learned them.
    """
    if sparse.issparse(X):
        X = matrix  # once for all chunks: other formats than CSR cannot be sliced
    for rows in _row_chunks(matrix):
        original = matrix[rows]
        code = estimator.transform(take_rows(X, rows))
        chunk = _check_matrix(
            estimator.inverse_transform(code), "the output of inverse_transform"
        )
        if chunk.shape != original.shape:
            raise ValueError(
                f"expected inverse_transform to give shape {original.shape}, the "
                f"shape of the rows, got shape {chunk.shape} from "
                f"estimator={estimator!r}. Pass an estimator whose inverse_transform "
                "goes all the way back to the rows given."
            )
        yield original, chunk


def _explained_variance_ratio(
    X: Any, pairs: Iterable[tuple[Any, Any]], mean: Any
) -> float:
    """``1 - SSE / SST`` of pairs (rows of X, their reconstruction)."""
    with np.errstate(over="ignore", invalid="ignore"):
        center = _column_means(X) if mean is None else _check_mean(mean, X)
        unit = _unit(X, center)
    # One sum for each column: what counts as rounding differs from column to column.
    sse = np.zeros(X.shape[1])
    sst = np.zeros(X.shape[1])
    for rows, reconstructed in pairs:
        rows = _dense(rows)
        sse += _squares((_dense(reconstructed) - rows) / unit)
        sst += _squares((rows - center) / unit)

    precision = X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)
    ulp = 4 * np.finfo(precision).eps * np.abs(center) / unit
    rounding = X.shape[0] * ulp**2
    if np.all(sst <= rounding):
        sse, sst = np.where(sse <= rounding, 0.0, sse), np.zeros_like(sst)
    return float(explained_variance(sse.sum(), sst.sum()))


def _check_matrix(X: Any, name: str) -> Any:
    """Return a two-dimensional array or CSR matrix of finite numbers, not a copy.

    Rows of more dimensions, such as images, are flattened.
    """
    refuse_foreign(X, name)
    X = as_array(X)
    if getattr(X, "ndim", 2) > 2:
        X = X.reshape(X.shape[0], int(np.prod(X.shape[1:])))
    with within_float64():
        return check_array(X, accept_sparse="csr", input_name=name)


def _check_mean(mean: Any, X: Any) -> np.ndarray:
    center = check_array(mean, ensure_2d=False, dtype=np.float64, input_name="mean")
    if center.shape != (X.shape[1],):
        raise ValueError(
            f"expected mean of shape ({X.shape[1]},), one value for each column of "
            f"X, got mean of shape {center.shape}. Pass the training mean, such as "
            "PCA's mean_, or None for the mean of the rows given."
        )
    return center


def _row_chunks(X: Any) -> list[slice]:
    return row_chunks(X.shape[0], X.shape[1], _CHUNK_SIZE)


def _dense(chunk: Any) -> np.ndarray:
    if sparse.issparse(chunk):
        chunk = chunk.toarray()
    return np.asarray(chunk, dtype=np.float64)


def _column_means(X: Any) -> np.ndarray:
    # Around the first row: a constant column then gets exactly its own value, and
    # columns far from zero lose no digits.
    origin = _dense(X[:1])[0]
    total = np.zeros(X.shape[1])
    for rows in _row_chunks(X):
        total += (_dense(X[rows]) - origin).sum(axis=0)
    return origin + total / X.shape[0]


def _unit(X: Any, center: np.ndarray) -> float:
    """Return a power of two near the largest distance from the center.

    In units of it squares neither overflow nor vanish, and no digit changes.
    """
    largest = max(np.abs(_dense(X[rows]) - center).max() for rows in _row_chunks(X))
    if not np.isfinite(largest):
        raise ValueError(
            "expected X whose distances from the mean fit float64, got a column from "
            f"{min(_dense(X[rows]).min() for rows in _row_chunks(X)):g} to "
            f"{max(_dense(X[rows]).max() for rows in _row_chunks(X)):g}. Scale X first."
        )
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest > 0 else 1.0


def _squares(difference: np.ndarray) -> np.ndarray:
    sums: np.ndarray = np.einsum("ij,ij->j", difference, difference)
    return sums
