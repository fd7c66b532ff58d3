"""Arrays of more than two dimensions: images and series as they are."""

import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder._utils.shapes import flat_rows
from sk_autoencoder.metrics import explained_variance_ratio, reconstruction_scorer
from sk_autoencoder.networks import ConvNet, UserNetwork

FLAT = load_digits().data[:120]
GRAY = FLAT.reshape(-1, 1, 8, 8)
COLOR = FLAT.reshape(-1, 2, 4, 8)
SERIES = FLAT.reshape(-1, 16, 4)  # 16 steps of 4 channels
FAST = {"max_epochs": 2, "random_state": 0}
# Two epochs of a user's own network from a random start are worse than PCA.
pytestmark = pytest.mark.filterwarnings("ignore:expected a network:UserWarning")
KINDS = [
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
]


def conv(shape):
    return ConvNet(shape, channels=(2,))


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out)


def last_steps(n_in, n_out):
    return nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out))


def steps(shape=(16, 4)):
    """A network over steps and channels, in the order that recurrent ones have."""
    return UserNetwork(last_steps, linear, input_shape=shape)


# What fit is given, and the network that takes it.
SHAPED = {
    "channels": (COLOR, conv((2, 4, 8))),
    "one channel": (GRAY, conv((1, 8, 8))),
    "one channel, not named": (GRAY[:, 0], conv((1, 8, 8))),
    "a signal": (FLAT.reshape(-1, 2, 32), conv((2, 32))),
    "steps": (SERIES, steps()),
    "four axes": (FLAT.reshape(-1, 2, 4, 2, 4), steps((2, 4, 2, 4))),
}


def raises(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


def fit(X=COLOR, network=None, kind=AutoEncoderTransformer, **parameters):
    network = conv((2, 4, 8)) if network is None else network
    return kind(3, network=network, **FAST, **parameters).fit(X)


# Every kind of estimator gives a shape back in the same place.
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, AutoEncoderTransformer) for name in SHAPED),
        *((name, kind) for name in ("channels", "steps") for kind in KINDS[1:]),
    ],
)
def test_rows_are_those_of_the_flat_array_in_another_shape(name, kind):
    X, network = SHAPED[name]
    one, other = fit(X, network, kind), fit(FLAT, network, kind)
    assert one.n_features_in_ == 64
    codes = one.transform(X)
    np.testing.assert_array_equal(codes, other.transform(FLAT))
    np.testing.assert_array_equal(codes, one.transform(FLAT))
    np.testing.assert_array_equal(codes, one.fit_transform(X))
    assert one.score(X) == other.score(FLAT)
    flat = other.inverse_transform(codes)
    assert flat.shape == FLAT.shape
    np.testing.assert_array_equal(one.inverse_transform(codes), flat.reshape(X.shape))
    rebuilt = one.reconstruct(X)
    np.testing.assert_array_equal(rebuilt, other.reconstruct(FLAT).reshape(X.shape))
    # The shape is that of fit, whatever the rows of the call have.
    np.testing.assert_array_equal(one.reconstruct(FLAT), rebuilt)
    np.testing.assert_array_equal(other.reconstruct(X).reshape(X.shape), rebuilt)
    cells = one.reconstruction_error(X, per_feature=True)
    assert cells.shape == X.shape
    np.testing.assert_array_equal(
        cells.reshape(FLAT.shape), other.reconstruction_error(FLAT, per_feature=True)
    )
    np.testing.assert_array_equal(
        one.reconstruction_error(X), other.reconstruction_error(FLAT)
    )


