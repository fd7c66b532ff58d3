"""A picture of `speed.growth`'s seconds: rows, columns and width side by side."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks._shared.picture import COLORS, GRAY, GRID, WIDTH, legend_above, save

LINES = {
    "fit_random": ("starts at random", COLORS[0], "o"),
    "fit_pca": ("starts as PCA", COLORS[4], "s"),
}
"""Name, color and marker."""


def draw(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw the seconds of a fit of one epoch, a panel for what grows."""
    figure, axes = plt.subplots(
        1,
        len(results),
        figsize=(WIDTH, 3.2),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for ax, (axis, found) in zip(axes[0], results.items(), strict=True):
        _panel(ax, axis, found)
    axes[0, 0].set_ylabel("seconds of a fit of one epoch")
    legend_above(axes[0, 0])
    save(figure, path)


def _panel(ax: Axes, axis: str, found: list[dict[str, float]]) -> None:
    sizes = [result["size"] for result in found]
    for name, (label, color, marker) in LINES.items():
        seconds = [result[name] for result in found]
        ax.plot(
            sizes,
            seconds,
            color=color,
            marker=marker,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            label=label,
            zorder=3,
        )
    end = sizes[-3:]
    linear = [found[-1]["fit_random"] * size / end[-1] for size in end]
    ax.plot(end, linear, color=GRAY, linestyle=":", linewidth=1, label="linear")
    ax.set_xscale("log")
    ax.set_yscale("log")
    shown = sorted({sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1]})
    ax.set_xticks(shown, [f"{size:,}" for size in shown])
    ax.minorticks_off()
    ax.set_xlabel(axis)
    ax.grid(which="major", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
