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
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS
from benchmarks._shared.report import (
    document,
    markdown_table,
    median,
    missing_files,
    publish,
)
from benchmarks._shared.timing import clock
from sk_autoencoder import AutoEncoderTransformer

Measure = Callable[[Any, np.ndarray, int], float]
Sets = dict[str, np.ndarray]

CARRIED: dict[str, Callable[[], Any]] = {
    "digits": load_digits,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "diabetes": load_diabetes,
}
CONSTANTS = {
    "share": "_columns.numbers.SMALLEST_SHARE",
    "noise": "_objectives.reconstruct.Reconstruct.NOISE",
    "guard": "_fitting.resolve.ROOT_FALLBACK_MARGIN",
}
"""What no parameter sets, by its name in the package: the experiments vary it."""
IN_USE = {"share": 0.2, "budget": 15, "noise": 0.2, "clip": 10.0, "guard": 1.75}
SHARES = (1e-6, 0.03, 0.1, 0.2, 0.3, 1.0)
STEPS_A_ROW = (5, 15, 60)
NOISES = (0.0, 0.1, 0.2, 0.4)
CLIPS = (1.0, 10.0, 100.0)
GUARDS = (0.0, 0.75, 1.25, 1.75, 2.25, 2.75)
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
LAYERS = (
    (64, 32, 8),
    (128, 64, 32),
    (128, 64, 256),
    (128, 256, 128),
    (256, 784, 256),
    (128, 1500, 1500),
    (1024, 1500, 1500),
)
"""Rows of a batch, inputs and outputs of a layer, whose products are timed."""
TURNS = 15
TURN = 0.02
"""Seconds of a turn, roughly."""


def varied(constant: str, value: float) -> Any:
    """Return a context in which a constant of the package has another value."""
    return mock.patch(f"sk_autoencoder.{CONSTANTS[constant]}", value)


