"""Default fits of this package beside those of another commit, in one run.

    git worktree add ../before c8112e8
    python -m benchmarks.speed.versions --before ../before
    python -m benchmarks.speed.versions --before ../before --data DIR --repetitions 3
    python -m benchmarks.speed.versions --before ../before --fits "hidden features"
    python -m benchmarks.speed.versions --before ../before --shapes

Each version has a process of its own, and they take turns: the same rows, split and
seed, `n_components` alone is set. Seconds are the processor's, medians over the
repetitions, each of which has another seed; the error is that of a quarter of the
rows, which no fit has seen, over that of PCA. c8112e8 is the first release.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, pca_error, split_missing
from benchmarks._shared.provenance import commit
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    median,
    missing_files,
    number,
    publish,
)
from benchmarks._shared.results import Case
from benchmarks._shared.timing import load_note
from benchmarks.quality.recipes import cases
from benchmarks.quality.run import split
from benchmarks.speed.fit_workloads import curved_table

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("fit_worker.py")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoencoder": ("AutoEncoderTransformer", {}),
    "VAE": ("VAETransformer", {}),
    "denoiser": ("DenoisingAutoEncoderTransformer", {}),
    "hidden features": ("DenoisingAutoEncoderTransformer", {"features": "hidden"}),
}
EVERY_KIND = ("digits",)
"""Sets to which all of them are fitted; the others get the autoencoder alone."""
SHAPES = ((6_000, 66), (4_000, 506))
"""Rows and columns of `--shapes`; a quarter of the rows is not trained on."""
NOW, BEFORE = "now", "before"
GOAL = 0.5
"""Goal for the median of the seconds over those before."""


class Fit(NamedTuple):
    """A fit of one version; its error is over PCA's, None where there is none."""

    seconds: float
    epochs: int
    error: float | None


Turns = list[dict[str, Fit]]
"""By version, a repetition an entry."""


class Version:
    """A process that fits with the package in a folder.

    Parameters
    ----------
    folder : Path
        A checkout.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "sk_autoencoder" / "__init__.py").is_file():
            raise SystemExit(
                f"expected a checkout of this repository, got {str(folder)!r}. "
                "See --help for how to make one."
            )
        environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def fit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Let it fit once."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        print(json.dumps(request), file=stdin, flush=True)
        line = stdout.readline()
        if not line:
            raise SystemExit(f"a process ended: {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def compare(
    versions: Mapping[str, Version],
    kind: str,
    case: Case,
    X: np.ndarray,
    repetitions: int,
    folder: Path,
) -> Turns:
    """Let the versions take turns, each repetition with its own split and seed."""
    estimator, params = KINDS[kind]
    has_error = kind != "hidden features"
    file, turns = folder / "rows.npz", []
    for seed in range(repetitions):
        train, test, *_ = split(case, X, seed)
        np.savez(file, train=train, test=test)
        of_pca = pca_error(train, test, case.k)
        size = {"n_components": case.k} if has_error else {}
        request = {
            "file": str(file),
            "estimator": estimator,
            "params": {**params, **size, "random_state": seed, "device": "cpu"},
            "has_error": has_error,
        }
        found = {}
        for name in list(versions) if seed % 2 else [*versions][::-1]:
            fit = versions[name].fit(request)
            error = fit["error"]
            over_pca = None if error is None else error / of_pca
            found[name] = Fit(fit["seconds"], fit["epochs"], over_pca)
        turns.append(found)
    return turns


def time_ratio(turns: Turns) -> float:
    """Return the median of the seconds now over those before."""
    return median(turn[NOW].seconds / turn[BEFORE].seconds for turn in turns)


def epoch_ratio(turns: Turns) -> float:
    """Return the median of the seconds of an epoch now over those before.

    Turns in which one of both has taken none are left out.
    """

    def of_epoch(fit: Fit) -> float:
        return fit.seconds / fit.epochs if fit.epochs else math.nan

    return median(of_epoch(turn[NOW]) / of_epoch(turn[BEFORE]) for turn in turns)


def errors(turns: Turns, name: str) -> float | None:
    """Return the geometric mean over the repetitions, None for hidden features."""
    found = [turn[name].error for turn in turns]
    return None if None in found else geometric_mean(found)


def line(kind: str, case: Case, shape: tuple[int, ...], turns: Turns) -> tuple:
    """Return the row of a fit in the table."""

    def seconds(name: str) -> str:
        return number(median(turn[name].seconds for turn in turns), 2)

    return (
        case.name,
        f"{shape[0]:,} x {shape[1]:,}",
        kind,
        seconds(BEFORE),
        seconds(NOW),
        number(time_ratio(turns)),
        number(epoch_ratio(turns)),
        number(errors(turns, BEFORE)),
        number(errors(turns, NOW)),
    )


def summary(found: Iterable[Turns]) -> tuple[str, ...]:
    """Return what all autoencoders' fits have in common."""
    found = list(found)
    ratios = [time_ratio(turns) for turns in found]
    of_epochs = [epoch_ratio(turns) for turns in found]
    means = {
        name: [error for turns in found if (error := errors(turns, name)) is not None]
        for name in (BEFORE, NOW)
    }
    return (
        str(len(found)),
        number(median(ratios)),
        number(min(ratios)),
        number(max(ratios)),
        number(median(of_epochs)),
        number(geometric_mean(means[BEFORE])),
        number(geometric_mean(means[NOW])),
    )


