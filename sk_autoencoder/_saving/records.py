"""What a fit gave, as records of arrays: what pickle and a file keep of it."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from sk_autoencoder._fitting.imputation import Imputation
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._utils.values import Range


@dataclass(frozen=True)
class NetState:
    """The state of a net between two of its runs.

    Attributes
    ----------
    module : dict of str to ndarray
        Of the module, with the averaged weights.
    raw_weights : list of ndarray
        Weights that the optimizer moves.
    steps : int
        That the average has seen.
    optimizer : dict
        As its `state_dict` gives it, with arrays for tensors.
    order, noise : ndarray of uint8
        States of the generators of the batches and of the noise.
    device : str
        Kind of the device that the net was on.
    history : list of dict
        One for each of the last epochs.
    best_epoch, n_dropped : int
        The best epoch; how many come before the history.
    """

    module: dict[str, Any]
    raw_weights: list[Any]
    steps: Annotated[int, Range(0)]
    optimizer: dict[str, Any]
    order: Any
    noise: Any
    device: str
    history: list[dict[str, Any]]
    best_epoch: Annotated[int, Range(0)]
    n_dropped: Annotated[int, Range(0)]


@dataclass(frozen=True)
class ModelState:
    """The state of a `FittedModel`, with the same attributes."""

    plan: Plan
    moments: LatentMoments
    net: NetState
    prefix_net: NetState | None
    prefix_errors: Annotated[np.ndarray | None, Range(shape="k")]
    kl: Annotated[np.ndarray | None, Range(shape="k")]
    prior: MixturePrior | None
    imputation: Imputation | None
    pretrained: tuple[dict[str, Any], ...]

    @property
    def nets(self) -> dict[str, NetState]:
        """The nets that there are, by name."""
        found = {"net": self.net, "prefix_net": self.prefix_net}
        return {name: net for name, net in found.items() if net is not None}
