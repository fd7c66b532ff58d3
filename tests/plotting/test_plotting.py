"""Displays: what they draw, read back from the artists."""

import re
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from made_tables import adult_rows
from matplotlib.colors import to_hex, to_rgba
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from sk_autoencoder import AutoEncoderTransformer, VAETransformer
from sk_autoencoder.networks import ConvNet, UserNetwork
from sk_autoencoder.plotting import (
    LatentDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
)
from sk_autoencoder.plotting._common import OKABE_ITO

mpl.use("Agg")

DISPLAYS = [LossCurveDisplay, LatentDisplay, ReconstructionDisplay]


class Trained(BaseEstimator):
    """What a display asks of an autoencoder that has been trained."""

    def __init__(self, loss_curve, validation=(), best_epoch=None, label=None):
        self.loss_curve = loss_curve
        self.validation = validation
        self.best_epoch = best_epoch
        self.label = label

    def fit(self, X=None, y=None):
        self.loss_curve_ = self.loss_curve
        self.validation_loss_curve_ = self.validation
        if self.best_epoch is not None:
            self.best_epoch_ = self.best_epoch
        if self.label is not None:
            self._loss_label = self.label
        return self


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def pca(digits):
    return PCA(10, random_state=0).fit(digits[0])


@pytest.fixture(scope="module")
def autoencoder(digits):
    return AutoEncoderTransformer(3, max_epochs=4, random_state=0).fit(digits[0])


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def texts(artists):
    return [artist.get_text() for artist in artists]


def points_of(display):
    """All points drawn, sorted: they are drawn in a random order."""
    drawn = np.vstack([np.asarray(s.get_offsets()) for s in display.scatters_])
    return drawn[np.lexsort(drawn.T)]


def draw(display, pca, autoencoder, X, **options):
    if display is LossCurveDisplay:
        return display.from_estimator(autoencoder, **options)
    return display.from_estimator(pca, X, **options)


# ---------------------------------------------------------------- the convention


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_ax_a_figure_is_made(display, pca, autoencoder, digits):
    drawn = draw(display, pca, autoencoder, digits[0])
    assert isinstance(drawn, display)
    assert plt.get_fignums() == [drawn.figure_.number]
    assert drawn.ax_.figure is drawn.figure_


@pytest.mark.parametrize("display", DISPLAYS)
def test_ax_is_drawn_on(display, pca, autoencoder, digits):
    figure, (left, right) = plt.subplots(1, 2)
    drawn = draw(display, pca, autoencoder, digits[0], ax=right)
    assert drawn.ax_ is right
    assert drawn.figure_ is figure
    assert right.has_data()
    assert not left.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("display", DISPLAYS)
def test_plot_draws_again_and_returns_the_display(display, pca, autoencoder, digits):
    drawn = draw(display, pca, autoencoder, digits[0])
    first = drawn.ax_
    assert drawn.plot() is drawn
    assert drawn.ax_ is not first
    assert drawn.ax_.get_title() == first.get_title()


@pytest.mark.parametrize("display", DISPLAYS)
def test_name_stands_in_the_title(display, pca, autoencoder, digits):
    drawn = draw(display, pca, autoencoder, digits[0], name="Zaphod")
    assert drawn.ax_.get_title().startswith("Zaphod: ")
    assert drawn.plot(name="Trillian").ax_.get_title().startswith("Trillian: ")


def test_titles_name_the_class_or_the_last_step(pca, autoencoder, digits):
    X = digits[0]
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    assert [
        LossCurveDisplay.from_estimator(autoencoder).ax_.get_title(),
        LatentDisplay.from_estimator(pca, X).ax_.get_title(),
        LatentDisplay.from_estimator(pipeline, X).ax_.get_title(),
        ReconstructionDisplay.from_estimator(pca, X).ax_.get_title(),
    ] == [
        "AutoEncoderTransformer: loss by epoch",
        "PCA: code of 1,797 rows",
        "PCA: code of 1,797 rows",
        "PCA: images and reconstructions",
    ]
    assert [
        LossCurveDisplay([1.0]).plot().ax_.get_title(),
        LatentDisplay([[0, 1]]).plot().ax_.get_title(),
        ReconstructionDisplay(X[:1], X[:1]).plot().ax_.get_title(),
    ] == ["Loss by epoch", "", "Images and reconstructions"]


@pytest.mark.parametrize("display", DISPLAYS)
def test_no_global_setting_is_changed(display, pca, autoencoder, digits):
    before = dict(mpl.rcParams)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one is meant
    draw(display, pca, autoencoder, digits[0])
    assert dict(mpl.rcParams) == before
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_pictures_can_be_saved(display, suffix, pca, autoencoder, digits, tmp_path):
    path = tmp_path / f"picture.{suffix}"
    draw(display, pca, autoencoder, digits[0][:50]).figure_.savefig(path)
    assert path.stat().st_size > 1_000


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib(display, pca, autoencoder, digits, monkeypatch):
    drawn = draw(display, pca, autoencoder, digits[0])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = (
        "expected matplotlib to be installed, got {}.{} called without it. Run pip "
        'install "sk_autoencoder[plot]".'
    )
    with raises(ImportError, message.format(display.__name__, "from_estimator")):
        draw(display, pca, autoencoder, digits[0])
    with raises(ImportError, message.format(display.__name__, "plot")):
        drawn.plot()