def fits(args: argparse.Namespace) -> Iterator[tuple[str, Case, np.ndarray]]:
    """Yield each kind of fit with its case and rows, of both halves of the sets."""
    if args.shapes:
        for n_rows, n_columns in SHAPES:
            case = Case("synthetic", "raw", 10)
            yield "autoencoder", case, curved_table(n_rows, n_columns)
        return
    for half in ("tune", "confirm"):
        for case, X in cases(half, args.data):
            for kind in KINDS if case.name in EVERY_KIND else ["autoencoder"]:
                if kind in args.fits:
                    yield kind, case, X


def main() -> None:
    """Print a table of the fits, and one over all of them."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    add = parser.add_argument
    add("--before", type=Path, required=True, help="checkout of the other commit")
    add("--repetitions", type=int, default=1, help="seeds a fit (default 1)")
    add("--fits", nargs="+", choices=list(KINDS), default=list(KINDS))
    add("--shapes", action="store_true", help="synthetic rows in place of the sets")
    args = parse(parser)
    found: dict[str, list[Turns]] = {}
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        versions = {}
        for name, place in ((BEFORE, args.before), (NOW, ROOT)):
            versions[name] = Version(place)
            stack.callback(versions[name].close)
        for kind, case, X in (every := tqdm(list(fits(args)))):
            every.set_postfix_str(f"{case.name}, {kind}")
            if not found:
                # The first fit of a process loads code, and does not count.
                compare(versions, kind, case, X, 1, folder)
            turns = compare(versions, kind, case, X, args.repetitions, folder)
            found.setdefault(kind, []).append(turns)
            rows.append(line(kind, case, X.shape, turns))
    columns = ("fits", "median time, now / before", "least", "largest", "of an epoch")
    pca = ("error / PCA's, before", "now")
    _, missing = split_missing(SETS, args.data)
    every_fit = []
    if "autoencoder" in found:
        every_fit = [
            f"All fits of the autoencoder; goal for the median time: {GOAL}.",
            markdown_table((*columns, *pca), [summary(found["autoencoder"])]),
        ]
    publish(
        args.write,
        f"# Default fits beside those of {commit(args.before)}, one thread, seeds: "
        f"{args.repetitions} ({load_note()})",
        *every_fit,
        markdown_table(
            (
                "set",
                "rows x columns",
                "fit",
                "before, s",
                "now, s",
                "ratio",
                "of an epoch",
                *pca,
            ),
            rows,
        ),
        *([] if args.shapes else missing_files(missing)),
    )


if __name__ == "__main__":
    main()
