"""Callbacks of skorch: our own, and which ones look at single batches."""

import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from skorch.callbacks import Callback, EpochScoring, LRScheduler, PrintLog, ProgressBar
from tqdm.std import tqdm

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


def hooks_batches(callback: Any) -> bool:
    """Whether a callback looks at single batches or gradients."""
    if isinstance(callback, ProgressBar):
        return False
    if isinstance(callback, LRScheduler):
        return bool(callback.step_every != "epoch")
    if isinstance(callback, EpochScoring) and callback.use_caching is False:
        return False
    return any(
        getattr(type(callback), hook, None) not in (None, getattr(Callback, hook))
        for hook in BATCH_HOOKS
    )


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


def _bar_class() -> Any:
    """Return tqdm's class of bars: a widget in a notebook that can show one.

    `tqdm.auto` warns when it is imported in a notebook without ipywidgets, so it is
    imported for a bar, and only where that package is there.
    """
    name = "tqdm.std" if find_spec("ipywidgets") is None else "tqdm.auto"
    return importlib.import_module(name).tqdm


class EpochBar(Callback):
    """One progress bar over the epochs of a fit, on the standard error stream."""

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.bar_ = _bar_class()(total=net.max_epochs, unit="epoch", leave=False)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        row = net.history[-1]
        losses = {k: f"{row[k]:.4g}" for k in ("train_loss", "valid_loss") if k in row}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def on_train_end(self, *_args: Any, **_: Any) -> None:
        self.bar_.close()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "bar_"}
