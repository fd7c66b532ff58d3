"""Samples in the plane of two components, with arrows for the columns."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder.plotting._common import Display, as_array, name_of
from sk_autoencoder.plotting._components import (
    WITH_COMPONENTS,
    check_count,
    check_names,
    check_numbers_of,
    components_of,
)
from sk_autoencoder.plotting._latent import LatentDisplay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

# Of the way from the mean to the outermost sample, which the longest arrow takes.
REACH = 0.8
# Of the longest arrow: a shorter one has no name, which would stand beside no arrow.
NAMED = 0.05


@dataclass(eq=False, repr=False)
class BiplotDisplay(Display):
    """Scatter plot of two components, with arrows for the strongest columns.

    An arrow points in the direction in which the column increases, at the mean sample.
    Its length is how much the column changes if both components change by a standard
    deviation; all arrows are scaled to the size of the plot by the same factor.

    It is recommended to use :func:`~BiplotDisplay.from_estimator` to create a display.
    All parameters are stored as attributes.

    .. versionadded:: 0.2

    Parameters
    ----------
    Z : array-like of shape (n_samples, 2)
        The components of each sample.
    components : array-like of shape (2, n_features)
        How much each column changes along each component.
    y : array-like of shape (n_samples,), default=None
        Values or classes that determine the colors of the points, as in
        :class:`LatentDisplay`.
    feature_names : array-like of shape (n_features,), default=None
        Names of the features. None uses numbers.
    component_names : sequence of str, default=None
        Names of the two axes. None is "component 0" and "component 1".
    estimator_name : str, default=None
        Name of the estimator, in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with points and arrows.
    figure_ : matplotlib Figure
        Figure containing the axes.
    points_ : LatentDisplay
        The points, with their legend.
    arrows_ : list of matplotlib Annotation
        The arrows, the longest first.
    names_ : list of matplotlib Annotation
        Their names, except for arrows that are too short to be seen.

    See Also
    --------
    ComponentsDisplay : Bars of the strongest columns.
    LatentDisplay : The points alone.

    Examples
    --------
    >>> from sk_autoencoder.plotting import BiplotDisplay
    >>> Z = [[0, 1], [1, 0], [-1, -1]]
    >>> display = BiplotDisplay(
    ...     Z, [[0.9, 0.1], [0.1, 0.8]], feature_names=["width", "weight"]
    ... ).plot()
    >>> [text.get_text() for text in display.names_]
    ['width', 'weight']
    """

    Z: Any
    components: Any
    y: Any = None
    _: KW_ONLY
    feature_names: Any = None
    component_names: Sequence[str] | None = None
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: tuple[int, int] = (0, 1),
        n_features: int = 8,
        ax: Axes | None = None,
        name: str | None = None,
    ) -> BiplotDisplay:
        """Transform samples and draw them, with arrows from `components_`.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `transform` and `components_`: an autoencoder, PCA.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The samples to transform.
        y : array-like of shape (n_samples,), default=None
            Values or classes that determine the colors of the points, as in
            :class:`LatentDisplay`.
        components : tuple of two int, default=(0, 1)
            Components to draw, counted from 0.
        n_features : int, default=8
            Number of columns with arrows: those with the longest ones.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.BiplotDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `transform` or no `components_`.
        ValueError
            If there are no such components, not two of them, or `n_features` is
            below 1.

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.decomposition import PCA
        >>> from sk_autoencoder.plotting import BiplotDisplay
        >>> data = load_wine(as_frame=True)
        >>> X = data.data / data.data.std()
        >>> pca = PCA(n_components=2).fit(X)
        >>> display = BiplotDisplay.from_estimator(pca, X, data.target, n_features=3)
        >>> len(display.arrows_)
        3
        """
        cls._check_estimator(
            estimator, "transform", what="a reducer", advice=WITH_COMPONENTS
        )
        values, names = components_of(estimator)
        chosen = check_numbers_of(components, len(values))
        Z = as_array(estimator.transform(X))[:, chosen]
        display = cls(
            Z,
            values[chosen],
            y,
            feature_names=names,
            component_names=[f"component {i}" for i in chosen],
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, n_features=n_features)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_features: int = 8,
        name: str | None = None,
        **scatter_options: Any,
    ) -> BiplotDisplay:
        """Draw points and arrows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        n_features : int, default=8
            Number of columns with arrows.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.
        **scatter_options : dict
            Passed to matplotlib's `scatter`, such as ``s=4`` or ``alpha=1``.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.BiplotDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are not two components, or not as many names as columns, or
            `n_features` is below 1.
        """
        check_count(n_features)
        values = np.asarray(self.components, dtype=float)
        Z = as_array(self.Z).astype(float)
        if values.ndim != 2 or len(values) != 2 or Z.ndim != 2 or Z.shape[1] != 2:
            raise ValueError(
                "expected two components, got components of shape "
                f"{values.shape} and Z of shape {Z.shape}. Pass two, such as "
                "components=(0, 1)."
            )
        names = check_names(self.feature_names, values.shape[1])
        ax = self._take_axes(ax, figsize=(7.0, 5.5))
        latent = LatentDisplay(Z, self.y, component_names=self.component_names)
        options = {"alpha": 0.5} | scatter_options
        self.points_ = latent.plot(ax, name="", **options)
        center, spread = Z.mean(axis=0), Z.std(axis=0)
        # In units of each axis: the picture stretches them, and arrows with them.
        ways = values.T * spread
        shown = np.argsort(-np.linalg.norm(ways, axis=1), kind="stable")
        shown = shown[: int(n_features)]
        lengths = np.linalg.norm(ways[shown], axis=1)
        longest = lengths.max(initial=0.0) or 1.0
        extent = np.abs(Z - center).max(axis=0)
        tips = center + ways[shown] / longest * extent * REACH
        style = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
        self.arrows_ = [ax.annotate("", tip, center, arrowprops=style) for tip in tips]
        ax.update_datalim(tips)
        ax.margins(x=0.25, y=0.1)
        ax.autoscale_view()
        seen = lengths > NAMED * longest
        self.names_ = _named(ax, tips[seen], center, [names[j] for j in shown[seen]])
        ax.set_title(self._title(name, f"{len(Z):,} samples and their columns"))
        return self


def _named(
    ax: Axes, tips: np.ndarray, center: np.ndarray, names: list[str]
) -> list[Annotation]:
    """Write names at the tips of arrows, each away from those before it."""
    points = 72 / ax.figure.dpi
    written: list[Annotation] = []
    boxes: list[tuple[float, float, float]] = []
    for (x, y), name in zip(tips, names, strict=True):
        is_right, is_up = x >= center[0], y >= center[1]
        left, height = ax.transData.transform((x, y)) * points
        width = 5.5 * len(name)
        left -= 0 if is_right else width
        shift = step = 5.0 if is_up else -5.0
        while any(
            left < right and start < left + width and abs(height + shift - other) < 12
            for start, right, other in boxes
        ):
            shift += step
        boxes.append((left, left + width, height + shift))
        written.append(
            ax.annotate(
                name,
                (x, y),
                (3 if is_right else -3, shift),
                textcoords="offset points",
                ha="left" if is_right else "right",
                va="center",
                bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.5},
            )
        )
    return written
