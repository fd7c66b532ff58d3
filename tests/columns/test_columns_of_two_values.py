"""Columns of two values keep their units with hidden features."""

import numpy as np
import pandas as pd
import pytest

from sk_autoencoder import DenoisingAutoEncoderTransformer, load
from sk_autoencoder._columns import ColumnStatistics

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
rng = np.random.default_rng(0)
# A rare one-hot, numbers, two values in other units, a constant.
X = np.column_stack(
    [
        rng.random(400) < 0.02,
        rng.normal(size=400),
        np.where(rng.random(400) < 0.5, 1000.0, 3000.0),
        rng.integers(0, 3, 400),
        np.full(400, 7.0),
    ]
).astype(float)
IS_BINARY = [True, False, True, False, False]


def stack(features="hidden", **params):
    return DenoisingAutoEncoderTransformer(features=features, **{**SMALL, **params})


def test_statistics_know_columns_of_two_values():
    whole = ColumnStatistics.of(X)
    assert whole.has_two_values.tolist() == IS_BINARY
    parts = ColumnStatistics.of(X[:150]).joined(ColumnStatistics.of(X[150:]))
    assert parts.has_two_values.tolist() == IS_BINARY


def test_statistics_know_two_values_from_one_other_in_a_million():
    column = np.zeros((10**6, 1))
    column[::2] = 1.0
    assert ColumnStatistics.of(column).has_two_values.all()
    column[3] = 0.5
    assert not ColumnStatistics.of(column).has_two_values.any()


# "auto" gives hidden features both codings: the tests of tables below.
@pytest.mark.parametrize(
    ("features", "scaling"),
    [
        ("hidden", "standard"),
        ("reconstruction", "auto"),
        ("reconstruction", "standard"),
    ],
)
def test_networks_see_and_repair_two_values_in_their_units(features, scaling):
    reducer = stack(features, numeric_scaling=scaling, loss="squared_error")
    columns = reducer.fit(X).module_.columns
    spread = X.std(axis=0)
    np.testing.assert_allclose(
        columns.loss_scale, [1.0, spread[1], 2000.0, spread[3], 1.0], rtol=1e-6
    )
    np.testing.assert_allclose(
        columns.input_weight,
        [1.0, 1 / spread[1], 0.0005, 1 / spread[3], 0.0],
        rtol=1e-6,
    )


def test_flags_of_a_table_keep_two_values_beside_numbers_in_two_codings():
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["f"] = pd.Categorical(rng.choice(list("xyz"), 400))
    table = stack().fit(frame)._plan.table
    units = [column.unit for column in table.columns if column.name in "ac"]
    assert units == [1.0, 2000.0]


def test_columns_of_a_matrix_keep_two_values_beside_numbers_in_two_codings():
    table = stack().fit(X)._plan.table
    assert [table.columns[i].unit for i in (0, 2)] == [1.0, 2000.0]


@pytest.mark.parametrize("scaling", ["standard", "rank_gauss"])
def test_numbers_of_a_table_keep_two_values(scaling):
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["f"] = pd.Categorical(rng.choice(list("xyz"), 400))
    frame.loc[:20, "a"] = np.nan
    model = stack(allow_missing=True, numeric_scaling=scaling).fit(frame)
    table = model._plan.table
    for column, is_binary in zip(table.columns, IS_BINARY, strict=False):
        assert column.is_binary == is_binary
        assert (column.knots is None) == (is_binary or scaling != "rank_gauss")
    assert table.columns[0].unit == 1.0
    assert table.columns[2].unit == 2000.0
    numbers = model.module_.columns.groups[0]
    np.testing.assert_allclose(numbers.input_weight[[0, 2]], 1.0)
    restored = model.inverse_transform(model.transform(frame))
    assert list(restored.columns) == list(frame.columns)


def test_a_bottleneck_standardizes_all():
    model = DenoisingAutoEncoderTransformer(2, numeric_scaling="standard", **SMALL)
    scale = model.fit(X).module_.columns.loss_scale
    np.testing.assert_allclose(scale[:4], X[:, :4].std(axis=0), rtol=1e-6)


def test_kept_units_are_saved(tmp_path):
    model = stack().fit(X)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded._plan.keeps_binary
