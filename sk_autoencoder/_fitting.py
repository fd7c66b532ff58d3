"""The steps of a fit: plan, train, order, whiten."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sk_autoencoder._anchoring import with_more_rows
from sk_autoencoder._assembly import Plan, build_net, check_statistics
from sk_autoencoder._columns import ColumnStatistics, Table
from sk_autoencoder._density import MixturePrior, divergences
from sk_autoencoder._fewest import fit_fewest
from sk_autoencoder._frame import CodeFrame
from sk_autoencoder._moments import CodeMoments
from sk_autoencoder._net import AutoEncoderNet
from sk_autoencoder._net_batches import Rows
from sk_autoencoder._ordering import stay_pca, train_prefixes, worse_than_pca
from sk_autoencoder._planning import continued_plan, fresh_plan
from sk_autoencoder._pretraining import (
    joined_history,
    pretrain,
    pretrains,
    refuse_pretraining,
)
from sk_autoencoder._threads import threads_for
from sk_autoencoder._training import (
    make_rows,
    train,
    validation_errors,
    with_pca_loss,
)

__all__ = ["Fitted", "fit_more_rows", "fit_rows"]

# Rows after which `partial_fit` no longer moves the mean, the scales and the axes: a
# network cannot follow units that keep changing, and these then know theirs to one
# percent.
ROWS_THAT_SET_THE_SCALES = 10_000


@dataclass(frozen=True)
class Fitted:
    """What a fit gives.

    Attributes
    ----------
    plan : Plan
    net : AutoEncoderNet
    moments : CodeMoments
        Of the codes of the training rows.
    prefix_net : AutoEncoderNet or None
        What trained the decoder of prefixes, where codes are ordered.
    prefix_errors : ndarray of shape (n_components,) or None
        Squared error of the training rows by each prefix.
    kl : ndarray of shape (n_components,) or None
        Divergence of the network's components from their prior, where they have one.
    prior : MixturePrior or None
        Of the codes, in place of the standard normal one.
    pretrained : tuple of dict
        Epochs in which the layers were trained one by one.
    """

    plan: Plan
    net: AutoEncoderNet
    moments: CodeMoments
    prefix_net: AutoEncoderNet | None = None
    prefix_errors: np.ndarray | None = None
    kl: np.ndarray | None = None
    prior: MixturePrior | None = None
    pretrained: tuple[dict[str, Any], ...] = ()

    @property
    def history(self) -> Any:
        """The history of the net, behind that of pretraining."""
        return joined_history(self.pretrained, self.net.history)

    @property
    def is_pca(self) -> bool:
        """Whether nothing that was learnt was better than PCA."""
        return self.plan.axes is not None and self.net.best_epoch_ == 0

    @property
    def order(self) -> np.ndarray | None:
        """Positions of the network's components, the most informative first."""
        return None if self.kl is None else np.argsort(-self.kl, kind="stable")

    @property
    def explained_variance_ratio(self) -> np.ndarray:
        """What each component that users see adds to the explained variance, (k,)."""
        if self.prefix_errors is None:
            shares = self.moments.shares(self.plan.units)
            shown = self.plan.shown
            if shown is not None:
                return shares[list(shown)]
            return shares if self.order is None else shares[self.order]
        return self.moments.gains(self.prefix_errors)[: self.plan.kept]


def fit_rows(
    estimator: Any,
    X: Any,
    table: Table | None = None,
    before: Fitted | None = None,
    X_val: Any = None,
) -> Fitted:
    """Fit an estimator's network to rows.

    Parameters
    ----------
    estimator : BaseAutoEncoder
        Only read.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Checked rows.
    table : Table or None
        How they were read, where they are not numbers alone.
    before : Fitted or None
        To go on from.
    X_val : ndarray or CSR matrix of shape (n_validation_samples, n_features) or None
        The caller's validation set, checked; None holds rows of X out.
    """
    _tell_doubt(estimator, X)
    statistics = _statistics(X, table)
    validates = X_val is not None
    if before is not None:
        plan = continued_plan(
            estimator, before.plan, before.net, X.shape, validates=validates
        )
        check_statistics(plan, statistics)
        _check_validation(plan, X_val)
        rows = make_rows(plan, X, X_val)
        moments = train(before.net, plan, rows)
        fitted = replace(before, plan=plan, moments=moments, prefix_errors=None)
        return _finished(fitted, rows)
    refuse_pretraining(estimator)
    if isinstance(estimator.n_components, float):
        (plan, net, moments), rows = fit_fewest(estimator, X, statistics, table, X_val)
        return _finished(Fitted(plan, net, moments), rows)
    plan = fresh_plan(estimator, X, statistics, table, validates=validates)
    _check_validation(plan, X_val)
    net = build_net(plan)
    rows = make_rows(plan, X, X_val)
    plan = with_pca_loss(plan, net, rows)
    pretrained = pretrain(net, plan, rows) if pretrains(estimator) else ()
    # An interrupt is meant for all of the fit.
    moments = train(net, plan, rows, epochs=0 if net.interrupted_ else None)
    return _finished(Fitted(plan, net, moments, pretrained=pretrained), rows)


