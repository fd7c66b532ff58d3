"""What the benchmarks print, as far as it does not take a benchmark to see it."""

import importlib
import math
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


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
def test_a_verdict_says_what_was_wanted_and_whether_it_came(script, arguments, line):
    assert script("common").verdict("seconds", *arguments) == f"- seconds: {line}"


def test_the_ways_to_a_product_give_the_same_product(script):
    products = script("bench_choices")._products(5, 4, 3)
    assert [len(ways) for ways in products.values()] == [3, 2, 2]
    for ways in products.values():
        first, *others = (torch.as_tensor(way()).clone() for way in ways.values())
        for other in others:
            torch.testing.assert_close(other, first)
