"""A picture of `quality.run`'s cases: each one's error over PCA's."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks._shared.picture import COLORS, GRAY, GRID, WIDTH, legend_above, save
from benchmarks._shared.report import median
from benchmarks._shared.results import Case
from benchmarks.quality.methods import OURS, PLAIN
from benchmarks.quality.results import Figures

MOST = 4.0
"""Ratios beyond are drawn as arrows at the edge."""
LEAST = 0.01


def draw(figures: Figures, path: Path) -> None:
    """Draw ours as dots, and the same network started at random as hollow ones.

    A row is a set, the lowest median first; its dots are the mean ratios over the
    splits of each units and k.
    """
    ours = _means(figures, OURS)
    plain = _means(figures, PLAIN)
    if not ours:
        return
    names = sorted(ours, key=lambda name: -median(map(math.log, ours[name].values())))
    ks = sorted({case.k for cases in ours.values() for case in cases})
    colors = dict(zip(ks, COLORS * len(ks), strict=False))
    height = 1.5 + 0.21 * len(names)
    figure, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    ax.axvline(1, color="black", linewidth=1, zorder=1)
    for row, name in enumerate(names):
        for case, ratio in plain.get(name, {}).items():
            _dot(ax, ratio, row, colors[case.k], hollow=True)
        for case, ratio in ours[name].items():
            _dot(ax, ratio, row, colors[case.k], hollow=False)
    _decorate(ax, names, _limits([*ours.values(), *plain.values()]))
    _legend(ax, colors, with_plain=bool(plain))
    save(figure, path)


def _means(figures: Figures, method: str) -> dict[str, dict[Case, float]]:
    """Return the mean ratios of each set, infinite for a failed fit."""
    each: dict[str, dict[Case, float]] = defaultdict(dict)
    if method in figures.methods:
        for case in figures.cases:
            ratio = figures.mean_ratio(case, method)
            if not math.isnan(ratio):
                each[case.name][case] = ratio
    return each


def _dot(ax: Axes, ratio: float, row: int, color: str, *, hollow: bool) -> None:
    inside = LEAST <= ratio <= MOST
    ax.plot(
        [min(max(ratio, LEAST), MOST)],
        [row],
        marker="o" if inside else ">" if ratio > MOST else "<",
        markersize=5 if hollow else 5.5,
        markerfacecolor="none" if hollow else color,
        markeredgecolor=color if hollow else "white",
        markeredgewidth=0.9 if hollow else 0.5,
        alpha=0.75 if hollow else 1.0,
        linestyle="",
        clip_on=False,
        zorder=2 if hollow else 3,
    )


def _limits(sets: list[dict[Case, float]]) -> tuple[float, float]:
    """Return what the axis has to show, within what it may."""
    ratios = [ratio for cases in sets for ratio in cases.values()]
    least = max(LEAST, min(*ratios, 0.5) / 1.15)
    return least, min(MOST, max(*ratios, 1.15) * 1.05)


def _decorate(ax: Axes, names: list[str], limits: tuple[float, float]) -> None:
    ax.set_xscale("log")
    ax.set_xlim(limits)
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 4]
    ticks = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    labels = ["PCA" if tick == 1 else f"{tick:g}" for tick in ticks]
    ax.set_xticks(ticks, labels)
    ax.xaxis.minorticks_off()
    ax.set_xlabel("squared error on held-out rows, over PCA's (further left is better)")
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _legend(ax: Axes, colors: dict[int, str], *, with_plain: bool) -> None:
    style = {"linestyle": "", "marker": "o", "markersize": 6}
    handles = [
        Line2D([], [], color=color, label=f"k = {k}", **style)
        for k, color in colors.items()
    ]
    if with_plain:
        hollow = {"markerfacecolor": "none", "color": GRAY, **style}
        handles += [
            Line2D([], [], color=GRAY, label="starts as PCA", **style),
            Line2D([], [], label="starts at random", **hollow),
        ]
    legend_above(ax, handles=handles, handletextpad=0.1, columnspacing=1.2)
