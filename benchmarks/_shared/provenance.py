"""Where a table comes from: its command, the versions, the commit, machine and date."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "scikit-learn", "numpy", "skorch")
FOLDERS = {"--data": "DIR", "--fashion": "DIR"}
"""Options whose value names a place on one machine, and what stands in its place."""
FILES = ("--write", "--results", "--picture", "--output")
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
    words, rest = ["python"], list(arguments[start:])
    while rest:
        word = rest.pop(0)
        if word in FILES:
            rest = rest[1:]
        elif word in FOLDERS:
            words += [word, FOLDERS[word]]
            rest = rest[1:]
        else:
            words.append(f'"{word}"' if " " in word else word)
    return " ".join(words)


def commit() -> str:
    """Return the commit that is checked out, and whether files differ from it."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=9"]
    folder = Path(__file__).parent
    try:
        said = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    except OSError:
        return "commit unknown"
    return said.stdout.strip() or "commit unknown"


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.processor()
