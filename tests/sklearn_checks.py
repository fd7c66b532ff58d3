"""scikit-learn's checks as several test modules run them."""

from functools import cache

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

# Checks of scikit-learn's older class of sparse matrices, and of numpy's arrays by
# another name: samples take the way of those in other checks. At defaults all run.
SYNONYMS = {"check_estimator_sparse_matrix", "check_array_api_input"}


def is_synonym(check):
    """Is a check another's, of samples of another class, or that are mapped?"""
    return check.func.__name__ in SYNONYMS or "readonly_memmap" in check.keywords


def checks_of(estimators, *, synonyms=True):
    """Parametrize a test with the checks, and write each estimator out once.

    scikit-learn's own names do so for each check, which takes seconds.
    """
    mark = parametrize_with_checks(estimators).mark
    names, pairs = mark.args
    pairs = [pair for pair in pairs if synonyms or not is_synonym(pair[1])]
    return pytest.mark.parametrize(names, pairs, ids=cache(mark.kwargs["ids"]))
