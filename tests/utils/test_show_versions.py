"""What a bug report says of the machine and the packages."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import sk_autoencoder
from sk_autoencoder._utils import versions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(capsys):
    assert sk_autoencoder.show_versions() is None
    captured = capsys.readouterr()
    assert not captured.err
    return captured.out


def test_show_versions_prints_a_version_for_each_dependency(report):
    lines = dict(re.findall(r"^ *(\S+): (.+)$", report, re.MULTILINE))
    assert lines["sk_autoencoder"] == sk_autoencoder.__version__
    for name in ("torch", "numpy", "skorch"):
        assert lines[name] == metadata.version(name)
    assert lines["sklearn"] == metadata.version("scikit-learn")
    assert lines["python"].startswith(sys.version.split()[0])
    assert lines["executable"] == sys.executable


def test_show_versions_names_the_thread_pools(report):
    assert report.startswith("Package:\n")
    assert "\nSystem:\n" in report
    assert "torch threads: 1\n" in report
    assert re.search(r"^ +num_threads: \d+$", report, re.MULTILINE)


def test_show_versions_covers_what_the_package_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = project["dependencies"] + extras["plot"] + extras["pandas"]
    required += extras["polars"]
    names = {re.match(r"[\w-]+", line)[0] for line in required}
    of_sklearn = {"scikit-learn", "numpy", "scipy", "threadpoolctl"}
    of_sklearn |= {"pandas", "matplotlib"}
    assert names <= of_sklearn | set(versions.DEPENDENCIES)


def test_a_package_that_is_absent_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(versions, "DEPENDENCIES", ("no-such-package",))
    sk_autoencoder.show_versions()
    assert "no-such-package: not installed\n" in capsys.readouterr().out


def test_show_versions_imports_nothing(capsys):
    before = set(sys.modules)
    sk_autoencoder.show_versions()
    assert capsys.readouterr().out
    optional = {"matplotlib", "pandas", "polars", "pyarrow", "joblib", "pip"}
    assert not (set(sys.modules) - before) & optional
