"""torch tensors in give tensors out, where array API dispatch is on."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import ConvNet

rng = np.random.default_rng(0)
X = rng.normal(size=(700, 3)) @ rng.normal(size=(3, 6)) + rng.normal(size=(700, 6)) / 9
GAPS = np.where(rng.random(X.shape) < 0.1, np.nan, X)
SMALL = {"max_epochs": 2, "random_state": 0}
PLAIN = AutoEncoderTransformer(2, hidden_layer_sizes=(16,), **SMALL)

ESTIMATORS = {
    "plain": (PLAIN, X),
    "ordered": (clone(PLAIN).set_params(ordered=True, whiten=True), X),
    "vae": (VAETransformer(2, **SMALL), X),
    "hidden": (
        DenoisingAutoEncoderTransformer(
            features="hidden", hidden_layer_sizes=(8,), **SMALL
        ),
        X,
    ),
    "missing": (clone(PLAIN).set_params(allow_missing=True), GAPS),
    "conv": (
        AutoEncoderTransformer(2, network=ConvNet((1, 6), channels=(2,)), **SMALL),
        X.reshape(-1, 1, 6),
    ),
    "extra rows": (ExtraRowsTransformer(PLAIN), X),
}


@pytest.fixture(autouse=True)
def _dispatch():
    with config_context(array_api_dispatch=True):
        yield


def equal(result, expected):
    """Compare a result, a tensor on the CPU, with an array, dtypes included."""
    assert type(result) is torch.Tensor
    assert result.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_tensors_give_what_arrays_give(name, dtype):
    estimator, rows = ESTIMATORS[name]
    rows = rows.astype(dtype)
    tensor = torch.from_numpy(rows.copy())
    by_array = clone(estimator).fit(rows)
    codes = by_array.transform(rows)
    by_tensor = clone(estimator)
    equal(by_tensor.fit_transform(tensor), codes)
    equal(by_tensor.transform(tensor[:3]), by_array.transform(rows[:3]))
    equal(
        by_tensor.inverse_transform(torch.from_numpy(codes)),
        by_array.inverse_transform(codes),
    )
    for method in ("reconstruct", "reconstruction_error"):
        if hasattr(estimator, method):
            equal(getattr(by_tensor, method)(tensor), getattr(by_array, method)(rows))
    np.testing.assert_array_equal(tensor.numpy(), rows)  # not written to


def test_filled_cells_come_as_tensors():
    imputer = DenoisingAutoEncoderTransformer(
        features="reconstruction", allow_missing=True, add_indicator=True, **SMALL
    )
    filled = imputer.fit_transform(torch.from_numpy(GAPS))
    equal(filled, clone(imputer).fit_transform(GAPS))
    equal(imputer.inverse_transform(filled), filled.numpy()[:, :6])
    (drawn,) = imputer.sample_missing(torch.from_numpy(GAPS[:9]), 1, 0)
    np.testing.assert_array_equal(drawn, imputer.sample_missing(GAPS[:9], 1, 0)[0])


def test_fitted_attributes_are_arrays_and_the_tag_says_no_more():
    reducer = clone(PLAIN).fit(torch.from_numpy(X))
    for name, value in vars(reducer).items():
        assert not isinstance(value, torch.Tensor), name
    assert isinstance(reducer.components_, np.ndarray)
    assert isinstance(reducer.mean_, np.ndarray)
    assert not get_tags(reducer).array_api_support


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pipelines_of_tensors_keep_their_precision(dtype):
    tensor, y = torch.from_numpy(X).to(dtype), X @ np.arange(6.0)
    reducers = make_pipeline(StandardScaler(), clone(PLAIN), PCA(2, svd_solver="full"))
    pipe = make_pipeline(reducers, Ridge(solver="svd"))
    found = pipe.fit(tensor, torch.from_numpy(y).to(dtype)).predict(tensor)
    back = reducers.inverse_transform(reducers.transform(tensor))
    assert found.dtype == back.dtype == dtype
    expected = clone(pipe).fit(tensor.numpy(), y).predict(tensor.numpy())
    # scikit-learn's own steps round otherwise.
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("how", ["set_output", "config"])
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_are_given_where_they_are_asked_for(kind, how):
    pipe = make_pipeline(clone(PLAIN), PCA(2))
    tensor = torch.from_numpy(X.astype(np.float32))
    if how == "set_output":
        pipe.set_output(transform=kind)
    with config_context(transform_output=kind if how == "config" else "default"):
        codes = pipe.fit_transform(tensor)
        first = pipe[0].transform(tensor)
        back = pipe[0].inverse_transform(torch.from_numpy(first.to_numpy().copy()))
    for frame in (codes, first, back):
        assert type(frame).__module__.partition(".")[0] == kind
    for frame in (first, back):  # scikit-learn makes float64 of polars' float32
        assert {str(dtype).lower() for dtype in frame.dtypes} == {"float32"}


def test_what_remains_of_the_library_takes_tensors():
    tensor = torch.from_numpy(X)
    vae = VAETransformer(2, **SMALL).fit(tensor)
    assert vae.score(tensor) == vae.score(X)
    np.testing.assert_array_equal(vae.posterior(tensor)[1], vae.posterior(X)[1])
    reducer = clone(PLAIN).fit(tensor, X_val=tensor[:9]).partial_fit(tensor)
    assert reconstruction_scorer(reducer, tensor) == reconstruction_scorer(reducer, X)
    detector = AutoEncoderOutlierDetector(PLAIN).fit(tensor)
    np.testing.assert_array_equal(detector.predict(tensor), detector.predict(X))


def test_without_dispatch_tensors_give_arrays():
    with config_context(array_api_dispatch=False):
        reducer = clone(PLAIN).fit(torch.from_numpy(X))
        codes = reducer.transform(torch.from_numpy(X))
        back = reducer.inverse_transform(torch.from_numpy(codes))
    assert type(codes) is type(back) is np.ndarray


def test_half_precision_and_gradients():
    reducer = clone(PLAIN).fit(X)
    rounded = torch.from_numpy(X).bfloat16()
    equal(reducer.transform(rounded), reducer.transform(rounded.double().numpy()))
    codes = reducer.transform(torch.from_numpy(X).requires_grad_())
    assert not codes.requires_grad
    codes.requires_grad_().sum().backward()


def test_tensors_that_cannot_be_rows_are_refused():
    reducer = clone(PLAIN).fit(X)
    with pytest.raises(TypeError, match=r"dense tensor, got X of layout=torch.sparse"):
        reducer.transform(torch.from_numpy(X).to_sparse())
    with pytest.raises(ValueError, match="Complex data not supported"):
        reducer.transform(torch.from_numpy(X * 1j))
    with pytest.raises(ValueError, match=r"7 features, but .* expecting 6"):
        reducer.transform(torch.zeros(2, 7))


# ------------------------------------------------------------- another device

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
MOST_ROWS = 256
"""That may come back to the CPU: what a layer has, and no chunk of samples."""


class OnDevice(torch.Tensor):
    """A tensor that `Device` takes for one on a GPU."""

    def __deepcopy__(self, memo):
        return self.detach().clone()


class Device(TorchFunctionMode):
    """A GPU that is none: operations that mix devices, or bring samples back, fail."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.__deepcopy__:  # whose memo has all
            return function(*args)
        given = tree_leaves((args, kwargs))
        here = [one for one in given if isinstance(one, OnDevice)]
        if function == torch.Tensor.device.__get__ and here:
            return GPU
        if function in (torch.Tensor.cpu, torch.Tensor.numpy) and here:
            assert len(args[0]) <= MOST_ROWS, f"{function} brings samples to the CPU"
            return function(args[0].as_subclass(torch.Tensor), *args[1:], **kwargs)
        if any(isinstance(one, torch.device) and one == GPU for one in given):
            args, kwargs = tree_map_only(torch.device, lambda _: CPU, (args, kwargs))
            return function(*args, **kwargs).as_subclass(OnDevice)
        others = [one for one in given if type(one) is torch.Tensor and one.ndim]
        assert not (here and others), f"{function} of two devices"
        return function(*args, **kwargs)


def to_gpu(module):
    """Move a module to that device."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    module._apply(lambda one: one.detach().as_subclass(OnDevice))
    torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["plain", "ordered", "vae", "conv"])
def test_samples_stay_on_their_device(name, dtype):
    estimator, rows = ESTIMATORS[name]
    reducer = clone(estimator).fit(rows)
    tensor = torch.from_numpy(rows).to(dtype)
    expected = [reducer.transform(tensor), reducer.reconstruct(tensor)]
    expected += [reducer.inverse_transform(expected[0])]
    to_gpu(reducer.module_)
    with Device():
        codes = reducer.transform(tensor.as_subclass(OnDevice))
        found = [codes, reducer.reconstruct(tensor.as_subclass(OnDevice))]
        found += [reducer.inverse_transform(codes)]
    for one, other in zip(found, expected, strict=True):
        assert type(one) is OnDevice
        assert one.dtype == dtype
        torch.testing.assert_close(one.as_subclass(torch.Tensor), other)
