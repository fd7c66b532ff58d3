"""The sets of a folder that `benchmarks.outliers.run --collection` reads."""

import hashlib
import signal

import numpy as np
import pytest

from benchmarks._shared import command
from benchmarks._shared.results import Line
from benchmarks.outliers import folder as sets
from benchmarks.outliers import methods, report
from benchmarks.outliers import run as bench

pytestmark = pytest.mark.benchmark


@pytest.fixture
def folder(tmp_path):
    """Write eight sets, one below the folder and one of two parts, and two bad ones."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) + 9.0 * (np.arange(60) < 6)[:, np.newaxis]
    y = (np.arange(60) < 6).astype(int)
    (tmp_path / "more").mkdir()
    for name in ("a", "b", "c", "d", "e", "r", "more/g"):
        np.savez(tmp_path / f"{name}.npz", X=X, y=y)
    parts = {"train": X[6:30], "train_labels": y[6:30], "test": X, "test_labels": y}
    np.savez(tmp_path / "parts.npz", **parts)
    np.savez(tmp_path / "few.npz", X=X, y=np.arange(60) < 4)
    np.savez(tmp_path / "gaps.npz", X=np.where(X > 2, np.nan, X), y=y)
    (tmp_path / "notes.txt").write_text("no set")
    return tmp_path


def test_halves_are_those_of_the_names_digests(folder):
    halves = [sets.files_in(folder, half) for half in sets.HALVES]
    assert {**halves[0], **halves[1]} == sets.files_in(folder)
    assert len(halves[0]) + len(halves[1]) == 10
    for half, digits in zip(halves, ("01234567", "89abcdef"), strict=True):
        assert half
        for path in half.values():
            assert hashlib.md5(path.name.encode()).hexdigest()[0] in digits


def test_a_seed_draws_the_same_sets_again(folder):
    every = sets.files_in(folder)
    assert list(every)[:2] == ["a", "b"]
    assert every["more/g"] == folder / "more" / "g.npz"
    drawn = sets.files_in(folder, draw=(4, 1))
    assert drawn.items() <= every.items()
    assert len(drawn) == 4
    assert list(sets.files_in(folder, draw=(4, 1))) == list(drawn)
    assert list(sets.files_in(folder, draw=(4, 2))) != list(drawn)
    assert len(sets.files_in(folder, draw=(99, 1))) == len(every)


def test_parts_of_a_set_are_put_together(folder):
    X, y = sets.read(folder / "parts.npz", 10_000)
    assert X.dtype == np.float32
    assert X.shape == (84, 3)
    assert y.sum() == 6
    assert (X[y == 1].mean(axis=1) > 5).all()
    assert len(sets.read(folder / "a.npz", 20)[0]) == 20


def run(monkeypatch, *arguments):
    monkeypatch.setattr(command, "ensure_one_thread", lambda: None)
    monkeypatch.setattr("sys.argv", ["bench", "--seeds", "1", *map(str, arguments)])
    bench.main()


@pytest.mark.parametrize("mode", [(), ("--clean",)])
def test_the_sets_of_a_folder_are_reported(folder, monkeypatch, capsys, mode):
    results = folder / "lines.jsonl"
    some = ("--sets", "a", "few", "gaps", "more/g", "nowhere", *mode)
    options = ("--collection", folder, "--results", results, *some, "--methods")
    run(monkeypatch, *options, "PCA", "LOF")
    run(monkeypatch, *options, "PCA", "LOF", "ours")
    text = capsys.readouterr().out.split("# Outliers")[-1]
    assert len(results.read_text().splitlines()) == 6  # the first four went on
    assert "\n2 sets\n" in text
    assert "| means | sets | Area under the ROC curve | Average precision |" in text
    assert "| ours | 2 | 1.000 | 1.000 |" in text
    assert "| more/g | 1.000 |" in text
    assert "few (fewer than 5 outliers or other rows)" in text
    assert "gaps (missing or infinite cells)" in text
    assert "- no file for: nowhere" in text


def test_ties_and_losses_are_counted():
    areas = {"ours": (0.9, 0.8, 0.7), "PCA": (0.5, 0.9, 0.7)}
    others = {"precision": 0.5, "seconds": 1.0}
    lines = [
        Line("outliers", name, "raw", 0, 0, run, 9, 2, 9, {"auc": auc, **others})
        for run, each in areas.items()
        for name, auc in zip("abc", each, strict=True)
    ]
    text = report.summary(lines)
    assert "| ours | 3 | 0.800 | 0.500 | 1.000 | – | – | – | – |" in text
    assert "| PCA | 3 | 0.700 | 0.500 | 1.000 | 1 | 1 | -0.100 | 0.000 |" in text


def test_a_fit_that_takes_too_long_is_listed_as_such(folder, monkeypatch, capsys):
    def fit(*_):
        while True:
            pass

    endless = methods.Detector(fit)
    monkeypatch.setitem(methods.DETECTORS, "LOF", endless)
    monkeypatch.setattr(bench, "warm_up", lambda _runs: None)
    before = signal.getsignal(signal.SIGPROF)
    options = ("--collection", folder, "--sets", "a", "--limit", "0.05")
    run(monkeypatch, *options, "--methods", "LOF")
    assert "| LOF | 0 | – | – | – |" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGPROF) is before


def test_a_rival_that_fails_is_listed_as_such(monkeypatch):
    def fit(*_):
        raise ValueError("no clusters")

    X, y = np.zeros((9, 2)), np.arange(9) % 2
    rival, own = methods.Detector(fit, package="numpy"), methods.Detector(fit)
    monkeypatch.setitem(methods.DETECTORS, "CBLOF", rival)
    monkeypatch.setitem(methods.DETECTORS, "ours", own)
    assert np.isnan(bench.measured("CBLOF", X, y, 0)["auc"])
    with pytest.raises(ValueError, match="no clusters"):
        bench.measured("ours", X, y, 0)
