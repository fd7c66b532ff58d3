"""What the files around the package say agrees with the package and with each other."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    VAETransformer,
)

ROOT = Path(__file__).parents[2]
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_citation_has_the_version_and_license_of_the_package():
    fields = dict(re.findall(r"^([\w-]+): (\S+)$", read("CITATION.cff"), re.MULTILINE))
    assert fields["version"] == sk_autoencoder.__version__
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert fields["license"] == project["license"]


def test_hooks_are_the_tools_of_make_lint():
    lint = read("Makefile").partition("\nlint:")[2].partition("\n\n")[0]
    hooks = read(".pre-commit-config.yaml")
    pattern = r"-m (\w+(?: (?:check|format|lint))?)"
    assert set(re.findall(pattern, lint)) == set(re.findall(pattern, hooks))


def test_workflow_runs_what_there_is():
    workflow = read(".github/workflows/ci.yml")
    targets = set(re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.MULTILINE))
    called = set(re.findall(r"make ([a-z-]+)", workflow))
    expected = {"lint", "docs", "test", "test-benchmarks", "coverage", "test-oldest"}
    expected |= {"test-integration", "test-wheel"}
    assert expected == called <= targets
    tests = re.findall(r"tests/\S+\.py", workflow)
    assert tests
    assert not [name for name in tests if not (ROOT / name).exists()]


def test_badges_are_up_to_date():
    script = runpy.run_path(str(ROOT / "docs" / "development" / "draw_badges.py"))
    for path, badge in script["badges"]().items():
        told = "run python docs/development/draw_badges.py"
        assert path.read_text(encoding="utf-8") == badge, told
        assert path.relative_to(ROOT).as_posix() in read("README.md")


def test_badge_of_coverage_is_rounded_down():
    script = runpy.run_path(str(ROOT / "docs" / "development" / "draw_badges.py"))
    report = '{"totals": {"percent_covered": 97.96}}'
    ((path, badge),) = script["coverage_badge"](report).items()
    assert "<title>coverage: 97%</title>" in badge
    # Only a run of all tests can draw it: README shows what there is.
    shown = path.relative_to(ROOT).as_posix() in read("README.md")
    assert path.exists() or not shown


def test_workflow_starts_at_the_oldest_python():
    versions = re.search(r'python: \["([\d.]+)"', read(".github/workflows/ci.yml"))
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["requires-python"] == f">={versions[1]}"


def test_bug_reports_ask_for_the_versions():
    report = read(".github/ISSUE_TEMPLATE/bug_report.yml")
    assert "sk_autoencoder.show_versions()" in report


def test_private_names_that_rooms_may_share_are_those_of_estimators():
    """Most are twins of public methods, for what has been validated."""
    estimators = (AutoEncoderTransformer, VAETransformer)
    own = {name for each in estimators for name in dir(each)}
    own.update(AutoEncoderOutlierDetector._saved_attributes)
    rules = tomllib.loads(read("pyproject.toml"))["tool"]["ruff"]["lint"]
    shared = rules["flake8-self"]["ignore-names"]
    assert shared == sorted(shared)
    assert set(shared) <= own


def is_a_fragment(name):
    """Return whether a file in changes/ is called TOPIC.KIND.md."""
    match = re.fullmatch(r"[a-z0-9-]+\.(\w+)\.md", name)
    return match is not None and match[1] in KINDS


def test_changelog_fragments_are_named_after_their_kind():
    names = {path.name for path in (ROOT / "changes").iterdir()} - {"README.md"}
    assert not [name for name in names if not is_a_fragment(name)]
    for name in names:
        assert read(f"changes/{name}").startswith("- "), name


@pytest.mark.parametrize("name", ["topic.md", "topic.new.md", "topic.added.rst"])
def test_a_file_that_is_no_fragment_is_found(name):
    assert not is_a_fragment(name)
    assert is_a_fragment("topic.added.md")


def test_decisions_are_numbered_without_gaps():
    folder = ROOT / "docs" / "development" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [
        f"{number:04}" for number in range(1, len(pages) + 1)
    ]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}: ")
        assert "**Context.**" in text
        assert "**Decision.**" in text
