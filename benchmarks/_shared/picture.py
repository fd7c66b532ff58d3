"""What the pictures have in common: colors, a legend above, and files."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Okabe and Ito's, which color-blind readers can tell apart."""
GRAY, GRID = "#888888", "#e6e6e6"
WIDTH = 8.0
"""Inches; at 100 dots an inch, a picture is 800 wide."""


def legend_above(ax: Axes, n_columns: int | None = None, **options: object) -> None:
    """Put a legend above all axes: of the handles given, or of those of `ax`."""
    handles = options.pop("handles", None) or ax.get_legend_handles_labels()[0]
    ax.figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=n_columns or len(handles),
        frameon=False,
        **{"fontsize": 9, **options},
    )


def save(figure: Figure, path: Path) -> None:
    """Write a picture, and let go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)
    plt.close(figure)
