"""Error and time of the default fit beside those of other recipes.

    python -m benchmarks.quality.recipes --data DIR
    python -m benchmarks.quality.recipes --data DIR --seeds 2 --confirm
    python -m benchmarks.quality.recipes --estimator VAE

A recipe is a set of parameters. Its squared error on a quarter of the rows, which no
fit has seen, and the processor time of its fit are divided by those of the default fit.
A case is a set, with k = 10, or 5 for fewer than 20 columns; a seed draws the split and
the weights, and a case's figures are geometric means over the seeds. For the VAE the
error is exp(-l), l its log-likelihood a row and column. As in `quality.run`,
`--confirm` runs the sets that nothing was chosen by.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, some_rows, split_missing, squared_error
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    median,
    missing_files,
    number,
    publish,
)
from benchmarks._shared.results import Case
from benchmarks._shared.timing import load_note, timed
from benchmarks.quality.run import split
from sk_autoencoder import AutoEncoderTransformer, VAETransformer

ESTIMATORS = {"autoencoder": AutoEncoderTransformer, "VAE": VAETransformer}
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "GELU": {"activation": "gelu"},
}
"""Parameters by name; the others are divided by the first."""
ROWS = 3000
FEWEST = 300
"""Rows of a set that says something in one split."""
MOST_COLUMNS = 300
"""A fit of more takes minutes."""
CLOSE = 1.01


class Fit(NamedTuple):
    """What a fit is judged by.

    Attributes
    ----------
    error : float
        On rows that no fit has seen.
    seconds : float
        Of processor time.
    """

    error: float
    seconds: float


def cases(half: str, data: Any) -> Iterator[tuple[Case, np.ndarray]]:
    """Yield the cases of a half, each with its rows, at most `ROWS`."""
    names, _ = split_missing([n for n in SETS if SETS[n].half == half], data)
    for name in names:
        X = some_rows(SETS[name].load(data), ROWS)
        if len(X) < FEWEST or X.shape[1] > MOST_COLUMNS:
            continue
        k = 10 if X.shape[1] >= 20 else 5
        yield Case(name, SETS[name].units[-1], k), X


def measure(kind: str, params: dict[str, Any], case: Case, seed: int, X: Any) -> Fit:
    """Fit once, and score the rows held out."""
    train, test, *_ = split(case, X, seed)
    model = ESTIMATORS[kind](case.k, random_state=seed, device="cpu", **params)
    seconds, _ = timed(time.process_time, model.fit, train)
    if kind == "VAE":
        error = float(np.exp(-model.score(test) / X.shape[1]))
    else:
        error = squared_error(test, model.reconstruct(test))
    return Fit(error, seconds)


def ratios(fits: list[dict[str, Fit]], recipe: str) -> tuple[float, float]:
    """Return error and time of a recipe over the first one's, averaged over seeds."""
    first = next(iter(RECIPES))
    return (
        geometric_mean(fit[recipe].error / fit[first].error for fit in fits),
        geometric_mean(fit[recipe].seconds / fit[first].seconds for fit in fits),
    )


def summary(found: dict[Case, list[dict[str, Fit]]], recipe: str) -> tuple[str, ...]:
    """Return the row of a recipe in the table over all cases."""
    pairs = {case: ratios(fits, recipe) for case, fits in found.items()}
    errors = [error for error, _ in pairs.values()]
    close = np.mean([1 / CLOSE <= error <= CLOSE for error in errors])
    return (
        recipe,
        number(geometric_mean(errors)),
        number(median(errors)),
        number(min(errors)),
        number(max(errors)),
        f"{close:.0%}",
        number(geometric_mean(seconds for _, seconds in pairs.values())),
    )


def main() -> None:
    """Print a table of the cases, and one over all of them."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    add = parser.add_argument
    add("--seeds", type=int, default=1, help="fits a case (default 1)")
    add(
        "--estimator",
        choices=ESTIMATORS,
        default="autoencoder",
        help="(default %(default)s)",
    )
    add("--confirm", action="store_true", help="the sets kept for confirmation")
    args = parse(parser)
    half = "confirm" if args.confirm else "tune"
    found: dict[Case, list[dict[str, Fit]]] = {}
    every = tqdm(list(cases(half, args.data)))
    for case, X in every:
        every.set_postfix_str(f"{case.name}, k={case.k}")
        found[case] = [
            {
                name: measure(args.estimator, params, case, seed, X)
                for name, params in RECIPES.items()
            }
            for seed in range(args.seeds)
        ]
    first, *others = RECIPES
    rows = []
    for case, fits in found.items():
        cells = [case.name, case.units, str(case.k)]
        cells.append(number(geometric_mean(fit[first].seconds for fit in fits), 2))
        for recipe in others:
            cells += map(number, ratios(fits, recipe))
        rows.append(tuple(cells))
    names = [n for recipe in others for n in (f"{recipe}: error", "time")]
    header = ("recipe", "geometric mean", "median", "least", "largest", "within 1 %")
    _, missing = split_missing([n for n in SETS if SETS[n].half == half], args.data)
    publish(
        args.write,
        f"# Recipes over the default, {half} sets, {args.estimator}, {args.seeds} "
        f"seeds, one thread ({load_note()})",
        markdown_table((*header, "time"), [summary(found, r) for r in others]),
        markdown_table(("set", "units", "k", "default, s", *names), rows),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
