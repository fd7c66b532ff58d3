"""One run of a net: epochs over batches in memory, and the best state at its end."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from skorch.callbacks import ProgressBar as BatchBar
from torch import Tensor

from sk_autoencoder._training.batches import Batches
from sk_autoencoder._training.callbacks import hooks_batches
from sk_autoencoder._training.config import GradientFn, TrainingConfig, detached
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder._training.net_state import Stop
from sk_autoencoder._training.processes import Processes, SharedGradient
from sk_autoencoder._training.resume import (
    RunKeeper,
    RunState,
    begin_from,
    capture_run,
)
from sk_autoencoder._training.selection import BestCheckpoint, PCAFallback, roots
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.precision import products_in
from sk_autoencoder._utils.random import shared_generator
from sk_autoencoder._utils.schedules import BY_STEP, schedule_factor, step_factor
from sk_autoencoder._utils.threads import numpy_like_torch
from sk_autoencoder._utils.torch_compat import set_training
from sk_autoencoder._utils.values import shortened

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from sk_autoencoder._protocols import Objective, TrainableModule
    from sk_autoencoder._training.weights import EMA, FlatParameters

# How torch begins its refusal to normalize a batch of one sample.
ONE_VALUE = "Expected more than 1 value per channel"


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    start_loss : float
        Of the validation samples before the first step; infinite without any.
    losses : dict
        The history's row of the last epoch; empty without any.
    diverged : bool
        Whether the loss of the last epoch was not finite.
    """

    start_loss: float
    losses: dict[str, Any]
    diverged: bool


