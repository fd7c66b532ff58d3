"""The steps of a fit: plan, train, order, whiten, rotate."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sk_autoencoder._columns import LIKELIHOODS, ColumnStatistics, Table
from sk_autoencoder._columns.likelihoods import MeasuredLoss
from sk_autoencoder._fitting.build import build_net, build_prefix_net, install_pca
from sk_autoencoder._fitting.compatibility import check_components
from sk_autoencoder._fitting.component_search import fit_fewest
from sk_autoencoder._fitting.imputation import Imputation, measure_imputation
from sk_autoencoder._fitting.nested import (
    learns_prefixes,
    train_prefixes,
    with_recoding,
)
from sk_autoencoder._fitting.passthrough import with_block
from sk_autoencoder._fitting.pca_init import with_more_rows
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.pretrain import (
    Pretraining,
    joined_history,
)
from sk_autoencoder._fitting.ranges import check_statistics
from sk_autoencoder._fitting.resolve import plan_continuation, plan_fit
from sk_autoencoder._fitting.rotation import aligned, moves, simplified, slopes
from sk_autoencoder._fitting.settings import FitSettings
from sk_autoencoder._fitting.train import (
    make_rows,
    moments_of,
    pca_validation_loss,
    train,
    validation_errors,
    warn_of_cut_off,
    with_pca_loss,
    write_plan,
)
from sk_autoencoder._inference.density import MixturePrior, divergences
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._protocols import Network
from sk_autoencoder._training.batches import RowDataset, TrainingRows
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._training.stream import RowStream
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.threads import threads_for
from sk_autoencoder._utils.variance import falling, variance_fractions

# Epochs that the history keeps of a model that partial_fit goes on with: two megabytes,
# and more than a curve can show. A stream has no end, and each pass copies the history.
HISTORY_OF_PASSES = 10_000

# Rows after which `partial_fit` no longer moves the mean, the scales and the axes: a
# network cannot follow units that keep changing, and these then know theirs to one
# percent.
ROWS_THAT_SET_THE_SCALES = 10_000


@dataclass(frozen=True)
class FittedModel:
    """What a fit gives.

    Attributes
    ----------
    plan : Plan
    net : AutoEncoderNet
    moments : LatentMoments
        Of the codes of the training rows; of no components where there are none.
    prefix_net : AutoEncoderNet or None
        What trained the decoder of prefixes, where codes are ordered.
    prefix_errors : ndarray of shape (n_components,) or None
        Squared error of the training rows by each prefix.
    kl : ndarray of shape (n_components,) or None
        Divergence of the network's components from their prior, where they have one.
    prior : MixturePrior or None
        Of the codes, in place of the standard normal one.
    imputation : Imputation or None
        How near a masked network comes to hidden cells, where that was measured.
    pretrained : tuple of dict
        Epochs in which the layers were trained one by one.
    alignment_error : float or None
        What is left between the codes and those that they are aligned to.
    pca_validation_loss : float or None
        Loss on the validation samples before the first step, where that was PCA's.
    """

    plan: Plan
    net: AutoEncoderNet
    moments: LatentMoments
    prefix_net: AutoEncoderNet | None = None
    prefix_errors: np.ndarray | None = None
    kl: np.ndarray | None = None
    prior: MixturePrior | None = None
    imputation: Imputation | None = None
    pretrained: tuple[dict[str, Any], ...] = ()
    alignment_error: float | None = None
    pca_validation_loss: float | None = None

    @property
    def nets(self) -> list[AutoEncoderNet]:
        """The nets that may be trained further."""
        return [self.net] if self.prefix_net is None else [self.net, self.prefix_net]

    @property
    def history(self) -> Any:
        """The history of the net, behind that of pretraining."""
        return joined_history(self.pretrained, self.net.history, self.net.n_dropped_)

    @property
    def loss_label(self) -> str:
        """Return what the loss curves show, with its unit: an axis label."""
        likelihood = self.plan.likelihood
        if likelihood == "squared_error":
            if self.plan.axes is not None:
                return "Squared error (PCA = 1)"
            if self.plan.detects_swaps:
                return "Mean squared error + 4 x cross-entropy of swaps (nats)"
            return "Mean squared error (scaled units)"
        unit = " (PCA = 1)" if self.plan.pca_loss else ""
        measured = LIKELIHOODS[likelihood]
        if issubclass(measured, MeasuredLoss):
            return measured.label + unit
        if unit:
            return "Cross-entropy" + unit
        if self.pretrained:
            return "Cross-entropy (nats per feature); hidden layers: squared error"
        what = "hidden cell" if self.plan.is_masked else "feature"
        return f"Cross-entropy (nats per {what})"

    @property
    def n_epochs(self) -> int:
        """Number of all epochs, those that the history no longer has included."""
        return len(self.pretrained) + self.net.n_epochs_

    @property
    def is_pca(self) -> bool:
        """Whether nothing that was learned was better than PCA."""
        return self.plan.axes is not None and self.net.best_epoch_ == 0

    @property
    def order(self) -> np.ndarray | None:
        """Positions of the network's components, the most informative first.

        Those of a network that is trained as given stay where they are.
        """
        if self.kl is None:
            return None
        if self.plan.as_given:
            return np.arange(len(self.kl))
        return np.argsort(-self.kl, kind="stable")

    @property
    def natural_matrix(self) -> np.ndarray:
        """From the network's codes to codes in the data's units, but for an offset.

        Of shape (k, k), for the components that users see.
        """
        k = self.plan.n_kept or self.plan.n_components
        if self.order is not None:
            return np.eye(k)[:, self.order]
        return np.eye(k) if self.plan.units is None else np.diag(self.plan.units[:k])

    @property
    def plain_matrix(self) -> np.ndarray:
        """From the network's codes to users', which are not yet whitened.

        Of shape (k, k); with a rotation, its own matrix.
        """
        if self.plan.rotation is None:
            return self.natural_matrix
        assert self.plan.latent_map is not None
        return self.plan.latent_map.matrix

    @property
    def plain_inverse(self) -> np.ndarray:
        """The way back of `plain_matrix`; a direction without variance comes from 0."""
        if self.plan.rotation is None:
            return np.linalg.inv(self.natural_matrix)
        assert self.plan.latent_map is not None
        return self.plan.latent_map.inverse

    @property
    def error(self) -> float:
        """Squared error of the training samples, by the components that users see."""
        if self.prefix_errors is None or self.plan.n_kept is None:
            return self.moments.error
        return float(self.prefix_errors[self.plan.n_kept - 1])

    @property
    def principal_variances(self) -> tuple[np.ndarray, float] | None:
        """Variances along the components, and the squared error, to the last digit.

        They follow from the axes where the model is PCA in the caller's units; None
        elsewhere.
        """
        plan = self.plan
        if plan.rotation is not None or not (self.is_pca and plan.has_pca_moments):
            return None
        assert plan.axes is not None
        k, n = plan.n_kept or plan.n_components, plan.axes.n_rows
        square = float(plan.scale.unit[0]) ** 2 * n
        variances = np.square(plan.axes.std[:k]) * square / max(1, n - 1)
        return variances, plan.axes.residual(k) * square

    @property
    def explained_variance_ratio(self) -> np.ndarray | None:
        """What each component that users see adds to the explained variance, (k,)."""
        if self.plan.is_masked:
            return None
        variances = self.plan.block_variances
        if variances is not None:
            return self.moments.explained * variances / (variances.sum() or 1.0)
        if self.plan.rotation is not None:
            return self._explained_by_rotated()
        if self.prefix_errors is None:
            shares = self.moments.explained_by_component(self.plan.units)
            shown = self.plan.output_index
            if shown is not None:
                return shares[list(shown)]
            return shares if self.order is None else shares[self.order]
        gains = self.moments.explained_by_prefix(self.prefix_errors)
        return falling(gains[: self.plan.n_kept])

    def _explained_by_rotated(self) -> np.ndarray:
        """Divide what is explained by how much each rotated component moves samples."""
        parts = moves(self.moments, self.plain_matrix, slopes(self.net))
        return variance_fractions(self.moments.explained * parts, parts.sum())


@dataclass(kw_only=True)
class Fitting:
    """A fit that is ready for its first training step.

    Attributes
    ----------
    plan : Plan
    net : AutoEncoderNet
        Of the plan, which is written into it.
    rows : TrainingRows
        To be trained on, around the plan's mean.
    interrupts : Interrupts
    before : FittedModel or None
        What the fit goes on from.
    is_pass : bool
        Whether it is one pass over some of many samples: one epoch, on all of them.
    moments : LatentMoments or None
        Where the net has been trained already.
    pretraining : Pretraining or None
        Where layers are trained one by one first.
    keeper : RunKeeper or None
        Where its runs are kept.
    old_codes : ndarray of shape (n_samples, n_components) or None
        Codes of the same samples, which the new ones are aligned to.
    chooses_epochs : bool
        Whether it was left to the fit how many there are.
    """

    plan: Plan
    net: AutoEncoderNet
    rows: TrainingRows
    interrupts: Interrupts
    before: FittedModel | None = None
    is_pass: bool = False
    moments: LatentMoments | None = None
    pretraining: Pretraining | None = None
    keeper: RunKeeper | None = None
    old_codes: np.ndarray | None = None
    chooses_epochs: bool = False

    def __post_init__(self) -> None:
        self._prefix_net = None if self.before is None else self.before.prefix_net
        # Of a search, where the moments are known, the net has trained in this fit.
        self._n_before = self.net.n_epochs_ if self.moments is None else 0
        if self.moments is None:
            write_plan(self.net, self.plan)

    def complete(self) -> FittedModel:
        """Train, order, whiten and rotate, as far as that is asked for.

        After an interrupt it is called again: then it trains nothing, and the steps
        that follow training are taken with the best state so far.
        """
        fitted = self._train()
        if self.chooses_epochs:
            warn_of_cut_off(self.plan, self.net)
        if self.plan.is_masked and not self.is_pass:
            imputation = measure_imputation(self.net, self.plan, self.rows)
            fitted = replace(fitted, imputation=imputation)
        if self.plan.objective.is_variational:
            fitted = _order_by_divergence(fitted, self.rows)
        if self.plan.ordered:
            fitted = self._train_prefixes(fitted)
        if self.is_pass:
            for net in fitted.nets:
                net.drop_history(HISTORY_OF_PASSES)
        if self.plan.whiten:
            fitted = _whiten(fitted, self.rows)
        return self._rotate(fitted)

    def _rotate(self, fitted: FittedModel) -> FittedModel:
        """Rotate the codes, as far as that is asked for."""
        plan, net, error = fitted.plan, fitted.net, None
        if plan.rotation is None:
            return replace(fitted, alignment_error=None)
        if plan.rotation == "varimax":
            latent_map = simplified(plan, net, fitted.moments)
        else:
            assert self.old_codes is not None
            assert isinstance(self.rows, RowDataset)
            latent_map, error = aligned(plan, net, self.rows, self.old_codes)
        net.module_.latent_map.set_map(latent_map)
        plan = replace(plan, latent_map=latent_map)
        return replace(fitted, plan=plan, alignment_error=error)

    def _train(self) -> FittedModel:
        """Train the layers one by one, where that is asked for, and then the net."""
        plan, net, before = self.plan, self.net, self.before
        pretrained: tuple[dict[str, Any], ...] = ()
        if self.pretraining is not None:
            pretrained = self.pretraining.run(self.rows, self.interrupts, self.keeper)
        moments = self.moments
        if moments is None:
            moments = train(
                net,
                plan,
                self.rows,
                interrupts=self.interrupts,
                is_pass=self.is_pass,
                is_first=before is None,
                keeper=self.keeper,
            )
        if plan.passthrough:  # by these samples alone, also in a pass over some of many
            plan = with_block(plan, net, self.rows, moments)
            moments = moments.without_products()
        if before is None:
            loss = pca_validation_loss(net)
            return FittedModel(
                plan, net, moments, pretrained=pretrained, pca_validation_loss=loss
            )
        joined = self._joined(moments)
        errors = before.prefix_errors if joined.n_rows > moments.n_rows else None
        return replace(
            before, plan=plan, moments=joined, prefix_errors=errors, imputation=None
        )

    def _joined(self, moments: LatentMoments) -> LatentMoments:
        """Join moments with those of the passes before, where there are any."""
        if self.before is None:
            return moments
        others = self.before.moments
        if others.scatter.ndim == 1 and not self.plan.whiten:
            moments = moments.without_products()  # those of 0.1.0 have none
        is_alike = moments.scatter.ndim == others.scatter.ndim
        return others.joined(moments) if self.is_pass and is_alike else moments

    def _train_prefixes(self, fitted: FittedModel) -> FittedModel:
        """Put the codes in order, and train what decodes prefixes."""
        net, rows, prefix_net = self.net, self.rows, self._prefix_net
        if prefix_net is None or not learns_prefixes(self.plan, prefix_net):
            if self.plan.n_components > 1 and not fitted.is_pca:
                self.plan = with_recoding(self.plan, net, rows)
            prefix_net = self._prefix_net = build_prefix_net(self.plan, net.module_)
            install_pca(net.module_, self.plan)
        errors = train_prefixes(
            self.plan,
            net,
            prefix_net,
            rows,
            n_epochs=net.n_epochs_ - self._n_before,
            is_pass=self.is_pass,
            interrupts=self.interrupts,
            keeper=self.keeper,
        )
        if fitted.prefix_errors is not None:
            errors = fitted.prefix_errors + errors
        moments = fitted.moments
        if self.plan.recoding is not None:
            moments = self._joined(moments_of(net, self.plan, rows))
        return replace(
            fitted,
            plan=self.plan,
            moments=moments,
            prefix_net=prefix_net,
            prefix_errors=errors,
        )


def prepare_fit(
    settings: FitSettings,
    X: Any,
    table: Table | None,
    before: FittedModel | None,
    X_val: Any = None,
    *,
    is_pass: bool = False,
    interrupts: Interrupts,
    keeper: RunKeeper | None = None,
    old_codes: np.ndarray | None = None,
) -> Fitting:
    """Prepare a fit to samples, up to its first step.

    Parameters
    ----------
    settings : FitSettings
    X : RowStream, or ndarray or CSR matrix of shape (n_samples, n_features)
        Checked samples.
    table : Table or None
        How they were read, where they are not numbers alone.
    before : FittedModel or None
        To go on from.
    X_val : ndarray or CSR matrix of shape (n_validation_samples, n_features) or None
        The caller's validation set, checked; None takes one from X.
    is_pass : bool
        Whether it is one pass, over samples that are some of many.
    interrupts : Interrupts
    keeper : RunKeeper or None
        Where its runs are kept.
    old_codes : ndarray of shape (n_samples, n_old_components) or None
        Codes of X to align the new ones to.
    """
    validates = X_val is not None
    statistics = _statistics(X, table)
    if before is None or not is_pass:
        _warn_of_network(settings.network, X)
    if before is None and settings.searches_components and not is_pass:
        interrupts.keeps = False  # of several fits none is the one that was asked for
        (plan, net, moments), rows = fit_fewest(
            settings, X, statistics, table, X_val, interrupts=interrupts, keeper=keeper
        )
        return Fitting(
            plan=plan,
            net=net,
            rows=rows,
            interrupts=interrupts,
            moments=moments,
            keeper=keeper,
            chooses_epochs=settings.max_epochs == "auto",
        )
    if before is None:
        plan = plan_fit(
            settings, X, statistics, table, more_to_come=is_pass, validates=validates
        )
        net = build_net(plan)
    else:
        net = before.net
        plan = plan_continuation(
            settings, before.plan, net, X.shape, validates=validates
        )
        _warn_of_fresh_optimizer(before.nets)
        check_statistics(plan, statistics)
        # A table's scales and categories are those of its first samples.
        is_new = plan.statistics.n_rows < ROWS_THAT_SET_THE_SCALES
        if is_pass and table is None and is_new:
            plan = with_more_rows(plan, X, statistics)
    if X_val is not None:
        with validation_errors():
            check_statistics(plan, _statistics(X_val, table))
    if old_codes is not None:
        check_components(plan.n_components, old_codes.shape[1])
    rows = make_rows(plan, X, X_val)
    pretraining = None
    if before is None:
        plan = with_pca_loss(plan, net, rows)
        if settings.is_pretrained:
            pretraining = Pretraining(net, plan, is_pass=is_pass)
    return Fitting(
        plan=plan,
        net=net,
        rows=rows,
        interrupts=interrupts,
        before=before,
        is_pass=is_pass,
        pretraining=pretraining,
        keeper=keeper,
        old_codes=old_codes,
        chooses_epochs=settings.max_epochs == "auto",
    )


def _warn_of_network(network: Network | None, X: Any) -> None:
    """Warn if the network is probably configured by mistake."""
    message = None if network is None else network.warning_for(X.shape[1])
    if message is not None:
        warnings.warn(message, UserWarning, stacklevel=caller_level())


def _warn_of_fresh_optimizer(nets: list[AutoEncoderNet]) -> None:
    """Warn once that nets come from a file without their optimizers' state."""
    if not any(net.lacks_optimizer_ for net in nets):
        return
    for net in nets:
        net.lacks_optimizer_ = False
    warnings.warn(
        "Training goes on with a fresh optimizer: the file that this estimator comes "
        "from holds none. Save with optimizer=True to keep it.",
        UserWarning,
        stacklevel=caller_level(),
    )


