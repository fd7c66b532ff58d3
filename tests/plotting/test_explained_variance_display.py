"""What components explain beside PCA's, read back from the artists."""

import re
import sys
from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from made_tables import adult_rows
from matplotlib.colors import to_hex
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import ConvNet
from sk_autoencoder.plotting import (
    ExplainedVarianceDisplay,
    LatentDisplay,
    TraversalDisplay,
    _variance,
)
from sk_autoencoder.plotting._common import OKABE_ITO

mpl.use("Agg")

K = 4
SHORT = {"hidden_layer_sizes": (16,), "max_epochs": 3, "lr": 0.02, "random_state": 0}
# Some of the pixels, in units that differ, one of them constant in the training rows.
PIXELS = load_digits().data[:600, 40:61] * np.linspace(1, 3, 21)
TRAIN, TEST = train_test_split(PIXELS, random_state=0)
TRAIN[:, 7] = 5
SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler}


def fitted_beyond_pca(**options):
    """Fit what differs from PCA: else either curve could stand for the other."""
    estimator = AutoEncoderTransformer(K, **options, **SHORT).fit(TRAIN)
    assert not estimator.fell_back_to_pca_
    return estimator


@pytest.fixture(scope="module")
def ordered():
    return fitted_beyond_pca(ordered=True)


@pytest.fixture(scope="module")
def plain():
    return fitted_beyond_pca(ordered=False)


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def explained(rows, reconstruction):
    total = np.square(rows - TRAIN.mean(axis=0)).sum()
    return 1 - np.square(rows - reconstruction).sum() / total


def explained_by_prefixes(estimator, rows):
    codes = estimator.transform(rows)
    return [
        explained(rows, estimator.inverse_transform(codes[:, :j]))
        for j in range(1, codes.shape[1] + 1)
    ]


def explained_by_pca(rows, k=K, scaler=None):
    """By fits of scikit-learn's own, one for each number of components."""
    curve = []
    for j in range(1, k + 1):
        pca = PCA(j) if scaler is None else make_pipeline(scaler(), PCA(j))
        reconstruct = pca.fit(TRAIN).inverse_transform
        curve.append(explained(rows, reconstruct(pca.transform(rows))))
    return curve


def assert_drawn(line, x, y, **how):
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), y, **({"atol": 1e-6} | how))


def legend(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


# ----------------------------------------------------------------------- values


def test_ordered_components_have_a_curve(ordered):
    display = ExplainedVarianceDisplay.from_estimator(ordered)
    each = [1, 2, 3, 4]
    assert_drawn(display.line_, each, explained_by_prefixes(ordered, TRAIN))
    whole = PCA(K).fit(TRAIN).explained_variance_ratio_.cumsum()
    assert_drawn(display.pca_line_, each, whole, atol=1e-12)
    np.testing.assert_array_equal(display.n_components, each)
    np.testing.assert_array_equal(display.explained_variance, display.line_.get_ydata())
    np.testing.assert_array_equal(
        display.pca_explained_variance, display.pca_line_.get_ydata()
    )
    assert display.line_.get_linestyle() == "-"
    assert legend(display) == ["AutoEncoderTransformer", "PCA"]
    assert display.ax_.get_ylabel() == "Explained variance (training rows)"


def test_components_without_an_order_have_one_marker(plain):
    display = ExplainedVarianceDisplay.from_estimator(plain)
    assert_drawn(display.line_, [K], [explained(TRAIN, plain.reconstruct(TRAIN))])
    assert display.line_.get_marker() == "D"
    assert display.line_.get_linestyle() == "None"
    whole = PCA(K).fit(TRAIN).explained_variance_ratio_.cumsum()
    assert_drawn(display.pca_line_, [1, 2, 3, 4], whole, atol=1e-12)
    assert legend(display) == ["AutoEncoderTransformer, whole code", "PCA"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"numeric_scaling": "standard"}, "PCA of scaled columns"),
        ({"categorical_features": [7]}, "PCA of encoded columns"),
    ],
)
def test_the_legend_says_what_pca_is_of(options, name):
    ae = AutoEncoderTransformer(2, **{**SHORT, "max_epochs": 0}, **options).fit(TRAIN)
    display = ExplainedVarianceDisplay.from_estimator(ae, TRAIN)
    assert legend(display)[1] == name


def test_the_order_is_that_of_the_fit(ordered):
    changed = ordered.truncate(K).set_params(ordered=False)
    display = ExplainedVarianceDisplay.from_estimator(changed)
    assert len(display.n_components) == K


