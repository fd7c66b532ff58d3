"""Checks of the state of a net that came from a file, before anything is taken up.

`restore` itself trusts a state: kernels write to the memory that an array says it has.
So what a file holds is compared with what a model of its plan has: the plan with
itself, then every array, in name, shape and dtype, with a module that takes no memory.
Only then is one built.
"""

import re
from collections.abc import Mapping

import numpy as np
import torch

from sk_autoencoder._columns import (
    LIKELIHOODS,
    LevelColumns,
    Table,
    least_size,
    score_width,
    table_size,
)
from sk_autoencoder._columns.bins import BinnedColumn
from sk_autoencoder._columns.dtypes import dtype_library
from sk_autoencoder._columns.kinds import CategoryColumn, NumberColumn
from sk_autoencoder._fitting.build import (
    build_masked,
    build_module,
    build_prefix_module,
)
from sk_autoencoder._fitting.imputation import Imputation
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.settings import TABLE_PARAMETERS
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._objectives import Denoise
from sk_autoencoder._objectives.denoise import NOISES
from sk_autoencoder._saving.checks import check_arrays, check_names, need
from sk_autoencoder._saving.net_checks import check_history, check_net
from sk_autoencoder._saving.records import ModelState
from sk_autoencoder._saving.settings_checks import check_training
from sk_autoencoder._training.net_state import NetState
from sk_autoencoder._utils.float64_buffers import exact_arrays
from sk_autoencoder._utils.skeleton import Skeleton
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork
from sk_autoencoder.networks.mlp import FeatureStack

# Networks of this package, which build what their parameters say and nothing else.
OURS = (ConvNet, FeatureStack, MLP, RecurrentNet)
# Others are not asked for: "meta" has no memory, and some import a library.
DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")
# Proportions add up to 1 to rounding.
ROUNDING = 1e-6
# Numbers that are made of the levels of a table: 60 MB, in float32 and in float64.
MOST_MADE = 5_000_000
# Tensors that are made for one that stays: a layer is first made without memory.
MADE_FOR_ONE = 4


def check_model(state: ModelState) -> None:
    """Refuse a state that `capture` would not have given.

    Parameters
    ----------
    state : ModelState
        From a file; it and its records are what their annotations say.
    """
    plan = state.plan
    arrays = state.net.module.values()
    n_there = sum(a.size for a in arrays if isinstance(a, np.ndarray))
    # Files for use leave out numbers that follow from a plan.
    least = MOST_MADE if state.net.optimizer is None else 0
    _check_plan(plan, max(n_there, least))
    _check_results(plan, state)
    need((state.prefix_net is not None) == plan.ordered, "a prefix net out of place")
    for net in state.nets.values():
        check_net(net)
    for name, module in _skeletons(plan, state.nets).items():
        net, expected = state.nets[name], module.state_dict()
        if net.optimizer is None and name == "prefix_net" and not net.module:
            continue  # the module has it
        left_out = exact_arrays(module) if net.optimizer is None else {}
        for key in left_out.keys() - net.module.keys():
            del expected[key]
        check_arrays(f"{name}.module", net.module, expected)


def _skeletons(plan: Plan, nets: Mapping[str, NetState]) -> dict[str, torch.nn.Module]:
    """Build the modules of a plan without memory; none for a network of a user's own.

    The functions and modules that such a network is made of are trusted, and may need
    memory to be made at all.
    """
    if type(plan.network) not in OURS:
        return {}
    most = sum(len(net.module) for net in nets.values())
    with Skeleton(MADE_FOR_ONE * most + 100):
        if plan.is_masked:
            return {"net": build_masked(plan)}
        module = build_module(plan)
        found: dict[str, torch.nn.Module] = {"net": module}
        if plan.ordered:
            found["prefix_net"] = build_prefix_module(plan, module)
    return found


def _check_plan(plan: Plan, n_there: int) -> None:
    """Check that the parts of a plan fit each other."""
    statistics, n_features = plan.statistics, plan.statistics.mean.size
    need(n_features > 0, "statistics of no columns")
    need((statistics.low <= statistics.high).all(), "statistics of no rows")
    need(DEVICE.fullmatch(plan.device), f"a device {shortened(plan.device)}")
    scalings = (
        "none",
        "standard",
        "minmax",
        *["rank_gauss"] * (plan.table is not None),
    )
    codings = plan.scaling.split("+")
    need(
        set(codings) <= set(scalings)
        and (len(codings) == 1 or (plan.table is not None and plan.stacked)),
        f"a scaling {shortened(plan.scaling)}",
    )
    need(
        plan.given_outputs is None
        or (
            plan.given_outputs in ("data", "logits")
            and isinstance(plan.network, UserNetwork)
        ),
        f"outputs {shortened(plan.given_outputs)} of a decoder",
    )
    known = plan.likelihood in LIKELIHOODS
    need(known, f"a likelihood {shortened(plan.likelihood)}")
    need(
        LIKELIHOODS[plan.likelihood].is_density == plan.objective.is_variational,
        f"a likelihood {plan.likelihood!r} for another objective",
    )
    need((plan.likelihood == "own") == (plan.loss is not None), "a loss out of place")
    need(plan.pca_loss is None or plan.measures_pca, "a loss of PCA out of place")
    need(
        not plan.is_masked or (plan.table is not None and plan.imputes),
        "levels of no table",
    )
    need(plan.table is None or not plan.is_measured, "a loss that no table has")
    if isinstance(plan.objective, Denoise):
        _check_noise(plan.objective, n_features)
    check_names("the parameters of a table", plan.table_parameters, TABLE_PARAMETERS)
    check_training(plan.training)
    if plan.table is not None:
        _check_table(plan.table, n_features, n_there, is_masked=plan.is_masked)
    _check_code(plan)
    _check_block(plan)
    _check_axes(plan)


