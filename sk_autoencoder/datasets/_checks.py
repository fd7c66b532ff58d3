"""What all loaders ask of their arguments and of the environment."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


def check_count(name: str, value: object, least: int) -> None:
    """Refuse anything but a whole number that is not too small."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"expected an int, got {name}={value!r}. Pass e.g. 1000.")
    if value < least:
        raise ValueError(
            f"expected at least {least}, got {name}={value!r}. Pass e.g. 1000."
        )


def check_flag(name: str, value: object) -> None:
    """Refuse anything but a bool: ``as_frame="polars"`` would pass for True."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"expected True or False, got {name}={value!r}. Pass one of the two."
        )


def import_pandas() -> Any:
    """Import pandas, or say how to do without."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "expected pandas to be installed, got as_frame=True without it. "
            'Run pip install "sk_autoencoder[pandas]", or pass as_frame=False to '
            "get numpy arrays."
        ) from error
    return pandas
