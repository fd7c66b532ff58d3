"""What fits take beside their training steps.

    python -m benchmarks.speed.around
    python -m benchmarks.speed.around --repetitions 1

Each fit takes turns with the same one of a single epoch, in seconds of processor time:
what that takes longer than an epoch is beside the epochs, which include validation. The
detector is compared with fits of its own networks alone,
each to as many rows as inside, and with what these take without epochs: steps of all of
them together could save no more than the difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import synthetic_pictures
from benchmarks._shared.report import document, markdown_table, number, publish
from benchmarks._shared.timing import load_note, seconds, take_turns, timed
from benchmarks.speed.fit_workloads import standardized, synthetic_table

SEEN = 2 / 3 * 0.8
"""Fraction of the rows that each network of a detector is fitted to."""


def reducer(**parameters: Any) -> Any:
    """Return a transformer to fit."""
    from sk_autoencoder import AutoEncoderTransformer

    return AutoEncoderTransformer(random_state=0, device="cpu", **parameters)


def fits() -> dict[str, tuple[Any, np.ndarray]]:
    """Return the fits of transformers, and their rows."""
    pictures = standardized(synthetic_pictures(10_000)).astype(np.float32)
    ten = reducer(
        n_components=100,
        hidden_layer_sizes=(256, 128),
        batch_size=256,
        max_epochs=10,
        early_stopping=False,
    )
    return {
        "digits, k = 10, the defaults": (reducer(n_components=10), load_digits().data),
        "10,000 x 784, ten epochs from PCA": (ten, pictures),
        "likewise, random start": (clone(ten).set_params(init="random"), pictures),
    }


def tables() -> dict[str, np.ndarray]:
    """Return the rows that detectors are fitted to."""
    return {
        "digits": load_digits().data,
        "breast cancer": load_breast_cancer().data,
        "5,000 x 66": synthetic_table(5_000, n_columns=66),
    }


def measured(calls: dict[str, Callable[[], Any]], repetitions: int) -> list[float]:
    """Return the median seconds of calls that take turns."""
    turns = take_turns(
        calls,
        lambda name, _: (timed(time.process_time, calls[name])[0],),
        repetitions,
    )
    return [seconds(turns, name) for name in calls]


def of_fit(estimator: Any, X: np.ndarray, repetitions: int) -> tuple[float, float]:
    """Return the seconds of a fit, and of what is not in its epochs."""
    first = clone(estimator).set_params(max_epochs=1)
    calls = {"whole": lambda: estimator.fit(X), "first": lambda: first.fit(X)}
    whole, one = measured(calls, repetitions)
    return whole, one - (whole - one) / (estimator.n_iter_ - 1)


def of_detector(X: np.ndarray, repetitions: int) -> tuple[float, ...]:
    """Return the seconds of a detector's fit, of its networks', and without epochs."""
    from sk_autoencoder import AutoEncoderOutlierDetector

    detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
    rows = X[: round(SEEN * len(X))]
    members = [clone(member) for member in detector.estimators_]
    starts = [clone(member).set_params(max_epochs=0) for member in members]
    calls = {
        "whole": lambda: detector.fit(X),
        "members": lambda: [member.fit(rows) for member in members],
        "starts": lambda: [start.fit(rows) for start in starts],
    }
    return tuple(measured(calls, repetitions))


def main() -> None:
    """Measure, and print two tables."""
    parser = command_line(__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parse(parser)
    rows = []
    for name, (estimator, X) in fits().items():
        whole, around = of_fit(estimator, X, args.repetitions)
        rows.append((name, number(whole), number(around), f"{around / whole:.1%}"))
    header = ("fit", "seconds", "beside its epochs", "of the whole")
    first = markdown_table(header, rows)
    rows = []
    for name, X in tables().items():
        whole, members, starts = of_detector(X, args.repetitions)
        epochs = f"{(members - starts) / whole:.0%}"
        rows.append((name, number(whole), number(members), number(starts), epochs))
    header = ("detector", "seconds", "its networks", "without epochs", "epochs / all")
    publish(args.write, document(first, markdown_table(header, rows), load_note()))


if __name__ == "__main__":
    main()
