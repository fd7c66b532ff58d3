"""What the benchmarks print, as far as it does not take a benchmark to see it."""

import math
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import common

    return common


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((0.2, "<", 0.2), "0.20 (target < 0.2): MISSED"),
        ((0.2, "<=", 0.2), "0.20 (target <= 0.2): met"),
        ((0.201, "<=", 0.2), "0.20 (target <= 0.2): MISSED"),
        ((9.9, ">=", 10, ".3g"), "9.9 (target >= 10): MISSED"),
        ((6500, ">=", 6500, ",.0f", " a day"), "6,500 a day (target >= 6,500): met"),
        ((math.nan, ">=", 10), "not measured (target >= 10)"),
    ],
)
def test_a_verdict_says_what_was_wanted_and_whether_it_came(common, arguments, line):
    assert common.verdict("seconds", *arguments) == f"- seconds: {line}"
