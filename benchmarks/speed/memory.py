"""Peak extra memory of `fit` and `transform`, for each kind of rows.

Each kind is measured in a process of its own, after a warm-up on a few rows has loaded
every library: the data are loaded, freed memory is handed back to the system, the
kernel's high-water mark of resident memory is reset, and then one epoch is fitted or
all rows are transformed. What the mark rose by is the extra memory, the result of
`transform` included. Pages of a memory-mapped file count as resident although the
system takes them back at will, so for those rows anonymous memory, sampled every two
milliseconds, is the figure.

    python -m benchmarks.speed.memory
    python -m benchmarks.speed.memory --rows 100000 --kinds float32 csr

On systems without Linux's /proc the mark cannot be reset; there `ru_maxrss` stands in,
which is too low where loading or the warm-up had a higher peak than the call.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from scipy import sparse
from tqdm import tqdm

from benchmarks._shared.common import (
    ensure_one_thread,
    markdown_table,
    number,
    publish,
    verdict,
)

FIT_TARGET = 0.2
"""Extra memory of fit on float32 rows, as a share of theirs."""
TRANSFORM_TARGET = 1.2
"""Extra memory of transform, its output included, as a share of its output's."""
KINDS = ("float32", "float64", "memory-mapped", "csr")
DENSITY = 0.05
MEGABYTE = 1e6


class PeakMemory:
    """Measure by how much resident memory rises inside a `with` block.

    Attributes
    ----------
    resident : float
        Rise of all resident memory in bytes, from the kernel's high-water mark.
    anonymous : float
        Rise of memory that no file backs, sampled; NaN where it cannot be read.
    """

    def __enter__(self) -> PeakMemory:
        gc.collect()
        # Memory that was freed but kept by the allocator would be used again unseen.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._start = _status("VmRSS") or _highest()
        self._start_anonymous = self._anonymous = _status("RssAnon")
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.resident = (_status("VmHWM") or _highest()) - self._start
        self._done.set()
        self._sampler.join()
        rise = self._anonymous - self._start_anonymous
        self.anonymous = rise if self._start_anonymous else float("nan")

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self._anonymous = max(self._anonymous, _status("RssAnon"))


