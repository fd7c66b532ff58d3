"""What the documentation says is so: its snippets run, its defaults are the real ones.

The docstrings' examples are doctests, which pytest runs by itself, and the gallery's
examples run whenever the documentation is built.
"""

import ast
import copy
import datetime
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate

import sk_autoencoder
from sk_autoencoder import datasets
from sk_autoencoder._fitting import resolve
from sk_autoencoder._training.config import TrainingConfig

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# ----------------------------------------------------------------------- snippets

BUILT = {"_build", "auto_examples", "generated", "templates"}
DOCUMENTS = [
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.rst")
    for path in sorted(ROOT.glob(pattern))
    if not BUILT & set(path.parts)
]

# A snippet that cannot run here has this comment on the line above it:
# `<!-- not run: REASON -->` in Markdown, `.. not run: REASON` in reStructuredText.
NOT_RUN = re.compile(r"(?:<!--|\.\.) not run: *(?P<reason>.*?) *(?:-->)?$")


class Snippet(NamedTuple):
    line: int  # of its first line of code, counted from 1
    source: str
    not_run: bool

    @property
    def is_session(self) -> bool:
        """Does it show prompts and what they answer?"""
        return self.source.lstrip().startswith(">>>")


def is_marked(lines: list[str], start: int) -> bool:
    """Does the last line that is not blank, above line `start`, say "not run"?"""
    above = next((line for line in reversed(lines[:start]) if line.strip()), "")
    match = NOT_RUN.match(above.strip())
    if match is None:
        return False
    assert match["reason"], f"expected a reason after 'not run:', got {above!r}"
    return True


def markdown_snippets(text: str) -> Iterator[Snippet]:
    lines = text.splitlines()
    fence = language = None
    start = 0
    for i, line in enumerate(lines):
        stripped = line.strip()
        if fence is None:
            match = re.match(r"(```+|~~~+)\s*(\S*)", stripped)
            if match:
                (fence, language), start = match.groups(), i
        elif stripped == fence:
            if language in ("python", "py", "pycon"):
                source = textwrap.dedent("\n".join(lines[start + 1 : i])) + "\n"
                yield Snippet(start + 2, source, is_marked(lines, start))
            fence = None


def rst_snippets(text: str) -> Iterator[Snippet]:
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        directive = re.match(r"( *)\.\. code(?:-block)?:: *(\S*)", lines[i])
        if not directive and not lines[i].lstrip().startswith(">>> "):
            i += 1
            continue
        marked, start = is_marked(lines, i), i
        if directive:
            indent = len(directive[1])
            i = start = start + 1
            while i < len(lines) and (
                not lines[i].strip() or len(lines[i]) - len(lines[i].lstrip()) > indent
            ):
                i += 1
            while start < i and re.match(r" *(:[\w-]+:.*)?$", lines[start]):
                start += 1
        else:
            while i < len(lines) and lines[i].strip():
                i += 1
        if not directive or directive[2] in ("python", "pycon"):
            source = textwrap.dedent("\n".join(lines[start:i])) + "\n"
            yield Snippet(start + 1, source, marked)


def snippets(path: Path) -> list[Snippet]:
    read = markdown_snippets if path.suffix == ".md" else rst_snippets
    return list(read((ROOT / path).read_text(encoding="utf-8")))


def run_snippet(snippet: Snippet, namespace: dict[str, Any], filename: str) -> None:
    if snippet.is_session:
        flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        test = doctest.DocTestParser().get_doctest(
            snippet.source, namespace, filename, filename, snippet.line - 1
        )
        test.globs = namespace  # the parser has made a copy
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=flags)
        runner.run(test, out=report.append, clear_globs=False)
        assert not runner.failures, "".join(report)
    else:
        # Blank lines above, so that a traceback counts lines as the document does.
        source = "\n" * (snippet.line - 1) + snippet.source
        exec(compile(source, filename, "exec"), namespace)


