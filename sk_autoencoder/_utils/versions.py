"""Versions of what a result depends on, for bug reports."""

import sys
from importlib import metadata

import sklearn
import torch

# Beside those that scikit-learn prints. tests/utils/test_show_versions.py compares with
# pyproject.toml.
DEPENDENCIES = ("torch", "skorch", "safetensors", "tqdm", "polars", "pyarrow", "onnx")


def show_versions() -> None:
    """Print the versions of the system, Python, and the dependencies.

    A bug report needs them. They go to the standard output; nothing is imported that
    was not imported before.

    .. versionadded:: 0.2

    Examples
    --------
    >>> import sk_autoencoder
    >>> sk_autoencoder.show_versions()
    Package:
        sk_autoencoder: ...
    """
    has_cuda = torch.cuda.is_available()
    lines = {
        "sk_autoencoder": own_version(),
        **{name: _installed(name) for name in DEPENDENCIES},
        "CUDA": torch.version.cuda or "not built",
        "device": torch.cuda.get_device_name() if has_cuda else "cpu",
        "torch threads": torch.get_num_threads(),
    }
    # Written, not printed: this is the one function that is for the standard output,
    # and the architecture test refuses `print` so that no other starts to use it.
    sys.stdout.write("Package:\n")
    sys.stdout.writelines(f"{name:>18}: {value}\n" for name, value in lines.items())
    sklearn.show_versions()


def own_version() -> str:
    """Return the version of the package that is imported.

    A checkout that is on the path may not be the version that pip has installed.
    """
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _installed(name: str) -> str:
    """Return the version of a distribution, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
