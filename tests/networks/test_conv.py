"""Convolutional networks: shapes, errors, and every objective."""

import math
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn_checks import checks_of

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import ConvNet
from sk_autoencoder.networks.conv import Reshape

X = load_digits().data[:300]
IMAGES = ConvNet((1, 8, 8), channels=(4, 6), hidden_layer_sizes=(16,))
FAST = {"max_epochs": 2, "random_state": 0}


def build(network, n_inputs, n_components=3):
    return network.build(
        n_inputs=n_inputs,
        n_encoder_outputs=n_components,
        n_components=n_components,
        n_outputs=n_inputs,
        generator=make_generator(0),
    )


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("pooling", [None, "max", "average", "global"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (5, 3), (1, 1), (3, 3)])
@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 7, 9), (2, 1, 5), (1, 13), (2, 31), None]
)
def test_the_output_has_the_shape_of_the_input(
    shape, kernel_size, stride, pooling, upsampling
):
    network = ConvNet(
        shape,
        channels=(3, 4),
        kernel_size=kernel_size,
        stride=stride,
        pooling=pooling,
        upsampling=upsampling,
        hidden_layer_sizes=(7,),
        batch_norm=True,
    )
    n_inputs = 11 if shape is None else math.prod(shape)
    encoder, decoder = build(network, n_inputs)
    code = encoder(torch.randn(5, n_inputs))
    assert code.shape == (5, 3)
    assert decoder(code).shape == (5, n_inputs)


def test_a_stage_is_the_convolution_it_says():
    encoder, _ = build(ConvNet((1, 8, 8), channels=(2,), activation="relu"), 64)
    rows = torch.randn(4, 64)
    convolution = encoder[1]
    by_hand = torch.nn.functional.conv2d(
        rows.view(4, 1, 8, 8),
        convolution.weight,
        convolution.bias,
        stride=2,
        padding=2,
    ).relu()
    torch.testing.assert_close(encoder[:3](rows), by_hand)


def test_the_same_seed_gives_the_same_weights_and_no_global_one_is_touched():
    before = torch.get_rng_state()
    first, second = build(IMAGES, 64)[0], build(IMAGES, 64)[0]
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(3, network=IMAGES, **FAST),
        AutoEncoderTransformer(3, network=IMAGES, ordered=True, **FAST),
        DenoisingAutoEncoderTransformer(3, network=IMAGES, **FAST),
        VAETransformer(3, network=IMAGES, **FAST),
        VAETransformer(
            3,
            network=IMAGES,
            likelihood="bernoulli",
            numeric_scaling="minmax",
            **FAST,
        ),
    ],
    ids=["plain", "ordered", "denoising", "vae", "bernoulli"],
)
def test_every_objective_trains_and_comes_back(estimator, tmp_path):
    codes = estimator.fit(X).transform(X)
    assert codes.shape == (300, 3)
    rows = estimator.inverse_transform(codes)
    assert rows.shape == X.shape
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(clone(estimator).fit(X).transform(X), codes)
    estimator.save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(X), codes)


def test_convnet_starts_as_pca_and_learns():
    start = AutoEncoderTransformer(5, network=IMAGES, max_epochs=0).fit(X)
    pca = PCA(5).fit(X)
    np.testing.assert_allclose(
        np.abs(start.transform(X)), np.abs(pca.transform(X)), atol=1e-6
    )
    trained = clone(start).set_params(max_epochs=40, random_state=0).fit(X)
    assert trained.score(X) > start.score(X) + 0.03


def test_its_parameters_can_be_searched_over():
    search = GridSearchCV(
        AutoEncoderTransformer(3, network=IMAGES, **FAST),
        {"network__channels": [(2,), (2, 3)], "network__pooling": [None, "max"]},
        scoring=reconstruction_scorer,
        cv=2,
    )
    search.fit(X[:100])
    assert len(search.cv_results_["params"]) == 4
    assert IMAGES.channels == (4, 6)


