"""The recipe that won Kaggle's Porto Seguro competition, in one command.

    python -m benchmarks.porto.run
    python -m benchmarks.porto.run --train train.csv --test test.csv --scale 1
    python -m benchmarks.porto.run --data DIR --models 1,2

Denoising autoencoders are fitted on the rows to train on and to predict together,
their hidden layers' activations are written to disk, and supervised nets learn from
these, five folds of them; the models' predictions are averaged. Without Kaggle's files,
which are under the competition's rules, the same is done on a look-alike that is drawn
from the table's published statistics, and with `--data` on four insurers' open tables.

A run that was killed goes on when the same command is given again: the last epoch of
the net that was in training is in `--output`, and so is what each finished model
predicts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks._shared.command import command_line, ensure_one_thread
from benchmarks._shared.report import document, markdown_table, mean, number, publish
from benchmarks._shared.timing import load_note
from benchmarks.porto.models import (
    HAS_GROUPS,
    HAS_LIGHTGBM,
    Predictions,
    folds_of,
    run_model,
)
from benchmarks.porto.recipes import BLEND, RECIPES, Setup
from benchmarks.porto.resume import check_settings
from benchmarks.porto.tables import INSURANCE, Task, insurance, kaggle, look_alike

DEFAULT_SCALE = 0.05
PORTO = ("Porto Seguro", "look-alike")


def gini(y: np.ndarray, score: np.ndarray) -> float:
    """Return the normalized gini, by which Kaggle ranked: 2 AUC - 1."""
    ranks, positive = stats.rankdata(score), np.asarray(y) == 1
    n, n_positive = len(positive), positive.sum()
    # Mean rank of the positives over that of the others, in units of half the rows.
    apart = (
        ranks[positive].mean() - ranks[~positive].mean() if 0 < n_positive < n else 0
    )
    return float(2 * apart / n)


def fold_ginis(task: Task, setup: Setup, score: np.ndarray) -> list[float]:
    """Return the gini of each fold's held-out rows."""
    held_out = (rows for _, rows in folds_of(task, setup))
    return [gini(task.y_train[rows], score[rows]) for rows in held_out]


# --------------------------------------------------------------------------- the report


def table_row(
    name: str,
    features: str,
    seconds: tuple[float, float],
    ginis: list[float],
    of_test: float | None,
    winner: tuple[float, ...],
) -> list[str]:
    """Return a line of the table."""
    error = np.std(ginis, ddof=1) / len(ginis) ** 0.5
    auc = None if of_test is None else (of_test + 1) / 2
    return [
        name,
        features,
        *(number(value, 1) for value in seconds),
        number(mean(ginis), 4),
        number(float(error), 4),
        number(of_test, 4),
        number(auc, 4),
        *(number(value, 5) for value in winner),
    ]


def table_rows(
    task: Task, setup: Setup, found: dict[int, Predictions]
) -> Iterator[list[str]]:
    """Return the lines of a table: models, their blend, and what could be had."""
    is_porto = task.name in PORTO

    def line(
        name: str,
        what: str,
        of: Predictions,
        winner: tuple[float, ...] | None,
    ) -> list[str]:
        of_test = None if task.y_test is None else gini(task.y_test, of.test)
        seconds = of.autoencoder, of.supervised
        figures = (winner or (np.nan,) * 3) if is_porto else ()
        ginis = fold_ginis(task, setup, of.train)
        return table_row(name, what, seconds, ginis, of_test, figures)

    for n, predictions in found.items():
        recipe = RECIPES[n]
        learner, what = "net", recipe.what
        if not recipe.epochs:
            learner = "LightGBM" if HAS_LIGHTGBM else "HistGradientBoosting"
        if recipe.grouped and not HAS_GROUPS:
            what += " (not there: as 2)"
        yield line(f"{n}, {learner}", what, predictions, recipe.winner)
    if len(found) > 1:
        blended = blend(found)
        all_six = list(found) == list(RECIPES)
        yield line("blend", "equal weights", blended, BLEND if all_six else None)
    if task.oracle is not None:
        nan = float("nan")
        drawn = Predictions(*task.oracle, autoencoder=nan, supervised=nan)
        yield line("the probabilities", "by which targets were drawn", drawn, None)


def blend(found: dict[int, Predictions]) -> Predictions:
    """Average the models' predictions."""
    every = list(found.values())
    return Predictions(
        np.mean([one.train for one in every], axis=0),
        np.mean([one.test for one in every], axis=0),
        sum(one.autoencoder for one in every),
        sum(one.supervised for one in every),
    )


