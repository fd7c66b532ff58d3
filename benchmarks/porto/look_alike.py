"""A look-alike of Kaggle's Porto Seguro table, drawn from its published statistics."""

import numpy as np
import pandas as pd
from scipy import special
from sklearn.utils import Bunch, check_random_state

from benchmarks.porto.shares import Column, level_shares, read_schema

__all__ = ["make_porto_seguro"]

# Columns of one group lean on one hidden factor: its number, whether on how far it is
# from its middle instead of on the factor itself, the correlation, and their names.
_GROUPS = (
    (0, False, 0.75, "ps_ind_01 ps_ind_03 ps_ind_04_cat ps_ind_15 ps_ind_16_bin"),
    (0, True, 0.80, "ps_ind_02_cat ps_ind_05_cat ps_reg_01"),
    (1, False, 0.85, "ps_ind_06_bin ps_car_07_cat ps_car_08_cat ps_car_02_cat"),
    (
        2,
        False,
        0.85,
        "ps_ind_10_bin ps_ind_11_bin ps_ind_12_bin ps_ind_13_bin ps_ind_14",
    ),
    (3, False, 0.85, "ps_reg_02 ps_reg_03 ps_car_10_cat"),
    (4, False, 0.80, "ps_car_11 ps_car_12 ps_car_13 ps_car_14 ps_car_15"),
    (4, True, 0.80, "ps_car_01_cat ps_car_04_cat ps_car_06_cat ps_car_11_cat"),
    (5, False, 0.80, "ps_car_03_cat ps_car_05_cat ps_car_09_cat"),
)
_N_FACTORS = 6

# Their shares add up to 1, or nearly: at most one of each line is 1 in a row. The first
# of a line is in a group above, and the line is one choice by that variate.
_CHOICES = (
    ("ps_ind_06_bin", "ps_ind_07_bin", "ps_ind_08_bin", "ps_ind_09_bin"),
    ("ps_ind_16_bin", "ps_ind_17_bin", "ps_ind_18_bin"),
)

# The planted risk: effects of standardized columns, of pairs of them, of the hidden
# factors behind them, and of categories. The intercept and the scale were set by the
# share of positives and by the gini of the probabilities themselves.
_INTERCEPT, _SCALE = -3.514, 0.98
_EFFECTS = {
    "ps_car_13": 0.24,
    "ps_ind_17_bin": 0.16,
    "ps_reg_02": 0.12,
    "ps_ind_15": -0.12,
    "ps_ind_07_bin": 0.10,
    "ps_ind_03": 0.08,
    "ps_car_15": 0.06,
    "ps_ind_01": 0.05,
}
_PAIRS = {
    ("ps_car_13", "ps_reg_03"): 0.08,
    ("ps_ind_03", "ps_ind_15"): -0.08,
    ("ps_reg_02", "ps_ind_06_bin"): -0.06,
}
_FACTOR_EFFECTS = (0.10, 0.0, 0.0, 0.08, 0.10, 0.12)
_CATEGORY_EFFECTS = {
    "ps_ind_05_cat": 0.14,
    "ps_car_11_cat": 0.12,
    "ps_car_01_cat": 0.10,
    "ps_car_06_cat": 0.08,
    "ps_car_09_cat": 0.06,
}