# ------------------------------------------------------------------- LossCurveDisplay


def test_loss_curves_are_drawn_from_epoch_one_on():
    est = Trained([3.0, 2.0, 1.0], [4.0, 2.5, 2.75], 2, "Loss (nats a row)").fit()
    display = LossCurveDisplay.from_estimator(est)
    np.testing.assert_array_equal(
        display.line_.get_xydata(), [[1, 3.0], [2, 2.0], [3, 1.0]]
    )
    np.testing.assert_array_equal(
        display.validation_line_.get_xydata(), [[1, 4.0], [2, 2.5], [3, 2.75]]
    )
    np.testing.assert_array_equal(display.best_epoch_line_.get_xdata(), [2, 2])
    assert display.ax_.get_xlabel() == "Epoch"
    assert display.ax_.get_ylabel() == "Loss (nats a row)"
    assert display.ax_.get_yscale() == "linear"
    assert texts(display.ax_.get_legend().get_texts()) == [
        "training",
        "validation",
        "best epoch: 2",
    ]


@pytest.mark.parametrize("validation", [(), None, np.array([])])
def test_no_validation_rows_and_no_best_epoch(validation):
    display = LossCurveDisplay.from_estimator(Trained([3.0, 2.0], validation).fit())
    assert display.validation_line_ is None
    assert display.best_epoch_line_ is None
    assert texts(display.ax_.get_legend().get_texts()) == ["training"]
    assert display.ax_.get_ylabel() == "Loss"


def test_best_epoch_before_training():
    display = LossCurveDisplay([3.0, 2.0], [1.0, 2.0], best_epoch=0).plot()
    np.testing.assert_array_equal(display.best_epoch_line_.get_xdata(), [0, 0])
    assert texts(display.ax_.get_legend().get_texts())[-1] == (
        "best epoch: 0, before training"
    )


def test_log_scale():
    display = LossCurveDisplay.from_estimator(
        Trained([3.0, 0.1], [2.0, 1.0]).fit(), log_scale=True
    )
    assert display.ax_.get_yscale() == "log"


@pytest.mark.parametrize(
    ("loss_curve", "validation"), [([3.0, 0.0], None), ([3.0, 1.0], [1.0, 0.0])]
)
def test_log_scale_of_what_has_no_logarithm(loss_curve, validation):
    with raises(
        ValueError,
        "expected losses above 0 for log_scale=True, got 0. Pass log_scale=False: a "
        "log-likelihood, for one, may have either sign.",
    ):
        LossCurveDisplay(loss_curve, validation).plot(log_scale=True)
    assert plt.get_fignums() == []


def test_a_single_epoch_is_visible():
    display = LossCurveDisplay([3.0], [2.0]).plot()
    assert display.line_.get_marker() == display.validation_line_.get_marker() == "o"
    assert LossCurveDisplay([3.0, 1.0]).plot().line_.get_marker() == "None"
    ticks = display.ax_.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())


@pytest.mark.parametrize("kind", [AutoEncoderTransformer, VAETransformer])
def test_loss_curves_of_the_estimators(kind, digits):
    est = kind(2, max_epochs=3, random_state=0).fit(digits[0])
    display = LossCurveDisplay.from_estimator(est)
    np.testing.assert_allclose(display.line_.get_ydata(), est.loss_curve_)
    np.testing.assert_allclose(
        display.validation_line_.get_ydata(), est.validation_loss_curve_
    )
    assert display.best_epoch_line_.get_xdata()[0] == est.best_epoch_
    assert display.ax_.get_ylabel() == getattr(est, "_loss_label", "Loss")


def test_phases_are_apart_and_named(digits):
    phases = ["layer 1", "layer 1", "layer 2", "all layers", "all layers"]
    train, validation = [5.0, 4.0, 3.0, 2.0, 1.0], [6.0, 5.0, 4.0, 3.0, 2.0]
    display = LossCurveDisplay(train, validation, phases=phases).plot(log_scale=True)
    for line, curve in (
        (display.line_, train),
        (display.validation_line_, validation),
    ):
        x, y = line.get_data()
        np.testing.assert_array_equal(x, [1, 2, np.nan, 3, np.nan, 4, 5])
        np.testing.assert_array_equal(
            y, [*curve[:2], np.nan, curve[2], np.nan, *curve[3:]]
        )
        assert line.get_marker() == "o"  # a phase of one epoch is seen
    assert texts(display.phase_labels_) == ["layer 1", "layer 2", "all layers"]
    assert [label.xy[0] for label in display.phase_labels_] == [0.5, 2.5, 3.5]
    between = {line.get_xdata()[0] for line in display.ax_.lines[2:]}
    assert between == {2.5, 3.5}
    with raises(
        ValueError,
        "expected phases of 5 epochs, as many as loss_curve has, got 2. Pass one name "
        "for each epoch, or None.",
    ):
        LossCurveDisplay(train, phases=phases[:2]).plot()


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_phases_of_an_estimator(loss, digits):
    est = AutoEncoderTransformer(
        2,
        hidden_layer_sizes=(5,),
        init="random",
        pretrain="layerwise",
        loss=loss,
        max_epochs=3,
        random_state=0,
    ).fit(digits[0] / 16)
    display = LossCurveDisplay.from_estimator(est)
    assert texts(display.phase_labels_) == ["layer 1", "layer 2", "all layers"]
    drawn = display.line_.get_ydata()
    np.testing.assert_allclose(drawn[~np.isnan(drawn)], est.loss_curve_)
    assert ("hidden layers" in display.ax_.get_ylabel()) == (loss != "squared_error")
    whole = est.set_params(pretrain=None).fit(digits[0] / 16)
    assert LossCurveDisplay.from_estimator(whole).phase_labels_ == []


