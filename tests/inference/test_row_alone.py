"""A row alone and among others: the same codes to rounding; two calls: the same bits.

Rows are chunked and multiplied by kernels that depend on how many there are, so that
sums round differently: 1e-12 of the largest code in float64, 1e-6 in float32.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import ConvNet, RecurrentNet

SHORT = {"max_epochs": 1, "early_stopping": False, "random_state": 0}
DIGITS = load_digits().data
MANY = np.vstack([DIGITS, DIGITS + 0.5])[:2500]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}
SIZES = [7, 1024, 2500]


def table(rows):
    frame = pd.DataFrame(rows[:, 10:30], columns=[f"pixel{i}" for i in range(20)])
    frame["level"] = pd.Categorical(np.digitize(rows[:, 2], [2, 6, 12]).astype(str))
    return frame


CONV = ConvNet(input_shape=(1, 8, 8), channels=(4,))
RECURRENT = RecurrentNet(input_shape=(8, 8), hidden_size=8)
KINDS = {
    "mlp": AutoEncoderTransformer(8, **SHORT),
    "random start": AutoEncoderTransformer(8, init="random", **SHORT),
    "white": AutoEncoderTransformer(8, whiten=True, **SHORT),
    "ordered": AutoEncoderTransformer(8, ordered=True, **SHORT),
    "images": AutoEncoderTransformer(8, network=CONV, **SHORT),
    "series": AutoEncoderTransformer(8, network=RECURRENT, **SHORT),
    "table": AutoEncoderTransformer(8, **SHORT),
    "hidden": DenoisingAutoEncoderTransformer(features="hidden", **SHORT),
    "density": VAETransformer(8, **SHORT),
}


def check_alone(method, rows, dtype):
    among = {n: method(rows[:n]) for n in SIZES}
    largest = np.abs(among[2500]).max()
    for n, values in among.items():
        assert values.dtype == dtype
        np.testing.assert_array_equal(method(rows[:n]), values)
        for i in {0, 3, n // 2, n - 1}:
            gap = np.abs(method(rows[i : i + 1])[0] - values[i]).max()
            assert gap <= TOLERANCE[dtype] * largest, (n, i, gap / largest)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
def test_code_of_a_row_is_the_same_alone_and_among_others(kind, dtype):
    rows = (table if kind == "table" else np.asarray)(MANY.astype(dtype))
    estimator = clone(KINDS[kind]).fit(rows[:400])
    check_alone(estimator.transform, rows, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n_importance", [1, 8])
def test_density_of_a_row_is_the_same_alone_and_among_others(dtype, n_importance):
    vae = VAETransformer(2, **SHORT).fit(DIGITS[:400].astype(dtype))

    def scores(rows):
        return vae.score_samples(rows, n_importance)

    check_alone(scores, MANY.astype(dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_error_of_a_row_is_the_same_alone_and_among_others(dtype):
    reducer = AutoEncoderTransformer(2, **SHORT).fit(DIGITS[:400].astype(dtype))
    rows = MANY.astype(dtype)
    errors = reducer.reconstruction_error(rows)
    for i in (0, 3, 1200, 2499):
        alone = reducer.reconstruction_error(rows[i : i + 1])[0]
        assert abs(alone - errors[i]) <= TOLERANCE[dtype] * errors.max()