def make_porto_seguro(
    n_train: int,
    n_test: int,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Draw a look-alike of Kaggle's Porto Seguro table.

    That table is under its competition's rules, so nothing here has any of its rows.
    This one has its 57 columns, each with the published mean, standard deviation,
    quartiles, number of levels and proportion of missing values, and 3.6448 %
    positives. Columns lean in groups on six hidden factors, some on the distance from a
    factor's middle, and two sets of binary columns are choices, so that there is
    something for an autoencoder to learn. The `ps_calc` columns are independent noise.

    It is for trying out code at the real sizes (595,212 and 892,816 rows). What depends
    on what is made up, and was fixed before any model was fitted to it: that a method
    is good here says nothing about how good it is, and no figure of it is to be quoted
    as quality.

    Parameters
    ----------
    n_train : int
        Rows with a target to train on, at least 1.
    n_test : int
        Further rows, as in the competition's test.csv; 0 for none.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same rows.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data, test_data : DataFrame of shape (n, 57)
            The features, all numbers: real columns are float64 and the others int64.
            A missing value is -1. The index is the id of a row.
        target, test_target : Series of shape (n,)
            1 for a claim, else 0.
        frame : DataFrame of shape (n_train, 58)
            Target and features of the training rows.
        probability, test_probability : ndarray of shape (n,)
            Of a claim, by which the target was drawn: no model can rank better. Their
            normalized gini is about 0.30.
        feature_names : list of str
            The names of the 57 features.
        categorical_features : ndarray of shape (57,)
            True for the columns `..._cat`.
        levels : dict of str to list of int
            The levels of each categorical column, in ascending order; -1 is one of them
            where values are missing in the table.

    Notes
    -----
    Proportions of levels are not published for every column. They are those of the
    greatest entropy that have the published statistics within their rounding.

    References
    ----------
    Kaggle (2017), Porto Seguro's Safe Driver Prediction,
    https://www.kaggle.com/c/porto-seguro-safe-driver-prediction.
    """
    root = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    rng = np.random.default_rng(root)
    columns, probability = _draw(n_train + n_test, rng)
    target = (rng.random(len(probability)) < probability).astype(np.int64)
    is_train = np.zeros(len(target), dtype=bool)
    is_train[rng.permutation(len(target))[:n_train]] = True

    data = pd.DataFrame(columns).rename_axis("id")
    y = pd.Series(target, index=data.index, name="target")
    schema = read_schema()[0]
    return Bunch(
        data=data[is_train],
        target=y[is_train],
        frame=pd.concat([y, data], axis=1)[is_train],
        test_data=data[~is_train],
        test_target=y[~is_train],
        probability=probability[is_train],
        test_probability=probability[~is_train],
        feature_names=[column.name for column in schema],
        categorical_features=np.array([c.kind == "categorical" for c in schema]),
        levels={c.name: _levels(c) for c in schema if c.kind == "categorical"},
    )


def _levels(column: Column) -> list[int]:
    return [-1] * (column.missing > 0) + column.levels.astype(int).tolist()


def _draw(
    n_rows: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw the features, and the probability of a claim for each row.

    Every column is a monotone map of a variate that is uniform in [0, 1], whatever it
    leans on, so that what columns have in common leaves each one's shares alone.
    """
    factors = rng.standard_normal((_N_FACTORS, n_rows))
    leans = {
        name: (number, folded, weight)
        for number, folded, weight, names in _GROUPS
        for name in names.split()
    }
    choices = {line[0]: line for line in _CHOICES}
    columns: dict[str, np.ndarray] = {}
    schema = {column.name: column for column in read_schema()[0]}
    for name, column in schema.items():
        if name in columns:  # chosen with another
            continue
        u = _variate(factors, leans.get(name), n_rows, rng)
        if name in choices:
            columns |= _choice(choices[name], u)
        else:
            columns[name] = _values(column, u)
    columns = {name: columns[name] for name in schema}
    return columns, special.expit(_risk(columns, factors))


def _variate(
    factors: np.ndarray,
    lean: tuple[int, bool, float] | None,
    n_rows: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw a column's variate, uniform in [0, 1] and correlated with its factor."""
    if lean is None:
        return rng.random(n_rows)
    number, folded, weight = lean
    factor = factors[number]
    if folded:  # how far from its middle, as a normal variate
        factor = special.ndtri(special.erf(np.abs(factor) / np.sqrt(2)))
    noise = rng.standard_normal(n_rows)
    return special.ndtr(weight * factor + np.sqrt(1 - weight**2) * noise)


def _choice(names: tuple[str, ...], u: np.ndarray) -> dict[str, np.ndarray]:
    """Set one column, or none, of several to 1, by one variate."""
    edges = np.cumsum([level_shares(name)[1] for name in names])
    chosen = np.searchsorted(edges, u)
    return {name: (chosen == i).astype(np.int64) for i, name in enumerate(names)}


def _values(column: Column, u: np.ndarray) -> np.ndarray:
    """Map a uniform variate to a column's values; the lowest of it are missing."""
    is_missing = u < column.missing
    u = (u - column.missing) / (1 - column.missing)
    shares, levels = level_shares(column.name), column.levels
    if column.kind == "categorical":
        order = _order(len(levels))
        shares, levels = shares[order], levels[order]
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    if column.step:
        width = levels[1] - levels[0]
        ends = np.append(levels - width / 2, levels[-1] + width / 2)
        values = np.interp(u, edges, ends.clip(levels[0], levels[-1]))
        steps = np.round((values - levels[0]) / column.step)
        values = levels[0] + steps * column.step
    else:
        values = levels[np.searchsorted(edges[1:-1], u)]
    values = np.where(is_missing, -1.0, values)
    return values if column.kind == "real" else values.astype(np.int64)


def _order(n_levels: int) -> np.ndarray:
    """Order categories along their variate: codes of neighbors are far apart."""
    stride = n_levels * 5 // 13 + 1
    while np.gcd(stride, n_levels) > 1:
        stride += 1
    return np.arange(n_levels) * stride % n_levels


def _risk(columns: dict[str, np.ndarray], factors: np.ndarray) -> np.ndarray:
    """Return the log-odds of a claim."""
    schema = {column.name: column for column in read_schema()[0]}

    def standard(name: str) -> np.ndarray:
        values, column = columns[name], schema[name]
        # A missing value counts as the mean; what lies far out is no worse for it.
        z = np.where(values == -1, 0.0, (values - column.mean) / column.std)
        return z.clip(-3, 3)

    score = np.array(_FACTOR_EFFECTS) @ factors
    for name, effect in _EFFECTS.items():
        score += effect * standard(name)
    for (one, other), effect in _PAIRS.items():
        score += effect * standard(one) * standard(other)
    for name, effect in _CATEGORY_EFFECTS.items():
        score += effect * np.sqrt(2) * np.sin(1.0 + 2.4 * columns[name])
    return _INTERCEPT + _SCALE * score
