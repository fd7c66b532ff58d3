"""The skorch net: epochs over rows in memory."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import EarlyStopping, ParamMapper
from skorch.callbacks import ProgressBar as BatchBar
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from sk_autoencoder._protocols import Objective
from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.batches import Batches, RowDataset, split_rows
from sk_autoencoder._training.callbacks import hooks_batches
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._training.epoch import EpochLoop
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder._training.selection import (
    EMA,
    BestCheckpoint,
    FlatParameters,
    PCAFallback,
)
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.random import Seeds, make_generator
from sk_autoencoder._utils.schedules import schedule_factor
from sk_autoencoder._utils.threads import numpy_like_torch

__all__ = ["AutoEncoderNet"]

VALIDATION_BATCH = 1024
# Attributes that a run makes and takes away: buffers, functions, and the best state.
OF_A_RUN = ("gradient_fn_", "guard_", "best_", "_bars", "interrupts_")

# What an average is behind by, a 10th of the steps, costs a run of few epochs as much
# as those steps would give: a network of sigmoids .015 of the explained variance after
# 240 steps, where a 40th costs nothing (`python -m benchmarks.images.user_network`).
LEAD, LEAD_AS_GIVEN = 10, 40


class AutoEncoderNet(EpochLoop):
    """skorch's net over rows in memory, with a run and an epoch of its own.

    Parameters
    ----------
    module : AutoEncoderModule or NestedModule
    config : TrainingConfig
    seeds : Seeds
        Of the order of the batches, the noise and the validation rows.
    device : str or torch.device, default="cpu"
    predict_nonlinearity : callable or "auto", default="auto"
        What skorch's `predict` applies to the decoder's output.
    pca_weight : float, default=0.0
        Of the density before the first run in that which is kept; see `PCAFallback`.
    as_given : bool, default=False
        Whether to take as many steps, and to follow them as closely, as a loop without
        validation rows and averages would: an epoch then has as many rows as there are
        with the validation rows, some of them twice.

    Attributes
    ----------
    best_epoch_ : int
        Whose weights were kept, counted over all runs; 0 is before the first.
    diverged_, interrupted_ : bool
        How the last run ended.
    has_run_ : bool
        Whether a run has been begun.
    n_dropped_ : int
        Epochs of the past whose rows are no longer in the history.
    start_score_ : float
        Validation loss before the first step of the last run; infinite without one.
    unfinished_ : Dataset or None
        Training rows of a run that was begun and is not ended.
    """

    def __init__(
        self,
        module: nn.Module,
        config: TrainingConfig,
        *,
        seeds: Seeds,
        device: str | torch.device = "cpu",
        predict_nonlinearity: Callable[[Tensor], Tensor] | str = "auto",
        pca_weight: float = 0.0,
        as_given: bool = False,
    ) -> None:
        of_optimizer = {f"optimizer__{k}": v for k, v in config.optimizer_args.items()}
        super().__init__(
            module,
            nn.Identity,  # the module scores itself, in `get_loss`
            optimizer=config.optimizer,
            lr=config.lr,
            max_epochs=config.max_epochs,
            batch_size=config.batch_size,
            train_split=None,  # splitting is ours
            callbacks=config.callbacks,
            predict_nonlinearity=predict_nonlinearity,
            verbose=config.verbose,
            device=device,
            **of_optimizer,
            **config.extra,
        )
        self.config = config
        self.seeds = seeds
        self.pca_weight = pca_weight
        self.as_given = as_given

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a run: a callback may pickle the net in one."""
        state = super().__getstate__()
        for name in OF_A_RUN:
            state.pop(name, None)
        state["unfinished_"] = None
        if self.initialized_:
            # A copy ties those of its weights to its own module.
            state["flat_"] = self.flat_ is not None
            state["_names"] = self.average_.names_in(self.module_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        names, is_flat = state.pop("_names", None), state.get("flat_")
        super().__setstate__(state)
        if names is None:
            return
        self.flat_ = FlatParameters(self.module_, names) if is_flat else None
        self.average_.tie(self.module_, names, self.flat_)
        if self.flat_ is not None:
            self._tie_optimizer(self.flat_.vector)
        self.module_.use_generator(self.noise_)

    def _tie_optimizer(self, vector: nn.Parameter) -> None:
        """Let the optimizer of a copy move the vector of its own module's weights."""
        stepper = self.raw_optimizer_
        if isinstance(stepper, FlatAdam):
            stepper.tie(vector)
            return
        (group,) = stepper.param_groups
        (copied,) = group["params"]
        group["params"] = [vector]
        if copied in stepper.state:
            stepper.state[vector] = stepper.state.pop(copied)

    # -- what skorch calls to set up ------------------------------------------

    def initialize(self) -> "AutoEncoderNet":
        """Set up module, optimiser, callbacks and history, and what is our own."""
        self.flat_: FlatParameters | None = None
        super().initialize()
        lead = LEAD_AS_GIVEN if self.as_given else LEAD
        self.average_ = EMA(self.module_, self.config.weight_average, self.flat_, lead)
        self.order_ = make_generator(self.seeds.order)
        self.noise_ = make_generator(self.seeds.noise, self.device)
        self.module_.use_generator(self.noise_)
        self.best_epoch_ = self.n_dropped_ = 0
        self.start_score_ = math.inf
        self.diverged_ = self.interrupted_ = self.has_run_ = False
        self.unfinished_: Dataset | None = None
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> "AutoEncoderNet":
        """Return the optimiser the weights, as one vector where that can be."""
        freezes = any(isinstance(cb, ParamMapper) for _, cb in self.callbacks_)
        if self.config.flatten and not freezes and FlatParameters.fits(self.module_):
            self.flat_ = self.flat_ or FlatParameters(self.module_)
        weights = (
            [("weights", self.flat_.vector)]
            if self.flat_
            else self.get_all_learnable_params()
        )
        args, kwargs = self.get_params_for_optimizer("optimizer", weights)
        if self.flat_ and FlatAdam.fits(self.optimizer, self.flat_.vector, kwargs):
            kwargs.pop("fused", None)
            self.optimizer_ = FlatAdam(self.optimizer, self.flat_.vector, **kwargs)
        else:
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
        return RowDataset(np.asarray(X), mean=mean, device=self.device)

    def get_split_datasets(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Hold out validation rows, the same at every call for the same rows."""
        rows = self.get_dataset(X, y)
        if isinstance(rows, RowDataset) and rows.validation is not None:
            return rows, rows.validation
        train, valid = split_rows(
            len(rows), self.config.validation_fraction, self.seeds.split
        )
        if valid is None:
            return rows, None
        # An array is as good as the sequence of ints that torch's type asks for.
        return Subset(rows, train), Subset(rows, valid)  # type: ignore[arg-type]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Cut our rows into batches in memory; other data sets go skorch's way."""
        rows, indices = dataset, None
        if isinstance(dataset, Subset):
            rows, indices = dataset.dataset, np.asarray(dataset.indices)
        if not isinstance(rows, RowDataset):
            return super().get_iterator(dataset, training=training)
        if indices is None:
            indices = np.arange(len(rows), dtype=np.int32)
        if training:
            n_drawn = len(rows) if self.as_given else None
            return Batches(rows, indices, self.batch_size, self.order_, n_drawn)
        return Batches(rows, indices, max(self.batch_size, VALIDATION_BATCH))

    # -- the history ------------------------------------------------------------------

    @property
    def n_epochs_(self) -> int:
        """Number of epochs of all runs."""
        return self.n_dropped_ + len(self.history)

    def on_epoch_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        """Begin a row of the history, numbered among the epochs of all runs."""
        super().on_epoch_begin(net, *args, **kwargs)
        self.history.record("epoch", self.n_epochs_)

    def drop_history(self, n_kept: int) -> None:
        """Drop the oldest rows of the history, if there are more than so many.

        Parameters
        ----------
        n_kept : int
        """
        n_extra = len(self.history) - n_kept
        if n_extra > 0:
            del self.history[:n_extra]
            self.n_dropped_ += n_extra

    @property
    def last_losses_(self) -> dict[str, Any]:
        """The history's row of the last run's last epoch; empty without any."""
        return self.history[-1] if self.n_epochs_ > self._first_epoch else {}

    # -- a run -------------------------------------------------------------------

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        *,
        interrupts: Interrupts | None = None,
        **fit_params: Any,
    ) -> "AutoEncoderNet":
        """Train, as skorch does, but for interrupts before the first step.

        skorch swallows every KeyboardInterrupt. Here one goes on to the caller unless
        a step has been taken whose result can be kept.

        Parameters
        ----------
        X, y, classes
            As skorch has them.
        interrupts : Interrupts or None
            Of the fit that this run is a part of.
        **fit_params
            Handed to `fit_loop`.
        """
        if not self.initialized_:
            self.initialize()
        interrupts = Interrupts() if interrupts is None else interrupts
        fit_params.pop("_routing_method", None)
        self.notify("on_train_begin", X=X, y=y)
        interrupts.run(
            lambda: self.fit_loop(X, y, interrupts=interrupts, **fit_params),
            again=lambda: self.settle(X, **fit_params),
        )
        self.notify("on_train_end", X=X, y=y)
        return self

    def fit_loop(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        hold_out: bool = True,
        interrupts: Interrupts | None = None,
        **fit_params: Any,
    ) -> "AutoEncoderNet":
        """Train for some epochs, and leave the best state in the module.

        After an interrupt the net has to be settled.
        """
        self.interrupts_ = Interrupts() if interrupts is None else interrupts
        train, valid = (
            self.get_split_datasets(X, y) if hold_out else (self.get_dataset(X), None)
        )
        batches = self.get_iterator(train, training=True)
        held_out = None if valid is None else self.get_iterator(valid)
        epochs = self.max_epochs if epochs is None else epochs
        self._begin_run(train, held_out, epochs)
        on_epoch = {"dataset_train": train, "dataset_valid": valid}
        try:
            with numpy_like_torch():
                for epoch in range(1, epochs + 1):
                    if self._run_epoch(epoch, batches, held_out, on_epoch):
                        break
        except KeyboardInterrupt:
            raise  # the net is to be settled
        except BaseException:
            self.interrupted_ = True
            self._end_run(train)
            raise
        self._end_run(train)
        return self

    def settle(
        self, X: Any, hold_out: bool = True, **fit_params: Any
    ) -> "AutoEncoderNet":
        """End a run that was interrupted: its best state is left in the module.

        A net that has never been run is made what a run of no epochs makes of it.

        Parameters
        ----------
        X, hold_out, **fit_params
            As `fit_loop` was given them, or would have been.
        """
        if self.unfinished_ is not None:
            self.interrupted_ = True
            self._end_run(self.unfinished_)
        elif not self.has_run_:
            self.fit_loop(X, epochs=0, hold_out=hold_out)
        self.module_.use_generator(self.noise_)
        return self

    def _begin_run(self, train: Dataset, held_out: Any, epochs: int) -> None:
        self.diverged_ = self.interrupted_ = False
        self.average_.set_decay(self.config.weight_average)
        self.average_.apply()
        self.module_.use_generator(self.noise_)
        self._first_epoch = self.n_epochs_
        self._objective: Objective = self.module_.objective
        self._run_epochs = epochs
        self._hooks_batches = isinstance(self.raw_optimizer_, torch.optim.LBFGS) or any(
            hooks_batches(callback) for _, callback in self.callbacks_
        )
        self.gradient_fn_ = None
        make = self.config.make_gradient_fn
        if make is not None and self.flat_ is not None:
            make = fast_step if isinstance(make, str) else make
            self.gradient_fn_ = make(self.module_, self.flat_, self.config.precision)
        self._bars = [cb for _, cb in self.callbacks_ if isinstance(cb, BatchBar)]
        self.best_ = BestCheckpoint(
            self.average_.weights_in_module, held_out is None, self.config.tol
        )
        # The state before the first step is a candidate: no run makes a model worse
        # on held-out rows than it was.
        score = math.inf
        self.guard_ = None
        self._is_validated = held_out is not None
        if held_out is not None:
            score, _, _ = self._validate(held_out)
            if self.config.fallback_margin is not None and self._first_epoch == 0:
                self.guard_ = PCAFallback(
                    self.module_,
                    lambda: self._row_losses(held_out),
                    self.config.fallback_margin,
                    self.pca_weight,
                )
        self.start_score_ = score
        self.best_.start(self.module_, score)
        # From here on there is something to be ended.
        self.has_run_, self.unfinished_ = True, train
        self.average_.unapply()

    def _run_epoch(
        self, epoch: int, batches: Any, held_out: Any, on_epoch: dict[str, Any]
    ) -> bool:
        """Train and validate once; tell whether to stop."""
        done = self._first_epoch + epoch - 1
        total = self._first_epoch + self._run_epochs
        self.module_.objective = self._objective.at_epoch(done, total)
        if self.config.lr_schedule is not None:
            for group in self.raw_optimizer_.param_groups:
                group["lr"] = self.lr * schedule_factor(
                    self.config.lr_schedule, done, total
                )
        self.notify("on_epoch_begin", **on_epoch)
        self.run_single_epoch(batches, True, "train", self.train_step)
        # Epochs are compared by what is wanted in the end.
        self.module_.objective = self._objective
        # From here to the end of the epoch everybody sees the averaged weights:
        # what validation scores and callbacks save is what the run will give.
        with self.average_.applied():
            self.run_single_epoch(held_out, False, "valid", self.validation_step)
            is_stopped = self._end_epoch(on_epoch)
            row = self.history[-1]
            score = row["valid_loss"] if held_out is not None else row["train_loss"]
            self.diverged_ = not math.isfinite(row["train_loss"] + score)
            if not self.diverged_:
                self.best_.update(self.module_, score, epoch)
        if is_stopped or self.diverged_ or held_out is None:
            return is_stopped or self.diverged_
        return self.config.patience.should_stop(
            epoch=epoch, best_epoch=self.best_.epoch, steps_an_epoch=len(batches)
        )

    def _end_epoch(self, on_epoch: dict[str, Any]) -> bool:
        """Call the callbacks at the end of an epoch; return whether one stops here.

        skorch's way to stop is an interrupt. The epoch itself counts: what validation
        has recorded comes before the callbacks of users.
        """
        try:
            self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            if not self._stopped_by_callback():
                raise
            return True
        return False

    def _end_run(self, train: Dataset) -> None:
        """Leave the best state in the module, and keep what a further run needs.

        Can be run again if it was interrupted: until the last lines all is found in
        `best_`, `guard_` and the history.
        """
        needed = {"train_loss", "valid_loss"} if self._is_validated else {"train_loss"}
        if self.n_epochs_ > self._first_epoch and not needed <= set(self.history[-1]):
            del self.history[-1]  # an epoch that was interrupted
        last = self.n_epochs_ - self._first_epoch
        if self.best_.epoch == last and not self.interrupted_:
            self.average_.apply()
        else:
            self.average_.restart_from(self.best_.state, self.module_)
        self._set_training(False)
        self.module_.objective = self._objective
        if self.guard_ and self.best_.epoch > 0 and not self.guard_.is_improved():
            self.best_.replace(self.guard_.state)
            self.start_from(self.best_.state)
        if self.diverged_ or self.is_stepping_:
            # Moments of infinite gradients, or of some weights and not of others.
            self.raw_optimizer_.state.clear()
        if self.best_.epoch > 0:
            self.best_epoch_ = self._first_epoch + self.best_.epoch
        # A start from PCA comes with the variances of probabilistic PCA.
        if self.best_epoch_ > 0 or self.config.fallback_margin is None:
            self._calibrate(train)
        self.unfinished_, self.is_stepping_ = None, False
        self.guard_ = None
        self.best_.clear()
        self.gradient_fn_ = None  # with its buffers

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Take up a state of the module as if nothing had been trained."""
        state = {name: value.clone() for name, value in state.items()}
        self.average_.restart_from(state, self.module_)
        self.raw_optimizer_.state.clear()  # moments on the way to another state
        self.best_epoch_ = 0

    def _calibrate(self, train: Dataset) -> None:
        """Let the columns set what depends on the trained network."""
        self.module_.use_generator(self._validation_noise())
        with torch.no_grad():
            self.module_.columns.fit_dispersion(
                (self.module_(x)[0], x)
                for x, _ in self.get_iterator(train, training=False)
            )
        self.module_.use_generator(self.noise_)

    def _stopped_by_callback(self) -> bool:
        """Return whether skorch stops early, and not a user by an interrupt."""
        return any(
            isinstance(cb, EarlyStopping) and cb.misses_ >= cb.patience
            for _, cb in self.callbacks_
        )
