"""Other people's clusters, of two workers on this machine, run the guide's recipes."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from recipes import commands, recipe
from sklearn.datasets import load_digits

from sk_autoencoder import AutoEncoderTransformer, load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
# Behind a recipe: that the fits of its search ran elsewhere, which scores tell.
ELSEWHERE = """
import os

here = os.getpid()
search.set_params(
    estimator__max_epochs=1, scoring=lambda *_: float(os.getpid() != here)
)
with joblib.parallel_config(backend={backend!r}, n_jobs=2):
    search.fit(X)
assert set(search.cv_results_["mean_test_score"]) == {{1.0}}
"""


def environment(**more):
    """What a process of the tools is started with: ours, this checkout, one thread."""
    programs = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def run(command, **more):
    """Run a line of a shell to its end; show what it printed if it fails."""
    done = subprocess.run(
        command,
        shell=True,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@contextmanager
def running(lines):
    """Run lines of a shell beside each other, and end what they have started."""
    started = []
    try:
        for line in lines:
            with Path(f"{len(started)}.log").open("w") as log:
                process = subprocess.Popen(
                    line,
                    shell=True,
                    env=environment(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            started.append(process)
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def write(script, tool, more="", page="large_data"):
    Path(script).write_text(recipe(tool, page) + textwrap.dedent(more))


def test_dask_searches_and_transforms():
    port, lines = free_port(), commands("search.py", "large_data")
    *background, search = [re.sub("8786", port, line) for line in lines]
    write("search.py", "joblib and Dask", ELSEWHERE.format(backend="dask"))
    write("codes.py", "Dask")
    with running([line.rstrip("& ") for line in background]):
        run(search)
        run(search.replace("search.py", "codes.py"))


def test_ray_searches():
    write("search_ray.py", "joblib and Ray", ELSEWHERE.format(backend="ray"))
    run("python search_ray.py")


def test_ray_transforms():
    write("codes_ray.py", "Ray")
    run("python codes_ray.py")


def test_spark_transforms():
    write("codes_spark.py", "Spark")
    (command,) = commands("codes_spark.py", "large_data")
    run(command)


def test_optuna_prunes_the_trials_of_two_workers():
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    write("study.py", "Optuna")
    first, second = commands("study.py", "large_data")
    with running([first.rstrip("& ")]) as workers:
        run(second)
        assert workers[0].wait() == 0
    storage = JournalStorage(JournalFileBackend("study.log"))
    states = [
        trial.state.name
        for trial in optuna.load_study(study_name="digits", storage=storage).trials
    ]
    assert len(states) == 16
    assert set(states) == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize(
    ("launcher", "port"),
    [("torchrun", "--standalone"), ("accelerate launch", "--main_process_port=0")],
)
def test_launchers_train_what_one_process_trains(launcher, port):
    write("train.py", "torchrun and accelerate", page="speed")
    lines = commands("train.py", page="speed")
    (command,) = [line for line in lines if line.startswith(launcher)]
    run(command.replace(launcher, f"{launcher} {port}"))
    X = load_digits().data
    model = load("digits.skae")
    params = model.set_params(distributed=False).get_params()
    expected = AutoEncoderTransformer(**params).fit(X).transform(X)
    assert model.n_iter_ == 5
    error = np.abs(model.transform(X) - expected).max()
    assert error < 1e-4 * np.abs(expected).max()
