"""The file that a fit goes on from after it was killed, or takes its result from.

It holds the runs of the fit, see `_training/resume.py`, and is called by what the fit's
result depends on: a fit finds its own file again, and no other one.
"""

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._saving.checks import check_arrays, need
from sk_autoencoder._saving.file_lock import FileLock
from sk_autoencoder._saving.files import (
    LIBRARIES,
    NOT_AS_WRITTEN,
    read_state,
    write_state,
)
from sk_autoencoder._saving.fingerprint import describe, digest, first_difference
from sk_autoencoder._saving.net_checks import (
    check_module_array,
    check_net,
    check_state,
)
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.serialize import Decoder, Encoder
from sk_autoencoder._training.callbacks import print_message
from sk_autoencoder._training.net_state import (
    NetState,
    capture_net,
    to_array,
    without_moments,
)
from sk_autoencoder._training.resume import (
    SHOWING,
    ForeignStateError,
    RunKeeper,
    RunState,
    is_own_callback,
)
from sk_autoencoder._training.snapshot import NetSnapshot
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.values import first_line
from sk_autoencoder._utils.versions import own_version
from sk_autoencoder.exceptions import CorruptFileError

SUFFIX = ".snapshot"
# Parameters without which a fit gives the same.
WITHOUT_EFFECT = {"checkpoint_dir", "checkpoint_interval", "verbose", "warm_start"}
# Of data, beside what is in them.
PARTS = ("shape", "dtype")
# Files that are looked at for the one that differs least, the newest first.
MOST_COMPARED = 100


@loadable()
@dataclass(frozen=True)
class SnapshotFile:
    """What a file holds.

    Attributes
    ----------
    fit : dict of str to str
        Descriptions of what the fit depends on, by which the file is called.
    runs : list of RunState
        All but the last have ended.
    is_finished : bool
        Whether the fit has, and not only its last run.
    """

    fit: dict[str, str]
    runs: list[RunState] = field(default_factory=list)
    is_finished: bool = False


