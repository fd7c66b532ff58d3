"""The winner's six models, and what a scale below 1 makes of their numbers.

Below a scale of 1, the rows, the units of every layer and the epochs are that share
of the recipe's. The learning rates are raised by its square, so that steps times rate
stay, but to 0.3 at most, and fall by as much in all. So a small run shows that the
recipe runs, and little of what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

DECAY = 0.995  # of the learning rates, after each epoch
LARGEST_RATE = 0.3  # the package's own for SGD


@dataclass(frozen=True)
class Recipe:
    """One of the winner's models.

    Parameters
    ----------
    number : int
    what : str
        Its features, for the table.
    winner : tuple of three float
        The winner's gini: cross-validated, on the public and on the private board.
    hours : tuple of two float
        The winner's, of the autoencoder and of the supervised nets or boosting.
    lr, noise : float
        Of the autoencoder.
    epochs, net_epochs : int
        Of the autoencoder and of the supervised net; 0 for boosting on the columns.
    bottleneck : bool
        Whether the code is a bottleneck instead of the hidden layers.
    grouped : bool
        Whether noise moves the one-hots of a column together.
    """

    number: int
    what: str
    winner: tuple[float, float, float]
    hours: tuple[float, float]
    lr: float = 3e-3
    noise: float = 0.15
    epochs: int = 0
    net_epochs: int = 0
    bottleneck: bool = False
    grouped: bool = False


RECIPES = {
    recipe.number: recipe
    for recipe in (
        Recipe(1, "the columns", (0.28843, 0.28368, 0.29097), hours=(0.0, 0.13)),
        Recipe(
            2,
            "deep stack, swap .15",
            (0.29036, 0.28970, 0.29298),
            epochs=1000,
            net_epochs=150,
            hours=(5.0, 3.45),
        ),
        Recipe(
            3,
            "deep stack, swap .07",
            (0.28942, 0.28846, 0.29377),
            noise=0.07,
            epochs=1000,
            net_epochs=200,
            hours=(5.0, 4.6),
        ),
        Recipe(
            4,
            "deep stack, column groups",
            (0.29062, 0.28778, 0.29265),
            lr=2.9e-3,
            epochs=1000,
            net_epochs=76,
            hours=(5.0, 1.8),
            grouped=True,
        ),
        Recipe(
            5,
            "bottleneck, swap .10",
            (0.28904, 0.28745, 0.29373),
            lr=1e-3,
            noise=0.1,
            epochs=300,
            net_epochs=200,
            hours=(75.2, 3.2),
            bottleneck=True,
        ),
        Recipe(
            6,
            "deep stack, swap .20",
            (0.29091, 0.28856, 0.29303),
            lr=2.8e-3,
            noise=0.2,
            epochs=1000,
            net_epochs=150,
            hours=(5.0, 3.4),
        ),
    )
}
BLEND = (0.29442, 0.29136, 0.29653)


@dataclass(frozen=True)
class Setup:
    """What holds for all models of a run.

    Parameters
    ----------
    scale : float
        In (0, 1].
    seed : int
    dtype : {"float16", "float32"}
        Of the features on disk.
    units : {"auto", "none", "standard"}
        `numeric_scaling` of the autoencoders.
    """

    scale: float
    seed: int = 0
    dtype: str = "float16"
    units: str = "standard"

    def width(self, units: int) -> int:
        """Scale a layer."""
        return max(4, round(units * self.scale))

    def epochs(self, epochs: int) -> int:
        """Scale a number of epochs."""
        return max(1, round(epochs * self.scale))

    def rate(self, lr: float) -> float:
        """Raise a learning rate."""
        return min(lr / self.scale**2, LARGEST_RATE)

    def decay(self, epochs: int) -> float:
        """Return the factor on a learning rate after an epoch."""
        return DECAY ** (epochs / self.epochs(epochs))
