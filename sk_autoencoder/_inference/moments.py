"""What is known of the codes of the training rows once the network is trained."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.values import Range
from sk_autoencoder._utils.variance import explained_variance, variance_fractions

# Sums of squares in float32 that are far from what it cannot hold, for any width.
SAFE_SUMS = 1e-20, 1e30


@dataclass(frozen=True)
class LatentMoments:
    """Moments of the network's codes, and what is lost in them.

    Attributes
    ----------
    n_rows : int
    mean : ndarray of shape (k,), float64
    scatter : ndarray of shape (k, k) or (k,), float64
        Sum of the products of deviations from the mean, or of their squares alone.
    error, total : float
        Squared error of the reconstructions, and squared distance of the rows from
        their mean, in the caller's units, summed.
    """

    n_rows: Annotated[int, Range(1)]
    mean: Annotated[np.ndarray, Range(shape="k")]
    scatter: Annotated[np.ndarray, Range(shape="k|k k")]
    error: Annotated[float, Range(0)]
    total: Annotated[float, Range(0)]

    @classmethod
    def of(
        cls,
        module: AutoEncoderModule,
        batches: Iterable[tuple[Tensor, Tensor]],
        *,
        full_covariance: bool,
    ) -> "LatentMoments":
        """Gather the moments of batches of centered rows.

        Parameters
        ----------
        module : AutoEncoderModule
            In evaluation mode.
        batches : iterable of (x, x)
            At least one.
        full_covariance : bool
            Whether to gather the products of different components too.
        """
        found: LatentMoments | None = None
        with torch.inference_mode():
            for x, _ in batches:
                part = cls._of_batch(module, x, full_covariance)
                found = part if found is None else found.joined(part)
        assert found is not None
        return found

    @classmethod
    def _of_batch(
        cls, module: AutoEncoderModule, x: Tensor, full_covariance: bool
    ) -> "LatentMoments":
        code = module.plain_code(x)
        errors = module.columns.errors(module.decoder(code), x)
        code = module.recoded(code)
        total = sum_of_squares(module.columns.centered_targets(x))
        return cls._of_codes(code, full_covariance, sum_of_squares(errors), total)

    @classmethod
    def _of_codes(
        cls, code: Tensor, full_covariance: bool, error: float, total: float
    ) -> "LatentMoments":
        u = code.double().cpu().numpy()
        mean = u.mean(axis=0)
        u = u - mean
        scatter = u.T @ u if full_covariance else np.square(u).sum(axis=0)
        return cls(len(u), mean, scatter, error, total)

    def with_codes_of(
        self, module: AutoEncoderModule, chunks: Iterable[np.ndarray]
    ) -> "LatentMoments":
        """Return these moments with those of the codes of the same rows in float64.

        As `transform` computes them: along an axis on which rows hardly vary, codes of
        rounded rows are noise.

        Parameters
        ----------
        module : AutoEncoderModule
            In evaluation mode.
        chunks : iterable of ndarray of shape (n, n_features)
            The rows, not centered.
        """
        module = in_dtype(module, torch.float64)
        mean, found = module.columns.mean, None
        with torch.inference_mode():
            for chunk in chunks:
                x = torch.from_numpy(np.array(chunk, np.float64))
                code = module.network_code(x.to(mean.device) - mean)
                part = self._of_codes(code, self.scatter.ndim == 2, 0.0, 0.0)
                found = part if found is None else found.joined(part)
        assert found is not None
        return replace(found, error=self.error, total=self.total)

    def without_products(self) -> "LatentMoments":
        """Return these moments without the products of different components."""
        if self.scatter.ndim == 1:
            return self
        return replace(self, scatter=np.diagonal(self.scatter).copy())

    def joined(self, other: "LatentMoments") -> "LatentMoments":
        """Return the moments of both sets of rows together.

        References
        ----------
        Chan, Golub and LeVeque (1983), Algorithms for computing the sample
        variance.
        """
        n_rows = self.n_rows + other.n_rows
        weight = other.n_rows / n_rows
        gap = other.mean - self.mean
        product = np.outer(gap, gap) if self.scatter.ndim == 2 else np.square(gap)
        between = product * (self.n_rows * weight)
        return LatentMoments(
            n_rows,
            self.mean + gap * weight,
            self.scatter + other.scatter + between,
            self.error + other.error,
            self.total + other.total,
        )

    @property
    def variances(self) -> np.ndarray:
        """Variances of the codes, (k,)."""
        squares = np.diag(self.scatter) if self.scatter.ndim == 2 else self.scatter
        return squares / self.n_rows

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the codes, as PCA reckons it, or their variances alone."""
        return self.scatter / max(1, self.n_rows - 1)

    @property
    def explained(self) -> float:
        """Explained variance ratio; 1 if nothing varies and nothing is lost."""
        return float(explained_variance(self.error, self.total))

    def explained_by_component(self, units: np.ndarray | None) -> np.ndarray:
        """Divide the explained variance among the components by their variances, (k,).

        Parameters
        ----------
        units : ndarray of shape (k,) or None
            Of the components, in the data's; None for 1.
        """
        variances = self.variances
        if units is not None:
            variances = variances * np.square(units)
        return variance_fractions(self.explained * variances, variances.sum())

    def explained_by_prefix(self, errors: np.ndarray) -> np.ndarray:
        """Return what each component adds to the explained variance, (k,).

        Parameters
        ----------
        errors : ndarray of shape (k,)
            Squared errors of the same rows from the first 1, 2, ... components.
        """
        gains = -np.diff(errors, prepend=self.total)
        return variance_fractions(gains, self.total)


def sum_of_squares(x: Tensor) -> float:
    """Return the sum of the squares of samples (n, n_features), added up in float64.

    Within a sample in its own dtype, where that can hold them: a tenth of the time.
    """
    found = torch.linalg.vector_norm(x, dim=1).double().square().sum().item()
    least, most = SAFE_SUMS
    return found if least < found < most else x.double().square().sum().item()
