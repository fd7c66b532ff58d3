"""What makes a row an outlier, feature by feature."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._utils.sklearn_compat import take_rows
from sk_autoencoder.plotting._cells import columns_of, shown_value
from sk_autoencoder.plotting._common import (
    GRAY,
    OKABE_ITO,
    Display,
    as_array,
    name_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOWARD, AWAY = OKABE_ITO[3], OKABE_ITO[0]
LONGEST = 20  # letters of a value that are shown


@dataclass(eq=False, repr=False)
class OutlierContributionsDisplay(Display):
    """Bars of the contributions of features to a sample being an outlier.

    It is recommended to use :func:`~OutlierContributionsDisplay.from_estimator` to
    create a display. All parameters are stored as attributes.

    Parameters
    ----------
    contributions : array-like of shape (n_features,)
        Contribution of each feature; large values are unusual.
    feature_names : array-like of shape (n_features,), default=None
        Names of the features. None uses numbers.
    values : array-like of shape (n_features,), default=None
        Values of the sample, drawn after the names of the features.
    decision : float, default=None
        Value of `decision_function` for the sample: the title says on which side of the
        threshold it is.
    row : int, default=None
        The row's position: stands in the title.
    estimator_name : str, default=None
        Name of the estimator, in the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars.
    figure_ : matplotlib Figure
        Figure containing the axes.
    bars_ : matplotlib BarContainer
        The bars, the largest first, followed by that of all other features.

    See Also
    --------
    OutlierContributionsDisplay.from_estimator : Draw what a detector says of a row.
    LatentDisplay : Scatter plot of the code.

    Examples
    --------
    >>> from sk_autoencoder.plotting import OutlierContributionsDisplay
    >>> display = OutlierContributionsDisplay(
    ...     [0.1, 3.0], feature_names=["width", "weight"], values=[1.0, 9.0]
    ... ).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['weight = 9', 'width = 1']
    """

    contributions: Any
    _: KW_ONLY
    feature_names: Any = None
    values: Any = None
    decision: float | None = None
    row: int | None = None
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        row: int | None = None,
        n_features: int = 10,
        ax: Axes | None = None,
        name: str | None = None,
    ) -> OutlierContributionsDisplay:
        """Plot the contributions of features to the score of one sample.

        Parameters
        ----------
        estimator : AutoEncoderOutlierDetector
            Fitted; anything with `explain` and `decision_function`.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows.
        row : int, default=None
            Position of the row to draw; below 0 from the end. None is the least normal
            one.
        n_features : int, default=10
            Number of features with their own bar: those with the largest contributions.
            The others share one bar.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.OutlierContributionsDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `explain`.
        ValueError
            If there is no such row, or `n_features` is below 1.

        Examples
        --------
        >>> import numpy as np
        >>> from sk_autoencoder import AutoEncoderOutlierDetector
        >>> from sk_autoencoder.plotting import OutlierContributionsDisplay
        >>> X = np.random.default_rng(0).standard_normal((200, 4))
        >>> X[17, 2] = 9
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> display = OutlierContributionsDisplay.from_estimator(detector, X)
        >>> display.row
        17
        >>> display.ax_.get_yticklabels()[0].get_text()
        'feature 2 = 9'
        """
        cls._check_estimator(
            estimator,
            "explain",
            what="a detector",
            advice="an AutoEncoderOutlierDetector",
        )
        decisions = estimator.decision_function(X)
        n_rows = len(decisions)
        if row is None:
            row = int(np.argmin(decisions))
        if not isinstance(row, Integral) or not -n_rows <= row < n_rows:
            raise ValueError(
                f"expected a row of X, which has {n_rows}, got row={row!r}. Pass a "
                f"position from 0 to {n_rows - 1}."
            )
        row = int(row) % n_rows
        chosen = take_rows(X, slice(row, row + 1))
        display = cls(
            as_array(estimator.explain(chosen))[0],
            feature_names=getattr(estimator, "feature_names_in_", None),
            values=[column.values[0] for column in columns_of(chosen)],
            decision=float(decisions[row]),
            row=row,
            estimator_name=name_of(estimator) if name is None else name,
        )
        return display.plot(ax, n_features=n_features)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_features: int = 10,
        name: str | None = None,
    ) -> OutlierContributionsDisplay:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        n_features : int, default=10
            Number of features with their own bar.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.OutlierContributionsDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `n_features` is below 1, or there are not as many names or values as
            contributions.
        """
        if not isinstance(n_features, Integral) or n_features < 1:
            raise ValueError(
                f"expected at least one feature, got n_features={n_features!r}. Pass "
                "n_features=1 or more."
            )
        sizes = np.asarray(self.contributions, dtype=float)
        labels = self._labels(len(sizes))
        order = np.argsort(-sizes, kind="stable")
        shown, rest = order[: int(n_features)], order[int(n_features) :]
        names = [labels[i] for i in shown]
        bars = sizes[shown].tolist()
        colors = [TOWARD if size >= 0 else AWAY for size in bars]
        if len(rest):
            names.append(f"{len(rest)} other features")
            bars.append(float(sizes[rest].sum()))
            colors.append(GRAY)
        ax = self._take_axes(ax, figsize=(7.0, 1.2 + 0.32 * len(bars)))
        self.bars_ = ax.barh(range(len(bars)), bars, color=colors, height=0.7)
        ax.set_yticks(range(len(bars)), names)
        ax.invert_yaxis()
        ax.axvline(0, color="black", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("Contribution to being an outlier")
        ax.set_title(self._title(name, self._verdict()))
        return self

    def _labels(self, n_features: int) -> list[str]:
        """Name the features, with their values where these are known."""
        for what in ("feature_names", "values"):
            given = getattr(self, what)
            if given is not None and len(given) != n_features:
                raise ValueError(
                    f"expected {n_features} {what}, one a contribution, got "
                    f"{len(given)}. Pass those of the same features."
                )
        names = self.feature_names
        if names is None:
            names = [f"feature {i}" for i in range(n_features)]
        if self.values is None:
            return [str(name) for name in names]
        pairs = zip(names, self.values, strict=True)
        return [f"{name} = {shown_value(value, LONGEST)}" for name, value in pairs]

    def _verdict(self) -> str:
        parts = [] if self.row is None else [f"row {self.row}"]
        if self.decision is not None:
            side = "an outlier" if self.decision < 0 else "no outlier"
            parts.append(f"{side}\n{self.decision:+.3g} from the threshold")
        return ", ".join(parts) or "contributions by feature"