def _status(field: str) -> float:
    """Read a field of this process's status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = [line for line in lines if line.startswith(field + ":")]
    return 1024 * float(found[0].split()[1]) if found else 0.0


def _highest() -> float:
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(highest) * (1 if sys.platform == "darwin" else 1024)


# --------------------------------------------------------------------------- the rows


def write_rows(kind: str, folder: Path, n_rows: int, n_columns: int) -> None:
    """Write rows with some structure, a part at a time, as .npy files."""
    rng = np.random.default_rng(0)
    if kind == "csr":
        rows = sparse.random_array(
            (n_rows, n_columns), density=DENSITY, format="csr", dtype="f4", rng=rng
        )
        for part in ("data", "indices", "indptr"):
            np.save(folder / f"{part}.npy", getattr(rows, part))
        return
    dtype = "float64" if kind == "float64" else "float32"
    mixing = rng.standard_normal((20, n_columns)) / 4
    out = np.lib.format.open_memmap(
        folder / "rows.npy", mode="w+", dtype=dtype, shape=(n_rows, n_columns)
    )
    for start in range(0, n_rows, 10_000):
        chunk = out[start : start + 10_000]
        chunk[:] = rng.standard_normal((len(chunk), 20)) @ mixing
        chunk += 0.3 * rng.standard_normal(chunk.shape)
    out.flush()


def read_rows(kind: str, folder: Path, n_columns: int) -> Any:
    """Read the rows back without a copy in between."""
    if kind == "csr":
        names = ("data", "indices", "indptr")
        data, indices, indptr = (np.load(folder / f"{name}.npy") for name in names)
        shape = (len(indptr) - 1, n_columns)
        return sparse.csr_array((data, indices, indptr), shape=shape)
    if kind == "memory-mapped":
        return np.load(folder / "rows.npy", mmap_mode="r")
    return np.load(folder / "rows.npy")


def n_bytes(X: Any) -> int:
    """Size of the rows in memory."""
    if sparse.issparse(X):
        return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    return X.nbytes


# -------------------------------------------------------------------- the measurement


def measure(kind: str, folder: Path, n_columns: int, n_components: int) -> dict:
    """Measure one kind of rows in this process; meant for a fresh one."""
    import torch

    from sk_autoencoder import AutoEncoderTransformer

    torch.set_num_threads(1)
    X = read_rows(kind, folder, n_columns)
    estimator = AutoEncoderTransformer(
        n_components, max_epochs=1, device="cpu", random_state=0
    )
    few = X[:2_000] if sparse.issparse(X) else np.array(X[:2_000])
    estimator.fit(few).transform(few)
    with PeakMemory() as fit:
        estimator.fit(X)
    with PeakMemory() as transform:
        code = estimator.transform(X)
    field = "anonymous" if kind == "memory-mapped" else "resident"
    return {
        "kind": kind,
        "data": n_bytes(X),
        "fit": getattr(fit, field),
        "output": code.nbytes,
        "transform": getattr(transform, field),
    }


def measure_in_child(kind: str, args: argparse.Namespace) -> dict:
    """Measure one kind of rows in a fresh process."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        write_rows(kind, Path(folder), args.rows, args.columns)
        shape = [str(args.columns), str(args.components)]
        command = [sys.executable, "-m", "benchmarks.speed.memory"]
        command += ["--child", kind, folder, *shape]
        # The package is found where this process finds it, installed or not.
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    return json.loads(done.stdout.splitlines()[-1])


def report(results: list[dict], args: argparse.Namespace) -> str:
    """Return the table and, for the two targets, whether they were met."""
    rows = []
    for result in results:
        sizes = [result[key] for key in ("data", "fit", "output", "transform")]
        data, fit, output, transform = (number(s / MEGABYTE, 1) for s in sizes)
        fit_share = number(result["fit"] / result["data"], 2)
        transform_share = number(result["transform"] / result["output"], 2)
        cells = (data, fit, fit_share, output, transform, transform_share)
        rows.append((result["kind"], *cells))
    header = (
        "rows",
        "data, MB",
        "fit: extra MB",
        "of the data",
        "output, MB",
        "transform: extra MB",
        "of the output",
    )
    lines = [
        f"# Peak extra memory, {args.rows:,} x {args.columns} rows to "
        f"{args.components} components, one epoch",
        markdown_table(header, rows),
        "\n".join(_verdicts(results)),
    ]
    return "\n\n".join(lines)


def _verdicts(results: list[dict]) -> list[str]:
    lines = []
    for result in results:
        shares = []
        if result["kind"] in ("float32", "memory-mapped"):
            shares.append(("fit", result["fit"] / result["data"], FIT_TARGET))
        ratio = result["transform"] / result["output"]
        shares.append(("transform", ratio, TRANSFORM_TARGET))
        for what, share, target in shares:
            lines.append(verdict(f"{what}, {result['kind']}", share, "<", target))
    return lines


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=400_000)
    add("--columns", type=int, default=200)
    add("--components", type=int, default=50)
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    add("--scratch", type=Path, help="folder for the rows (default: the system's)")
    add("--write", type=Path, metavar="FILE", help="also write the table there")
    add("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the benchmark from the command line."""
    args = parse_arguments()
    ensure_one_thread()
    if args.child:
        kind, folder, n_columns, n_components = args.child
        print(
            json.dumps(measure(kind, Path(folder), int(n_columns), int(n_components)))
        )
        return
    results = [measure_in_child(kind, args) for kind in tqdm(args.kinds)]
    publish(report(results, args), args.write)


if __name__ == "__main__":
    main()
