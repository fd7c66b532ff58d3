"""Which cells are hidden from a network that predicts them from the others."""

import torch
from torch import Tensor


def hide_by_number(n: int, n_columns: int, generator: torch.Generator) -> Tensor:
    """Hide 1 to all cells of each row, every number equally likely.

    So rows of which nothing is seen are among them: where a sample begins. Each order
    of filling a row's cells is then trained on alike, one step of it at a time.

    **Shape**: bool (n, n_columns), True where a cell is hidden.

    References
    ----------
    Uria et al. (2014), A deep and tractable density estimator, ICML.
    """
    device = generator.device
    shape = (n, n_columns)
    n_seen = torch.randint(n_columns, (n, 1), generator=generator, device=device)
    order = torch.rand(shape, generator=generator, device=device).argsort(dim=1)
    return order >= n_seen


def hide_by_fraction(
    n: int, n_columns: int, generator: torch.Generator, most: float
) -> Tensor:
    """Hide each cell with a probability that is drawn for the row, from 0 to `most`.

    **Shape**: bool (n, n_columns), True where a cell is hidden.
    """
    device = generator.device
    level = torch.rand((n, 1), generator=generator, device=device) * most
    return torch.rand((n, n_columns), generator=generator, device=device) < level
