"""A picture of `speed.growth`'s seconds: rows, columns and width side by side."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

LINES = {
    "fit_random": ("starts at random", "#0072B2", "o"),
    "fit_pca": ("starts as PCA", "#D55E00", "s"),
}
"""Name, colour and marker; colours of Okabe and Ito, as in the picture of quality."""
GREY = "#888888"
WIDTH, HEIGHT = 8.0, 3.2
"""Inches; at 100 dots an inch, the picture is 800 wide."""


def draw(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw the seconds of a fit of one epoch, a panel for what grows."""
    figure, axes = plt.subplots(
        1,
        len(results),
        figsize=(WIDTH, HEIGHT),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for ax, (axis, found) in zip(axes[0], results.items(), strict=True):
        _panel(ax, axis, found)
    axes[0, 0].set_ylabel("seconds of a fit of one epoch")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, dpi=200)
    plt.close(figure)


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
    ax.plot(end, linear, color=GREY, linestyle=":", linewidth=1, label="linear")
    ax.set_xscale("log")
    ax.set_yscale("log")
    shown = sorted({sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1]})
    ax.set_xticks(shown, [f"{size:,}" for size in shown])
    ax.minorticks_off()
    ax.set_xlabel(axis)
    ax.grid(which="major", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
