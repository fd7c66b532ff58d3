"""How much of unseen images survives a few numbers: PCA, dense layers, convolutions.

The three at their defaults, on the same rows, with the same number of components.
Digits are always there; other sets are read from folders that you name, and what is not
there is listed at the end.

    python -m benchmarks.images.run
    python -m benchmarks.images.run --data DIR --fashion DIR --write images.md
    python -m benchmarks.images.run --data DIR --fashion DIR --choices
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import some_rows, squared_error
from benchmarks._shared.report import (
    document,
    markdown_table,
    number,
    publish,
    verdict,
)
from benchmarks._shared.timing import timed
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.datasets import load_fashion_mnist
from sk_autoencoder.networks import ConvNet

PRINCIPAL, DENSE, CONVOLUTIONS = "PCA", "dense layers", "ConvNet"


class Images(NamedTuple):
    """Images to fit and images to judge by, in the order that they come in.

    Parameters
    ----------
    train, test : ndarray of shape (n, height, width)
    """

    train: np.ndarray
    test: np.ndarray


class Score(NamedTuple):
    """What one method makes of the held-out rows.

    Parameters
    ----------
    error : float
        Squared error, summed.
    explained : float
        Of their variance around the mean of the training rows.
    seconds : float
        Processor time of the fit.
    """

    error: float
    explained: float
    seconds: float


Loader = Callable[[argparse.Namespace], Images]


def digits(args: argparse.Namespace) -> Images:
    """Split scikit-learn's digits."""
    return Images(*train_test_split(load_digits().images, random_state=0))


def usps(args: argparse.Namespace) -> Images:
    """Read the official parts of the postal digits."""
    with np.load(_folder(args.data) / "usps.npz") as file:
        images, is_test = file["X"], file["test"].astype(bool)
    return Images(images[~is_test], images[is_test])


def pneumonia(args: argparse.Namespace) -> Images:
    """Read the official parts of the X-rays, without those for validation."""
    with np.load(_folder(args.data) / "pneumoniamnist.npz") as file:
        images, split = file["X"], file["split"]
    return Images(images[split == 0], images[split == 2])


def fashion(args: argparse.Namespace) -> Images:
    """Read Fashion-MNIST's official parts."""
    parts = [load_fashion_mnist(folder=args.fashion, subset=s) for s in SUBSETS]
    return Images(*(part.images for part in parts))


SUBSETS = ("train", "test")
SMALL = {"channels": (16, 32), "kernel_size": 3, "upsampling": "transposed"}
LARGE = {**SMALL, "channels": (32, 64)}
PAIR, REPEATED = {"hidden_layer_sizes": (256, 128)}, {"upsampling": "nearest"}
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {**SMALL, "hidden_layer_sizes": ()},
    {**SMALL, "hidden_layer_sizes": (128,)},
    {**SMALL, "hidden_layer_sizes": (128,), "batch_norm": True},
    {**SMALL, "hidden_layer_sizes": (256,)},
    {**SMALL, **PAIR},
    {**SMALL, **PAIR, **REPEATED},
    {**SMALL, **PAIR, "kernel_size": 5},
    {**SMALL, **PAIR, "kernel_size": 5, "lr": 1e-3},
    {**SMALL, **PAIR, "kernel_size": 5, "batch_size": 64},
    {"dropout": 0.1},
    {**LARGE, "hidden_layer_sizes": (128,)},
    {**LARGE, **PAIR},
    {**LARGE, **PAIR, "kernel_size": 5},
    {**LARGE, **PAIR, **REPEATED},
)
"""Settings that `ConvNet`'s defaults, which come first, were chosen among."""
OF_TRAINING = ("lr", "batch_size")
CASES: dict[tuple[str, int], Loader] = {
    ("digits", 10): digits,
    ("usps", 10): usps,
    ("pneumoniamnist", 10): pneumonia,
    ("fashion_mnist", 4): fashion,
}

# Of ConvNet's error over another's, at most.
TARGETS = {
    ("usps", 10): (DENSE, 0.95),
    ("pneumoniamnist", 10): (DENSE, 0.95),
    ("fashion_mnist", 4): (PRINCIPAL, 0.65),
}


def _folder(place: Path | None) -> Path:
    if place is None:
        raise FileNotFoundError("no folder was named by --data")
    return place


def drawn(images: np.ndarray, n_rows: int) -> np.ndarray:
    """Draw so many images at random, as float32 rows."""
    chosen = some_rows(images, n_rows)
    return chosen.reshape(len(chosen), -1).astype(np.float32)


