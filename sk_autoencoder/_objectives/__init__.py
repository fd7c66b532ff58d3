"""Objectives: what corrupts the input, how the code is drawn, what is minimized."""

from sk_autoencoder._objectives.denoise import Denoise
from sk_autoencoder._objectives.reconstruct import Reconstruct
from sk_autoencoder._objectives.variational import Variational

__all__ = ["Denoise", "Reconstruct", "Variational"]