def test_loss_curves_of_nothing():
    with raises(
        ValueError,
        "expected the loss of at least one epoch, got an empty loss_curve. Fit with "
        "max_epochs of 1 or more.",
    ):
        LossCurveDisplay([]).plot()
    with raises(
        ValueError,
        "expected a validation_loss_curve of 2 epochs, as many as loss_curve has, got "
        "3. Pass one value for each epoch, or None.",
    ):
        LossCurveDisplay([1.0, 2.0], [1.0, 2.0, 3.0]).plot()
    with raises(
        TypeError,
        "expected an estimator with loss_curve_, got estimator=PCA(). Pass an "
        "autoencoder, or a Pipeline that ends in one, such as the search's "
        "best_estimator_.",
    ):
        LossCurveDisplay.from_estimator(PCA().fit(np.eye(3)))
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(AutoEncoderTransformer())


def test_the_curve_of_a_pipeline_is_that_of_its_last_step(autoencoder, digits):
    pipeline = make_pipeline(StandardScaler().fit(digits[0]), autoencoder)
    display = LossCurveDisplay.from_estimator(pipeline)
    assert list(display.line_.get_ydata()) == autoencoder.loss_curve_
    assert display.ax_.get_title().startswith(type(autoencoder).__name__)


# ---------------------------------------------------------------------- LatentDisplay


@pytest.mark.parametrize("components", [(0, 1), (2, 0)])
def test_two_components_are_drawn(components, pca, autoencoder, digits):
    X = digits[0][:300]
    for est, prefix in [(pca, "pca"), (autoencoder, "autoencodertransformer")]:
        display = LatentDisplay.from_estimator(est, X, components=components)
        Z = np.asarray(est.transform(X))[:, components]
        np.testing.assert_allclose(points_of(display), Z[np.lexsort(Z.T)])
        assert display.ax_.get_xlabel() == f"{prefix}{components[0]}"
        assert display.ax_.get_ylabel() == f"{prefix}{components[1]}"
        assert display.legend_ is None
        assert display.colorbar_ is None


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_codes_in_frames(container, digits):
    X = digits[0][:50]
    pca = PCA(3).set_output(transform=container).fit(X)
    display = LatentDisplay.from_estimator(pca, X)
    Z = PCA(3).fit_transform(X)[:, :2]
    np.testing.assert_allclose(points_of(display), Z[np.lexsort(Z.T)])


def test_sparse_codes_and_codes_without_names():
    halve = FunctionTransformer(lambda X: X / 2)
    X = sparse.csr_array(np.arange(6.0).reshape(3, 2))
    display = LatentDisplay.from_estimator(halve.fit(X), X)
    np.testing.assert_array_equal(points_of(display), [[0, 0.5], [1, 1.5], [2, 2.5]])
    assert display.ax_.get_xlabel() == "component 0"
    assert display.ax_.get_ylabel() == "component 1"
    pipeline = make_pipeline(halve, PCA(2)).fit(X.toarray())
    display = LatentDisplay.from_estimator(pipeline, X.toarray(), components=(1, 0))
    assert display.ax_.get_xlabel() in {"component 1", "pca1"}


