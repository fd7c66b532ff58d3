"""A detector of a masked network: how improbable each cell is, given the others."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.base import clone

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    DenoisingAutoEncoderTransformer,
    load,
)

RNG = np.random.default_rng(0)
N = 600
# Of two groups of rows, one is wide.
GROUP = RNG.integers(0, 2, N).astype(float)
WIDE = RNG.normal(0.0, np.where(GROUP == 1, 5.0, 0.2))
X = np.column_stack([GROUP, WIDE, WIDE + RNG.normal(0.0, 0.1, N)])
FRAME = pd.DataFrame(X[:, 1:], columns=["wide", "same"])
FRAME["group"] = np.where(GROUP == 1, "u", "v")
FRAME["level"] = RNG.choice(list("pqr"), N, p=[0.8, 0.15, 0.05])
FRAME.loc[::9, "same"] = np.nan
FRAME.loc[::11, "level"] = None
NETWORK = DenoisingAutoEncoderTransformer(
    features="reconstruction",
    hidden_layer_sizes=(32,),
    batch_size=64,
    max_epochs=25,
    lr=0.005,
    allow_missing=True,
    early_stopping=False,
)


def detector(**params):
    params = {"novelty": True, "threshold": "train", **params}
    return AutoEncoderOutlierDetector(NETWORK, random_state=0, **params)


@pytest.fixture(scope="module")
def fitted():
    return detector(measure="reconstruction").fit(X)


@pytest.fixture(scope="module")
def of_table():
    return detector(measure="reconstruction").fit(FRAME)


def test_distance_of_codes_is_refused():
    few = clone(NETWORK).set_params(max_epochs=1)
    message = (
        "expected a transformer that has codes for measure='latent', got one whose "
        "network predicts each cell by the others, estimator=DenoisingAutoEncoder"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        AutoEncoderOutlierDetector(few, measure="latent").fit(X)


def sizes_by_hand(estimator, rows):
    """How improbable cells are, by a pass of the network for each, squared by Huber."""
    module = estimator.module_
    columns, network = module.columns, module.network
    matrix = estimator._table.matrix(rows)
    cells = columns.cells(torch.from_numpy(matrix).float())
    found = np.zeros(matrix.shape)
    for row, own in enumerate(cells.long().tolist()):
        for i, level in enumerate(own):
            if level < 0:
                continue
            seen = cells[row : row + 1].clone()
            seen[0, i] = -1
            first, last = network.offsets[i : i + 2].tolist()
            with torch.no_grad():
                logits = network(seen)[0, first:last].double()
            p = logits.softmax(0).numpy()
            if columns.means[i] is None:
                tail = (p[p < p[level]].sum() + p[level] / 2) / 2
            else:
                below = p[:level].sum() + p[level] / 2
                tail = min(below, 1 - below)
            found[row, i] = norm.isf(tail)
    return np.where(found < 3, found**2, 6 * found - 9)


@pytest.mark.parametrize("kind", ["array", "table"])
def test_errors_are_normal_scores_of_cells_given_the_others(kind, fitted, of_table):
    model, rows = (fitted, X) if kind == "array" else (of_table, FRAME)
    rows = rows[:40]
    (estimator,) = model.estimators_
    expected = sizes_by_hand(estimator, rows)
    np.testing.assert_allclose(
        model.score_samples(rows), -expected.mean(axis=1), rtol=1e-4, atol=1e-4
    )
    cells = np.asarray(model.explain(rows))
    gaps = np.asarray(pd.DataFrame(rows).isna())
    assert (cells[gaps] == 0).all()


def test_the_same_distance_is_more_unusual_where_cells_vary_less(fitted):
    narrow, wide, apart = fitted.score_samples(
        [[0.0, 4.0, 4.0], [1.0, 4.0, 4.0], [1.0, 4.0, -4.0]]
    )
    assert wide > -0.3
    assert max(narrow, apart) < 4 * wide - 0.5


def test_far_cells_stay_far(fitted):
    rows = X[:1].repeat(5, axis=0)
    rows[:, 1] = [30.0, 300.0, 3e4, 1e12, 1e300]
    scores = fitted.score_samples(rows)
    assert (np.diff(scores) < 0).all()
    assert np.isfinite(scores).all()
    cells = fitted.explain(rows)
    assert (cells[:, 1] > 0.7 * cells.sum(axis=1)).all()


def test_unseen_levels_are_far_and_missing_cells_are_not(of_table):
    rows = pd.concat([FRAME[1:2]] * 3, ignore_index=True)
    rows.loc[1, "level"] = "new"
    rows.loc[2, "level"] = None
    cells = of_table.explain(rows)["level"]
    assert 4 * cells[1] > 9
    assert cells[2] == 0


@pytest.mark.parametrize("measure", ["combined", "reconstruction"])
def test_all_that_a_detector_does_it_does_with_conditionals(measure, tmp_path):
    params = {"measure": measure, "estimator__max_epochs": 8}
    model = detector(threshold="held_out", cv=2).set_params(**params).fit(FRAME[:300])
    model.save(tmp_path / "detector.ae")
    again = load(tmp_path / "detector.ae")
    new = FRAME[300:400].copy()
    new.iloc[:3, 1] = 50.0
    np.testing.assert_array_equal(again.score_samples(new), model.score_samples(new))
    assert (model.p_values(new)[:3] < 0.02).all()
    assert model.outliers(new, fdr=0.2)[:3].all()
    assert (model.set_threshold(contamination=0.05).predict(new)[:3] == -1).all()
    sums = model.explain(new).sum(axis=1)
    np.testing.assert_allclose(sums, -model.score_samples(new), rtol=1e-6)
    streamed = detector().set_params(**params).partial_fit(FRAME[:200])
    streamed.partial_fit(FRAME[200:300], window=250)
    assert (streamed.predict(new)[:3] == -1).all()
