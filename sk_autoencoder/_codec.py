"""Values as JSON and arrays beside it, and back: what a saved estimator is made of.

Only what is listed here is ever made when a file is read: plain values, arrays, the
dataclasses of a fit, network specifications, dtypes, torch's optimisers. Functions and
classes of a user's own are named in the file, and asked for again.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from sk_autoencoder._assembly import Plan
from sk_autoencoder._axes import PrincipalAxes
from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._columns.dtypes import dtype_from_json, dtype_to_json
from sk_autoencoder._columns.frames import TableFormat
from sk_autoencoder._columns.kinds import CategoryColumn, EmptyColumn, NumberColumn
from sk_autoencoder._density import MixturePrior
from sk_autoencoder._frame import CodeFrame
from sk_autoencoder._moments import CodeMoments
from sk_autoencoder._net_training import Patience
from sk_autoencoder._protocols import Network
from sk_autoencoder._random import Seeds
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork
from sk_autoencoder.objectives import Denoise, Reconstruct, Variational

__all__ = ["Decoder", "Encoder"]

RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        CategoryColumn,
        CodeFrame,
        CodeMoments,
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
            label = "$network" if NETWORKS.get(name) is kind else "$own_network"
            params = self.encode(value.get_params(deep=False), name)
            return {label: name, "params": params}
        if isinstance(value, np.random.RandomState):
            state: Any = value.get_state(legacy=False)
            return {"$random_state": self.encode(state, where)}
        if isinstance(value, torch.device):
            return str(value)
        if _is_optimizer(value):
            known = getattr(torch.optim, str(value.__name__), None) is value
            return {"$optimizer" if known else "$custom": str(value.__name__)}
        if isinstance(value, partial) and _is_optimizer(value.func) and not value.args:
            keywords = self.encode(value.keywords, where)
            return {"$partial": self.encode(value.func, where), "keywords": keywords}
        dtype = dtype_to_json(value)
        if dtype is not None:
            return {"$dtype": self.encode(dtype, where)}
        name = str(getattr(value, "__name__", name))
        if isinstance(value, torch.nn.Module):
            name = where.rpartition(".")[2]  # two may be of one class
        if callable(value) or hasattr(value, "on_epoch_end"):
            return {"$custom": name}
        raise TypeError(
            f"expected values that can be saved, got {where}={value!r}. Pickle the "
            "estimator instead, or fit without it."
        )


class Decoder:
    """Turns JSON and arrays back into values.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    custom : mapping of str to object
        What the file names and does not hold.
    """

    def __init__(self, arrays: Mapping[str, Any], custom: Mapping[str, Any]) -> None:
        self._arrays, self._custom = arrays, custom
        self._most = sum(array.size for array in arrays.values())
        self.missing: set[str] = set()

    def decode(self, value: Any) -> Any:
        """Turn JSON back into a value."""
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = next(iter(value), None)
        if kind not in DECODERS:
            raise ValueError(f"a value of unknown kind {kind!r}")
        return DECODERS[kind](self, value)

    def _array(self, value: dict) -> np.ndarray:
        array = self._arrays[value["$array"]]
        if list(array.shape) != value["shape"]:
            raise ValueError(f"array {value['$array']!r} of shape {array.shape}")
        return array

    def _objects(self, value: dict) -> np.ndarray:
        items = self.decode(value["$objects"])
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array

    def _tuple(self, value: dict) -> tuple:
        return tuple(self.decode(value["$tuple"]))

    def _dict(self, value: dict) -> dict:
        return {self.decode(key): self.decode(item) for key, item in value["$dict"]}

    def _record(self, value: dict) -> Any:
        record = RECORDS[value["$record"]](**self.decode(value["fields"]))
        if isinstance(record, Plan):
            self._check_size(record.n_components)
        return record

    def _network(self, value: dict) -> Network:
        network = NETWORKS[value["$network"]](**self.decode(value["params"]))
        self._check_size(network.get_params(deep=False))
        return network

    def _check_size(self, value: Any) -> None:
        """Refuse a network that is larger than the weights in the file."""
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value:
                self._check_size(item)
        elif isinstance(value, int) and value > self._most:
            raise ValueError(f"a network of size {value}, beyond {self._most} numbers")

    def _own_network(self, value: dict) -> Any:
        kind = self._given(value["$own_network"])
        return None if kind is None else kind(**self.decode(value["params"]))

    def _random_state(self, value: dict) -> np.random.RandomState:
        state = np.random.RandomState()
        state.set_state(self.decode(value["$random_state"]))
        return state

    def _optimizer(self, value: dict) -> Any:
        kind = getattr(torch.optim, value["$optimizer"])
        if not _is_optimizer(kind):
            raise ValueError(f"an optimizer called {value['$optimizer']!r}")
        return kind

    def _partial(self, value: dict) -> Any:
        kind, keywords = self.decode(value["$partial"]), self.decode(value["keywords"])
        if kind is None:
            return None  # among what is missing
        if not _is_optimizer(kind):
            raise ValueError(f"a partial of {kind!r}")
        return partial(kind, **keywords)

    def _dtype(self, value: dict) -> Any:
        return dtype_from_json(self.decode(value["$dtype"]))

    def _own(self, value: dict) -> Any:
        return self._given(value["$custom"])

    def _given(self, name: str) -> Any:
        if name not in self._custom:
            self.missing.add(name)
            return None
        return self._custom[name]


DECODERS: dict[str | None, Callable[[Decoder, dict], Any]] = {
    "$array": Decoder._array,
    "$objects": Decoder._objects,
    "$tuple": Decoder._tuple,
    "$dict": Decoder._dict,
    "$record": Decoder._record,
    "$network": Decoder._network,
    "$own_network": Decoder._own_network,
    "$random_state": Decoder._random_state,
    "$optimizer": Decoder._optimizer,
    "$partial": Decoder._partial,
    "$dtype": Decoder._dtype,
    "$custom": Decoder._own,
}