CLASSES = {
    "text": (["b", "a", "b"], ["a", "b"]),
    "booleans": ([True, False, True], ["False", "True"]),
    "numbers": ([10, 9, 10], ["9", "10"]),
    "whole floats": ([2.0, 1.0, np.nan], ["1", "2", "missing"]),
    "large floats": ([1234568.0, 1234567.0, np.nan], ["1234567", "1234568", "missing"]),
    "None": (["b", None, "a"], ["a", "b", "missing"]),
    "categories": (pd.Categorical(["x", None, "w"]), ["w", "x", "missing"]),
    "masked": (pd.array([1, None, 0], dtype="Int64"), ["0", "1", "missing"]),
    "objects": (np.array(["b", pd.NA, "a"], dtype=object), ["a", "b", "missing"]),
    "polars": (pl.Series(["v", "u", "v"]), ["u", "v"]),
    "mixed": (["2", "10", "a"], ["2", "10", "a"]),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_have_colors_and_a_legend(kind):
    y, names = CLASSES[kind]
    Z = np.arange(6.0).reshape(3, 2)
    display = LatentDisplay(Z, y).plot()
    assert texts(display.legend_.get_texts()) == names
    assert display.colorbar_ is None
    assert display.class_labels_ == []
    (scatter,) = display.scatters_
    color_of = dict(zip(names, OKABE_ITO, strict=False)) | {"missing": "#777777"}
    drawn = {
        tuple(point): to_hex(color).upper()
        for point, color in zip(
            scatter.get_offsets().tolist(), scatter.get_facecolors(), strict=True
        )
    }
    labels = ["missing" if pd.isna(v) else v for v in list(y)]
    labels = [f"{v:.0f}" if isinstance(v, float) else str(v) for v in labels]
    assert drawn == {
        tuple(point): color_of[label]
        for point, label in zip(Z.tolist(), labels, strict=True)
    }
    handles = [to_hex(h.get_color()).upper() for h in display.legend_.legend_handles]
    assert handles == [color_of[name] for name in names]


def test_more_classes_than_colors_get_markers_and_names(pca, digits):
    X, y = digits
    display = LatentDisplay.from_estimator(pca, X, y)
    assert texts(display.legend_.get_texts()) == [str(i) for i in range(10)]
    looks = [
        (handle.get_color(), handle.get_marker())
        for handle in display.legend_.legend_handles
    ]
    assert len(set(looks)) == 10
    assert looks[:8] == [(color, "o") for color in OKABE_ITO]
    first, second = display.scatters_
    assert len(first.get_offsets()) == np.sum(y < 8)
    assert len(second.get_offsets()) == np.sum(y >= 8)
    assert texts(display.class_labels_) == [str(i) for i in range(10)]
    Z = pca.transform(X)[:, :2]
    np.testing.assert_allclose(
        display.class_labels_[3].get_position(), np.median(Z[y == 3], axis=0)
    )


def test_the_rarest_of_very_many_classes_share_a_look():
    # Class i has i + 1 rows: of 23 classes the first three are the rarest.
    y = np.repeat(np.arange(23), np.arange(1, 24)).astype(str)
    display = LatentDisplay(np.random.default_rng(0).normal(size=(len(y), 2)), y).plot()
    assert texts(display.legend_.get_texts()) == [
        *[str(i) for i in range(3, 23)],
        "all others",
    ]
    assert len(texts(display.class_labels_)) == 20
    assert sum(len(s.get_offsets()) for s in display.scatters_) == len(y)


@pytest.mark.parametrize("name", ["{}", "class {} of those with a rather long name"])
@pytest.mark.parametrize("n_components", [2, 3])
def test_legends_of_many_classes_lie_in_the_figure(n_components, name):
    y = [name.format(i) for i in range(20)] * 5
    Z = np.random.default_rng(0).normal(size=(100, n_components))
    display = LatentDisplay(Z, y, estimator_name="PCA").plot()
    display.figure_.canvas.draw()
    whole = display.figure_.bbox
    for artist in (display.legend_, display.ax_.title):
        box = artist.get_window_extent()
        assert whole.contains(box.x0, box.y0)
        assert whole.contains(box.x1, box.y1)
    # Long names would hide the points, and each other.
    assert len(display.class_labels_) == (20 if name == "{}" else 0)
    assert max(map(len, texts(display.legend_.get_texts()))) <= 32


@pytest.mark.parametrize(
    "y", [[0.5, 1, 2], np.arange(3) / 2, list(range(21)), np.arange(21.0)]
)
def test_continuous_targets_have_a_color_bar(y):
    Z = np.random.default_rng(0).normal(size=(len(y), 2))
    display = LatentDisplay(Z, y, target_name="age").plot()
    assert display.legend_ is None
    (scatter,) = display.scatters_
    assert display.colorbar_.mappable is scatter
    assert display.colorbar_.ax.get_ylabel() == "age"
    assert scatter.get_cmap().name == "viridis"
    value_at = {tuple(point): value for point, value in zip(Z, y, strict=True)}
    assert scatter.get_array().tolist() == [
        value_at[tuple(point)] for point in scatter.get_offsets().tolist()
    ]
    plain = LatentDisplay(Z, y).plot(cmap="cividis")
    assert plain.scatters_[0].get_cmap().name == "cividis"
    assert plain.colorbar_.ax.get_ylabel() == ""


def test_twenty_numbers_are_classes():
    Z = np.random.default_rng(0).normal(size=(20, 2))
    assert LatentDisplay(Z, np.arange(20.0)).plot().colorbar_ is None


def test_the_target_lends_its_name():
    X, y = load_iris(return_X_y=True, as_frame=True)
    pca = PCA(2).fit(X)
    display = LatentDisplay.from_estimator(pca, X, y)
    assert display.legend_.get_title().get_text() == "target"
    display = LatentDisplay.from_estimator(pca, X, y, target_name="species")
    assert display.legend_.get_title().get_text() == "species"
    measured = LatentDisplay.from_estimator(pca, X, X["petal width (cm)"])
    assert measured.colorbar_.ax.get_ylabel() == "petal width (cm)"


@pytest.mark.parametrize("y", [None, "classes", "scale"])
def test_more_rows_are_smaller_points(y):
    sizes = []
    for n_rows in (1_000, 10_000, 10_001):
        Z = np.random.default_rng(0).normal(size=(n_rows, 2))
        target = {"classes": Z[:, 0] > 0, "scale": Z[:, 0]}.get(y)
        (scatter,) = LatentDisplay(Z, target).plot().scatters_
        sizes.append(scatter.get_sizes()[0])
        assert scatter.get_rasterized() == (n_rows > 10_000)
    assert sizes[0] > sizes[1] > sizes[2]


def test_scatter_options_go_to_matplotlib():
    display = LatentDisplay([[0, 1], [1, 0]], ["a", "b"])
    (scatter,) = display.plot(s=123, alpha=0.25).scatters_
    assert scatter.get_sizes().tolist() == [123]
    assert scatter.get_facecolors()[0, 3] == 0.25
    (scatter,) = LatentDisplay([[0, 1]]).plot(c="red", alpha=1).scatters_
    np.testing.assert_array_equal(scatter.get_facecolors(), [to_rgba("red")])


def test_no_class_hides_another():
    # Sorted by class in, mixed out; and each time in the same way.
    Z = np.column_stack([np.arange(1_000), np.arange(1_000)])
    display = LatentDisplay(Z, np.repeat(["a", "b"], 500))
    first = np.asarray(display.plot().scatters_[0].get_offsets())
    assert 150 < np.sum(first[:500, 0] < 500) < 350
    np.testing.assert_array_equal(first, display.plot().scatters_[0].get_offsets())


def test_latent_display_refuses(pca, digits):
    X = digits[0]
    for components in [(0, 10), (-1, 0)]:
        with raises(
            ValueError,
            f"expected components from 0 to 9, got components={components}, because "
            "the code has 10 columns. Pass 2 of these, or fit with a larger "
            "n_components.",
        ):
            LatentDisplay.from_estimator(pca, X, components=components)
    with raises(
        ValueError,
        "expected components from 0 to 0, got components=(0, 1), because the code has "
        "1 column. Pass 2 of these, or fit with a larger n_components.",
    ):
        LatentDisplay.from_estimator(PCA(1).fit(X), X)
    with raises(
        ValueError,
        "expected two or three components, got components=(0, 1, 2, 3). Pass column "
        "numbers, such as components=(0, 1).",
    ):
        LatentDisplay.from_estimator(pca, X, components=(0, 1, 2, 3))
    with raises(
        ValueError,
        "expected y of shape (1797,), one value a row, got shape (3,). Pass the target "
        "of the same rows.",
    ):
        LatentDisplay.from_estimator(pca, X, [1, 2, 3])
    with raises(
        ValueError,
        "expected Z of shape (n_samples, 2) or (n_samples, 3), got shape (4, 4). Pass "
        "two columns of the code, such as Z[:, [0, 1]], or three.",
    ):
        LatentDisplay(np.eye(4)).plot()
    with raises(
        TypeError,
        "expected an estimator with transform, got estimator=TSNE(). Pass a reducer "
        "such as PCA or AutoEncoderTransformer, or a Pipeline that ends in one.",
    ):
        LatentDisplay.from_estimator(TSNE(), X)
    with pytest.raises(NotFittedError):
        LatentDisplay.from_estimator(PCA(), X)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("y", ["none", "few classes", "many classes", "scale"])
def test_three_components_are_drawn_in_three_dimensions(y, pca, digits):
    X, target = digits[0][:300], digits[1][:300]
    target = {
        "none": None,
        "few classes": target % 3,
        "many classes": target,
        "scale": X.sum(axis=1) + 0.5,
    }[y]
    display = LatentDisplay.from_estimator(pca, X, target, components=(2, 0, 1))
    assert display.ax_.name == "3d"
    drawn = np.vstack([np.transpose(s._offsets3d) for s in display.scatters_])
    Z = pca.transform(X)[:, [2, 0, 1]]
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], Z[np.lexsort(Z.T)])
    ax = display.ax_
    names = (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel())
    assert names == ("pca2", "pca0", "pca1")
    assert (display.legend_ is None) == (y in {"none", "scale"})
    assert (display.colorbar_ is None) == (y != "scale")
    if y == "many classes":
        assert texts(display.class_labels_) == [str(i) for i in range(10)]
        np.testing.assert_allclose(
            display.class_labels_[3].get_position_3d(), np.median(Z[target == 3], 0)
        )
    if y == "few classes":
        assert len(set(map(to_hex, display.scatters_[0].get_facecolors()))) == 3
    display.figure_.canvas.draw()


