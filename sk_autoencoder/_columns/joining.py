"""Rows of two tables put together, whatever the tables are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from sk_autoencoder._columns.frames import library_of
from sk_autoencoder._utils.shapes import refuse_foreign
from sk_autoencoder._utils.values import listed, shortened

KINDS = {
    "pandas": "a pandas frame",
    "polars": "a polars frame",
    "sparse": "a sparse matrix",
    "array": "an array",
}


def join_all(parts: Sequence[Any], name: str) -> Any:
    """Put the rows of several tables, one at least, below each other; see `join_rows`.

    In pairs of about the same size, so that no row is copied often.
    """
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return join_rows(join_all(parts[:half], name), join_all(parts[half:], name), name)


def join_rows(X: Any, more: Any, name: str = "extra_rows") -> Any:
    """Put rows below those of X.

    Parameters
    ----------
    X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
    more : of the kind and with the columns of X
        The rows to put below.
    name : str
        What they are called in messages.

    Returns
    -------
    rows : frame, ndarray or CSR of shape (n_samples + n_more, n_features)
        A frame's columns keep their dtypes; categorical ones have the categories of
        both.

    Raises
    ------
    ValueError
        If the two do not go together.
    TypeError
        If one is a frame of another library than pandas and polars.
    """
    refuse_foreign(X)
    refuse_foreign(more, name)
    kind, other = _kind(X), _kind(more)
    if kind != other:
        raise ValueError(
            f"expected {name} of the same kind as X, {KINDS[kind]}, got "
            f"{KINDS[other]}. Convert one of them."
        )
    if kind == "pandas":
        return _join_pandas(X, more, name)
    if kind == "polars":
        return _join_polars(X, more, name)
    if kind == "array":
        X, more = np.asarray(X), np.asarray(more)
    if X.ndim < 2 or X.shape[1:] != more.shape[1:]:
        raise ValueError(
            f"expected {name} with the columns of X, got {name} of shape "
            f"{more.shape} and X of shape {X.shape}. Pass rows of the same table."
        )
    if kind == "sparse":
        return sparse.vstack([X, more], format="csr")
    return np.concatenate([X, more])


def _kind(X: Any) -> str:
    return "sparse" if sparse.issparse(X) else library_of(X)


def _check_columns(X: Any, more: Any, name: str) -> None:
    names, others = list(X.columns), list(more.columns)
    if names != others:
        raise ValueError(
            f"expected {name} with the columns of X in the same order, got "
            f"{name}.columns=[{listed(others)}] for [{listed(names)}]. Pass "
            f"{name}[X.columns] if only the order differs."
        )


def _join_pandas(X: Any, more: Any, what: str) -> Any:
    import pandas

    _check_columns(X, more, what)
    X, more = X.copy(deep=False), more.copy(deep=False)
    for j, (one, other) in enumerate(zip(X.dtypes, more.dtypes, strict=True)):
        are_categories = [isinstance(d, pandas.CategoricalDtype) for d in (one, other)]
        if one == other or not any(are_categories):
            continue
        name = X.columns[j]
        if not all(are_categories):
            raise ValueError(
                f"expected column {shortened(name)} to be categorical in both X and "
                f"{what} or in neither, got {one} and {other}. Convert it in one "
                "of them."
            )
        if one.ordered or other.ordered:
            raise ValueError(
                f"expected the same categories in column {shortened(name)} of X and "
                f"{what}, because they are ordered, got different ones. Give both "
                "all of them, by cat.set_categories."
            )
        new = other.categories.difference(one.categories, sort=False)
        both = pandas.CategoricalDtype(one.categories.append(new))
        X.isetitem(j, X.iloc[:, j].astype(both))
        more.isetitem(j, more.iloc[:, j].astype(both))
    return pandas.concat([X, more], ignore_index=True)


def _join_polars(X: Any, more: Any, what: str) -> Any:
    import polars

    _check_columns(X, more, what)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, one in X.schema.items():
        other = more.schema[name]
        if one.is_numeric() != other.is_numeric() and polars.Null not in (one, other):
            # Together they would be text, and each number a category.
            raise ValueError(
                f"expected column {shortened(name)} to be of numbers in both X and "
                f"{what} or in neither, got {one} and {other}. Convert it in one of "
                "them."
            )
        if isinstance(one, polars.Categorical) and isinstance(
            other, polars.Categorical
        ):
            # By way of the text: older releases number categories frame by frame.
            before[name], after[name] = polars.String(), one
        elif one != other and all(isinstance(d, polars.Enum) for d in (one, other)):
            known = one.categories.to_list()
            new = [c for c in other.categories.to_list() if c not in known]
            before[name] = polars.Enum(known + new)
    rows = polars.concat([X.cast(before), more.cast(before)], how="vertical_relaxed")
    return rows.cast(after)
