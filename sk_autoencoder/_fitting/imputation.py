"""Whether a masked network fills each column better than its median or mode."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from sk_autoencoder._columns import LevelColumns
from sk_autoencoder._columns.bins import BinnedColumn
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.conditionals import Conditionals, fillings
from sk_autoencoder._inference.linear_filling import LARGEST, LinearFilling
from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.threads import threads_for
from sk_autoencoder._utils.values import Range

# Numbers of the rows that regressions are made of, one-hots among them: 80 MB.
MOST_CELLS = 10_000_000
# Fractions of the step to a linear regression that are tried. The mean of two
# predictors with different errors is usually better than either: the first is taken,
# unless another is clearly better.
FRACTIONS = (0.5, 0.0, 1.0)
# Standard errors that make it clear:
# docs/development/decisions/0047-filled-by-two-predictors.md
CLEAR = 2.0
# The farthest training cells of a column, which may be errors: its variance is that of
# the others.
N_WILD = 3


@dataclass(frozen=True)
class Imputation:
    """How well hidden validation cells were filled, by column.

    Numbers have a mean squared error, categories the fraction of cells that were right.

    Attributes
    ----------
    network, constant : ndarray of shape (n_columns,)
        By the network and `linear`, and by the median or the mode; 0 without a hidden
        cell.
    keeps_constant : tuple of bool
        Whether the median or the mode fills, for each column.
    shares : ndarray of shape (n_columns,)
        Fractions in `linear` of the step from the network to a regression.
    linear : LinearFilling or None
        What is added to the numbers of the network; None if there are none.
    """

    network: Annotated[np.ndarray, Range(0, shape="n")]
    constant: Annotated[np.ndarray, Range(0, shape="n")]
    keeps_constant: tuple[bool, ...]
    shares: Annotated[np.ndarray, Range(0, 1, shape="n")]
    linear: LinearFilling | None

    def applied(
        self, filled: np.ndarray, rows: np.ndarray, columns: LevelColumns
    ) -> np.ndarray:
        """Return filled rows with the median or the mode where that is nearer.

        Parameters
        ----------
        filled, rows : ndarray of shape (n_samples, n_features)
            After and before; `filled` is written to.
        columns : LevelColumns
        """
        constants = columns.constant_cells()
        for column in np.flatnonzero(self.keeps_constant):
            i = columns.index[column]
            filled[np.isnan(rows[:, i]), i] = constants[column]
        return filled

    def report(self, columns: LevelColumns) -> dict[Any, dict[str, Any]]:
        """Return what users see, by the names of the columns."""
        found = {}
        for i, constant in enumerate(self.keeps_constant):
            is_number = columns.means[i] is not None
            name = "median" if is_number else "mode"
            found[columns.kinds[i].name] = {
                "measure": "squared_error" if is_number else "accuracy",
                "network": float(self.network[i]),
                name: float(self.constant[i]),
                "kept": name if constant else "network",
            }
            if is_number:
                found[columns.kinds[i].name]["regression"] = float(self.shares[i])
        return found


def measure_imputation(
    net: AutoEncoderNet, plan: Plan, rows: TrainingRows
) -> Imputation | None:
    """Decide on hidden validation cells what fills each column.

    The network, for numbers with a fraction of the step to a linear regression, or the
    median or mode.

    Parameters
    ----------
    net : AutoEncoderNet
    plan : Plan
        One that `is_masked`.
    rows : TrainingRows
        That it was fitted to.

    Returns
    -------
    imputation : Imputation or None
        None without validation samples.
    """
    train, valid = net.get_split_datasets(rows)
    if valid is None:
        return None
    with torch.no_grad(), threads_for(net.batch_size * net.module_.n_weights()):
        filler = _Filler(net, plan.level_columns())
        linear = filler.regressions(train)
        losses, clear = filler.judged(valid, linear)
    networks = np.where(clear, losses, np.inf)[:-1]
    best, network, constant = networks.argmin(axis=0), networks.min(axis=0), losses[-1]
    keeps_constant = clear[-1] & (constant < network)
    is_number = filler.is_number.cpu().numpy()
    shares = np.where(is_number, np.array(FRACTIONS)[best], 0.0)
    if linear is not None:
        linear = linear.scaled(shares)
    units = np.where(is_number, filler.units.cpu().numpy(), 1.0)
    with np.errstate(over="ignore"):
        network, constant = (
            np.where(is_number, (x * units * units).clip(0, LARGEST), 1 - x)
            for x in (network, constant)
        )
    return Imputation(network, constant, tuple(keeps_constant.tolist()), shares, linear)


class _Filler:
    """A trained network that fills cells of training and validation rows.

    Parameters
    ----------
    net : AutoEncoderNet
    columns : LevelColumns

    Attributes
    ----------
    is_number : Tensor of bool of shape (n_columns,)
    units : Tensor of shape (n_columns,)
        The largest training value, by which errors are divided: squares may overflow.
    """

    def __init__(self, net: AutoEncoderNet, columns: LevelColumns) -> None:
        self._net, self._columns = net, columns
        self._model = Conditionals.of(net.module_.network)
        self._centers = columns.centers().to(self._model.bias.device)
        self.is_number = ~self._centers[self._model.network.offsets[:-1]].isnan()
        self.units = torch.from_numpy(_units(columns)).to(self._centers)

    def regressions(self, train: Any) -> LinearFilling | None:
        """Regress numbers on other cells of training rows; None without numbers."""
        if not self.is_number.any():
            return None
        step, rows = -(-len(train) * len(self._centers) // MOST_CELLS), []
        for x, _ in self._net.get_iterator(train):
            cells = x[::step]
            found, values = self._found(cells), self._values(cells)
            rows.append(torch.where(cells == HIDDEN, found, values))
        return LinearFilling.of(self._columns, torch.cat(rows))

    def judged(
        self, valid: Any, linear: LinearFilling | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score what may fill cells, on hidden validation cells.

        Returns
        -------
        losses : ndarray of shape (n_fractions + 1, n_columns)
            Mean squared errors over squared `units`, or fractions of cells that were
            wrong: by the network with each of `FRACTIONS`, and by medians and modes.
        clear : ndarray of bool of the same shape
            Whether a loss is clearly below the first one; True for the first.
        """
        columns, net = self._columns, self._net
        objective, generator = net.module_.objective, net.module_.generator
        constants = torch.from_numpy(columns.constant_cells()).to(self._centers)
        n_columns = len(constants)
        steps = [linear and linear.scaled(np.full(n_columns, s)) for s in FRACTIONS]
        sums = torch.zeros(4, len(FRACTIONS) + 1, n_columns, dtype=torch.float64)
        counts = torch.zeros(n_columns, dtype=torch.float64)
        with net.validation_noise():
            for x, _ in net.validation_batches(valid):
                inputs = objective.validation_inputs(x, columns, generator)
                hidden, true = inputs == HIDDEN, self._values(x)
                found = torch.where(hidden, self._found(inputs), true)
                fills = [
                    one.applied(found, hidden, columns) if one else found
                    for one in steps
                ]
                every = torch.stack([*fills, constants.expand_as(found)])
                gaps = every / self.units - true / self.units
                losses = torch.where(
                    self.is_number, gaps.square(), (gaps != 0).double()
                )
                scored = hidden & (x.long() != HIDDEN)
                losses = torch.where(scored, losses, 0.0)
                gains = losses[:1] - losses
                terms = torch.stack([losses, gains, gains.square(), losses.square()])
                sums += terms.sum(dim=2).cpu()
                counts += scored.sum(dim=0).cpu()
        means, gains, gains_2, losses_2 = (sums / counts.clamp_min(1)).numpy()
        variances = (gains_2 - gains**2) / counts.clamp_min(1).numpy()
        # Rare large values have most of the variance, and may be missing among so few
        # cells: the variance is raised to that of the training cells.
        seen = (losses_2[-1] - means[-1] ** 2).clip(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            tails = np.fmax(1.0, _variances(columns) / seen)
            clear = gains > CLEAR * np.sqrt(variances.clip(0) * tails)
        clear[0] = True
        return means, clear

    def _found(self, cells: Tensor) -> Tensor:
        """Return what each cell would be filled with by the network alone."""
        return fillings(self._model, cells, self._centers)

    def _values(self, cells: Tensor) -> Tensor:
        """Return numbers and numbers of levels; those of missing cells mean nothing."""
        return self._columns.values(cells).to(self._centers)


def _units(columns: LevelColumns) -> np.ndarray:
    """Return the largest value of each number without its sign, 1 for categories."""
    return np.array(
        [
            np.abs(kind.bins.values[[0, -1]]).max()
            if isinstance(kind, BinnedColumn)
            else 1.0
            for kind in columns.kinds
        ]
    )


def _variances(columns: LevelColumns) -> np.ndarray:
    """Return the variance of squared distances from medians, over that of `_units`.

    NaN for categories. The farthest few cells are left out, which may be errors: a
    single one would make this so large that the network is kept, though its means are
    spoiled by that cell.
    """
    found, units = np.full(len(columns.kinds), np.nan), _units(columns)
    for i, kind in enumerate(columns.kinds):
        if isinstance(kind, BinnedColumn):
            bins = kind.bins
            unit = units[i]
            losses = (bins.values / unit - bins.median / unit) ** 2
            levels, order = bins.encode(bins.values), losses.argsort()
            cells = (bins.counts / np.bincount(levels))[levels][order].cumsum()
            kept = np.minimum(cells, max(cells[-1] - N_WILD, 1.0))
            weights, losses = np.diff(kept, prepend=0) / kept[-1], losses[order]
            found[i] = weights @ losses**2 - (weights @ losses) ** 2
    return found
