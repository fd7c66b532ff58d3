"""Which cells are hidden from a network that predicts them from the others."""

import torch
from torch import Tensor


def hide_by_number(
    n: int,
    n_columns: int,
    generator: torch.Generator,
    groups: Tensor | None = None,
) -> Tensor:
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
    last = torch.randint(n_columns, (n, 1), generator=generator, device=device)
    u = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
    if groups is not None:
        u = u[:, groups]  # of a group all are hidden, or none
    return u <= u.sort(dim=1).values.gather(1, last)