def _check_noise(objective: Denoise, n_features: int) -> None:
    """Check the noise of an objective."""
    noise, groups = objective.noise, objective.groups
    need(callable(noise) or noise in NOISES, f"a noise {shortened(noise)}")
    need(
        groups is None
        or (len(groups) == n_features and set(groups) <= set(range(n_features))),
        "groups of other features",
    )


def _check_code(plan: Plan) -> None:
    """Check what is said of the components."""
    k = plan.n_components
    if plan.stacked:
        need(k == sum(plan.network.stack_widths()), "components of another stack")
    need(plan.stacked or not plan.imputes, "missing cells filled by a bottleneck")
    need(
        not plan.mixture_prior or plan.objective.is_variational,
        "a prior of plain codes",
    )
    need(
        not plan.ordered
        or (
            plan.axes is not None
            and not (plan.objective.is_variational or plan.stacked)
        ),
        "ordered components that do not start as PCA's",
    )
    need(
        plan.n_kept is None or 1 <= plan.n_kept <= k, f"{plan.n_kept} of {k} components"
    )
    shown = plan.output_index
    need(
        shown is None or (plan.stacked and shown and 0 <= min(shown) <= max(shown) < k),
        "layers that are not there",
    )
    is_stack = isinstance(plan.network, FeatureStack)
    need(not plan.detects_swaps or (plan.stacked and is_stack), "a head of no stack")
    recoding = plan.recoding
    need(
        recoding is None
        or (
            plan.ordered
            and k > 1
            and len(recoding.scale) == k == len(recoding.latent_map.offset)
            and recoding.latent_map.matrix.shape == (k, k)
            and recoding.latent_map.inverse.shape == (k, k)
        ),
        "an order of other components",
    )
    units, latent_map = plan.units, plan.latent_map
    need(units is None or len(units) == k, "units of other components")
    is_turned = plan.rotation is not None
    known = (None, "varimax", "aligned")
    need(plan.rotation in known, "a rotation that there is not")
    need(not is_turned or not (plan.ordered or plan.stacked), "a rotation out of place")
    need(not is_turned or latent_map is not None, "a rotation without its map")
    need(
        latent_map is None
        or (
            len(latent_map.offset) == k
            and (
                plan.passthrough or latent_map.matrix.shape == latent_map.inverse.shape
            )
        ),
        "a latent map of other components",
    )


def _check_block(plan: Plan) -> None:
    """Check what is said of a block beside the columns."""
    block, latent_map, table = plan.block_variances, plan.latent_map, plan.table
    need((block is not None) == plan.passthrough, "a block out of place")
    empty = np.ones(0, bool) if table is None else table.is_empty
    gaps = plan.indicators
    need(
        gaps == tuple(sorted(set(gaps)))
        and all(0 <= i < len(empty) and not empty[i] for i in gaps)
        and (plan.passthrough or plan.imputes or not gaps),
        "flags of other columns",
    )
    if block is None:
        return
    need(
        plan.stacked
        and not (plan.imputes or plan.whiten)
        and latent_map is not None
        and latent_map.matrix.shape == (plan.n_components, len(block)),
        "a block of other components",
    )


def _check_axes(plan: Plan) -> None:
    """Check that the principal axes are of the columns, as many as components."""
    axes = plan.axes
    if axes is None:
        return
    table, n_features = plan.table, plan.statistics.mean.size
    width = n_features if table is None else score_width(table)
    n_axes, n_columns = axes.components.shape
    need(
        n_columns == width and n_axes >= plan.n_components,
        "principal axes of other columns",
    )
    need(not plan.stacked, "principal axes of a stack")


