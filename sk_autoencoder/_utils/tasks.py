"""What scikit-learn's own callbacks are told of a fit: its runs and their epochs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sk_autoencoder._utils.sklearn_compat import CALLBACKS, CallbackSupportMixin


def tasks_of(estimator: Any, X: Any, y: Any = None) -> "FitTasks":
    """Set up the callbacks of a fit, before anything of it can be undone.

    Parameters
    ----------
    estimator : estimator
    X, y
        As `fit` was given them.
    """
    params = estimator.get_params(deep=False)
    has_runs = bool(
        params.get("ordered")
        or params.get("pretrain") is not None
        or isinstance(params["n_components"], float)
    )
    return FitTasks(estimator, X, y, has_runs=has_runs)


class FitTasks:
    """The tasks of a fit, for scikit-learn's callbacks, which may stop it.

    A fit of one run has its epochs for tasks; one of several has the runs, and these
    their epochs; one of other estimators has their fits. Without callbacks nothing is
    told.

    Parameters
    ----------
    estimator : estimator or None
        Before `fit` touches it, since its callbacks are set up.
    X, y
        As `fit` was given them.
    has_runs : bool, default=False
        Whether there may be several runs.
    """

    def __init__(
        self,
        estimator: Any = None,
        X: Any = None,
        y: Any = None,
        *,
        has_runs: bool = False,
    ) -> None:
        self._of = {"estimator": estimator, "X": X, "y": y}
        self._has_runs = has_runs
        self._fit: Any = None
        self._run: Any = None
        self._epoch: Any = None
        self._has_begun = False
        if isinstance(estimator, CallbackSupportMixin) and hasattr(
            estimator, CALLBACKS
        ):
            self._fit = estimator._init_callback_context(  # noqa: SLF001 (meant for us)
                max_subtasks=None
            )

    def begin_run(self, n_epochs: int) -> None:
        """Call the callbacks as a run of at most so many epochs begins."""
        if not self._has_runs:
            self.begin_fit(n_epochs)
        elif self._fit is not None:
            self.begin_fit()
            self._run = self._fit.subcontext("run", max_subtasks=n_epochs)
            self._run.call_on_fit_task_begin(**self._of)

    def end_run(self) -> None:
        """Call the callbacks as a run ends."""
        if self._run is not None:
            self._run.call_on_fit_task_end(**self._of)
            self._run = None

    def begin_epoch(self) -> None:
        """Call the callbacks as an epoch begins."""
        parent = self._run or self._fit
        if parent is not None:
            self._epoch = parent.subcontext("epoch")
            self._epoch.call_on_fit_task_begin(**self._of)

    def end_epoch(self) -> bool:
        """Call the callbacks as an epoch ends; return whether one ends the run."""
        if self._epoch is None:
            return False
        return bool(self._epoch.call_on_fit_task_end(**self._of))

    @contextmanager
    def fit_of(self, inner: Any, name: str) -> Iterator[None]:
        """Pass the callbacks on to an estimator that is fitted in the block.

        Parameters
        ----------
        inner : estimator
            That of another library which takes no callbacks gets none: scikit-learn
            warns of it.
        name : str
            Of the task.
        """
        if self._fit is None:
            yield
            return
        task = self._fit.subcontext(name)
        with task.propagate_callback_context(inner):
            task.call_on_fit_task_begin(**self._of)
            yield
            task.call_on_fit_task_end(**self._of)

    def begin_fit(self, n_tasks: int | None = None) -> None:
        """Call the callbacks as the fit begins, once its tasks are counted, if ever."""
        if self._fit is not None and not self._has_begun:
            self._has_begun = True
            self._fit.max_subtasks = n_tasks
            self._fit.call_on_fit_task_begin(**self._of)

    def end_fit(self) -> None:
        """Call the callbacks as the estimator is fitted."""
        if self._fit is not None:
            self.begin_fit()
            self._fit.call_on_fit_task_end(**self._of, reconstruction_attributes={})
