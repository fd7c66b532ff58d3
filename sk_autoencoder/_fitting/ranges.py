"""Which numbers float32 and a likelihood can take; others are refused."""

import numpy as np

from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._fitting.plan import Plan

# Beyond these float32 loses a column's values, or a product of two of them.
SMALLEST_RANGE, LARGEST_RANGE = 1e-30, 1e30

# Beyond this float32 has no room for a column's mean, or for the unit of a column that
# is scaled by itself.
LARGEST_VALUE = 1e38


def check_statistics(plan: Plan, statistics: ColumnStatistics) -> None:
    """Refuse rows that the plan's likelihood or float32 cannot take.

    Parameters
    ----------
    plan : Plan
    statistics : ColumnStatistics
        Of the rows: those of the plan, or others that come later.
    """
    if plan.needs_unit_interval:
        check_unit_interval(plan, statistics.low.min(), statistics.high.max())
    check_ranges(statistics, plan.table)


def check_ranges(statistics: ColumnStatistics, table: Table | None) -> None:
    """Refuse columns that float32 cannot hold.

    Parameters
    ----------
    statistics : ColumnStatistics
        Of rows of numbers, as they came or as the table gives them.
    table : Table or None
    """
    if table is not None:
        _check_range(table.widest_range, 1 / LARGEST_VALUE, LARGEST_VALUE)
    with np.errstate(over="ignore"):
        widest = float(np.max(statistics.high - statistics.low))
    _check_range(widest, SMALLEST_RANGE, LARGEST_RANGE)
    farthest = float(np.max(np.maximum(-statistics.low, statistics.high)))
    if farthest > LARGEST_VALUE:
        raise ValueError(
            "expected columns whose ranges fit float32, no value beyond "
            f"{LARGEST_VALUE:g}, got {farthest:g}. Scale X first, as with "
            "StandardScaler."
        )


def _check_range(widest: float, least: float, most: float) -> None:
    """Refuse a range that is too narrow, but for 0, or too wide."""
    if not widest <= most or 0 < widest < least:
        raise ValueError(
            "expected columns whose ranges fit float32, the widest between "
            f"{least:g} and {most:g}, got {widest:g}. Scale X first, as with "
            "StandardScaler."
        )


def check_unit_interval(plan: Plan, low: float, high: float) -> None:
    """Refuse rows that are no probabilities, where the plan's likelihood needs them.

    Parameters
    ----------
    plan : Plan
        One that `needs_unit_interval`.
    low, high : float
        The least and the largest value of the rows.
    """
    name = "likelihood" if plan.likelihood == "bernoulli" else "loss"
    if plan.scaling == "standard":
        raise ValueError(
            f"expected targets in [0, 1] for {name}={plan.likelihood!r}, got "
            "numeric_scaling='standard', which gives others. Pass "
            "numeric_scaling='minmax' or 'none'."
        )
    if plan.scaling == "none" and not (low >= 0 and high <= 1):
        raise ValueError(
            f"expected X in [0, 1] for {name}={plan.likelihood!r}, got values "
            f"from {low:.6g} to {high:.6g}. Pass numeric_scaling='minmax', or "
            f"another {name}."
        )
