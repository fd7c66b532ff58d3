"""One epoch of the net: an inline loop over batches in memory."""

from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.batches import Batches
from sk_autoencoder._training.config import GradientFn, TrainingConfig
from sk_autoencoder._training.selection import (
    EMA,
    FlatParameters,
    PCAFallback,
    RunningMeans,
    detached,
)
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.precision import products_in
from sk_autoencoder._utils.random import Seeds, make_generator

__all__ = ["EpochLoop"]

# How torch begins its refusal to normalize a batch of one sample.
ONE_VALUE = "Expected more than 1 value per channel"


class EpochLoop(NeuralNet):
    """skorch's net with an epoch of its own.

    Where a callback looks at single batches or gradients, the epoch runs on
    skorch's own loop instead. Both take the same steps; the own one leaves out
    what nobody would see.

    Attributes
    ----------
    gradient_fn_ : callable or None
        Computes loss and gradient of a batch in the place of plain autograd.
    is_stepping_ : bool
        Whether the optimizer is at work: its state is then half of a step's.
    """

    seeds: Seeds
    config: TrainingConfig
    flat_: FlatParameters | None
    average_: EMA
    noise_: torch.Generator
    gradient_fn_: GradientFn | None = None
    interrupts_: Interrupts
    is_stepping_: bool = False
    pca_weight: float
    guard_: PCAFallback | None = None

    @property
    def raw_optimizer_(self) -> FlatAdam | torch.optim.Optimizer:
        """What moves the weights."""
        return self.__dict__["optimizer_"]

    @property
    def optimizer_(self) -> torch.optim.Optimizer:
        """torch's optimizer, or a view of what moves the weights in its place.

        Reading it changes nothing. What is written to its settings or state counts.
        """
        stepper = self.raw_optimizer_
        return stepper.as_torch() if isinstance(stepper, FlatAdam) else stepper

    @optimizer_.setter
    def optimizer_(self, optimizer: FlatAdam | torch.optim.Optimizer) -> None:
        # Under skorch's own name: that is what it registers, pickles and moves.
        self.__dict__["optimizer_"] = optimizer
        # It does so by itself for torch's classes only.
        if isinstance(optimizer, FlatAdam) and "optimizer" not in self._optimizers:
            self._register_attribute("optimizer_", optimizer)

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Run one epoch; on skorch's loop where a callback looks at batches."""
        if iterator is None:
            return
        try:
            self._run_batches(iterator, training, prefix, step_fn)
        except ValueError as error:
            if not str(error).startswith(ONE_VALUE):
                raise
            raise ValueError(
                "expected batches of at least 2 samples for a network with batch "
                f"normalization, got batch_size={self.batch_size}, because the mean of "
                "one is the sample itself. Pass a larger batch_size, or a network "
                "without it, as with batch_norm=False."
            ) from None

    def _run_batches(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any
    ) -> None:
        """Run the batches of an epoch."""
        if training and self.flat_ is not None:
            self.flat_.attach()  # callbacks may have dropped the gradient
        if self._hooks_batches:
            if not training:
                self.module_.use_generator(self._validation_noise())
            super().run_single_epoch(iterator, training, prefix, step_fn)
            self.module_.use_generator(self.noise_)
            if not training and self._is_shared():
                loss = self._joined_loss(self._row_losses(iterator))
                for batch in self.history[-1]["batches"]:
                    if "valid_loss" in batch:
                        batch["valid_loss"] = loss
            return
        loss, terms, n_rows = (self._train if training else self._validate)(iterator)
        self.history.new_batch()
        self.history.record_batch(f"{prefix}_loss", loss)
        self.history.record_batch(f"{prefix}_batch_size", n_rows)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        for name, value in terms.items():
            self.history.record(f"{prefix}_{name}", value)

    def _set_training(self, training: bool = True) -> None:
        """Switch the module over, where it is not so already."""
        if self.module_.training is not training:
            super()._set_training(training)

    def _train(self, batches: Batches) -> tuple[float, dict[str, float], int]:
        """Take one step a batch; give the mean loss, its terms and the rows."""
        self._set_training(True)
        step, stepper, average = self.gradient_fn_, self.raw_optimizer_, self.average_
        if step is None:
            step = self._step_by_autograd
        totals = RunningMeans()
        for x, target in batches:
            loss, terms = step(x, target)
            self._clip()
            self.interrupts_.has_stepped = self.is_stepping_ = True
            stepper.step()
            self.is_stepping_ = False
            average.update()
            totals.add(loss, terms, x.shape[0])
            for bar in self._bars:
                bar.pbar_.update()
        return totals.means()

    def _step_by_autograd(
        self, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Write the gradient of a batch; see `GradientFn`."""
        module = self.module_
        with products_in(self.config.precision, self.device):
            terms = module.loss_terms(module(x), target)
        loss = module.objective.combine(terms)
        self._zero_grad_optimizer()
        loss.backward()
        return loss.detach(), detached(terms)

    def _validate(self, batches: Batches) -> tuple[float, dict[str, float], int]:
        """Score rows without noise; the code's own draws are the same every time."""
        self._set_training(False)
        self.module_.use_generator(self._validation_noise())
        module, totals, rows = self.module_, RunningMeans(), []
        with torch.no_grad():
            for x, target in batches:
                output = module(x)
                terms = module.loss_terms(output, target)
                totals.add(module.objective.combine(terms), detached(terms), x.shape[0])
                if self._is_shared():
                    rows.append(module.per_sample_loss(output, target))
        module.use_generator(self.noise_)
        loss, means, n_rows = totals.means()
        return self._joined_loss(torch.cat(rows)) if rows else loss, means, n_rows

    def _is_shared(self) -> bool:
        """Whether what is kept is a density with a share of that before."""
        return bool(self.pca_weight and self.guard_ is not None)

    def _joined_loss(self, losses: Tensor) -> float:
        """Score the held-out rows, by both together, from the losses of each."""
        assert self.guard_ is not None
        return self.guard_.joined(losses).mean().item()

    def _row_losses(self, batches: Batches) -> Tensor:
        """Score each row, (n,), with the draws of validation."""
        module = self.module_
        module.use_generator(self._validation_noise())
        with torch.no_grad():
            losses = [
                module.per_sample_loss(module(x), target) for x, target in batches
            ]
        module.use_generator(self.noise_)
        return torch.cat(losses)

    def _validation_noise(self) -> torch.Generator:
        return make_generator(self.seeds.validation, self.device)

    def _clip(self) -> None:
        if self.config.gradient_clip is None:
            return
        if self.flat_:
            self.flat_.clip(self.config.gradient_clip)
        else:
            nn.utils.clip_grad_norm_(
                self.module_.parameters(), self.config.gradient_clip
            )

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        """Clear the gradients; those in a vector stay where they are."""
        if self.flat_:
            self.flat_.gradient.zero_()
            return
        for group in self.raw_optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    # -- the same steps on skorch's loop -----------------------------------------

    def get_loss(
        self, y_pred: Any, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Score a batch by the module's own terms."""
        terms = self.module_.loss_terms(y_pred, y_true)
        return self.module_.objective.combine(terms)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute a batch's loss and its clipped gradient."""
        with products_in(self.config.precision, self.device):
            step = super().train_step_single(batch, **fit_params)
        self._clip()
        return step

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimiser and of the average."""
        self.interrupts_.has_stepped = self.is_stepping_ = True
        step = super().train_step(batch, **fit_params)
        self.is_stepping_ = False
        self.average_.update()
        return step
