"""What is published of the Porto Seguro table, and the shares that follow from it.

`porto_seguro.csv` has for each column of the competition's train.csv, 595,212 rows, its
kind, number of levels, missing values, least and greatest value, quartiles, mean and
standard deviation, as many people have published them. Missing values, coded -1 there,
are counted and left out of the other statistics. The rows are under the competition's
rules (https://www.kaggle.com/c/porto-seguro-safe-driver-prediction), and none is here.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import optimize, special

__all__ = ["N_ROWS", "Column", "level_shares", "read_schema"]

# Of the table that the statistics are of, Kaggle's train.csv.
N_ROWS = 595_212

# Statistics are rounded to two decimals.
ROUNDING = 0.005
# Shares by which a quartile lies inside its level, so that that of a sample does too.
MARGIN = 0.01
# More levels than these are cut into as many cells, equally likely inside.
MOST_CELLS = 2001
# Levels at the square roots of whole numbers: 2.83, 3.32 and 3.61 are those of 8, 11
# and 13, and the greatest, 3.74, is that of 14.
ROOTS = {"ps_car_15"}


@dataclass(frozen=True)
class Column:
    """A line of the schema.

    Attributes
    ----------
    name : str
    kind : {"binary", "categorical", "integer", "real"}
    levels : ndarray of shape (n_levels,)
        Ascending, without the code of a missing value; the cells of a column of very
        many levels.
    step : float
        Between the levels of such a column; 0 where `levels` are all there are.
    missing : float
        Share of the rows.
    mean, std : float
        Of the values that are not missing, and so are the quartiles.
    quartiles : tuple of three float
    """

    name: str
    kind: str
    levels: np.ndarray
    step: float
    missing: float
    mean: float
    std: float
    quartiles: tuple[float, float, float]


@cache
def read_schema() -> tuple[tuple[Column, ...], float]:
    """Read the features of the table, and the share of its positives."""
    path = Path(__file__).with_name("porto_seguro.csv")
    target, *features = csv.DictReader(path.read_text("ascii").splitlines())
    return tuple(_column(line) for line in features), float(target["mean"])


def _column(line: dict[str, str]) -> Column:
    low, high, mean, std = (float(line[key]) for key in ("min", "max", "mean", "std"))
    n_levels = int(line["n_levels"])
    n_cells = min(n_levels, MOST_CELLS)
    levels = np.linspace(low, high, n_cells)
    if line["name"] in ROOTS:
        levels = np.sqrt(np.arange(n_levels))
    elif line["kind"] == "real" and n_cells == n_levels:
        levels = levels.round(6)
    return Column(
        name=line["name"],
        kind=line["kind"],
        levels=levels,
        step=(high - low) / (n_levels - 1) if n_cells < n_levels else 0.0,
        missing=int(line["missing"]) / N_ROWS,
        mean=mean,
        std=std,
        quartiles=(float(line["q25"]), float(line["median"]), float(line["q75"])),
    )


@cache
def level_shares(name: str) -> np.ndarray:
    """Find shares of a column's levels that have its mean, deviation and quartiles.

    Of all that have them within their rounding, those of the greatest entropy: nothing
    is put in that was not published.

    Parameters
    ----------
    name : str
        Of the column.

    Returns
    -------
    shares : ndarray of shape (n_levels,)
    """
    column = next(c for c in read_schema()[0] if c.name == name)
    if column.kind == "binary":
        return np.array([1 - column.mean, column.mean])
    levels, mean = column.levels, column.mean
    slack = 0.8 * ROUNDING
    functions = [levels, (levels - mean) ** 2]
    limits = [
        (mean - slack, mean + slack),
        (max(0.0, column.std - slack) ** 2, (column.std + slack) ** 2),
    ]
    margin = 0.0 if column.step else MARGIN
    for quartile, share in zip(column.quartiles, (0.25, 0.5, 0.75), strict=True):
        functions.append((levels <= quartile + ROUNDING).astype(float))
        limits.append((share + margin, 1.0))
        functions.append((levels < quartile - ROUNDING).astype(float))
        limits.append((0.0, share - margin))
    return _greatest_entropy(np.array(functions), np.array(limits))


def _greatest_entropy(functions: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Find the shares of greatest entropy whose means of functions keep to limits.

    They are exponentials of a weighted sum of the functions; the weights solve the
    dual problem, which is smooth and convex, with two weights of no less than 0 for
    each function: of its lower limit, and of its upper one.

    Parameters
    ----------
    functions : ndarray of shape (n_functions, n_levels)
    limits : ndarray of shape (n_functions, 2)

    Returns
    -------
    shares : ndarray of shape (n_levels,)
    """
    n = len(functions)
    center = functions.mean(axis=1, keepdims=True)
    unit = np.maximum(np.ptp(functions, axis=1, keepdims=True), 1e-12)
    functions, limits = (functions - center) / unit, (limits - center) / unit
    lower, upper = limits.T

    def dual(weights: np.ndarray) -> tuple[float, np.ndarray]:
        at_lower, at_upper = weights[:n], weights[n:]
        exponents = (at_lower - at_upper) @ functions
        means = functions @ special.softmax(exponents)
        value = special.logsumexp(exponents) - at_lower @ lower + at_upper @ upper
        return value, np.concatenate([means - lower, upper - means])

    found = optimize.minimize(
        dual,
        np.zeros(2 * n),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * n),
        options={"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-7},
    )
    return special.softmax((found.x[:n] - found.x[n:]) @ functions)
