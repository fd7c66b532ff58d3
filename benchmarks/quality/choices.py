"""The measurements behind some numbers that the package fixes.

    python -m benchmarks.quality.choices
    python -m benchmarks.quality.choices --data DIR --seeds 1
    python -m benchmarks.quality.choices --tables products

Prints the held-out squared error for some values of each, as a multiple of the error
at the value in use: the least share of its unit to which a column is scaled up, the
steps a row that the budget gives to tables of under a hundred rows, the noise on what
the network sees beside PCA, the norm to which gradients are clipped, the standard
errors by which it has to be better than PCA; and of other schedules and sizes than the
default ones. The last table times the products of a training step by numpy and torch.
"""

import argparse
import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.common import (
    clock,
    ensure_one_thread,
    markdown_table,
    median,
    publish,
)
from benchmarks._shared.data import SETS
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder._columns import numeric
from sk_autoencoder._fitting import resolve
from sk_autoencoder._fitting.recipe import automatic_batch_size
from sk_autoencoder._objectives.reconstruct import Reconstruct

Measure = Callable[[Any, np.ndarray, int], float]

CARRIED: dict[str, Callable[[], Any]] = {
    "digits": load_digits,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "diabetes": load_diabetes,
}
TABLES = (
    "share",
    "noisy",
    "budget",
    "noise",
    "clip",
    "guard",
    "others",
    "products",
)
SHARES = (1e-6, 0.03, 0.1, 0.2, 0.3, 1.0)
STEPS_A_ROW = (5, 15, 60)
NOISES = (0.0, 0.1, 0.2, 0.4)
CLIPS = (1.0, 10.0, 100.0)
GUARDS = (0.0, 1.0, 1.5, 2.0)
OTHERS = (
    {},
    {"lr_schedule": "cosine"},
    {"lr": 1e-3},
    {"lr": 4e-3},
    {"hidden_layer_sizes": (512, 256)},
    {"hidden_layer_sizes": (128,)},
)
"""Other settings than the default ones, which come first."""
FAR_OUT, FAR_OUT_K = "ad_thyroid", 5
"""A set with rows far out, from the folder that `--data` names."""
LAYERS = ((128, 64, 32), (256, 784, 256), (128, 1500, 1500), (1024, 1500, 1500))
"""Rows of a batch, inputs and outputs of a layer, whose products are timed."""
TURNS = 15
TURN = 0.02
"""Seconds of a turn, roughly."""


