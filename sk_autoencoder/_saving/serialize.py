"""Values as JSON and arrays beside it, and back: what a saved estimator is made of.

Only what is listed here is ever made when a file is read: plain values, arrays, the
dataclasses of a fit, network specifications, dtypes, torch's optimisers. Functions and
classes of a user's own are named in the file, and asked for again.
"""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._columns.dtypes import dtype_from_json, dtype_to_json
from sk_autoencoder._columns.frames import TableFormat
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._objectives import Denoise, Reconstruct, Variational
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.formats import (
    FORMAT,
    NAMES_1,
    check_names,
    upgraded,
    upgraded_class,
)
from sk_autoencoder._training.selection import Patience
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import Seeds, check_numpy_state
from sk_autoencoder._utils.values import fits, is_plain, shortened
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

__all__ = ["Decoder", "Encoder", "field_types", "names_of_own"]

# How deep values are nested in each other at most: a detector's are 25 deep.
MOST_DEPTH = 100

RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        CategoryColumn,
        LatentMap,
        LatentMoments,
        ColumnStatistics,
        Denoise,
        EmptyColumn,
        MixturePrior,
        NumberColumn,
        Patience,
        Plan,
        PrincipalAxes,
        Reconstruct,
        Seeds,
        Table,
        TableFormat,
        Variational,
    )
}
NETWORKS: dict[str, type[Network]] = {
    kind.__name__: kind for kind in (ConvNet, MLP, RecurrentNet, UserNetwork)
}


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer)


class Encoder:
    """Turns values into what JSON can hold.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Those met so far, by the names that the JSON has in their place.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._own: dict[str, Any] = {}

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into JSON; `where` is its name, for errors and arrays.

        Raises
        ------
        TypeError
            If it is of a kind that cannot be saved.
        """
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype != object:
            name = f"{len(self.arrays):04d} {where}"
            self.arrays[name] = np.asarray(value, order="C")
            return {"$array": name, "shape": list(value.shape)}
        if isinstance(value, np.ndarray):
            return {"$objects": self._each(value.tolist(), where)}
        if isinstance(value, np.generic):
            return self.encode(value.item(), where)
        if isinstance(value, tuple):
            return {"$tuple": self._each(value, where)}
        if isinstance(value, list):
            return self._each(value, where)
        if isinstance(value, Mapping):
            pairs = [
                [self.encode(key, where), self.encode(item, f"{where}.{key}")]
                for key, item in value.items()
            ]
            return {"$dict": pairs}
        return self._special(value, where)

    def _each(self, values: Any, where: str) -> list:
        return [self.encode(item, f"{where}.{i}") for i, item in enumerate(values)]

    def _special(self, value: Any, where: str) -> Any:
        kind = type(value)
        name = kind.__name__
        if RECORDS.get(name) is kind:
            names = [field.name for field in dataclasses.fields(value)]
            fields = {field: getattr(value, field) for field in names}
            return {"$record": name, "fields": self.encode(fields, name)}
        if isinstance(value, Network):
            is_known = NETWORKS.get(name) is kind
            label = "$network" if is_known else "$own_network"
            name = name if is_known else self._own_name(kind, name, where)
            params = self.encode(value.get_params(deep=False), name)
            return {label: name, "params": params}
        if isinstance(value, np.random.RandomState):
            state: Any = value.get_state(legacy=False)
            return {"$random_state": self.encode(state, where)}
        if isinstance(value, torch.device):
            return str(value)
        if _is_optimizer(value):
            own = str(value.__name__)
            if getattr(torch.optim, own, None) is value:
                return {"$optimizer": own}
            return {"$custom": self._own_name(value, own, where)}
        if isinstance(value, partial) and _is_optimizer(value.func) and not value.args:
            keywords = self.encode(value.keywords, where)
            return {"$partial": self.encode(value.func, where), "keywords": keywords}
        dtype = dtype_to_json(value)
        if dtype is not None:
            return {"$dtype": self.encode(dtype, where)}
        if isinstance(value, torch.nn.Module | partial):
            # Two may be of one class: they are told apart by what they are for.
            return {"$custom": self._own_name(value, where.rpartition(".")[2], where)}
        if callable(value) or hasattr(value, "on_epoch_end"):
            own = str(getattr(value, "__name__", name))
            return {"$custom": self._own_name(value, own, where)}
        raise TypeError(
            "expected values that can be saved, got "
            f"{_parameter(where)}={shortened(value)}. Pickle the estimator instead, or "
            "fit without it."
        )

    def _own_name(self, value: Any, name: str, where: str) -> str:
        """Return the name that `load` is to be given something of the user's own by.

        Raises
        ------
        TypeError
            If whoever loads the file could not find it again, or not tell it from
            another.
        """
        if "<" in getattr(value, "__qualname__", ""):
            what = "a lambda" if name == "<lambda>" else "defined inside a function"
            raise TypeError(
                "expected functions and classes that load can be given again by their "
                f"names, got {_parameter(where)}={shortened(value)}, which is "
                f"{what}. Define it "
                "with def or class at the top level of a module, or pickle the "
                "estimator with cloudpickle."
            )
        known = self._own.setdefault(name, value)
        if not _is_alike(value, known):
            raise TypeError(
                "expected functions, classes and objects of your own of different "
                f"names, got {shortened(known)} and "
                f"{_parameter(where)}={shortened(value)}, both "
                f"{name!r}. Rename one, or pickle the estimator instead."
            )
        return name


