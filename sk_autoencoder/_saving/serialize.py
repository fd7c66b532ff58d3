"""Values as JSON and arrays beside it, and back: what a saved estimator is made of.

Only what is listed here and in `_saving/registry.py` is ever made when a file is read:
plain values, arrays, records, networks, estimators, dtypes, torch's optimizers.
Functions and classes of a user's own are named in the file, and asked for again.
"""

import dataclasses
import inspect
from collections.abc import Collection, Mapping
from functools import partial, singledispatchmethod
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from sk_autoencoder._columns.dtypes import dtype_from_json, dtype_to_json
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._protocols import Network, SavedEstimator
from sk_autoencoder._saving.checks import check_names, check_types, field_types, need
from sk_autoencoder._saving.formats import (
    FORMAT,
    upgraded,
    upgraded_class,
    upgraded_state,
)
from sk_autoencoder._saving.pipelines import is_ours, known_class, make, state_of
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.registry import ESTIMATORS, NETWORKS, RANGES, RECORDS
from sk_autoencoder._saving.state import capture, for_use_alone, restore
from sk_autoencoder._utils.random import check_numpy_state
from sk_autoencoder._utils.values import is_plain, shortened

# How deep values are nested in each other at most: a detector's are 34 to 40 deep.
MOST_DEPTH = 100
# Kinds of values other than plain ones and lists, by the name that comes first in their
# JSON, each with the other names that it has.
NAMES: dict[Any, tuple[str, ...]] = {
    "$array": ("shape",),
    "$custom": (),
    "$dict": (),
    "$dtype": (),
    "$estimator": ("state",),
    "$frozen": (),
    "$listed": ("state", "steps"),
    "$model": (),
    "$network": ("params",),
    "$objects": (),
    "$optimizer": (),
    "$own_network": ("params",),
    "$partial": ("keywords",),
    "$random_state": (),
    "$record": ("fields",),
    "$tuple": (),
}


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer)


