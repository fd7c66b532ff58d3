"""Figures that README and guide quote are those that a benchmark has printed.

`benchmarks/results/` keeps what benchmarks wrote. A paragraph or table of a page that
quotes one has a comment above it: `.. from: FILE FILE` in reStructuredText,
`<!-- from: FILE -->` in Markdown. Every number in it must be in these files, rounded:
per cent as per cent or as a fraction, anything else as it is.
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
# A number that stands by itself: no part of a word or of code. Thousands have commas,
# and the zero before the point may be left out.
NUMBER = re.compile(
    r"(?<![\w.,-])(-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)(?!\w|\.\d)(\s?%)?"
)
# What a result file says of the run, beside what was measured.
ABOUT = re.compile(r"(?m)(?<=`), \d{4}-\d\d-\d\d, .*$|\(load average .*?\)")
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


def numbers(text: str) -> set[tuple[str, bool]]:
    """Return the numbers as they are written, without commas; which are per cent."""
    return {(word.replace(",", ""), bool(sign)) for word, sign in NUMBER.findall(text)}


def missing(quoted: str, printed: str) -> list[str]:
    """Return the numbers that no printed one rounds to."""
    found = numbers(ABOUT.sub(" ", printed))
    plain = [float(word) for word, is_percent in found if not is_percent]
    percent = [float(word) for word, is_percent in found if is_percent]
    percent += [100 * value for value in plain if abs(value) < 1]
    return sorted(
        word
        for word, is_percent in numbers(CODE.sub(" ", quoted))
        if not any(agrees(word, value) for value in (percent if is_percent else plain))
    )


def agrees(word: str, value: float) -> bool:
    digits, _, exponent = word.partition("e")
    decimals = len(digits.partition(".")[2]) - int(exponent or 0)
    return abs(float(word) - value) <= 0.5000001 * 10.0**-decimals


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
        ("   * - **.327**\n     - .33, and 51.3 % (-12%)", []),
        ("It is 0.34.", ["0.34"]),
        ("It is 1,235.", ["1235"]),
        ("   * - **.328**", [".328"]),
        ("It is 33 or 51.3 of them.", ["33", "51.3"]),
        ("It is 123,400 % or 0.33 %.", ["0.33", "123400"]),
        ("It is 9.9, of 2026, at k = 10.", ["2026", "9.9"]),
        ("It is 1.1e4, or 11,000.", []),
        ("It is 1.2e4.", ["1.2e4"]),
    ],
)
def test_a_wrong_figure_is_found(quoted, expected):
    about = "`run --k 10`, 2026-11-29, 1 thread\n\n# A (load average 9.9)\n"
    printed = about + "| 0.327 | 1,234 | 51.25 % | -12% | 1.1e+04 |"
    assert missing(quoted, printed) == expected
