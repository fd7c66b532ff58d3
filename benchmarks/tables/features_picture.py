"""A picture of the gains of `tables.features` by noise level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks._shared.picture import COLORS, GRAY, WIDTH, legend_above, save
from benchmarks._shared.report import median
from benchmarks.tables.features_methods import LABELED

MARKERS = "osD^vP"


def draw(
    gains: Mapping[str, Mapping[str, Sequence[float]]],
    levels: Sequence[float],
    path: Path,
) -> None:
    """Draw a line a table and their median, a panel a setting."""
    figure, axes = plt.subplots(
        1, len(LABELED), figsize=(WIDTH, 3.8), layout="constrained", sharey=True
    )
    for ax, (setting, what) in zip(axes, LABELED.items(), strict=True):
        for i, (name, each) in enumerate(gains[setting].items()):
            ax.plot(
                levels,
                [1000 * gain for gain in each],
                color=COLORS[i % len(COLORS)],
                marker=MARKERS[i % len(MARKERS)],
                markersize=4.5,
                linewidth=1,
                label=name,
            )
        columns = zip(*gains[setting].values(), strict=True)
        middle = [1000 * median(column) for column in columns]
        style = {"color": "black", "linewidth": 5, "alpha": 0.3, "zorder": 1}
        ax.plot(levels, middle, label="median", **style)
        ax.axhline(0, color=GRAY, linewidth=0.8, zorder=0)
        ax.set_title(what, fontsize=10)
        ax.set_xlabel("noise_level")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("gain in AUC over raw, thousandths")
    legend_above(axes[0], 3)
    save(figure, path)
