"""The frame of the codes: from what the network calls a code to what users see."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor

from sk_autoencoder._utils.float64_buffers import ExactBuffers

__all__ = ["CodeFrame", "FrameLayer"]


@dataclass(frozen=True)
class CodeFrame:
    """An affine map of codes, and its inverse: z = (u - shift) @ forth.

    Attributes
    ----------
    shift : ndarray of shape (k,)
    forth, back : ndarray of shape (k,) or (k, k)
        One factor a component, or a matrix.
    """

    shift: np.ndarray
    forth: np.ndarray
    back: np.ndarray

    @classmethod
    def scaling(cls, units: np.ndarray) -> "CodeFrame":
        """Give each component its unit, which is positive."""
        return cls(np.zeros_like(units), units, 1 / units)

    @classmethod
    def ordering(cls, order: np.ndarray) -> "CodeFrame":
        """Put components into an order; the first of it comes first."""
        forth = np.eye(len(order))[:, order]
        return cls(np.zeros(len(order)), forth, forth.T)

    @classmethod
    def whitening(
        cls,
        mean: np.ndarray,
        covariance: np.ndarray,
        *,
        triangular: bool = False,
        dtype: Any = np.float32,
    ) -> "CodeFrame":
        """Decorrelate codes of this mean and covariance, each to unit variance.

        Parameters
        ----------
        mean : ndarray of shape (k,)
        covariance : ndarray of shape (k, k)
        triangular : bool
            Whether the first j components must depend on the first j alone. Else
            codes move as little as can be.
        dtype : dtype, default=float32
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
        alive = variances > variances.max() * len(mean) * least
        roots = np.sqrt(np.where(alive, variances, 1.0))
        forth = (vectors * np.where(alive, 1 / roots, 0.0)) @ vectors.T
        back = (vectors * np.where(alive, roots, 0.0)) @ vectors.T
        if triangular:
            forth, back = _triangular(back, least)
        return cls(mean, forth, back)


def _triangular(back: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Give an upper triangular R with R' R = back' back, and its inverse, first.

    A component that is fixed by those before it, but for a share of `least`, becomes 0.
    """
    upper = linalg.qr(back, mode="r")[0]
    upper *= np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]
    peaks = np.diag(upper)
    dead = peaks <= peaks.max() * least
    upper[dead] = 0.0
    filled = upper + np.diag(dead.astype(float))
    inverse = linalg.solve_triangular(filled, np.eye(len(upper)))
    inverse[:, dead] = 0.0
    return inverse, upper


class FrameLayer(ExactBuffers):
    """The numbers of a frame, inside a module; none leaves codes as they are.

    Parameters
    ----------
    frame : CodeFrame or None
    """

    shift: Tensor
    forth: Tensor
    back: Tensor

    def __init__(self, frame: CodeFrame | None = None) -> None:
        super().__init__()
        self.set_frame(frame)

    def set_frame(self, frame: CodeFrame | None) -> None:
        """Put a frame in place of the one before."""
        self.frame = frame
        if frame is not None:
            self.write("shift", frame.shift)
            self.write("forth", frame.forth)
            self.write("back", frame.back)

    @property
    def width(self) -> int:
        """Components in a code, where there is a frame."""
        return 0 if self.frame is None else len(self.frame.shift)
