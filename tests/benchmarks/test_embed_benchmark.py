"""What `tables.embed` measures and prints, on small tables and with small networks."""

import importlib

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
)
from sklearn.preprocessing import FunctionTransformer

pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.benchmark


@pytest.fixture
def script():
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def methods(script):
    return script("tables.embed_methods")


def test_neighbors_are_scikit_learns(methods):
    rng = np.random.default_rng(0)
    train, y = rng.normal(size=(200, 3)), rng.integers(0, 3, 200)
    test = np.vstack([rng.normal(size=(30, 3)), train[:5]])  # some at no distance
    classes = methods.neighbors_means(train, np.eye(3)[y], test)
    numbers = methods.neighbors_means(train, y * 1.0, test)
    assert len(classes) == len(numbers) == 9
    for k, found, means in zip(methods.N_NEIGHBORS, classes, numbers, strict=True):
        model = KNeighborsClassifier(k, weights="distance").fit(train, y)
        np.testing.assert_allclose(found, model.predict_proba(test), atol=1e-12)
        model = KNeighborsRegressor(k, weights="distance").fit(train, y)
        np.testing.assert_allclose(means, model.predict(test), atol=1e-12)


def test_outlier_scores_are_scikit_learns(methods):
    X = np.random.default_rng(0).normal(size=(150, 4))
    X[:5] = X[5:10]  # the same rows twice
    for k, found in zip(methods.N_NEIGHBORS, methods.outlier_factors(X), strict=True):
        factor = LocalOutlierFactor(n_neighbors=k).fit(X).negative_outlier_factor_
        np.testing.assert_allclose(found, -factor)
    found = methods.isolation(X, 3)
    assert len(found) == len(methods.N_TREES)
    for i in (0, 2):
        forest = IsolationForest(n_estimators=methods.N_TREES[i], random_state=3)
        np.testing.assert_allclose(found[i], -forest.fit(X).score_samples(X))


def test_rare_levels_of_the_encoding_share_a_column(methods):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": [1e6, 2.0] * 150,
            "two": pd.Categorical(["a", "b", "b"] * 100),
            "many": pd.Categorical(rng.integers(0, 60, 300).astype(str)),
        }
    )
    encoded = methods.encoding().fit_transform(frame)
    assert encoded.shape == (300, methods.MOST_LEVELS + 2)
    np.testing.assert_array_equal(encoded[:, -1], frame["number"])


def test_rows_with_missing_numbers_are_left_out(script, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "Duration": rng.normal(size=60),
            "Region": rng.integers(0, 3, 60),
            "Month": rng.choice(["May", "June", None], 60),
            "Same": 1.0,
            "Revenue": rng.random(60) < 0.4,
        }
    )
    frame.loc[:9, "Duration"] = np.nan
    frame.to_csv(tmp_path / "online_shoppers.csv.gz", index=False)
    tables = script("tables.embed_tables")
    task = tables.load("classification", "online_shoppers", tmp_path, 100, 0)
    assert list(task.X) == ["Duration", "Region", "Month"]
    assert len(task.X) == len(task.y) == 50
    assert not task.X.isna().any(axis=None)
    assert set(task.X["Month"].cat.categories) == {"May", "June", "(missing)"}
    assert sorted(set(task.y)) == [0, 1]


def test_tables_without_a_file_are_listed(script, tmp_path):
    wanted = script("tables.embed_tables").wanted
    found, missing = wanted(["classification", "outliers"], None, None)
    assert ("classification", "adult") in found
    assert ("outliers", "wine") in found
    assert "bank_marketing" in missing
    assert wanted(["regression"], ["adult", "diamonds"], tmp_path) == ([], ["diamonds"])


def test_features_are_judged_once_and_compared(
    script, methods, tmp_path, capsys, monkeypatch
):
    bench = script("tables.embed")
    monkeypatch.setattr(script("_shared.command"), "ensure_one_thread", lambda: None)
    monkeypatch.setattr(methods, "CS", [0.01, 1.0])
    monkeypatch.setattr(methods, "N_TREES", range(5, 15, 5))
    quick = {
        methods.VECTORIZER: methods.Features(FunctionTransformer, "no_such_package"),
        methods.CODES_HALF: methods.Features(
            lambda n, seed: methods.standardized(PCA(2))
        ),
    }
    for run, features in quick.items():
        monkeypatch.setitem(methods.FEATURES, run, features)
    results = tmp_path / "lines.jsonl"
    runs = [methods.STANDARDIZED, methods.PCA_HALF, *quick]
    command = ["--sets", "wine", "diabetes", "diamonds", "--rows", "150"]
    command += ["--results", str(results), "--runs", *runs]
    bench.main(command)
    printed = capsys.readouterr().out
    for title in ("Classes, nearest", "Numbers, ridge", "Outliers, isolation"):
        assert f"## {title}" in printed
    assert "| AutoEncoder, half over PCA, half | Classes, nearest" in printed
    assert "- not installed, so not measured: TableVectorizer" in printed
    assert "- no file for: diamonds" in printed
    first = results.read_text()
    assert first.count("\n") == 3 * 3
    bench.main(command)
    assert results.read_text() == first


@pytest.mark.filterwarnings("ignore:n_quantiles")
def test_hidden_features_are_made_of_frames(methods, script):
    bench = script("tables.embed")
    rng = np.random.default_rng(0)
    number = rng.normal(size=120)
    levels = pd.Categorical(rng.choice(["a", "b", "c"], 120))
    frame = pd.DataFrame({"number": number, "level": levels})
    y = (number > 0).astype(int)
    task = script("tables.embed_tables").Task("classification", "made", frame, y)
    train, test, y_train, y_test = bench.split(task, 0)
    assert (len(train), len(test)) == (80, 40)
    assert abs(y_train.mean() - y_test.mean()) < 0.02
    seconds, A, B = bench.features(methods.RANKED, train, test, 0)
    assert seconds > 0
    assert A.shape == (80, 4)
    assert B.shape == (40, 4)
    for run in (methods.HIDDEN, methods.BESIDE):
        made = methods.FEATURES[run].make(4, 0)
        assert made.passthrough is (run == methods.BESIDE)
        made.set_params(max_epochs=1, hidden_layer_sizes=(4,)).fit(train)
        assert len(made.transform(test)) == 40


def test_equal_figures_share_their_rank(script):
    ranks = script("tables.embed_report")._ranks
    assert ranks([0.7, 0.9, 0.7 + 1e-9], False) == [2.5, 1, 2.5]
    assert ranks([0.2, 0.1], True) == [2, 1]
