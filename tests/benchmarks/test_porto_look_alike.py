"""The look-alike of the Porto Seguro table, compared with what is published of it."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.porto.look_alike import make_porto_seguro

pytestmark = pytest.mark.benchmark

# The file as the standard library reads it, line by line.
PATH = Path(__file__).parents[2] / "benchmarks" / "porto" / "porto_seguro.csv"
SCHEMA = {
    line["name"]: line for line in csv.DictReader(PATH.read_text("ascii").splitlines())
}
FEATURES = [name for name in SCHEMA if name != "target"]
N_REAL = 595_212
ERRORS = 4.5  # standard errors: over 57 columns, one in a thousand runs exceeds them


@pytest.fixture(scope="module")
def porto():
    return make_porto_seguro(30_000, 20_000, random_state=0)


def gini(y, score):
    return 2 * roc_auc_score(y, score) - 1


def value(name, key):
    return float(SCHEMA[name][key])


def test_columns_are_those_of_the_table(porto):
    assert list(porto.data.columns) == FEATURES == porto.feature_names
    assert len(FEATURES) == 57
    assert list(porto.test_data.columns) == FEATURES
    assert list(porto.frame.columns) == ["target", *FEATURES]
    pd.testing.assert_frame_equal(porto.frame[FEATURES], porto.data)
    for name, dtype in porto.data.dtypes.items():
        kind = SCHEMA[name]["kind"]
        assert dtype == (np.float64 if kind == "real" else np.int64), name
    expected = [name.endswith("_cat") for name in FEATURES]
    np.testing.assert_array_equal(porto.categorical_features, expected)


def test_ids_are_those_of_one_shuffled_table(porto):
    assert porto.data.index.name == porto.test_data.index.name == "id"
    assert porto.data.index.equals(porto.target.index)
    both = porto.data.index.union(porto.test_data.index)
    assert both.tolist() == list(range(50_000))
    assert porto.data.index.is_monotonic_increasing
    assert porto.data.index.max() > 40_000


@pytest.mark.parametrize("name", FEATURES)
def test_marginals_are_the_published_ones(porto, name):
    column = pd.concat([porto.data[name], porto.test_data[name]])
    n = len(column)
    share = int(SCHEMA[name]["missing"]) / N_REAL
    missing = (column == -1).mean()
    assert abs(missing - share) <= ERRORS * np.sqrt(share * (1 - share) / n) + 1e-9
    seen = column[column != -1].to_numpy(float)
    n, std = len(seen), value(name, "std")
    # Half a unit of the last digit that is published, and what a sample is off by.
    half = 5e-7 if SCHEMA[name]["kind"] == "binary" else 0.005
    assert abs(seen.mean() - value(name, "mean")) <= half + ERRORS * std / np.sqrt(n)
    kurtosis = ((seen - seen.mean()) ** 4).mean() / seen.std() ** 4
    std_error = std * np.sqrt((kurtosis - 1) / (4 * n))
    assert abs(seen.std() - std) <= 0.0051 + ERRORS * std_error
    for key, share in {"q25": 0.25, "median": 0.5, "q75": 0.75}.items():
        error = ERRORS * np.sqrt(share * (1 - share) / n)
        quartile = value(name, key)
        assert (seen <= quartile + 0.005).mean() >= share - error
        assert (seen < quartile - 0.005).mean() <= share + error
    assert len(np.unique(seen)) <= int(SCHEMA[name]["n_levels"])
    low, high = value(name, "min"), value(name, "max")
    assert low - 0.005 <= seen.min() <= seen.max() <= high + 0.005


def test_levels_are_all_that_can_be_met(porto):
    assert list(porto.levels) == [name for name in FEATURES if name.endswith("_cat")]
    for name, levels in porto.levels.items():
        expected = int(SCHEMA[name]["n_levels"]) + (SCHEMA[name]["missing"] != "0")
        assert len(levels) == expected
        assert levels == sorted(levels)
        assert set(porto.data[name]) <= set(levels)
    # With the 37 columns that are no noise they make the recipe's 221.
    assert sum(map(len, porto.levels.values())) == 221 - 37


def test_positives_have_their_share(porto):
    p, n = 0.036448, 50_000
    both = np.concatenate([porto.target, porto.test_target])
    assert set(both) == {0, 1}
    assert abs(both.mean() - p) < 4 * np.sqrt(p * (1 - p) / n)
    probability = np.concatenate([porto.probability, porto.test_probability])
    assert abs(probability.mean() - p) < 5e-4


def test_the_planted_signal_is_as_strong_as_the_real_one(porto):
    # The standard error of a gini with 1,800 positives is about 0.013.
    both = np.concatenate([porto.target, porto.test_target])
    probability = np.concatenate([porto.probability, porto.test_probability])
    assert gini(both, probability) == pytest.approx(0.295, abs=0.04)
    # Without chance: positives counted as often as they are expected.
    p = np.sort(probability)
    ranked = (p * (np.cumsum(1 - p) - (1 - p) / 2)).sum()
    assert 0.28 < 2 * ranked / (p.sum() * (1 - p).sum()) - 1 < 0.31


def test_calc_columns_are_noise(porto):
    correlation = porto.data.assign(probability=porto.probability).corr().abs()
    correlation -= np.eye(len(correlation))
    calc = [name for name in FEATURES if "_calc_" in name]
    assert len(calc) == 20
    assert correlation[calc].to_numpy().max() < 5 / np.sqrt(30_000)
    assert correlation.loc["ps_car_13", "ps_car_12"] > 0.4


def test_choices_are_at_most_one(porto):
    first = porto.data.filter(regex="ps_ind_0[6789]_bin").sum(axis=1)
    assert first.max() == 1
    assert first.mean() > 0.999
    second = porto.data.filter(regex="ps_ind_1[678]_bin").sum(axis=1)
    assert second.max() == 1
    assert second.mean() == pytest.approx(0.9354, abs=0.01)


def test_the_same_seed_gives_the_same_rows(porto):
    again = make_porto_seguro(30_000, 20_000, random_state=0)
    pd.testing.assert_frame_equal(again.frame, porto.frame)
    pd.testing.assert_frame_equal(again.test_data, porto.test_data)
    other = make_porto_seguro(100, 100, random_state=1)
    assert not other.data.equals(make_porto_seguro(100, 100, random_state=0).data)
    state = np.random.RandomState(7)
    first, second = (
        make_porto_seguro(100, 0, random_state=state).data for _ in range(2)
    )
    assert not first.equals(second)


def test_no_global_generator_is_touched():
    before = np.random.get_state()  # noqa: NPY002
    make_porto_seguro(100, 100, random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_no_test_rows_are_needed():
    porto = make_porto_seguro(50, 0, random_state=0)
    assert porto.test_data.shape == (0, 57)
    assert len(porto.test_target) == len(porto.test_probability) == 0


def test_it_says_that_it_is_made_up():
    assert "made up" in " ".join(make_porto_seguro.__doc__.split())
