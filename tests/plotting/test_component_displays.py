"""What the displays of components draw, read back from the artists."""

import re
from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA, KernelPCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sk_autoencoder import AutoEncoderOutlierDetector, AutoEncoderTransformer
from sk_autoencoder.networks import RecurrentNet
from sk_autoencoder.plotting import (
    BiplotDisplay,
    ComponentsDisplay,
    OutlierContributionsDisplay,
    TraversalDisplay,
)

mpl.use("Agg")

WINE = load_wine(as_frame=True)
X = (WINE.data - WINE.data.mean()) / WINE.data.std()
SHORT = {"max_epochs": 3, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return AutoEncoderTransformer(3, **SHORT).fit(X)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def labels(axis_labels):
    return [label.get_text() for label in axis_labels]


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize("reducer", ["autoencoder", "PCA"])
def test_bars_are_the_largest_components(model, reducer):
    fitted = model if reducer == "autoencoder" else PCA(3).fit(X)
    display = ComponentsDisplay.from_estimator(fitted, components=[2, 0], n_features=4)
    for bars, own in zip(display.bars_, fitted.components_[[2, 0]], strict=True):
        order = np.argsort(-np.abs(own))[:4]
        np.testing.assert_allclose([bar.get_width() for bar in bars], own[order])
    names = labels(display.ax_.get_yticklabels())
    first = np.argsort(-np.abs(fitted.components_[2]))[:4]
    assert names[:4] == X.columns[first].tolist()
    assert [text.get_text() for text in display.ax_.texts] == [
        "component 2",
        "component 0",
    ]
    title = f"{type(fitted).__name__}: strongest columns"
    assert display.ax_.get_title() == title


def test_bars_of_tables_are_encoded_columns():
    table = X.iloc[:, :2].assign(kind=pd.Categorical(WINE.target))
    fitted = AutoEncoderTransformer(2, **SHORT).fit(table)
    display = ComponentsDisplay.from_estimator(fitted, n_features=9)
    assert set(labels(display.ax_.get_yticklabels())) == {
        "alcohol",
        "malic_acid",
        "kind_0",
        "kind_1",
        "kind_2",
    }


def test_arrows_point_to_where_columns_grow(model):
    display = BiplotDisplay.from_estimator(model, X, WINE.target, n_features=5)
    codes = model.transform(X)[:, :2]
    ways = model.components_[:2].T * codes.std(axis=0)
    order = np.argsort(-np.linalg.norm(ways, axis=1))[:5]
    assert labels(display.names_) == X.columns[order].tolist()
    center = codes.mean(axis=0)
    extent = np.abs(codes - center).max(axis=0)
    for arrow, j in zip(display.arrows_, order, strict=True):
        way = (np.array(arrow.xy) - center) / extent
        expected = ways[j] / np.linalg.norm(ways[order[0]]) * 0.8
        np.testing.assert_allclose(way, expected)
        np.testing.assert_allclose(arrow.xyann, center, atol=1e-12)
    assert len(labels(display.points_.legend_.get_texts())) == 3
    assert (
        display.ax_.get_title()
        == "AutoEncoderTransformer: 178 samples and their columns"
    )


def test_arrows_too_short_to_be_seen_have_no_name():
    ways = [[1.0, 0.0, 0.04, 0.06], [0.0, 0.5, 0.0, 0.0]]
    display = BiplotDisplay([[1, 1], [1, -1], [-1, 1], [-1, -1]], ways).plot()
    assert labels(display.names_) == ["x0", "x1", "x3"]
    assert len(display.arrows_) == 4
    assert BiplotDisplay([[1, 1], [-1, -1]], np.zeros((2, 3))).plot().names_ == []


@pytest.mark.parametrize(
    ("first", "last", "draw"),
    [
        (
            StandardScaler(),
            PCA(2),
            lambda pipe, X: ComponentsDisplay.from_estimator(pipe),
        ),
        (StandardScaler(), PCA(2), BiplotDisplay.from_estimator),
        (Normalizer(), PCA(2), partial(TraversalDisplay.from_estimator, kind="table")),
        (
            StandardScaler(),
            AutoEncoderOutlierDetector(AutoEncoderTransformer(2, **SHORT)),
            OutlierContributionsDisplay.from_estimator,
        ),
    ],
)
def test_pipelines_are_told_to_pass_their_last_step(first, last, draw):
    pipe = make_pipeline(first, last).fit(X)
    way_out = "Pass its last step, as pipe[-1], and any X as pipe[:-1].transform(X)."
    with pytest.raises(TypeError, match=f"(?s)Pipeline.*{re.escape(way_out)}$"):
        draw(pipe, X)
    draw(pipe[-1], pipe[:-1].transform(X))


def test_last_steps_that_will_not_do_are_not_recommended():
    pipe = make_pipeline(StandardScaler(), KernelPCA(2)).fit(X)
    with pytest.raises(TypeError, match=r"Pass an autoencoder with a code, or PCA\.$"):
        ComponentsDisplay.from_estimator(pipe)


def test_images_are_decoded_steps():
    pixels = load_digits().data
    fitted = AutoEncoderTransformer(4, **SHORT).fit(pixels)
    display = TraversalDisplay.from_estimator(
        fitted, pixels, row=5, components=[1, 3], n_steps=5, span=3
    )
    codes = fitted.transform(pixels)
    moved = codes[5] + 3 * codes[:, 1].std() * np.eye(4)[1]
    expected = fitted.inverse_transform(moved[np.newaxis]).reshape(8, 8)
    picture = display.image_.get_array()
    np.testing.assert_allclose(picture[:8, -8:], expected, atol=1e-6)
    middle = fitted.inverse_transform(codes[5:6]).reshape(8, 8)
    np.testing.assert_allclose(picture[9:17, 18:26], middle, atol=1e-6)
    assert labels(display.ax_.get_xticklabels()) == ["-3", "-1.5", "0", "+1.5", "+3"]
    assert labels(display.ax_.get_yticklabels()) == ["component 1", "component 3"]


def test_rows_of_a_traversal_are_named_as_the_columns_of_a_frame_of_numbers(model):
    display = TraversalDisplay.from_estimator(model, X, n_steps=3, n_features=2)
    drawn = [label.get_text().split("\n")[0] for label in display.ax_.get_yticklabels()]
    assert len(drawn) == 6
    assert all(any(name in label for name in X.columns) for label in drawn)


def test_tables_show_the_columns_that_change():
    table = X.iloc[:, :3].assign(kind=pd.Categorical(list("ab") * 89))
    fitted = AutoEncoderTransformer(2, **SHORT).fit(table)
    display = TraversalDisplay.from_estimator(fitted, table, n_steps=3, n_features=2)
    assert len(display.texts_) == 2 * 2 * 3
    assert set(labels(display.ax_.get_yticklabels())) <= set(table.columns)
    changes = display.image_.get_array()
    np.testing.assert_array_equal(changes[:, 1], 0)
    assert (np.abs(changes).max(axis=1) > 0).all()


def test_series_are_lines():
    series = np.random.default_rng(0).normal(size=(60, 12)).cumsum(axis=1)
    fitted = AutoEncoderTransformer(2, network=RecurrentNet((6, 2)), **SHORT)
    display = TraversalDisplay.from_estimator(fitted.fit(series), series, n_steps=3)
    assert len(display.lines_) == 2 * 2 * 3  # components, channels, steps
    assert len(display.lines_[0].get_xdata()) == 6
    assert labels(display.ax_.get_yticklabels())[1] == "component 0, channel 1"


def test_wrong_arguments_are_refused(model):
    kernel = KernelPCA(2).fit(X)
    with pytest.raises(TypeError, match="expected a reducer with components_"):
        ComponentsDisplay.from_estimator(kernel)
    with raises(
        ValueError,
        "expected components from 0 to 2, got components=[3]. Pass some of these.",
    ):
        ComponentsDisplay.from_estimator(model, components=[3])
    with raises(
        ValueError,
        "expected at least one feature, got n_features=0. Pass n_features=1 or more.",
    ):
        ComponentsDisplay.from_estimator(model, n_features=0)
    with pytest.raises(ValueError, match="expected 2 feature_names, one a column"):
        ComponentsDisplay([[1, 2]], feature_names=["a"]).plot()
    with pytest.raises(ValueError, match="expected two components, got components of"):
        BiplotDisplay.from_estimator(model, X, components=(0, 1, 2))
    with pytest.raises(ValueError, match="expected an odd number of steps"):
        TraversalDisplay.from_estimator(model, X, n_steps=4)
    with pytest.raises(ValueError, match="expected a row of X, which has 178"):
        TraversalDisplay.from_estimator(model, X, row=178)
    with pytest.raises(ValueError, match="expected a sample for each of 2 steps"):
        TraversalDisplay(np.ones((3, 4)), [-1, 1]).plot()