# What these show or assert takes fits of full length.
FULL_LENGTH = {
    Path("docs/index.rst"),
    Path("docs/getting_started.rst"),
    Path("docs/user_guide/n_components.rst"),
}

read_adult = cache(datasets.load_adult)


def short_training(*, max_epochs: int, **others: Any) -> TrainingConfig:
    return TrainingConfig(max_epochs=min(max_epochs, 3), **others)


def copy_of_adult(**parameters: Any) -> Any:
    return copy.deepcopy(read_adult(**parameters))


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if snippets(path)], ids=lambda path: str(path)
)
def test_snippets_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    monkeypatch.setattr(datasets, "load_adult", copy_of_adult)
    if path not in FULL_LENGTH:
        monkeypatch.setattr(resolve, "TrainingConfig", short_training)
    for snippet in snippets(path):
        if not snippet.not_run:
            run_snippet(snippet, namespace, str(ROOT / path))


def test_documents_are_found():
    assert {Path("README.md"), Path("docs/user_guide/replace_pca.rst")} <= set(
        DOCUMENTS
    )
    assert snippets(Path("README.md"))


MARKDOWN = """\
Text.

```python
x = 1
```

```sh
not python
```

<!-- not run: needs a GPU -->
```python
x = 1 / 0
```
"""

RST = """\
Text::

    not python

.. code-block:: python
   :name: here

   x = 1

   x += 1

.. not run: needs a GPU

.. code-block:: python

   x = 1 / 0

.. code-block:: sh

   not python

>>> x
2
"""


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (
            markdown_snippets,
            MARKDOWN,
            [Snippet(4, "x = 1\n", False), Snippet(13, "x = 1 / 0\n", True)],
        ),
        (
            rst_snippets,
            RST,
            [
                Snippet(8, "x = 1\n\nx += 1\n\n", False),
                Snippet(16, "x = 1 / 0\n\n", True),
                Snippet(22, ">>> x\n2\n", False),
            ],
        ),
    ],
)
def test_snippets_are_found(read, text, expected):
    assert list(read(text)) == expected


def test_not_run_needs_a_reason():
    with pytest.raises(AssertionError, match="expected a reason after 'not run:'"):
        list(markdown_snippets("<!-- not run: -->\n```python\nx = 1\n```\n"))


def test_a_wrong_snippet_fails_at_its_line():
    with pytest.raises(ZeroDivisionError) as raised:
        run_snippet(Snippet(7, "x = 1\nx / 0\n", False), {}, "README.md")
    assert raised.traceback[-1].lineno + 1 == 8


def test_a_wrong_answer_in_a_session_fails():
    namespace = {"x": 1}
    run_snippet(Snippet(1, ">>> x\n1\n>>> y = 3\n", False), namespace, "README.md")
    assert namespace["y"] == 3
    with pytest.raises(AssertionError, match=r"Expected:\n +2\n +Got:\n +1"):
        run_snippet(Snippet(1, ">>> x\n2\n", False), namespace, "README.md")


# ------------------------------------------------------------------- public names


# Not for users, who meet an objective as a class of estimators.
INTERNAL = {"sk_autoencoder._objectives"}


def public_modules() -> list[str]:
    inner = pkgutil.iter_modules(sk_autoencoder.__path__, "sk_autoencoder.")
    names = {module.name for module in inner if "._" not in module.name}
    return ["sk_autoencoder", *sorted(names - INTERNAL)]


def public_objects() -> dict[str, Any]:
    """Every class and function that some public module's `__all__` names."""
    found = {}
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        assert hasattr(module, "__all__"), f"expected {module_name} to have __all__"
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                found[f"{module_name}.{name}"] = value
    return found


PUBLIC = public_objects()


def public_methods(cls: type) -> dict[str, Any]:
    """Public methods that this package defines, inherited ones included."""
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and method.__module__.startswith("sk_autoencoder")
    }


PUBLIC_METHODS = {
    f"{name}.{method_name}": method
    for name, value in PUBLIC.items()
    if inspect.isclass(value)
    for method_name, method in public_methods(value).items()
}


