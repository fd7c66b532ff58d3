"""Joins network, objective and columns to a net, and refuses what does not fit."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import LIKELIHOODS, ColumnStatistics, NumericColumns
from sk_autoencoder._module import AutoEncoderModule
from sk_autoencoder._net import AutoEncoderNet
from sk_autoencoder._protocols import Network, Objective
from sk_autoencoder._random import Seeds, make_generator

__all__ = ["Plan", "build_net", "check_statistics", "resolve_device"]

# Beyond these float32 loses a column's values, or a product of two of them.
SMALLEST_RANGE, LARGEST_RANGE = 1e-30, 1e30


@dataclass(frozen=True)
class Plan:
    """All that a net is built from: resolved settings and statistics, no weights.

    Attributes
    ----------
    network : Network
    objective : Objective
    scaling : {"none", "standard", "minmax"}
    likelihood : str
        A key of `LIKELIHOODS`.
    statistics : ColumnStatistics
        Of the training rows.
    n_components : int
        Numbers in a code; for a stack it follows from the network.
    stacked : bool
        Whether the code is all hidden layers of a stack without bottleneck.
    seeds : Seeds
    device : str
    settings : dict
        Further arguments of `AutoEncoderNet`.
    """

    network: Network
    objective: Objective
    scaling: str
    likelihood: str
    statistics: ColumnStatistics
    n_components: int
    stacked: bool
    seeds: Seeds
    device: str
    settings: dict[str, Any] = field(default_factory=dict)


def build_net(plan: Plan) -> AutoEncoderNet:
    """Build the net of a plan, with fresh weights, ready to train."""
    check_statistics(plan, plan.statistics)
    module = _build_module(plan)
    net = AutoEncoderNet(
        module,
        seeds=plan.seeds,
        device=plan.device,
        predict_nonlinearity=module.columns.decode,
        **plan.settings,
    )
    return net.initialize()


def _build_module(plan: Plan) -> AutoEncoderModule:
    """Build the module of a plan, with fresh weights."""
    columns = NumericColumns(
        scaling=plan.scaling, likelihood=plan.likelihood, statistics=plan.statistics
    )
    generator = make_generator(plan.seeds.weights)
    if plan.stacked:
        encoder, decoder = plan.network.build_stack(
            n_inputs=columns.n_inputs,
            n_outputs=columns.n_outputs,
            generator=generator,
        )
    else:
        encoder, decoder = plan.network.build(
            n_inputs=columns.n_inputs,
            n_statistics=plan.objective.n_statistics(plan.n_components),
            n_components=plan.n_components,
            n_outputs=columns.n_outputs,
            generator=generator,
        )
    return AutoEncoderModule(
        columns=columns, encoder=encoder, decoder=decoder, objective=plan.objective
    )


def check_statistics(plan: Plan, statistics: ColumnStatistics) -> None:
    """Refuse rows that the plan's likelihood or float32 cannot take.

    Parameters
    ----------
    plan : Plan
    statistics : ColumnStatistics
        Of the rows: those of the plan, or others that come later.
    """
    low, high = statistics.low.min(), statistics.high.max()
    if LIKELIHOODS[plan.likelihood].needs_unit_interval:
        name = "likelihood" if plan.likelihood == "bernoulli" else "loss"
        if plan.scaling == "standard":
            raise ValueError(
                f"expected targets in [0, 1] for {name}={plan.likelihood!r}, got "
                "numeric_scaling='standard', which gives others. Pass "
                "numeric_scaling='minmax' or 'none'."
            )
        if plan.scaling == "none" and not (low >= 0 and high <= 1):
            raise ValueError(
                f"expected X in [0, 1] for {name}={plan.likelihood!r}, got values "
                f"from {low:.6g} to {high:.6g}. Pass numeric_scaling='minmax', or "
                f"another {name}."
            )
    with np.errstate(over="ignore"):
        widest = np.max(statistics.high - statistics.low)
    if not widest <= LARGEST_RANGE or 0 < widest < SMALLEST_RANGE:
        raise ValueError(
            "expected columns whose ranges fit float32, the widest between "
            f"{SMALLEST_RANGE:g} and {LARGEST_RANGE:g}, got {widest:g}. Scale X first, "
            "as with StandardScaler."
        )


def resolve_device(device: str | torch.device) -> torch.device:
    """Find the device: "auto" is a CUDA device where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"expected a device that torch can use here, got device={device!r}, "
            f"because: {reason}. Pass device='auto' or device='cpu'."
        ) from error
    return found
