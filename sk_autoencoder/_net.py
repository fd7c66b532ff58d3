"""The skorch net: epochs over rows in memory."""

import math
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, ParamMapper
from skorch.callbacks import ProgressBar as BatchBar
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from sk_autoencoder._net_batches import Batches, Rows, split_rows
from sk_autoencoder._net_callbacks import hooks_batches
from sk_autoencoder._net_training import (
    BestState,
    FlatWeights,
    Guard,
    Patience,
    Schedule,
    Totals,
    WeightAverage,
    lr_factor,
)
from sk_autoencoder._random import Seeds, make_generator

__all__ = ["AutoEncoderNet"]

VALIDATION_BATCH = 1024
DEFAULT_PATIENCE = Patience()


class AutoEncoderNet(NeuralNet):
    """skorch's net with an epoch of its own: one inline loop over rows in memory.

    Where a callback looks at single batches or gradients, the epoch runs on
    skorch's own loop instead. Both take the same steps; the own one leaves out
    what nobody would see.

    Parameters
    ----------
    module : AutoEncoderModule or PrefixModule
    seeds : Seeds
        Of the order of the batches, the noise and the validation rows.
    gradient_clip : float or None, default=1.0
        Norm to which the gradient of a step is clipped.
    weight_average : float or None, default=0.99
        Decay of the moving average of the weights: what is validated and kept.
        None keeps the weights themselves.
    validation_fraction : float, default=0.1
        Share of the rows held out to choose the epoch that is kept; 0 keeps the
        last.
    patience : Patience
        When to stop for want of a gain.
    flatten : bool, default=False
        Whether the optimiser treats every weight alike, so that it may be given all
        of them as one vector.
    tol : float, default=0.0
        Loss on held-out rows that counts as a gain.
    lr_schedule : None, float, "cosine" or callable
        See `lr_factor`.
    guard : float or None, default=None
        Standard errors by which the first run has to better the state before it on
        the held-out rows; else that state is kept. None guards nothing.
    **kwargs
        Of `skorch.NeuralNet`.

    Attributes
    ----------
    best_epoch_ : int
        Whose weights were kept, counted over all runs; 0 is before the first.
    diverged_, interrupted_ : bool
        How the last run ended.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        seeds: Seeds,
        gradient_clip: float | None = 1.0,
        weight_average: float | None = 0.99,
        validation_fraction: float = 0.1,
        patience: Patience = DEFAULT_PATIENCE,
        flatten: bool = False,
        tol: float = 0.0,
        lr_schedule: Schedule = None,
        guard: float | None = None,
        **kwargs: Any,
    ) -> None:
        # The module scores itself, in `get_loss`, and splitting is ours.
        super().__init__(module, nn.Identity, train_split=None, **kwargs)
        self.seeds = seeds
        self.gradient_clip = gradient_clip
        self.weight_average = weight_average
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.flatten = flatten
        self.tol = tol
        self.lr_schedule = lr_schedule
        self.guard = guard

    # -- what skorch calls to set up ------------------------------------------

    def initialize(self) -> "AutoEncoderNet":
        """Set up module, optimiser, callbacks and history, and what is our own."""
        self.flat_: FlatWeights | None = None
        super().initialize()
        self.average_ = WeightAverage(self.module_, self.weight_average, self.flat_)
        self.order_ = make_generator(self.seeds.order)
        self.noise_ = make_generator(self.seeds.noise, self.device)
        self.module_.use_generator(self.noise_)
        self.best_epoch_ = 0
        self.diverged_ = self.interrupted_ = False
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> "AutoEncoderNet":
        """Give the optimiser the weights, as one vector where that can be."""
        freezes = any(isinstance(cb, ParamMapper) for _, cb in self.callbacks_)
        if self.flatten and not freezes and FlatWeights.fits(self.module_):
            self.flat_ = self.flat_ or FlatWeights(self.module_)
        weights = (
            [("weights", self.flat_.vector)]
            if self.flat_
            else self.get_all_learnable_params()
        )
        args, kwargs = self.get_params_for_optimizer("optimizer", weights)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        return self

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Leave out the table that would be made at every epoch and not printed."""
        callbacks = super().get_default_callbacks()
        return [(n, cb) for n, cb in callbacks if self.verbose or n != "print_log"]

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Hold rows in memory; rows that are held already are taken as they are."""
        if isinstance(X, Dataset):
            return X
        mean = self.module_.columns.mean.double().cpu().numpy()
        return Rows(np.asarray(X), mean=mean, device=self.device)

    def get_split_datasets(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Hold out validation rows, the same at every call for the same rows."""
        if self.train_split is not None:
            return super().get_split_datasets(X, y, **fit_params)
        rows = self.get_dataset(X, y)
        train, valid = split_rows(len(rows), self.validation_fraction, self.seeds.split)
        if valid is None:
            return rows, None
        # An array is as good as the sequence of ints that torch's type asks for.
        return Subset(rows, train), Subset(rows, valid)  # type: ignore[arg-type]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Cut our rows into batches in memory; other data sets go skorch's way."""
        rows, indices = dataset, None
        if isinstance(dataset, Subset):
            rows, indices = dataset.dataset, np.asarray(dataset.indices)
        if not isinstance(rows, Rows):
            return super().get_iterator(dataset, training=training)
        if indices is None:
            indices = np.arange(len(rows), dtype=np.int32)
        if training:
            return Batches(rows, indices, self.batch_size, self.order_)
        return Batches(rows, indices, max(self.batch_size, VALIDATION_BATCH))

    # -- a run -------------------------------------------------------------------

    def fit_loop(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        hold_out: bool = True,
        **fit_params: Any,
    ) -> "AutoEncoderNet":
        """Train for some epochs, and leave the best state in the module."""
        train, valid = (
            self.get_split_datasets(X, y) if hold_out else (self.get_dataset(X), None)
        )
        batches = self.get_iterator(train, training=True)
        held_out = None if valid is None else self.get_iterator(valid)
        epochs = self.max_epochs if epochs is None else epochs
        self._begin_run(held_out, epochs)
        on_epoch = {"dataset_train": train, "dataset_valid": valid}
        try:
            for epoch in range(1, epochs + 1):
                if self._run_epoch(epoch, batches, held_out, on_epoch):
                    break
        except KeyboardInterrupt:
            self.interrupted_ = not self._stopped_by_callback()
        except BaseException:
            self.interrupted_ = True
            self._end_run(train)
            raise
        self._end_run(train)
        return self

    def _begin_run(self, held_out: Any, epochs: int) -> None:
        self.diverged_ = self.interrupted_ = False
        self._first_epoch = len(self.history)
        self._run_epochs = epochs
        self._hooks_batches = isinstance(self.optimizer_, torch.optim.LBFGS) or any(
            hooks_batches(callback) for _, callback in self.callbacks_
        )
        self._bars = [cb for _, cb in self.callbacks_ if isinstance(cb, BatchBar)]
        self.best_ = BestState(keep_last=held_out is None, tol=self.tol)
        # The state before the first step is a candidate: no run makes a model worse
        # on held-out rows than it was.
        score = math.inf
        self.guard_: Guard | None = None
        if held_out is not None:
            score, _, _ = self._validate(held_out)
            if self.guard is not None and self._first_epoch == 0:
                self.guard_ = Guard(
                    self.module_, lambda: self._row_losses(held_out), self.guard
                )
        self.best_.start(self.module_, score)
        self.average_.unapply()

    def _run_epoch(
        self, epoch: int, batches: Any, held_out: Any, on_epoch: dict[str, Any]
    ) -> bool:
        """Train and validate once; tell whether to stop."""
        if self.lr_schedule is not None:
            done = self._first_epoch + epoch - 1
            total = self._first_epoch + self._run_epochs
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr * lr_factor(self.lr_schedule, done, total)
        self.notify("on_epoch_begin", **on_epoch)
        self.run_single_epoch(batches, True, "train", self.train_step)
        # From here to the end of the epoch everybody sees the averaged weights:
        # what validation scores and callbacks save is what the run will give.
        with self.average_.applied():
            self.run_single_epoch(held_out, False, "valid", self.validation_step)
            self.notify("on_epoch_end", **on_epoch)
            row = self.history[-1]
            score = row["valid_loss"] if held_out is not None else row["train_loss"]
            self.diverged_ = not math.isfinite(row["train_loss"] + score)
            if not self.diverged_:
                self.best_.offer(self.module_, score, epoch)
        return self.diverged_ or (
            held_out is not None
            and self.patience.is_over(
                epoch=epoch, best_epoch=self.best_.epoch, steps_an_epoch=len(batches)
            )
        )

    def _end_run(self, train: Dataset) -> None:
        """Leave the best state in the module, and keep what a further run needs."""
        if self.history and "train_loss" not in self.history[-1]:
            del self.history[-1]  # an epoch that was interrupted
        last = len(self.history) - self._first_epoch
        if self.best_.epoch == last and not self.interrupted_:
            self.average_.apply()
        else:
            self.average_.restart_from(self.best_.state, self.module_)
        self._set_training(False)
        if self.guard_ and self.best_.epoch > 0 and not self.guard_.lets_pass():
            self.average_.restart_from(self.guard_.state, self.module_)
            self.optimizer_.state.clear()  # moments on the way to another state
            self.best_.epoch = 0
        self.guard_ = None
        if self.diverged_:
            self.optimizer_.state.clear()  # moments of infinite gradients
        if self.best_.epoch > 0:
            self.best_epoch_ = self._first_epoch + self.best_.epoch
        self.best_.state = {}  # as large as the module
        self._calibrate(train)

    def _calibrate(self, train: Dataset) -> None:
        """Let the columns set what depends on the trained network."""
        self.module_.use_generator(self._validation_noise())
        with torch.no_grad():
            self.module_.columns.calibrate(
                (self.module_(x)[0], x)
                for x, _ in self.get_iterator(train, training=False)
            )
        self.module_.use_generator(self.noise_)

    def _stopped_by_callback(self) -> bool:
        """Tell skorch's way of stopping early from a user's interrupt."""
        return any(
            isinstance(cb, EarlyStopping) and cb.misses_ >= cb.patience
            for _, cb in self.callbacks_
        )

    # -- an epoch ----------------------------------------------------------------

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
        if self._hooks_batches:
            if not training:
                self.module_.use_generator(self._validation_noise())
            super().run_single_epoch(iterator, training, prefix, step_fn)
            self.module_.use_generator(self.noise_)
            return
        loss, terms, n_rows = (self._train if training else self._validate)(iterator)
        self.history.new_batch()
        self.history.record_batch(f"{prefix}_loss", loss)
        self.history.record_batch(f"{prefix}_batch_size", n_rows)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        if len(terms) > 1:
            for name, value in terms.items():
                self.history.record(f"{prefix}_{name}", value)

    def _train(self, batches: Batches) -> tuple[float, dict[str, float], int]:
        """Take one step a batch; give the mean loss, its terms and the rows."""
        self._set_training(True)
        module, optimizer, average = self.module_, self.optimizer_, self.average_
        totals = Totals(self.device)
        for x, target in batches:
            terms = module.terms(module(x), target)
            loss = module.objective.total(terms)
            self._zero_grad_optimizer()
            loss.backward()
            self._clip()
            optimizer.step()
            average.update()
            totals.add(loss, terms, len(x))
            for bar in self._bars:
                bar.pbar_.update()
        return totals.means()

    def _validate(self, batches: Batches) -> tuple[float, dict[str, float], int]:
        """Score rows without noise; the code's own draws are the same every time."""
        self._set_training(False)
        self.module_.use_generator(self._validation_noise())
        totals = Totals(self.device)
        with torch.no_grad():
            for x, target in batches:
                terms = self.module_.terms(self.module_(x), target)
                totals.add(self.module_.objective.total(terms), terms, len(x))
        self.module_.use_generator(self.noise_)
        return totals.means()

    def _row_losses(self, batches: Batches) -> Tensor:
        """Score each row, (n,), with the draws of validation."""
        self.module_.use_generator(self._validation_noise())
        with torch.no_grad():
            losses = torch.cat([self.module_.row_loss(x) for x, _ in batches])
        self.module_.use_generator(self.noise_)
        return losses

    def _validation_noise(self) -> torch.Generator:
        return make_generator(self.seeds.validation, self.device)

    def _clip(self) -> None:
        if self.gradient_clip is not None:
            weights = [self.flat_.vector] if self.flat_ else self.module_.parameters()
            nn.utils.clip_grad_norm_(weights, self.gradient_clip)

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        """Clear the gradients; those in a vector stay where they are."""
        if self.flat_:
            self.flat_.gradient.zero_()
            return
        for parameter in self.module_.parameters():
            parameter.grad = None

    # -- the same steps on skorch's loop -----------------------------------------

    def get_loss(
        self, y_pred: Any, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Score a batch by the module's own terms."""
        terms = self.module_.terms(y_pred, y_true)
        return self.module_.objective.total(terms)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute a batch's loss and its clipped gradient."""
        step = super().train_step_single(batch, **fit_params)
        self._clip()
        return step

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimiser and of the average."""
        step = super().train_step(batch, **fit_params)
        self.average_.update()
        return step
