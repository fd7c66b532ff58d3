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


def test_an_entry_is_appended_and_held_against_the_last(tmp_path, monkeypatch, capsys):
    path = tmp_path / "tracked.json"
    monkeypatch.setattr(command, "ensure_one_thread", lambda: None)
    monkeypatch.setattr(track, "in_fresh_process", lambda measure: measure())
    monkeypatch.setattr("sys.argv", ["track", "--file", str(path)])
    for value in (1.0, 2.0):
        monkeypatch.setattr(track, "MEASURES", {"a number": lambda value=value: value})
        track.main()
    assert [e["numbers"] for e in json.loads(path.read_text())] == [
        {"a number": 1.0},
        {"a number": 2.0},
    ]
    assert "| a number | 1.000 | 2.000 |" in capsys.readouterr().out
