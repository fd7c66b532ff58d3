"""Hidden features of very many rows, streamed to a memory map.

The winner of Kaggle's Porto Seguro competition took 4,500 hidden activations of
1,488,028 rows: 27 GB in float32, which broke most reproductions. Here they go to a
memory-mapped file in half precision, a chunk at a time, from rows in another one.
Memory that no file backs is sampled every two milliseconds; the rest is the system's
to take back.

    python -m benchmarks.speed.stream
    python -m benchmarks.speed.stream --rows 1488028
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import fill
from benchmarks._shared.report import markdown_table, number, publish, verdict
from benchmarks._shared.timing import timed
from benchmarks.speed.memory import PeakMemory
from sk_autoencoder import DenoisingAutoEncoderTransformer

COLUMNS = 221
WIDTH = 1500
ALL_ROWS = 1_488_028
MOST_MEMORY = 4.0
"""Gigabytes that the transform may take."""


def write_rows(path: Path, n_rows: int) -> np.ndarray:
    """Write rows of numbers with some structure, and map them read-only."""
    fill(np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, COLUMNS))).flush()
    return np.load(path, mmap_mode="r")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=100_000)
    add("--folder", type=Path, help="where the files go for the while")
    args = parse(parser)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        X = write_rows(folder / "rows.npy", args.rows)
        extractor = DenoisingAutoEncoderTransformer(
            features="hidden",
            hidden_layer_sizes=(WIDTH,) * 3,
            activation="relu",
            max_epochs=1,
            random_state=0,
        ).fit(X[:2000])
        shape = (len(X), extractor.n_components_)
        out = np.lib.format.open_memmap(folder / "hidden.npy", "w+", np.float16, shape)
        extractor.transform(X[:5000], out=out[:5000])  # loads every library
        with PeakMemory() as memory:
            stream = partial(extractor.transform, out=out)
            seconds, _ = timed(time.perf_counter, stream, X)
        correct = np.allclose(out[-3:], extractor.transform(X[-3:]), atol=1e-2)
    gigabytes = memory.anonymous / 1e9
    header = ("rows", "features", "float32, GB", "written, GB", "memory, GB", "seconds")
    cells = (
        f"{len(X):,}",
        f"{shape[1]:,}",
        number(4e-9 * shape[0] * shape[1], 1),
        number(2e-9 * shape[0] * shape[1], 1),
        number(gigabytes),
        number(seconds, 0),
    )
    what = "memory of the streamed transform"
    rate = len(X) / seconds
    publish(
        args.write,
        markdown_table(header, [cells]),
        f"{rate:,.0f} rows a second; {ALL_ROWS:,} rows take "
        f"{ALL_ROWS / rate / 60:.0f} minutes. The last rows read back are "
        f"{'those of a plain transform' if correct else 'WRONG'}.",
        verdict(what, gigabytes, "<=", MOST_MEMORY, unit=" GB"),
    )


if __name__ == "__main__":
    main()
