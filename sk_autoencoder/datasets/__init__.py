"""Tables, pictures and series for the documentation, the tests and the demo."""

from sk_autoencoder.datasets._adult import load_adult
from sk_autoencoder.datasets._fashion_mnist import load_fashion_mnist
from sk_autoencoder.datasets._molecules import load_molecules
from sk_autoencoder.datasets._nab import load_nab
from sk_autoencoder.datasets._series import make_series_anomalies

__all__ = [
    "load_adult",
    "load_fashion_mnist",
    "load_molecules",
    "load_nab",
    "make_series_anomalies",
]
