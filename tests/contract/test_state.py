"""Copies, pickles, seeds, and everything global that must stay as it was."""

import copy
import os
import pickle
import warnings
from dataclasses import is_dataclass

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._saving.state import capture
from sk_autoencoder.networks import MLP

X = load_digits().data[:300]
SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 3, "random_state": 0}
ESTIMATORS = [
    AutoEncoderTransformer(4, **SMALL),
    AutoEncoderTransformer(4, dropout=0.2, batch_norm=True, **SMALL),
    AutoEncoderTransformer(
        4, network=MLP((16,), "relu"), max_epochs=3, random_state=0, device="cpu"
    ),
    DenoisingAutoEncoderTransformer(4, **SMALL),
    AutoEncoderTransformer(4, ordered=True, whiten=True, **SMALL),
    DenoisingAutoEncoderTransformer(features="hidden", **SMALL),
    VAETransformer(4, **SMALL),
]


def joblib_copy(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "model.joblib")
    return joblib.load(tmp_path / "model.joblib")


COPIES = {
    "pickle": lambda estimator, path: pickle.loads(pickle.dumps(estimator)),
    "deepcopy": lambda estimator, path: copy.deepcopy(estimator),
    "joblib": joblib_copy,
}


# All ask for the same state.
@pytest.mark.parametrize(
    ("estimator", "how"),
    [
        *((estimator, "pickle") for estimator in ESTIMATORS),
        *((ESTIMATORS[0], how) for how in COPIES if how != "pickle"),
    ],
    ids=repr,
)
def test_copies_are_equal_and_go_on_alike(estimator, how, tmp_path):
    fitted = clone(estimator).fit(X)
    again = COPIES[how](fitted, tmp_path)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(again.reconstruct(X), fitted.reconstruct(X))
    assert again.loss_curve_ == fitted.loss_curve_
    assert again.best_epoch_ == fitted.best_epoch_
    assert again.score(X) == fitted.score(X)
    for model in (fitted, again):
        model.partial_fit(X)
        model.set_params(warm_start=True).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    assert again.loss_curve_ == fitted.loss_curve_


def test_a_copy_shares_nothing():
    fitted = clone(ESTIMATORS[0]).fit(X)
    before = fitted.transform(X)
    copy.deepcopy(fitted).partial_fit(X)
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_pickles_hold_arrays_and_no_torch():
    ordered = clone(ESTIMATORS[0]).set_params(ordered=True, whiten=True)
    state = capture(ordered.fit(X)._fitted)

    def leaves(value):
        if is_dataclass(value):
            value = vars(value)
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            return [leaf for item in value for leaf in leaves(item)]
        return [value]

    kinds = {type(leaf) for leaf in leaves(state)}
    assert not any(issubclass(kind, torch.Tensor | torch.nn.Module) for kind in kinds)
    assert np.ndarray in kinds


def test_a_model_of_a_gpu_comes_back_without_one():
    """The state knows no device: only the plan names the one it was trained on."""
    fitted = clone(ESTIMATORS[0]).fit(X)
    expected = fitted.transform(X)
    state = fitted.__getstate__()
    for here, there in (('["device", "cpu"]', "cuda:7"), ('"device", "cpu"', "cuda")):
        assert here in state["_fit_json"]
        moved = state["_fit_json"].replace(here, here.replace("cpu", there), 1)
        state["_fit_json"] = moved
    loaded = AutoEncoderTransformer.__new__(AutoEncoderTransformer)
    loaded.__setstate__(state)
    assert loaded.device_ == "cpu"
    np.testing.assert_array_equal(loaded.transform(X), expected)
    loaded.partial_fit(X)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_the_same_seed_gives_the_same_bits(estimator):
    first, second = clone(estimator).fit(X), clone(estimator).fit(X)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    other = clone(estimator).set_params(random_state=1).fit(X)
    assert other.loss_curve_ != first.loss_curve_


