"""Where a table comes from: its command, the versions, the commit, machine and date."""

from __future__ import annotations

import datetime
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "scikit-learn", "numpy", "skorch")
FOLDERS = {
    "--data": "DIR",
    "--fashion": "DIR",
    "--downloads": "DIR",
    "--collection": "DIR",
    "--before": "DIR",
    "--train": "FILE",
    "--test": "FILE",
}
"""Options whose value names a place on one machine, and what stands in its place."""
FILES = (
    "--write",
    "--results",
    "--picture",
    "--output",
    "--file",
    "--folder",
    "--scratch",
)
"""Options that change nothing of what is measured."""


def provenance() -> str:
    """Return the line above a written table."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"`{command(sys.orig_argv)}`, {datetime.date.today()}, one thread: "
        f"sk_autoencoder {version('sk_autoencoder')} ({commit()}), "
        f"Python {platform.python_version()}, {versions}, "
        f"{platform.system()} {platform.machine()}, {processor()}"
    )


def command(arguments: Sequence[str]) -> str:
    """Return the command as anybody would type it, without places of one machine."""
    start = arguments.index("-m") if "-m" in arguments else 1
    words, rest = ["python"], iter(arguments[start:])
    for word in rest:
        name, joined, _ = word.partition("=")
        if name not in FILES and name not in FOLDERS:
            words.append(word)
            continue
        if not joined:
            next(rest, None)  # the value
        if name in FOLDERS:
            words += [name, FOLDERS[name]]
    return shlex.join(words)


def commit(folder: Path = Path(__file__).parent) -> str:
    """Return the commit that is checked out, and whether files differ from it."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=9"]
    try:
        said = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    except OSError:
        return "commit unknown"
    return said.stdout.strip() or "commit unknown"


def processor() -> str:
    """Return the processor's name, where the system tells it, or its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    if names:
        return " ".join(names[0].split())
    return platform.processor() or platform.machine()
