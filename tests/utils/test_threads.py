"""Fits in parallel threads, and what they leave of the process's numbers of threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from threadpoolctl import ThreadpoolController, threadpool_limits

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._utils.threads import numpy_like_torch, threads_for

X = load_digits().data[:100]
SMALL = {
    "hidden_layer_sizes": (8,),
    "init": "random",
    "max_epochs": 2,
    "batch_size": 32,
}


def blas():
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library.get_num_threads() for library in libraries]


def in_a_new_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(autouse=True)
def _two_threads():
    """Ask for two threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        yield
    torch.set_num_threads(before)


def test_fits_in_parallel_give_all_threads_back():
    expected = [
        AutoEncoderTransformer(3, random_state=i, **SMALL).fit_transform(X)
        for i in range(4)
    ]
    assert blas() == [2] * len(blas())
    start = threading.Barrier(8)

    def fit(i):
        start.wait()
        codes = AutoEncoderTransformer(3, random_state=i % 4, **SMALL).fit_transform(X)
        return codes, torch.get_num_threads()

    with ThreadPoolExecutor(8) as pool:
        for i, (codes, n_threads) in enumerate(pool.map(fit, range(8))):
            np.testing.assert_array_equal(codes, expected[i % 4])
            assert n_threads == 2
    assert blas() == [2] * len(blas())
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == 2


def test_limits_that_overlap_end_as_they_began():
    """The first in is the first out: the second finds the limit of the first."""
    first, second = numpy_like_torch(), numpy_like_torch()
    torch.set_num_threads(1)
    first.__enter__()
    second.__enter__()
    assert set(blas()) == {1}
    first.__exit__(None, None, None)
    assert set(blas()) == {1}
    second.__exit__(None, None, None)
    assert set(blas()) == {2}


def test_the_least_of_several_limits_holds():
    with numpy_like_torch():
        assert set(blas()) == {2}
        torch.set_num_threads(1)
        with numpy_like_torch():
            assert set(blas()) == {1}
        assert set(blas()) == {2}


def test_limits_are_given_back_after_an_error():
    def refuse(batch, generator):
        assert set(blas()) == {1}
        raise RuntimeError("no noise")

    with pytest.raises(RuntimeError, match="no noise"):
        DenoisingAutoEncoderTransformer(3, noise=refuse, **SMALL).fit(X)
    assert set(blas()) == {2}
    assert torch.get_num_threads() == 2


def test_a_thread_that_starts_during_a_fit_has_the_callers_number():
    seen = []

    def noise(batch, generator):
        seen.append((torch.get_num_threads(), in_a_new_thread(torch.get_num_threads)))
        return batch

    def fit():
        DenoisingAutoEncoderTransformer(
            3, noise=noise, **{**SMALL, "max_epochs": 1}
        ).fit(X)

    in_a_new_thread(fit)  # as in a pool: there are other threads than the fit's
    assert set(seen) == {(1, 2)}
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == 2


def test_large_computations_keep_the_callers_number():
    with threads_for(1e9):
        assert torch.get_num_threads() == 2
    with threads_for(10.0):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