def compare(
    images: Images, n_components: int, *, rows: int, epochs: int | str
) -> dict[str, Score]:
    """Fit the three on the same rows and score them on others."""
    shape = (1, *images.train.shape[1:])
    train, test = drawn(images.train, rows), drawn(images.test, max(1, rows // 3))
    settings = {"random_state": 0, "max_epochs": epochs}
    methods = {
        PRINCIPAL: PCA(n_components, random_state=0),
        DENSE: AutoEncoderTransformer(n_components, **settings),
        CONVOLUTIONS: AutoEncoderTransformer(
            n_components, network=ConvNet(input_shape=shape), **settings
        ),
    }
    total = squared_error(test, train.mean(axis=0))
    scores = {}
    for name, method in methods.items():
        seconds, _ = timed(time.process_time, method.fit, train)
        error = squared_error(test, method.inverse_transform(method.transform(test)))
        scores[name] = Score(error, 1 - error / total, seconds)
    return scores


def choices(args: argparse.Namespace) -> str:
    """Return errors of other settings of `ConvNet`, over those of dense layers."""
    # As they were chosen: rows of all postal digits, and the first of the clothes.
    postal = np.concatenate(usps(args))
    clothes = load_fashion_mnist(folder=args.fashion).images[: args.rows]
    sets = {("usps", 10): some_rows(postal, args.rows), ("fashion_mnist", 4): clothes}
    rows = []
    for changes in tqdm(CHOICES):
        errors = [error_over_dense(X, k, changes) for (_, k), X in sets.items()]
        named = ", ".join(f"{name}={value}" for name, value in changes.items())
        rows.append((named or "defaults", *(number(error) for error in errors)))
    header = ("ConvNet", *(f"{name}, {k} numbers" for name, k in sets))
    return document("# Squared error over dense layers'", markdown_table(header, rows))


def error_over_dense(
    images: np.ndarray, n_components: int, changes: dict[str, Any]
) -> float:
    """Fit dense layers and some setting of `ConvNet`, a quarter held out."""
    rows = (images / 255).reshape(len(images), -1).astype(np.float32)
    train, test = train_test_split(rows, test_size=0.25, random_state=0)
    training = {name: changes[name] for name in OF_TRAINING if name in changes}
    options = {name: changes[name] for name in changes if name not in OF_TRAINING}
    network = ConvNet(input_shape=(1, *images.shape[1:]), **options)
    errors = []
    for settings in ({}, {"network": network, **training}):
        reducer = AutoEncoderTransformer(n_components, random_state=0, **settings)
        reducer.fit(train)
        errors.append(np.square(test - reducer.reconstruct(test)).sum())
    return float(errors[1] / errors[0])


def report(results: dict[tuple[str, int], dict[str, Score]]) -> str:
    """Return the table, and below it how the targets were met."""
    rows, lines = [], []
    for (name, k), scores in results.items():
        for method, score in scores.items():
            rows.append(
                (
                    f"{name}, {k} numbers, {method}",
                    number(score.explained),
                    number(_over(scores, method, PRINCIPAL)),
                    number(_over(scores, method, DENSE)),
                    number(score.seconds, 1),
                )
            )
    for (name, k), (base, most) in TARGETS.items():
        scores = results.get((name, k), {})
        measured = _over(scores, CONVOLUTIONS, base) if scores else math.nan
        what = f"{name}, {k} numbers: squared error of {CONVOLUTIONS} over {base}"
        lines.append(verdict(what, measured, "<=", most, form=".3f"))
    header = (
        "images",
        "explained variance",
        "error over PCA's",
        "error over dense layers'",
        "processor, s",
    )
    return document(markdown_table(header, rows), "\n".join(lines))


def _over(scores: dict[str, Score], name: str, base: str) -> float:
    return scores[name].error / scores[base].error


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__, data="folder with usps.npz and pneumoniamnist.npz")
    add = parser.add_argument
    add("--fashion", type=Path, help="folder with Fashion-MNIST's .gz files")
    add("--rows", type=int, default=3_000, help="to train on, at most (default 3,000)")
    add("--epochs", type=int, help="at most (default: the estimator's)")
    add("--choices", action="store_true", help="print other settings of ConvNet")
    args = parse(parser)
    if args.choices:
        publish(args.write, choices(args))
        return
    results, missing = {}, []
    for (name, k), load in tqdm(CASES.items()):
        try:
            images = load(args)
        except FileNotFoundError as error:
            missing.append(f"- {name}, {k} numbers: {error}")
            continue
        results[name, k] = compare(
            images, k, rows=args.rows, epochs=args.epochs or "auto"
        )
    parts = [
        f"# Images: defaults, at most {args.rows:,} rows to train on, one split, one "
        "thread, processor time",
        report(results),
    ]
    if missing:
        parts.append("Missing:\n\n" + "\n".join(missing))
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
