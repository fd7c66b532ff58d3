"""Which features make a component: contributions to codes, and local axes."""

from typing import Any

import numpy as np
from torch import Tensor

from sk_autoencoder._estimators.pca_contract import PCAContract, has_codes
from sk_autoencoder._estimators.validation import validate_out
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.jacobians import attributions
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.sklearn_compat import available_if

# Of the root mean square of the codes: what errors of contributions are measured by
# where a code is hardly off the mean sample's.
SMALL = 1e-3


class Contributions(PCAContract):
    """What moved the code of a sample, and how components move the sample."""

    @available_if(has_codes)
    def contributions(
        self,
        X: Any,
        *,
        return_remainder: bool = False,
        out: np.ndarray | None = None,
    ) -> Any:
        """Compute the contribution of each feature to each component of a code.

        A contribution is how far the feature moves the component away from
        `mean_code_`, the code of the mean training sample: the contributions of all
        features add up to ``transform(X) - mean_code_``. They are integrated gradients
        along the line from the mean sample to each sample. For a linear code, such as
        PCA's, they are the products of the centered sample with `components_`.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.
        return_remainder : bool, default=False
            Whether to also return the difference between the sum of the contributions
            and ``transform(X) - mean_code_``.
        out : ndarray of shape (n_samples, n_components, n_features) or None, \
default=None
            Array or `numpy.memmap` to which the contributions are written in chunks, as
            in `transform`.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_components, n_features)
            Contributions, with flattened features for images. A category counts as one
            feature; a missing cell contributes the effect of being missing. `out` if it
            is given.
        remainder : ndarray of shape (n_samples, n_components)
            Only returned if `return_remainder=True`: the remaining difference. At most
            a millionth of the largest difference of a sample, or a thousandth for
            networks with corners ("relu", max pooling).

        Raises
        ------
        ValueError
            If a network of your own cannot be differentiated, or if its code has jumps
            (unless `return_remainder=True`).
        """
        self._check_is_fitted()
        rows, k, d = self._check_rows(X), self.n_components_, self.n_features_in_
        flat = None if out is None else validate_out(self, out, rows, k, d)
        wide, least = self._wide_module(), SMALL * self._code_size()

        def flattened(_: AutoEncoderModule, samples: Tensor) -> Tensor:
            found = attributions(
                wide, samples, least=least, strict=not return_remainder
            )
            return found.flatten(1)

        flat = apply_to_rows(flattened, self.net_.module_, rows, out=flat)
        parts = flat.reshape(-1, k, d) if out is None else out
        if not return_remainder:
            return parts
        moved = self._transform(rows) - self.mean_code_
        return parts, moved - parts.sum(axis=2, dtype=np.float64)

    @available_if(has_codes)
    def local_components(self, X: Any) -> np.ndarray:
        """Compute `components_` at each sample instead of at the mean sample.

        This is the Jacobian of the decoder at the code of each sample, for codes
        without whitening: how the reconstruction changes if a component increases by 1.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        components : ndarray of shape (n_samples, n_components, n_encoded_features)
            In float64. For a table with categories, columns are the encoded ones
            (`encoded_feature_names_`).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        self._check_is_fitted()
        wide = self._wide_module()

        def jacobians(_: AutoEncoderModule, samples: Tensor) -> Tensor:
            code = wide.network_code(samples.double() - wide.columns.mean)
            return self._plain_jacobians(wide, code)

        rows, dtype = self._check_rows(X), np.dtype(np.float64)
        return apply_to_rows(jacobians, self.net_.module_, rows, dtype=dtype)

    def _code_size(self) -> float:
        """Return the root mean square of the training samples' codes."""
        if self._plan.whiten:
            return 1.0
        fitted, k = self._fitted, self.n_components_
        variances = fitted.moments.variances[:k] @ np.square(fitted.plain_matrix)
        return float(np.sqrt(variances.mean()))
