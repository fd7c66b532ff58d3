"""What a user's type checker sees: `make lint` runs mypy over this file.

Nothing of it is called.
"""

from typing import assert_type

import numpy as np

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)


def fitted_estimators_have_their_own_class(X: np.ndarray) -> None:
    assert_type(AutoEncoderTransformer(2).fit(X), AutoEncoderTransformer)
    assert_type(AutoEncoderTransformer(2).partial_fit(X), AutoEncoderTransformer)
    assert_type(
        DenoisingAutoEncoderTransformer(lr=0.1).fit(X), DenoisingAutoEncoderTransformer
    )
    assert_type(VAETransformer(whiten=True).fit(X, X_val=X), VAETransformer)
    assert_type(AutoEncoderOutlierDetector().fit(X), AutoEncoderOutlierDetector)
    assert_type(ExtraRowsTransformer(VAETransformer()).fit(X), ExtraRowsTransformer)
