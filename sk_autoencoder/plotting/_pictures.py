"""Images laid out as one picture, rows of them above each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._utils.variance import unit_or_one
from sk_autoencoder.plotting._kinds import check_shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def images_of(
    rows: dict[str, Any], image_shape: tuple[int, ...] | None
) -> dict[str, np.ndarray]:
    """Return rows as images, (n_images, [channels,] height, width)."""
    images = {label: np.asarray(row, dtype=float) for label, row in rows.items()}
    shape = images["input"].shape[1:]
    images = {label: row.reshape(len(row), -1) for label, row in images.items()}
    check_shapes(images)
    if image_shape is None and len(shape) > 1:
        image_shape = shape
    shape = resolve_image_shape(image_shape, images["input"].shape[1])
    return {label: row.reshape(-1, *shape) for label, row in images.items()}


def draw_images(ax: Axes, rows: dict[str, np.ndarray], cmap: Any) -> AxesImage:
    """Draw rows of images, (n_images, [channels,] height, width) by their labels.

    Brightness is the same in all, from the least of the first row to its greatest.
    """
    height = rows["input"].shape[-2]
    low, high = rows["input"].min(), rows["input"].max()
    picture = mosaic(list(rows.values()))
    if picture.ndim == 3:  # matplotlib scales one channel itself, never three
        picture = np.clip((picture - low) / unit_or_one(high - low), 0.0, 1.0)
        picture = np.nan_to_num(picture, nan=1.0)  # the gaps, white
    image = ax.imshow(picture, cmap=cmap, vmin=low, vmax=high)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0)
    ax.set_xticks([])
    ax.set_yticks(
        [i * (height + _gap(height)) + (height - 1) / 2 for i in range(len(rows))],
        list(rows),
    )
    return image


def resolve_image_shape(
    image_shape: tuple[int, ...] | None, n_features: int
) -> tuple[int, ...]:
    """Return the shape of an image, (height, width) or with one or three channels."""
    if image_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                "expected a square number of features for image_shape=None, got X "
                f"with {n_features} features. Pass image_shape=(height, width), or "
                "kind='series' or kind='table'."
            )
        return side, side
    shape = tuple(image_shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)):
        raise ValueError(
            "expected (height, width), or (channels, height, width) with one or three "
            f"channels, got image_shape={image_shape!r}. Pass one of the two."
        )
    if math.prod(shape) != n_features:
        raise ValueError(
            f"expected an image of image_shape={image_shape!r}, {math.prod(shape)} "
            f"features, got X with {n_features} features. Pass an image_shape whose "
            "product is X.shape[1]."
        )
    return shape


def mosaic(rows: list[np.ndarray]) -> np.ndarray:
    """Lay rows of images out as one picture, with gaps of NaN between them.

    One picture, and not a grid of axes, because so the display fits into the `ax`
    of the caller like any other.

    Shape: `rows` are of shape (n_images, [channels,] height, width), the picture is
    (height of all, width of all[, 3]).
    """
    stack = np.stack(rows)
    stack = np.moveaxis(stack, 2, -1) if stack.ndim == 5 else stack[..., np.newaxis]
    n_rows, n_images, height, width, channels = stack.shape
    gap = _gap(height)
    size = n_rows * (height + gap) - gap, n_images * (width + gap) - gap
    picture = np.full((*size, channels), np.nan)
    for i, j in np.ndindex(n_rows, n_images):
        top, left = i * (height + gap), j * (width + gap)
        picture[top : top + height, left : left + width] = stack[i, j]
    return picture[..., 0] if channels == 1 else picture


def mosaic_size(rows: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the inches that the picture of images fills, with room for the labels."""
    n_images, *_, height, width = rows["input"].shape
    tall = len(rows) * (height + _gap(height))
    wide = n_images * (width + _gap(height))
    inches = min(8.0, 4.0 * wide / tall)
    return inches + 2.0, inches * tall / wide + 0.5


def _gap(height: int) -> int:
    """Return the pixels between images: a tenth of their height."""
    return max(1, height // 10)
