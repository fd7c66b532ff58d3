"""Factors that change from epoch to epoch: of the learning rate, of the noise."""

import math
from collections.abc import Callable

__all__ = ["Schedule", "schedule_factor"]

Schedule = str | float | Callable[[int], float] | None


def schedule_factor(schedule: Schedule, epoch: int, max_epochs: int) -> float:
    """Give the factor of an epoch, counted from 0.

    Parameters
    ----------
    schedule : None, float, "cosine" or callable
        Constant; multiplied after each epoch; half a cosine to zero over
        `max_epochs`; or a function of the epoch.
    epoch, max_epochs : int
    """
    if schedule is None:
        return 1.0
    if callable(schedule):
        return float(schedule(epoch))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / max(1, max_epochs))))
    return float(schedule) ** epoch
