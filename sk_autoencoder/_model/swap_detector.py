"""The forward pass of a denoiser that also tells which cells were swapped."""

from typing import Any

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
        """
        return self.validation_output(x) if self.training else super().forward(x)

    def validation_output(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows through, swapped in any mode."""
        rows = self.objective.noisy(x, self.columns, self.generator)
        changed = (rows != x) & ~(rows.isnan() & x.isnan())
        rows, changed = (own_rows(part, self.generator) for part in (rows, changed))
        return *self._output(self.columns.encode(rows)), changed.to(x)

    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Return both terms of the loss, each a mean over the rows."""
        terms = super().loss_terms(output[:2], x)
        return {**terms, "swaps": self._detection(output).mean()}

    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each centered row, (n,), by what `forward` gives for it."""
        return super().per_sample_loss(output[:2], x) + self._detection(output)

    def _detection(self, output: tuple[Tensor, ...]) -> Tensor:
        """Score what the head makes of each row, (n,)."""
        _, encoder_output, changed = output
        last = encoder_output[:, -self.detector.in_features :]
        losses = F.binary_cross_entropy_with_logits(
            self.detector(last), changed, reduction="none"
        )
        return WEIGHT * losses.mean(dim=1)