def _check_table(
    table: Table, n_features: int, n_there: int, *, is_masked: bool
) -> None:
    """Check that a table describes so many columns, and needs no more than is there."""
    names, dtypes = table.format.names, table.format.dtypes
    n_columns = {len(names), len(dtypes), len(table.columns), table.weights.size}
    need(
        n_columns == {n_features},
        "a table of another number of columns",
    )
    need(len(set(names)) == n_features, "columns of the same name")
    kind = table.format.kind
    need(kind in ("array", "pandas", "polars"), f"a table {shortened(kind)}")
    need(
        not table.is_matrix
        or (
            kind == "array" and all(isinstance(c, NumberColumn) for c in table.columns)
        ),
        "a matrix of other columns",
    )
    libraries = {dtype_library(dtype) for dtype in dtypes}
    known = {"pandas": {"numpy", "pandas"}, "polars": {"polars"}, "array": {"numpy"}}
    need(libraries <= known[kind], "dtypes of another library")
    empty = table.is_empty
    need(
        table.weights.any() and not table.weights[empty].any(),
        "weights that are all 0, or of empty columns",
    )
    need(table.handle_unknown in ("error", "ignore"), "unknown levels that are neither")
    need(table.dtype in (np.float32, np.float64), f"a table of {table.dtype}")
    for name, column in zip(names, table.columns, strict=True):
        need(column.name == name, f"a column called {shortened(column.name)}")
        need(
            not isinstance(column, NumberColumn if is_masked else BinnedColumn),
            f"a column {shortened(name)} for another network",
        )
        if isinstance(column, NumberColumn):
            _check_numbers(column)
        elif isinstance(column, BinnedColumn):
            _check_numbers(column.scale)
            _check_bins(column)
        elif isinstance(column, CategoryColumn):
            _check_categories(column)
    needed = table_size(table) if is_masked else least_size(table)
    need(needed <= n_there, f"a table of {needed} numbers where {n_there} are")


def _check_numbers(column: NumberColumn) -> None:
    name, knots = shortened(column.name), column.knots
    need(column.low <= column.high, f"a column {name} of numbers without a range")
    need(
        knots is None or (knots.size > 0 and (np.diff(knots) >= 0).all()),
        f"knots of {name} that do not rise",
    )
    repeated = column.repeated
    need(
        repeated is None or (repeated.size > 0 and bool((np.diff(repeated) > 0).all())),
        f"values of {name} that do not rise",
    )
    others = column.others
    need(
        len(column.codings) == (1 + len(others) if others else 0)
        and not any(other.others or other.is_constant for other in others),
        f"codings of {name} that are not there",
    )
    for other in others:
        _check_numbers(other)


def _check_bins(column: BinnedColumn) -> None:
    bins, name = column.bins, shortened(column.name)
    inner = bins.encode(bins.means)
    need(
        np.isfinite(bins.edges).all()
        and (np.diff(bins.edges) > 0).all()
        and len(bins.edges) + 1 == len(bins.means)
        and np.array_equal(inner, np.arange(len(inner)))
        and np.isfinite(bins.values).all()
        and set(bins.encode(bins.values).tolist()) == set(inner.tolist()),
        f"bins of {name} that are none",
    )


def _check_categories(column: CategoryColumn) -> None:
    levels, name = column.levels, shortened(column.name)
    plain = all(isinstance(level, str | bool | int | float) for level in levels)
    need(levels and plain and len(set(levels)) == len(levels), f"levels of {name}")
    need(
        len(column.shares) == len(levels) and abs(column.shares.sum() - 1) < ROUNDING,
        f"proportions of {name} that are none",
    )


# -- what a fit gave ------------------------------------------------------------------


def _check_imputation(imputation: Imputation, columns: LevelColumns) -> None:
    n_columns, linear = len(columns.index), imputation.linear
    sizes = {len(imputation.network), len(imputation.keeps_constant)}
    if linear is not None:
        sizes.add(len(linear.mean))
        index, _ = columns.categories
        n_levels = sum(len(columns.counts[i]) for i in index)
        need(len(linear.levels) == n_levels, "a regression on other levels")
    need(sizes == {n_columns}, "an imputation of other columns")


def _check_results(plan: Plan, state: ModelState) -> None:
    """Check what a fit has learned beside the weights."""
    k, moments, prior = plan.n_components, state.moments, state.prior
    imputation = state.imputation
    need(imputation is None or plan.is_masked, "cells that no network filled")
    if imputation is not None:
        _check_imputation(imputation, plan.level_columns())
    n_codes = 0 if plan.is_masked else k
    need(len(moments.mean) == n_codes, "moments of other components")
    scatter = moments.scatter
    squares = scatter.diagonal() if scatter.ndim == 2 else scatter
    need((squares >= 0).all(), "moments of negative variance")
    for name, values, is_there in (
        ("prefix_errors", state.prefix_errors, plan.ordered),
        ("kl", state.kl, plan.objective.is_variational),
    ):
        need((values is not None) == is_there, f"{name} out of place")
        need(values is None or len(values) == k, f"{name} of other components")
    need((prior is not None) == plan.mixture_prior, "a prior out of place")
    if prior is not None:
        need(prior.means.shape[1] == k, "a prior of other components")
        _check_density(prior)
    check_history(state.pretrained)
    is_aligned = plan.rotation == "aligned"
    need((state.alignment_error is not None) == is_aligned, "an alignment out of place")


def _check_density(prior: MixturePrior) -> None:
    """Check the weights of a mixture, and its triangular factors."""
    diagonals = np.diagonal(prior.factors, axis1=1, axis2=2)
    need(
        abs(prior.weights.sum() - 1) < ROUNDING
        and (diagonals > 0).all()
        and not np.triu(prior.factors, 1).any(),
        "a prior that is no density",
    )
