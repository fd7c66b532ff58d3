"""Commands of benchmarks quoted anywhere name modules and options that there are."""

import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"-m benchmarks\.([a-z_][a-z_.]*[a-z_])([^`\n]*)")
PLACES = (
    ".ci",
    ".github",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "benchmarks",
    "changes",
    "docs",
    "sk_autoencoder",
)
KINDS = {"", ".md", ".py", ".rst", ".yml"}


def texts():
    """Yield what files say, each with its path."""
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix in KINDS:
                yield file.relative_to(ROOT), file.read_text(encoding="utf-8")


def quoted(text):
    """Return the options that a text quotes, by module."""
    found = defaultdict(set)
    for name, rest in COMMAND.findall(text):
        found[name] |= set(re.findall(r"--[a-z-]+", rest.partition("#")[0]))
    return found


def test_quoted_commands_are_found_with_their_options():
    text = "`python -m benchmarks.speed.fit --data D --gpu`, $(BIN) -m benchmarks.demo"
    assert quoted(text) == {"speed.fit": {"--data", "--gpu"}, "demo": set()}


def test_quoted_commands_can_be_run(monkeypatch, capsys):
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    places, options = defaultdict(set), defaultdict(set)
    for path, text in texts():
        for name, its in quoted(text).items():
            places[name].add(str(path))
            options[name] |= its
    assert len(options) > 15
    for name in sorted(options):
        where = f"-m benchmarks.{name}, in {sorted(places[name])}"
        try:
            module = importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            pytest.fail(f"expected a module, got none ({error}): {where}")
        monkeypatch.setattr("sys.argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 0, where
        unknown = options[name] - set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert not unknown, f"{where}: no options {sorted(unknown)}"
