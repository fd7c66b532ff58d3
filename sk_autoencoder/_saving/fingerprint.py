"""What the result of a fit depends on, in words that another process finds again.

Two fits of the same words give the same result, to the bit, on the same machine.
"""

import hashlib
import inspect
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial, singledispatch
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator

from sk_autoencoder._columns.dtypes import dtype_to_json
from sk_autoencoder._utils.chunks import row_chunks
from sk_autoencoder._utils.values import shortened

# A description that is longer is replaced by its digest.
MOST_SHOWN = 100
# Numbers of an array that are shown one by one.
MOST_LISTED = 20
PLAIN = (str, bool, int, float, complex, bytes, type(None))
# Values within each other, the outermost first.
Path = tuple[Any, ...]
# Whose classes are what their name and the library's version say.
LIBRARIES = {
    "builtins",
    "collections",
    "functools",
    "numpy",
    "pandas",
    "polars",
    "scipy",
    "sk_autoencoder",
    "sklearn",
    "skorch",
    "torch",
}


def digest(text: str) -> str:
    """Return 32 letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def describe(value: Any) -> str:
    """Describe a value, so that equal descriptions mean equal results.

    Lists, tuples and arrays of the same values are the same. Functions and classes of
    a user's own are described by their code: what that calls is not looked at.

    Parameters
    ----------
    value : object

    Raises
    ------
    TypeError
        If another process could not find the same value again.
    """
    text = "".join(_deeper(value, ()))
    return text if len(text) <= MOST_SHOWN else f"sha256:{digest(text)}"


def first_difference(own: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Name the first item that differs, with both of its descriptions.

    Parameters
    ----------
    own, other : mapping of str to str
        Different.
    """
    for name in [*own, *other]:
        here, there = own.get(name, "nothing"), other.get(name, "nothing")
        if here != there:
            return f"{name}: {here} here, {there} there"
    return "nothing"


@singledispatch
def _words(value: Any, path: Path) -> Iterator[str]:
    """Describe a value, word by word; here one of no class that is named below."""
    if (dtype := dtype_to_json(value)) is not None:
        yield from _deeper(dtype, path)
    elif sparse.issparse(value):
        yield f"sparse{value.shape}"
        yield from _deeper([value.data, value.indices, value.indptr], path)
    elif hasattr(value, "__array__"):
        yield from _deeper(np.asarray(value), path)
    elif is_dataclass(value):
        own = {field.name: getattr(value, field.name) for field in fields(value)}
        yield from _deeper([type(value), own], path)
    elif hasattr(value, "__dict__"):
        own = {k: v for k, v in vars(value).items() if not k.endswith("_")}
        yield from _deeper([type(value), own], path)
    else:
        raise TypeError(f"{shortened(value)} cannot be told from another")


def _deeper(value: Any, path: Path) -> Iterator[str]:
    """Describe a part of what ends a path; what leads back is a number of steps."""
    for steps, other in enumerate(reversed(path)):
        if value is other and not isinstance(value, PLAIN):
            yield f"<{steps}>"
            return
    yield from _words(value, (*path, value))


@_words.register(str | bool | int | float | complex | bytes | None)
def _(value: Any, _path: Path) -> Iterator[str]:
    yield repr(value)


@_words.register(os.PathLike | torch.device | torch.dtype | Enum)
def _(value: Any, _path: Path) -> Iterator[str]:
    yield str(value)


@_words.register(np.generic)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper(value.item(), path)


@_words.register(torch.Tensor)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper(value.detach().cpu().numpy(), path)


@_words.register(np.ndarray)
def _(value: Any, path: Path) -> Iterator[str]:
    if value.dtype == object or value.size <= MOST_LISTED:
        yield from _deeper(value.tolist(), path)
        return
    hashed = hashlib.sha256()
    rows = value if value.ndim == 2 else value.reshape(len(value), -1)
    for chunk in row_chunks(*rows.shape):
        hashed.update(np.ascontiguousarray(rows[chunk]).tobytes())
    yield f"{value.dtype.str}{value.shape} sha256:{hashed.hexdigest()[:32]}"


@_words.register(Mapping)
def _(value: Any, path: Path) -> Iterator[str]:
    items = ["".join(_deeper(item, path)) for item in value.items()]
    yield f"{{{', '.join(sorted(items))}}}"


@_words.register(list | tuple)
def _(value: Any, path: Path) -> Iterator[str]:
    yield f"[{', '.join(''.join(_deeper(item, path)) for item in value)}]"


@_words.register(set | frozenset)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper(sorted(value, key=repr), path)


@_words.register(BaseEstimator)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper([type(value), value.get_params(deep=False)], path)


@_words.register(np.random.Generator)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper(value.bit_generator.state, path)


@_words.register(np.random.RandomState)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper(value.get_state(legacy=False), path)


@_words.register(torch.nn.Module)
def _(value: Any, path: Path) -> Iterator[str]:
    own = {**dict(value.named_parameters()), **dict(value.named_buffers())}
    torchs = vars(torch.nn.Module())
    for name, part in value.named_modules(remove_duplicate=False):
        made_of = {k: v for k, v in vars(part).items() if k not in torchs}
        own[f"{name}."] = [type(part), made_of]
    yield from _deeper(own, path)


# -- functions and classes ----------------------------------------------------------


@_words.register(partial)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper([value.func, value.args, value.keywords], path)


@_words.register(types.MethodType)
def _(value: Any, path: Path) -> Iterator[str]:
    yield from _deeper([value.__func__, value.__self__], path)


@_words.register(types.BuiltinFunctionType | np.ufunc)
def _(value: Any, _path: Path) -> Iterator[str]:
    yield f"{getattr(value, '__module__', '')}.{value.__name__}"


@_words.register(types.FunctionType)
def _(value: Any, path: Path) -> Iterator[str]:
    yield f"{value.__module__}.{value.__qualname__}"
    if not _is_of_library(value):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
        yield from _deeper(parts, path)


@_words.register(types.CodeType)
def _(value: Any, path: Path) -> Iterator[str]:
    # Not the lines that it stands in.
    yield from _deeper([value.co_code.hex(), value.co_names, value.co_consts], path)


@_words.register(type)
def _(value: Any, path: Path) -> Iterator[str]:
    yield f"{value.__module__}.{value.__qualname__}"
    if not _is_of_library(value):
        own = [item for item in vars(value).values() if inspect.isfunction(item)]
        yield from _deeper([*own, *value.__bases__], path)


def _is_of_library(value: Any) -> bool:
    return str(value.__module__).partition(".")[0] in LIBRARIES
