"""Codes of a refit that are turned to those of the fit before."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

X = scale(load_wine().data)
SHORT = {"max_epochs": 4, "hidden_layer_sizes": (16,)}


def centered(codes):
    """Return codes less their mean."""
    return codes - codes.mean(axis=0)


@pytest.fixture(scope="module")
def old():
    """Return a fit on half of the samples, frozen."""
    return FrozenEstimator(
        AutoEncoderTransformer(3, random_state=0, **SHORT).fit(X[::2])
    )


@pytest.mark.parametrize(
    "model",
    [
        AutoEncoderTransformer(3, **SHORT),
        AutoEncoderTransformer(3, init="random", **SHORT),
        AutoEncoderTransformer(3, whiten=True, **SHORT),
        DenoisingAutoEncoderTransformer(3, **SHORT),
        VAETransformer(3, **SHORT),
    ],
    ids=str,
)
def test_a_refit_has_the_orientation_of_the_old_codes(model, old, tmp_path):
    model = clone(model).set_params(random_state=1)
    unturned = clone(model).fit(X)
    plain = centered(unturned.transform(X))
    restored = unturned.reconstruct(X)
    model.set_params(align_to=old).fit(X)
    codes, target = centered(model.transform(X)), centered(old.transform(X))
    rotation = orthogonal_procrustes(plain, target)[0]
    np.testing.assert_allclose(codes, plain @ rotation, atol=1e-8)
    drift = np.linalg.norm(target - codes) / np.linalg.norm(target)
    assert model.alignment_error_ == pytest.approx(drift, rel=1e-6)
    assert drift < np.linalg.norm(target - plain) / np.linalg.norm(target)
    np.testing.assert_allclose(model.reconstruct(X), restored, atol=1e-9)
    back = model.inverse_transform(model.transform(X))
    np.testing.assert_allclose(back, restored, atol=1e-9)
    explained = unturned.explained_variance_ratio_.sum()
    assert model.explained_variance_ratio_.sum() == pytest.approx(explained)
    model.save(tmp_path / "aligned.safetensors")
    again = sk_autoencoder.load(tmp_path / "aligned.safetensors")
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.alignment_error_ == model.alignment_error_
    np.testing.assert_array_equal(again.align_to.transform(X), old.transform(X))
    assert clone(again).fit(X).alignment_error_ == pytest.approx(drift, rel=1e-4)


def test_signs_and_order_of_pca_come_back():
    model = AutoEncoderTransformer(3, max_epochs=0)
    turned = AutoEncoderTransformer(3, max_epochs=0, rotation="varimax").fit(X)
    again = clone(model).set_params(align_to=FrozenEstimator(turned)).fit(X)
    assert again.alignment_error_ < 1e-12
    np.testing.assert_allclose(again.transform(X), turned.transform(X), atol=1e-10)
    np.testing.assert_allclose(again.components_, turned.components_, atol=1e-8)


def test_a_file_does_not_grow_with_each_refit(old, tmp_path):
    sizes, model = [], old.estimator
    for i in range(3):
        model = clone(model).set_params(align_to=FrozenEstimator(model)).fit(X)
        model.save(tmp_path / f"{i}.safetensors")
        sizes.append((tmp_path / f"{i}.safetensors").stat().st_size)
    assert sizes[2] == pytest.approx(sizes[0], rel=0.01)
    inner = sk_autoencoder.load(tmp_path / "2.safetensors").align_to.estimator
    assert inner.align_to is None


def test_a_search_a_stream_and_a_warm_start_are_aligned(old):
    base = AutoEncoderTransformer(3, random_state=1, align_to=old, **SHORT)
    search = GridSearchCV(base, {"lr": [1e-3, 4e-3]}, cv=2).fit(X)
    best = search.best_estimator_
    assert best.align_to is old
    target = centered(old.transform(X))
    correlations = (target * centered(best.transform(X))).sum(axis=0)
    assert (correlations > 0.5 * np.square(target).sum(axis=0)).all()
    stream = clone(base)
    for part in np.array_split(X, 2):
        stream.partial_fit(part)
    warm = clone(base).set_params(warm_start=True).fit(X).fit(X)
    for model in (stream, warm):
        back = model.inverse_transform(model.transform(X))
        np.testing.assert_allclose(back, model.reconstruct(X), atol=1e-9)
        assert 0 < model.alignment_error_ < 1


@pytest.mark.parametrize("turned", [{"rotation": "varimax"}, {"align_to": "old"}])
def test_a_warm_start_without_it_turns_back(turned, old):
    params = {name: old if value == "old" else value for name, value in turned.items()}
    model = AutoEncoderTransformer(3, random_state=1, warm_start=True, **SHORT)
    plain = model.fit(X).transform(X)
    model.set_params(max_epochs=0, **params).fit(X)
    assert np.abs(model.transform(X) - plain).max() > 0.1
    model.set_params(**dict.fromkeys(params)).fit(X)
    np.testing.assert_allclose(model.transform(X), plain, atol=1e-9)
    assert not hasattr(model, "alignment_error_")


def test_a_table_is_aligned():
    frame = pd.DataFrame(X[:, :4], columns=list("abcd"))
    frame["kind"] = pd.Categorical(np.resize(["x", "y", "z"], len(X)))
    first = AutoEncoderTransformer(2, random_state=0, **SHORT).fit(frame[:100])
    again = clone(first).set_params(align_to=FrozenEstimator(first)).fit(frame)
    assert again.alignment_error_ < 1


def test_what_cannot_be_aligned_to_is_refused(old):
    def fit(model, X=X, **params):
        model.set_params(**params).fit(X)

    plain = AutoEncoderTransformer(3, **SHORT)
    with pytest.raises(TypeError, match=r"Pass align_to=FrozenEstimator\(estimator\)"):
        fit(clone(plain), align_to=old.estimator)
    for other in (FrozenEstimator(GridSearchCV(plain, {})), "old"):
        with pytest.raises(TypeError, match="expected a FrozenEstimator around"):
            fit(clone(plain), align_to=other)
    with pytest.raises(NotFittedError):
        fit(clone(plain), align_to=FrozenEstimator(plain))
    with pytest.raises(
        ValueError, match="expected align_to with 2 components, as many"
    ):
        fit(clone(plain), align_to=old, n_components=2)
    with pytest.raises(
        ValueError, match="expected X with the features of align_to, 13"
    ):
        fit(clone(plain), X[:, :5], align_to=old)
    names = [f"x{i}" for i in range(13)]
    named = FrozenEstimator(clone(plain).fit(pd.DataFrame(X, columns=names)))
    with pytest.raises(ValueError, match="expected X with the features of align_to, "):
        fit(clone(plain), pd.DataFrame(X, columns=names[::-1]), align_to=named)
    hidden = DenoisingAutoEncoderTransformer(features="hidden", **SHORT).fit(X)
    with pytest.raises(ValueError, match="align_to with features='bottleneck'"):
        fit(clone(plain), align_to=FrozenEstimator(hidden))
    with pytest.raises(ValueError, match="expected ordered=False for align_to=Frozen"):
        fit(clone(plain), align_to=old, ordered=True)
    with pytest.raises(ValueError, match="expected align_to=None for rotation='vari"):
        fit(clone(plain), align_to=old, rotation="varimax")
    with pytest.raises(ValueError, match="expected an int n_components for align_to"):
        fit(clone(plain), align_to=old, n_components=0.5)
    for features in ("hidden", "reconstruction"):
        with pytest.raises(ValueError, match="expected features='bottleneck' for alig"):
            fit(DenoisingAutoEncoderTransformer(features=features), align_to=old)
