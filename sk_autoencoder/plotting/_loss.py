"""The course of training: loss by epoch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder.plotting._common import (
    GRAY,
    OKABE_ITO,
    Display,
    count_in_whole_numbers,
    last_step,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Text


@dataclass(eq=False, repr=False)
class LossCurveDisplay(Display):
    """Training and validation loss by epoch, with the epoch that was kept.

    It is recommended to use :func:`~LossCurveDisplay.from_estimator` to create a
    display. All parameters are stored as attributes.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        The training loss of each epoch.
    validation_loss_curve : array-like of shape (n_epochs,), default=None
        The validation loss of each epoch; None or empty if there were no
        validation rows.
    best_epoch : int, default=None
        The epoch whose weights were kept, counted from 1; 0 is the state before
        training. None draws no mark.
    estimator_name : str, default=None
        Name of the estimator, in the title.
    loss_label : str, default="Loss"
        Label of the vertical axis: the loss and its units.
    phases : sequence of str, default=None
        Name of the phase of each epoch if there are several, as with
        `pretrain="layerwise"`: the curves are broken between two phases, and a line
        separates them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure containing the axes.
    line_ : matplotlib Line2D
        The training loss.
    validation_line_ : matplotlib Line2D or None
        The validation loss, if there is one.
    best_epoch_line_ : matplotlib Line2D or None
        The vertical mark at the best epoch, if it is known.
    phase_labels_ : list of matplotlib Text
        The names of the phases above their epochs; empty without phases.

    See Also
    --------
    LossCurveDisplay.from_estimator : Draw the loss curves of a fitted estimator.
    LatentDisplay : Scatter plot of the code.
    ReconstructionDisplay : Images above their reconstructions.

    Examples
    --------
    >>> from sk_autoencoder.plotting import LossCurveDisplay
    >>> display = LossCurveDisplay(
    ...     [0.9, 0.5, 0.3, 0.2], [0.8, 0.6, 0.5, 0.55], best_epoch=3
    ... ).plot()
    >>> display.ax_.get_xlabel()
    'Epoch'
    """

    loss_curve: Any
    validation_loss_curve: Any = None
    _: KW_ONLY
    best_epoch: int | None = None
    estimator_name: str | None = None
    loss_label: str = "Loss"
    phases: Sequence[str] | None = None
    _epochs: Any = field(default=None, init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Axes | None = None,
        log_scale: bool = False,
        name: str | None = None,
    ) -> LossCurveDisplay:
        """Draw the loss curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted autoencoder, or a Pipeline that ends in one: anything with
            `loss_curve_` and, if it has them, `validation_loss_curve_`,
            `best_epoch_`, and a `history_` with the phase of each epoch.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        log_scale : bool, default=False
            Whether the loss is drawn on a logarithmic scale.
        name : str, default=None
            Name of the estimator in the title. If None, the name of its class.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.LossCurveDisplay`
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator keeps no loss curve.
        ValueError
            If there is no epoch to draw, or a loss has no logarithm.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sk_autoencoder import AutoEncoderTransformer
        >>> from sk_autoencoder.plotting import LossCurveDisplay
        >>> X, _ = load_iris(return_X_y=True)
        >>> ae = AutoEncoderTransformer(2, max_epochs=5, random_state=0).fit(X)
        >>> display = LossCurveDisplay.from_estimator(ae)
        >>> len(display.line_.get_xdata())
        5
        """
        estimator = last_step(estimator)
        check_is_fitted(estimator)  # before an attribute of the fit is asked for
        cls._check_estimator(
            estimator,
            "loss_curve_",
            advice="an autoencoder, or a Pipeline that ends in one, such as the "
            "search's best_estimator_",
        )
        history = getattr(estimator, "history_", None) or []
        phases = [row.get("phase") for row in history]
        display = cls(
            estimator.loss_curve_,
            getattr(estimator, "validation_loss_curve_", None),
            best_epoch=getattr(estimator, "best_epoch_", None),
            estimator_name=name_of(estimator) if name is None else name,
            loss_label=getattr(estimator, "_loss_label", "Loss"),
            phases=None if None in phases or not phases else phases,
        )
        # Of a long stream the history has the last epochs only.
        display._epochs = [row["epoch"] for row in history] or None
        return display.plot(ax, log_scale=log_scale)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        log_scale: bool = False,
        name: str | None = None,
    ) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.
        log_scale : bool, default=False
            Whether the loss is drawn on a logarithmic scale.
        name : str, default=None
            Name of the estimator in the title. If None, `estimator_name`.

        Returns
        -------
        display : :class:`~sk_autoencoder.plotting.LossCurveDisplay`
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no epoch to draw, the curves or the phases differ in length, or
            a loss has no logarithm.
        """
        train, validation = self._curves(log_scale)
        n_epochs = len(train)
        starts = self._phase_starts(n_epochs)
        epochs = np.arange(1, n_epochs + 1) if self._epochs is None else self._epochs
        ax = self._take_axes(ax)
        # A curve of one epoch is a point: without a marker nothing would show.
        lone = 1 in np.diff([*starts, n_epochs])
        style: dict[str, Any] = {"marker": "o", "markersize": 4} if lone else {}

        def draw(curve: np.ndarray, color: str, label: str) -> Line2D:
            # From phase to phase the loss is one of something else: no line between.
            x = np.insert(np.asarray(epochs, dtype=float), starts[1:], np.nan)
            y = np.insert(curve, starts[1:], np.nan)
            return ax.plot(x, y, color=color, label=label, **style)[0]

        self.line_ = draw(train, OKABE_ITO[0], "training")
        self.validation_line_ = (
            draw(validation, OKABE_ITO[3], "validation") if validation.size else None
        )
        self.best_epoch_line_: Line2D | None = None
        if self.best_epoch is not None and self.best_epoch >= epochs[0] - 1:
            before = ", before training" if self.best_epoch == 0 else ""
            self.best_epoch_line_ = ax.axvline(
                self.best_epoch,
                color=GRAY,
                linestyle="--",
                linewidth=1,
                zorder=1,
                label=f"best epoch: {self.best_epoch}{before}",
            )
        if log_scale:
            ax.set_yscale("log")
        self._name_phases(ax, starts, epochs)
        count_in_whole_numbers(ax)
        title = self._title(name, "loss by epoch")
        ax.set(xlabel="Epoch", ylabel=self.loss_label, title=title)
        ax.legend()
        return self

    def _phase_starts(self, n_epochs: int) -> list[int]:
        """Positions in the curve at which phases begin; without any, the first."""
        if self.phases is None:
            return [0]
        if len(self.phases) != n_epochs:
            raise ValueError(
                f"expected phases of {n_epochs} epochs, as many as loss_curve has, got "
                f"{len(self.phases)}. Pass one name for each epoch, or None."
            )
        names = list(self.phases)
        return [i for i in range(n_epochs) if i == 0 or names[i] != names[i - 1]]

    def _name_phases(self, ax: Axes, starts: list[int], epochs: Any) -> None:
        """Write each phase's name above its epochs, and draw lines between them."""
        self.phase_labels_: list[Text] = []
        if self.phases is None:
            return
        left = epochs[0] - 0.5
        ax.set_xlim(left=min(left, ax.get_xlim()[0]))  # the first name is within
        for start in starts:
            if start:
                ax.axvline(epochs[start] - 0.5, color=GRAY, linewidth=0.8, zorder=1)
            label = ax.annotate(
                self.phases[start],
                (epochs[start] - 0.5, 0),  # below: a phase's first losses are high
                xycoords=("data", "axes fraction"),
                xytext=(2, 4),
                textcoords="offset points",
                rotation=90,
                ha="left",
                va="bottom",
                fontsize="small",
                color="#555555",
            )
            self.phase_labels_.append(label)

    def _curves(self, log_scale: bool) -> tuple[np.ndarray, np.ndarray]:
        """Both curves as arrays, refused before anything is drawn."""
        train = np.asarray(self.loss_curve, dtype=float)
        validation = self.validation_loss_curve
        validation = np.asarray([] if validation is None else validation, dtype=float)
        if train.size == 0:
            raise ValueError(
                "expected the loss of at least one epoch, got an empty loss_curve. "
                "Fit with max_epochs of 1 or more."
            )
        if validation.size not in (0, train.size):
            raise ValueError(
                f"expected a validation_loss_curve of {train.size} epochs, as many as "
                f"loss_curve has, got {validation.size}. Pass one value for each "
                "epoch, or None."
            )
        lowest = min(train.min(), validation.min(initial=np.inf))
        if log_scale and lowest <= 0:
            raise ValueError(
                f"expected losses above 0 for log_scale=True, got {lowest:.4g}. Pass "
                "log_scale=False: a log-likelihood, for one, may have either sign."
            )
        return train, validation
