"""Units of columns with a spike and of categories: rare is not yet far off."""

import numpy as np
import pandas as pd
import pytest
from made_tables import adult_rows
from scipy.stats import norm

from sk_autoencoder import AutoEncoderOutlierDetector
from sk_autoencoder._outliers.ranks import Exemplars, NormalScores
from sk_autoencoder._outliers.robust import RobustScales, robust_scale

PEOPLE = adult_rows(2500)
CATEGORIES = list(PEOPLE.select_dtypes("category").columns)


@pytest.fixture(scope="module")
def people():
    return AutoEncoderOutlierDetector(contamination=0.05, random_state=0).fit(PEOPLE)


def alarms(detector, **changes):
    return detector.predict(PEOPLE.assign(**changes)) == -1


def test_alarms_are_not_just_the_rows_whose_mostly_zero_columns_are_not_zero(people):
    has_capital = (PEOPLE["capital_gain"] > 0) | (PEOPLE["capital_loss"] > 0)
    found = alarms(people)
    assert found.sum() == 125
    assert has_capital.to_numpy()[found].mean() <= 0.5


def test_categories_never_seen_raise_rows_to_alarms(people):
    assert len(CATEGORIES) == 8
    assert alarms(people, **dict.fromkeys(CATEGORIES, "never seen")).mean() > 0.99
    assert alarms(people, **dict.fromkeys(CATEGORIES[:4], "new")).mean() > 0.9


@pytest.mark.parametrize(
    ("column", "value"),
    [("hours_per_week", -40), ("age", 900), ("capital_gain", 99_999)],
)
def test_a_wild_number_raises_rows_to_alarms(people, column, value):
    assert alarms(people, **{column: value}).mean() > 0.9


def mixture(share, n=1000, scale=1.0):
    """A column of zeros, and of so large a share of numbers from 1 to 3."""
    rng = np.random.default_rng(0)
    column = np.zeros(n)
    column[: round(share * n)] = scale * rng.uniform(1, 3, round(share * n))
    return rng.permutation(column)


@pytest.mark.parametrize("share", [0.002, 0.05, 0.2, 0.45])
@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_unit_beside_a_spike_is_by_how_rare_the_others_are(share, scale):
    column = mixture(share, scale=scale)
    level = 0.5 - share  # among the others
    quantile = np.quantile(column[column > 0], level, method="inverted_cdf")
    # The same quantile of all |z|.
    expected = quantile / norm.isf(share * (1 - level) / 2)
    found = robust_scale(column[:, np.newaxis])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_unit_goes_on_smoothly_where_half_of_the_cells_are_the_same():
    rng = np.random.default_rng(0)
    some = np.abs(rng.normal(size=20_001)) + 0.5
    units = []
    for share in (0.495, 0.505):
        column = np.where(np.arange(len(some)) < share * len(some), some, 0.0)
        units.append(robust_scale(column[:, np.newaxis])[0])
    assert units[0] == pytest.approx(units[1], rel=0.05)


@pytest.mark.parametrize("value", [0.0, -7.5, 1e6])
def test_where_a_spike_stands_does_not_matter(value):
    columns = np.column_stack([mixture(0.1), mixture(0.1) + value])
    scales = RobustScales.of(columns, [None] * columns.shape[1])
    np.testing.assert_allclose(scales.scale[0], scales.scale[1], rtol=1e-6)
    far = scales.distances(columns)
    np.testing.assert_allclose(far[:, 0], far[:, 1], rtol=1e-5)
    assert (far[mixture(0.1) == 0] == 0).all()
    assert np.median(far[mixture(0.1) > 0, 0]) < 9


def test_a_spike_as_number_boolean_and_category_counts_about_the_same():
    rng = np.random.default_rng(0)
    odd = rng.random(1000) < 0.1
    frame = pd.DataFrame({f"noise {i}": rng.normal(size=1000) for i in range(4)})
    frame["number"] = odd.astype(float)
    frame["boolean"] = rng.permutation(odd)
    frame["text"] = np.where(rng.permutation(odd), "yes", "no")
    detector = AutoEncoderOutlierDetector(random_state=0).fit(frame)
    parts = detector.explain(frame)
    means = [
        parts.loc[np.asarray(frame[name] == value), name].mean()
        for name, value in [("number", 1.0), ("boolean", True), ("text", "yes")]
    ]
    # Which rows are exemplars is by chance: so is what neighbors add.
    assert max(means) < 2.5 * min(means)
    # 1 / 7 is a typical cell's.
    assert max(means) < 6 / 7


def test_levels_are_as_far_off_as_they_are_rare():
    shares = np.array([0.6, 0.1, 0.2, 0.1])
    rows = np.repeat(np.arange(4.0), [6, 1, 2, 1])[:, np.newaxis].repeat(100, axis=0)
    scales = RobustScales.of(rows, [shares])
    (sizes,) = scales.level_distances
    # Half of those as rare count, and all that are rarer.
    expected = norm.isf(np.array([0.1, 0.3, 0.1]) / 2)
    np.testing.assert_allclose(sizes[1:4], expected)
    assert sizes[0] == 0  # over half of the cells
    assert sizes[4] == pytest.approx(norm.isf(0.25 / 1000 / 2))
    assert sizes[4] > norm.isf(0.5 / 1000 / 2)  # one that was seen once
    assert scales.center[0] == 0


def test_levels_of_equal_shares_are_alike():
    (sizes,) = RobustScales.of(
        np.arange(4.0)[:, np.newaxis], [np.full(4, 0.25)]
    ).level_distances
    np.testing.assert_allclose(sizes[:4], norm.isf(0.25))
    (only,) = RobustScales.of(np.zeros((9, 1)), [np.ones(1)]).level_distances
    assert only[0] == 0
    assert only[1] > 2


def test_a_row_beyond_all_values_is_compared_as_the_farthest_one_is():
    """The rank of a farthest cell and the limit of all ranks differ by rounding."""
    of = np.array([False])
    for n_rows in range(6, 60):
        rows = np.arange(float(n_rows))[:, np.newaxis]
        ranks = NormalScores.of(rows, of)
        exemplars = Exemplars.of(ranks(rows, [None]), rows, of)
        far = np.array([[n_rows - 1.0], [n_rows + 1.0]])
        one, other = exemplars.distances(ranks(far, [None]), far, of)
        np.testing.assert_allclose(one, other, rtol=1e-12)
