"""What loaders of tables ask of the environment."""

from __future__ import annotations

from typing import Any


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
