"""The denoising objective: reconstruct the clean rows from corrupted ones.

The noises of this module take centered rows (n, n_features), a level and a generator,
and give new rows; the argument is never written to. A cell is one of the original
table's: of a category it is the whole, however many numbers the network sees of it.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._objectives.masks import hide_by_number
from sk_autoencoder._protocols import InputColumns, Objective
from sk_autoencoder._utils.schedules import Schedule, schedule_factor
from sk_autoencoder._utils.values import Range, first_line, shortened

UserNoise = Callable[[Tensor, torch.Generator], Tensor]


def _uniform(
    x: Tensor, generator: torch.Generator, groups: Tensor | None = None
) -> Tensor:
    """Draw a number in [0, 1) for each cell, or one for all of a group.

    A group has the number of one of its features; what is drawn for the others is left
    out. To count the groups would be to wait for the device at every batch.
    """
    u = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return u if groups is None else u[:, groups]


def swap(
    x: Tensor, level: float, generator: torch.Generator, groups: Tensor | None = None
) -> Tensor:
    """Replace each cell, with probability `level`, by another row's same column.

    The donor is another row of the batch, drawn for that cell, or group of cells,
    alone. A batch is a random sample of the rows, so that a column keeps its
    distribution. In a batch of one row there is no donor: it stays as it is.

    References
    ----------
    Jahrer (2017), first place in Porto Seguro's Safe Driver Prediction.
    """
    if x.device.type == "cpu" and level and len(x) > 1:
        return _swap_by_cell(x, level, generator, groups)
    donors = swap_donors(x, level, generator, groups)
    return x if donors is None else x.gather(0, donors)


def _swap_by_cell(
    x: Tensor, level: float, generator: torch.Generator, groups: Tensor | None
) -> Tensor:
    """Do what `swap` does, looking at the swapped cells alone: in half the time.

    Not on a GPU: how many these are would have to be waited for.
    """
    n, d = x.shape
    u = _uniform(x, generator, groups).numpy().reshape(-1)
    cells = np.flatnonzero(u < level)
    factor = u.dtype.type((n - 1) / level)
    further = (u[cells] * factor).astype(np.int64)
    source = cells + d * (1 + np.minimum(further, n - 2))
    source[source >= n * d] -= n * d
    before = np.ascontiguousarray(x.detach().numpy()).reshape(-1)
    after = before.copy()
    after[cells] = before[source]
    return torch.from_numpy(after).view(n, d)


def swap_donors(
    x: Tensor, level: float, generator: torch.Generator, groups: Tensor | None = None
) -> Tensor | None:
    """Draw the row that `swap` takes each cell from; None where it takes none."""
    n = len(x)
    if level == 0 or n < 2:
        return None
    # One draw decides both: below `level`, u / level is again uniform in [0, 1)
    # and picks how many rows further down the donor lies, 1 to n - 1.
    u = _uniform(x, generator, groups)
    distance = 1 + (u * ((n - 1) / level)).long().clamp_(max=n - 2)
    here = torch.arange(n, device=x.device).unsqueeze(1)
    return torch.where(u < level, here + distance, here).remainder_(n)


def gaussian(
    x: Tensor, level: float, generator: torch.Generator, std: Tensor
) -> Tensor:
    """Add normal noise of `level` standard deviations of each column."""
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + level * std * noise


def masking(
    x: Tensor, level: float, generator: torch.Generator, groups: Tensor | None = None
) -> Tensor:
    """Return which cells are not hidden; each is, with probability `level`.

    References
    ----------
    Vincent et al. (2010), Stacked denoising autoencoders, JMLR 11.
    """
    # NOTE[DIFF] The paper masks with 0 on data in [0, 1]. Here a hidden number is
    # the mean, what a row tells least by, and a hidden category none at all.
    return _uniform(x, generator, groups) >= level


def salt_and_pepper(
    x: Tensor,
    level: float,
    generator: torch.Generator,
    low: Tensor,
    high: Tensor,
    groups: Tensor | None = None,
) -> Tensor:
    """Set each number, with probability `level`, to its column's least or greatest.

    References
    ----------
    Vincent et al. (2010), Stacked denoising autoencoders, JMLR 11.
    """
    u = _uniform(x, generator, groups)
    u = torch.where(low.isnan(), 1.0, u)
    noisy = torch.where(u < level / 2, low, x)
    return torch.where((u >= level / 2) & (u < level), high, noisy)


def group_numbers(
    groups: Sequence[Sequence[Any]] | None, names: Any, n_features: int
) -> tuple[int, ...] | None:
    """Return for each feature the position of the first of its group, or its own.

    Parameters
    ----------
    groups : list of lists or None
        Of names or positions.
    names : ndarray of shape (n_features,) or None
    n_features : int

    Raises
    ------
    ValueError
        If a column is none of X, or in two groups.
    """
    if groups is None:
        return None
    places = {name: i for i, name in enumerate([] if names is None else names)}
    numbers = [-1] * n_features
    for group in groups:
        first = -1
        for column in group:
            i = column if isinstance(column, Integral) else places.get(column, -1)
            if not 0 <= int(i) < n_features or numbers[int(i)] >= 0:
                raise ValueError(
                    f"expected each of the {n_features} features in one group at most, "
                    f"by name or position, got {shortened(column)} in feature_groups="
                    f"{shortened(groups)}."
                    " Pass lists of columns of X."
                )
            first = int(i) if first < 0 else first
            numbers[int(i)] = first
    return tuple(i if number < 0 else number for i, number in enumerate(numbers))


def _takes(function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether a function has a signature for such arguments, as far as can be read."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # of a builtin without one
        return True
    return True


# Draws of the noise for each validation sample: what is drawn is a part of the error of
# the comparison, the smaller the more often. Five take a fifth of an epoch's time; of
# many samples one draw tells as much.
MOST_DRAWS, ENOUGH_SAMPLES = 5, 5000

# Fraction of a layer's units that are masked where the columns have no level.
HIDDEN_UNITS = 0.15

NOISES = ("swap", "gaussian", "masking", "salt_and_pepper")


@dataclass(frozen=True)
class Denoise(Objective):
    """Corrupt the input, score against the clean rows.

    Parameters
    ----------
    noise : {"swap", "gaussian", "masking", "salt_and_pepper"} or callable
        A callable takes a batch (n, n_features) in the caller's units and a
        `torch.Generator`, and returns the corrupted batch.
    level : float or None
        Fraction of cells, or standard deviations for "gaussian". None hides 1 to all
        cells of a sample, every number equally likely; for "masking" only.
    groups : tuple of int or None
        For each feature the position of the first of its group: cells of a group
        are corrupted together.
    schedule : None, float, "cosine" or callable
        Of the level, by the epoch; see `schedule_factor`.

    References
    ----------
    Vincent et al. (2008), Extracting and composing robust features with denoising
    autoencoders, ICML.
    """

    noise: str | UserNoise
    level: Annotated[float | None, Range(0)]
    groups: tuple[int, ...] | None = None
    schedule: Schedule = None

    @property
    def is_denoising(self) -> bool:
        """Whether anything is corrupted."""
        return callable(self.noise) or self.level is None or self.level > 0

    def at_epoch(self, epoch: int, max_epochs: int) -> Objective:
        """Return the objective with the noise level of an epoch."""
        if self.schedule is None or self.level is None:
            return self
        factor = schedule_factor(
            self.schedule, epoch, max_epochs, name="noise_schedule"
        )
        return replace(self, level=self.level * factor)

    def of_hidden_units(self) -> Objective:
        """Return the objective without groups, which are of the table's columns.

        Nor are all units hidden, as all cells of a sample may be.
        """
        level = HIDDEN_UNITS if self.level is None else self.level
        return replace(self, groups=None, level=level)

    def corrupt(
        self, x: Tensor, columns: InputColumns, generator: torch.Generator
    ) -> Tensor:
        """Return corrupted inputs for centered rows; see `Objective.corrupt`."""
        return columns.encode(self.noisy(x, columns, generator))

    def validation_inputs(
        self, x: Tensor, columns: InputColumns, generator: torch.Generator
    ) -> Tensor:
        """Return corrupted inputs for validation samples too."""
        return self.corrupt(x, columns, generator)

    def n_validation_draws(self, n_samples: int) -> int:
        """Return a number of draws that makes up for few samples."""
        if not self.is_denoising:
            return 1
        return min(MOST_DRAWS, max(1, ENOUGH_SAMPLES // n_samples))

    @property
    def is_own_noise(self) -> bool:
        """Whether the noise is a function of the caller's own."""
        return callable(self.noise)

    def noisy(
        self, x: Tensor, columns: InputColumns, generator: torch.Generator
    ) -> Tensor:
        """Return corrupted rows; see `Objective.noisy`."""
        if callable(self.noise):
            return self._users_noise(x, columns.mean, generator)
        groups = self._groups_on(x, columns)
        if self.level is None:
            return columns.mask(
                x, ~hide_by_number(len(x), x.shape[1], generator, groups)
            )
        if self.level == 0:
            return x
        if self.noise == "swap":
            return swap(x, self.level, generator, groups)
        if self.noise == "masking":
            return columns.mask(x, masking(x, self.level, generator, groups))
        if self.noise == "gaussian":
            return gaussian(x, self.level, generator, columns.std())
        value_range = columns.value_range()
        return salt_and_pepper(x, self.level, generator, *value_range, groups)

    def donors(
        self, x: Tensor, columns: InputColumns, generator: torch.Generator
    ) -> Tensor | None:
        """Return the row that each cell comes from; see `Objective.donors`."""
        if self.noise != "swap" or not self.level:
            return None
        return swap_donors(x, self.level, generator, self._groups_on(x, columns))

    def _groups_on(self, x: Tensor, columns: Any) -> Tensor | None:
        """Return the groups of the columns of x on its device, copied there once."""
        if self.groups is None:
            return None
        place = x.device, x.shape[1]
        if place not in self._copies:
            groups = np.array(self.groups)
            if x.shape[1] < len(groups):  # a masked network has no constant columns
                _, first, own = np.unique(
                    groups[columns.index], return_index=True, return_inverse=True
                )
                groups = first[own]
            self._copies[place] = torch.from_numpy(groups).to(x.device)
        return self._copies[place]

    @cached_property
    def _copies(self) -> dict[tuple[torch.device, int], Tensor]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_copies"}

    def _users_noise(
        self, x: Tensor, mean: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Call the user's noise on rows in the caller's units, and check its answer."""
        assert callable(self.noise)
        arguments = (x + mean, generator)
        try:
            noisy = self.noise(*arguments)
        except TypeError as error:
            if _takes(self.noise, arguments):
                raise  # of the user's own code
            raise TypeError(
                "expected a noise that takes (batch, generator), a tensor (n, "
                "n_features) and a torch.Generator, got noise="
                f"{shortened(self.noise)}, because: {first_line(error)}. Pass a "
                "function of both."
            ) from error
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
