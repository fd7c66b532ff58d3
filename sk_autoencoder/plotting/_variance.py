"""Explained variance against the number of components, next to PCA's."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._utils.chunks import dense_rows, row_chunks
from sk_autoencoder._utils.shapes import flat_rows
from sk_autoencoder._utils.variance import explained_variance, variance_fractions
from sk_autoencoder.plotting._common import (
    OKABE_ITO,
    Display,
    as_array,
    before_last_step,
    check_matplotlib,
    count_in_whole_numbers,
    last_step,
    name_of,
    refuse_imputer,
)
from sk_autoencoder.plotting._explained import explained_of_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sk_autoencoder._fitting.plan import Plan

# Numbers in a chunk of rows: eight megabytes in float64. Each call of the estimator has
# costs of its own, so that smaller chunks would be slower.
_CHUNK_SIZE = 1_000_000
# Values in a curve up to which each has a marker; more markers would run together.
_MOST_MARKERS = 30


@dataclass(eq=False, repr=False)
class ExplainedVarianceDisplay(Display):
    """Explained variance against the number of components, next to PCA's.

    It is recommended to use :func:`~ExplainedVarianceDisplay.from_estimator` to
    create a display. All parameters are stored as attributes.

    Parameters
    ----------
    n_components : array-like of shape (n_values,)
        Number of components for each value of `explained_variance`.
    explained_variance : array-like of shape (n_values,)
        Variance that these components explain together. A single value is drawn as a
        marker and called the whole code.
    pca_explained_variance : array-like of shape (n_pca_values,), default=None
        Variance that the first 1, 2, ... components of PCA explain together. With None,
        no curve of PCA is drawn.
    rows_label : str, default=None
        Which rows are explained: stands beside the name of the vertical axis.
    estimator_name : str, default=None
        Name of the estimator, in the title and in the legend.
    pca_name : str, default="PCA"
        Name of PCA's curve in the legend.

        .. versionadded:: 0.2

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure containing the axes.
    line_ : matplotlib Line2D
        What the estimator explains: a curve, or a single marker.
    pca_line_ : matplotlib Line2D or None
        What PCA explains, if that is known.

    See Also
    --------
    ExplainedVarianceDisplay.from_estimator : Draw what the components of a fitted
        estimator explain.
    LatentDisplay : Scatter plot of the code.
    LossCurveDisplay : Loss by epoch.
    ReconstructionDisplay : Images above their reconstructions.

    Examples
    --------
    >>> from sk_autoencoder.plotting import ExplainedVarianceDisplay
    >>> display = ExplainedVarianceDisplay(
    ...     [1, 2, 3], [0.4, 0.7, 0.8], pca_explained_variance=[0.3, 0.5, 0.6]
    ... ).plot()
    >>> display.ax_.get_xlabel()
    'Components'
    """

    n_components: Any
    explained_variance: Any
    _: KW_ONLY
    pca_explained_variance: Any = None
    rows_label: str | None = None
    estimator_name: str | None = None
    pca_name: str = "PCA"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        ax: Axes | None = None,
        name: str | None = None,
    ) -> ExplainedVarianceDisplay:
        """Plot how much the components of a fitted estimator explain.

        An estimator that was fitted with `ordered=True` has a curve: the variance that
        its first 1, 2, ... components explain. Otherwise only all components together
        can be decoded, and there is one marker.

        PCA's curve needs no further fit, since an estimator that starts as PCA has the
        principal axes of its training samples. There is no curve for others, as with
        `init="random"` or `features="hidden"`; for a table with categories or missing
        cells there is one only if X is passed. All values are fractions of the variance
        in the units of the samples, or of the encoded columns for a table; PCA itself
        is computed in the units of `numeric_scaling`, and called so in the legend.

        Parameters
        ----------
        estimator : estimator instance
            A fitted autoencoder of this package, or a Pipeline that ends in one: then
            variances are those of what its other steps make of X.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features), \
