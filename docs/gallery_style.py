"""How the plots of the gallery look, for `conf.py`."""

from typing import Any

import matplotlib.pyplot as plt

# Plots are 6.4 inches wide: on a phone these letters are nine pixels high.
STYLE = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "legend.fontsize": 11,
}


def set_letters(*_: Any) -> None:
    """Set the sizes of letters, before each example."""
    plt.rcParams.update(STYLE)
