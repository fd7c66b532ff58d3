"""Files of other people's tools hold our estimators: skops and MLflow."""

import numpy as np
import pandas as pd
import pytest
from recipes import recipe
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_autoencoder import (
    TRUSTED_TYPES,
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
    load,
)
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet

# Their warnings are not ours to answer for.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]

X, Y = (part[:200] for part in load_digits(return_X_y=True))
SMALL = {"max_epochs": 2, "random_state": 0}
FRAME = pd.DataFrame(X[:, 20:24]).rename(columns=str)
FRAME["level"] = pd.Categorical(np.resize(["a", "b", None], len(X)))


def shrink(batch, generator):
    return 0.9 * batch


ESTIMATORS = {
    "plain": (AutoEncoderTransformer(3, **SMALL), X),
    "ordered": (AutoEncoderTransformer(3, ordered=True, whiten=True, **SMALL), X),
    "mlp": (AutoEncoderTransformer(3, network=MLP((8,)), **SMALL), X),
    "conv": (AutoEncoderTransformer(3, network=ConvNet(channels=(2,)), **SMALL), X),
    "recurrent": (
        AutoEncoderTransformer(3, network=RecurrentNet(hidden_size=4), **SMALL),
        X,
    ),
    "frame": (
        AutoEncoderTransformer(2, allow_missing=True, **SMALL).set_output(
            transform="pandas"
        ),
        FRAME,
    ),
    "imputer": (
        DenoisingAutoEncoderTransformer(
            features="reconstruction", allow_missing=True, **SMALL
        ),
        FRAME,
    ),
    "vae": (VAETransformer(3, prior="mixture", **SMALL), X),
    "pipeline": (
        make_pipeline(StandardScaler(), AutoEncoderTransformer(3, **SMALL)),
        X,
    ),
    "extra rows": (ExtraRowsTransformer(AutoEncoderTransformer(3, **SMALL), X), X),
    "detector": (AutoEncoderOutlierDetector(random_state=0), FRAME),
    "detector of pca": (AutoEncoderOutlierDetector(PCA(3), random_state=0), X),
}


def outputs(estimator, rows):
    is_detector = isinstance(estimator, AutoEncoderOutlierDetector)
    method = estimator.score_samples if is_detector else estimator.transform
    return np.asarray(method(rows), dtype=object)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_skops_needs_no_types_but_the_trusted(name):
    import skops.io

    estimator, rows = ESTIMATORS[name]
    data = skops.io.dumps(estimator.fit(rows))
    assert set(skops.io.get_untrusted_types(data=data)) <= set(TRUSTED_TYPES)
    again = skops.io.loads(data, trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(outputs(again, rows), outputs(estimator, rows))


def test_skops_is_told_what_to_do_with_functions_of_ones_own():
    import skops.io

    estimator = DenoisingAutoEncoderTransformer(3, noise=shrink, **SMALL).fit(X)
    with pytest.raises(TypeError, match=r"for skops, got .*shrink.*its method save"):
        skops.io.dumps(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(3, **SMALL),
        make_pipeline(AutoEncoderTransformer(3, **SMALL), LogisticRegression()),
        AutoEncoderOutlierDetector(AutoEncoderTransformer(3, **SMALL)),
    ],
    ids=["transformer", "pipeline", "detector"],
)
def test_mlflow_logs_in_its_default_format(estimator, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path}/runs")
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            estimator.fit(X, Y),
            name="model",
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=["sk-autoencoder"],
        )
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    again = mlflow.sklearn.load_model(info.model_uri)
    method = "predict" if hasattr(estimator, "predict") else "transform"
    expected = getattr(estimator, method)(X)
    np.testing.assert_array_equal(getattr(again, method)(X), expected)


@pytest.mark.parametrize("tool", ["skops", "MLflow"])
def test_recipes_run_where_pickle_is_forbidden(tool, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(f"file:{tmp_path}/runs")
    made = {"__name__": "__main__"}
    exec(compile(recipe(tool), tool, "exec"), made)
    if tool == "skops":
        again, codes = made["pipe"][0], made["pipe"][:1].transform(made["X"])
    else:
        again, codes = load("digits.safetensors"), made["codes"]
    np.testing.assert_array_equal(codes, made["reducer"].transform(made["X"]))
    np.testing.assert_array_equal(codes, again.transform(made["X"]))
