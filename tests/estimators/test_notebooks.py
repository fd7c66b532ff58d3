"""In a notebook: no warnings at import, and a representation without wrong links."""

import importlib.util
import re
import sys
import types

import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import MLP

ESTIMATORS = [
    AutoEncoderTransformer(),
    DenoisingAutoEncoderTransformer(),
    VAETransformer(),
    AutoEncoderOutlierDetector(),
    ExtraRowsTransformer(VAETransformer()),
    AutoEncoderTransformer(network=MLP((8,))),
]


@pytest.fixture
def notebook(monkeypatch):
    """Make this process look like a Jupyter kernel to tqdm, without ipywidgets."""

    class ZMQInteractiveShell:
        pass

    ipython = types.SimpleNamespace(get_ipython=ZMQInteractiveShell)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("zmqshell"))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    for name in ("ipywidgets", "IPython.html.widgets", "IPython.html"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in list(sys.modules):
        if name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):
            monkeypatch.delitem(sys.modules, name)


def fresh_copy(name):
    """Execute a module's source again, beside the module that is there."""
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_notebook_fixture_makes_tqdm_warn(notebook):
    with pytest.warns(Warning, match="IProgress not found"):
        importlib.import_module("tqdm.auto")


@pytest.mark.parametrize("module", ["_training.callbacks", "_outliers.progress"])
def test_import_in_notebook_without_ipywidgets_does_not_warn(notebook, module):
    fresh_copy(f"sk_autoencoder.{module}")
    assert "tqdm.auto" not in sys.modules


def test_progress_bar_in_notebook_without_ipywidgets_does_not_warn(notebook, capsys):
    bar = fresh_copy("sk_autoencoder._training.callbacks").EpochBar()
    bar.on_train_begin(types.SimpleNamespace(max_epochs=2))
    bar.on_train_end(None)
    assert type(bar.bar_).__module__ == "tqdm.std"
    assert "epoch" in capsys.readouterr().err


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_html_representation_links_nowhere(estimator):
    page = estimator._repr_html_()
    assert type(estimator).__name__ in page
    assert not re.findall(r'href="([^"]*)"', page)


def test_html_representation_of_pipeline_links_to_scikit_learn_only():
    page = make_pipeline(PCA(2), AutoEncoderTransformer())._repr_html_()
    links = re.findall(r'href="([^"]*)"', page)
    assert any("PCA" in link for link in links)
    assert not [link for link in links if "AutoEncoder" in link]


def test_no_public_estimator_has_a_documentation_link():
    public = [getattr(sk_autoencoder, name) for name in sk_autoencoder.__all__]
    estimators = [kind for kind in public if hasattr(kind, "_get_doc_link")]
    assert len(estimators) == 5
    assert {kind.__new__(kind)._get_doc_link() for kind in estimators} == {""}
