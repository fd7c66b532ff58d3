"""What is one's own: under which names a file asks for it, and what it may be."""

import functools
import re

import numpy as np
import pytest
from saved_files import SavedFile
from skorch.callbacks import LRScheduler
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
)
from sk_autoencoder.networks import MLP

X = np.random.default_rng(0).normal(size=(40, 4))
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}


def blur(batch, generator, scale=0.1):
    return batch * (1 - scale)


class Twice(MLP):
    pass


@pytest.fixture
def path(tmp_path):
    estimator = DenoisingAutoEncoderTransformer(2, noise=blur, **SMALL).fit(X)
    estimator.save(tmp_path / "model")
    return tmp_path / "model"


def raised(kind, path, custom):
    with pytest.raises(kind) as caught:
        sk_autoencoder.load(path, custom=custom)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize(
    "custom",
    [[blur], [], blur, "blur", ("blur", blur)],
    ids=["list", "empty list", "function", "text", "pair"],
)
def test_custom_is_a_mapping(custom, path):
    message = raised(TypeError, path, custom)
    assert re.fullmatch(
        r"expected a mapping of names to functions, classes and objects of your own, "
        r"got custom=.*\. Pass a dict, as custom=\{'my_noise': my_noise\}\.",
        message,
    )


def test_custom_is_by_name(path):
    message = raised(TypeError, path, {blur: blur})
    assert "objects of your own, got custom={<function blur" in message


@pytest.mark.parametrize("value", [3, None, "blur", {"a": 1}], ids=str)
def test_custom_holds_what_can_be_called(value, path):
    assert raised(TypeError, path, {"blur": value}) == (
        "expected functions, classes and objects of your own in custom, got "
        f"custom={{'blur': {value!r}}}. Pass what the estimator was fitted with."
    )


def test_a_network_that_is_none_is_told_as_what_the_caller_passed(tmp_path):
    path = tmp_path / "model"
    AutoEncoderTransformer(2, network=Twice((4,)), max_epochs=1).fit(X).save(path)
    for wrong in (blur, nn.Linear, MLP):
        if wrong is MLP:  # takes the same parameters
            sk_autoencoder.load(path, custom={"Twice": wrong})
            continue
        message = raised(ValueError, path, {"Twice": wrong})
        assert message.startswith(
            f"expected in custom what {str(path)!r} was saved with, got custom="
        )
        assert "Save the estimator again" not in message


def test_a_file_that_names_nothing_is_damaged_whatever_custom_holds(tmp_path):
    path = tmp_path / "model"
    AutoEncoderTransformer(2, **SMALL).fit(X).save(path)
    file = SavedFile(path.read_bytes())
    file.put(-1, "max_epochs")
    path.write_bytes(file.to_bytes())
    with pytest.raises(ValueError, match="Save the estimator again"):
        sk_autoencoder.load(path, custom={"blur": blur})


# -- names ----------------------------------------------------------------------------


def lambda_of(parameter):
    kinds = {"noise": DenoisingAutoEncoderTransformer, "loss": AutoEncoderTransformer}
    values = {
        "noise": lambda batch, generator: batch,
        "loss": lambda reconstruction, batch: (reconstruction - batch) ** 2,
    }
    return kinds[parameter](2, **{parameter: values[parameter]}, **SMALL)


@pytest.mark.parametrize(
    ("estimator", "parameter"),
    [
        (lambda_of("noise"), "noise"),
        (lambda_of("loss"), "loss"),
        (AutoEncoderOutlierDetector(lambda_of("loss")), "estimator__loss"),
        (
            AutoEncoderTransformer(2, lr_schedule=lambda epoch: 0.9**epoch, **SMALL),
            "lr_schedule",
        ),
    ],
    ids=["noise", "loss", "detector", "schedule"],
)
@pytest.mark.filterwarnings("ignore:expected")  # of so short a fit
def test_a_lambda_is_told_by_its_parameter(estimator, parameter, tmp_path):
    estimator.fit(X)
    with pytest.raises(TypeError) as caught:
        estimator.save(tmp_path / "model")
    assert re.match(
        "expected functions and classes that load can be given again by their names, "
        rf"got {parameter}=<function .*, which is a lambda\. ",
        str(caught.value),
    )


OWN = {
    "noise": (
        DenoisingAutoEncoderTransformer(
            2, noise=functools.partial(blur, scale=0.2), **SMALL
        ),
        functools.partial(blur, scale=0.2),
    ),
    "loss": (
        AutoEncoderTransformer(2, loss=nn.L1Loss(reduction="none"), **SMALL),
        nn.L1Loss(reduction="none"),
    ),
    "activation": (
        AutoEncoderTransformer(2, activation=nn.PReLU(), **SMALL),
        nn.PReLU(),
    ),
    "LRScheduler": (
        AutoEncoderTransformer(2, callbacks=[LRScheduler()], **SMALL),
        LRScheduler(),
    ),
    "blur": (DenoisingAutoEncoderTransformer(2, noise=blur, **SMALL), blur),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.filterwarnings("ignore:expected at least half of n_components:UserWarning")
def test_partials_and_modules_are_asked_for_by_their_parameter(name, tmp_path):
    estimator, own = OWN[name]
    estimator.fit(X).save(tmp_path / "model")
    again = sk_autoencoder.load(tmp_path / "model", custom={name: own})
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))


@pytest.mark.parametrize(
    "function",
    [
        sk_autoencoder.load,
        AutoEncoderTransformer.save,
        AutoEncoderOutlierDetector.save,
    ],
    ids=["load", "save", "save of a detector"],
)
def test_the_help_says_under_which_names(function):
    words = " ".join(function.__doc__.replace("`", "").split())
    assert (
        "functions and classes under their own names, objects under those of their "
        "classes, a module or a functools.partial under the name of its parameter"
    ) in words