class TrainingRun:
    """A run of a net: what lives from before its first step to after its last.

    An interrupt may come between any two lines. From the end of `begin` on, the net
    has this run as its `run_` until `end` has brought all in order: `end` can be run
    again, from wherever it was interrupted.

    An epoch runs on a loop of its own, over batches in memory, or on skorch's where a
    callback looks at single batches or gradients. Both take the same steps; the own
    one leaves out what nobody would see.

    Parameters
    ----------
    net : AutoEncoderNet
    train : Dataset
    valid : Dataset or None
        To choose the epoch that is kept; None keeps the last.
    epochs : int
        At most.
    interrupts : Interrupts
        Of the fit that this run is a part of.
    is_pass : bool, default=False
        Whether it is one pass over some of many samples.
    keeper : RunKeeper or None
        Where its state after each epoch is kept.

    Attributes
    ----------
    best : BestCheckpoint
        Of the states so far, the one before the first step among them.
    score : float
        What the states are compared by, of the validation samples as they now are:
        their mean loss or, where PCA is one of the states, the square of the mean of
        their losses' roots.
    fallback : PCAFallback or None
    is_stepping : bool
        Whether the optimizer is at work: its state is then half of a step's.
    stopped : Stop
        Why there is to be no further epoch; "" where there may be one.
    """

    def __init__(
        self,
        net: NeuralNet,
        train: "Dataset[Any]",
        valid: "Dataset[Any] | None",
        *,
        epochs: int,
        interrupts: Interrupts,
        is_pass: bool = False,
        keeper: RunKeeper | None = None,
    ) -> None:
        self.net, self.train, self.valid = net, train, valid
        self.epochs, self.interrupts, self.keeper = epochs, interrupts, keeper
        self.config: TrainingConfig = net.config
        self.module: TrainableModule = net.module_
        self.average: EMA = net.average_
        self.flat: FlatParameters | None = net.flat_
        self.objective: Objective = self.module.objective
        self.batches = net.get_iterator(train, training=True)
        self.held_out = None if valid is None else net.validation_batches(valid)
        self.first_epoch: int = net.n_epochs_
        callbacks = [callback for _, callback in net.callbacks_]
        self.bars = [cb for cb in callbacks if isinstance(cb, BatchBar)]
        self.n_taken = self.average.steps if is_pass else 0
        self.n_steps = None if is_pass else epochs * len(self.batches)
        self.on_skorchs_loop = isinstance(net.raw_optimizer_, torch.optim.LBFGS) or any(
            map(hooks_batches, callbacks)
        )
        self.processes = Processes() if self.config.distributed else None
        self.gradient_fn = self._make_gradient_fn()
        if isinstance(self.batches, Batches) and not self.on_skorchs_loop:
            takes_thin = getattr(self.gradient_fn, "takes_thin", False)
            self.batches.gives_thin = takes_thin and self.batches.is_thin
        runs_out = (
            self.module.keeps_last
            and self.config.lr_schedule == BY_STEP
            and (self.config.patience.n_iter_no_change or 0) >= epochs
        )
        self.best = BestCheckpoint(
            self.average.weights_in_module, valid is None or runs_out, self.config.tol
        )
        self.fallback: PCAFallback | None = None
        # The comparison with PCA is of root errors, so that no sample decides alone.
        # Not so for densities, whose losses may be negative.
        self.by_roots = not (
            self.config.fallback_margin is None
            or self.objective.is_variational
            or self.module.columns.is_own_loss
        )
        self.start_loss = self.score = math.inf
        self.diverged = self.is_stepping = False
        self.stopped: Stop = ""

    def _make_gradient_fn(self) -> GradientFn:
        """Find the fastest way to a batch's gradient."""
        make, flat = self.config.make_gradient_fn, self.flat
        found: GradientFn | None = None
        if self.processes is not None:
            return self._make_shared_gradient(self.processes)
        if make is not None and flat is not None:
            if isinstance(make, str):
                make = partial(fast_step, clip=self.config.gradient_clip)
            found = make(self.module, flat, self.config.precision)
        return self._gradient_by_autograd if found is None else found

    def _make_shared_gradient(self, processes: Processes) -> GradientFn:
        """Make the gradient of batches of which each process has a part."""
        if self.on_skorchs_loop:
            raise ValueError(
                "expected callbacks that do not look at single batches, and an "
                "optimizer other than LBFGS, for distributed=True, got callbacks="
                f"{shortened(self.net.callbacks)}. Leave them out, or pass "
                "distributed=False."
            )
        found = None
        if self.flat is not None and self.flat.vector.device.type == "cpu":
            found = fast_step(self.module, self.flat, self.config.precision)
        return SharedGradient(
            found or self._gradient_by_autograd, self.module, processes, self._gradients
        )

    def _gradients(self) -> list[Tensor]:
        """Return the gradients that the optimizer is about to use."""
        if self.flat is not None:
            return [self.flat.gradient]
        groups = self.net.raw_optimizer_.param_groups
        return [p.grad for g in groups for p in g["params"] if p.grad is not None]

    def begin(self, kept: RunState | None = None) -> None:
        """Keep the state before the first step: no run makes a model worse than it.

        Parameters
        ----------
        kept : RunState or None
            Of a later epoch of this run, to go on from.
        """
        net = self.net
        self.average.set_decay(self.config.weight_average)
        self.average.apply()
        if self.processes is not None:
            net.noise_ = shared_generator(net.noise_)  # copies lose its class
        self.module.use_generator(net.noise_)
        if self.held_out is not None and self.epochs > 0:
            with numpy_like_torch():  # a noise of the user's own may call it
                self.start_loss, _, _ = self.validate()
            margin = self.config.fallback_margin
            if margin is not None and self.first_epoch == 0:
                self.fallback = PCAFallback(
                    self.module,
                    lambda: net.sample_losses(self.held_out),
                    margin,
                    net.pca_weight,
                    by_roots=self.by_roots,
                )
        self.best.start(self.module, self.score)
        net.run_ = self  # from here on there is something to be ended
        self.average.unapply()
        if kept is not None:
            begin_from(self, kept)

    def train_epochs(self) -> None:
        """Train until patience, a callback or the number of epochs ends it."""
        tasks = self.interrupts.tasks
        tasks.begin_run(self.epochs)
        with numpy_like_torch():
            epoch = self.net.n_epochs_ - self.first_epoch
            while epoch < self.epochs and not self.stopped:
                epoch += 1
                tasks.begin_epoch()
                self.stopped = self._run_epoch(epoch)
                if tasks.end_epoch() and not self.stopped:
                    self.stopped = "callback"
                if self.keeper is not None and not self.diverged:
                    self.keeper.keep(capture_run(self.net, self))
        tasks.end_run()

    def _run_epoch(self, epoch: int) -> Stop:
        """Train and validate once; return why to stop, if there is a reason."""
        net, schedule = self.net, self.config.lr_schedule
        datasets = {"dataset_train": self.train, "dataset_valid": self.valid}
        done, total = self.first_epoch + epoch - 1, self.first_epoch + self.epochs
        self.module.objective = self.objective.at_epoch(done, total)
        if schedule not in (None, BY_STEP):
            self._scale_lr(schedule_factor(schedule, done, total))
        net.notify("on_epoch_begin", **datasets)
        self._train()
        # Epochs are compared by what is wanted in the end.
        self.module.objective = self.objective
        # From here to the end of the epoch everybody sees the averaged weights:
        # what validation scores and callbacks save is what the run will give.
        with self.average.applied():
            self._record_validation()
            is_stopped = self._end_epoch(datasets)
            row = net.history[-1]
            loss = row["train_loss" if self.valid is None else "valid_loss"]
            self.diverged = not math.isfinite(row["train_loss"] + loss)
            if not self.diverged:
                self.best.update(self.score if self.by_roots else loss, epoch)
        if is_stopped or self.diverged:
            return "loss" if self.diverged else "callback"
        waited = self.valid is not None and self.config.patience.should_stop(
            epoch=epoch, best_epoch=self.best.epoch, steps_an_epoch=len(self.batches)
        )
        return "patience" if waited else ""

    def _end_epoch(self, datasets: dict[str, Any]) -> bool:
        """Call the callbacks at the end of an epoch; return whether one stops here.

        skorch's way to stop is an interrupt. The epoch itself counts: what validation
        has recorded comes before the callbacks of users.
        """
        try:
            self.net.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt:
            for _, callback in self.net.callbacks_:
                is_stopping = isinstance(callback, EarlyStopping)
                if is_stopping and callback.misses_ >= callback.patience:
                    return True
            raise
        return False

    def end(self, *, interrupted: bool = False) -> None:
        """Leave the best state in the module, and keep what a further run needs.

        Can be run again if it was interrupted: all is found in this run and in the
        history.

        Parameters
        ----------
        interrupted : bool
            Whether the module may be in the middle of a step.
        """
        net, best = self.net, self.best
        needed = {"train_loss"} if self.valid is None else {"train_loss", "valid_loss"}
        if net.n_epochs_ > self.first_epoch and not needed <= set(net.history[-1]):
            del net.history[-1]  # an epoch that was interrupted
        n_epochs = net.n_epochs_ - self.first_epoch
        if best.epoch == n_epochs and not interrupted:
            self.average.apply()
        else:
            self.average.restart_from(best.state, self.module)
        self.module.eval()
        self.module.objective = self.objective
        if self.fallback and best.epoch > 0 and not self.fallback.is_improved():
            best.replace(self.fallback.state)
            net.start_from(best.state)
        if self.diverged or self.is_stepping:
            # Moments of infinite gradients, or of some weights and not of others.
            net.raw_optimizer_.state.clear()
        if best.epoch > 0:
            net.best_epoch_ = self.first_epoch + best.epoch
        # A start from PCA comes with the variances of probabilistic PCA.
        if net.best_epoch_ > 0 or self.config.fallback_margin is None:
            self._fit_dispersion()
        losses = net.history[-1] if n_epochs else {}
        why: Stop = "interrupt" if interrupted else self.stopped or "max_epochs"
        net.stopped_ = why if n_epochs and self.n_steps is not None else ""
        net.last_run_ = RunResult(self.start_loss, losses, self.diverged)
        net.run_ = None

    def _fit_dispersion(self) -> None:
        """Fit the dispersion of the columns to the trained network."""
        batches = self.net.get_iterator(self.train, training=False)
        with self.net.validation_noise(), torch.no_grad():
            outputs = ((self.module(x)[0], x) for x, _ in batches)
            self.module.columns.fit_dispersion(outputs)

    # -- an epoch ----------------------------------------------------------------

    def _train(self) -> None:
        """Take one step a batch."""
        net = self.net
        if self.flat is not None:
            self.flat.attach()  # callbacks may have dropped the gradient
        try:
            if self.on_skorchs_loop:
                net.run_single_epoch(self.batches, True, "train", self._skorchs_step)
            else:
                self._record("train", self.batches, *self._take_steps())
        except ValueError as error:
            if not str(error).startswith(ONE_VALUE):
                raise
            raise ValueError(
                "expected batches of at least 2 samples for a network with batch "
                f"normalization, got batch_size={net.batch_size}, because the mean of "
                "one is the sample itself. Pass a larger batch_size, or a network "
                "without it, as with batch_norm=False."
            ) from None

    def _take_steps(self) -> tuple[float, dict[str, float], int]:
        """Take one step a batch; return the mean loss, its terms and the samples."""
        net, means = self.net, RunningMeans()
        optimizer, average = net.raw_optimizer_, self.average
        is_clipped = getattr(self.gradient_fn, "clips", False)
        set_training(self.module, True)
        for x, target in self.batches:
            loss, terms = self.gradient_fn(x, target)
            if not is_clipped:
                net.clip_gradient()
            self._schedule_step()
            self.interrupts.has_stepped = self.is_stepping = True
            optimizer.step()
            self.is_stepping = False
            average.update()
            means.add(loss, terms, x.shape[0])
            for bar in self.bars:
                bar.pbar_.update()
        return means.means()

    def _schedule_step(self) -> None:
        """Set the learning rate of a step, where the schedule is one by step."""
        if self.config.lr_schedule == BY_STEP:
            self._scale_lr(step_factor(self.n_taken, self.n_steps))
        self.n_taken += 1

    def _scale_lr(self, factor: float) -> None:
        for group in self.net.raw_optimizer_.param_groups:
            group["lr"] = self.net.lr * factor

    def _gradient_by_autograd(
        self, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Write the gradient of a batch; see `GradientFn`."""
        module = self.module
        with products_in(self.config.precision, self.net.device):
            terms = module.loss_terms(module(x), target)
        loss = module.objective.combine(terms)
        self.net.clear_gradient()
        loss.backward()
        return loss.detach(), detached(terms)

    def _skorchs_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimizer, by skorch, and of the average."""
        self._schedule_step()
        self.interrupts.has_stepped = self.is_stepping = True
        step: dict[str, Any] = self.net.train_step(batch, **fit_params)
        self.is_stepping = False
        self.average.update()
        return step

    def _record_validation(self) -> None:
        """Record the losses of the validation samples, where there are any."""
        net, held_out = self.net, self.held_out
        if held_out is None:
            return
        if not self.on_skorchs_loop:
            self._record("valid", held_out, *self.validate())
            return
        with net.validation_noise():
            net.run_single_epoch(held_out, False, "valid", net.validation_step)
        if self._joins_densities:
            loss = self._joined_loss(net.sample_losses(held_out))
            for batch in net.history[-1]["batches"]:
                if "valid_loss" in batch:
                    batch["valid_loss"] = loss
        if self.by_roots:
            self.score = mean_root(net.sample_losses(held_out))

    def _record(
        self,
        stage: str,
        batches: Any,
        loss: float,
        terms: Mapping[str, float],
        n_samples: int,
    ) -> None:
        """Record an epoch in the history as one batch."""
        history = self.net.history
        history.new_batch()
        history.record_batch(f"{stage}_loss", loss)
        history.record_batch(f"{stage}_batch_size", n_samples)
        history.record(f"{stage}_batch_count", len(batches))
        for name, value in terms.items():
            history.record(f"{stage}_{name}", value)

    # -- validation --------------------------------------------------------------

    def validate(self) -> tuple[float, dict[str, float], int]:
        """Score the validation samples, with the same random numbers every time.

        Returns
        -------
        loss : float
            Their mean.
        terms : dict of str to float
            Of the loss, where it has several.
        n_samples : int
        """
        module, means, losses = self.module, RunningMeans(), []
        assert self.held_out is not None
        set_training(module, False)
        with self.net.validation_noise(), torch.no_grad():
            for x, target in self.held_out:
                output = module.validation_output(x)
                terms = module.loss_terms(output, target)
                means.add(module.objective.combine(terms), detached(terms), x.shape[0])
                if self._joins_densities or self.by_roots:
                    losses.append(module.per_sample_loss(output, target))
        loss, mean_terms, n_samples = means.means()
        n_draws = self.net.n_validation_draws(self.held_out)
        n_samples //= n_draws
        if self._joins_densities:
            loss = self._joined_loss(torch.cat(losses))
        self.score = loss
        if self.by_roots:
            by_sample = torch.cat(losses).view(n_draws, -1).mean(dim=0)
            self.score = mean_root(by_sample)
        if self.processes is not None:
            loss, self.score = self.processes.agree(loss, self.score)
        return loss, mean_terms, n_samples

    @property
    def _joins_densities(self) -> bool:
        """Whether a mixture of the densities before and after training is kept."""
        return self.fallback is not None and self.net.pca_weight > 0

    def _joined_loss(self, losses: Tensor) -> float:
        """Score the validation samples by both densities, from the losses of each."""
        assert self.fallback is not None
        return self.fallback.joined(losses).mean().item()


def mean_root(losses: Tensor) -> float:
    """Return the square of the mean of the roots of losses, (n_samples,)."""
    return float(roots(losses).mean().square())


class RunningMeans:
    """Sums over an epoch; those on a device stay there until they are read."""

    def __init__(self) -> None:
        self._loss: float | Tensor = 0.0
        self._terms: dict[str, float | Tensor] = {}
        self.n_samples = 0

    def add(
        self, loss: float | Tensor, terms: Mapping[str, float | Tensor], n_samples: int
    ) -> None:
        """Add a batch's mean loss and its terms."""
        self._loss = _with(self._loss, loss, n_samples)
        for name, value in terms.items():
            self._terms[name] = _with(self._terms.get(name, 0.0), value, n_samples)
        self.n_samples += n_samples

    def means(self) -> tuple[float, dict[str, float], int]:
        """Return the mean loss of a sample, the means of the terms, and the samples."""
        n = self.n_samples
        terms = {name: float(total) / n for name, total in self._terms.items()}
        return float(self._loss) / n, terms, n


def _with(total: float | Tensor, mean: float | Tensor, n: int) -> float | Tensor:
    """Add a mean of n to a total; on a GPU by one kernel, in place."""
    if isinstance(total, Tensor) and isinstance(mean, Tensor) and total.is_cuda:
        return total.add_(mean, alpha=n)
    return total + mean * n
