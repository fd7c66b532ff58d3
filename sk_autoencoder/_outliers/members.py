"""What a detector asks of the transformers that it is made of, ours or others.

Ours are asked for cells and codes without being validated again, and read tables. Any
other transformer gets a matrix of numbers, and is asked for `transform` and
`inverse_transform`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import get_tags

from sk_autoencoder._columns import Table
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.conditionals import CellPredictor
from sk_autoencoder._inference.errors import squared_errors
from sk_autoencoder._outliers.robust import RobustScales
from sk_autoencoder._outliers.rows import level_shares, numbers_of
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.pipelines import is_ours, widths_of
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.values import first_line, shortened

# Of a cell of which there is no finite one; its unit is finite too.
MAX_ERROR = float(np.finfo(np.float64).max) / 8


@loadable()
@dataclass(frozen=True)
class Members:
    """Fitted transformers, and the scales of the rows that they were fitted to.

    Attributes
    ----------
    estimators : list of transformers
    scales : RobustScales
    """

    estimators: list[Any]
    scales: RobustScales

    def matrix(self, X: Any, *, takes_missing: bool = False) -> Any:
        """Turn validated rows into those that are scored.

        Parameters
        ----------
        X : {ndarray, frame, CSR matrix} of shape (n_samples, n_features)
        takes_missing : bool
            Whether missing cells are taken even if the transformers have seen none.
        """
        table = table_of(self.estimators[0])
        if table is not None and takes_missing:
            table = replace(table, allow_missing=True)
        return numbers_of(table, X)

    def seen(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return each transformer with the rows as it is to see them."""
        fills = self.fills
        seen = {f: self.scales.seen_by_networks(rows, fill=f) for f in set(fills)}
        return [(e, seen[f]) for e, f in zip(self.estimators, fills, strict=True)]

    @property
    def level_shares(self) -> list[np.ndarray | None]:
        """The proportions of the levels of each column; None for a number."""
        return level_shares(table_of(self.estimators[0]), len(self.scales.center))

    @cached_property
    def fills(self) -> list[bool]:
        """Whether missing cells are filled for each transformer; slow to find out."""
        return [not allows_nan(estimator) for estimator in self.estimators]

    def checked_errors(self, rows: np.ndarray) -> list[np.ndarray]:
        """Compute the errors of training rows by each transformer.

        Raises
        ------
        ValueError
            If a transformer of others gives no numbers for them.
        """
        is_category = self.scales.is_category
        errors = []
        for estimator, seen in self.seen(rows):
            sizes = cell_errors(estimator, rows, seen, is_category)
            ours = isinstance(estimator, BaseAutoEncoder)
            if not ours and (sizes == MAX_ERROR).any():
                raise ValueError(
                    "expected finite reconstructions of the training rows, got others "
                    f"from estimator={one_line(estimator)}. "
                    "Scale the columns first, or pass another "
                    f"one{or_likelihood(estimator)}."
                )
            errors.append(sizes)
        return errors

    def check(self, n_features: int) -> None:
        """Refuse members from a file that are not fitted to so many features."""
        need(self.estimators, "no estimators of a detector")
        for estimator in self.estimators:
            need(
                is_ours(estimator) and widths_of(estimator)[0] == n_features,
                f"an estimator that is not fitted to {n_features} columns",
            )
        n_levels = [0 if share is None else len(share) for share in self.level_shares]
        self.scales.check(n_features, n_levels)


def table_of(estimator: Any) -> Table | None:
    """Return how a fitted transformer reads tables; None where it takes numbers."""
    return estimator._table if isinstance(estimator, BaseAutoEncoder) else None


@contextmanager
def reading_as(estimator: Any, table: Table | None) -> Iterator[None]:
    """Let a transformer of ours read its training rows as a table of more of them.

    Levels and units are then those of all rows, whichever it is fitted to.
    """
    if table is None:
        yield
        return
    own = vars(estimator)
    own["_read_table"] = lambda *_, **__: table
    try:
        yield
    finally:
        del own["_read_table"]


@contextmanager
def without_warnings_of_columns(estimator: Any) -> Iterator[None]:
    """Let a transformer of ours not warn of its columns: the detector does, once."""
    if not isinstance(estimator, BaseAutoEncoder):
        yield
        return
    own = estimator.__dict__
    own["_warn_of_table"] = lambda *_: None
    try:
        yield
    finally:
        del own["_warn_of_table"]


def knows_conditionals(estimator: Any) -> bool:
    """Whether a fitted transformer gives a distribution of each cell, given the others.

    Its errors are then how improbable a cell is, as standard normal numbers.
    """
    return isinstance(estimator, BaseAutoEncoder) and estimator._plan.is_masked


def allows_nan(estimator: Any) -> bool:
    """Whether a transformer takes missing cells; a pipeline if all steps that meet any.

    Behind one that fills them, steps meet none.
    """
    # Not at import: it is not needed by most, and takes a while.
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline):
        return get_tags(estimator).input_tags.allow_nan
    for _, step in estimator.steps:
        if step is None or step == "passthrough":
            continue
        if not allows_nan(step):
            return False
        if _fills_missing(step):
            return True
    return True


def _fills_missing(step: Any) -> bool:
    """Whether nothing is missing in what a transformer that takes NaN returns."""
    # No tag says so. Imputers, and subclasses of theirs, are known by their module.
    modules = [kind.__module__ for kind in type(step).__mro__]
    return isinstance(step, BaseAutoEncoder) or any(
        module.startswith("sklearn.impute.") for module in modules
    )


def has_density(estimator: Any) -> bool:
    """Whether a transformer has a density of samples."""
    if isinstance(estimator, BaseAutoEncoder):
        return isinstance(estimator, VAETransformer)
    return hasattr(estimator, "score_samples")


