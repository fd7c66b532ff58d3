"""How long and in which steps to train, where the caller leaves it to us."""

import inspect
import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from sk_autoencoder._training.config import Patience, TrainingConfig
from sk_autoencoder._training.params import refuse_unknown_arguments
from sk_autoencoder._utils.schedules import BY_STEP

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
LEARNING_RATES = {"adam": 2e-3, "adamw": 2e-3, "sgd": 0.3}
# Times the learning rate of "sgd" with SiLU after dense layers: beside PCA curvature is
# learned first, and its is .63 of GELU's (docs/development/decisions/0035-silu.md).
SILU_SGD_SCALE = 2.0
# Decoupled decay only: the same number inside Adam's or SGD's gradient would pull
# the weights to zero.
WEIGHT_DECAYS = {"adam": 0.0, "adamw": 0.1, "sgd": 0.0}


# Standard errors by which validation samples have to be better than PCA's: by their
# losses, or by the roots of these, and then more where they are few: 3.25 of thirteen
# (docs/development/decisions/0050-few-validation-samples.md).
FALLBACK_MARGIN, ROOT_FALLBACK_MARGIN = 1.5, 1.75

# Times as many epochs for a stack that fills missing cells: where validation samples
# still gain it needs them, and where they do not it stops early.
EPOCHS_TO_FILL = 3

# Norm to which a step's gradient is clipped where the loss is in units of what PCA
# leaves. Gradients are larger there, most of all those of the rows that PCA serves
# worst, where much of the error is: clipping at 1 made them count for too little.
CLIP_FROM_PCA = 10.0


# For a network that starts as PCA and repairs corrupted samples. Each epoch brings
# noise that it has not seen: longer training and less decay pay, and the samples that
# PCA serves worst are those with the most noise, which should not lead.
EPOCHS_TO_DENOISE = 2
DENOISING_DECAY = 0.01

# Of a masked network: two blocks of 256 units. Dropout of a fifth matters.
MASKED_LAYERS, MASKED_DROPOUT = (256, 256), 0.2
MASKED_BATCH, MASKED_BETAS, MASKED_DECAY = 256, (0.9, 0.99), 0.01


# Of the run that puts codes in order: epochs over those of the net's, and its learning
# rate, which falls to the end (docs/development/decisions/0038-recoded-components.md).
NESTED_EPOCHS, NESTED_LR = 0.6, 8e-3
# Units in the hidden layers of each coupling.
COUPLING_LAYERS = (64, 64)

# For hidden features: samples in a step at most, epochs, and the steps that these are
# at least and at most.
FEATURE_BATCH, FEATURE_EPOCHS = 128, 30
LEAST_FEATURE_STEPS, MOST_FEATURE_STEPS = 900, 4000


def automatic_batch_size(n_rows: int, most: int | None = None) -> int:
    """Return a batch size that grows with the rows, a power of two in [32, 256]."""
    power = round(math.log2(max(1.0, n_rows / 16)))
    return int(min(max(2**power, 32), most or 256))


def automatic_epochs(n_rows: int, batch_size: int) -> int:
    """Return 150 epochs, or those that make at least 1,500 and at most 4,000 steps.

    Under a hundred rows fewer steps do, 15 a row: the best state on the few validation
    samples comes early.
    """
    steps_an_epoch = math.ceil(n_rows / batch_size)
    least = min(1500, max(300, 15 * n_rows)) / steps_an_epoch
    return math.ceil(min(max(150, least), 4000 / steps_an_epoch))


def masked_epochs(n_rows: int, batch_size: int) -> int:
    """Return the epochs of a masked network: 60, of 600 to 4,000 steps.

    Fewer rows than 1,200 are learned by heart in 600 steps: then half a step a row.
    """
    steps = min(max(60 * n_rows / MASKED_BATCH, 600), n_rows / 2, 4000)
    return max(1, round(steps / math.ceil(n_rows / batch_size)))


def feature_epochs(n_rows: int, batch_size: int) -> int:
    """Return the epochs for hidden features; under a hundred rows as above."""
    steps_an_epoch = math.ceil(n_rows / batch_size)
    least = min(LEAST_FEATURE_STEPS, max(300, 15 * n_rows)) / steps_an_epoch
    most = MOST_FEATURE_STEPS / steps_an_epoch
    return math.ceil(min(max(FEATURE_EPOCHS, least), most))


