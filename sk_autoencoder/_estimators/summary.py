"""What a fit has seen, made and found out, in one text."""

from collections.abc import Mapping

import numpy as np
from torch import nn

from sk_autoencoder._columns import Table
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.train import unfinished

# What torch calls the numbers of what goes into a layer and of what comes out.
SIZES = [("in_features", "out_features"), ("in_channels", "out_channels")]
SIZES += [("input_size", "hidden_size")]

CONSTANT = "without effect: no feature varies"

# Ratios above are 1.000 to three digits; what is left of 1 is told in their place.
ALMOST_ALL = 0.9995


def summarize(
    name: str, fitted: FittedModel, *, n_components: int, loss_label: str
) -> str:
    """Describe a fitted model, a line for each subject.

    Parameters
    ----------
    name : str
        Of the estimator's class.
    fitted : FittedModel
    n_components : int
        Columns that `transform` gives.
    loss_label : str
        What the loss is, with its unit.
    """
    plan, net = fitted.plan, fitted.net
    n_features = plan.statistics.mean.size
    lines = {
        "Data": f"{plan.statistics.n_rows:,} samples; {columns_of(plan)}",
        "Network": CONSTANT if is_constant(plan) else _network(net.module_),
        "Weights": f"{sum(p.numel() for p in net.module_.parameters()):,}",
        **_explained(fitted),
        **_validation(fitted, loss_label),
        "Training": _training(fitted),
        "Result": _result(fitted),
        "Device": str(net.device),
    }
    return layout(f"{name}: {n_features:,} features -> {n_components:,}", lines)


def is_constant(plan: Plan) -> bool:
    """Whether no feature varies: then each sample is the mean, without a network.

    Parameters
    ----------
    plan : Plan
    """
    return plan.table is None and not plan.statistics.varies.any()


def layout(head: str, lines: Mapping[str, str]) -> str:
    """Write lines below a head, their names in a column.

    Parameters
    ----------
    head : str
    lines : mapping of str to str
    """
    width = max(map(len, lines)) + 2
    return "\n".join([head, *(f"  {key:<{width}}{lines[key]}" for key in lines)])


def columns_of(plan: Plan) -> str:
    """Count the columns by their kinds.

    Parameters
    ----------
    plan : Plan
    """
    if plan.table is None:
        n_varied = int(np.count_nonzero(plan.statistics.varies))
        n_constant = plan.statistics.mean.size - n_varied
        kinds = {"numbers": f"{n_varied:,}", "constant": f"{n_constant:,}"}
    else:
        kinds = _kinds_of_columns(plan.table)
    return ", ".join(
        f"{kind}: {count}" for kind, count in kinds.items() if count != "0"
    )


def _kinds_of_columns(table: Table) -> dict[str, str]:
    there = [
        c for c, gone in zip(table.columns, table.is_empty, strict=True) if not gone
    ]
    sizes = [len(column.levels) for column in there if hasattr(column, "levels")]
    least, most = min(sizes, default=0), max(sizes, default=0)
    span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return {
        "numbers": f"{len(there) - len(sizes):,}",
        "categories": f"{len(sizes):,} ({span} levels)" if sizes else "0",
        "without values": f"{len(table.columns) - len(there):,}",
    }


def _network(module: nn.Module) -> str:
    """Describe the layers that have weights of their own, in their order."""
    found: dict[str, list[str]] = {}
    layers: set[str] = set()
    for path, layer in module.named_modules():
        if not any(True for _ in layer.parameters(recurse=False)):
            continue
        layers.add(path)
        kind = type(layer).__name__
        if kind.startswith("_") and path.rpartition(".")[0] in layers:
            continue  # how that layer makes its weights
        part = path.partition(".")[0]
        found.setdefault(part, []).append(f"{kind}{_sizes(layer)}")
    return "; ".join(f"{part}: {', '.join(names)}" for part, names in found.items())


def _sizes(layer: nn.Module) -> str:
    """Return what goes into a layer and what comes out, where it has names for that."""
    for names in SIZES:
        sizes = [getattr(layer, name, None) for name in names]
        if all(isinstance(size, int) for size in sizes):
            return " " + "-".join(map(str, sizes))
    return ""


def _explained(fitted: FittedModel) -> dict[str, str]:
    """Return the explained variance of the training samples, beside PCA's."""
    plan, moments = fitted.plan, fitted.moments
    axes, k = plan.axes, plan.n_kept or plan.n_components
    if axes is None or plan.objective.is_variational or not axes.total > 0:
        return {}
    if plan.table is None and plan.likelihood != "squared_error":
        return {}
    linear = 1 - axes.residual(k) / axes.total
    own, ratios = moments.explained, fitted.explained_variance_ratio
    if plan.ordered and ratios is not None:
        own = float(ratios.sum())
    found = [own]
    if plan.table is None and plan.scaling == "none":  # else the axes have other units
        found.append(linear)
    told, verb = [f"{ratio:.3f}" for ratio in found], "explains"
    if own > ALMOST_ALL:
        told, verb = [f"{max(1 - ratio, 0.0):.1e}" for ratio in found], "leaves"
    text = f"{verb} {told[0]} of the training samples' variance"
    return {"Variance": ", PCA ".join([text, *told[1:]])}


def _validation(fitted: FittedModel, loss_label: str) -> dict[str, str]:
    """Return the loss on validation samples, where there were any."""
    losses = {int(row["epoch"]): row.get("valid_loss") for row in fitted.history}
    found = [loss for loss in losses.values() if loss is not None]
    if not found:
        return {"Validation": "none"}
    text = f"least loss {min(found):.4g}, last {found[-1]:.4g}"
    if fitted.pca_validation_loss is not None:
        text += f", PCA's {fitted.pca_validation_loss:.4g}"
    unit = f"; {loss_label[:1].lower()}{loss_label[1:]}"
    if fitted.plan.axes is not None and not fitted.plan.objective.is_variational:
        unit = " (1: PCA's on the training samples)"
    return {"Validation": text + unit}


def _training(fitted: FittedModel) -> str:
    """Describe how long a fit took, and why it stopped."""
    n_epochs, config = fitted.n_epochs, fitted.plan.training
    best = len(fitted.pretrained) + fitted.net.best_epoch_
    if not n_epochs:
        return "none"
    seconds = sum(row.get("dur") or 0.0 for row in fitted.history)
    why = {
        "max_epochs": f"all of max_epochs={config.max_epochs}; ",
        "patience": f"stopped {n_epochs - best:,} epochs after the best; ",
        "callback": "stopped by a callback; ",
        "loss": "stopped by a loss that was not finite; ",
        "interrupt": "interrupted; ",
    }.get(fitted.net.stopped_, "")
    return (
        f"{n_epochs:,} epochs in {seconds:.1f} s, best {best:,}; {why}"
        f"batches of {config.batch_size:,}, {config.optimizer.__name__}, "
        f"lr {config.lr:g}"
    )


def _result(fitted: FittedModel) -> str:
    """Describe what is kept of a fit."""
    best = len(fitted.pretrained) + fitted.net.best_epoch_
    kept = f"epoch {best:,}"
    if not fitted.n_epochs:
        return "PCA: nothing was trained" if fitted.is_pca else "nothing was trained"
    if fitted.is_pca:
        kept = "PCA: no epoch was better on the validation samples, beyond chance"
    found = unfinished(fitted.plan, fitted.net)
    return f"{kept}; {found}" if found else kept
