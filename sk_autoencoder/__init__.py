"""Autoencoders that are used like PCA: scikit-learn transformers on torch networks.

The three transformers are imported from here, one that fits any of them on further
rows, and one that finds outliers by them; network specifications, datasets, metrics
and plots from their modules.
"""

from sk_autoencoder._autoencoder import AutoEncoderTransformer
from sk_autoencoder._denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._extra_rows import ExtraRowsTransformer
from sk_autoencoder._load import load
from sk_autoencoder._outlier import AutoEncoderOutlierDetector
from sk_autoencoder._show_versions import show_versions
from sk_autoencoder._vae import VAETransformer

__all__ = [
    "AutoEncoderTransformer",
    "DenoisingAutoEncoderTransformer",
    "VAETransformer",
    "AutoEncoderOutlierDetector",
    "ExtraRowsTransformer",
    "load",
    "show_versions",
]

__version__ = "0.1.0"