def held_out_error(
    train: np.ndarray, test: np.ndarray, k: int = 0, **params: object
) -> float:
    """Unexplained share of the held-out rows' variance at the default settings."""
    k = k or min(10, train.shape[1] // 2)
    reducer = AutoEncoderTransformer(k, **params).fit(train)
    return 1 - reducer.score(test)


def split_error(X: np.ndarray, seed: int, k: int = 0, **params: object) -> float:
    """Error of a split, columns of unit variance."""
    train, test = train_test_split(X, random_state=seed)
    params = {"numeric_scaling": "standard", "random_state": seed, **params}
    return held_out_error(train, test, k, **params)


def error_at_share(share: float, X: np.ndarray, seed: int) -> float:
    """Error where no column is scaled up beyond a share of its unit."""
    with varied("share", share):
        return split_error(X, seed, numeric_scaling="auto")


def error_of_noisy(share: float, X: np.ndarray, seed: int) -> float:
    """Squared error to the clean rows of reconstructed noisy ones, over the noise's."""
    train, test = train_test_split(X, random_state=seed)
    noise = 4 * np.random.default_rng(seed).normal(size=test.shape)
    with varied("share", share):
        reducer = AutoEncoderTransformer(10, random_state=seed).fit(train)
        rows = reducer.reconstruct(test + noise)
    return float(np.square(rows - test).mean() / np.square(noise).mean())


def error_at_budget(steps_a_row: int, X: np.ndarray, seed: int) -> float:
    """Error after so many steps a row on forty rows, all columns of one weight.

    The start is random: from PCA, forty rows of any of these sets stay PCA.
    """
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = X[order[:40]], X[order[40:340]]
    return held_out_error(
        train,
        test,
        init="random",
        # Two batches: 36 rows are trained on, 32 of them at once.
        max_epochs=math.ceil(steps_a_row * 40 / 2),
        numeric_scaling="standard",
        random_state=seed,
    )


def error_at_noise(noise: float, X: np.ndarray, seed: int) -> float:
    """Error with so much noise at few rows on what the network sees."""
    with varied("noise", noise):
        return split_error(X, seed)


def error_at_guard(guard: float, X: np.ndarray, seed: int) -> float:
    """Error where so many standard errors of gain are asked for."""
    with varied("guard", guard):
        return split_error(X, seed)


def error_at_clip(norm: float, X: np.ndarray, seed: int, k: int = 0) -> float:
    """Error where gradients are clipped to a norm."""
    return split_error(X, seed, k, net_params={"gradient_clip": norm})


def error_with(params: int, X: np.ndarray, seed: int) -> float:
    """Error with other settings."""
    return split_error(X, seed, **OTHERS[params])


class Choice(NamedTuple):
    """A table of errors, a column a value.

    Parameters
    ----------
    title : str
    measure : callable
    values : sequence
    in_use : float
        The value whose errors the others are divided by.
    names : sequence of str
        In place of the values.
    only : str or None
        The one set that is measured.
    """

    title: str
    measure: Measure
    values: Iterable[float]
    in_use: float
    names: Iterable[str] = ()
    only: str | None = None


CHOICES = {
    "share": Choice(
        f"Error over that at the share in use, {IN_USE['share']:g}",
        error_at_share,
        SHARES,
        IN_USE["share"],
    ),
    "noisy": Choice(
        "Error of noisy digits, likewise",
        error_of_noisy,
        SHARES,
        IN_USE["share"],
        only="digits",
    ),
    "budget": Choice(
        "Forty rows, random start: error over that at 15 steps a row",
        error_at_budget,
        STEPS_A_ROW,
        IN_USE["budget"],
    ),
    "noise": Choice(
        "Error over that at 0.2 standard deviations of noise, standardized columns",
        error_at_noise,
        NOISES,
        IN_USE["noise"],
    ),
    "clip": Choice(
        "Error over that at gradients of norm 10 at most, standardized columns",
        error_at_clip,
        CLIPS,
        IN_USE["clip"],
    ),
    "guard": Choice(
        "Error over that at a guard of 1.75 standard errors, standardized columns",
        error_at_guard,
        GUARDS,
        IN_USE["guard"],
    ),
    "others": Choice(
        "Error over that at the default settings, standardized columns",
        error_with,
        range(len(OTHERS)),
        0,
        [", ".join(f"{k}={v}" for k, v in p.items()) or "default" for p in OTHERS],
    ),
}
TABLES = (*CHOICES, "products")


def table(choice: Choice, seeds: int, sets: Sets) -> str:
    """Return the mean errors, a row a set and a column a value."""
    values = list(choice.values)
    names = choice.names or [f"{value:g}" for value in values]
    rows = []
    for name, X in sets.items():
        if choice.only not in (None, name):
            continue
        cells = tqdm([(v, s) for v in values for s in range(seeds)], name, leave=False)
        errors = np.array([choice.measure(v, X, s) for v, s in cells])
        means = errors.reshape(len(values), seeds).mean(axis=1)
        ratios = means / means[values.index(choice.in_use)]
        rows.append((name, *(f"{ratio:.3g}" for ratio in ratios)))
    splits = "one split" if seeds == 1 else f"mean of {seeds} splits"
    title = f"## {choice.title}; {splits}"
    return document(title, markdown_table(("set", *names), rows))


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
    return document(title, markdown_table(header, rows))


def _products(n_rows: int, n_in: int, n_out: int) -> dict[str, dict[str, Callable]]:
    """Return the ways to each product; numpy's are on the memory of torch's tensors."""
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
        name: partial(add_bias, multiply)
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


def tables(name: str, sets: Sets, args: argparse.Namespace) -> list[str]:
    """Return a table, and that of the set with rows far out beside that of norms."""
    if name == "products":
        return [products()]
    parts = [table(CHOICES[name], args.seeds, sets)]
    if name != "clip":
        return parts
    if SETS[FAR_OUT].missing(args.data):
        return [*parts, *missing_files([FAR_OUT])]
    far_out = CHOICES["clip"]._replace(
        title=f"The same with rows far out, k = {FAR_OUT_K}",
        measure=partial(error_at_clip, k=FAR_OUT_K),
    )
    sets = {FAR_OUT: SETS[FAR_OUT].load(args.data)}
    return [*parts, table(far_out, args.seeds, sets)]


def main() -> None:
    """Print the tables."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="splits (default 3)")
    add("--tables", nargs="+", choices=TABLES, default=TABLES, help="default all")
    args = parse(parser)
    sets = {name: load().data for name, load in CARRIED.items()}
    parts = [part for name in tqdm(args.tables) for part in tables(name, sets, args)]
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
