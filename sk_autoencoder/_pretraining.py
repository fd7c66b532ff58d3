"""Layerwise pretraining: one layer at a time, those below it frozen.

Each layer is the encoder of a small autoencoder whose rows are the outputs of the layer
below: of the columns for the first. What the frozen layers give is computed once, not
once a step, so that training a layer is training a network of one layer on an array.
"""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_autoencoder._assembly import Plan
from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._fused import fast_step
from sk_autoencoder._module import AutoEncoderModule
from sk_autoencoder._net import AutoEncoderNet
from sk_autoencoder._net_batches import Rows
from sk_autoencoder._net_callbacks import EpochBar, say
from sk_autoencoder._pretraining_columns import LayerColumns
from sk_autoencoder._protocols import Columns, Objective
from sk_autoencoder._random import make_generator
from sk_autoencoder._threads import threads_for
from sk_autoencoder._training import judge

__all__ = ["joined_history", "pretrain", "pretrains", "refuse_pretraining"]

# Under "phase" in the history, for the epochs after pretraining.
ALL_LAYERS = "all layers"


def pretrains(estimator: Any) -> bool:
    """Tell whether an estimator asks for layerwise pretraining."""
    return getattr(estimator, "pretrain", None) == "layerwise"


def refuse_pretraining(estimator: Any) -> None:
    """Refuse what does not go with the pretraining that an estimator asks for."""
    # A stack has neither a start from PCA nor components to be ordered or counted.
    if not pretrains(estimator) or estimator._is_stacked():
        return
    how = "pretrain='layerwise'"
    if estimator.ordered:
        raise ValueError(
            f"expected ordered=False for {how}, got ordered=True: ordered components "
            "start as PCA's, and pretrained layers do not. Pass ordered=False, or "
            "pretrain=None."
        )
    if estimator.init != "random":
        raise ValueError(
            f"expected init='random' for {how}, got init={estimator.init!r}: what "
            "starts as PCA leaves nothing for the layers to be trained for, one by "
            "one. Pass init='random', or pretrain=None."
        )
    if isinstance(estimator.n_components, float):
        raise ValueError(
            f"expected an int or None for {how}, got n_components="
            f"{estimator.n_components!r}: how many components explain a share is found "
            "by several fits. Pass an int, or pretrain=None."
        )


def pretrain(
    net: AutoEncoderNet,
    plan: Plan,
    rows: Rows,
    *,
    epochs: int | None = None,
    hold_out: bool = True,
) -> tuple[dict[str, Any], ...]:
    """Train the layers of a fresh net one by one, and leave it ready for all.

    Parameters
    ----------
    net : AutoEncoderNet
        Of the plan, with fresh weights. Its `interrupted_` tells whether the user
        wants no more of it.
    plan : Plan
    rows : Rows
        To be trained on, around the plan's mean.
    epochs : int or None
        For each layer, at most. None shares as many as the net may take out among the
        layers.
    hold_out : bool
        Whether to hold rows out: in each phase the same.

    Returns
    -------
    history : tuple of dict
        A row an epoch, with its phase: "layer 1", "layer 2", ...

    References
    ----------
    Bengio, Lamblin, Popovici and Larochelle (2007), Greedy layer-wise training of deep
    networks, NeurIPS 19.
    Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), Stacked denoising
    autoencoders, JMLR 11.
    """
    module: Any = net.module_
    module.use_generator(None)  # a copy of a layer is to be no copy of that
    # Not those that the layers of the net itself were drawn by.
    generator = make_generator(plan.seeds.weights + 1)
    pairs = plan.network.layer_pairs(module.encoder, module.decoder, generator)
    if epochs is None:
        epochs = math.ceil(net.max_epochs / len(pairs))
    history: list[dict[str, Any]] = []
    columns: Columns = plan.columns()
    objective, statistics = plan.objective, plan.statistics
    for number, (encoder, decoder) in enumerate(pairs, 1):
        if not epochs:
            break
        # Copies: the net's own weights lie in one vector, and stay there.
        parts = copy.deepcopy((encoder, decoder))
        if number > 1:
            # Of the copy, so that its weights are trained with the decoder's.
            columns = LayerColumns(statistics, activation=parts[1][-1])
        layer = _layer_net(plan, columns, *parts, objective, epochs)
        say(layer.callbacks_, f"Layer {number} of {len(pairs)}:")
        with threads_for(min(layer.batch_size, len(rows)) * layer.module_.n_weights()):
            layer.partial_fit(rows, None, epochs=epochs, hold_out=hold_out)
        judge(layer)
        history += [{**row, "phase": f"layer {number}"} for row in layer.history]
        for own, trained in zip((encoder, decoder), parts, strict=True):
            own.load_state_dict(trained.state_dict())
        if layer.interrupted_:
            net.interrupted_ = True
            break
        if number < len(pairs):
            found, validation = _outputs(layer, rows), None
            statistics = ColumnStatistics.of(found)
            where: Any = {"mean": statistics.mean, "device": layer.device}
            if rows.validation is not None:
                validation = Rows(_outputs(layer, rows.validation), **where)
            rows = Rows(found, **where, validation=validation)
            objective = objective.of_hidden_units()
    module.use_generator(net.noise_)
    net.start_from(module.state_dict())
    return tuple(history)


def _layer_net(
    plan: Plan,
    columns: Columns,
    encoder: nn.Sequential,
    decoder: nn.Sequential,
    objective: Objective,
    epochs: int,
) -> AutoEncoderNet:
    """Build the net that trains one layer, and what is to undo it."""
    if isinstance(columns, LayerColumns):
        # Its activation is part of these columns.
        decoder = nn.Sequential(*list(decoder)[:-1])
    module = AutoEncoderModule(
        columns=columns, encoder=encoder, decoder=decoder, objective=objective
    )
    # The user's callbacks know the whole network, not its parts.
    bars = [
        named
        for named in plan.settings["callbacks"]
        if isinstance(named, tuple) and isinstance(named[1], EpochBar)
    ]
    settings = {**plan.settings, "max_epochs": epochs, "callbacks": bars}
    net = AutoEncoderNet(
        module,
        seeds=plan.seeds,
        device=plan.device,
        **{"make_step": fast_step, **settings},
    )
    return net.initialize()


def _outputs(layer: AutoEncoderNet, rows: Rows) -> np.ndarray:
    """Give what a trained layer makes of all rows, (n_rows, n_units)."""
    module, found, start = layer.module_, np.empty((0, 0)), 0
    with torch.inference_mode(), threads_for(len(rows) * module.n_weights()):
        for x, _ in layer.get_iterator(rows, training=False):
            part = module.statistics(x).cpu().numpy()
            if not start:
                found = np.empty((len(rows), part.shape[1]), dtype=part.dtype)
            found[start : start + len(part)] = part
            start += len(part)
    return found


def joined_history(pretrained: Any, history: Any) -> Any:
    """Put the epochs of pretraining before those of a net's own history.

    Parameters
    ----------
    pretrained : sequence of dict
        What `pretrain` gave; empty without it.
    history : skorch.history.History
        Of the net.

    Returns
    -------
    history : skorch.history.History
        The net's own without pretraining. Else a new one, whose rows are numbered from
        1 and tell their phase.
    """
    if not pretrained:
        return history
    rows = [*pretrained, *({"phase": ALL_LAYERS, **row} for row in history)]
    return type(history)({**row, "epoch": i} for i, row in enumerate(rows, 1))
