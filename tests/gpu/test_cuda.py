"""What fits on a CUDA device give, beside the same on the CPU.

`make test-gpu` runs these where there is such a device. With TEST_DEVICE=cpu they
compare the CPU with itself, which shows that the tests themselves are sound.
"""

import gc
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from made_tables import small
from onnx_sessions import session_of
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._training.fast.cuda_graph import CudaGraphStep, cuda_graph
from sk_autoencoder.export import to_onnx
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("TEST_DEVICE", "cuda")
HAS_CUDA = DEVICE.startswith("cuda")
X = load_digits().data.astype(np.float32)
TRAIN, TEST = X[:1200], X[1200:]
TABLE, GAPS = small(300), small(300, gaps=True)
SPARSE = sparse.random_array((400, 300), density=0.02, rng=0, format="csr")
SMALL = {"hidden_layer_sizes": (32,), "max_epochs": 4, "random_state": 0}


def hidden(**params):
    return DenoisingAutoEncoderTransformer(features="hidden", **params)


def imputer(**params):
    return DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, **params
    )


AE = AutoEncoderTransformer
FITS = {
    "plain": (AE(4, **SMALL), X),
    "float64": (AE(4, **SMALL), X.astype(np.float64)),
    "default": (AE(4, max_epochs=4, random_state=0), X),
    "random": (AE(4, init="random", **SMALL), X),
    "ordered": (AE(4, ordered=True, **SMALL), X),
    "whitened": (AE(4, whiten=True, **SMALL), X),
    "dropout": (AE(4, dropout=0.1, **SMALL), X),
    "batch norm": (AE(4, batch_norm=True, **SMALL), X),
    "huber": (AE(4, loss="huber", **SMALL), X),
    "sgd": (AE(4, optimizer=torch.optim.SGD, lr=0.01, **SMALL), X),
    "nadam": (AE(4, optimizer=torch.optim.NAdam, **SMALL), X),
    "bf16": (AE(4, precision="bf16", **SMALL), X),
    "sparse": (AE(4, **SMALL), SPARSE),
    "missing": (AE(4, allow_missing=True, **SMALL), np.where(X == 5, np.nan, X)),
    "table": (AE(4, **SMALL), TABLE),
    "table with gaps": (AE(4, allow_missing=True, **SMALL), GAPS),
    "rank_gauss": (AE(4, numeric_scaling="rank_gauss", **SMALL), X),
    "vae": (VAETransformer(4, **SMALL), X),
    "vae of a table": (VAETransformer(4, **SMALL), TABLE),
    "vae, bf16": (VAETransformer(4, precision="bf16", **SMALL), X),
    "denoiser": (DenoisingAutoEncoderTransformer(4, **SMALL), X),
    "masking": (DenoisingAutoEncoderTransformer(4, noise="masking", **SMALL), X),
    "gaussian": (DenoisingAutoEncoderTransformer(4, noise="gaussian", **SMALL), X),
    "hidden": (hidden(**SMALL), X),
    "hidden, beside": (hidden(passthrough=True, **SMALL), TABLE),
    "hidden, bf16": (hidden(precision="bf16", **SMALL), X),
    "imputer": (imputer(**SMALL), GAPS),
    "imputer of an array": (
        imputer(**SMALL),
        np.where(X[:, :20] == 5, np.nan, X[:, :20]),
    ),
    "conv": (AE(4, network=ConvNet((1, 8, 8)), max_epochs=2, random_state=0), X),
    "lstm": (AE(4, network=RecurrentNet((8, 8)), max_epochs=2, random_state=0), X),
    "gru": (
        AE(4, network=RecurrentNet((8, 8), cell="gru"), max_epochs=2, random_state=0),
        X,
    ),
    "mlp": (AE(4, network=MLP((32, 16)), max_epochs=2, random_state=0), X),
    "modules": (
        AE(
            4,
            network=UserNetwork(
                nn.Sequential(
                    nn.Linear(64, 32),
                    nn.BatchNorm1d(32),
                    nn.ReLU(),
                    nn.Dropout(0.1),
                    nn.Linear(32, 4),
                ),
                nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 64)),
            ),
            max_epochs=2,
            random_state=0,
        ),
        X,
    ),
}
# Modules of one's own are asked for by `load`.
SAVED = [name for name in FITS if name != "modules"]
LOOSE = pytest.mark.filterwarnings(
    "ignore:expected (a network|at least half|training|no more|X with at):UserWarning"
)


