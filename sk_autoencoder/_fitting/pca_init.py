"""The principal axes in a plan: found in the rows, and moved by further rows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._protocols import Columns
from sk_autoencoder._training.stream import RowStream
from sk_autoencoder._utils.pca import PrincipalAxes, ScoredRows


def with_pca(plan: Plan, X: Any, *, n_more: int = 0) -> Plan:
    """Add the principal axes of the rows to a plan.

    Parameters
    ----------
    plan : Plan
    X : RowStream, or ndarray or CSR matrix of shape (n_samples, n_features)
        The training rows.
    n_more : int
        Axes beyond the components, for rows that come later.
    """
    return with_axes(plan, axes_of(plan, X, n_more=n_more))


def axes_of(plan: Plan, X: Any, *, n_more: int = 0) -> PrincipalAxes:
    """Find the principal axes of the rows, as many as components and some more."""
    columns = plan.columns()
    rows: ScoredRows = (
        _ScoredStream(X, columns)
        if isinstance(X, RowStream)
        else columns.scored_rows(X)
    )
    n_axes = min(plan.n_components + n_more, max(rows.shape[1], plan.n_components))
    return PrincipalAxes.of(rows, n_axes, plan.seeds.weights)


class _ScoredStream:
    """Rows of a stream as a score sees them, read anew each time."""

    def __init__(self, stream: RowStream, columns: Columns) -> None:
        self._stream, self._columns = stream, columns
        one = columns.scored_rows(np.zeros((1, stream.shape[1]), stream.dtype))
        self.shape = (len(stream), one.shape[1])

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self._stream.chunks():
            yield from self._columns.scored_rows(chunk)

    def columns(self) -> Iterator[np.ndarray]:
        """Return all columns of all rows: asked for where rows are few."""
        yield np.vstack(list(self))


def with_axes(plan: Plan, axes: PrincipalAxes) -> Plan:
    """Add axes, and the latent map in which codes are PCA's own.

    Codes that are drawn have the units of their prior instead.
    """
    if plan.objective.is_variational:
        return replace(plan, axes=axes)
    unit = plan.scale.unit[0] if plan.scaling == "none" else 1.0
    if plan.table is not None:
        unit = plan.table.unit
    std = axes.std[: plan.n_components]
    least = np.min(std, where=std > 0, initial=np.inf)
    filled = np.where(std > 0, std, least if least < np.inf else 1.0)
    units = filled * unit
    if plan.recoding is not None:
        units = units * plan.recoding.scale
    latent_map = (
        plan.latent_map if plan.whiten and plan.latent_map else LatentMap.scaling(units)
    )
    return replace(plan, axes=axes, units=units, latent_map=latent_map)


def with_more_rows(plan: Plan, X: Any, statistics: ColumnStatistics) -> Plan:
    """Bring the statistics and the axes of a plan up to date with further rows.

    Parameters
    ----------
    plan : Plan
        Of the rows before.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    statistics : ColumnStatistics
        Of these rows alone.
    """
    joined = plan.statistics.joined(statistics)
    new = replace(plan, statistics=joined)
    if plan.axes is None:
        return new
    rows: Any = new.columns().scored_rows(X, statistics.mean)
    others = PrincipalAxes.of(rows, len(plan.axes.std), plan.seeds.weights)
    gap = (statistics.mean - plan.statistics.mean) * rows.weight
    axes = plan.axes.joined(others, gap, plan.scale.unit * rows.weight)
    return with_axes(new, axes)
