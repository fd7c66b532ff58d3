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
import resource
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from scipy import sparse
from tqdm import tqdm

from benchmarks._shared.command import command_line, in_fresh_process, parse
from benchmarks._shared.data import fill
from benchmarks._shared.report import number, publish, tabulate, verdict

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
    shape, path = (n_rows, n_columns), folder / "rows.npy"
    if kind == "csr":
        rng = np.random.default_rng(0)
        rows = sparse.random_array(
            shape, density=DENSITY, format="csr", dtype="f4", rng=rng
        )
        for part in ("data", "indices", "indptr"):
            np.save(folder / f"{part}.npy", getattr(rows, part))
        return
    dtype = "float64" if kind == "float64" else "float32"
    fill(np.lib.format.open_memmap(path, "w+", dtype, shape)).flush()


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
    from sk_autoencoder import AutoEncoderTransformer

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
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        folder = Path(name)
        write_rows(kind, folder, args.rows, args.columns)
        return in_fresh_process(measure, kind, folder, args.columns, args.components)


def report(results: list[dict], args: argparse.Namespace) -> list[str]:
    """Return the table and, for the two targets, whether they were met."""

    def megabytes(name: str) -> Callable[[dict], str]:
        return lambda result: number(result[name] / MEGABYTE, 1)

    columns = {
        "rows": lambda result: result["kind"],
        "data, MB": megabytes("data"),
        "fit: extra MB": megabytes("fit"),
        "of the data": lambda result: number(result["fit"] / result["data"], 2),
        "output, MB": megabytes("output"),
        "transform: extra MB": megabytes("transform"),
        "of the output": lambda result: number(
            result["transform"] / result["output"], 2
        ),
    }
    return [
        f"# Peak extra memory, {args.rows:,} x {args.columns} rows to "
        f"{args.components} components, one epoch",
        tabulate(results, columns),
        "\n".join(_verdicts(results)),
    ]


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


def main() -> None:
    """Run the benchmark from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=400_000)
    add("--columns", type=int, default=200)
    add("--components", type=int, default=50)
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    add("--scratch", type=Path, help="folder for the rows (default: the system's)")
    args = parse(parser)
    results = [measure_in_child(kind, args) for kind in tqdm(args.kinds)]
    publish(args.write, *report(results, args))


if __name__ == "__main__":
    main()
