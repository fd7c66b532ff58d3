"""Whether a masked network fills each column better than its median or mode."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from sk_autoencoder._columns import LevelColumns
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.conditionals import Conditionals, predict_cells
from sk_autoencoder._protocols import HIDDEN
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.threads import threads_for
from sk_autoencoder._utils.values import Range


@dataclass(frozen=True)
class Imputation:
    """How near hidden validation cells were to what fills them, by column.

    Of numbers the mean squared error, of categories the fraction right.

    Attributes
    ----------
    network, constant : ndarray of shape (n_columns,)
        By the network, and by the median or the mode; 0 without a hidden cell.
    """

    network: Annotated[np.ndarray, Range(0, shape="n")]
    constant: Annotated[np.ndarray, Range(0, shape="n")]

    def keeps_constant(self, columns: LevelColumns) -> np.ndarray:
        """Return for which columns the median or the mode is nearer, (n_columns,)."""
        is_number = np.array([means is not None for means in columns.means])
        gain = self.constant - self.network
        return np.where(is_number, gain, -gain) < 0

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
        kept = self.keeps_constant(columns)
        constants = columns.constant_cells()
        for column in np.flatnonzero(kept):
            i = columns.index[column]
            filled[np.isnan(rows[:, i]), i] = constants[column]
        return filled

    def report(self, columns: LevelColumns) -> dict[Any, dict[str, Any]]:
        """Return what users see, by the names of the columns."""
        found = {}
        for i, constant in enumerate(self.keeps_constant(columns)):
            is_number = columns.means[i] is not None
            name = "median" if is_number else "mode"
            found[columns.kinds[i].name] = {
                "measure": "squared_error" if is_number else "accuracy",
                "network": float(self.network[i]),
                name: float(self.constant[i]),
                "kept": name if constant else "network",
            }
        return found


def measure_imputation(
    net: AutoEncoderNet, plan: Plan, rows: TrainingRows
) -> Imputation | None:
    """Compare a trained network with medians and modes on hidden validation cells.

    Numbers stand for the means of their bins here: what they are beside these adds the
    same to both errors.

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
    _, valid = net.get_split_datasets(rows)
    if valid is None:
        return None
    module: Any = net.module_
    columns = plan.level_columns()
    centers = columns.centers().to(plan.device)
    first = module.network.offsets[:-1]
    constants = torch.from_numpy(columns.constant_cells()).to(plan.device)
    is_number = ~centers[first].isnan()
    sums = torch.zeros((3, len(first)), dtype=torch.float64, device=plan.device)
    work = threads_for(net.batch_size * module.n_weights())
    with torch.no_grad(), work, net.validation_noise():
        model = Conditionals.of(module.network)
        for x, _ in net.validation_batches(valid):
            inputs = module.objective.validation_inputs(x, columns, module.generator)
            true = x.long()
            hidden = (inputs == HIDDEN) & (true != HIDDEN)
            means, likeliest = predict_cells(model, inputs, centers.nan_to_num(0.0))
            values = centers[first + true.clamp_min(0)]
            pairs = (means, likeliest), (constants, constants)
            for row, (number, level) in enumerate(pairs):
                measured = torch.where(
                    is_number, (values - number).square(), (true == level).double()
                )
                sums[row] += torch.where(hidden, measured, 0.0).sum(dim=0)
            sums[2] += hidden.sum(dim=0)
    network, constant, counts = sums.cpu().numpy()
    return Imputation(*(np.stack([network, constant]) / np.maximum(counts, 1)))