def names_in_api(text: str) -> set[str]:
    """Full names that the autosummary tables of an rst text list."""
    names = set()
    module, in_table = "", False
    for line in text.splitlines():
        if match := re.match(r"\.\. (?:currentmodule|module):: *(\S+)", line):
            module, in_table = match[1], False
        elif line.startswith(".. autosummary::"):
            in_table = True
        elif in_table and (match := re.match(r" +([\w.]+)$", line)):
            names.add(f"{module}.{match[1]}")
        elif line and not line[0].isspace():
            in_table = False
    return names


def test_public_names_are_those_of_the_api_page():
    text = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    assert names_in_api(text) == set(PUBLIC)


def test_api_page_is_read():
    text = """\
.. currentmodule:: sk_autoencoder.networks

.. autosummary::
   :toctree: generated/
   :template: class.rst

   MLP

Text
   of no table.
"""
    assert names_in_api(text) == {"sk_autoencoder.networks.MLP"}


# ------------------------------------------------------------- documented defaults


def wrong_defaults(value: Any, *, complete: bool) -> list[str]:
    """Where the documented defaults of a class or function are not those it has.

    With `complete`, every default has to be documented; without, only what is
    documented has to be right (`y : Ignored` and its like need no default).
    """
    doc = ClassDoc(value) if inspect.isclass(value) else FunctionDoc(value)
    documented = {}
    for entry in doc["Parameters"]:
        match = re.search(r"\bdefault\b[\s=:]*(.*)$", entry.type, re.DOTALL)
        for name in entry.name.split(","):
            documented[name.strip()] = match and match[1], entry.type
    complaints = []
    for name, parameter in inspect.signature(value).parameters.items():
        told, kind = documented.get(name, (None, ""))
        default = parameter.default
        if default is inspect.Parameter.empty:
            if told is not None:
                complaints.append(f"{name}: documents {kind!r}, but has no default")
        elif told is None:
            if complete:
                complaints.append(f"{name}: no 'default={default!r}' in {kind!r}")
        elif f"default={told}" not in kind or not is_literally(told, default):
            complaints.append(f"{name}: default={default!r}, but documents {kind!r}")
    return complaints


def is_literally(text: str, value: Any) -> bool:
    try:
        read = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return False
    return type(read) is type(value) and read == value


@pytest.mark.parametrize("name", PUBLIC)
def test_documented_defaults_are_the_real_ones(name):
    value = PUBLIC[name]
    if inspect.isclass(value) and issubclass(value, BaseException):
        assert value.__doc__
        return
    assert not wrong_defaults(value, complete=True)


@pytest.mark.parametrize("name", PUBLIC_METHODS)
def test_documented_defaults_of_methods_are_the_real_ones(name):
    assert not wrong_defaults(PUBLIC_METHODS[name], complete=False)


@pytest.mark.parametrize(
    ("signature", "kind", "complaint"),
    [
        ("x=1", "int, default=1", None),
        ("x='auto'", '"auto" or int, default="auto"', None),
        ("x=None", "int or None, default=None", None),
        ("x", "int", None),
        ("x=1", "int", "x: no 'default=1' in 'int'"),
        ("x=1", "int, default=2", "x: default=1, but documents 'int, default=2'"),
        ("x=1", "int, default=1.0", "x: default=1, but documents 'int, default=1.0'"),
        ("x=1", "int, default: 1", "x: default=1, but documents 'int, default: 1'"),
        ("x=1", "int, default=one", "x: default=1, but documents 'int, default=one'"),
        ("x", "int, default=1", "x: documents 'int, default=1', but has no default"),
    ],
)
def test_a_wrong_default_is_found(signature, kind, complaint):
    namespace: dict[str, Any] = {}
    exec(f"def f({signature}): pass", namespace)
    namespace["f"].__doc__ = f"Do.\n\nParameters\n----------\nx : {kind}\n    X.\n"
    assert wrong_defaults(namespace["f"], complete=True) == (
        [complaint] if complaint else []
    )


