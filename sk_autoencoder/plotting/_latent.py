"""The code of rows: a scatter plot of two components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder.plotting._classes import (
    class_names,
    is_continuous,
    looks_of,
    write_over_points,
)
from sk_autoencoder.plotting._common import (
    OKABE_ITO,
    as_array,
    check_matplotlib,
    get_axes,
    name_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.text import Text


class LatentDisplay:
    """Scatter plot of two components of a code, coloured by a target.

    It is recommended to use :func:`~LatentDisplay.from_estimator` to create a
    display. All parameters are stored as attributes.

    Parameters
    ----------
    Z : array-like of shape (n_samples, 2)
        The two components of each row.
    y : array-like of shape (n_samples,), default=None
        What the points are coloured by. Text, booleans, categories and up to 20
        different whole numbers are classes; other numbers are a continuous scale.
        None draws all points in one colour.
    component_names : sequence of two str, default=("component 0", "component 1")
        Names of the axes.
    estimator_name : str, default=None
        Stands in the title.
    target_name : str, default=None
        Title of the legend or name of the colour bar. None takes the name of `y`,
        if it has one, as a pandas Series does.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure containing the axes.
    scatters_ : list of matplotlib PathCollection
        The points: one for all, or with more classes than colours one for each
        marker.
    legend_ : matplotlib Legend or None
        The classes, if `y` has classes.
    colorbar_ : matplotlib Colorbar or None
        The scale, if `y` is continuous.
    class_labels_ : list of matplotlib Text
        With more classes than colours, the classes' names at the median of their
        points; else empty.

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

    ax_: Axes
    figure_: Figure
    scatters_: list[PathCollection]
    legend_: Legend | None
    colorbar_: Colorbar | None
    class_labels_: list[Text]

    def __init__(
        self,
        Z: Any,
        y: Any = None,
        *,
        component_names: tuple[str, str] = ("component 0", "component 1"),
        estimator_name: str | None = None,
        target_name: str | None = None,
    ) -> None:
        self.Z = Z
        self.y = y
        self.component_names = component_names
        self.estimator_name = estimator_name
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: tuple[int, int] = (0, 1),
        ax: Axes | None = None,
        cmap: Any = "viridis",
        name: str | None = None,
        target_name: str | None = None,
    ) -> LatentDisplay:
        """Transform rows and draw two components of their code.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform`: an autoencoder, PCA, a Pipeline that ends in
            one.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to transform.
        y : array-like of shape (n_samples,), default=None
            What the points are coloured by, see :class:`LatentDisplay`.
        components : tuple of two int, default=(0, 1)
            Which columns of the code are drawn, counted from 0; the first one runs
            along the horizontal axis.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of a continuous `y`.
        name : str, default=None
            What the title calls the estimator. If None, the name of its class.
        target_name : str, default=None
            Title of the legend or name of the colour bar. None takes the name of
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
            If the estimator has no `transform`.
        ValueError
            If the code has no such components, or `y` not a value for each row.

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
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"expected an estimator with transform, got estimator={estimator!r}. "
                "Pass a reducer such as PCA or AutoEncoderTransformer, or a Pipeline "
                "that ends in one."
            )
        check_is_fitted(estimator)
        code = as_array(estimator.transform(X))
        first, second = _check_components(components, code.shape[1])
        display = cls(
            code[:, [first, second]],
            y,
            component_names=_component_names(estimator, first, second),
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

        Points lie over each other in a random order, the same in each call, so that
        no class hides another. The more points, the smaller and more transparent
        they are; above 10,000 rows they are rasterised, which keeps PDF and SVG
        files small.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours of a continuous `y`.
        name : str, default=None
            What the title calls the estimator. If None, `estimator_name`.
        **scatter_options : dict
            Handed to matplotlib's `scatter`, such as ``s=4`` or ``alpha=1``.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.LatentDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `Z` has not two columns, or `y` not a value for each row.
        """
        Z, y = self._checked()
        ax = get_axes(ax, f"{type(self).__name__}.plot", layout="constrained")
        options = _point_style(len(Z)) | scatter_options
        order = np.random.RandomState(0).permutation(len(Z))
        Z = Z[order]

        self.legend_, self.colorbar_, self.class_labels_ = None, None, []
        title = self.target_name or getattr(self.y, "name", None)
        if y is None:
            self.scatters_ = [ax.scatter(*Z.T, **({"c": OKABE_ITO[0]} | options))]
        elif is_continuous(y):
            points = ax.scatter(*Z.T, **({"c": y[order], "cmap": cmap} | options))
            self.scatters_ = [points]
            self.colorbar_ = ax.figure.colorbar(points, ax=ax, label=title or "")
            # Transparent points, but a scale that can be read.
            self.colorbar_.solids.set(alpha=1)  # type: ignore[union-attr]
        else:
            self._scatter_classes(ax, Z, class_names(y)[order], title, options)

        name = self.estimator_name if name is None else name
        ax.set(
            xlabel=self.component_names[0],
            ylabel=self.component_names[1],
            title=f"{name}: code of {len(Z):,} rows" if name else "",
        )
        self.ax_ = ax
        self.figure_ = ax.figure  # type: ignore[assignment]
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
            Line2D([], [], ls="", color=look.color, marker=look.marker, label=label)
            for label, look in looks.items()
        ]
        many = len(looks) > len(OKABE_ITO)
        # Beside the points where a list is long: over them it would cover half.
        place: dict[str, Any] = {}
        if many:
            place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        self.legend_ = ax.legend(
            handles=handles, title=title, ncols=1 + len(looks) // 15, **place
        )
        if many:
            self.class_labels_ = [
                write_over_points(ax, np.median(Z[labels == label], axis=0), label)
                for label, look in looks.items()
                if look.is_class
            ]

    def _checked(self) -> tuple[np.ndarray, np.ndarray | None]:
        Z = as_array(self.Z)
        if Z.ndim != 2 or Z.shape[1] != 2:
            raise ValueError(
                f"expected Z of shape (n_samples, 2), got shape {Z.shape}. Pass two "
                "columns of the code, such as Z[:, [0, 1]]."
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


def _check_components(components: tuple[int, int], n_components: int) -> list[int]:
    """Return the two column numbers, or refuse them."""
    chosen = list(components)
    if len(chosen) != 2:
        raise ValueError(
            f"expected two components, got components={components!r}. Pass two column "
            "numbers, such as components=(0, 1)."
        )
    if not all(0 <= number < n_components for number in chosen):
        raise ValueError(
            f"expected components from 0 to {n_components - 1}, got "
            f"components={components!r}, because the code has {n_components} "
            f"column{'s' if n_components > 1 else ''}. Pass two of these, or fit with "
            "a larger n_components."
        )
    return chosen


def _component_names(estimator: Any, first: int, second: int) -> tuple[str, str]:
    # Some of scikit-learn's transformers, and most people's own, do not name their
    # columns; a Pipeline has the method and raises when one of its steps has not.
    try:
        names = estimator.get_feature_names_out()
    except (AttributeError, ValueError):
        return f"component {first}", f"component {second}"
    return str(names[first]), str(names[second])


def _point_style(n_points: int) -> dict[str, Any]:
    if n_points <= 1_000:
        style = {"s": 20, "alpha": 0.8}
    elif n_points <= 10_000:
        style = {"s": 12, "alpha": 0.7}
    else:
        style = {"s": 4, "alpha": 0.5}
    return style | {"linewidths": 0, "rasterized": n_points > 10_000}
