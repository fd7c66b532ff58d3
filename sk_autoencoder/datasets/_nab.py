"""Two series of the Numenta Anomaly Benchmark, carried by the package."""

from __future__ import annotations

import csv
import gzip
import io
from importlib import resources
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sk_autoencoder._utils.sklearn_compat import StrOptions, validate_params
from sk_autoencoder.datasets._checks import import_pandas

SERIES = {"nyc_taxi", "machine_temperature"}
_DESCR = """\
Two series of the Numenta Anomaly Benchmark
===========================================

nyc_taxi             passengers of New York's taxis, half-hours from July 2014 to
                     January 2015: 10,320 values. Labeled are the marathon,
                     Thanksgiving, Christmas, New Year's and a snow storm.
machine_temperature  temperature of a large industrial machine, from December 2013
                     to February 2014: 5,672 means of 20 minutes. Labeled are a
                     planned shutdown, two more anomalies, and the machine's failure.

Source: Numenta Anomaly Benchmark, https://github.com/numenta/NAB; the rides from the
New York City Taxi and Limousine Commission
Citation: Lavin, A. and Ahmad, S. (2015). Evaluating real-time anomaly detection
algorithms: the Numenta Anomaly Benchmark. ICMLA. https://doi.org/10.1109/ICMLA.2015.141
License: MIT
"""


@validate_params(series=[StrOptions(SERIES)], as_frame=["boolean"])
def load_nab(series: str = "nyc_taxi", *, as_frame: bool = True) -> Bunch:
    """Load a series with labeled anomalies, of the Numenta Anomaly Benchmark.

    Parameters
    ----------
    series : {"nyc_taxi", "machine_temperature"}, default="nyc_taxi"
        Passengers of New York's taxis by the half-hour, 10,320 values, or the
        temperature of an industrial machine, 5,672 means of 20 minutes.
    as_frame : bool, default=True
        If True, `data` and `target` are pandas Series with the times as index. If
        False, they are numpy arrays, and pandas need not be installed.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data : Series or ndarray of shape (n_steps,)
            The values, float64, one every `step` minutes without gaps.
        target : Series or ndarray of shape (n_steps,)
            True within the labeled windows, which are wider than the anomalies.
        times : ndarray of shape (n_steps,), datetime64
            When each step begins.
        step : int
            Minutes between two values.
        DESCR : str
            What the data are, with source and license.

    Raises
    ------
    ImportError
        If ``as_frame=True`` and pandas is not installed.
    ValueError
        If there is no such series.

    Notes
    -----
    Source: Numenta Anomaly Benchmark, https://github.com/numenta/NAB [1]_. License:
    MIT. Changes: labels joined on; the temperature averaged over 20 minutes from 5.

    References
    ----------
    .. [1] Lavin, A. and Ahmad, S. (2015). Evaluating real-time anomaly detection
       algorithms: the Numenta Anomaly Benchmark. ICMLA.
       https://doi.org/10.1109/ICMLA.2015.141

    Examples
    --------
    >>> from sk_autoencoder.datasets import load_nab
    >>> taxi = load_nab(as_frame=False)
    >>> taxi.data.reshape(-1, 48).shape  # days of half-hours
    (215, 48)
    >>> round(float(taxi.target.mean()), 3)
    0.1
    """
    pandas = import_pandas() if as_frame else None
    times, values, labels = _read(series)
    step = int((times[1] - times[0]) / np.timedelta64(1, "m"))
    data: Any = values
    target: Any = labels
    if pandas is not None:
        index = pandas.DatetimeIndex(times, name="time")
        data = pandas.Series(values, index=index, name=series)
        target = pandas.Series(labels, index=index, name="anomaly_window")
    return Bunch(data=data, target=target, times=times, step=step, DESCR=_DESCR)


def _read(series: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read times, values and labels of one series."""
    packed = (resources.files(__package__) / "data" / "nab.csv.gz").read_bytes()
    with io.StringIO(gzip.decompress(packed).decode("ascii")) as text:
        rows = [row[1:] for row in csv.reader(text) if row[0] == series]
    times, values, labels = zip(*rows, strict=True)
    return (
        np.array(times, dtype="datetime64[m]"),
        np.array(values, dtype=np.float64),
        np.array(labels) == "1",
    )
