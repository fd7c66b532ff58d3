"""`benchmarks.data` makes the data folder of files as their publishers have them."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import data
from benchmarks._shared.builders import CREDIT, NAB, MissingFileError, finder, smallest
from benchmarks._shared.data import OPEN_TABLES, SETS
from benchmarks._shared.sources import SOURCES

pytestmark = pytest.mark.benchmark


def make(name, folder):
    return SOURCES[name].build(finder(folder))


def test_every_file_that_benchmarks_read_has_a_source():
    files = {each.file for each in SETS.values() if each.file}
    files |= {f"{name}.csv.gz" for name in OPEN_TABLES}
    assert files == set(SOURCES)


def test_without_options_the_sources_are_listed(capsys):
    data.main([])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(SOURCES)
    assert lines[-1] == "python -m benchmarks.data --data DIR --downloads FOLDER"
    assert "Yeh & Lien (2009)" in "".join(lines)


def test_what_is_there_is_made_and_the_rest_is_told(tmp_path, capsys):
    downloads = tmp_path / "downloads" / "Classical"
    downloads.mkdir(parents=True)
    X = np.array([[1.0, 300.0], [2.0, 4.0]])
    np.savez(downloads / "6_cardio.npz", X=X, y=np.array([0.0, 1.0]))
    folder = tmp_path / "data"
    arguments = ["--data", str(folder), "--downloads", str(downloads.parent)]
    data.main(arguments)
    told = capsys.readouterr().out
    assert "cnae9.npz: no CNAE-9.data" in told
    assert {"ad_cardio.npz", "molecules_esol.npz"} <= {p.name for p in folder.iterdir()}
    assert not list(folder.glob("part-*"))
    np.testing.assert_array_equal(SETS["ad_cardio"].load(folder), X)
    with np.load(folder / "ad_cardio.npz") as file:
        assert (file["X"].dtype, file["y"].dtype) == (np.int16, np.uint8)
    data.main(arguments)
    assert "made\n" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 255], "u1"), ([-1, 255], "i2"), ([0, 70_000], "i4"), ([0.5], "f4")],
)
def test_smallest_type_holds_the_values(values, dtype):
    found = smallest(np.array(values, float))
    assert found.dtype == dtype
    assert found.tolist() == values


def test_columns_of_the_bank_are_put_into_order(tmp_path):
    names = list(make_bank(tmp_path))
    assert names[0] == "age"
    frame = make("bank_marketing.csv.gz", tmp_path)
    assert sorted(frame) == sorted(names)
    assert [*frame.columns[[0, -1]]] == ["poutcome", "y"]


def make_bank(folder):
    names = (
        "age job marital education default balance housing loan contact day month "
        "duration campaign pdays previous poutcome y"
    )
    frame = pd.DataFrame([range(17), range(17)], columns=names.split())
    frame.to_csv(folder / "bank-full.csv", sep=";", index=False)
    return frame


@pytest.mark.parametrize("above", ["", ",X1" + ",X" * 23 + "\n"])
def test_credit_sheets_are_read_with_either_header(tmp_path, above):
    names = ["ID", *CREDIT.split()[:-1], "default payment next month"]
    text = above + ",".join(names) + "\n" + ",".join(map(str, range(25))) + "\n"
    (tmp_path / "default of credit card clients.csv").write_text(text, "utf-8-sig")
    frame = make("credit_default_taiwan.csv.gz", tmp_path)
    assert list(frame) == CREDIT.split()
    assert frame.iloc[0].tolist() == list(range(1, 25))


def test_labels_of_series_are_joined_on(tmp_path):
    moments = pd.date_range("2014-07-01", periods=4, freq="30min").astype(str)
    windows, points = {}, {}
    for series, folder in NAB.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        frame = pd.DataFrame({"timestamp": moments, "value": range(4)})
        frame.to_csv(tmp_path / folder / f"{series}.csv", index=False)
        windows[f"{folder}/{series}.csv"] = [[moments[1], moments[2]]]
        points[f"{folder}/{series}.csv"] = [moments[2]]
    for name, labels in (("windows", windows), ("labels", points)):
        (tmp_path / f"combined_{name}.json").write_text(json.dumps(labels))
    frame = make("nab_series.csv.gz", tmp_path)
    assert frame["series"].tolist() == list(np.repeat(list(NAB), 4))
    assert frame["anomaly_window"].tolist() == [0, 1, 1, 0] * 10
    assert frame["anomaly_point"].tolist() == [0, 0, 1, 0] * 10


def test_series_are_read_with_both_parts(tmp_path):
    head = "# a comment\n@problemName made\n@classLabel true a b\n@data\n"
    (tmp_path / "GunPoint_TRAIN.ts").write_text(head + "1.5,2:a\n3,4:b\n")
    (tmp_path / "GunPoint_TEST.ts").write_text(head + "5,6:a\n")
    found = make("gunpoint.npz", tmp_path)
    assert found["X"].tolist() == [[1.5, 2], [3, 4], [5, 6]]
    assert found["y"].tolist() == ["a", "b", "a"]
    assert found["test"].tolist() == [0, 0, 1]
    (tmp_path / "ECG5000_TRAIN.ts").write_text(head + "1.5,2:1\n3,4:5\n")
    assert make("ecg5000_train.npz", tmp_path)["y"].tolist() == [1, 5]


def test_pictures_and_counts_are_read(tmp_path):
    for part, digit in (("train", 7), ("test", 3)):
        with gzip.open(tmp_path / f"zip.{part}.gz", "wt") as file:
            file.write(f"{digit}.0 " + " ".join(["-1", "1"] * 128) + "\n")
    digits = make("usps.npz", tmp_path)
    assert digits["X"].shape == (2, 16, 16)
    assert digits["X"][0, 0, :2].tolist() == [0, 255]
    assert (digits["y"].tolist(), digits["test"].tolist()) == ([7, 3], [0, 1])
    parts = {
        f"{part}_{kind}": np.full((size, *shape), size, np.uint8)
        for part, size in (("train", 3), ("val", 2), ("test", 1))
        for kind, shape in (("images", (28, 28)), ("labels", (1,)))
    }
    np.savez(tmp_path / "pneumoniamnist.npz", **parts)
    assert make("pneumoniamnist.npz", tmp_path)["split"].tolist() == [0, 0, 0, 1, 1, 2]
    (tmp_path / "CNAE-9.data").write_text("1,0,0\n2,0,1\n3,1,0\n")
    counts = make("cnae9.npz", tmp_path)
    assert (counts["X"].tolist(), counts["y"].tolist()) == ([[0, 1], [1, 0]], [2, 3])


def test_pickles_are_never_read_from_downloads(tmp_path, monkeypatch):
    (tmp_path / "diamonds.pkl.compress").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match="diamonds"):
        make("diamonds.csv.gz", tmp_path)


def test_files_of_r_need_a_package(tmp_path, monkeypatch):
    (tmp_path / "dataCar.rda").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match="the package rdata"):
        make("australian_auto_datacar.csv.gz", tmp_path)
