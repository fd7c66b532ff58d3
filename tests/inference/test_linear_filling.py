"""Linear regressions beside a masked network, against scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression

from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder._inference import linear_filling
from sk_autoencoder._inference.linear_filling import LinearFilling

NUMBERS = [0, 2, 3]


def made_table(n=4000, seed=0):
    """Make numbers of different sizes and a category of three levels."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    a = rng.normal(size=n) + kind
    b = 1000 * (a + 0.5 * rng.normal(size=n) - 2 * (kind == 1))
    c = 0.01 * rng.normal(size=n) + 1e-6 * b
    return np.column_stack([a, kind, b, c])


@pytest.fixture(scope="module")
def columns():
    frame = pd.DataFrame(made_table(300), columns=["a", "kind", "b", "c"])
    frame["kind"] = pd.Categorical(frame["kind"])
    estimator = DenoisingAutoEncoderTransformer(
        features="reconstruction", max_epochs=1, random_state=0
    )
    return estimator.fit(frame).module_.columns


def regression(rows, column):
    """Return a column of training rows as scikit-learn predicts it from the others."""
    hot = np.eye(3)[rows[:, 1].astype(int)]
    others = np.hstack([rows[:, [i for i in NUMBERS if i != column]], hot])
    model = LinearRegression().fit(others, rows[:, column])
    return model.predict(others)


@pytest.mark.parametrize("column", NUMBERS)
def test_the_whole_step_goes_to_the_regression_on_the_other_cells(columns, column):
    rows = made_table()
    filling = LinearFilling.of(columns, torch.from_numpy(rows))
    hidden = torch.zeros(rows.shape, dtype=torch.bool)
    hidden[:, column] = True
    filled = torch.from_numpy(rows.copy())
    filled[:, column] = filled[:, column].mean()
    found = filling.applied(filled, hidden, columns).numpy()
    others = [i for i in range(4) if i != column]
    assert np.array_equal(found[:, others], rows[:, others])
    expected = regression(rows, column)
    scale = rows[:, column].std()
    np.testing.assert_allclose(found[:, column], expected, atol=0.02 * scale)

    half = filling.scaled(np.full(4, 0.5)).applied(filled, hidden, columns).numpy()
    middle = (found + filled.numpy()) / 2
    np.testing.assert_allclose(half, middle, atol=1e-9 * scale, rtol=1e-9)


def test_numbers_stay_in_the_range_of_training(columns):
    rows = made_table()
    filling = LinearFilling.of(columns, torch.from_numpy(rows))
    wild = torch.tensor([[1e300, 2.0, -1e300, 0.0]], dtype=torch.float64)
    hidden = torch.tensor([[False, False, False, True]])
    found = filling.applied(wild, hidden, columns)[0, 3].item()
    assert rows[:, 3].min() <= found <= rows[:, 3].max()


def test_many_levels_are_left_out(columns, monkeypatch):
    monkeypatch.setattr(linear_filling, "MOST_COLUMNS", 5)
    filling = LinearFilling.of(columns, torch.from_numpy(made_table()))
    assert filling.levels.shape == (3, 4)
    assert not filling.levels.any()
    assert filling.slopes[0, 2] != 0


def test_a_column_that_does_not_vary_adds_nothing(columns):
    rows = made_table()
    rows[:, 2] = 7.0
    filling = LinearFilling.of(columns, torch.from_numpy(rows))
    assert np.isfinite(filling.slopes).all()
    assert np.abs(filling.slopes[2, [0, 3]]).max() < 1e-9


def test_two_rows_with_a_column_that_does_not_vary_give_finite_steps():
    standardized = np.array([[1.0, 0.0, 1.0], [-1.0, 0.0, -1.0]])
    steps = linear_filling._steps(standardized, np.zeros((2, 0)))
    np.testing.assert_allclose(steps, [[-1, 0, -1], [0, 0, 0], [-1, 0, -1]])
