"""Networks of the tutorials as a user's own: a loop by hand, and the estimators.

Five networks as tutorials have them, handed over as plain torch modules. Each is
trained by a loop written by hand, by `AutoEncoderTransformer` with the optimizer, the
learning rate, the batches and the epochs of the loop, and at the estimator's defaults,
from the same weights. Images are 28 by 28 pixels in [0, 1]: Fashion-MNIST, else USPS,
else scikit-learn's digits, the latter two enlarged; windows are those of a series that
the package carries.

    python -m benchmarks.images.user_network
    python -m benchmarks.images.user_network --fashion DIR --seeds 3 --write own.md
    python -m benchmarks.images.user_network --data DIR --rows 2000 --only convolutions
"""

from __future__ import annotations

import argparse
import copy
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import (
    document,
    markdown_table,
    mean,
    number,
    publish,
    verdict,
)
from benchmarks.images.run import Images, digits, fashion, usps
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.datasets import load_nab
from sk_autoencoder.networks import UserNetwork

PRINCIPAL, LOOP, SAME, DEFAULTS = "PCA", "loop", "its settings", "defaults"
# Explained variance by which an estimator may be below the loop.
MARGIN = 0.02
SIDE, STEPS = 28, 72

Pair = tuple[nn.Module, nn.Module]


class Task(NamedTuple):
    """A network and how its tutorial trains it.

    Parameters
    ----------
    make : callable () -> (encoder, decoder)
    n_components : int
    shape : tuple of int or None
        Of a sample as the encoder takes it.
    on_images : bool
        Whether samples are images; else windows of a series.
    lr : float
    batch_size, max_epochs : int
    """

    make: Callable[[], Pair]
    n_components: int
    shape: tuple[int, ...] | None
    on_images: bool
    lr: float
    batch_size: int
    max_epochs: int


def dense(sizes: tuple[int, ...], act: type[nn.Module], *last: nn.Module) -> nn.Module:
    """Stack dense layers, an activation between each two, and what comes last."""
    parts: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        parts += [nn.Linear(n_in, n_out), act()]
    return nn.Sequential(*parts[:-1], *last)


def sigmoids(sizes: tuple[int, ...] = (SIDE * SIDE, 256, 128, 100)) -> Pair:
    """784-256-128-100 and back, a sigmoid behind each layer."""
    return (
        dense(sizes, nn.Sigmoid, nn.Sigmoid()),
        dense(sizes[::-1], nn.Sigmoid, nn.Sigmoid()),
    )


def three_numbers(sizes: tuple[int, ...] = (SIDE * SIDE, 128, 64, 12, 3)) -> Pair:
    """784-128-64-12-3 with tanh and back, a sigmoid at the end."""
    return dense(sizes, nn.Tanh), dense(sizes[::-1], nn.Tanh, nn.Sigmoid())


