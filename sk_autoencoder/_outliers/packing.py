"""A detector's state with plain values in place of estimators, and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from sk_autoencoder._columns.kinds import CategoryColumn
from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._estimators.density import DensityMixin
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._outliers.robust import Units
from sk_autoencoder._outliers.scorer import LATENT, LIKELIHOOD, MEASURES, Scorer
from sk_autoencoder._saving.formats import check_names
from sk_autoencoder._saving.serialize import field_types
from sk_autoencoder._saving.state_checks import need
from sk_autoencoder._saving.transformer import from_values, to_values
from sk_autoencoder._utils.values import fits, shortened

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
    return {"class": name, "state": to_values(estimator, optimizer=False)}


def unpacked(value: Any) -> BaseAutoEncoder | None:
    """Undo `packed`, with all that it says checked."""
    if value is None:
        return None
    need(isinstance(value, dict), "an estimator that is no dict")
    check_names("an estimator", value, ("class", "state"))
    name = value["class"]
    if not isinstance(name, str) or name not in TRANSFORMERS:
        raise ValueError(f"an estimator called {shortened(name)}")
    estimator: BaseAutoEncoder = from_values(TRANSFORMERS[name], value["state"])
    return estimator


def packed_scorer(scorer: Scorer) -> dict[str, Any]:
    """Turn a scorer into plain values and arrays."""
    return {
        **_values_of(scorer),
        "estimators": [packed(estimator) for estimator in scorer.estimators],
        "units": _values_of(scorer.units),
    }


def _values_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record by name."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _record(kind: Any, values: Any) -> Any:
    """Make a record of fields by name, of the types that its annotations name."""
    name, hints = kind.__name__, field_types(kind)
    need(isinstance(values, dict), f"a {name} that is no dict")
    check_names(f"a {name}", values, hints)
    for field, value in values.items():
        need(fits(value, hints[field]), f"a {name} of {field}={shortened(value)}")
    return kind(**values)


def unpacked_scorer(value: Mapping[str, Any], n_features: int) -> Scorer:
    """Undo `packed_scorer`.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """
    need(isinstance(value, dict), "a scorer that is no dict")
    check_names("a scorer", value, field_types(Scorer))
    parts = value["estimators"]
    need(isinstance(parts, list), "estimators of a scorer that are no list")
    estimators = [unpacked(part) for part in parts]
    units = _record(Units, value["units"])
    scorer: Scorer = _record(
        Scorer, {**value, "estimators": estimators, "units": units}
    )
    fitted, measure = scorer.estimators, scorer.measure
    if not fitted or measure not in MEASURES:
        raise ValueError(f"a measure {shortened(measure)} of {len(fitted)} estimators")
    for estimator in fitted:
        if getattr(estimator, "n_features_in_", 0) != n_features:
            raise ValueError(f"an estimator that is not fitted to {n_features} columns")
    if measure == LIKELIHOOD:
        densities = all(isinstance(estimator, DensityMixin) for estimator in fitted)
        need(densities, "a likelihood of estimators without a density")
    _check("middle", units.middle, (n_features,))
    _check("unit", units.unit, (n_features,), least=0)
    need(units.unseen >= 0, "a distance below 0")
    _check("error_units", scorer.error_units, (len(fitted), n_features), least=0)
    sizes = _level_sizes(fitted[0], n_features)
    if len(units.levels) != n_features:
        raise ValueError(f"levels of {len(units.levels)} columns")
    for level, size in zip(units.levels, sizes, strict=True):
        if level is not None or size:
            _check("levels of a column", level, (size,), least=0)
    codes = scorer.codes
    if len(codes) != (len(fitted) if measure == LATENT else 0):
        raise ValueError(f"units of the codes of {len(codes)} estimators")
    for estimator, code in zip(fitted, codes, strict=False):
        _check("units of codes", code, (2, estimator.n_components_))
    return scorer


def _level_sizes(estimator: BaseAutoEncoder, n_features: int) -> list[int]:
    """Return the number of levels of each column and one more; 0 for a number."""
    if estimator._table is None:
        return [0] * n_features
    return [
        len(column.levels) + 1 if isinstance(column, CategoryColumn) else 0
        for column in estimator._table.columns
    ]


def _check(
    name: str, array: Any, shape: tuple[int, ...], least: float = -np.inf
) -> None:
    """Refuse what is no array of finite numbers of this shape."""
    good = isinstance(array, np.ndarray) and array.dtype == np.float64
    if not good or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} that are no {shape} finite numbers")
    if (array < least).any():
        raise ValueError(f"{name} below {least}")
