"""Network specifications: parameters of a network, without weights."""

from sk_autoencoder.networks.conv import ConvNet
from sk_autoencoder.networks.mlp import MLP
from sk_autoencoder.networks.recurrent import RecurrentNet
from sk_autoencoder.networks.user import UserNetwork

__all__ = ["MLP", "ConvNet", "RecurrentNet", "UserNetwork"]
