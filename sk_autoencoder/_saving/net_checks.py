"""Checks of the state of one net that came from a file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sk_autoencoder._columns.likelihoods import PerColumnVariance
from sk_autoencoder._saving.checks import check_arrays, need
from sk_autoencoder._saving.optimizer_checks import check_optimizer
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.net_state import NetState, to_array
from sk_autoencoder._utils.random import check_generator_state
from sk_autoencoder._utils.torch_compat import NormBase


def check_net(net: NetState) -> None:
    """Check what a net's state holds beside the arrays of its module.

    Parameters
    ----------
    net : NetState
    """
    check_history(net.history)
    n_epochs = len(net.history) + net.n_dropped
    need(net.history or net.n_dropped == 0, "dropped epochs before none")
    need(net.best_epoch <= n_epochs, "a best epoch that was none")
    need(net.device in ("cpu", "cuda", "mps", "xpu"), "a net on no known device")
    if net.optimizer is None:
        others = (net.order, net.noise, *net.raw_weights)
        need(all(value is None for value in others), "training of what is for use")
        return
    check_generator_state(net.order)
    if net.device == "cpu":
        check_generator_state(net.noise)
    else:
        good = isinstance(net.noise, np.ndarray) and net.noise.dtype == np.uint8
        need(good, "a generator whose state is none")


def check_history(rows: Sequence[Mapping[str, Any]]) -> None:
    """Check that the rows of a history have losses.

    Parameters
    ----------
    rows : sequence of dict
    """
    for row in rows:
        losses = (row.get("train_loss"), row.get("valid_loss", 0.0))
        need(
            isinstance(losses[0], float) and isinstance(losses[1], float | int),
            "a history without losses",
        )


def check_state(net: AutoEncoderNet, state: NetState) -> None:
    """Refuse a state of other arrays than those of a net that was just built.

    Parameters
    ----------
    net : AutoEncoderNet
        Its optimizer may take a step.
    state : NetState
    """
    module = net.module_.state_dict()
    check_arrays("module", state.module, module)
    for name, tensor in module.items():
        check_module_array(name, state.module[name], to_array(tensor))
    for name, least in least_values(net.module_).items():
        good = (state.module[name] >= least).all()
        need(good, f"{name} below its least")
    raw, given = net.average_.raw_weights(), state.raw_weights
    if state.optimizer is None:
        raw = raw[:0]
    need(len(given) == len(raw), "weights of another net")
    weights = {str(i): weight for i, weight in enumerate(raw)}
    check_arrays("weights", dict(zip(weights, given, strict=True)), weights)
    for array in given:
        need(np.isfinite(array).all(), "weights that are not finite")
    if state.optimizer is not None:
        check_optimizer(net.raw_optimizer_, state.optimizer)


def check_module_array(name: str, array: np.ndarray, built: np.ndarray) -> None:
    """Refuse numbers that are not finite, and positions that are others.

    What is not finite by design, such as the range of a category, is so in a net that
    was just built.

    Parameters
    ----------
    name : str
        In the state of a module.
    array, built : ndarray
        From a file, and of such a net.
    """
    if array.dtype.kind == "f":
        same = np.array_equal(np.isfinite(array), np.isfinite(built))
        need(same, f"{name} with numbers that are not finite")
    elif name.endswith("num_batches_tracked"):
        need((array >= 0).all(), f"{name} below 0")
    else:
        need(np.array_equal(array, built), f"{name} of other columns")


def least_values(module: torch.nn.Module) -> dict[str, Any]:
    """Return the least values of what a module divides by, by their names in its state.

    Parameters
    ----------
    module : torch.nn.Module
    """
    least = {}
    for prefix, part in module.named_modules():
        if isinstance(part, PerColumnVariance):
            names: tuple[str, ...] = ("running", "variance")
            # In the variances of the values; of all columns alike in files of 0.1.0.
            least_of_all = np.minimum(to_array(part.value_variance), 1.0)
            value: Any = PerColumnVariance.FLOOR * least_of_all
        elif isinstance(part, NormBase):
            names, value = ("running_var",), 0.0
        else:
            continue
        for name in names:
            if getattr(part, name) is not None:
                # float32 rounds the floor itself down.
                least[f"{prefix}.{name}"] = value * (1 - 1e-6)
    return least