def test_axes_have_as_many_dimensions_as_components():
    flat = plt.figure().add_subplot()
    solid = plt.figure().add_subplot(projection="3d")
    assert LatentDisplay([[0, 1, 2]]).plot(solid).ax_ is solid
    assert LatentDisplay([[0, 1, 2]]).plot(solid).ax_.get_zlabel() == "component 2"
    assert LatentDisplay([[0, 1]]).plot(flat).ax_ is flat
    with raises(
        ValueError,
        f"expected axes of three dimensions for three components, got ax={flat!r}. "
        "Pass those of figure.add_subplot(projection='3d'), or ax=None.",
    ):
        LatentDisplay([[0, 1, 2]]).plot(flat)
    with raises(
        ValueError,
        f"expected axes of two dimensions for two components, got ax={solid!r}. Pass "
        "those of figure.add_subplot(), or ax=None.",
    ):
        LatentDisplay([[0, 1]]).plot(solid)


# -------------------------------------------------------------- ReconstructionDisplay


def tile(picture, i, j, height, width):
    gap = max(1, height // 10)
    top, left = i * (height + gap), j * (width + gap)
    return np.asarray(picture)[top : top + height, left : left + width]


@pytest.mark.parametrize("which", ["pca", "autoencoder"])
def test_images_stand_above_their_reconstructions(which, digits, request):
    est = request.getfixturevalue(which)
    X = digits[0]
    display = ReconstructionDisplay.from_estimator(est, X, n_images=4)
    picture = display.image_.get_array()
    assert picture.shape == (8 + 1 + 8, 4 * 8 + 3)
    reconstructed = est.inverse_transform(est.transform(X[:4]))
    for j in range(4):
        np.testing.assert_allclose(tile(picture, 0, j, 8, 8), X[j].reshape(8, 8))
        np.testing.assert_allclose(
            tile(picture, 1, j, 8, 8), reconstructed[j].reshape(8, 8), rtol=1e-6
        )
    assert np.ma.is_masked(picture[8, 0])
    assert np.ma.is_masked(picture[0, 8])
    assert display.image_.get_clim() == (X[:4].min(), X[:4].max())
    assert texts(display.ax_.get_yticklabels()) == ["input", "reconstruction"]
    np.testing.assert_allclose(display.ax_.get_yticks(), [3.5, 12.5])


def test_noisy_images_are_what_is_reconstructed(pca, digits):
    X = digits[0][:5]
    noisy = X + np.random.default_rng(0).normal(0, 4, X.shape)
    display = ReconstructionDisplay.from_estimator(pca, X, X_noisy=noisy, cmap="bone")
    picture = display.image_.get_array()
    reconstructed = pca.inverse_transform(pca.transform(noisy))
    for i, row in enumerate([X, noisy, reconstructed]):
        np.testing.assert_allclose(tile(picture, i, 4, 8, 8), row[4].reshape(8, 8))
    assert display.image_.get_cmap().name == "bone"
    assert texts(display.ax_.get_yticklabels()) == [
        "input",
        "noisy input",
        "reconstruction",
    ]


def test_image_shapes():
    X = np.arange(24.0).reshape(2, 12)
    flat = ReconstructionDisplay(X, X, image_shape=(3, 4)).plot()
    np.testing.assert_array_equal(
        tile(flat.image_.get_array(), 1, 1, 3, 4), X[1].reshape(3, 4)
    )
    one = ReconstructionDisplay(X, X, image_shape=(1, 4, 3)).plot()
    np.testing.assert_array_equal(
        tile(one.image_.get_array(), 0, 1, 4, 3), X[1].reshape(4, 3)
    )
    three = ReconstructionDisplay(X, X + 100, image_shape=(3, 2, 2)).plot()
    picture = three.image_.get_array()
    # Channels come last in a picture, and a value between 0 and 1.
    np.testing.assert_allclose(
        tile(picture, 0, 1, 2, 2), X[1].reshape(3, 2, 2).transpose(1, 2, 0) / 23
    )
    np.testing.assert_array_equal(tile(picture, 1, 0, 2, 2), np.ones((2, 2, 3)))
    # White between the images: a masked pixel has no color of its own here.
    assert not np.ma.is_masked(picture)
    np.testing.assert_array_equal(picture[2, 0], [1, 1, 1])


def test_images_of_one_value():
    X = np.ones((2, 12))
    # One channel is left to matplotlib to scale; of three the least value is black.
    for shape, value in [((3, 4), 1.0), ((3, 2, 2), 0.0)]:
        display = ReconstructionDisplay(X, X, image_shape=shape).plot()
        display.figure_.canvas.draw()
        picture = display.image_.get_array()
        for i, j in np.ndindex(2, 2):
            image = tile(picture, i, j, *shape[-2:])
            assert np.isfinite(image).all()
            np.testing.assert_array_equal(image, value)


@pytest.mark.parametrize(
    "convert", [pd.DataFrame, pl.DataFrame, sparse.csr_array, sparse.coo_matrix]
)
def test_images_in_other_containers(convert, digits):
    X = convert(digits[0][:50])
    pca = PCA(3, svd_solver="arpack", random_state=0).fit(X)
    display = ReconstructionDisplay.from_estimator(pca, X, n_images=2)
    np.testing.assert_array_equal(
        tile(display.image_.get_array(), 0, 1, 8, 8), digits[0][1].reshape(8, 8)
    )


def test_rows_are_taken_by_place_and_not_by_index(digits):
    # pandas 2 reads frame[:2] as labels where the index holds fractions.
    X = pd.DataFrame(digits[0], index=np.arange(1797) / 1797)
    pca = PCA(2).fit(X)
    display = ReconstructionDisplay.from_estimator(pca, X, n_images=2)
    assert display.image_.get_array().shape == (17, 2 * 8 + 1)


def test_fewer_rows_than_images(pca, digits):
    display = ReconstructionDisplay.from_estimator(pca, digits[0][:3], n_images=10)
    assert display.image_.get_array().shape == (17, 3 * 8 + 2)


FAST = {"max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((1, 8, 8), (8, 8)), ((2, 4, 8), (8, 8)), ((3, 2, 4), (2, 4, 3))],
    ids=["gray", "two channels", "colors"],
)
def test_images_of_a_network_have_its_shape(shape, drawn, digits):
    X = digits[0][:50, : np.prod(shape)]
    ae = AutoEncoderTransformer(2, network=ConvNet(shape, channels=(2,)), **FAST)
    ae.fit(X.reshape(-1, *shape))
    one, other = (
        ReconstructionDisplay.from_estimator(ae, rows, n_images=2)
        for rows in (X, X.reshape(-1, *shape))
    )
    picture = one.image_.get_array()
    np.testing.assert_array_equal(picture, other.image_.get_array())
    expected = X[1].reshape(shape)
    if shape[0] == 3:
        expected = expected.transpose(1, 2, 0)
        expected = (expected - X[:2].min()) / (X[:2].max() - X[:2].min())
    height, width = drawn[:2]
    np.testing.assert_allclose(
        tile(picture, 0, 1, height, width), expected.reshape(drawn)
    )


def test_arrays_of_images_have_their_own_shape():
    X = np.arange(48.0).reshape(2, 4, 6)
    picture = ReconstructionDisplay(X, X.reshape(2, 24)).plot().image_.get_array()
    np.testing.assert_array_equal(tile(picture, 0, 1, 4, 6), X[1])


def steps_and_channels(n_in, n_out):
    return nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out))


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("turned", [False, True], ids=["steps first", "channels first"])
def test_series_lie_under_their_reconstructions(turned, noisy):
    rng = np.random.default_rng(0)
    S = rng.normal(size=(40, 10, 2)).cumsum(axis=1)
    X, network = (
        (np.moveaxis(S, 1, 2), ConvNet((2, 10), channels=(2,)))
        if turned
        else (S, UserNetwork(steps_and_channels, linear, input_shape=(10, 2)))
    )
    ae = AutoEncoderTransformer(2, network=network, init="pca", **FAST).fit(X)
    given = X + rng.normal(size=X.shape) if noisy else X
    display = ReconstructionDisplay.from_estimator(
        ae, X, X_noisy=given if noisy else None, n_images=3
    )
    rebuilt = ae.reconstruct(given)
    rebuilt = np.moveaxis(rebuilt, 1, 2) if turned else rebuilt
    rows = [S, *([np.moveaxis(given, 1, 2) if turned else given] * noisy), rebuilt]
    low, high = S[:3].min(axis=(0, 1)), S[:3].max(axis=(0, 1))
    lines = iter(display.lines_)
    for band, (i, channel) in enumerate(np.ndindex(3, 2)):
        for values in rows:
            line = next(lines)
            np.testing.assert_array_equal(line.get_xdata(), np.arange(10))
            height = (line.get_ydata() + 1.25 * band) * (high - low)[channel]
            np.testing.assert_allclose(
                height + low[channel], values[i, :, channel], atol=1e-9
            )
    assert list(lines) == []
    assert texts(display.ax_.get_yticklabels())[:3] == [
        "row 0, channel 0",
        "row 0, channel 1",
        "row 1, channel 0",
    ]
    labels = ["input", *(["noisy input"] * noisy), "reconstruction"]
    assert texts(display.ax_.get_legend().get_texts()) == labels
    assert display.ax_.get_xlabel() == "Step"
    assert display.ax_.get_title() == (
        "AutoEncoderTransformer: series and reconstructions"
    )
    assert display.image_ is None