def held_out_error(
    train: np.ndarray, test: np.ndarray, k: int = 0, **params: object
) -> float:
    """Unexplained share of the held-out rows' variance at the default settings."""
    k = k or min(10, train.shape[1] // 2)
    reducer = AutoEncoderTransformer(k, **params).fit(train)
    return 1 - reducer.score(test)


def error_at_share(share: float, X: np.ndarray, seed: int) -> float:
    """Error where no column is scaled up beyond a share of its unit."""
    train, test = train_test_split(X, random_state=seed)
    with mock.patch.object(numeric, "SMALLEST_SHARE", share):
        return held_out_error(train, test, random_state=seed)


def error_of_noisy(share: float, X: np.ndarray, seed: int) -> float:
    """Squared error to the clean rows of reconstructed noisy ones, over the noise's."""
    train, test = train_test_split(X, random_state=seed)
    noise = 4 * np.random.default_rng(seed).normal(size=test.shape)
    with mock.patch.object(numeric, "SMALLEST_SHARE", share):
        reducer = AutoEncoderTransformer(10, random_state=seed).fit(train)
        rows = reducer.reconstruct(test + noise)
    return float(np.square(rows - test).mean() / np.square(noise).mean())


def error_at_budget(steps_a_row: int, X: np.ndarray, seed: int) -> float:
    """Error after so many steps a row on forty rows, all columns of one weight.

    The start is random: from PCA, forty rows of any of these sets stay PCA.
    """
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = X[order[:40]], X[order[40:340]]
    steps_an_epoch = math.ceil(36 / automatic_batch_size(40))
    epochs = math.ceil(steps_a_row * 40 / steps_an_epoch)
    return held_out_error(
        train,
        test,
        init="random",
        max_epochs=epochs,
        numeric_scaling="standard",
        random_state=seed,
    )


def error_at_noise(noise: float, X: np.ndarray, seed: int) -> float:
    """Error with so much noise at few rows on what the network sees."""
    train, test = train_test_split(X, random_state=seed)
    with mock.patch.object(Reconstruct, "NOISE", noise):
        return held_out_error(
            train, test, numeric_scaling="standard", random_state=seed
        )


def error_at_guard(guard: float, X: np.ndarray, seed: int) -> float:
    """Error where so many standard errors of gain are asked for."""
    train, test = train_test_split(X, random_state=seed)
    with mock.patch.object(resolve, "GUARD", guard):
        return held_out_error(
            train, test, numeric_scaling="standard", random_state=seed
        )


def error_at_clip(norm: float, X: np.ndarray, seed: int, k: int = 0) -> float:
    """Error where gradients are clipped to a norm, columns of unit variance."""
    train, test = train_test_split(X, random_state=seed)
    return held_out_error(
        train,
        test,
        k,
        numeric_scaling="standard",
        random_state=seed,
        net_params={"gradient_clip": norm},
    )


def error_with(params: int, X: np.ndarray, seed: int) -> float:
    """Error with other settings."""
    train, test = train_test_split(X, random_state=seed)
    return held_out_error(
        train, test, numeric_scaling="standard", random_state=seed, **OTHERS[params]
    )


def table(
    title: str,
    measure: Measure,
    values: Iterable[float],
    in_use: float,
    seeds: int,
    sets: dict[str, np.ndarray],
    names: Iterable[str] = (),
) -> str:
    """Return the mean errors, a row a set and a column a value."""
    values = list(values)
    names = list(names) or [f"{value:g}" for value in values]
    rows = []
    for name, X in sets.items():
        cells = tqdm([(v, s) for v in values for s in range(seeds)], name, leave=False)
        errors = np.array([measure(v, X, s) for v, s in cells])
        means = errors.reshape(len(values), seeds).mean(axis=1)
        ratios = means / means[values.index(in_use)]
        rows.append((name, *(f"{ratio:.3g}" for ratio in ratios)))
    splits = "one split" if seeds == 1 else f"mean of {seeds} splits"
    return f"## {title}; {splits}\n\n{markdown_table(('set', *names), rows)}"


# ------------------------------------------------------------------------- products


def products() -> str:
    """Return a table of the products of layers, by numpy and by torch."""
    rows = []
    for n_rows, n_in, n_out in tqdm(LAYERS, "products", leave=False):
        for name, ways in _products(n_rows, n_in, n_out).items():
            taken = _microseconds(ways)
            layer = f"{n_rows:,} rows, {n_in:,} to {n_out:,}: {name}"
            cells = [f"{taken[way]:,.1f}" for way in ways]
            rows.append((layer, *cells, *["–"] * (3 - len(ways))))
    title = f"## Products of a layer, µs of processor time, median of {TURNS} turns"
    header = ("float32", "np.dot(out=)", "torch.mm(out=)", "torch.addmm(out=)")
    return f"{title}\n\n{markdown_table(header, rows)}"


def _products(n_rows: int, n_in: int, n_out: int) -> dict[str, dict[str, Callable]]:
    """Give the ways to each product; numpy's are on the memory of torch's tensors."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, z = (
        torch.randn(shape, generator=generator)
        for shape in ((n_rows, n_in), (n_out, n_in), (n_out,), (n_rows, n_out))
    )
    forward, back, to_weight = (torch.empty_like(t) for t in (z, x, weight))

    def ways(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> dict:
        arrays = [t.numpy() for t in (a, b, out)]
        return {
            "dot": lambda: np.dot(arrays[0], arrays[1], out=arrays[2]),
            "mm": lambda: torch.mm(a, b, out=out),
        }

    def add_bias(multiply: Callable) -> torch.Tensor:
        multiply()
        return forward.add_(bias)

    with_bias = {
        name: functools.partial(add_bias, multiply)
        for name, multiply in ways(x, weight.T, forward).items()
    }
    with_bias["addmm"] = lambda: torch.addmm(bias, x, weight.T, out=forward)
    return {
        "forward, with the bias": with_bias,
        "gradient by the weights": ways(z.T, x, to_weight),
        "gradient by the inputs": ways(z, weight, back),
    }


def _microseconds(ways: dict[str, Callable]) -> dict[str, float]:
    """Time one call of each; they take turns."""
    now = clock("cpu")
    calls = dict.fromkeys(ways, 1)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-2, TURNS):
        for name, way in ways.items():
            started = now()
            for _ in range(calls[name]):
                way()
            seconds = (now() - started) / calls[name]
            if turn < 0:  # to warm up, and to see how many calls fill a turn
                calls[name] = max(1, math.ceil(TURN / max(seconds, 1e-7)))
            else:
                taken[name].append(1e6 * seconds)
    return {name: median(turns) for name, turns in taken.items()}


def clips(seeds: int, sets: dict[str, np.ndarray], folder: Path | None) -> str:
    """Return the table of the norms to which gradients are clipped."""
    title = "Error over that at gradients of norm 10 at most, standardised columns"
    parts = [table(title, error_at_clip, CLIPS, 10.0, seeds, sets)]
    far_out = SETS[FAR_OUT]
    if far_out.missing(folder):
        parts.append(f"- no file for: {FAR_OUT}")
    else:
        measure = functools.partial(error_at_clip, k=FAR_OUT_K)
        rows = {FAR_OUT: far_out.load(folder)}
        title = f"The same with rows far out, k = {FAR_OUT_K}"
        parts.append(table(title, measure, CLIPS, 10.0, seeds, rows))
    return "\n\n".join(parts)


def tables(
    seeds: int, sets: dict[str, np.ndarray], folder: Path | None
) -> dict[str, Callable[[], str]]:
    """Give what makes each table."""
    share = numeric.SMALLEST_SHARE
    digits = {"digits": sets["digits"]}
    changes = [", ".join(f"{k}={v}" for k, v in p.items()) or "default" for p in OTHERS]
    return {
        "share": lambda: table(
            f"Error over that at the share in use, {share:g}",
            error_at_share,
            SHARES,
            share,
            seeds,
            sets,
        ),
        "noisy": lambda: table(
            "Error of noisy digits, likewise",
            error_of_noisy,
            SHARES,
            share,
            seeds,
            digits,
        ),
        "budget": lambda: table(
            "Forty rows, random start: error over that at 15 steps a row",
            error_at_budget,
            STEPS_A_ROW,
            15,
            seeds,
            sets,
        ),
        "noise": lambda: table(
            "Error over that at 0.2 standard deviations of noise, standardised columns",
            error_at_noise,
            NOISES,
            0.2,
            seeds,
            sets,
        ),
        "clip": lambda: clips(seeds, sets, folder),
        "guard": lambda: table(
            "Error over that at a guard of 1.5 standard errors, standardised columns",
            error_at_guard,
            GUARDS,
            1.5,
            seeds,
            sets,
        ),
        "others": lambda: table(
            "Error over that at the default settings, standardised columns",
            error_with,
            range(len(OTHERS)),
            0,
            seeds,
            sets,
            changes,
        ),
        "products": products,
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="splits (default 3)")
    add("--tables", nargs="+", choices=TABLES, default=TABLES, help="default all")
    add("--data", type=Path, help="folder with the open sets' files")
    add("--write", type=Path, metavar="FILE", help="also write the tables there")
    args = parser.parse_args()
    ensure_one_thread()
    torch.set_num_threads(1)
    sets = {name: load().data for name, load in CARRIED.items()}
    make = tables(args.seeds, sets, args.data)
    parts = [make[name]() for name in tqdm(args.tables)]
    publish("\n\n".join(parts), args.write)


if __name__ == "__main__":
    main()
