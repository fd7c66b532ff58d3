"""Seeds and generators: every draw comes from a generator of our own.

Neither numpy's nor torch's global generator is touched, but for the one draw
that `random_state=None` takes from numpy's, as everywhere in scikit-learn.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

__all__ = ["Seeds", "make_generator", "seeds_from"]


@dataclass(frozen=True)
class Seeds:
    """Independent seeds for everything that a fit draws.

    Attributes
    ----------
    weights, split, order, noise, validation, score : int
        Initial weights; which rows are held out; the order of the batches; the
        noise of training; that of validation; that of `score_samples`.
    """

    weights: int
    split: int
    order: int
    noise: int
    validation: int
    score: int


def seeds_from(random_state: Any) -> Seeds:
    """Draw the seeds of one fit from scikit-learn's `random_state`.

    Parameters
    ----------
    random_state : None, int or RandomState instance
        As everywhere in scikit-learn.

    Returns
    -------
    seeds : Seeds
        The same for the same int.
    """
    root = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(6)
    return Seeds(*(int(word) for word in words))


def make_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator on a device, seeded."""
    generator = torch.Generator(device=device)
    generator.manual_seed(seed)
    return generator
