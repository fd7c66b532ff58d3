"""The latent map: from what the network calls a code to what users see."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from scipy import linalg
from torch import Tensor

from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.values import Range

# Iterations of a rotation, at most: a few dozen are usual.
MOST_TURNS = 1000

# Units in the last place by which codes of samples that are alike may differ.
ROUNDED = 4.0


@dataclass(frozen=True)
class LatentMap:
    """An affine map of codes, and its inverse: z = (u - offset) @ matrix.

    Attributes
    ----------
    offset : ndarray of shape (k,)
    matrix, inverse : ndarray of shape (k,) or (k, k)
        One factor a component, or a matrix; where codes are reduced to m numbers,
        matrices of shape (k, m) and (m, k).
    """

    offset: Annotated[np.ndarray, Range(shape="k")]
    matrix: Annotated[np.ndarray, Range(shape="k|k m")]
    inverse: Annotated[np.ndarray, Range(shape="k|m k")]

    @classmethod
    def scaling(cls, units: np.ndarray) -> "LatentMap":
        """Multiply each component by its unit, which is positive."""
        return cls(np.zeros_like(units), units, 1 / units)

    @classmethod
    def ordering(cls, order: np.ndarray) -> "LatentMap":
        """Put components into an order; the first of it comes first."""
        matrix = np.eye(len(order))[:, order]
        return cls(np.zeros(len(order)), matrix, matrix.T)

    def turned(self, rotation: np.ndarray) -> "LatentMap":
        """Return this map, and then a rotation (k, k) of the users' codes."""
        diagonal = self.matrix.ndim == 1
        matrix = np.diag(self.matrix) if diagonal else self.matrix
        inverse = np.diag(self.inverse) if diagonal else self.inverse
        return LatentMap(self.offset, matrix @ rotation, rotation.T @ inverse)

    @classmethod
    def reducing(
        cls,
        mean: np.ndarray,
        covariance: np.ndarray,
        *,
        shown: np.ndarray,
        n_columns: int,
        variance: float,
    ) -> tuple["LatentMap", np.ndarray]:
        """Reduce codes to their principal components, times one number.

        Parameters
        ----------
        mean : ndarray of shape (k,)
        covariance : ndarray of shape (k, k)
        shown : ndarray of int
            Positions of the components that take part; the others are decoded as their
            mean.
        n_columns : int
            m, how many principal components.
        variance : float
            That these are to have in all.

        Returns
        -------
        latent_map : LatentMap
        variances : ndarray of shape (m,)
            Of the principal components, after the multiplication.
        """
        variances, vectors = linalg.eigh(covariance[np.ix_(shown, shown)])
        variances = np.maximum(variances[::-1][:n_columns], 0.0)
        vectors = vectors[:, ::-1][:, :n_columns]
        # As scikit-learn's PCA: else the sign would be a matter of rounding.
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(n_columns)]
        vectors = vectors * np.where(largest < 0, -1.0, 1.0)
        total = variances.sum()
        unit = np.sqrt(variance / total) if total > 0 and variance > 0 else 1.0
        matrix = np.zeros((len(mean), n_columns))
        matrix[shown] = vectors * unit
        inverse = np.zeros((n_columns, len(mean)))
        inverse[:, shown] = vectors.T / unit
        return cls(mean, matrix, inverse), variances * unit**2

    @classmethod
    def whitening(
        cls,
        mean: np.ndarray,
        covariance: np.ndarray,
        *,
        triangular: bool,
        dtype: Any,
    ) -> "LatentMap":
        """Decorrelate codes of this mean and covariance, each to unit variance.

        Parameters
        ----------
        mean : ndarray of shape (k,)
        covariance : ndarray of shape (k, k)
        triangular : bool
            Whether the first j components must depend on the first j alone. Else
            codes move as little as can be.
        dtype : dtype
            Of the rows whose codes they were.

        References
        ----------
        Kessy, Lewin and Strimmer (2018), Optimal whitening and decorrelation, The
        American Statistician 72.
        """
        variances, vectors = linalg.eigh(covariance)
        # Of smaller variances float32 knows no digit, and a covariance in float64 not
        # the six that unit variance is promised to.
        least = max(np.finfo(dtype).eps, 1e6 * np.finfo(np.float64).eps)
        # And of codes that are all alike, what differs is the rounding of their mean.
        rounding = ROUNDED * np.finfo(dtype).eps * np.linalg.norm(mean)
        alive = variances > max(variances.max() * len(mean) * least, rounding**2)
        roots = np.sqrt(np.where(alive, variances, 1.0))
        matrix = (vectors * np.where(alive, 1 / roots, 0.0)) @ vectors.T
        inverse = (vectors * np.where(alive, roots, 0.0)) @ vectors.T
        if triangular:
            matrix, inverse = _triangular(inverse, least)
        return cls(mean, matrix, inverse)


