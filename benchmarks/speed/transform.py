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
from functools import partial

import numpy as np
import torch
from sklearn.decomposition import PCA
from skorch import NeuralNet
from torch import Tensor, nn

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import fill
from benchmarks._shared.report import (
    document,
    markdown_table,
    number,
    publish,
    tabulate,
    verdict,
)
from benchmarks._shared.timing import (
    Turns,
    clock,
    load_note,
    ratio,
    seconds,
    take_turns,
    timed,
)
from sk_autoencoder import AutoEncoderTransformer

SIZES = (221, 256, 64)
OTHER_SIZES = (64, 256, 128, 10)
CHUNK = 1024
"""float32 rows in a chunk of the loops by hand; half as many float64 rows."""
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
DEFINITION = "what defines it, a chunk at a time"
HAND = "hand-written loop"
HAND_BARE = "hand-written loop, not standardizing"
WHOLE = "one pass over all rows"
SKORCH = "stock skorch, batches of 128"
FLOOR = "matrix products alone"

NAMES = {"pca": "with the linear part of a start from PCA", "random": "nothing beside"}

Turn = Callable[[], object]
Pass = Callable[[Tensor], Tensor]


def rows_of(n_rows: int, n_columns: int) -> np.ndarray:
    """Draw float32 rows."""
    return fill(np.empty((n_rows, n_columns), dtype=np.float32), noise=1.0)


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


class Standardized(nn.Module):
    """The fitted layers behind the standardizing that they were fitted with."""

    def __init__(self, estimator: AutoEncoderTransformer) -> None:
        super().__init__()
        columns = estimator.module_.columns
        self.layers = estimator.module_.encoder
        self.register_buffer("mean", columns.mean)
        self.register_buffer("weight", columns.input_weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x - self.mean) * self.weight)


@torch.inference_mode()
def by_hand(X: np.ndarray, layers: Pass, chunk: int = CHUNK) -> np.ndarray:
    """Run rows through layers as a careful user would: chunks into one array."""
    rows = torch.from_numpy(X)
    codes = rows.new_empty(len(X), layers(rows[:1]).shape[1])
    for start in range(0, len(X), chunk):
        some = slice(start, start + chunk)
        codes[some] = layers(rows[some])
    return codes.numpy()


@torch.inference_mode()
def products(X: np.ndarray, matrices: list[list[Tensor]]) -> None:
    """Multiply chunks by the matrices, each list one after the other, and no more."""
    rows = torch.from_numpy(X)
    room = [[rows.new_empty(CHUNK, m.shape[1]) for m in path] for path in matrices]
    for start in range(0, len(X), CHUNK):
        x = rows[start : start + CHUNK]
        for path, places in zip(matrices, room, strict=True):
            y = x
            for matrix, place in zip(path, places, strict=True):
                y = torch.mm(y, matrix, out=place[: len(x)])


def matrices_of(estimator: AutoEncoderTransformer) -> list[list[Tensor]]:
    """Return the matrices of the encoder; those of the start from PCA go beside."""
    encoder = estimator.module_.encoder
    path = [w.detach().t() for w in encoder.parameters() if w.ndim == 2]
    return [path, [encoder.axes]] if hasattr(encoder, "axes") else [path]


def forward_passes(
    X: np.ndarray, init: str, args: argparse.Namespace
) -> dict[str, Turn]:
    """Return what takes turns over all rows."""
    estimator = fitted(X, SIZES, init, args)
    layers = Standardized(estimator).eval()
    bare = estimator.module_.encoder
    stock = NeuralNet(layers, criterion=nn.MSELoss, train_split=None, verbose=0)
    stock.initialize()
    codes, matrices = np.empty((len(X), SIZES[-1]), X.dtype), matrices_of(estimator)
    return {
        OURS: lambda: estimator.transform(X),
        OURS_OUT: lambda: estimator.transform(X, out=codes),
        DEFINITION: lambda: by_hand(X, estimator.module_.encode),
        HAND: lambda: by_hand(X, layers),
        HAND_BARE: lambda: by_hand(X, bare),
        WHOLE: lambda: by_hand(X, layers, len(X)),
        SKORCH: lambda: stock.predict(X),
        FLOOR: lambda: products(X, matrices),
    }


