"""The package where nothing is installed but what it requires."""

import subprocess
import sys

# In a process of its own, where no test has imported a frame's library before.
WITHOUT_OPTIONAL_PACKAGES = """
import sys


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in ("matplotlib", "pandas", "polars", "pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())

import numpy as np
import sk_autoencoder
import sk_autoencoder.datasets, sk_autoencoder.metrics, sk_autoencoder.networks
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)

X = np.random.default_rng(0).normal(size=(60, 4))
tiny = dict(max_epochs=2, hidden_layer_sizes=(4,), random_state=0)
for kind in (AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer):
    reducer = kind(2, **tiny).fit(X)
    assert reducer.inverse_transform(reducer.transform(X)).shape == X.shape
    reducer.save("reducer.safetensors")
    again = sk_autoencoder.load("reducer.safetensors")
    assert (again.transform(X) == reducer.transform(X)).all()
assert ExtraRowsTransformer(reducer, X).fit_transform(X).shape == (60, 2)
assert set(AutoEncoderOutlierDetector(reducer).fit_predict(X)) == {-1, 1}
assert sk_autoencoder.datasets.make_series_anomalies(5).series.shape[0] == 5


def refusal(function, *args):
    try:
        function(*args)
    except ImportError as error:
        return str(error)
    raise AssertionError("expected an ImportError")


from sk_autoencoder.plotting import LatentDisplay, LossCurveDisplay

LatentDisplay([[0, 1]])  # matplotlib is imported on use only
LossCurveDisplay([1.0])
assert sk_autoencoder.datasets.load_adult(as_frame=False).data.shape == (48842, 14)
print(refusal(LossCurveDisplay.from_estimator, reducer))
print(refusal(sk_autoencoder.datasets.load_adult))
"""


def test_the_package_works_without_optional_packages(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_OPTIONAL_PACKAGES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    without_matplotlib, without_pandas = run.stdout.splitlines()
    assert without_matplotlib == (
        "expected matplotlib to be installed, got LossCurveDisplay.from_estimator "
        'called without it. Run pip install "sk_autoencoder[plot]".'
    )
    assert without_pandas == (
        "expected pandas to be installed, got as_frame=True without it. Run pip "
        'install "sk_autoencoder[pandas]", or pass as_frame=False to get numpy arrays.'
    )
