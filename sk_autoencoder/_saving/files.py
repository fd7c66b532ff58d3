"""An estimator in one file: safetensors for arrays, JSON for everything else.

Nothing in such a file is run when it is read. Its header says how large each array is,
and is checked against the size of the file before anything is allocated. A digest of
all that is in it, checked before anything is used, finds what was damaged.
"""

import json
import os
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from sk_autoencoder._protocols import SavedEstimator
from sk_autoencoder._saving.atomic_file import replace_file
from sk_autoencoder._saving.checks import check_names, need
from sk_autoencoder._saving.digest import begin_digest, check_digest, with_digest
from sk_autoencoder._saving.formats import FORMAT
from sk_autoencoder._saving.registry import ESTIMATORS
from sk_autoencoder._saving.serialize import Decoder, Encoder, names_of_own
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import MOST_LISTED, first_line, shortened
from sk_autoencoder._utils.versions import own_version
from sk_autoencoder.exceptions import CorruptFileError, InconsistentVersionWarning

# What comes of values that `write` would not have written.
NOT_AS_WRITTEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,  # where the caller has made errors of them
)
Path = str | os.PathLike[str]
PACKAGE = "sk_autoencoder"
LIBRARIES = ("torch", "scikit-learn", "numpy", "skorch")
# A header may hold so many bytes, values and arrays: read, it takes less than 200 MB of
# memory whatever it says. A table of 400,000 names of levels, or a history of 50,000
# epochs, has half as many.
MOST_BYTES = 24_000_000
MOST_VALUES = 1_000_000
MOST_ARRAYS = 20_000
# Numbers that a fit, a history or a generator is made of, by their names in the format.
DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
# What other programs' files begin with, what these are, and what reads them.
MARKS = (
    (
        (b"\x80", b"ccopy_reg", b"csk_autoe"),
        "a pickle",
        "pickle.load or joblib.load",
    ),
    (
        (b"\x1f\x8b", b"\x78", b"BZh", b"\xfd7zXZ", b"\x5d\0\0", b"\x04\x22M\x18"),
        "a compressed file, as joblib.dump writes them",
        "joblib.load",
    ),
    (
        (b"PK\x03\x04",),
        "a zip archive, as torch.save and numpy.savez write them",
        "torch.load or numpy.load",
    ),
)
# Bytes that tell such files from those of `write`.
LONGEST_MARK = 9
# The only format whose files have no digest.
WITHOUT_DIGEST = 1
# Whole numbers with more bits than a count, an identifier or a seed has.
MOST_BITS = 64


def write(path: Path, estimator: SavedEstimator, *, optimizer: bool = False) -> None:
    """Write an estimator to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        A file that is there is replaced.
    estimator : SavedEstimator
    optimizer : bool
        Whether to keep what only further training needs.

    Raises
    ------
    TypeError
        If it or a part of it is of a kind that a file cannot hold, or is too large a
        description.
    OSError
        If the file cannot be written: there is then what was there before.
    """
    encoder = Encoder(optimizer=optimizer)
    state = encoder.encode_estimator(estimator)
    write_state(path, type(estimator).__name__, state, encoder.arrays)


def write_state(
    path: Path, name: str, state: Any, arrays: Mapping[str, np.ndarray]
) -> None:
    """Write what an `Encoder` gave to a file, whole or not at all; see `write`.

    Parameters
    ----------
    path : path-like
    name : str
        Of the class of what is written.
    state : JSON
    arrays : mapping of str to ndarray
    """
    header = {
        "format": FORMAT,
        "class": name,
        "versions": {
            PACKAGE: own_version(),
            **{library: version(library) for library in LIBRARIES},
        },
        "state": state,
    }
    text = with_digest(json.dumps(header), arrays)
    reason = _beyond_limits(text) or _too_many(len(arrays))
    if reason:
        raise TypeError(
            f"expected an estimator that a file can describe, got {name} with "
            f"{reason}. Pickle it instead, or fit to fewer levels or for fewer epochs."
        )
    replace_file(path, _parts(arrays, text))


