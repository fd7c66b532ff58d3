"""`fit_batches`: its memory on a Parquet file, and its models beside those of `fit`.

The file holds samples of a curved surface in noise. It is read a row group at a time,
for one epoch, in a process of its own after a warm-up; memory that no file backs is
sampled every two milliseconds. What the samples are in memory, and what `fit` needs, is
not measured: they are not to fit there.

Then both methods are fitted to sets that do fit into memory, their samples shuffled
beforehand, with the defaults. "surface" has the samples of the file, of which the
buffer of `fit_batches` holds a part only, and a single epoch. The explained variance is
that of test samples, and a mean over the seeds.

    python -m benchmarks.speed.batches
    python -m benchmarks.speed.batches --rows 20000000 --sets digits
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._shared.command import command_line, in_fresh_process, parse
from benchmarks._shared.data import SETS, split_missing
from benchmarks._shared.report import (
    missing_files,
    number,
    publish,
    tabulate,
    verdict,
)
from benchmarks.speed.memory import PeakMemory

MOST_MEMORY = 1.0
"""Gigabytes beside the weights."""
WORST_RATIO = 0.995
"""Of the explained variance, to that of `fit`."""
ROW_GROUP = 100_000


def surface(n_rows: int, n_columns: int, seed: int) -> np.ndarray:
    """Make samples around a curved surface of five dimensions, in float32."""
    of_surface, of_rows = np.random.default_rng(0), np.random.default_rng([1, seed])
    slopes = of_surface.normal(size=(5, n_columns)).astype(np.float32)
    shifts = of_surface.uniform(0, 6, n_columns).astype(np.float32)
    place = of_rows.standard_normal((n_rows, 5), np.float32)
    noise = 0.1 * of_rows.standard_normal((n_rows, n_columns), np.float32)
    return np.sin(place @ slopes * 0.7 + shifts) + noise


def write_rows(path: Path, n_rows: int, n_columns: int) -> None:
    """Write a Parquet file, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f"x{i}", pa.float32()) for i in range(n_columns)])
    with pq.ParquetWriter(path, schema) as writer:
        for i, start in enumerate(range(0, n_rows, ROW_GROUP)):
            rows = surface(min(ROW_GROUP, n_rows - start), n_columns, i)
            writer.write_table(pa.table(list(rows.T), schema=schema))


def read_rows(path: Path) -> Any:
    """Return an iterator over the frames of a Parquet file."""
    import pyarrow.parquet as pq

    # Buffers that pyarrow fills in advance stay until the whole file has been read.
    batches = pq.ParquetFile(path, pre_buffer=False).iter_batches(ROW_GROUP)
    return (batch.to_pandas() for batch in batches)


def measure(path: Path, n_components: int) -> dict[str, float]:
    """Measure a fit to a file in this process; meant for a fresh one."""
    from sk_autoencoder import AutoEncoderTransformer

    model = AutoEncoderTransformer(
        n_components, max_epochs=1, device="cpu", random_state=0
    )
    few = next(read_rows(path))[:2_000]
    model.fit_batches([few]).score(few)
    start, used = time.perf_counter(), time.process_time()
    with PeakMemory() as memory:
        model.fit_batches(partial(read_rows, path))
    rows = next(read_rows(path))
    return {
        "gigabytes": memory.anonymous / 1e9,
        "seconds": time.perf_counter() - start,
        "of the processor": time.process_time() - used,
        "explained": model.score(rows),
        "by PCA": float(model.set_params(max_epochs=0).fit(rows).score(rows)),
    }


def compare(name: str, folder: Path | None, args: Any) -> dict[str, Any]:
    """Return the explained variance of test samples by both methods, and by PCA."""
    from sk_autoencoder import AutoEncoderTransformer

    params: dict[str, Any] = {"device": "cpu"}
    if name == "surface":
        rows = surface(args.surface_rows, args.columns, 0)
        params["max_epochs"] = 1
    else:
        rows = np.asarray(SETS[name].load(folder), np.float32)
        rows = np.random.default_rng(0).permutation(rows)
    test, train = np.split(rows, [len(rows) // 5])
    batches = np.array_split(train, max(2, len(train) // 500))
    found = []
    for seed in range(1 if name == "surface" else args.seeds):
        model = AutoEncoderTransformer(args.components, random_state=seed, **params)
        whole = model.fit(train).score(test)
        found.append((whole, model.fit_batches(batches).score(test)))
    linear = model.set_params(max_epochs=0).fit(train).score(test)
    whole, streamed = np.mean(found, axis=0)
    return {"set": name, "fit": whole, "fit_batches": streamed, "PCA": linear}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__, data="folder of the sets that packages do not carry")
    add = parser.add_argument
    add("--rows", type=int, default=2_000_000, help="of the file")
    add("--columns", type=int, default=50)
    add("--components", type=int, default=10)
    add("--surface-rows", type=int, default=500_000)
    add("--seeds", type=int, default=3)
    add("--sets", nargs="+", choices=["surface", *SETS], default=["surface", "digits"])
    add("--folder", type=Path, help="where the file goes for the while")
    args = parse(parser)
    _, missing = split_missing([n for n in args.sets if n != "surface"], args.data)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        path = Path(name) / "rows.parquet"
        write_rows(path, args.rows, args.columns)
        size = path.stat().st_size / 1e9
        found = in_fresh_process(measure, path, args.components)
    results = [
        in_fresh_process(compare, name, args.data, args)
        for name in args.sets
        if name not in missing
    ]
    shape = f"{args.rows:,} x {args.columns}"
    columns = {
        "explained variance": lambda r: r["set"],
        "fit": lambda r: number(r["fit"], 4),
        "fit_batches": lambda r: number(r["fit_batches"], 4),
        "ratio": lambda r: number(r["fit_batches"] / r["fit"], 4),
        "PCA": lambda r: number(r["PCA"], 4),
    }
    publish(
        args.write,
        f"# One epoch of fit_batches on a Parquet file, {shape} in float32",
        f"{size:.2f} GB of file, {4e-9 * args.rows * args.columns:.2f} GB in memory; "
        f"{found['gigabytes']:.2f} GB of extra memory, {found['seconds']:.0f} seconds, "
        f"{found['of the processor']:.0f} of the processor; explained variance of a "
        f"row group {found['explained']:.4f}, by its own PCA {found['by PCA']:.4f}",
        "# Beside fit",
        tabulate(results, columns),
        "\n".join(
            [
                verdict("memory", found["gigabytes"], "<", MOST_MEMORY, unit=" GB"),
                *(
                    verdict(
                        r["set"], r["fit_batches"] / r["fit"], ">=", WORST_RATIO, ".4f"
                    )
                    for r in results
                ),
            ]
        ),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