class Encoder:
    """Turns values into what JSON can hold.

    Parameters
    ----------
    optimizer : bool
        Whether to keep the state of optimizers.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Those met so far, by the names that the JSON has in their place.
    """

    def __init__(self, *, optimizer: bool = True) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._own: dict[str, Any] = {}
        self._optimizer = optimizer

    def encode_estimator(
        self, estimator: SavedEstimator, where: str = "", **replaced: Any
    ) -> Any:
        """Turn what a file holds of an estimator into JSON, some values replaced.

        Raises
        ------
        TypeError
            If it is of a class that `load` does not know.
        """
        kind = type(estimator)
        if ESTIMATORS.get(kind.__name__) is not kind:
            name = f"{_parameter(where)}=" if where else ""
            what = "the estimator around it" if where else "it"
            raise TypeError(
                "expected an estimator of a class of sk_autoencoder, or a pipeline of "
                "one with StandardScaler, MinMaxScaler or PCA, got "
                f"{name}{kind.__qualname__} of {kind.__module__}, which load does not "
                f"know. Dump {what} with skops or joblib instead."
            )
        state = {**estimator._to_state(), **replaced}
        return self.encode(state, f"{where}.state" if where else "state")

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into JSON; `where` is its name, for errors and arrays.

        Raises
        ------
        TypeError
            If it is of a kind that cannot be saved.
        """
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, torch.device):
            return str(value)
        return self._encode(value, where)

    def _each(self, values: Any, where: str) -> list[Any]:
        return [self.encode(item, f"{where}.{i}") for i, item in enumerate(values)]

    @singledispatchmethod
    def _encode(self, value: Any, where: str) -> Any:
        """Encode what no method below is registered for, by its class."""
        return self._of_own_class(value, where)

    def _of_own_class(self, value: Any, where: str) -> Any:
        kind = type(value)
        name = kind.__name__
        if RECORDS.get(name) is kind:
            names = [field.name for field in dataclasses.fields(value)]
            fields = {field: getattr(value, field) for field in names}
            return {"$record": name, "fields": self.encode(fields, name)}
        dtype = dtype_to_json(value)
        if dtype is not None:
            return {"$dtype": self.encode(dtype, where)}
        if callable(value) or hasattr(value, "on_epoch_end"):
            own = str(getattr(value, "__name__", name))
            return {"$custom": self._own_name(value, own, where)}
        return self._encode_unknown(value, where)

    def _encode_unknown(self, value: Any, where: str) -> Any:
        """Refuse what no file can hold."""
        raise TypeError(
            "expected values that can be saved, got "
            f"{_parameter(where)}={shortened(value)}. Pickle the estimator instead, or "
            "fit without it."
        )

    @_encode.register(np.ndarray)
    def _(self, value: np.ndarray, where: str) -> Any:
        if value.dtype == object:
            return {"$objects": self._each(value.tolist(), where)}
        name = f"{len(self.arrays):04d} {where}"
        self.arrays[name] = np.asarray(value, order="C")
        return {"$array": name, "shape": list(value.shape)}

    @_encode.register(np.generic)
    def _(self, value: np.generic, where: str) -> Any:
        return self.encode(value.item(), where)

    @_encode.register(list)
    def _(self, value: list[Any], where: str) -> Any:
        return self._each(value, where)

    @_encode.register(tuple)
    def _(self, value: tuple[Any, ...], where: str) -> Any:
        return {"$tuple": self._each(value, where)}

    @_encode.register(Mapping)
    def _(self, value: Mapping[Any, Any], where: str) -> Any:
        pairs = [
            [self.encode(key, where), self.encode(item, f"{where}.{key}")]
            for key, item in value.items()
        ]
        return {"$dict": pairs}

    @_encode.register(BaseEstimator)
    def _(self, value: BaseEstimator, where: str) -> Any:
        return self._encode_inner(value, where)

    def _encode_inner(self, value: Any, where: str, **replaced: Any) -> Any:
        """Encode an estimator that is a part of another one, some values replaced."""
        if is_ours(value) and known_class(value):
            return self._encode_listed(value, where)
        state = self.encode_estimator(value, where, **replaced)
        return {"$estimator": type(value).__name__, "state": state}

    def _encode_listed(self, value: Any, where: str) -> Any:
        """Encode a pipeline, or a step of one that is scikit-learn's."""
        state = state_of(value)
        steps = state["params"].pop("steps", None)
        encoded = self.encode(state, where)
        found = {"$listed": type(value).__name__, "state": encoded, "steps": None}
        if steps is not None:
            found["steps"] = [
                [
                    name,
                    self._encode_listed(step, f"{where}__{name}")
                    if known_class(step)
                    else self._encode_inner(step, f"{where}__{name}"),
                ]
                for name, step in steps
            ]
        return found

    @_encode.register(FrozenEstimator)
    def _(self, value: FrozenEstimator, where: str) -> Any:
        # What it was aligned to itself is not needed: a file would grow with each fit.
        # It is not trained further.
        before, self._optimizer = self._optimizer, False
        inner = f"{where}.estimator"
        state = self._encode_inner(value.estimator, inner, align_to=None)
        self._optimizer = before
        return {"$frozen": state}

    @_encode.register(FittedModel)
    def _(self, value: FittedModel, where: str) -> Any:
        state = capture(value)
        kept = state if self._optimizer else for_use_alone(state)
        return {"$model": self.encode(kept, where)}

    @_encode.register(Network)
    def _(self, value: Network, where: str) -> Any:
        kind, name = type(value), type(value).__name__
        is_known = NETWORKS.get(name) is kind
        label = "$network" if is_known else "$own_network"
        name = name if is_known else self._own_name(kind, name, where)
        return {label: name, "params": self.encode(value.get_params(deep=False), name)}

    @_encode.register(np.random.RandomState)
    def _(self, value: np.random.RandomState, where: str) -> Any:
        state: Any = value.get_state(legacy=False)
        return {"$random_state": self.encode(state, where)}

    @_encode.register(type)
    def _(self, value: type, where: str) -> Any:
        if getattr(torch.optim, value.__name__, None) is value and _is_optimizer(value):
            return {"$optimizer": value.__name__}
        return self._of_own_class(value, where)

    @_encode.register(partial)
    def _(self, value: partial[Any], where: str) -> Any:
        if _is_optimizer(value.func) and not value.args:
            keywords = self.encode(value.keywords, where)
            return {"$partial": self.encode(value.func, where), "keywords": keywords}
        return self._own_part(value, where)

    @_encode.register(torch.nn.Module)
    def _own_part(self, value: Any, where: str) -> Any:
        # Two may be of one class: they are told apart by what they are for.
        return {"$custom": self._own_name(value, where.rpartition(".")[2], where)}

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
    return _constructed_from(first) == _constructed_from(second)


