"""Autoencoders that are used like PCA: scikit-learn transformers on torch networks.

The three transformers are imported from here, one that fits any of them on further
rows, and one that finds outliers by them; network specifications, datasets, metrics
and plots from their modules.
"""

from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._estimators.extra_rows import ExtraRowsTransformer
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._load import TRUSTED_TYPES, load
from sk_autoencoder._outliers.detector import AutoEncoderOutlierDetector
from sk_autoencoder._saving.metadata import read_metadata
from sk_autoencoder._utils.pickling import new_object as _new  # noqa: F401
from sk_autoencoder._utils.versions import show_versions

__all__ = [
    "AutoEncoderTransformer",
    "DenoisingAutoEncoderTransformer",
    "VAETransformer",
    "AutoEncoderOutlierDetector",
    "ExtraRowsTransformer",
    "TRUSTED_TYPES",
    "load",
    "read_metadata",
    "show_versions",
]

__version__ = "0.2.0.dev0"
