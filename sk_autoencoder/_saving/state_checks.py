"""Checks of the state of a net that came from a file, before anything is taken up.

`restore` trusts its state: kernels write to the memory that an array says it has. So
what a file holds is compared with what a model of its plan has: the plan with itself,
then every array, in name, shape and dtype, with a module that takes no memory. Only
then is one built.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns import LIKELIHOODS, ColumnStatistics, MixedColumns, Table
from sk_autoencoder._columns.dtypes import dtype_library
from sk_autoencoder._columns.kinds import CategoryColumn, NumberColumn
from sk_autoencoder._fitting.build import build_module, build_prefix_module
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.settings import TABLE_PARAMETERS
from sk_autoencoder._inference.density import MixturePrior
from sk_autoencoder._objectives import Denoise, Variational
from sk_autoencoder._objectives.denoise import NOISES
from sk_autoencoder._saving.formats import check_names
from sk_autoencoder._saving.settings_checks import check_training
from sk_autoencoder._utils.random import check_generator_state
from sk_autoencoder._utils.skeleton import Skeleton
from sk_autoencoder._utils.values import MOST_INT, shortened
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet, UserNetwork

__all__ = ["NET_NAMES", "check_arrays", "check_model", "need"]

NET_NAMES = (
    "module",
    "raw_weights",
    "steps",
    "optimizer",
    "order",
    "noise",
    "device",
    "history",
    "best_epoch",
    "n_dropped",
)
# Networks of this package, which build what their parameters say and nothing else.
OURS = (ConvNet, MLP, RecurrentNet)
# Others are not asked for: "meta" has no memory, and some import a library.
DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")
DENSITIES = ("gaussian", "isotropic", "bernoulli")
# Shares add up to 1 to rounding.
ROUNDING = 1e-6
# Tensors that are made for one that stays: a layer is first made without memory.
MADE_FOR_ONE = 4


def need(good: Any, what: str) -> None:
    """Refuse a file that has what no fit has given."""
    if not good:
        raise ValueError(what)


def check_model(state: Any) -> None:
    """Refuse a state that `capture` would not have given.

    Parameters
    ----------
    state : dict
        From a file; its records are what their annotations say.
    """
    need(isinstance(state, dict), "a model that is no dict")
    check_names("a model", state, [field.name for field in fields(FittedModel)])
    plan = state["plan"]
    need(isinstance(plan, Plan), "a plan that is none")
    need(isinstance(state["net"], dict), "a net that is none")
    _check_plan(plan, state["net"].get("module"))
    _check_results(plan, state)
    nets = {"net": state["net"], "prefix_net": state["prefix_net"]}
    need((nets["prefix_net"] is not None) == plan.ordered, "a prefix net out of place")
    for name, net in nets.items():
        if net is not None:
            _check_net(name, net)
    modules = _skeletons(plan, nets)
    for name, module in modules.items():
        check_arrays(f"{name}.module", nets[name]["module"], module.state_dict())


def check_arrays(what: str, given: Any, expected: Mapping[str, torch.Tensor]) -> None:
    """Refuse arrays that have not the names, shapes and dtypes of tensors.

    Parameters
    ----------
    what : str
        Whose they are, for the error.
    given : dict of str to ndarray
    expected : mapping of str to Tensor
        On any device.
    """
    need(isinstance(given, dict), f"arrays of {what} that are no dict")
    check_names(f"arrays of {what}", given, expected.keys())
    for name, tensor in expected.items():
        array = given[name]
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        good = isinstance(array, np.ndarray) and array.dtype == dtype
        need(
            good and array.shape == tuple(tensor.shape),
            f"{what}.{name} of {_described(array)} where a model of this plan has "
            f"shape {tuple(tensor.shape)} and dtype {dtype}",
        )


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"shape {value.shape} and dtype {value.dtype}"
    return shortened(value)


def _skeletons(plan: Plan, nets: Mapping[str, Any]) -> dict[str, torch.nn.Module]:
    """Build the modules of a plan without memory; none for a network of a user's own.

    The functions and modules that such a network is made of are trusted, and may need
    memory to be made at all.
    """
    given = [net["module"] for net in nets.values() if net is not None]
    most = sum(len(arrays) for arrays in given if isinstance(arrays, dict))
    if type(plan.network) not in OURS:
        return {}
    with Skeleton(MADE_FOR_ONE * most + 100):
        module = build_module(plan)
        found: dict[str, torch.nn.Module] = {"net": module}
        if plan.ordered:
            found["prefix_net"] = build_prefix_module(plan, module)
    return found


def _check_net(name: str, net: Any) -> None:
    """Check what a net's state holds beside the arrays of its module."""
    need(isinstance(net, dict), f"a {name} that is no dict")
    check_names(f"a {name}", net, NET_NAMES)
    history, best, n_dropped = net["history"], net["best_epoch"], net["n_dropped"]
    _check_history(history)
    need(
        type(n_dropped) is int
        and 0 <= n_dropped <= MOST_INT
        and (n_dropped == 0 or len(history) > 0),
        "a number of dropped epochs that was none",
    )
    n_epochs = len(history) + n_dropped
    need(type(best) is int and 0 <= best <= n_epochs, "a best epoch that was none")
    steps = net["steps"]
    need(type(steps) is int and 0 <= steps <= MOST_INT, "a number of steps below 0")
    check_generator_state(net["order"])
    need(net["device"] in ("cpu", "cuda", "mps", "xpu"), "a net on no known device")
    if net["device"] == "cpu":
        check_generator_state(net["noise"])
    else:
        noise = net["noise"]
        need(
            isinstance(noise, np.ndarray) and noise.dtype == np.uint8,
            "a generator whose state is none",
        )


