"""Real data sets for the documentation, the tests and the demo."""

from sk_autoencoder.datasets._adult import load_adult

__all__ = ["load_adult"]
