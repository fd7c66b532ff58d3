"""Factors that change from epoch to epoch: of the learning rate, of the noise."""

import math
from collections.abc import Callable
from typing import Final, Literal

from sk_autoencoder._utils.values import first_line, shortened

# A schedule by step: a rise to the learning rate, then half a cosine down to a fraction
# of it that still moves the weights. Stopping before its end cost a masked network .03
# of the AUC by which samples are told from rows.
BY_STEP: Final = "warmup_cosine"
WARMUP_STEPS, WARMUP_FRACTION, LAST_FACTOR = 100, 0.2, 0.03

Schedule = Literal["cosine"] | float | Callable[[int], float] | None
ResolvedSchedule = Schedule | Literal["warmup_cosine"]


def schedule_factor(
    schedule: ResolvedSchedule,
    epoch: int,
    max_epochs: int,
    *,
    name: str = "lr_schedule",
) -> float:
    """Return the factor of an epoch, counted from 0.

    Parameters
    ----------
    schedule : None, float, "cosine" or callable
        Constant; multiplied after each epoch; half a cosine to zero over
        `max_epochs`; or a function of the epoch.
    epoch, max_epochs : int
    name : str
        Of the parameter, for the error.

    Raises
    ------
    TypeError, ValueError
        If it is callable, but no function from an epoch to a factor.
    """
    if schedule is None:
        return 1.0
    if callable(schedule):
        return _called(schedule, epoch, name)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / max(1, max_epochs))))
    return float(schedule) ** epoch


def step_factor(step: int, n_steps: int | None) -> float:
    """Return the factor of a step, counted from 0, of the schedule `BY_STEP`.

    Parameters
    ----------
    step : int
    n_steps : int or None
        Of the run; None, where there is no end, stays at the learning rate.
    """
    warmup: float = WARMUP_STEPS
    if n_steps is not None:
        warmup = min(warmup, WARMUP_FRACTION * n_steps)
    rise = min(1.0, (step + 1) / max(1.0, warmup))
    if n_steps is None:
        return rise
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / n_steps)))
    return rise * (LAST_FACTOR + (1 - LAST_FACTOR) * cosine)


def _called(schedule: Callable[[int], float], epoch: int, name: str) -> float:
    """Call a function of the epoch, and check what it returns."""
    cause: Exception | None = None
    try:
        factor = float(schedule(epoch))
        reason = f"it returned {factor!r} for epoch {epoch}"
    except (TypeError, ValueError) as error:
        # A function of another kind, as a class of torch's schedulers.
        factor, cause = math.nan, error
        reason = f"with epoch {epoch} it raised: {first_line(error)}"
    if 0 <= factor < math.inf:
        return factor
    kind = ValueError if cause is None else TypeError
    raise kind(
        f"expected {name}=None, a float in (0, 1], 'cosine' or a function from an "
        f"epoch to a factor of 0 or more, got {name}={shortened(schedule)}, because "
        f"{reason}. Pass such a function, as lambda epoch: 0.95**epoch."
    ) from cause