def test_series_of_any_reducer(pca, digits):
    display = ReconstructionDisplay.from_estimator(pca, digits[0], kind="series")
    assert len(display.lines_) == 8
    assert texts(display.ax_.get_yticklabels()) == [f"row {i}" for i in range(4)]
    np.testing.assert_allclose(
        display.lines_[2].get_ydata(), digits[0][1] / digits[0][:4].max() - 1.25
    )


TABLE = pd.DataFrame(
    {
        "age": [39, 50, 38, 53],
        "pay": [1.5, 2.25, np.nan, 3.0],
        "job": pd.Categorical(["clerk", "manager of very much", None, "clerk"]),
        "sunny": [True, False, True, False],
    }
)


def as_polars(frame):
    return pl.DataFrame(
        {
            name: [None if pd.isna(cell) else cell for cell in column.tolist()]
            for name, column in frame.items()
        }
    )


@pytest.mark.parametrize("convert", [lambda X: X, as_polars], ids=["pandas", "polars"])
def test_cells_stand_beside_what_became_of_them(convert):
    rebuilt = TABLE.assign(age=[39, 45, 38, 53], pay=[1.5, 2.0, 2.5, 99.0])
    rebuilt["job"] = ["clerk", "clerk", "clerk", "other"]
    display = ReconstructionDisplay(convert(TABLE), convert(rebuilt)).plot()
    cells = np.reshape(texts(display.texts_), (4, 4, 2))
    assert cells[:, 1].tolist() == [
        ["50", "45"],
        ["2.25", "2"],
        ["manager of ve…", "clerk"],
        ["False", "False"],
    ]
    assert cells[1:3, 2].tolist() == [["missing", "2.5"], ["missing", "clerk"]]
    errors = np.ma.filled(display.image_.get_array(), np.nan).reshape(4, 4, 2)
    assert np.isnan(errors[:, :, 0]).all()
    spread = np.std([39, 50, 38, 53])
    np.testing.assert_allclose(errors[0, :, 1], [0, 5 / spread, 0, 0])
    assert errors[1, 3, 1] == 1  # as far as the scale goes
    np.testing.assert_array_equal(errors[2, :, 1], [0, 1, np.nan, 1])
    assert texts(display.ax_.get_yticklabels()) == list(TABLE)
    assert texts(display.ax_.get_xticklabels())[:3] == [
        "row 0\ninput",
        "\nreconstruction",
        "row 1\ninput",
    ]
    assert display.ax_.get_title() == "Rows and reconstructions"
    assert display.colorbar_.ax.get_ylabel().startswith("Error (standard deviations")