class Snapshots(RunKeeper):
    """Keeps the runs of a fit in a file: a context in which the fit is to be run.

    Nothing is read, made or locked before the first run begins. Another fit of the same
    name that is under way has the file, and this one then runs without.

    Parameters
    ----------
    folder : path-like
        Made where it is not there.
    interval : float
        Seconds between two snapshots, at least.
    describe : callable () -> dict of str to str
        Describes the fit.
    callbacks : list of skorch callbacks
        Of the fit.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        interval: float,
        describe: Callable[[], dict[str, str]],
        callbacks: Any = (),
    ) -> None:
        self._folder, self._interval = Path(os.fsdecode(folder)), interval
        self._describe = describe
        # It would not see an epoch of a fit that is only taken up.
        self._is_watched = any(map(is_own_callback, _unnamed(callbacks)))
        self._lock: FileLock | None = None
        self._is_open = self._is_due = self._has_warned = False
        self._file = SnapshotFile({})
        self._path = self._folder
        self._next = 0
        self._written = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is None:
            return
        try:
            if self._is_due:
                self._write()
        finally:
            self._lock.release()
            self._lock = None
        if isinstance(error, ForeignStateError):
            raise self._damaged(str(error)) from error

    # -- the runs ------------------------------------------------------------------

    def next_run(self, net: Any) -> RunState | None:
        """Return the run that a net begins, as it was kept; None if it was not."""
        if not self._is_open:
            self._open(net)
            self._is_open = True
        number, self._next = self._next, self._next + 1
        runs = self._file.runs
        if self._lock is None:
            return None
        try:
            if number >= len(runs):
                need(not self._file.is_finished, "a fit has more runs")
                return None
            is_last = number == len(runs) - 1 and not self._file.is_finished
            need(is_last or runs[number].is_ended, "runs behind one that has not ended")
            _check_run(net, runs[number])
        except NOT_AS_WRITTEN as error:
            raise self._damaged(first_line(error)) from error
        if number == len(runs) - 1:
            done = "Taken up from"
            if not self._file.is_finished:
                done = f"Goes on after epoch {len(runs[number].net.history)} of"
            print_message(net.callbacks_, f"{done} {self._path}.")
        return runs[number]

    def keep(self, state: RunState) -> None:
        """Keep the run that was begun last as it is now."""
        if self._lock is None or not _is_finite(state):
            return
        self._file.runs[self._next - 1 :] = [state]
        self._is_due = True
        if time.monotonic() - self._written >= self._interval:
            self._write()

    def finish(self) -> None:
        """Keep what the fit gave, without what optimizers remember."""
        if self._lock is None or self._file.is_finished:
            return
        if self._is_watched:
            self._is_due = False
            with contextlib.suppress(OSError):
                self._path.unlink()
            return
        runs = [replace(run, net=without_moments(run.net)) for run in self._file.runs]
        self._file = replace(self._file, runs=runs, is_finished=True)
        self._write()

    # -- the file ------------------------------------------------------------------

    def _open(self, net: Any) -> None:
        """Lock and read the file of this fit, where there is one."""
        fit = {**self._describe(), "device": str(net.device)}
        self._file = SnapshotFile(fit)
        self._path = self._folder / _name(fit)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock.acquire(self._path.with_suffix(".lock"))
        except OSError as error:
            raise OSError(
                error.errno,
                f"expected a folder for files of snapshots, got checkpoint_dir="
                f"{str(self._folder)!r}, because: {error.strerror}. Pass another one",
            ) from error
        self._written = time.monotonic()
        if self._lock is None:
            return
        if not self._path.exists():
            if net.config.verbose:
                self._tell_nearest(net)
            return
        try:
            found = read_snapshot(self._path)
            need(found.fit == fit, "it is of another fit than its name says")
        except CorruptFileError as error:
            raise self._damaged(error.what) from error
        except NOT_AS_WRITTEN as error:
            raise self._damaged(first_line(error)) from error
        if not (found.is_finished and self._is_watched):
            self._file = found

    def _damaged(self, what: str) -> ValueError:
        return ValueError(
            f"expected a snapshot of this fit in {str(self._path)!r}, got another "
            f"file, because: {what}. Delete it, and the fit starts anew."
        )

    def _write(self) -> None:
        """Write the file; a fit goes on where that fails, without a snapshot."""
        encoder = Encoder()
        try:
            state = encoder.encode(self._file, "fit")
            self._folder.mkdir(parents=True, exist_ok=True)
            write_state(self._path, SnapshotFile.__name__, state, encoder.arrays)
        except (OSError, LookupError, TypeError, ValueError) as error:
            if not self._has_warned:
                warnings.warn(
                    f"No snapshot could be written to {str(self._path)!r}, because: "
                    f"{first_line(error)}. The fit goes on without one.",
                    UserWarning,
                    stacklevel=caller_level(),
                )
            self._has_warned = True
        self._is_due = False
        self._written = time.monotonic()

    def _tell_nearest(self, net: Any) -> None:
        """Print in what this fit differs from that which is most like it."""
        own, found = self._file.fit, []
        paths = sorted(self._folder.glob(f"*{SUFFIX}"), key=_modified, reverse=True)
        for path in paths[:MOST_COMPARED]:
            with contextlib.suppress(OSError, *NOT_AS_WRITTEN):
                found.append(read_snapshot(path).fit)
        if not found:
            return
        nearest = min(found, key=lambda fit: len(own.items() ^ fit.items()))
        print_message(
            net.callbacks_,
            "No snapshot of this fit; the one most like it differs in "
            f"{first_difference(own, nearest)}",
        )


def snapshots_of(
    estimator: Any, data: Mapping[str, Any], before: FittedModel | None
) -> AbstractContextManager[Snapshots | None]:
    """Return where the runs of a fit are kept, in a context; None if nowhere.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    data : mapping of str to object
        What it is fitted to, by name.
    before : FittedModel or None
        What it goes on from.
    """
    folder, interval = estimator.checkpoint_dir, estimator.checkpoint_interval
    if folder is None:
        return nullcontext()
    nets = [] if before is None else before.nets
    return Snapshots(
        folder,
        interval,
        lambda: _describe_fit(estimator, data, list(map(capture_net, nets))),
        estimator.callbacks,
    )


def read_snapshot(path: Path) -> SnapshotFile:
    """Read a file, which is not trusted.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If it holds what no fit has written.
    """
    name = SnapshotFile.__name__
    header, arrays = read_state(path, (name,))
    with np.errstate(all="ignore"):
        found = Decoder(arrays, {}, header["format"]).decode_all(header["state"])
    need(isinstance(found, SnapshotFile), "something other than a snapshot")
    need(path.name == _name(found.fit), "it is of another fit than its name says")
    return found


def _modified(path: Path) -> float:
    """Return when a file was written; 0 where it has gone in the meantime."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _name(fit: Mapping[str, str]) -> str:
    """Return what the file of a fit is called."""
    return f"{digest(repr(sorted(fit.items())))}{SUFFIX}"


