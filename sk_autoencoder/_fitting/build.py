"""Joins network, objective and columns to a net."""

from functools import partial
from typing import Any, cast

import numpy as np
import torch

from sk_autoencoder._columns import PassedColumns
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.ranges import check_statistics
from sk_autoencoder._fitting.recipe import COUPLING_LAYERS, nested_config
from sk_autoencoder._model.masked import MaskedModule
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._model.nested_decoder import NestedDecoder, NestedModule
from sk_autoencoder._model.pca_residual import (
    PCAResidualDecoder,
    PCAResidualEncoder,
    PCAResidualPosterior,
)
from sk_autoencoder._model.places import GatherOutput, ScatterInput
from sk_autoencoder._model.recoder import Recoder, blocks
from sk_autoencoder._model.swap_detector import SwapDetectingModule
from sk_autoencoder._protocols import Columns, TrainableModule
from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.values import first_line
from sk_autoencoder._utils.variance import unit_or_one
from sk_autoencoder.networks._layers import hidden_layers, linear
from sk_autoencoder.networks._masked import LevelColumn, MaskedNetwork
from sk_autoencoder.networks.mlp import FeatureStack

# Fraction of the variance that is lost in float32: its squared rounding, and a margin.
EXACT = 1e-11

# Variance that probabilistic PCA leaves at least, in units of the features' mean one.
LEAST_NOISE = 1e-6

# Weight of probabilistic PCA in the density of a trained network that started as it.
LINEAR_SHARE = 0.01


def build_net(plan: Plan) -> AutoEncoderNet:
    """Build the net of a plan, with fresh weights, ready to train."""
    check_statistics(plan, plan.statistics)
    module: Any = build_masked(plan) if plan.is_masked else build_module(plan)
    decode = None if plan.is_masked else partial(_decode, module.columns)
    net = AutoEncoderNet(
        module,
        plan.training,
        seeds=plan.seeds,
        device=plan.device,
        predict_nonlinearity=decode,
        pca_weight=LINEAR_SHARE if plan.keeps_linear else 0.0,
        as_given=plan.as_given,
    )
    return net.initialize()


def _decode(columns: Columns, raw: torch.Tensor) -> torch.Tensor:
    """Decode outputs that skorch has brought to the CPU."""
    return columns.decode(raw.to(columns.mean.device)).to(raw.device)


def build_masked(plan: Plan) -> MaskedModule:
    """Build the module of a plan that `is_masked`, with fresh weights."""
    columns, dense = plan.level_columns(), plan.network.get_params()
    network = MaskedNetwork(
        columns=[
            LevelColumn(*column)
            for column in zip(
                columns.counts, columns.positions, columns.are_wide, strict=True
            )
        ],
        hidden_layer_sizes=dense["hidden_layer_sizes"],
        dropout=dense["dropout"],
        generator=make_generator(plan.seeds.weights),
    )
    return MaskedModule(columns=columns, network=network, objective=plan.objective)


def build_module(plan: Plan) -> AutoEncoderModule:
    """Build the module of any other plan, with fresh weights."""
    columns = plan.columns()
    make: Any = AutoEncoderModule
    if plan.stacked:
        generator = make_generator(plan.seeds.weights)
        encoder, decoder = plan.network.build_stack(
            n_inputs=columns.n_inputs,
            n_outputs=columns.n_outputs,
            generator=generator,
        )
        if plan.detects_swaps:
            assert isinstance(plan.network, FeatureStack)
            n_features = len(plan.statistics.mean)
            detector = plan.network.build_detector(n_features, generator)
            make = partial(SwapDetectingModule, detector=detector)
    else:
        encoder, decoder = _build_networks(
            plan,
            columns,
            n_encoder_outputs=plan.objective.n_encoder_outputs(plan.n_components),
            n_components=plan.n_components,
        )
    if plan.axes is not None:
        is_variational = plan.objective.is_variational
        kind = PCAResidualPosterior if is_variational else PCAResidualEncoder
        encoder = kind(encoder)
        decoder = PCAResidualDecoder(decoder, link=columns.link)
    module: AutoEncoderModule = make(
        columns=columns,
        encoder=encoder,
        decoder=decoder,
        objective=plan.objective,
        latent_map=plan.latent_map,
    )
    if plan.passthrough:
        module.passed = PassedColumns(
            columns, plan.table, scaling=plan.scaling, indicators=plan.indicators
        )
    elif plan.output_index is not None:
        module.output_index = torch.tensor(plan.output_index)
    install_pca(module, plan)
    if plan.axes is not None and plan.objective.is_variational:
        columns.set_variance(noise_variance(plan))
    return module


