"""A detector's state with plain values in place of estimators, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_autoencoder._autoencoder import AutoEncoderTransformer
from sk_autoencoder._base import BaseAutoEncoder
from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._outlier_scorer import LATENT, MEASURES, Scorer
from sk_autoencoder._outlier_units import Units
from sk_autoencoder._state import without_optimizer
from sk_autoencoder._vae import VAETransformer

__all__ = ["TRANSFORMERS", "packed", "packed_scorer", "unpacked", "unpacked_scorer"]

TRANSFORMERS: dict[str, type[BaseAutoEncoder]] = {
    kind.__name__: kind
    for kind in (
        AutoEncoderTransformer,
        DenoisingAutoEncoderTransformer,
        VAETransformer,
    )
}


def packed(estimator: BaseAutoEncoder | None) -> dict[str, Any] | None:
    """Turn a transformer, fitted or not, into its class's name and its state.

    Raises
    ------
    TypeError
        If it is of a class of the user's own.
    """
    if estimator is None:
        return None
    name = type(estimator).__name__
    if TRANSFORMERS.get(name) is not type(estimator):
        raise TypeError(
            f"expected estimators that can be saved, {', '.join(TRANSFORMERS)}, got "
            f"estimator={estimator!r}. Pickle the detector instead."
        )
    state = estimator.__getstate__()
    state.pop("_sklearn_version", None)
    if "_fitted" in state:
        state["_fitted"] = without_optimizer(state["_fitted"])
    return {"class": name, "state": state}


def unpacked(value: Mapping[str, Any] | None) -> BaseAutoEncoder | None:
    """Undo `packed`."""
    if value is None:
        return None
    kind = TRANSFORMERS[value["class"]]
    estimator = kind.__new__(kind)
    estimator.__setstate__(value["state"])
    return estimator


def packed_scorer(scorer: Scorer) -> dict[str, Any]:
    """Turn a scorer into plain values and arrays."""
    units = scorer.units
    return {
        "estimators": [packed(estimator) for estimator in scorer.estimators],
        "measure": scorer.measure,
        "middle": units.middle,
        "unit": units.unit,
        "unseen": units.unseen,
        "levels": units.levels,
        "error_units": scorer.error_units,
        "codes": scorer.codes,
    }


def unpacked_scorer(value: Mapping[str, Any], n_features: int) -> Scorer:
    """Undo `packed_scorer`.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """
    estimators = [unpacked(part) for part in value["estimators"]]
    if not estimators or value["measure"] not in MEASURES:
        raise ValueError(
            f"a measure {value['measure']!r} of {len(estimators)} estimators"
        )
    fitted = []
    for estimator in estimators:
        if estimator is None or getattr(estimator, "n_features_in_", 0) != n_features:
            raise ValueError(f"an estimator that is not fitted to {n_features} columns")
        fitted.append(estimator)
    _check("middle", value["middle"], (n_features,))
    _check("unit", value["unit"], (n_features,), least=0)
    _check("error_units", value["error_units"], (len(fitted), n_features), least=0)
    levels, codes = tuple(value["levels"]), tuple(value["codes"])
    sizes = _level_sizes(fitted[0], n_features)
    if len(levels) != n_features:
        raise ValueError(f"levels of {len(levels)} columns")
    for level, size in zip(levels, sizes, strict=True):
        if level is not None or size:
            _check("levels of a column", level, (size,), least=0)
    if len(codes) != (len(fitted) if value["measure"] == LATENT else 0):
        raise ValueError(f"units of the codes of {len(codes)} estimators")
    for estimator, code in zip(fitted, codes, strict=False):
        _check("units of codes", code, (2, estimator.n_components_))
    units = Units(value["middle"], value["unit"], float(value["unseen"]), levels)
    return Scorer(fitted, value["measure"], units, value["error_units"], codes)


def _level_sizes(estimator: BaseAutoEncoder, n_features: int) -> list[int]:
    """Give the number of levels of each column and one more; 0 for a number."""
    if estimator._table is None:
        return [0] * n_features
    return [
        len(column.levels) + 1 if isinstance(column, CategoryColumn) else 0
        for column in estimator._table.columns
    ]


def _check(
    name: str, array: np.ndarray, shape: tuple[int, ...], least: float = -np.inf
) -> None:
    """Refuse what is no array of finite numbers of this shape."""
    good = isinstance(array, np.ndarray) and array.dtype == np.float64
    if not good or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} that are no {shape} finite numbers")
    if (array < least).any():
        raise ValueError(f"{name} below {least}")