def test_both_are_measured_on_the_rows_given(ordered, plain):
    display = ExplainedVarianceDisplay.from_estimator(ordered, TEST)
    each = [1, 2, 3, 4]
    assert_drawn(display.line_, each, explained_by_prefixes(ordered, TEST), rtol=1e-9)
    assert_drawn(display.pca_line_, each, explained_by_pca(TEST), rtol=1e-9)
    assert display.line_.get_ydata()[-1] == pytest.approx(ordered.score(TEST))
    assert display.ax_.get_ylabel() == "Explained variance (rows given)"

    display = ExplainedVarianceDisplay.from_estimator(plain, TEST)
    assert_drawn(display.line_, [K], [plain.score(TEST)])
    assert_drawn(display.pca_line_, each, explained_by_pca(TEST), rtol=1e-9)


@pytest.mark.parametrize("rows", ["training rows", "rows given"])
@pytest.mark.parametrize("scaling", SCALERS)
def test_other_scalings_are_measured_in_the_units_of_the_rows(scaling, rows):
    scaled = AutoEncoderTransformer(
        K, numeric_scaling=scaling, **(SHORT | {"max_epochs": 0})
    ).fit(TRAIN)
    X, measured = (None, TRAIN) if rows == "training rows" else (TEST, TEST)
    display = ExplainedVarianceDisplay.from_estimator(scaled, X)
    oracle = explained_by_pca(measured, scaler=SCALERS[scaling])
    assert_drawn(display.pca_line_, [1, 2, 3, 4], oracle, atol=1e-9)
    assert oracle[0] != pytest.approx(explained_by_pca(measured)[0], rel=0.01)
    # Untrained it is PCA: the two curves are the same measure.
    assert_drawn(display.line_, [K], oracle[-1:])


NO_PCA = {
    "VAE": VAETransformer(K, init="random", **SHORT),
    "random": AutoEncoderTransformer(K, init="random", **SHORT),
    # By default hidden features are measured in both codings of each number.
    "hidden": DenoisingAutoEncoderTransformer(
        features="hidden", numeric_scaling="standard", **SHORT
    ),
}


@pytest.mark.parametrize("kind", NO_PCA)
def test_what_does_not_start_as_pca_is_drawn_alone(kind):
    estimator = clone(NO_PCA[kind]).fit(TRAIN)
    for X in (None, TEST):
        display = ExplainedVarianceDisplay.from_estimator(estimator, X)
        measured = TRAIN if X is None else TEST
        oracle = explained(measured, estimator.reconstruct(measured))
        assert_drawn(display.line_, [16 if kind == "hidden" else K], [oracle])
        assert display.pca_line_ is display.pca_explained_variance is None
        assert legend(display) == [f"{type(estimator).__name__}, whole code"]


def test_columns_beside_hidden_features_are_no_components():
    estimator = DenoisingAutoEncoderTransformer(
        features="hidden", passthrough=True, numeric_scaling="standard", **SHORT
    ).fit(TRAIN)
    for X, rows in ((None, TRAIN), (TEST, TEST)):
        display = ExplainedVarianceDisplay.from_estimator(estimator, X)
        oracle = explained(rows, estimator.reconstruct(rows))
        assert_drawn(display.line_, [estimator.n_components_], [oracle])


def test_hidden_features_are_decoded_from_what_is_left_of_wide_layers():
    # 200 units are reduced to fewer components, beside 2 columns for each number.
    parameters = {**SHORT, "hidden_layer_sizes": (200,)}
    estimator = DenoisingAutoEncoderTransformer(
        features="hidden", passthrough=True, **parameters
    ).fit(TRAIN)
    display = ExplainedVarianceDisplay.from_estimator(estimator, TEST)
    score = estimator.score(TEST)
    assert_drawn(display.line_, [estimator.n_components_], [score], rtol=1e-9)


@pytest.mark.parametrize("loss", ["auto", "squared_error"])
def test_what_fills_cells_has_no_code_to_draw(loss):
    estimator = DenoisingAutoEncoderTransformer(
        features="reconstruction", loss=loss, **SHORT
    ).fit(TRAIN)
    for draw in (
        partial(ExplainedVarianceDisplay.from_estimator, estimator),
        partial(ExplainedVarianceDisplay.from_estimator, estimator, TRAIN),
        partial(LatentDisplay.from_estimator, estimator, TRAIN),
        partial(TraversalDisplay.from_estimator, estimator, TRAIN),
    ):
        with pytest.raises(
            TypeError, match=r"(?s)gives codes, got .*which fills cells"
        ):
            draw()