def on(device, estimator):
    return clone(estimator).set_params(device=device)


def parts(rows):
    n = 2 * rows.shape[0] // 3
    return (
        (rows.iloc[:n], rows.iloc[n:])
        if hasattr(rows, "iloc")
        else (rows[:n], rows[n:])
    )


def as_numbers(found):
    if isinstance(found, pd.DataFrame):
        found = found.apply(
            lambda c: c if c.dtype.kind in "fiub" else c.astype("category").cat.codes
        )
        found = found.to_numpy(dtype=np.float64)
    return np.asarray(found, dtype=np.float64)


@pytest.fixture(scope="module")
def fitted():
    """Fit each estimator on the device once."""
    kept = {}

    def fit(name):
        if name not in kept:
            estimator, rows = FITS[name]
            kept[name] = on(DEVICE, estimator).fit(parts(rows)[0])
        return kept[name]

    return fit


@LOOSE
@pytest.mark.parametrize("name", FITS)
def test_a_fit_on_the_device_is_as_good_as_on_the_cpu(fitted, name):
    estimator, rows = FITS[name]
    train, test = parts(rows)
    there = fitted(name)
    assert there.device_.startswith(DEVICE)
    here = on("cpu", estimator).fit(train)
    errors = [np.mean(e.reconstruction_error(test)) for e in (there, here)]
    # Other draws of noise and rounding, a few epochs long.
    assert errors[0] == pytest.approx(errors[1], rel=0.15)


ON_THE_CPU = """
import pickle, sys, warnings
from sk_autoencoder import load

warnings.simplefilter("ignore")
folder, found = sys.argv[1], {}
with open(folder + "/rows", "rb") as file:
    rows = pickle.load(file)
for i, (name, test) in enumerate(rows.items()):
    estimator = load(f"{folder}/{i}")
    assert estimator.device_ == "cpu"
    found[name] = estimator.transform(test), estimator.reconstruction_error(test)
with open(folder + "/found", "wb") as file:
    pickle.dump(found, file)
"""


@pytest.fixture(scope="module")
def on_the_cpu(fitted, tmp_path_factory):
    """Load files of all fits where there is no such device."""
    folder = tmp_path_factory.mktemp("files")
    rows = {name: parts(FITS[name][1])[1] for name in SAVED}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, name in enumerate(SAVED):
            fitted(name).save(folder / str(i))
    (folder / "rows").write_bytes(pickle.dumps(rows))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", ON_THE_CPU, str(folder)]
    subprocess.run(command, check=True, env=environment)
    return pickle.loads((folder / "found").read_bytes())


@LOOSE
@pytest.mark.parametrize("name", SAVED)
def test_a_file_computes_the_same_on_the_cpu(fitted, on_the_cpu, name):
    there, test = fitted(name), parts(FITS[name][1])[1]
    tolerance = 0.05 if "bf16" in name else 2e-3
    mine, other = as_numbers(there.transform(test)), as_numbers(on_the_cpu[name][0])
    unit = np.abs(other).max()
    np.testing.assert_allclose(mine, other, atol=tolerance * unit, rtol=0)
    mine, other = there.reconstruction_error(test), on_the_cpu[name][1]
    np.testing.assert_allclose(mine, other, rtol=10 * tolerance)