def _describe_fit(
    estimator: Any, data: Mapping[str, Any], before: list[NetState]
) -> dict[str, str]:
    """Describe all that the result of a fit depends on.

    Raises
    ------
    TypeError
        If another process could not find a parameter's value again.
    """
    found = {"class": describe(type(estimator))}
    for name, value in estimator.get_params(deep=False).items():
        if name in WITHOUT_EFFECT:
            continue
        try:
            found[name] = describe(value if name != "callbacks" else _made_of(value))
        except TypeError as error:
            raise TypeError(
                "expected parameters that another process can recognize for "
                f"checkpoint_dir, got {name}, which it cannot, because: {error}. "
                "Pass a function or an object of plain values, or checkpoint_dir=None."
            ) from error
    for name, value in data.items():
        if hasattr(value, "shape"):
            found |= {f"{name}.{part}": str(getattr(value, part)) for part in PARTS}
        found[name] = describe(value)
    # The seconds of an epoch are never the same.
    nets = [replace(net, history=[]) for net in before]
    found["fit before"] = describe(nets)
    versions = {name: version(name) for name in LIBRARIES}
    return {**found, "sk_autoencoder": own_version(), **versions}


def _made_of(callbacks: Any) -> list[str]:
    """Describe callbacks by what they were made of, as far as that can be done.

    Some write to files, or to a service: where to changes no result.
    """
    found = []
    for callback in _unnamed(callbacks):
        kind = type(callback)
        try:
            found.append(describe([kind, callback.get_params(deep=False)]))
        except (AttributeError, TypeError):
            found.append(describe(kind))
    return found


def _unnamed(callbacks: Any) -> list[Any]:
    """Return callbacks without their names, and without those that only print."""
    found = [item[1] if isinstance(item, tuple) else item for item in callbacks or ()]
    return [callback for callback in found if not isinstance(callback, SHOWING)]


def _is_finite(state: RunState) -> bool:
    """Whether all numbers of a run are; one that is about to fail has others."""
    net = state.net
    left: list[Any] = [net.raw_weights or list(net.module.values()), net.optimizer]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        elif isinstance(value, np.ndarray | float) and not np.isfinite(value).all():
            return False
    return True


def _check_run(net: Any, state: RunState) -> None:
    """Refuse a run that a net cannot have had; the net is left as it is."""
    check_net(state.net)
    need(state.net.optimizer is not None, "a run of a net that is for use alone")
    before = NetSnapshot(net)
    try:
        check_state(net, state.net)
    finally:
        before.restore()
    n_new = len(state.net.history) + state.net.n_dropped - net.n_epochs_
    need(state.net.n_dropped == net.n_dropped_ and n_new >= 0, "epochs of another fit")
    need(state.best_epoch <= n_new, "a best epoch that was none")
    module = net.module_.state_dict()
    if state.best is not None:
        check_arrays("best", state.best, module)
        for name, tensor in module.items():
            check_module_array(name, state.best[name], to_array(tensor))