@pytest.mark.parametrize("rows", [None, TEST], ids=["training rows", "rows given"])
def test_truncated_estimators_have_shorter_curves(rows, ordered):
    whole = ExplainedVarianceDisplay.from_estimator(ordered, rows)
    three = ExplainedVarianceDisplay.from_estimator(ordered.truncate(3), rows)
    for name in ("line_", "pca_line_"):
        y = getattr(whole, name).get_ydata()[:3]
        assert_drawn(getattr(three, name), [1, 2, 3], y, rtol=1e-12)
    one = ExplainedVarianceDisplay.from_estimator(ordered.truncate(1), rows)
    assert_drawn(one.line_, [1], whole.line_.get_ydata()[:1])
    assert one.line_.get_marker() == one.pca_line_.get_marker() == "D"


def test_pca_is_that_of_all_rows_of_partial_fits():
    estimator = AutoEncoderTransformer(K, ordered=True, **SHORT)
    for part in np.array_split(TRAIN, 3):
        estimator.partial_fit(part)
    display = ExplainedVarianceDisplay.from_estimator(estimator)
    whole = PCA(K).fit(TRAIN).explained_variance_ratio_.cumsum()
    assert_drawn(display.pca_line_, [1, 2, 3, 4], whole, atol=1e-9)


def test_no_more_than_everything_is_explained():
    estimator = AutoEncoderTransformer(13, **SHORT)
    with pytest.warns(UserWarning, match="compresses nothing"):
        estimator.fit(TRAIN[:, 8:19])  # whose shares sum to a little more than 1
    curve = ExplainedVarianceDisplay.from_estimator(estimator).pca_explained_variance
    np.testing.assert_allclose(curve[10:], 1, rtol=1e-12)
    assert curve.max() <= 1


CONTAINERS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "csr": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "list": np.ndarray.tolist,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_in_other_containers(kind, ordered):
    expected = ExplainedVarianceDisplay.from_estimator(ordered, TEST)

    def convert(X):
        if kind in ("pandas", "polars"):
            columns = [f"pixel{i}" for i in range(X.shape[1])]
            return CONTAINERS[kind](dict(zip(columns, X.T, strict=True)))
        return CONTAINERS[kind](X)

    estimator = clone(ordered).fit(convert(TRAIN))
    if kind in ("pandas", "polars"):
        estimator.set_output(transform=kind)
    display = ExplainedVarianceDisplay.from_estimator(estimator, convert(TEST))
    for name in ("line_", "pca_line_"):
        line = getattr(expected, name)
        assert_drawn(getattr(display, name), *line.get_data(), rtol=1e-4)


def test_rows_are_read_in_chunks(ordered, monkeypatch):
    expected = ExplainedVarianceDisplay.from_estimator(ordered, TEST)
    sizes = []
    decode = type(ordered).inverse_transform

    def watched(self, X):
        sizes.append(len(X))
        return decode(self, X)

    monkeypatch.setattr(_variance, "_CHUNK_SIZE", 40 * TEST.shape[1])
    monkeypatch.setattr(type(ordered), "inverse_transform", watched)
    display = ExplainedVarianceDisplay.from_estimator(ordered, TEST)
    assert max(sizes) == 40
    assert sum(sizes) == K * len(TEST)
    for name in ("line_", "pca_line_"):
        line = getattr(expected, name)
        assert_drawn(getattr(display, name), *line.get_data(), rtol=1e-12)


def test_nothing_varies(ordered):
    X = np.ones((20, 5))
    estimator = AutoEncoderTransformer(2, ordered=True, **SHORT).fit(X)
    display = ExplainedVarianceDisplay.from_estimator(estimator)
    np.testing.assert_array_equal(display.explained_variance, [0, 0])
    np.testing.assert_array_equal(display.pca_explained_variance, [0, 0])
    display = ExplainedVarianceDisplay.from_estimator(estimator, X)
    np.testing.assert_array_equal(display.explained_variance, [1, 1])
    np.testing.assert_array_equal(display.pca_explained_variance, [1, 1])
    # The mean row is what PCA gives back as it is, and a network need not.
    mean = ordered.mean_[np.newaxis]
    display = ExplainedVarianceDisplay.from_estimator(ordered, mean)
    np.testing.assert_array_equal(display.explained_variance, np.zeros(K))
    np.testing.assert_array_equal(display.pca_explained_variance, np.ones(K))


