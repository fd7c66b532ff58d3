"""Hidden features as a block beside the columns themselves: `passthrough=True`."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._training.batches import TrainingRows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.threads import threads_for

# Principal components of the activations: on the tables of the benchmark all 768 are no
# better, and 32 lose .003 of AUC (docs/development/decisions/0027-columns-beside-
# hidden-features.md).
MOST_BLOCK_COLUMNS = 128


def with_block(
    plan: Plan, net: AutoEncoderNet, rows: TrainingRows, moments: LatentMoments
) -> Plan:
    """Reduce the activations to a block that varies as much as the columns beside it.

    Parameters
    ----------
    plan : Plan
        One with `passthrough`. The number of columns of a block that it has is kept.
    net : AutoEncoderNet
        Of the plan, trained; its module takes up the block.
    rows : TrainingRows
        That were trained on.
    moments : LatentMoments
        Of their codes, with the full covariance.
    """
    module: Any = net.module_
    every = net.get_iterator(rows, training=False)
    with threads_for(min(net.batch_size, len(rows)) * module.n_weights()):
        variance = _variance_of_passed(module, every)
    shown = np.arange(plan.n_components)
    if plan.output_index is not None:
        shown = np.array(plan.output_index)
    n_columns = min(MOST_BLOCK_COLUMNS, len(shown), max(1, len(rows) - 1))
    if plan.block_variances is not None:
        n_columns = len(plan.block_variances)
    latent_map, variances = LatentMap.reducing(
        moments.mean,
        moments.covariance,
        shown=shown,
        n_columns=n_columns,
        variance=variance,
    )
    module.latent_map.set_map(latent_map)
    return replace(plan, latent_map=latent_map, block_variances=variances)


def _variance_of_passed(module: Any, batches: Any) -> float:
    """Return the total variance of the columns beside the block."""
    found: ColumnStatistics | None = None
    with torch.inference_mode():
        for x, _ in batches:
            passed = module.passed(x + module.columns.mean, module.columns)
            part = ColumnStatistics.of(passed.cpu().numpy())
            found = part if found is None else found.joined(part)
    assert found is not None
    return float(found.squares.sum() / max(1, found.n_rows - 1))