def test_rows_of_a_table_of_an_estimator():
    people = adult_rows(200)
    ae = AutoEncoderTransformer(3, allow_missing=True, **FAST).fit(people)
    display = ReconstructionDisplay.from_estimator(ae, people)
    assert len(display.texts_) == people.shape[1] * 3 * 2
    assert display.lines_ == []
    rebuilt = ae.reconstruct(people[:3])
    error = abs(rebuilt["age"] - people["age"][:3]) / people["age"].std(ddof=0)
    drawn = np.ma.filled(display.image_.get_array(), np.nan)[0, 1::2]
    np.testing.assert_allclose(drawn, np.minimum(error, 1))


def test_a_table_may_be_a_list():
    rows = [[1, "a", 2.5], [2, "b", 3.5], [4, "a", 1.0]]
    display = ReconstructionDisplay(rows, rows[::-1], kind="table").plot()
    cells = np.reshape(texts(display.texts_), (3, 3, 2))
    assert cells[:, 0].tolist() == [["1", "4"], ["a", "a"], ["2.5", "1"]]
    X = load_iris().data
    pca = PCA(2).fit(X)
    display = ReconstructionDisplay.from_estimator(pca, X.tolist(), kind="table")
    assert len(display.texts_) == 3 * 2 * X.shape[1]


