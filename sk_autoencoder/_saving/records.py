"""What a fit gave, as records of arrays: what pickle and a file keep of it."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from sk_autoencoder._fitting.imputation import Imputation
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._training.net_state import NetState
from sk_autoencoder._utils.values import Range


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
    alignment_error: Annotated[float | None, Range(0)]
    pca_validation_loss: float | None

    @property
    def nets(self) -> dict[str, NetState]:
        """The nets that there are, by name."""
        found = {"net": self.net, "prefix_net": self.prefix_net}
        return {name: net for name, net in found.items() if net is not None}
