"""Time of fits and of `transform` on a GPU, beside the CPU of the same machine.

    python -m benchmarks.speed.gpu
    python -m benchmarks.speed.gpu --repetitions 3 --write gpu.md

Fits with nothing set but `n_components` and the seed, of digits, of 2,000 encoded rows
of Adult and of a SYNTHETIC table; hidden features by a network of three layers of 1,500
units; a masked network of Adult's columns. Then codes and hidden features of a million
synthetic rows, from an array and from a tensor that is on the device. Wall time, after
one turn each that does not count; the CPU has all its cores. Errors are held-out
squared errors over PCA's, which show that both end at the same quality.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from benchmarks._shared.command import command_line, ensure_environment
from benchmarks._shared.data import adult, digits, fill, some_rows
from benchmarks._shared.report import document, markdown_table, median, number, publish
from benchmarks._shared.timing import Turns, seconds, take_turns, timed
from benchmarks.speed.fit_workloads import synthetic_table
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.datasets import load_adult

NOT_MEASURED = "not measured: no CUDA device"
DEVICES = {"CPU": "cpu", "GPU": "cuda"}
K = 10
ADULT_ROWS = 2_000
WIDTH = 221
BIG = {"hidden_layer_sizes": (1500, 1500, 1500), "max_epochs": 3}


class Fit(NamedTuple):
    """An estimator, and the rows that it is fitted to."""

    estimator: Any
    rows: Any


def fits() -> dict[str, Fit]:
    """Return what is fitted, by name."""
    X, table = digits(Path()), synthetic_table(20_000)
    rows = some_rows(adult(Path()), ADULT_ROWS)
    hidden = partial(DenoisingAutoEncoderTransformer, features="hidden")
    masked = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True
    )
    return {
        "autoencoder, digits": Fit(AutoEncoderTransformer(K), X),
        "VAE, digits": Fit(VAETransformer(K), X),
        "denoiser, digits": Fit(DenoisingAutoEncoderTransformer(K), X),
        "hidden features, digits": Fit(hidden(), X),
        f"autoencoder, Adult, {ADULT_ROWS:,}": Fit(AutoEncoderTransformer(K), rows),
        "autoencoder, 20,000 x 221": Fit(AutoEncoderTransformer(K), table),
        "hidden features, 20,000 x 221": Fit(hidden(), table),
        "hidden 1500-1500-1500, 3 epochs": Fit(hidden(**BIG), table),
        f"masked network, Adult, {ADULT_ROWS:,}": Fit(
            masked, load_adult().data[:ADULT_ROWS]
        ),
    }


def fit_on(one: Fit, device: str, seed: int) -> tuple[float, Any]:
    """Return the seconds of a fit, and the estimator."""
    estimator = type(one.estimator)(**one.estimator.get_params(deep=False))
    estimator.set_params(device=device, random_state=seed)
    return timed(time.perf_counter, estimator.fit, one.rows)


def measure(one: Fit, device: str, seed: int) -> tuple[float, float]:
    """Return the seconds, and the held-out error over PCA's: NaN without a code."""
    train, test = train_test_split(one.rows, random_state=0)
    taken, estimator = fit_on(Fit(one.estimator, train), device, seed)
    if getattr(one.estimator, "features", "") in ("hidden", "reconstruction"):
        return taken, math.nan
    pca = PCA(K).fit(train)
    of_pca = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    return taken, float(np.square(test - estimator.reconstruct(test)).sum() / of_pca)


def report_fits(args: argparse.Namespace) -> str:
    """Return the table of fits."""
    rows = []
    for name, one in fits().items():
        if args.cases and not any(case in name for case in args.cases):
            continue

        def turn(where: str, seed: int, one: Fit = one) -> tuple[float, float]:
            return measure(one, DEVICES[where], seed)

        found = take_turns(DEVICES, turn, args.repetitions, name)
        errors = [median(turn[1] for turn in found[where]) for where in DEVICES]
        rows.append((name, *_times(found), *(number(error, 3) for error in errors)))
    header = ("fit", "CPU, s", "GPU, s", "GPU / CPU", "error, CPU", "error, GPU")
    return document("## fits at the defaults, wall time", markdown_table(header, rows))


def report_transform(args: argparse.Namespace) -> str:
    """Return the table of a million rows."""
    X = fill(np.empty((args.rows, WIDTH), dtype=np.float32), noise=1.0)
    hidden = DenoisingAutoEncoderTransformer(
        features="hidden", hidden_layer_sizes=(256, 256, 256), max_epochs=1
    )
    both = {
        "codes of 10": AutoEncoderTransformer(K, max_epochs=1),
        "768 hidden": hidden,
    }
    rows = []
    for name, estimator in both.items():
        turns: dict[str, Callable[[], Any]] = {}
        for where, device in DEVICES.items():
            found = fit_on(Fit(estimator, X[:5_000]), device, 0)[1]
            turns[where] = partial(found.transform, X)
        there = torch.from_numpy(X).to(DEVICES["GPU"])
        turns["tensor"] = partial(_of_tensor, found, there)
        run = partial(_turn, turns)
        times = take_turns(turns, run, args.repetitions, name)
        rows.append((name, *_times(times), number(seconds(times, "tensor"), 3)))
        del turns
    header = (
        f"{args.rows:,} x {WIDTH}",
        "CPU, s",
        "GPU, s",
        "GPU / CPU",
        "tensor on it, s",
    )
    return document("## transform", markdown_table(header, rows))


def _turn(turns: dict[str, Callable[[], Any]], name: str, _: int) -> tuple[float]:
    return (timed(time.perf_counter, turns[name])[0],)


def _of_tensor(estimator: Any, rows: torch.Tensor) -> torch.Tensor:
    with config_context(array_api_dispatch=True):
        found: torch.Tensor = estimator.transform(rows)
    if found.is_cuda:
        torch.cuda.synchronize()
    return found


def _times(turns: Turns) -> tuple[str, str, str]:
    here, there = (seconds(turns, where) for where in DEVICES)
    return number(here, 3), number(there, 3), number(there / here, 2)


def main() -> None:
    """Print a table of fits and one of `transform`."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--repetitions", type=int, default=2)
    add("--rows", type=int, default=1_000_000, help="of `transform`")
    add("--cases", nargs="+", metavar="TEXT", help="fits whose names have it")
    args = parser.parse_args()
    ensure_environment(["SCIPY_ARRAY_API"])  # for tensors in, tensors out
    if not torch.cuda.is_available():
        publish(args.write, f"# Fits on a GPU\n\n{NOT_MEASURED}")
        return
    name = torch.cuda.get_device_name()
    title = f"# {name}, beside a CPU with {torch.get_num_threads()} threads"
    publish(args.write, title, report_fits(args), report_transform(args))


if __name__ == "__main__":
    main()