@LOOSE
@pytest.mark.parametrize("name", FITS)
def test_a_second_fit_gives_the_same(fitted, name):
    """Sums of a GPU's threads come in any order in a few kernels of libraries."""
    estimator, rows = FITS[name]
    train, test = parts(rows)
    again = on(DEVICE, estimator).fit(train)
    mine, other = (as_numbers(e.transform(test)) for e in (fitted(name), again))
    np.testing.assert_allclose(mine, other, atol=1e-3 * np.abs(other).max(), rtol=0)


@LOOSE
@pytest.mark.parametrize("name", FITS)
def test_pickles_compute_the_same(fitted, name):
    test = parts(FITS[name][1])[1]
    copy = pickle.loads(pickle.dumps(fitted(name)))
    assert copy.device_.startswith(DEVICE)
    np.testing.assert_array_equal(
        as_numbers(copy.transform(test)), as_numbers(fitted(name).transform(test))
    )


def test_the_start_is_pca():
    for cls in (AE, DenoisingAutoEncoderTransformer):
        found = cls(5, max_epochs=0, device=DEVICE, random_state=0).fit(TRAIN)
        pca = PCA(5).fit(TRAIN)
        expected = pca.inverse_transform(pca.transform(TEST))
        np.testing.assert_allclose(found.reconstruct(TEST), expected, atol=2e-3)


@pytest.mark.parametrize("cls", [AE, VAETransformer, DenoisingAutoEncoderTransformer])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_recorded_step_is_the_step(cls, dropout):
    def make_gradient_fn(module, flat, precision):
        return CudaGraphStep(module, flat, precision, record=lambda step, _: step)

    settings = {**SMALL, "dropout": dropout, "device": DEVICE}
    steps = cls(5, net_params={"make_gradient_fn": make_gradient_fn}, **settings)
    steps.fit(TRAIN)
    recorded = cls(5, **settings).fit(TRAIN)
    np.testing.assert_allclose(recorded.loss_curve_, steps.loss_curve_, rtol=1e-4)
    codes = steps.transform(TEST)
    np.testing.assert_allclose(
        recorded.transform(TEST), codes, atol=2e-3 * np.abs(codes).max()
    )