# ---------------------------------------------------------------------- drawing


def test_the_axes_are_set():
    display = ExplainedVarianceDisplay(
        [1, 2, 3], [0.4, 0.7, 0.8], pca_explained_variance=[0.3, 0.5, 0.6]
    ).plot()
    assert display.ax_.get_xlabel() == "Components"
    assert display.ax_.get_ylabel() == "Explained variance"
    assert display.ax_.get_title() == "Explained variance"
    assert display.ax_.get_ylim() == (0, 1)
    ticks = display.ax_.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())
    assert legend(display) == ["autoencoder", "PCA"]
    assert to_hex(display.line_.get_color()).upper() == OKABE_ITO[0]
    assert to_hex(display.pca_line_.get_color()).upper() == OKABE_ITO[1]
    assert display.pca_line_.get_linestyle() == "--"
    assert display.line_.get_marker() == display.pca_line_.get_marker() == "o"


def test_what_is_worse_than_the_mean_is_seen():
    display = ExplainedVarianceDisplay([1, 2], [-2.0, 0.5]).plot()
    assert display.ax_.get_ylim() == (pytest.approx(-2.1), 1)
    # The curves of another display on the same axes stay in sight.
    ExplainedVarianceDisplay([1, 2], [0.2, 0.5]).plot(display.ax_)
    assert display.ax_.get_ylim() == (pytest.approx(-2.1), 1)


def test_long_curves_have_no_markers():
    for n_values, marker in [(30, "o"), (31, "None")]:
        curve = np.linspace(0, 1, n_values)
        display = ExplainedVarianceDisplay(
            np.arange(n_values) + 1, curve, pca_explained_variance=curve
        ).plot()
        assert display.line_.get_marker() == marker
        assert display.pca_line_.get_marker() == marker


def test_without_ax_a_figure_is_made(plain):
    display = ExplainedVarianceDisplay.from_estimator(plain)
    assert isinstance(display, ExplainedVarianceDisplay)
    assert plt.get_fignums() == [display.figure_.number]
    assert display.ax_.figure is display.figure_