def nested_config(config: TrainingConfig, n_epochs: int) -> TrainingConfig:
    """Return how codes are put in order, after a net that has trained for a while.

    Parameters
    ----------
    config : TrainingConfig
        Of that net.
    n_epochs : int
        That it took.
    """
    n_epochs = math.ceil(NESTED_EPOCHS * n_epochs)
    fused = {k: v for k, v in config.optimizer_args.items() if k == "fused"}
    return replace(
        config.without_callbacks(),
        optimizer=torch.optim.AdamW,
        lr=NESTED_LR,
        optimizer_args={**fused, "weight_decay": WEIGHT_DECAYS["adamw"]},
        flatten=True,
        max_epochs=n_epochs,
        patience=Patience(n_iter_no_change=max(1, n_epochs)),
        gradient_clip=1.0,
        weight_average=TrainingConfig.weight_average,
        precision="float32",
        lr_schedule=BY_STEP,
    )


def optimizer_settings(
    optimizer: str | type[torch.optim.Optimizer] | partial[torch.optim.Optimizer],
    *,
    lr: float | str,
    weight_decay: float | str,
    device: torch.device,
    lr_scale: float = 1.0,
) -> dict[str, Any]:
    """Resolve the optimizer's parameters to fields of a `TrainingConfig`.

    Parameters
    ----------
    optimizer : {"adam", "adamw", "sgd"}, torch optimizer class or partial of one
    lr, weight_decay : float or "auto"
        "auto" is the recipe's value for a named optimizer, that of a partial, and a
        torch class's own default.
    device : torch.device
        Decides whether torch's fused step exists.
    lr_scale : float
        Of the network, for the recipe's learning rate.
    """
    args: dict[str, Any] = {}
    is_named = isinstance(optimizer, str)
    if isinstance(optimizer, str):
        if lr == "auto":
            lr = LEARNING_RATES[optimizer] * lr_scale
        if weight_decay == "auto":
            weight_decay = WEIGHT_DECAYS[optimizer]
        if device.type in ("cpu", "cuda"):
            args["fused"] = True
        optimizer = OPTIMIZERS[optimizer]
    given: dict[str, Any] = {}
    if isinstance(optimizer, partial):
        optimizer, given = _unpacked(optimizer)
    if not (
        isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)
    ):
        raise TypeError(
            "expected a torch optimizer class, or a functools.partial of one, got "
            f"optimizer={optimizer!r}. Pass 'adamw', or a class such as "
            "torch.optim.RMSprop."
        )
    where = "the functools.partial that is the optimizer"
    refuse_unknown_arguments(optimizer, given, where)
    own = {"lr": lr, "weight_decay": weight_decay}
    for name, value in own.items():
        if name in given and value != "auto":
            raise ValueError(
                f"expected {name} in one place, got {name}={value!r} and {name}="
                f"{given[name]!r} in the functools.partial that is the optimizer. Pass "
                f"{name}='auto', or leave it out of the partial."
            )
    own.update({name: given.pop(name) for name in own.keys() & given.keys()})
    args |= given
    if own["weight_decay"] != "auto":
        _refuse_weight_decay(optimizer, own["weight_decay"])
        args["weight_decay"] = own["weight_decay"]
    lr = _default_lr(optimizer) if own["lr"] == "auto" else own["lr"]
    return {
        "optimizer": optimizer,
        "lr": lr,
        "optimizer_args": args,
        "flatten": is_named,
    }


def _refuse_weight_decay(optimizer: type, weight_decay: float | str) -> None:
    """Refuse a weight decay for an optimizer that has none, as LBFGS."""
    parameters = inspect.signature(optimizer).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not takes_any and "weight_decay" not in parameters:
        raise ValueError(
            f"expected weight_decay='auto' for optimizer={optimizer.__name__}, which "
            f"has none, got weight_decay={weight_decay!r}. Pass 'auto'."
        )


def _unpacked(optimizer: partial[Any]) -> tuple[Any, dict[str, Any]]:
    """Take a partial optimizer apart into its class and the keyword arguments."""
    if optimizer.args or "params" in optimizer.keywords:
        raise TypeError(
            f"expected a functools.partial with keyword arguments only, got optimizer="
            f"{optimizer!r}: the first argument is the weights, which do not exist "
            "yet. Pass e.g. functools.partial(torch.optim.SGD, momentum=0.9)."
        )
    return optimizer.func, dict(optimizer.keywords)


def _default_lr(optimizer: type[torch.optim.Optimizer]) -> float:
    """Read the learning rate in a class's signature; torch's usual one without."""
    parameter = inspect.signature(optimizer).parameters.get("lr")
    default = None if parameter is None else parameter.default
    return float(default) if isinstance(default, int | float) else 1e-3