def _build_networks(
    plan: Plan,
    columns: Columns,
    *,
    n_encoder_outputs: int,
    n_components: int,
) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Build the encoder and the decoder of a plan, as the columns need them."""
    network, n_features = plan.network, len(plan.statistics.mean)
    n_inputs, n_outputs = columns.n_inputs, columns.n_outputs
    varies = plan.statistics.varies
    index, masked = columns.column_index, columns.flagged_columns
    if index is not None:
        varies = np.isin(np.arange(n_features), index.cpu().numpy())
        if not _takes_all_features(plan):
            index = None
    if index is not None:
        n_outputs = n_features
        n_inputs = n_features if masked is None else 2 * n_features
    network.validate(starts_from_pca=plan.axes is not None, varies=varies)
    encoder, decoder = network.build(
        n_inputs=n_inputs,
        n_encoder_outputs=n_encoder_outputs,
        n_components=n_components,
        n_outputs=n_outputs,
        generator=make_generator(plan.seeds.weights),
    )
    if index is None:
        return encoder, decoder
    encoder = ScatterInput(encoder, index, masked, columns.constants())
    return encoder, GatherOutput(decoder, index)


def _takes_all_features(plan: Plan) -> bool:
    """Whether the network is given constant features too, which a table leaves out."""
    has_categories = plan.table is not None and plan.table.has_categories
    return plan.network.needs_all_features or (plan.as_given and not has_categories)


def output_width(plan: Plan) -> int:
    """Return how many numbers the decoder of a plan gives for a row."""
    if _takes_all_features(plan):
        return len(plan.statistics.mean)
    return plan.columns().n_outputs


def noise_variance(plan: Plan) -> float:
    """Return the variance that PCA leaves in a feature, as probabilistic PCA has it."""
    assert plan.axes is not None
    n_left = max(1, plan.axes.components.shape[1] - plan.n_components)
    least = LEAST_NOISE * plan.axes.total / plan.axes.components.shape[1]
    return max(plan.axes.residual(plan.n_components) / n_left, least) or 1.0


def install_pca(module: TrainableModule, plan: Plan) -> None:
    """Write the principal axes of a plan into its module, where it has any.

    Parameters
    ----------
    module : TrainableModule
        Of the plan, its columns up to date.
    plan : Plan
    """
    if not isinstance(module, AutoEncoderModule):
        return
    module.latent_map.set_map(plan.latent_map)
    module.n_kept = plan.n_kept
    if plan.axes is None:
        return
    columns, k = module.columns, plan.n_components
    encoder, decoder = cast("PCAResidualEncoder", module.encoder), _pca_decoder(module)
    components, std = plan.axes.components[:k], plan.axes.std[:k]
    # What PCA leaves in a number of the score, on average, and the deviations of the
    # codes that are decoded.
    residual_variance, code_std = plan.axes.residual(k) / components.shape[1], std
    if isinstance(encoder, PCAResidualPosterior):
        residual_variance = noise_variance(plan)
        code_std = encoder.set_posterior(
            components, std, residual_variance, columns.factor
        )
    else:
        encoder.set_axes(components, std, columns.factor)
    n_rows = plan.statistics.n_rows
    encoder.noise = plan.objective.encoder_input_noise(n_rows, columns.n_inputs)
    if plan.pca_loss is not None and columns.is_squared_error:
        residual_variance = plan.pca_loss  # of corrupted samples, more than of clean
    encoder.spread = columns.input_spread
    explained = np.square(components * std[:, None]).sum(axis=0)
    unit = columns.set_pca(explained, residual_variance, plan.pca_loss or 0.0)
    decoder.set_axes(components, code_std, columns.exact["offset"], unit)
    pca_loss = residual_variance if columns.is_squared_error else plan.pca_loss
    module.loss_unit = float(unit_or_one(1.0 if pca_loss is None else pca_loss))
    if module.prefixes is not None:
        _set_prefix_axes(plan, module, module.prefixes)


def _pca_decoder(module: AutoEncoderModule) -> PCAResidualDecoder:
    """Return the decoder of a module that starts as PCA."""
    return cast("PCAResidualDecoder", module.decoder)


def _set_prefix_axes(plan: Plan, module: AutoEncoderModule, prefixes: Any) -> None:
    """Write the principal axes of a plan into a prefix decoder."""
    assert plan.axes is not None
    k, decoder = plan.n_components, _pca_decoder(module)
    axes, units = decoder.exact["axes"], np.ones(k)
    residual = np.array([plan.axes.residual(j + 1) for j in range(k)])
    if plan.recoding is not None:
        axes = plan.recoding.weights @ axes
        explained = np.square(plan.recoding.weights * plan.axes.std[:k]).sum(axis=1)
        residual = plan.axes.total - np.cumsum(explained)
    if module.columns.is_squared_error:
        # No less than float32 can tell from 0, because losses are divided by it.
        residual = np.maximum(residual, EXACT * plan.axes.total or 1.0)
        units = np.sqrt(residual / len(decoder.offset))
    prefixes.set_axes(axes, decoder.exact["offset"], units)


def build_prefix_module(plan: Plan, module: AutoEncoderModule) -> NestedModule:
    """Build what codes are put in order by, and give its parts to a module.

    Parameters
    ----------
    plan : Plan
    module : AutoEncoderModule
        Of the plan, on its device.
    """
    k, columns = plan.n_components, module.columns
    _, network = _build_networks(plan, columns, n_encoder_outputs=k, n_components=2 * k)
    decoder = NestedDecoder(
        network,
        link=columns.link,
        n_components=k,
        is_recoded=plan.recoding is not None,
    )
    decoder.to(columns.mean.device)
    _set_prefix_axes(plan, module, decoder)
    module.recoder = None
    if plan.recoding is not None:
        module.recoder = _build_recoder(plan).to(columns.mean.device)
    module.prefixes = decoder  # last: an interrupt leaves none that is half made
    return NestedModule(module, decoder)


def _build_recoder(plan: Plan) -> Recoder:
    """Build the recoder of a plan, with fresh weights: the linear part alone."""
    assert plan.recoding is not None
    k, generator = plan.n_components, make_generator(plan.seeds.weights)
    networks = []
    for first, last in blocks(k):
        n_changed = last - first
        sizes = (k - n_changed, *COUPLING_LAYERS)
        layers = hidden_layers(sizes, "silu", generator)
        layers.append(linear(sizes[-1], 2 * n_changed, generator))
        networks.append(torch.nn.Sequential(*layers))
    return Recoder(plan.recoding, networks)


def build_prefix_net(plan: Plan, module: AutoEncoderModule) -> AutoEncoderNet:
    """Build the net that trains these parts; see `build_prefix_module`."""
    net = AutoEncoderNet(
        build_prefix_module(plan, module),
        nested_config(plan.training, plan.training.max_epochs),
        seeds=plan.seeds,
        device=plan.device,
    )
    return net.initialize()


def resolve_device(device: str | torch.device) -> torch.device:
    """Find the device: "auto" is a CUDA device where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reason = ""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except NotImplementedError:
        # What torch says here goes on for sixty lines, about kernels.
        reason = "this build of torch has no kernels for it"
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
    if not reason and found.type == "meta":
        reason = "it holds no values"
    if reason:
        raise ValueError(
            f"expected a device that torch can use here, got device={device!r}, "
            f"because: {reason}. Pass device='auto' or device='cpu'."
        )
    return found
