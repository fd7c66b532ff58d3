"""Time of `transform` beside hand-written loops, stock skorch and the bare products.

One run, one thread: all competitors take turns over the same rows, so that whatever
else the machine does meets them alike, and each figure is the median over the turns.
The rows are SYNTHETIC: 221 columns, a few factors and noise. What is timed does not
depend on what is in them. The network is 221-256-64, fitted for one epoch; its layers
are what the hand-written loops run.

    python -m benchmarks.speed.transform
    python -m benchmarks.speed.transform --rows 100000 --repetitions 15 --clock cpu
    python -m benchmarks.speed.transform --chunks
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from skorch import NeuralNet
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks._shared.common import (
    clock,
    ensure_one_thread,
    load_note,
    markdown_table,
    median,
    number,
    publish,
    verdict,
)
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder._inference import chunks

SIZES = (221, 256, 64)
OTHER_SIZES = (64, 256, 128, 10)
CHUNKS = (256, 512, 1024, 2048, 4096)
FITTED_ROWS = 5_000
CALLS = 100
"""Single rows in a turn."""

AT_MOST = 1.05
"""Target: seconds of ours over those of the hand-written loop."""
AS_FAST = 5
"""Target: seconds of stock skorch over ours."""
OF_THE_FLOOR = 1.3
"""Target: seconds of ours over those of the matrix products alone."""
FLOAT64 = 2.2
"""Target: seconds of float64 rows over those of float32 rows."""
LATENCY = 2.0
"""Target: seconds of a single row over PCA's."""

OURS = "transform"
OURS_OUT = "transform, out="
HAND = "hand-written loop"
HAND_BARE = "hand-written loop, not standardising"
WHOLE = "one pass over all rows"
SKORCH = "stock skorch, batches of 128"
FLOOR = "matrix products alone"

NAMES = {"pca": "with the linear part of a start from PCA", "random": "nothing beside"}

Turn = Callable[[], object]


