"""The made-up series: what is normal, what is planted, and where."""

import re

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sk_autoencoder.datasets import make_series_anomalies

KINDS = (
    "level_shift",
    "broken_coupling",
    "spike",
    "flat_line",
    "changed_frequency",
)
SIZES = {"n_samples": 300, "n_steps": 32, "n_channels": 3, "random_state": 0}


@pytest.fixture(scope="module")
def windows():
    return make_series_anomalies(**SIZES, contamination=0.5)


@pytest.fixture(scope="module")
def normal():
    return make_series_anomalies(**SIZES, contamination=0.0)


def test_shapes_and_shares(windows):
    assert windows.data.shape == (300, 96)
    assert windows.series.shape == windows.where.shape == (300, 32, 3)
    assert np.shares_memory(windows.data, windows.series)
    assert windows.input_shape == (32, 3)
    assert windows.target.sum() == 150
    names, counts = np.unique(windows.kind[windows.target == 1], return_counts=True)
    assert sorted(names) == sorted(KINDS)
    assert set(counts) == {30}
    np.testing.assert_array_equal(windows.kind == "", windows.target == 0)
    assert all(name in windows.DESCR for name in KINDS)


def test_nothing_changes_but_where_it_says(windows, normal):
    assert not normal.where.any()
    np.testing.assert_array_equal(windows.where, windows.series != normal.series)
    np.testing.assert_array_equal(windows.where.any(axis=(1, 2)), windows.target == 1)


def test_what_is_normal_does_not_depend_on_what_is_planted(normal):
    other = make_series_anomalies(**SIZES, contamination=0.2, kinds=("spike",))
    untouched = other.target == 0
    np.testing.assert_array_equal(other.data[untouched], normal.data[untouched])


def test_channels_have_deviation_one_and_the_noise_asked_for():
    sizes = SIZES | {"n_samples": 3000, "contamination": 0.0}
    clean = make_series_anomalies(**sizes, noise=0.0).series
    np.testing.assert_allclose(clean.mean(axis=(0, 1)), 0, atol=0.06)
    np.testing.assert_allclose(clean.std(axis=(0, 1)), 1, atol=0.06)
    noise = make_series_anomalies(**sizes, noise=0.3).series - clean
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.3, atol=0.005)
    flat = noise.reshape(3000, -1)
    correlations = np.corrcoef(flat[:, :40].T)[np.triu_indices(40, k=1)]
    assert np.abs(correlations).max() < 0.1


def test_channels_tell_each_other(normal):
    """Half of a window's channels foretell the rest: they share hidden states."""
    series = normal.series
    known = series[:, :, :2].reshape(300, -1)
    scores = PCA(20).fit_transform(known)
    design = np.column_stack([scores, np.ones(300)])
    wanted = series[:, :, 2]
    weights, *_ = np.linalg.lstsq(design[:200], wanted[:200], rcond=None)
    left = wanted[200:] - design[200:] @ weights
    assert left.var() < 0.4 * wanted[200:].var()


def cells(windows, normal, kind):
    """Return for each window of a kind what was, what is, and where they differ."""
    rows = np.flatnonzero(windows.kind == kind)
    return zip(
        normal.series[rows], windows.series[rows], windows.where[rows], strict=True
    )


def test_a_level_shift_is_one_constant_to_the_end(windows, normal):
    for was, now, where in cells(windows, normal, "level_shift"):
        (channel,) = np.flatnonzero(where.any(axis=0))
        start = where[:, channel].argmax()
        assert where[start:, channel].all()
        assert start >= 8
        shift = (now - was)[start:, channel]
        np.testing.assert_allclose(shift, shift[0])
        assert 1 <= abs(shift[0]) <= 2


def test_a_broken_coupling_is_another_windows_stretch(windows, normal):
    for _, now, where in cells(windows, normal, "broken_coupling"):
        (channel,) = np.flatnonzero(where.any(axis=0))
        steps = np.flatnonzero(where[:, channel])
        assert steps[-1] - steps[0] < 16
        same = normal.series[:, steps, channel] == now[steps, channel]
        assert same.all(axis=1).sum() == 1


def test_a_spike_is_short_and_far(windows, normal):
    lengths = set()
    for was, now, where in cells(windows, normal, "spike"):
        (channel,) = np.flatnonzero(where.any(axis=0))
        steps = np.flatnonzero(where[:, channel])
        lengths.add(len(steps))
        assert steps[-1] - steps[0] + 1 == len(steps)
        far = np.abs((now - was)[steps, channel])
        assert 4 <= far.min() <= far.max() <= 8
    assert lengths == {1, 2, 3}


def test_a_flat_line_stays_at_the_value_before_it(windows, normal):
    for _, now, where in cells(windows, normal, "flat_line"):
        (channel,) = np.flatnonzero(where.any(axis=0))
        steps = np.flatnonzero(where[:, channel])
        assert 8 <= len(steps) <= 16
        assert (now[steps, channel] == now[steps[0] - 1, channel]).all()


def test_a_changed_frequency_is_in_all_channels_and_faster():
    options = SIZES | {"noise": 0.0, "n_steps": 128}
    windows = make_series_anomalies(
        **options, contamination=1.0, kinds=["changed_frequency"]
    )
    normal = make_series_anomalies(**options, contamination=0.0)
    assert not windows.where[:, :33].any()
    assert windows.where[:, 100:].any(axis=1).all()

    def turns(series):
        slopes = np.diff(series[:, 64:], axis=1)
        return (slopes[:, 1:] * slopes[:, :-1] < 0).sum()

    assert turns(windows.series) > 1.4 * turns(normal.series)


def test_the_same_seed_gives_the_same_series():
    first, again = (make_series_anomalies(**SIZES) for _ in range(2))
    np.testing.assert_array_equal(first.data, again.data)
    X, y = make_series_anomalies(**SIZES, return_X_y=True)
    np.testing.assert_array_equal(X, first.data)
    np.testing.assert_array_equal(y, first.target)
    other = make_series_anomalies(**(SIZES | {"random_state": 1}))
    assert not np.isclose(other.data, first.data).all(axis=1).any()


def test_no_global_generator_is_touched():
    before = np.random.get_state()  # noqa: NPY002
    make_series_anomalies(20, random_state=3)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_samples": 1}, ValueError, "an int in the range [2, inf). Got 1 instead."),
        ({"n_steps": 8}, ValueError, "an int in the range [16, inf). Got 8 instead."),
        ({"n_channels": 2.0}, TypeError, "in the range [1, inf). Got 2.0 instead."),
        ({"contamination": 1.5}, ValueError, "[0.0, 1.0]. Got 1.5 instead."),
        ({"noise": -1}, ValueError, "[0.0, inf). Got -1 instead."),
        (
            {"kinds": ("spike", "hum")},
            ValueError,
            f"expected one or more of {list(KINDS)}, got kinds=('spike', 'hum'). Pass "
            "e.g. kinds=('spike',).",
        ),
        ({"kinds": ()}, ValueError, "got kinds=()."),
        ({"return_X_y": 1}, TypeError, "'return_X_y' parameter of make_series"),
    ],
)
def test_bad_parameters_are_named(params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make_series_anomalies(**params)
