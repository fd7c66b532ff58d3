"""Held-out reconstruction of networks of one size, beside PCA's at the same k.

Every method is fitted on three quarters of the rows and reconstructs the rest through
k numbers. Reported are the explained variance, 1 - SSE / SST with SST around the
training mean, and the squared error over PCA's on the same rows: below 1 is better
than PCA. Both are medians over the seeds; a seed draws the split and the weights.

MLPRegressor(X, X) has the layers of the autoencoder, the bottleneck among them, once
with its defaults and once with the best of a small grid of learning rate and alpha.
The best is picked by the held-out rows themselves, which is more than a user could
do: the comparison leans towards it. Its seconds are those of the whole grid.

Only the sets that defaults may be tuned on are run; `--confirm` runs the others
instead, once, when there is something to confirm.

    python benchmarks/bench_quality.py --quick
    python benchmarks/bench_quality.py --data DIR --seeds 3 --write quality.md
    python benchmarks/bench_quality.py --sets digits adult --k 10
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    ensure_one_thread,
    geometric_mean,
    load_note,
    markdown_table,
    median,
    number,
    publish,
)
from data import SETS
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

HIDDEN = (256, 128)
"""Our default layers between input and code, and so MLPRegressor's."""
GRID = list(itertools.product((3e-4, 1e-3, 3e-3), (1e-4, 1e-2)))
"""Learning rates and alphas for MLPRegressor; its defaults, (1e-3, 1e-4), are in it."""
DIGITS_TARGET = 0.85
"""Explained variance of AutoEncoderTransformer on digits, k = 10."""
QUICK_SETS = ("digits", "breast_cancer", "wine", "diabetes", "adult")

OURS = "AutoEncoder"
MLP = "MLP"
MLP_BEST = "MLP, best of grid"
METHODS = ("PCA", OURS, "Denoising", "VAE", MLP, MLP_BEST)


@dataclass(frozen=True)
class Case:
    """One line of the tables."""

    name: str
    units: str
    k: int


@dataclass(frozen=True)
class Outcome:
    """What one method made of one case and seed; NaN where it failed."""

    seconds: float
    error: float
    explained: float


@dataclass
class Results:
    """All outcomes so far, and what did not work out."""

    outcomes: dict[Case, dict[str, list[Outcome]]] = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, case: Case, method: str, outcome: Outcome) -> None:
        """Keep one outcome."""
        methods = self.outcomes.setdefault(case, defaultdict(list))
        methods[method].append(outcome)

    def value(self, case: Case, method: str, what: str) -> float:
        """Median over the seeds of "explained", "seconds" or "ratio" (to PCA's)."""
        mine = self.outcomes[case].get(method, [])
        if what != "ratio":
            return median(getattr(outcome, what) for outcome in mine)
        pca = self.outcomes[case]["PCA"]
        if not mine:
            return math.nan
        pairs = zip(mine, pca, strict=True)
        return median(a.error / b.error if b.error else math.nan for a, b in pairs)


# -------------------------------------------------------------------------- methods


def reducer(make: Callable[[int, int], Any]) -> Callable:
    """Return a function that fits what `make(k, seed)` gives and reconstructs."""

    def run(train: np.ndarray, test: np.ndarray, k: int, seed: int) -> tuple:
        model = make(k, seed)
        started = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - started
        if hasattr(model, "module_"):
            _check_sizes(model, k)
        return seconds, model.inverse_transform(model.transform(test))

    return run


def _check_sizes(model: Any, k: int) -> None:
    """Refuse a comparison of unequal networks, should our default change."""
    widths = [getattr(m, "out_features", None) for m in model.module_.encoder.modules()]
    sizes = tuple(width for width in widths if width is not None)
    if sizes[:-1] != HIDDEN:
        raise RuntimeError(
            f"expected layers {HIDDEN} before the code of {k}, got {sizes} from "
            f"{model!r}. Set HIDDEN in this file to the new default."
        )


def own_methods() -> dict[str, Callable]:
    """Return our three estimators at their defaults."""
    from sk_autoencoder import (
        AutoEncoderTransformer,
        DenoisingAutoEncoderTransformer,
        VAETransformer,
    )

    classes = {
        OURS: AutoEncoderTransformer,
        "Denoising": DenoisingAutoEncoderTransformer,
        "VAE": VAETransformer,
    }

    def maker(estimator: Any) -> Callable[[int, int], Any]:
        return lambda k, seed: estimator(k, device="cpu", random_state=seed)

    return {name: reducer(maker(estimator)) for name, estimator in classes.items()}


