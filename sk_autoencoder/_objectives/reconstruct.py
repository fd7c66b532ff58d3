"""The plain objective: reconstruct what came in."""

import math
from dataclasses import dataclass
from typing import ClassVar

from sk_autoencoder._protocols import Objective


@dataclass(frozen=True)
class Reconstruct(Objective):
    """No noise, the encoder's output is the code, one term in the loss.

    References
    ----------
    Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with
    neural networks, Science 313.
    """

    # Standard deviations of the inputs; docs/development/decisions/0005-input-noise.md.
    NOISE: ClassVar[float] = 0.2
    ROWS_A_COLUMN: ClassVar[float] = 50.0

    def encoder_input_noise(self, n_rows: int, n_inputs: int) -> float:
        """Blur what a network beside PCA sees, less where rows are many.

        Noise stands for the rows that are not there. It falls from `NOISE` with the
        root of the rows a column; at `ROWS_A_COLUMN` it is down to seven tenths.
        """
        return self.NOISE / math.sqrt(1 + n_rows / (self.ROWS_A_COLUMN * n_inputs))
