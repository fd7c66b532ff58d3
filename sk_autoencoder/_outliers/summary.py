"""What a detector has seen, what it is made of, and where its threshold is."""

from typing import Any

import numpy as np

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.summary import columns_of, layout
from sk_autoencoder._outliers.members import one_line
from sk_autoencoder._outliers.scorer import Scorer
from sk_autoencoder._outliers.terms import Ranks
from sk_autoencoder._outliers.threshold import MOST_SCORES, least_p_value


def summarize(
    name: str,
    scorer: Scorer,
    *,
    measure: str,
    novelty: bool,
    offset: float,
    scores: np.ndarray | None,
    held_out: tuple[np.ndarray, ...] | None,
    is_held_out: bool,
) -> str:
    """Describe a fitted detector, a line for each subject.

    Parameters
    ----------
    name : str
        Of its class.
    scorer : Scorer
    measure : str
    novelty : bool
    offset : float
        The threshold.
    scores : ndarray or None
        Of the training samples, which the threshold comes from, in their order.
    held_out : tuple of ndarray or None
        Scores by transformers that have not seen the samples.
    is_held_out : bool
        Whether the threshold comes from such scores.
    """
    members, n_features = scorer.members.estimators, len(scorer.members.scales.center)
    ours = [member for member in members if isinstance(member, BaseAutoEncoder)]
    exemplars = [len(t.exemplars.scores) for t in scorer.terms if isinstance(t, Ranks)]
    lines = {
        "Data": f"{_counted(scores)} samples; "
        + (columns_of(ours[0]._plan) if ours else f"numbers: {n_features:,}"),
        "Measure": f"{measure}, novelty={novelty}",
        "Members": _members(members),
        "Neighbors": "".join(f"{n:,} exemplars" for n in exemplars),
        "Training": _training(ours),
        "Threshold": f"{offset:.4g}: {_origin(offset, scores, is_held_out)}",
        "P-values": _p_values(held_out),
        "Device": str(ours[0].device_) if ours else "",
    }
    head = f"{name}: {n_features:,} features"
    return layout(head, {key: text for key, text in lines.items() if text})


def _counted(scores: np.ndarray | None) -> str:
    """Return how many training samples there were."""
    if scores is None:
        return "unknown number of"
    return f"{'at least ' if len(scores) == MOST_SCORES else ''}{len(scores):,}"


def _members(members: list[Any]) -> str:
    """Name the transformers, with their components and what each was trained on."""
    if not isinstance(members[0], BaseAutoEncoder):
        return ", ".join(map(one_line, members))
    sizes = ", ".join(f"{member.n_components_:,}" for member in members)
    seen = sorted({member._plan.statistics.n_rows for member in members})
    kind, n_rows = type(members[0]).__name__, " or ".join(f"{n:,}" for n in seen)
    return f"{len(members)} of {kind}: -> {sizes}; trained on {n_rows} samples"


def _training(members: list[BaseAutoEncoder]) -> str:
    """Return how many epochs all members were trained, and how long."""
    epochs = [row for member in members for row in member.history_]
    seconds = sum(row.get("dur") or 0.0 for row in epochs)
    return f"{len(epochs):,} epochs in {seconds:.1f} s" if epochs else ""


def _origin(offset: float, scores: np.ndarray | None, is_held_out: bool) -> str:
    """Return what the threshold is a quantile of."""
    if scores is None:
        return "a quantile of the training samples' scores"
    whose = ", each by transformers that have not seen it" if is_held_out else ""
    percent = 100 * np.mean(scores < offset)
    return f"above {percent:.3g} % of the training samples' scores{whose}"


def _p_values(held_out: tuple[np.ndarray, ...] | None) -> str:
    """Return what p-values come from."""
    if held_out is None:
        return "none: threshold='held_out' gives scores of samples not seen"
    n_scores = sum(map(len, held_out))
    return f"from {n_scores:,} scores, {least_p_value(held_out):.3g} at least"
