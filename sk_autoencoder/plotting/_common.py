"""What the displays share: matplotlib on demand, names, colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): eight colours that stay apart for colour-blind readers too.
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
GREY = "#999999"


def check_matplotlib(caller: str) -> None:
    """Raise ImportError with the command that helps if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"expected matplotlib to be installed, got {caller} called without it. "
            'Run pip install "sk_autoencoder[plot]".'
        ) from error


def get_axes(ax: Axes | None, caller: str, **figure_options: Any) -> Axes:
    """Return the caller's axes, or those of a new figure."""
    check_matplotlib(caller)
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(**figure_options)
    return ax


def name_of(estimator: Any) -> str:
    """Return the class's name; of a Pipeline's last step, not "Pipeline"."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def as_array(X: Any) -> np.ndarray:
    """Turn an array-like, frame or sparse matrix into an array."""
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def first_rows(X: Any, n_rows: int) -> Any:
    """Slice rows off any container, without turning a frame into an array."""
    if sparse.issparse(X):
        X = X.tocsr()  # other formats cannot be sliced
    return X.iloc[:n_rows] if hasattr(X, "iloc") else X[:n_rows]
