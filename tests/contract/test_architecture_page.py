"""The page on the architecture names what there is, and its walks are what runs."""

import ast
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import sk_autoencoder
from sk_autoencoder import AutoEncoderTransformer

ROOT = Path(__file__).parents[2]
PACKAGE = Path(sk_autoencoder.__file__).parent
FOLDER = ROOT / "docs" / "development"
PAGE = (FOLDER / "architecture.md").read_text(encoding="utf-8")
# A module; a module and what is defined in it; the same the other way round.
MODULE = re.compile(r"(?<![\w/-])((?:\w+/)*\w+\.py)\b")
STEP = re.compile(r"`((?:\w+/)*\w+\.py)`\s+`([\w.]+)`")
WITHIN = re.compile(
    r"`([\w.]+)`(?:\s+and\s+`([\w.]+)`)?\s+(?:in|of)\s+`((?:\w+/)*\w+\.py)`"
)
# Files, and the beginning of the names of a network's parameters.
OTHER = re.compile(r"\.(py|md|rst)$|\.\.\.$")
EVERY = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
# Modules that are a thing of their own without a line on the page.
WITHOUT_LINE = re.compile(r"(plotting|datasets)/.*|(.*/)?__(init|main)__\.py")


def definitions(path):
    """Return what a module defines, methods as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef)
            }
            found |= {method.name for method in node.body if hasattr(method, "name")}
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_drawing_is_up_to_date():
    script = runpy.run_path(str(FOLDER / "draw_rooms.py"))
    drawn = script["DRAWING"].read_text(encoding="utf-8")
    assert drawn == script["draw"](), "run python docs/development/draw_rooms.py"


def test_the_drawing_has_each_arrow_that_does_not_follow_from_others():
    script = runpy.run_path(str(FOLDER / "draw_rooms.py"))
    imports = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert script["without_shortcuts"](imports) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert script["heights"](imports) == {"a": 2, "b": 1, "c": 0}


def test_every_module_has_a_line():
    named = set(MODULE.findall(PAGE))
    assert not {name for name in EVERY - named if not WITHOUT_LINE.fullmatch(name)}


@pytest.mark.parametrize("page", ["architecture.md", "extending.md"])
def test_modules_and_names_on_the_page_exist(page):
    text = (FOLDER / page).read_text(encoding="utf-8")
    known = EVERY | {"draw_rooms.py"}
    wrong = {
        name
        for name in MODULE.findall(text)
        if name not in known and not (ROOT / name).exists()
    }
    assert not wrong
    pairs = [(path, name) for path, name in STEP.findall(text)]
    for first, second, path in WITHIN.findall(text):
        pairs += [(path, name) for name in (first, second) if name]
    assert len(pairs) > (40 if page == "architecture.md" else 3)
    assert not [
        f"{path}: {name}"
        for path, name in pairs
        if name not in definitions(PACKAGE / path if path in EVERY else ROOT / path)
    ]


@pytest.mark.parametrize("page", ["architecture.md", "extending.md"])
def test_names_on_the_page_are_in_the_source(page):
    text = (FOLDER / page).read_text(encoding="utf-8")
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")
    )
    words = set(re.findall(r"\w+", source))
    names = {name for name in re.findall(r"`([\w.]+)`", text) if not OTHER.search(name)}
    wrong = {name for name in names if not set(name.split(".")) <= words}
    assert not wrong


def test_modules_that_docstrings_name_exist():
    # As a file, or as a module before a class.
    shown = re.compile(r"`((?:\w+/)*\w+\.py)`|`(_[a-z_.]+)\.[A-Z]\w*`")
    wrong = set()
    for path in PACKAGE.rglob("*.py"):
        for file, module in shown.findall(path.read_text(encoding="utf-8")):
            name = file or f"{module.replace('.', '/')}.py"
            if name not in EVERY and not (ROOT / name).exists():
                wrong.add(f"{path.relative_to(PACKAGE)}: {name}")
    assert not wrong


def called(function):
    """Return the package's functions in the order of their first call."""
    found = {}

    def note(frame, event, _):
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(str(PACKAGE)):
            name = Path(path).relative_to(PACKAGE).as_posix()
            found.setdefault((name, frame.f_code.co_qualname), len(found))

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return list(found)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """What is called on each of the walks, by the words it is told under."""
    path = tmp_path_factory.mktemp("saved") / "reducer.safetensors"
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[:, 2:] = X[:, :2] ** 2
    reducer = AutoEncoderTransformer(2, max_epochs=2, random_state=0)
    return {
        "### `fit(X)`": called(lambda: reducer.fit(X)),
        "### `transform(X)`": called(lambda: reducer.transform(X)),
        "### `save(path)`": called(lambda: reducer.save(path)),
        "And back:": called(lambda: sk_autoencoder.load(path)),
    }


@pytest.mark.parametrize(
    "walk", ["### `fit(X)`", "### `transform(X)`", "### `save(path)`", "And back:"]
)
def test_a_walk_is_what_runs(walk, calls):
    told = PAGE.partition(walk)[2]
    told = re.split(r"^(?:##|And back:)", told, maxsplit=1, flags=re.MULTILINE)[0]
    steps = STEP.findall(told)
    assert len(steps) > 3
    order = calls[walk]
    assert not [step for step in steps if step not in order]
    assert [order.index(step) for step in steps] == sorted(
        order.index(step) for step in steps
    )