def convolutions(side: int = SIDE) -> Pair:
    """Two convolutions, and two transposed ones with a sigmoid at the end."""
    flat = 32 * (side // 4) ** 2
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 10),
    )
    decoder = nn.Sequential(
        nn.Linear(10, flat),
        nn.ReLU(),
        nn.Unflatten(1, (32, side // 4, side // 4)),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )
    return encoder, decoder


def dropout() -> Pair:
    """72-24-10-24-72 with dropout."""

    def hidden(n_in: int, n_out: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(n_in, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, n_out)
        )

    return hidden(STEPS, 10), hidden(10, STEPS)


class LastState(nn.Module):
    """An LSTM over the steps, and a dense layer from its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.LSTM(1, 16, batch_first=True)
        self.out = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode (n, 72, 1)."""
        _, (state, _) = self.steps(x)
        return self.out(state[-1])


class Repeated(nn.Module):
    """An LSTM that is given the code at every step, and a dense layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(10, 16)
        self.steps = nn.LSTM(16, 16, batch_first=True)
        self.out = nn.Linear(16, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Decode (n, 10) to (n, 72, 1)."""
        rows, _ = self.steps(self.into(z).unsqueeze(1).repeat(1, STEPS, 1))
        return self.out(rows)


def recurrent() -> Pair:
    """An LSTM each way."""
    return LastState(), Repeated()


TASKS = {
    "sigmoids": Task(sigmoids, 100, None, True, 1e-2, 256, 10),
    "three numbers": Task(three_numbers, 3, None, True, 5e-3, 64, 10),
    "convolutions": Task(convolutions, 10, (1, SIDE, SIDE), True, 1e-3, 64, 5),
    "dropout": Task(dropout, 10, None, False, 1e-3, 32, 50),
    "recurrent": Task(recurrent, 10, (STEPS, 1), False, 3e-3, 32, 20),
}


def images_of(args: argparse.Namespace) -> Images:
    """Read the first set of images that is there, in [0, 1] and 28 by 28 pixels."""
    for load in (fashion, usps, digits):
        try:
            images = load(args)
            break
        except FileNotFoundError:
            continue
    return Images(*(enlarged(part) for part in images))


def enlarged(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Bring images to [0, 1] and so many pixels a side, flat."""
    pixels = torch.from_numpy(np.asarray(images, dtype=np.float32))[:, None]
    pixels = F.interpolate(pixels / pixels.max(), size=(side, side), mode="bilinear")
    return pixels.flatten(1).numpy()


def windows() -> Images:
    """Cut windows of a day, one every two hours; the last quarter is held out."""
    values = load_nab("machine_temperature", as_frame=False).data
    values = ((values - values.mean()) / values.std()).astype(np.float32)
    starts = np.arange(0, len(values) - STEPS + 1, 6)
    rows = values[starts[:, None] + np.arange(STEPS)]
    stop = 3 * len(rows) // 4
    return Images(rows[:stop], rows[stop:])


def loop(pair: Pair, X: np.ndarray, task: Task, seed: int) -> Callable[..., np.ndarray]:
    """Train a copy of two modules as a tutorial does; return what reconstructs."""
    encoder, decoder = copy.deepcopy(pair)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.from_numpy(X)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=task.lr)

    def forward(x: torch.Tensor) -> torch.Tensor:
        x = x if task.shape is None else x.reshape(-1, *task.shape)
        return decoder(encoder(x)).flatten(1)

    for _ in range(task.max_epochs):
        order = torch.randperm(len(rows), generator=generator)
        for batch in order.split(task.batch_size):
            loss = F.mse_loss(forward(rows[batch]), rows[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def reconstruct(X: np.ndarray) -> np.ndarray:
        encoder.eval()
        decoder.eval()
        with torch.no_grad():
            return forward(torch.from_numpy(X)).numpy()

    return reconstruct


def compare(
    task: Task, rows: Images, seed: int, max_epochs: int | str = "auto"
) -> dict[str, float]:
    """Return the explained variance of the test samples, by method.

    Parameters
    ----------
    task : Task
    rows : Images
        Flat samples.
    seed : int
        Of the first weights and of the order of the batches.
    max_epochs : int or "auto"
        Of the estimator at its defaults; 0 leaves it out.
    """
    torch.manual_seed(seed)
    pair = task.make()
    network = UserNetwork(*pair, task.shape)
    settings = {
        "optimizer": "adam",
        "lr": task.lr,
        "batch_size": task.batch_size,
        "max_epochs": task.max_epochs,
    }
    pca = PCA(min(task.n_components, *rows.train.shape)).fit(rows.train)
    methods = {
        PRINCIPAL: lambda X: pca.inverse_transform(pca.transform(X)),
        LOOP: loop(pair, rows.train, task, seed),
    }
    cases: dict[str, dict[str, Any]] = {SAME: settings}
    if max_epochs:
        cases[DEFAULTS] = {"max_epochs": max_epochs}
    for name, given in cases.items():
        estimator = AutoEncoderTransformer(
            task.n_components, network=network, random_state=seed, device="cpu", **given
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "expected a network", UserWarning)
            methods[name] = estimator.fit(rows.train).reconstruct
    total = np.square(rows.test - rows.train.mean(axis=0)).sum()
    return {
        name: float(1 - np.square(rows.test - method(rows.test)).sum() / total)
        for name, method in methods.items()
    }


def report(results: dict[str, list[dict[str, float]]]) -> str:
    """Return the table of the means over the seeds, and the verdicts."""
    methods = (PRINCIPAL, LOOP, SAME, DEFAULTS)
    rows, verdicts = [], []
    for name, scores in results.items():
        means = {m: mean(score[m] for score in scores) for m in methods}
        rows.append([name, *(number(means[method]) for method in methods)])
        for method in (SAME, DEFAULTS):
            gain = means[method] - means[LOOP]
            what = f"{name}: explained variance with {method} over the loop's"
            verdicts.append(verdict(what, gain, ">=", -MARGIN, ".3f"))
    table = markdown_table(["explained variance", *methods], rows)
    return document(table, "\n".join(verdicts))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__, data="folder with usps.npz")
    add = parser.add_argument
    add("--fashion", type=Path, help="folder with Fashion-MNIST's .gz files")
    add("--rows", type=int, default=6_000, help="images to train on (default 6,000)")
    add("--seeds", type=int, default=1, help="first weights to average over")
    add("--only", choices=list(TASKS), nargs="+", help="networks (default: all)")
    args = parse(parser)
    images = images_of(args)
    images = Images(images.train[: args.rows], images.test)
    results: dict[str, list[dict[str, float]]] = {}
    for name in tqdm(args.only or list(TASKS)):
        rows = images if TASKS[name].on_images else windows()
        seeds = range(args.seeds)
        results[name] = [compare(TASKS[name], rows, seed) for seed in seeds]
    title = (
        f"# Networks of the tutorials, {len(images.train):,} images to train on, means "
        f"over {args.seeds} seeds, one thread"
    )
    publish(args.write, title, report(results))


if __name__ == "__main__":
    main()
