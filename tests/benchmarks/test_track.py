"""The numbers that are tracked by commit, and the file that they are in."""

import json

import pytest

from benchmarks._shared import command
from benchmarks.speed import track

pytestmark = pytest.mark.benchmark


def test_the_tracked_file_has_five_numbers_an_entry():
    entries = json.loads(track.FILE.read_text(encoding="utf-8"))
    assert entries
    for entry in entries:
        assert list(entry["numbers"]) == list(track.MEASURES)
        assert all(value > 0 for value in entry["numbers"].values())
        keys = {"commit", "date", "machine", "python", "torch", "load", "numbers"}
        assert set(entry) == keys


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Return a function that has one number measured; it returns those in the file."""
    path = tmp_path / "history.json"
    monkeypatch.setattr(command, "ensure_one_thread", lambda: None)
    monkeypatch.setattr(track, "in_fresh_process", lambda measure: measure())

    def measure(value, *options):
        monkeypatch.setattr(track, "MEASURES", {"a number": lambda: value})
        monkeypatch.setattr("sys.argv", ["track", "--file", str(path), *options])
        track.main()
        return [e["numbers"]["a number"] for e in json.loads(path.read_text())]

    return measure


def test_an_entry_is_appended_and_held_against_the_median(measured, capsys):
    for value in (100.0, 2.0, *[1.0] * 10):
        measured(value, "--accept")
    assert measured(1.4)[-3:] == [1.0, 1.0, 1.4]
    assert "| a number | 1.000 | 1.400 |" in capsys.readouterr().out


def test_a_number_that_grew_is_an_error_unless_it_is_accepted(measured, monkeypatch):
    measured(1.0)
    with pytest.raises(
        SystemExit, match=r"at most 1\.5 times .*, got more for a number"
    ):
        measured(1.6)
    assert measured(1.6, "--accept") == [1.0, 1.6]
    monkeypatch.setattr(track, "machine", lambda: "another one")
    assert measured(9.0) == [1.0, 1.6, 9.0]
