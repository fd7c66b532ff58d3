"""Bad input gets a clear error, and nothing that was fitted is lost."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import MLP

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
ALL = [
    AutoEncoderTransformer(2, **SMALL),
    DenoisingAutoEncoderTransformer(2, **SMALL),
    DenoisingAutoEncoderTransformer(features="hidden", **SMALL),
    VAETransformer(2, **SMALL),
]
X = np.random.default_rng(0).normal(size=(60, 5))


def with_value(value):
    rows = X.copy()
    rows[3, 2] = value
    return rows


BAD_ROWS = {
    "NaN": (with_value(np.nan), ValueError, "Input X contains NaN"),
    "infinity": (with_value(np.inf), ValueError, "Input X contains infinity"),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "strings": (np.array([["a", "b"]] * 5), ValueError, "could not convert string"),
    "no rows": (X[:0], ValueError, "Found array with 0 sample(s)"),
    "one row": (X[:1], ValueError, "Found array with 1 sample(s)"),
    "no features": (X[:, :0], ValueError, "Found array with 0 feature(s)"),
    "no columns": (
        pd.DataFrame(X)[[]],
        ValueError,
        "Found array with 0 feature(s) (shape=(60, 0)) while a minimum of 1 is",
    ),
    "1-D": (X[0], ValueError, "Expected 2D array, got 1D array instead"),
    "3-D": (X.reshape(12, 5, 5), ValueError, "Found array with dim 3"),
    "None": (None, ValueError, "Expected 2D array, got scalar array instead"),
    "huge": (X * 1e200, ValueError, "expected columns whose ranges fit float32"),
    "tiny": (X * 1e-200, ValueError, "expected columns whose ranges fit float32"),
    "sparse NaN": (
        sparse.csr_array(with_value(np.nan)),
        ValueError,
        "Input X contains NaN",
    ),
}


@pytest.mark.parametrize("estimator", ALL, ids=repr)
@pytest.mark.parametrize("bad", BAD_ROWS)
def test_bad_rows_are_refused_and_the_fitted_model_stays(estimator, bad):
    rows, error, message = BAD_ROWS[bad]
    fitted = clone(estimator).fit(X)
    before, attributes = fitted.transform(X), dict(vars(fitted))
    with pytest.raises(error, match=re.escape(message)):
        fitted.fit(rows)
    assert vars(fitted) == attributes
    np.testing.assert_array_equal(fitted.transform(X), before)


@pytest.mark.parametrize("network", [None, "MLP"])
def test_a_number_for_the_layers_is_refused_with_a_tuple_of_it(network):
    named = "expected a tuple of ints >= 1, got hidden_layer_sizes=64. Pass hidden_"
    made = {"network": MLP(64)} if network else {"hidden_layer_sizes": 64}
    with pytest.raises(ValueError, match=f"^{named}layer_sizes=\\(64,\\)"):
        AutoEncoderTransformer(2, **made).fit(X)


@pytest.mark.parametrize("estimator", [None, TruncatedSVD()], ids=repr)
def test_a_detector_refuses_a_frame_without_columns(estimator):
    with pytest.raises(ValueError, match=r"Found array with 0 feature\(s\)"):
        AutoEncoderOutlierDetector(estimator).fit(pd.DataFrame(X)[[]])


@pytest.mark.parametrize("estimator", ALL, ids=repr)
@pytest.mark.parametrize("bad", ["NaN", "infinity", "complex", "strings", "1-D"])
@pytest.mark.parametrize("method", ["transform", "score", "partial_fit"])
def test_bad_rows_are_refused_after_fit(estimator, bad, method):
    rows, error, message = BAD_ROWS[bad]
    fitted = clone(estimator).fit(X)
    before = fitted.transform(X)
    with pytest.raises(error, match=re.escape(message)):
        getattr(fitted, method)(rows)
    np.testing.assert_array_equal(fitted.transform(X), before)


@pytest.mark.parametrize("estimator", ALL, ids=repr)
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "partial_fit"])
def test_other_features_are_refused(estimator, method):
    pd = pytest.importorskip("pandas")
    fitted = clone(estimator).fit(X)
    message = "X has 4 features, but .* is expecting 5 features as input"
    with pytest.raises(ValueError, match=message):
        getattr(fitted, method)(X[:, :4])
    frame = pd.DataFrame(X, columns=list("abcde"))
    fitted = clone(estimator).fit(frame)
    with pytest.raises(ValueError, match="feature names should match those that were"):
        getattr(fitted, method)(frame[list("badce")])


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_codes_of_another_width_are_refused(estimator):
    fitted = clone(estimator).fit(X)
    k = fitted.n_components_
    message = (
        f"expected codes with n_components_={k} columns, got X with {k + 1}. Pass what "
        "transform gives."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted.inverse_transform(np.zeros((3, k + 1)))
    with pytest.raises(ValueError, match="Input contains NaN"):
        fitted.inverse_transform(np.full((3, k), np.nan))


OUT_OF_RANGE = {
    "n_components": [0, -1, 2.5, "many"],
    "hidden_layer_sizes": [(0,), (8, -1), (2.5,), "large"],
    "activation": ["sin", None],
    "dropout": [-0.1, 1.0],
    "batch_norm": ["yes"],
    "network": ["MLP", torch.nn.Linear(2, 2)],
    "numeric_scaling": ["robust"],
    "categorical_features": ["all", 3, [99], [0.5], [True]],
    "allow_missing": ["yes"],
    "handle_unknown": ["infrequent"],
    "column_weights": [[1.0], {"no such column": 1.0}, "auto"],
    "init": ["svd"],
    "ordered": ["yes"],
    "whiten": ["zca"],
    "rotation": ["promax"],
    "align_to": ["before", AutoEncoderTransformer()],
    "optimizer": ["adagrad", 3, int],
    "lr": [0.0, -1.0, "fast"],
    "weight_decay": [-0.1],
    "lr_schedule": [0.0, 1.5, "linear"],
    "max_epochs": [-1, 1.5],
    "batch_size": [0, 2.5],
    "early_stopping": ["no"],
    "validation_fraction": [0.0, 1.0],
    "n_iter_no_change": [0],
    "tol": [-1e-3],
    "distributed": ["yes"],
    "precision": ["fp8", 16],
    "device": [3, "gpu", "cuda:99"],
    "callbacks": ["EarlyStopping", [3]],
    "net_params": [[1]],
    "warm_start": ["yes"],
    "random_state": ["seed"],
    "checkpoint_dir": [1, b"folder"],
    "checkpoint_interval": [-1.0, None, "often"],
    "verbose": [-1],
}
ONLY_SOME = {
    "loss": ["hinge"],
    "likelihood": ["poisson"],
    "beta": [-1.0],
    "kl_warmup": [-1, 0.5],
    "free_bits": [-0.1],
    "prior": ["flat"],
    "noise": ["pepper", 3],
    "noise_level": [-0.1, 1.5],
    "features": ["all"],
    "passthrough": ["yes"],
    "add_indicator": ["yes"],
    "noise_schedule": [0.0, "linear"],
    "feature_groups": ["all", [[0, 0]], [[99]]],
    "layers": [[0], [9], [], 1],
    "pretrain": ["stacked"],
}


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_each_parameter_out_of_range_is_named(estimator):
    ranges = {**OUT_OF_RANGE, **ONLY_SOME}
    params = estimator.get_params(deep=False)
    assert set(params) <= set(ranges)
    for name in params:
        # Each of the two is ignored with the other kind of features.
        ignored = "n_components" if params.get("features") == "hidden" else "layers"
        if name == ignored:
            continue
        for value in ranges[name]:
            broken = clone(estimator).set_params(**{name: value})
            with pytest.raises((ValueError, TypeError), match=name):
                broken.fit(X)


def test_a_parameter_out_of_range_inside_a_network_is_named():
    for name, value in [
        ("activation", "sin"),
        ("dropout", 1.0),
        ("hidden_layer_sizes", (0,)),
        ("hidden_layer_sizes", "large"),
    ]:
        network = MLP().set_params(**{name: value})
        with pytest.raises(ValueError, match=name):
            AutoEncoderTransformer(2, network=network, max_epochs=1).fit(X)


def test_a_network_beside_dense_parameters_names_both():
    message = (
        "expected activation='silu' beside a network, got activation='relu' and "
        "network=MLP(hidden_layer_sizes=(8,)). Set it in the network, or pass "
        "network=None."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        AutoEncoderTransformer(2, network=MLP((8,)), activation="relu").fit(X)


def test_a_device_that_is_not_there():
    message = (
        r"expected a device that torch can use here, got device='cuda:99', because: "
        r".*\. Pass device='auto' or device='cpu'\."
    )
    with pytest.raises(ValueError, match=message):
        AutoEncoderTransformer(2, device="cuda:99").fit(X)


def test_targets_outside_the_unit_interval():
    reducer = AutoEncoderTransformer(2, loss="binary_cross_entropy", **SMALL)
    message = (
        "expected X in [0, 1] for loss='binary_cross_entropy', got values from "
        f"{X.min():.6g} to {X.max():.6g}. Pass numeric_scaling='minmax', or another "
        "loss."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        reducer.fit(X)
    with pytest.raises(ValueError, match=re.escape("for likelihood='bernoulli'")):
        VAETransformer(2, likelihood="bernoulli", **SMALL).fit(X)
    message = (
        "expected targets in [0, 1] for loss='binary_cross_entropy', got "
        "numeric_scaling='standard', which gives others. Pass "
        "numeric_scaling='minmax' or 'none'."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        reducer.set_params(numeric_scaling="standard").fit(X)
    codes = reducer.set_params(numeric_scaling="minmax").fit_transform(X)
    rows = reducer.inverse_transform(codes)
    assert (rows >= X.min(axis=0) - 1e-6).all()
    assert (rows <= X.max(axis=0) + 1e-6).all()


def test_later_rows_outside_the_unit_interval_are_refused_too():
    pixels = np.random.default_rng(0).uniform(0.8, 1.0, size=(80, 6))
    reducer = AutoEncoderTransformer(2, loss="binary_cross_entropy", **SMALL)
    reducer.partial_fit(pixels)
    with pytest.raises(ValueError, match=re.escape("expected X in [0, 1]")):
        reducer.partial_fit(255 * pixels)
    with pytest.raises(ValueError, match=re.escape("expected X in [0, 1]")):
        reducer.set_params(warm_start=True).fit(255 * pixels)
    assert np.isfinite(reducer.partial_fit(pixels).transform(pixels)).all()
    vae = VAETransformer(2, likelihood="bernoulli", **SMALL).fit(pixels)
    with pytest.raises(ValueError, match=re.escape("expected X in [0, 1]")):
        vae.score_samples(255 * pixels)
    vae.set_params(numeric_scaling="minmax").fit(pixels)
    assert (vae.score_samples(255 * pixels) <= 0).all()


def test_a_first_chunk_may_have_fewer_rows_than_components():
    reducer = AutoEncoderTransformer(4, **SMALL).partial_fit(X[:3]).partial_fit(X)
    assert reducer.transform(X).shape == (60, 4)


def test_a_noise_that_gives_something_else():
    message = (
        "expected noise(batch, generator) to return a tensor of the batch's shape "
        "(60, 5), got (5, 60)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        DenoisingAutoEncoderTransformer(2, noise=lambda x, g: x.T, **SMALL).fit(X)
    with pytest.raises(ValueError, match="got NoneType from noise="):
        DenoisingAutoEncoderTransformer(2, noise=lambda x, g: None, **SMALL).fit(X)


def of_one(batch):
    return batch


class OfThree:
    def __call__(self, batch, generator, level):
        return batch


@pytest.mark.parametrize(
    ("noise", "reason"),
    [
        (of_one, "of_one() takes 1 positional argument but 2 were given."),
        (OfThree(), "OfThree.__call__() missing 1 required positional argument: "),
        (
            lambda batch, *, generator: batch,
            "test_noise_of_other_arguments_is_named.<lambda>() takes 1 positional ",
        ),
    ],
)
def test_noise_of_other_arguments_is_named(noise, reason):
    message = (
        "expected a noise that takes (batch, generator), a tensor (n, n_features) and "
        f"a torch.Generator, got noise={noise!r}, because: "
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}") as caught:
        DenoisingAutoEncoderTransformer(2, noise=noise, **SMALL).fit(X)
    assert reason.split(".")[-1] in str(caught.value)
    assert str(caught.value).endswith(". Pass a function of both.")


def test_type_error_of_a_noise_is_its_own():
    def noise(batch, generator):
        return batch + None

    with pytest.raises(TypeError, match="unsupported operand"):
        DenoisingAutoEncoderTransformer(2, noise=noise, **SMALL).fit(X)


@pytest.mark.parametrize(
    "network",
    [
        "conv",
        (torch.nn.Linear(5, 2), torch.nn.Linear(2, 5)),
        [8, 2, 8],
        lambda n_in, n_out: torch.nn.Linear(n_in, n_out),
        dict,
    ],
)
def test_network_of_another_kind_is_named(network):
    shown = repr(network)
    message = (
        "expected network=None or a specification of sk_autoencoder.networks, got "
        f"network={shown if len(shown) <= 120 else shown[:120] + '...'}. Pass an "
        "instance of one, as network=MLP(), or network=UserNetwork(encoder, decoder) "
        "for modules of your own."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        AutoEncoderTransformer(2, network=network).fit(X)


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_parts_of_an_unfitted_estimator_say_that_it_is_not_fitted(estimator):
    for name in ("module_", "net_", "history_"):
        unfitted = clone(estimator)
        assert not hasattr(unfitted, name)
        message = (
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' "
            "with appropriate arguments before using this estimator."
        )
        with pytest.raises(NotFittedError, match=f"^{re.escape(message)}$"):
            getattr(unfitted, name)


def test_a_stack_needs_a_layer():
    reducer = DenoisingAutoEncoderTransformer(features="hidden", hidden_layer_sizes=())
    message = (
        "expected at least one hidden layer for features='hidden', got "
        "hidden_layer_sizes=(). Pass e.g. hidden_layer_sizes=(256, 256, 256)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        reducer.fit(X)


def test_a_code_that_compresses_nothing_warns():
    message = (
        "expected n_components of at most min(n_samples, n_features)=5, got "
        "n_components=7: such a code compresses nothing. Pass a smaller one."
    )
    with pytest.warns(UserWarning, match=re.escape(message)):
        reducer = AutoEncoderTransformer(7, **SMALL).fit(X)
    assert reducer.transform(X).shape == (60, 7)


def test_samples_are_counted():
    vae = clone(ALL[-1]).fit(X)
    with pytest.raises(ValueError, match="n_samples == -1, must be >= 0"):
        vae.sample(-1)
    with pytest.raises(TypeError, match="n_samples must be an instance of int"):
        vae.sample(2.5)


# -- odd rows that simply work ---


def rows_that_work():
    rng = np.random.default_rng(0)
    constant = X.copy()
    constant[:, 1] = 3.7
    return {
        "a constant column": constant,
        "only constant columns": np.ones((20, 3)) * [1.0, -2.0, 1e6],
        "duplicate rows": np.repeat(X[:3], 10, axis=0),
        "five rows of three columns": X[:5, :3],
        "two rows": X[:2],
        "a last batch of one row": rng.normal(size=(37, 4)),
        "integers": rng.integers(0, 9, size=(50, 4)),
        "small integers": rng.integers(0, 9, size=(50, 4)).astype(np.uint8),
        "booleans": rng.random((50, 4)) > 0.5,
        "float16": X.astype(np.float16),
        "Fortran order": np.asfortranarray(X.astype(np.float32)),
        "every second row": X[::2],
        "1e6": X * 1e6,
        "1e-6": X * 1e-6,
        "columns of 1e-6 to 1e6": X * np.logspace(-6, 6, 5),
        "lists": X.tolist(),
    }


@pytest.mark.parametrize("estimator", ALL, ids=repr)
@pytest.mark.parametrize("kind", rows_that_work())
def test_odd_rows_simply_work(estimator, kind):
    rows = rows_that_work()[kind]
    reducer = clone(estimator).set_params(early_stopping=kind != "two rows")
    codes = reducer.fit_transform(rows)
    assert codes.shape == (len(rows), reducer.n_components_)
    for values in (
        codes,
        reducer.inverse_transform(codes),
        reducer.reconstruction_error(rows),
        reducer.score(rows),
    ):
        assert np.isfinite(values).all()
    if kind in ("a constant column", "only constant columns"):
        same = np.ptp(np.asarray(rows), axis=0) == 0
        np.testing.assert_allclose(
            reducer.reconstruct(rows)[:, same], rows[:, same], rtol=1e-12
        )
    if kind == "only constant columns" and not isinstance(estimator, VAETransformer):
        assert reducer.score(rows) == 1.0
        assert reducer.score(rows + 1) == 0.0 or reducer.score(rows + 1) <= 1.0


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_batch_normalization_takes_a_last_batch_of_one_row(estimator):
    reducer = clone(estimator).set_params(
        batch_norm=True, batch_size=4, early_stopping=False
    )
    assert np.isfinite(reducer.fit_transform(X[:9])).all()
    with pytest.raises(ValueError, match="Found array with 1 sample"):
        reducer.partial_fit(X[:1])


def test_a_stream_may_end_with_one_row():
    reducer = clone(ALL[0]).partial_fit(X[:30])
    assert np.isfinite(reducer.partial_fit(X[30:31]).transform(X)).all()
    with pytest.raises(ValueError, match="Found array with 1 sample"):
        clone(ALL[0]).partial_fit(X[:1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_memory_maps_and_read_only_rows(estimator, dtype, tmp_path):
    np.save(tmp_path / "rows.npy", X.astype(dtype))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    frozen = X.astype(dtype)
    frozen.setflags(write=False)
    plain = clone(estimator).fit(X.astype(dtype)).transform(X.astype(dtype))
    for rows in (mapped, frozen):
        np.testing.assert_array_equal(clone(estimator).fit(rows).transform(rows), plain)


MISSING = (
    "Input X contains NaN: expected no missing cells for allow_missing=False{}. Fit "
    "with allow_missing=True, or fill them first, as with SimpleImputer."
)
HOLED = np.where(np.eye(12, 4) > 0, np.nan, 1.0)


@pytest.mark.parametrize(
    "rows",
    [
        HOLED,
        HOLED.astype("f"),
        HOLED.tolist(),
        pd.DataFrame(HOLED),
        sparse.csr_matrix(HOLED),
    ],
    ids=["float64", "float32", "list", "frame", "sparse"],
)
def test_missing_cells_are_refused_with_the_same_advice_everywhere(rows):
    where = ", got some in column 0, 1, 2, 3" if isinstance(rows, pd.DataFrame) else ""

    def refused(method, *args, start="", **kwargs):
        message = re.escape(start + MISSING.format(where))
        with pytest.raises(ValueError, match=f"^{message}$"):
            method(*args, **kwargs)

    made = VAETransformer(2, max_epochs=1)
    full = pd.DataFrame(X[:, :4]) if isinstance(rows, pd.DataFrame) else X[:, :4]
    refused(made.fit, rows)
    refused(made.partial_fit, rows)
    refused(
        made.fit,
        full,
        X_val=rows,
        start="expected X_val that can be used with X, got one that cannot, because: ",
    )
    made.fit(full)
    for name in ("transform", "reconstruct", "score", "reconstruction_error"):
        refused(getattr(made, name), rows)
    for name in ("posterior", "score_samples", "partial_fit"):
        refused(getattr(made, name), rows)
    refused(AutoEncoderTransformer(2, max_epochs=1).fit(full).score, rows)
    refused(AutoEncoderOutlierDetector(made).fit, rows)
    refused(AutoEncoderOutlierDetector(made).fit(full).predict, rows)