default=None
            Rows on which both are measured, around the mean of the training rows:
            preferably ones that the estimator has not seen. Read in chunks; the
            first 1, 2, ... components are each decoded. None uses the values of the
            training rows.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        name : str, default=None
            What title and legend call the estimator. If None, the name of its
            class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ExplainedVarianceDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is no autoencoder of this package, or fills cells.
        ValueError
            If the estimator cannot take the rows.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sk_autoencoder import AutoEncoderTransformer
        >>> from sk_autoencoder.plotting import ExplainedVarianceDisplay
        >>> X, _ = load_iris(return_X_y=True)
        >>> ae = AutoEncoderTransformer(
        ...     3, ordered=True, max_epochs=5, random_state=0
        ... ).fit(X)
        >>> display = ExplainedVarianceDisplay.from_estimator(ae)
        >>> display.n_components
        array([1, 2, 3])
        >>> display.pca_explained_variance.round(3)
        array([0.925, 0.978, 0.995])
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        given, estimator = estimator, last_step(estimator)
        if not isinstance(estimator, BaseAutoEncoder):
            raise TypeError(
                "expected an autoencoder of this package, or a Pipeline that ends in "
                f"one, got estimator={given!r}. Pass one, such as the search's "
                "best_estimator_."
            )
        check_is_fitted(estimator)
        refuse_imputer(estimator)
        sizes = _code_sizes(estimator)
        if X is None:
            explained, by_pca = _explained_in_training(estimator, sizes)
        else:
            rows = before_last_step(given, X)
            explained, by_pca = _explained_of_rows(estimator, rows, sizes)
        display = cls(
            sizes,
            explained,
            pca_explained_variance=by_pca,
            rows_label="training rows" if X is None else "rows given",
            estimator_name=name_of(estimator) if name is None else name,
            pca_name=_pca_name(estimator._plan),
        )
        return display.plot(ax)

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None
    ) -> ExplainedVarianceDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        name : str, default=None
            Name of the estimator in the title and in the legend. If None,
            `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.ExplainedVarianceDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no value to draw, or not one for each of `n_components`.
        """
        sizes, explained, by_pca = self._curves()
        ax = self._take_axes(ax)
        label = (self.estimator_name if name is None else name) or "autoencoder"
        (self.line_,) = ax.plot(
            sizes,
            explained,
            color=OKABE_ITO[0],
            label=f"{label}, whole code" if len(sizes) == 1 else label,
            **_line_style(len(sizes), "-"),
        )
        self.pca_line_ = None
        if by_pca is not None:
            # Dashed and on top: where the two curves are one, both are seen.
            (self.pca_line_,) = ax.plot(
                np.arange(1, len(by_pca) + 1),
                by_pca,
                color=OKABE_ITO[1],
                label=self.pca_name,
                **_line_style(len(by_pca), "--"),
            )
        count_in_whole_numbers(ax)
        rows = f" ({self.rows_label})" if self.rows_label else ""
        ax.set(
            xlabel="Components",
            ylabel=f"Explained variance{rows}",
            # Below 0 is worse than the mean row, as new rows may be.
            ylim=(min(0.0, 1.05 * ax.dataLim.ymin), 1.0),
            title=self._title(name, "explained variance"),
        )
        ax.legend()
        return self

    def _curves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what is drawn as arrays, refused before anything is drawn."""
        sizes = np.asarray(self.n_components)
        explained = _curve(
            "an explained_variance of shape (n_values,)",
            self.explained_variance,
            "what the components explain together, not what each adds",
        )
        if sizes.shape != explained.shape:
            raise ValueError(
                f"expected n_components of shape {explained.shape}, the shape of "
                f"explained_variance, got shape {sizes.shape}. Pass a number of "
                "components for each value."
            )
        if self.pca_explained_variance is None:
            return sizes, explained, None
        by_pca = _curve(
            "a pca_explained_variance of shape (n_pca_values,)",
            self.pca_explained_variance,
            "a value for each of 1, 2, ... components, or None",
        )
        return sizes, explained, by_pca


def _curve(what: str, values: Any, advice: str) -> np.ndarray:
    """Return the values of a curve, at least one, as an array."""
    curve = np.asarray(values, dtype=float)
    if curve.ndim != 1 or curve.size == 0:
        raise ValueError(
            f"expected {what}, one value or more, got shape {curve.shape}. Pass "
            f"{advice}."
        )
    return curve


def _line_style(n_values: int, linestyle: str) -> dict[str, Any]:
    """Style a curve, or a value alone: a marker without a line."""
    if n_values == 1:
        return {"marker": "D", "markersize": 7, "linestyle": "none"}
    marker = "o" if n_values <= _MOST_MARKERS else None
    return {"marker": marker, "markersize": 4, "linestyle": linestyle}


def _code_sizes(estimator: BaseAutoEncoder) -> np.ndarray:
    """List how many first components are a code by themselves."""
    k = estimator.n_components_
    return np.arange(1, k + 1) if estimator._plan.ordered else np.array([k])


def _pca_name(plan: Plan) -> str:
    """Return what the legend calls PCA: by what its axes are of."""
    if plan.table is not None:
        return "PCA of encoded columns"
    return "PCA" if plan.scaling == "none" else "PCA of scaled columns"


def _explained_in_training(
    estimator: BaseAutoEncoder, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what codes explain of the training rows, and PCA's curve."""
    explained = estimator._explained_by_prefix
    # Hidden features have another number of columns than there are components.
    explained = explained[sizes - 1] if estimator._plan.ordered else explained[-1:]
    return explained, _pca_in_training(estimator._plan, estimator.n_components_)


def _pca_in_training(plan: Plan, k: int) -> np.ndarray | None:
    """Return what 1 to k principal axes explain of the training rows, (k,).

    The axes are those of the rows in the units of the score. They are uncorrelated,
    so that each takes its own part of a column's variance, in any unit.
    """
    # Decoded, the categories of a table are no longer what the axes explain.
    if plan.axes is None or plan.table is not None:
        return None
    along = plan.axes.std[:k, None] * plan.axes.components[:k]
    gains = np.square(along * plan.scale.unit).sum(axis=1)
    total = np.square(plan.statistics.spread).sum()
    explained = variance_fractions(np.cumsum(gains), total)
    return np.minimum(explained, 1.0)  # rounding may pass 1


def _explained_of_rows(
    estimator: BaseAutoEncoder, X: Any, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Measure what codes explain of any rows, and PCA's curve."""
    if estimator._table is not None:
        return explained_of_table(estimator, X, sizes)
    codes = as_array(estimator.transform(X))
    X, _ = flat_rows(X, estimator._plan.network)
    rows = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
    plan, k = estimator._plan, estimator.n_components_
    errors, pca_errors, total = np.zeros(len(sizes)), np.zeros(k), 0.0
    for some in row_chunks(len(codes), rows.shape[1], _CHUNK_SIZE):
        chunk = np.asarray(dense_rows(rows, some), dtype=np.float64)
        centered = chunk - estimator.mean_
        total += np.square(centered).sum()
        for i, size in enumerate(sizes):
            decoded = as_array(estimator.inverse_transform(codes[some, :size]))
            errors[i] += np.square(chunk - decoded.reshape(chunk.shape)).sum()
        if plan.axes is not None:
            pca_errors += _pca_errors(plan, centered, k)
    by_pca = None if plan.axes is None else explained_variance(pca_errors, total)
    return explained_variance(errors, total), by_pca


def _pca_errors(plan: Plan, centered: np.ndarray, k: int) -> np.ndarray:
    """Sum the squared errors that 1 to k axes leave in centered rows, (k,)."""
    assert plan.axes is not None
    axes, unit = plan.axes.components[:k], plan.scale.unit
    # What varies only since the fit is not seen by any axis.
    seen = np.where(plan.statistics.varies, centered / unit, 0.0)
    left, errors = centered.copy(), np.zeros(k)
    for i, (score, axis) in enumerate(zip((seen @ axes.T).T, axes, strict=True)):
        left -= np.outer(score, axis * unit)
        errors[i] = np.square(left).sum()
    return errors
