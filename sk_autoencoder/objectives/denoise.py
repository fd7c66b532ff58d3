"""The denoising objective: reconstruct the clean rows from corrupted ones.

The noises of this module take inputs (n, n_inputs), centred and scaled, a level and a
generator, and give new inputs of the same shape; the argument is never written to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sk_autoencoder._protocols import Columns, Objective

__all__ = ["NOISES", "Denoise", "gaussian", "masking", "salt_and_pepper", "swap"]

UserNoise = Callable[[Tensor, torch.Generator], Tensor]


def _uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def swap(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Replace each cell, with probability `level`, by another row's same column.

    The donor is another row of the batch, drawn for that cell alone. A batch is a
    random sample of the rows, so that a column keeps its distribution. In a batch
    of one row there is no donor: it stays as it is.

    References
    ----------
    Jahrer (2017), first place in Porto Seguro's Safe Driver Prediction.
    """
    n = len(x)
    if level == 0 or n < 2:
        return x
    # One draw decides both: below `level`, u / level is again uniform in [0, 1)
    # and picks how many rows further down the donor lies, 1 to n - 1.
    u = _uniform(x, generator)
    distance = 1 + (u * ((n - 1) / level)).long().clamp_(max=n - 2)
    here = torch.arange(n, device=x.device).unsqueeze(1)
    donor = torch.where(u < level, here + distance, here)
    return x.gather(0, donor.remainder_(n))


def gaussian(
    x: Tensor, level: float, generator: torch.Generator, spreads: Tensor
) -> Tensor:
    """Add normal noise of `level` standard deviations of each column."""
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + level * spreads * noise


def masking(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set each cell, with probability `level`, to its column's mean.

    References
    ----------
    Vincent et al. (2010), Stacked denoising autoencoders, JMLR 11.
    """
    # NOTE[DIFF] The paper masks with 0 on data in [0, 1]. Inputs here are
    # standardised, where 0 is the mean: what a row tells least by.
    return x * (_uniform(x, generator) >= level)


def salt_and_pepper(
    x: Tensor, level: float, generator: torch.Generator, low: Tensor, high: Tensor
) -> Tensor:
    """Set each cell, with probability `level`, to its column's least or greatest.

    References
    ----------
    Vincent et al. (2010), Stacked denoising autoencoders, JMLR 11.
    """
    u = _uniform(x, generator)
    noisy = torch.where(u < level / 2, low, x)
    return torch.where((u >= level / 2) & (u < level), high, noisy)


NOISES = ("swap", "gaussian", "masking", "salt_and_pepper")


@dataclass(frozen=True)
class Denoise(Objective):
    """Corrupt the input, score against the clean rows.

    Parameters
    ----------
    noise : {"swap", "gaussian", "masking", "salt_and_pepper"} or callable
        A callable takes a batch (n, n_features) in the caller's units and a
        `torch.Generator`, and returns the corrupted batch.
    level : float
        Share of cells, or standard deviations for "gaussian".

    References
    ----------
    Vincent et al. (2008), Extracting and composing robust features with denoising
    autoencoders, ICML.
    """

    noise: str | UserNoise
    level: float

    def corrupt(
        self, x: Tensor, columns: Columns, generator: torch.Generator
    ) -> Tensor:
        """Give corrupted inputs for centred rows; see `Objective.corrupt`."""
        if callable(self.noise):
            return columns.encode(self._users_noise(x, columns.mean, generator))
        inputs = columns.encode(x)
        if self.level == 0:
            return inputs
        if self.noise == "swap":
            return swap(inputs, self.level, generator)
        if self.noise == "masking":
            return masking(inputs, self.level, generator)
        if self.noise == "gaussian":
            return gaussian(inputs, self.level, generator, columns.spreads())
        return salt_and_pepper(inputs, self.level, generator, *columns.extremes())

    def _users_noise(
        self, x: Tensor, mean: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Call the user's noise on rows in the caller's units, and check its answer."""
        assert callable(self.noise)
        noisy = self.noise(x + mean, generator)
        if not isinstance(noisy, Tensor) or noisy.shape != x.shape:
            got = (
                tuple(noisy.shape)
                if isinstance(noisy, Tensor)
                else type(noisy).__name__
            )
            raise ValueError(
                "expected noise(batch, generator) to return a tensor of the batch's "
                f"shape {tuple(x.shape)}, got {got} from noise={self.noise!r}. Return "
                "the corrupted batch."
            )
        return noisy.to(x.dtype) - mean
