"""scikit-learn's own checks, for every estimator, at default and at tiny settings."""

import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn_checks import checks_of

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder._fitting import resolve
from sk_autoencoder.networks import MLP, RecurrentNet

TINY = {"hidden_layer_sizes": (8,), "max_epochs": 3}

AT_DEFAULTS = [
    AutoEncoderTransformer(),
    DenoisingAutoEncoderTransformer(),
    DenoisingAutoEncoderTransformer(features="hidden"),
    VAETransformer(),
    AutoEncoderOutlierDetector(),
    ExtraRowsTransformer(StandardScaler()),
]
# One for each way through the code, not for each parameter: what does not meet on its
# way is set together. With other networks: networks/.
AT_TINY_SETTINGS = [
    AutoEncoderTransformer(
        network=MLP((8,), dropout=0.2, batch_norm=True),
        max_epochs=3,
        init="random",
        loss="binary_cross_entropy",
        numeric_scaling="minmax",
        early_stopping=False,
    ),
    AutoEncoderTransformer(
        **TINY, ordered=True, whiten=True, numeric_scaling="rank_gauss"
    ),
    DenoisingAutoEncoderTransformer(
        **TINY,
        features="hidden",
        passthrough=True,
        pretrain="layerwise",
        allow_missing=True,
    ),
    DenoisingAutoEncoderTransformer(**TINY, features="reconstruction"),
    VAETransformer(**TINY, allow_missing=True, numeric_scaling="standard"),
    AutoEncoderOutlierDetector(
        AutoEncoderTransformer(**TINY, numeric_scaling="rank_gauss"), measure="latent"
    ),
    AutoEncoderOutlierDetector(VAETransformer(**TINY), measure="likelihood"),
    AutoEncoderOutlierDetector(make_pipeline(StandardScaler(), PCA(1))),
    ExtraRowsTransformer(AutoEncoderTransformer(**TINY)),
]
# The check that compares the numbers of fits, two of which are of the same samples: a
# long training might interfere.
AT_FULL_LENGTH = "check_transformer_general"


# The checks have fewer samples than bins of numbers need.
@pytest.mark.filterwarnings(
    "ignore:expected at least 1,000 samples in the first partial_fit:UserWarning"
)
@checks_of(AT_TINY_SETTINGS, synonyms=False)
def test_tiny_settings(estimator, check):
    check(estimator)


@checks_of(AT_DEFAULTS)
def test_default_settings(estimator, check, monkeypatch):
    compares = check.func.__name__ == AT_FULL_LENGTH and not check.keywords
    if not (compares and isinstance(estimator, AutoEncoderTransformer)):
        # Several hundred epochs, the default on a few dozen samples, take the same way
        # through the code, with each objective.
        for name in ("automatic_epochs", "feature_epochs"):
            monkeypatch.setattr(resolve, name, lambda n_rows, batch_size: 3)
    check(estimator)


def test_every_public_estimator_is_checked():
    checked = {type(estimator).__name__ for estimator in AT_DEFAULTS}
    others = {"TRUSTED_TYPES", "load", "read_metadata", "show_versions"}
    assert checked == set(sk_autoencoder.__all__) - others


@pytest.mark.parametrize(
    "network",
    [MLP(), MLP((64, 32), activation="relu"), RecurrentNet(), RecurrentNet((4, 2))],
)
def test_specifications_are_estimators(network):
    copy = clone(network)
    assert copy is not network
    assert copy.get_params() == network.get_params()
    assert repr(copy) == repr(network)
    assert copy.set_params(dropout=0.5).dropout == 0.5
    assert network.dropout == 0.0