def mlp(
    train: np.ndarray, test: np.ndarray, k: int, seed: int, *, lr: float, alpha: float
) -> tuple[float, np.ndarray]:
    """Fit MLPRegressor on (X, X), everything but `lr` and `alpha` at its default."""
    model = MLPRegressor(
        hidden_layer_sizes=(*HIDDEN, k, *reversed(HIDDEN)),
        learning_rate_init=lr,
        alpha=alpha,
        random_state=seed,
    )
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, train)
    return time.perf_counter() - started, model.predict(test)


# ------------------------------------------------------------------------- one case


def outcome_of(run: Callable[[], tuple], test: np.ndarray, mean: np.ndarray) -> Outcome:
    """Run a method and score its reconstruction of the held-out rows."""
    seconds, reconstruction = run()
    error = np.square(test - reconstruction, dtype=np.float64).sum()
    total = np.square(test - mean, dtype=np.float64).sum()
    return Outcome(seconds, float(error), float(1 - error / total))


def run_case(
    case: Case, X: np.ndarray, seed: int, methods: list[str], results: Results
) -> None:
    """Run all the methods on one case and seed."""
    train, test = train_test_split(X, test_size=0.25, random_state=seed)
    if case.units == "standard":
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
    mean = train.mean(axis=0, dtype=np.float64)
    data = (train, test, case.k, seed)
    functions: dict[str, Callable] = {
        "PCA": reducer(lambda k, seed: PCA(k, random_state=seed)),
        **(own_methods() if set(methods) & set(METHODS[1:4]) else {}),
    }

    def attempt(method: str, run: Callable[[], tuple]) -> Outcome:
        # A rival that diverges, or one of ours, is a result, not the end of the run.
        try:
            return outcome_of(run, test, mean)
        except (ValueError, FloatingPointError) as error:
            reason = str(error).splitlines()[0]
            note = f"{method} on {case.name} ({case.units}), k={case.k}: {reason}"
            results.notes.append(note)
            return Outcome(math.nan, math.nan, math.nan)

    for method in methods:
        if method in functions:
            run = functions[method]
            results.add(case, method, attempt(method, lambda run=run: run(*data)))
    grid = GRID if MLP_BEST in methods else [(1e-3, 1e-4)] if MLP in methods else []
    tried: dict[tuple[float, float], Outcome] = {}
    for lr, alpha in grid:
        settings = {"lr": lr, "alpha": alpha}
        name = f"MLP {settings}"
        tried[lr, alpha] = attempt(name, lambda s=settings: mlp(*data, **s))
    if MLP in methods:
        results.add(case, MLP, tried[1e-3, 1e-4])
    if MLP_BEST in methods:
        finite = [o for o in tried.values() if math.isfinite(o.error)]
        best = min(finite, key=lambda o: o.error, default=tried[1e-3, 1e-4])
        seconds = sum(o.seconds for o in finite)
        results.add(case, MLP_BEST, Outcome(seconds, best.error, best.explained))


# --------------------------------------------------------------------------- report


def report(results: Results, methods: list[str], title: str) -> str:
    """Return the tables: explained variance, error over PCA's, seconds, summary."""
    parts = [title]
    if results.outcomes:
        kinds = (
            ("explained", "Explained variance of held-out rows", 3),
            ("ratio", "Squared error over PCA's on the same rows", 2),
            ("seconds", "Seconds of fit", 2),
        )
        for what, heading, digits in kinds:
            parts += [f"## {heading}", _case_table(results, methods, what, digits)]
        parts += ["## Over all cases", _summary(results, methods)]
        parts += _verdict(results)
    if results.notes:
        parts += ["## What was left out or failed"]
        parts += ["\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(parts)


def _case_table(results: Results, methods: list[str], what: str, digits: int) -> str:
    rows = []
    for case in results.outcomes:
        label = f"{case.name} ({case.units})"
        values = (results.value(case, method, what) for method in methods)
        cells = (number(value, digits) for value in values)
        rows.append((label, results.shapes[case.name], str(case.k), *cells))
    return markdown_table(("set (units)", "rows x columns", "k", *methods), rows)


def _summary(results: Results, methods: list[str]) -> str:
    rows = []
    for method in methods:
        ratios = [results.value(case, method, "ratio") for case in results.outcomes]
        ratios = [ratio for ratio in ratios if math.isfinite(ratio)]
        seconds = [results.value(case, method, "seconds") for case in results.outcomes]
        explained = (results.value(c, method, "explained") for c in results.outcomes)
        rows.append(
            (
                method,
                number(median(explained)),
                number(geometric_mean(ratios)),
                number(median(ratios)),
                number(max(ratios, default=math.nan)),
                f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)}",
                number(median(seconds), 2),
                number(max(filter(math.isfinite, seconds), default=math.nan), 2),
            )
        )
    header = (
        "method",
        "explained variance, median",
        "error over PCA's: geometric mean",
        "median",
        "largest",
        "cases worse than PCA",
        "seconds: median",
        "largest",
    )
    return markdown_table(header, rows)


