"""The shape of the house, read from the imports of its source.

Everything here works on text: nothing of the package is imported, so that a package
too broken to import is still told what is wrong with its shape. Each rule is a
function from sources to complaints, tried first on small wrong packages.
"""

import ast
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = "sk_autoencoder"
# Found without importing it; installed or in the checkout.
ROOT = Path(find_spec(PACKAGE).submodule_search_locations[0])
TESTS = Path(__file__).parents[1]

MAX_MODULE_LINES = 400
MAX_BODY_LINES = 60

# A module belongs to the first layer with a pattern that its name matches. The names
# are without the package; "" is the package itself. A folder's pattern holds for all
# that is in it: `networks.*` for networks/mlp.py.
LAYERS = {
    "public": ["", "__main__"],
    "export": ["export", "export.*"],
    "loading": ["_load"],
    "plotting": ["plotting", "plotting.*"],
    "outliers": ["_outliers", "_outliers.*"],
    "estimators": ["_estimators", "_estimators.*"],
    "saving": ["_saving", "_saving.*"],
    "fitting": ["_fitting", "_fitting.*"],
    "inference": ["_inference", "_inference.*"],
    "training": ["_training", "_training.*"],
    "model": ["_model", "_model.*"],
    "networks": ["networks", "networks.*"],
    "objectives": ["_objectives", "_objectives.*"],
    "columns": ["_columns", "_columns.*"],
    "protocols": ["_protocols"],
    "metrics": ["metrics"],
    "datasets": ["datasets", "datasets.*"],
    "utils": ["_utils", "_utils.*", "exceptions"],
}

# The arrows: a layer may import those named here, those that these may import, and so
# on downwards. Two layers between which no path leads never meet: that is what keeps
# the model, networks, objectives, and columns independent of each other. Modules of
# one layer may import each other, but not in a circle.
ARROWS = {
    "public": ["export", "loading", "plotting", "networks", "datasets", "metrics"],
    "export": ["outliers"],
    "loading": ["outliers"],
    "plotting": ["outliers", "metrics"],
    "outliers": ["estimators"],
    "estimators": ["saving"],
    "saving": ["fitting"],
    "fitting": ["inference"],
    "inference": ["training", "networks"],
    "training": ["model", "objectives", "columns"],
    "model": ["protocols"],
    "networks": ["protocols"],
    "objectives": ["protocols"],
    "columns": ["protocols"],
    "protocols": ["utils"],
    "metrics": ["utils"],
    "datasets": ["utils"],
    "utils": [],
}

# Folders of tests that no room of the package has.
MORE_FOLDERS = {"benchmarks", "contract", "gpu", "integration"}

# Libraries that only some layers or modules may import, be it inside a function.
DOORS = {
    "skorch": ["training"],
    "pandas": ["columns", "datasets", "_utils.sklearn_compat"],
    "polars": ["columns", "datasets", "_utils.sklearn_compat"],
    "matplotlib": ["plotting"],
    "onnx": ["export"],
    "skl2onnx": ["export"],
}


# ------------------------------------------------------------------------ reading


def read_package(root: Path) -> dict[str, str]:
    """Source of each module, by its name without the package."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


@cache
def nodes_of(source: str) -> list[ast.AST]:
    """Return the syntax tree as a list: each rule goes through all of it."""
    return list(ast.walk(ast.parse(source)))


def is_package(name: str, sources: dict[str, str]) -> bool:
    return name == "" or any(other.startswith(f"{name}.") for other in sources)


def called(node: ast.Call) -> str:
    """Return the last name of what is called, as `f` of `a.f(x)`."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def imported(name: str, sources: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Full names that a module imports, at any depth, with the line of each.

    `from a import b` yields `a.b`: whether b is a module is for the caller to find out.
    """
    full = f"{PACKAGE}.{name}".rstrip(".")
    package = full if is_package(name, sources) else full.rpartition(".")[0]
    for node in nodes_of(sources[name]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                steps = package.split(".")
                steps = steps[: len(steps) - node.level + 1]
                origin = ".".join([*steps, origin] if origin else steps)
            for alias in node.names:
                yield f"{origin}.{alias.name}", node.lineno
        elif (
            isinstance(node, ast.Call)
            and called(node) in {"import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), node.lineno


def internal(name: str, sources: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Modules of the package that a module imports, with the line of each."""
    for target, line in imported(name, sources):
        if target.partition(".")[0] != PACKAGE:
            continue
        inner = target.removeprefix(PACKAGE).removeprefix(".")
        while inner not in sources and inner:
            inner = inner.rpartition(".")[0]
        if inner != name:
            yield inner, line


