"""What PCA tells of a fit, and the transformers too: axes, variances, a density."""

from typing import Any, NoReturn

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from sk_autoencoder._columns import encoded_names
from sk_autoencoder._estimators.methods import FittedMethods
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.jacobians import (
    decoded_errors,
    decoder_jacobians,
    mean_code,
)
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.sklearn_compat import available_if, feature_names_in


def has_codes(estimator: Any) -> bool:
    """Whether `transform` returns codes; raises AttributeError if not."""
    features = getattr(estimator, "features", "bottleneck")
    if features != "bottleneck":
        _refuse("a code of a few components", f"features={features!r}", "'bottleneck'")
    return True


def has_variances(estimator: Any) -> bool:
    """Whether codes explain variance as PCA's do; raises AttributeError if not."""
    has_codes(estimator)
    name = "likelihood" if hasattr(estimator, "likelihood") else "loss"
    given = getattr(estimator, name)
    if given in ("binary_cross_entropy", "bernoulli"):
        _refuse("a squared error to share out", f"{name}={given!r}", "'auto'")
    return True


def _refuse(expected: str, given: str, other: str) -> NoReturn:
    raise AttributeError(
        f"expected {expected} for an attribute of PCA, got {given}, for which it is "
        "not defined. "
        f"Fit with {given.partition('=')[0]}={other}."
    )


