"""The benchmark of the Porto Seguro recipe: its parts, and a run that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score

from benchmarks._shared.command import THREAD_VARIABLES
from benchmarks.porto import beside, costs, models, recipes, resume, run, tables
from benchmarks.porto.look_alike import make_porto_seguro
from sk_autoencoder.networks import MLP

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.benchmark

SCALE = 0.004  # four epochs of an autoencoder, of six units a layer


@pytest.fixture(scope="module")
def task():
    return tables.look_alike(SCALE, seed=0)


@pytest.fixture
def setup():
    return recipes.Setup(SCALE)


# ------------------------------------------------------------------------- columns


def test_the_look_alike_becomes_221_columns(task):
    assert task.rows.shape == (2381 + 3571, 221)
    assert task.rows.dtype == np.float32
    assert task.rows.flags.c_contiguous
    assert len(task.y_train) == 2381
    assert len(task.y_test) == len(task.ids) == 3571
    # 14 groups of one-hots, behind the 37 columns, of which each row has one.
    assert [j for group in task.groups for j in group] == list(range(37, 221))
    assert len(task.groups) == 14
    for group in task.groups:
        np.testing.assert_array_equal(task.rows[:, group].sum(axis=1), 1)


def test_columns_are_what_the_recipe_says():
    porto = make_porto_seguro(3000, 0, random_state=0)
    rows, groups = tables.prepare(porto.data, porto.levels)
    kept = [name for name in porto.feature_names if "_calc_" not in name]
    binary = kept.index("ps_ind_06_bin")
    np.testing.assert_array_equal(rows[:, binary], porto.data["ps_ind_06_bin"])
    real = rows[:, kept.index("ps_car_13")]
    assert abs(real.mean()) < 1e-6
    assert pd.Series(real).corr(porto.data["ps_car_13"], method="spearman") > 0.9999
    # Missing is a level, and a number less than all others.
    missing = porto.data["ps_car_05_cat"] == -1
    group = groups[list(porto.levels).index("ps_car_05_cat")]
    np.testing.assert_array_equal(rows[:, group[0]], missing)
    codes = rows[:, kept.index("ps_car_05_cat")]
    assert codes[missing].max() < codes[~missing].min()


def test_rank_gauss_is_normal_and_keeps_ties_together():
    values = np.random.default_rng(0).exponential(size=10_001)
    gauss = tables.rank_gauss(values)
    assert abs(gauss.mean()) < 1e-12
    assert gauss.std() == pytest.approx(0.5**0.5, rel=0.01)  # erfinv's unit
    np.testing.assert_array_equal(np.argsort(gauss), np.argsort(values))
    # Half the rows at the least value are no outliers.
    tied = tables.rank_gauss(np.repeat([0.0, 1.0, 2.0], [500, 250, 250]))
    assert len(np.unique(tied)) == 3
    assert np.abs(tied).max() < 1
    assert abs(tied.mean()) < 1e-12


def test_other_tables_are_encoded(tmp_path):
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "veh_value": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "clm": (rng.random(n) < 0.1).astype(int),
            "numclaims": 1,
            "claimcst0": 1.0,
            "veh_body": rng.choice(["SEDAN", "BUS"], n),
        }
    )
    frame.loc[:4, "veh_body"] = "RARE"  # both share a column
    frame.loc[5:9, "veh_body"] = "RARER"
    name = "australian_auto_datacar"
    frame.to_csv(tmp_path / f"{name}.csv.gz", index=False)
    task = tables.insurance(tmp_path, name, 1.0, seed=0)
    assert task.rows.shape == (400, 4)
    assert task.groups == [[1, 2, 3]]
    assert np.isfinite(task.rows).all()
    assert len(task.y_train) == 240
    np.testing.assert_array_equal(
        np.concatenate([task.y_train, task.y_test]).sum(), frame["clm"].sum()
    )
    order = task.ids
    expected = frame["veh_value"].to_numpy()[order]
    assert pd.Series(task.rows[240:, 0]).corr(pd.Series(expected), "spearman") > 0.999


def test_kaggles_files_are_read(tmp_path):
    porto = make_porto_seguro(300, 200, random_state=1)
    porto.frame.to_csv(tmp_path / "train.csv")
    porto.test_data.to_csv(tmp_path / "test.csv")
    paths = tmp_path / "train.csv", tmp_path / "test.csv"
    task = tables.kaggle(*paths, 1.0, seed=0)
    expected, groups = tables.prepare(
        pd.concat([porto.data, porto.test_data]), porto.levels
    )
    np.testing.assert_allclose(task.rows, expected, atol=1e-6)
    assert task.groups == groups
    np.testing.assert_array_equal(task.y_train, porto.target)
    np.testing.assert_array_equal(task.ids, porto.test_data.index)
    assert task.y_test is None
    half = tables.kaggle(*paths, 0.5, seed=0)
    assert (len(half.y_train), len(half.rows)) == (150, 250)
    porto.frame.drop(columns="ps_car_13").to_csv(tmp_path / "train.csv")
    with pytest.raises(SystemExit, match=r"without \['ps_car_13'\]. Pass its train"):
        tables.kaggle(*paths, 1.0, seed=0)


# --------------------------------------------------------------------------- figures


def test_gini_is_twice_the_auc_less_one():
    rng = np.random.default_rng(0)
    y = rng.random(500) < 0.1
    for score in (rng.random(500) + y, rng.integers(0, 3, 500) - y):
        expected = 2 * roc_auc_score(y, score) - 1
        assert run.gini(y, score) == pytest.approx(expected, abs=1e-12)


def test_at_full_scale_the_recipe_is_the_winners():
    setup = recipes.Setup(1.0)
    recipe = recipes.RECIPES[6]
    parameters = models.build_autoencoder(recipe, setup, []).get_params()
    expected = {
        "features": "hidden",
        "noise": "swap",
        "noise_level": 0.2,
        "optimizer": "sgd",
        "lr": 2.8e-3,
        "lr_schedule": 0.995,
        "batch_size": 128,
        "max_epochs": 1000,
        "early_stopping": False,
        "weight_decay": 0.0,
        "net_params": {"weight_average": None, "gradient_clip": None},
    }
    assert {name: parameters[name] for name in expected} == expected
    assert repr(parameters["network"]) == repr(MLP((1500,) * 3, activation="relu"))
    deep = models.build_autoencoder(recipes.RECIPES[5], setup, [])
    assert deep.hidden_layer_sizes == (15_000, 15_000)
    assert (deep.n_components, deep.features, deep.init) == (
        3000,
        "bottleneck",
        "random",
    )
    # A smaller run ends at the same learning rate, after fewer epochs.
    small = recipes.Setup(0.01)
    assert small.epochs(1000) == 10
    assert small.decay(1000) ** 10 == pytest.approx(0.995**1000)
    assert small.rate(3e-3) == 0.3
    assert recipes.Setup(0.1).rate(1e-4) == pytest.approx(0.01)


def test_column_groups_are_passed_where_they_are_known(monkeypatch):
    monkeypatch.setattr(models, "HAS_GROUPS", False)
    assert models.with_groups({"a": 1}, [[0]]) == {"a": 1}
    monkeypatch.setattr(models, "HAS_GROUPS", True)
    assert models.with_groups({"a": 1}, [[0]]) == {
        "a": 1,
        "feature_groups": [[0]],
    }


# -------------------------------------------------------------------------- going on


class KilledError(BaseException):
    pass


def kill_after(monkeypatch, epochs):
    """Stop right after a checkpoint of so many epochs, by no way that skorch knows."""
    save = resume.EpochCheckpoint.save_model

    def save_then_die(self, net):
        save(self, net)
        if len(net.history) == epochs:
            raise KilledError

    monkeypatch.setattr(resume.EpochCheckpoint, "save_model", save_then_die)


def weights(net):
    return {n: v.detach().clone() for n, v in net.module_.state_dict().items()}


def test_an_autoencoder_goes_on_from_its_last_epoch(task, setup, tmp_path, monkeypatch):
    recipe = recipes.RECIPES[2]
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(KilledError):
            models.fit_autoencoder(recipe, setup, task, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00003"]
    assert resume.epochs_done(tmp_path) == 3
    files = {path.name for path in (tmp_path / "epoch-00003").iterdir()}
    assert files == {"params.safetensors", "history.json"}

    found = models.fit_autoencoder(recipe, setup, task, tmp_path)
    assert found.n_iter_ == len(found.net_.history) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00004"]
    # The rate goes on falling, and so does the loss.
    factor = setup.decay(1000)
    rate = found.net_.optimizer_.param_groups[0]["lr"]
    assert rate == pytest.approx(setup.rate(recipe.lr) * factor**3)
    assert np.all(np.diff(found.loss_curve_) < 0)

    # A finished one is loaded, not trained: no epoch more, the weights of the file.
    again = models.fit_autoencoder(recipe, setup, task, tmp_path)
    assert again.n_iter_ == 4
    for name, value in weights(found.net_).items():
        np.testing.assert_array_equal(weights(again.net_)[name], value)
    np.testing.assert_array_equal(
        again.transform(task.rows[:50]), found.transform(task.rows[:50])
    )


def test_a_supervised_net_goes_on_from_its_last_epoch(task, tmp_path, monkeypatch):
    setup = recipes.Setup(0.02)  # three epochs
    recipe = recipes.RECIPES[2]
    rows = models.Rows(task.rows, task.y_train, np.arange(1000))
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(KilledError):
            models.fit_net(recipe, setup, rows, tmp_path)
    net = models.fit_net(recipe, setup, rows, tmp_path)
    assert len(net.history) == 3
    rate = setup.rate(1e-4) * setup.decay(150) ** 2
    assert net.history[-1, "event_lr"] == pytest.approx(rate)
    score = net.predict_proba(rows)
    again = models.fit_net(recipe, setup, rows, tmp_path)
    np.testing.assert_array_equal(again.predict_proba(rows), score)


def test_a_run_with_other_settings_is_refused(tmp_path):
    resume.check_settings(tmp_path, {"scale": 0.1})
    resume.check_settings(tmp_path, {"scale": 0.1})
    with pytest.raises(
        SystemExit, match=r"^expected scale=0.1 as in .*, got scale=0.2"
    ):
        resume.check_settings(tmp_path, {"scale": 0.2})


def test_a_killed_run_is_finished_by_the_same_command(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "benchmarks.porto.run"]
    # Some seconds of work, so that it is not over before it can be killed.
    command += ["--scale", "0.006", "--models", "2,4", "--output", tmp_path]
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    settings = {"env": {**os.environ, "PYTHONPATH": path} | dict.fromkeys(threads, "1")}
    home = tmp_path / "look-alike"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **settings) as process:
        while process.poll() is None:
            if list(home.glob("model-2/autoencoder/epoch-*")):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, **settings
    )
    for text in ("2, net", "4, net", "blend", "221 columns", "no evidence of quality"):
        assert text in done.stdout
    assert (tmp_path / "table.md").read_text().endswith(done.stdout)
    submission = pd.read_csv(home / "blend.csv")
    each = [pd.read_csv(home / f"model-{n}.csv") for n in (2, 4)]
    assert list(submission.columns) == ["id", "target"]
    assert len(submission) == 5357
    mean = (each[0]["target"] + each[1]["target"]) / 2
    np.testing.assert_allclose(submission["target"], mean, rtol=1e-6)
    assert submission["target"].between(0, 1, inclusive="neither").all()
    # Gigabytes at full scale: they go once a model is finished.
    assert not list(home.glob("model-*/features*"))
    assert len(list(home.glob("model-2/fold-*.npz"))) == 5


def test_features_beside_columns_are_compared_fold_by_fold(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "veh_value": rng.random(n),
            "veh_body": rng.choice(["SEDAN", "BUS"], n),
            "clm": np.arange(n) % 2,
        }
    )
    frame["veh_value"] += frame["clm"]
    name = "australian_auto_datacar"
    path = tmp_path / f"{name}.csv.gz"
    frame.assign(numclaims=1, claimcst0=1.0).to_csv(path, index=False)
    calls = ["beside", "--data", str(tmp_path), "--rows", "200", "--sets", name]
    results, table = tmp_path / "lines.jsonl", tmp_path / "table.md"
    calls += ["--results", str(results), "--write", str(table)]
    monkeypatch.setattr("sys.argv", calls)
    for threads in THREAD_VARIABLES:  # else it starts this process again
        monkeypatch.setenv(threads, "1")
    beside.main()
    (line,) = (json.loads(row) for row in results.read_text().splitlines())
    folds = [line["values"][f"{beside.WITHOUT} {i}"] for i in range(5)]
    assert np.mean(folds) > 0.9
    first = table.read_text()
    assert f"| {name} | 200 | {np.mean(folds):.4f} |" in first
    monkeypatch.setattr(beside, "measure", lambda *_: pytest.fail("measured again"))
    beside.main()
    assert table.read_text().splitlines()[2:] == first.splitlines()[2:]


# --------------------------------------------------------------------------- costs


class Clock:
    """A clock that stands still but for what is added."""

    now = 0.0

    def __call__(self):
        return self.now


def test_hours_at_full_size_are_those_of_steps_that_were_timed(monkeypatch):
    clock, args = Clock(), Namespace(seed=0, device="cpu")
    monkeypatch.setattr(costs, "clock_of", lambda _: clock)

    def fit_net(recipe, setup, rows, folder):
        # Ten seconds once, two hundredths a row and epoch.
        clock.now += 10 + 0.02 * len(rows) * recipe.net_epochs

    monkeypatch.setattr(costs, "fit_net", fit_net)
    recipe = recipes.RECIPES[2]
    found = costs.net_hours(recipe, 256, args)
    rows = 4 / 5 * 595_212
    assert found == pytest.approx(5 * 150 * rows * 0.02 / 3600)

    class Boosting(BaseEstimator):
        def __init__(self, max_iter=1400):
            self.max_iter = max_iter

        def fit(self, X, y):
            clock.now += self.max_iter * (0.5 + 1e-5 * len(X))

    monkeypatch.setattr(costs, "build_boosting", lambda setup: Boosting())
    monkeypatch.setattr(costs.time, "process_time", clock)
    found = costs.boosting_hours(np.zeros((1000, 2)), np.zeros(1000), 0)
    assert found == pytest.approx(5 * 1400 * (0.5 + 1e-5 * rows) / 3600)


def test_an_autoencoders_hours_are_its_steps_and_its_features(monkeypatch):
    args = Namespace(seed=0, device="cpu")
    small = recipes.Setup(SCALE)
    monkeypatch.setattr(costs, "Setup", lambda scale: small)
    rows = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
    steps, features = costs.autoencoder_hours(recipes.RECIPES[2], rows, args)
    assert steps > features > 0
