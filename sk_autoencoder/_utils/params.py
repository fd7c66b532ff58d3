"""Parameters that are objects: not classes, and there before theirs are set."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from sk_autoencoder._utils.pickling import PickledByPublicName
from sk_autoencoder._utils.values import shortened

# Parameters with a number for each layer.
SIZES = ("hidden_layer_sizes", "channels")


def refuse_one_size(estimator: BaseEstimator) -> None:
    """Refuse a number where a tuple of one is meant, as of scikit-learn's MLP.

    Parameters
    ----------
    estimator : estimator
    """
    for name in SIZES:
        size = vars(estimator).get(name)
        if isinstance(size, Integral):
            raise ValueError(
                f"expected a tuple of ints >= 1, got {name}={size}. Pass {name}="
                f"({size},)."
            )


class ChecksObjects(PickledByPublicName, BaseEstimator):
    """An estimator some of whose parameters are objects with parameters of their own.

    Attributes
    ----------
    _objects : mapping of str to tuple of type
        Names of these parameters, and estimators that they may be, for examples.
    """

    _objects: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set the parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Parameters by name; `network__channels` is the parameter `channels` of
            `network`.

        Returns
        -------
        self : object
            This estimator.

        Raises
        ------
        ValueError
            If there is no such parameter, or nothing that has it.
        """
        known = self._get_param_names()
        for key in params:
            name, _, inner = key.partition("__")
            if not inner or name not in known:
                continue
            value = params.get(name, getattr(self, name))
            if isinstance(value, type) or not hasattr(value, "set_params"):
                raise ValueError(
                    f"expected {name} to be an object with the parameter {inner!r}, "
                    f"got {key} for {name}={shortened(value)}. Set {name} first, or in "
                    f"the same call{self._example(name, inner)}."
                )
        super().set_params(**params)
        return self

    def _example(self, name: str, inner: str) -> str:
        """Return an example of a parameter that has a parameter of its own."""
        parameter = inner.partition("__")[0]
        for kind in self._objects.get(name, ()):
            if parameter in kind().get_params(deep=False):
                return f", as {name}={kind.__name__}()"
        return ""

    def _validate_params(self) -> None:
        """Validate parameters as scikit-learn does; a class gets advice of its own."""
        for name in self._objects:
            value = getattr(self, name)
            if isinstance(value, type):
                raise TypeError(
                    f"expected {name} to be an instance, got {name}={value!r}, which "
                    f"is a class. Pass {name}={value.__name__}(...)."
                )
        refuse_one_size(self)
        super()._validate_params()
