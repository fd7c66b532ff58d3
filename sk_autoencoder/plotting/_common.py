"""What the displays share: matplotlib on demand, names, colors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): eight colors that stay apart for color-blind readers too.
# Black before yellow, which is hard to see on white.
OKABE_ITO = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # bluish green
    "#D55E00",  # vermillion
    "#CC79A7",  # reddish purple
    "#56B4E9",  # sky blue
    "#000000",  # black
    "#F0E442",  # yellow
)
GRAY = "#999999"

A_REDUCER = (
    "a reducer such as PCA or AutoEncoderTransformer, or a Pipeline that ends in one"
)


def check_matplotlib(caller: str) -> None:
    """Raise ImportError with the command that helps if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"expected matplotlib to be installed, got {caller} called without it. "
            'Run pip install "sk_autoencoder[plot]".'
        ) from error


class Display:
    """What all displays share: the axes, and the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    estimator_name : str or None
    """

    ax_: Axes
    figure_: Figure
    estimator_name: str | None

    @classmethod
    def _check_estimator(
        cls,
        estimator: Any,
        *methods: str,
        what: str = "an estimator",
        advice: str = A_REDUCER,
    ) -> None:
        """Refuse an estimator that lacks a method, or is not fitted."""
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if not all(hasattr(estimator, method) for method in methods):
            raise TypeError(
                f"expected {what} with {' and '.join(methods)}, got "
                f"estimator={estimator!r}. Pass {way_out(estimator, methods, advice)}."
            )
        check_is_fitted(estimator)

    def _take_axes(self, ax: Axes | None, **figure_options: Any) -> Axes:
        """Return the caller's axes, or those of a new figure."""
        check_matplotlib(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained", **figure_options)
        self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
        return ax

    def _title(self, name: str | None, what: str) -> str:
        """Return what is drawn, behind the name of the estimator if it has one."""
        name = self.estimator_name if name is None else name
        return f"{name}: {what}" if name else what[0].upper() + what[1:]


def refuse_imputer(estimator: Any) -> None:
    """Refuse what fills cells in place of giving codes."""
    last = last_step(estimator)
    if getattr(last, "features", None) == "reconstruction":
        raise TypeError(
            "expected an autoencoder whose transform gives codes, got "
            f"estimator={estimator!r}, which fills cells. Fit with "
            "features='bottleneck', or draw a ReconstructionDisplay."
        )


def name_of(estimator: Any) -> str:
    """Return the class's name; of a Pipeline's last step, not "Pipeline"."""
    return type(last_step(estimator)).__name__


def last_step(estimator: Any) -> Any:
    """Return the last step of a Pipeline, any other estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def way_out(estimator: Any, needed: Sequence[str], advice: str) -> str:
    """Return what to pass instead: the last step of a Pipeline, where that will do."""
    last = last_step(estimator)
    if last is estimator or not all(hasattr(last, name) for name in needed):
        return advice
    return "its last step, as pipe[-1], and any X as pipe[:-1].transform(X)"


def before_last_step(estimator: Any, X: Any) -> Any:
    """Return samples as the last step of a Pipeline gets them."""
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    return X


def as_array(X: Any) -> np.ndarray:
    """Turn an array-like, frame or sparse matrix into an array."""
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def count_in_whole_numbers(ax: Axes) -> None:
    """Let the horizontal axis count in whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(
        MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
