"""What `tables.features` measures and prints, on a tiny table and small networks."""

import importlib
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

pytestmark = pytest.mark.benchmark


def load(name):
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def script():
    return load


def tiny_table(script, n_rows=120):
    rng = np.random.default_rng(0)
    number = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "number": number,
            "gaps": np.where(rng.random(n_rows) < 0.2, np.nan, number**2),
            "level": pd.Categorical(rng.choice(["a", "b", "c"], n_rows)),
        }
    )
    y = (number + rng.normal(size=n_rows) > 0).astype(np.float32)
    return script("tables.features_tables").code("adult", frame, y)


@pytest.fixture
def quick(script, monkeypatch):
    methods = script("tables.features_methods")
    monkeypatch.setitem(methods.RECIPE, "max_epochs", 1)
    monkeypatch.setitem(methods.RECIPE, "hidden_layer_sizes", (8, 4))
    monkeypatch.setattr(methods, "SIZES", (8, 4))
    monkeypatch.setattr(methods, "EPOCHS", 1)
    bench = script("tables.features")
    monkeypatch.setattr(bench, "load", lambda *args: tiny_table(script))
    monkeypatch.setattr(script("_shared.command"), "ensure_one_thread", lambda: None)
    return bench


def test_a_coded_table_has_numbers_levels_and_where_the_gaps_are(script):
    table = tiny_table(script)
    assert table.standard.shape == table.ranks.shape == (120, 2)
    assert table.levels.shape == (120, 4)
    np.testing.assert_array_equal(table.levels[:, -1], table.frame["gaps"].isna())
    block = (
        script("tables.features_methods").CenterAndDivide().fit_transform(table.encoded)
    )
    assert block.var(axis=0).sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("shape", [(200, 5), (40, 90)])
def test_the_quick_logistic_regression_is_scikit_learns(script, shape):
    logistic = script("tables.features_logistic")
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.float32)
    X -= X.mean(axis=0)
    axes = logistic._axes(X)
    Z, ones = torch.from_numpy(X @ axes), torch.ones(len(X), 2)
    weights, intercepts = logistic.fit(
        Z, torch.from_numpy(y), ones, torch.tensor([0.01, 1.0])
    )
    for j, c in enumerate([0.01, 1.0]):
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5_000).fit(X, y)
        ours = Z @ weights[:, j] + intercepts[j]
        np.testing.assert_allclose(ours, model.decision_function(X), atol=0.02)


def test_features_are_measured_once_and_judged(script, quick, tmp_path, capsys):
    results = tmp_path / "lines.jsonl"
    command = ["--sets", "adult", "bank_marketing", "--draws", "1", "2"]
    command += ["--results", str(results)]
    quick.main(command)
    first = results.read_text()
    printed = capsys.readouterr().out
    assert "adult (tuning)" in printed
    assert "- no file for: bank_marketing" in printed
    assert printed.count("median gain") == 2
    quick.main(command)
    assert results.read_text() == first


def test_gains_by_noise_level_are_drawn(quick, tmp_path, capsys):
    picture = tmp_path / "levels.png"
    levels = ["--noise-levels", "0", "0.3", "--picture", str(picture)]
    quick.main(["--draws", "1", "1", *levels])
    assert "| table | 0 | 0.3 |" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000


def test_the_baseline_is_the_coding_that_is_best_in_the_mean(script):
    results = script("tables.features_results")
    lines = results.Lines(None)
    aucs = {"standardized": (0.6, 0.8), "ranks": (0.65, 0.73), "mine": (0.7, 0.85)}
    for run, each in aucs.items():
        lines.add(results.Line("adult", "a", run, 0, 100, None, each))
    baseline = lines.baseline("adult", "a")
    np.testing.assert_array_equal(baseline[0], aucs["standardized"])
    assert lines.gain("adult", "a", "mine", baseline) == pytest.approx(0.075)
    assert math.isnan(lines.gain("adult", "b", "mine", baseline))
