"""What the parameters of networks may be."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, SupportsIndex

from torch import nn

from sk_autoencoder._utils.activations import ACTIVATIONS
from sk_autoencoder._utils.sklearn_compat import Interval, StrOptions

AUTO = StrOptions({"auto"})
COUNT = Interval(Integral, 1, None, closed="left")
# Of dense layers. An estimator has these parameters too.
LAYER_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", AUTO],
    "activation": [StrOptions(set(ACTIVATIONS)), nn.Module],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": ["boolean"],
}


def check_sizes(name: str, sizes: object, example: tuple[int, ...]) -> tuple[int, ...]:
    """Return whole numbers of at least one as a tuple; refuse anything else."""
    if isinstance(sizes, Iterable) and not isinstance(sizes, str):
        given = tuple(sizes)
        if all(_is_count(size) for size in given):
            return tuple(int(size) for size in given)
    raise ValueError(
        f"expected a tuple of ints >= 1, got {name}={sizes!r}. Pass e.g. "
        f"{name}={example}."
    )


def _is_count(size: object) -> bool:
    """Whether this is a whole number of at least one; numpy's ints count too."""
    return (
        isinstance(size, SupportsIndex)
        and not isinstance(size, bool)
        and size.__index__() >= 1
    )
