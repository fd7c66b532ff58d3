"""Draw `docs/images/quality.png`: the error of each case of `quality.run` over PCA's.

    python -m benchmarks.quality.picture

It reads what `quality.run` wrote into `benchmarks/results/`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.picture import COLORS, GRID, legend_above, save

ROOT = Path(__file__).parents[2]
RESULTS = [
    ROOT / f"benchmarks/results/quality_{half}.md" for half in ("tune", "confirm")
]
FILE = ROOT / "docs" / "images" / "quality.png"
TABLE = "## Squared error over PCA's, mean over the splits (worst split)"
# | set (units) | rows x columns | k | PCA | AutoEncoder |, means before worst splits.
ROW = re.compile(r"\| (\w+) \(\w+\) \|[^|]*\| (\d+) \| 1\.000 \([^)]*\) \| ([\d.]+) ")
STYLES = {2: "o", 5: "s", 10: "^", 20: "D"}
LEAST = 0.01
"""Smaller ratios are drawn as arrows at the edge."""


def read(paths: list[Path]) -> dict[str, list[tuple[int, float]]]:
    """Return the number of components and the ratio of each case, by data set."""
    found = defaultdict(list)
    for path in paths:
        table = path.read_text("utf-8").partition(TABLE)[2].partition("\n## ")[0]
        for name, k, ratio in ROW.findall(table):
            found[name].append((int(k), float(ratio)))
    return found


def draw(found: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw a row for each data set, that with the lowest median on top.

    Narrow and with large letters: on a phone it is not even 400 pixels wide.
    """
    medians = {name: np.median([ratio for _, ratio in found[name]]) for name in found}
    names = sorted(found, key=lambda name: -medians[name])
    colors = dict(zip(STYLES, COLORS, strict=False))
    figure, ax = plt.subplots(figsize=(5.4, 0.23 * len(names)), layout="constrained")
    ax.axvline(1, color="black", linewidth=1, zorder=1)
    for row, name in enumerate(names):
        for k, ratio in found[name]:
            ax.plot(
                max(ratio, LEAST),
                row,
                marker=STYLES[k] if ratio >= LEAST else "<",
                color=colors[k],
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.5,
                clip_on=False,
                zorder=3,
            )
    _decorate(ax, names)
    handles = [
        Line2D([], [], color=colors[k], marker=marker, linestyle="", label=f"k = {k}")
        for k, marker in STYLES.items()
    ]
    legend_above(ax, handles=handles, fontsize=12, handletextpad=0.1, columnspacing=1)
    save(figure, path)


def _decorate(ax: Axes, names: list[str]) -> None:
    ax.set_xscale("log")
    ax.set_xlim(LEAST, 1.05)
    ax.set_xticks([0.01, 0.1, 0.3, 1], ["0.01", "0.1", "0.3", "PCA"], fontsize=12)
    ax.xaxis.minorticks_off()
    ax.set_xlabel(
        "squared error on test samples\nover PCA's (less is better)", fontsize=12
    )
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.set_yticks(range(len(names)), names, fontsize=11)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def main() -> None:
    """Draw the picture from the results in the repository."""
    parse(command_line(__doc__))
    draw(read(RESULTS), FILE)


if __name__ == "__main__":
    main()
