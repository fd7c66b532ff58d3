"""The pages about images run, with the data sets that a user may have and without.

The documentation's build runs every page as it is; here training is cut short, and what
pages claim of its results is left out.
"""

import ast
import gzip
import struct
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

from sk_autoencoder._fitting import resolve
from sk_autoencoder.datasets import _fashion_mnist

pytestmark = pytest.mark.benchmark

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "images"
WITH_DATA = ["plot_dense_images.py", "plot_latent_3d.py", "plot_conv_images.py"]
PAGES = [*WITH_DATA, "plot_molecules.py"]


@pytest.fixture
def short(monkeypatch, tmp_path):
    """Train for one epoch, show nothing, and have no data set but the packages'."""
    monkeypatch.setattr(resolve, "automatic_epochs", lambda n_rows, batch_size: 1)
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.delenv("SK_AUTOENCODER_DATA", raising=False)


@pytest.fixture
def data(short, monkeypatch, tmp_path):
    """Return a folder of small look-alikes: digits, enlarged to the usual sizes."""
    digits = load_digits()
    gray = (digits.images[:240] * 15.9).astype(np.uint8)
    labels = digits.target[:240].astype(np.uint8)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    pictures = np.pad(
        gray.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2))
    )
    files = {
        "images-idx3": struct.pack(">4I", 2051, *pictures.shape) + pictures.tobytes(),
        "labels-idx1": struct.pack(">2I", 2049, len(labels)) + labels.tobytes(),
    }
    for name, content in files.items():
        path = folder / f"train-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(content))
    np.savez(
        tmp_path / "usps.npz", X=gray.repeat(2, axis=1).repeat(2, axis=2), y=labels
    )
    monkeypatch.setenv("SK_AUTOENCODER_DATA", str(tmp_path))


class Short(ast.NodeTransformer):
    """Train the tutorials' networks for one epoch, and claim nothing."""

    def visit_Assert(self, node):
        return None

    def visit_keyword(self, node):
        if node.arg == "max_epochs":
            return ast.keyword("max_epochs", ast.Constant(1))
        return self.generic_visit(node)


def run(page):
    path = EXAMPLES / page
    tree = Short().visit(ast.parse(path.read_text(encoding="utf-8")))
    code = compile(ast.fix_missing_locations(tree), str(path), "exec")
    exec(code, {"__name__": "__main__", "__file__": str(path)})
    assert plt.get_fignums()


@pytest.mark.parametrize("page", PAGES)
def test_pages_run_without_further_data(page, short, capsys):
    run(page)
    assert "PCA" in capsys.readouterr().out


@pytest.mark.parametrize("page", WITH_DATA)
def test_pages_take_the_data_that_are_there(page, data, capsys, monkeypatch):
    shapes = []
    load = load_digits
    monkeypatch.setattr(
        "sklearn.datasets.load_digits", lambda: shapes.append("digits") or load()
    )
    run(page)
    told = capsys.readouterr().out
    if page == "plot_dense_images.py":
        assert "Fashion-MNIST, 100 numbers" in told
        assert "USPS, 100 numbers" in told
    else:
        assert not shapes
