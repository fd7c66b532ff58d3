"""Writes files whole or not at all, as other programs of the system write theirs."""

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

# A partial file's name says nothing of the file's own, which may be as long as a name
# can be.
PREFIX, SUFFIX = ".sk_autoencoder-", ".partial"


def replace_file(
    path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]
) -> None:
    """Write a file, in place of one that may be there, once the new one is whole.

    A symbolic link is followed: what it points to is replaced. The file has the mode of
    the one that was there, else what the process's umask leaves. It is on the disk, and
    so is its name, before this returns. What an earlier process left that did not come
    to its end is removed.

    Parameters
    ----------
    path : path-like
    parts : iterable of bytes-like
        Of the file, in their order.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the folder is not there.
    IsADirectoryError
        If the path is that of a folder.
    OSError
        If it cannot be written, for want of room or of rights.
    """
    target = _target(path)
    mode = _mode(target, path)
    _remove_stale(target.parent)
    try:
        with _partial_file(target.parent, mode) as (file, partial):
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(partial, target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            # A full disk does not know what was written to it.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def _target(path: str | os.PathLike[str]) -> Path:
    """Find the file that a path leads to, be it there or not."""
    target = Path(os.path.realpath(os.fsdecode(path)))
    shown = repr(os.fspath(path))
    if target.is_symlink():  # a circle of them
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    if target.is_dir():
        raise IsADirectoryError(
            f"expected the path of a file, got a folder, path={shown}. Pass the path "
            "of a file in it, as "
            f"{os.path.join(os.fsdecode(path), 'model.safetensors')!r}."
        )
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(
            f"expected a file in a folder, got path={shown}, where "
            f"{str(target.parent)!r} is a file. Pass another path."
        )
    if not target.parent.exists():
        raise FileNotFoundError(
            f"expected a file in a folder that is there, got path={shown}. Make the "
            "folder first."
        )
    return target


def _mode(target: Path, path: str | os.PathLike[str]) -> int | None:
    """Return the mode of the file that is to be replaced; None where none is there."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(
            f"expected a regular file to replace, got path={os.fspath(path)!r}, which "
            "is a device, a pipe or a socket. Pass another path."
        )
    return stat.S_IMODE(status.st_mode)


@contextmanager
def _partial_file(folder: Path, mode: int | None) -> Iterator[tuple[IO[bytes], Path]]:
    """Make a file to be renamed; it is gone afterwards if it was not."""
    file, partial = _new_file(folder)
    try:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)
        yield file, partial
    except BaseException:
        with contextlib.suppress(
            OSError
        ):  # its buffer may be what there is no room for
            file.close()
        partial.unlink(missing_ok=True)
        raise
    file.close()


def _new_file(folder: Path) -> tuple[IO[bytes], Path]:
    """Make a file that is locked as long as it is open, so that all know it is ours."""
    while True:
        partial = folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
        # The mode that every new file has: the system takes off what the umask says.
        file = open(partial, "xb")  # noqa: SIM115 (closed by `_partial_file`)
        if fcntl is None:
            return file, partial
        with contextlib.suppress(OSError):  # some network folders have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file, partial
        file.close()  # another process took it for stale before it was locked


def _remove_stale(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder."""
    for partial in folder.glob(f"{PREFIX}*{SUFFIX}"):
        # Another may have done so, or the file be somebody else's.
        with contextlib.suppress(OSError):
            if fcntl is None:
                partial.unlink()
                continue
            with open(partial, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder onto the disk, where the system can do that."""
    if sys.platform == "win32":
        return
    # Some folders may not be read, and some network folders cannot.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
