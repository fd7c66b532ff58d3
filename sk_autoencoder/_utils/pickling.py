"""What pickles call the classes of this package: where users import them from."""

import importlib
from typing import Any


def new_object(module: str, name: str) -> Any:
    """Make an object of a public class, as pickle does, without `__init__`.

    Pickles name this function, as `sk_autoencoder._new`: it stays as it is.
    """
    kind = getattr(importlib.import_module(module), name)
    return kind.__new__(kind)


PACKAGE = "sk_autoencoder"
new_object.__module__, new_object.__qualname__ = PACKAGE, "_new"


class PickledByPublicName:
    """An object whose pickle names no private module.

    pickle names the module that defines a class, and then the class cannot move. The
    attribute `__module__` stays what it is, since `inspect.getsource`, doctest and
    Sphinx find a class's source by it.
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return how to make the object again: asked by pickle, joblib and copy."""
        kind = type(self)
        module = _public_module(kind)
        if module is None:
            return super().__reduce_ex__(protocol)
        return new_object, (module, kind.__name__), self.__getstate__()


def _public_module(kind: type) -> str | None:
    """Return the public package of ours that a class is imported from, if any."""
    package = kind.__module__
    if package.partition(".")[0] != PACKAGE:
        return None
    while package := package.rpartition(".")[0]:
        names = vars(importlib.import_module(package))
        if "._" not in package and names.get(kind.__name__) is kind:
            return package
    return None
