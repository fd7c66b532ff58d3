"""What rows are, images, series or a table, and the shapes that they have."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_autoencoder._columns.frames import is_frame
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._utils.shapes import Shape, shape_of
from sk_autoencoder.networks import ConvNet
from sk_autoencoder.plotting._cells import MOST_COLUMNS, has_only_numbers

# What there is, and how many of it are drawn where nobody says.
KINDS = {"images": 10, "series": 4, "table": 3}


def check_shapes(rows: dict[str, Any]) -> None:
    """Refuse rows that are not of one shape."""
    wanted = tuple(rows["input"].shape)
    for label, row in rows.items():
        if tuple(row.shape) != wanted:
            raise ValueError(
                f"expected a {label} of shape {wanted}, the shape of X, got shape "
                f"{tuple(row.shape)}. Pass the same rows in each."
            )


def resolve_kind(kind: str, X: Any, image_shape: Any) -> str:
    """Return what rows are."""
    if kind in KINDS:
        return kind
    if kind != "auto":
        raise ValueError(
            f"expected one of {['auto', *KINDS]}, got kind={kind!r}. Pass one."
        )
    if image_shape is not None or not is_frame(X):
        return "images"
    # Numbers for names, and polars' own, are those of an array: it may hold images.
    has_names = any(
        isinstance(name, str) and name != f"column_{i}"
        for i, name in enumerate(X.columns)
    )
    is_table = has_names or X.shape[1] <= MOST_COLUMNS or not has_only_numbers(X)
    return "table" if is_table else "images"


def kind_of_shape(shape: Shape) -> str:
    """Return what rows are that a network takes in this shape, as far as it tells."""
    return {2: "series", 3: "images"}.get(len(shape or ()), "auto")


def picture_shape(shape: Shape) -> Shape:
    """Return the shape of a picture of a row that a network takes in this shape."""
    if shape is None or len(shape) != 3 or shape[0] in (1, 3):
        return shape
    return shape[0] * shape[1], shape[2]  # channels one above the other


def shape_in(estimator: Any) -> tuple[Shape, bool]:
    """Read the shape of a row off an estimator's network, and where its channels are.

    Returns
    -------
    shape : tuple of int or None
    channels_first : bool
        Whether channels come before steps.
    """
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    if not isinstance(last, BaseAutoEncoder):
        return None, False
    network = last._plan.network
    return shape_of(network), isinstance(network, ConvNet)


def as_series(
    rows: np.ndarray, shape: tuple[int, ...], channels_first: bool
) -> np.ndarray:
    """Return rows as (n_rows, n_steps, n_channels)."""
    series = rows.reshape(len(rows), *shape)
    return np.moveaxis(series, 1, -1) if channels_first else series
