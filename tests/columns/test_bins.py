"""Numbers as levels: bins of a column, and values drawn from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sk_autoencoder._columns.bins import N_BINS, N_NARROW_BINS, VALUES_KEPT, Bins

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
# Few distinct values, many, and spikes among them.
COLUMNS = st.one_of(
    hnp.arrays(float, st.integers(1, 60), elements=NUMBERS),
    hnp.arrays(float, st.integers(40, 400), elements=st.sampled_from([0.0, 1e-9, 3])),
    hnp.arrays(
        float,
        st.integers(40, 400),
        elements=st.one_of(st.just(0.0), st.floats(-1e3, 1e3)),
    ),
)


@given(COLUMNS)
def test_bins_partition_the_training_values(values):
    bins = Bins.of(values)
    levels = bins.encode(values)
    assert np.array_equal(np.unique(levels), np.arange(bins.n_bins))
    # In order, and each value in one bin alone.
    order = np.argsort(values, kind="stable")
    assert (np.diff(levels[order]) >= 0).all()
    same = np.diff(values[order]) == 0
    assert (np.diff(levels[order])[same] == 0).all()
    counts = np.bincount(levels, minlength=bins.n_bins)
    assert np.array_equal(counts, bins.counts)


@given(COLUMNS)
def test_few_distinct_values_have_a_bin_each(values):
    bins = Bins.of(values)
    distinct = np.unique(values)
    if len(distinct) <= N_BINS:
        assert np.array_equal(bins.means, distinct)


@given(COLUMNS)
def test_bins_of_several_values_hold_a_share_of_the_rows_and_spikes_one_value(values):
    bins = Bins.of(values)
    share = len(values) / N_BINS
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= N_BINS:
        return
    levels = bins.encode(distinct)
    for level in range(bins.n_bins):
        own = counts[levels == level]
        # Nothing is added once the share is reached, and nothing to a spike.
        assert own[:-1].sum() < share
        assert len(own) == 1 or (own < share).all()


def test_bins_are_narrow_in_the_tails():
    values = np.sort(np.random.default_rng(0).lognormal(0, 1.5, size=4000))
    bins = Bins.of(values)
    levels = bins.encode(values)
    n_least = 1 + len(values) // N_NARROW_BINS
    for level in range(bins.n_bins):
        own = values[levels == level]
        # What comes after the fewest rows is near the first value.
        assert (own[n_least:] <= own[0] + 0.25 * values.std()).all()
        assert level == bins.n_bins - 1 or len(own) >= n_least - 1
    assert N_BINS < bins.n_bins < 1.5 * N_BINS
    errors = values - bins.means[levels]
    assert np.sqrt(np.mean(errors**2)) < 0.35 * values.std()


@given(COLUMNS)
def test_means_reproduce_the_column_and_lie_in_their_bins(values):
    bins = Bins.of(values)
    assert np.isfinite(bins.means).all()
    assert np.array_equal(bins.encode(bins.means), np.arange(bins.n_bins))
    largest = np.abs(values).max() or 1.0
    mean = (bins.counts * (bins.means / largest)).sum() / bins.counts.sum()
    assert mean == pytest.approx((values / largest).mean(), rel=1e-9, abs=1e-9)


def test_means_are_those_of_the_values_in_each_bin():
    rng = np.random.default_rng(0)
    # Some values often, none often enough for a bin of its own.
    values = np.round(rng.exponential(10, size=2000), 1)
    bins = Bins.of(values)
    levels = bins.encode(values)
    expected = [values[levels == level].mean() for level in range(bins.n_bins)]
    np.testing.assert_allclose(bins.means, expected)


@given(COLUMNS)
def test_positions_are_mid_ranks_and_clipped_standardized_means(values):
    bins = Bins.of(values)
    ranks, scores = bins.positions.T
    before = np.cumsum(bins.counts) - bins.counts
    expected = 2 * (before + bins.counts / 2) / len(values) - 1
    np.testing.assert_allclose(ranks, expected, atol=1e-12)
    assert (np.abs(scores) <= 5).all()
    assert (np.diff(scores) >= 0).all()
    if bins.n_bins == 1:
        assert np.array_equal(bins.positions, [[0.0, 0.0]])


def test_standardized_means_have_unit_variance_over_the_rows():
    bins = Bins.of(np.random.default_rng(0).normal(7, 3, size=1000))
    scores = bins.positions[:, 1]
    assert (bins.counts @ scores) / 1000 == pytest.approx(0, abs=1e-12)
    assert (bins.counts @ scores**2) / 1000 == pytest.approx(1)


@given(COLUMNS, st.floats(0, 1, exclude_max=True))
def test_draws_are_training_values_of_their_bins(values, u):
    bins = Bins.of(values)
    levels = np.arange(bins.n_bins)
    drawn = bins.draw(levels, np.full(bins.n_bins, u))
    assert np.isin(drawn, values).all()
    assert np.array_equal(bins.encode(drawn), levels)


def test_draws_follow_the_training_values():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=20_000)
    bins = Bins.of(values)
    levels = bins.encode(values)
    drawn = bins.draw(levels, rng.random(len(levels)))
    found = np.quantile(drawn, [0.01, 0.1, 0.5, 0.9, 0.99])
    expected = np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert len(bins.values) <= VALUES_KEPT * bins.n_bins


def test_at_most_so_many_values_a_bin_are_kept_and_one_of_a_spike():
    values = np.concatenate([np.zeros(40_000), np.linspace(1, 2, 80_000)])
    bins = Bins.of(values)
    kept = np.bincount(bins.encode(bins.values))
    assert kept[0] == 1
    assert kept.max() == VALUES_KEPT
    # Both ends of a bin are among them.
    assert bins.values[1] == 1
    assert bins.values[-1] == 2


def test_unseen_values_fall_into_the_nearest_bin():
    bins = Bins.of(np.array([0.0, 1, 1, 4]))
    assert bins.encode(np.array([-9, 0.4, 0.6, 2.4, 2.6, 99])).tolist() == [
        *(0, 0, 1),
        *(1, 2, 2),
    ]


def test_neighboring_numbers_are_told_apart():
    values = np.array([5e-324, 1e-323, 1.0, np.nextafter(1.0, 2), 1.7e308, -1.7e308])
    bins = Bins.of(values)
    assert bins.encode(np.sort(values)).tolist() == [0, 1, 2, 3, 4, 5]


def test_missing_cells_are_no_part_of_a_bin():
    values = np.array([1.0, np.nan, 2.0, 2.0, np.nan])
    bins = Bins.of(values)
    assert bins.encode(values).tolist() == [0, -1, 1, 1, -1]
    assert bins.counts.tolist() == [1, 2]


def test_whole_numbers_of_few_values_come_back():
    values = np.repeat([3.0, 7, 8], 20)
    bins = Bins.of(values)
    assert bins.means[bins.encode(values)].tolist() == values.tolist()


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_a_column_without_a_value_is_refused(values):
    with pytest.raises(ValueError, match=r"^expected at least one number, got 0 among"):
        Bins.of(np.array(values))


def test_infinity_is_refused():
    with pytest.raises(ValueError, match=r"^expected finite numbers, got infinity"):
        Bins.of(np.array([1.0, np.inf]))


def test_bins_hold_arrays_of_float64_alone():
    # What a file can hold of them.
    bins = Bins.of(np.arange(100, dtype=np.float32))
    assert {array.dtype for array in vars(bins).values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cells_say_where_in_its_bin_a_number_lies(dtype):
    rng = np.random.default_rng(0)
    values = np.append(rng.exponential(size=4000), np.zeros(900))
    bins = Bins.of(values)
    cells = bins.cells(np.sort(values)).astype(dtype)
    np.testing.assert_array_equal(np.floor(cells), bins.encode(np.sort(values)))
    assert (np.diff(cells) >= 0).all()
    np.testing.assert_array_equal(cells[:900], 0.5)  # a spike
    # The fraction of a bin's rows below, to a few of its values.
    for level in np.unique(np.floor(cells))[1:]:
        own = cells[np.floor(cells) == level] - level
        ranks = (np.arange(len(own)) + 0.5) / len(own)
        np.testing.assert_allclose(own, ranks, atol=0.15)
    beyond = bins.cells(np.array([-1.0, np.nan, 1e308, -1e308])).tolist()
    assert beyond == [0.5, -1.0, bins.cells(values.max(keepdims=True))[0], 0.5]


def test_cells_of_drawn_values_are_those_they_were_drawn_for():
    rng = np.random.default_rng(0)
    bins = Bins.of(np.append(rng.normal(size=3000), np.round(rng.normal(size=3000))))
    levels = rng.integers(0, bins.n_bins, 500)
    u = rng.random(500)
    found = bins.cells(bins.draw(levels, u))
    np.testing.assert_array_equal(np.floor(found), levels)
    wide = bins.are_wide[levels]
    assert np.abs(found - levels - u)[wide].mean() < 0.1
    np.testing.assert_array_equal(found[~wide], levels[~wide] + 0.5)


def test_cells_of_few_values_are_the_middles_of_bins():
    bins = Bins.of(np.random.default_rng(0).integers(0, 9, 200).astype(float))
    assert not bins.are_wide.any()
    np.testing.assert_array_equal(bins.cells(np.arange(9.0)), np.arange(9) + 0.5)
    assert np.floor(bins.cells(np.array([2.4, 2.5]))).tolist() == [2, 3]
