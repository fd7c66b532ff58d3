"""A lock by a file: one has it, and the system takes it from who has died."""

import pytest

from sk_autoencoder._saving import file_lock
from sk_autoencoder._saving.file_lock import FileLock


def test_one_of_two_has_a_lock(tmp_path):
    path = tmp_path / "lock"
    first = FileLock.acquire(path)
    assert FileLock.acquire(path) is None
    first.release()
    assert not path.exists()
    path.write_bytes(b"")  # as a killed process leaves it
    again = FileLock.acquire(path)
    again.release()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        FileLock.acquire(tmp_path / "none" / "lock")


def test_a_lock_that_was_removed_is_not_taken_for_one(tmp_path, monkeypatch):
    path, removed = tmp_path / "lock", []
    lock = file_lock._lock

    def slowly(file):
        lock(file)
        if not removed:
            removed.append(path.unlink())  # by whoever had it until now

    monkeypatch.setattr(file_lock, "_lock", slowly)
    found = FileLock.acquire(path)
    assert path.exists()
    assert FileLock.acquire(path) is None
    found.release()