def _parts(arrays: Mapping[str, np.ndarray], text: str) -> Any:
    """Return a file's bytes part by part: in the format of safetensors."""
    # Numbers of eight bytes first, so that each lies at a multiple of its size.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    entries: dict[str, Any] = {"__metadata__": {PACKAGE: text}}
    start = 0
    for name in order:
        array = arrays[name]
        stop = start + array.nbytes
        entries[name] = {
            "dtype": NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for name in order:
        array = np.ascontiguousarray(arrays[name])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        yield little.data.cast("B") if little.size else b""


def read(path: Path, custom: Mapping[str, Any]) -> Any:
    """Read a file that `write` has written.

    Parameters
    ----------
    path : path-like
    custom : mapping of str to object
        The user's own functions and classes, by name.

    Returns
    -------
    estimator : SavedEstimator
        Fitted.

    Raises
    ------
    ValueError
        If the file is not whole, not of this format, does not hold what `write` has
        written, or names what `custom` lacks.
    OSError
        If there is no such file, it is a folder, or it may not be read.
    """
    header, arrays = read_state(path, ESTIMATORS)
    _warn_of_version(header)
    named = names_of_own(header["state"])
    missing = sorted(named - custom.keys())
    if missing:
        names = [shortened(name, quoted=False) for name in missing[:MOST_LISTED]]
        more = ", ..." if len(missing) > MOST_LISTED else ""
        raise ValueError(
            f"expected your own {', '.join(names)}{more}, which the file names and "
            f"does not hold, got custom={shortened(dict(custom))}. Pass custom={{"
            f"{', '.join(f'{n!r}: {n}' for n in names)}{more}}}."
        )
    own = {key: custom[key] for key in sorted(named)}
    try:
        # Numbers that overflow are refused, whatever numpy would say of them.
        with np.errstate(all="ignore"):
            decoder = Decoder(arrays, own, header["format"])
            return decoder.decode_estimator(header["class"], header["state"])
    except NOT_AS_WRITTEN as error:
        raise refused(path, first_line(error), own) from error


def _warn_of_version(header: Mapping[str, Any]) -> None:
    """Warn of a file that another version of the library has written."""
    written, own = written_by(header), own_version()
    if written != own:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=header["class"],
                current_version=own,
                original_version=shortened(written, quoted=False),
            ),
            stacklevel=caller_level(),
        )


def written_by(header: Mapping[str, Any]) -> str:
    """Return the version of the library that a file was written with.

    Parameters
    ----------
    header : mapping of str to object
        Of the file.
    """
    if header["format"] == WITHOUT_DIGEST:
        return "0.1.0"
    return str(header["versions"][PACKAGE])


