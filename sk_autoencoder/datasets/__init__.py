"""A real data set and a made-up one, for the documentation, the tests and the demo."""

from sk_autoencoder.datasets._adult import load_adult
from sk_autoencoder.datasets._porto_seguro import make_porto_seguro

__all__ = ["load_adult", "make_porto_seguro"]