def _order_by_divergence(fitted: FittedModel, rows: TrainingRows) -> FittedModel:
    """Order the components by their divergence, and fit the prior that is asked for."""
    plan, net = fitted.plan, fitted.net
    every = net.get_iterator(rows, training=False)
    with threads_for(min(net.batch_size, len(rows)) * net.module_.n_weights()):
        kl, codes = divergences(net.module_, every, plan.seeds.score)
    prior = fitted.prior if plan.mixture_prior else None
    # Of no more samples than components a pass would give a degenerate one.
    if plan.mixture_prior and (prior is None or len(codes) > plan.n_components):
        prior = MixturePrior.of(codes, plan.seeds.score)
    fitted = replace(fitted, kl=kl, prior=prior)
    assert fitted.order is not None
    latent_map = LatentMap.ordering(fitted.order)
    net.module_.latent_map.set_map(latent_map)
    return replace(fitted, plan=replace(plan, latent_map=latent_map))


def _whiten(fitted: FittedModel, rows: TrainingRows) -> FittedModel:
    """Whiten the codes."""
    plan, moments = fitted.plan, fitted.moments
    latent_map = LatentMap.whitening(
        moments.mean,
        moments.covariance,
        triangular=plan.ordered,
        dtype=rows.dtype,
    )
    fitted.net.module_.latent_map.set_map(latent_map)
    return replace(fitted, plan=replace(plan, latent_map=latent_map))


def _statistics(X: Any, table: Table | None) -> ColumnStatistics:
    if isinstance(X, RowStream):
        return X.statistics
    return ColumnStatistics.of(X) if table is None else table.statistics(X)