def _constructed_from(value: Any) -> str:
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
        Of the file. What an older one holds is brought up to date.
    is_trusted : bool
        Whether the values are from an encoder for sure, as those of a pickle.

    Raises
    ------
    ValueError
        If the JSON is not what an `Encoder` makes.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        custom: Mapping[str, Any],
        format: int = FORMAT,
        *,
        is_trusted: bool = False,
    ) -> None:
        self._arrays, self._custom = dict(arrays), custom
        self._is_old, self._is_trusted = format < FORMAT, is_trusted
        self._n_arrays = len(arrays)
        self._n_numbers = sum(array.size for array in arrays.values())
        self._depth = 0

    def decode_estimator(self, name: str, state: Any) -> Any:
        """Make a fitted estimator of JSON that has all of the arrays."""
        state = self.decode(state)
        estimator = self.make_estimator(name, state, is_fitted=True)
        self._check_rest()
        return estimator

    def decode_all(self, value: Any) -> Any:
        """Turn JSON that has all of the arrays back into a value."""
        found = self.decode(value)
        self._check_rest()
        return found

    def _check_rest(self) -> None:
        if self._arrays:
            name = shortened(next(iter(self._arrays)))
            raise ValueError(f"an array {name} that is part of no value")

    def decode(self, value: Any) -> Any:
        """Turn JSON back into a value."""
        if self._depth > MOST_DEPTH:
            raise ValueError(f"values nested more than {MOST_DEPTH} deep")
        if not isinstance(value, list | dict):
            return value
        self._depth += 1
        if isinstance(value, list):
            result: Any = [self.decode(item) for item in value]
        else:
            kind: Any = next(iter(value), None)
            if kind not in NAMES:
                raise ValueError(f"a value of unknown kind {shortened(kind)}")
            check_names(f"a value of kind {kind}", value, (kind, *NAMES[kind]))
            result = getattr(self, kind.replace("$", "_decode_"))(value)
        self._depth -= 1
        return result

    # -- what `upgraded_state` needs too -------------------------------------------

    def make_estimator(self, name: Any, state: Any, *, is_fitted: bool = False) -> Any:
        """Make an estimator of what a file holds of it, a fitted one or any."""
        kind = _known(name, ESTIMATORS, "an estimator")
        if not isinstance(state, dict):
            raise ValueError(f"a state of {name} that is no dict")
        state = upgraded_state(name, state, self) if self._is_old else state
        estimator = kind.__new__(kind)
        estimator._load_state(state, is_fitted=is_fitted)
        return estimator

    def make_record(self, name: Any, fields: Any) -> Any:
        """Make a record of its fields, which are of the types that it names."""
        today = upgraded_class(name) if self._is_old else name
        kind = _known(today, RECORDS, "a record")
        fields = self._checked(name, fields, field_types(kind))
        if not self._is_trusted:
            check_types(name, kind, fields, RANGES.get(kind, {}))
        return kind(**fields)

    def make_model(self, state: Any) -> FittedModel:
        """Make what a fit gave."""
        need(isinstance(state, ModelState), "something other than a fitted model")
        return restore(state, trusted=self._is_trusted)

    def _checked(self, kind: str, fields: Any, names: Collection[str]) -> Any:
        """Check the names of what a record or a network is made of."""
        if not isinstance(fields, dict):
            raise ValueError(f"a {kind} of what is no dict")
        fields = upgraded(kind, fields) if self._is_old else fields
        check_names(f"a {kind}", fields, names)
        return fields

    # -- a method for each kind ------------------------------------------------------

    def _decode_array(self, value: dict[str, Any]) -> Any:
        name = _text(value["$array"], "the name of an array")
        if name not in self._arrays:
            raise ValueError(f"an array {shortened(name)} that is not there, or twice")
        array = self._arrays.pop(name)
        if list(array.shape) != value["shape"]:
            raise ValueError(f"array {shortened(name)} of shape {array.shape}")
        return array

    def _decode_objects(self, value: dict[str, Any]) -> np.ndarray:
        items = self._items(value["$objects"])
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array

    def _decode_tuple(self, value: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self._items(value["$tuple"]))

    def _items(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"items {shortened(value)} that are no list")
        return self.decode(value)

    def _decode_dict(self, value: dict[str, Any]) -> dict[Any, Any]:
        pairs = self._items(value["$dict"])
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ValueError("a dict of what is no pair of a key and a value")
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("a dict with a key more than once")
        return result

    def _decode_record(self, value: dict[str, Any]) -> Any:
        name = _text(value["$record"], "the name of a record")
        return self.make_record(name, self.decode(value["fields"]))

    def _decode_estimator(self, value: dict[str, Any]) -> Any:
        name = _text(value["$estimator"], "the name of an estimator")
        return self.make_estimator(name, self.decode(value["state"]))

    def _decode_frozen(self, value: dict[str, Any]) -> FrozenEstimator:
        inner = self.decode(value["$frozen"])
        need(isinstance(inner, tuple(ESTIMATORS.values())), "nothing that is frozen")
        return FrozenEstimator(inner)

    def _decode_listed(self, value: dict[str, Any]) -> Any:
        state, steps = self.decode(value["state"]), value["steps"]
        if steps is not None:
            state["params"]["steps"] = [tuple(step) for step in self._items(steps)]
        return make(value["$listed"], state)

    def _decode_model(self, value: dict[str, Any]) -> Any:
        return self.make_model(self.decode(value["$model"]))

    def _decode_network(self, value: dict[str, Any]) -> Network:
        name = _text(value["$network"], "the name of a network")
        kind = _known(name, NETWORKS, "a network")
        return self._network(name, kind, value["params"])

    def _decode_own_network(self, value: dict[str, Any]) -> Any:
        name = _text(value["$own_network"], "the name of a network")
        kind = self._custom[name]
        if not (isinstance(kind, type) and issubclass(kind, Network)):
            raise TypeError(
                f"expected a subclass of Network for {name!r}, got {shortened(kind)}"
            )
        return self._network(name, kind, value["params"])

    def _network(self, name: str, kind: Any, params: Any) -> Any:
        names = inspect.signature(kind).parameters
        params = self._checked(name, self.decode(params), names)
        if not self._is_trusted:
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

    def _decode_random_state(self, value: dict[str, Any]) -> np.random.RandomState:
        found = self.decode(value["$random_state"])
        check_numpy_state(found)
        state = np.random.RandomState(0)
        state.set_state(found)
        return state

    def _decode_optimizer(self, value: dict[str, Any]) -> Any:
        name = _text(value["$optimizer"], "the name of an optimizer")
        kind = getattr(torch.optim, name, None)
        if not _is_optimizer(kind):
            raise ValueError(f"an optimizer called {shortened(name)}")
        return kind

    def _decode_partial(self, value: dict[str, Any]) -> Any:
        kind, keywords = self.decode(value["$partial"]), self.decode(value["keywords"])
        if not (_is_optimizer(kind) and isinstance(keywords, dict)):
            raise ValueError(f"a partial of {shortened(kind)}")
        if not (self._is_trusted or is_plain(keywords)):
            raise ValueError(f"a partial with {shortened(keywords)}")
        return partial(kind, **keywords)

    def _decode_dtype(self, value: dict[str, Any]) -> Any:
        return dtype_from_json(self.decode(value["$dtype"]))

    def _decode_custom(self, value: dict[str, Any]) -> Any:
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


def _known(name: Any, known: Mapping[str, Any], what: str) -> Any:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{what} called {shortened(name)}")
    return known[name]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} that is no text: {shortened(value)}")
    return value
