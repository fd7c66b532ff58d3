"""The skorch net: samples in memory, weights as one vector, and runs of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import ParamMapper
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from sk_autoencoder._protocols import TrainableModule
from sk_autoencoder._training.adam import FlatAdam
from sk_autoencoder._training.batches import Batches, RowDataset, split_rows
from sk_autoencoder._training.callbacks import EpochTable
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._training.resume import (
    RunKeeper,
    RunState,
    capture_run,
    skip_run,
)
from sk_autoencoder._training.run import RunResult, TrainingRun
from sk_autoencoder._training.stream import RowStream, StreamBatches
from sk_autoencoder._training.weights import EMA, FlatParameters
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.precision import products_in
from sk_autoencoder._utils.random import Seeds, make_generator, shared_generator
from sk_autoencoder._utils.skorch_compat import register_optimizer

if TYPE_CHECKING:
    from sk_autoencoder._training.net_state import Stop

# Samples in a batch that is not trained on, where batches are smaller: fewer calls, and
# a hidden layer of a thousand units is still no more than 4 MB. Of wide samples there
# are fewer: 4 MB, of which about six copies are made.
VALIDATION_BATCH, VALIDATION_CELLS, LEAST_VALIDATION_BATCH = 1024, 2**20, 32

# The average of the weights is behind by a 10th of the steps at first. A run of few
# epochs loses as much as those steps would give: a network of sigmoids .015 of the
# explained variance after 240 steps, where a 40th costs nothing
# (`python -m benchmarks.images.user_network`).
LEAD, LEAD_AS_GIVEN = 10, 40


class AutoEncoderNet(NeuralNet):
    """skorch's net over samples in memory, with runs of its own; see `TrainingRun`.

    Parameters
    ----------
    module : TrainableModule
    config : TrainingConfig
    seeds : Seeds
        Of the order of the batches, the noise and the validation samples.
    device : str or torch.device, default="cpu"
    predict_nonlinearity : callable, "auto" or None, default="auto"
        What skorch's `predict` applies to the decoder's output.
    pca_weight : float, default=0.0
        Of the density before the first run in that which is kept; see `PCAFallback`.
    as_given : bool, default=False
        Whether to take as many steps, and to follow them as closely, as a loop without
        validation samples and averages would: an epoch then has as many samples as
        there are with the validation samples, some of them twice.

    Attributes
    ----------
    average_ : EMA
        Of the weights. Between two runs it is in the module.
    flat_ : FlatParameters or None
        The weights as one vector, where that can be.
    order_, noise_ : torch.Generator
        What the order of the batches and the noise of training are drawn from.
    best_epoch_ : int
        Whose weights were kept, counted over all runs; 0 is before the first.
    lacks_optimizer_ : bool
        Whether it comes from a file that holds no more than use needs.
    n_dropped_ : int
        Epochs of the past whose rows are no longer in the history.
    run_ : TrainingRun or None
        A run that was begun and is not ended. A copy of the net has none.
    stopped_ : Stop
        What ended the last run, if that was no pass.
    last_run_ : RunResult or None
        How the last run ended; None before the first.
    """

    def __init__(
        self,
        module: TrainableModule,
        config: TrainingConfig,
        *,
        seeds: Seeds,
        device: str | torch.device = "cpu",
        predict_nonlinearity: Callable[[Tensor], Tensor] | str | None = "auto",
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

    # -- what skorch calls to set up ------------------------------------------

    def initialize(self) -> "AutoEncoderNet":
        """Set up module, optimizer, callbacks and history, and what is our own."""
        self.flat_: FlatParameters | None = None
        super().initialize()
        lead = LEAD_AS_GIVEN if self.as_given else LEAD
        decay = self.config.weight_average
        self.average_ = EMA(self.module_, decay, self.flat_, lead)
        self.order_ = make_generator(self.seeds.order)
        self.noise_ = make_generator(self.seeds.noise, self.device)
        if self.config.distributed:
            self.noise_ = shared_generator(self.noise_)
        self.module_.use_generator(self.noise_)
        self.best_epoch_ = self.n_dropped_ = 0
        self.lacks_optimizer_ = False
        self.run_: TrainingRun | None = None
        self.last_run_: RunResult | None = None
        self.stopped_: Stop = ""
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> "AutoEncoderNet":
        """Make the optimizer, of one vector of weights where that can be."""
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

    @property
    def raw_optimizer_(self) -> FlatAdam | torch.optim.Optimizer:
        """What moves the weights."""
        optimizer: FlatAdam | torch.optim.Optimizer = self.__dict__["optimizer_"]
        return optimizer

    @property
    def optimizer_(self) -> torch.optim.Optimizer:
        """torch's optimizer, or a view of what moves the weights in its place.

        Reading it changes nothing. What is written to its settings or state counts.
        """
        optimizer = self.raw_optimizer_
        return optimizer.as_torch() if isinstance(optimizer, FlatAdam) else optimizer

    @optimizer_.setter
    def optimizer_(self, optimizer: FlatAdam | torch.optim.Optimizer) -> None:
        # Under skorch's own name: that is what it registers, pickles and moves.
        self.__dict__["optimizer_"] = optimizer
        # It does so by itself for torch's classes only.
        if isinstance(optimizer, FlatAdam):
            register_optimizer(self, optimizer)

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Print our table of epochs; none is made that would not be printed."""
        callbacks = dict(super().get_default_callbacks())
        del callbacks["print_log"]
        table = [("print_log", EpochTable())] if self.verbose else []
        return [*callbacks.items(), *table]

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Hold samples in memory; those that are held already are taken as they are."""
        if isinstance(X, Dataset):
            return X
        mean = self.module_.columns.mean.double().cpu().numpy()
        return RowDataset(np.asarray(X), mean=mean, device=self.device)

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Hold out validation samples, the same at every call for the same samples."""
        rows = self.get_dataset(X, y)
        if isinstance(rows, RowStream):
            return rows.training_part(), rows.validation
        if isinstance(rows, RowDataset) and rows.validation is not None:
            return rows, rows.validation
        fraction = self.config.validation_fraction
        train, valid = split_rows(len(rows), fraction, self.seeds.split)
        if valid is None:
            return rows, None
        # An array is as good as the sequence of ints that torch's type asks for.
        return Subset(rows, train), Subset(rows, valid)  # type: ignore[arg-type]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Cut our samples into batches; other data sets go skorch's way."""
        size = self.batch_size if training else max(self.batch_size, VALIDATION_BATCH)
        if isinstance(dataset, RowStream):
            return StreamBatches(dataset, size, self.order_ if training else None)
        rows, indices = dataset, None
        if isinstance(dataset, Subset):
            rows, indices = dataset.dataset, np.asarray(dataset.indices)
        if not isinstance(rows, RowDataset):
            return super().get_iterator(dataset, training=training)
        if indices is None:
            indices = np.arange(len(rows), dtype=np.int32)
        if training:
            n_drawn = len(rows) if self.as_given else None
            return Batches(rows, indices, size, self.order_, n_drawn)
        most = max(LEAST_VALIDATION_BATCH, VALIDATION_CELLS // rows.n_features)
        return Batches(rows, indices, min(size, most))

    # -- copies ------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Leave out a run: a callback may pickle the net in one."""
        if not self.initialized_:
            state: dict[str, Any] = super().__getstate__()
            return state
        module: Any = self.module_
        # skorch would move a generator's state to the device, where torch refuses it.
        module.use_generator(None)
        try:
            state = super().__getstate__()
        finally:
            module.use_generator(self.noise_)
        state["run_"] = None
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
        """Tie the optimizer of a copy to the vector of its own module's weights."""
        optimizer = self.raw_optimizer_
        if isinstance(optimizer, FlatAdam):
            optimizer.tie(vector)
            return
        (group,) = optimizer.param_groups
        (copied,) = group["params"]
        group["params"] = [vector]
        if copied in optimizer.state:
            optimizer.state[vector] = optimizer.state.pop(copied)

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

    # -- runs --------------------------------------------------------------------

    @property
    def has_run_(self) -> bool:
        """Whether a run has been begun."""
        return self.run_ is not None or self.last_run_ is not None

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        *,
        interrupts: Interrupts | None = None,
        keeper: RunKeeper | None = None,
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
            Of the fit that this run is a part of. Where one has come, nothing is
            trained: the net is settled.
        keeper : RunKeeper or None
            Where this run is kept, and goes on from if it was kept there before.
        **fit_params
            Handed to `fit_loop`.
        """
        if not self.initialized_:
            self.initialize()
        interrupts = Interrupts() if interrupts is None else interrupts
        if interrupts.caught:
            return self.settle(X, **fit_params)
        kept = None if keeper is None else keeper.next_run(self)
        if kept is not None and kept.is_ended:
            self._skip_run(kept)
            interrupts.has_stepped = True
            return self
        fit_params.pop("_routing_method", None)
        self.notify("on_train_begin", X=X, y=y)
        fit_loop = partial(self.fit_loop, X, y, keeper=keeper, kept=kept, **fit_params)
        interrupts.run(
            lambda: fit_loop(interrupts=interrupts),
            again=lambda: self.settle(X, **fit_params),
        )
        self.notify("on_train_end", X=X, y=y)
        if keeper is not None and not interrupts.caught:
            keeper.keep(capture_run(self))
        return self

    def _skip_run(self, kept: RunState) -> None:
        """Take up the end of a run in place of the run."""
        first_epoch = self.n_epochs_
        start_loss, diverged = skip_run(self, kept)
        losses = self.history[-1] if self.n_epochs_ > first_epoch else {}
        self.last_run_ = RunResult(start_loss, losses, diverged)

    def fit_loop(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        is_pass: bool = False,
        interrupts: Interrupts | None = None,
        keeper: RunKeeper | None = None,
        kept: RunState | None = None,
        **_: Any,
    ) -> "AutoEncoderNet":
        """Train for some epochs, and leave the best state in the module.

        After an interrupt the net has to be settled.

        Parameters
        ----------
        X, y
            As skorch has them.
        epochs : int or None
            None is `max_epochs`, and 1 for a pass.
        is_pass : bool
            Whether this is one pass over some of many samples: none are held out.
        interrupts : Interrupts or None
        keeper : RunKeeper or None
            Where this run is kept.
        kept : RunState or None
            As it was kept there: what it goes on from.
        """
        train, valid = (
            (self.get_dataset(X), None) if is_pass else self.get_split_datasets(X, y)
        )
        if epochs is None:
            epochs = 1 if is_pass else self.max_epochs
        run = TrainingRun(
            self,
            train,
            valid,
            epochs=epochs,
            interrupts=Interrupts() if interrupts is None else interrupts,
            is_pass=is_pass,
            keeper=keeper,
        )
        run.begin(kept)
        try:
            run.train_epochs()
        except KeyboardInterrupt:
            raise  # the net is to be settled
        except BaseException:
            run.end(interrupted=True)
            raise
        run.end()
        return self

    def settle(self, X: Any, is_pass: bool = False, **_: Any) -> "AutoEncoderNet":
        """End a run that was interrupted: its best state is left in the module.

        A net that has never been run is finished as by a run of no epochs.

        Parameters
        ----------
        X, is_pass
            As `fit_loop` was given them, or would have been.
        """
        if self.run_ is not None:
            self.run_.end(interrupted=True)
        elif self.last_run_ is None:
            self.fit_loop(X, epochs=0, is_pass=is_pass)
        self.module_.use_generator(self.noise_)
        return self

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Take up a state of the module as if nothing had been trained."""
        state = {name: value.clone() for name, value in state.items()}
        self.average_.restart_from(state, self.module_)
        self.raw_optimizer_.state.clear()  # moments on the way to another state
        self.best_epoch_ = 0

    # -- parts of a step ---------------------------------------------------------

    @contextmanager
    def validation_noise(self) -> Iterator[None]:
        """Draw the noise of a block from the same seed every time."""
        self.module_.use_generator(make_generator(self.seeds.validation, self.device))
        try:
            yield
        finally:
            self.module_.use_generator(self.noise_)

    def sample_losses(self, batches: Batches) -> Tensor:
        """Score each sample of batches, (n,), with the draws of validation."""
        module = self.module_
        with self.validation_noise(), torch.no_grad():
            losses = [
                module.per_sample_loss(module.validation_output(x), target)
                for x, target in batches
            ]
        n_draws = self.n_validation_draws(batches)
        return torch.cat(losses).view(n_draws, -1).mean(dim=0)

    @staticmethod
    def n_validation_draws(batches: Any) -> int:
        """Return how many times each of the samples comes in batches."""
        return batches.n_draws if isinstance(batches, Batches) else 1

    def validation_batches(self, valid: Dataset[Any]) -> Any:
        """Return batches of the samples on which the states of a run are compared."""
        batches = self.get_iterator(valid)
        if isinstance(batches, Batches):
            draws = self.module_.objective.n_validation_draws(len(batches.indices))
            batches.n_draws = draws
        return batches

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Score a batch of validation samples, on skorch's loop."""
        x, target = batch
        self._set_training(False)
        with torch.no_grad():
            output = self.module_.validation_output(x)
            loss = self.get_loss(output, target, X=x, training=False)
        return {"loss": loss, "y_pred": output}

    def clip_gradient(self) -> None:
        """Scale the gradient down to the norm of the config."""
        norm = self.config.gradient_clip
        if norm is None:
            return
        if self.flat_:
            self.flat_.clip(norm)
        else:
            nn.utils.clip_grad_norm_(self.module_.parameters(), norm)

    def clear_gradient(self) -> None:
        """Clear the gradients; those in a vector stay where they are."""
        if self.flat_:
            self.flat_.gradient.zero_()
            return
        for group in self.raw_optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    # -- the same steps on skorch's loop -----------------------------------------

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        self.clear_gradient()

    def get_loss(
        self, y_pred: Any, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Score a batch by the module's own terms."""
        module: TrainableModule = self.module_
        loss: Tensor = module.objective.combine(module.loss_terms(y_pred, y_true))
        return loss

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute a batch's loss and its clipped gradient."""
        with products_in(self.config.precision, self.device):
            step: dict[str, Any] = super().train_step_single(batch, **fit_params)
        self.clip_gradient()
        return step
