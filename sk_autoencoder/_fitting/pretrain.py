"""Layerwise pretraining: one layer at a time, those below it frozen.

Each layer is the encoder of a small autoencoder whose rows are the outputs of the layer
below: of the columns for the first. What the frozen layers give is computed once, not
once a step, so that training a layer is training a network of one layer on an array.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.pretrain_columns import LayerColumns
from sk_autoencoder._fitting.train import warn_about_run
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._protocols import Columns, Objective
from sk_autoencoder._training.batches import RowDataset, TrainingRows
from sk_autoencoder._training.callbacks import EpochBar, print_message
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._training.resume import RunKeeper
from sk_autoencoder._utils.interrupts import Interrupts
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.threads import threads_for

# Under "phase" in the history, for the epochs after pretraining.
ALL_LAYERS = "all layers"


class Pretraining:
    """The layers of a fresh net, trained one by one.

    Parameters
    ----------
    net : AutoEncoderNet
        Of the plan, with fresh weights.
    plan : Plan
    is_pass : bool
        Whether each layer is trained for one pass over some of many rows. Else the
        layers share as many epochs as the net may take, with the same
        validation samples in each phase.

    References
    ----------
    Bengio, Lamblin, Popovici and Larochelle (2007), Greedy layer-wise training of deep
    networks, NeurIPS 19.
    Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), Stacked denoising
    autoencoders, JMLR 11.
    """

    def __init__(
        self, net: AutoEncoderNet, plan: Plan, *, is_pass: bool = False
    ) -> None:
        self._net, self._plan, self._is_pass = net, plan, is_pass
        module: Any = net.module_
        module.use_generator(None)  # a copy of a layer is to be no copy of that
        # Not those that the layers of the net itself were drawn by.
        generator = make_generator(plan.seeds.weights + 1)
        self._pairs = plan.network.layer_pairs(
            module.encoder, module.decoder, generator
        )
        self._epochs = 1 if is_pass else math.ceil(net.max_epochs / len(self._pairs))
        # Each with copies of a pair that it trains: the net's own weights lie in one
        # vector, and stay there.
        self._layers: list[tuple[AutoEncoderNet, tuple[nn.Module, ...]]] = []
        self._rows: TrainingRows | None = None  # that the last of them is trained on

    def run(
        self,
        rows: TrainingRows,
        interrupts: Interrupts,
        keeper: RunKeeper | None = None,
    ) -> tuple[dict[str, Any], ...]:
        """Train the layers, and leave the net ready for all.

        Parameters
        ----------
        rows : TrainingRows
            To be trained on, around the plan's mean.
        interrupts : Interrupts
            Of the fit. After an interrupt this can be called again: then the net is
            given what the layers have learned.
        keeper : RunKeeper or None
            Of the fit, where its runs are kept.

        Returns
        -------
        history : tuple of dict
            A row an epoch, with its phase: "layer 1", "layer 2", ...
        """
        columns: Columns = self._plan.columns()
        objective, statistics = self._plan.objective, self._plan.statistics
        pairs = self._pairs
        for number in range(1, len(pairs) + 1):
            if interrupts.caught or not self._epochs:
                break
            parts = copy.deepcopy(pairs[number - 1])
            if number > 1:
                # Of the copy, so that its weights are trained with the decoder's.
                columns = LayerColumns(statistics, activation=parts[1][-1])
            layer = _layer_net(self._plan, columns, *parts, objective, self._epochs)
            self._rows = rows
            self._layers.append((layer, parts))
            print_message(layer.callbacks_, f"Layer {number} of {len(pairs)}:")
            work = min(layer.batch_size, len(rows)) * layer.module_.n_weights()
            with threads_for(work):
                layer.partial_fit(
                    rows, is_pass=self._is_pass, interrupts=interrupts, keeper=keeper
                )
            warn_about_run(layer)
            _copy_weights(parts, pairs[number - 1])
            if number < len(pairs) and not interrupts.caught:
                found, validation = _outputs(layer, rows), None
                statistics = ColumnStatistics.of(found)
                where: Any = {"mean": statistics.mean, "device": layer.device}
                if rows.validation is not None:
                    validation = RowDataset(_outputs(layer, rows.validation), **where)
                rows = RowDataset(found, **where, validation=validation)
                objective = objective.of_hidden_units()
        return self._end()

    def _end(self) -> tuple[dict[str, Any], ...]:
        """Hand the net what its layers have learned, until it is trained itself."""
        history: list[dict[str, Any]] = []
        for number, (layer, _) in enumerate(self._layers, 1):
            if number == len(self._layers):
                layer.settle(self._rows, is_pass=self._is_pass)
            history += [{**row, "phase": f"layer {number}"} for row in layer.history]
        if self._net.has_run_:
            return tuple(history)
        for pair, (_, parts) in zip(self._pairs, self._layers, strict=False):
            _copy_weights(parts, pair)
        module: Any = self._net.module_
        module.use_generator(self._net.noise_)
        self._net.start_from(module.state_dict())
        return tuple(history)


def _copy_weights(trained: Iterable[nn.Module], own: Iterable[nn.Module]) -> None:
    for source, module in zip(trained, own, strict=True):
        module.load_state_dict(source.state_dict())


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
        for named in plan.training.callbacks
        if isinstance(named, tuple) and isinstance(named[1], EpochBar)
    ]
    config = replace(plan.training, max_epochs=epochs, callbacks=bars)
    net = AutoEncoderNet(module, config, seeds=plan.seeds, device=plan.device)
    return net.initialize()


def _outputs(layer: AutoEncoderNet, rows: TrainingRows) -> np.ndarray:
    """Return what a trained layer makes of all rows, (n_rows, n_units)."""
    module, found, start = layer.module_, np.empty((0, 0)), 0
    with torch.inference_mode(), threads_for(len(rows) * module.n_weights()):
        for x, _ in layer.get_iterator(rows, training=False):
            part = module.encoder_output(x).cpu().numpy()
            if not start:
                found = np.empty((len(rows), part.shape[1]), dtype=part.dtype)
            found[start : start + len(part)] = part
            start += len(part)
    return found


def joined_history(pretrained: Any, history: Any, n_dropped: int = 0) -> Any:
    """Put the epochs of pretraining before those of a net's own history.

    Parameters
    ----------
    pretrained : sequence of dict
        What `Pretraining` gave; empty without it.
    history : skorch.history.History
        Of the net.
    n_dropped : int
        Of the net's epochs that are no longer in its history.

    Returns
    -------
    history : skorch.history.History
        The net's own without pretraining. Else a new one, whose rows are numbered from
        1 and tell their phase.
    """
    if not pretrained:
        return history
    rows = [*pretrained, *({"phase": ALL_LAYERS, **row} for row in history)]
    numbers = [*range(1, len(rows) + 1)]
    for i in range(len(pretrained), len(rows)):
        numbers[i] += n_dropped
    return type(history)(
        {**row, "epoch": number} for number, row in zip(numbers, rows, strict=True)
    )
