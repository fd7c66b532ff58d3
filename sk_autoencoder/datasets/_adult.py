"""The Adult (Census Income) table, carried by the package."""

from __future__ import annotations

import csv
import gzip
import io
from importlib import resources
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sk_autoencoder._utils.sklearn_compat import validate_params
from sk_autoencoder.datasets._checks import import_pandas

_NUMERIC = (
    "age",
    "fnlwgt",
    "education_num",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
)
_TARGET = "income"
_SPLIT = "split"

_DESCR = """\
Adult (Census Income)
=====================

What a person's age, schooling, work and family say about whether they earn more
than 50,000 dollars a year; drawn from the 1994 census of the United States.

Rows           48,842: 32,561 of the official training split, 16,281 of its test split
Features       14: 6 numeric, 8 categorical
Missing        workclass 2,799, occupation 2,809, native_country 857 values
Target         income: "<=50K" (37,155 rows) or ">50K" (11,687 rows)

`fnlwgt` is the number of people that a row stands for, by the census's reckoning;
`education_num` is `education` as an ordered number.

Source: UCI Machine Learning Repository, https://archive.ics.uci.edu/dataset/2/adult
Citation: Becker, B. and Kohavi, R. (1996). Adult. UCI Machine Learning Repository.
https://doi.org/10.24432/C5XW20
License: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/
"""


@validate_params(return_X_y=["boolean"], as_frame=["boolean"])
def load_adult(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
    """Load the Adult (Census Income) table: 48,842 rows of mixed columns.

    A real table of six numeric and eight categorical features, three of them with
    missing values, and a two-class target: does a person earn more than 50,000
    dollars a year? It lies in the package, so nothing is downloaded.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If True, data are a pandas DataFrame and the target a pandas Series. If
        False, they are numpy arrays, and pandas need not be installed.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data : DataFrame or ndarray of shape (48842, 14)
            The features. In the frame, text columns have a categorical dtype with
            sorted categories, numeric columns are integers. The array has dtype
            object and holds floats and strings. A missing value is missing in the
            frame and ``np.nan`` in the array.
        target : Series or ndarray of shape (48842,)
            ``"<=50K"`` or ``">50K"``; the Series is categorical.
        frame : DataFrame of shape (48842, 15) or None
            Features and target together, if ``as_frame=True``.
        split : Series or ndarray of shape (48842,)
            The official split, ``"train"`` or ``"test"``. It is not a feature.
        feature_names : list of str
            The names of the 14 features.
        target_names : list of str
            The two classes, the smaller income first.
        categorical_features : ndarray of shape (14,)
            True for the categorical features; fits the `categorical_features` of
            :class:`~sklearn.ensemble.HistGradientBoostingClassifier`.
        DESCR : str
            What the data are, with source and license.

    (data, target) : tuple if ``return_X_y=True``
        The first two of the attributes above.

    Raises
    ------
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    Notes
    -----
    Source: UCI Machine Learning Repository [1]_. License: CC BY 4.0,
    https://creativecommons.org/licenses/by/4.0/. Changes: the two official files
    were put together, columns renamed, and "?" turned into a missing value.

    References
    ----------
    .. [1] Becker, B. and Kohavi, R. (1996). Adult. UCI Machine Learning Repository.
       https://doi.org/10.24432/C5XW20

    Examples
    --------
    >>> from sk_autoencoder.datasets import load_adult
    >>> X, y = load_adult(return_X_y=True)
    >>> X.shape
    (48842, 14)
    >>> y.value_counts().to_dict()
    {'<=50K': 37155, '>50K': 11687}

    The official training rows, without pandas:

    >>> adult = load_adult(as_frame=False)
    >>> adult.data[adult.split == "train"].shape
    (32561, 14)
    """
    # Asked for first: without pandas there is no reason to read the file.
    pandas = import_pandas() if as_frame else None

    columns = _read_columns()
    split = np.array(columns.pop(_SPLIT))
    target = np.array(columns.pop(_TARGET))
    target_names = sorted(set(target.tolist()))

    if pandas is None:
        data, frame = _as_object_array(columns), None
    else:
        data = _as_pandas_frame(pandas, columns)
        target = pandas.Series(
            pandas.Categorical(target, categories=target_names), name=_TARGET
        )
        split = pandas.Series(split, name=_SPLIT)
        frame = data.assign(**{_TARGET: target})

    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        split=split,
        feature_names=list(columns),
        target_names=target_names,
        categorical_features=np.array([name not in _NUMERIC for name in columns]),
        DESCR=_DESCR,
    )


def _read_columns() -> dict[str, tuple[str, ...]]:
    """Each column's fields as text, in file order; a missing value is ``""``."""
    packed = (resources.files(__package__) / "data" / "adult.csv.gz").read_bytes()
    with io.StringIO(gzip.decompress(packed).decode("ascii")) as text:
        header, *rows = csv.reader(text)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _as_object_array(columns: dict[str, tuple[str, ...]]) -> np.ndarray:
    n_rows = len(next(iter(columns.values())))
    data = np.empty((n_rows, len(columns)), dtype=object)
    for j, (name, values) in enumerate(columns.items()):
        if name in _NUMERIC:
            data[:, j] = np.array(values, dtype=np.float64)
        else:
            # np.nan, not None: SimpleImputer and OneHotEncoder look for it by
            # default, and it is what fetch_openml gives.
            data[:, j] = [value or np.nan for value in values]
    return data


def _as_pandas_frame(pandas: Any, columns: dict[str, tuple[str, ...]]) -> Any:
    data = {}
    for name, values in columns.items():
        if name in _NUMERIC:
            data[name] = np.array(values, dtype=np.int64)
        else:
            # From codes: pandas refuses values that are in no category, and a code
            # of -1 is how it writes a missing one.
            levels = sorted(set(values) - {""})
            code_of = {"": -1} | {level: code for code, level in enumerate(levels)}
            codes = [code_of[value] for value in values]
            data[name] = pandas.Categorical.from_codes(codes, categories=levels)
    return pandas.DataFrame(data)
