"""The command line of a benchmark, and the processes that it measures in."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def command_line(
    doc: str, *, data: str | None = None, results: bool = False, write: bool = True
) -> argparse.ArgumentParser:
    """Return a parser that knows the options of all benchmarks.

    Parameters
    ----------
    doc : str
        The module's docstring: what is measured, and commands to try.
    data : str or None
        What the folder of `--data` holds; None for a benchmark without that option.
    results : bool
        Whether measurements are kept in a file, from which a run goes on.
    write : bool
        Whether the tables go to a file of the caller's choice.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    if data is not None:
        add("--data", type=Path, metavar="DIR", help=data)
    if results:
        add("--results", type=Path, metavar="FILE", help="lines to go on from")
    if write:
        add("--write", type=Path, metavar="FILE", help="also write the tables there")
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Read the command line, and see to it that this process has one thread."""
    args = parser.parse_args(arguments)
    ensure_one_thread()
    return args


def ensure_one_thread() -> None:
    """Start this process again with one thread a numerical library, unless it has it.

    The libraries read these variables when they are loaded, which an import at the
    top of a script has done before `main` runs; a fresh process is the one sure way.
    """
    ensure_environment(THREAD_VARIABLES)


def ensure_environment(names: Iterable[str]) -> None:
    """Start this process again with these variables 1, unless they are."""
    if all(os.environ.get(name) == "1" for name in names):
        return
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, environment)


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a process that has done nothing before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
