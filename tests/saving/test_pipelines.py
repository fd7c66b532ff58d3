"""Files of what is around our estimators: pipelines, detectors, further rows."""

import re

import numpy as np
import pytest
from saved_files import SavedFile
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    ExtraRowsTransformer,
)

X = load_digits().data[:200, 18:30]
AE = AutoEncoderTransformer(3, hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
INSIDE = {
    "ours": AE,
    "standard": make_pipeline(StandardScaler(), AE),
    "minmax": make_pipeline(MinMaxScaler(), AE),
    "pca": make_pipeline(PCA(6, whiten=True, random_state=0), AE),
    "two": make_pipeline(StandardScaler(with_mean=False), make_pipeline(AE, PCA(2))),
    "rows": ExtraRowsTransformer(AE),
    "rows of a step": make_pipeline(StandardScaler(), ExtraRowsTransformer(AE)),
    "rows of steps": ExtraRowsTransformer(make_pipeline(StandardScaler(), AE)),
}


def same(one, other, name):
    """Compare to the bit; scikit-learn's PCA may have its axes in another order."""
    rtol = 1e-9 if name in ("pca", "two") else 0
    np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", INSIDE)
def test_transformer_with_further_rows_comes_back_without_them(name, tmp_path):
    extra = ExtraRowsTransformer(INSIDE[name], X[:50]).fit(X[50:])
    extra.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    assert type(again) is ExtraRowsTransformer
    assert again.extra_rows is None
    codes = extra.transform(X)
    same(again.transform(X), codes, name)
    same(again.inverse_transform(codes), extra.inverse_transform(codes), name)
    assert repr(again.transformer) == repr(extra.transformer)
    assert again.n_features_in_ == 12
    found = sk_autoencoder.read_metadata(tmp_path / "model")
    assert (found["class"], found["n_features"]) == ("ExtraRowsTransformer", 12)
    inner = type(INSIDE[name]).__name__
    assert found["parameters"]["transformer"]["class"] == inner
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("measure", ["combined", "latent"])
@pytest.mark.parametrize("name", INSIDE)
def test_detector_of_a_pipeline_comes_back(name, measure, tmp_path):
    detector = AutoEncoderOutlierDetector(INSIDE[name], measure=measure, random_state=0)
    detector.fit(X).save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    same(again.score_samples(X), detector.score_samples(X), name)
    same(again.explain(X[:3]), detector.explain(X[:3]), name)


@pytest.mark.parametrize(
    "inside",
    [
        PCA(3),
        make_pipeline(StandardScaler(), PCA(3)),
        make_pipeline(PowerTransformer(), AE),
        make_pipeline(AE, memory="cache"),
    ],
    ids=["pca", "none of ours", "another", "memory"],
)
@pytest.mark.parametrize("around", [ExtraRowsTransformer, AutoEncoderOutlierDetector])
def test_anything_else_is_refused_with_what_takes_it(inside, around, tmp_path):
    if hasattr(inside, "memory"):
        inside.memory = inside.memory and str(tmp_path / "cache")
    fitted = around(inside).fit(X)
    message = (
        "expected an estimator of a class of sk_autoencoder, or a pipeline of one with "
        "StandardScaler, MinMaxScaler or PCA, got "
    )
    with pytest.raises(TypeError, match=re.escape(message)) as caught:
        fitted.save(tmp_path / "model")
    end = "which load does not know. Dump the estimator around it with skops or joblib "
    assert str(caught.value).endswith(f"{end}instead.")
    assert not (tmp_path / "model").exists()


def step(file, number):
    """Return the JSON of a step of the fitted pipeline in a file."""
    pairs = dict(map(tuple, file.header["state"]["$dict"]))
    return pairs["transformer_"]["steps"][number][1]


def fitted_of(found):
    """Return the attributes that a step has in its file."""
    return dict(map(tuple, found["state"]["$dict"]))["fitted"]["$dict"]


def set_array(name, value):
    def change(file):
        key = dict(map(tuple, fitted_of(step(file, 0))))[name]["$array"]
        file.arrays[key] = np.resize(value, file.arrays[key].shape)

    return change


def set_count(file):
    attributes = fitted_of(step(file, 0))
    attributes[:] = [[k, 3 if k == "n_features_in_" else v] for k, v in attributes]


def rename(file):
    step(file, 0)["$listed"] = "PowerTransformer"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_array("scale_", 0.0), "a StandardScaler that divides by 0"),
        (set_array("mean_", np.nan), "mean_ of a StandardScaler that is none"),
        (set_count, "mean_ of a StandardScaler that is none"),
        (rename, "a step 'PowerTransformer'"),
    ],
)
def test_steps_that_no_fit_leaves_are_refused(change, reason, tmp_path):
    ExtraRowsTransformer(INSIDE["standard"]).fit(X).save(tmp_path / "model")
    file = SavedFile((tmp_path / "model").read_bytes())
    change(file)
    (tmp_path / "model").write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match=f"because: {reason}"):
        sk_autoencoder.load(tmp_path / "model")
