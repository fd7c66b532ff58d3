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

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._shared.common import (
    ensure_one_thread,
    markdown_table,
    number,
    publish,
    verdict,
)
from benchmarks.speed.memory import PeakMemory
from sk_autoencoder import DenoisingAutoEncoderTransformer

COLUMNS = 221
WIDTH = 1500
ALL_ROWS = 1_488_028
MOST_MEMORY = 4.0
"""Gigabytes that the transform may take."""
CHUNK = 50_000


def write_rows(path: Path, n_rows: int) -> np.ndarray:
    """Write rows of numbers with some structure, and map them read-only."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, COLUMNS))
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, COLUMNS)).astype(np.float32)
    for start in range(0, n_rows, CHUNK):
        size = min(CHUNK, n_rows - start)
        latent = rng.normal(size=(size, 20)).astype(np.float32)
        rows[start : start + size] = np.tanh(latent @ mixing)
    rows.flush()
    del rows
    return np.load(path, mmap_mode="r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the files go for the while")
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    ensure_one_thread()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        X = write_rows(folder / "rows.npy", options.rows)
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
            start = time.perf_counter()
            extractor.transform(X, out=out)
            seconds = time.perf_counter() - start
        correct = np.allclose(out[-3:], extractor.transform(X[-3:]), atol=1e-2)
    gigabytes = memory.anonymous / 1e9
    table = markdown_table(
        ["rows", "features", "float32, GB", "written, GB", "memory, GB", "seconds"],
        [
            [
                f"{len(X):,}",
                f"{shape[1]:,}",
                number(4e-9 * shape[0] * shape[1], 1),
                number(2e-9 * shape[0] * shape[1], 1),
                number(gigabytes),
                number(seconds, 0),
            ]
        ],
    )
    target = verdict(
        "memory of the streamed transform", gigabytes, "<=", MOST_MEMORY, unit=" GB"
    )
    rate = len(X) / seconds
    publish(
        f"{table}\n\n{rate:,.0f} rows a second; {ALL_ROWS:,} rows take "
        f"{ALL_ROWS / rate / 60:.0f} minutes. The last rows read back are "
        f"{'those of a plain transform' if correct else 'WRONG'}.\n\n{target}",
        options.write,
    )


if __name__ == "__main__":
    main()
