"""An estimator in one file: safetensors for arrays, JSON for everything else.

Nothing in such a file is run when it is read. Its header says how large each array is,
and is checked against the size of the file before anything is allocated.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sk_autoencoder._codec import Decoder, Encoder

__all__ = ["NOT_AS_WRITTEN", "damaged", "read", "write"]

FORMAT = 1
# What comes of values that `write` would not have written.
NOT_AS_WRITTEN = (
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
LIBRARIES = ("torch", "scikit-learn", "numpy", "skorch")


def write(path: str | os.PathLike, name: str, state: Mapping[str, Any]) -> None:
    """Write a state to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        A file that is there is replaced.
    name : str
        Class of the estimator.
    state : mapping
        What `__getstate__` gives.
    """
    encoder = Encoder()
    header = {
        "format": FORMAT,
        "class": name,
        "versions": {library: version(library) for library in LIBRARIES},
        "state": encoder.encode(dict(state), "state"),
    }
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"expected a file in a folder that is there, got path={os.fspath(path)!r}. "
            "Make the folder first."
        )
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    os.close(handle)
    try:
        metadata = {"sk_autoencoder": json.dumps(header)}
        save_file(encoder.arrays, partial, metadata=metadata)
        os.replace(partial, target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def read(
    path: str | os.PathLike, custom: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Read a file that `write` has written.

    Parameters
    ----------
    path : path-like
    custom : mapping of str to object
        The user's own functions and classes, by name.

    Returns
    -------
    name : str
        Class of the estimator.
    state : dict

    Raises
    ------
    ValueError
        If the file is not whole, not of this format, or names what `custom` lacks.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file.metadata())
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OverflowError) as error:
        raise damaged(path, str(error)) from error
    decoder = Decoder(arrays, custom)
    try:
        state = decoder.decode(header["state"])
        name = str(header["class"])
    except NOT_AS_WRITTEN as error:
        if not decoder.missing:
            raise damaged(path, str(error)) from error
    if decoder.missing:
        names = sorted(decoder.missing)
        raise ValueError(
            f"expected your own {', '.join(names)}, which the file names and does not "
            f"hold, got custom={dict(custom)!r}. Pass custom={{"
            f"{', '.join(f'{n!r}: {n}' for n in names)}}}."
        )
    return name, state


def _header(path: str | os.PathLike, metadata: Mapping[str, str] | None) -> dict:
    """Read the JSON of a file, and check its format number."""
    text = (metadata or {}).get("sk_autoencoder")
    if text is None:
        raise damaged(path, "it holds no estimator of sk_autoencoder")
    try:
        header = json.loads(text)
        number = header["format"]
    except (json.JSONDecodeError, KeyError, RecursionError, TypeError) as error:
        raise damaged(path, f"its header cannot be read: {error}") from error
    if number != FORMAT:
        raise ValueError(
            f"expected a file of format {FORMAT}, got format {number!r} in "
            f"{os.fspath(path)!r}. Read it with the version of sk_autoencoder that "
            "wrote it, or a newer one."
        )
    return header


def damaged(path: str | os.PathLike, what: str) -> ValueError:
    """Make the error of a file that cannot be read."""
    return ValueError(
        f"expected a file that save has written, got {os.fspath(path)!r}, because: "
        f"{what}. Save the estimator again, or look for a whole copy."
    )