def _parameter(where: str) -> str:
    """Return the name of a parameter as `set_params` takes it, from its place."""
    return where.removeprefix("state.").replace(".state.", "__")


def _is_alike(first: Any, second: Any) -> bool:
    """Whether one of two things of the user's own can stand for the other in a file."""
    if first is second:
        return True
    if type(first) is not type(second) or hasattr(first, "__qualname__"):
        return False
    if isinstance(first, torch.nn.Module | partial):
        return repr(first) == repr(second)  # weights come from the file
    # Copies of one, as a clone has them, whatever a fit has left in one of them.
    return _as_given(first) == _as_given(second)


def _as_given(value: Any) -> str:
    """Represent what an object was made of."""
    attributes = getattr(value, "__dict__", {})
    own = {name: v for name, v in attributes.items() if not name.endswith("_")}
    return repr(own or value)


class Decoder:
    """Turns JSON and arrays back into values.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Each is a part of one value.
    custom : mapping of str to object
        What the file names and does not hold.
    format : int
        Of the file. Records of an older one are brought up to date.

    Raises
    ------
    ValueError
        If the JSON is not what an `Encoder` makes.
    """

    def __init__(
        self, arrays: Mapping[str, Any], custom: Mapping[str, Any], format: int = FORMAT
    ) -> None:
        self._arrays, self._custom = dict(arrays), custom
        self._is_old = format < FORMAT
        self._n_arrays = len(arrays)
        self._n_numbers = sum(array.size for array in arrays.values())

    def decode_all(self, value: Any) -> Any:
        """Turn JSON back into a value that has all of the arrays."""
        result = self.decode(value, 0)
        if self._arrays:
            name = shortened(next(iter(self._arrays)))
            raise ValueError(f"an array {name} that is part of no value")
        return result

    def decode(self, value: Any, depth: int) -> Any:
        """Turn JSON back into a value; `depth` counts what it is in."""
        if depth > MOST_DEPTH:
            raise ValueError(f"values nested more than {MOST_DEPTH} deep")
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        kind = next(iter(value), None)
        if kind not in DECODERS:
            raise ValueError(f"a value of unknown kind {shortened(kind)}")
        function, names = DECODERS[kind]
        check_names(f"a value of kind {kind}", value, names)
        return function(self, value, depth + 1)

    def _array(self, value: dict, depth: int) -> np.ndarray:
        name = _text(value["$array"], "the name of an array")
        if name not in self._arrays:
            raise ValueError(f"an array {shortened(name)} that is not there, or twice")
        array = self._arrays.pop(name)
        if list(array.shape) != value["shape"]:
            raise ValueError(f"array {shortened(name)} of shape {array.shape}")
        return array

    def _objects(self, value: dict, depth: int) -> np.ndarray:
        items = self._items(value["$objects"], depth)
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array

    def _tuple(self, value: dict, depth: int) -> tuple:
        return tuple(self._items(value["$tuple"], depth))

    def _items(self, value: Any, depth: int) -> list:
        if not isinstance(value, list):
            raise ValueError(f"items {shortened(value)} that are no list")
        return self.decode(value, depth)

    def _dict(self, value: dict, depth: int) -> dict:
        pairs = self._items(value["$dict"], depth)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ValueError("a dict of what is no pair of a key and a value")
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("a dict with a key more than once")
        return result

    def _fields(self, kind: str, value: Any, depth: int, names: Any) -> dict:
        """Decode what a record or a network is made of, under today's names."""
        fields = self.decode(value, depth)
        if not isinstance(fields, dict):
            raise ValueError(f"a {kind} of what is no dict")
        if self._is_old and kind in NAMES_1:
            fields = upgraded(kind, fields)
        check_names(f"a {kind}", fields, names)
        return fields

    def _record(self, value: dict, depth: int) -> Any:
        name = _text(value["$record"], "the name of a record")
        known = upgraded_class(name) if self._is_old else name
        if known not in RECORDS or (self._is_old and name not in NAMES_1):
            raise ValueError(f"a record called {shortened(name)}")
        kind = RECORDS[known]
        hints = field_types(kind)
        fields = self._fields(name, value["fields"], depth, hints)
        for field, item in fields.items():
            if not fits(item, hints[field]):
                raise ValueError(f"a {name} of {field}={shortened(item)}")
        return kind(**fields)

    def _network(self, value: dict, depth: int) -> Network:
        name = _text(value["$network"], "the name of a network")
        if name not in NETWORKS:
            raise ValueError(f"a network called {shortened(name)}")
        return self._of_kind(name, NETWORKS[name], value["params"], depth)

    def _of_kind(self, name: str, kind: Any, params: Any, depth: int) -> Network:
        params = self._fields(name, params, depth, kind._get_param_names())
        self._check_size(list(params.values()))
        return kind(**params)

    def _check_size(self, value: Any) -> None:
        """Refuse a network that is larger than the weights in the file."""
        if isinstance(value, list | tuple | np.ndarray):
            if len(value) > self._n_arrays:
                raise ValueError(
                    f"a network of {len(value)} layers in a file of {self._n_arrays} "
                    "arrays"
                )
            for item in value:
                self._check_size(item)
        elif isinstance(value, int) and value > self._n_numbers:
            raise ValueError(
                f"a network of size {value} in a file of {self._n_numbers} numbers"
            )

    def _own_network(self, value: dict, depth: int) -> Any:
        name = _text(value["$own_network"], "the name of a network")
        kind = self._custom[name]
        if not (isinstance(kind, type) and issubclass(kind, Network)):
            raise TypeError(
                f"expected a subclass of Network for {name!r}, got {shortened(kind)}"
            )
        return self._of_kind(name, kind, value["params"], depth)

    def _random_state(self, value: dict, depth: int) -> np.random.RandomState:
        found = self.decode(value["$random_state"], depth)
        check_numpy_state(found)
        state = np.random.RandomState(0)
        state.set_state(found)
        return state

    def _optimizer(self, value: dict, depth: int) -> Any:
        name = _text(value["$optimizer"], "the name of an optimizer")
        kind = getattr(torch.optim, name, None)
        if not _is_optimizer(kind):
            raise ValueError(f"an optimizer called {shortened(name)}")
        return kind

    def _partial(self, value: dict, depth: int) -> Any:
        kind = self.decode(value["$partial"], depth)
        keywords = self.decode(value["keywords"], depth)
        if not (_is_optimizer(kind) and isinstance(keywords, dict)):
            raise ValueError(f"a partial of {shortened(kind)}")
        if not is_plain(keywords):
            raise ValueError(f"a partial with {shortened(keywords)}")
        return partial(kind, **keywords)

    def _dtype(self, value: dict, depth: int) -> Any:
        return dtype_from_json(self.decode(value["$dtype"], depth))

    def _own(self, value: dict, depth: int) -> Any:
        return self._custom[_text(value["$custom"], "the name of your own")]