def test_a_density_over_images():
    vae, flat = (fit(X, kind=VAETransformer) for X in (COLOR, FLAT))
    drawn = vae.sample(5, random_state=0)
    assert drawn.shape == (5, 2, 4, 8)
    np.testing.assert_array_equal(drawn.reshape(5, -1), flat.sample(5, random_state=0))
    np.testing.assert_array_equal(vae.score_samples(COLOR), flat.score_samples(FLAT))
    for one, other in zip(vae.posterior(COLOR), flat.posterior(FLAT), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_that_come_bit_by_bit():
    one, other = (
        AutoEncoderTransformer(3, network=conv((2, 4, 8)), **FAST) for _ in range(2)
    )
    for part in (slice(60), slice(60, 120)):
        one.partial_fit(COLOR[part])
        other.partial_fit(FLAT[part])
    codes = one.transform(COLOR)
    np.testing.assert_array_equal(codes, other.transform(FLAT))
    assert one.inverse_transform(codes).shape == COLOR.shape
    one.set_params(warm_start=True).fit(FLAT)
    assert one.inverse_transform(codes).shape == FLAT.shape


def test_the_shape_is_remembered_and_forgotten(tmp_path):
    fitted = fit(GRAY[:, 0], conv((1, 8, 8)))
    codes = fitted.transform(GRAY)
    fitted.save(tmp_path / "model")
    for copy in (
        sk_autoencoder.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(fitted)),
    ):
        rows = copy.inverse_transform(codes)
        assert rows.shape == (120, 8, 8)
        np.testing.assert_array_equal(rows, fitted.inverse_transform(codes))
        np.testing.assert_array_equal(copy.transform(GRAY[:, 0]), codes)
    # A fit that fails leaves it; one on flat rows does not.
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(np.full_like(GRAY, np.nan))
    assert fitted.inverse_transform(codes).shape == (120, 8, 8)
    assert fitted.fit(FLAT).inverse_transform(codes).shape == FLAT.shape
    assert clone(fitted).fit(GRAY).reconstruct(FLAT).shape == GRAY.shape


def test_what_was_saved_before_there_were_shapes_has_flat_rows():
    fitted = fit(FLAT)
    del fitted._row_shape
    older = pickle.loads(pickle.dumps(fitted))
    assert older.reconstruct(COLOR).shape == FLAT.shape


def test_what_can_be_an_array_is_taken():
    fitted = fit()
    codes = fitted.transform(COLOR)
    images = [image.tolist() for image in COLOR]
    np.testing.assert_array_equal(fitted.transform(images), codes)
    np.testing.assert_array_equal(fitted.transform(torch.tensor(COLOR)), codes)
    np.testing.assert_array_equal(fit(torch.tensor(COLOR)).transform(COLOR), codes)
    last = np.moveaxis(COLOR, 1, -1).copy()
    np.testing.assert_array_equal(fitted.transform(np.moveaxis(last, -1, 1)), codes)
    whole = COLOR.astype(np.uint8)
    np.testing.assert_array_equal(fitted.transform(whole), codes)
    assert fitted.transform(COLOR.astype(np.float32)).dtype == np.float32


def test_a_memory_map_is_read_where_it_lies(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, COLOR.astype(np.float32))
    there = np.load(path, mmap_mode="r")
    flat, shape = flat_rows(there, conv((2, 4, 8)))
    assert shape == (2, 4, 8)
    assert type(flat) is np.memmap
    assert np.shares_memory(flat, there)
    fitted = fit(there)
    codes = np.lib.format.open_memmap(
        tmp_path / "codes.npy", "w+", np.float32, (120, 3)
    )
    assert fitted.transform(there, out=codes) is codes
    np.testing.assert_array_equal(codes, fitted.transform(COLOR.astype(np.float32)))
    rows = np.lib.format.open_memmap(
        tmp_path / "rows.npy", "w+", np.float32, COLOR.shape
    )
    assert fitted.inverse_transform(codes, out=rows) is rows
    np.testing.assert_array_equal(rows, fitted.inverse_transform(np.asarray(codes)))


def test_an_out_that_cannot_take_rows_of_a_shape():
    fitted = fit()
    codes = fitted.transform(COLOR)
    with raises(
        "expected out of shape (120, 2, 4, 8), a row for each of X, got out.shape="
        "(120, 64). Pass e.g. out=numpy.empty((120, 2, 4, 8), 'float64')."
    ):
        fitted.inverse_transform(codes, out=np.empty_like(FLAT))
    scattered = np.moveaxis(np.empty((120, 4, 8, 2)), -1, 1)
    with raises(
        "expected out whose rows lie in one piece, got out.strides=(512, 8, 128, 16). "
        "Pass e.g. out=numpy.empty((120, 2, 4, 8), 'float64')."
    ):
        fitted.inverse_transform(codes, out=scattered)


def test_frames_hold_flat_rows():
    fitted = fit().set_output(transform="pandas")
    frame = fitted.inverse_transform(fitted.transform(COLOR))
    assert frame.shape == FLAT.shape
    assert list(frame.columns[:2]) == ["x0", "x1"]


