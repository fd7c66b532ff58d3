"""Images above their reconstructions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder.plotting._common import (
    as_array,
    check_matplotlib,
    first_rows,
    get_axes,
    name_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


class ReconstructionDisplay:
    """Images above their reconstructions.

    It is recommended to use :func:`~ReconstructionDisplay.from_estimator` to create
    a display. All parameters are stored as attributes.

    Parameters
    ----------
    X : array-like of shape (n_images, n_features)
        The images, one flattened image a row.
    X_reconstructed : array-like of shape (n_images, n_features)
        Their reconstructions.
    X_noisy : array-like of shape (n_images, n_features), default=None
        What the estimator was given in place of `X`, if it was: drawn between the
        two.
    image_shape : tuple of int, default=None
        (height, width), or (channels, height, width) with one or three channels.
        None is a square of one channel.
    estimator_name : str, default=None
        Stands in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the images.
    figure_ : matplotlib Figure
        Figure containing the axes.
    image_ : matplotlib AxesImage
        All the images, as one picture.

    See Also
    --------
    ReconstructionDisplay.from_estimator : Draw images and what an estimator makes of
        them.
    LatentDisplay : Scatter plot of the code.
    LossCurveDisplay : Loss by epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_autoencoder.plotting import ReconstructionDisplay
    >>> X = load_digits().data[:10]
    >>> display = ReconstructionDisplay(X, X.round(-1)).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['input', 'reconstruction']
    """

    ax_: Axes
    figure_: Figure
    image_: AxesImage

    def __init__(
        self,
        X: Any,
        X_reconstructed: Any,
        *,
        X_noisy: Any = None,
        image_shape: tuple[int, ...] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.X = X
        self.X_reconstructed = X_reconstructed
        self.X_noisy = X_noisy
        self.image_shape = image_shape
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        X_noisy: Any = None,
        image_shape: tuple[int, ...] | None = None,
        n_images: int = 10,
        ax: Axes | None = None,
        cmap: Any = "gray",
        name: str | None = None,
    ) -> ReconstructionDisplay:
        """Draw the first images of X above what an estimator makes of them.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform` and `inverse_transform`: an autoencoder, PCA, a
            Pipeline that ends in one.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The images, one flattened image a row.
        X_noisy : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            The same images, corrupted. If given, these are what the estimator
            reconstructs, and they are drawn as a row of their own.
        image_shape : tuple of int, default=None
            (height, width), or (channels, height, width) with one or three
            channels. None is a square of one channel.
        n_images : int, default=10
            How many images to draw, from the first row on.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="gray"
            Colours of images with one channel.
        name : str, default=None
            What the title calls the estimator. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ReconstructionDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `transform` or no `inverse_transform`.
        ValueError
            If the features do not fill `image_shape`, or `n_images` is below 1.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.decomposition import PCA
        >>> from sk_autoencoder.plotting import ReconstructionDisplay
        >>> X, _ = load_digits(return_X_y=True)
        >>> pca = PCA(n_components=10, random_state=0).fit(X)
        >>> display = ReconstructionDisplay.from_estimator(pca, X, n_images=5)
        >>> display.ax_.get_title()
        'PCA: images and reconstructions'
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "transform") or not hasattr(
            estimator, "inverse_transform"
        ):
            raise TypeError(
                "expected an estimator with transform and inverse_transform, got "
                f"estimator={estimator!r}. Pass a reducer such as PCA or "
                "AutoEncoderTransformer, or a Pipeline that ends in one."
            )
        if n_images < 1:
            raise ValueError(
                f"expected at least one image, got n_images={n_images!r}. Pass "
                "n_images=1 or more."
            )
        check_is_fitted(estimator)
        X = first_rows(X, n_images)
        given = X if X_noisy is None else first_rows(X_noisy, n_images)
        display = cls(
            as_array(X),
            as_array(estimator.inverse_transform(estimator.transform(given))),
            X_noisy=None if X_noisy is None else as_array(given),
            image_shape=image_shape,
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, cmap=cmap)

    def plot(
        self, ax: Axes | None = None, *, cmap: Any = "gray", name: str | None = None
    ) -> ReconstructionDisplay:
        """Draw the images.

        Brightness is the same in all rows, from the lowest value of `X` to its
        highest; what a reconstruction or the noise has beyond them is cut off.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="gray"
            Colours of images with one channel.
        name : str, default=None
            What the title calls the estimator. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ReconstructionDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the features do not fill `image_shape`, or the shapes of the rows of
            images differ.
        """
        rows = self._labelled_rows()
        n_images, n_features = rows["input"].shape
        shape = _resolve_image_shape(self.image_shape, n_features)
        height = shape[-2]

        picture = _mosaic([row.reshape(n_images, *shape) for row in rows.values()])
        low, high = rows["input"].min(), rows["input"].max()
        if picture.ndim == 3:  # matplotlib scales one channel itself, never three
            picture = np.clip((picture - low) / ((high - low) or 1.0), 0.0, 1.0)
            picture = np.nan_to_num(picture, nan=1.0)  # the gaps, white

        ax = get_axes(
            ax,
            f"{type(self).__name__}.plot",
            figsize=_figure_size(picture.shape),
            layout="constrained",
        )
        self.image_ = ax.imshow(picture, cmap=cmap, vmin=low, vmax=high)
        for side in ax.spines.values():
            side.set_visible(False)
        ax.tick_params(length=0)
        ax.set_xticks([])
        ax.set_yticks(
            [i * (height + _gap(height)) + (height - 1) / 2 for i in range(len(rows))],
            list(rows),
        )
        name = self.estimator_name if name is None else name
        title = "images and reconstructions"
        ax.set_title(f"{name}: {title}" if name else title.capitalize())
        self.ax_ = ax
        self.figure_ = ax.figure  # type: ignore[assignment]
        return self

    def _labelled_rows(self) -> dict[str, np.ndarray]:
        """Return what is drawn, from top to bottom, refused if shapes differ."""
        rows = {"input": np.asarray(self.X, dtype=float)}
        if self.X_noisy is not None:
            rows["noisy input"] = np.asarray(self.X_noisy, dtype=float)
        rows["reconstruction"] = np.asarray(self.X_reconstructed, dtype=float)
        if rows["input"].ndim != 2:
            raise ValueError(
                "expected X of two dimensions, one flattened image a row, got X of "
                f"shape {rows['input'].shape}. Pass X.reshape(len(X), -1)."
            )
        for label, row in rows.items():
            if row.shape != rows["input"].shape:
                raise ValueError(
                    f"expected a {label} of shape {rows['input'].shape}, the shape of "
                    f"X, got shape {row.shape}. Pass the same images in each."
                )
        return rows


def _resolve_image_shape(
    image_shape: tuple[int, ...] | None, n_features: int
) -> tuple[int, ...]:
    if image_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                "expected a square number of features for image_shape=None, got X "
                f"with {n_features} features. Pass image_shape=(height, width)."
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


def _mosaic(rows: list[np.ndarray]) -> np.ndarray:
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
    picture = np.full(
        (
            n_rows * (height + gap) - gap,
            n_images * (width + gap) - gap,
            channels,
        ),
        np.nan,
    )
    for i, j in np.ndindex(n_rows, n_images):
        top, left = i * (height + gap), j * (width + gap)
        picture[top : top + height, left : left + width] = stack[i, j]
    return picture[..., 0] if channels == 1 else picture


def _gap(height: int) -> int:
    return max(1, height // 10)


def _figure_size(picture_shape: tuple[int, ...]) -> tuple[float, float]:
    """Inches that the picture fills, with room for the title and the labels."""
    height, width = picture_shape[:2]
    inches = min(8.0, 4.0 * width / height)
    return inches + 2.0, inches * height / width + 0.5
