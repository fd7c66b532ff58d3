"""What X may be for a detector, by the transformer that it wraps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from sk_autoencoder._columns import has_categories, is_frame, with_missing
from sk_autoencoder._columns.frames import read_columns
from sk_autoencoder._estimators.validation import refuse_no_columns
from sk_autoencoder._outliers.members import one_line
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.values import first_line, listed


def has_missing(X: Any) -> bool:
    """Whether a cell is missing in a frame or in validated rows of numbers."""
    if is_frame(X):
        return bool(with_missing(X))
    return bool(np.isnan(X.data if sparse.issparse(X) else X).any())


def refuse_automatic(contamination: Any) -> None:
    """Refuse contamination="auto": no score says by itself where outliers begin."""
    if isinstance(contamination, str) and contamination == "auto":
        raise ValueError(
            "expected contamination in (0, 0.5], got contamination='auto', because no "
            "score says by itself where outliers begin. Pass a fraction, or leave it, "
            "and use p_values(X), or outliers(X, fdr=0.1), which keeps the fraction of "
            "false alarms."
        )


def refuse_categories(X: Any, estimator: Any) -> None:
    """Refuse a frame with categories where the transformer takes numbers alone."""
    if not (is_frame(X) and has_categories(X)):
        return
    names = [str(column.name) for column in read_columns(X) if column.is_category]
    raise _needs_numbers(f"categories in {listed(names)}", estimator)


def _needs_numbers(what: str, estimator: Any) -> ValueError:
    """Make the error of X with categories, which a detector itself has to read."""
    return ValueError(
        "expected columns of numbers, because a detector compares cells with their "
        "reconstructions, and categories only with those of a transformer of "
        f"sk_autoencoder, outside of a pipeline; got X with {what} and "
        f"estimator={one_line(estimator)}. Encode them before the detector, as in "
        "make_pipeline(OneHotEncoder(sparse_output=False), "
        "AutoEncoderOutlierDetector(PCA())), or pass "
        "estimator=AutoEncoderTransformer(...), which reads tables."
    )


@contextmanager
def numbers_for(estimator: Any, X: Any) -> Iterator[None]:
    """Validate rows for a transformer of others; say of bad ones what would do."""
    refuse_no_columns(X)
    try:
        with within_float64():
            yield
    except ValueError as error:
        if str(error).startswith("Input X contains NaN"):
            raise ValueError(
                "Input X contains NaN: expected no missing cells, because "
                f"estimator={one_line(estimator)} takes none. Fill them before the "
                "detector, as in make_pipeline(SimpleImputer(), "
                "AutoEncoderOutlierDetector(PCA())), or pass "
                "estimator=AutoEncoderTransformer(allow_missing=True)."
            ) from error
        if not str(error).startswith("could not convert string"):
            raise
        raise _needs_numbers(f"text, {first_line(error)},", estimator) from None
