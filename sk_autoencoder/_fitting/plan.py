"""The plan of a fit: all that a net is built from, and no weights."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from sk_autoencoder._columns import (
    LIKELIHOODS,
    ColumnStatistics,
    LevelColumns,
    LossFunction,
    NumericScale,
    Table,
    make_columns,
)
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._model.recoder import Recoding
from sk_autoencoder._protocols import Columns, Network, Objective
from sk_autoencoder._training.config import TrainingConfig
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import Seeds
from sk_autoencoder._utils.values import Range
from sk_autoencoder.networks.mlp import FeatureStack


@dataclass(frozen=True)
class Plan:
    """All that a net is built from: resolved settings and statistics, no weights.

    Attributes
    ----------
    network : Network
    objective : Objective
    scaling : {"none", "standard", "minmax"}
        Not read where there is a table, which has its own.
    likelihood : str
        A key of `LIKELIHOODS`; for a table whether it is "gaussian", a density.
    statistics : ColumnStatistics
        Of the training rows.
    n_components : int
        Numbers in a code; for a stack it follows from the network.
    stacked : bool
        Whether the code is all hidden layers of a stack without bottleneck.
    seeds : Seeds
    training : TrainingConfig
    device : str
    axes : PrincipalAxes or None
        Of the training rows in the units of the score, where the network starts as
        PCA; at least as many as components.
    units : ndarray of shape (n_components,) or None
        Of the network's codes in the data's units, where they start as PCA's.
    latent_map : LatentMap or None
        From the network's codes to the users'.
    whiten : bool
        Whether the latent map decorrelates the codes.
    rotation : {"varimax", "aligned"} or None
        How the latent map turns the codes: to simple components, or to those of another
        fit.
    ordered : bool
        Whether every prefix of a code is decoded too.
    recoding : Recoding or None
        The linear part of what puts codes in order.
    n_kept : int or None
        Components that users see; None is all.
    output_index : tuple of int or None
        Positions of those that `transform` gives; None is all.
    imputes : bool
        Whether `transform` gives rows with their missing cells filled.
    mixture_prior : bool
        Whether the prior of the codes is a mixture fitted to them.
    loss : callable or None
        The user's own, for the likelihood "own".
    pca_loss : float or None
        Mean loss of the training rows by PCA, where it is the unit of the loss and does
        not follow from the axes: see `measures_pca`.
    given_outputs : {"data", "logits"} or None
        What the decoder of a network gives that is trained as given, in the units of
        `scaling`; None where the network is standardized inside.
    table : Table or None
        How the columns become numbers, where they are not all numbers without gaps.
    table_parameters : dict
        Parameters that say so, by name.
    keeps_binary : bool
        Whether columns of two values keep their units beside standardized ones.
    detects_swaps : bool
        Whether a head of the network is trained to find swapped cells.
    passthrough : bool
        Whether `transform` gives a block of the code's principal components, and the
        columns behind it.
    indicators : tuple of int
        Features that have a flag for missing cells among these columns, or behind
        filled samples.
    block_variances : ndarray of shape (n_columns,) or None
        Variances of the block; None before it is known.
    """

    network: Network
    objective: Objective
    scaling: str
    likelihood: str
    statistics: ColumnStatistics
    n_components: Annotated[int, Range(1)]
    stacked: bool
    seeds: Seeds
    training: TrainingConfig
    device: str
    axes: PrincipalAxes | None = None
    units: Annotated[np.ndarray | None, Range(0, above=True, shape="k")] = None
    latent_map: LatentMap | None = None
    whiten: bool = False
    ordered: bool = False
    n_kept: int | None = None
    output_index: tuple[int, ...] | None = None
    imputes: bool = False
    mixture_prior: bool = False
    loss: LossFunction | None = None
    pca_loss: Annotated[float | None, Range(0, above=True)] = None
    given_outputs: str | None = None
    table: Table | None = None
    table_parameters: dict[str, Any] = field(default_factory=dict)
    keeps_binary: bool = False
    detects_swaps: bool = False
    passthrough: bool = False
    indicators: tuple[int, ...] = ()
    block_variances: Annotated[np.ndarray | None, Range(0, shape="m")] = None
    rotation: str | None = None
    recoding: Recoding | None = None

    @property
    def as_given(self) -> bool:
        """Whether the network works in the units of `scaling`, as it was given."""
        return self.given_outputs is not None

    @property
    def is_masked(self) -> bool:
        """Whether a network of levels predicts hidden cells; then there is no code."""
        return self.likelihood == "cross_entropy"

    @property
    def scale(self) -> NumericScale:
        """Units in which rows are scored."""
        return NumericScale.of(
            self.scaling,
            self.statistics,
            unit_interval=LIKELIHOODS[self.likelihood].needs_unit_interval,
            as_given=self.as_given,
            keeps_binary=self.keeps_binary,
        )

    @property
    def is_measured(self) -> bool:
        """Whether the loss has units that only PCA's own loss gives."""
        return LIKELIHOODS[self.likelihood].is_measured

    @property
    def measures_pca(self) -> bool:
        """Whether the loss is divided by PCA's, which has to be measured.

        What PCA makes of corrupted samples does not follow from its axes.
        """
        is_repaired = self.axes is not None and self.objective.is_denoising
        return self.is_measured or is_repaired

    @property
    def needs_unit_interval(self) -> bool:
        """Whether rows are probabilities, for the likelihood."""
        return self.table is None and LIKELIHOODS[self.likelihood].needs_unit_interval

    @property
    def center(self) -> np.ndarray:
        """What is taken off rows before they are rounded, (n_features,)."""
        if self.as_given and self.table is None:
            return self.scale.origin
        return self.statistics.mean

    @property
    def is_normal(self) -> bool:
        """Whether rows are scored by normal densities."""
        return LIKELIHOODS[self.likelihood].is_continuous

    @property
    def has_pca_moments(self) -> bool:
        """Whether moments of the model that is PCA follow from the axes: see `axes`."""
        is_plain = self.table is None and self.scaling == "none"
        is_code = self.likelihood == "squared_error" and not self.stacked
        return self.axes is not None and is_plain and is_code

    @property
    def keeps_linear(self) -> bool:
        """Whether probabilistic PCA stays a part of the density that is learned.

        It does not know the probabilities that levels of a category have.
        """
        return self.is_normal and self.axes is not None and self.table is None

    def level_columns(self) -> LevelColumns:
        """Make the columns of a plan that `is_masked`."""
        assert self.table is not None
        return LevelColumns(self.table, self.statistics.n_rows)

    def columns(self) -> Columns:
        """Make the columns of any other plan."""
        return make_columns(
            self.statistics,
            table=self.table,
            scaling=self.scaling,
            likelihood=self.likelihood,
            loss=self.loss,
            given_outputs=self.given_outputs,
            keeps_binary=self.keeps_binary,
            squared=isinstance(self.network, FeatureStack),
        )