def layer_of(name: str) -> str | None:
    for layer, patterns in LAYERS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return layer
    return None


def reachable(layer: str) -> set[str]:
    """Layers that a layer may import: itself, and all below it."""
    found = {layer}
    for below in ARROWS[layer]:
        found |= reachable(below)
    return found


# -------------------------------------------------------------------------- rules


def without_layer(sources: dict[str, str]) -> list[str]:
    return [
        f"{name}: expected a module of a known layer, got a new name. Give it a layer "
        f"in LAYERS of {Path(__file__).name}: the lowest one whose arrows it needs."
        for name in sources
        if layer_of(name) is None
    ]


def against_arrows(sources: dict[str, str]) -> list[str]:
    complaints = []
    for name in sources:
        layer = layer_of(name)
        if layer is None:  # told by without_layer
            continue
        for target, line in internal(name, sources):
            below = layer_of(target)
            if below is not None and below not in reachable(layer):
                complaints.append(
                    f"{name or '__init__'}:{line} imports {target or '__init__'}: no "
                    f"arrow leads from {layer} to {below}. Move what is shared to a "
                    f"layer below both, or have a layer above both join them."
                )
    return complaints


def in_a_circle(sources: dict[str, str]) -> list[str]:
    graph = {
        # A package's __init__ gathers what its modules define, so they may not lean on
        # it; an import of the package itself is a circle already.
        name: {target for target, _ in internal(name, sources)}
        for name in sources
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = [name or "__init__" for name in error.args[1]]
        return [f"imports in a circle: {' <- '.join(circle)}"]
    return []


def through_the_wrong_door(sources: dict[str, str]) -> list[str]:
    complaints = []
    for name in sources:
        for target, line in imported(name, sources):
            library = target.partition(".")[0]
            allowed = DOORS.get(library)
            if allowed and layer_of(name) not in allowed and name not in allowed:
                complaints.append(
                    f"{name or '__init__'}:{line} imports {library}: only "
                    f"{', '.join(allowed)} may."
                )
    return complaints


def code_lines(source: str) -> int:
    """Count the lines that are neither blank, nor a comment's, nor a docstring's."""
    documented: set[int] = set()
    for node in nodes_of(source):
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    return sum(
        bool(line.strip()) and line.strip()[0] != "#" and number not in documented
        for number, line in enumerate(source.splitlines(), start=1)
    )


def too_long(sources: dict[str, str]) -> list[str]:
    complaints = []
    for name, source in sources.items():
        n_lines = code_lines(source)
        if n_lines > MAX_MODULE_LINES:
            complaints.append(
                f"{name or '__init__'}: {n_lines} lines of code, at most "
                f"{MAX_MODULE_LINES}."
            )
        for node in nodes_of(source):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[0]
            start = first.lineno
            if ast.get_docstring(node, clean=False) is not None:
                start = (first.end_lineno or start) + 1
            n_lines = (node.end_lineno or start) - start + 1
            if n_lines > MAX_BODY_LINES:
                complaints.append(
                    f"{name or '__init__'}:{node.lineno} {node.name}: a body of "
                    f"{n_lines} lines, at most {MAX_BODY_LINES}."
                )
    return complaints


def of_another_module(sources: dict[str, str]) -> list[str]:
    """Names that a module keeps to itself, imported by another.

    There is no `__all__` in private modules: the underscore says it. What libraries
    keep to themselves has that name in the modules that are for it.
    """
    return [
        f"{name or '__init__'}:{line} imports {target}, which is its module's own. "
        "Take the underscore off there, or do without."
        for name in sources
        for target, line in imported(name, sources)
        if target.startswith(f"{PACKAGE}.")
        and "_compat." not in target
        and target.rpartition(".")[2].startswith("_")
        and target.removeprefix(f"{PACKAGE}.") not in sources
    ]


def printing(sources: dict[str, str]) -> list[str]:
    return [
        f"{name or '__init__'}:{node.lineno} prints. Return it, warn, or leave it to "
        f"the skorch callbacks that `verbose` asks for."
        for name, source in sources.items()
        for node in nodes_of(source)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def rooms(modules: Iterable[str]) -> set[str]:
    """Names of the folders of tests that a package of these modules has."""
    folders = {name.partition(".")[0] for name in modules if "." in name}
    return {folder.lstrip("_") for folder in folders} | {"metrics"}


def out_of_place(tests: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Complain of tests that are in no room's folder, and of rooms without tests."""
    expected = rooms(modules) | MORE_FOLDERS
    complaints, found = [], set()
    for path in tests:
        folder, _, name = path.rpartition("/")
        if folder in expected:
            found.add(folder)
        elif name.startswith("test_"):
            complaints.append(
                f"tests/{path}: expected a folder that is named after a room of the "
                f"package, or one of {', '.join(sorted(MORE_FOLDERS))}."
            )
    return complaints + [
        f"tests/{folder}: expected tests of that room, got none."
        for folder in sorted(rooms(modules) - found)
    ]


RULES = [
    without_layer,
    against_arrows,
    in_a_circle,
    through_the_wrong_door,
    too_long,
    of_another_module,
    printing,
]


# -------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_package(ROOT)


def test_reads_the_package(sources):
    assert {"", "_estimators.base", "networks", "networks.mlp"} <= set(sources)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule, sources):
    complaints = rule(sources)
    assert not complaints, "\n" + "\n".join(complaints)


def test_each_layer_has_its_arrows():
    assert list(LAYERS) == list(ARROWS)
    assert {below for arrows in ARROWS.values() for below in arrows} <= set(LAYERS)


def test_tests_mirror_the_package(sources):
    tests = [str(path.relative_to(TESTS).as_posix()) for path in TESTS.rglob("*.py")]
    complaints = out_of_place(tests, sources)
    assert not complaints, "\n" + "\n".join(complaints)


def test_misplaced_and_missing_tests_are_found():
    modules = ["", "_load", "metrics", "_model", "_model.module"]
    right = ["conftest.py", "model/test_module.py", "metrics/test_metrics.py"]
    assert out_of_place([*right, "contract/test_state.py"], modules) == []
    (flat,) = out_of_place([*right, "test_module.py"], modules)
    assert flat.startswith("tests/test_module.py: expected a folder")
    (unknown,) = out_of_place([*right, "clever/test_module.py"], modules)
    assert unknown.startswith("tests/clever/test_module.py: expected a folder")
    (missing,) = out_of_place(right[::2], modules)
    assert missing == "tests/model: expected tests of that room, got none."


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (TESTS / "benchmarks").glob("*.py"))
)
def test_tests_of_benchmarks_run_apart(name):
    text = (TESTS / "benchmarks" / name).read_text(encoding="utf-8")
    # `make test` tries the demo, which is what a newcomer starts with.
    is_apart = "\npytestmark = pytest.mark.benchmark\n" in text
    assert is_apart != (name == "test_demo.py")


