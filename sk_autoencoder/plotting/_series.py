"""Series and what is made of them, one band above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sk_autoencoder._utils.variance import unit_or_one
from sk_autoencoder.plotting._common import GRAY, OKABE_ITO
from sk_autoencoder.plotting._kinds import check_shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Of a band: what is beyond the range of the inputs has room for an eighth of it.
BAND = 1.25
STYLES: dict[str, dict[str, Any]] = {
    "input": {"color": OKABE_ITO[0], "linewidth": 1.2},
    "noisy input": {"color": GRAY, "linewidth": 0.8},
    "reconstruction": {"color": OKABE_ITO[3], "linewidth": 1.2, "linestyle": "--"},
}


def series_of(rows: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return rows as series, (n_series, n_steps, n_channels)."""
    series = {label: np.asarray(row, dtype=float) for label, row in rows.items()}
    shape = series["input"].shape
    if len(shape) not in (2, 3):
        raise ValueError(
            "expected series of shape (n_rows, n_steps) or (n_rows, n_steps, "
            f"n_channels), got X of shape {shape}. Pass such arrays, or another kind."
        )
    check_shapes(series)
    return {label: row.reshape(*shape[:2], -1) for label, row in series.items()}


def series_size(rows: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the inches that series fill: a band for each channel of each."""
    n_series, _, n_channels = rows["input"].shape
    return 8.0, 1.2 + 0.8 * n_series * n_channels


def draw_series(ax: Axes, rows: dict[str, np.ndarray]) -> list[Line2D]:
    """Draw series, (n_series, n_steps, n_channels) by their labels.

    Each channel of each has a band, as high as the range of that channel in all inputs.
    In each lie the lines of all labels over each other.
    """
    inputs = rows["input"]
    low = inputs.min(axis=(0, 1))
    high = inputs.max(axis=(0, 1))
    unit = unit_or_one(high - low)
    n_series, n_steps, n_channels = inputs.shape
    lines, middles, names = [], [], []
    for band, (i, channel) in enumerate(np.ndindex(n_series, n_channels)):
        for label, values in rows.items():
            heights = (values[i, :, channel] - low[channel]) / unit[channel]
            (line,) = ax.plot(
                np.arange(n_steps),
                heights - band * BAND,
                label=label if band == 0 else None,
                **STYLES[label],
            )
            lines.append(line)
        middles.append(0.5 - band * BAND)
        names.append(f"row {i}" + (f", channel {channel}" if n_channels > 1 else ""))
    ax.set_yticks(middles, names)
    ax.tick_params(axis="y", length=0)
    ax.set(
        xlabel="Step",
        ylabel="Value (a band is the range of the inputs)",
        ylim=(-(n_series * n_channels - 1) * BAND - 0.25, 1.25),
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return lines
