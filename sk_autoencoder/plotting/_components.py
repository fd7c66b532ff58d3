"""Which columns make a component: signed bars."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder.plotting._common import OKABE_ITO, Display, name_of, way_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

UP, DOWN = OKABE_ITO[0], OKABE_ITO[3]
WITH_COMPONENTS = "an autoencoder with a code, or PCA"


@dataclass(eq=False, repr=False)
class ComponentsDisplay(Display):
    """Signed bars of the columns that change most along each component.

    It is recommended to use :func:`~ComponentsDisplay.from_estimator` to create a
    display. All parameters are stored as attributes.

    .. versionadded:: 0.2

    Parameters
    ----------
    components : array-like of shape (n_components, n_features)
        How much each column changes along each component.
    feature_names : array-like of shape (n_features,), default=None
        Names of the features. None uses numbers.
    component_names : sequence of str, default=None
        Names of the components. None is "component 0" and so on.
    estimator_name : str, default=None
        Name of the estimator, in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars.
    figure_ : matplotlib Figure
        Figure containing the axes.
    bars_ : list of matplotlib BarContainer
        One for each component, its strongest column first.

    See Also
    --------
    BiplotDisplay : Samples with arrows for the columns.
    TraversalDisplay : What a component does to a sample.

    Examples
    --------
    >>> from sk_autoencoder.plotting import ComponentsDisplay
    >>> display = ComponentsDisplay(
    ...     [[0.1, -0.9, 0.4]], feature_names=["age", "width", "weight"]
    ... ).plot(n_features=2)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['width', 'weight']
    """

    components: Any
    _: KW_ONLY
    feature_names: Any = None
    component_names: Sequence[str] | None = None
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        components: Sequence[int] | None = None,
        n_features: int = 5,
        ax: Axes | None = None,
        name: str | None = None,
    ) -> ComponentsDisplay:
        """Draw the strongest columns of the components of an estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with `components_`: an autoencoder, PCA.
        components : sequence of int, default=None
            Components to draw, counted from 0. None is the first three.
        n_features : int, default=5
            Number of columns with bars, for each component.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ComponentsDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `components_`.
        ValueError
            If there are no such components, or `n_features` is below 1.

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.decomposition import PCA
        >>> from sk_autoencoder.plotting import ComponentsDisplay
        >>> X = load_wine(as_frame=True).data
        >>> pca = PCA(n_components=3).fit(X / X.std())
        >>> display = ComponentsDisplay.from_estimator(pca, components=[0])
        >>> display.ax_.get_yticklabels()[0].get_text()
        'flavanoids'
        """
        cls._check_estimator(
            estimator, "transform", what="a reducer", advice=WITH_COMPONENTS
        )
        values, names = components_of(estimator)
        chosen = list(range(min(3, len(values)))) if components is None else components
        chosen = check_numbers_of(chosen, len(values))
        display = cls(
            values[chosen],
            feature_names=names,
            component_names=[f"component {i}" for i in chosen],
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, n_features=n_features)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_features: int = 5,
        name: str | None = None,
    ) -> ComponentsDisplay:
        """Draw the bars, component below component.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        n_features : int, default=5
            Number of columns with bars, for each component.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ComponentsDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `n_features` is below 1, or there are not as many names as columns.
        """
        check_count(n_features)
        values = np.atleast_2d(np.asarray(self.components, dtype=float))
        names = check_names(self.feature_names, values.shape[1])
        titles = self.component_names or [f"component {i}" for i in range(len(values))]
        shown = np.argsort(-np.abs(values), axis=1, kind="stable")[:, : int(n_features)]
        step = shown.shape[1] + 1
        ax = self._take_axes(ax, figsize=(7.0, 1.0 + 0.3 * step * len(values)))
        self.bars_, places, labels = [], [], []
        for i, (own, title) in enumerate(zip(shown, titles, strict=True)):
            sizes = values[i, own]
            at = i * step + np.arange(len(own))
            colors = [UP if size >= 0 else DOWN for size in sizes]
            self.bars_.append(ax.barh(at, sizes, color=colors, height=0.7))
            places += at.tolist()
            labels += [names[j] for j in own]
            middle = at.mean()
            ax.annotate(
                title,
                (1.0, middle),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                rotation=270,
                va="center",
            )
            if i:
                ax.axhline(at[0] - 1, color="black", linewidth=0.4)
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        ax.axvline(0, color="black", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("Change of the reconstruction per unit of the component")
        ax.set_title(self._title(name, "strongest columns"))
        return self


def components_of(estimator: Any) -> tuple[np.ndarray, list[str]]:
    """Return the components of a fitted estimator, and the names of their columns."""
    values = getattr(estimator, "components_", None)
    if values is None:
        raise TypeError(
            f"expected a reducer with components_, got estimator={estimator!r}. Pass "
            f"{way_out(estimator, ['components_'], WITH_COMPONENTS)}."
        )
    values = np.asarray(values)
    for source in ("encoded_feature_names_", "feature_names_in_"):
        names = getattr(estimator, source, None)
        if names is not None and len(names) == values.shape[1]:
            return values, [str(name) for name in names]
    return values, [f"x{i}" for i in range(values.shape[1])]


def check_names(names: Any, n_features: int) -> list[str]:
    """Return the names of columns, or refuse them."""
    if names is None:
        return [f"x{i}" for i in range(n_features)]
    if len(names) != n_features:
        raise ValueError(
            f"expected {n_features} feature_names, one a column, got {len(names)}. "
            "Pass those of the columns of components."
        )
    return [str(name) for name in names]


def check_count(n_features: Any) -> None:
    """Refuse a number of columns below one."""
    if not isinstance(n_features, Integral) or n_features < 1:
        raise ValueError(
            f"expected at least one feature, got n_features={n_features!r}. Pass "
            "n_features=1 or more."
        )


def check_numbers_of(components: Sequence[int], n_components: int) -> list[int]:
    """Return numbers of components, or refuse them."""
    chosen = list(components)
    if not chosen or not all(
        isinstance(i, Integral) and 0 <= i < n_components for i in chosen
    ):
        raise ValueError(
            f"expected components from 0 to {n_components - 1}, got "
            f"components={components!r}. Pass some of these."
        )
    return [int(i) for i in chosen]