@checks_of(
    [
        AutoEncoderTransformer(
            n_components=1, network=ConvNet(channels=(2,)), max_epochs=2
        )
    ],
    synonyms=False,
)
def test_convnet_passes_the_estimator_checks(estimator, check):
    check(estimator)


ADVICE = {
    "input_shape": [
        ((1, 9, 9), "expected an image of input_shape=(1, 9, 9), 81 features, got X "),
        ((64,), "expected (channels, height, width) or (channels, length), got "),
        ((1, 0, 64), "expected a tuple of ints >= 1, got input_shape=(1, 0, 64). Pass"),
    ],
    "channels": [
        ((), "expected at least one stage"),
        ((0,), "expected a tuple of ints >= 1, got channels=(0,). Pass e.g. channels="),
        (16, "expected a tuple of ints >= 1, got channels=16. Pass channels=(16,)."),
    ],
    "kernel_size": [
        (2, "expected an odd kernel_size, got kernel_size=2."),
        (0, "'kernel_size' parameter of ConvNet must be an int in the range [1, inf)."),
    ],
    "stride": [(6, "expected a stride from 1 to kernel_size=5, got stride=6.")],
    "pooling": [("sum", "Got 'sum' instead.")],
    "upsampling": [("bilinear", "Got 'bilinear' instead.")],
    "activation": [("sin", "Got 'sin' instead.")],
    "dropout": [
        (1.0, "must be a float in the range [0.0, 1.0). Got 1.0 instead."),
        (None, "must be a float in the range [0.0, 1.0). Got None instead."),
    ],
    "hidden_layer_sizes": [
        (
            (0,),
            "expected a tuple of ints >= 1, got hidden_layer_sizes=(0,). Pass e.g. "
            "hidden_layer_sizes=(256, 128).",
        ),
        (64, "got hidden_layer_sizes=64. Pass hidden_layer_sizes=(64,)."),
        ("", "must be an array-like. Got '' instead."),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [(name, *case) for name, cases in ADVICE.items() for case in cases],
)
def test_bad_parameters_are_named(name, value, message):
    network = ConvNet((1, 8, 8), channels=(2,)).set_params(**{name: value})
    with pytest.raises(ValueError, match=re.escape(message)):
        AutoEncoderTransformer(2, network=network, max_epochs=1).fit(X)


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((8, 8, 1), "Pass input_shape=(1, 8, 8)."),
        (
            (8, 8, 3),
            "Pass input_shape=(3, 8, 8), and rows with the channels first, as "
            "X.reshape(-1, 8, 8, 3).transpose(0, 3, 1, 2).reshape(len(X), -1).",
        ),
    ],
)
def test_channels_that_seem_to_come_last_are_told(shape, advice, tmp_path):
    images = np.random.default_rng(0).random((20, math.prod(shape)))
    message = (
        f"expected (channels, height, width), got input_shape={shape}, which looks "
        f"like (height, width, channels). {advice}"
    )
    estimator = AutoEncoderTransformer(
        2, network=ConvNet(shape, channels=(2,)), max_epochs=1, random_state=0
    )
    for fit in (estimator.fit, clone(estimator).partial_fit):
        with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as told:
            fit(images)
        assert [warning.filename for warning in told] == [__file__]
    # Told once: warnings are errors here.
    estimator.save(tmp_path / "model")
    sk_autoencoder.load(tmp_path / "model")
    estimator.partial_fit(images)
    turned = images.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(len(images), -1)
    estimator.set_params(network__input_shape=(shape[2], *shape[:2])).fit(turned)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 8, 8), (16, 8, 1), (8, 16, 4), (4, 4, 4), (8, 8, 2)]
)
def test_other_shapes_are_taken_as_they_are(shape):
    # Eight channels of 16 x 4 are unusual, and nobody's mistake.
    assert ConvNet(shape).warning_for(math.prod(shape)) is None