def _check_history(rows: Any) -> None:
    """Check that the rows of a history have losses."""
    need(isinstance(rows, list | tuple), "a history that is no list")
    for row in rows:
        need(
            isinstance(row, dict) and all(isinstance(name, str) for name in row),
            "a history of what is no dict",
        )
        losses = (row.get("train_loss"), row.get("valid_loss", 0.0))
        need(
            isinstance(losses[0], float) and isinstance(losses[1], float | int),
            "a history without losses",
        )


# -- the plan -------------------------------------------------------------------------


def _check_plan(plan: Plan, arrays: Any) -> None:
    """Check that the parts of a plan fit each other."""
    statistics, n_features = plan.statistics, plan.statistics.mean.size
    _check_statistics(statistics)
    for name, seed in vars(plan.seeds).items():
        need(0 <= seed < 2**32, f"a seed {name}={seed}")
    need(DEVICE.fullmatch(plan.device), f"a device {shortened(plan.device)}")
    scalings = (
        "none",
        "standard",
        "minmax",
        *["rank_gauss"] * (plan.table is not None),
    )
    need(plan.scaling in scalings, f"a scaling {shortened(plan.scaling)}")
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
        (plan.likelihood in DENSITIES) == plan.objective.is_variational,
        f"a likelihood {plan.likelihood!r} for another objective",
    )
    need((plan.likelihood == "own") == (plan.loss is not None), "a loss out of place")
    need(
        plan.pca_loss is None or (plan.is_measured and plan.pca_loss > 0),
        "a loss of PCA out of place",
    )
    need(plan.table is None or not plan.is_measured, "a loss that no table has")
    _check_objective(plan.objective, n_features)
    check_names("the parameters of a table", plan.table_parameters, TABLE_PARAMETERS)
    check_training(plan.training)
    if plan.table is not None:
        _check_table(plan.table, n_features, arrays)
    _check_code(plan)
    _check_axes(plan)


def _check_objective(objective: Any, n_features: int) -> None:
    """Check the numbers of an objective."""
    if isinstance(objective, Denoise):
        noise, groups = objective.noise, objective.groups
        need(callable(noise) or noise in NOISES, f"a noise {shortened(noise)}")
        need(objective.level >= 0, "a noise below 0")
        need(
            groups is None
            or (len(groups) == n_features and set(groups) <= set(range(n_features))),
            "groups of other features",
        )
    if isinstance(objective, Variational):
        numbers = (objective.beta, objective.warmup, objective.free_bits)
        need(min(numbers) >= 0, "an objective of negative weight")


def _check_statistics(found: ColumnStatistics) -> None:
    shape = found.mean.shape
    arrays = (found.mean, found.squares, found.low, found.high)
    need(
        len(shape) == 1 and shape[0] > 0 and all(a.shape == shape for a in arrays),
        "statistics of different numbers of columns",
    )
    need(
        found.n_rows >= 1
        and (found.squares >= 0).all()
        and (found.low <= found.high).all(),
        "statistics of no rows",
    )


def _check_code(plan: Plan) -> None:
    """Check what is said of the components."""
    k = plan.n_components
    need(k >= 1, f"{k} components")
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
    if plan.units is not None:
        need(
            plan.units.shape == (k,) and (plan.units > 0).all(),
            "units of other components",
        )
    if plan.latent_map is not None:
        shapes = {plan.latent_map.matrix.shape, plan.latent_map.inverse.shape}
        need(
            plan.latent_map.offset.shape == (k,) and shapes in ({(k,)}, {(k, k)}),
            "a latent map of other components",
        )


def _check_axes(plan: Plan) -> None:
    """Check that the principal axes are of the columns, as many as components."""
    axes = plan.axes
    if axes is None:
        return
    width = plan.statistics.mean.size
    if plan.table is not None:
        width = MixedColumns(plan.table).n_outputs
    n_axes = len(axes.std) if axes.std.ndim == 1 else -1
    need(
        axes.components.shape == (n_axes, width) and n_axes >= plan.n_components,
        "principal axes of other columns",
    )
    need(
        axes.n_rows >= 1 and (axes.std >= 0).all() and axes.residual_variance >= 0,
        "principal axes of negative variance",
    )
    need(not plan.stacked, "principal axes of a stack")


