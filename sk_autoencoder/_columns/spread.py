"""The variance of numbers around a reconstruction, for each column."""

import torch
from torch import Tensor, nn

__all__ = ["PerColumnVariance", "normal_like"]


class PerColumnVariance(nn.Module):
    """Variances that follow the errors of training, for a normal density.

    In training the variance of a column is a running mean of its squared errors, its
    maximum likelihood value; it is no parameter (sigma-VAE). After training
    `set_from_errors` sets the value that rows are scored by, and the running mean waits
    for training to go on.

    A variance is bounded below by `FLOOR` in units of the columns' mean variance:
    without it rows on a hyperplane would have an infinite density. And it is drawn
    towards the mean of all columns as if `PRIOR_ROWS` more rows had that: a column that
    never varied in training may yet do so.

    References
    ----------
    Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with
    calibrated decoders, ICML.
    """

    FLOOR = 1e-6
    MEMORY = 0.95
    PRIOR_ROWS = 10.0

    _unit = 1.0

    running: Tensor
    variance: Tensor

    def make_variances(self, n_columns: int, n_rows: int) -> None:
        """Make the buffers, for columns whose errors are of so many rows."""
        self.register_buffer("running", torch.ones(n_columns, dtype=torch.float32))
        self.register_buffer("variance", torch.ones(n_columns, dtype=torch.float32))
        self._prior_share = self.PRIOR_ROWS / (n_rows + self.PRIOR_ROWS)

    def follow(self, errors: Tensor) -> None:
        """Move towards the mean squared errors (n_columns,) of a batch in training.

        NaN tells nothing of a column.
        """
        if self.training:
            errors = torch.where(errors.isnan(), self.running, errors)
            self.running.lerp_(self._bounded(errors), 1 - self.MEMORY)

    def set_from_errors(self, errors: Tensor) -> None:
        """Set what rows are scored by, from the mean squared errors of all rows."""
        errors = torch.where(errors.isnan(), self.running, errors)
        self.variance.copy_(self._bounded(errors))

    def set_variance(self, variance: float) -> None:
        """Start from one variance for all columns."""
        self.running.fill_(max(variance, self.FLOOR))
        self.variance.copy_(self.running)

    def set_variance_unit(self, unit: float) -> None:
        """Set the columns' mean variance, where it is not 1, and start from it."""
        self._unit = unit if unit > 0 else 1.0
        self.running.fill_(self._unit)
        self.variance.fill_(self._unit)

    def _bounded(self, variance: Tensor) -> Tensor:
        return self.pooled(variance).clamp(min=self.FLOOR * self._unit)

    def pooled(self, variance: Tensor) -> Tensor:
        """Draw the variances towards their mean, as some rows of that would."""
        return variance.lerp(variance.mean(), self._prior_share)


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal noise of the shape and dtype of x.

    Drawn in float32, whatever the dtype: the same seed gives the same noise.
    """
    noise = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    return noise.normal_(generator=generator).to(x)
