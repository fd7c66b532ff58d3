"""What files hold that are for use alone, and what they say of themselves."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from saved_files import SavedFile
from sklearn import exceptions
from sklearn.datasets import load_digits

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._saving.state_checks import MOST_MADE
from sk_autoencoder.exceptions import InconsistentVersionWarning
from sk_autoencoder.networks import MLP, ConvNet

X = load_digits().data[:300]
SMALL = {"max_epochs": 2, "random_state": 0}
FRESH = (
    "Training goes on with a fresh optimizer: the file that this estimator comes from "
    "holds none. Save with optimizer=True to keep it."
)
ESTIMATORS = {
    "plain": AutoEncoderTransformer(10, **SMALL),
    "ordered": AutoEncoderTransformer(10, ordered=True, whiten=True, **SMALL),
    "rotated": AutoEncoderTransformer(10, rotation="varimax", **SMALL),
    "conv": AutoEncoderTransformer(
        10, network=ConvNet(input_shape=(1, 8, 8)), batch_size=100, **SMALL
    ),
    "hidden": DenoisingAutoEncoderTransformer(features="hidden", **SMALL),
    "vae": VAETransformer(10, prior="mixture", **SMALL),
}


def weights_of(estimator):
    return sum(p.numel() for p in estimator.module_.parameters())


def is_training(name):
    parts = ("raw_weights", "optimizer", "order", "noise")
    return any(f"NetState.{part}" in name for part in parts)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_file_holds_weights_once_and_what_use_needs(name, tmp_path):
    estimator = ESTIMATORS[name].fit(X)
    estimator.save(tmp_path / "model")
    file = SavedFile((tmp_path / "model").read_bytes())
    axes = estimator._plan.axes
    exact = 0 if axes is None else axes.components.nbytes
    if name == "vae":
        prior = estimator._fitted.prior
        exact += prior.factors.nbytes + prior.means.nbytes
    if name == "hidden":
        # Ranks of each column, and its description in three codings.
        parts = (array for key, array in file.arrays.items() if "NumberColumn" in key)
        exact += sum(array.nbytes for array in parts) + 600 * X.shape[1]
    size = (tmp_path / "model").stat().st_size
    assert size <= 4 * weights_of(estimator) + exact + 64_000
    assert not [key for key in file.arrays if is_training(key)]
    estimator.save(tmp_path / "whole", optimizer=True)
    assert (tmp_path / "whole").stat().st_size > 2 * size


def test_detector_of_tables_holds_no_training(tmp_path):
    frame = pd.DataFrame(X[:, 20:24]).rename(columns=str)
    frame["level"] = np.resize(list("abcde"), len(frame))
    detector = AutoEncoderOutlierDetector(random_state=0).fit(frame)
    detector.save(tmp_path / "model")
    file = SavedFile((tmp_path / "model").read_bytes())
    assert not [key for key in file.arrays if is_training(key)]
    again = sk_autoencoder.load(tmp_path / "model")
    np.testing.assert_array_equal(
        again.score_samples(frame), detector.score_samples(frame)
    )
    detector.save(tmp_path / "whole", optimizer=True)
    whole = SavedFile((tmp_path / "whole").read_bytes())
    assert [key for key in whole.arrays if is_training(key)]


@pytest.mark.parametrize("name", ["plain", "ordered", "vae"])
def test_training_goes_on_from_the_weights_with_a_fresh_optimizer(name, tmp_path):
    estimator = ESTIMATORS[name].fit(X)
    estimator.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model").set_params(warm_start=True)
    with pytest.warns(UserWarning, match=f"^{re.escape(FRESH)}$"):
        again.partial_fit(X)
    np.testing.assert_allclose(
        again.loss_curve_[:2], estimator.loss_curve_[:2], rtol=1e-6
    )
    assert again.loss_curve_[2] < 1.05 * estimator.loss_curve_[1]
    again.fit(X)  # no second warning
    again.partial_fit(X)
    for net in again._fitted.nets:
        weights = net.average_.weights_in_module()
        for raw, mean in zip(net.average_.raw_weights(), weights, strict=True):
            # Weights and their average are near each other: both went on from one.
            assert torch.linalg.vector_norm(raw - mean) < 0.5 * mean.norm()


def test_warning_comes_again_after_a_call_that_fails(tmp_path):
    ESTIMATORS["plain"].fit(X).save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    with pytest.raises(ValueError, match="X has 63 features"):
        again.partial_fit(X[:, 1:])
    with pytest.warns(UserWarning, match=FRESH):
        again.partial_fit(X)


def test_codes_of_very_many_levels_stay_in_the_file(tmp_path, monkeypatch):
    frame = pd.DataFrame({"level": [f"level {i % 100}" for i in range(300)]})
    frame["x"] = X[:, 20]
    reducer = AutoEncoderTransformer(2, **SMALL).fit(frame)
    sizes = []
    for most in (MOST_MADE, 10):
        for module in ("state", "state_checks"):
            monkeypatch.setattr(f"sk_autoencoder._saving.{module}.MOST_MADE", most)
        reducer.save(tmp_path / "model")
        sizes.append((tmp_path / "model").stat().st_size)
        again = sk_autoencoder.load(tmp_path / "model")
        np.testing.assert_array_equal(again.transform(frame), reducer.transform(frame))
    assert sizes[0] < sizes[1]


# -- versions -------------------------------------------------------------------------


def with_version(path, version):
    file = SavedFile(path.read_bytes())
    file.header["versions"]["sk_autoencoder"] = version
    path.write_bytes(file.to_bytes())


def test_file_of_another_version_warns_and_names_both(tmp_path):
    path = tmp_path / "model"
    ESTIMATORS["plain"].fit(X).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sk_autoencoder.load(path)
    with_version(path, "0.2.7")
    with pytest.warns(InconsistentVersionWarning) as caught:
        sk_autoencoder.load(path)
    own = sk_autoencoder.__version__
    (warning,) = caught
    assert isinstance(warning.message, exceptions.InconsistentVersionWarning)
    assert str(warning.message) == (
        "This AutoEncoderTransformer was saved by sk_autoencoder 0.2.7 and is loaded "
        f"by {own}. It gives what it gave, to rounding; save it again and there is no "
        "warning."
    )
    assert warning.filename == __file__
    assert warning.message.original_version == "0.2.7"
    assert warning.message.current_version == own


@pytest.mark.parametrize("version", [None, 3, ["0.2.0"]])
def test_version_that_is_no_text_is_refused(version, tmp_path):
    path = tmp_path / "model"
    ESTIMATORS["plain"].fit(X).save(path)
    with_version(path, version)
    for read in (sk_autoencoder.load, sk_autoencoder.read_metadata):
        with pytest.raises(ValueError, match="no version of its library"):
            read(path)


# -- metadata -------------------------------------------------------------------------


def test_metadata_is_told_without_loading(tmp_path, monkeypatch):
    levels = list("abc") * 100
    frame = pd.DataFrame({"x": X[:, 20], "n": np.arange(300), "level": levels})
    network = MLP((8,), activation="tanh")
    reducer = AutoEncoderTransformer(
        2, network=network, optimizer=torch.optim.SGD, lr=0.01, **SMALL
    )
    reducer.fit(frame.astype({"level": "category"})).save(tmp_path / "model")
    monkeypatch.delattr("sk_autoencoder._saving.serialize.Decoder.decode_estimator")
    monkeypatch.delattr("sk_autoencoder._saving.files._arrays")
    found = sk_autoencoder.read_metadata(tmp_path / "model")
    assert list(found) == [
        "class",
        "versions",
        "format",
        "parameters",
        "n_features",
        "columns",
    ]
    assert found["class"] == "AutoEncoderTransformer"
    assert found["versions"]["sk_autoencoder"] == sk_autoencoder.__version__
    assert found["versions"]["torch"] == torch.__version__
    assert found["n_features"] == 3
    assert found["columns"] == {"x": "float64", "n": "int64", "level": "category"}
    given = reducer.get_params(deep=False)
    plain = {"network": {"class": "MLP", **network.get_params()}, "optimizer": "SGD"}
    assert found["parameters"] == {**given, **plain}
    json.dumps(found)  # plain values


def test_metadata_of_a_detector_names_its_columns(tmp_path):
    frame = pd.DataFrame(X[:, 20:24], columns=list("abcd"))
    detector = AutoEncoderOutlierDetector(AutoEncoderTransformer(2, **SMALL))
    detector.fit(frame).save(tmp_path / "model")
    found = sk_autoencoder.read_metadata(tmp_path / "model")
    assert found["columns"] == dict.fromkeys("abcd")
    assert found["parameters"]["estimator"]["class"] == "AutoEncoderTransformer"
    assert found["parameters"]["estimator"]["max_epochs"] == 2


def test_metadata_of_no_file_of_save_is_refused(tmp_path):
    (tmp_path / "model").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ValueError, match="a zip archive"):
        sk_autoencoder.read_metadata(tmp_path / "model")
    ESTIMATORS["plain"].fit(X).save(tmp_path / "model")
    file = SavedFile((tmp_path / "model").read_bytes())
    file.header["state"]["$dict"] = [["n_features_in_", "many"]]
    (tmp_path / "model").write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="expected a file that save has written"):
        sk_autoencoder.read_metadata(tmp_path / "model")


def test_codes_put_in_order_by_a_network_load_as_they_were(tmp_path):
    settings = {"early_stopping": False, **SMALL}  # does not fall back to PCA
    estimator = AutoEncoderTransformer(3, ordered=True, **settings).fit(X)
    assert estimator.module_.recoder is not None
    for given in (estimator, estimator.truncate(2)):
        given.save(tmp_path / "model")
        again = sk_autoencoder.load(tmp_path / "model")
        np.testing.assert_array_equal(again.transform(X), given.transform(X))
        np.testing.assert_array_equal(again.reconstruct(X), given.reconstruct(X))
    estimator.save(tmp_path / "model")
    with pytest.warns(UserWarning, match=FRESH):
        sk_autoencoder.load(tmp_path / "model").partial_fit(X)


def test_columns_of_small_units_that_are_exact_load_as_they_were(tmp_path):
    # One column is a multiple of another: what is left of it is at its least.
    exact = X[:, 20:24] * [1.0, 1.0, 1.0, 0.0] + X[:, 20:21] * [0.0, 0.0, 0.0, 1e-4]
    vae = VAETransformer(3, **{**SMALL, "max_epochs": 20}).fit(exact)
    vae.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score_samples(exact), vae.score_samples(exact))
