"""What an interrupt by the user, a KeyboardInterrupt, does to a fit.

An interrupt may come between any two instructions. Nothing here replaces a signal
handler: what can be interrupted is written so that it can be run again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sk_autoencoder._utils.tasks import FitTasks

T = TypeVar("T")


class Interrupts:
    """Decides whether a fit that is interrupted still gives something.

    Before the first training step an interrupt ends the fit. After it the first one
    ends the training only: what the fit has reached is brought in order and kept. A
    second one gives up.

    Parameters
    ----------
    keeps : bool, default=True
        Whether anything is to be kept; without it every interrupt ends the fit.
    tasks : FitTasks or None
        Of the fit; None tells nobody.

    Attributes
    ----------
    has_stepped : bool
        Whether a first training step has begun.
    caught : bool
        Whether an interrupt has come: nothing more is to be trained.
    """

    def __init__(self, *, keeps: bool = True, tasks: FitTasks | None = None) -> None:
        self.keeps = keeps
        self.tasks = tasks or FitTasks()
        self.has_stepped = False
        self.caught = False

    def run(self, step: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Run a step of a fit, and bring it in order if an interrupt ended it.

        Parameters
        ----------
        step : callable () -> result
            Trains nothing once `caught` is True.
        again : callable () -> result or None
            What to run after an interrupt; None is `step`.

        Raises
        ------
        KeyboardInterrupt
            If there is nothing to be kept, or this is the second interrupt.
        """
        try:
            return step()
        except KeyboardInterrupt:
            if self.caught or not (self.keeps and self.has_stepped):
                raise
            self.caught = True
        return (again or step)()


def run_to_end(step: Callable[[], object]) -> None:
    """Run something short that must not be left half done, then pass on interrupts.

    Parameters
    ----------
    step : callable ()
        Can be run again from wherever it was interrupted.
    """
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            step()
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


@contextmanager
def all_or_nothing(
    estimator: object, also: Sequence[Callable[[], object]] = ()
) -> Iterator[None]:
    """Put the attributes of an estimator back if the block raises.

    Parameters
    ----------
    estimator : object
    also : sequence of callable ()
        Put back what the attributes hold; see `run_to_end`.
    """
    before = dict(vars(estimator))

    def restore() -> None:
        for function in also:
            function()
        estimator.__dict__ = dict(before)

    try:
        yield
    except BaseException:
        run_to_end(restore)
        raise
