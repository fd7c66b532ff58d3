"""Clocks, and taking turns: what meets one contender has to meet the others too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tqdm import tqdm

from benchmarks._shared.report import median

Clock = Callable[[], float]
Turns = dict[Any, list[tuple[float, ...]]]
"""For each contender what its turns gave, of which the first number is the seconds."""


def clock(kind: str) -> Clock:
    """Return the clock to time with.

    Parameters
    ----------
    kind : {"wall", "cpu"}
        "cpu" counts this process's processor time. With one thread and no waiting
        it equals wall time on an idle machine, and it is much steadier on a busy one.
    """
    return {"wall": time.perf_counter, "cpu": time.process_time}[kind]


def timed(clock: Clock, call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return the seconds of a call, and what it returned."""
    started = clock()
    result = call(*arguments)
    return clock() - started, result


class TooLongError(Exception):
    """A call was stopped, because its time was over."""


def within(limit: float, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call, and raise `TooLongError` after so many seconds of the processor.

    The call is stopped between two operations of Python; on systems that have no such
    timer it is not.
    """
    if not hasattr(signal, "setitimer"):
        return call(*arguments)

    def stop(*_: object) -> None:
        raise TooLongError(f"expected at most {limit:g} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        return call(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def take_turns(
    names: Iterable[Hashable],
    turn: Callable[[Any, int], tuple[float, ...]],
    repetitions: int,
    what: str = "",
) -> Turns:
    """Let contenders take turns, after one each that does not count.

    Parameters
    ----------
    names : iterable of hashable
    turn : callable (name, repetition) -> tuple
        Repetition 0 is the one that does not count.
    repetitions : int
    what : str
        Title of the progress bar.
    """
    names = list(names)
    found: Turns = {name: [] for name in names}
    with tqdm(total=(repetitions + 1) * len(names), desc=what) as bar:
        for repetition in range(repetitions + 1):
            # The order is turned round each time: none always follows the same one.
            for name in names if repetition % 2 else names[::-1]:
                measured = turn(name, repetition)
                if repetition:
                    found[name].append(measured)
                bar.update()
    return found


def seconds(turns: Turns, name: Hashable) -> float:
    """Return the median of one's seconds."""
    return median(turn[0] for turn in turns[name])


def ratio(turns: Turns, name: Hashable, base: Hashable) -> float:
    """Return the median over the turns of one's seconds over another's."""
    pairs = zip(turns[name], turns[base], strict=True)
    return median(mine[0] / theirs[0] for mine, theirs in pairs)


def load_note() -> str:
    """Return how busy the machine is, since a busy one makes timings worthless."""
    if not hasattr(os, "getloadavg"):
        return "load average unknown on this system"
    one_minute = os.getloadavg()[0]
    return f"load average {one_minute:.2f} on {os.cpu_count()} processors"
