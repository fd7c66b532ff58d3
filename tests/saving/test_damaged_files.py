"""Files that were damaged by accident, or that another program wrote, are refused."""

import gzip
import json
import pickle
import re
import struct
import zipfile

import joblib
import numpy as np
import pytest
import torch
from saved_files import SavedFile, digest_of, text_of

import sk_autoencoder
from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer
from sk_autoencoder.exceptions import CorruptFileError

X = np.random.default_rng(0).normal(size=(40, 4))
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}
WRONG = "its contents do not have the digest that it was saved with"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    AutoEncoderTransformer(2, **SMALL).fit(X).save(path)
    return path.read_bytes()


def message_of(data, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(data)
    match = "expected a file that save has written"
    with pytest.raises(CorruptFileError, match=match) as e:
        sk_autoencoder.load(path)
    start = f"expected a file that save has written, got {str(path)!r}, "
    assert str(e.value).startswith(start)
    return str(e.value).removeprefix(start)


def damage_of(data, tmp_path):
    message = message_of(data, tmp_path)
    end = ". Save the estimator again, or look for a whole copy."
    assert message.endswith(end)
    return message.removeprefix("because: ").removesuffix(end)


# -- digests --------------------------------------------------------------------------


def test_a_bit_that_flips_anywhere_is_found(saved, tmp_path):
    draw = np.random.default_rng(0)
    start = 8 + struct.unpack("<Q", saved[:8])[0]
    places = [
        *range(8),
        *draw.integers(8, start, 150),
        *draw.integers(start, len(saved), 150),
        len(saved) - 1,
    ]
    for place in places:
        changed = bytearray(saved)
        changed[place] ^= 1 << draw.integers(8)
        assert message_of(bytes(changed), tmp_path), place


@pytest.mark.parametrize("kind", ["transformer", "detector"])
def test_the_digest_is_of_the_json_and_of_all_arrays(kind, tmp_path):
    estimator = AutoEncoderTransformer(2, **SMALL)
    if kind == "detector":
        estimator = AutoEncoderOutlierDetector(estimator)
    estimator.fit(X).save(tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    file = SavedFile(data)
    assert next(iter(file.header)) == "digest"
    assert file.header["digest"] == digest_of(text_of(data), file.arrays)


CHANGES = {
    "a number": lambda file: next(iter(file.arrays.values())).reshape(-1)[:1].fill(7),
    "a sign of zero": lambda file: file.arrays.update(
        {
            name: np.where(array == 0, -0.0, array).astype(array.dtype)
            for name, array in file.arrays.items()
            if array.dtype.kind == "f"
        }
    ),
    "a dtype": lambda file: file.arrays.update(
        {
            name: array.view("i4")
            for name, array in file.arrays.items()
            if array.dtype == "f4"
        }
    ),
    "an array's name": lambda file: file.arrays.update(
        more=file.arrays.pop(next(iter(file.arrays)))
    ),
    "one more array": lambda file: file.arrays.update(more=np.zeros(0)),
    "a parameter": lambda file: file.put(8, "max_epochs"),
    "a version": lambda file: file.header["versions"].update(numpy="1"),
    "a class": lambda file: file.header.update({"class": "VAETransformer"}),
    "the digest": lambda file: file.header.update(digest="0" * 64),
    "capitals": lambda file: file.header.update(
        digest=file.header["digest"].replace("a", "A")
    ),
    "no text": lambda file: file.header.update(digest=3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_is_found_before_it_is_looked_at(name, saved, tmp_path):
    file = SavedFile(saved)
    CHANGES[name](file)
    assert damage_of(file.to_bytes(right_digest=False), tmp_path) == WRONG


def test_shapes_are_part_of_the_digest(saved, tmp_path):
    file = SavedFile(saved)
    for name, array in file.arrays.items():
        file.arrays[name] = array.reshape(-1) if array.ndim != 1 else array[None]
    assert damage_of(file.to_bytes(right_digest=False), tmp_path) == WRONG


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: header.pop("digest"), "a header without digest"),
        (lambda header: header.update(format=1), "a header with the unknown 'digest'"),
        (
            lambda header: header.update(digest=header.pop("digest")),
            WRONG,  # no longer the first
        ),
    ],
    ids=["none", "format 1", "last"],
)
def test_a_file_of_today_has_its_digest_first(change, reason, saved, tmp_path):
    file = SavedFile(saved)
    change(file.header)
    assert damage_of(file.to_bytes(), tmp_path) == reason


def test_a_right_digest_leaves_the_deeper_checks_to_do(saved, tmp_path):
    file = SavedFile(saved)
    file.put(-1, "max_epochs")
    assert "'max_epochs' parameter" in damage_of(file.to_bytes(), tmp_path)


# -- what other programs have written -------------------------------------------------

END = "and only if you trust whoever wrote it: such files can run code."
PICKLE = f"which is a pickle. Read it with pickle.load or joblib.load, {END}"
COMPRESSED = (
    "which is a compressed file, as joblib.dump writes them. Read it with joblib.load, "
    f"{END}"
)
ARCHIVE = (
    "which is a zip archive, as torch.save and numpy.savez write them. Read it with "
    f"torch.load or numpy.load, {END}"
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_called_one(protocol, tmp_path):
    estimator = AutoEncoderTransformer(2, **SMALL)
    assert message_of(pickle.dumps(estimator, protocol), tmp_path) == PICKLE
    joblib.dump(estimator.fit(X), tmp_path / "dump", protocol=protocol)
    assert message_of((tmp_path / "dump").read_bytes(), tmp_path) == PICKLE


@pytest.mark.parametrize("method", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_compressed_dump_is_called_one(method, tmp_path):
    joblib.dump(AutoEncoderTransformer(2), tmp_path / "dump", compress=(method, 3))
    assert message_of((tmp_path / "dump").read_bytes(), tmp_path) == COMPRESSED


def test_other_files_are_told_by_their_kind(saved, tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "torch")
    assert message_of((tmp_path / "torch").read_bytes(), tmp_path) == ARCHIVE
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    assert message_of((tmp_path / "arrays.npz").read_bytes(), tmp_path) == ARCHIVE
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("model", saved)
    assert message_of((tmp_path / "zip").read_bytes(), tmp_path) == ARCHIVE
    assert message_of(gzip.compress(saved), tmp_path) == COMPRESSED
    assert re.fullmatch(
        r"its header claims to have \d+ bytes",
        damage_of(b"a,b,c,d\n1,2,3,4", tmp_path),
    )


@pytest.mark.parametrize("length", [0x0280, 0x0480, 0x0578, 0x9C78])
def test_a_length_that_reads_as_a_mark_of_a_pickle_is_a_length(length, saved, tmp_path):
    file = SavedFile(saved)
    outer = {"__metadata__": {"sk_autoencoder": json.dumps(file.header)}}
    text = json.dumps(outer).encode()
    n_more = (length - len(text)) % 2**16
    data = struct.pack("<Q", len(text) + n_more) + text + b" " * n_more
    assert data[:2] == struct.pack("<H", length)
    assert damage_of(data, tmp_path) == WRONG
