"""What `tables.features` has measured: lines in a file, and gains made of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._shared.results import LineFile
from benchmarks.tables.features_methods import CODINGS

PLAIN = tuple(CODINGS)[:2]
FOUR = tuple(CODINGS)[:4]


@dataclass(frozen=True)
class Line:
    """One run on one table.

    Parameters
    ----------
    table, setting, run : str
        The setting is a key of `features_methods.LABELED`.
    seed, rows : int
        Of what was fitted, and of the table as it was used.
    noise_level : float or None
        None is the recipe's.
    aucs : tuple of float
        One a draw of the labeled rows.
    seconds : float
        Of the fit of the features, or 0.
    """

    table: str
    setting: str
    run: str
    seed: int
    rows: int
    noise_level: float | None
    aucs: Sequence[float]
    seconds: float = 0.0

    @property
    def key(self) -> tuple:
        """What tells it from other lines."""
        return self.table, self.setting, self.run, self.seed, self.noise_level


class Lines(LineFile):
    """All lines so far."""

    kind = Line

    def lacks(self, line: Line, n_draws: int) -> bool:
        """Whether a run is still to be measured, with so many draws."""
        known = self.all.get(line.key)
        if known is not None and known.rows != line.rows:
            sys.exit(
                f"expected {line.rows} rows of {line.table} in {self.path}, got "
                f"{known.rows}. Pass the --rows of before, or another --results."
            )
        return known is None or len(known.aucs) < n_draws

    def aucs(
        self, table: str, setting: str, run: str, noise_level: float | None = None
    ) -> dict[int, np.ndarray]:
        """Return the AUC of each draw, by seed."""
        return {
            line.seed: np.array(line.aucs)
            for line in self.all.values()
            if (line.table, line.setting, line.run) == (table, setting, run)
            and line.noise_level == noise_level
        }

    def baseline(
        self, table: str, setting: str, codings: Sequence[str] = PLAIN
    ) -> dict[int, np.ndarray]:
        """Return the AUCs of the coding that is the best in the mean."""
        each = [self.aucs(table, setting, coding) for coding in codings]
        return max(each, key=lambda a: np.mean([*a.values()]) if a else -math.inf)

    def gain(
        self,
        table: str,
        setting: str,
        run: str,
        over: dict[int, np.ndarray],
        noise_level: float | None = None,
    ) -> float:
        """Return the mean difference of the same seeds and draws; NaN without any."""
        differences: list[float] = []
        for seed, mine in self.aucs(table, setting, run, noise_level).items():
            its = over.get(seed, np.empty(0))
            n_draws = min(len(mine), len(its))
            differences += list(mine[:n_draws] - its[:n_draws])
        return float(np.mean(differences)) if differences else math.nan

    def seconds(self, table: str, run: str) -> float:
        """Return the longest fit of the features."""
        return max(
            (x.seconds for x in self.all.values() if (x.table, x.run) == (table, run)),
            default=math.nan,
        )