def whitening_factors(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix that decorrelates codes of a covariance, and its inverse.

    Directions in which they do not vary keep their unit.
    """
    variances, vectors = linalg.eigh(covariance)
    least = max(variances.max(), 0.0) * len(variances) * np.finfo(np.float32).eps
    roots = np.sqrt(np.where(variances > least, variances, 1.0))
    return vectors / roots, (vectors * roots).T


def varimax(loadings: np.ndarray) -> np.ndarray:
    """Find the rotation (k, k) of loadings (d, k) whose squares vary most, by column.

    The largest entry of each column is positive.

    References
    ----------
    Kaiser (1958), The varimax criterion for analytic rotation in factor analysis,
    Psychometrika 23.
    """
    k = loadings.shape[1]
    rotation, before = np.eye(k), 0.0
    for _ in range(MOST_TURNS):
        turned = loadings @ rotation
        slope = turned**3 - turned * np.square(turned).mean(axis=0)
        left, sizes, right = linalg.svd(loadings.T @ slope)
        rotation = left @ right
        if sizes.sum() <= before * (1 + 1e-12):
            break
        before = sizes.sum()
    turned = loadings @ rotation
    peaks = turned[np.abs(turned).argmax(axis=0), np.arange(k)]
    return rotation * np.where(peaks < 0, -1.0, 1.0)


def _triangular(inverse: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse of an upper triangular R with R' R = inverse' inverse, and R.

    A component that is fixed by those before it, but for `least` of it, becomes 0.
    """
    upper = linalg.qr(inverse, mode="r")[0]
    upper *= np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]
    peaks = np.diag(upper)
    dead = peaks <= peaks.max() * least
    upper[dead] = 0.0
    filled = upper + np.diag(dead.astype(float))
    matrix = linalg.solve_triangular(filled, np.eye(len(upper)))
    matrix[:, dead] = 0.0
    return matrix, upper


class LatentMapLayer(Float64Buffers):
    """The numbers of a latent map, inside a module; none leaves codes as they are.

    Parameters
    ----------
    latent_map : LatentMap or None
    """

    offset: Tensor
    matrix: Tensor
    inverse: Tensor

    def __init__(self, latent_map: LatentMap | None) -> None:
        super().__init__()
        self.set_map(latent_map)

    def set_map(self, latent_map: LatentMap | None) -> None:
        """Put a latent map in place of the one before."""
        self.map = latent_map
        if latent_map is not None:
            self.write("offset", latent_map.offset)
            self.write("matrix", latent_map.matrix)
            self.write("inverse", latent_map.inverse)

    @property
    def width(self) -> int:
        """Components in a code, where there is a map."""
        return 0 if self.map is None else len(self.map.offset)

    @property
    def reduces(self) -> bool:
        """Whether users see fewer numbers than the network has."""
        shape = () if self.map is None else self.map.matrix.shape
        return len(shape) == 2 and shape[0] != shape[1]

    def to_users(self, code: Tensor) -> Tensor:
        """Turn the network's codes (n, k) into the users'."""
        if self.map is None:
            return code
        code = code - self.offset
        return code.mul_(self.matrix) if self.matrix.ndim == 1 else code @ self.matrix

    def to_network(self, code: Tensor) -> Tensor:
        """Turn the users' codes, or their first components (n, j), into a network's."""
        if self.map is None:
            return code
        j, inverse = code.shape[1], self.inverse
        if self.reduces:
            return (code @ inverse).add_(self.offset)
        code = code * inverse[:j] if inverse.ndim == 1 else code @ inverse[:j, :j]
        return code.add_(self.offset[:j])
