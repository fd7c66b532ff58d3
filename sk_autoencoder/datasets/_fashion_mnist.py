"""Fashion-MNIST, read from where the user has its files."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sk_autoencoder._utils.sklearn_compat import StrOptions, validate_params

# The user's own folder of data sets, and where Debian's package puts this one.
VARIABLE = "SK_AUTOENCODER_DATA"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

STEMS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
IMAGES, LABELS = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"

# An idx file starts with two zero bytes, 8 for bytes as cells, and the number of axes.
MAGIC = {1: "00 00 08 01", 3: "00 00 08 03"}

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_DESCR = """\
Fashion-MNIST
=============

Gray pictures of clothes, shoes and bags, white on black: as many, as large and as
evenly spread over ten classes as the handwritten digits of MNIST, and harder.

Rows           60,000 to train on, 10,000 to test
Features       784 pixels, 28 x 28, from 0 (black) to 255 (white)
Target         0 to 9, named by target_names

Source: Zalando Research, https://github.com/zalandoresearch/fashion-mnist
Citation: Xiao, H., Rasul, K. and Vollgraf, R. (2017). Fashion-MNIST: a novel image
dataset for benchmarking machine learning algorithms. arXiv:1708.07747
License: MIT, copyright 2017 Zalando SE
"""


@validate_params(subset=[StrOptions(set(STEMS))], return_X_y=["boolean"])
def load_fashion_mnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    subset: str = "train",
    return_X_y: bool = False,
) -> Any:
    """Load Fashion-MNIST: pictures of clothes, 28 x 28, from files that you have.

    Nothing is downloaded, and the package does not carry the pictures: it reads the
    four files ``train-images-idx3-ubyte.gz``, ``train-labels-idx1-ubyte.gz``,
    ``t10k-images-idx3-ubyte.gz`` and ``t10k-labels-idx1-ubyte.gz`` as they are
    published. Debian and Ubuntu have them in the package dataset-fashion-mnist.

    Parameters
    ----------
    folder : str, path or None, default=None
        Where the files are. None looks into ``fashion-mnist`` below the folder that
        the environment variable ``SK_AUTOENCODER_DATA`` names, then into
        ``/usr/share/datasets/fashion-mnist``, where Debian's package puts them.
    subset : {"train", "test", "all"}, default="train"
        The 60,000 pictures to train on, the 10,000 to test, or first these and then
        those.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data : ndarray of shape (n_samples, 784), float32
            A picture a row, from 0 (black) to 255 (white).
        images : ndarray of shape (n_samples, 28, 28), float32
            The same pictures, in the same memory.
        target : ndarray of shape (n_samples,), int64
            The class of each picture, 0 to 9.
        feature_names : list of str
            ``"pixel_0_0"`` to ``"pixel_27_27"``: row and column.
        target_names : list of str
            The ten classes, ``"T-shirt/top"`` to ``"Ankle boot"``.
        DESCR : str
            What the data are, with source and license.

    (data, target) : tuple if ``return_X_y=True``
        The first and the third of the attributes above.

    Raises
    ------
    FileNotFoundError
        If a file that the subset needs is in none of the folders.
    ValueError
        If a file is cut off, or is not what its name says.

    See Also
    --------
    sklearn.datasets.load_digits : Smaller pictures that scikit-learn carries.

    References
    ----------
    Xiao, H., Rasul, K. and Vollgraf, R. (2017). Fashion-MNIST: a novel image dataset
    for benchmarking machine learning algorithms. arXiv:1708.07747.

    Examples
    --------
    >>> from sk_autoencoder.datasets import load_fashion_mnist
    >>> X, y = load_fashion_mnist(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (60000, 784)
    """
    names = [name.format(s) for s in STEMS[subset] for name in (IMAGES, LABELS)]
    place = _find(folder, names)
    images = [_read(place / name, 3) for name in names[::2]]
    labels = [_read(place / name, 1) for name in names[1::2]]
    for pictures, classes, name in zip(images, labels, names[1::2], strict=True):
        if len(pictures) != len(classes) or classes.max(initial=0) >= len(_CLASSES):
            raise ValueError(
                f"expected a class from 0 to 9 for each of {len(pictures)} images, got "
                f"{len(classes)} classes up to {classes.max(initial=0)} in "
                f"{place / name}. Download the files again."
            )
    pixels = np.concatenate(images).astype(np.float32)
    target = np.concatenate(labels).astype(np.int64)
    data = pixels.reshape(len(pixels), -1)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        images=pixels,
        target=target,
        feature_names=pixel_names(pixels.shape[1:]),
        target_names=list(_CLASSES),
        DESCR=_DESCR,
    )


def pixel_names(shape: tuple[int, ...]) -> list[str]:
    """Name the pixels of a picture as scikit-learn's digits do, row and column."""
    return [f"pixel_{i}_{j}" for i in range(shape[0]) for j in range(shape[1])]


def _find(folder: str | os.PathLike[str] | None, names: list[str]) -> Path:
    """Find the first folder that has all these files."""
    if folder is not None:
        places = [Path(folder)]
    else:
        home = os.environ.get(VARIABLE)
        places = [Path(home) / "fashion-mnist", DEBIAN] if home else [DEBIAN]
    missing: dict[Path, list[str]] = {}
    for place in places:
        missing[place] = [name for name in names if not (place / name).is_file()]
        if not missing[place]:
            return place
    found = "; ".join(f"no {', '.join(lost)} in {p}" for p, lost in missing.items())
    raise FileNotFoundError(
        f"expected the files of Fashion-MNIST, got folder={folder!r} and {found}. "
        "Install Debian's package dataset-fashion-mnist, or download them from "
        "https://github.com/zalandoresearch/fashion-mnist and pass their folder, or "
        f"set the environment variable {VARIABLE} to the one above a folder "
        "fashion-mnist that has them."
    )


def _read(path: Path, n_axes: int) -> np.ndarray:
    """Read an idx file of bytes, of so many axes."""
    kind = "images" if n_axes == 3 else "labels"
    advice = "Download the file again."
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"expected a whole gzip file of {kind}, got {path}, because: {error}. "
            f"{advice}"
        ) from error
    start = 4 + 4 * n_axes
    magic = content[:4].hex(" ")
    if magic != MAGIC[n_axes] or len(content) < start:
        raise ValueError(
            f"expected an idx file of {kind}, which starts with the bytes "
            f"{MAGIC[n_axes]} and {n_axes} sizes, got {len(content)} bytes that start "
            f"with {magic!r} in {path}. {advice}"
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    cells = np.frombuffer(content, np.uint8, offset=start)
    if len(cells) != math.prod(shape):
        raise ValueError(
            f"expected {math.prod(shape)} bytes of {kind} of shape {shape}, got "
            f"{len(cells)} in {path}. {advice}"
        )
    return cells.reshape(shape)