def names_of_own(value: Any) -> set[str]:
    """Return the names in JSON that `custom` is asked for."""
    found: set[str] = set()
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            names = [item.get(kind) for kind in ("$custom", "$own_network")]
            found.update(name for name in names if isinstance(name, str))
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return found


@cache
def field_types(record: type) -> dict[str, Any]:
    """Return the annotations of a record's fields, by name.

    Parameters
    ----------
    record : type
        A dataclass.
    """
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} that is no text: {shortened(value)}")
    return value


# What makes a value, and the names that its JSON has.
DECODERS: dict[Any, tuple[Callable[[Decoder, dict, int], Any], tuple[str, ...]]] = {
    "$array": (Decoder._array, ("$array", "shape")),
    "$objects": (Decoder._objects, ("$objects",)),
    "$tuple": (Decoder._tuple, ("$tuple",)),
    "$dict": (Decoder._dict, ("$dict",)),
    "$record": (Decoder._record, ("$record", "fields")),
    "$network": (Decoder._network, ("$network", "params")),
    "$own_network": (Decoder._own_network, ("$own_network", "params")),
    "$random_state": (Decoder._random_state, ("$random_state",)),
    "$optimizer": (Decoder._optimizer, ("$optimizer",)),
    "$partial": (Decoder._partial, ("$partial", "keywords")),
    "$dtype": (Decoder._dtype, ("$dtype",)),
    "$custom": (Decoder._own, ("$custom",)),
}
