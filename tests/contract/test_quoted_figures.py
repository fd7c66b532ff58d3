"""Figures that README and guide quote are those that a benchmark has printed.

`benchmarks/results/` keeps what benchmarks wrote. A paragraph or table of a page that
quotes one has a comment above it: `.. from: FILE FILE` in reStructuredText,
`<!-- from: FILE -->` in Markdown. Every number in it must be in these files, rounded.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.rst")),
    *sorted((ROOT / "docs" / "user_guide").glob("*.rst")),
]
MARK = re.compile(r"^(?:<!--|\.\.) from: (.*?)(?: -->)?$")
# A number that stands by itself: no part of a word or of code. Thousands have commas.
NUMBER = re.compile(r"(?<![\w.,-])-?\d[\d,]*(?:\.\d+)?(?![\w]|\.\d)")
CODE = re.compile(r"``.*?``|`[^`]*`|:\w+:`[^`]*`", re.DOTALL)


class Quoted(NamedTuple):
    page: str
    line: int
    files: list[str]
    text: str


def blocks(page: Path) -> list[Quoted]:
    """Return the marked blocks: a paragraph, or a directive with all of its body."""
    found, lines = [], page.read_text(encoding="utf-8").splitlines()
    for start, line in enumerate(lines):
        mark = MARK.match(line)
        if mark:
            body = [i for i in range(start + 1, len(lines)) if lines[i].strip()][:1]
            end = begin = body[0]
            is_directive = lines[begin].startswith(".. ")
            while end < len(lines) and (
                lines[end].strip() or (is_directive and inside(lines, end))
            ):
                end += 1
            name = page.relative_to(ROOT).as_posix()
            text = "\n".join(lines[begin:end])
            found.append(Quoted(name, start + 1, mark[1].split(), text))
    return found


def inside(lines: list[str], i: int) -> bool:
    """Whether the next line that is not blank is indented."""
    rest = [line for line in lines[i:] if line.strip()]
    return bool(rest) and rest[0].startswith(" ")


def numbers(text: str) -> set[str]:
    """Return the numbers as they are written, without commas."""
    return {word.replace(",", "").rstrip(",") for word in NUMBER.findall(text)}


def missing(quoted: str, printed: str) -> list[str]:
    """Return the numbers that no printed one rounds to."""
    known = [float(word) for word in numbers(printed.replace("%", " "))]
    known += [100 * value for value in known]  # per cent of a fraction
    return sorted(
        word
        for word in numbers(CODE.sub(" ", quoted))
        if not any(agrees(word, value) for value in known)
    )


def agrees(word: str, value: float) -> bool:
    decimals = len(word.partition(".")[2])
    return abs(float(word) - value) <= 0.5000001 * 10**-decimals


QUOTED = [quoted for page in PAGES for quoted in blocks(page)]


@pytest.mark.parametrize("quoted", QUOTED, ids=lambda q: f"{q.page}:{q.line}")
def test_figures_are_those_printed(quoted):
    printed = "\n".join(
        (RESULTS / name).read_text(encoding="utf-8") for name in quoted.files
    )
    assert missing(quoted.text, printed) == []


def test_every_result_is_quoted():
    quoted = {name for block in QUOTED for name in block.files}
    assert quoted == {path.name for path in RESULTS.glob("*.md")} - {"README.md"}


@pytest.mark.parametrize(
    ("quoted", "expected"),
    [
        ("It is 0.33, or 33 %, of 1,234 cases in ``run --k 7``.", []),
        ("It is 0.34.", ["0.34"]),
        ("It is 1,235.", ["1235"]),
    ],
)
def test_a_wrong_figure_is_found(quoted, expected):
    assert missing(quoted, "| 0.327 | 1,234 |") == expected