def test_what_a_table_is_and_what_an_image():
    iris = load_iris(as_frame=True).data
    pca = PCA(2).fit(iris)
    assert ReconstructionDisplay.from_estimator(pca, iris).texts_ != []
    display = ReconstructionDisplay.from_estimator(pca, iris, image_shape=(2, 2))
    assert display.texts_ == []
    wide = pd.DataFrame(np.eye(36))
    assert ReconstructionDisplay(wide, wide).plot().texts_ == []
    named = wide.rename(columns=str)
    assert ReconstructionDisplay(named, named).plot().texts_ != []
    wide[0] = "text"
    assert len(ReconstructionDisplay(wide, wide, kind="table").plot().texts_) > 0
    array = ReconstructionDisplay(np.eye(3), np.eye(3), kind="table").plot()
    assert texts(array.ax_.get_yticklabels()) == ["x0", "x1", "x2"]


@pytest.mark.parametrize("convert", [lambda X: X, as_polars], ids=["pandas", "polars"])
def test_wide_tables_show_the_columns_with_the_largest_errors(convert):
    values = np.random.default_rng(0).normal(size=(40, 56)) * np.geomspace(9, 1, 56)
    frame = pd.DataFrame(values, columns=[f"sensor {j}" for j in range(56)])
    pca = PCA(2).fit(frame)
    display = ReconstructionDisplay.from_estimator(pca, convert(frame), n_images=2)
    rebuilt = pca.inverse_transform(pca.transform(frame))
    errors = (abs(rebuilt - values) / values.std(axis=0))[:2].sum(axis=0)
    largest = sorted(np.argsort(-errors)[:30])
    assert texts(display.ax_.get_yticklabels()) == [f"sensor {j}" for j in largest]
    assert display.image_.get_array().shape == (30, 4)
    assert len(display.texts_) == 30 * 4
    assert display.ax_.get_title() == (
        "PCA: rows and reconstructions\n30 of 56 columns, those with the largest errors"
    )


def test_reconstruction_display_refuses(pca, digits):
    X = digits[0]
    with raises(
        ValueError,
        "expected a square number of features for image_shape=None, got X with 60 "
        "features. Pass image_shape=(height, width), or kind='series' or kind='table'.",
    ):
        ReconstructionDisplay.from_estimator(PCA(2).fit(X[:, :60]), X[:, :60])
    with raises(
        ValueError,
        "expected an image of image_shape=(8, 9), 72 features, got X with 64 features. "
        "Pass an image_shape whose product is X.shape[1].",
    ):
        ReconstructionDisplay.from_estimator(pca, X, image_shape=(8, 9))
    for shape in [(64,), (2, 8, 4), (1, 1, 8, 8)]:
        with raises(
            ValueError,
            "expected (height, width), or (channels, height, width) with one or three "
            f"channels, got image_shape={shape}. Pass one of the two.",
        ):
            ReconstructionDisplay.from_estimator(pca, X, image_shape=shape)
    with raises(
        ValueError,
        "expected at least one image, got n_images=0. Pass n_images=1 or more.",
    ):
        ReconstructionDisplay.from_estimator(pca, X, n_images=0)
    with raises(
        ValueError,
        "expected a noisy input of shape (10, 64), the shape of X, got shape (2, 64). "
        "Pass the same rows in each.",
    ):
        ReconstructionDisplay.from_estimator(pca, X, X_noisy=X[:2])
    with raises(
        ValueError,
        "expected a reconstruction of shape (10, 64), the shape of X, got shape "
        "(10, 63). Pass the same rows in each.",
    ):
        ReconstructionDisplay(X[:10], X[:10, :63]).plot()
    with raises(
        ValueError,
        "expected series of shape (n_rows, n_steps) or (n_rows, n_steps, n_channels), "
        "got X of shape (2, 1, 8, 8). Pass such arrays, or another kind.",
    ):
        images = X[:2].reshape(2, 1, 8, 8)
        ReconstructionDisplay(images, images, kind="series").plot()
    with raises(
        ValueError,
        "expected one of ['auto', 'images', 'series', 'table'], got kind='film'. Pass "
        "one.",
    ):
        ReconstructionDisplay.from_estimator(pca, X, kind="film")
    with raises(
        TypeError,
        "expected an estimator with transform and inverse_transform, got "
        "estimator=LogisticRegression(). Pass a reducer such as PCA or "
        "AutoEncoderTransformer, or a Pipeline that ends in one.",
    ):
        ReconstructionDisplay.from_estimator(LogisticRegression(), X)
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(PCA(), X)
    assert plt.get_fignums() == []
