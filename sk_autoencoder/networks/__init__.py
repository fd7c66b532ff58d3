"""Network specifications, passed to an estimator as `network=`."""

from sk_autoencoder.networks.mlp import MLP

__all__ = ["MLP"]
