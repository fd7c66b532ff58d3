"""What a net is trained with: one frozen record, in which no "auto" is left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor

from sk_autoencoder._utils.schedules import ResolvedSchedule
from sk_autoencoder._utils.values import Range

Precision = Literal["float32", "bf16"]
GradientFn = Callable[
    [Tensor, Tensor], tuple[float | Tensor, Mapping[str, float | Tensor]]
]
"""From centered rows and their target: writes the gradient, returns loss and terms.

Both are means over the rows, without a graph, and may be overwritten by the next call.
There are no terms where the loss is the only one.
"""


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the terms of a loss without their graph; none where there is only one."""
    if len(terms) < 2:
        return {}
    return {name: value.detach() for name, value in terms.items()}


@dataclass(frozen=True)
class Patience:
    """How long to go on without a gain.

    Parameters
    ----------
    n_iter_no_change : int or None
        Epochs; None is the larger of `steps` steps and `share` of the steps that
        the best state took.
    """

    n_iter_no_change: Annotated[int | None, Range(0)] = None
    # The averaged weights that are validated follow by 1 / (1 - 0.99), a hundred steps:
    # four times as many, so that a gain is seen before the end.
    steps: Annotated[int, Range(0)] = 400
    # Gains come more rarely the longer training has gone on: a late one is waited for
    # longer.
    share: Annotated[float, Range(0)] = 0.6

    def should_stop(self, *, epoch: int, best_epoch: int, steps_an_epoch: int) -> bool:
        """Whether to stop; both epochs are counted from this run's start."""
        without_gain = epoch - best_epoch
        if self.n_iter_no_change is not None:
            return without_gain >= self.n_iter_no_change
        allowed = max(self.steps, self.share * best_epoch * steps_an_epoch)
        return without_gain * steps_an_epoch >= allowed


@dataclass(frozen=True)
class TrainingConfig:
    """How a net is trained.

    Where nothing is said of `net_params`, a field follows from the estimator's
    parameters.

    Attributes
    ----------
    optimizer : type
        A class of torch's, or one like it.
    lr : float
        Learning rate of the first epoch.
    max_epochs : int
        Of one run.
    batch_size : int
        Samples in a step. The last batch of an epoch may have fewer, or one more.
    optimizer_args : dict
        Further arguments of the optimizer, by name; `net_params` may have some, under
        names that begin with "optimizer__".
    flatten : bool
        Whether the optimizer treats every weight alike, so that it may be given all
        of them as one vector; for `net_params` too.
    gradient_clip : float or None
        Norm to which the gradient of a step is clipped, in units of the loss by the
        weights; None clips nothing. For `net_params` too.
    weight_average : float or None
        Decay by step of the moving average of the weights, which is what is validated
        and kept; None keeps the weights themselves. For `net_params` too.
    validation_fraction : float
        Fraction of the samples held out to choose the epoch that is kept; 0 keeps the
        last.
    patience : Patience
        When to stop for want of a gain.
    tol : float
        Loss on validation samples that counts as a gain.
    precision : {"float32", "bf16"}
        Of the products in training.
    lr_schedule : None, float, "cosine", "warmup_cosine" or callable
        Factor on the learning rate by the epoch; see `schedule_factor`. The fourth is
        one by the step; see `step_factor`.
    fallback_margin : float or None
        Standard errors by which the first run has to better the state before it on
        the validation samples; else that state is kept. None never falls back.
    make_gradient_fn : callable (module, flat, precision) -> GradientFn or None
        Looks for a way to a batch's gradient that is faster than autograd. "fast" is
        our own, `fast_step`; None leaves all to autograd. For `net_params` too.
    callbacks : list
        Of skorch: callbacks, or pairs of a name and one.
    verbose : int
        Whether skorch prints a line an epoch.
    distributed : bool
        Whether the processes of torch.distributed each have a part of every batch.
    extra : dict
        Arguments of skorch's net that are not ours, from `net_params`, by name.
    """

    optimizer: type[torch.optim.Optimizer]
    lr: Annotated[float, Range(0)]
    max_epochs: Annotated[int, Range(0)]
    batch_size: Annotated[int, Range(1)]
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    flatten: bool = False
    # Of a random start; one from PCA clips at 10: decision 0006.
    gradient_clip: Annotated[float | None, Range(0, above=True)] = 1.0
    weight_average: Annotated[float | None, Range(0, 1)] = 0.99
    validation_fraction: Annotated[float, Range(0, 1)] = 0.1
    patience: Patience = Patience()
    tol: Annotated[float, Range(0)] = 0.0
    precision: Precision = "float32"
    lr_schedule: Annotated[ResolvedSchedule, Range(0, 1, above=True)] = None
    fallback_margin: Annotated[float | None, Range(0)] = None
    make_gradient_fn: Callable[..., GradientFn | None] | Literal["fast"] | None = "fast"
    callbacks: list[Any] = field(default_factory=list)
    verbose: Annotated[int, Range(0)] = 0
    distributed: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def without_callbacks(self) -> Self:
        """Return the same for a net beside the user's, which callbacks do not know."""
        return replace(self, callbacks=[], verbose=0)