def or_likelihood(estimator: Any) -> str:
    """Return the advice for a transformer that does not undo its transform."""
    return ", or measure='likelihood'" if has_density(estimator) else ""


def seed(estimator: Any, word: int) -> None:
    """Set every `random_state` of a transformer and its parts, each to another number.

    Parameters
    ----------
    estimator : transformer
    word : int
        In 32 bits.
    """
    names = sorted(
        name
        for name in estimator.get_params(deep=True)
        if name == "random_state" or name.endswith("__random_state")
    )
    estimator.set_params(**{name: (word >> 1) ^ i for i, name in enumerate(names)})


def keep_in(estimator: Any, folder: str | os.PathLike[str], interval: float) -> None:
    """Have a transformer and its parts keep snapshots of their training, if they can.

    Parameters
    ----------
    estimator : transformer
    folder : path-like
    interval : float
        Seconds from one to the next.
    """
    values = {"checkpoint_dir": folder, "checkpoint_interval": interval}
    names = estimator.get_params(deep=True)
    found = {name: values.get(name.rpartition("__")[2]) for name in names}
    estimator.set_params(**{k: v for k, v in found.items() if v is not None})


def cell_errors(
    estimator: Any, rows: np.ndarray, seen: np.ndarray, is_category: np.ndarray
) -> np.ndarray:
    """Compute the size of the error of each cell, (n_samples, n_features) of float64.

    Parameters
    ----------
    estimator : transformer
        Fitted.
    rows : ndarray of shape (n_samples, n_features)
        As they are.
    seen : ndarray of shape (n_samples, n_features)
        As the transformer is to see them.
    is_category : ndarray of bool of shape (n_features,)

    Returns
    -------
    errors : ndarray of shape (n_samples, n_features)
        NaN where a cell is missing; `MAX_ERROR` where there is no reconstruction.
    """
    if knows_conditionals(estimator):
        return _surprises(estimator, rows, seen)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = np.abs(rows - _reconstructed(estimator, seen)).astype(np.float64)
    errors[np.isnan(errors) & ~np.isnan(rows)] = MAX_ERROR
    np.minimum(errors, MAX_ERROR, out=errors)
    if is_category.any():
        module = estimator.net_.module_
        squares = apply_to_rows(
            squared_errors,
            module,
            seen,
            dtype=np.dtype(np.float64),
        )
        errors[:, is_category] = np.sqrt(squares[:, is_category])
    return errors


def _surprises(estimator: Any, rows: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Compute how improbable cells are; farther off where no training cell was."""
    module = estimator.net_.module_
    sizes = apply_to_rows(
        CellPredictor.surprises, module, seen, dtype=np.dtype(np.float64)
    )
    sizes = np.minimum(sizes + module.columns.beyond(rows), MAX_ERROR)
    sizes[np.isnan(rows)] = np.nan
    return sizes


def codes_of(estimator: Any, seen: np.ndarray) -> np.ndarray:
    """Encode rows, (n_samples, n_components)."""
    if knows_conditionals(estimator):
        raise ValueError(
            "expected a transformer that has codes for measure='latent', got one whose "
            "network predicts each cell by the others, estimator="
            f"{one_line(estimator)}. Pass measure='combined' or 'reconstruction'."
        )
    if isinstance(estimator, BaseAutoEncoder):
        return estimator._transform(seen)
    codes = _as_matrix(estimator.transform(seen))
    if codes.ndim != 2 or codes.dtype.kind not in "fiub":
        raise ValueError(
            "expected a transformer whose transform returns numbers of shape "
            "(n_samples, n_components) for measure='latent', got an array of shape "
            f"{codes.shape} and dtype {codes.dtype} from "
            f"estimator={one_line(estimator)}. Pass measure='reconstruction'."
        )
    return codes


def code_width(estimator: Any) -> int:
    """Return how many numbers `codes_of` gives for a row."""
    if isinstance(estimator, BaseAutoEncoder) and estimator._plan.imputes:
        return estimator._plan.n_components  # `transform` gives rows, not codes
    return widths_of(estimator)[1]


def log_density(estimator: Any, seen: np.ndarray) -> np.ndarray:
    """Compute the log density of rows, (n_samples,) in nats."""
    if isinstance(estimator, VAETransformer):
        return estimator._score_samples(seen)
    with np.errstate(all="ignore"):  # as far off as numbers go
        return estimator.score_samples(seen)


def _reconstructed(estimator: Any, seen: np.ndarray) -> np.ndarray:
    if isinstance(estimator, BaseAutoEncoder):
        return estimator._reconstruct(seen)
    codes = estimator.transform(seen)
    try:
        rows = _as_matrix(estimator.inverse_transform(codes))
    except Exception as error:  # of an object that is not ours
        raise ValueError(
            "expected a transformer whose inverse_transform returns numbers of shape "
            f"{seen.shape}, that of the rows, got {type(error).__name__} from "
            f"estimator={one_line(estimator)}, because: {first_line(error)}. Pass one "
            f"that undoes its transform{or_likelihood(estimator)}."
        ) from error
    if rows.shape != seen.shape or rows.dtype.kind not in "fiub":
        raise ValueError(
            "expected a transformer whose inverse_transform returns numbers of shape "
            f"{seen.shape}, that of the rows, got an array of shape {rows.shape} and "
            f"dtype {rows.dtype} from estimator={one_line(estimator)}. Pass one that "
            f"undoes its transform{or_likelihood(estimator)}."
        )
    return rows


def _as_matrix(values: Any) -> np.ndarray:
    """Return an array of what a transformer gives: that, a frame, a sparse matrix."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def one_line(estimator: Any) -> str:
    """Write an estimator in one line."""
    return shortened(" ".join(repr(estimator).split()), quoted=False)