@pytest.mark.parametrize("name", ["plain", "vae", "ordered", "hidden", "missing"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_stay_on_the_device(fitted, name, dtype):
    estimator = fitted(name)
    rows = torch.tensor(parts(FITS[name][1])[1], dtype=dtype, device=DEVICE)
    with config_context(array_api_dispatch=True):
        found = estimator.transform(rows)
        back = estimator.inverse_transform(found)
        errors = estimator.reconstruction_error(rows)
    for tensor in (found, back, errors):
        assert isinstance(tensor, torch.Tensor)
        assert tensor.device.type == torch.device(DEVICE).type
    expected = estimator.transform(rows.cpu().numpy())
    np.testing.assert_allclose(
        found.cpu(), expected, atol=1e-4 * np.abs(expected).max()
    )


def test_fits_to_tensors_of_the_device():
    rows = torch.tensor(TRAIN, device=DEVICE)
    with config_context(array_api_dispatch=True):
        found = AE(4, device=DEVICE, **SMALL).fit(rows)
    expected = AE(4, device=DEVICE, **SMALL).fit(TRAIN)
    codes = expected.transform(TEST)
    np.testing.assert_allclose(
        found.transform(TEST), codes, atol=2e-3 * np.abs(codes).max()
    )


def test_a_vae_draws_and_scores(fitted):
    vae = fitted("vae")
    samples = vae.sample(500, random_state=0)
    assert samples.shape == (500, 64)
    np.testing.assert_array_equal(samples, vae.sample(500, random_state=0))
    scores = vae.score_samples(TEST[:50])
    assert np.isfinite(scores).all()
    here = pickle.loads(pickle.dumps(vae))
    assert np.isfinite(vae.score(TEST))
    assert np.corrcoef(scores, here.score_samples(TEST[:50]))[0, 1] > 0.99


def test_an_imputer_draws_and_fills(fitted):
    estimator = fitted("imputer")
    filled = estimator.transform(GAPS)
    assert not filled.isna().any().any()
    seen = GAPS.notna()
    assert (filled["few"][seen["few"]] == GAPS["few"][seen["few"]]).all()
    drawn = estimator.sample(40, random_state=0)
    pd.testing.assert_frame_equal(drawn, estimator.sample(40, random_state=0))
    given = estimator.sample(40, random_state=0, given={"few": "x"})
    assert (given["few"] == "x").all()
    tables = estimator.sample_missing(GAPS, 2, random_state=0)
    assert len(tables) == 2
    assert not tables[0].isna().any().any()


@pytest.mark.parametrize("novelty", [False, True])
def test_detectors(novelty):
    rng = np.random.default_rng(0)
    odd = rng.uniform(TRAIN.min(), TRAIN.max(), size=(40, 64)).astype(np.float32)
    detector = AutoEncoderOutlierDetector(
        AE(8, max_epochs=4, device=DEVICE), novelty=novelty, random_state=0
    )
    detector.fit(TRAIN)
    assert detector.score_samples(odd).mean() < detector.score_samples(TEST).mean()
    assert detector.predict(odd).mean() < 0


def test_what_explains_a_code(fitted):
    estimator = fitted("plain")
    assert np.isfinite(estimator.components_).all()
    assert np.isfinite(estimator.explained_variance_ratio_).all()
    assert np.isfinite(estimator.contributions(TEST[:20])).all()


class StopAfterTwo(Callback):
    """A callback that breaks a fit off."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise RuntimeError("broken off")


@pytest.mark.parametrize("cls", [AE, VAETransformer])
def test_a_fit_that_broke_off_goes_on(cls, tmp_path):
    settings = {**SMALL, "max_epochs": 6, "device": DEVICE, "dropout": 0.1}
    whole = cls(4, **settings).fit(TRAIN)
    kept = {"checkpoint_dir": tmp_path, "checkpoint_interval": 0}
    broken = cls(4, callbacks=[("stop", StopAfterTwo())], **settings, **kept)
    with pytest.raises(RuntimeError, match="broken off"):
        broken.fit(TRAIN)
    resumed = cls(4, **settings, **kept).fit(TRAIN)
    np.testing.assert_allclose(resumed.loss_curve_, whole.loss_curve_, rtol=1e-3)


class Pickle(Callback):
    """A callback that pickles the net after each epoch."""

    def on_epoch_end(self, net, **kwargs):
        self.copy_ = pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("cls", [AE, VAETransformer])
def test_a_net_can_be_pickled_by_a_callback(cls):
    keep = Pickle()
    estimator = cls(4, device=DEVICE, callbacks=[("keep", keep)], **SMALL).fit(TRAIN)
    copied = dict(estimator.callbacks)["keep"]
    net = dict(estimator.net_.callbacks_)["keep"].copy_
    assert copied is keep
    assert net.noise_.device.type == torch.device(DEVICE).type
    net.partial_fit(TRAIN, epochs=1)


def test_the_net_predicts(fitted):
    estimator = fitted("plain")
    np.testing.assert_allclose(
        estimator.net_.predict(TEST), estimator.reconstruct(TEST), atol=1e-3
    )


def test_later_recordings_do_not_mind_earlier_fits():
    """Their graphs are given back by a search for garbage, at any time."""
    before = gc.get_threshold()
    gc.set_threshold(20, 2, 2)
    try:
        for seed in range(8):
            estimator = AE(4, device=DEVICE, **SMALL).set_params(random_state=seed)
            # A recording that breaks off is a warning, and so an error here.
            estimator.fit(TRAIN[:300])
            estimator.circle_ = estimator
            assert estimator.n_iter_ == SMALL["max_epochs"]
    finally:
        gc.set_threshold(*before)


def test_fits_in_threads_are_those_in_a_row():
    fits = [cls(4, device=DEVICE, **SMALL) for cls in (AE, VAETransformer, AE, AE)]
    alone = [clone(fit).fit(TRAIN).transform(TEST) for fit in fits]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda fit: fit.fit(TRAIN).transform(TEST), fits))
    for mine, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-3 * np.abs(mine).max())


def test_replays_go_on_drawing():
    if not HAS_CUDA:
        return
    generator = torch.Generator(DEVICE).manual_seed(0)

    def draw():
        return torch.randn(8, generator=generator, device=DEVICE), {}

    state = generator.get_state()
    replay = cuda_graph(draw, generator)
    generator.set_state(state)
    drawn = [replay()[0].clone() for _ in range(3)]
    generator.set_state(state)
    for found in drawn:
        torch.testing.assert_close(found, draw()[0])


def test_longer_runs_better_pca():
    for cls in (AE, VAETransformer, DenoisingAutoEncoderTransformer):
        found = cls(8, max_epochs=40, device=DEVICE, random_state=0).fit(TRAIN)
        here = cls(8, max_epochs=40, device="cpu", random_state=0).fit(TRAIN)
        errors = [np.square(e.reconstruct(TEST) - TEST).mean() for e in (found, here)]
        assert errors[0] == pytest.approx(errors[1], rel=0.05)


def test_partial_fit_and_batches():
    streamed = AE(4, device=DEVICE, **SMALL)
    for start in range(0, 1200, 400):
        streamed.partial_fit(TRAIN[start : start + 400])
    batches = AE(4, device=DEVICE, **SMALL)
    batches.fit_batches(lambda: iter(np.array_split(TRAIN, 3)))
    pca = PCA(4).fit(TRAIN)
    of_pca = np.square(TEST - pca.inverse_transform(pca.transform(TEST))).mean()
    for estimator in (streamed, batches):
        found = estimator.reconstruct(TEST)
        assert np.square(TEST - found).mean() < 1.1 * of_pca


def test_warm_starts_go_on():
    estimator = AE(4, device=DEVICE, warm_start=True, **SMALL).fit(TRAIN)
    before = estimator.loss_curve_[-1]
    estimator.fit(TRAIN)
    assert estimator.loss_curve_[-1] <= 1.05 * before


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_searches(n_jobs):
    search = GridSearchCV(
        AE(4, device=DEVICE, **SMALL), {"n_components": [2, 4]}, n_jobs=n_jobs, cv=2
    )
    search.fit(TRAIN)
    assert search.best_params_ == {"n_components": 4}


def test_onnx_files_compute_the_same(fitted):
    estimator = fitted("plain")
    session = session_of(to_onnx(estimator))
    name = session.get_inputs()[0].name
    found = session.run(None, {name: TEST})[0]
    np.testing.assert_allclose(found, estimator.transform(TEST), atol=1e-2)


@pytest.mark.parametrize("name", ["plain", "vae", "hidden, beside", "imputer"])
def test_the_callers_state_stays(name):
    estimator, rows = FITS[name]
    torch.manual_seed(3)
    cpu, where = torch.get_rng_state(), torch.get_default_device()
    cuda = torch.cuda.get_rng_state() if HAS_CUDA else cpu
    tf32 = torch.backends.cuda.matmul.allow_tf32
    on(DEVICE, estimator).fit(rows)
    assert torch.equal(torch.get_rng_state(), cpu)
    assert torch.get_default_device() == where
    assert torch.backends.cuda.matmul.allow_tf32 == tf32
    if HAS_CUDA:
        assert torch.equal(torch.cuda.get_rng_state(), cuda)


@pytest.mark.parametrize("name", ["plain", "vae", "hidden", "imputer", "ordered"])
def test_no_memory_stays_behind(name):
    estimator, rows = FITS[name]
    held = []
    for _ in range(3):
        found = on(DEVICE, estimator).fit(rows)
        found.transform(rows)
        del found
        gc.collect()
        held.append(torch.cuda.memory_allocated() if HAS_CUDA else 0)
    assert held[2] <= held[1] <= held[0] + 2**20
