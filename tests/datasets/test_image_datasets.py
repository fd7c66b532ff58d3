"""Pictures: made-up idx files, and the molecules that the package carries."""

import gzip
import re
import struct
from importlib import resources

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.utils import Bunch

from sk_autoencoder.datasets import _fashion_mnist, load_fashion_mnist, load_molecules

RNG = np.random.default_rng(0)
PICTURES = {
    "train": RNG.integers(256, size=(5, 28, 28), dtype=np.uint8),
    "t10k": RNG.integers(256, size=(3, 28, 28), dtype=np.uint8),
}
CLASSES = {"train": [9, 0, 3, 3, 1], "t10k": [2, 7, 0]}


def idx(magic, sizes, cells):
    """Write an idx file by hand: big-endian words, then bytes."""
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + bytes(cells)


def images_of(stem):
    return idx(2051, PICTURES[stem].shape, PICTURES[stem].tobytes())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with the four files, and have no other place looked into."""
    monkeypatch.delenv("SK_AUTOENCODER_DATA", raising=False)
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", tmp_path / "debian")
    place = tmp_path / "fashion-mnist"
    place.mkdir()
    for stem in PICTURES:
        write(place / f"{stem}-images-idx3-ubyte.gz", images_of(stem))
        labels = idx(2049, [len(CLASSES[stem])], CLASSES[stem])
        write(place / f"{stem}-labels-idx1-ubyte.gz", labels)
    return place


def write(path, content):
    path.write_bytes(gzip.compress(content))


@pytest.mark.parametrize(
    ("subset", "stems"),
    [("train", ["train"]), ("test", ["t10k"]), ("all", ["train", "t10k"])],
)
def test_the_files_are_read(folder, subset, stems):
    fashion = load_fashion_mnist(folder=folder, subset=subset)
    assert isinstance(fashion, Bunch)
    expected = np.concatenate([PICTURES[stem] for stem in stems])
    np.testing.assert_array_equal(fashion.images, expected)
    np.testing.assert_array_equal(fashion.data, expected.reshape(-1, 784))
    assert fashion.data.dtype == fashion.images.dtype == np.float32
    assert np.shares_memory(fashion.data, fashion.images)
    assert fashion.target.dtype == np.int64
    assert fashion.target.tolist() == [c for stem in stems for c in CLASSES[stem]]
    X, y = load_fashion_mnist(folder=str(folder), subset=subset, return_X_y=True)
    np.testing.assert_array_equal(X, fashion.data)
    np.testing.assert_array_equal(y, fashion.target)


def test_fashion_mnist_has_what_scikit_learns_digits_have(folder):
    fashion, digits = load_fashion_mnist(folder=folder), load_digits()
    assert set(digits) - set(fashion) == {"frame"}
    assert fashion.feature_names[:3] == digits.feature_names[:3]
    assert fashion.feature_names[-1] == "pixel_27_27"
    assert fashion.target_names[fashion.target[0]] == "Ankle boot"
    assert len(fashion.target_names) == 10
    assert "MIT" in fashion.DESCR
    assert "Xiao" in fashion.DESCR


def test_places_are_looked_into_in_turn(folder, monkeypatch):
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", folder)
    assert len(load_fashion_mnist().data) == 5
    monkeypatch.setenv("SK_AUTOENCODER_DATA", str(folder.parent / "elsewhere"))
    assert len(load_fashion_mnist().data) == 5
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", folder / "nowhere")
    monkeypatch.setenv("SK_AUTOENCODER_DATA", str(folder.parent))
    assert len(load_fashion_mnist().data) == 5


def test_a_folder_that_is_named_is_the_only_one(folder, monkeypatch):
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", folder)
    with pytest.raises(FileNotFoundError, match=r"^expected the files of Fashion"):
        load_fashion_mnist(folder=folder / "nowhere")


def test_missing_files_are_named_and_how_to_get_them(folder, monkeypatch):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(load_fashion_mnist(folder=folder).data) == 5
    monkeypatch.setenv("SK_AUTOENCODER_DATA", str(folder.parent))
    debian = folder.parent / "debian"
    message = (
        "expected the files of Fashion-MNIST, got folder=None and no "
        f"t10k-labels-idx1-ubyte.gz in {folder}; no t10k-images-idx3-ubyte.gz, "
        f"t10k-labels-idx1-ubyte.gz in {debian}. Install Debian's package "
        "dataset-fashion-mnist, or download them from "
        "https://github.com/zalandoresearch/fashion-mnist and pass their folder, or "
        "set the environment variable SK_AUTOENCODER_DATA to the one above a folder "
        "fashion-mnist that has them."
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        load_fashion_mnist(subset="test")


WHOLE = images_of("train")
BAD_IMAGES = {
    "cut off": (
        gzip.compress(WHOLE)[:-200],
        "expected a whole gzip file of images, got {path}, because: Compressed file "
        "ended before the end-of-stream marker was reached. Download the file again.",
    ),
    "not gzip": (
        WHOLE,
        "expected a whole gzip file of images, got {path}, because: Not a gzipped "
        "file (b'\\x00\\x00'). Download the file again.",
    ),
    "labels in its place": (
        gzip.compress(idx(2049, [12], bytes(12))),
        "expected an idx file of images, which starts with the bytes 00 00 08 03 and 3 "
        "sizes, got 20 bytes that start with '00 00 08 01' in {path}. Download the "
        "file again.",
    ),
    "no sizes": (
        gzip.compress(idx(2051, [5], b"")),
        "expected an idx file of images, which starts with the bytes 00 00 08 03 and 3 "
        "sizes, got 8 bytes that start with '00 00 08 03' in {path}. Download the "
        "file again.",
    ),
    "empty": (
        gzip.compress(b""),
        "expected an idx file of images, which starts with the bytes 00 00 08 03 and 3 "
        "sizes, got 0 bytes that start with '' in {path}. Download the file again.",
    ),
    "a byte short": (
        gzip.compress(WHOLE[:-1]),
        "expected 3920 bytes of images of shape (5, 28, 28), got 3919 in {path}. "
        "Download the file again.",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_corrupted_files_are_refused(folder, content, message):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(path=path))}$"):
        load_fashion_mnist(folder=folder)


@pytest.mark.parametrize(
    ("classes", "got"), [([1, 2], "2 classes up to 2"), ([0, 1, 2, 3, 10], "5 .* 10")]
)
def test_labels_that_are_not_those_of_the_images_are_refused(folder, classes, got):
    path = folder / "train-labels-idx1-ubyte.gz"
    write(path, idx(2049, [len(classes)], classes))
    message = (
        f"^expected a class from 0 to 9 for each of 5 images, got {got} in "
        f"{re.escape(str(path))}\\. Download the files again\\.$"
    )
    with pytest.raises(ValueError, match=message):
        load_fashion_mnist(folder=folder)


def test_wrong_arguments_are_named(folder):
    message = "The 'subset' parameter of load_fashion_mnist must be a str among {"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        load_fashion_mnist(folder=folder, subset="t10k")
    for load in (load_fashion_mnist, load_molecules):
        message = f"The 'return_X_y' parameter of {load.__name__} must be an instance"
        with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
            load(return_X_y="yes")


# --------------------------------------------------------------------- molecules


def test_molecules_hold_the_file():
    molecules = load_molecules()
    path = resources.files("sk_autoencoder.datasets") / "data" / "molecules_esol.npz"
    with np.load(path) as arrays:
        np.testing.assert_array_equal(molecules.images, arrays["X"])
        np.testing.assert_allclose(molecules.target, arrays["y"], rtol=1e-6)
        assert molecules.smiles.tolist() == arrays["smiles"].tolist()
    assert molecules.data.shape == (1128, 4096)
    assert molecules.data.dtype == np.float32
    assert np.shares_memory(molecules.data, molecules.images)
    assert molecules.feature_names[65] == "pixel_1_1"
    for fact in ["MIT", "Delaney, J. S. (2004)", "1,128", "-11.6 to 1.58"]:
        assert fact in molecules.DESCR
    assert molecules.target.min() == -11.6
    assert molecules.target.max() == 1.58
    X, y = load_molecules(return_X_y=True)
    np.testing.assert_array_equal(X, molecules.data)
    np.testing.assert_array_equal(y, molecules.target)


def test_a_drawing_is_of_its_molecule():
    # Longer formulas have more ink, and larger molecules dissolve worse: rows of the
    # three arrays belong together.
    molecules = load_molecules()
    ink = molecules.data.sum(axis=1)
    length = np.array([len(text) for text in molecules.smiles])
    assert np.corrcoef(ink, length)[0, 1] > 0.4
    features = np.column_stack([ink, length])
    score = RidgeCV().fit(features[:800], molecules.target[:800])
    assert score.score(features[800:], molecules.target[800:]) > 0.2