def read_state(
    path: Path, known: Collection[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_state` has written, to be decoded.

    Parameters
    ----------
    path : path-like
    known : collection of str
        Names of the classes that are expected.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray

    Raises
    ------
    CorruptFileError
        If the file is not whole, or of another format.
    """
    with _opened(path, known) as (file, header, begun):
        arrays = _arrays(file)
        if header["format"] > WITHOUT_DIGEST:
            check_digest(header["digest"], begun, arrays)
    return header, arrays


def read_header(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Read the JSON of a file alone: `read_state` without arrays and digest.

    Parameters
    ----------
    path : path-like
    known : collection of str
        Names of the classes that are expected.

    Raises
    ------
    CorruptFileError
        If it is of another program or format.
    """
    with _opened(path, known) as (_, header, _):
        return header


@contextmanager
def _opened(
    path: Path, known: Collection[str]
) -> Iterator[tuple[Any, dict[str, Any], Any]]:
    """Open a file and read its header; errors inside become a `CorruptFileError`."""
    _check_file(path)
    try:
        with safe_open(os.fsdecode(path), framework="numpy") as file:
            yield file, *_header(path, file.metadata(), known)
    except (SafetensorError, OverflowError) as error:
        raise corrupt_file_error(path, first_line(error)) from error
    except NOT_AS_WRITTEN as error:
        if isinstance(error, CorruptFileError):
            raise
        raise corrupt_file_error(path, first_line(error)) from error


def _check_file(path: Path) -> None:
    """Refuse what is no file that can be read, or has too long a header."""
    shown = repr(os.fspath(path))
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(
            f"expected a file that save has written, got a folder, path={shown}. Pass "
            "the path of the file in it."
        )
    if not stat.S_ISREG(status.st_mode):
        raise corrupt_file_error(path, "it is no regular file")
    try:
        with open(path, "rb") as file:
            start = file.read(LONGEST_MARK)
    except PermissionError as error:
        raise PermissionError(
            f"expected a file that may be read, got path={shown}. Ask for the right to "
            "read it, as by chmod u+r."
        ) from error
    _refuse_strangers(path, start)
    length = int.from_bytes(start[:8], "little")
    if length > min(status.st_size, MOST_BYTES):
        raise corrupt_file_error(path, f"its header claims to have {length} bytes")


def _refuse_strangers(path: Path, start: bytes) -> None:
    """Refuse what another program has written, by how it starts."""
    # A length of a header, which comes first, may start so too: a brace follows on it.
    if start[8:9] == b"{":
        return
    for marks, what, functions in MARKS:
        if start.startswith(marks):
            raise CorruptFileError(
                f"expected a file that save has written, got {os.fspath(path)!r}, "
                f"which is {what}. Read it with {functions}, and only if you trust "
                "whoever wrote it: such files can run code."
            )


def _arrays(file: Any) -> dict[str, np.ndarray]:
    """Read the arrays of an open file, once their kinds are known."""
    names = list(file.keys())
    reason = _too_many(len(names))
    if reason:
        raise ValueError(reason)
    for name in names:
        part = file.get_slice(name)
        if part.get_dtype() not in DTYPES:
            raise ValueError(f"an array of {part.get_dtype()} numbers")
    return {name: file.get_tensor(name) for name in names}


def _header(
    path: Path, metadata: Mapping[str, str] | None, known: Collection[str]
) -> tuple[dict[str, Any], Any]:
    """Read the JSON of a file, and check its format number.

    Returns
    -------
    header : dict
    begun : hash
        Of the JSON, for the digest.
    """
    text = (metadata or {}).get(PACKAGE)
    if text is None:
        raise corrupt_file_error(path, "it holds no estimator of sk_autoencoder")
    reason = _beyond_limits(text)
    if reason:
        raise corrupt_file_error(path, f"its header has {reason}")
    # Here, so that the text can go before arrays are read.
    begun = begin_digest(text)
    try:
        header = json.loads(text, parse_int=_bounded_int)
        number = header["format"]
    except (ValueError, KeyError, RecursionError, TypeError) as error:
        reason = f"its header cannot be read: {first_line(error)}"
        raise corrupt_file_error(path, reason) from error
    if type(number) is not int or not 1 <= number <= FORMAT:
        versions = header.get("versions")
        writer = versions.get(PACKAGE) if isinstance(versions, dict) else None
        by = f", which {PACKAGE} {shortened(writer, quoted=False)} wrote,"
        raise CorruptFileError(
            f"expected a file of format 1 to {FORMAT}, which sk_autoencoder "
            f"{own_version()} reads, got format {shortened(number)}{by} in "
            f"{os.fspath(path)!r}. Read it with that version, or a newer one."
        )
    names = ("format", "class", "versions", "state")
    has_digest = number > WITHOUT_DIGEST
    check_names("a header", header, (*names, "digest") if has_digest else names)
    versions = header["versions"]
    need(isinstance(versions, dict), "versions that are no dict")
    if has_digest:
        need(isinstance(versions.get(PACKAGE), str), "no version of its library")
    if not isinstance(header["class"], str):
        raise ValueError(f"a class called {shortened(header['class'])}")
    if header["class"] not in known:
        reason = f"it holds a {shortened(header['class'])}, which is not known here"
        raise corrupt_file_error(path, reason)
    return header, begun


def _beyond_limits(text: str) -> str | None:
    """Return in what a header's JSON is too much for bounded memory."""
    if len(text) > MOST_BYTES:
        return f"{len(text)} characters, beyond {MOST_BYTES}"
    if not text.isascii():
        return "characters beyond ASCII"
    n_values = sum(text.count(mark) for mark in ",:[{")
    if n_values > MOST_VALUES:
        return f"{n_values} values, beyond {MOST_VALUES}"
    return None


def _too_many(n_arrays: int) -> str | None:
    """Whether there are too many arrays."""
    return (
        f"{n_arrays} arrays, beyond {MOST_ARRAYS}" if n_arrays > MOST_ARRAYS else None
    )


def _bounded_int(digits: str) -> int:
    """Make a whole number of at most so many bits."""
    # Three bits and a bit a digit: too many digits are not even read.
    if len(digits) > MOST_BITS or int(digits).bit_length() > MOST_BITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def corrupt_file_error(path: Path, what: str) -> CorruptFileError:
    """Make the error of a file that cannot be read."""
    return CorruptFileError(
        f"expected a file that save has written, got {os.fspath(path)!r}, because: "
        f"{what}. Save the estimator again, or look for a whole copy.",
        what,
    )


def refused(path: Path, what: str, own: Mapping[str, Any]) -> ValueError:
    """Make the error of a file that does not fit itself, or what the caller passed.

    Parameters
    ----------
    path : path-like
    what : str
        Does not fit.
    own : mapping of str to object
        What the file names, as the caller passed it.
    """
    if not own:
        return corrupt_file_error(path, what)
    return ValueError(
        f"expected in custom what {os.fspath(path)!r} was saved with, got "
        f"custom={shortened(dict(own))}, because: {what}. Pass the same functions and "
        "classes, and for a UserNetwork modules of the same layers."
    )
