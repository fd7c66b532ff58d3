"""What a component does to a sample: decoded step by step along it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._columns import is_frame
from sk_autoencoder._utils.variance import unit_or_one
from sk_autoencoder.plotting._cells import columns_of, shown_cells, spreads_of
from sk_autoencoder.plotting._common import Display, as_array, name_of, refuse_imputer
from sk_autoencoder.plotting._components import (
    check_count,
    check_names,
    check_numbers_of,
)
from sk_autoencoder.plotting._kinds import (
    as_series,
    kind_of_shape,
    picture_shape,
    resolve_kind,
    shape_in,
)
from sk_autoencoder.plotting._pictures import mosaic, resolve_image_shape
from sk_autoencoder.plotting._series import BAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.text import Text


@dataclass(eq=False, repr=False)
class TraversalDisplay(Display):
    """Samples decoded step by step along components.

    It is recommended to use :func:`~TraversalDisplay.from_estimator` to create a
    display. All parameters are stored as attributes.

    .. versionadded:: 0.2

    Parameters
    ----------
    X : {array-like, frame} of shape (n_components * n_steps, n_features)
        The decoded samples, all steps of the first component first; series may have a
        third axis, of their channels.
    steps : array-like of shape (n_steps,)
        Distance of each step along the component, in its standard deviations.
    component_names : sequence of str, default=None
        Names of the components. None is "component 0" and so on.
    kind : {"auto", "images", "series", "table"}, default="auto"
        Kind of samples. "auto" is a table for a frame that has names, categories or up
        to 30 columns, and images otherwise.
    image_shape : tuple of int, default=None
        (height, width), or (channels, height, width) with one or three channels. None
        is a square of one channel.
    spreads : array-like of shape (n_features,), default=None
        Of a table: standard deviations of the columns of numbers, in which changes are
        colored. None is that of `X`.
    feature_names : array-like of shape (n_features,), default=None
        Of a table: names of the columns. None uses those of `X`.
    estimator_name : str, default=None
        Name of the estimator, in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the samples.
    figure_ : matplotlib Figure
        Figure containing the axes.
    image_ : matplotlib AxesImage or None
        Images side by side, or the colors of a table's cells.
    lines_ : list of matplotlib Line2D
        Series, step by step.
    texts_ : list of matplotlib Text
        Cells of a table.

    See Also
    --------
    ComponentsDisplay : Bars of the columns that a component changes.
    ReconstructionDisplay : Samples beside their reconstructions.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_autoencoder.plotting import TraversalDisplay
    >>> images = np.linspace(0, 1, 3)[:, np.newaxis] * np.ones((3, 16))
    >>> display = TraversalDisplay(images, [-1, 0, 1]).plot()
    >>> [label.get_text() for label in display.ax_.get_xticklabels()]
    ['-1', '0', '+1']
    """

    X: Any
    steps: Any
    _: KW_ONLY
    component_names: Sequence[str] | None = None
    kind: str = "auto"
    image_shape: tuple[int, ...] | None = None
    spreads: Any = None
    feature_names: Any = None
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        row: int = 0,
        components: Sequence[int] | None = None,
        n_steps: int = 7,
        span: float = 2.0,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        n_features: int = 5,
        ax: Axes | None = None,
        cmap: Any = "gray",
        name: str | None = None,
    ) -> TraversalDisplay:
        """Change the code of a sample along components, and draw the decoded samples.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform` and `inverse_transform`: an autoencoder, PCA, a
            Pipeline that ends in one.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples: the standard deviations of their codes are the units of the steps.
        row : int, default=0
            Position of the sample whose code is changed.
        components : sequence of int, default=None
            Components to draw, counted from 0. None is the first three.
        n_steps : int, default=7
            Number of steps, an odd number: the middle one is the sample's code.
        span : float, default=2.0
            Distance of the outermost steps, in standard deviations.
        kind : {"auto", "images", "series", "table"}, default="auto"
            See :class:`TraversalDisplay`. "auto" asks the estimator's network first.
        image_shape : tuple of int, default=None
            See :class:`TraversalDisplay`. None is that of the estimator's network.
        n_features : int, default=5
            Of a table: how many columns are drawn for each component, those that change
            most.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="gray"
            Colors of images with one channel.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.TraversalDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `transform` or no `inverse_transform`, or fills
            cells.
        ValueError
            If there is no such row or component, or `n_steps` is no odd number.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.decomposition import PCA
        >>> from sk_autoencoder.plotting import TraversalDisplay
        >>> X, _ = load_digits(return_X_y=True)
        >>> pca = PCA(n_components=10, random_state=0).fit(X)
        >>> display = TraversalDisplay.from_estimator(pca, X, components=[0, 1])
        >>> [label.get_text() for label in display.ax_.get_yticklabels()]
        ['component 0', 'component 1']
        """
        refuse_imputer(estimator)
        cls._check_estimator(estimator, "transform", "inverse_transform")
        if not isinstance(n_steps, Integral) or n_steps < 3 or n_steps % 2 == 0:
            raise ValueError(
                f"expected an odd number of steps, 3 or more, got n_steps={n_steps!r}. "
                "Pass n_steps=7."
            )
        codes = as_array(estimator.transform(X)).astype(float)
        if not isinstance(row, Integral) or not -len(codes) <= row < len(codes):
            raise ValueError(
                f"expected a row of X, which has {len(codes)}, got row={row!r}. Pass a "
                f"position from 0 to {len(codes) - 1}."
            )
        k = codes.shape[1]
        chosen = check_numbers_of(
            range(min(3, k)) if components is None else components, k
        )
        shape, channels_first = shape_in(estimator)
        if kind == "auto" and image_shape is None:
            kind = kind_of_shape(shape)
        kind = resolve_kind(kind, X, image_shape)
        steps = np.linspace(-span, span, int(n_steps))
        moved = np.repeat(codes[[row]], len(chosen) * len(steps), axis=0)
        for i, component in enumerate(chosen):
            own = slice(i * len(steps), (i + 1) * len(steps))
            moved[own, component] += steps * codes[:, component].std()
        decoded = estimator.inverse_transform(moved)
        if kind != "table":
            decoded = as_array(decoded)
        if kind == "series" and shape is not None and len(shape) == 2:
            decoded = as_series(decoded, shape, channels_first)
        display = cls(
            decoded,
            steps,
            component_names=[f"component {i}" for i in chosen],
            kind=kind,
            image_shape=image_shape or picture_shape(shape),
            spreads=spreads_of(X) if kind == "table" else None,
            feature_names=X.columns if kind == "table" and is_frame(X) else None,
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, n_features=n_features, cmap=cmap)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_features: int = 5,
        cmap: Any = "gray",
        name: str | None = None,
    ) -> TraversalDisplay:
        """Draw the steps, component below component.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        n_features : int, default=5
            Of a table: how many columns are drawn for each component.
        cmap : str or matplotlib Colormap, default="gray"
            Colors of images with one channel.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.TraversalDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `X` has not a sample for each step of each component.
        """
        check_count(n_features)
        steps = np.asarray(self.steps, dtype=float)
        n_rows = self.X.shape[0] if hasattr(self.X, "shape") else len(self.X)
        if not len(steps) or n_rows % len(steps):
            raise ValueError(
                f"expected a sample for each of {len(steps)} steps of each component, "
                f"got {n_rows}. Pass all steps of the first component, then those of "
                "the next."
            )
        kind = resolve_kind(self.kind, self.X, self.image_shape)
        n = n_rows // len(steps)
        titles = list(self.component_names or [f"component {i}" for i in range(n)])
        self.image_: AxesImage | None = None
        self.lines_: list[Line2D] = []
        self.texts_: list[Text] = []
        if kind == "images":
            self._plot_images(ax, titles, steps, cmap)
        elif kind == "series":
            self._plot_series(ax, titles, steps)
        else:
            self._plot_table(ax, titles, steps, int(n_features))
        self.ax_.set_title(self._title(name, "a sample along components"))
        return self

    def _plot_images(
        self, ax: Axes | None, titles: list[str], steps: np.ndarray, cmap: Any
    ) -> None:
        rows = np.asarray(self.X, dtype=float)
        rows = rows.reshape(len(rows), -1)
        shape = resolve_image_shape(self.image_shape, rows.shape[1])
        images = rows.reshape(len(titles), len(steps), *shape)
        picture = mosaic(list(images))
        height, width = images.shape[-2:]
        gap = max(1, height // 10)
        size = 1.5 + 0.8 * len(steps), 0.9 + 0.8 * len(titles) * height / width
        ax = self._take_axes(ax, figsize=size)
        low, high = rows.min(), rows.max()
        if picture.ndim == 3:
            picture = np.clip((picture - low) / unit_or_one(high - low), 0.0, 1.0)
            picture = np.nan_to_num(picture, nan=1.0)
        self.image_ = ax.imshow(picture, cmap=cmap, vmin=low, vmax=high)
        across = np.arange(len(steps)) * (width + gap) + (width - 1) / 2
        down = np.arange(len(titles)) * (height + gap) + (height - 1) / 2
        self._label(ax, across, steps, down, titles)

    def _plot_series(
        self, ax: Axes | None, titles: list[str], steps: np.ndarray
    ) -> None:
        from matplotlib import colormaps

        series = np.asarray(self.X, dtype=float)
        series = series.reshape(*series.shape[:2], -1)
        n_channels = series.shape[2]
        ax = self._take_axes(ax, figsize=(8.0, 1.2 + 0.9 * len(titles) * n_channels))
        low, high = series.min(axis=(0, 1)), series.max(axis=(0, 1))
        series = (series - low) / unit_or_one(high - low)
        colors = colormaps["coolwarm"](np.linspace(0, 1, len(steps)))
        places, names = [], []
        for band, (i, channel) in enumerate(np.ndindex(len(titles), n_channels)):
            own = series[i * len(steps) : (i + 1) * len(steps), :, channel]
            for j, line in enumerate(own):
                label = f"{steps[j]:+.3g}" if band == 0 else None
                at = np.arange(len(line))
                self.lines_ += ax.plot(
                    at, line - band * BAND, color=colors[j], label=label, linewidth=1
                )
            places.append(0.5 - band * BAND)
            more = f", channel {channel}" if n_channels > 1 else ""
            names.append(f"{titles[i]}{more}")
        ax.set_yticks(places, names)
        ax.tick_params(axis="y", length=0)
        ax.set(
            xlabel="Step of the series", ylim=((1 - len(places)) * BAND - 0.125, 1.125)
        )
        ax.legend(title="Standard\ndeviations", loc="upper left", bbox_to_anchor=(1, 1))

    def _plot_table(
        self, ax: Axes | None, titles: list[str], steps: np.ndarray, n_features: int
    ) -> None:
        columns = columns_of(self.X)
        labels = [str(column.name) for column in columns]
        if self.feature_names is not None:
            labels = check_names(self.feature_names, len(columns))
        spreads = spreads_of(self.X) if self.spreads is None else self.spreads
        cells, changes, names = [], [], []
        for i in range(len(titles)):
            own = slice(i * len(steps), (i + 1) * len(steps))
            parts = []
            for column, spread in zip(columns, np.asarray(spreads), strict=True):
                values = column.values[own]
                middle = values[len(steps) // 2]
                if np.isnan(spread):
                    change = np.where(values == middle, 0.0, 1.0)
                else:
                    change = (values - middle) / unit_or_one(spread)
                parts.append(np.nan_to_num(change.astype(float)))
            order = np.argsort([-np.abs(p).max() for p in parts], kind="stable")
            for j in order[:n_features]:
                changes.append(parts[j])
                cells.append(shown_cells(columns[j])[own])
                names.append(labels[j])
        ax = self._take_axes(
            ax, figsize=(3.5 + 0.95 * len(steps), 1.0 + 0.3 * len(names))
        )
        self.image_ = ax.imshow(
            np.array(changes), cmap="PuOr", vmin=-6, vmax=6, aspect="auto"
        )
        self.texts_ = [
            ax.text(j, i, text, ha="center", va="center", fontsize="small")
            for i, row in enumerate(cells)
            for j, text in enumerate(row)
        ]
        n_shown = len(names) // len(titles)
        self._label(ax, np.arange(len(steps)), steps, np.arange(len(names)), names)
        for i, title in enumerate(titles):
            middle = (i + 0.5) * n_shown - 0.5
            ax.annotate(
                title,
                (1.01, middle),
                xycoords=("axes fraction", "data"),
                rotation=270,
                va="center",
            )
            if i:
                ax.axhline(i * n_shown - 0.5, color="black", linewidth=0.8)

    def _label(
        self, ax: Axes, across: Any, steps: np.ndarray, down: Any, names: list[str]
    ) -> None:
        ax.set_xticks(across, [f"{step:+.3g}" if step else "0" for step in steps])
        ax.set_yticks(down, names)
        ax.tick_params(length=0)
        ax.set_xlabel("Standard deviations along the component")
        for side in ax.spines.values():
            side.set_visible(False)
