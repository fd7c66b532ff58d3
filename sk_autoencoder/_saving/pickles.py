"""What pickle, joblib, skops and deepcopy are given of a fit: JSON and arrays."""

from typing import Any

import numpy as np

from sk_autoencoder._saving.serialize import Encoder
from sk_autoencoder._utils.values import shortened


class OwnValue:
    """Something of the user's own in what pickle is given; it comes back in a list.

    Parameters
    ----------
    value : object
    """

    def __init__(self, value: Any) -> None:
        self._value = value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return list, ([self._value],)

    def __reduce__(self) -> Any:
        # pickle never asks for this one, as the one above is there; skops does.
        raise TypeError(
            "expected an estimator without functions, classes and objects of your own "
            f"for skops, got {shortened(self._value)}. Save the estimator by its "
            "method save, or pickle it."
        )


class PickleEncoder(Encoder):
    """Turns values into what JSON can hold, and keeps objects of all other kinds.

    Attributes
    ----------
    own : dict of str to object
        Estimators, numbers of numpy's, and what is of the user's own, by the names that
        the JSON has in their place. pickle keeps them.
    """

    def __init__(self) -> None:
        super().__init__(optimizer=True)
        self.own: dict[str, Any] = {}

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into JSON; a number of numpy's stays one."""
        if isinstance(value, np.generic):
            return {"$custom": self._refer_to(value)}
        return super().encode(value, where)

    def _encode_inner(self, value: Any, where: str, **replaced: Any) -> Any:  # noqa: ARG002
        # Of whatever class: its own state is of this kind again, if it is ours.
        return {"$custom": self._refer_to(value)}

    def _encode_unknown(self, value: Any, where: str) -> Any:
        return {"$custom": self._own_name(value, "", where)}

    def _own_name(self, value: Any, name: str, where: str) -> str:  # noqa: ARG002
        return self._refer_to(OwnValue(value))

    def _refer_to(self, value: Any) -> str:
        name = str(len(self.own))
        self.own[name] = value
        return name
