"""A network of the cells of a table, as it is trained: to predict hidden ones."""

from typing import Any

from torch import Tensor, nn

from sk_autoencoder._protocols import (
    HIDDEN,
    InputColumns,
    Objective,
    TrainableModule,
)


class MaskedModule(TrainableModule):
    """Levels go in, some of them hidden, and logits of all levels come out.

    Only hidden cells are scored: without hidden cells, as in evaluation, the loss is 0.

    **Shape**: levels (n, n_columns), as floats, to logits (n, n_levels).

    Parameters
    ----------
    columns : InputColumns
        Of levels; its `weights` are those of the columns in the loss.
    network : torch.nn.Module
        Has a `per_sample_loss` of its logits.
    objective : Objective
        Hides cells.
    """

    # Its cross-entropy is best half way through the schedule, where the network is
    # less sure; what it fills is nearest at the end
    # (docs/development/decisions/0036-cells-of-numbers.md).
    keeps_last = True

    def __init__(
        self, *, columns: InputColumns, network: nn.Module, objective: Objective
    ) -> None:
        super().__init__()
        self.columns = columns
        self.network: Any = network
        self.objective = objective

    def n_weights(self) -> int:
        """Count the numbers that a row is multiplied by in the largest product.

        Between the products are dozens of small operations. In each of them threads
        wait for each other, so that a product has to be worth it by itself.
        """
        return max(weight.numel() for weight in self.parameters())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run levels through, some of them hidden in training mode.

        Returns
        -------
        logits : Tensor of shape (n, n_levels)
        inputs : Tensor of int of shape (n, n_columns)
            The levels that the network saw.
        """
        if self.training:
            inputs = self.objective.corrupt(x, self.columns, self.generator)
        else:
            inputs = self.columns.encode(x)
        return self.network(inputs), inputs

    def validation_output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run levels through as `forward`, some of them hidden."""
        inputs = self.objective.validation_inputs(x, self.columns, self.generator)
        return self.network(inputs), inputs

    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Return the mean cross-entropy of hidden cells, in nats."""
        return {"reconstruction": self.per_sample_loss(output, x).mean()}

    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each sample by its hidden cells, (n,)."""
        logits, inputs = output
        columns: Any = self.columns
        loss: Tensor = self.network.per_sample_loss(
            logits, self.columns.encode(x), inputs == HIDDEN, columns.weights
        )
        return loss