def report(task: Task, setup: Setup, found: dict[int, Predictions]) -> str:
    """Return the table of a task, with what has to be said of it."""
    n_train, n_all = len(task.y_train), len(task.rows)
    share = 100 * task.y_train.mean()
    title = (
        f"## {task.name}: {n_train:,} rows to train on, {n_all - n_train:,} to "
        f"predict, {task.rows.shape[1]} columns, {share:.2f} % positives, scale "
        f"{setup.scale:g}"
    )
    header = ["model", "features", "autoencoder, s", "supervised, s", "CV gini", "±"]
    header += ["held-out gini", "held-out AUC"]
    notes = []
    if task.name in PORTO:
        header += ["winner's CV", "public", "private"]
    if task.name == "look-alike":
        notes.append(
            "The rows are made up from published statistics, so these figures are no "
            "evidence of quality; the winner's are of the real table."
        )
    if setup.scale < 1:
        notes.append(
            "Below a scale of 1 rows, layers and epochs are that share of the "
            "recipe's: a run to see that it runs."
        )
    if 1 in found and not HAS_LIGHTGBM:
        notes.append(
            "LightGBM is not installed: model 1 is scikit-learn's boosting with the "
            "nearest settings, without bagging and without an L1 penalty."
        )
    table = markdown_table(header, table_rows(task, setup, found))
    return document(title, table, *notes)


# ------------------------------------------------------------------------------ the run


def submit(task: Task, found: dict[int, Predictions], folder: Path) -> None:
    """Write a submission for each model and for the blend."""
    scores = {f"model-{n}": one.test for n, one in found.items()}
    if len(found) > 1:
        scores["blend"] = blend(found).test
    for name, score in scores.items():
        frame = pd.DataFrame({"id": task.ids, "target": score})
        frame.to_csv(folder / f"{name}.csv", index=False)


def run_task(task: Task, setup: Setup, models: list[int], folder: Path) -> str:
    """Run the models on a task; return its report."""
    found = {}
    for n in models:
        print(f"{task.name}: model {n} ...", file=sys.stderr, flush=True)
        found[n] = run_model(RECIPES[n], setup, task, folder / f"model-{n}")
    submit(task, found, folder)
    return report(task, setup, found)


def tasks(args: argparse.Namespace) -> Iterator[Task]:
    """Read the tables that were asked for, one at a time."""
    if args.train is not None:
        yield kaggle(args.train, args.test, args.scale, args.seed)
    else:
        yield look_alike(args.scale, args.seed)
    for name in INSURANCE if args.data is not None else ():
        if (args.data / f"{name}.csv.gz").is_file():
            yield insurance(args.data, name, args.scale, args.seed)
        else:
            print(f"{name}: not in {args.data}", file=sys.stderr)


def numbers_of_models(text: str) -> list[int]:
    """Read "1,2,6"."""
    models = sorted({int(part) for part in text.split(",")})
    if not set(models) <= set(RECIPES):
        raise argparse.ArgumentTypeError(f"expected some of 1 to 6, got {text!r}")
    return models


def share(text: str) -> float:
    """Read a number in (0, 1]."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share in (0, 1], got {text!r}")
    return value


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line(__doc__, data="other insurers' tables", write=False)
    add = parser.add_argument
    add("--train", type=Path, metavar="FILE", help="Kaggle's train.csv")
    add("--test", type=Path, metavar="FILE", help="Kaggle's test.csv")
    add(
        "--scale",
        type=share,
        default=DEFAULT_SCALE,
        help=f"share of rows, layers and epochs; 1 is the recipe ({DEFAULT_SCALE})",
    )
    add("--models", type=numbers_of_models, default=list(RECIPES), help="as 1,2,6")
    add("--output", type=Path, default=Path("porto_output"), metavar="DIR")
    add("--dtype", choices=("float16", "float32"), default="float16")
    add(
        "--units",
        choices=("standard", "none"),
        default="standard",
        help="in which the autoencoders measure errors (numeric_scaling)",
    )
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1, help="1, or as many as the libraries like")
    args = parser.parse_args()
    if (args.train is None) != (args.test is None):
        parser.error("expected both --train and --test, or neither")
    return args


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    if args.threads == 1:
        ensure_one_thread()
    setup = Setup(args.scale, args.seed, args.dtype, args.units)
    parts = [f"# Porto Seguro's winning recipe; {load_note()} at the start"]
    for task in tasks(args):
        folder = args.output / task.name.replace(" ", "-").lower()
        settings = {
            "scale": args.scale,
            "seed": args.seed,
            "dtype": args.dtype,
            "units": args.units,
            "shape": list(task.rows.shape),
        }
        check_settings(folder, settings)
        parts.append(run_task(task, setup, args.models, folder))
    publish(args.output / "table.md", *parts)


if __name__ == "__main__":
    main()
