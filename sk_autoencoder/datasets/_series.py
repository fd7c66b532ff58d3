"""Made-up series of several channels, with planted anomalies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sk_autoencoder._utils.sklearn_compat import Interval, validate_params

_DESCR = """\
Series of several channels with planted anomalies
=================================================

Made-up windows of the sensors of a machine. Three hidden states drive all channels: a
load that comes and goes with a season, whose phase, period and strength differ from
window to window; the heat that follows it, late and smoothed; and a slow drift. A
channel mixes the three, with a delay of its own, bends the sum and adds noise.

level_shift         a channel is higher or lower from some step on
broken_coupling     a channel does for a while what it did in another window
spike               a channel is far off for one to three steps
flat_line           a channel stays where it was
changed_frequency   from some step on the load, and all that follows it, runs faster

It is for trying out code. How well a method does here is no evidence of its quality on
other series.
"""


@validate_params(
    n_samples=[Interval(Integral, 2, None, closed="left")],
    n_steps=[Interval(Integral, 16, None, closed="left")],
    n_channels=[Interval(Integral, 1, None, closed="left")],
    contamination=[Interval(Real, 0, 1, closed="both")],
    noise=[Interval(Real, 0, None, closed="left")],
    return_X_y=["boolean"],
)
def make_series_anomalies(
    n_samples: int = 1000,
    n_steps: int = 64,
    n_channels: int = 4,
    *,
    contamination: float = 0.1,
    kinds: Sequence[str] = (
        "level_shift",
        "broken_coupling",
        "spike",
        "flat_line",
        "changed_frequency",
    ),
    noise: float = 0.1,
    random_state: int | np.random.RandomState | None = None,
    return_X_y: bool = False,
) -> Any:
    """Draw windows of a machine's sensors, some of them with something wrong.

    Three hidden states drive all channels: a load with a season, whose phase, period
    and strength differ from window to window, the heat that follows it late and
    smoothed, and a slow drift. Channels are so coupled that a few numbers tell a
    window. An anomaly is planted into one of the channels, or into the load itself, and
    changes nothing outside of the cells that `where` tells.

    Parameters
    ----------
    n_samples : int, default=1000
        Windows.
    n_steps : int, default=64
        Of a window, at least 16.
    n_channels : int, default=4
        Sensors, at least 1.
    contamination : float, default=0.1
        Fraction of the windows with an anomaly, in [0, 1]; rounded to whole windows.
    kinds : sequence of str, default=("level_shift", "broken_coupling", "spike", \
"flat_line", "changed_frequency")
        Those to plant, in equal numbers.
    noise : float, default=0.1
        Standard deviation of what is independent in each cell. That of what is not is 1
        in each channel.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same series. The windows without an anomaly do not depend
        on `contamination` and `kinds`.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data : ndarray of shape (n_samples, n_steps * n_channels)
            The windows as rows, steps first, as
            :class:`~sk_autoencoder.networks.RecurrentNet` takes them.
        series : ndarray of shape (n_samples, n_steps, n_channels)
            The same numbers, in the same memory.
        target : ndarray of shape (n_samples,)
            1 for an anomaly, else 0.
        kind : ndarray of shape (n_samples,)
            Name of the anomaly, "" where there is none.
        where : ndarray of bool of shape (n_samples, n_steps, n_channels)
            The cells that it changed.
        input_shape : tuple of int
            (n_steps, n_channels).
        DESCR : str
            Description of the series.

    (data, target) : tuple if ``return_X_y=True``
        The first and the third of the attributes above.

    Raises
    ------
    ValueError
        If a count is too small, or a fraction, a kind or the noise is none.

    Examples
    --------
    >>> from sk_autoencoder.datasets import make_series_anomalies
    >>> windows = make_series_anomalies(200, random_state=0)
    >>> windows.data.shape
    (200, 256)
    >>> int(windows.target.sum())
    20
    """
    names = _known(kinds)
    random = check_random_state(random_state)
    # A stream for each purpose: what is normal does not depend on what is planted.
    seeds = [random.randint(np.iinfo(np.int32).max) for _ in range(3)]
    machine = _Machine(n_steps, n_channels, np.random.default_rng(seeds[0]))
    windows = machine.draw(n_samples, noise, np.random.default_rng(seeds[1]))
    normal = machine.read(windows)
    series, kind = normal.copy(), np.full(n_samples, "", dtype="U17")
    rng = np.random.default_rng(seeds[2])
    planted = rng.permutation(n_samples)[: round(contamination * n_samples)]
    for i, row in enumerate(planted):
        kind[row] = names[i % len(names)]
        source = _Source(machine, windows, normal, int(row))
        _PLANTED[str(kind[row])](series[row], source, rng)
    data, target = series.reshape(n_samples, -1), (kind != "").astype(np.int64)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        series=series,
        target=target,
        kind=kind,
        where=series != normal,
        input_shape=(int(n_steps), int(n_channels)),
        DESCR=_DESCR,
    )


# -- what is normal -------------------------------------------------------------------

# Steps before a window over which heat is followed; what was before them is forgotten.
_BEFORE = 64
# Windows that set the mean and the deviation of a channel.
_TO_SCALE = 2000


class _Windows(NamedTuple):
    """What differs from window to window, (n,) each, and the noise of the cells."""

    phase: np.ndarray
    period: np.ndarray
    strength: np.ndarray
    level: np.ndarray
    slope: np.ndarray
    noise: np.ndarray


class _Machine:
    """What is the same in all windows: how channels depend on hidden states."""

    def __init__(self, n_steps: int, n_channels: int, rng: np.random.Generator) -> None:
        self._n_steps = n_steps
        self._lag = rng.integers(0, max(2, n_steps // 16), size=n_channels)
        self._mix = rng.normal(size=(3, n_channels))
        # The load is in all channels: none is without a season.
        self._mix[0] = np.sign(self._mix[0]) * (0.6 + np.abs(self._mix[0]))
        self._second = rng.uniform(0.3, 0.6)
        self._memory = math.exp(-16 / n_steps)
        self._mean, self._deviation = np.zeros(n_channels), np.ones(n_channels)
        clean = self.read(self.draw(_TO_SCALE, 0.0, rng))
        self._mean, self._deviation = clean.mean((0, 1)), clean.std((0, 1))

    def draw(self, n_samples: int, noise: float, rng: np.random.Generator) -> _Windows:
        """Draw windows."""
        shape = (n_samples, self._n_steps, len(self._lag))
        n_periods = np.exp(rng.uniform(np.log(1.5), np.log(4), n_samples))
        return _Windows(
            phase=rng.uniform(0, 2 * np.pi, n_samples),
            period=self._n_steps / n_periods,
            strength=np.exp(0.3 * rng.normal(size=n_samples)),
            level=0.7 * rng.normal(size=n_samples),
            slope=0.7 * rng.normal(size=n_samples),
            noise=noise * rng.normal(size=shape),
        )

    def read(
        self, windows: _Windows, *, start: int = 0, factor: float = 1.0
    ) -> np.ndarray:
        """Return the series of windows whose load runs faster from a step on."""
        n_steps, lag = self._n_steps, self._lag
        step = np.arange(-_BEFORE - lag.max(), n_steps)
        load = self._load(windows, step + (factor - 1) * np.maximum(step - start, 0))
        heat = np.zeros_like(load)
        for i in range(1, len(step)):
            old, new = heat[:, i - 1], np.square(load[:, i])
            heat[:, i] = self._memory * old + (1 - self._memory) * new
        ramp = np.arange(n_steps) / n_steps - 0.5
        drift = windows.level[:, None] + windows.slope[:, None] * ramp
        delayed = np.stack([load[:, -n_steps - d : load.shape[1] - d] for d in lag], 2)
        states = (delayed, heat[:, -n_steps:, None], drift[:, :, None])
        mixed = sum(m * state for m, state in zip(self._mix, states, strict=True))
        scaled = (np.arcsinh(mixed) - self._mean) / self._deviation
        series: np.ndarray = scaled + windows.noise
        return series

    def _load(self, windows: _Windows, step: np.ndarray) -> np.ndarray:
        """Return the load (n, n_steps): a season with a second harmonic."""
        angle = 2 * np.pi * step / windows.period[:, None] + windows.phase[:, None]
        wave = np.sin(angle) + self._second * np.sin(2 * angle + 1.0)
        load: np.ndarray = windows.strength[:, None] * wave
        return load


# -- what is not ----------------------------------------------------------------------


class _Source(NamedTuple):
    """Where a window that gets an anomaly comes from."""

    machine: _Machine
    windows: _Windows
    normal: np.ndarray
    row: int


Planter = Callable[[np.ndarray, _Source, np.random.Generator], None]
"""Changes a window (n_steps, n_channels) in place."""


def _stretch(n_steps: int, rng: np.random.Generator) -> slice:
    """Draw a stretch of a quarter to a half of the window, not from its first step."""
    length = int(rng.integers(n_steps // 4, n_steps // 2 + 1))
    start = int(rng.integers(1, n_steps - length + 1))
    return slice(start, start + length)


def _far(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number of deviations, up or down."""
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _level_shift(x: np.ndarray, _source: _Source, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(x) // 4, 3 * len(x) // 4))
    x[start:, rng.integers(x.shape[1])] += _far(rng, 1.0, 2.0)


def _broken_coupling(x: np.ndarray, source: _Source, rng: np.random.Generator) -> None:
    n = len(source.normal)
    other = (source.row + int(rng.integers(1, n))) % n
    steps, channel = _stretch(len(x), rng), rng.integers(x.shape[1])
    x[steps, channel] = source.normal[other, steps, channel]


def _spike(x: np.ndarray, _source: _Source, rng: np.random.Generator) -> None:
    length = int(rng.integers(1, 4))
    start = int(rng.integers(0, len(x) - length + 1))
    x[start : start + length, rng.integers(x.shape[1])] += _far(rng, 4.0, 8.0)


def _flat_line(x: np.ndarray, _source: _Source, rng: np.random.Generator) -> None:
    steps, channel = _stretch(len(x), rng), rng.integers(x.shape[1])
    x[steps, channel] = x[steps.start - 1, channel]


def _changed_frequency(
    x: np.ndarray, source: _Source, rng: np.random.Generator
) -> None:
    start = int(rng.integers(len(x) // 4, len(x) // 2))
    window = _Windows(*(part[[source.row]] for part in source.windows))
    faster = source.machine.read(window, start=start, factor=rng.uniform(1.6, 2.4))
    # What is before is the same but for rounding.
    x[start + 1 :] = faster[0, start + 1 :]


_PLANTED: dict[str, Planter] = {
    "level_shift": _level_shift,
    "broken_coupling": _broken_coupling,
    "spike": _spike,
    "flat_line": _flat_line,
    "changed_frequency": _changed_frequency,
}


# -- checks ---------------------------------------------------------------------------


def _known(kinds: Sequence[str]) -> list[str]:
    """Check the kinds of anomalies."""
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    if not names or any(name not in _PLANTED for name in names):
        raise ValueError(
            f"expected one or more of {list(_PLANTED)}, got kinds={kinds!r}. Pass e.g. "
            "kinds=('spike',)."
        )
    return names
