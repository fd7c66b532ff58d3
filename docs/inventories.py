"""Inventories of other projects' documentation, made from what is installed.

Links to the pages of scikit-learn and others need a list of these pages. Sphinx would
fetch it at each build; here it is made of the names in the installed packages, so that
the documentation is built offline. An address is right as long as these projects keep
the names of their pages.
"""

import importlib
import inspect
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Project(NamedTuple):
    """Where a project's pages are, and which modules to list.

    Attributes
    ----------
    url : str
        Of the documentation.
    page : str
        Address of a name's entry, relative to `url`.
    modules : sequence of str
    """

    url: str
    page: str
    modules: Sequence[str]


SKLEARN = """
    compose datasets decomposition ensemble impute linear_model manifold metrics
    model_selection neighbors neural_network pipeline preprocessing utils
"""
PROJECTS = {
    "python": Project(
        "https://docs.python.org/3/",
        "library/{module}.html#{name}",
        ("functools", "pathlib", "tempfile", "time"),
    ),
    "numpy": Project(
        "https://numpy.org/doc/stable/",
        "reference/generated/{name}.html#{name}",
        ("numpy",),
    ),
    "pandas": Project(
        "https://pandas.pydata.org/docs/",
        "reference/api/{name}.html#{name}",
        ("pandas",),
    ),
    "sklearn": Project(
        "https://scikit-learn.org/stable/",
        "modules/generated/{name}.html#{name}",
        [f"sklearn.{name}" for name in SKLEARN.split()],
    ),
    "skorch": Project(
        "https://skorch.readthedocs.io/en/stable/",
        "callbacks.html#{name}",
        ("skorch.callbacks",),
    ),
    "torch": Project(
        "https://docs.pytorch.org/docs/stable/",
        "generated/{name}.html#{name}",
        ("torch", "torch.nn", "torch.optim"),
    ),
}


def make_inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write an inventory for each project; return Sphinx's `intersphinx_mapping`."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for name, project in PROJECTS.items():
        path = folder / f"{name}.inv"
        path.write_bytes(inventory(name, project))
        mapping[name] = (project.url, str(path))
    return mapping


def inventory(title: str, project: Project) -> bytes:
    """Return an inventory in the second version of Sphinx's format."""
    header = f"# Sphinx inventory version 2\n# Project: {title}\n# Version: \n"
    header += "# The remainder of this file is compressed using zlib.\n"
    lines = [
        f"{name} py:{role} 1 {project.page.format(module=module, name=name)} -\n"
        for module in project.modules
        for name, role in public_names(module)
    ]
    return header.encode() + zlib.compress("".join(lines).encode())


def public_names(module: str) -> Iterator[tuple[str, str]]:
    """Return the classes and functions of a module, each with its role."""
    imported = importlib.import_module(module)
    for name in getattr(imported, "__all__", dir(imported)):
        value = vars(imported).get(name)
        if inspect.isclass(value):
            yield f"{module}.{name}", "class"
        elif callable(value) and not name.startswith("_"):
            yield f"{module}.{name}", "function"
