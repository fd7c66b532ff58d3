"""Networks that are trained as they were given: what their decoder gives."""

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from sk_autoencoder._columns import NumberColumn
from sk_autoencoder._fitting.build import output_width
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder.networks.user import DecoderOutput

# Fraction of a range by which data may leave it: rounding.
ROUNDING = 1e-6


def with_outputs(plan: Plan) -> Plan:
    """Resolve what the decoder gives, and warn of data that it cannot give.

    Parameters
    ----------
    plan : Plan
        Of modules of the user's own, to be trained as given.
    """
    network: Any = plan.network
    plan = replace(plan, given_outputs="data")
    found: DecoderOutput = network.decoder_output(
        n_components=plan.n_components,
        n_outputs=output_width(plan),
        generator=make_generator(plan.seeds.weights),
        takes_logits=plan.needs_unit_interval,
    )
    plan = replace(plan, given_outputs=found.outputs)
    if not found.is_known:
        warnings.warn(
            "expected a decoder whose last operation can be read, got decoder="
            f"{type(network.decoder).__name__}(...): its output is taken for "
            f"{found.outputs!r} without bounds. Pass outputs='data' or 'logits' and "
            "output_range=(low, high) to UserNetwork.",
            UserWarning,
            stacklevel=caller_level(),
        )
    elif (message := _outside(plan, found)) is not None:
        warnings.warn(message, UserWarning, stacklevel=caller_level())
    return plan


def _outside(plan: Plan, found: DecoderOutput) -> str | None:
    """Return what is to be said of training data outside of a decoder's range."""
    low, high = found.range
    if found.outputs == "logits":
        low, high = _sigmoid(low), _sigmoid(high)
    least, greatest = data_range(plan)
    margin = ROUNDING * (high - low) if math.isfinite(high - low) else 0.0
    advice = "a decoder with another last layer"
    if least < low - margin or greatest > high + margin:
        if plan.scaling != "minmax" and low <= 0 and high >= 1:
            advice = f"numeric_scaling='minmax', or {advice}"
        return (
            "expected training data in the range of the decoder's output, from "
            f"{low:.6g} to {high:.6g}, got data from {least:.6g} to {greatest:.6g} for "
            f"numeric_scaling={plan.scaling!r}: what lies outside cannot be "
            f"reconstructed. Pass {advice}."
        )
    if plan.table is not None and plan.table.has_categories and low > -math.inf:
        return (
            "expected a decoder without bounds for a table with categories, which are "
            f"decoded from logits, got one whose output is from {low:.6g} to "
            f"{high:.6g}. Pass {advice}."
        )
    return None


def data_range(plan: Plan) -> tuple[float, float]:
    """Return the least and greatest training number in the units of the scaling."""
    if plan.table is None:
        scale, statistics = plan.scale, plan.statistics
        low = (statistics.low - scale.origin) / scale.unit
        high = (statistics.high - scale.origin) / scale.unit
        return float(low.min()), float(high.max())
    ends = []
    for column in plan.table.columns:
        if isinstance(column, NumberColumn) and not column.is_constant:
            factor, shift = column.to_network(plan.scaling)
            ends.append(
                column.scaled(np.array([column.low, column.high])) * factor + shift
            )
    # Infinity the wrong way round, without numbers, is in every range.
    return (
        float(min((low for low, _ in ends), default=math.inf)),
        float(max((high for _, high in ends), default=-math.inf)),
    )


def _sigmoid(x: float) -> float:
    return 0.5 * (1 + math.tanh(0.5 * x))
