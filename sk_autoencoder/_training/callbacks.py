"""Callbacks of skorch: our own, and which ones look at single batches."""

import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

from skorch.callbacks import (
    Callback,
    EpochScoring,
    InputShapeSetter,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
)
from tqdm.std import tqdm

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


# Hooks of skorch's that do nothing at a batch, or only as their callback was told to.
# That of TensorBoard notes that the first batch is over; who overrides more has hooks.
IDLE: dict[Any, Callable[[Any], bool]] = {
    ProgressBar.on_batch_end: lambda _: True,
    TensorBoard.on_batch_end: lambda _: True,
    LRScheduler.on_batch_end: lambda callback: callback.step_every == "epoch",
    EpochScoring.on_batch_end: lambda callback: callback.use_caching is False,
    MlflowLogger.on_batch_end: lambda callback: not callback.log_on_batch_end,
    NeptuneLogger.on_batch_end: lambda callback: not callback.log_on_batch_end,
    SacredLogger.on_batch_end: lambda callback: not callback.log_on_batch_end,
}


def hooks_batches(callback: Any) -> bool:
    """Whether a callback looks at single batches or gradients."""
    for name in BATCH_HOOKS:
        hook = getattr(type(callback), name, None)
        if hook in (None, getattr(Callback, name)):
            continue
        is_idle = IDLE.get(hook)
        if is_idle is None or not is_idle(callback):
            return True
    return False


def sets_shapes(callback: Any) -> bool:
    """Whether all that a callback does is to tell a module how many features X has.

    Our modules are made for X: there is nothing left to tell them.
    """
    return isinstance(callback, InputShapeSetter)


def changes_lr(callbacks: Iterable[tuple[str, Any]]) -> bool:
    """Whether one of a net's callbacks schedules the learning rate."""
    return any(isinstance(callback, LRScheduler) for _, callback in callbacks)


def print_message(callbacks: Iterable[tuple[str, Any]], message: str) -> None:
    """Print a message where the callbacks print, if any does.

    Parameters
    ----------
    callbacks : iterable of (str, Callback)
        Of a net.
    message : str
    """
    for _, callback in callbacks:
        if isinstance(callback, PrintLog):
            callback.sink(message)
        elif isinstance(callback, EpochBar):
            tqdm.write(message, file=sys.stderr)


def bar_class() -> Any:
    """Return tqdm's class of bars: a widget in a notebook that can show one.

    `tqdm.auto` warns when it is imported in a notebook without ipywidgets, so it is
    imported for a bar, and only where that package is there.
    """
    name = "tqdm.std" if find_spec("ipywidgets") is None else "tqdm.auto"
    return importlib.import_module(name).tqdm


class EpochTable(PrintLog):
    """skorch's table of epochs; the best losses have colors only where these show."""

    def format_row(self, row: Any, key: str, color: str) -> str:
        stream = sys.stdout
        shows = self.sink is print and (
            getattr(stream, "isatty", bool)()
            or type(stream).__module__.startswith("ipykernel.")  # a notebook
        )
        # Without what says that it is the best, a loss is written as any other.
        cells = row if shows else {key: row[key]}
        text: str = super().format_row(cells, key, color)
        return text


class EpochBar(Callback):
    """One progress bar over the epochs of a fit, on the standard error stream."""

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.bar_ = bar_class()(total=net.max_epochs, unit="epoch", leave=False)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        row = net.history[-1]
        losses = {k: f"{row[k]:.4g}" for k in ("train_loss", "valid_loss") if k in row}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def on_train_end(self, *_args: Any, **_: Any) -> None:
        self.bar_.close()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "bar_"}
