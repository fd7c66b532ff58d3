"""Methods that an estimator lacks, and which estimators have them."""

from typing import Any, NoReturn

TABLES = "a DenoisingAutoEncoderTransformer(features='reconstruction')"
DISTRIBUTION = (
    "expected an estimator that learns a distribution. Fit a VAETransformer, or to a "
    f"table {TABLES}."
)
CELLS = f"expected a model of the cells of a table. Fit {TABLES}."


class Absent:
    """A method that no estimator of a class has, though others of its kind do.

    Parameters
    ----------
    reason : str
        What was expected, and which estimators have it.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __set_name__(self, owner: type, name: str) -> None:
        """Keep the name of the method."""
        self._name = name

    def __get__(self, obj: Any, owner: type) -> NoReturn:
        """Raise an AttributeError that says why there is none."""
        raise AttributeError(
            f"This {owner.__name__!r} has no attribute {self._name!r}: {self._reason}"
        )
