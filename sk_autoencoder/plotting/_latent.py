"""The code of rows: a scatter plot of two components, or of three."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder.plotting._classes import (
    class_names,
    is_continuous,
    looks_of,
    write_over_points,
)
from sk_autoencoder.plotting._common import (
    OKABE_ITO,
    Display,
    as_array,
    name_of,
    refuse_imputer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.legend import Legend
    from matplotlib.text import Text

# Letters of a class's name beyond which its end is left out of the legend, and beyond
# which no name is written over the points, where the names would cover each other.
_LONGEST, _LONGEST_OVER_POINTS = 32, 12


@dataclass(eq=False, repr=False)
class LatentDisplay(Display):
    """Scatter plot of two or three components of a code, colored by a target.

    It is recommended to use :func:`~LatentDisplay.from_estimator` to create a
    display. All parameters are stored as attributes.

    Parameters
    ----------
    Z : array-like of shape (n_samples, 2) or (n_samples, 3)
        The components of each row.
    y : array-like of shape (n_samples,), default=None
        Values or classes that determine the colors of the points. Text, booleans,
        categories and up to 20 different whole numbers are classes; other numbers have
        a continuous color scale. None draws all points in one color.
    component_names : sequence of str, default=None
        Names of the axes, as many as components. None is "component 0" and so on.
    estimator_name : str, default=None
        Name of the estimator, in the title.
    target_name : str, default=None
        Title of the legend or name of the color bar. None takes the name of `y`,
        if it has one, as a pandas Series does.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points, three-dimensional for three components.
    figure_ : matplotlib Figure
        Figure containing the axes.
    scatters_ : list of matplotlib PathCollection
        The points: one for all, or with more classes than colors one for each
        marker.
    legend_ : matplotlib Legend or None
        The classes, if `y` has classes.
    colorbar_ : matplotlib Colorbar or None
        The scale, if `y` is continuous.
    class_labels_ : list of matplotlib Text
        With more classes than colors, and names of at most 12 letters, the classes'
        names at the median of their points; else empty.

    See Also
    --------
    LatentDisplay.from_estimator : Transform rows and draw their code.
    LossCurveDisplay : Loss by epoch.
    ReconstructionDisplay : Images above their reconstructions.

    Examples
    --------
    >>> from sk_autoencoder.plotting import LatentDisplay
    >>> display = LatentDisplay([[0, 1], [1, 0], [2, 2]], ["a", "b", "a"]).plot()
    >>> [text.get_text() for text in display.legend_.get_texts()]
    ['a', 'b']
    """

    Z: Any
    y: Any = None
    _: KW_ONLY
    component_names: Sequence[str] | None = None
    estimator_name: str | None = None
    target_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: Sequence[int] = (0, 1),
        ax: Axes | None = None,
        cmap: Any = "viridis",
        name: str | None = None,
        target_name: str | None = None,
    ) -> LatentDisplay:
        """Transform rows and draw two or three components of their code.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform`: an autoencoder, PCA, a Pipeline that ends in
            one.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The rows to transform, or an array of more dimensions where the estimator
            takes one.
        y : array-like of shape (n_samples,), default=None
            Values or classes that determine the colors of the points, see
            :class:`LatentDisplay`.
        components : tuple of two or three int, default=(0, 1)
            Which columns of the code are drawn, counted from 0; the first one runs
            along the horizontal axis. Three are drawn in three dimensions.
        ax : matplotlib Axes, default=None
            Axes to draw on, with ``projection="3d"`` for three components. If None, a
            new figure is created.
        cmap : str or matplotlib Colormap, default="viridis"
            Colors of a continuous `y`.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.
        target_name : str, default=None
            Title of the legend or name of the color bar. None takes the name of
            `y`, if it has one.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.LatentDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `transform`, or fills cells.
        ValueError
            If the code has no such components, `y` not a value for each row, or `ax`
            not as many dimensions.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.decomposition import PCA
        >>> from sk_autoencoder.plotting import LatentDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> pca = PCA(n_components=3).fit(X)
        >>> display = LatentDisplay.from_estimator(pca, X, y, components=(0, 2))
        >>> display.ax_.get_ylabel()
        'pca2'
        """
        refuse_imputer(estimator)
        cls._check_estimator(estimator, "transform")
        code = as_array(estimator.transform(X))
        chosen = _check_components(components, code.shape[1])
        display = cls(
            code[:, chosen],
            y,
            component_names=_component_names(estimator, chosen),
            estimator_name=name_of(estimator) if name is None else name,
            target_name=target_name,
        )
        return display.plot(ax, cmap=cmap)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        cmap: Any = "viridis",
        name: str | None = None,
        **scatter_options: Any,
    ) -> LatentDisplay:
        """Draw the points.

        Points are drawn in a random order, the same in each call, so that no class
        hides another. The more points there are, the smaller and more transparent they
        are; above 10,000 rows they are rasterised, which keeps PDF and SVG files small.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="viridis"
            Colors of a continuous `y`.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.
        **scatter_options : dict
            Passed to matplotlib's `scatter`, such as ``s=4`` or ``alpha=1``.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.LatentDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `Z` has neither two columns nor three, `y` not a value for each row, or
            `ax` not as many dimensions.
        """
        Z, y = self._checked()
        solid = Z.shape[1] == 3
        if ax is not None:
            _check_dimensions(ax, solid)
        names = None if y is None or is_continuous(y) else class_names(y)
        ax = self._take_axes(ax, **_figure_options(solid, names))
        # Colors mean classes: none is made paler for being further off.
        far = {"depthshade": False} if solid else {}
        options = _point_style(len(Z)) | far | scatter_options
        order = np.random.RandomState(0).permutation(len(Z))
        Z = Z[order]

        self.legend_: Legend | None = None
        self.colorbar_: Colorbar | None = None
        self.class_labels_: list[Text] = []
        title = self.target_name or getattr(self.y, "name", None)
        if y is None:
            self.scatters_ = [ax.scatter(*Z.T, **({"c": OKABE_ITO[0]} | options))]
        elif names is None:
            points = ax.scatter(*Z.T, **({"c": y[order], "cmap": cmap} | options))
            self.scatters_ = [points]
            room: dict[str, Any] = {"pad": 0.1} if solid else {}
            self.colorbar_ = ax.figure.colorbar(
                points, ax=ax, label=title or "", **room
            )
            # Transparent points, but a scale that can be read.
            self.colorbar_.solids.set(alpha=1)  # type: ignore[union-attr]
        else:
            self._scatter_classes(ax, Z, names[order], title, options)

        name = self.estimator_name if name is None else name
        axes = self.component_names or [f"component {i}" for i in range(Z.shape[1])]
        labels = zip(("xlabel", "ylabel", "zlabel"), axes, strict=False)
        ax.set(title=f"{name}: code of {len(Z):,} rows" if name else "", **dict(labels))
        if solid:
            _make_room_for_names(ax)
        return self

    def _scatter_classes(
        self,
        ax: Axes,
        Z: np.ndarray,
        labels: np.ndarray,
        title: str | None,
        options: dict[str, Any],
    ) -> None:
        """Draw the points of each class, the legend and, for many, their names."""
        from matplotlib.lines import Line2D

        looks = looks_of(labels)
        self.scatters_ = []
        for marker in dict.fromkeys(look.marker for look in looks.values()):
            here = np.array([looks[label].marker == marker for label in labels])
            colors = [looks[label].color for label in labels[here]]
            self.scatters_.append(
                ax.scatter(*Z[here].T, **({"c": colors, "marker": marker} | options))
            )
        handles = [
            Line2D(
                [],
                [],
                ls="",
                color=look.color,
                marker=look.marker,
                label=_legible(label),
            )
            for label, look in looks.items()
        ]
        many = len(looks) > len(OKABE_ITO)
        # Beside the points where a list is long: over them it would cover half.
        place: dict[str, Any] = {}
        if many:
            beyond = 1.1 if Z.shape[1] == 3 else 1
            place = {"loc": "upper left", "bbox_to_anchor": (beyond, 1)}
        self.legend_ = ax.legend(
            handles=handles,
            title=title,
            fontsize="small" if many else None,
            **place,
        )
        if many and max(map(len, looks)) <= _LONGEST_OVER_POINTS:
            self.class_labels_ = [
                write_over_points(ax, np.median(Z[labels == label], axis=0), label)
                for label, look in looks.items()
                if look.is_class
            ]

    def _checked(self) -> tuple[np.ndarray, np.ndarray | None]:
        Z = as_array(self.Z)
        if Z.ndim != 2 or Z.shape[1] not in (2, 3):
            raise ValueError(
                "expected Z of shape (n_samples, 2) or (n_samples, 3), got shape "
                f"{Z.shape}. Pass two columns of the code, such as Z[:, [0, 1]], or "
                "three."
            )
        if self.y is None:
            return Z, None
        y = np.asarray(self.y)
        if y.shape != (len(Z),):
            raise ValueError(
                f"expected y of shape ({len(Z)},), one value a row, got shape "
                f"{y.shape}. Pass the target of the same rows."
            )
        return Z, y


def _legible(name: str) -> str:
    """Return the name of a class in the legend, without the end of a long one."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _figure_options(solid: bool, names: np.ndarray | None) -> dict[str, Any]:
    """Return the options of a new figure, with room for a legend beside the points."""
    options: dict[str, Any] = {"subplot_kw": {"projection": "3d"}} if solid else {}
    width, height = (7.5, 5.5) if solid else (6.4, 4.8)
    classes = set() if names is None else set(names.tolist())
    if len(classes) > len(OKABE_ITO):
        # The frame and the markers, and small letters as wide as most.
        width += 0.8 + 0.08 * max(len(_legible(name)) for name in classes)
    return options | {"figsize": (width, height)}


def _check_dimensions(ax: Any, solid: bool) -> None:
    """Refuse axes that have not as many dimensions as there are components."""
    if (getattr(ax, "name", "") == "3d") is solid:
        return
    wanted, how = ("three", "projection='3d'") if solid else ("two", "")
    raise ValueError(
        f"expected axes of {wanted} dimensions for {wanted} components, got ax={ax!r}. "
        f"Pass those of figure.add_subplot({how}), or ax=None."
    )


def _check_components(components: Sequence[int], n_components: int) -> list[int]:
    """Return the two or three column numbers, or refuse them."""
    chosen = list(components)
    if len(chosen) not in (2, 3):
        raise ValueError(
            f"expected two or three components, got components={components!r}. Pass "
            "column numbers, such as components=(0, 1)."
        )
    if not all(0 <= number < n_components for number in chosen):
        raise ValueError(
            f"expected components from 0 to {n_components - 1}, got "
            f"components={components!r}, because the code has {n_components} "
            f"column{'s' if n_components > 1 else ''}. Pass {len(chosen)} of these, or "
            "fit with a larger n_components."
        )
    return chosen


def _component_names(estimator: Any, chosen: list[int]) -> list[str]:
    # Some of scikit-learn's transformers, and most people's own, do not name their
    # columns; a Pipeline has the method and raises when one of its steps has not.
    try:
        names = estimator.get_feature_names_out()
    except (AttributeError, ValueError):
        return [f"component {number}" for number in chosen]
    return [str(names[number]) for number in chosen]


def _point_style(n_points: int) -> dict[str, Any]:
    if n_points <= 1_000:
        style = {"s": 20, "alpha": 0.8}
    elif n_points <= 10_000:
        style = {"s": 12, "alpha": 0.7}
    else:
        style = {"s": 4, "alpha": 0.5}
    return style | {"linewidths": 0, "rasterized": n_points > 10_000}


def _make_room_for_names(ax: Any) -> None:
    """Keep the names of three axes off their numbers, and inside the picture.

    The layout of the figure leaves no room for them.
    """
    ax.set_box_aspect(None, zoom=0.85)
    ax.locator_params(nbins=5)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.labelpad = 8