@pytest.mark.parametrize("as_rows", [False, True])
def test_shape_of_an_image_without_channels_is_told(as_rows):
    images = np.random.default_rng(0).random((20, 9, 9))
    message = (
        "expected (channels, length) of a signal, or (channels, height, width), got "
        "input_shape=(9, 9), which is 9 channels of length 9 and looks like (height, "
        "width). Pass input_shape=(1, 9, 9) for images."
    )
    estimator = AutoEncoderTransformer(
        2, network=ConvNet((9, 9), channels=(2,)), max_epochs=1, random_state=0
    )
    rows = images.reshape(20, -1) if as_rows else images
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        estimator.fit(rows)
    estimator.set_params(network__input_shape=(1, 9, 9)).fit(rows)


@pytest.mark.parametrize("shape", [(1, 81), (3, 27), (8, 9), (4, 4)])
def test_shapes_of_signals_are_taken_as_they_are(shape):
    assert ConvNet(shape).warning_for(math.prod(shape)) is None


def test_what_is_an_error_is_no_doubt():
    assert ConvNet((8, 8, 3)).warning_for(192) is not None
    for shape in [(8, 8, 3), (8, 8, "3"), (8,), None]:
        assert ConvNet(shape).warning_for(64) is None


def test_a_wrong_number_of_features_tells_of_channels_that_seem_to_come_last():
    message = (
        "expected an image of input_shape=(9, 9, 3), 243 features, got X with 64 "
        "features, where input_shape looks like (height, width, channels). Pass "
        "network=ConvNet(input_shape=...) whose product is X.shape[1]."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build(ConvNet((9, 9, 3)), 64)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 9), (2, 13)])
def test_the_order_in_memory_changes_no_number(shape, upsampling):
    network = ConvNet(shape, channels=(4, 6), upsampling=upsampling)
    decoder = build(network, math.prod(shape))[1]
    codes = torch.randn(5, 3, generator=make_generator(1))
    given = decoder(codes)
    assert given.is_contiguous()
    orders = [part for part in decoder if isinstance(part, Reshape)]
    assert [part.channels_last for part in orders] == [
        upsampling == "nearest" and len(shape) == 3
    ]
    for part in orders:
        part.channels_last = False
    torch.testing.assert_close(decoder(codes), given, rtol=1e-5, atol=1e-6)


def test_the_wrong_order_of_channels_is_guessed():
    colors = np.random.default_rng(0).random((20, 8, 8, 3)).reshape(20, -1)
    message = "which would be 3 channels of \\(8, 8\\)"
    with pytest.raises(ValueError, match=message):
        AutoEncoderTransformer(2, network=ConvNet((1, 8, 8)), max_epochs=1).fit(colors)


def test_missing_pixels_are_marked_and_filled():
    holes = np.random.default_rng(0).random(X.shape) < 0.1
    gaps = np.where(holes, np.nan, X)
    settings = {"max_epochs": 10, "early_stopping": False, "random_state": 0}
    reducer = AutoEncoderTransformer(
        8, network=IMAGES, allow_missing=True, **settings
    ).fit(gaps)
    first = next(m for m in reducer.module_.encoder.modules() if hasattr(m, "stride"))
    assert first.in_channels == 2
    filled = reducer.reconstruct(gaps)
    means = np.broadcast_to(np.nanmean(gaps, axis=0), X.shape)
    errors = [np.square(rows - X)[holes].mean() for rows in (filled, means)]
    assert errors[0] < 0.6 * errors[1]
    # A mark tells a missing cell from one that is as the mean.
    at_mean = np.where(holes, means, X)
    assert np.abs(reducer.transform(gaps) - reducer.transform(at_mean)).max() > 0.1


def test_hidden_features_are_refused():
    with pytest.raises(ValueError, match="expected a network of dense layers"):
        DenoisingAutoEncoderTransformer(features="hidden", network=IMAGES).fit(X)