def test_searches_pipelines_and_further_rows():
    search = GridSearchCV(
        make_pipeline(AutoEncoderTransformer(3, network=conv((2, 4, 8)), **FAST)),
        {"autoencodertransformer__network__channels": [(2,), (2, 3)]},
        scoring=reconstruction_scorer,
        cv=2,
    ).fit(COLOR)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    fitted = fit()
    rebuilt = fitted.reconstruct(COLOR)
    assert reconstruction_scorer(fitted, COLOR) == pytest.approx(
        1 - np.sum((rebuilt - COLOR) ** 2) / np.sum((FLAT - FLAT.mean(0)) ** 2)
    )
    assert explained_variance_ratio(COLOR, rebuilt) == pytest.approx(
        reconstruction_scorer(fitted, COLOR)
    )
    more = ExtraRowsTransformer(clone(fitted), COLOR[60:]).fit(COLOR[:60])
    np.testing.assert_array_equal(more.transform(COLOR), fitted.transform(COLOR))
    with pytest.raises(ValueError, match="expected extra_rows with the columns of X"):
        ExtraRowsTransformer(clone(fitted), GRAY.reshape(-1, 2, 8, 4)).fit(COLOR)


WRONG = {
    "channels last": (
        np.moveaxis(COLOR, 1, -1),
        conv((2, 4, 8)),
        "expected rows of input_shape=(2, 4, 8), as an array of shape (n, 2, 4, 8) or "
        "(n, 64), got X of shape (120, 4, 8, 2), which looks like rows with their "
        "first axis last, as images have that end in channels. Pass "
        "np.moveaxis(X, -1, 1).",
    ),
    "channels before steps": (
        np.moveaxis(SERIES, 1, -1),
        steps(),
        "expected rows of input_shape=(16, 4), as an array of shape (n, 16, 4) or "
        "(n, 64), got X of shape (120, 4, 16), which has its two axes the other way "
        "round. Pass input_shape=(4, 16), or np.moveaxis(X, -1, 1).",
    ),
    "a single image": (
        COLOR[0],
        conv((2, 4, 8)),
        "expected rows of input_shape=(2, 4, 8), as an array of shape (n, 2, 4, 8) or "
        "(n, 64), got X of shape (2, 4, 8), which looks like a single row. Pass "
        "X[np.newaxis].",
    ),
    "another size": (
        GRAY[:, 0, :7],
        conv((1, 8, 8)),
        "expected rows of input_shape=(1, 8, 8), as an array of shape (n, 1, 8, 8), "
        "(n, 8, 8) or (n, 64), got X of shape (120, 7, 8). Pass such an array, or a "
        "network whose input_shape is X.shape[1:].",
    ),
    "as many numbers": (
        GRAY,
        conv((2, 4, 8)),
        "expected rows of input_shape=(2, 4, 8), as an array of shape (n, 2, 4, 8) or "
        "(n, 64), got X of shape (120, 1, 8, 8). Pass such an array, or a network "
        "whose input_shape is X.shape[1:].",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_shape_is_refused_with_advice(name):
    X, network, message = WRONG[name]
    with raises(message):
        fit(X, network)
    fitted = fit(FLAT, network)
    methods = (fitted.transform, fitted.reconstruct, fitted.score, fitted.partial_fit)
    for method in methods:
        with raises(message):
            method(X)
    if "Pass np.moveaxis" in message:
        assert fit(np.moveaxis(X, -1, 1), network).n_features_in_ == 64
    if "Pass X[np.newaxis]" in message:
        assert fitted.transform(X[np.newaxis]).shape == (1, 3)


@pytest.mark.parametrize(
    "network", [None, ConvNet(), UserNetwork(linear, linear), ConvNet(input_shape=64)]
)
def test_without_a_shape_refusals_begin_with_scikit_learns_words(network):
    estimator = AutoEncoderTransformer(3, network=network, **FAST)
    with pytest.raises(ValueError, match="Found array with dim 3") as theirs:
        PCA().fit(GRAY[:, 0])
    message = (
        str(theirs.value).removesuffix("PCA.")
        + "a network without input_shape: got X of shape (120, 8, 8). Pass "
        "X.reshape(len(X), -1), or a network of that input_shape, as "
        "ConvNet((1, 8, 8))."
    )
    with raises(message):
        estimator.fit(GRAY[:, 0])
    assert not get_tags(estimator).input_tags.three_d_array
    assert get_tags(AutoEncoderTransformer(network=steps())).input_tags.three_d_array


def test_no_rows_at_all():
    with pytest.raises(ValueError, match=re.escape("Found array with 0 sample(s)")):
        fit(COLOR[:0])
