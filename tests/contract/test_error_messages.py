"""Errors are short, and say what to do, whatever was handed over."""

import functools
import re
import traceback

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
TINY = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
FRAME = pd.DataFrame({"a": X[:, 0], "c": np.resize(["x", "y"], 60)})
LONG = "l" * 50_000
# Five values of two lines each, and what is said of them.
LONGEST = 800


def raised(call):
    """The error of a call, whose traceback fits on a page."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert max(map(len, shown.splitlines())) < LONGEST
    return str(caught.value)


# -- long values -----------------------------------------------------------------------


def plain(**settings):
    return PLAIN(1, **settings, **TINY)


LONG_VALUES = {
    "a level": lambda: (
        plain(handle_unknown="error").fit(FRAME).transform(FRAME.assign(c=LONG))
    ),
    "many levels": lambda: (
        plain(handle_unknown="error")
        .fit(FRAME)
        .transform(FRAME.assign(c=[LONG + str(i) for i in range(60)]))
    ),
    "text for a boolean": lambda: (
        plain().fit(FRAME.assign(c=X[:, 1] > 0)).transform(FRAME.assign(c=LONG))
    ),
    "text for a number": lambda: plain().fit(FRAME).transform(FRAME.assign(a=LONG)),
    "text in an array": lambda: plain().fit(np.array([[LONG] * 4] * 5, dtype=object)),
    "mixed cells": lambda: plain().fit(FRAME.assign(c=[LONG, 1] * 30)),
    "a name": lambda: plain().fit(FRAME.assign(**{LONG: np.inf})),
    "a name of gaps": lambda: plain().fit(FRAME.assign(**{LONG: np.nan})),
    "names": lambda: plain().fit(
        pd.concat([FRAME.set_axis([LONG, "c"], axis=1)] * 2, axis=1)
    ),
    "columns": lambda: plain(categorical_features=[LONG]).fit(FRAME),
    "many columns": lambda: plain(
        categorical_features=[f"z{i}" for i in range(5000)]
    ).fit(FRAME),
    "weights": lambda: plain(column_weights=[1.0] * 5000).fit(FRAME),
    "weights by name": lambda: plain(column_weights={LONG: 1.0}).fit(FRAME),
    "groups": lambda: DENOISING(1, feature_groups=[[LONG]], **TINY).fit(FRAME),
    "layers": lambda: DENOISING(features="hidden", layers=[9] * 5000, **TINY).fit(X),
    "callbacks": lambda: plain(callbacks=[LONG]).fit(X),
}


@pytest.mark.parametrize("what", LONG_VALUES)
def test_long_values_are_shortened(what):
    assert len(raised(LONG_VALUES[what])) < LONGEST


def test_a_shortened_level_is_still_found():
    message = raised(LONG_VALUES["a level"])
    assert message == (
        f"expected the categories of fit in column 'c', got '{LONG[:119]}.... "
        "Pass handle_unknown='ignore' to treat them as missing."
    )


def test_settings_that_changed_are_shortened():
    reducer = plain(column_weights=[1.0, 2.0], warm_start=True).fit(FRAME)
    reducer.set_params(column_weights=[1.0] * 5000)
    assert len(raised(lambda: reducer.fit(FRAME))) < LONGEST


# -- mixed objects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "types", "example"),
    [
        ([1, "a"], "int and str", "1 in row 0 and 'a' in row 1"),
        (["a", 1.5], "float and str", "'a' in row 0 and 1.5 in row 1"),
        ([True, 2], "bool and int", "True in row 0 and 2 in row 1"),
    ],
)
@pytest.mark.parametrize("kind", ["frame", "array"])
def test_mixed_objects_are_shown_with_their_rows(cells, types, example, kind):
    column = np.array(cells * 30, dtype=object)
    if kind == "frame":
        rows, name, settings = FRAME.assign(c=column), "'c'", {}
    else:
        rows = np.column_stack([column, X[:, 0].astype(object)])
        name, settings = "0", {"categorical_features": [0]}
    message = (
        "expected a column of numbers, of strings or of booleans, got column "
        f"{name} of {types}, as {example}. "
        "Convert it, as with astype(str) or pandas.to_numeric, or drop it."
    )
    assert raised(lambda: plain(**settings).fit(rows)) == message


# -- devices ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("mps", "this build of torch has no kernels for it"),
        ("meta", "it holds no values"),
        ("xpu", "Torch not compiled with XPU enabled"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_two_lines(device, reason):
    for kind in (PLAIN, VAETransformer):
        message = raised(lambda kind=kind: kind(1, device=device, **TINY).fit(X))
        assert message == (
            f"expected a device that torch can use here, got device='{device}', "
            f"because: {reason}. Pass device='auto' or device='cpu'."
        )


# -- batches of one --------------------------------------------------------------------


NORMALIZED = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


@pytest.mark.parametrize(
    "reducer",
    [
        PLAIN(1, batch_norm=True, **TINY),
        PLAIN(1, network=MLP((4,), batch_norm=True), max_epochs=1),
        PLAIN(1, network=UserNetwork(NORMALIZED, nn.Linear(1, 4)), max_epochs=1),
        PLAIN(1, batch_norm=True, init="random", pretrain="layerwise", **TINY),
        DENOISING(features="hidden", batch_norm=True, **TINY),
        VAETransformer(1, batch_norm=True, **TINY),
    ],
    ids=lambda reducer: type(reducer).__name__,
)
def test_batch_normalization_of_single_samples_is_refused(reducer):
    message = (
        "expected batches of at least 2 samples for a network with batch "
        "normalization, got batch_size=1, because the mean of one is the sample "
        "itself. Pass a larger batch_size, or a network without it, as with "
        "batch_norm=False."
    )
    reducer.set_params(batch_size=1)
    for method in (reducer.fit, reducer.partial_fit):
        assert raised(lambda method=method: method(X)) == message


# -- schedules -------------------------------------------------------------------------


def of_no_argument():
    return 1.0


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        (OneCycleLR, "with epoch 0 it raised: OneCycleLR.__init__() missing 1 "),
        (StepLR, "with epoch 0 it raised: StepLR.__init__() missing 1 "),
        (
            functools.partial(OneCycleLR, max_lr=1),
            "with epoch 0 it raised: int is not an Optimizer",
        ),
        (of_no_argument, "with epoch 0 it raised: of_no_argument() takes 0 "),
        ({}.get, "with epoch 0 it raised: float() argument must be "),
        (str.format, "with epoch 0 it raised: "),
        (functools.partial(min, float("-inf")), "it returned -inf for epoch 0. "),
        (functools.partial(min, -0.5), "it returned -0.5 for epoch 0. "),
    ],
)
@pytest.mark.parametrize("name", ["lr_schedule", "noise_schedule"])
def test_what_a_schedule_may_be(schedule, reason, name):
    reducer = DENOISING(1, **{name: schedule}, **TINY)
    message = raised(lambda: reducer.fit(X))
    assert message.startswith(
        f"expected {name}=None, a float in (0, 1], 'cosine' or a function from an "
        f"epoch to a factor of 0 or more, got {name}={schedule!r}"[:150]
    )
    assert f", because {reason}" in message
    assert message.endswith("Pass such a function, as lambda epoch: 0.95**epoch.")


# -- classes ---------------------------------------------------------------------------


class OfOneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            PLAIN(network=ConvNet),
            f"expected network to be an instance, got network={ConvNet!r}, which is a "
            "class. Pass network=ConvNet(...).",
        ),
        (
            PLAIN(activation=nn.ReLU),
            f"expected activation to be an instance, got activation={nn.ReLU!r}, which "
            "is a class. Pass activation=ReLU(...).",
        ),
        (
            AutoEncoderOutlierDetector(VAETransformer),
            f"expected estimator to be an instance, got estimator={VAETransformer!r}, "
            "which is a class. Pass estimator=VAETransformer(...).",
        ),
        (
            PLAIN(network=nn.Linear(4, 1)),
            "expected network=None or a network specification, got "
            f"network={nn.Linear(4, 1)!r} of torch. Pass network=UserNetwork(encoder, "
            "decoder), of two modules.",
        ),
        (
            PLAIN(network=OfOneSize),
            "expected network=None or a network specification, got "
            f"network={OfOneSize!r} of torch. Pass network=UserNetwork(encoder, "
            "decoder), of two modules.",
        ),
        (
            PLAIN(1, network=UserNetwork(OfOneSize, nn.Linear(1, 4))),
            "expected a torch.nn.Module, or a function of the numbers of inputs and "
            f"outputs that makes one, got encoder={OfOneSize!r}, because encoder(4, 1) "
            "raised: OfOneSize.__init__() takes 1 positional argument but 3 were "
            "given. Pass an instance, as encoder=OfOneSize(...).",
        ),
    ],
    ids=["network", "activation", "estimator", "module", "module class", "encoder"],
)
def test_a_class_is_refused_where_an_instance_is_wanted(estimator, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        estimator.fit(X)


def test_a_class_that_makes_modules_of_any_size_is_still_taken():
    network = UserNetwork(nn.Linear, nn.Linear)
    reducer = PLAIN(1, network=network, init="pca", max_epochs=1)
    assert reducer.fit_transform(X).shape == (60, 1)


# -- parameters of parameters ----------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "params", "message"),
    [
        (
            PLAIN(),
            {"network__channels": (3,)},
            "expected network to be an object with the parameter 'channels', got "
            "network__channels for network=None. Set network first, or in the same "
            "call, as network=ConvNet().",
        ),
        (
            VAETransformer(network=MLP()),
            {"network": None, "network__cell": "gru"},
            "expected network to be an object with the parameter 'cell', got "
            "network__cell for network=None. Set network first, or in the same call, "
            "as network=RecurrentNet().",
        ),
        (
            AutoEncoderOutlierDetector(),
            {"estimator__n_components": 3},
            "expected estimator to be an object with the parameter 'n_components', "
            "got estimator__n_components for estimator=None. Set estimator first, or "
            "in the same call, as estimator=AutoEncoderTransformer().",
        ),
        (
            PLAIN(),
            {"loss__delta": 2},
            "expected loss to be an object with the parameter 'delta', got "
            "loss__delta for loss='auto'. Set loss first, or in the same call.",
        ),
    ],
)
def test_parameters_of_what_is_not_there_are_refused(estimator, params, message):
    before = estimator.get_params()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        estimator.set_params(**params)
    assert estimator.get_params() == before


def test_a_network_and_its_parameters_are_set_in_one_call():
    reducer = PLAIN().set_params(network__channels=(3,), network=ConvNet())
    assert reducer.network.channels == (3,)
    reducer.set_params(network__dropout=0.5)
    assert reducer.network.dropout == 0.5
    reducer.set_params(network=RecurrentNet(), network__cell="gru")
    assert reducer.network.cell == "gru"
    with pytest.raises(ValueError, match="Invalid parameter 'wings' for estimator"):
        reducer.set_params(network__wings=2)
    with pytest.raises(ValueError, match="Invalid parameter 'wings' for estimator"):
        reducer.set_params(wings__n=2)


# -- methods that only some estimators have --------------------------------------------


class Cuts(BaseEstimator, TransformerMixin):
    """Has no inverse."""


REASONS = [
    (
        DENOISING(),
        "sample_missing",
        "expected a model of the cells of a table, got features='bottleneck', "
        "loss='auto', noise='auto' and network=None. Fit with "
        "features='reconstruction', loss='cross_entropy', noise='auto' and "
        "network=None.",
    ),
    (
        DENOISING(features="reconstruction", max_epochs=1).fit(np.tile(X, (1, 65))),
        "sample",
        "expected a model of the cells of a table, got features='reconstruction', "
        "loss='auto', noise='auto' and network=None, fitted to 260 columns. "
        "Fit with features='reconstruction', loss='cross_entropy', noise='auto' and "
        "network=None.",
    ),
    (
        DENOISING(features="hidden"),
        "contributions",
        "expected a code of a few components for an attribute of PCA, got "
        "features='hidden', for which it is not defined. Fit with "
        "features='bottleneck'.",
    ),
    (
        AutoEncoderTransformer(),
        "sample",
        "expected an estimator that learns a distribution. Fit a VAETransformer, or to "
        "a table a DenoisingAutoEncoderTransformer(features='reconstruction').",
    ),
    (
        VAETransformer(),
        "sample_missing",
        "expected a model of the cells of a table. Fit a "
        "DenoisingAutoEncoderTransformer(features='reconstruction').",
    ),
    (
        ExtraRowsTransformer(Cuts(), X),
        "inverse_transform",
        "'Cuts' object has no attribute 'inverse_transform'",
    ),
]


@pytest.mark.parametrize(
    ("estimator", "name", "reason"),
    REASONS,
    ids=[f"{type(e).__name__}-{name}" for e, name, _ in REASONS],
)
def test_a_hidden_method_says_why(estimator, name, reason):
    assert not hasattr(estimator, name)
    kind = type(estimator).__name__
    message = f"This {kind!r} has no attribute {name!r}: {reason}"
    with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
        getattr(estimator, name)


def test_text_in_a_frame_of_numbers_asks_for_numbers():
    frame = pd.DataFrame(X)
    fitted = plain().fit(frame)
    with_text = frame.astype(object)
    with_text.iloc[3, 1] = "x"
    for model in fitted, AutoEncoderOutlierDetector(fitted).fit(frame):
        method = getattr(model, "transform", None) or model.predict
        told = raised(lambda method=method: method(with_text))
        assert told.endswith("Pass columns of numbers, as in fit.")