@pytest.mark.parametrize("axis", ["model", "networks", "objectives", "columns"])
def test_axes_reach_neither_each_other_nor_torch_training(axis):
    assert reachable(axis) == {axis, "protocols", "utils"}


LONG_BODY = "def f():\n" + '    """Docs."""\n' + "    x = 1\n" * 61

WRONG = {
    "a new module": (without_layer, {"_clever": ""}, "_clever: expected a module"),
    "upwards": (
        against_arrows,
        {
            "_training.net": "",
            "_model.module": "from sk_autoencoder._training.net import Net",
        },
        "_model.module:1 imports _training.net: no arrow leads from model to training",
    ),
    "upwards, relative": (
        against_arrows,
        {"_training.net": "", "_model.module": "from .._training import net"},
        "_model.module:1 imports _training.net",
    ),
    "upwards, inside a function": (
        against_arrows,
        {
            "_training.net": "",
            "_model.module": "def f():\n    import sk_autoencoder._training.net",
        },
        "_model.module:2 imports _training.net",
    ),
    "from axis to axis": (
        against_arrows,
        {
            "networks": "",
            "networks.mlp": "from .._objectives.denoise import swap",
            "_objectives": "",
            "_objectives.denoise": "",
        },
        "networks.mlp:1 imports _objectives.denoise: no arrow leads from networks",
    ),
    "the package from within": (
        against_arrows,
        {"": "", "metrics": "from sk_autoencoder import AutoEncoderTransformer"},
        "metrics:1 imports __init__: no arrow leads from metrics to public",
    ),
    "a circle inside a layer": (
        in_a_circle,
        {
            "_training.batches": "from sk_autoencoder._training.selection import x",
            "_training.selection": "from sk_autoencoder._training import batches",
        },
        "imports in a circle",
    ),
    "skorch": (
        through_the_wrong_door,
        {"_estimators.base": "from skorch.callbacks import Callback"},
        "_estimators.base:1 imports skorch: only training may",
    ),
    "pandas, by name": (
        through_the_wrong_door,
        {"_estimators.base": "import importlib\nimportlib.import_module('pandas')"},
        "_estimators.base:2 imports pandas: only columns, datasets, "
        "_utils.sklearn_compat may",
    ),
    "a long module": (
        too_long,
        {"_net": "x = 1\n" * 401},
        "_net: 401 lines of code, at most",
    ),
    "a long body": (too_long, {"_net": LONG_BODY}, "_net:1 f: a body of 61 lines"),
    "a name of another module": (
        of_another_module,
        {
            "_training.net": "",
            "_training.run": "from sk_autoencoder._training.net import _split",
        },
        "_training.run:1 imports sk_autoencoder._training.net._split, which is",
    ),
    "print": (printing, {"_net": "def f():\n    print(1)"}, "_net:2 prints"),
}

