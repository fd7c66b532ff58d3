"""Versions of what a result depends on, for bug reports."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata

import torch
from threadpoolctl import threadpool_info

# What runs when the package is imported or trains, then what only extras bring, then
# what installs. tests/utils/test_show_versions.py compares with pyproject.toml.
DEPENDENCIES = (
    "torch",
    "scikit-learn",
    "numpy",
    "scipy",
    "skorch",
    "safetensors",
    "threadpoolctl",
    "tqdm",
    "joblib",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "pip",
)


def show_versions() -> None:
    """Print the versions of the system, Python, and the dependencies.

    A bug report needs them. They go to the standard output; nothing is imported that
    was not imported before.

    Examples
    --------
    >>> import sk_autoencoder
    >>> sk_autoencoder.show_versions()
    System:
        python: ...
    """
    blocks = [
        ("System", _system()),
        ("Python dependencies", _dependencies()),
        ("Torch", _torch()),
        *(("Thread pool", _thread_pool(pool)) for pool in threadpool_info()),
    ]
    # Written, not printed: this is the one function that is for the standard output,
    # and the architecture test refuses `print` so that no other starts to use it.
    sys.stdout.write("\n".join(_block(title, lines) for title, lines in blocks))


def _block(title: str, lines: Iterable[tuple[str, object]]) -> str:
    """Return lines of `name: value` under a title, the names flush right."""
    lines = list(lines)
    width = max(len(name) for name, _ in lines)
    return f"{title}:\n" + "".join(
        f"    {name:>{width}}: {value}\n" for name, value in lines
    )


def _system() -> list[tuple[str, object]]:
    return [
        ("python", sys.version.replace("\n", " ")),
        ("executable", sys.executable),
        ("machine", platform.platform()),
        ("cores", os.cpu_count()),
    ]


def _dependencies() -> list[tuple[str, object]]:
    # The package's own version is the one that is imported: a checkout that is on the
    # path may not be the version that pip has installed.
    package = sys.modules[__name__.partition(".")[0]]
    versions = [("sk_autoencoder", package.__version__)]
    return [*versions, *((name, _installed(name)) for name in DEPENDENCIES)]


def _installed(name: str) -> str:
    """Return the version of a distribution, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _torch() -> list[tuple[str, object]]:
    has_cuda = torch.cuda.is_available()
    return [
        ("CUDA", torch.version.cuda or "not built"),
        ("device", torch.cuda.get_device_name() if has_cuda else "cpu"),
        ("threads", torch.get_num_threads()),
    ]


def _thread_pool(pool: dict[str, object]) -> list[tuple[str, object]]:
    return sorted(pool.items())