def fit_more_rows(
    estimator: Any, X: Any, table: Table | None, before: Fitted | None
) -> Fitted:
    """Train for one pass over rows that are some of many.

    Parameters
    ----------
    estimator : BaseAutoEncoder
        Only read.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Checked rows.
    table : Table or None
        How they were read, where they are not numbers alone.
    before : Fitted or None
        Of the rows before; None for the first.
    """
    statistics = _statistics(X, table)
    how: Any = {"epochs": 1, "hold_out": False}
    if before is None:
        refuse_pretraining(estimator)
        _tell_doubt(estimator, X)
        plan = fresh_plan(estimator, X, statistics, table, more_to_come=True)
        net = build_net(plan)
        rows = make_rows(plan, X)
        plan = with_pca_loss(plan, net, rows)
        pretrained = pretrain(net, plan, rows, **how) if pretrains(estimator) else ()
        how["epochs"] = 0 if net.interrupted_ else 1
        moments = train(net, plan, rows, **how)
        fitted = Fitted(plan, net, moments, pretrained=pretrained)
        return _finished(fitted, rows, **how)
    plan = continued_plan(estimator, before.plan, before.net, X.shape)
    check_statistics(plan, statistics)
    # A table's scales and categories are those of its first rows.
    if table is None and plan.statistics.n_rows < ROWS_THAT_SET_THE_SCALES:
        plan = with_more_rows(plan, X, statistics)
    rows = make_rows(plan, X)
    moments = train(before.net, plan, rows, before=before.plan, **how)
    errors = None
    if moments.scatter.ndim == before.moments.scatter.ndim:
        moments, errors = before.moments.joined(moments), before.prefix_errors
    fitted = replace(before, plan=plan, moments=moments, prefix_errors=errors)
    return _finished(fitted, rows, **how)


def _tell_doubt(estimator: Any, X: Any) -> None:
    """Warn the caller of `fit` of a network that is probably not meant so."""
    network = estimator.network
    doubt = None if network is None else network.doubt(X.shape[1])
    if doubt is not None:
        warnings.warn(doubt, UserWarning, stacklevel=5)


def _with_posteriors(fitted: Fitted, rows: Rows) -> Fitted:
    """Order the components by what they tell, and fit the prior that is asked for."""
    plan, net = fitted.plan, fitted.net
    every = net.get_iterator(rows, training=False)
    with threads_for(min(net.batch_size, len(rows)) * net.module_.n_weights()):
        kl, codes = divergences(net.module_, every, plan.seeds.score)
    prior = MixturePrior.of(codes, plan.seeds.score) if plan.mixture else None
    fitted = replace(fitted, kl=kl, prior=prior)
    assert fitted.order is not None
    frame = CodeFrame.ordering(fitted.order)
    net.module_.frame.set_frame(frame)
    return replace(fitted, plan=replace(plan, frame=frame))


def _statistics(X: Any, table: Table | None) -> ColumnStatistics:
    return ColumnStatistics.of(X) if table is None else table.statistics(X)


def _check_validation(plan: Plan, X_val: Any) -> None:
    """Refuse a validation set that the plan's likelihood or float32 cannot take."""
    if X_val is not None:
        with validation_errors():
            check_statistics(plan, _statistics(X_val, plan.table))


def _finished(fitted: Fitted, rows: Rows, **how: Any) -> Fitted:
    """Train what decodes prefixes, order and whiten, where that is asked for."""
    plan, net = fitted.plan, fitted.net
    if not plan.objective.is_plain:
        fitted = _with_posteriors(fitted, rows)
        plan = fitted.plan
    if plan.ordered:
        prefix_net, errors = train_prefixes(
            plan, net, rows, prefix_net=fitted.prefix_net, **how
        )
        if fitted.prefix_errors is not None:
            errors = fitted.prefix_errors + errors
        moments = fitted.moments
        if fitted.prefix_net is None and not how and worse_than_pca(net, rows):
            moments, errors = stay_pca(plan, net, rows)
        fitted = replace(
            fitted, moments=moments, prefix_net=prefix_net, prefix_errors=errors
        )
    if plan.whiten:
        moments = fitted.moments
        frame = CodeFrame.whitening(
            moments.mean, moments.covariance, triangular=plan.ordered
        )
        net.module_.frame.set_frame(frame)
        fitted = replace(fitted, plan=replace(plan, frame=frame))
    return fitted
