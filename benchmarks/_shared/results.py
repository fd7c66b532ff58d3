"""What a long benchmark has measured, in a file from which it goes on when cut off."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from benchmarks._shared.report import mean

__all__ = ["Case", "Line", "LineFile", "Lines", "means_by"]


@dataclass(frozen=True)
class Case:
    """One line of the tables: a set, its units and the size of the code."""

    name: str
    units: str
    k: int

    def __str__(self) -> str:
        return f"{self.name} ({self.units}), k = {self.k}"


@dataclass(frozen=True)
class Line:
    """One run on one case and seed.

    Parameters
    ----------
    task : str
        What was measured, such as "reconstruction".
    name, units, k
        The case.
    seed : int
        Of the split and the weights.
    run : str
        The method and its settings.
    n_rows, n_columns, n_train : int
        Size of the set, cut down as it was used, and of the training part.
    values : dict of str to float
        Empty where the run failed.
    note : str or None
        Why it failed.
    """

    task: str
    name: str
    units: str
    k: int
    seed: int
    run: str
    n_rows: int
    n_columns: int
    n_train: int
    values: dict[str, float] = field(default_factory=dict)
    note: str | None = None

    @property
    def case(self) -> Case:
        """The case."""
        return Case(self.name, self.units, self.k)

    @property
    def key(self) -> tuple:
        """What there is one line of."""
        return (self.task, self.case, self.seed, self.run)


class LineFile:
    """All lines so far, in a file where one is given; to be derived from.

    Parameters
    ----------
    path : Path or None
        One JSON object a line. What is there is read.

    Attributes
    ----------
    kind : type
        Dataclass of a line, with a `key` that tells it from others.
    all : dict
        Lines by key; a later one takes the place of an earlier one.
    """

    kind: ClassVar[type]

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.all: dict[tuple, Any] = {}
        if path is None or not path.exists():
            return
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # cut off in the middle of a line
            path.write_text(whole, encoding="utf-8")
        for row in whole.splitlines():
            line = self.kind(**json.loads(row))
            self.all[line.key] = line

    def __contains__(self, key: tuple) -> bool:
        return key in self.all

    def add(self, line: Any) -> None:
        """Keep one line, in the file too."""
        self.all[line.key] = line
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")


class Lines(LineFile):
    """All lines so far of a benchmark of cases."""

    kind = Line

    def check_rows(self, name: str, n_rows: int) -> None:
        """Refuse to mix figures of a set and of a part of it."""
        others = {line.n_rows for line in self.all.values() if line.name == name}
        if others - {n_rows}:
            sys.exit(
                f"expected {n_rows} rows of {name} in {self.path}, got "
                f"{sorted(others)}. Pass the --rows of before, or another --results."
            )

    def measure(self, line: Line, measure: Callable[[], dict[str, float]]) -> Line:
        """Return the line, measured now unless it has been."""
        if line.key not in self:
            line.values.update(measure())
            self.add(line)
        return self.all[line.key]


def means_by(
    lines: Iterable[Line], key: Callable[[Line], tuple]
) -> dict[tuple, dict[str, float]]:
    """Return the means of the values of all lines with the same key."""
    found = defaultdict(list)
    for line in lines:
        found[key(line)].append(line.values)
    return {
        which: {name: mean(v[name] for v in values) for name in values[0]}
        for which, values in found.items()
    }