def test_ax_is_drawn_on(plain):
    figure, (left, right) = plt.subplots(1, 2)
    display = ExplainedVarianceDisplay.from_estimator(plain, ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert right.has_data()
    assert not left.has_data()
    assert plt.get_fignums() == [figure.number]


def test_plot_draws_again_under_the_name_given(plain):
    display = ExplainedVarianceDisplay.from_estimator(plain, name="Zaphod")
    first = display.ax_
    assert first.get_title() == "Zaphod: explained variance"
    assert legend(display) == ["Zaphod, whole code", "PCA"]
    assert display.plot() is display
    assert display.ax_ is not first
    assert display.ax_.get_title() == first.get_title()
    assert display.plot(name="Trillian").ax_.get_title().startswith("Trillian: ")


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_pictures_can_be_saved(suffix, ordered, tmp_path):
    path = tmp_path / f"picture.{suffix}"
    before = dict(mpl.rcParams)
    ExplainedVarianceDisplay.from_estimator(ordered).figure_.savefig(path)
    assert path.stat().st_size > 1_000
    assert dict(mpl.rcParams) == before


def test_without_matplotlib(plain, monkeypatch):
    display = ExplainedVarianceDisplay.from_estimator(plain)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = (
        "expected matplotlib to be installed, got ExplainedVarianceDisplay.{} called "
        'without it. Run pip install "sk_autoencoder[plot]".'
    )
    with raises(ImportError, message.format("from_estimator")):
        ExplainedVarianceDisplay.from_estimator(plain)
    with raises(ImportError, message.format("plot")):
        display.plot()


def test_a_pipeline_is_drawn_as_its_last_step_is(plain):
    scaler = StandardScaler().fit(TRAIN)
    alone = clone(plain).fit(scaler.transform(TRAIN))
    pipeline = make_pipeline(StandardScaler(), clone(plain)).fit(TRAIN)
    for X, scaled in ((None, None), (TEST, scaler.transform(TEST))):
        display = ExplainedVarianceDisplay.from_estimator(pipeline, X)
        other = ExplainedVarianceDisplay.from_estimator(alone, scaled)
        assert_drawn(display.line_, *other.line_.get_data())
        assert_drawn(display.pca_line_, *other.pca_line_.get_data())
        assert legend(display) == legend(other)


# ---------------------------------------------------------------------- refusals


def test_estimators_are_refused(plain):
    with pytest.raises(NotFittedError):
        ExplainedVarianceDisplay.from_estimator(AutoEncoderTransformer())
    pipeline = make_pipeline(StandardScaler(), AutoEncoderTransformer())
    with pytest.raises(NotFittedError):
        ExplainedVarianceDisplay.from_estimator(pipeline, TEST)
    for other in (PCA(), make_pipeline(StandardScaler(), PCA()), "pca"):
        with raises(
            TypeError,
            "expected an autoencoder of this package, or a Pipeline that ends in one, "
            f"got estimator={other!r}. Pass one, such as the search's best_estimator_.",
        ):
            ExplainedVarianceDisplay.from_estimator(other)
    with pytest.raises(ValueError, match="X has 3 features"):
        ExplainedVarianceDisplay.from_estimator(plain, TEST[:, :3])
    assert plt.get_fignums() == []


def test_data_is_refused():
    for wrong, shape in [([], "(0,)"), ([[0.5]], "(1, 1)"), (0.5, "()")]:
        with raises(
            ValueError,
            "expected an explained_variance of shape (n_values,), one value or more, "
            f"got shape {shape}. Pass what the components explain together, not what "
            "each adds.",
        ):
            ExplainedVarianceDisplay([1], wrong).plot()
        with raises(
            ValueError,
            "expected a pca_explained_variance of shape (n_pca_values,), one value or "
            f"more, got shape {shape}. Pass a value for each of 1, 2, ... components, "
            "or None.",
        ):
            ExplainedVarianceDisplay([1], [0.5], pca_explained_variance=wrong).plot()
    with raises(
        ValueError,
        "expected n_components of shape (2,), the shape of explained_variance, got "
        "shape (1,). Pass a number of components for each value.",
    ):
        ExplainedVarianceDisplay([2], [0.5, 0.6]).plot()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("ordered", [False, True])
def test_rows_of_several_dimensions(ordered):
    images = load_digits().images[:300]
    flat = images.reshape(300, 64)
    network = ConvNet((1, 8, 8), channels=(2,))
    ae = AutoEncoderTransformer(
        3, network=network, ordered=ordered, max_epochs=2, random_state=0
    ).fit(images)
    one, other, third = (
        ExplainedVarianceDisplay.from_estimator(e, X)
        for e, X in [(ae, images), (ae, flat), (clone(ae).fit(flat), images)]
    )
    assert one.explained_variance[-1] == pytest.approx(ae.score(images))
    for display in (other, third):
        np.testing.assert_array_equal(
            one.explained_variance, display.explained_variance
        )
        np.testing.assert_array_equal(
            one.pca_explained_variance, display.pca_explained_variance
        )


def test_a_table_is_measured_on_its_encoded_columns():
    # Enough rows for the validation set to show that the network is better than PCA.
    people = adult_rows(1200)
    options = {"allow_missing": True, "ordered": True, "random_state": 0}
    start = AutoEncoderTransformer(3, max_epochs=0, **options).fit(people[:200])
    display = ExplainedVarianceDisplay.from_estimator(start, people)
    # Untrained it is PCA, also of rows that it has not seen.
    np.testing.assert_allclose(
        display.explained_variance, display.pca_explained_variance, rtol=1e-6
    )
    assert display.explained_variance[-1] == pytest.approx(start.score(people))
    assert (np.diff(display.explained_variance) > 0).all()
    trained = AutoEncoderTransformer(3, lr=0.01, max_epochs=30, **options).fit(people)
    moved = ExplainedVarianceDisplay.from_estimator(trained, people)
    assert moved.explained_variance[-1] == pytest.approx(trained.score(people))
    assert moved.explained_variance[-1] > moved.pca_explained_variance[-1] + 0.05
    seen = ExplainedVarianceDisplay.from_estimator(trained)
    assert seen.pca_line_ is None
    np.testing.assert_allclose(
        seen.explained_variance, moved.explained_variance, rtol=1e-4
    )
    short = ExplainedVarianceDisplay.from_estimator(trained.truncate(2), people)
    np.testing.assert_allclose(
        short.explained_variance, moved.explained_variance[:2], rtol=1e-6
    )
    vae = VAETransformer(3, allow_missing=True, max_epochs=1, random_state=0)
    display = ExplainedVarianceDisplay.from_estimator(vae.fit(people), people)
    assert display.pca_line_ is None