def _check_table(table: Table, n_features: int, arrays: Any) -> None:
    """Check that a table describes so many columns, and needs no more than is there."""
    names, dtypes = table.format.names, table.format.dtypes
    n_columns = {len(names), len(dtypes), len(table.columns), table.weights.size}
    need(
        n_columns == {n_features} and table.weights.ndim == 1,
        "a table of another number of columns",
    )
    need(len(set(names)) == n_features, "columns of the same name")
    kind = table.format.kind
    need(kind in ("array", "pandas", "polars"), f"a table {shortened(kind)}")
    libraries = {dtype_library(dtype) for dtype in dtypes}
    known = {"pandas": {"numpy", "pandas"}, "polars": {"polars"}, "array": {"numpy"}}
    need(libraries <= known[kind], "dtypes of another library")
    empty = table.is_empty
    need(
        (table.weights >= 0).all()
        and table.weights.any()
        and not table.weights[empty].any(),
        "weights below 0, or of empty columns",
    )
    need(table.handle_unknown in ("error", "ignore"), "unknown levels that are neither")
    need(table.dtype in (np.float32, np.float64), f"a table of {table.dtype}")
    for name, column in zip(names, table.columns, strict=True):
        need(column.name == name, f"a column called {shortened(column.name)}")
        if isinstance(column, NumberColumn):
            _check_numbers(column)
        elif isinstance(column, CategoryColumn):
            _check_categories(column)
    values = arrays.values() if isinstance(arrays, dict) else ()
    n_there = sum(array.size for array in values if isinstance(array, np.ndarray))
    needed = MixedColumns.n_numbers(table)
    need(needed <= n_there, f"a table of {needed} numbers where {n_there} are")


def _check_numbers(column: NumberColumn) -> None:
    need(
        column.low <= column.high and column.unit > 0 and column.variance >= 0,
        f"a column {shortened(column.name)} of numbers without a range",
    )
    knots = column.knots
    need(
        knots is None
        or (
            knots.ndim == 2
            and len(knots) == 2
            and knots.size > 0
            and (np.diff(knots) >= 0).all()
        ),
        f"knots of {shortened(column.name)} that do not rise",
    )


def _check_categories(column: CategoryColumn) -> None:
    levels, shares = column.levels, column.shares
    name = shortened(column.name)
    plain = all(isinstance(level, str | bool | int | float) for level in levels)
    need(levels and plain and len(set(levels)) == len(levels), f"levels of {name}")
    need(
        shares.shape == (len(levels),)
        and (shares >= 0).all()
        and abs(shares.sum() - 1) < ROUNDING,
        f"shares of {name} that are none",
    )


# -- what a fit gave ------------------------------------------------------------------


def _check_results(plan: Plan, state: Mapping[str, Any]) -> None:
    """Check what a fit has learnt beside the weights."""
    k, moments = plan.n_components, state["moments"]
    need(type(moments).__name__ == "LatentMoments", "moments that are none")
    need(
        moments.n_rows >= 1
        and moments.mean.shape == (k,)
        and moments.scatter.shape in ((k,), (k, k))
        and min(moments.error, moments.total) >= 0,
        "moments of other components",
    )
    squares = (
        moments.scatter.diagonal() if moments.scatter.ndim == 2 else moments.scatter
    )
    need((squares >= 0).all(), "moments of negative variance")
    for name, there in (
        ("prefix_errors", plan.ordered),
        ("kl", plan.objective.is_variational),
    ):
        values = state[name]
        need((values is not None) == there, f"{name} out of place")
        need(
            values is None
            or (
                isinstance(values, np.ndarray)
                and values.dtype == np.float64
                and values.shape == (k,)
                and np.isfinite(values).all()
            ),
            f"{name} of other components",
        )
    prior = state["prior"]
    need((prior is not None) == plan.mixture_prior, "a prior out of place")
    if prior is not None:
        _check_prior(prior, k)
    need(isinstance(state["pretrained"], tuple), "a pretraining that is none")
    _check_history(state["pretrained"])


def _check_prior(prior: Any, k: int) -> None:
    need(isinstance(prior, MixturePrior), "a prior that is none")
    n_parts = prior.weights.size
    shapes = (prior.weights.shape, prior.means.shape, prior.factors.shape)
    need(
        n_parts > 0 and shapes == ((n_parts,), (n_parts, k), (n_parts, k, k)),
        "a prior of other components",
    )
    diagonals = np.diagonal(prior.factors, axis1=1, axis2=2)
    need(
        (prior.weights > 0).all()
        and abs(prior.weights.sum() - 1) < ROUNDING
        and (diagonals > 0).all()
        and not np.triu(prior.factors, 1).any(),
        "a prior that is no density",
    )