def test_a_random_state_of_none_draws_one_seed_from_numpy():
    def codes():
        np.random.seed(7)  # noqa: NPY002 (the global generator is the point)
        reducer = AutoEncoderTransformer(4, **{**SMALL, "random_state": None})
        return reducer.fit_transform(X)

    np.testing.assert_array_equal(codes(), codes())
    np.random.seed(7)  # noqa: NPY002
    AutoEncoderTransformer(4, **{**SMALL, "random_state": None}).fit(X)
    after = np.random.rand()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    np.random.randint(np.iinfo(np.int32).max)  # noqa: NPY002
    assert np.random.rand() == after  # noqa: NPY002


def everything_global():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "numpy": (kind, keys.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "errors": np.geterr(),
    }


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_everything_global_stays_as_it_was(estimator):
    estimator = clone(estimator)
    before = everything_global()
    codes = estimator.fit(X).transform(X)
    estimator.partial_fit(X)
    estimator.inverse_transform(codes)
    estimator.score(X)
    if isinstance(estimator, VAETransformer):
        estimator.sample(5, random_state=0)
    after = everything_global()
    for name, value in before.items():
        assert after[name] == value, name


def test_threads_are_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = []
        estimator = DenoisingAutoEncoderTransformer(
            4, noise=lambda x, g: seen.append(torch.get_num_threads()) or x, **SMALL
        ).fit(X)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
        estimator.transform(X)
        assert torch.get_num_threads() == 2
        with pytest.raises(TypeError):
            estimator.set_params(noise=lambda x, g: x / None).fit(X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def work(path):
    """Fit an estimator and use another; imports here, where workers need them."""
    import joblib
    import torch

    from sk_autoencoder import DenoisingAutoEncoderTransformer

    seen = []

    def noise(x, generator):
        seen.append(torch.get_num_threads())
        return x

    model, X = joblib.load(path)
    # large enough for more than one thread
    reducer = DenoisingAutoEncoderTransformer(4, noise=noise, batch_size=256)
    reducer.set_params(hidden_layer_sizes=(1024, 512), max_epochs=1).fit(X)
    return set(seen), model.transform(X)


@pytest.fixture
def workers(monkeypatch):
    """Let joblib start two processes, on as many threads as it gives them."""
    for name in [name for name in os.environ if "NUM_THREADS" in name]:
        monkeypatch.delenv(name)
    # Sent as it is, and not as a name in a module that imports all that tests need.
    monkeypatch.setattr(work, "__module__", "__main__")
    with joblib.parallel_config(n_jobs=2):
        yield
    get_reusable_executor().shutdown(wait=True)


def test_worker_processes_share_the_cores_load_a_model_and_search(tmp_path, workers):
    fitted = clone(ESTIMATORS[0]).fit(X)
    path = tmp_path / "model.joblib"
    joblib.dump((fitted, X), path)
    each = joblib.Parallel()(joblib.delayed(work)(path) for _ in range(2))
    share = max(1, joblib.cpu_count() // 2)
    for seen, codes in each:
        assert seen == {share}
        # Another process may run on another number of threads: to rounding.
        np.testing.assert_allclose(codes, fitted.transform(X), rtol=1e-12)
    search = GridSearchCV(fitted, {"n_components": [2, 3]}, cv=2)
    assert search.fit(X).best_params_ == {"n_components": 3}


def test_nothing_is_set_or_drawn_by_init():
    before = everything_global()
    for estimator in ESTIMATORS:
        params = estimator.get_params(deep=False)
        assert vars(type(estimator)(**params)).keys() == params.keys()
    assert everything_global() == before


def test_the_callers_rows_are_never_written_to():
    for dtype in (np.float32, np.float64):
        rows = X.astype(dtype)
        before = rows.copy()
        for estimator in ESTIMATORS:
            clone(estimator).fit(rows).transform(rows)
        np.testing.assert_array_equal(rows, before)


def test_a_network_specification_is_not_changed_by_fit():
    network = MLP((16,))
    AutoEncoderTransformer(4, network=network, max_epochs=1).fit(X)
    assert vars(network) == vars(MLP((16,)))


def test_state_is_restored_whatever_the_optimizer():
    for optimizer in ("sgd", torch.optim.RMSprop):
        fitted = AutoEncoderTransformer(4, optimizer=optimizer, **SMALL).fit(X)
        again = pickle.loads(pickle.dumps(fitted))
        fitted.partial_fit(X)
        again.partial_fit(X)
        np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
