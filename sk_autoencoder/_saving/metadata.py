"""What a file says of itself, without an array of it being read."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sk_autoencoder._columns.dtypes import NUMPY
from sk_autoencoder._saving.files import (
    NOT_AS_WRITTEN,
    PACKAGE,
    Path,
    corrupt_file_error,
    read_header,
    written_by,
)
from sk_autoencoder._saving.registry import ESTIMATORS
from sk_autoencoder._utils.values import first_line


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what a file of `save` says of itself, without loading it.

    No array is read and no estimator is made. Whether the rest of the file is whole is
    for `load` to find out.

    .. versionadded:: 0.2

    Parameters
    ----------
    path : path-like
        A file that `save` has written.

    Returns
    -------
    metadata : dict
        "class" : str
            Name of the estimator's class.
        "versions" : dict of str to str
            Of sk_autoencoder and its libraries, when the file was written.
        "format" : int
            Number of the file's format.
        "parameters" : dict of str to object
            Of the estimator, by name. Networks, optimizers with arguments, and
            estimators are dicts, whose "class" is their name. For what is your own
            there is the name that `load` asks for, for an array its shape.
        "n_features" : int
            Number of features seen in `fit`.
        "columns" : dict of str to str or None
            Names of the features, with the dtypes of columns that were read one by
            one; None for those of a matrix of numbers. Empty where X had no names.

    Raises
    ------
    CorruptFileError
        If the file was written by another program, or is of another format.
    OSError
        If there is no such file, it is a folder, or it may not be read.

    See Also
    --------
    load : Read the estimator itself.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import sk_autoencoder
    >>> X = load_iris(as_frame=True).data
    >>> reducer = sk_autoencoder.AutoEncoderTransformer(2, max_epochs=5).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     reducer.save(f"{folder}/iris.safetensors")
    ...     found = sk_autoencoder.read_metadata(f"{folder}/iris.safetensors")
    >>> found["class"], found["parameters"]["max_epochs"], found["n_features"]
    ('AutoEncoderTransformer', 5, 4)
    """
    header = read_header(path, ESTIMATORS)
    try:
        state = _plain(header["state"])
        n_features = _first("n_features_in_", header["state"])
        if not isinstance(n_features, int):
            raise TypeError("a number of features that is none")
        return {
            "class": header["class"],
            "versions": {PACKAGE: written_by(header), **header["versions"]},
            "format": header["format"],
            "parameters": _parameters(header["class"], state),
            "n_features": n_features,
            "columns": _columns(header["state"]),
        }
    except NOT_AS_WRITTEN as error:
        raise corrupt_file_error(path, first_line(error)) from error


def _parameters(name: str, state: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is a parameter in the state of an estimator."""
    names = inspect.signature(ESTIMATORS[name]).parameters
    found = {key: state[key] for key in names if key in state}
    for key, value in found.items():
        # An estimator in a file of 0.1.0.
        if isinstance(value, dict) and value.keys() == {"class", "state"}:
            inner = _parameters(value["class"], value["state"])
            found[key] = {"class": value["class"], **inner}
    return found


def _first(name: str, json: Any) -> Any:
    """Return the first value of a name in the state of an estimator, or None."""
    left = [json]
    while left:
        item = left.pop()
        if isinstance(item, list):
            if len(item) == 2 and item[0] == name:
                return _plain(item[1])
            left += reversed(item)
        elif isinstance(item, dict):
            left += reversed(item.values())
    return None


def _columns(json: Any) -> dict[str, str | None]:
    """Return the names of columns, with their dtypes where a table has them."""
    left = [json]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            if item.get("$record") == "TableFormat":
                table = _plain(item["fields"])
                if table["kind"] == "array":
                    break
                return dict(zip(table["names"], table["dtypes"], strict=True))
            left += item.values()
    return dict.fromkeys(_first("feature_names_in_", json) or ())


def _plain(value: Any) -> Any:
    """Turn the JSON of a file into plain values, with words for what has none."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, inner), *rest = value.items()
    if kind in PLAIN:
        return PLAIN[kind](inner, *(item for _, item in rest))
    return str(kind).removeprefix("$")


def _dtype_name(found: Mapping[str, Any]) -> str:
    """Name a dtype as its library does."""
    library, name = next(iter(_plain(found).items()))
    if library == "numpy" and NUMPY.fullmatch(name):
        return np.dtype(name).name
    return str(name)


def _of_class(name: str, params: Any) -> dict[str, Any]:
    return {"class": name, **_plain(params)}


# What stands for the kinds of values that the JSON of a file has.
PLAIN: dict[str, Callable[..., Any]] = {
    "$array": lambda _, shape: f"array of shape {tuple(shape)}",
    "$custom": lambda name: name,
    "$dict": lambda pairs: {_plain(key): _plain(item) for key, item in pairs},
    "$dtype": _dtype_name,
    "$estimator": lambda name, state: {
        "class": name,
        **_parameters(name, _plain(state)),
    },
    "$frozen": lambda inner: _plain(inner),
    "$listed": lambda name, state, steps: {
        "class": name,
        **_plain(state)["params"],
        **({} if steps is None else {"steps": [tuple(s) for s in _plain(steps)]}),
    },
    "$network": _of_class,
    "$objects": _plain,
    "$optimizer": lambda name: name,
    "$own_network": _of_class,
    "$partial": lambda kind, keywords: _of_class(_plain(kind), keywords),
    "$tuple": lambda items: tuple(_plain(items)),
}
