"""Rows beside what is made of them: images, series, rows of a table."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._utils.sklearn_compat import take_rows
from sk_autoencoder.plotting._cells import (
    MOST_COLUMNS,
    draw_table,
    spreads_of,
    table_size,
    with_shape,
)
from sk_autoencoder.plotting._common import Display, as_array, name_of
from sk_autoencoder.plotting._kinds import (
    KINDS,
    as_series,
    check_shapes,
    kind_of_shape,
    picture_shape,
    resolve_kind,
    shape_in,
)
from sk_autoencoder.plotting._pictures import draw_images, images_of, mosaic_size
from sk_autoencoder.plotting._series import draw_series, series_of, series_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    from sk_autoencoder._utils.shapes import Shape

TITLES = {"images": "images", "series": "series", "table": "rows"}


@dataclass(eq=False, repr=False)
class ReconstructionDisplay(Display):
    """Samples next to their reconstructions: images, series or rows of a table.

    It is recommended to use :func:`~ReconstructionDisplay.from_estimator` to create
    a display. All parameters are stored as attributes.

    Parameters
    ----------
    X : {array-like, frame} of shape (n_rows, n_features)
        The rows. Images and series may be arrays of more dimensions: (n_rows,
        [channels,] height, width), and (n_rows, n_steps, n_channels).
    X_reconstructed : {array-like, frame} of shape (n_rows, n_features)
        Their reconstructions.
    X_noisy : {array-like, frame} of shape (n_rows, n_features), default=None
        What the estimator was given in place of `X`, if it was: drawn between the
        two.
    kind : {"auto", "images", "series", "table"}, default="auto"
        Images stand above their reconstructions, one beside the other; series lie
        under theirs, one above the other; of a table each column of a row stands
        beside what it became, darker where that is far off; of more than 30 columns
        those with the largest errors are drawn. "auto" takes a frame that has names, of
        categories or of up to 30 columns for a table, all else for images.
    image_shape : tuple of int, default=None
        (height, width), or (channels, height, width) with one or three channels.
        None is that of `X`, or a square of one channel.
    spreads : array-like of shape (n_features,), default=None
        Of a table, the units of errors in columns of numbers, NaN for the others.
        None is the standard deviation of `X`.
    estimator_name : str, default=None
        Name of the estimator, in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the rows.
    figure_ : matplotlib Figure
        Figure containing the axes.
    image_ : matplotlib AxesImage or None
        All the images, as one picture; of a table, the errors.
    lines_ : list of matplotlib Line2D
        Of series, each with what became of it; else empty.
    texts_ : list of matplotlib Text
        Cells of a table, column by column; else empty.
    colorbar_ : matplotlib Colorbar or None
        The scale of a table's errors.

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

    X: Any
    X_reconstructed: Any
    _: KW_ONLY
    X_noisy: Any = None
    kind: str = "auto"
    image_shape: tuple[int, ...] | None = None
    spreads: Any = None
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        X_noisy: Any = None,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        n_images: int | None = None,
        ax: Axes | None = None,
        cmap: Any = "gray",
        name: str | None = None,
    ) -> ReconstructionDisplay:
        """Draw the first samples of X next to their reconstructions.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform` and `inverse_transform`: an autoencoder, PCA, a
            Pipeline that ends in one.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The rows, or an array of more dimensions where the estimator takes one.
        X_noisy : {array-like, frame, sparse matrix} of shape (n_samples, \
n_features), default=None
            The same rows, corrupted. If given, these are what the estimator
            reconstructs, and they are drawn between the two.
        kind : {"auto", "images", "series", "table"}, default="auto"
            See :class:`ReconstructionDisplay`. "auto" asks the estimator's network
            first: an `input_shape` of two numbers is that of a series, of three that
            of an image.
        image_shape : tuple of int, default=None
            (height, width), or (channels, height, width) with one or three
            channels. None is that of the estimator's network or of X, or a square of
            one channel; other numbers of channels stand one above the other.
        n_images : int, default=None
            How many images, series or rows of a table to draw, from the first row on.
            None is 10, 4 or 3.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="gray"
            Colors of images with one channel.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

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
            If `kind` is none of these, the features do not fill `image_shape`, or
            `n_images` is below 1.

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
        cls._check_estimator(estimator, "transform", "inverse_transform")
        if n_images is not None and n_images < 1:
            raise ValueError(
                f"expected at least one image, got n_images={n_images!r}. Pass "
                "n_images=1 or more."
            )
        shape, channels_first = shape_in(estimator)
        if kind == "auto" and image_shape is None:
            kind = kind_of_shape(shape)
        kind = resolve_kind(kind, X, image_shape)
        if kind == "images" and image_shape is None:
            image_shape = picture_shape(shape)
        n_rows = KINDS[kind] if n_images is None else n_images
        rows = _reconstructed(estimator, X, X_noisy, n_rows)
        if kind != "table":
            rows = _as_arrays(rows, shape if kind == "series" else None, channels_first)
        display = cls(
            **rows,
            kind=kind,
            image_shape=image_shape,
            # Of all rows: the few that are drawn may be alike.
            spreads=spreads_of(X) if kind == "table" else None,
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, cmap=cmap)

    def plot(
        self, ax: Axes | None = None, *, cmap: Any = "gray", name: str | None = None
    ) -> ReconstructionDisplay:
        """Draw the rows.

        The brightness of images is the same in all, from the lowest value of `X` to
        its highest; what a reconstruction or the noise has beyond them is cut off. So
        is the height of series, channel by channel, and there nothing is cut off.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="gray"
            Colors of images with one channel.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ReconstructionDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `kind` is none of those known, the features do not fill `image_shape`,
            or the shapes of what is drawn differ.
        """
        kind = resolve_kind(self.kind, self.X, self.image_shape)
        rows: dict[str, Any] = {"input": self.X}
        if self.X_noisy is not None:
            rows["noisy input"] = self.X_noisy
        rows["reconstruction"] = self.X_reconstructed
        self.image_: AxesImage | None = None
        self.colorbar_: Colorbar | None = None
        self.lines_: list[Line2D] = []
        self.texts_: list[Text] = []
        if kind == "images":
            images = images_of(rows, self.image_shape)
            ax = self._take_axes(ax, figsize=mosaic_size(images))
            self.image_ = draw_images(ax, images, cmap)
        elif kind == "series":
            series = series_of(rows)
            ax = self._take_axes(ax, figsize=series_size(series))
            self.lines_ = draw_series(ax, series)
        else:
            rows = {label: with_shape(row) for label, row in rows.items()}
            self._plot_table(ax, rows)
        title = f"{TITLES[kind]} and reconstructions"
        n_columns = rows["input"].shape[1] if kind == "table" else 0
        if n_columns > MOST_COLUMNS:
            title += (
                f"\n{MOST_COLUMNS} of {n_columns:,} columns, those with the "
                "largest errors"
            )
        self.ax_.set_title(self._title(name, title))
        return self

    def _plot_table(self, ax: Axes | None, rows: dict[str, Any]) -> None:
        check_shapes(rows)
        ax = self._take_axes(ax, figsize=table_size(rows))
        self.image_, self.texts_ = draw_table(ax, rows, self.spreads)
        self.colorbar_ = ax.figure.colorbar(
            self.image_,
            ax=ax,
            label="Error (standard deviations; another category: 1)",
            boundaries=np.linspace(0, 1, 101),
            ticks=[0, 0.5, 1],
        )
        self.colorbar_.ax.set_yticklabels(["0", "0.5", "1 or more"])


def _reconstructed(estimator: Any, X: Any, X_noisy: Any, n_rows: int) -> dict[str, Any]:
    """Return the first rows and what is made of them, under the display's names."""
    first = slice(n_rows)
    rows = {"X": take_rows(X, first)}
    if X_noisy is not None:
        rows["X_noisy"] = take_rows(X_noisy, first)
    code = estimator.transform(rows.get("X_noisy", rows["X"]))
    rows["X_reconstructed"] = estimator.inverse_transform(code)
    return rows


def _as_arrays(
    rows: dict[str, Any], shape: Shape, channels_first: bool
) -> dict[str, np.ndarray]:
    """Return rows as arrays, and as series where a network takes them in a shape."""
    arrays = {key: as_array(part) for key, part in rows.items()}
    if shape is None or len(shape) != 2:
        return arrays
    return {key: as_series(a, shape, channels_first) for key, a in arrays.items()}