# ----------------------------------------------------------------------- numpydoc


# What a public docstring may do without, of all that numpydoc checks.
OPTIONAL = {
    "ES01",  # an extended summary is not always needed
    "EX01",  # examples stand in the class, not in each method
    "RT02",  # as scikit-learn, we name what is returned: `X_new : ndarray`
    "SA01",  # See Also stands in the class
    "SA04",  # and its entries need no description
}


def is_documented_above(name: str) -> bool:
    """Does a method override one of `sk_autoencoder._protocols`, documented there?

    Only `networks` has public ones: methods that the package calls, not the user.
    """
    class_name, _, method_name = name.rpartition(".")
    cls = PUBLIC.get(class_name)
    bases = getattr(cls, "__mro__", ())[1:]
    return any(
        base.__module__ == "sk_autoencoder._protocols" and hasattr(base, method_name)
        for base in bases
    )


@pytest.mark.parametrize(
    "name",
    [*PUBLIC, *(name for name in PUBLIC_METHODS if not is_documented_above(name))],
)
def test_public_docstrings_are_complete(name):
    errors = validate(name)["errors"]
    assert not [error for error in errors if error[0] not in OPTIONAL]


# -------------------------------------------------------- the project's own papers


@pytest.mark.parametrize(
    "name",
    [
        "AutoEncoderTransformer",
        "DenoisingAutoEncoderTransformer",
        "VAETransformer",
    ],
)
def test_each_parameter_has_a_topic(name):
    cls = getattr(sk_autoencoder, name)
    notes = "\n".join(ClassDoc(cls)["Notes"]).partition("Parameters by topic:")[2]
    assert sorted(re.findall(r"`(\w+)`", notes)) == sorted(cls().get_params(deep=False))


@pytest.mark.parametrize("name", [n for n in PUBLIC if inspect.isclass(PUBLIC[n])])
def test_references_are_numbered_and_cited(name):
    doc = ClassDoc(PUBLIC[name])
    listed = re.findall(r"^\.\. \[(\d)\]", "\n".join(doc["References"]), re.MULTILINE)
    cited = re.findall(r"\[(\d)\]_", "\n".join(doc["Notes"]))
    assert bool(doc["References"]) == bool(listed)
    assert listed == sorted(set(cited))


def test_every_ignored_warning_has_a_reason_and_an_end():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^filterwarnings = \[\n(.*?)^\]$", text, re.M | re.S)
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert lines.pop(0) == '"error",', "expected every warning to be an error"
    above = ""
    for line in lines:
        if line.startswith("#"):
            above += line
            continue
        end = re.search(r"until (\d{4}-\d\d-\d\d)", above)
        assert end, f"expected a reason and 'until YYYY-MM-DD' above {line}"
        assert datetime.date.fromisoformat(end[1]) >= datetime.date.today(), (
            f"{line} was to go by {end[1]}: remove it, or say why it stays longer"
        )
        above = ""


def pins(filename: str) -> dict[str, str]:
    text = (ROOT / filename).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def lower_bounds() -> dict[str, str]:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [
        line for extra in ("plot", "pandas", "polars", "onnx") for line in extras[extra]
    ]
    return dict(line.split(">=") for line in requirements)


def test_the_oldest_versions_are_those_allowed():
    oldest = pins("constraints-oldest.txt")
    for name, bound in lower_bounds().items():
        if name != "torch":  # its older releases are not to be had; see the file
            assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", oldest[name]), name


def test_the_installation_page_names_the_oldest_versions():
    text = (ROOT / "docs" / "installation.rst").read_text(encoding="utf-8")
    versions = text.partition("\nVersions\n")[2]
    table = dict(re.findall(r"^([\w-]+) +([\d.]+) ", versions, re.MULTILINE))
    python = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert table == {"Python": python} | lower_bounds()