RIGHT = {
    "downwards": (
        against_arrows,
        {"_estimators.base": "from .._protocols import Network", "_protocols": ""},
    ),
    "a package gathers its modules": (
        in_a_circle,
        {"networks": "from .mlp import MLP", "networks.mlp": ""},
    ),
    "skorch in the net": (
        through_the_wrong_door,
        {"_training.batches": "import skorch"},
    ),
    "pandas behind the compat module": (
        through_the_wrong_door,
        {"_utils.sklearn_compat": "import pandas as pd"},
    ),
    "a private module, and what another library keeps to itself": (
        of_another_module,
        {
            "_training": "from sk_autoencoder import _training",
            "_net": "from sk_autoencoder._utils.sklearn_compat import _safe_indexing",
        },
    ),
    "a body just short enough": (
        too_long,
        {"_net": LONG_BODY.removesuffix("    x = 1\n")},
    ),
    "a module just short enough, with much said of it": (
        too_long,
        {"_net": '"""Docs.\n\nMore.\n"""\n\n# Why.\n' + "x = 1\n" * 400},
    ),
}


@pytest.mark.parametrize(("rule", "wrong", "complaint"), WRONG.values(), ids=WRONG)
def test_a_wrong_package_is_refused(rule, wrong, complaint):
    complaints = rule(wrong)
    assert len(complaints) == 1
    assert complaint in complaints[0]


@pytest.mark.parametrize(("rule", "right"), RIGHT.values(), ids=RIGHT)
def test_a_right_package_is_accepted(rule, right):
    assert rule(right) == []