class PCAContract(FittedMethods):
    """Attributes and methods that mean what they mean for scikit-learn's PCA.

    They follow from the model and from the moments of the training samples' codes; none
    takes a further pass over samples. *Plain* codes are those before whitening.
    """

    @property
    def n_samples_(self) -> int:
        """Number of training samples, of all calls of `partial_fit` together."""
        self._check_is_fitted()
        return self._fitted.moments.n_rows

    @property
    def mean_code_(self) -> np.ndarray:
        """Code of the mean training sample, (n_components,)."""
        self._check_is_fitted()
        has_codes(self)
        return mean_code(self._wide_module()).cpu().numpy()

    @property
    def encoded_feature_names_(self) -> np.ndarray:
        """Names of the columns of `components_`, (n_encoded_features,)."""
        self._check_is_fitted()
        if self._plan.is_masked:
            has_codes(self)
        names = [str(name) for name in feature_names_in(self)]
        columns = self.net_.module_.columns
        return np.array(encoded_names(names, self._table, columns), dtype=object)

    @property
    def components_(self) -> np.ndarray:
        """How the reconstruction changes with each component, at `mean_code_`."""
        self._check_is_fitted()
        has_variances(self)
        wide = self._wide_module()
        with torch.no_grad():
            code = wide.objective.mode(wide.encoder(wide.columns.mean_inputs()[None]))
            code = wide.recoded(code)
        return self._plain_jacobians(wide, code)[0].cpu().numpy()

    @property
    def explained_variance_(self) -> np.ndarray:
        """Variance that each component explains, (n_components,), at least 0."""
        self._check_is_fitted()
        has_variances(self)
        exact = self._fitted.principal_variances
        if exact is not None:
            return exact[0]
        moments = self._fitted.moments
        total = moments.total / max(1, moments.n_rows - 1)
        return np.maximum(self.explained_variance_ratio_ * total, 0.0)

    @property
    def singular_values_(self) -> np.ndarray:
        """Norms that codes of such variances have, (n_components,)."""
        return np.sqrt((self.n_samples_ - 1) * self.explained_variance_)

    @property
    def noise_variance_(self) -> float:
        """Variance that the code leaves in each direction that it does not have."""
        self._check_is_fitted()
        has_variances(self)
        n, d, k = self.n_samples_, self._n_encoded, self.n_components_
        n_left = min(n, d) - k
        if n_left <= 0:
            return 0.0
        exact = self._fitted.principal_variances
        error = self._fitted.error if exact is None else exact[1]
        return float(error / ((n - 1) * n_left))

    @available_if(has_variances)
    def get_covariance(self) -> np.ndarray:
        """Compute the covariance of the samples under the fitted model.

        As for PCA, it is the covariance of the codes mapped through `components_`,
        scaled to the variance that they explain, plus `noise_variance_` in all
        remaining directions. Since a network is curved, this is the covariance of its
        tangent at the mean sample. For :class:`VAETransformer` it is that of the
        density.

        .. versionadded:: 0.2

        Returns
        -------
        cov : ndarray of shape (n_features, n_features)
            In squared units of X; for a table with categories, of the encoded columns
            (`encoded_feature_names_`).
        """
        self._check_is_fitted()
        components = self.components_
        explained = self._moments_of(self._fitted.plain_matrix)[1]
        explained = components.T @ explained @ components
        size = np.trace(explained)
        if size > 0:
            explained *= self.explained_variance_.sum() / size
        outside = np.eye(len(explained)) - linalg.pinv(components) @ components
        return explained + self.noise_variance_ * outside

    @available_if(has_variances)
    def get_precision(self) -> np.ndarray:
        """Compute the inverse of `get_covariance`.

        .. versionadded:: 0.2

        Returns
        -------
        precision : ndarray of shape (n_features, n_features)
            In inverse squared units of X; see `get_covariance`.

        Raises
        ------
        ValueError
            If the covariance has no inverse.
        """
        covariance = self.get_covariance()
        values, vectors = linalg.eigh(covariance)
        if values[0] <= values[-1] * len(values) * np.finfo(np.float64).eps:
            self._refuse_singular()
        precision: np.ndarray = (vectors / values) @ vectors.T
        return precision

    @available_if(has_variances)
    def score_samples(self, X: Any) -> np.ndarray:
        """Compute the log density of each sample, on the scale of probabilistic PCA.

        The density of codes is normal, with the mean and covariance of the codes of the
        training samples; that of the errors of the reconstruction has the variance
        `noise_variance_` in each direction. If the model is PCA, this is PCA's log
        density. Otherwise it is not normalized.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, in float64. For a table with categories it is that of the encoded
            columns; missing cells count as if they were reconstructed without error.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `noise_variance_` is 0 and there are fewer components than features, or
            more, or the codes of the training samples have no variance in a direction.
        """
        self._check_is_fitted()
        return self._score_samples(self._check_rows(X))

    def _score_samples(self, rows: Any) -> np.ndarray:
        """Compute the log density of samples that have been validated."""
        d, k, noise = self._n_encoded, self.n_components_, self.noise_variance_
        natural = self._fitted.natural_matrix
        mean, covariance = self._moments_of(natural)
        variances, vectors = linalg.eigh(covariance)
        least = variances[-1] * k * np.finfo(np.float64).eps
        if k > d or (k < d and noise == 0) or variances[0] <= least:
            self._refuse_singular()
        whitening = vectors / np.sqrt(variances)
        constant = np.log(variances).sum() + d * np.log(2 * np.pi)
        constant += (d - k) * np.log(noise) if k < d else 0.0

        def scores(module: AutoEncoderModule, X: Tensor) -> Tensor:
            x = X - module.columns.mean
            code = module.network_code(x)[:, :k]
            errors = decoded_errors(module, code, x).double().square().sum(dim=1)
            gaps = code.double() @ torch.from_numpy(natural).to(code.device)
            gaps -= torch.from_numpy(mean).to(gaps)
            ways = (gaps @ torch.from_numpy(whitening).to(gaps)).square().sum(dim=1)
            if k < d:
                ways += errors / noise
            least = torch.finfo(torch.float64).min
            return (-0.5 * (ways + constant)).nan_to_num(nan=least, neginf=least)

        module, dtype = self.net_.module_, np.dtype(np.float64)
        return apply_to_rows(scores, module, rows, dtype=dtype)

    # -- parts -------------------------------------------------------------------------

    @property
    def _n_encoded(self) -> int:
        """Number of columns in which errors are measured."""
        return int(self.net_.module_.columns.n_outputs)

    def _wide_module(self) -> AutoEncoderModule:
        """Return the module in float64."""
        return in_dtype(self.net_.module_, torch.float64)

    def _plain_jacobians(self, wide: AutoEncoderModule, code: Tensor) -> Tensor:
        """Return Jacobians at network codes with respect to plain ones, (n, k, d)."""
        jacobians = decoder_jacobians(wide, code[:, : self.n_components_])
        return torch.from_numpy(self._fitted.plain_inverse).to(jacobians) @ jacobians

    def _moments_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of the training samples' codes, times a matrix."""
        fitted, k = self._fitted, self.n_components_
        exact = fitted.principal_variances
        if exact is not None:
            return np.zeros(k), np.diag(exact[0])
        mean, covariance = fitted.moments.mean[:k], fitted.moments.covariance
        if covariance.ndim == 1:
            raise ValueError(
                "expected a fit that knows how the components vary together, got one "
                "that an older version has saved. Fit again."
            )
        return mean @ matrix, matrix.T @ covariance[:k, :k] @ matrix

    def _refuse_singular(self) -> NoReturn:
        raise ValueError(
            "expected fewer components than the training samples vary in, got "
            f"n_components_={self.n_components_} for {self._n_encoded} features and "
            f"noise_variance_={self.noise_variance_:.3g}: such a density is infinite. "
            "Fit with a smaller n_components."
        )
