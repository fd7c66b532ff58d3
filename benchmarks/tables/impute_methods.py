"""What `tables.impute` compares: ways to fill the missing cells of a mixed table.

A method takes a frame whose numbers are float64 and whose other columns are categories,
both with missing cells, and a seed; it returns the frame with those cells filled. What
is known stays as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sk_autoencoder import DenoisingAutoEncoderTransformer

FOREST_ROUNDS = 5

OURS = "DenoisingAutoEncoder"
MEDIAN = "median/mode"
KNN = "KNNImputer"
ITERATIVE = "IterativeImputer"
ITERATIVE_ALL = "IterativeImputer, all one-hots"
FOREST = "gradient boosting, in rounds"
FOREST_EARLY = "gradient boosting, stopped early"

Imputer = Callable[[pd.DataFrame, int], pd.DataFrame]


# ----------------------------------------------------------------------------- ours


def own(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Fill by the denoising autoencoder at its defaults."""
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, device="cpu", random_state=seed
    )
    return imputer.fit_transform(frame)


# ---------------------------------------------------------------------------- peers


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, not categories."""
    return column.dtype.kind == "f"


def filled_with(column: pd.Series, values: np.ndarray) -> pd.Series:
    """Return a column with its missing cells taken from `values`, one a row."""
    missing = column.isna().to_numpy()
    column = column.copy()
    column[missing] = values[missing]
    return column


def median_and_mode(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Fill numbers with the median, categories with the most frequent level."""
    frame = frame.copy()
    for name, column in frame.items():
        how = "median" if is_number(column) else "most_frequent"
        cells = frame[[name]] if is_number(column) else frame[[name]].astype(object)
        values = SimpleImputer(strategy=how).fit_transform(cells)[:, 0]
        frame[name] = filled_with(column, values)
    return frame


def encoded(frame: pd.DataFrame, *, first: int = 0) -> list[pd.DataFrame]:
    """Return a block of float64 for each column, missing where the column is.

    Numbers are standardized. Of a category's levels, the most frequent first, those
    from `first` on are one-hots.
    """
    blocks = []
    for name, column in frame.items():
        if is_number(column):
            deviation = column.std() or 1.0
            blocks.append(((column - column.mean()) / deviation).to_frame())
        else:
            levels = column.value_counts().index[first:]
            hot = {f"{name}={level}": column == level for level in levels}
            block = pd.DataFrame(hot, index=column.index).astype(float)
            blocks.append(block.mask(column.isna()))
    return blocks


def decoded(
    frame: pd.DataFrame, blocks: list[np.ndarray], *, first: int = 0
) -> pd.DataFrame:
    """Fill a frame from the filled blocks of `encoded`; the largest one-hot wins."""
    frame = frame.copy()
    for (name, column), block in zip(frame.items(), blocks, strict=True):
        if is_number(column):
            values = block[:, 0] * (column.std() or 1.0) + column.mean()
        else:
            if first:
                block = np.column_stack([1 - block.sum(axis=1), block])
            levels = column.value_counts().index.to_numpy()
            values = levels[block.argmax(axis=1)]
        frame[name] = filled_with(column, values)
    return frame


def one_hot(
    frame: pd.DataFrame,
    seed: int,
    *,
    imputer: BaseEstimator,
    first: int = 0,
) -> pd.DataFrame:
    """Fill by one of scikit-learn's imputers of numbers, categories as one-hots."""
    blocks = encoded(frame, first=first)
    imputer = type(imputer)(**imputer.get_params())
    if "random_state" in imputer.get_params():
        imputer.set_params(random_state=seed)
    table = np.hstack([block.to_numpy() for block in blocks])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = imputer.fit_transform(table)
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    return decoded(frame, np.split(table, ends, axis=1), first=first)


# --------------------------------------------------------------- gradient boosting


def forest(
    frame: pd.DataFrame, seed: int, *, rounds: int = FOREST_ROUNDS, **params: Any
) -> pd.DataFrame:
    """Fill as missForest does, by scikit-learn's gradient boosting.

    From medians and modes on, each column in turn, those with the fewest missing cells
    first, is predicted from all others. It ends when a round has changed the filled
    cells by more than the one before, whose result is kept; or after `rounds`.
    """
    missing = frame.isna()
    order = missing.sum().sort_values(kind="stable").index
    current, changes = median_and_mode(frame), (np.inf, np.inf)
    for _ in range(rounds):
        before, current = current, current.copy()
        for name in order:
            hidden = missing[name].to_numpy()
            if hidden.any():
                current.loc[hidden, name] = boosted(current, name, hidden, seed, params)
        last, changes = changes, changed(before, current, missing)
        # As in missForest, both kinds have to have changed more, where both are there.
        if all(
            now > then
            for now, then in zip(changes, last, strict=True)
            if not np.isnan(now)
        ):
            return before
    return current


def boosted(
    frame: pd.DataFrame, name: str, hidden: np.ndarray, seed: int, params: dict
) -> np.ndarray:
    """Predict the hidden cells of a column from all others."""
    others = frame.drop(columns=name)
    if is_number(frame[name]):
        target = frame[name]
        model = HistGradientBoostingRegressor
    else:
        target = frame[name].astype(object)
        model = HistGradientBoostingClassifier
    known, seen = others[~hidden], target[~hidden]
    if model is HistGradientBoostingClassifier:
        # Early stopping holds rows of each level out: a level has to have two.
        twice = seen.duplicated(keep=False)
        known, seen = (known[twice], seen[twice]) if twice.any() else (known, seen)
    if seen.nunique() < 2:
        return np.full(hidden.sum(), seen.iloc[0], dtype=target.dtype)
    params = {"categorical_features": "from_dtype", "random_state": seed, **params}
    fitted = model(**params).fit(known, seen)
    return fitted.predict(others[hidden])


def changed(
    before: pd.DataFrame, after: pd.DataFrame, missing: pd.DataFrame
) -> tuple[float, float]:
    """Return missForest's measures of change, of numbers and of categories.

    Squared change over squares, in standard deviations, and share of other levels; of
    the missing cells. NaN where there is no such column.
    """
    squares, size, others, cells = 0.0, 0.0, 0, 0
    for name, hidden in missing.items():
        old, new = before.loc[hidden, name], after.loc[hidden, name]
        if is_number(after[name]):
            deviation = before.loc[~hidden, name].std() or 1.0
            middle = before.loc[~hidden, name].mean()
            squares += np.square((new - old) / deviation).sum()
            size += np.square((new - middle) / deviation).sum()
        else:
            others += int((new.astype(object) != old.astype(object)).sum())
            cells += len(new)
    return squares / size if size else np.nan, others / cells if cells else np.nan


METHODS: dict[str, Imputer] = {
    OURS: own,
    MEDIAN: median_and_mode,
    KNN: partial(one_hot, imputer=KNNImputer()),
    # The one-hots of a block say each other exactly, and are missing together: filled
    # with their means first, they stay there for ever, and the most frequent level
    # wins. Without that level's column they follow the other columns.
    ITERATIVE: partial(one_hot, imputer=IterativeImputer(), first=1),
    ITERATIVE_ALL: partial(one_hot, imputer=IterativeImputer()),
    FOREST: forest,
    FOREST_EARLY: partial(forest, early_stopping=True),
}
"""By name; ours first."""