def widths(X: np.ndarray, init: str, args: argparse.Namespace) -> dict[str, Turn]:
    """Return the turns that compare float64 rows with float32 rows."""
    estimator = fitted(X, SIZES, init, args)
    layers = Standardized(estimator).eval()
    wide, wide_layers = X.astype(np.float64), copy.deepcopy(layers).double()
    module, wide_module = estimator.module_, copy.deepcopy(estimator.module_).double()
    return {
        f"{OURS}, float32": lambda: estimator.transform(X),
        f"{OURS}, float64": lambda: estimator.transform(wide),
        f"{DEFINITION}, float32": lambda: by_hand(X, module.encode),
        f"{DEFINITION}, float64": lambda: by_hand(wide, wide_module.encode, CHUNK // 2),
        f"{HAND}, float32": lambda: by_hand(X, layers),
        f"{HAND}, float64": lambda: by_hand(wide, wide_layers, CHUNK // 2),
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


def measure(turns: dict[str, Turn], args: argparse.Namespace, what: str) -> Turns:
    """Let them take turns."""
    ticks = clock(args.clock)

    def run(name: str, repetition: int) -> tuple[float]:
        return (timed(ticks, turns[name])[0],)

    return take_turns(turns, run, args.repetitions, what)


def verdicts(turns: Turns, *targets: tuple[str, str, str, float]) -> str:
    """Return a line for each target: name, base, relation and value."""
    return "\n".join(
        verdict(f"{name} / {base}", ratio(turns, name, base), relation, value)
        for name, base, relation, value in targets
    )


def seconds_columns(turns: Turns, n_rows: int) -> dict[str, Callable[[str], str]]:
    """Return the columns of a table of forward passes."""
    return {
        "forward pass": str,
        "seconds": lambda name: number(seconds(turns, name)),
        "ns a row": lambda name: number(1e9 * seconds(turns, name) / n_rows, 0),
    }


def report_forward(turns: Turns, init: str, args: argparse.Namespace) -> str:
    """Return the table of all rows, and below it how the targets were met."""
    columns = {
        **seconds_columns(turns, args.rows),
        "of hand-written": lambda name: number(ratio(turns, name, HAND), 2),
        "of products": lambda name: number(ratio(turns, name, FLOOR), 2),
    }
    layers = "-".join(map(str, SIZES))
    lines = verdicts(
        turns,
        (OURS, HAND, "<=", AT_MOST),
        (SKORCH, OURS, ">=", AS_FAST),
        (OURS, FLOOR, "<=", OF_THE_FLOOR),
    )
    title = f"## {args.rows:,} float32 rows, synthetic, {layers}, {NAMES[init]}"
    return document(title, tabulate(turns, columns), lines)


def report_widths(turns: Turns, init: str, n_rows: int) -> str:
    """Return the table of float32 and float64 rows."""
    wide, narrow = f"{OURS}, float64", f"{OURS}, float32"
    lines = verdicts(
        turns,
        (wide, narrow, "<=", FLOAT64),
        (wide, f"{HAND}, float64", "<=", AT_MOST),
    )
    table = tabulate(turns, seconds_columns(turns, n_rows))
    return document(f"## float64: {n_rows:,} rows, {NAMES[init]}", table, lines)


def report_single_rows(turns: Turns, init: str) -> str:
    """Return the table of single rows."""
    rows = [(name, number(1e6 * seconds(turns, name) / CALLS, 0)) for name in turns]
    dtypes = ("float32", "float64")
    pairs = [(f"ours, {dtype}", f"PCA, {dtype}", "<=", LATENCY) for dtype in dtypes]
    table = markdown_table(("transform of a single row", "µs"), rows)
    return document(f"## A single row, {NAMES[init]}", table, verdicts(turns, *pairs))


def report_chunks(args: argparse.Namespace) -> str:
    """Return a table of sizes of chunks, for two networks and both dtypes."""
    rows, init = [], args.init[0]
    for sizes in (SIZES, OTHER_SIZES):
        X = rows_of(args.rows, sizes[0])
        layers = Standardized(fitted(X, sizes, init, args)).eval()
        for dtype, part in (("float32", 1), ("float64", 2)):
            there = X.astype(dtype, copy=False)
            own = copy.deepcopy(layers).to(getattr(torch, dtype))
            turns = {str(n): partial(by_hand, there, own, n // part) for n in CHUNKS}
            what = f"{'-'.join(map(str, sizes))}, {dtype}"
            found = measure(turns, args, what)
            cells = (number(1e9 * seconds(found, n) / args.rows, 0) for n in found)
            rows.append((what, *cells))
    header = ("ns a row, by float32 rows in a chunk", *map(str, CHUNKS))
    return markdown_table(header, rows)


def reports(X: np.ndarray, init: str, args: argparse.Namespace) -> list[str]:
    """Measure one network in every way, and return its tables."""
    # A quarter of the rows, so that they need no more memory in float64.
    some = X[: max(1, args.rows // 4)]
    forward = measure(forward_passes(X, init, args), args, "all rows")
    both = measure(widths(some, init, args), args, "float64")
    single = measure(single_rows(X, init, args), args, "single")
    return [
        report_forward(forward, init, args),
        report_widths(both, init, len(some)),
        report_single_rows(single, init),
    ]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
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
    args = parse(parser)
    parts = [
        f"# Time of transform: medians of {args.repetitions} alternating repetitions, "
        f"one thread, {args.clock} time",
        f"{args.activation}, torch {torch.__version__}; {load_note()} at the start.",
    ]
    if args.chunks:
        parts.append(report_chunks(args))
    else:
        X = rows_of(args.rows, SIZES[0])
        parts.extend(part for init in args.init for part in reports(X, init, args))
    publish(args.write, *parts)


if __name__ == "__main__":
    main()