def rows_of(n_rows: int, n_columns: int) -> np.ndarray:
    """Draw float32 rows, a few at a time."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((20, n_columns), dtype=np.float32)
    rows = np.empty((n_rows, n_columns), dtype=np.float32)
    for start in range(0, n_rows, 10_000):
        part = rows[start : start + 10_000]
        part[:] = rng.standard_normal((len(part), 20), dtype=np.float32) @ mixing
        part += rng.standard_normal(part.shape, dtype=np.float32)
    return rows


def fitted(
    X: np.ndarray, sizes: Sequence[int], init: str, args: argparse.Namespace
) -> AutoEncoderTransformer:
    """Fit a transformer of these layers, for one epoch and without a guard."""
    return AutoEncoderTransformer(
        sizes[-1],
        hidden_layer_sizes=tuple(sizes[1:-1]),
        activation=args.activation,
        init=init,
        max_epochs=1,
        early_stopping=False,
        device="cpu",
        random_state=0,
    ).fit(X[:FITTED_ROWS])


class Standardised(nn.Module):
    """The fitted layers behind the standardising that they were fitted with."""

    def __init__(self, estimator: AutoEncoderTransformer) -> None:
        super().__init__()
        columns = estimator.module_.columns
        self.layers = estimator.module_.encoder
        self.register_buffer("mean", columns.mean)
        self.register_buffer("weight", columns.input_weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x - self.mean) * self.weight)


@torch.inference_mode()
def by_hand(X: np.ndarray, layers: nn.Module, n_codes: int, chunk: int) -> np.ndarray:
    """Run rows through layers as a careful user would: chunks into one array."""
    codes = np.empty((len(X), n_codes), dtype=X.dtype)
    rows, there = torch.from_numpy(X), torch.from_numpy(codes)
    for start in range(0, len(X), chunk):
        some = slice(start, start + chunk)
        there[some] = layers(rows[some])
    return codes


@torch.inference_mode()
def products(X: np.ndarray, matrices: list[list[Tensor]], chunk: int) -> None:
    """Multiply chunks by the matrices, each list one after the other, and no more."""
    rows = torch.from_numpy(X)
    room = [[rows.new_empty(chunk, m.shape[1]) for m in path] for path in matrices]
    for start in range(0, len(X), chunk):
        x = rows[start : start + chunk]
        for path, places in zip(matrices, room, strict=True):
            y = x
            for matrix, place in zip(path, places, strict=True):
                y = torch.mm(y, matrix, out=place[: len(x)])


def matrices_of(estimator: AutoEncoderTransformer) -> list[list[Tensor]]:
    """Give the matrices of the encoder; those of the start from PCA go beside."""
    encoder = estimator.module_.encoder
    path = [w.detach().t() for w in encoder.parameters() if w.ndim == 2]
    return [path, [encoder.axes]] if hasattr(encoder, "axes") else [path]


def forward_passes(
    X: np.ndarray, init: str, args: argparse.Namespace
) -> dict[str, Turn]:
    """Return what takes turns over all rows."""
    estimator = fitted(X, SIZES, init, args)
    layers = Standardised(estimator).eval()
    bare = estimator.module_.encoder
    stock = NeuralNet(layers, criterion=nn.MSELoss, train_split=None, verbose=0)
    stock.initialize()
    codes, matrices = np.empty((len(X), SIZES[-1]), X.dtype), matrices_of(estimator)
    chunk = chunks.CHUNK_ROWS
    return {
        OURS: lambda: estimator.transform(X),
        OURS_OUT: lambda: estimator.transform(X, out=codes),
        HAND: lambda: by_hand(X, layers, SIZES[-1], chunk),
        HAND_BARE: lambda: by_hand(X, bare, SIZES[-1], chunk),
        WHOLE: lambda: by_hand(X, layers, SIZES[-1], len(X)),
        SKORCH: lambda: stock.predict(X),
        FLOOR: lambda: products(X, matrices, chunk),
    }


def widths(X: np.ndarray, init: str, args: argparse.Namespace) -> dict[str, Turn]:
    """Return the turns that compare float64 rows with float32 rows."""
    estimator = fitted(X, SIZES, init, args)
    layers, chunk = Standardised(estimator).eval(), chunks.CHUNK_ROWS
    wide, wide_layers = X.astype(np.float64), copy.deepcopy(layers).double()
    return {
        f"{OURS}, float32": lambda: estimator.transform(X),
        f"{OURS}, float64": lambda: estimator.transform(wide),
        f"{HAND}, float32": lambda: by_hand(X, layers, SIZES[-1], chunk),
        f"{HAND}, float64": lambda: by_hand(wide, wide_layers, SIZES[-1], chunk // 2),
    }


def single_rows(X: np.ndarray, init: str, args: argparse.Namespace) -> dict[str, Turn]:
    """Return the turns of single rows: many calls each."""
    turns: dict[str, Turn] = {}
    for dtype in (np.float32, np.float64):
        some = X[:FITTED_ROWS].astype(dtype)
        both = {"ours": fitted(some, SIZES, init, args), "PCA": PCA(64).fit(some)}
        for name, estimator in both.items():
            turns[f"{name}, {np.dtype(dtype)}"] = _calls(estimator, some[:1])
    return turns


def _calls(estimator: object, row: np.ndarray) -> Turn:
    return lambda: [estimator.transform(row) for _ in range(CALLS)]


@dataclass(frozen=True)
class Chunk:
    """A turn with chunks of a size of its own."""

    estimator: AutoEncoderTransformer
    X: np.ndarray
    n_rows: int

    def __call__(self) -> None:
        before = chunks.CHUNK_ROWS
        chunks.CHUNK_ROWS = self.n_rows
        try:
            self.estimator.transform(self.X)
        finally:
            chunks.CHUNK_ROWS = before


def measure(
    turns: dict[str, Turn], args: argparse.Namespace, what: str
) -> dict[str, list[float]]:
    """Let them take turns, after one that is not measured; seconds by name."""
    ticks = clock(args.clock)
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    with tqdm(total=(args.repetitions + 1) * len(turns), desc=what) as bar:
        for repetition in range(args.repetitions + 1):
            # The order is turned round each time: none always follows the same one.
            for name in list(turns)[:: 1 if repetition % 2 else -1]:
                started = ticks()
                turns[name]()
                if repetition:
                    seconds[name].append(ticks() - started)
                bar.update()
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, base: str) -> float:
    """Return the median over the turns of one's seconds over another's."""
    pairs = zip(seconds[name], seconds[base], strict=True)
    return median(mine / theirs for mine, theirs in pairs)


def report_forward(
    seconds: dict[str, list[float]], init: str, args: argparse.Namespace
) -> str:
    """Return the table of all rows, and below it how the targets were met."""
    rows = [
        (
            name,
            number(median(taken)),
            number(1e9 * median(taken) / args.rows, 0),
            number(ratio(seconds, name, HAND), 2),
            number(ratio(seconds, name, FLOOR), 2),
        )
        for name, taken in seconds.items()
    ]
    header = ("forward pass", "seconds", "ns a row", "of hand-written", "of products")
    layers = "-".join(map(str, SIZES))
    title = f"## {args.rows:,} float32 rows, synthetic, {layers}, {NAMES[init]}"
    lines = [
        verdict(f"{OURS} / {HAND}", ratio(seconds, OURS, HAND), "<=", AT_MOST),
        verdict(f"{SKORCH} / {OURS}", ratio(seconds, SKORCH, OURS), ">=", AS_FAST),
        verdict(f"{OURS} / {FLOOR}", ratio(seconds, OURS, FLOOR), "<=", OF_THE_FLOOR),
    ]
    return "\n\n".join((title, markdown_table(header, rows), "\n".join(lines)))


def report_widths(seconds: dict[str, list[float]], init: str, n_rows: int) -> str:
    """Return the table of float32 and float64 rows."""
    rows = [
        (name, number(median(taken)), number(1e9 * median(taken) / n_rows, 0))
        for name, taken in seconds.items()
    ]
    wide, narrow = f"{OURS}, float64", f"{OURS}, float32"
    by_hand = f"{HAND}, float64"
    lines = [
        verdict("float64 / float32", ratio(seconds, wide, narrow), "<=", FLOAT64),
        verdict(f"{wide} / {HAND}", ratio(seconds, wide, by_hand), "<=", AT_MOST),
    ]
    table = markdown_table(("forward pass", "seconds", "ns a row"), rows)
    title = f"## float64: {n_rows:,} rows, {NAMES[init]}"
    return "\n\n".join((title, table, "\n".join(lines)))


def report_single_rows(seconds: dict[str, list[float]], init: str) -> str:
    """Return the table of single rows."""
    rows = [
        (name, number(1e6 * median(taken) / CALLS, 0))
        for name, taken in seconds.items()
    ]
    lines = [
        verdict(
            f"{dtype}: ours / PCA",
            ratio(seconds, f"ours, {dtype}", f"PCA, {dtype}"),
            "<=",
            LATENCY,
        )
        for dtype in ("float32", "float64")
    ]
    table = markdown_table(("transform of a single row", "µs"), rows)
    title = f"## A single row, {NAMES[init]}"
    return "\n\n".join((title, table, "\n".join(lines)))


def report_chunks(args: argparse.Namespace) -> str:
    """Return a table of sizes of chunks, for two networks and both dtypes."""
    rows, init = [], args.init[0]
    for sizes in (SIZES, OTHER_SIZES):
        X = rows_of(args.rows, sizes[0])
        estimator = fitted(X, sizes, init, args)
        for dtype in ("float32", "float64"):
            there = X.astype(dtype, copy=False)
            turns: dict[str, Turn] = {
                str(n): Chunk(estimator, there, n) for n in CHUNKS
            }
            layers = "-".join(map(str, sizes))
            seconds = measure(turns, args, f"{layers}, {dtype}")
            found = [1e9 * median(taken) / args.rows for taken in seconds.values()]
            rows.append((f"{layers}, {dtype}", *(number(ns, 0) for ns in found)))
    header = ("ns a row, by float32 rows in a chunk", *map(str, CHUNKS))
    return markdown_table(header, rows)


def reports(X: np.ndarray, init: str, args: argparse.Namespace) -> list[str]:
    """Measure one network in every way, and return its tables."""
    # A quarter of the rows, so that they need no more memory in float64.
    some = X[: max(1, args.rows // 4)]
    return [
        report_forward(
            measure(forward_passes(X, init, args), args, "all rows"), init, args
        ),
        report_widths(
            measure(widths(some, init, args), args, "float64"), init, len(some)
        ),
        report_single_rows(measure(single_rows(X, init, args), args, "single"), init),
    ]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="rows (default 1,000,000)")
    add("--repetitions", type=int, default=5, help="turns of each (default 5)")
    add(
        "--init",
        nargs="+",
        choices=("pca", "random"),
        default=["pca", "random"],
        help="of the networks; pca has a linear part beside (default: both)",
    )
    add("--activation", default="gelu", help="of the hidden layers (default gelu)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time")
    add("--chunks", action="store_true", help="compare sizes of chunks instead")
    add("--write", type=Path, metavar="FILE", help="also write the tables there")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    ensure_one_thread()
    torch.set_num_threads(1)
    busy = load_note()
    parts = [
        f"# Time of transform: medians of {args.repetitions} alternating repetitions, "
        f"one thread, {args.clock} time",
        f"{args.activation}, torch {torch.__version__}; {busy} at the start.",
    ]
    if args.chunks:
        parts.append(report_chunks(args))
    else:
        X = rows_of(args.rows, SIZES[0])
        parts.extend(part for init in args.init for part in reports(X, init, args))
    publish("\n\n".join(parts), args.write)


if __name__ == "__main__":
    main()