def _verdict(results: Results) -> list[str]:
    case = Case("digits", "raw", 10)
    if case not in results.outcomes or OURS not in results.outcomes[case]:
        return []
    explained = results.value(case, OURS, "explained")
    word = "met" if explained >= DIGITS_TARGET else "MISSED"
    return [
        f"- {OURS} on digits, k = 10, explained variance: {explained:.3f} "
        f"(target >= {DIGITS_TARGET}): {word}"
    ]


# ----------------------------------------------------------------------------- main


def chosen_sets(args: argparse.Namespace, results: Results) -> list[str]:
    """Return the sets to run; note those whose files are not there."""
    half = "confirm" if args.confirm else "tune"
    names = [name for name in SETS if SETS[name].half == half]
    if args.quick and not args.sets:
        names = [name for name in names if name in QUICK_SETS]
    for name in args.sets or ():
        if name not in names:
            sys.exit(
                f"expected sets of the half {half!r}, got {name!r}, which is of "
                f"{SETS[name].half!r}. Pass --confirm to run the sets that are kept "
                "for confirmation, all or by name, or leave it out for the others."
            )
    names = [name for name in names if not args.sets or name in args.sets]
    missing = [name for name in names if SETS[name].missing(args.data)]
    if missing:
        place = args.data or "no folder: pass --data DIR"
        results.notes.append(f"no file ({place}) for: {', '.join(missing)}")
    return [name for name in names if name not in missing]


def cases_of(name: str, X: np.ndarray, ks: Iterable[int]) -> list[Case]:
    """Return the cases of one set whose k compresses something."""
    most = min(3 * len(X) // 4, X.shape[1])
    units = SETS[name].units
    return [Case(name, u, k) for u, k in itertools.product(units, ks) if k < most]


def run_all(args: argparse.Namespace) -> str:
    """Run all the cases, writing the tables after each set, and return them."""
    results = Results()
    names = chosen_sets(args, results)
    methods = [m for m in METHODS if m in args.methods or m == "PCA"]
    half = "confirmation" if args.confirm else "tuning"
    title = (
        f"# Held-out reconstruction, {half} sets, medians of {args.seeds} seeds, "
        f"at most {args.rows:,} rows, one thread ({load_note()})"
    )
    with tqdm(names) as bar:
        for name in bar:
            bar.set_description(name)
            X = SETS[name].load(args.data)
            if len(X) > args.rows:
                some = np.random.default_rng(0).permutation(len(X))[: args.rows]
                X = X[some]
            results.shapes[name] = f"{len(X):,} x {X.shape[1]}"
            for case in cases_of(name, X, args.k):
                for seed in range(args.seeds):
                    bar.set_postfix_str(f"{case.units}, k={case.k}, seed {seed}")
                    run_case(case, X, seed, methods, results)
            # A long run that is cut off keeps what it has.
            if args.write:
                args.write.write_text(report(results, methods, title) + "\n")
    return report(results, methods, title)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--k", type=int, nargs="+", help="sizes of the code (default 2 10; quick 10)")
    add("--seeds", type=int, default=1, help="how many (default 1)")
    add("--sets", nargs="+", choices=sorted(SETS), metavar="SET", help="only these")
    add("--methods", nargs="+", choices=METHODS, help="PCA always runs (default all)")
    add("--rows", type=int, help="at most, at random (default 10,000; quick 2,000)")
    add("--quick", action="store_true", help="the packages' own sets, without the grid")
    add("--confirm", action="store_true", help="the other half of the sets")
    add("--data", type=Path, help="folder with the open sets' files")
    add("--write", type=Path, metavar="FILE", help="also write the tables there")
    args = parser.parse_args()
    args.k = args.k or ([10] if args.quick else [2, 10])
    args.rows = args.rows or (2_000 if args.quick else 10_000)
    args.methods = args.methods or (METHODS[:-1] if args.quick else METHODS)
    return args


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    ensure_one_thread()
    publish(run_all(args), args.write)


if __name__ == "__main__":
    main()
