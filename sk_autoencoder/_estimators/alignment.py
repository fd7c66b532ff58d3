"""Codes that those of a fit are aligned to: of the same samples, by another fit."""

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.methods import FittedMethods
from sk_autoencoder._utils.values import shortened


def check_align_to(align_to: Any) -> None:
    """Refuse what is no frozen transformer of ours, or gives no code of components.

    Parameters
    ----------
    align_to : object
        The parameter.
    """
    if align_to is None:
        return
    old = getattr(align_to, "estimator", None)
    if isinstance(align_to, FrozenEstimator) and isinstance(old, FittedMethods):
        return
    given = f"align_to={shortened(align_to)}"
    if isinstance(align_to, FittedMethods):
        raise TypeError(
            f"expected a FrozenEstimator around a fitted transformer, got {given} "
            "without one, which clone would replace by one that is not fitted. Pass "
            "align_to=FrozenEstimator(estimator), of sklearn.frozen."
        )
    raise TypeError(
        "expected a FrozenEstimator around a fitted transformer of sk_autoencoder, got "
        f"{given}. Pass align_to=FrozenEstimator(estimator), of sklearn.frozen, or "
        "align_to=None."
    )


def old_codes(estimator: Any, X: Any) -> np.ndarray | None:
    """Return the codes that samples have by what an estimator is aligned to.

    Parameters
    ----------
    estimator : BaseAutoEncoder
        Whose features are known.
    X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
        As it was given.

    Returns
    -------
    codes : ndarray of shape (n_samples, n_old_components) or None
        None where nothing is aligned.
    """
    if estimator.align_to is None:
        return None
    old: Any = estimator.align_to.estimator
    check_is_fitted(old)
    if old._plan.stacked:
        raise ValueError(
            "expected align_to with features='bottleneck', got one with "
            f"features={old.features!r}, which has no code of a few components. Align "
            "to another estimator, or pass align_to=None."
        )
    names: list[Any] = [
        getattr(each, "feature_names_in_", None) for each in (estimator, old)
    ]
    given, other = estimator.n_features_in_, old.n_features_in_
    if given == other and not any(name is None for name in names):
        given, other = (list(name) for name in names)
    if given != other:
        raise ValueError(
            f"expected X with the features of align_to, {shortened(other)}, got "
            f"{shortened(given)}. Fit on the same columns, or pass align_to=None."
        )
    codes: np.ndarray = old._transform(old._check_rows(X))
    return codes
