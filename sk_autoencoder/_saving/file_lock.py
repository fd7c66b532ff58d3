"""A lock that one of several processes or threads has, by a file beside what it guards.

The system gives it back when its process ends, however it ends.
"""

import contextlib
import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt


class FileLock:
    """A lock that is held; see `acquire`.

    Parameters
    ----------
    path : Path
    file : file object
        Open, and locked.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    @classmethod
    def acquire(cls, path: Path) -> "FileLock | None":
        """Take a lock, unless another process or thread has it: then it is None.

        Where a folder knows no locks, as on some network drives, it is not exclusive.

        Parameters
        ----------
        path : Path
            Of the file, which is made. It stays where a process is killed, and can be
            locked by the next.

        Raises
        ------
        OSError
            If no file can be written there.
        """
        while True:
            file = open(path, "ab")  # noqa: SIM115 (closed by `release`)
            try:
                _lock(file)
            except BlockingIOError:
                file.close()
                return None
            except OSError:
                return cls(path, file)
            # Whoever had it before may have removed the file in the meantime.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return cls(path, file)
            file.close()

    def release(self) -> None:
        """Remove the file, and give the lock back."""
        # First, so that nobody locks a file that is about to go. Windows removes none
        # that is open; the folder may be gone.
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._file.close()


def _lock(file: IO[bytes]) -> None:
    """Lock a file, or raise BlockingIOError where another has."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
