"""Seeds and generators: every draw comes from a generator of our own.

Neither numpy's nor torch's global generator is touched, but for the one draw
that `random_state=None` takes from numpy's, as everywhere in scikit-learn.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from sk_autoencoder._utils.values import Range

# Words of a Mersenne Twister's state, in torch and in numpy.
N_WORDS = 624


@dataclass(frozen=True)
class Seeds:
    """Independent seeds for everything that a fit draws.

    Attributes
    ----------
    weights, split, order, noise, validation, score : int
        Initial weights; which rows are held out; the order of the batches; the
        noise of training; that of validation; that of `score_samples`.
    """

    weights: Annotated[int, Range(0, 2**32 - 1)]
    split: Annotated[int, Range(0, 2**32 - 1)]
    order: Annotated[int, Range(0, 2**32 - 1)]
    noise: Annotated[int, Range(0, 2**32 - 1)]
    validation: Annotated[int, Range(0, 2**32 - 1)]
    score: Annotated[int, Range(0, 2**32 - 1)]


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


class SharedGenerator(torch.Generator):
    """A generator that several processes have, to draw the noise of one batch.

    Each draws all of it and takes that of its own rows, so that the batch has the noise
    that it would have in one process.

    Attributes
    ----------
    rows : slice or None
        Of the batch, that this process has; None outside of a batch.
    n_rows : int
        Of the batch.
    """

    rows: slice | None = None
    n_rows: int = 0


def shared_generator(generator: torch.Generator) -> SharedGenerator:
    """Return a generator as one that is shared: itself, or one in the same state."""
    if isinstance(generator, SharedGenerator):
        return generator
    shared = SharedGenerator(device=generator.device)
    shared.set_state(generator.get_state())
    return shared


def own_rows(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows of a batch that this process has: all, but for a shared one."""
    rows = getattr(generator, "rows", None)
    return x if rows is None else x[rows]


def noise_like(
    x: Tensor, generator: torch.Generator | None, fill: str, *args: float
) -> Tensor:
    """Return noise for the rows that this process has.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Of the rows that this process has.
    generator : torch.Generator or None
        None is torch's own.
    fill : str
        Name of the method of tensors that draws, such as "normal_".
    *args : float
        Of the method.
    """
    if getattr(generator, "rows", None) is None:
        return getattr(torch.empty_like(x), fill)(*args, generator=generator)
    assert isinstance(generator, SharedGenerator)
    whole = x.new_empty((generator.n_rows, *x.shape[1:]))
    return own_rows(getattr(whole, fill)(*args, generator=generator), generator)


def make_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator on a device, seeded."""
    generator = torch.Generator(device=device)
    generator.manual_seed(seed)
    return generator


def check_generator_state(state: Any) -> None:
    """Refuse what is no state of a torch generator on the CPU.

    `set_state` does not look whether the next word lies inside the state: it would be
    read from whatever is behind it in memory.

    Parameters
    ----------
    state : ndarray of uint8 of shape (5056,)
        As `get_state` gives it: seed, words left before the next round, whether it is
        seeded, the next word, the words, and normal numbers in store.
    """
    expected = torch.Generator().get_state().numpy()
    good = isinstance(state, np.ndarray) and state.dtype == expected.dtype
    if not good or state.shape != expected.shape:
        raise ValueError("a generator whose state is none")
    left, seeded = (int(word) for word in state[8:16].view(np.int32))
    following = int(state[16:24].view(np.uint64)[0])
    # Counted down and up by one: together they are one more than the words, but before
    # the first draw.
    fits = following <= N_WORDS and left + following in (1, N_WORDS + 1)
    words = 24 + 8 * N_WORDS
    in_store = state[words:].copy()
    numbers = np.concatenate(
        [in_store[:24].view(np.float64), in_store[-8:-4].view("f4")]
    )
    flags = (int(in_store[24:28].view(np.int32)[0]), int(in_store[-4]))
    if not (
        fits
        and 1 <= left <= N_WORDS
        and seeded == 1
        and np.isfinite(numbers).all()
        and set(flags) <= {0, 1}
    ):
        raise ValueError("a generator whose state is out of range")


def check_numpy_state(state: Any) -> None:
    """Refuse what is no state of numpy's `RandomState`, for the same reason.

    Parameters
    ----------
    state : dict
        As `get_state(legacy=False)` gives it.
    """
    expected = np.random.RandomState(0).get_state(legacy=False)
    good = isinstance(state, dict) and state.keys() == expected.keys()
    inner: Any = state["state"] if good else None
    good = isinstance(inner, dict) and inner.keys() == {"key", "pos"}
    if not good or state["bit_generator"] != "MT19937":
        raise ValueError("a RandomState whose state is none")
    key, position = inner["key"], inner["pos"]
    if not (
        isinstance(key, np.ndarray)
        and key.dtype == np.uint32
        and key.shape == (N_WORDS,)
        and type(position) is int
        and 0 <= position <= N_WORDS
        and state["has_gauss"] in (0, 1)
        and isinstance(state["gauss"], float)
        and np.isfinite(state["gauss"])
    ):
        raise ValueError("a RandomState whose state is out of range")
