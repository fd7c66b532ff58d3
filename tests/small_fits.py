"""Transformers of digits that are fitted in a moment."""

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

ALL = [AutoEncoderTransformer, DenoisingAutoEncoderTransformer, VAETransformer]
SMALL = {
    "hidden_layer_sizes": (16,),
    "max_epochs": 3,
    "random_state": 0,
    "device": "cpu",
}


def make(cls=AutoEncoderTransformer, n_components=3, **params):
    return cls(n_components, **{**SMALL, **params})
