"""The forward pass of a denoiser that also tells which cells were swapped."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._utils.random import own_rows

# Weight of the cross-entropy by which swapped cells are found, beside a reconstruction
# whose loss is 1 for the mean row. Without it linear models gain less by the hidden
# features (docs/development/decisions/0029-what-hidden-features-learn.md).
WEIGHT = 4.0


class SwapDetectingModule(AutoEncoderModule):
    """A stack from whose last hidden layer a linear head tells which cells changed.

    A cell is only swapped where its value is another afterwards: what cannot be seen
    cannot be learned.

    Parameters
    ----------
    detector : torch.nn.Linear
        From the last hidden layer to a logit a feature.
    **parts : Any
        See `AutoEncoderModule`.
    """

    def __init__(self, *, detector: nn.Linear, **parts: Any) -> None:
        super().__init__(**parts)
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows through, swapped in training mode.

        Returns
        -------
        raw, encoder_output : Tensor
            See `AutoEncoderModule.forward`.
        changed : Tensor of shape (n, n_features), optional
            1 where a cell was swapped for another value; where rows are swapped.
        inputs : Tensor of shape (n, n_inputs), optional
            Those of the rows before that.
        """
        return self.validation_output(x) if self.training else super().forward(x)

    def validation_output(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows through, swapped in any mode."""
        # Cells that are swapped are encoded already, in their own rows, and the loss is
        # of these: to code numbers in several ways takes a fifth of a step each time.
        inputs = swapped = self.columns.encode(x)
        changed = torch.zeros_like(x)
        donors = self.objective.donors(x, self.columns, self.generator)
        if donors is not None:
            swapped, rows = self.columns.swapped(inputs, donors), x.gather(0, donors)
            changed = ((rows != x) & ~(rows.isnan() & x.isnan())).to(x)
        swapped, *rest = (
            own_rows(part, self.generator) for part in (swapped, changed, inputs)
        )
        return *self._output(swapped), *rest

    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Return both terms of the loss, each a mean over the rows."""
        reconstruction = self._losses(output, x).mean() / self.loss_unit
        terms = self.objective.loss_terms(output[1])
        swaps = self._detection(output).mean()
        return {"reconstruction": reconstruction, **terms, "swaps": swaps}

    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each centered row, (n,), by what `forward` gives for it."""
        terms = self.objective.per_sample_terms(output[1])
        reconstruction = self._losses(output, x) / self.loss_unit
        return reconstruction + terms + self._detection(output)

    def _losses(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score the reconstruction of each row, (n,), in the columns' unit."""
        raw, _, _, inputs = output
        return self.columns.loss_of_inputs(raw, x, inputs)

    def _detection(self, output: tuple[Tensor, ...]) -> Tensor:
        """Score what the head makes of each row, (n,)."""
        _, encoder_output, changed, _ = output
        last = encoder_output[:, -self.detector.in_features :]
        losses = F.binary_cross_entropy_with_logits(
            self.detector(last), changed, reduction="none"
        )
        return WEIGHT * losses.mean(dim=1)
