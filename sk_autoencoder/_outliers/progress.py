"""What a detector tells of its fits while they run, and whom."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm.std import tqdm

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._training.callbacks import bar_class
from sk_autoencoder._utils.tasks import FitTasks


class FitProgress:
    """Lines, or a progress bar on the standard error stream, over several fits.

    Parameters
    ----------
    n_fits : int
    verbose : int
        0 shows nothing, 1 a line for each fit, 2 or more a bar.
    tasks : FitTasks
        Of the detector, which scikit-learn's callbacks are told.
    """

    def __init__(self, n_fits: int, verbose: int, tasks: FitTasks) -> None:
        self._tasks = tasks
        self._n_fits, self._n_done, self._verbose = n_fits, 0, int(verbose)
        self._start = time.perf_counter()
        self.part = ""  # what the fits that follow are for

    def __enter__(self) -> Self:
        hidden = self._verbose < 2
        self._bar = bar_class()(
            total=self._n_fits, unit="fit", leave=False, disable=hidden, mininterval=0
        )
        self._tasks.begin_fit(self._n_fits)
        return self

    @contextmanager
    def fitting(self, estimator: Any) -> Iterator[None]:
        """Pass callbacks on to a fit, count it once it is done, and tell of what."""
        task = "fit-fold" if self.part else "fit-estimator"
        with self._tasks.fit_of(estimator, task):
            yield
        self._n_done += 1
        name = type(estimator).__name__ + self.part
        if isinstance(estimator, BaseAutoEncoder):
            name = f"{estimator.n_components_} components{self.part}"
        self._bar.set_postfix_str(name, refresh=False)
        self._bar.update()
        if self._verbose == 1:
            seconds = time.perf_counter() - self._start
            message = (
                f"fitted {self._n_done} of {self._n_fits}: {name}, {seconds:.1f} s"
            )
            tqdm.write(f"[AutoEncoderOutlierDetector] {message}", file=sys.stdout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
