"""Files that version 0.1.0 wrote load for good, and give what they gave then.

`files_0_1_0` holds a file of each estimator, with the samples that it was fitted on and
what its methods returned. None of it is ever written again.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from torch import nn

import sk_autoencoder
from sk_autoencoder.exceptions import InconsistentVersionWarning

FOLDER = Path(__file__).parent / "files_0_1_0"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
# Another machine's kernels add up in another order.
RTOL = 1e-5


def shrink(batch, generator):
    return 0.98 * batch


def dense(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.Tanh(), nn.Linear(8, n_outputs))


CUSTOM = {
    "autoencoder_user": {"encoder": dense(6, 2), "decoder": dense(2, 6)},
    "autoencoder_user_random": {"encoder": dense(6, 2), "decoder": dense(2, 6)},
    "vae_user": {"encoder": dense(6, 4), "decoder": dense(2, 6)},
    "denoising_own_noise": {"shrink": shrink},
}


def samples(key):
    if key in ("pandas", "polars"):
        columns = json.loads((FOLDER / "table.json").read_text())
        levels = ["clerk", "cook", "pilot"]
        if key == "pandas":
            job = pd.CategoricalDtype(levels)
            dtypes = {"age": "float64", "hours": "int64", "job": job, "old": "bool"}
            return pd.DataFrame(columns).astype(dtypes)
        schema = {
            "age": pl.Float64,
            "hours": pl.Int64,
            "job": pl.Enum(levels),
            "old": pl.Boolean,
        }
        return pl.DataFrame(columns, schema=schema)
    with np.load(FOLDER / "inputs.npz") as arrays:
        if key == "X32":
            return arrays["X"].astype(np.float32)
        return arrays[key]


def check_close(result, expected):
    expected = np.asarray(expected)
    scale = np.nanmax(np.abs(expected)) if expected.size else 1.0
    np.testing.assert_allclose(
        np.asarray(result, dtype=float), expected, rtol=RTOL, atol=RTOL * scale
    )


def check_frame(result, expected):
    for name, values in expected.items():
        found = result[name]
        found = found.to_list() if isinstance(result, pl.DataFrame) else found.tolist()
        found = [None if pd.isna(value) else value for value in found]
        if isinstance(values[0], float):
            check_close(found, values)
        else:
            assert found == values


@pytest.mark.parametrize("name", EXPECTED)
def test_file_of_0_1_0_gives_what_it_gave(name, tmp_path):
    case = EXPECTED[name]
    path = FOLDER / f"{name}.safetensors"
    with pytest.warns(InconsistentVersionWarning, match=r"sk_autoencoder 0\.1\.0 and"):
        estimator = sk_autoencoder.load(path, custom=CUSTOM.get(name))
    assert type(estimator).__name__ == case["class"]
    estimator.save(tmp_path / "again")
    again = sk_autoencoder.load(tmp_path / "again", custom=CUSTOM.get(name))
    X = samples(case["data"])
    with np.load(FOLDER / f"{name}.npz") as arrays:
        for method, frame in case["outputs"].items():
            for fitted in (estimator, again):
                result = getattr(fitted, method)
                result = result(X) if callable(result) else result
                if frame is None:
                    check_close(result, arrays[method])
                else:
                    check_frame(result, frame)


@pytest.mark.parametrize(
    "name", ["autoencoder", "autoencoder_conv", "vae", "denoising_hidden"]
)
def test_file_of_0_1_0_trains_on(name):
    with pytest.warns(InconsistentVersionWarning):
        estimator = sk_autoencoder.load(FOLDER / f"{name}.safetensors")
    n_iter = estimator.n_iter_
    estimator.partial_fit(samples("X"))
    assert estimator.n_iter_ == n_iter + 1
    assert np.isfinite(estimator.score(samples("X")))
